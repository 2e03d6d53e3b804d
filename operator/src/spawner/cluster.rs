//! What spawners write to the cluster, and read from it when a decision depends on the latest.
//!
//! Before every write that counts the replica makes sure that it still owns the spawner.

use axon_api::v1alpha1::SpawnerReason;
use std::time::Duration;

use axon_api::shown::make_storable;
use axon_api::v1alpha1::{Claim, TaskSpawner, TaskSpawnerStatus};
use axon_api::{API_VERSION, Task, labels, naming};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource as _, ResourceExt};
use serde_json::json;

use super::plan::ExistingTask;
use super::status::Blocked;
use super::stores::SlimTask;
use crate::kube::call::{CallError, timed};
use crate::kube::impersonation::{Act, IdentityError};
use crate::kube::incomplete::{self, Write};
use crate::kube::watch;
use crate::kube::watch::{Guarded, Listing};
use crate::metrics::Kept;
use crate::spawner::plan::match_state::Mark;
use crate::spawner::state::Context;

/// Why a spawner's work stopped for now. It is taken up again.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerError {
    /// The API server.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Another replica owns the spawner now.
    #[error("another replica runs this spawner")]
    NotOwner,
    /// The spawner was edited or deleted meanwhile, or a Task of its.
    #[error("the spawner or its Tasks were changed meanwhile")]
    Changed,
    /// No Task can be made of it before it is edited.
    #[error("the spawner can't be used: {0}")]
    Unusable(String),
}

impl SpawnerError {
    /// Returns true if the event of a change is on its way, so that nothing needs to be told.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        match self {
            Self::Call(error) => error.is_conflict(),
            Self::NotOwner | Self::Changed => true,
            Self::Unusable(_) => false,
        }
    }
}

/// What became of an attempt to create a Task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there, by this attempt or an earlier one.
    Yes,
    /// It can't be for now.
    Blocked(Blocked),
}

/// Pause before a call that failed for no fault of its own is made once more.
const PAUSE: Duration = Duration::from_millis(300);
/// How often such a call is made.
const TRIES: usize = 4;

/// Fails unless this replica owns the spawner at this moment.
///
/// # Errors
/// [`SpawnerError::NotOwner`].
pub fn must_own(context: &Context, spawner: &TaskSpawner) -> Result<(), SpawnerError> {
    if context.owns(&spawner.uid().unwrap_or_default()) {
        Ok(())
    } else {
        Err(SpawnerError::NotOwner)
    }
}

/// Reads the spawner and then its Tasks from the API server: in this order, see [`super::plan`].
///
/// # Errors
/// [`SpawnerError`], also if the spawner is no longer the one that was looked at.
pub async fn fresh(
    context: &Context,
    spawner: &TaskSpawner,
) -> Result<(TaskSpawner, Vec<ExistingTask>), SpawnerError> {
    let live = whole(context, spawner).await?;
    let live = live
        .filter(|live| live.metadata.generation == spawner.metadata.generation)
        .filter(|live| live.metadata.deletion_timestamp.is_none())
        .ok_or(SpawnerError::Changed)?;
    let (namespace, name) = (spawner.namespace().unwrap_or_default(), spawner.name_any());
    let tasks = SlimTask::url_path(&(), Some(&namespace));
    let own = format!("{}={}", labels::TASK_SPAWNER, naming::label_value(&name));
    Ok((live, known(&context.client, &tasks, &own).await?))
}

/// Reads all of a spawner; `None` if it is gone, or another one has its name.
///
/// # Errors
/// [`SpawnerError`].
pub async fn whole(context: &Context, spawner: &TaskSpawner) -> Result<Option<TaskSpawner>, SpawnerError> {
    let (namespace, name) = (spawner.namespace().unwrap_or_default(), spawner.name_any());
    let read = watch::whole::<TaskSpawner>(&context.client, &namespace, &name);
    let read = timed("get taskspawner", read).await?;
    let Some(read) = read.filter(|read| read.object.uid() == spawner.uid()) else {
        return Ok(None);
    };
    match read.fault {
        Some(fault) => Err(SpawnerError::Unusable(format!("taskTemplate.{fault}"))),
        None => Ok(Some(read.object)),
    }
}

