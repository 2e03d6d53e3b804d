//! Learns from each response, or from its absence, when an account may send the next request.

use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{CLOCK_TOLERANCE, Client, MAX_ACCOUNTS, account};
use crate::api_url::words;
use crate::cooldown::{Account, Why};
use crate::error::GithubError;
use crate::limits;
use crate::target::Target;
use crate::transport::Response;

impl Client {
    /// Takes from an answer what it says about limits and the time.
    pub(super) fn learn(&self, target: &Target<'_>, answer: &Response) {
        let api = &target.repository.api;
        if let Some(theirs) = limits::server_time(&answer.headers) {
            let ahead = theirs.as_second() - self.clock.now().as_second();
            let ahead = if ahead.abs() > CLOCK_TOLERANCE { ahead } else { 0 };
            let mut all = self.ahead.lock();
            if all.len() >= MAX_ACCOUNTS {
                all.clear();
            }
            all.insert(api.clone(), ahead);
        }
        // GraphQL's points are counted apart.
        let is_counted = limits::is_rest(&answer.headers) && target.credential.stays();
        if let Some(left) = limits::remaining(&answer.headers).filter(|_| is_counted) {
            let id = target.credential.id();
            self.metrics.remaining(&target.repository.host, id, left);
        }
        let now = self.server_time(api);
        let limit = limits::limit(answer.status, &answer.headers, &words(&answer.body), now);
        let (account, silence, now) = (account(target), silence_account(target), Instant::now());
        let mut cooldowns = self.cooldowns.lock();
        if !answer.status.is_server_error() {
            cooldowns.answered(&silence, now);
        }
        if let Some(limit) = limit {
            cooldowns.limited(account, limit.wait, limit.secondary, now);
        }
    }

    pub(super) fn silence(&self, target: &Target<'_>, said: String) -> GithubError {
        let mut cooldowns = self.cooldowns.lock();
        let pause = cooldowns.silent(
            silence_account(target),
            said.clone(),
            rand::random(),
            Instant::now(),
        );
        GithubError::Unreachable {
            asked: target.asked(),
            said,
            pause,
        }
    }

    /// Refuses what would be asked while a limit or a pause after failures lasts.
    pub(super) fn check_cooldown(&self, target: &Target<'_>) -> Result<(), GithubError> {
        let cooldowns = self.cooldowns.lock();
        let now = Instant::now();
        let closed = cooldowns
            .closed(&account(target), now)
            .or_else(|| cooldowns.closed(&silence_account(target), now));
        let Some((left, why)) = closed else {
            return Ok(());
        };
        Err(match why {
            Why::Limited { secondary } => self.limited(target, left, *secondary),
            Why::Silent { said, .. } => GithubError::Unreachable {
                asked: target.asked(),
                said: said.clone(),
                pause: left,
            },
        })
    }

    pub(super) fn limited(&self, target: &Target<'_>, left: Duration, secondary: bool) -> GithubError {
        let now = self.clock.now();
        let end = now
            .checked_add(SignedDuration::try_from(left).unwrap_or_default())
            .unwrap_or(now);
        GithubError::RateLimited {
            asked: target.asked(),
            // Whole seconds, rounded up: a status that shows it must not change at each look.
            until: Timestamp::from_second(end.as_second() + 1).unwrap_or(end),
            secondary,
        }
    }

    /// Returns what an answer that is no success means.
    pub(crate) fn refusal(&self, target: &Target<'_>, answer: &Response) -> GithubError {
        let (asked, said) = (target.asked(), words(&answer.body));
        let now = self.server_time(&target.repository.api);
        if let Some(limit) = limits::limit(answer.status, &answer.headers, &said, now) {
            return self.limited(target, limit.wait, limit.secondary);
        }
        match answer.status {
            StatusCode::UNAUTHORIZED => GithubError::Unauthorized { asked, said },
            StatusCode::FORBIDDEN => GithubError::Forbidden { asked, said },
            // 410: issues are switched off, or the repository was taken down.
            StatusCode::NOT_FOUND | StatusCode::GONE => GithubError::NotFound { asked, said },
            status => GithubError::Malformed {
                asked,
                said: format!("{status}: {said}"),
            },
        }
    }
}

/// Returns what silence is counted by; it is the account, but for tokens that are revoked.
fn silence_account(target: &Target<'_>) -> Account {
    let id = target.credential.silence_id();
    (target.repository.api.clone(), id.to_owned())
}
