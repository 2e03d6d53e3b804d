//! Looks at a Workspace's Secret and gets a token for a GitHub App, all as the namespace's ServiceAccount. The rules are
//! in [`crate::task::github_token::rules`]; what becomes of the token at the Task's end is in [`crate::task::github_token::revoke`].

use std::time::Duration;

use axon_api::contract::env;
use axon_api::v1alpha1::GithubToken;
use axon_api::{Task, TaskReason, Workspace, labels, naming};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Resource, ResourceExt};
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::kube::call::{CallError, timed};
use crate::kube::impersonation::{Act, IdentityError};
use crate::slots::{Turn, Turns};
use crate::task::build::volumes::ssh;
use crate::task::context::Context;
use crate::task::github_token::host;
use crate::task::github_token::rules::{Token, of_error, unseen};
use axon_github::{self as github, Credential, Grant, InstallationToken, Repository};

/// Most Tasks that get tokens at the same time. Each holds a worker of the controller for as long as its host takes to
/// answer, and the other workers are for Tasks that wait for no host.
const AT_ONCE: usize = 12;
/// Most of them at one host: a host that never answers must not hold up the Tasks of the others.
const AT_ONCE_PER_HOST: usize = 4;
/// Pause before another look at a Secret that is not there, or at what a former Task has left.
const MISSING_PAUSE: Duration = Duration::from_secs(5);
/// Key of the token that the one in use has replaced.
pub(crate) const FORMER_TOKEN: &str = "formerToken";

/// Pause before rights that are missing are tried again.
const DENIED_PAUSE: Duration = Duration::from_secs(60);

/// A place for [`fetch`], free again when it is dropped.
pub(crate) struct Place {
    _turn: Option<Turn>,
}

/// Returns the places for [`fetch`], which namespaces take in turn.
pub(crate) fn places() -> Turns {
    Turns::new(AT_ONCE, AT_ONCE_PER_HOST)
}

/// Returns a place to get a token for a Task of this Workspace; `None` if the Task has to ask again after
/// [`crate::slots::pause`].
///
/// It is taken before the Secret is read, so that a crowd costs no reads. A Secret that is no App's gives it back at once.
pub(crate) fn place(
    places: &Turns,
    namespace: &str,
    workspace: Option<&Workspace>,
    now: Instant,
) -> Option<Place> {
    // No host is asked for any other repository.
    let repository = workspace.and_then(|workspace| Repository::of(&workspace.spec.repo).ok());
    let Some(repository) = repository else {
        return Some(Place { _turn: None });
    };
    let turn = places.take(&repository.api, namespace, now)?;
    Some(Place { _turn: Some(turn) })
}

/// Returns what the Workspace's Secret gives for a Task: itself, or a token that is good beyond its renewal.
///
/// # Errors
/// [`CallError`] for what may be better at the next try and is not worth a word to the user.
pub async fn fetch(
    task: &Task,
    workspace: Option<&Workspace>,
    context: &Context,
) -> Result<Token, CallError> {
    let Some(workspace) = workspace else {
        return Ok(unseen(task, "its Workspace does not exist"));
    };
    let Some(reference) = workspace.spec.secret_ref.as_ref() else {
        return Ok(Token::Plain);
    };
    let invalid = |message: String| {
        Ok(Token::Refused {
            reason: TaskReason::InvalidConfig,
            message,
        })
    };
    let (namespace, name) = (task.namespace().unwrap_or_default(), reference.name.as_str());
    let secret = match context.shared.identity.secret(&namespace, name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            let message = format!(
                "waits for Secret {name} of Workspace {}, which does not exist",
                workspace.name_any()
            );
            return Ok(Token::Wait {
                reason: TaskReason::SecretNotFound,
                message,
                pause: MISSING_PAUSE,
            });
        }
        // A namespace may keep its Secrets to itself: then tokens work, and Apps do not.
        Err(error) if error.is_denied() => {
            let token = unseen(task, &error.to_string());
            if token != Token::Plain {
                return Ok(token);
            }
            if let Some(message) = host::fault_unseen(workspace) {
                return invalid(message);
            }
            let note = format!("Secret {name} is used as it is, unseen: {error}");
            tracing::info!(task = %task.name_any(), %namespace, %error, "can't look at the Workspace's Secret");
            context.events.warn(task, "SecretNotRead", &note).await;
            return Ok(Token::Plain);
        }
        Err(error) => return Err(error.into()),
    };
    let data = secret.data.clone().unwrap_or_default();
    let is_app = github::is_app(&data);
    if let Some(message) = host::fault(workspace, &namespace, &secret) {
        return invalid(message);
    }
    if ssh::is_ssh(workspace) || !is_app {
        return Ok(Token::Plain);
    }
    let credential = match Credential::of(&secret) {
        Ok(credential) => credential,
        Err(error) => return invalid(error.to_string()),
    };
    let repository = match Repository::of(&workspace.spec.repo) {
        Ok(repository) => repository,
        Err(error) => return invalid(format!("Workspace {}: {error}", workspace.name_any())),
    };
    match look(task, &namespace, context).await? {
        Kept::Good(token) => Ok(Token::Minted(token)),
        Kept::Foreign(token) => Ok(token),
        // A leader that was slow must not write again what the next one has deleted at the Task's end.
        Kept::Old(None) if had_one(task) && !is_current(task, context).await? => Ok(Token::Wait {
            reason: TaskReason::WaitingForToken,
            message: "the Secret of the token is gone, and the Task has changed since: it is looked at again"
                .into(),
            pause: MISSING_PAUSE,
        }),
        Kept::Old(old) => {
            let Some(app) = credential.app() else {
                return Ok(Token::Plain);
            };
            let grant = Grant::for_task(&repository, workspace.spec.github_app.as_ref());
            let github = &context.shared.github;
            match github.installation_token(&repository, app, &grant).await {
                Ok(token) => keep(task, &repository, old, &token, context).await,
                Err(error) => {
                    tracing::warn!(task = %task.name_any(), %namespace, %error, "no token for the GitHub App");
                    Ok(of_error(&error, &workspace.name_any(), context.clock.now()))
                }
            }
        }
    }
}

