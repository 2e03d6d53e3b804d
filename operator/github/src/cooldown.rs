//! Who may ask nothing for a time: after a limit of GitHub's, or after requests that got no answer. Pure.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::limits;

/// Most accounts whose gates are remembered.
const MAX_ACCOUNTS: usize = 10_000;

/// A host and a credential: what GitHub counts requests by.
pub(super) type Account = (String, String);

/// Until when an account may ask nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cooldown {
    until: Instant,
    why: Why,
}

/// Why an account may ask nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Limited {
        secondary: bool,
    },
    /// Failures in a row, and what was said of the last one: a status that shows it must not change at each look.
    Silent {
        failures: u32,
        said: String,
    },
}

/// The gates of all accounts. Answers come in any order: one that was sent for before a limit opens nothing that the
/// limit has closed.
#[derive(Debug, Default)]
pub(super) struct Cooldowns(HashMap<Account, Cooldown>);

impl Cooldowns {
    /// Returns what an account has to wait for and how long, if it has to.
    pub(super) fn closed(&self, account: &Account, now: Instant) -> Option<(Duration, &Why)> {
        let gate = self.0.get(account).filter(|gate| gate.until > now)?;
        Some((gate.until - now, &gate.why))
    }

    /// Takes note of a limit.
    pub(super) fn limited(&mut self, account: Account, wait: Duration, secondary: bool, now: Instant) {
        let why = Why::Limited { secondary };
        self.close(account, now + wait, why, now);
    }

    /// Takes note of an answer that tells of no limit.
    pub(super) fn answered(&mut self, account: &Account, now: Instant) {
        let stays = |gate: &Cooldown| gate.until > now && matches!(gate.why, Why::Limited { .. });
        if !self.0.get(account).is_some_and(stays) {
            self.0.remove(account);
        }
    }

    /// Takes note of a request that got no answer. Returns how long to wait, longer after each such request in a row;
    /// `chance` is from 0 to 1.
    pub(super) fn silent(&mut self, account: Account, said: String, chance: f64, now: Instant) -> Duration {
        let failures = match self.0.get(&account).map(|gate| &gate.why) {
            Some(Why::Silent { failures, .. }) => failures.saturating_add(1),
            _ => 1,
        };
        let pause = limits::backoff(failures, chance);
        self.close(account, now + pause, Why::Silent { failures, said }, now);
        pause
    }

    fn close(&mut self, account: Account, until: Instant, why: Why, now: Instant) {
        if self.0.len() >= MAX_ACCOUNTS {
            self.0.retain(|_, gate| gate.until > now);
        }
        let longer = |gate: &Cooldown| gate.until > until && matches!(gate.why, Why::Limited { .. });
        if !self.0.get(&account).is_some_and(longer) {
            self.0.insert(account, Cooldown { until, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        ("https://api.github.com".into(), "c".into())
    }

    fn wait(cooldowns: &Cooldowns, now: Instant) -> Option<u64> {
        cooldowns.closed(&account(), now).map(|(left, _)| left.as_secs())
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn an_answer_that_was_under_way_opens_no_gate() {
        let (mut cooldowns, now) = (Cooldowns::default(), Instant::now());
        cooldowns.limited(account(), MINUTE, true, now);
        cooldowns.answered(&account(), now);
        assert_eq!(wait(&cooldowns, now), Some(60));
        let shorter = Duration::from_secs(2);
        cooldowns.limited(account(), shorter, false, now);
        cooldowns.silent(account(), "reset".into(), 1.0, now);
        assert_eq!(wait(&cooldowns, now), Some(60));
        cooldowns.limited(account(), MINUTE * 2, false, now);
        assert_eq!(wait(&cooldowns, now), Some(120));
        assert_eq!(wait(&cooldowns, now + MINUTE * 2), None);
    }

    #[test]
    fn silence_is_over_with_the_first_answer() {
        let (mut cooldowns, now) = (Cooldowns::default(), Instant::now());
        let pauses = [1, 2, 4].map(Duration::from_secs);
        for pause in pauses {
            assert_eq!(cooldowns.silent(account(), "reset".into(), 1.0, now), pause);
        }
        assert_eq!(wait(&cooldowns, now), Some(4));
        cooldowns.answered(&account(), now);
        assert_eq!(wait(&cooldowns, now), None);
        assert_eq!(cooldowns.silent(account(), "reset".into(), 1.0, now), pauses[0]);
    }
}
