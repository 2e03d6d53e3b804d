//! A model of the API server and of owners that work on it step by step, for the properties of [`crate::spawner::plan`].

use std::collections::{BTreeMap, BTreeSet};

use axon_api::v1alpha1::Claim;

use crate::spawner::fixtures::github;
use crate::spawner::plan::match_state::{Filter, Mark};
use crate::spawner::plan::{ExistingTask, Ledger, Limits, claim, newest_of_items, wanted};

const SPAWNER: &str = "fix";

/// The API server: one spawner, its Tasks, and optimistic concurrency.
#[derive(Debug)]
pub struct Server {
    pub version: u64,
    pub ledger: Ledger,
    pub limits: Limits,
    pub tasks: BTreeMap<String, ExistingTask>,
    pub created: usize,
    filter: Filter,
}

impl Server {
    pub fn new(limits: Limits) -> Self {
        let spec = github(SPAWNER).spec.when.github_issues.unwrap();
        Self {
            version: 0,
            ledger: Ledger::default(),
            limits,
            tasks: BTreeMap::new(),
            created: 0,
            filter: Filter::of("github.com/org/repo", &spec),
        }
    }

    fn swap(&mut self, read: u64, ledger: Ledger) -> Option<u64> {
        if read != self.version {
            return None;
        }
        self.version += 1;
        self.ledger = ledger;
        Some(self.version)
    }

    fn create(&mut self, claim: &Claim) {
        if self.tasks.contains_key(&claim.name) {
            return;
        }
        self.created += 1;
        let task = ExistingTask {
            name: claim.name.clone(),
            uid: String::new(),
            item: Some(claim.item.clone()),
            created: jiff::Timestamp::UNIX_EPOCH,
            ended: false,
            mark: Mark::new(&self.filter),
        };
        self.tasks.insert(claim.name.clone(), task);
    }

    /// Writes the marks that follow from a listing of the source.
    fn mark(&mut self, listing: &Listing) {
        let tasks = self.list();
        for (item, task) in newest_of_items(&tasks) {
            let is_later = listing.tasks.contains(&task.name);
            let mark = task
                .mark
                .next(listing.matching.contains(item), is_later, &self.filter);
            if let (Some(mark), Some(task)) = (mark, self.tasks.get_mut(&task.name)) {
                task.mark = mark;
            }
        }
    }

    /// Gives back the claims of items that are not in the match. Returns their names.
    pub fn give_back(&mut self, matching: &[&str]) -> BTreeSet<String> {
        let hopeless = self.ledger.claims.iter().filter(|claim| {
            !matching.contains(&claim.item.as_str()) && !self.tasks.contains_key(&claim.name)
        });
        let names: BTreeSet<String> = hopeless.map(|claim| claim.name.clone()).collect();
        if !names.is_empty() {
            self.ledger = self.ledger.clone().given_back(&names);
            self.version += 1;
        }
        names
    }

    pub fn list(&self) -> Vec<ExistingTask> {
        self.tasks.values().cloned().collect()
    }
}

/// The source as an owner saw it, and the Tasks that it knew before it looked.
#[derive(Debug, Clone)]
pub struct Listing {
    matching: BTreeSet<String>,
    tasks: BTreeSet<String>,
}

/// Where an owner is in its round. Between any two steps others may do anything, for any time.
#[derive(Debug, Default, Clone)]
pub enum Step {
    #[default]
    Start,
    Listed(Listing),
    HasSpawner {
        version: u64,
        ledger: Ledger,
        limits: Limits,
    },
    Creating {
        version: u64,
        ledger: Ledger,
        left: Vec<Claim>,
        /// Items whose Tasks it has made ready, and needs no source for.
        ready: BTreeSet<String>,
        done: BTreeSet<String>,
    },
}

impl Step {
    /// Does the next step, while these items are in the match.
    ///
    /// Marks are written by a listing that may be old by then; what is claimed goes by what is the case at that moment:
    /// that no listing is older than what others have acted on is not this model's matter (see `SpawnerState::not_before`).
    pub fn advance(self, server: &mut Server, matching: &[&str]) -> Self {
        match self {
            Self::Start => Self::Listed(Listing {
                matching: matching.iter().map(|item| (*item).to_owned()).collect(),
                tasks: server.tasks.keys().cloned().collect(),
            }),
            Self::Listed(listing) => {
                server.mark(&listing);
                Self::HasSpawner {
                    version: server.version,
                    ledger: server.ledger.clone(),
                    limits: server.limits,
                }
            }
            Self::HasSpawner {
                version,
                ledger,
                limits,
            } => Self::plan(server, matching, version, ledger, limits),
            Self::Creating {
                version,
                ledger,
                mut left,
                ready,
                mut done,
            } => match left.pop() {
                Some(claim) => {
                    // An item that is gone can't be read for the claim of somebody who died.
                    if ready.contains(&claim.item) || matching.contains(&claim.item.as_str()) {
                        server.create(&claim);
                    }
                    if server.tasks.contains_key(&claim.name) {
                        done.insert(claim.name);
                    }
                    Self::Creating {
                        version,
                        ledger,
                        left,
                        ready,
                        done,
                    }
                }
                None => {
                    let settled = ledger.clone().settled(&done);
                    if settled != ledger {
                        // A conflict is found again in the next round.
                        server.swap(version, settled);
                    }
                    Self::Start
                }
            },
        }
    }

    fn plan(server: &mut Server, matching: &[&str], version: u64, ledger: Ledger, limits: Limits) -> Self {
        let tasks = server.list();
        let new = wanted(SPAWNER, matching, &tasks, &ledger, Some(&server.filter));
        let next = claim(&ledger, &tasks, limits, &new);
        let claimed_before = ledger.claims.len();
        let (version, ledger) = match next {
            // Nothing to claim: what others claimed is completed all the same.
            None => (version, ledger),
            Some(next) => match server.swap(version, next.clone()) {
                None => return Self::Start,
                Some(version) => (version, next),
            },
        };
        let left = if limits.suspended {
            Vec::new()
        } else {
            ledger.claims.clone()
        };
        let own = ledger.claims.iter().skip(claimed_before);
        Self::Creating {
            version,
            ready: own.map(|claim| claim.item.clone()).collect(),
            ledger,
            left,
            done: BTreeSet::new(),
        }
    }

    /// Returns whether the owner knows of one of these claims.
    pub fn knows(&self, names: &BTreeSet<String>) -> bool {
        match self {
            Self::Start | Self::Listed(_) => false,
            Self::HasSpawner { ledger, .. } | Self::Creating { ledger, .. } => {
                ledger.claims.iter().any(|claim| names.contains(&claim.name))
            }
        }
    }
}
