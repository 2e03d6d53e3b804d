//! The shell of the spawners: which one is looked at when. Runs in every replica; each runs what it owns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::{Cron, TaskSpawner};
use axon_api::{Workspace, go_duration};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use kube_runtime::controller::{self, Action, Config, Controller};
use kube_runtime::reflector::{ObjectRef, store};
use kube_runtime::watcher::Event;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::plan::{Ledger, room, wanted};
use super::render::Templates;
use super::status::{Outcome, Waiting};
use super::stores::{Stores, watch_tasks};
use crate::ha::membership::Membership;
use crate::kube::backoff::Pauses;
use crate::kube::watch::watch_custom;
use crate::kube::watch::{LENT, Scope, is_part};
use crate::slots;
use crate::slots::{Turn, Turns};
use crate::spawner::cluster::ShellError;
use crate::spawner::poll::poll;
use crate::spawner::prefetch;
use crate::spawner::preview::request::is_asked;
use crate::spawner::round_items::Work;
use crate::spawner::source::due_run::pause_before;
use crate::spawner::source::schedule;
use crate::spawner::spawn::template_fault;
use crate::spawner::state::{Context, Memory};
use axon_github::Repository;

/// Most spawners that are looked at at the same time, each with one call at a time.
const CONCURRENCY: u16 = 128;
/// Most polls of GitHub at the same time. A poll of a host that hangs holds a worker for as long as its requests may take, and
/// schedules need workers too.
const POLLS: usize = 64;
/// Of them, those of one host. A request takes one of sixteen places there.
const POLLS_PER_HOST: usize = 32;
/// Shortest poll interval.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Longest poll interval: what is added to a moment must not overflow.
const MAX_INTERVAL: Duration = Duration::from_secs(366 * 24 * 3600);
/// Poll interval of a spawner whose own can't be read.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
/// Most time over which the first polls of a replica that takes spawners over are spread.
const SPREAD: Duration = Duration::from_secs(3);
/// Shortest time between two polls when a Task's end makes room.
const REFILL_PAUSE: Duration = Duration::from_secs(5);
/// Pause before work that failed half-way is taken up again.
const AGAIN: Duration = Duration::from_millis(700);
/// Pause before a look at whether a spawner of another replica is this one's by now.
const NOT_OWNED: Duration = Duration::from_secs(10);
/// Longest pause, in case a broken watch has lost an event.
const LONGEST: Duration = Duration::from_secs(300);

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

/// A spawner with all that its user wrote, and the place that a large one takes.
struct Held {
    spawner: Arc<TaskSpawner>,
    place: Option<Turn>,
}

async fn reconcile(kept: Arc<TaskSpawner>, context: Arc<Context>) -> Result<Action, ShellError> {
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
            spawner: Arc::new(context.whole(&kept).await?.ok_or(ShellError::Changed)?),
            place: Some(place),
        }
    } else {
        Held {
            spawner: Arc::clone(&kept),
            place: None,
        }
    };
    let memory = context.memories.of(&kept);
    let mut memory = memory.lock().await;
    let pause = look(&kept, held, &context, &mut memory).await?;
    Ok(Action::requeue(pause.min(LONGEST)))
}

/// Looks at a spawner, does what is due, and returns when to look again.
async fn look(
    kept: &TaskSpawner,
    held: Held,
    context: &Context,
    memory: &mut Memory,
) -> Result<Duration, ShellError> {
    let spawner = &*held.spawner;
    if memory.generation != spawner.metadata.generation {
        let taken_over = memory.generation.is_none()
            && spawner
                .status
                .as_ref()
                .is_some_and(|s| s.observed_generation == spawner.metadata.generation);
        memory.generation = spawner.metadata.generation;
        memory.outcome = None;
        memory.blocked.clear();
        memory.failures = 0;
        memory.ahead = None;
        memory.late = None;
        if !taken_over {
            // Whoever edits or resumes a spawner expects it to go by what is the case then.
            memory.wants_news_since(Instant::now());
        }
        // Spawners that are taken over, all at once perhaps, need not all be looked at in the same moment.
        memory.next_poll = (taken_over && spawner.spec.when.cron.is_none())
            .then(|| Instant::now() + SPREAD.mul_f64(rand::random_range(0.0..1.0)));
    }
    let Ok(_turn) = turn(spawner, context, memory) else {
        return Ok(slots::pause(rand::random()));
    };
    remember_tasks(spawner, context, memory);
    let limit = held.place.as_ref().map(|_| LENT);
    if context.attend(spawner, &mut memory.gate, limit).await? {
        // The event of that write comes first; what is due is done then.
        return Ok(AGAIN);
    }
    let templates = match Templates::parse(spawner) {
        Ok(templates) => templates,
        Err(error) => {
            let outcome = Outcome {
                template_fault: Some(template_fault(&error)),
                ..memory.outcome.take().unwrap_or_default()
            };
            publish(spawner, context, memory, outcome).await?;
            return Ok(LONGEST);
        }
    };
    match (&spawner.spec.when.cron, &spawner.spec.when.github_issues) {
        (_, Some(_)) => look_at_github(kept, held, context, memory, templates).await,
        (Some(_), None) => {
            let is_large = held.place.is_some();
            look_at_clock(spawner, context, memory, &templates, is_large).await
        }
        // The CRD's rules allow no such spawner.
        (None, None) => Ok(LONGEST),
    }
}

