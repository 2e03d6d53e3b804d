//! Owners that overlap, stall and die, over a model of the API server: limits hold, nothing is lost or made twice, also
//! when items leave the match and come back.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::spawner::plan::model::{Server, Step};
use crate::spawner::plan::{Limits, active};

const OWNERS: usize = 3;

#[derive(Debug, Clone)]
enum Event {
    Step(usize),
    /// An owner goes on to the end of its round, and nobody comes in between.
    Round(usize),
    Crash(usize),
    /// The n-th Task that runs ends.
    End(usize),
    /// Somebody edits the spawner.
    Edit {
        concurrency: usize,
        total: i64,
        suspended: bool,
    },
    /// So many new items.
    Appear(usize),
    /// The n-th item leaves the match.
    Leave(usize),
    /// The n-th of those that have left comes back.
    Return(usize),
    /// Claims whose items have left are given back.
    GiveBack,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        24 => (0..OWNERS).prop_map(Event::Step),
        6 => (0..OWNERS).prop_map(Event::Round),
        2 => (0..OWNERS).prop_map(Event::Crash),
        6 => (0..10usize).prop_map(Event::End),
        1 => (0..4usize, 0..12i64, any::<bool>())
            .prop_map(|(concurrency, total, suspended)| Event::Edit { concurrency, total, suspended }),
        1 => (1..6usize).prop_map(Event::Appear),
        3 => (0..6usize).prop_map(Event::Leave),
        3 => (0..6usize).prop_map(Event::Return),
        1 => Just(Event::GiveBack),
    ]
}

fn limits(concurrency: usize, total: i64, suspended: bool) -> Limits {
    Limits {
        concurrency: Some(concurrency).filter(|c| *c > 0),
        total: Some(total).filter(|t| *t > 0),
        suspended,
    }
}

/// A stay of an item in the match: the item, and how often it had come before.
type Stay = (String, usize);

struct World {
    server: Server,
    owners: Vec<Step>,
    items: Vec<String>,
    visible: usize,
    /// Items that have left the match.
    out: BTreeSet<String>,
    /// How often items have come back.
    returns: BTreeMap<String, usize>,
    /// The Tasks that a stay in the match has brought about, claims included.
    made: BTreeMap<Stay, BTreeSet<String>>,
}

impl World {
    fn new(concurrency: usize, total: i64) -> Self {
        Self {
            server: Server::new(limits(concurrency, total, false)),
            owners: vec![Step::Start; OWNERS],
            items: (1..=30).map(|i| i.to_string()).collect(),
            visible: 5,
            out: BTreeSet::new(),
            returns: BTreeMap::new(),
            made: BTreeMap::new(),
        }
    }

    fn matching(&self) -> Vec<String> {
        let visible = self.items.iter().take(self.visible);
        visible
            .filter(|item| !self.out.contains(*item))
            .cloned()
            .collect()
    }

    fn stay(&self, item: &str) -> Stay {
        let returns = self.returns.get(item).copied().unwrap_or_default();
        (item.to_owned(), returns)
    }

    fn step(&mut self, owner: usize) {
        let matching = self.matching();
        let matching: Vec<&str> = matching.iter().map(String::as_str).collect();
        let step = std::mem::take(&mut self.owners[owner]);
        let before = self.server.ledger.claims.clone();
        self.owners[owner] = step.advance(&mut self.server, &matching);
        let claims = self.server.ledger.claims.clone();
        for claim in claims.into_iter().filter(|claim| !before.contains(claim)) {
            self.made
                .entry(self.stay(&claim.item))
                .or_default()
                .insert(claim.name);
        }
    }

    fn round(&mut self, owner: usize) {
        self.step(owner);
        while !matches!(self.owners[owner], Step::Start) {
            self.step(owner);
        }
    }

