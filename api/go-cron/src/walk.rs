//! The search for the next time: month, day, hour, minute, each moved on until it matches.
//!
//! Clock changes decide some steps here, and robfig/cron's answers there follow from how it moves: months and days by
//! the calendar, hours and minutes by elapsed time, and midnights mended where a change swallowed them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::Schedule;

/// How many years ahead to look.
const YEARS: i16 = 5;
/// More moves than a search makes: some 2000 days, and the hours and minutes of a few. Where a zone dropped a whole
/// day (Samoa in 2011), robfig/cron goes in circles; here the search ends.
const MOVES: usize = 10_000;

const SECOND: i64 = 1;
const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;

/// A search. Nothing below a field that was moved counts any more: the first move sets it to its beginning.
pub(super) struct Walk<'s> {
    schedule: &'s Schedule,
    /// Seconds of Unix time.
    at: i64,
    moved: bool,
    moves: usize,
    last_year: i16,
}

/// Whether a field matches, or the search starts again from the month because a greater field moved.
enum Step {
    Fits,
    Again,
}

impl<'s> Walk<'s> {
    /// Starts with the second after `after`.
    pub(super) fn start(schedule: &'s Schedule, after: Timestamp) -> Option<Self> {
        let whole = after.as_nanosecond().div_euclid(1_000_000_000);
        let mut walk = Self {
            schedule,
            at: i64::try_from(whole).ok()?.checked_add(SECOND)?,
            moved: false,
            moves: 0,
            last_year: 0,
        };
        walk.last_year = walk.local()?.year().checked_add(YEARS)?;
        Some(walk)
    }

    /// Finds the first match from here on.
    pub(super) fn find(mut self) -> Option<Timestamp> {
        let Schedule {
            minutes,
            hours,
            months,
            ..
        } = self.schedule;
        if minutes.is_empty() || hours.is_empty() || months.is_empty() {
            return None;
        }
        while self.local()?.year() <= self.last_year {
            if let Step::Again = self.month()? {
                continue;
            }
            if let Step::Again = self.day()? {
                continue;
            }
            if let Step::Again = self.hour()? {
                continue;
            }
            if let Step::Again = self.minute()? {
                continue;
            }
            if let Step::Again = self.second()? {
                continue;
            }
            return Timestamp::from_second(self.at).ok();
        }
        None
    }

    /// Returns the wall clock.
    fn local(&self) -> Option<DateTime> {
        let at = Timestamp::from_second(self.at).ok()?;
        Some(self.schedule.zone.to_offset(at).to_datetime(at))
    }

    /// Counts a move; true if it is the first one.
    fn first_move(&mut self) -> Option<bool> {
        self.moves += 1;
        let first = !self.moved;
        self.moved = true;
        (self.moves <= MOVES).then_some(first)
    }

    fn month(&mut self) -> Option<Step> {
        loop {
            let now = self.local()?;
            if self.schedule.months.has(now.month()) {
                return Some(Step::Fits);
            }
            if self.first_move()? {
                self.at = instant(&self.schedule.zone, now.date().first_of_month(), 0)?;
            }
            let now = self.local()?;
            // The same day of the next month, or as many days past that month's end.
            let month = now.date().first_of_month().last_of_month().tomorrow().ok()?;
            let days = i64::from(now.day()) - 1;
            self.at = instant(&self.schedule.zone, month, days * DAY + clock(now))?;
            if self.local()?.month() == 1 {
                return Some(Step::Again);
            }
        }
    }

    fn day(&mut self) -> Option<Step> {
        loop {
            let now = self.local()?;
            let weekday = now.weekday().to_sunday_zero_offset();
            if self.schedule.matches_day(now.day(), weekday) {
                return Some(Step::Fits);
            }
            if self.first_move()? {
                self.at = instant(&self.schedule.zone, now.date(), 0)?;
            }
            let now = self.local()?;
            self.at = instant(&self.schedule.zone, now.date(), DAY + clock(now))?;
            // A day without midnight begins at 23 hours of the day before, or at 1.
            let hour = i64::from(self.local()?.hour());
            if hour > 12 {
                self.at += (24 - hour) * HOUR;
            } else {
                self.at -= hour * HOUR;
            }
            if self.local()?.day() == 1 {
                return Some(Step::Again);
            }
        }
    }

    fn hour(&mut self) -> Option<Step> {
        loop {
            let now = self.local()?;
            if self.schedule.hours.has(now.hour()) {
                return Some(Step::Fits);
            }
            if self.first_move()? {
                let clock = i64::from(now.hour()) * HOUR;
                self.at = instant(&self.schedule.zone, now.date(), clock)?;
            }
            self.at += HOUR;
            if self.local()?.hour() == 0 {
                return Some(Step::Again);
            }
        }
    }

    fn minute(&mut self) -> Option<Step> {
        loop {
            if self.schedule.minutes.has(self.local()?.minute()) {
                return Some(Step::Fits);
            }
            if self.first_move()? {
                self.at -= self.at.rem_euclid(MINUTE);
            }
            self.at += MINUTE;
            if self.local()?.minute() == 0 {
                return Some(Step::Again);
            }
        }
    }

    fn second(&mut self) -> Option<Step> {
        while self.local()?.second() != 0 {
            self.first_move()?;
            self.at += SECOND;
            if self.local()?.second() == 0 {
                return Some(Step::Again);
            }
        }
        Some(Step::Fits)
    }
}

/// Returns the seconds since midnight that the clock shows.
fn clock(time: DateTime) -> i64 {
    i64::from(time.hour()) * HOUR + i64::from(time.minute()) * MINUTE + i64::from(time.second())
}

/// Returns the time at which the zone's clock shows `seconds` after midnight of the date. For a reading that a clock
/// change skips or repeats, this is Go's choice: the offset is looked up at the reading taken as UTC, and once more at
/// the time to which that offset leads.
fn instant(zone: &TimeZone, date: Date, seconds: i64) -> Option<i64> {
    let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let shown = midnight.checked_add(seconds)?;
    let offset = |at: i64| {
        Some(i64::from(
            zone.to_offset(Timestamp::from_second(at).ok()?).seconds(),
        ))
    };
    let guess = shown - offset(shown)?;
    Some(shown - offset(guess)?)
}