/// Returns the right to look at GitHub, if the spawner is to look there now.
///
/// # Errors
/// If none is free: nothing was done, and everything is as due as it was.
fn turn(spawner: &TaskSpawner, context: &Context, memory: &Memory) -> Result<Option<Turn>, ()> {
    if spawner.spec.when.github_issues.is_none() {
        return Ok(None);
    }
    let workspace = workspace(spawner, context);
    let version = workspace.as_ref().and_then(|w| w.resource_version());
    let is_elsewhere = memory.last_poll.is_some() && version != memory.workspace;
    let suspended = context.limits(spawner).suspended;
    if !is_elsewhere && !is_due(suspended, memory, Instant::now()) && !is_asked(spawner) {
        return Ok(None);
    }
    let host = workspace.and_then(|workspace| Repository::of(&workspace.spec.repo).ok());
    let host = host.map(|repository| repository.host).unwrap_or_default();
    let namespace = spawner.namespace().unwrap_or_default();
    let turn = context.turns.take(&host, &namespace, Instant::now());
    turn.map(Some).ok_or(())
}

/// Returns whether it is time for a spawner to look at GitHub. One that is paused looks once after each edit, so that it
/// shows what it would do; until that works.
fn is_due(suspended: bool, memory: &Memory, now: Instant) -> bool {
    match memory.next_poll {
        None => true,
        Some(at) if suspended => !memory.has_read() && now >= at,
        Some(at) => now >= at,
    }
}

/// Notes since when each Task is known.
fn remember_tasks(spawner: &TaskSpawner, context: &Context, memory: &mut Memory) {
    let (tasks, now) = (context.stores.tasks_of(spawner), context.clock.now());
    memory.forgets_gone(&tasks, Instant::now());
    for task in &tasks {
        memory.seen.entry(task.uid.clone()).or_insert(now);
    }
}

/// Writes what is known without asking the API server first.
async fn publish(
    spawner: &TaskSpawner,
    context: &Context,
    memory: &mut Memory,
    outcome: Outcome,
) -> Result<(), ShellError> {
    let tasks = context.stores.tasks_of(spawner);
    let published = context
        .publish(spawner.status.as_ref(), spawner, &tasks, &outcome)
        .await;
    memory.active = tasks.iter().filter(|t| !t.ended).count();
    memory.outcome = Some(outcome);
    published
}

async fn look_at_github(
    kept: &TaskSpawner,
    held: Held,
    context: &Context,
    memory: &mut Memory,
    templates: Templates,
) -> Result<Duration, ShellError> {
    let spawner = &*held.spawner;
    let Some(spec) = spawner.spec.when.github_issues.clone() else {
        return Ok(LONGEST);
    };
    let interval = interval(spawner);
    let now = Instant::now();
    let suspended = context.limits(spawner).suspended;
    let workspace = workspace(spawner, context).and_then(|workspace| workspace.resource_version());
    let is_elsewhere = memory.last_poll.is_some() && workspace != memory.workspace;
    if is_elsewhere {
        memory.wants_news_since(now);
        memory.late = None;
    }
    if !is_elsewhere && !is_due(suspended, memory, now) {
        refill(spawner, context, memory);
        if let Some(outcome) = memory.outcome.clone() {
            publish(spawner, context, memory, outcome).await?;
        }
        return Ok(until(memory.next_poll, now, suspended && memory.has_read()));
    }
    memory.workspace = workspace;
    let polled = match memory.take_late() {
        Some(late) => late,
        None => {
            let mut polling = Box::pin(poll(context, kept, &spec, memory, interval));
            let limit = held.place.as_ref().map(|_| LENT);
            match within(limit, &mut polling).await {
                Some(polled) => polled,
                None => {
                    // The large spawners of others do not wait for GitHub.
                    drop((held, templates));
                    let late = polling.await;
                    memory.next_poll = None;
                    memory.late = Some(late);
                    return Ok(Duration::ZERO);
                }
            }
        }
    };
    let (mut found, mut outcome, pause) = polled;
    memory.next_poll = Some(Instant::now() + pause);
    if let Some(found) = found.as_mut().filter(|_| held.place.is_some()) {
        found.asks_until(Instant::now() + LENT);
    }
    let Some(found) = found else {
        publish(spawner, context, memory, outcome).await?;
        return Ok(until(memory.next_poll, Instant::now(), false));
    };
    let tasks = context.stores.tasks_of(spawner);
    outcome
        .blocked
        .extend(context.write_marks(spawner, &found, &tasks, memory).await);
    let ids: Vec<&str> = found.ids.iter().map(String::as_str).collect();
    let ledger = Ledger::of(&spawner.status.clone().unwrap_or_default());
    let new = wanted(&spawner.name_any(), &ids, &tasks, &ledger, Some(&found.filter));
    if new.is_empty() && ledger.claims.is_empty() {
        publish(spawner, context, memory, outcome).await?;
        return Ok(until(memory.next_poll, Instant::now(), suspended));
    }
    let work = Work::Github(found);
    spawn(spawner, context, memory, &templates, &work, &mut outcome).await?;
    Ok(until(memory.next_poll, Instant::now(), suspended))
}

