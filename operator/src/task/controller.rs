//! The Task controller: sets up the watches, and drives observe, decide and apply for each reconcile.

use std::sync::Arc;

use std::time::Duration;

use axon_api::{AgentConfig, Task, Workspace};
use futures::StreamExt;
use futures::channel::mpsc;
use kube::{Client, ResourceExt};
use kube_runtime::controller::{self, Action, Config, Controller};
use kube_runtime::reflector::{ObjectRef, store};
use kube_runtime::watcher::Event;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::apply::{self, Applied};
use super::branch_lock;
use super::context::{Context, Failures, Options};
use crate::budget::keeper::Keeper;
use crate::budget::sweep;
use crate::kube::backoff::Pauses;
use crate::kube::call::CallError;
use crate::kube::events::Events;
use crate::kube::watch::watch_custom;
use crate::kube::watch::{LENT, is_large};
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::slots;
use crate::task::apply::job_burst::JobBurst;
use crate::task::apply::network_policy::Network;
use crate::task::budget;
use crate::task::build::prompt;
use crate::task::decide::{Decision, decide};
use crate::task::github_token::fetch;
use crate::task::github_token::revoke;
use crate::task::github_token::rules;
use crate::task::github_token::rules::{Step, Token};
use crate::task::observe::expectations;
use crate::task::observe::expectations::Expectations;
use crate::task::observe::full_objects;
use crate::task::observe::index::{Dependents, JobsAndPods, Key, namespaced_name};
use crate::task::observe::kept_task::must_be_whole;
use crate::task::observe::pod;
use crate::task::observe::stores::{Readiness, Stores, task_of, watch_jobs, watch_named, watch_pods};
use crate::task::observe::{gather, has_ended, referenced};
use axon_github::clock::Clock;

/// Most Tasks that are worked on at the same time.
const CONCURRENCY: u16 = 32;