/// Writes the status of the spawner if nobody has written since it was read, and returns it as it is then.
///
/// # Errors
/// [`SpawnerError`].
pub async fn write(
    context: &Context,
    spawner: &TaskSpawner,
    status: &TaskSpawnerStatus,
) -> Result<TaskSpawner, SpawnerError> {
    must_own(context, spawner)?;
    let mut body = json!({
        "apiVersion": API_VERSION,
        "kind": "TaskSpawner",
        // The version makes the write a compare-and-swap.
        "metadata": { "resourceVersion": spawner.resource_version() },
        "status": status,
    });
    // Titles of issues are in it: one bad character would keep every later status from being written.
    make_storable(&mut body);
    let (namespace, name) = (spawner.namespace().unwrap_or_default(), spawner.name_any());
    let mut write = Write::new("status", body).without(context.definitions.lacks("TaskSpawner"));
    let stored = loop {
        context.metrics.spawners.written();
        let call = watch::write_status::<TaskSpawner>(&context.client, &namespace, &name, write.body());
        if let Some(stored) = write.end(timed("write taskspawner status", call).await) {
            break stored;
        }
    };
    if let Err(error) = &stored
        && incomplete::is_malformed(error)
    {
        context.metrics.refused("TaskSpawner", error, Kept::Nothing);
        context
            .events
            .warn_of_spawner(spawner, SpawnerReason::StatusRefused, &error.to_string())
            .await;
    }
    let stored = stored?;
    if let Some((cut, said)) = &stored.cut {
        tracing::warn!(taskspawner = %name, %namespace, without = cut.what(), error = %said, "the API server stores the status in part only");
        context.metrics.refused("TaskSpawner", said, Kept::Part);
        context.definitions.doubt();
        let note = cut.note("status", said);
        context
            .events
            .warn_of_spawner(spawner, SpawnerReason::StatusIncomplete, &note)
            .await;
    }
    Ok(stored.value.object)
}

/// Creates a Task as the namespace's ServiceAccount, or only asks whether that would go well.
///
/// # Errors
/// [`SpawnerError`] if there is no answer; a refusal is a [`Created::Blocked`].
pub async fn create(
    context: &Context,
    spawner: &TaskSpawner,
    claim: &Claim,
    task: &Task,
    dry_run: bool,
) -> Result<Created, SpawnerError> {
    let namespace = spawner.namespace().unwrap_or_default();
    let params = PostParams {
        field_manager: Some(labels::MANAGER.into()),
        dry_run,
    };
    let act = Act {
        namespace: &namespace,
        verb: "create",
        resource: "tasks",
        name: &claim.name,
    };
    let mut tries = 0;
    let error = loop {
        must_own(context, spawner)?;
        let created = context.identity.call(act, async |client| {
            Api::<Task>::namespaced(client, &namespace)
                .create(&params, task)
                .await
        });
        match created.await {
            Ok(_) => return Ok(Created::Yes),
            // A request that fails on the way may have arrived: the next one is told that the Task exists.
            Err(error) if error.is_passing() && tries < TRIES => tries += 1,
            Err(error) => break error,
        }
        tokio::time::sleep(PAUSE * u32::try_from(tries).unwrap_or(1)).await;
    };
    let blocked = |reason, message| {
        Ok(Created::Blocked(Blocked {
            item: claim.item.clone(),
            reason,
            message,
            transient: reason == SpawnerReason::CreateFailed,
            all: matches!(reason, SpawnerReason::AccessDenied | SpawnerReason::QuotaExceeded),
            left_out: false,
            pause: None,
        }))
    };
    if error.is_denied() {
        return blocked(SpawnerReason::AccessDenied, error.to_string());
    }
    if error.is_refused() {
        let text = error.to_string();
        let quota = text.contains("exceeded quota");
        return blocked(
            if quota {
                SpawnerReason::QuotaExceeded
            } else {
                SpawnerReason::TaskRefused
            },
            text,
        );
    }
    match error.said().map(|said| (said.code, said.is_already_exists())) {
        Some((_, true)) => check_namesake(context, spawner, claim).await,
        Some((400 | 413 | 422, _)) => blocked(SpawnerReason::TaskRefused, error.to_string()),
        _ => blocked(SpawnerReason::CreateFailed, error.to_string()),
    }
}