/// Waits for `future`, but no longer than `limit`.
async fn within<F: Future + Unpin>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        None => Some(future.await),
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
    }
}

async fn spawn(
    spawner: &TaskSpawner,
    context: &Context,
    memory: &mut Memory,
    templates: &Templates,
    work: &Work,
    outcome: &mut Outcome,
) -> Result<(), ShellError> {
    // Whatever fails below is tried again soon, also if the poll itself is not due.
    let planned = memory.next_poll;
    memory.next_poll = Some(sooner(planned, AGAIN));
    let run = matches!(work, Work::Cron(_)).then(|| context.crowd.enter());
    let done = Box::pin(context.spawn(spawner, templates, work, memory, outcome)).await?;
    if let Some(run) = run {
        drop(run);
        context.crowd.passes().await;
    }
    memory.next_poll = done.again.map_or(planned, |pause| Some(sooner(planned, pause)));
    let ledger = Ledger::of(&done.live.status.clone().unwrap_or_default());
    memory.active = super::plan::active(&done.tasks, &ledger);
    memory.outcome = Some(outcome.clone());
    context
        .publish(spawner.status.as_ref(), &done.live, &done.tasks, outcome)
        .await
}

/// Returns the moment after a pause, or the planned one if that comes first.
fn sooner(planned: Option<Instant>, pause: Duration) -> Instant {
    let at = Instant::now() + pause;
    planned.map_or(at, |planned| planned.min(at))
}

/// Returns the Workspace that names the repository.
fn workspace(spawner: &TaskSpawner, context: &Context) -> Option<Arc<Workspace>> {
    let name = &spawner.spec.task_template.workspace_ref.as_ref()?.name;
    let reference = ObjectRef::new(name).within(&spawner.namespace()?);
    context.stores.workspaces.get(&reference)
}

/// A Task has ended, and items wait for room: they need not wait for the next poll.
fn refill(spawner: &TaskSpawner, context: &Context, memory: &mut Memory) {
    let waits = memory
        .outcome
        .as_ref()
        .is_some_and(|o| o.waiting.count > 0 && o.source_fault.is_none());
    let tasks = context.stores.tasks_of(spawner);
    let active = tasks.iter().filter(|t| !t.ended).count();
    let ledger = Ledger::of(&spawner.status.clone().unwrap_or_default());
    let free = room(&tasks, &ledger, context.limits(spawner)).free;
    if waits && active < memory.active && free > 0 {
        let at = memory
            .last_poll
            .map_or_else(Instant::now, |last| last + REFILL_PAUSE);
        memory.next_poll = memory.next_poll.map(|next| next.min(at));
        memory.wants_news_since(Instant::now());
    }
    memory.active = active;
}

