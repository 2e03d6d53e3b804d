//! What becomes of a GitHub App's token when its Task has ended: it is revoked, and then its Secret is deleted, all as the
//! namespace's ServiceAccount. The rule of when is in [`crate::task::github_token::rules`].
//!
//! Nothing here holds up the Task's end, which is told before. The Task owns the Secret, so that garbage collection is the net
//! for whatever fails; a token ends within an hour of itself.

use std::time::Duration;

use axon_api::contract::env;
use axon_api::{Task, labels, naming};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};
use kube_runtime::controller::Action;

use crate::kube::call::{CallError, timed};
use crate::kube::impersonation::{Act, IdentityError};
use crate::kube::watch;
use crate::task::apply::Applied;
use crate::task::context::Context;
use crate::task::github_token::fetch::{FORMER_TOKEN, is_of};
use axon_github::{self as github, Credential, GithubError, Repository};

/// How long after a Task's end its token is tried to be revoked at a host that does not answer. Then the Secret is deleted
/// without that. A limit is waited for until the token ends: its agent can have used it up for this very purpose.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// Longest that a token of an installation is good.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(1);
/// Shortest pause between two tries, and the longest at a host that does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// Pause while as many Tasks as may wait for GitHub at the same time.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// Most Tasks that wait for GitHub here: a host that never answers must not hold up the Tasks of others.
pub(crate) const AT_ONCE: usize = 8;

/// Revokes the token of a Task that has ended, deletes its Secret, and takes it out of the status. Of the Task no more is
/// needed than what the store keeps: no place for large ones is held while GitHub is asked.
///
/// # Errors
/// [`CallError`] if the API server does not answer.
pub(crate) async fn release(task: &Task, context: &Context) -> Result<Applied, CallError> {
    if let Some(pause) = remove(task, context).await? {
        return Ok(Applied::nothing(Action::requeue(pause)));
    }
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    let version = task.resource_version().unwrap_or_default();
    let written = timed(
        "write task status",
        watch::clear_in_status::<Task>(&context.client, &namespace, &name, &version, "githubToken"),
    );
    context.expectations.note(task, written.await?.as_deref());
    Ok(Applied::nothing(Action::await_change()))
}

/// Returns when to try again, if it has to be.
async fn remove(task: &Task, context: &Context) -> Result<Option<Duration>, CallError> {
    let (namespace, name) = (task.namespace().unwrap_or_default(), task.name_any());
    let secret_name = naming::task_github_token(&name);
    let secret = match context.shared.identity.secret(&namespace, &secret_name).await {
        Ok(Some(secret)) if is_of(&secret, task) => secret,
        Ok(_) => return Ok(None),
        Err(error) if error.is_denied() => {
            tell(task, &format!("Secret {secret_name} stays: {error}"), context).await;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let now = context.clock.now();
    if !has_expired(&secret, now) {
        let Ok(_place) = context.ending.try_acquire() else {
            return Ok(Some(BUSY_PAUSE));
        };
        if let Err(error) = revoke(&secret, context).await {
            if let Some(pause) = another_try(task, &secret, &error, now) {
                tracing::info!(task = %name, %namespace, %error, "will try again to revoke the token");
                return Ok(Some(pause));
            }
            let note = format!("the token of the GitHub App is not revoked and ends within an hour: {error}");
            tell(task, &note, context).await;
        }
    }
    match delete(&namespace, &secret, context).await {
        Ok(()) => {}
        Err(error) if error.is_denied() || error.is_refused() => {
            let note = format!("Secret {secret_name} stays until the Task is deleted: {error}");
            tell(task, &note, context).await;
        }
        Err(error) if error.said().is_some_and(kube::core::Status::is_not_found) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(None)
}

async fn tell(task: &Task, note: &str, context: &Context) {
    tracing::warn!(task = %task.name_any(), namespace = %task.namespace().unwrap_or_default(), "{note}");
    context.events.warn(task, "TokenNotRemoved", note).await;
}

/// Revokes the token in use, and the one before it. The first failure keeps neither from being tried.
async fn revoke(secret: &Secret, context: &Context) -> Result<(), GithubError> {
    let Some(repository) = made_at(secret) else {
        return Ok(());
    };
    let mut outcome = Ok(());
    for key in [env::GITHUB_TOKEN, FORMER_TOKEN] {
        if let Some(token) = Credential::to_revoke(secret, key) {
            outcome = outcome.and(context.shared.github.revoke(&repository, &token).await);
        }
    }
    outcome
}

async fn delete(namespace: &str, secret: &Secret, context: &Context) -> Result<(), IdentityError> {
    let name = secret.name_any();
    let act = Act {
        namespace,
        verb: "delete",
        resource: "secrets",
        name: &name,
    };
    // Another token may have been written since by a leader that does not know yet that it is none.
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: secret.uid(),
            resource_version: secret.resource_version(),
        }),
        ..DeleteParams::default()
    };
    let call = async |client| {
        Api::<Secret>::namespaced(client, namespace)
            .delete(&name, &params)
            .await
    };
    context.shared.identity.call(act, call).await.map(|_| ())
}