fn had_one(task: &Task) -> bool {
    task.status
        .as_ref()
        .is_some_and(|status| status.github_token.is_some())
}

/// Returns whether the Task is as the decision saw it, and so has not ended since.
async fn is_current(task: &Task, context: &Context) -> Result<bool, CallError> {
    let api = Api::<Task>::namespaced(context.client.clone(), &task.namespace().unwrap_or_default());
    let now = timed("get task", api.get_metadata_opt(&task.name_any())).await?;
    Ok(now.is_some_and(|now| now.metadata.resource_version == task.metadata.resource_version))
}

/// The Secret that holds a Task's token.
enum Kept {
    /// It is there and good.
    Good(GithubToken),
    /// The Secret must be written; the value is the existing one.
    Old(Option<Box<Secret>>),
    /// Its name is taken.
    Foreign(Token),
}

async fn look(task: &Task, namespace: &str, context: &Context) -> Result<Kept, CallError> {
    let name = naming::task_github_token(&task.name_any());
    let secret = match context.shared.identity.secret(namespace, &name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return Ok(Kept::Old(None)),
        Err(error) if error.is_denied() => return Ok(Kept::Foreign(denied(&error))),
        Err(error) => return Err(error.into()),
    };
    if !is_of(&secret, task) {
        let left = secret.labels().get(labels::TASK) == task.metadata.name.as_ref()
            && secret.labels().get(labels::MANAGED_BY).map(String::as_str) == Some(labels::MANAGER);
        return Ok(Kept::Foreign(taken(&name, left)));
    }
    let time = |annotation: &str| -> Option<Time> {
        let text = secret.annotations().get(annotation)?;
        text.parse().ok().map(Time)
    };
    let token = time(labels::TOKEN_EXPIRES).zip(time(labels::TOKEN_RENEW));
    Ok(match token {
        Some((expiration_time, renew_time)) if renew_time.0 > context.clock.now() => {
            Kept::Good(GithubToken {
                secret_name: name,
                expiration_time,
                renew_time,
            })
        }
        _ => Kept::Old(Some(Box::new(secret))),
    })
}

/// Returns whether a Secret is this very Task's, and not that of a former one of its name.
pub(crate) fn is_of(secret: &Secret, task: &Task) -> bool {
    let owners = secret.owner_references();
    task.metadata.uid.is_some()
        && owners
            .iter()
            .any(|owner| Some(&owner.uid) == task.metadata.uid.as_ref())
}

fn taken(name: &str, left: bool) -> Token {
    if left {
        return Token::Wait {
            reason: TaskReason::WaitingForToken,
            message: "waits for the Secret of the former Task of this name to be gone".into(),
            pause: MISSING_PAUSE,
        };
    }
    Token::Refused {
        reason: TaskReason::InvalidConfig,
        message: format!(
            "a Secret {name} exists and does not belong to this Task: create the Task under another name"
        ),
    }
}

fn denied(error: &IdentityError) -> Token {
    Token::Wait {
        reason: TaskReason::WaitingForToken,
        message: error.to_string(),
        pause: DENIED_PAUSE,
    }
}

