//! The controller of TaskSpawners. It runs in every replica, and reconciles those that the replica owns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::TaskSpawner;
use futures::{StreamExt, stream};
use kube::ResourceExt;
use kube_runtime::controller::{self, Action, Config, Controller};
use kube_runtime::reflector::store;
use kube_runtime::watcher::Event;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::cluster::{self, SpawnerError};
use super::pass::{AGAIN, Held, LONGEST, Pass, publish_outcome};
use super::preview::request::answer_request;
use super::render::Templates;
use super::source;
use super::spawn::template_fault;
use super::state::{Context, SpawnerState};
use super::status::PollOutcome;
use super::stores::{Stores, watch_tasks};
use crate::ha::membership::Membership;
use crate::kube::backoff::Pauses;
use crate::kube::watch::{LENT, Scope, is_part, watch_custom};
use crate::slots;
use crate::slots::Turns;

/// Most spawners that are looked at at the same time, each with one call at a time.
const CONCURRENCY: u16 = 128;
/// Most polls of GitHub at the same time. A poll of a host that hangs holds a worker for as long as its requests may take, and
/// schedules need workers too.
const POLLS: usize = 64;
/// Of them, those of one host. A request takes one of sixteen places there.
const POLLS_PER_HOST: usize = 32;
/// Most time over which the first polls of a replica that takes spawners over are spread.
const SPREAD: Duration = Duration::from_secs(3);
/// Pause before a look at whether a spawner of another replica is this one's by now.
const NOT_OWNED: Duration = Duration::from_secs(10);