    fn give_back(&mut self) {
        let matching = self.matching();
        let matching: Vec<&str> = matching.iter().map(String::as_str).collect();
        let names = self.server.give_back(&matching);
        for made in self.made.values_mut() {
            made.retain(|name| !names.contains(name));
        }
        // It takes longer than any look of another owner that knows of the claim.
        for owner in self.owners.iter_mut().filter(|owner| owner.knows(&names)) {
            *owner = Step::Start;
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Step(owner) => self.step(*owner),
            Event::Round(owner) => self.round(*owner),
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
            Event::Leave(n) => {
                if let Some(item) = self.matching().into_iter().nth(*n) {
                    self.out.insert(item);
                }
            }
            Event::Return(n) => {
                if let Some(item) = self.out.iter().nth(*n).cloned() {
                    self.out.remove(&item);
                    *self.returns.entry(item).or_default() += 1;
                }
            }
            Event::GiveBack => self.give_back(),
        }
    }

    /// No stay of an item in the match has brought about more than one Task.
    fn is_once_a_stay(&self) -> bool {
        self.made.values().all(|made| made.len() <= 1)
    }

    /// No item has two Tasks that run.
    fn is_one_at_a_time(&self) -> bool {
        let mut running = self.server.tasks.values().filter(|t| !t.ended);
        let mut items = BTreeSet::new();
        running.all(|task| items.insert(&task.item))
    }

    /// One owner survives, Tasks end and claims that are hopeless are given back, until everything is done.
    fn settle(&mut self) {
        self.owners = vec![Step::Start; OWNERS];
        // Each round makes a Task or is one of the last.
        for _ in 0..200 {
            let before = (self.server.version, self.server.created, running(&self.server));
            self.round(0);
            self.give_back();
            self.apply(&Event::End(0));
            if before == (self.server.version, self.server.created, running(&self.server)) {
                return;
            }
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
            let grown = world.server.ledger.total > before;
            let Limits { total, suspended, .. } = world.server.limits;
            prop_assert!(!grown || !suspended);
            prop_assert!(!grown || total.is_none_or(|max| world.server.ledger.total <= max));
        }
    }

    #[test]
    fn nothing_is_lost_made_twice_or_miscounted(
        concurrency in 0..4usize, total in 0..12i64, events in vec(event(), 1..300)
    ) {
        let mut world = World::new(concurrency, total);
        for event in &events {
            world.apply(event);
            prop_assert!(world.is_once_a_stay(), "{:?}", world.made);
            prop_assert!(world.is_one_at_a_time(), "{:?}", world.server.tasks);
        }
        // One survivor, no more edits, and Tasks that end: everything that the limits allow comes to be.
        world.server.limits = limits(concurrency, total, false);
        world.server.version += 1;
        world.settle();
        let server = &world.server;
        let made = i64::try_from(server.created).unwrap();
        prop_assert_eq!(&server.ledger.claims, &[]);
        prop_assert_eq!(made, server.ledger.total);
        prop_assert_eq!(server.created, server.tasks.len());
        prop_assert!(world.is_once_a_stay(), "{:?}", world.made);
        let matching = world.matching();
        let had_a_turn = |item: &&String| server.tasks.values().any(|t| t.item.as_ref() == Some(*item));
        let turns = matching.iter().filter(had_a_turn).count();
        prop_assert!(turns == matching.len() || server.limits.total.is_some_and(|max| made >= max));
    }

    #[test]
    fn what_is_seen_to_leave_gets_one_more_task_when_it_comes_back(
        concurrency in 0..4usize, events in vec(event(), 1..300)
    ) {
        let mut world = World::new(concurrency, 0);
        events.iter().for_each(|event| world.apply(event));
        world.server.limits = limits(concurrency, 0, false);
        world.server.version += 1;
        world.settle();
        let (moved, before) = (world.matching(), world.server.created);
        world.out.extend(moved.iter().cloned());
        world.settle();
        prop_assert_eq!(world.server.created, before);
        for item in &moved {
            world.out.remove(item);
            *world.returns.entry(item.clone()).or_default() += 1;
        }
        world.settle();
        prop_assert_eq!(world.server.created, before + moved.len());
        for item in &moved {
            let stay = world.stay(item);
            prop_assert_eq!(world.made.get(&stay).map(BTreeSet::len), Some(1), "{:?}", stay);
        }
    }
}
