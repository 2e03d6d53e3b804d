//! What a source finds.

use std::sync::Arc;

use jiff::Timestamp;

use axon_github::Comment;

/// Form of an item's identifier for a run of a schedule, in UTC.
const TICK_FORM: &str = "%Y%m%d-%H%M";

/// A work item, with the texts as people wrote them. Templates see it as [`crate::spawner::render::template_data::TemplateItem`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Identifier, unique in its source: an issue's number, or a run's time such as `20260207-0900`.
    pub id: String,
    /// Number of the issue or pull request; 0 for runs.
    pub number: i64,
    /// Title; for runs the time.
    pub title: String,
    /// Text.
    pub body: Arc<str>,
    /// Login of who opened it; empty for runs.
    pub author: String,
    /// Where it can be read.
    pub url: String,
    /// Labels.
    pub labels: Vec<String>,
    /// Comments, the oldest first.
    pub comments: Vec<Comment>,
    /// How many comments were left out for who wrote them.
    pub comments_left_out: usize,
    /// `Issue` or `PR`.
    pub kind: Kind,
    /// Time of the run, RFC 3339; empty for issues.
    pub time: String,
    /// The schedule; empty for issues.
    pub schedule: String,
}

/// What an item is on GitHub. Runs count as issues, as they always have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// An issue.
    #[default]
    Issue,
    /// A pull request.
    Pull,
}

impl Kind {
    /// Returns the value of `{{.Kind}}`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Issue => "Issue",
            Self::Pull => "PR",
        }
    }

    /// Returns what people call it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Pull => "pull request",
        }
    }
}

impl Item {
    /// Returns the item of a run of a schedule.
    #[must_use]
    pub fn of_tick(tick: Timestamp, schedule: &str) -> Self {
        let time = tick.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self {
            id: tick_id(tick),
            title: time.clone(),
            time,
            schedule: schedule.to_owned(),
            ..Self::default()
        }
    }
}

/// Returns the identifier of a run.
#[must_use]
pub fn tick_id(tick: Timestamp) -> String {
    tick.strftime(TICK_FORM).to_string()
}

/// Returns the run that an identifier stands for.
#[must_use]
pub fn tick_of(id: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime(TICK_FORM, id).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_time_in_utc() {
        let item = Item::of_tick("2026-02-07T09:00:00Z".parse().unwrap(), "0 9 * * *");
        assert_eq!(item.id, "20260207-0900");
        assert_eq!(item.title, "2026-02-07T09:00:00Z");
        assert_eq!(tick_of(&item.id), Some("2026-02-07T09:00:00Z".parse().unwrap()));
        assert_eq!(tick_of("42"), None);
    }
}