/// Runs the spawners until the returned future is dropped. `build` makes the context around the stores; `filled` becomes
/// true when those were read.
pub async fn run(
    members: watch::Receiver<Option<Membership>>,
    client: kube::Client,
    scope: &Scope,
    filled: watch::Sender<bool>,
    build: impl FnOnce(Stores) -> Context,
) {
    let (spawners, spawner_writer) = store::store();
    let (tasks, task_writer) = store::store();
    let (workspaces, workspace_writer) = store::store();
    let stores = Stores {
        spawners,
        tasks,
        workspaces,
    };
    let context = Arc::new(build(stores.clone()));
    let changes = stream::unfold(members, |mut members| async move {
        members.changed().await.ok()?;
        members.borrow_and_update();
        Some(((), members))
    });
    let (of_task, of_workspace) = (stores.clone(), stores.clone());
    let (gate, filling) = watch::channel(false);
    let fill = {
        let stores = stores.clone();
        async move {
            // An error means that the writer is gone, so that everything is ending anyway.
            let _ = tokio::join!(
                stores.tasks.wait_until_ready(),
                stores.workspaces.wait_until_ready()
            );
            gate.send_replace(true);
            let _ = stores.spawners.wait_until_ready().await;
            filled.send_replace(true);
            std::future::pending::<()>().await;
        }
    };
    let forgetting = Arc::clone(&context);
    let spawner_stream = watch_custom(client.clone(), scope, spawner_writer, {
        // Of what is deleted while the watch is broken no event tells: the list that follows does.
        let listed = Mutex::new(BTreeSet::new());
        move |event| {
            let mut listed = listed.lock();
            match event {
                Event::Delete(spawner) => forgetting.let_go(&spawner.uid().unwrap_or_default()),
                Event::Init => listed.clear(),
                Event::InitApply(spawner) => listed.extend(spawner.uid()),
                Event::InitDone => forgetting.keep_only(&std::mem::take(&mut listed)),
                Event::Apply(_) => {}
            }
        }
    });
    let controller = Controller::for_stream(spawner_stream, stores.spawners.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(Pauses::of_triggers())
        .watches_stream(watch_tasks(client.clone(), scope, task_writer), move |task| {
            of_task.spawner_of(&task)
        })
        .watches_stream(
            watch_custom(client, scope, workspace_writer, |_| {}),
            move |workspace| of_workspace.spawners_naming(&workspace),
        )
        .reconcile_all_on(changes)
        .run(
            move |spawner, context| {
                let mut filling = filling.clone();
                async move {
                    // Half-filled stores would show missing objects that are there.
                    let _ = filling.wait_for(|filled| *filled).await;
                    Box::pin(reconcile(spawner, context)).await
                }
            },
            on_error,
            context,
        )
        .for_each(|result| async {
            match result {
                Ok(_)
                | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(%error, "a watch is broken and is set up again"),
            }
        });
    tokio::select! { () = controller => {}, () = fill => {} }
}

/// Returns the right to poll GitHub of a replica.
#[must_use]
pub fn turns() -> Turns {
    Turns::new(POLLS, POLLS_PER_HOST)
}

async fn reconcile(kept: Arc<TaskSpawner>, context: Arc<Context>) -> Result<Action, SpawnerError> {
    let uid = kept.uid().unwrap_or_default();
    if !context.owns(&uid) || kept.metadata.deletion_timestamp.is_some() {
        context.let_go(&uid);
        // Usually a change of the members tells that it came back.
        return Ok(Action::requeue(NOT_OWNED));
    }
    context.metrics.spawners.owned(&kept);
    let held = if is_part(&kept.metadata) {
        let Some(place) = context.large.take(&kept.namespace().unwrap_or_default()) else {
            return Ok(Action::requeue(slots::pause(rand::random())));
        };
        Held {
            spawner: Arc::new(
                cluster::whole(&context, &kept)
                    .await?
                    .ok_or(SpawnerError::Changed)?,
            ),
            place: Some(place),
        }
    } else {
        Held {
            spawner: Arc::clone(&kept),
            place: None,
        }
    };
    let state = context.states.of(&kept);
    let mut state = state.lock().await;
    let pause = reconcile_owned(&kept, held, &context, &mut state).await?;
    Ok(Action::requeue(pause.min(LONGEST)))
}

/// Does what is due for a TaskSpawner that this replica owns, and returns how long to wait until the next reconcile.
async fn reconcile_owned(
    kept: &TaskSpawner,
    held: Held,
    context: &Context,
    state: &mut SpawnerState,
) -> Result<Duration, SpawnerError> {
    let spawner = &*held.spawner;
    // The CRD's rules allow no TaskSpawner without a source.
    let Some(source) = source::of(&spawner.spec.when) else {
        return Ok(LONGEST);
    };
    if state.generation != spawner.metadata.generation {
        let taken_over = state.generation.is_none()
            && spawner
                .status
                .as_ref()
                .is_some_and(|s| s.observed_generation == spawner.metadata.generation);
        state.generation = spawner.metadata.generation;
        state.outcome = None;
        state.blocked.clear();
        state.failures = 0;
        state.ahead = None;
        state.late = None;
        if !taken_over {
            // Whoever edits or resumes a spawner expects it to go by what is the case then.
            state.require_listing_after(Instant::now());
        }
        // Spawners that are taken over, all at once perhaps, need not all be looked at in the same moment.
        state.next_poll = (taken_over && source.spreads_first_polls())
            .then(|| Instant::now() + SPREAD.mul_f64(rand::random_range(0.0..1.0)));
    }
    let Ok(_turn) = source.take_slot(spawner, context, state) else {
        return Ok(slots::pause(rand::random()));
    };
    remember_tasks(spawner, context, state);
    let limit = held.place.as_ref().map(|_| LENT);
    if answer_request(context, &*source, spawner, &mut state.gate, limit).await? {
        // The event of that write comes first; what is due is done then.
        return Ok(AGAIN);
    }
    let templates = match Templates::parse(spawner) {
        Ok(templates) => templates,
        Err(error) => {
            let outcome = PollOutcome {
                template_fault: Some(template_fault(&error)),
                ..state.outcome.take().unwrap_or_default()
            };
            publish_outcome(spawner, context, state, outcome).await?;
            return Ok(LONGEST);
        }
    };
    let pass = Pass {
        kept,
        held,
        context,
        state,
        templates,
    };
    source.reconcile(pass).await
}

/// Notes since when each Task is known.
fn remember_tasks(spawner: &TaskSpawner, context: &Context, state: &mut SpawnerState) {
    let (tasks, now) = (context.stores.tasks_of(spawner), context.clock.now());
    state.forget_gone(&tasks, Instant::now());
    for task in &tasks {
        state.seen.entry(task.uid.clone()).or_insert(now);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the Controller's")]
fn on_error(spawner: Arc<TaskSpawner>, error: &SpawnerError, context: Arc<Context>) -> Action {
    let (name, namespace) = (spawner.name_any(), spawner.namespace().unwrap_or_default());
    if error.is_ordinary() {
        tracing::debug!(taskspawner = %name, %namespace, %error, "will look again");
        return Action::requeue(Duration::from_millis(500).mul_f64(rand::random_range(0.5..1.5)));
    }
    context.metrics.reconcile_errors.inc();
    tracing::warn!(taskspawner = %name, %namespace, %error, "will try again");
    Action::requeue(Duration::from_secs(2).mul_f64(rand::random_range(0.5..1.5)))
}
