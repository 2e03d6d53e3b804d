//! The books of one budget: what was spent and what is reserved. Pure.
//!
//! All of it is one object, so that every change is one compare-and-swap. An entry bears a Task's UID. It is *held* from before
//! the Task's Job is made until the Task ends; then it is *spent*: its amount has moved to the bucket of that time. It stays in
//! the books until the Task is known to have ended, so that a replica that repeats the end counts nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use axon_api::agents::AgentType;
use axon_api::v1alpha1::{BudgetBucket, MAX_BUCKETS, MAX_RESERVATIONS, Reservation, TaskBudgetStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::amount::{Amount, Dimension, Limit};

/// Longest that an amount stays in the books after it has left the window, if the window is not shorter: a clock that was set forward
/// by mistake, and back again, forgets nothing.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// What the books say of one Task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the Task.
    pub task: String,
    /// Its agent.
    pub agent: AgentType,
    /// Its cap while it is held, and what it has spent afterwards.
    pub amount: Amount,
    /// A word for the budgets in which it was reserved together; empty if it was not.
    pub set: String,
    /// When the amount leaves the window; `None` while it is held.
    pub spent_until: Option<Timestamp>,
}

impl Entry {
    /// Returns true as long as the Task has not ended.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.spent_until.is_none()
    }
}

/// The books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    buckets: BTreeMap<Timestamp, Amount>,
}

/// Why an amount does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// What there is too little of; `None` if too many Tasks run at the same time.
    pub of: Option<Dimension>,
    /// Spent within the window.
    pub spent: Amount,
    /// Held for other Tasks.
    pub reserved: Amount,
    /// True if the amount is larger than the limit, so that it never fits.
    pub never: bool,
    /// When enough leaves the window, if no Task ends before; `None` if only the end of a Task makes room.
    pub room_at: Option<Timestamp>,
}

impl Ledger {
    /// Reads the books.
    #[must_use]
    pub fn read(status: &TaskBudgetStatus) -> Self {
        let mut buckets = BTreeMap::<Timestamp, Amount>::new();
        for bucket in &status.buckets {
            let sum = buckets.entry(bucket.until.0).or_default();
            *sum = sum.plus(Amount::stored(&bucket.amount));
        }
        let entry = |stored: &Reservation| Entry {
            task: stored.task.clone(),
            agent: stored.agent,
            amount: Amount::stored(&stored.amount),
            set: stored.set.clone(),
            spent_until: stored.spent_until.as_ref().map(|until| until.0),
        };
        Self {
            entries: status
                .reservations
                .iter()
                .map(|stored| (stored.task_uid.clone(), entry(stored)))
                .collect(),
            buckets,
        }
    }

    /// Writes the books into a status, with the sums that people see.
    pub fn write(&self, status: &mut TaskBudgetStatus, now: Timestamp) {
        status.revision = status.revision.saturating_add(1);
        status.spent = Some(self.spent(now).store());
        status.reserved = Some(self.reserved().store());
        status.reset_time = self.buckets.keys().find(|until| **until > now).copied().map(Time);
        status.buckets = self
            .buckets
            .iter()
            .map(|(until, amount)| BudgetBucket {
                until: Time(*until),
                amount: amount.store(),
            })
            .collect();
        status.reservations = self
            .entries
            .iter()
            .map(|(uid, entry)| Reservation {
                task: entry.task.clone(),
                task_uid: uid.clone(),
                agent: entry.agent,
                amount: entry.amount.store(),
                set: entry.set.clone(),
                spent_until: entry.spent_until.map(Time),
            })
            .collect();
    }

    /// Returns what was spent within the window.
    #[must_use]
    pub fn spent(&self, now: Timestamp) -> Amount {
        // Later buckets too: where the clock went back, they count on.
        let counted = self.buckets.iter().filter(|(until, _)| **until > now);
        counted.fold(Amount::default(), |sum, (_, amount)| sum.plus(*amount))
    }

