//! Answers the requests that people write on spawners: reads the source and tells what would be done. Creates nothing.

use axon_api::v1alpha1::SpawnerReason;
use std::time::Duration;

use axon_api::labels;
use axon_api::v1alpha1::{Answer, PreviewItem, Rendering, Request, TaskSpawner, Wanted};
use kube::ResourceExt;

use crate::spawner::cluster::{self, SpawnerError};
use crate::spawner::plan::Ledger;
use crate::spawner::preview::Scene;
use crate::spawner::render::prepare::render_reason;
use crate::spawner::render::{Templates, trust};
use crate::spawner::source::Source;
use crate::spawner::source::github::approval::Gate;
use crate::spawner::source::item::Item;
use crate::spawner::spawn::template_fault;
use crate::spawner::state::Context;
use crate::spawner::status::Fault;

/// Longest prompt that is told, in bytes of JSON: the answer travels in the spawner's status, and an object in the cluster has
/// 1.5 MB at most.
const MAX_PROMPT: usize = 512 * 1024;

/// What there is to do about the request on a spawner.
#[derive(Debug, PartialEq, Eq)]
enum Pending<'a> {
    None,
    /// The request is gone: its answer goes too.
    Clear,
    Answer(&'a str),
}

fn duty(spawner: &TaskSpawner) -> Pending<'_> {
    let asked = spawner.annotations().get(labels::REQUEST);
    let answered = spawner.status.as_ref().and_then(|s| s.answer.as_ref());
    match (asked, answered) {
        (None, None) => Pending::None,
        (None, Some(_)) => Pending::Clear,
        (Some(asked), Some(answer)) if answer.request == *asked => Pending::None,
        (Some(asked), _) => Pending::Answer(asked),
    }
}

/// Returns whether there is a request on a spawner that has no answer yet.
#[must_use]
pub fn is_asked(spawner: &TaskSpawner) -> bool {
    matches!(duty(spawner), Pending::Answer(_))
}

/// Answers the request on a spawner, or takes away the answer to one that is gone. Returns whether it has written. GitHub
/// is waited for no longer than `limit`.
///
/// # Errors
/// [`SpawnerError`]; a request that can't be fulfilled is an answer.
pub async fn answer_request(
    context: &Context,
    source: &dyn Source,
    spawner: &TaskSpawner,
    gate: &mut Gate,
    limit: Option<Duration>,
) -> Result<bool, SpawnerError> {
    let answer = match duty(spawner) {
        Pending::None => return Ok(false),
        Pending::Clear => None,
        Pending::Answer(text) => {
            let answer = answer(context, source, spawner, text, gate);
            let answer = match limit {
                None => answer.await,
                Some(limit) => tokio::time::timeout(limit, answer)
                    .await
                    .unwrap_or_else(|_| Err(slow(limit))),
            };
            let answer = answer.unwrap_or_else(|fault| Answer {
                reason: Some(fault.reason.into()),
                message: Some(fault.message),
                ..Answer::default()
            });
            Some(Answer {
                request: text.to_owned(),
                generation: spawner.metadata.generation,
                ..answer
            })
        }
    };
    let mut status = spawner.status.clone().unwrap_or_default();
    status.answer = answer;
    match (
        cluster::write(context, spawner, &status).await,
        &mut status.answer,
    ) {
        // An answer that nobody can write must not keep the spawner from its work.
        (Err(SpawnerError::Call(error)), Some(answer)) if error.is_refusal() => {
            *answer = Answer {
                request: std::mem::take(&mut answer.request),
                generation: answer.generation,
                reason: Some(SpawnerReason::AnswerRefused.into()),
                message: Some(error.to_string()),
                ..Answer::default()
            };
            cluster::write(context, spawner, &status).await?;
        }
        (written, _) => {
            written?;
        }
    }
    Ok(true)
}

async fn answer(
    context: &Context,
    source: &dyn Source,
    spawner: &TaskSpawner,
    text: &str,
    gate: &mut Gate,
) -> Result<Answer, Fault> {
    let request: Request = text.parse().map_err(|error| {
        refused(
            SpawnerReason::InvalidRequest,
            format!("annotation {}: {error}", labels::REQUEST),
        )
    })?;
    let templates = Templates::parse(spawner).map_err(|error| template_fault(&error))?;
    match request.wanted {
        Wanted::Preview => {
            let (items, more) = preview_of(context, source, spawner, &templates, gate).await?;
            Ok(Answer {
                items,
                more_items: i64::try_from(more).ok().filter(|more| *more > 0),
                ..Answer::default()
            })
        }
        Wanted::Rendering(item) => {
            let item = source.item(context, spawner, item.as_deref()).await?;
            Ok(Answer {
                rendering: Some(rendering(&templates, item)?),
                ..Answer::default()
            })
        }
    }
}