/// A Task of that name exists: is it the one that was to be created?
async fn check_namesake(
    context: &Context,
    spawner: &TaskSpawner,
    claim: &Claim,
) -> Result<Created, SpawnerError> {
    let api = Api::<Task>::namespaced(context.client.clone(), &spawner.namespace().unwrap_or_default());
    let existing = timed("get task", api.get_metadata_opt(&claim.name)).await?;
    let label = |key| existing.as_ref().and_then(|e| e.labels().get(key).cloned());
    let ours = label(labels::TASK_SPAWNER) == Some(naming::label_value(&spawner.name_any()))
        && label(labels::ITEM).is_none_or(|item| item == claim.item);
    if ours {
        return Ok(Created::Yes);
    }
    Ok(Created::Blocked(Blocked {
        item: claim.item.clone(),
        reason: SpawnerReason::NameTaken,
        message: format!(
            "Task {:?} exists and is not this spawner's: delete or rename it, so that the item gets a Task",
            claim.name
        ),
        transient: false,
        all: false,
        left_out: false,
        pause: None,
    }))
}

/// Writes a mark on a Task, if it is still the same one.
///
/// # Errors
/// [`IdentityError`], not if the Task is gone. The next look at the source comes to the same conclusion.
pub async fn mark(
    context: &Context,
    spawner: &TaskSpawner,
    task: &ExistingTask,
    mark: &Mark,
) -> Result<(), IdentityError> {
    if must_own(context, spawner).is_err() {
        return Ok(());
    }
    let namespace = spawner.namespace().unwrap_or_default();
    let patch =
        json!({ "metadata": { "uid": task.uid, "annotations": { labels::MATCH: mark.to_string() } } });
    let act = Act {
        namespace: &namespace,
        verb: "patch",
        resource: "tasks",
        name: &task.name,
    };
    let marked = context.identity.call(act, async |client| {
        let api = Api::<SlimTask>::namespaced(client, &namespace);
        api.patch(&task.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
    });
    match marked.await {
        Err(error) if !error.said().is_some_and(|said| matches!(said.code, 404 | 409)) => Err(error),
        _ => Ok(()),
    }
}

/// Lists Tasks as they all were at one moment.
async fn known(client: &Client, path: &str, selector: &str) -> Result<Vec<ExistingTask>, CallError> {
    let mut begun = 1;
    loop {
        match timed("list tasks", known_at_once(client, path, selector)).await {
            // The API server has forgotten the moment of the first page.
            Err(error) if error.said().is_some_and(|said| said.code == 410) && begun < TRIES => begun += 1,
            known => return known,
        }
    }
}

async fn known_at_once(client: &Client, path: &str, selector: &str) -> kube::Result<Vec<ExistingTask>> {
    let (mut known, mut listing) = (Vec::new(), Listing::new(client.clone(), path, Some(selector)));
    while let Some(json) = listing.next().await? {
        // A Task that can't be read holds a place nonetheless.
        let task = Guarded::<SlimTask>::of_bytes(&json)
            .0
            .map_err(|bad| kube::Error::ReadEvents(std::io::Error::other(bad.error)))?;
        known.push(ExistingTask::from(&task));
    }
    Ok(known)
}