async fn look_at_clock(
    spawner: &TaskSpawner,
    context: &Context,
    memory: &mut Memory,
    templates: &Templates,
    is_large: bool,
) -> Result<Duration, ShellError> {
    let Some(spec) = &spawner.spec.when.cron else {
        return Ok(LONGEST);
    };
    let status = spawner.status.clone().unwrap_or_default();
    let source = Some(format!("cron {}", spec.schedule));
    let look = match schedule::look(spawner, spec, &status, context.clock.now()) {
        Ok(look) => look,
        Err(fault) => {
            let outcome = Outcome {
                source,
                source_fault: Some(fault),
                ..Outcome::default()
            };
            publish(spawner, context, memory, outcome).await?;
            return Ok(LONGEST);
        }
    };
    let mut outcome = Outcome {
        source,
        discovered: Some(usize::from(
            look.due.run.is_some() || status.last_run_time.is_some(),
        )),
        next_run: look.due.next,
        ..Outcome::default()
    };
    let ledger = Ledger::of(&status);
    let tasks = context.stores.tasks_of(spawner);
    let limits = context.limits(spawner);
    let has_room = room(&tasks, &ledger, limits).free > 0;
    let retry_at = memory.next_poll.take().filter(|at| *at > Instant::now());
    let may_try = retry_at.is_none() || memory.outcome.as_ref().is_none_or(|o| o.blocked.is_empty());
    let work_to_do = look.due.run.is_some() && has_room || !ledger.claims.is_empty();
    if work_to_do && !limits.suspended && may_try {
        let work = Work::Cron(spec.clone());
        spawn(spawner, context, memory, templates, &work, &mut outcome).await?;
    } else {
        memory.next_poll = retry_at;
        if let (Some(run), false) = (look.item(spec), limits.suspended) {
            let ids = [run.id.as_str()];
            let claims = wanted(&spawner.name_any(), &ids, &tasks, &ledger, None);
            outcome.waiting = Waiting::of(&claims, |_| Some(run.title.clone()));
            if let Some(old) = &memory.outcome {
                outcome.blocked.clone_from(&old.blocked);
            }
        }
        let mut begun = spawner.clone();
        look.begin(begun.status.get_or_insert_default());
        let published = context
            .publish(spawner.status.as_ref(), &begun, &tasks, &outcome)
            .await;
        memory.outcome = Some(outcome);
        published?;
    }
    if let Some(run) = look.due.next
        && !limits.suspended
        && has_room
        && ledger.claims.is_empty()
        // What is ready stays in memory until the run is due, which a place is too scarce for.
        && !is_large
    {
        get_ready(spawner, context, memory, templates, spec, run).await;
    }
    let now = context.clock.now();
    let lead = prefetch::lead(rand::random());
    let to_tick = look.due.next.map(|next| pause_before(next, now, lead));
    let retry = memory
        .next_poll
        .map(|at| at.saturating_duration_since(Instant::now()));
    Ok(to_tick.into_iter().chain(retry).min().unwrap_or(LONGEST))
}

/// Makes the next run of a schedule ready if it is near.
async fn get_ready(
    spawner: &TaskSpawner,
    context: &Context,
    memory: &mut Memory,
    templates: &Templates,
    cron: &Cron,
    run: Timestamp,
) {
    let is_ready = memory.ahead.as_ref().is_some_and(|ahead| ahead.is_for(run));
    if is_ready || !prefetch::is_near(run, context.clock.now()) {
        return;
    }
    // The run does not wait for what is to make it faster.
    let left = Duration::try_from(run.duration_since(context.clock.now())).unwrap_or_default();
    let ready = tokio::time::timeout(left, context.get_ready(spawner, templates, cron, run));
    memory.ahead = match ready.await {
        Ok(Ok(ahead)) => ahead,
        Ok(Err(error)) => {
            tracing::debug!(taskspawner = %spawner.name_any(), %error, "a run is not ready before its time");
            None
        }
        Err(_) => None,
    };
}

fn until(next: Option<Instant>, now: Instant, idle: bool) -> Duration {
    if idle {
        return LONGEST;
    }
    next.map_or(LONGEST, |at| at.saturating_duration_since(now))
}

fn interval(spawner: &TaskSpawner) -> Duration {
    go_duration::parse(&spawner.spec.poll_interval)
        .unwrap_or(DEFAULT_INTERVAL)
        .clamp(MIN_INTERVAL, MAX_INTERVAL)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the Controller's")]
fn on_error(spawner: Arc<TaskSpawner>, error: &ShellError, context: Arc<Context>) -> Action {
    let (name, namespace) = (spawner.name_any(), spawner.namespace().unwrap_or_default());
    if error.is_ordinary() {
        tracing::debug!(taskspawner = %name, %namespace, %error, "will look again");
        return Action::requeue(Duration::from_millis(500).mul_f64(rand::random_range(0.5..1.5)));
    }
    context.metrics.reconcile_errors.inc();
    tracing::warn!(taskspawner = %name, %namespace, %error, "will try again");
    Action::requeue(Duration::from_secs(2).mul_f64(rand::random_range(0.5..1.5)))
}
