//! Makes the Task of a claim, and makes sure that it can be created.

use axon_api::v1alpha1::Claim;
use axon_api::v1alpha1::SpawnerReason;
use axon_api::{Task, TaskSpawner};

use crate::spawner::cluster::{Created, SpawnerError};
use crate::spawner::plan::match_state::Mark;
use crate::spawner::render;
use crate::spawner::render::{RenderError, Templates};
use crate::spawner::round_items::{Items, Work};
use crate::spawner::source::github::approval::{Gate, Standing};
use crate::spawner::source::github::gate::Verdict;
use crate::spawner::source::item::{Item, tick_of};
use crate::spawner::state::Context;
use crate::spawner::status::Blocked;
use axon_github::GithubError;

impl Context {
    /// Makes the Task of a claim, and makes sure that the API server would take it. An item that can't become a Task
    /// takes no room from others, and none of the requests that GitHub allows: whether somebody has approved it is asked
    /// when nothing else stands in the way, and its comments after that.
    ///
    /// # Errors
    /// [`SpawnerError`] if there is no answer; a refusal is a [`Blocked`].
    pub(crate) async fn prepare(
        &self,
        live: &TaskSpawner,
        templates: &Templates,
        work: &Work,
        items: &Items<'_>,
        claim: &Claim,
        gate: &mut Gate,
    ) -> Result<Result<Task, Blocked>, SpawnerError> {
        let blocked = |reason, message, transient| {
            Ok(Err(Blocked {
                item: claim.item.clone(),
                reason,
                message,
                transient,
                all: false,
                left_out: false,
                pause: None,
            }))
        };
        let Some(mut item) = items.get(&claim.item).or_else(|| tick(work, &claim.item)) else {
            let message = "the item is no longer in the match".to_owned();
            return blocked(SpawnerReason::ItemGone, message, !is_known_for_sure(work));
        };
        let mark = match work {
            Work::Github(found) => Mark::new(&found.filter),
            Work::Cron(_) => Mark::Unknown,
        };
        let template = &live.spec.task_template;
        // A limit or a silence keeps what is asked of the others back too.
        let unread = |reason, error: &GithubError| Blocked {
            item: claim.item.clone(),
            reason,
            message: error.to_string(),
            transient: error.is_transient(),
            all: error.is_transient(),
            left_out: false,
            pause: self.github.pause(error),
        };
        if let Work::Github(found) = work {
            // Once: what another spawner learns meanwhile must not make this one skip the question.
            let standing = self.github.standing(found, &item.id, gate);
            if let Some(why) = found.refusal(claim, standing, true) {
                return Ok(Err(why));
            }
            let must_ask = standing == Standing::Ask;
            let shows_comments = render::shows_comments(template) && found.has_comments(&item);
            let mut lacks_text = found.lacks_text(&item);
            if lacks_text && !must_ask {
                if let Err(error) = self.github.add_text(found, &mut item).await {
                    return Ok(Err(unread(SpawnerReason::ItemUnreadable, &error)));
                }
                lacks_text = false;
            }
            if (must_ask || shows_comments) && !lacks_text {
                match render::task(live, templates, &item, &claim.name, &mark) {
                    Ok(task) => {
                        if let Created::Blocked(why) = self.create(live, claim, &task, true).await? {
                            return Ok(Err(why));
                        }
                    }
                    Err(error) if error.depends_on_comments(template) => {}
                    Err(error) => return blocked(render_reason(&error), error.to_string(), false),
                }
            }
            let mut approved = None;
            if must_ask {
                match self.github.approve(found, &mut item, gate).await {
                    Ok(Verdict::Approved(until)) => (lacks_text, approved) = (false, Some(until)),
                    Ok(Verdict::Counts) => {}
                    Ok(Verdict::LeftOut(why)) => return Ok(Err(found.left_out(claim, why))),
                    Err(error) => return Ok(Err(unread(SpawnerReason::ApprovalUnreadable, &error))),
                }
            }
            if lacks_text && let Err(error) = self.github.add_text(found, &mut item).await {
                return Ok(Err(unread(SpawnerReason::ItemUnreadable, &error)));
            }
            if shows_comments {
                let added = self.github.add_comments(found, &mut item, approved).await;
                if let Err(error) = added {
                    return Ok(Err(unread(SpawnerReason::CommentsUnreadable, &error)));
                }
            }
        }
        let task = match render::task(live, templates, &item, &claim.name, &mark) {
            Ok(task) => task,
            Err(error) => return blocked(render_reason(&error), error.to_string(), false),
        };
        match self.create(live, claim, &task, true).await? {
            Created::Yes => Ok(Ok(task)),
            Created::Blocked(why) => Ok(Err(why)),
        }
    }
}

/// Returns the reason that `ItemsBlocked` gives for an item that can't be rendered.
pub(crate) fn render_reason(error: &RenderError) -> SpawnerReason {
    match error {
        RenderError::Template { .. } => SpawnerReason::TemplateFailed,
        RenderError::EmptyPrompt => SpawnerReason::EmptyPrompt,
        RenderError::PromptTooLong { .. } => SpawnerReason::PromptTooLong,
        RenderError::Branch { .. } => SpawnerReason::InvalidBranch,
    }
}

/// A run needs no source to be made again.
fn tick(work: &Work, id: &str) -> Option<Item> {
    match work {
        Work::Cron(cron) => Some(Item::of_tick(tick_of(id)?, &cron.schedule)),
        Work::Github(_) => None,
    }
}

/// Returns whether an item that was not found is not there.
fn is_known_for_sure(work: &Work) -> bool {
    match work {
        Work::Github(found) => found.complete,
        Work::Cron(_) => true,
    }
}
