//! Answers the requests that people write on spawners: reads the source and tells what would be done. Creates nothing.

use axon_api::v1alpha1::SpawnerReason;
use std::time::Duration;

use axon_api::labels;
use axon_api::v1alpha1::{
    Answer, GithubIssues, PreviewItem, PreviewOutcome, Rendering, Request, TaskSpawner, Wanted,
};
use kube::ResourceExt;

use crate::spawner::cluster::SpawnerError;
use crate::spawner::plan::{Ledger, wanted};
use crate::spawner::preview::{LeftOut, MAX_ITEMS, Scene, preview};
use crate::spawner::render::prepare::render_reason;
use crate::spawner::render::{Templates, shows_comments, trust};
use crate::spawner::source::github::approval::{Gate, NOT_NOW, Standing};
use crate::spawner::source::github::reader::{Freshness, Survey};
use crate::spawner::source::item::Item;
use crate::spawner::source::schedule::handled as schedule;
use crate::spawner::spawn::template_fault;
use crate::spawner::state::Context;
use crate::spawner::status::Fault;

/// How old a listing may be that a preview is made of: people ask after they have changed something.
const FRESHNESS: Freshness = Freshness {
    max_age: Duration::ZERO,
    not_before: None,
};
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

impl Context {
    /// Answers the request on a spawner, or takes away the answer to one that is gone. Returns whether it has written. GitHub
    /// is waited for no longer than `limit`.
    ///
    /// # Errors
    /// [`SpawnerError`]; a request that can't be fulfilled is an answer.
    pub async fn attend(
        &self,
        spawner: &TaskSpawner,
        gate: &mut Gate,
        limit: Option<Duration>,
    ) -> Result<bool, SpawnerError> {
        let answer = match duty(spawner) {
            Pending::None => return Ok(false),
            Pending::Clear => None,
            Pending::Answer(text) => {
                let answer = self.answer(spawner, text, gate);
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
        match (self.write(spawner, &status).await, &mut status.answer) {
            // An answer that nobody can write must not keep the spawner from its work.
            (Err(SpawnerError::Call(error)), Some(answer)) if error.is_refusal() => {
                *answer = Answer {
                    request: std::mem::take(&mut answer.request),
                    generation: answer.generation,
                    reason: Some(SpawnerReason::AnswerRefused.into()),
                    message: Some(error.to_string()),
                    ..Answer::default()
                };
                self.write(spawner, &status).await?;
            }
            (written, _) => {
                written?;
            }
        }
        Ok(true)
    }

    async fn answer(&self, spawner: &TaskSpawner, text: &str, gate: &mut Gate) -> Result<Answer, Fault> {
        let request: Request = text.parse().map_err(|error| {
            refused(
                SpawnerReason::InvalidRequest,
                format!("annotation {}: {error}", labels::REQUEST),
            )
        })?;
        let templates = Templates::parse(spawner).map_err(|error| template_fault(&error))?;
        match request.wanted {
            Wanted::Preview => {
                let (items, more) = self.preview(spawner, &templates, gate).await?;
                Ok(Answer {
                    items,
                    more_items: i64::try_from(more).ok().filter(|more| *more > 0),
                    ..Answer::default()
                })
            }
            Wanted::Rendering(item) => {
                let item = self.item(spawner, item.as_deref()).await?;
                Ok(Answer {
                    rendering: Some(rendering(&templates, item)?),
                    ..Answer::default()
                })
            }
        }
    }

    async fn preview(
        &self,
        spawner: &TaskSpawner,
        templates: &Templates,
        gate: &mut Gate,
    ) -> Result<(Vec<PreviewItem>, usize), Fault> {
        let status = spawner.status.clone().unwrap_or_default();
        let tasks = self.stores.tasks_of(spawner);
        let ledger = Ledger::of(&status);
        let scene = Scene {
            spawner,
            templates,
            tasks: &tasks,
            ledger: &ledger,
            limits: self.limits(spawner),
            filter: None,
        };
        if let Some(spec) = &spawner.spec.when.github_issues {
            let surveyed = self.github.survey(spawner, spec, &self.stores, FRESHNESS).await;
            let survey = surveyed.map_err(|unreadable| unreadable.fault)?;
            let scene = Scene {
                filter: Some(&survey.found.filter),
                ..scene
            };
            let left_out = self.left_out(scene, &survey, gate).await?;
            return Ok(preview(scene, &survey.items, &survey.excluded, &left_out));
        }
        let Some(spec) = &spawner.spec.when.cron else {
            return Ok((Vec::new(), 0));
        };
        let look = schedule::look(spawner, spec, &status, self.clock.now())?;
        let runs = look.due.run.into_iter().chain(look.due.next);
        let items: Vec<Item> = runs.map(|run| Item::of_tick(run, &spec.schedule)).collect();
        Ok(preview(scene, &items, &[], &LeftOut::new()))
    }

    /// Returns which of the items that call for a Task may not become one. Who asks has perhaps just changed something about
    /// them, so that nothing counts that was asked before.
    async fn left_out(&self, scene: Scene<'_>, survey: &Survey, gate: &mut Gate) -> Result<LeftOut, Fault> {
        gate.forget();
        let calls_for_one = |item: &&Item| {
            let ids = [item.id.as_str()];
            let wanted = wanted(
                &scene.spawner.name_any(),
                &ids,
                scene.tasks,
                scene.ledger,
                scene.filter,
            );
            !wanted.is_empty()
        };
        let (found, items) = (&survey.found, &survey.items);
        let asked = items.iter().filter(calls_for_one).take(MAX_ITEMS);
        let standings = self.github.sift(found, asked, gate).await;
        let standings =
            standings.map_err(|error| refused(SpawnerReason::ApprovalUnreadable, error.to_string()))?;
        let of = |item: &Item| match standings.get(&item.id)? {
            Standing::LeftOut(why) => {
                let message = found.told(&item.id, *why);
                Some((PreviewOutcome::Excluded, why.reason(), message))
            }
            Standing::NotNow => Some((
                PreviewOutcome::Wait,
                SpawnerReason::AuthorNotChecked,
                NOT_NOW.to_owned(),
            )),
            Standing::Counts | Standing::Ask => None,
        };
        Ok(items
            .iter()
            .filter_map(|item| Some((item.id.clone(), of(item)?)))
            .collect())
    }

    async fn item(&self, spawner: &TaskSpawner, item: Option<&str>) -> Result<Item, Fault> {
        match (&spawner.spec.when.cron, item) {
            (Some(cron), None) => Ok(Item::of_tick(self.clock.now(), &cron.schedule)),
            (Some(_), Some(_)) => Err(refused(
                SpawnerReason::NoItems,
                "a schedule has no items: the template is rendered for the present moment".to_owned(),
            )),
            (None, None) => Err(refused(
                SpawnerReason::ItemMissing,
                "name an issue or pull request by its number, with --item".to_owned(),
            )),
            (None, Some(text)) => {
                let number: u64 = text.parse().map_err(|_| {
                    let message = format!("{text:?} is not the number of an issue or pull request");
                    refused(SpawnerReason::InvalidItem, message)
                })?;
                let spec = spawner.spec.when.github_issues.as_ref();
                let comments = spec
                    .filter(|_| shows_comments(&spawner.spec.task_template))
                    .map(GithubIssues::trusted_with_comments);
                let read = self.github.item(spawner, &self.stores, number, comments.as_ref());
                read.await.map_err(|unreadable| unreadable.fault)
            }
        }
    }
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

fn refused(reason: SpawnerReason, message: String) -> Fault {
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
