//! One poll of GitHub for one TaskSpawner.

use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::GithubIssues;
use tokio::time::Instant;

use super::matched::MatchedItems;
use super::reader::Freshness;
use crate::spawner::state::{Context, SpawnerState};
use crate::spawner::status::PollOutcome;

/// Longest pause after which a source that only a person can mend is tried again: nobody tells of a Secret's change.
const LASTING: Duration = Duration::from_secs(300);

/// Reads GitHub for a TaskSpawner. Returns the items, what the status says of them, and when to poll again.
pub async fn poll(
    context: &Context,
    spawner: &TaskSpawner,
    spec: &GithubIssues,
    state: &mut SpawnerState,
    interval: Duration,
) -> (Option<Box<MatchedItems>>, PollOutcome, Duration) {
    // Whoever ran the spawner before may have acted on a listing that is newer than those that are known here.
    let members_since = context.members.borrow().as_ref().map(|members| members.since);
    if let Some(since) = members_since {
        state.require_listing_after(since);
    }
    let freshness = Freshness {
        max_age: interval,
        not_before: state.not_before,
    };
    let listed = context
        .github
        .list(spawner, spec, &context.stores, freshness)
        .await;
    state.last_poll = Some(Instant::now());
    context
        .metrics
        .spawners
        .polled(listed.as_ref().err().map(|e| e.fault.reason));
    match listed {
        Ok(found) => {
            state.failures = 0;
            state.require_listing_after(found.at);
            let outcome = PollOutcome {
                source: Some(found.name.clone()),
                discovered: Some(found.ids.len()),
                polled: Some(context.clock.now()),
                ..PollOutcome::default()
            };
            (
                Some(Box::new(found)),
                outcome,
                interval.mul_f64(rand::random_range(0.95..1.05)),
            )
        }
        Err(unreadable) => {
            state.failures = state.failures.saturating_add(1);
            let old = state.outcome.take().unwrap_or_default();
            let outcome = PollOutcome {
                source: unreadable.name.or(old.source),
                waiting: old.waiting,
                permission_unknown: old.permission_unknown,
                blocked: old.blocked,
                source_fault: Some(unreadable.fault),
                ..PollOutcome::default()
            };
            let backoff = Duration::from_secs(2).saturating_mul(2u32.saturating_pow(state.failures.min(10)));
            let pause = unreadable.pause.map_or(interval.min(LASTING), |pause| {
                pause.max(backoff).min(interval.max(pause))
            });
            (None, outcome, pause.mul_f64(rand::random_range(1.0..1.1)))
        }
    }
}
