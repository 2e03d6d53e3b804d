//! Looks whether what the Task names exists, so that a typing error shows at once and not as an endless wait.

use axon_api::{AgentConfig, Task, Workspace};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::plan::Plan;
use crate::cluster::Cluster;
use crate::error::{Action, CliError, Kind, Result};

/// Checks that the Task can be created: that the kind is known and the name is free.
///
/// # Errors
/// When the resources are not installed, or the name is taken. Who may not look is let through: creating says it.
pub(crate) async fn check_name(cluster: &Cluster, name: &str) -> Result<()> {
    let action = Action::new("get", "tasks").named(name).within(&cluster.namespace);
    let request = cluster.api::<Task>();
    match cluster.call(&action, request.get_metadata(name)).await {
        Ok(_) => Err(CliError::new(format!(
            "task {name:?} already exists in namespace {}",
            cluster.namespace
        ))
        .hint(format!(
            "choose another --name, or delete it: kubectl axon delete task {name}{}",
            cluster.flags()
        ))),
        Err(error) if matches!(error.kind, Kind::NotFound | Kind::Denied) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Returns a warning for each object that the plan refers to and that does not exist yet.
pub(crate) async fn missing(cluster: &Cluster, plan: &Plan) -> Vec<String> {
    let spec = &plan.task.spec;
    let workspace = spec.workspace_ref.as_ref().filter(|_| plan.workspace.is_none());
    let secret = spec.credentials.secret_ref.as_ref();
    let secret = secret.filter(|s| plan.secrets.iter().all(|made| made.name != s.name));
    let variable = spec.agent.credential_variable(spec.credentials.kind);
    let (workspaces, configs, tasks) = (
        cluster.api::<Workspace>(),
        cluster.api::<AgentConfig>(),
        cluster.api::<Task>(),
    );
    let (workspace, config, secret, dependencies) = futures::join!(
        async {
            let name = &workspace?.name;
            absent(cluster, &workspaces, name, "workspace").await
        },
        async {
            let name = &spec.agent_config_ref.as_ref()?.name;
            absent(cluster, &configs, name, "agentconfig").await
        },
        async { secret_fault(cluster, &secret?.name, variable?).await },
        join_all(
            spec.depends_on
                .iter()
                .map(|name| absent(cluster, &tasks, name, "task"))
        ),
    );
    let found = [workspace, config, secret];
    found.into_iter().chain(dependencies).flatten().collect()
}

async fn absent<K>(cluster: &Cluster, api: &Api<K>, name: &str, word: &str) -> Option<String>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let action = Action::new("get", format!("{word}s"))
        .named(name)
        .within(&cluster.namespace);
    // Failures other than "absent" are no reason to warn: the operator may see what we may not.
    let found = cluster.call(&action, api.get_metadata_opt(name)).await.ok()?;
    found.is_none().then(|| waits(word, name, &cluster.namespace))
}

async fn secret_fault(cluster: &Cluster, name: &str, variable: &str) -> Option<String> {
    let action = Action::new("get", "secrets")
        .named(name)
        .within(&cluster.namespace);
    let found = cluster
        .call(&action, cluster.api::<Secret>().get_opt(name))
        .await
        .ok()?;
    let Some(secret) = found else {
        return Some(waits("secret", name, &cluster.namespace));
    };
    let keys: Vec<String> = secret.data.unwrap_or_default().into_keys().collect();
    (!keys.iter().any(|key| key == variable)).then(|| {
        let has = if keys.is_empty() {
            "no keys".to_owned()
        } else {
            keys.join(", ")
        };
        format!("secret {name:?} has no key {variable} (it has {has}); the task waits until it does")
    })
}

fn waits(word: &str, name: &str, namespace: &str) -> String {
    format!("{word} {name:?} does not exist in namespace {namespace}; the task waits until it does")
}
