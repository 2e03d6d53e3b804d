//! Which writes start a Task under the budgets that count it. Pure.
//!
//! A Task starts only with its amount held in all of its budgets. They are separate objects, so two replicas that both believe
//! to lead could interleave: one takes a partial reservation back while the other completes it and makes the Job. Two rules keep
//! them apart, whatever the replicas have read and wherever they die:
//!
//! 1. A pass that admits writes *every* budget, in the order of names, each on the version read at its start, also where the amount
//!    is held already; the Job comes after the last write.
//! 2. A pass that takes back writes every budget in the *reverse* order, each on the version read at its start.
//!
//! Both rules need passes over the same budgets. An entry says for which set it was made; a pass over another set, as after an edit of a
//! selector or a label, takes nothing back.
//!
//! Before an entry is made, a live call asks whether the Task has ended: a replica that knows only an old state of the Task would
//! otherwise reserve for one that is counted and forgotten.
//!
//! Why that is enough: say a pass A takes back the entry of budget 1, because budget 2 had none. Then a pass B that makes the Job
//! wrote budget 2 after A wrote it, so B has read it after that, and wrote budget 1 later still: either after A, and the entry
//! is there, or between A's reading and writing of budget 1, and A's write fails.

use jiff::Timestamp;

use super::amount::{Amount, Limit};
use super::ledger::{Full, Ledger};

/// A budget as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Name of the TaskBudget.
    pub name: String,
    /// The most that may be spent.
    pub limit: Limit,
    /// What was spent and is held.
    pub ledger: Ledger,
}

/// What to do for a Task that wants to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Write these books, in this order, each on the version that was read; then make the Job. If a write finds another version,
    /// the pass begins again.
    Admit(Vec<(usize, Ledger)>),
    /// Write these books first, in this order; then the Task waits.
    Wait {
        /// Takes back what an earlier pass has left.
        writes: Vec<(usize, Ledger)>,
        /// Index of the budget without room.
        book: usize,
        /// Why there is none.
        full: Full,
    },
    /// The Task has ended, as its budgets know already; the Task's own status is about to say so.
    Over,
}

/// Plans the start of the Task `uid`, which holds `amount` in each of `books`, which are sorted by name.
#[must_use]
pub fn plan(who: &Applicant<'_>, books: &[Book], now: Timestamp) -> Plan {
    let entries = || books.iter().filter_map(|book| book.ledger.entry(who.uid));
    if entries().any(|entry| !entry.is_held()) {
        return Plan::Over;
    }
    // What is held for less than the Task may spend now is not enough.
    let held = entries().filter(|entry| entry.amount.covers(who.amount)).count();
    // A part that another set of budgets was complete with, or of a Task that has spent already, is no rest of a broken pass.
    let is_rest = !who.has_run && entries().all(|entry| entry.set == who.set);
    let fits = |book: &Book| book.ledger.fits(who.uid, who.amount, &book.limit, now);
    let full = books
        .iter()
        .enumerate()
        .find_map(|(index, book)| Some((index, fits(book).err()?)));
    let changed = |change: &dyn Fn(&mut Ledger)| {
        let change = |(index, book): (usize, &Book)| {
            let mut ledger = book.ledger.clone();
            change(&mut ledger);
            (index, ledger)
        };
        books.iter().enumerate().map(change).collect::<Vec<_>>()
    };
    match full {
        // What is held everywhere was given, whatever has become of the limit since: the Job may be there.
        Some((book, full)) if held < books.len() => {
            let mut writes = Vec::new();
            if is_rest && entries().next().is_some() {
                writes = changed(&|ledger| ledger.release(who.uid));
                writes.reverse();
            }
            Plan::Wait { writes, book, full }
        }
        _ => Plan::Admit(changed(&|ledger| {
            ledger.hold(who.uid, who.task, who.agent, who.amount, who.set);
        })),
    }
}

/// A Task that wants to start.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// UID of the Task.
    pub uid: &'a str,
    /// Its name.
    pub task: &'a str,
    /// Its agent.
    pub agent: axon_api::agents::AgentType,
    /// Its cap, and one run.
    pub amount: Amount,
    /// A word for the budgets that count it, another one for other budgets.
    pub set: &'a str,
    /// True once it has had a Job: what is held for it may be spent.
    pub has_run: bool,
}

#[cfg(test)]
mod model;