    /// Returns what is held.
    #[must_use]
    pub fn reserved(&self) -> Amount {
        let held = self.entries.values().filter(|entry| entry.is_held());
        held.fold(Amount::default(), |sum, entry| sum.plus(entry.amount))
    }

    /// Returns what the books say of a Task.
    #[must_use]
    pub fn entry(&self, uid: &str) -> Option<&Entry> {
        self.entries.get(uid)
    }

    /// Returns all entries, by UID.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter()
    }

    /// Checks that an amount fits, besides everything but the entry of `uid` itself.
    ///
    /// # Errors
    /// [`Full`] if it does not.
    pub fn fits(&self, uid: &str, amount: Amount, limit: &Limit, now: Timestamp) -> Result<(), Full> {
        let own = self.entries.get(uid).filter(|entry| entry.is_held());
        let reserved = self
            .reserved()
            .minus(own.map(|entry| entry.amount).unwrap_or_default());
        let spent = self.spent(now);
        let exceeded = limit.exceeded_by(spent.plus(reserved).plus(amount));
        let crowded = own.is_none() && self.entries.len() >= MAX_RESERVATIONS;
        if exceeded.is_none() && !crowded {
            return Ok(());
        }
        let room = |until: &&Timestamp| {
            let then = self.spent(**until).plus(reserved).plus(amount);
            limit.exceeded_by(then).is_none()
        };
        Err(Full {
            of: exceeded,
            spent,
            reserved,
            never: limit.exceeded_by(amount).is_some(),
            room_at: self
                .buckets
                .keys()
                .filter(|until| **until > now)
                .find(room)
                .copied(),
        })
    }

    /// Holds an amount for a Task.
    pub fn hold(&mut self, uid: &str, task: &str, agent: AgentType, amount: Amount, set: &str) {
        let entry = Entry {
            task: task.to_owned(),
            agent,
            amount,
            set: set.to_owned(),
            spent_until: None,
        };
        self.entries.insert(uid.to_owned(), entry);
    }

    /// Takes a held entry back.
    pub fn release(&mut self, uid: &str) {
        if self.entries.get(uid).is_some_and(Entry::is_held) {
            self.entries.remove(uid);
        }
    }

    /// Counts what a Task has spent, up to `until`. Of a Task that is counted already, the new amount takes the place of the old one.
    pub fn settle(&mut self, uid: &str, task: &str, agent: AgentType, amount: Amount, until: Timestamp) {
        let entry = Entry {
            task: task.to_owned(),
            agent,
            amount,
            set: String::new(),
            spent_until: Some(until),
        };
        if let Some(before) = self.entries.insert(uid.to_owned(), entry)
            && let Some(counted) = before.spent_until.and_then(|until| self.buckets.get_mut(&until))
        {
            *counted = counted.minus(before.amount);
        }
        let bucket = self.buckets.entry(until).or_default();
        *bucket = bucket.plus(amount);
    }

    /// Takes an entry that was counted out of the books: its Task has ended for good.
    pub fn forget(&mut self, uid: &str) {
        if self.entries.get(uid).is_some_and(|entry| !entry.is_held()) {
            self.entries.remove(uid);
        }
    }

    /// Adds an amount of the past.
    pub fn add(&mut self, amount: Amount, until: Timestamp) {
        let bucket = self.buckets.entry(until).or_default();
        *bucket = bucket.plus(amount);
    }

    /// Drops amounts that left a window of this length long ago, and puts the earliest together where there are too many to store.
    pub fn prune(&mut self, length: Duration, now: Timestamp) {
        let kept = now.checked_sub(length.min(KEPT)).unwrap_or(Timestamp::MIN);
        self.buckets
            .retain(|until, amount| *until > kept && !amount.is_zero());
        while self.buckets.len() > MAX_BUCKETS {
            let Some((_, amount)) = self.buckets.pop_first() else {
                return;
            };
            if let Some(mut next) = self.buckets.first_entry() {
                // It leaves the window later than it should, never earlier.
                let sum = next.get().plus(amount);
                next.insert(sum);
            }
        }
    }
}
