//! Makes the Task of a claim, and makes sure that it can be created.

use axon_api::v1alpha1::{Claim, SpawnerReason};
use axon_api::{Task, TaskSpawner};

use crate::spawner::cluster::{self, Created, SpawnerError};
use crate::spawner::plan::match_state::Mark;
use crate::spawner::render::{self, RenderError, Templates};
use crate::spawner::source::github::approval::Gate;
use crate::spawner::source::{Admission, PolledItems};
use crate::spawner::state::Context;
use crate::spawner::status::Blocked;

/// Makes the Task of a claim, and makes sure that the API server would take it. An item that can't become a Task
/// takes no room from others, and none of the requests that GitHub allows: whether somebody has approved it is asked
/// when nothing else stands in the way, and its comments after that.
///
/// # Errors
/// [`SpawnerError`] if there is no answer; a refusal is a [`Blocked`].
pub(crate) async fn prepare(
    context: &Context,
    live: &TaskSpawner,
    templates: &Templates,
    items: &dyn PolledItems,
    claim: &Claim,
    gate: &mut Gate,
) -> Result<Result<Task, Blocked>, SpawnerError> {
    let Some(mut item) = items.item(&claim.item) else {
        let message = "the item is no longer in the match".to_owned();
        return Ok(Err(blocked(
            claim,
            SpawnerReason::ItemGone,
            message,
            !items.is_complete(),
        )));
    };
    let mark = items.filter().map_or(Mark::Unknown, Mark::new);
    let admission = Admission {
        context,
        live,
        templates,
        claim,
        mark: &mark,
    };
    if let Err(why) = items.admit(admission, &mut item, gate).await? {
        return Ok(Err(why));
    }
    let task = match render::task(live, templates, &item, &claim.name, &mark) {
        Ok(task) => task,
        Err(error) => {
            return Ok(Err(blocked(
                claim,
                render_reason(&error),
                error.to_string(),
                false,
            )));
        }
    };
    match cluster::create(context, live, claim, &task, true).await? {
        Created::Yes => Ok(Ok(task)),
        Created::Blocked(why) => Ok(Err(why)),
    }
}

/// Returns that the item of a claim, and no other, can't become a Task.
pub(crate) fn blocked(claim: &Claim, reason: SpawnerReason, message: String, transient: bool) -> Blocked {
    Blocked {
        item: claim.item.clone(),
        reason,
        message,
        transient,
        all: false,
        left_out: false,
        pause: None,
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
