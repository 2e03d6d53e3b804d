//! What a source finds, and what templates see of it.

use std::sync::Arc;

use axon_api::template::Value;
use jiff::Timestamp;

/// Form of an item's identifier for a run of a schedule, in UTC.
const TICK_FORM: &str = "%Y%m%d-%H%M";

/// A work item.
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
    /// Where it can be read.
    pub url: String,
    /// Labels.
    pub labels: Vec<String>,
    /// Comments, joined.
    pub comments: String,
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
    fn text(self) -> &'static str {
        match self {
            Self::Issue => "Issue",
            Self::Pull => "PR",
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

    /// Returns the ten variables of templates.
    #[must_use]
    pub fn variables(&self) -> Value {
        Value::map([
            ("ID", Value::from(self.id.as_str())),
            ("Number", Value::Int(self.number)),
            ("Title", Value::from(self.title.as_str())),
            ("Body", Value::from(&*self.body)),
            ("URL", Value::from(self.url.as_str())),
            ("Labels", Value::from(self.labels.join(", ").as_str())),
            ("Comments", Value::from(self.comments.as_str())),
            ("Kind", Value::from(self.kind.text())),
            ("Time", Value::from(self.time.as_str())),
            ("Schedule", Value::from(self.schedule.as_str())),
        ])
    }

    /// Returns the item with everything that people wrote in it changed.
    #[must_use]
    pub fn with_texts(&self, change: impl Fn(&str) -> String) -> Self {
        Self {
            title: change(&self.title),
            body: change(&self.body).into(),
            comments: change(&self.comments),
            labels: self.labels.iter().map(|label| change(label)).collect(),
            ..self.clone()
        }
    }

    /// Returns the prompt of a spawner without a template.
    #[must_use]
    pub fn default_prompt(&self) -> String {
        if !self.time.is_empty() {
            return format!("Scheduled run of {} ({})", self.time, self.schedule);
        }
        let mut prompt = format!(
            "{} #{}: {}\n\n{}",
            self.kind.text(),
            self.number,
            self.title,
            self.body
        );
        if !self.comments.is_empty() {
            prompt.push_str("\n\nComments:\n");
            prompt.push_str(&self.comments);
        }
        prompt
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

    #[test]
    fn the_default_prompt_has_all_of_an_issue() {
        let mut item = Item {
            number: 7,
            title: "Crash".into(),
            body: "It crashes.".into(),
            ..Item::default()
        };
        assert_eq!(item.default_prompt(), "Issue #7: Crash\n\nIt crashes.");
        item.kind = Kind::Pull;
        item.comments = "Same here.".into();
        assert_eq!(
            item.default_prompt(),
            "PR #7: Crash\n\nIt crashes.\n\nComments:\nSame here."
        );
    }
}
