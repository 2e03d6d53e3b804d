//! The shell of the Task controller: gathers what the rules need, asks them, and carries out what they say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axon_api::{AgentConfig, Task, Workspace};
use futures::StreamExt;
use futures::channel::mpsc;
use kube::{Client, ResourceExt};
use kube_runtime::controller::{self, Action, Config, Controller};
use kube_runtime::reflector::{ObjectRef, store};
use kube_runtime::watcher::Event;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::apply::{self, ApplyError, Done};
use super::branch_lock;
use super::gather::{gather, has_ended, referenced};
use super::github_end;
use super::github_secret;
use super::github_token::{self, Step, Token};
use super::index::{Interests, Key, Runs, place};
use super::inputs;
use super::kept::must_be_whole;
use super::lifecycle::{Decision, decide};
use super::network::{self, Network};
use super::pod_defaults::PodDefaults;
use super::pod_limits::PodLimits;
use super::prices::PriceTable;
use super::prompt;
use super::rush::Rush;
use super::stores::{Readiness, Stores, task_of, watch_custom, watch_jobs, watch_named, watch_pods};
use super::view;
use super::written::{self, Written};
use crate::backoff::Pauses;
use crate::clock::Clock;
use crate::events::Events;
use crate::images::Images;
use crate::metrics::Metrics;
use crate::run::Shared;
use crate::turns::{self, Turns};
use crate::watch::{LENT, is_large};

/// Most Tasks that are worked on at the same time.
const CONCURRENCY: u16 = 32;

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
    /// What it was told at its start.
    pub options: Options,
    /// Time.
    pub clock: Clock,
    /// Figures.
    pub metrics: Metrics,
    /// Events for people.
    pub events: Events,
    /// Jobs that were just created and may not be in the store yet, by branch key, so that two Tasks decided at the
    /// same moment do not both take a branch. The Jobs themselves are the truth; this only bridges the watch's delay.
    branch_claims: Mutex<HashMap<branch_lock::Key, Claim>>,
    /// Jobs that are being created.
    pub(super) rush: Rush,
    /// The NetworkPolicies that are there before Jobs.
    pub(super) network: Network,
    /// Statuses whose events have not come back yet.
    pub(super) written: Arc<Written>,
    /// Places for Tasks that have ended and whose tokens are revoked.
    pub(super) ending: Semaphore,
    /// Places for Tasks that get tokens.
    minting: Turns,
    failures: Failures,
    /// Tokens for the next look at a Task, by its UID: one that was just noted in the status, or one that GitHub gave after the
    /// place of a large Task was given back.
    late_tokens: Mutex<HashMap<String, Token>>,
}

/// What the Task controller is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Images to run.
    pub images: Images,
    /// What every Task's pod gets.
    pub pod_defaults: PodDefaults,
    /// Default limits of Tasks' pods.
    pub pod_limits: PodLimits,
    /// Settings of the NetworkPolicy of Tasks' pods.
    pub agent_network: network::Options,
    /// How long an image may fail to be pulled.
    pub image_pull_limit: Duration,
    /// How long records of finished Tasks are kept.
    pub record_retention: Duration,
    /// What models cost.
    pub prices: Arc<PriceTable>,
}

/// UID of the Task whose Job was last created for a branch. Held while one decides about that branch.
type Claim = Arc<tokio::sync::Mutex<Option<String>>>;

/// Failures in a row, by Task.
type Failures = Arc<Mutex<HashMap<ObjectRef<Task>, u32>>>;

/// Claims after which they are forgotten.
const MAX_CLAIMS: usize = 10_000;

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
        runs: Runs::default(),
        interests: Interests::default(),
        workspaces,
        agent_configs,
    };
    let (readiness, filled) = Readiness::of(4);
    let (wake, woken) = mpsc::unbounded();

    let failures: Failures = Arc::default();
    let written: Arc<Written> = Arc::default();
    let network = Network::new(client.clone(), options.agent_network.clone());
    let (waking, forgetting, gone) = (stores.clone(), Arc::clone(&failures), Arc::clone(&written));
    let doubting = network.clone();
    let task_stream = watch_custom(client.clone(), &scope, task_writer, move |event| {
        waking.interests.apply(event);
        if let Event::Delete(task) = event {
            gone.forget(task);
            doubting.doubt(&task.namespace().unwrap_or_default());
            if let Ok(mut failures) = forgetting.lock() {
                failures.remove(&ObjectRef::from_obj(task));
            }
        }
        for waiting in waking.woken_by(event) {
            let _ = wake.unbounded_send(waiting);
        }
    });
    let (of_workspace, of_config) = (stores.interests.clone(), stores.interests.clone());
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
        rush: Rush::default(),
        network,
        written,
        ending: Semaphore::new(github_end::AT_ONCE),
        minting: github_secret::places(),
        failures,
        late_tokens: Mutex::default(),
    });
    let _shown = context.metrics.backlog.show(stores.tasks.clone());
    let controller = Controller::for_stream(task_stream, stores.tasks.clone())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .trigger_backoff(Pauses::of_triggers())
        .watches_stream_with(
            watch_jobs(client.clone(), &scope, stores.runs.clone(), filled.clone()),
            |job| task_of(&job),
            view::jobs(),
        )
        .watches_stream(
            watch_pods(
                client.clone(),
                &scope,
                stores.runs.clone(),
                stores.tasks.clone(),
                filled.clone(),
            ),
            |pod| task_of(&pod),
        )
        .watches_stream(
            watch_named(client.clone(), &scope, workspace_writer, filled.clone()),
            move |workspace: Workspace| of_workspace.of(&Key::Workspace(place(&workspace))),
        )
        .watches_stream(
            watch_named(client, &scope, agent_config_writer, filled),
            move |config: AgentConfig| of_config.of(&Key::AgentConfig(place(&config))),
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
    Box::pin(controller).await;
}

