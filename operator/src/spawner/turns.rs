//! How many spawners may look at GitHub at the same time.
//!
//! A look at a host that hangs takes as long as its requests may. Whoever looks takes one of the controller's places for
//! that time, and schedules need places too: so looks are fewer than places, and no host gets all of them. Who finds
//! none free comes again in a moment, and keeps no place meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most looks at the same time.
const ALL: usize = 64;
/// Of them, those at one host. A request takes one of sixteen places there.
const PER_HOST: usize = 32;
/// Most hosts that are remembered.
const MAX_HOSTS: usize = 1000;

/// The looks that may begin.
pub struct Turns {
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The right to look. It ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(ALL)),
            hosts: Mutex::default(),
        }
    }
}

impl Turns {
    /// Returns the right to look at a host, if one is free.
    #[must_use]
    pub fn take(&self, host: &str) -> Option<Turn> {
        let of_host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= MAX_HOSTS {
                hosts.retain(|_, host| host.available_permits() < PER_HOST);
            }
            let host = hosts.entry(host.to_owned());
            Arc::clone(host.or_insert_with(|| Arc::new(Semaphore::new(PER_HOST))))
        };
        Some(Turn {
            _host: of_host.try_acquire_owned().ok()?,
            _all: Arc::clone(&self.all).try_acquire_owned().ok()?,
        })
    }
}

/// Returns when to come again; `chance` from 0 to 1 spreads those who wait.
#[must_use]
pub fn pause(chance: f64) -> Duration {
    Duration::from_millis(200).mul_f64(1.0 + 2.0 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_hangs_leaves_turns_for_others_and_all_leave_places_for_schedules() {
        let turns = Turns::default();
        let all_of = |host: &str| -> Vec<Turn> { (0..200).map_while(|_| turns.take(host)).collect() };
        let hung = all_of("hung");
        assert_eq!(hung.len(), PER_HOST);
        let others: Vec<Turn> = (0..200).map_while(|n| turns.take(&format!("host-{n}"))).collect();
        assert_eq!(hung.len() + others.len(), ALL);
        assert!(ALL * 2 <= usize::from(super::super::controller::CONCURRENCY));
        drop((hung, others));
        assert_eq!(all_of("hung").len(), PER_HOST);
    }

    #[test]
    fn who_waits_comes_again_soon() {
        for chance in [0.0, 0.5, 1.0, 7.0] {
            assert!((200..=600).contains(&pause(chance).as_millis()));
        }
    }
}
