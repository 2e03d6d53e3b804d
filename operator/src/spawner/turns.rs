//! How many spawners may poll GitHub at the same time.
//!
//! A poll of a host that hangs takes as long as its requests may. Each poll takes one of the controller's places for that
//! time, and schedules need places too: so polls are fewer than places, no host gets all of them, and the namespaces that
//! want some share those of a host. A poll that finds none free is requeued, and holds no place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Most polls at the same time.
const ALL: usize = 64;
/// Of them, those of one host. A request takes one of sixteen places there.
const PER_HOST: usize = 32;
/// How long a namespace that found no free poll counts: longer than the longest [`pause`], after which it asks again.
const MEMORY: Duration = Duration::from_secs(2);

/// The polls that may begin.
#[derive(Default)]
pub struct Turns(Arc<Mutex<State>>);

/// The right to poll. It ends when it is dropped.
pub struct Turn {
    state: Arc<Mutex<State>>,
    key: Key,
}

/// A host and a namespace.
type Key = (String, String);

#[derive(Debug, Default)]
struct State(HashMap<Key, Share>);

#[derive(Debug, Default)]
struct Share {
    polls: usize,
    /// When it last found no free poll.
    waits: Option<Instant>,
}

impl State {
    /// Takes a poll, if one is free for the namespace. Of what a host has, each namespace that polls it or waits to has
    /// the same share, and one alone has all: what a namespace holds beyond its share comes back with the end of its
    /// polls, and goes to those that wait.
    fn take(&mut self, key: &Key, now: Instant) -> bool {
        self.0.retain(|_, share| {
            let waits = share.waits.is_some_and(|at| now.duration_since(at) < MEMORY);
            share.polls > 0 || waits
        });
        self.0.entry(key.clone()).or_default();
        let of_host = || self.0.iter().filter(|((host, _), _)| *host == key.0);
        let polls = |shares: &mut dyn Iterator<Item = &Share>| shares.map(|share| share.polls).sum::<usize>();
        let all = polls(&mut self.0.values());
        let here = polls(&mut of_host().map(|(_, share)| share));
        // All namespaces of all hosts share the whole, so that no host's namespaces starve those of another.
        let (fair_here, fair) = (
            PER_HOST.div_ceil(of_host().count()),
            ALL.div_ceil(namespaces(&self.0)),
        );
        let own = polls(
            &mut self
                .0
                .iter()
                .filter(|((_, name), _)| *name == key.1)
                .map(|(_, share)| share),
        );
        let Some(share) = self.0.get_mut(key) else {
            return false;
        };
        if all < ALL && here < PER_HOST && share.polls < fair_here && own < fair {
            share.polls += 1;
            share.waits = None;
            return true;
        }
        share.waits = Some(now);
        false
    }

    fn leave(&mut self, key: &Key) {
        if let Some(share) = self.0.get_mut(key) {
            share.polls = share.polls.saturating_sub(1);
        }
    }
}

fn namespaces(shares: &HashMap<Key, Share>) -> usize {
    let names: std::collections::HashSet<&str> = shares.keys().map(|(_, name)| name.as_str()).collect();
    names.len()
}

impl Turns {
    /// Returns the right to poll a host for a namespace, if one is free at `now`.
    #[must_use]
    pub fn take(&self, host: &str, namespace: &str, now: Instant) -> Option<Turn> {
        let key = (host.to_owned(), namespace.to_owned());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.take(&key, now).then(|| Turn {
            state: Arc::clone(&self.0),
            key,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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

    #[test]
    fn a_host_that_hangs_leaves_polls_for_others_and_all_leave_places_for_schedules() {
        let (turns, now) = (Turns::default(), Instant::now());
        let all_of =
            |host: &str| -> Vec<Turn> { (0..200).map_while(|_| turns.take(host, "a", now)).collect() };
        let hung = all_of("hung");
        assert_eq!(hung.len(), PER_HOST);
        let others: Vec<Turn> = (0..200)
            .map_while(|n| turns.take(&format!("host-{n}"), "a", now))
            .collect();
        assert_eq!(hung.len() + others.len(), ALL);
        assert!(ALL * 2 <= usize::from(super::super::controller::CONCURRENCY));
        drop((hung, others));
        assert_eq!(all_of("hung").len(), PER_HOST);
    }

    proptest! {
        /// One namespace has many spawners that ask all the time, others one or a few: within two rounds of polls each of the
        /// others gets all that it asks for, up to its share.
        #[test]
        fn no_namespace_starves_however_many_spawners_another_has(modest in 1usize..30, each in 1usize..3) {
            let (mut state, mut now) = (State::default(), Instant::now());
            let greedy = ("h".to_owned(), "greedy".to_owned());
            while state.take(&greedy, now) {}
            prop_assert_eq!(state.0[&greedy].polls, PER_HOST);
            let names: Vec<Key> = (0..modest).map(|n| ("h".to_owned(), n.to_string())).collect();
            let (mut got, mut held) = (vec![0; modest], Vec::new());
            for _ in 0..4 * PER_HOST {
                now += Duration::from_millis(100);
                // A poll of each ends, and the greedy one asks again first.
                state.leave(&greedy);
                for name in std::mem::take(&mut held) {
                    state.leave(name);
                }
                while state.take(&greedy, now) {}
                for (name, got) in names.iter().zip(&mut got) {
                    if *got < each && state.take(name, now) {
                        *got += 1;
                        held.push(name);
                    }
                }
                let all: usize = state.0.values().map(|share| share.polls).sum();
                prop_assert!(all <= PER_HOST);
            }
            prop_assert!(got.iter().all(|got| *got == each), "{got:?}");
        }
    }

    #[test]
    fn a_namespace_that_waits_no_longer_leaves_all_to_the_others() {
        let (turns, now) = (Turns::default(), Instant::now());
        let held: Vec<Turn> = (0..200).map_while(|_| turns.take("h", "a", now)).collect();
        assert!(turns.take("h", "b", now).is_none());
        drop(held);
        let half = (0..200)
            .map_while(|_| turns.take("h", "a", now))
            .collect::<Vec<_>>()
            .len();
        assert_eq!(half, PER_HOST / 2);
        let later = now + MEMORY;
        assert_eq!(
            (0..200)
                .map_while(|_| turns.take("h", "a", later))
                .collect::<Vec<_>>()
                .len(),
            PER_HOST
        );
    }

    #[test]
    fn who_waits_comes_again_soon() {
        for chance in [0.0, 0.5, 1.0, 7.0] {
            assert!((200..=600).contains(&pause(chance).as_millis()));
            assert!(pause(chance) < MEMORY);
        }
    }
}