async fn reconcile(kept: Arc<Task>, context: Arc<Context>) -> Result<Action, ApplyError> {
    // Half-filled stores would show missing objects that are there.
    context.readiness.wait().await;
    let _measured = context.metrics.reconcile();
    if context.written.is_outdated(&kept) {
        return Ok(Action::requeue(written::PAUSE));
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
        match inputs::whole_task(&kept, &context).await? {
            Some(whole) => Arc::new(whole.object),
            None => return Ok(Action::requeue(backoff(1))),
        }
    } else {
        Arc::clone(&kept)
    };
    let mut token = context.late_token(&kept);
    let done = loop {
        match attempt(&task, &context, workspace.clone(), &token).await? {
            Some(done) => break done,
            // Outside the attempt: what GitHub takes its time for must not hold a branch.
            None if token == Token::Unasked => {
                let namespace = kept.namespace().unwrap_or_default();
                let turn =
                    github_secret::place(&context.minting, &namespace, workspace.as_deref(), Instant::now());
                let Some(_turn) = turn else {
                    return Ok(Action::requeue(turns::pause(rand::random())));
                };
                let asking = without_texts(&kept, &task);
                let mut fetched = Box::pin(github_secret::fetch(&asking, workspace.as_deref(), &context));
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
    if let Ok(mut failures) = context.failures.lock() {
        failures.remove(&ObjectRef::from_obj(task.as_ref()));
    }
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
    let claim = key.as_ref().map(|key| context.claim(key));
    let mut held = match &claim {
        Some(claim) => Some(claim.lock().await),
        None => None,
    };
    let claimed_by = held.as_ref().and_then(|held| held.as_ref().cloned());
    let mut gathered = gather(task, context, workspace, key.as_ref()).await?;
    let decision = decide(&gathered.observed(task, context, claimed_by.as_deref()));
    let workspace = gathered.workspace.as_deref();
    let decision = match github_token::step(task, workspace, decision, token, context.clock.now()) {
        Step::Do(decision) => decision,
        Step::Fetch => return Ok(None),
        Step::Mark(status) => {
            let status = Decision::UpdateStatus(status);
            let done = apply::carry_out(task, status, &gathered, context).await?;
            // For the look that the event of this write brings.
            context.keep_token(task, token.clone());
            return Ok(Some(done));
        }
        // Nothing is held now: the Task has ended, and what is kept of it is enough.
        Step::Release => return github_end::release(task, context).await.map(Some),
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

/// Tells of a token that a running Task does not get; one that has not started says so in its status.
async fn warn_of_renewal(task: &Task, token: &Token, context: &Context) {
    let runs = task.status.as_ref().is_some_and(|s| s.job_name.is_some());
    if let (true, Token::Wait { message, .. } | Token::Refused { message, .. }) = (runs, token) {
        context.events.warn(task, "TokenNotRenewed", message).await;
    }
}

impl Context {
    fn late_token(&self, task: &Task) -> Token {
        let mut late = self.late_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = task.metadata.uid.as_deref().unwrap_or_default();
        late.remove(uid).unwrap_or(Token::Unasked)
    }

    fn keep_token(&self, task: &Task, token: Token) {
        let mut late = self.late_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if late.len() > MAX_CLAIMS {
            // Those of Tasks that were deleted; the others are asked for again.
            late.clear();
        }
        late.insert(task.uid().unwrap_or_default(), token);
    }

    fn claim(&self, key: &branch_lock::Key) -> Claim {
        let mut claims = self.branch_claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.len() > MAX_CLAIMS {
            // All but the newest are in the index of Jobs by now; those that are held are of this moment.
            claims.retain(|_, claim| Arc::strong_count(claim) > 1);
        }
        Arc::clone(claims.entry(key.clone()).or_default())
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
