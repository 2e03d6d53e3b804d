//! What GitHub's headers and refusals mean for the next request. Pure.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;

/// Wait after a secondary limit that names no time (GitHub's documentation asks for at least a minute).
const SECONDARY_PAUSE: Duration = Duration::from_secs(60);
/// Longest wait that a header can ask for: a mistaken one must not silence a repository for ever.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
/// First and longest wait after requests that got no answer.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(120));

/// A time in which nothing may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// From now on.
    pub wait: Duration,
    /// True for a secondary limit.
    pub secondary: bool,
}

/// Returns the limit that a response tells of. `now` is GitHub's time. A limit may come with a good answer too: when
/// that has used up the last request.
#[must_use]
pub fn limit(status: StatusCode, headers: &HeaderMap, said: &str, now: Timestamp) -> Option<Limit> {
    let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if refused && let Some(seconds) = number(headers, header::RETRY_AFTER.as_str()) {
        return Some(Limit {
            wait: bounded(seconds),
            secondary: true,
        });
    }
    if number(headers, "x-ratelimit-remaining") == Some(0)
        && (refused || status.is_success() || status == StatusCode::NOT_MODIFIED)
    {
        let reset = number(headers, "x-ratelimit-reset").unwrap_or_default();
        let left = i64::try_from(reset)
            .unwrap_or(i64::MAX)
            .saturating_sub(now.as_second());
        return Some(Limit {
            // A second more: the reset is told in whole ones.
            wait: bounded(u64::try_from(left).unwrap_or_default() + 1),
            secondary: false,
        });
    }
    let secondary = status == StatusCode::TOO_MANY_REQUESTS
        || refused && {
            let said = said.to_lowercase();
            said.contains("secondary rate limit") || said.contains("abuse detection")
        };
    secondary.then_some(Limit {
        wait: SECONDARY_PAUSE,
        secondary: true,
    })
}

/// Returns how many requests are left in this hour, if the response says so.
#[must_use]
pub fn remaining(headers: &HeaderMap) -> Option<u64> {
    number(headers, "x-ratelimit-remaining")
}

/// Returns whether the headers are about the limit of the REST API, as all are that do not say otherwise.
#[must_use]
pub fn is_rest(headers: &HeaderMap) -> bool {
    headers
        .get("x-ratelimit-resource")
        .is_none_or(|resource| resource.as_bytes() != b"graphql")
}

/// Returns the time that the server says it is.
#[must_use]
pub fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp())
}

/// Returns the wait after the `n`-th failure in a row: doubling, and between half and all of it by `chance`, which is
/// from 0 to 1, so that many who failed together do not come back together.
#[must_use]
pub fn backoff(n: u32, chance: f64) -> Duration {
    let (first, longest) = BACKOFF;
    let whole = first
        .saturating_mul(2u32.saturating_pow(n.saturating_sub(1).min(20)))
        .min(longest);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn bounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    const NOW: i64 = 1_000_000;

    fn of(status: u16, pairs: &[(&'static str, &str)], said: &str) -> Option<(u64, bool)> {
        let now = Timestamp::from_second(NOW).unwrap();
        limit(StatusCode::from_u16(status).unwrap(), &headers(pairs), said, now)
            .map(|limit| (limit.wait.as_secs(), limit.secondary))
    }

    #[test]
    fn every_way_in_which_github_says_wait() {
        let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000030")];
        assert_eq!(of(403, &used_up, ""), Some((31, false)));
        assert_eq!(of(429, &used_up, ""), Some((31, false)));
        assert_eq!(of(200, &used_up, ""), Some((31, false)), "the last one was good");
        assert_eq!(of(304, &used_up, ""), Some((31, false)));
        assert_eq!(of(403, &[("retry-after", "7")], ""), Some((7, true)));
        assert_eq!(of(429, &[], ""), Some((60, true)));
        assert_eq!(
            of(
                403,
                &[("x-ratelimit-remaining", "9")],
                "You have exceeded a secondary rate limit."
            ),
            Some((60, true))
        );
    }

    #[test]
    fn other_refusals_are_no_limits_and_mistaken_headers_are_bounded() {
        assert_eq!(
            of(403, &[("x-ratelimit-remaining", "9")], "Resource not accessible"),
            None
        );
        assert_eq!(of(200, &[("x-ratelimit-remaining", "9")], ""), None);
        assert_eq!(of(401, &[("x-ratelimit-remaining", "0")], ""), None);
        assert_eq!(of(403, &[("retry-after", "99999999")], ""), Some((7200, true)));
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "5")];
        assert_eq!(of(403, &past, ""), Some((1, false)));
    }

    #[test]
    fn backoff_doubles_is_bounded_and_has_jitter() {
        assert_eq!(backoff(1, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(1, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(3, 1.0), Duration::from_secs(4));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(120));
    }

    #[test]
    fn the_server_s_clock_is_read() {
        let headers = headers(&[("date", "Mon, 12 Jan 1970 13:46:40 GMT")]);
        assert_eq!(server_time(&headers).unwrap().as_second(), NOW);
        assert_eq!(server_time(&HeaderMap::new()), None);
    }
}
