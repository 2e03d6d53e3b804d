//! The token of a Workspace's GitHub App in a Task's life: when one is needed, what becomes of a Task that gets none, when
//! it is renewed and released, and how the pod sees it. Pure.

use std::time::Duration;

use axon_api::contract::{self, env};
use axon_api::git::Repository;
use axon_api::v1alpha1::{GithubToken, NameRef};
use axon_api::{Task, TaskPhase, TaskReason, TaskStatus, Workspace};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{KeyToPath, SecretVolumeSource};

use crate::task::build::volumes::secret_file::SecretFile;
use crate::task::decide::Decision;
use crate::task::decide::status::enter;
use crate::task::observe::has_ended;
use axon_github::GithubError;

/// Shortest and longest pause before a token that could not be had is asked for again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Pause before another look at a Secret that could be seen and now can't.
const UNSEEN_PAUSE: Duration = Duration::from_secs(60);
const VOLUME: &str = "axon-github";

/// What is known of the Workspace's Secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// Nobody has looked.
    Unasked,
    /// It is no GitHub App's, or the operator may not look and never could: the pod gets the Secret itself.
    Plain,
    /// A token was made for the App.
    Minted(GithubToken),
    /// There is none for now.
    Wait {
        /// For programs.
        reason: TaskReason,
        /// For people.
        message: String,
        /// When to ask again.
        pause: Duration,
    },
    /// There will be none.
    Refused {
        /// For programs.
        reason: TaskReason,
        /// For people.
        message: String,
    },
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Look at the Workspace's Secret, get a token if it is an App's, and ask again.
    Fetch,
    /// Write this status, which notes the token, and ask again with the same token.
    Mark(Box<TaskStatus>),
    /// Revoke the token, delete its Secret, and take it out of the status.
    Release,
    /// Do this.
    Do(Decision),
}

/// Returns true for a Workspace whose Secret is looked at before there is a pod: it may be a GitHub App's, or it may be
/// one for SSH, which the kubelet does not wait for.
#[must_use]
pub fn needs_secret(workspace: Option<&Workspace>) -> bool {
    workspace.is_some_and(|workspace| {
        let is_known = |repository: Repository| repository.is_http || repository.is_ssh;
        workspace.spec.secret_ref.is_some() && Repository::parse(&workspace.spec.repo).is_ok_and(is_known)
    })
}

/// Completes what was decided for a Task by what its token needs: none is created without the look at its Secret, none that
/// runs is left without a token that is good, and none that has ended leaves one.
#[must_use]
pub fn step(
    task: &Task,
    workspace: Option<&Workspace>,
    decision: Decision,
    token: &Token,
    now: Timestamp,
) -> Step {
    let marked = marked(task, decision, token);
    if let (Decision::CreateJob(_), Some(status)) = (&marked, unmarked(task, token)) {
        // Before the Job: a conflict or a new leader after its creation would lose the mark, and a token without one is
        // neither renewed nor revoked.
        return Step::Mark(status);
    }
    match marked {
        Decision::CreateJob(known) if needs_secret(workspace) => before_the_job(task, known, token, now),
        // After what else there is to do: a Job that still runs is deleted, and a change of the spec is told.
        Decision::Wait(_) | Decision::Expire if has_left_one(task) => Step::Release,
        Decision::Wait(pause) => with_job(task, pause, token, now),
        other => Step::Do(other),
    }
}

/// Returns the status that notes a token, if the Task's does not.
fn unmarked(task: &Task, token: &Token) -> Option<Box<TaskStatus>> {
    let Token::Minted(fresh) = token else {
        return None;
    };
    let fresh = Some(fresh.clone());
    let old = task.status.clone().unwrap_or_default();
    (old.github_token != fresh).then(|| {
        Box::new(TaskStatus {
            github_token: fresh,
            ..old
        })
    })
}

/// Has a token noted that was made for a Task and does not lead to a Job now: what has no mark is not revoked.
fn marked(task: &Task, decision: Decision, token: &Token) -> Decision {
    let Token::Minted(fresh) = token else {
        return decision;
    };
    match decision {
        Decision::UpdateStatus(mut status) => {
            status.github_token = Some(fresh.clone());
            Decision::UpdateStatus(status)
        }
        Decision::Wait(_) if !has_ended(task) => {
            unmarked(task, token).map_or(decision, Decision::UpdateStatus)
        }
        other => other,
    }
}

fn before_the_job(task: &Task, known: Box<TaskStatus>, token: &Token, now: Timestamp) -> Step {
    let old = task.status.clone().unwrap_or_default();
    let to =
        |phase, reason, message: &str| enter(&old, phase, reason, message, task.metadata.generation, now);
    match token {
        Token::Unasked => Step::Fetch,
        Token::Plain | Token::Minted(_) => Step::Do(Decision::CreateJob(known)),
        Token::Refused { reason, message } => {
            let status = to(TaskPhase::Failed, *reason, message);
            Step::Do(Decision::UpdateStatus(Box::new(status)))
        }
        Token::Wait {
            reason,
            message,
            pause,
        } => {
            let status = to(TaskPhase::Waiting, *reason, message);
            if Some(&status) == task.status.as_ref() {
                return Step::Do(Decision::Wait(Some(bounded(*pause))));
            }
            Step::Do(Decision::UpdateStatus(Box::new(status)))
        }
    }
}

