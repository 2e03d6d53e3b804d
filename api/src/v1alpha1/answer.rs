//! Answers to questions about a TaskSpawner: the Tasks that its next poll would create.
//!
//! Only the operator can read a spawner's source: it may look at the Secret, and shares one listing between all spawners
//! of a repository. So who wants to know writes a request on the spawner ([`crate::labels::REQUEST`]), the replica that
//! runs it answers in the status, and the answer goes when the request does. Nothing is created by it.

use std::fmt::{self, Display};
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Trust;

/// A question to a TaskSpawner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Tells this request from all others.
    pub id: String,
    /// The kind of answer.
    pub wanted: Wanted,
}

/// A kind of answer that a TaskSpawner gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The Tasks that the next poll would create.
    Preview,
    /// Prompt and branch for an item: the number of an issue or pull request. A schedule has no items: it is the present
    /// moment then.
    Rendering(Option<String>),
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wanted {
            Wanted::Preview => write!(f, "{} preview", self.id),
            Wanted::Rendering(None) => write!(f, "{} render", self.id),
            Wanted::Rendering(Some(item)) => write!(f, "{} render {item}", self.id),
        }
    }
}

/// A request that says nothing known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of `ID preview`, `ID render` and `ID render ITEM`")]
pub struct NotARequest;

impl FromStr for Request {
    type Err = NotARequest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (id, wanted) = match words.as_slice() {
            [id, "preview"] => (id, Wanted::Preview),
            [id, "render"] => (id, Wanted::Rendering(None)),
            [id, "render", item] => (id, Wanted::Rendering(Some((*item).to_owned()))),
            _ => return Err(NotARequest),
        };
        Ok(Self {
            id: (*id).to_owned(),
            wanted,
        })
    }
}

/// The answer to the request on a TaskSpawner; it goes when the request does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The request, as the annotation `axon.io/request` has it.
    pub request: String,
    /// Generation of the spec that the answer is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Why there is no answer, in one CamelCase word; absent if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why there is no answer, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The Task that the templates make of the item in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendering: Option<Rendering>,
    /// The outcome of the next poll for each item, at most a hundred items: first those that call for a Task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<PreviewItem>,
    /// Items that are not listed for their number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_items: Option<i64>,
}

/// The Task that the templates make of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rendering {
    /// The item's number, or the due time of a schedule.
    pub item: String,
    /// Its URL, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The prompt of the Task, with all variables replaced.
    pub prompt: String,
    /// The branch, if the template names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The files that configure the agent's CLI, unless the template says so: `Base` for a pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// Comments that were left out, as `commentsFrom` does not name those who wrote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comments_left_out: Option<i64>,
}

/// An item of a spawner's source and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewItem {
    /// The item: the number of an issue or pull request, or the time of a run.
    pub item: String,
    /// The item's title, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its URL, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Schedules: time of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Name of its Task: of the one that would be created, or of the one that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Branch of the Task that would be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Its outcome: `Create`, `Wait`, `Blocked`, `Done` or `Excluded`.
    pub outcome: PreviewOutcome,
    /// Why it does not become a Task, in one CamelCase word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it does not become a Task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The outcome of the next poll for an item.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::Display,
)]
pub enum PreviewOutcome {
    /// Its Task is created.
    Create,
    /// It waits for a limit, or for the spawner to be resumed.
    Wait,
    /// It can't become a Task.
    Blocked,
    /// It has its Task.
    Done,
    /// A label, or who opened it, keeps it out.
    Excluded,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_being_written() {
        for wanted in [
            Wanted::Preview,
            Wanted::Rendering(None),
            Wanted::Rendering(Some("42".into())),
        ] {
            let request = Request {
                id: "bcdfg".into(),
                wanted,
            };
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        for bad in ["", "x", "x delete", "x render 4 2", "x preview 4"] {
            assert_eq!(bad.parse::<Request>(), Err(NotARequest), "{bad}");
        }
    }
}
