//! Places that are few, given to namespaces in turn. Whoever finds none free is requeued, and holds no worker meanwhile.
//!
//! The rule is max-min fairness: a free place goes to the waiting namespace that holds the fewest, and among those to the one
//! that has waited longest. A namespace alone may have all places; the places beyond its share go to others as they become
//! free.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a place stays reserved for a namespace that does not ask again: several times the longest [`pause`], since a
/// busy controller comes back late.
const MEMORY: Duration = Duration::from_secs(5);

/// Places by host and namespace. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Mutex<State>>);

/// A place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Turn {
    state: Arc<Mutex<State>>,
    key: Key,
}

/// A host and a namespace.
type Key = (String, String);

#[derive(Debug)]
struct State {
    all: usize,
    per_host: usize,
    shares: HashMap<Key, Share>,
    /// Namespaces that began to wait so far.
    tickets: u64,
}

#[derive(Debug, Default)]
struct Share {
    held: usize,
    waits: Option<Waits>,
}

#[derive(Clone, Copy, Debug)]
struct Waits {
    ticket: u64,
    /// Time of the last request for a place.
    asked: Instant,
}

impl State {
    /// Takes a place if one is free that no other namespace is to have first.
    fn take(&mut self, key: &Key, now: Instant) -> bool {
        for share in self.shares.values_mut() {
            share.waits = share
                .waits
                .filter(|waits| now.duration_since(waits.asked) < MEMORY);
        }
        self.shares
            .retain(|_, share| share.held > 0 || share.waits.is_some());
        let (held, in_use) = (self.held(|(_, name)| name), self.held(|(host, _)| host));
        let of = |counts: &HashMap<&str, usize>, name: &str| counts.get(name).copied().unwrap_or_default();
        let waits = self.shares.get(key).and_then(|share| share.waits);
        let ticket = waits.map_or(self.tickets, |waits| waits.ticket);
        let own = (of(&held, &key.1), ticket);
        let mut ahead: HashMap<&str, usize> = HashMap::new();
        for ((host, name), share) in &self.shares {
            if share
                .waits
                .is_some_and(|waits| (of(&held, name), waits.ticket) < own)
            {
                *ahead.entry(host).or_default() += 1;
            }
        }
        // Nobody is held up by those who wait for a host that has no place for them.
        let reserved: usize = ahead
            .iter()
            .map(|(host, waiting)| *waiting.min(&self.per_host.saturating_sub(of(&in_use, host))))
            .sum();
        let is_free = in_use.values().sum::<usize>() + reserved < self.all
            && of(&in_use, &key.0) + of(&ahead, &key.0) < self.per_host;
        self.tickets += u64::from(waits.is_none());
        let share = self.shares.entry(key.clone()).or_default();
        share.held += usize::from(is_free);
        share.waits = (!is_free).then_some(Waits { ticket, asked: now });
        is_free
    }

    /// Counts the places that are held, by a part of the key.
    fn held<'a>(&'a self, part: impl Fn(&'a Key) -> &'a str) -> HashMap<&'a str, usize> {
        let mut counts = HashMap::new();
        for (key, share) in &self.shares {
            *counts.entry(part(key)).or_default() += share.held;
        }
        counts
    }

    fn leave(&mut self, key: &Key) {
        if let Some(share) = self.shares.get_mut(key) {
            share.held = share.held.saturating_sub(1);
        }
        // Its turn is over, although it may have begun to wait for another one long ago.
        for ((_, name), share) in &mut self.shares {
            if let Some(waits) = share.waits.as_mut().filter(|_| *name == key.1) {
                waits.ticket = self.tickets;
                self.tickets += 1;
            }
        }
    }
}

