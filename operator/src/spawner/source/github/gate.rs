//! Which items of a repository that everybody can write to may start an agent. Pure.
//!
//! An item counts if its author may write to the repository, or if somebody who may has set one of the labels that the
//! spawner asks for since title and text were changed last. All else that people can do on GitHub changes nothing: a stranger
//! can open items, write and edit them, and have labels set by an issue's template, and is the actor of all that.

use axon_api::v1alpha1::SpawnerReason;
use axon_api::v1alpha1::{People, Writer};
use jiff::Timestamp;

use axon_github::{Account, Event, History, MayWrite, What, fold};

/// An item, and what its spawner asks for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Author of the item.
    pub author: &'a Writer,
    /// True if that is a person and no App.
    pub author_is_user: bool,
    /// The labels that the spawner asks for; the item has them.
    pub labels: &'a [String],
    /// The labels that keep an item from its spawner.
    pub exclude_labels: &'a [String],
    /// People who count without write permission.
    pub trusted: &'a People,
    /// True if the item's history can be read at all.
    pub can_read: bool,
}

/// The next question to GitHub, or the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Whether this person may write.
    MayWrite(String),
    /// The history of the item.
    History,
    /// Nothing.
    Done(Verdict),
}

/// Whether an item may become a Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its author counts.
    Counts,
    /// Somebody who counts has approved of the text that its history has, and of what its author has said until then.
    Approved(Timestamp),
    /// The item cannot become a Task.
    LeftOut(Why),
}

/// Why an item may not become a Task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody who may write has opened or labelled it.
    Untrusted,
    /// A pull request from a fork by an author without write permission. A label does not approve its commits.
    Fork,
    /// Title or text changed after the approval, or in the same second.
    Edited,
    /// The credential may not ask who may write.
    Unknown,
}

/// Returns what has to be known next to judge an item. `may_write` tells of logins what is known.
#[must_use]
pub fn next(
    question: Question<'_>,
    may_write: impl Fn(&str) -> Option<MayWrite>,
    history: Option<&History>,
) -> Step {
    let Question { author, trusted, .. } = question;
    if trusted.include(author, author) {
        return Step::Done(Verdict::Counts);
    }
    let of_author = if question.author_is_user {
        match may_write(&author.login) {
            None => return Step::MayWrite(author.login.clone()),
            Some(MayWrite::Yes) => return Step::Done(Verdict::Counts),
            Some(of_author) => of_author,
        }
    } else {
        MayWrite::No
    };
    let mut is_unknown = of_author == MayWrite::Unknown;
    let left_out = |is_unknown| {
        let why = if is_unknown { Why::Unknown } else { Why::Untrusted };
        Step::Done(Verdict::LeftOut(why))
    };
    if question.labels.is_empty() || !question.can_read {
        return left_out(is_unknown);
    }
    let Some(history) = history else {
        return Step::History;
    };
    if history.is_from_fork {
        return Step::Done(Verdict::LeftOut(if is_unknown {
            Why::Unknown
        } else {
            Why::Fork
        }));
    }
    let mut approved: Option<Timestamp> = None;
    for (actor, at) in question
        .labels
        .iter()
        .filter_map(|label| set(label, &history.events))
    {
        let counts = trusted.name(&actor.login)
            || actor.is_user
                && match may_write(&actor.login) {
                    None => return Step::MayWrite(actor.login.clone()),
                    Some(may) => {
                        is_unknown |= may == MayWrite::Unknown;
                        may == MayWrite::Yes
                    }
                };
        if counts {
            approved = approved.max(Some(at));
        }
    }
    let Some(approved) = approved else {
        return left_out(is_unknown);
    };
    let mut until = approved;
    for (actor, at) in let_in(question, &history.events) {
        if at > until {
            let counts = trusted.name(&actor.login)
                || actor.is_user
                    && match may_write(&actor.login) {
                        None => return Step::MayWrite(actor.login.clone()),
                        Some(may) => may == MayWrite::Yes,
                    };
            until = if counts { at } else { until };
        }
    }
    let renamed = history.events.iter().filter(|event| event.what == What::Renamed);
    let changed = renamed.map(|event| event.at).max().max(history.edited);
    // Times have whole seconds: what happened in the same one may have happened later.
    Step::Done(match changed {
        Some(changed) if changed >= approved => Verdict::LeftOut(Why::Edited),
        _ => Verdict::Approved(until),
    })
}

/// Returns who has let an item go on, and when: by a label that the spawner asks for, or by taking one off that kept the item from
/// it. People do the latter when a conversation with the agent goes on; that they have read what was said before is their part.
fn let_in<'a>(question: Question<'a>, events: &'a [Event]) -> impl Iterator<Item = (&'a Account, Timestamp)> {
    let is_of = |label: &str, all: &[String]| all.iter().any(|one| fold(one) == fold(label));
    let acts = events.iter().filter(move |event| match &event.what {
        What::Labeled(label) => is_of(label, question.labels),
        What::Unlabeled(label) => is_of(label, question.exclude_labels),
        What::Renamed => false,
    });
    acts.map(|event| (&event.actor, event.at))
}

/// Returns who has set a label that is on the item, and when. It is the latest event that tells: who takes an approved label
/// off and sets it again has set it, and not the one before.
fn set<'a>(label: &str, events: &'a [Event]) -> Option<(&'a Account, Timestamp)> {
    let wanted = fold(label);
    let about = events.iter().enumerate().filter(|(_, event)| match &event.what {
        What::Labeled(label) | What::Unlabeled(label) => fold(label) == wanted,
        What::Renamed => false,
    });
    let (_, latest) = about.max_by_key(|(place, event)| (event.at, *place))?;
    match latest.what {
        What::Labeled(_) => Some((&latest.actor, latest.at)),
        _ => None,
    }
}

impl Why {
    /// Returns the reason that conditions and previews give.
    #[must_use]
    pub fn reason(self) -> SpawnerReason {
        match self {
            Self::Untrusted | Self::Fork => SpawnerReason::UntrustedAuthor,
            Self::Edited => SpawnerReason::EditedAfterApproval,
            Self::Unknown => SpawnerReason::PermissionUnknown,
        }
    }

    /// Returns what is wrong, and what somebody can do. `secret` is the Secret that GitHub was asked with.
    #[must_use]
    pub fn message(self, author: &str, labels: &[String], secret: Option<&str>) -> String {
        let author = if author.is_empty() { "nobody" } else { author };
        let opened = format!("opened by {author}, who has no write permission");
        match (self, labels.first()) {
            (Self::Untrusted, None) => {
                format!(
                    "{opened}: name them in githubIssues.authors, or require a label, which a writer sets"
                )
            }
            (Self::Untrusted, Some(label)) => {
                format!("{opened}: somebody who has it can set the label {label:?} (take it off first)")
            }
            (Self::Fork, _) => {
                format!(
                    "{opened}: a label approves no pull request from a fork; push its branch to the repository"
                )
            }
            (Self::Edited, label) => format!(
                "its title or text was changed after it was approved: read it, take the label {:?} off and set it again",
                label.map(String::as_str).unwrap_or_default()
            ),
            (Self::Unknown, _) => {
                let with = match secret {
                    Some(secret) => format!("the token in Secret {secret}"),
                    None => "no token".to_owned(),
                };
                format!(
                    "{with} may not ask GitHub who has write permission: use the token of a user with push access, or a GitHub \
                     App that is installed on the repository; until then only people named in githubIssues.authors count"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