fn with_job(task: &Task, pause: Option<Duration>, token: &Token, now: Timestamp) -> Step {
    let wait = |until: Duration| Step::Do(Decision::Wait(Some(pause.map_or(until, |p| p.min(until)))));
    let Some((status, minted)) = renewable(task) else {
        return Step::Do(Decision::Wait(pause));
    };
    let left = minted.renew_time.0.as_second() - now.as_second();
    if let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) {
        return wait(Duration::from_secs(left));
    }
    let update = |github_token| {
        let status = TaskStatus {
            github_token,
            ..status.clone()
        };
        Step::Do(Decision::UpdateStatus(Box::new(status)))
    };
    match token {
        Token::Unasked => Step::Fetch,
        Token::Minted(fresh) => update(Some(fresh.clone())),
        // The Secret has become another one; there is nothing to renew any more.
        Token::Plain => update(None),
        Token::Wait { pause, .. } => wait(bounded(*pause)),
        Token::Refused { .. } => wait(PAUSES.1),
    }
}

/// Returns true for a Task that has ended and whose token may still be good. Its retries are over then, and what a stop saves
/// is pushed.
#[must_use]
pub fn has_left_one(task: &Task) -> bool {
    has_ended(task) && task.status.as_ref().is_some_and(|s| s.github_token.is_some())
}

/// Returns what a Secret that can't be seen means: the pod gets it itself. But a Task that has an App's token keeps that,
/// and asks again: what hides the Secret may pass, and its agent would be left without access for good.
#[must_use]
pub fn unseen(task: &Task, why: &str) -> Token {
    match renewable(task) {
        None => Token::Plain,
        Some(_) => Token::Wait {
            reason: TaskReason::WaitingForToken,
            message: format!("the token of the GitHub App can't be renewed for now: {why}"),
            pause: UNSEEN_PAUSE,
        },
    }
}

/// Returns the token of a Task that has a Job and has not ended.
fn renewable(task: &Task) -> Option<(&TaskStatus, &GithubToken)> {
    let status = task.status.as_ref()?;
    let live =
        !status.phase.is_some_and(TaskPhase::is_terminal) && task.metadata.deletion_timestamp.is_none();
    let token = status.github_token.as_ref()?;
    (live && status.job_name.is_some()).then_some((status, token))
}

fn bounded(pause: Duration) -> Duration {
    pause.clamp(PAUSES.0, PAUSES.1)
}

/// Returns what GitHub's refusal means for a Task of this Workspace.
#[must_use]
pub fn of_error(error: &GithubError, workspace: &str, now: Timestamp) -> Token {
    let message = match error {
        GithubError::NotInstalled { .. } | GithubError::NotGranted { .. } => {
            format!("Workspace {workspace}: {error}")
        }
        GithubError::Unauthorized { asked, .. }
        | GithubError::NotFound { asked, .. }
        | GithubError::Forbidden { asked, .. } => format!(
            "{error}: check the keys appID, installationID and privateKey of Secret {}",
            asked.secret.as_deref().unwrap_or_default()
        ),
        _ => error.to_string(),
    };
    if let Some(pause) = error.pause(now) {
        let reason = TaskReason::WaitingForToken;
        return Token::Wait {
            reason,
            message,
            pause,
        };
    }
    let reason = match error {
        GithubError::BadKey { .. }
        | GithubError::Malformed { .. }
        | GithubError::HostNotAllowed { .. }
        | GithubError::SecretNotForHost { .. } => TaskReason::InvalidConfig,
        _ => TaskReason::AuthFailed,
    };
    Token::Refused { reason, message }
}

/// Returns the Workspace as the pod has to see it: with the minted token's Secret in place of the App's.
#[must_use]
pub fn seen_by_pod(workspace: Option<&Workspace>, token: Option<&GithubToken>) -> Option<Workspace> {
    let mut workspace = workspace?.clone();
    if let Some(token) = token {
        workspace.spec.secret_ref = Some(NameRef::new(&token.secret_name));
    }
    Some(workspace)
}

/// Mounts the token as a file into all containers of a Job: unlike a variable, it is renewed.
pub fn mount(job: &mut Job, token: &GithubToken) {
    SecretFile {
        volume: VOLUME,
        secret: SecretVolumeSource {
            secret_name: Some(token.secret_name.clone()),
            // The pod's group reads it.
            default_mode: Some(0o440),
            items: Some(vec![KeyToPath {
                key: env::GITHUB_TOKEN.into(),
                path: env::GITHUB_TOKEN.into(),
                mode: None,
            }]),
            ..SecretVolumeSource::default()
        },
        folder: contract::GITHUB_DIR,
        file: env::GITHUB_TOKEN,
        variable: env::GITHUB_TOKEN_FILE,
    }
    .mount(job);
}

#[cfg(test)]
mod tests;
