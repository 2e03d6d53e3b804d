//! Cron schedules of five fields, with the meaning that robfig/cron v3 and Kubernetes' CronJobs give them.
//!
//! Minute, hour, day of month, month, day of week; no seconds, no `@daily`. When both day fields are restricted, a day
//! matches that fits either; `*/2` counts as restricted. Times in a daylight saving gap are skipped, and a folded hour
//! comes twice. The zones are compiled in. No clock: the caller says after when.

mod field;
mod walk;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

pub use field::FieldError;
use field::{Bounds, Set};
use walk::Walk;

/// A text that is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Nothing there.
    #[error("the schedule is empty: it needs five fields, minute hour day-of-month month day-of-week")]
    Empty,
    /// Such as `@daily`.
    #[error("{0:?} is not supported: write five fields, such as \"0 9 * * 1-5\"")]
    Descriptor(String),
    /// Not five fields.
    #[error(
        "{text:?} has {found} fields: a schedule has exactly five, minute hour day-of-month month day-of-week"
    )]
    FieldCount {
        /// The schedule without its zone.
        text: String,
        /// How many fields it has.
        found: usize,
    },
    /// A field that cannot be read.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A zone that the time zone database does not have.
    #[error("{0:?} is not a time zone: use a name of the IANA database, such as Europe/Berlin, or UTC")]
    TimeZone(String),
    /// `TZ=` or `CRON_TZ=` without anything behind the zone.
    #[error("{0:?} names a time zone only: write a space and five fields after it")]
    OnlyTimeZone(String),
    /// A zone in the schedule as well as beside it.
    #[error(
        "the schedule names the time zone {inside:?}, and {beside:?} is given beside it: give one of them"
    )]
    TwoTimeZones {
        /// The zone in the schedule.
        inside: String,
        /// The other one.
        beside: String,
    },
}

/// When something is to happen, again and again.
///
/// ```
/// use go_cron::Schedule;
///
/// let schedule = Schedule::parse("0 9 * * 1-5", Some("Europe/Berlin"))?;
/// let friday_evening = "2026-03-27T20:00:00Z".parse()?;
/// // Summer time begins on Sunday.
/// assert_eq!(schedule.next_after(friday_evening), Some("2026-03-30T07:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
    zone: TimeZone,
}

impl Schedule {
    /// Parses a schedule. It may begin with `TZ=zone` or `CRON_TZ=zone`; else it means `time_zone`, or UTC.
    ///
    /// # Errors
    /// [`ScheduleError`] says which field is wrong and what it may hold.
    pub fn parse(expr: &str, time_zone: Option<&str>) -> Result<Self, ScheduleError> {
        if expr.is_empty() {
            return Err(ScheduleError::Empty);
        }
        let (inside, text) = split_zone(expr)?;
        let zone = match (inside, time_zone) {
            (Some(inside), Some(beside)) => {
                return Err(ScheduleError::TwoTimeZones {
                    inside: inside.to_owned(),
                    beside: beside.to_owned(),
                });
            }
            (named, beside) => find_zone(named.or(beside).unwrap_or_default())?,
        };
        if text.starts_with('@') {
            return Err(ScheduleError::Descriptor(text.to_owned()));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(ScheduleError::FieldCount {
                text: text.trim().to_owned(),
                found: fields.len(),
            });
        };
        Ok(Self {
            minutes: Set::parse(minutes, &Bounds::MINUTE)?,
            hours: Set::parse(hours, &Bounds::HOUR)?,
            days: Set::parse(days, &Bounds::DAY)?,
            months: Set::parse(months, &Bounds::MONTH)?,
            weekdays: Set::parse(weekdays, &Bounds::WEEKDAY)?,
            zone,
        })
    }

    /// Returns the first time after this one, or `None` if the schedule does not match within five years.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        Walk::start(self, after)?.find()
    }

    /// Returns whether the day fields match.
    fn matches_day(&self, day: i8, weekday: i8) -> bool {
        let (day, weekday) = (self.days.has(day), self.weekdays.has(weekday));
        if self.days.is_any() || self.weekdays.is_any() {
            day && weekday
        } else {
            day || weekday
        }
    }
}

/// Takes the zone off the beginning of a schedule.
fn split_zone(expr: &str) -> Result<(Option<&str>, &str), ScheduleError> {
    let Some(named) = expr.strip_prefix("TZ=").or_else(|| expr.strip_prefix("CRON_TZ=")) else {
        return Ok((None, expr));
    };
    match named.split_once(' ') {
        Some((zone, fields)) => Ok((Some(zone), fields.trim())),
        None => Err(ScheduleError::OnlyTimeZone(expr.to_owned())),
    }
}

/// Returns the zone of this name, in the spelling of the database, as Go does.
fn find_zone(name: &str) -> Result<TimeZone, ScheduleError> {
    // Go's "Local" is UTC in a container.
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled()
        .get(name)
        .ok()
        .filter(|zone| zone.iana_name() == Some(name))
        .ok_or_else(|| ScheduleError::TimeZone(name.to_owned()))
}