/// Returns the host that the token of a Secret was made at, which the Workspace may not name any more. Only the host counts.
fn made_at(secret: &Secret) -> Option<Repository> {
    let host = secret.annotations().get(labels::HOSTS)?;
    let url = if host.starts_with("http://") {
        format!("{host}/o/r")
    } else {
        format!("https://{host}/o/r")
    };
    Repository::of(&url).ok().filter(|repository| {
        let (plain, site) = repository.site();
        github::entry(plain, site) == *host
    })
}

fn has_expired(secret: &Secret, now: Timestamp) -> bool {
    expiry(secret).is_some_and(|end| end <= now)
}

fn expiry(secret: &Secret) -> Option<Timestamp> {
    let end = secret.annotations().get(labels::TOKEN_EXPIRES)?;
    end.parse::<Timestamp>().ok()
}

/// Returns the pause before another try: after a refusal that may pass, and not for ever.
fn another_try(task: &Task, secret: &Secret, error: &GithubError, now: Timestamp) -> Option<Duration> {
    let pause = error.pause(now)?;
    let ended = task.status.as_ref()?.completion_time.as_ref()?.0;
    if let (GithubError::RateLimited { .. }, Some(end)) = (error, expiry(secret)) {
        // The namespace can write the annotation; no token is good for longer than that.
        let end = end.min(ended.checked_add(LONGEST_LIFE).ok()?);
        let left = Duration::try_from(now.duration_until(end)).ok()?;
        return (!left.is_zero()).then(|| pause.max(PAUSES.0).min(left));
    }
    (now.duration_since(ended) < PATIENCE).then(|| pause.clamp(PAUSES.0, PAUSES.1))
}

#[cfg(test)]
mod tests {
    use axon_api::TaskStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::task::fixtures::task;
    use axon_github::ErrorContext;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn asked() -> ErrorContext {
        ErrorContext {
            host: "ghe.example".into(),
            what: "the end of a token".into(),
            secret: Some("t-github-token".into()),
        }
    }

    fn secret(annotation: &str, value: &str) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.annotations = Some([(annotation.to_owned(), value.to_owned())].into());
        secret
    }

    #[test]
    fn a_failed_revocation_is_repeated_for_a_while_and_a_refusal_is_not() {
        let mut ended = task("t");
        let secret = secret(labels::TOKEN_EXPIRES, &at(4000).to_string());
        let silent = |seconds| GithubError::Unreachable {
            asked: asked(),
            said: "reset".into(),
            pause: Duration::from_secs(seconds),
        };
        assert_eq!(another_try(&ended, &secret, &silent(0), at(0)), None);
        ended.status = Some(TaskStatus {
            completion_time: Some(Time(at(1000))),
            ..TaskStatus::default()
        });
        let next = |error: &GithubError, now| another_try(&ended, &secret, error, at(now));
        assert_eq!(next(&silent(1), 1000), Some(PAUSES.0));
        assert_eq!(next(&silent(7200), 1299), Some(PAUSES.1));
        assert_eq!(next(&silent(1), 1300), None);
        let said = String::new();
        let forbidden = GithubError::Forbidden { asked: asked(), said };
        assert_eq!(next(&forbidden, 1000), None, "nothing will change");
    }

    #[test]
    fn a_limit_that_the_agent_used_up_is_waited_for_until_the_token_ends() {
        let mut ended = task("t");
        ended.status = Some(TaskStatus {
            completion_time: Some(Time(at(1000))),
            ..TaskStatus::default()
        });
        let next = |expires, until, now| {
            let secret = secret(labels::TOKEN_EXPIRES, &at(expires).to_string());
            let limit = GithubError::RateLimited {
                asked: asked(),
                until: at(until),
                secondary: false,
            };
            another_try(&ended, &secret, &limit, at(now)).map(|pause| pause.as_secs())
        };
        assert_eq!(next(4000, 3000, 1000), Some(2000), "as the limit says");
        assert_eq!(next(4000, 3000, 2999), Some(10));
        assert_eq!(
            next(4000, 9000, 3500),
            Some(500),
            "and not beyond the token's end"
        );
        assert_eq!(next(4000, 9000, 4000), None);
        assert_eq!(next(99_000, 99_000, 1000), Some(3600), "whatever the Secret says");
        assert_eq!(next(99_000, 99_000, 4600), None);
    }

    #[test]
    fn a_token_is_revoked_where_it_was_made() {
        for (annotation, api) in [
            ("github.com", Some("https://api.github.com")),
            ("octo.ghe.com", Some("https://api.octo.ghe.com")),
            ("ghe.example:8443", Some("https://ghe.example:8443/api/v3")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/api/v3")),
            ("github.com,ghe.example", None),
            ("*.ghe.com", None),
            ("ghe.example/x", None),
            ("u@ghe.example", None),
            ("", None),
        ] {
            let found = made_at(&secret(labels::HOSTS, annotation)).map(|repository| repository.api);
            assert_eq!(found.as_deref(), api, "{annotation}");
        }
        assert!(made_at(&Secret::default()).is_none());
    }

    #[test]
    fn what_has_ended_by_itself_is_not_asked_about() {
        let secret = secret(labels::TOKEN_EXPIRES, &at(100).to_string());
        assert!(has_expired(&secret, at(100)) && !has_expired(&secret, at(99)));
        assert!(!has_expired(&Secret::default(), at(99)), "who knows");
    }
}
