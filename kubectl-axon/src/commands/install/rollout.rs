//! Waits until what was applied works.

use std::time::Duration;

use axon_api::labels;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind, Result};
use crate::format::{duration, one_line};
use crate::install::manifests::{Manifest, NAMESPACE, OPERATOR};
use crate::term::output::Ui;

/// Waits until the API server serves the definitions.
pub(super) async fn established(
    cluster: &Cluster,
    definitions: &[Manifest],
    timeout: Duration,
) -> Result<()> {
    let end = Instant::now() + timeout;
    let api = cluster.cluster_api::<CustomResourceDefinition>();
    for manifest in definitions {
        let name = manifest.name();
        let action = Action::new("get", "customresourcedefinitions").named(name);
        loop {
            let status = cluster
                .call(&action, api.get(name))
                .await?
                .status
                .unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            if conditions
                .iter()
                .any(|c| c.type_ == "Established" && c.status == "True")
            {
                break;
            }
            if Instant::now() >= end {
                let refused = conditions
                    .iter()
                    .find(|c| c.status == "False")
                    .and_then(|c| c.message.clone());
                let why = refused.map(|m| format!(": {}", one_line(&m))).unwrap_or_default();
                return Err(CliError::of(
                    Kind::TimedOut,
                    format!(
                        "{} is not served after {}{why}",
                        manifest.title(),
                        duration(timeout)
                    ),
                ));
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// Waits until the new operator runs, and says how far it is.
pub(super) async fn wait(ui: &Ui, cluster: &Cluster, timeout: Duration) -> Result<()> {
    let end = Instant::now() + timeout;
    let api = cluster.api_in::<Deployment>(NAMESPACE);
    let action = Action::new("get", "deployments")
        .named(OPERATOR)
        .within(NAMESPACE);
    let mut said = String::new();
    loop {
        let progress = progress(&cluster.call(&action, api.get(OPERATOR)).await?);
        let Some(words) = progress else {
            return Ok(());
        };
        let trouble = trouble(cluster).await;
        let line = match &trouble {
            Some(trouble) => format!("waiting for the operator: {words}; {trouble}"),
            None => format!("waiting for the operator: {words}"),
        };
        if line != said {
            ui.say(&line);
            said = line;
        }
        if Instant::now() >= end {
            let image = trouble.as_ref().is_some_and(|t| t.contains("Image"));
            let why = trouble.map(|t| format!(": {t}")).unwrap_or_default();
            let error = CliError::of(
                Kind::TimedOut,
                format!(
                    "the operator is not ready after {} ({words}){why}",
                    duration(timeout)
                ),
            )
            .hint(format!(
                "see what its pods say: kubectl describe pods -n {NAMESPACE}{}",
                cluster.target.flags
            ));
            return Err(if image {
                error.hint(
                    "images come from elsewhere with --registry and --tag; with --tag no digest has to match",
                )
            } else {
                error
            });
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Returns how far a rollout is, or `None` when it is complete.
fn progress(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        return Some("not seen by the cluster yet".to_owned());
    }
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let old = status.replicas.unwrap_or(0) - updated;
    if updated >= wanted && available >= wanted && old <= 0 {
        return None;
    }
    let ending = if old > 0 {
        format!(", {old} of the old ones left")
    } else {
        String::new()
    };
    Some(format!("{available} of {wanted} available{ending}"))
}

/// Returns what keeps a pod of the operator from running, if its node says so.
async fn trouble(cluster: &Cluster) -> Option<String> {
    let selector = format!(
        "{}={},{}=operator",
        labels::NAME,
        labels::APP_NAME,
        labels::COMPONENT
    );
    let action = Action::new("list", "pods").within(NAMESPACE);
    let api = cluster.api_in::<Pod>(NAMESPACE);
    let params = ListParams::default().labels(&selector);
    // Who may not list pods still gets the numbers.
    let pods = cluster.call(&action, api.list(&params)).await.ok()?;
    pods.items.iter().find_map(pod_trouble)
}

fn pod_trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting
            .reason
            .as_deref()
            .filter(|r| !matches!(*r, "ContainerCreating" | "PodInitializing"))?;
        let message = waiting.message.as_deref().map(one_line).unwrap_or_default();
        Some(format!("{reason} ({message})"))
    });
    waiting.or_else(|| {
        let conditions = status.conditions.iter().flatten();
        let refused = conditions
            .into_iter()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some(format!(
            "no node takes its pod ({})",
            one_line(refused.message.as_deref()?)
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rollout_is_complete_when_only_new_replicas_are_there_and_available() {
        let deployment = |status: serde_json::Value| -> Deployment {
            serde_json::from_value(json!({
                "metadata": {"generation": 2}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status,
            }))
            .unwrap()
        };
        for (status, words) in [
            (json!({}), Some("not seen by the cluster yet")),
            (
                json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
                Some("not seen by the cluster yet"),
            ),
            (json!({"observedGeneration": 2}), Some("0 of 2 available")),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}),
                Some("2 of 2 available, 1 of the old ones left"),
            ),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
                None,
            ),
        ] {
            assert_eq!(progress(&deployment(status)).as_deref(), words);
        }
    }

    #[test]
    fn trouble_is_named() {
        let pod =
            |status: serde_json::Value| -> Pod { serde_json::from_value(json!({"status": status})).unwrap() };
        let waiting = |reason: &str| {
            pod(
                json!({"containerStatuses": [{"name": "operator", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "why"}}}]}),
            )
        };
        assert_eq!(
            pod_trouble(&waiting("ImagePullBackOff")).as_deref(),
            Some("ImagePullBackOff (why)")
        );
        assert_eq!(pod_trouble(&waiting("ContainerCreating")), None);
        let unscheduled =
            pod(json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1"}]}));
        assert_eq!(
            pod_trouble(&unscheduled).as_deref(),
            Some("no node takes its pod (0/1)")
        );
    }
}