impl Turns {
    /// Returns `all` places, of which one host has at most `per_host`.
    #[must_use]
    pub fn new(all: usize, per_host: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            all,
            per_host,
            shares: HashMap::new(),
            tickets: 0,
        })))
    }

    /// Returns a place at a host for a namespace, if it is the namespace's turn at `now`. Otherwise the namespace waits,
    /// as long as it asks again after each [`pause`].
    #[must_use]
    pub fn take(&self, host: &str, namespace: &str, now: Instant) -> Option<Turn> {
        let key = (host.to_owned(), namespace.to_owned());
        let mut state = self.0.lock();
        state.take(&key, now).then(|| Turn {
            state: Arc::clone(&self.0),
            key,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.leave(&self.key);
    }
}

/// Returns when to ask again; `chance` from 0 to 1 spreads those who wait.
#[must_use]
pub fn pause(chance: f64) -> Duration {
    Duration::from_millis(200).mul_f64(1.0 + 2.0 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_of(turns: &Turns, host: &str, namespace: &str, now: Instant) -> Vec<Turn> {
        (0..200).map_while(|_| turns.take(host, namespace, now)).collect()
    }

    #[test]
    fn a_host_that_hangs_leaves_places_for_others() {
        let (turns, now) = (Turns::new(64, 32), Instant::now());
        let hung = all_of(&turns, "hung", "a", now);
        assert_eq!(hung.len(), 32);
        let others: Vec<Turn> = (0..200)
            .map_while(|n| turns.take(&format!("host-{n}"), "a", now))
            .collect();
        assert_eq!(others.len(), 32);
        drop((hung, others));
        assert_eq!(all_of(&turns, "hung", "a", now).len(), 32);
    }

    #[test]
    fn those_who_wait_for_a_full_host_hold_up_nobody_elsewhere() {
        let (turns, now) = (Turns::new(4, 2), Instant::now());
        let _hung = all_of(&turns, "hung", "a", now);
        for namespace in 0..10 {
            assert!(turns.take("hung", &namespace.to_string(), now).is_none());
        }
        assert_eq!(all_of(&turns, "other", "late", now).len(), 2);
    }

    #[test]
    fn who_has_just_had_a_place_comes_last_although_it_has_waited_for_a_second_one() {
        let (turns, now) = (Turns::new(2, 2), Instant::now());
        let ask = |namespace| turns.take("", namespace, now);
        let (a, b) = (ask("a"), ask("b"));
        assert!(a.is_some() && b.is_some() && ask("a").is_none() && ask("b").is_none());
        assert!(ask("late").is_none());
        drop(a);
        assert!(ask("a").is_none() && ask("b").is_none());
        assert!(ask("late").is_some());
    }

    #[test]
    fn a_place_is_kept_for_who_waits_and_for_no_longer() {
        let (turns, now) = (Turns::new(2, 2), Instant::now());
        let held = all_of(&turns, "", "a", now);
        assert!(turns.take("", "b", now).is_none());
        drop(held);
        let first = turns.take("", "a", now);
        assert!(first.is_some() && turns.take("", "a", now).is_none());
        assert!(
            turns.take("", "a", now + MEMORY).is_some(),
            "b does not ask any more"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// One namespace asks first whenever a place becomes free. Each of the others still gets as many
        /// turns as any other.
        #[test]
        fn no_namespace_starves_however_many_spawners_another_has(
            places in 1usize..16, modest in 1usize..24, rounds in 2usize..5
        ) {
            let (turns, mut now) = (Turns::new(places, places), Instant::now());
            let mut greedy = all_of(&turns, "h", "greedy", now);
            prop_assert_eq!(greedy.len(), places);
            for n in 0..modest {
                prop_assert!(turns.take("h", &n.to_string(), now).is_none());
            }
            let (mut got, mut of_others) = (vec![0usize; modest], std::collections::VecDeque::new());
            for _ in 0..rounds * modest + places {
                now += Duration::from_millis(30);
                // The longest held place becomes free, and the greedy namespace asks first.
                if greedy.pop().is_none() {
                    of_others.pop_front();
                }
                greedy.extend(turns.take("h", "greedy", now));
                for (n, got) in got.iter_mut().enumerate() {
                    if let Some(turn) = turns.take("h", &n.to_string(), now) {
                        *got += 1;
                        of_others.push_back(turn);
                    }
                }
                prop_assert!(greedy.len() + of_others.len() <= places);
            }
            let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
            prop_assert!(*least > 0 && most - least <= 2, "{got:?}");
        }
    }

    #[test]
    fn who_waits_comes_again_soon() {
        for chance in [0.0, 0.5, 1.0, 7.0] {
            assert!((200..=600).contains(&pause(chance).as_millis()));
            assert!(pause(chance) * 5 < MEMORY);
        }
    }
}
