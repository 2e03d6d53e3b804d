//! The state of a Task, its Job, pods, events and logs, for the message of a test that fails.

use std::fmt::Write as _;

use axon_api::{Task, labels, yaml};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde::Serialize;

use crate::namespace::Namespace;

const LOG_LINES: i64 = 40;
const OPERATOR_NAMESPACE: &str = "axon-system";

/// Describes a Task with its Job, pods, events and the ends of the logs. What can't be read is said to be so.
pub async fn of_task(namespace: &Namespace, task: &str) -> String {
    let mut text = String::new();
    let tasks: Api<Task> = namespace.api();
    match tasks.get(task).await {
        Ok(mut found) => {
            found.metadata.managed_fields = None;
            section(&mut text, "task", &as_yaml(&found));
        }
        Err(error) => section(&mut text, "task", &error.to_string()),
    }
    let jobs: Api<Job> = namespace.api();
    match jobs.get_opt(task).await {
        Ok(Some(job)) => section(&mut text, "status of the job", &as_yaml(&job.status)),
        Ok(None) => section(&mut text, "job", "there is none"),
        Err(error) => section(&mut text, "job", &error.to_string()),
    }
    let of_task = ListParams::default().labels(&format!("{}={task}", labels::TASK));
    pods(&mut text, &namespace.api(), &of_task).await;
    events(&mut text, &namespace.api()).await;
    let operator = ListParams::default().labels(&format!("{}=operator", labels::COMPONENT));
    pods(
        &mut text,
        &Api::namespaced(namespace.client().clone(), OPERATOR_NAMESPACE),
        &operator,
    )
    .await;
    text
}

async fn pods(text: &mut String, api: &Api<Pod>, which: &ListParams) {
    let found = match api.list(which).await {
        Ok(found) => found,
        Err(error) => return section(text, "pods", &error.to_string()),
    };
    for pod in found {
        let name = pod.name_any();
        section(text, &format!("status of pod {name}"), &as_yaml(&pod.status));
        let Some(spec) = pod.spec else { continue };
        for container in spec.init_containers.into_iter().flatten().chain(spec.containers) {
            let parameters = LogParams {
                container: Some(container.name.clone()),
                tail_lines: Some(LOG_LINES),
                ..LogParams::default()
            };
            let log = api
                .logs(&name, &parameters)
                .await
                .unwrap_or_else(|error| error.to_string());
            section(text, &format!("log of {name}/{}", container.name), &log);
        }
    }
}

async fn events(text: &mut String, api: &Api<Event>) {
    let mut lines = match api.list(&ListParams::default()).await {
        Ok(found) => found
            .into_iter()
            .map(|event| {
                let (object, time) = (event.involved_object, event.metadata.creation_timestamp);
                format!(
                    "{} {} {}/{} {}: {}",
                    time.map(|time| time.0.to_string()).unwrap_or_default(),
                    event.type_.unwrap_or_default(),
                    object.kind.unwrap_or_default(),
                    object.name.unwrap_or_default(),
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default(),
                )
            })
            .collect(),
        Err(error) => vec![error.to_string()],
    };
    lines.sort();
    section(text, "events of the namespace", &lines.join("\n"));
}

fn section(text: &mut String, title: &str, content: &str) {
    let _ = writeln!(text, "--- {title} ---\n{}", content.trim_end());
}

fn as_yaml(value: &impl Serialize) -> String {
    yaml::to_string(value).unwrap_or_else(|error| error.to_string())
}
