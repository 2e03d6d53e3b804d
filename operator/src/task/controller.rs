//! The shell of the Task controller: gathers what the rules need, asks them, and carries out what they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axon_api::{Task, Workspace};
use futures::StreamExt;
use futures::channel::mpsc;
use kube::{Client, ResourceExt};
use kube_runtime::controller::{self, Action, Config, Controller};
use kube_runtime::reflector::{ObjectRef, store};
use kube_runtime::watcher::Event;

use super::apply::{self, ApplyError, Done};
use super::branch_lock;
use super::gather::{gather, has_ended, referenced};
use super::github_secret;
use super::github_token::{self, Step, Token};
use super::lifecycle::decide;
use super::stores::{Readiness, Stores, task_of, watch_custom, watch_jobs, watch_pods};
use crate::clock::Clock;
use crate::events::Events;
use crate::images::Images;
use crate::metrics::Metrics;
use crate::run::Shared;

/// Most Tasks that are worked on at the same time.
const CONCURRENCY: u16 = 16;

/// What every reconciliation has.
pub struct Context {
    /// Client for reads and writes.
    pub client: Client,
    /// Identities and GitHub.
    pub shared: Shared,
    /// What was watched.
    pub stores: Stores,
    /// Whether the stores are filled.
    readiness: Readiness,
    /// Images to run.
    pub images: Images,
    /// How long an image may fail to be pulled.
    pub image_pull_limit: Duration,
    /// Time.
    pub clock: Clock,
    /// Figures.
    pub metrics: Metrics,
    /// Events for people.
    pub events: Events,
    /// Jobs that were just created and may not be in the store yet, by branch key, so that two Tasks decided at the
    /// same moment do not both take a branch. The Jobs themselves are the truth; this only bridges the watch's delay.
    branch_claims: tokio::sync::Mutex<HashMap<branch_lock::Key, String>>,
    failures: Failures,
}

/// Failures in a row, by Task.
type Failures = Arc<Mutex<HashMap<ObjectRef<Task>, u32>>>;

/// Claims after which they are forgotten.
const MAX_CLAIMS: usize = 10_000;

