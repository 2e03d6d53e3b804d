//! Owners that overlap, stall and die, over a model of the API server: limits hold, nothing is lost or made twice.

use std::collections::{BTreeMap, BTreeSet};

use axon_api::v1alpha1::Claim;
use proptest::collection::vec;
use proptest::prelude::*;

use super::mark::Mark;
use super::plan::{Known, Ledger, Limits, active, claim, wanted};

const SPAWNER: &str = "fix";
const OWNERS: usize = 3;

/// The API server: one spawner, its Tasks, and optimistic concurrency.
#[derive(Debug, Default)]
struct Server {
    version: u64,
    ledger: Ledger,
    limits: Limits,
    tasks: BTreeMap<String, Known>,
    created: usize,
}

impl Server {
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
        let task = Known {
            name: claim.name.clone(),
            uid: String::new(),
            item: Some(claim.item.clone()),
            created: jiff::Timestamp::UNIX_EPOCH,
            ended: false,
            mark: Mark::Unknown,
        };
        self.tasks.insert(claim.name.clone(), task);
    }

    fn list(&self) -> Vec<Known> {
        self.tasks.values().cloned().collect()
    }
}

/// Where an owner is in its round. Between any two steps others may do anything, for any time.
#[derive(Debug, Default, Clone)]
enum Step {
    #[default]
    Start,
    HasSpawner {
        version: u64,
        ledger: Ledger,
        limits: Limits,
    },
    Creating {
        version: u64,
        ledger: Ledger,
        left: Vec<Claim>,
        done: BTreeSet<String>,
    },
}

impl Step {
    fn advance(self, server: &mut Server, items: &[&str]) -> Self {
        match self {
            Self::Start => Self::HasSpawner {
                version: server.version,
                ledger: server.ledger.clone(),
                limits: server.limits,
            },
            Self::HasSpawner {
                version,
                ledger,
                limits,
            } => {
                let tasks = server.list();
                let new = wanted(SPAWNER, items, &tasks, &ledger, None);
                let next = claim(&ledger, &tasks, limits, &new);
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
                Self::Creating {
                    version,
                    ledger,
                    left,
                    done: BTreeSet::new(),
                }
            }
            Self::Creating {
                version,
                ledger,
                mut left,
                mut done,
            } => match left.pop() {
                Some(claim) => {
                    server.create(&claim);
                    done.insert(claim.name);
                    Self::Creating {
                        version,
                        ledger,
                        left,
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
}

#[derive(Debug, Clone)]
enum Event {
    Step(usize),
    Crash(usize),
    /// The n-th Task that runs ends.
    End(usize),
    /// Somebody edits the spawner.
    Edit {
        concurrency: usize,
        total: i64,
        suspended: bool,
    },
    Appear(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0..OWNERS).prop_map(Event::Step),
        2 => (0..OWNERS).prop_map(Event::Crash),
        2 => (0..10usize).prop_map(Event::End),
        1 => (0..4usize, 0..12i64, any::<bool>())
            .prop_map(|(concurrency, total, suspended)| Event::Edit { concurrency, total, suspended }),
        1 => (1..6usize).prop_map(Event::Appear),
    ]
}

fn limits(concurrency: usize, total: i64, suspended: bool) -> Limits {
    Limits {
        concurrency: Some(concurrency).filter(|c| *c > 0),
        total: Some(total).filter(|t| *t > 0),
        suspended,
    }
}

struct World {
    server: Server,
    owners: Vec<Step>,
    items: Vec<String>,
    visible: usize,
}

impl World {
    fn new(concurrency: usize, total: i64) -> Self {
        Self {
            server: Server {
                limits: limits(concurrency, total, false),
                ..Server::default()
            },
            owners: vec![Step::Start; OWNERS],
            items: (1..=30).map(|i| i.to_string()).collect(),
            visible: 5,
        }
    }

    fn step(&mut self, owner: usize) {
        let items: Vec<&str> = self.items.iter().take(self.visible).map(String::as_str).collect();
        let step = std::mem::take(&mut self.owners[owner]);
        self.owners[owner] = step.advance(&mut self.server, &items);
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Step(owner) => self.step(*owner),
            Event::Crash(owner) => self.owners[*owner] = Step::Start,
            Event::End(n) => {
                if let Some(task) = self.server.tasks.values_mut().filter(|t| !t.ended).nth(*n) {
                    task.ended = true;
                }
            }
            Event::Edit {
                concurrency,
                total,
                suspended,
            } => {
                self.server.limits = limits(*concurrency, *total, *suspended);
                self.server.version += 1;
            }
            Event::Appear(n) => self.visible = (self.visible + n).min(self.items.len()),
        }
    }
}

fn running(server: &Server) -> usize {
    server.tasks.values().filter(|t| !t.ended).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn limits_hold_at_every_moment(
        concurrency in 0..4usize, total in 0..12i64, events in vec(event(), 1..300)
    ) {
        let mut world = World::new(concurrency, total);
        for event in &events {
            // A limit that is lowered does not undo what was claimed under the old one.
            if matches!(event, Event::Edit { .. }) {
                continue;
            }
            world.apply(event);
            let server = &world.server;
            if let Some(max) = server.limits.total {
                prop_assert!(server.ledger.total <= max && i64::try_from(server.created).unwrap() <= max);
            }
            if let Some(max) = server.limits.concurrency {
                prop_assert!(active(&server.list(), &server.ledger) <= max);
                prop_assert!(running(server) <= max);
            }
            prop_assert!(i64::try_from(server.created).unwrap() <= server.ledger.total);
        }
    }

    #[test]
    fn an_edit_stops_claims_at_once(events in vec(event(), 1..300)) {
        let mut world = World::new(0, 0);
        for event in &events {
            let before = world.server.ledger.total;
            world.apply(event);
            let grown = world.server.ledger.total - before;
            let Limits { total, suspended, .. } = world.server.limits;
            prop_assert!(grown == 0 || !suspended);
            prop_assert!(grown == 0 || total.is_none_or(|max| world.server.ledger.total <= max));
        }
    }

    #[test]
    fn nothing_is_lost_made_twice_or_miscounted(
        concurrency in 0..4usize, total in 0..12i64, events in vec(event(), 1..300)
    ) {
        let mut world = World::new(concurrency, total);
        for event in &events {
            world.apply(event);
        }
        // One survivor, no more edits, and Tasks that end: everything that the limits allow comes to be.
        world.server.limits = limits(concurrency, total, false);
        world.server.version += 1;
        world.owners = vec![Step::Start; OWNERS];
        for _ in 0..400 {
            world.step(0);
            world.apply(&Event::End(0));
        }
        let server = &world.server;
        let made = i64::try_from(server.created).unwrap();
        prop_assert_eq!(&server.ledger.claims, &[]);
        prop_assert_eq!(made, server.ledger.total);
        prop_assert_eq!(server.created, server.tasks.len());
        let matching = i64::try_from(world.visible).unwrap();
        let due = server.limits.total.map_or(matching, |max| matching.min(max));
        prop_assert!(made >= due);
        prop_assert!(server.limits.total.is_some() || made == matching);
    }
}
