//! The time over which a budget adds up. Pure.

use std::time::Duration;

use axon_api::go_duration;
use axon_api::v1alpha1::{BudgetWindow, Period};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// Steps of a rolling window. More are more exact and make a larger object.
const STEPS: i64 = 60;

/// A window that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// A period of the calendar in a time zone.
    Every(Period, TimeZone),
    /// So many seconds before now.
    Rolling(i64),
}

impl Window {
    /// Reads a window.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn read(spec: &BudgetWindow) -> Result<Self, String> {
        match (spec.every, &spec.rolling) {
            (Some(period), None) => {
                let name = spec.time_zone.as_deref().unwrap_or("UTC");
                let zone = TimeZone::get(name).map_err(|_| {
                    format!(
                        "spec.window.timeZone: there is no time zone {name}: name one such as Europe/Berlin"
                    )
                })?;
                Ok(Self::Every(period, zone))
            }
            (None, Some(text)) => {
                let length = go_duration::parse(text)
                    .ok()
                    .filter(|length| *length >= Duration::from_secs(1));
                let seconds = length.and_then(|length| i64::try_from(length.as_secs()).ok());
                seconds.map(Self::Rolling).ok_or_else(|| {
                    format!("spec.window.rolling: {text} is no duration of a second or more, such as 24h")
                })
            }
            _ => Err("spec.window: set either every or rolling".to_owned()),
        }
    }

    /// Returns when what was spent at `at` leaves the window.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Timestamp {
        match self {
            Self::Every(period, zone) => {
                end_of(*period, &at.to_zoned(zone.clone())).unwrap_or(Timestamp::MAX)
            }
            Self::Rolling(seconds) => {
                let step = (seconds / STEPS).max(1);
                // Rounded up: an amount leaves late rather than early.
                let end = at.as_second().saturating_add(*seconds);
                let steps = end.div_euclid(step) + 1;
                Timestamp::from_second(steps.saturating_mul(step)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Returns a time before which nothing counts at `now`. Records have to be kept at least since then.
    #[must_use]
    pub fn length(&self) -> Duration {
        const DAY: u64 = 24 * 3600;
        match self {
            // A day of 25 hours.
            Self::Every(Period::Day, _) => Duration::from_secs(DAY + 3600),
            Self::Every(Period::Week, _) => Duration::from_secs(7 * DAY + 3600),
            Self::Every(Period::Month, _) => Duration::from_secs(31 * DAY + 3600),
            Self::Rolling(seconds) => {
                let seconds = u64::try_from(*seconds).unwrap_or_default();
                Duration::from_secs(seconds.saturating_add(seconds / STEPS.unsigned_abs() + 1))
            }
        }
    }
}

/// Returns the first moment after the period that `now` is in; `None` beyond the calendar's end.
fn end_of(period: Period, now: &Zoned) -> Option<Timestamp> {
    let next = match period {
        Period::Day => now.date().checked_add(1.day()),
        Period::Week => {
            let days = now.weekday().until(Weekday::Monday);
            let days = if days == 0 { 7 } else { i64::from(days) };
            now.date().checked_add(days.days())
        }
        Period::Month => now.date().first_of_month().checked_add(1.month()),
    };
    // Where midnight does not exist, the day begins at the first moment after the gap.
    let start = next.ok()?.to_zoned(now.time_zone().clone()).ok()?;
    Some(start.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(period: Period, zone: &str) -> Window {
        Window::read(&BudgetWindow {
            every: Some(period),
            time_zone: Some(zone.into()),
            rolling: None,
        })
        .unwrap()
    }

    fn until(window: &Window, at: &str) -> String {
        window.until(at.parse().unwrap()).to_string()
    }

    #[test]
    fn a_period_ends_at_the_midnight_of_its_time_zone() {
        for (period, zone, at, end) in [
            (Period::Day, "UTC", "2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"),
            (
                Period::Day,
                "UTC",
                "2026-12-01T23:59:59.9Z",
                "2026-12-02T00:00:00Z",
            ),
            (
                Period::Day,
                "Europe/Berlin",
                "2026-12-01T22:59:59Z",
                "2026-12-01T23:00:00Z",
            ),
            // A day of 25 hours, and one of 23.
            (
                Period::Day,
                "Europe/Berlin",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
            ),
            (
                Period::Day,
                "Europe/Berlin",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
            ),
            // In Beirut, midnight of that day does not exist.
            (
                Period::Day,
                "Asia/Beirut",
                "2026-03-28T12:00:00Z",
                "2026-03-28T22:00:00Z",
            ),
            // A Sunday and a Monday.
            (
                Period::Week,
                "UTC",
                "2026-11-29T12:00:00Z",
                "2026-11-30T00:00:00Z",
            ),
            (
                Period::Week,
                "UTC",
                "2026-11-30T00:00:00Z",
                "2026-12-07T00:00:00Z",
            ),
            (
                Period::Month,
                "UTC",
                "2026-12-31T23:59:59Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                Period::Month,
                "America/New_York",
                "2026-12-01T03:00:00Z",
                "2026-12-01T05:00:00Z",
            ),
            (
                Period::Month,
                "UTC",
                "2028-02-29T12:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
        ] {
            assert_eq!(until(&every(period, zone), at), end, "{period} {zone} {at}");
        }
    }

    #[test]
    fn a_rolling_window_lets_go_late_rather_than_early() {
        let day = Window::read(&BudgetWindow {
            rolling: Some("24h".into()),
            ..BudgetWindow::default()
        })
        .unwrap();
        assert_eq!(until(&day, "2026-12-01T00:00:00Z"), "2026-12-02T00:24:00Z");
        assert_eq!(until(&day, "2026-12-01T00:23:59Z"), "2026-12-02T00:24:00Z");
        assert_eq!(until(&day, "2026-12-01T00:24:00Z"), "2026-12-02T00:48:00Z");
        assert!(day.length() >= Duration::from_secs(24 * 3600 + 24 * 60));
    }

    #[test]
    fn a_window_that_cannot_be_read_names_its_field() {
        let read = |every, zone: Option<&str>, rolling: Option<&str>| {
            Window::read(&BudgetWindow {
                every,
                time_zone: zone.map(Into::into),
                rolling: rolling.map(Into::into),
            })
        };
        assert!(
            read(Some(Period::Day), Some("Mars/Base"), None)
                .unwrap_err()
                .contains("spec.window.timeZone")
        );
        assert!(
            read(None, None, Some("soon"))
                .unwrap_err()
                .contains("spec.window.rolling")
        );
        assert!(read(None, None, Some("1ms")).is_err());
        assert!(read(None, None, None).is_err());
        assert!(read(Some(Period::Day), None, Some("1h")).is_err());
    }
}