async fn preview_of(
    context: &Context,
    source: &dyn Source,
    spawner: &TaskSpawner,
    templates: &Templates,
    gate: &mut Gate,
) -> Result<(Vec<PreviewItem>, usize), Fault> {
    let tasks = context.stores.tasks_of(spawner);
    let ledger = Ledger::of(&spawner.status.clone().unwrap_or_default());
    let scene = Scene {
        spawner,
        templates,
        tasks: &tasks,
        ledger: &ledger,
        limits: context.limits(spawner),
        filter: None,
    };
    source.preview(context, scene, gate).await
}

fn rendering(templates: &Templates, item: Item) -> Result<Rendering, Fault> {
    let (prompt, branch) = templates
        .render(&item)
        .map_err(|error| refused(render_reason(&error), error.to_string()))?;
    let size = size_in_json(&prompt);
    if size > MAX_PROMPT {
        let message = format!("the prompt has {size} bytes in JSON; more than {MAX_PROMPT} can't be told");
        return Err(refused(SpawnerReason::PromptTooLong, message));
    }
    Ok(Rendering {
        trust: trust(&item),
        item: item.id,
        url: Some(item.url).filter(|url| !url.is_empty()),
        prompt,
        branch,
        comments_left_out: i64::try_from(item.comments_left_out)
            .ok()
            .filter(|number| *number > 0),
    })
}

/// Returns how many bytes a text has in the API server's JSON, which has six for what could be part of HTML.
fn size_in_json(text: &str) -> usize {
    let size = |c: char| match c {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_ascii_control() => 6,
        c => c.len_utf8(),
    };
    text.chars().map(size).sum()
}

fn slow(limit: Duration) -> Fault {
    let message = format!(
        "GitHub gave no whole answer within {limit:?}, the time that a TaskSpawner of more than 16 KiB has: try again, or shorten promptTemplate and podOverrides"
    );
    refused(SpawnerReason::Unreachable, message)
}

pub(crate) fn refused(reason: SpawnerReason, message: String) -> Fault {
    Fault {
        reason,
        message,
        transient: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawner::fixtures::{github, issue};

    #[test]
    fn a_request_is_answered_once_and_its_answer_goes_with_it() {
        let mut spawner = github("fix");
        assert_eq!(duty(&spawner), Pending::None);
        let ask = |spawner: &mut TaskSpawner, text: Option<&str>| {
            spawner.metadata.annotations = text.map(|text| [(labels::REQUEST.into(), text.into())].into());
        };
        ask(&mut spawner, Some("a preview"));
        assert_eq!(duty(&spawner), Pending::Answer("a preview"));
        spawner.status.get_or_insert_default().answer = Some(Answer {
            request: "a preview".into(),
            ..Answer::default()
        });
        assert_eq!(duty(&spawner), Pending::None);
        ask(&mut spawner, Some("b preview"));
        assert_eq!(duty(&spawner), Pending::Answer("b preview"));
        ask(&mut spawner, None);
        assert_eq!(duty(&spawner), Pending::Clear);
    }

    #[test]
    fn what_is_told_is_what_a_task_would_get() {
        let mut spawner = github("fix");
        spawner.spec.task_template.prompt_template = Some("{{.Title}}".into());
        spawner.spec.task_template.branch = Some("axon-task-{{.Number}}".into());
        let templates = Templates::parse(&spawner).unwrap();
        let told = rendering(&templates, issue(7)).unwrap();
        let mark = crate::spawner::plan::match_state::Mark::Unknown;
        let task = crate::spawner::render::task(&spawner, &templates, &issue(7), "fix-7", &mark).unwrap();
        let template = &spawner.spec.task_template;
        assert_eq!(told.trust, task.spec.trust);
        assert_eq!(template.task(told.prompt, told.branch), task.spec);
        let long = Item {
            title: "x".repeat(MAX_PROMPT + 1),
            ..issue(7)
        };
        assert_eq!(
            rendering(&templates, long).unwrap_err().reason,
            SpawnerReason::PromptTooLong
        );
        let of_html = Item {
            title: "<b>".repeat(MAX_PROMPT / 12),
            ..issue(7)
        };
        assert_eq!(
            rendering(&templates, of_html).unwrap_err().reason,
            SpawnerReason::PromptTooLong
        );
    }
}
