//! The items of one round that call for a Task, in the order in which they are tried. Pure.

use std::collections::BTreeSet;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::Claim;
use kube::ResourceExt as _;

use super::plan::{self, ExistingTask, Ledger};
use super::source::PolledItems;
use super::state::SpawnerState;
use super::status::Blocked;

/// Returns what the items call for, those that failed in this round left out and those that failed in the last one
/// behind all others.
pub(super) fn wanted(
    live: &TaskSpawner,
    items: &dyn PolledItems,
    tasks: &[ExistingTask],
    ledger: &Ledger,
    refused: &[Blocked],
    state: &SpawnerState,
) -> Vec<Claim> {
    let mut wanted = plan::wanted(&live.name_any(), &items.ids(), tasks, ledger, items.filter());
    let blocked: BTreeSet<&str> = refused.iter().map(|b| b.item.as_str()).collect();
    wanted.retain(|claim| !blocked.contains(claim.item.as_str()));
    wanted.sort_by_key(|claim| state.blocked.contains(&claim.item));
    by_turns(wanted, |claim| state.gate.last_asked(&claim.item))
}

/// Puts one that GitHub was asked about behind each one that it was not, those first that wait longest: neither many new
/// items nor many that change again and again take all the questions of a poll.
fn by_turns<T, O: Ord>(all: Vec<T>, asked: impl Fn(&T) -> Option<O>) -> Vec<T> {
    let (mut asked_before, never): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| asked(one).is_some());
    asked_before.sort_by_key(&asked);
    let (mut never, mut asked_before) = (never.into_iter(), asked_before.into_iter());
    let mut turns = Vec::new();
    loop {
        let (first, second) = (never.next(), asked_before.next());
        if first.is_none() && second.is_none() {
            return turns;
        }
        turns.extend(first);
        turns.extend(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_new_items_nor_old_ones_take_all_the_questions() {
        let asked = |item: &&str| match *item {
            "asked-late" => Some(2),
            "asked-early" => Some(1),
            _ => None,
        };
        let all = vec!["asked-late", "new-1", "asked-early", "new-2", "new-3"];
        assert_eq!(
            by_turns(all, asked),
            ["new-1", "asked-early", "new-2", "asked-late", "new-3"]
        );
        assert_eq!(by_turns(vec!["asked-late"], asked), ["asked-late"]);
    }
}