/// Runs the controller until the returned future is dropped.
pub async fn run(
    client: Client,
    shared: Shared,
    images: Images,
    image_pull_limit: Duration,
    clock: Clock,
    metrics: Metrics,
    events: Events,
) {
    let (tasks, task_writer) = store::store();
    let (jobs, job_writer) = store::store();
    let (pods, pod_writer) = store::store();
    let (workspaces, workspace_writer) = store::store();
    let (agent_configs, agent_config_writer) = store::store();
    let stores = Stores {
        tasks,
        jobs,
        pods,
        workspaces,
        agent_configs,
    };
    let (wake, woken) = mpsc::unbounded();

    let failures: Failures = Arc::default();
    let (waking, forgetting) = (stores.clone(), Arc::clone(&failures));
    let task_stream = watch_custom(client.clone(), task_writer, move |event| {
        if let Event::Delete(task) = event
            && let Ok(mut failures) = forgetting.lock()
        {
            failures.remove(&ObjectRef::from_obj(task));
        }
        for waiting in waking.woken_by(event) {
            let _ = wake.unbounded_send(waiting);
        }
    });
    let of_workspace = stores.clone();
    let of_config = stores.clone();
    let (readiness, filling) = Readiness::of(stores.clone());
    let context = Arc::new(Context {
        client: client.clone(),
        shared,
        stores: stores.clone(),
        readiness,
        images,
        image_pull_limit,
        clock,
        metrics,
        events,
        branch_claims: tokio::sync::Mutex::default(),
        failures,
    });
    let controller = Controller::for_stream(task_stream, stores.tasks.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .watches_stream(watch_jobs(client.clone(), job_writer), |job| task_of(&job))
        .watches_stream(watch_pods(client.clone(), pod_writer), |pod| task_of(&pod))
        .watches_stream(
            watch_custom(client.clone(), workspace_writer, |_| {}),
            move |workspace| {
                of_workspace.tasks_naming(&workspace, |t| {
                    t.spec.workspace_ref.as_ref().map(|r| r.name.as_str())
                })
            },
        )
        .watches_stream(watch_custom(client, agent_config_writer, |_| {}), move |config| {
            of_config.tasks_naming(&config, |t| {
                t.spec.agent_config_ref.as_ref().map(|r| r.name.as_str())
            })
        })
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
    tokio::select! { () = controller => {}, () = filling => {} }
}

async fn reconcile(task: Arc<Task>, context: Arc<Context>) -> Result<Action, ApplyError> {
    // Half-filled stores would show missing objects that are there.
    context.readiness.wait().await;
    let workspace = referenced(
        &task,
        &context.stores.workspaces,
        task.spec.workspace_ref.as_ref(),
    );
    let mut token = Token::Unasked;
    let done = loop {
        match attempt(&task, &context, workspace.clone(), &token).await? {
            Some(done) => break done,
            // Outside the attempt: what GitHub takes its time for must not hold a branch.
            None if token == Token::Unasked => {
                token = github_secret::fetch(&task, workspace.as_deref(), &context).await?;
                warn_of_renewal(&task, &token, &context).await;
            }
            None => return Ok(Action::requeue(backoff(1))),
        }
    };
    if let Some(status) = &done.entered {
        context.metrics.entered(&task, status);
        context.events.phase(&task, status).await;
    }
    if let Ok(mut failures) = context.failures.lock() {
        failures.remove(&ObjectRef::from_obj(task.as_ref()));
    }
    Ok(done.action)
}

/// Does what a Task needs; `None` if the Workspace's Secret must be looked at first.
async fn attempt(
    task: &Arc<Task>,
    context: &Context,
    workspace: Option<Arc<Workspace>>,
    token: &Token,
) -> Result<Option<Done>, ApplyError> {
    // Only a Task that may still get a Job competes for its branch.
    let competes = !has_ended(task) && task.status.as_ref().is_none_or(|s| s.job_name.is_none());
    let key = branch_lock::key(task, workspace.as_deref()).filter(|_| competes);
    // Held until the Job is created and claimed, so that no other Task decides in between.
    let mut claims = match &key {
        Some(_) => Some(context.branch_claims.lock().await),
        None => None,
    };
    let claimed_by = key
        .as_ref()
        .zip(claims.as_ref())
        .and_then(|(key, held)| held.get(key).cloned());
    let mut gathered = gather(task, context, workspace, key.as_ref()).await?;
    let decision = decide(&gathered.observed(task, context, claimed_by.as_deref()));
    let workspace = gathered.workspace.as_deref();
    let Step::Do(decision) = github_token::step(task, workspace, decision, token, context.clock.now()) else {
        return Ok(None);
    };
    if let Token::Minted(token) = token {
        gathered.github_token = Some(token.clone());
    }
    tracing::debug!(task = %task.name_any(), namespace = %task.namespace().unwrap_or_default(), ?decision, "decided");
    let done = apply::carry_out(task, decision, &gathered, context).await?;
    if let (true, Some(held), Some(key), Some(uid)) = (done.has_job, claims.as_mut(), key, task.uid()) {
        held.insert(key, uid);
        if held.len() > MAX_CLAIMS {
            // All but the newest are in the store of Jobs by now.
            held.clear();
        }
    }
    Ok(Some(done))
}

/// Tells of a token that a running Task does not get; one that has not started says so in its status.
async fn warn_of_renewal(task: &Task, token: &Token, context: &Context) {
    let runs = task.status.as_ref().is_some_and(|s| s.job_name.is_some());
    if let (true, Token::Wait { message, .. } | Token::Refused { message, .. }) = (runs, token) {
        context.events.warn(task, "TokenNotRenewed", message).await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the Controller's")]
fn on_error(task: Arc<Task>, error: &ApplyError, context: Arc<Context>) -> Action {
    let (name, namespace) = (task.name_any(), task.namespace().unwrap_or_default());
    if error.is_conflict() {
        // Someone wrote first; the event of that write is on its way.
        tracing::debug!(task = %name, %namespace, %error, "will look again");
        return Action::requeue(backoff(1));
    }
    let failures = match context.failures.lock() {
        Ok(mut all) => {
            let count = all.entry(ObjectRef::from_obj(task.as_ref())).or_default();
            *count += 1;
            *count
        }
        Err(_) => 1,
    };
    context.metrics.reconcile_errors.inc();
    tracing::warn!(task = %name, %namespace, %error, failures, "will try again");
    Action::requeue(backoff(failures))
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
