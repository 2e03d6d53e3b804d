//! Asks the operator what a TaskSpawner would do: the request is an annotation, the answer comes in the status.
//!
//! The operator alone may read the source's credential, and what it answers is by the rules it works by.

use std::time::Duration;

use axon_api::v1alpha1::{Answer, Request, Wanted};
use axon_api::{TaskSpawner, labels};
use kube::ResourceExt as _;
use kube::api::Patch;
use rand::Rng as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cluster::{Cluster, patching};
use crate::error::{Action, CliError, Kind, Result};

/// Longest wait for an answer: the operator gives GitHub twenty seconds for each page.
const ENOUGH: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Returns five characters that Kubernetes uses for names, without vowels, so that they are no words, and without
/// digits and `r`, which the names of spawned Tasks end in.
#[must_use]
pub fn tail() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqstvwxz";
    let mut random = rand::rng();
    (0..5)
        .filter_map(|_| ALPHABET.get(random.random_range(0..ALPHABET.len())))
        .map(|byte| char::from(*byte))
        .collect()
}

/// Asks, and returns the answer with the spawner that it is about.
///
/// # Errors
/// A spawner that does not exist, a missing right, an operator that does not answer, or one that can't.
pub async fn ask(cluster: &Cluster, name: &str, wanted: Wanted) -> Result<(TaskSpawner, Answer)> {
    let request = Request { id: tail(), wanted }.to_string();
    let asked = tokio::select! {
        answer = wait(cluster, name, &request) => answer,
        _ = tokio::signal::ctrl_c() => Err(CliError::silent(Kind::Interrupted)),
    };
    // Whatever became of it, the request must not be found by an operator that comes later.
    withdraw(cluster, name, &request).await;
    let (spawner, answer) = asked?;
    if let Some(reason) = answer.reason {
        let message = answer.message.unwrap_or_default();
        return Err(CliError::new(format!(
            "taskspawner {name:?} can't tell: {reason}: {message}"
        )));
    }
    if answer.generation != spawner.metadata.generation {
        return Err(CliError::new(format!(
            "taskspawner {name:?} was edited meanwhile: try again"
        )));
    }
    Ok((spawner, answer))
}

async fn wait(cluster: &Cluster, name: &str, request: &str) -> Result<(TaskSpawner, Answer)> {
    let end = Instant::now() + ENOUGH;
    let mut spawner = get(cluster, name).await?;
    loop {
        match next(&spawner, request) {
            Next::Answered(answer) => {
                let answer = answer.clone();
                return Ok((spawner, answer));
            }
            Next::Write => {
                write(cluster, name, Some(request), None).await?;
            }
            Next::Wait => {}
        }
        if Instant::now() >= end {
            let seconds = ENOUGH.as_secs();
            return Err(CliError::of(
                Kind::TimedOut,
                format!("the operator has not answered for taskspawner {name:?} within {seconds} s"),
            )
            .hint(format!(
                "look whether it runs: kubectl axon doctor{}",
                cluster.target.flags
            )));
        }
        sleep(PAUSE).await;
        spawner = get(cluster, name).await?;
    }
}

#[derive(Debug, PartialEq)]
enum Next<'a> {
    Answered(&'a Answer),
    /// Nobody's request is open.
    Write,
    Wait,
}

/// A spawner has one request at a time: somebody else's is waited for.
fn next<'a>(spawner: &'a TaskSpawner, request: &str) -> Next<'a> {
    let answer = spawner.status.as_ref().and_then(|status| status.answer.as_ref());
    if let Some(answer) = answer.filter(|answer| answer.request == request) {
        return Next::Answered(answer);
    }
    match spawner.annotations().get(labels::REQUEST) {
        Some(open) if open == request => Next::Wait,
        Some(open) if answer.is_none_or(|answer| answer.request != *open) => Next::Wait,
        _ => Next::Write,
    }
}

async fn get(cluster: &Cluster, name: &str) -> Result<TaskSpawner> {
    let action = Action::new("get", "taskspawners")
        .named(name)
        .within(&cluster.namespace);
    cluster
        .call(&action, cluster.api::<TaskSpawner>().get(name))
        .await
}

async fn write(cluster: &Cluster, name: &str, request: Option<&str>, version: Option<String>) -> Result<()> {
    let action = Action::new("patch", "taskspawners")
        .named(name)
        .within(&cluster.namespace);
    let params = patching(false);
    let mut patch = json!({"metadata": {"annotations": {labels::REQUEST: request}}});
    if let (Some(version), Some(metadata)) = (
        version,
        patch.pointer_mut("/metadata").and_then(Value::as_object_mut),
    ) {
        metadata.insert("resourceVersion".to_owned(), version.into());
    }
    let api = cluster.api::<TaskSpawner>();
    cluster
        .call(&action, api.patch_metadata(name, &params, &Patch::Merge(patch)))
        .await?;
    Ok(())
}

/// Takes the request away if it is still there. What fails here changes nothing for the person who asked: an answer is
/// small, and the next request replaces it.
async fn withdraw(cluster: &Cluster, name: &str, request: &str) {
    for _ in 0..3 {
        let Ok(spawner) = get(cluster, name).await else {
            return;
        };
        let open = spawner.annotations().get(labels::REQUEST);
        if open.is_none_or(|open| open != request) {
            return;
        }
        // Of this version only: somebody else's request must not go.
        if write(cluster, name, None, spawner.resource_version())
            .await
            .is_ok()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawner(open: Option<&str>, answered: Option<&str>) -> TaskSpawner {
        let mut spawner: TaskSpawner = serde_json::from_value(json!({
            "metadata": {"name": "s"},
            "spec": {"when": {"cron": {"schedule": "0 9 * * *"}},
                "taskTemplate": {"type": "codex", "credentials": {"type": "none"}}},
        }))
        .unwrap();
        spawner.metadata.annotations = open.map(|text| [(labels::REQUEST.into(), text.into())].into());
        spawner.status.get_or_insert_default().answer = answered.map(|text| Answer {
            request: text.into(),
            ..Answer::default()
        });
        spawner
    }

    #[test]
    fn one_request_at_a_time() {
        let next = |open, answered| match next(&spawner(open, answered), "mine") {
            Next::Answered(_) => "answered",
            Next::Write => "write",
            Next::Wait => "wait",
        };
        assert_eq!(next(None, None), "write");
        assert_eq!(next(Some("mine"), None), "wait");
        assert_eq!(next(Some("mine"), Some("mine")), "answered");
        assert_eq!(next(Some("other"), None), "wait");
        // Left behind by somebody who has gone away.
        assert_eq!(next(Some("other"), Some("other")), "write");
        assert_eq!(next(None, Some("other")), "write");
        assert_eq!(next(Some("mine"), Some("other")), "wait");
    }

    #[test]
    fn tails_are_no_end_of_a_spawned_name() {
        for _ in 0..50 {
            let tail = tail();
            assert!(
                tail.len() == 5 && tail.bytes().all(|b| b.is_ascii_lowercase() && b != b'r'),
                "{tail}"
            );
        }
    }
}