/// Runs the controller until the returned future is dropped.
pub async fn run(
    client: Client,
    shared: Shared,
    options: Options,
    clock: Clock,
    metrics: Metrics,
    events: Events,
) {
    let (tasks, task_writer) = store::store();
    let (workspaces, workspace_writer) = store::store();
    let (agent_configs, agent_config_writer) = store::store();
    let scope = shared.scope.clone();
    let stores = Stores {
        tasks,
        jobs: JobsAndPods::default(),
        dependents: Dependents::default(),
        workspaces,
        agent_configs,
    };
    let (budgets, budget_writer) = store::store();
    let (readiness, filled) = Readiness::of(5);
    let (wake, woken) = mpsc::unbounded();
    let wake_for_budgets = wake.clone();

    let keeper = Keeper::new(
        client.clone(),
        clock.clone(),
        budgets,
        stores.tasks.clone(),
        options.record_retention,
    );
    let failures: Failures = Arc::default();
    let expectations: Arc<Expectations> = Arc::default();
    let network = Network::new(client.clone(), options.agent_network.clone());
    let (waking, forgetting, gone) = (stores.clone(), Arc::clone(&failures), Arc::clone(&expectations));
    let (doubting, waits) = (network.clone(), keeper.clone());
    let task_stream = watch_custom(client.clone(), &scope, task_writer, move |event| {
        waking.dependents.apply(event);
        if let Event::Delete(task) = event {
            gone.forget(task);
            waits.forget(task);
            doubting.doubt(&task.namespace().unwrap_or_default());
            forgetting.lock().remove(&ObjectRef::from_obj(task));
        }
        for waiting in waking.woken_by(event) {
            let _ = wake.unbounded_send(waiting);
        }
    });
    let (of_budget, wake_for_room) = (keeper.clone(), wake_for_budgets);
    let budget_stream = budget::watch(
        client.clone(),
        &scope,
        budget_writer,
        filled.clone(),
        move |budget| {
            for waiting in of_budget.woken_by(budget) {
                let _ = wake_for_room.unbounded_send(waiting);
            }
        },
    );
    let sweep = sweep::run(keeper.clone());
    let (of_workspace, of_config) = (stores.dependents.clone(), stores.dependents.clone());
    let context = Arc::new(Context {
        client: client.clone(),
        shared,
        stores: stores.clone(),
        readiness,
        options,
        clock,
        metrics,
        events,
        branch_claims: Mutex::default(),
        job_burst: JobBurst::default(),
        network,
        keeper,
        expectations,
        ending: Semaphore::new(revoke::AT_ONCE),
        minting: fetch::places(),
        failures,
        late_tokens: Mutex::default(),
    });
    let _shown = context.metrics.backlog.show(stores.tasks.clone());
    let controller = Controller::for_stream(task_stream, stores.tasks.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(Pauses::of_triggers())
        .watches_stream_with(
            watch_jobs(client.clone(), &scope, stores.jobs.clone(), filled.clone()),
            |job| task_of(&job),
            pod::jobs(),
        )
        .watches_stream(
            watch_pods(
                client.clone(),
                &scope,
                stores.jobs.clone(),
                stores.tasks.clone(),
                filled.clone(),
            ),
            |pod| task_of(&pod),
        )
        .watches_stream(
            watch_named(client.clone(), &scope, workspace_writer, filled.clone()),
            move |workspace: Workspace| of_workspace.of_key(&Key::Workspace(namespaced_name(&workspace))),
        )
        .watches_stream(
            watch_named(client, &scope, agent_config_writer, filled),
            move |config: AgentConfig| of_config.of_key(&Key::AgentConfig(namespaced_name(&config))),
        )
        .reconcile_on(woken)
        .run(reconcile, on_error, context)
        .for_each(|result| async {
            match result {
                // `on_error` has told of it, or the Task is gone.
                Ok(_)
                | Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(%error, "a watch is broken and is set up again"),
            }
        });
    tokio::select! {
        () = Box::pin(controller) => {}
        () = budget_stream => {}
        () = sweep => {}
    }
}

async fn reconcile(kept: Arc<Task>, context: Arc<Context>) -> Result<Action, CallError> {
    // Half-filled stores would show missing objects that are there.
    context.readiness.wait().await;
    let _measured = context.metrics.reconcile();
    if context.expectations.is_outdated(&kept) {
        return Ok(Action::requeue(expectations::PAUSE));
    }
    let workspace = referenced(
        &kept,
        &context.stores.workspaces,
        kept.spec.workspace_ref.as_ref(),
    );
    let needs_place = needs_place(&kept, workspace.as_deref(), &context);
    let place = match needs_place.then(|| context.shared.large.take(&kept.namespace().unwrap_or_default())) {
        Some(None) => return Ok(Action::requeue(crowded(rand::random()))),
        place => place.flatten(),
    };
    let task = if must_be_whole(&kept) {
        match full_objects::full_task(&kept, &context).await? {
            Some(whole) => Arc::new(whole.object),
            None => return Ok(Action::requeue(backoff(1))),
        }
    } else {
        Arc::clone(&kept)
    };
    let mut token = context.late_token(&kept);
    // Reserved once, also if a token has to be fetched in between.
    let mut admitted = None;
    let done = loop {
        match attempt(&task, &context, workspace.clone(), &token, &mut admitted).await? {
            Some(done) => break done,
            // Outside the attempt: what GitHub takes its time for must not hold a branch.
            None if token == Token::Unasked => {
                let namespace = kept.namespace().unwrap_or_default();
                let turn = fetch::place(&context.minting, &namespace, workspace.as_deref(), Instant::now());
                let Some(_turn) = turn else {
                    return Ok(Action::requeue(slots::pause(rand::random())));
                };
                let asking = without_texts(&kept, &task);
                let mut fetched = Box::pin(fetch::fetch(&asking, workspace.as_deref(), &context));
                token = if place.is_none() {
                    fetched.await?
                } else if let Ok(token) = tokio::time::timeout(LENT, &mut fetched).await {
                    token?
                } else {
                    // Nor does it hold up the large Tasks of others.
                    drop((place, task));
                    let token = fetched.await?;
                    warn_of_renewal(&asking, &token, &context).await;
                    context.keep_token(&asking, token);
                    return Ok(Action::requeue(Duration::ZERO));
                };
                warn_of_renewal(&task, &token, &context).await;
            }
            None => return Ok(Action::requeue(backoff(1))),
        }
    };
    if let Some(status) = &done.entered {
        context.metrics.entered(&task, status);
        context.events.phase(&task, status);
    }
    context
        .failures
        .lock()
        .remove(&ObjectRef::from_obj(task.as_ref()));
    Ok(done.action)
}

/// Returns what is kept of a Task, with the token that the whole of it has.
fn without_texts(kept: &Task, whole: &Task) -> Task {
    let mut task = kept.clone();
    if let (Some(status), Some(whole)) = (&mut task.status, &whole.status) {
        status.github_token.clone_from(&whole.github_token);
    }
    task
}

/// Returns true if a look at the Task may read large objects as a whole.
fn needs_place(task: &Task, workspace: Option<&Workspace>, context: &Context) -> bool {
    if is_large(&task.metadata) {
        // One that has ended is read whole too, after an edit such as a late stop.
        return !has_ended(task) || must_be_whole(task);
    }
    let starts = !has_ended(task) && task.status.as_ref().is_none_or(|s| s.job_name.is_none());
    let config = || {
        referenced(
            task,
            &context.stores.agent_configs,
            task.spec.agent_config_ref.as_ref(),
        )
    };
    // Their outputs are read for a template.
    let has_large_dependency = || {
        let namespace = task.namespace().unwrap_or_default();
        let kept = |name: &String| context.stores.tasks.get(&ObjectRef::new(name).within(&namespace));
        let mut dependencies = task.spec.depends_on.iter().filter_map(kept);
        prompt::is_template(task) && dependencies.any(|dependency| is_large(&dependency.metadata))
    };
    starts
        && (workspace.is_some_and(|workspace| is_large(&workspace.metadata))
            || config().is_some_and(|config| is_large(&config.metadata))
            || has_large_dependency())
}

/// Runs one pass of observe, decide and apply; `None` if the Workspace's Secret must be read first.
async fn attempt(
    task: &Arc<Task>,
    context: &Context,
    workspace: Option<Arc<Workspace>>,
    token: &Token,
    admitted: &mut Option<budget::Admitted>,
) -> Result<Option<Applied>, CallError> {
    // Only a Task that may still get a Job competes for its branch.
    let competes = !has_ended(task) && task.status.as_ref().is_none_or(|s| s.job_name.is_none());
    let key = branch_lock::key(task, workspace.as_deref()).filter(|_| competes);
    // Held until the Job is created and claimed, so that no other Task decides in between.
    let claim = key.as_ref().map(|key| context.claim(key));
    let mut held = match &claim {
        Some(claim) => Some(claim.lock().await),
        None => None,
    };
    let claimed_by = held.as_ref().and_then(|held| held.as_ref().cloned());
    let mut gathered = gather(task, context, workspace, key.as_ref()).await?;
    let decision = decide(&gathered.observed(task, context, claimed_by.as_deref()));
    let decision = match budget::step(task, decision, admitted, context).await? {
        budget::Step::Do(decision) => decision,
        budget::Step::Later(pause) => return Ok(Some(Applied::nothing(Action::requeue(pause)))),
    };
    let workspace = gathered.workspace.as_deref();
    let decision = match rules::step(task, workspace, decision, token, context.clock.now()) {
        Step::Do(decision) => decision,
        Step::Fetch => return Ok(None),
        Step::Mark(status) => {
            let status = Decision::UpdateStatus(status);
            let done = apply::carry_out(task, status, &gathered, context).await?;
            // For the reconcile that the event of this write brings.
            context.keep_token(task, token.clone());
            return Ok(Some(done));
        }
        // Nothing is held now: the Task has ended, and what is kept of it is enough.
        Step::Release => return revoke::release(task, context).await.map(Some),
    };
    if let Token::Minted(token) = token {
        gathered.github_token = Some(token.clone());
    }
    tracing::debug!(task = %task.name_any(), namespace = %task.namespace().unwrap_or_default(), ?decision, "decided");
    let done = apply::carry_out(task, decision, &gathered, context).await?;
    if let (true, Some(held)) = (done.has_job, held.as_mut()) {
        **held = task.uid();
    }
    Ok(Some(done))
}

/// Emits an event about a token that a running Task does not get; one that has not started says so in its status.
async fn warn_of_renewal(task: &Task, token: &Token, context: &Context) {
    let runs = task.status.as_ref().is_some_and(|s| s.job_name.is_some());
    if let (true, Token::Wait { message, .. } | Token::Refused { message, .. }) = (runs, token) {
        context.events.warn(task, "TokenNotRenewed", message).await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the Controller's")]
fn on_error(task: Arc<Task>, error: &CallError, context: Arc<Context>) -> Action {
    let (name, namespace) = (task.name_any(), task.namespace().unwrap_or_default());
    if error.is_conflict() {
        // Someone wrote first; the event of that write is on its way.
        tracing::debug!(task = %name, %namespace, %error, "will look again");
        return Action::requeue(backoff(1));
    }
    let failures = {
        let mut all = context.failures.lock();
        let count = all.entry(ObjectRef::from_obj(task.as_ref())).or_default();
        *count += 1;
        *count
    };
    context.metrics.reconcile_errors.inc();
    tracing::warn!(task = %name, %namespace, %error, failures, "will try again");
    Action::requeue(backoff(failures))
}

/// Returns a pause after which a place for a large object may be free; `chance` is from 0 to 1.
fn crowded(chance: f64) -> Duration {
    Duration::from_millis(250).mul_f64(1.0 + chance)
}

/// Returns the pause after the `n`-th failure in a row: from a fifth of a second, doubling, to five minutes.
fn backoff(n: u32) -> Duration {
    Duration::from_millis(200)
        .saturating_mul(2u32.saturating_pow(n.saturating_sub(1).min(20)))
        .min(Duration::from_secs(300))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_and_is_bounded() {
        assert_eq!(backoff(1), Duration::from_millis(200));
        assert_eq!(backoff(3), Duration::from_millis(800));
        assert_eq!(backoff(u32::MAX), Duration::from_secs(300));
    }
}