/// Writes a token into the Task's Secret, which is new or was `old`.
async fn keep(
    task: &Task,
    repository: &Repository,
    old: Option<Box<Secret>>,
    token: &InstallationToken,
    context: &Context,
) -> Result<Token, CallError> {
    let namespace = &task.namespace().unwrap_or_default();
    let now = context.clock.now();
    let minted = GithubToken {
        secret_name: naming::task_github_token(&task.name_any()),
        expiration_time: Time(after(now, token.lifetime)),
        renew_time: Time(after(now, token.renew_after())),
    };
    let name = minted.secret_name.as_str();
    let is_new = old.is_none();
    let body = manifest(task, repository, &minted, token, old.as_deref());
    let act = Act {
        namespace,
        verb: if is_new { "create" } else { "patch" },
        resource: "secrets",
        name,
    };
    let written = context
        .shared
        .identity
        .call(act, async |client| {
            let api = Api::<Secret>::namespaced(client, namespace);
            if is_new {
                api.create(&PostParams::default(), &body).await
            } else {
                // The version in it makes this a compare-and-swap.
                api.patch(name, &PatchParams::default(), &Patch::Merge(&body))
                    .await
            }
        })
        .await;
    match written {
        Ok(_) => Ok(Token::Minted(minted)),
        Err(error) if error.is_denied() || error.is_refused() => Ok(denied(&error)),
        Err(error) => Err(error.into()),
    }
}

fn manifest(
    task: &Task,
    repository: &Repository,
    minted: &GithubToken,
    token: &InstallationToken,
    old: Option<&Secret>,
) -> Secret {
    let marks = [
        (labels::NAME, labels::APP_NAME),
        (labels::COMPONENT, labels::COMPONENT_TASK),
        (labels::MANAGED_BY, labels::MANAGER),
        (labels::TASK, &task.name_any()),
    ];
    let times = [
        (labels::TOKEN_EXPIRES, &minted.expiration_time),
        (labels::TOKEN_RENEW, &minted.renew_time),
    ];
    // It is a Secret like any other: a Workspace that names it can't send the token elsewhere.
    let (plain, host) = repository.site();
    let annotations = times
        .into_iter()
        .map(|(key, time)| (key.to_owned(), time.0.to_string()))
        .chain([(labels::HOSTS.to_owned(), github::entry(plain, host))]);
    let replaced = old.and_then(|old| old.data.as_ref()?.get(env::GITHUB_TOKEN).cloned());
    // It must not hold up the Task's deletion: that would take a right on the Task's finalizers.
    let owner = task.controller_owner_ref(&()).map(|owner| OwnerReference {
        block_owner_deletion: None,
        ..owner
    });
    Secret {
        metadata: ObjectMeta {
            name: Some(minted.secret_name.clone()),
            resource_version: old.and_then(|old| old.metadata.resource_version.clone()),
            labels: Some(
                marks
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            annotations: Some(annotations.collect()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        string_data: Some(
            [(
                env::GITHUB_TOKEN.to_owned(),
                token.token.expose_secret().to_owned(),
            )]
            .into(),
        ),
        // The pod's variables keep it, and it is good for some minutes more: both are revoked at the end.
        data: replaced.map(|token| [(FORMER_TOKEN.to_owned(), token)].into()),
        ..Secret::default()
    }
}

/// By the second, as it is stored.
fn after(now: Timestamp, lifetime: Duration) -> Timestamp {
    let end = SignedDuration::try_from(lifetime)
        .ok()
        .and_then(|lifetime| now.checked_add(lifetime).ok())
        .unwrap_or(now);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots;
    use crate::task::fixtures::workspace;

    fn at(host: &str) -> Workspace {
        workspace(&format!("https://{host}/o/r"))
    }

    #[test]
    fn hosts_that_hang_leave_places_for_others_and_workers_for_the_rest() {
        let (places, mut now) = (places(), Instant::now());
        let ask = |namespace: &str, host: &str, now| place(&places, namespace, Some(&at(host)), now);
        let mut hanging: Vec<_> = (0..32).filter_map(|_| ask("a", "one.example", now)).collect();
        assert_eq!(hanging.len(), AT_ONCE_PER_HOST);
        assert!(
            ask("b", "one.example", now).is_none(),
            "another namespace neither"
        );
        assert!(ask("a", "github.com", now).is_some() && ask("b", "github.com", now).is_some());
        // The next free place is not the crowd's own.
        now += slots::pause(1.0);
        hanging.pop();
        assert!(ask("a", "one.example", now).is_none());
        hanging.extend(ask("b", "one.example", now));
        assert_eq!(hanging.len(), AT_ONCE_PER_HOST);
        for host in ["two.example", "three.example", "four.example", "five.example"] {
            hanging.extend((0..32).filter_map(|_| ask("a", host, now)));
        }
        assert_eq!(
            hanging.len(),
            AT_ONCE,
            "few enough for a controller of 32 workers"
        );
    }

    #[test]
    fn what_asks_no_host_needs_no_place() {
        let (places, now) = (places(), Instant::now());
        let hanging: Vec<_> = (0..32)
            .filter_map(|_| place(&places, "a", Some(&at("one.example")), now))
            .collect();
        assert!(place(&places, "a", Some(&at("one.example")), now).is_none());
        assert!(place(&places, "a", None, now).is_some());
        let elsewhere = workspace("https://one.example/group/sub/r");
        assert!(place(&places, "a", Some(&elsewhere), now).is_some(), "no GitHub");
        drop(hanging);
        assert!(place(&places, "a", Some(&at("one.example")), now).is_some());
    }
}
