//! Brings the Secrets and the Workspace of the configuration file into the cluster: reads all, asks, then writes.

use std::collections::BTreeMap;

use axon_api::{Workspace, labels};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Patch;
use serde_json::json;

use super::plan::{MANAGER, WantedSecret, own_labels};
use crate::cluster::{Cluster, patching, posting};
use crate::error::{Action, CliError, Result};
use crate::objects::references;
use crate::objects::references::Users;
use crate::term::output::Ui;

/// Something to write before the Task.
pub(crate) enum Change {
    /// The Secret does not exist.
    CreateSecret(WantedSecret),
    /// The Secret is ours and lacks the key.
    AddKey(WantedSecret),
    /// The Secret has another value; `ours` tells who made it.
    ReplaceKey { secret: WantedSecret, ours: bool },
    /// The Workspace does not exist.
    CreateWorkspace(Box<Workspace>),
    /// The Workspace has another spec; the object is the one read, with the spec replaced.
    ReplaceWorkspace {
        workspace: Box<Workspace>,
        ours: bool,
        /// The repository until now.
        was: String,
    },
}

/// Compares the cluster with the plan.
pub(crate) async fn compare(
    cluster: &Cluster,
    secrets: &[WantedSecret],
    workspace: Option<&Workspace>,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for wanted in secrets {
        let action = Action::new("get", "secrets")
            .named(&wanted.name)
            .within(&cluster.namespace);
        let found = cluster
            .call(&action, cluster.api::<Secret>().get_opt(&wanted.name))
            .await?;
        changes.extend(secret_change(found.as_ref(), wanted));
    }
    if let Some(wanted) = workspace {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        let action = Action::new("get", "workspaces")
            .named(name)
            .within(&cluster.namespace);
        let found = cluster
            .call(&action, cluster.api::<Workspace>().get_opt(name))
            .await?;
        changes.extend(workspace_change(found, wanted));
    }
    Ok(changes)
}

fn secret_change(found: Option<&Secret>, wanted: &WantedSecret) -> Option<Change> {
    let Some(found) = found else {
        return Some(Change::CreateSecret(wanted.clone()));
    };
    let ours = is_ours(&found.metadata);
    match found.data.as_ref().and_then(|data| data.get(wanted.key)) {
        Some(value) if value.0 == wanted.value.as_bytes() => {
            // Made by an earlier version, or for another host.
            let hosts = found
                .metadata
                .annotations
                .as_ref()
                .and_then(|a| a.get(labels::HOSTS));
            let lacks = ours && wanted.hosts.is_some() && hosts != wanted.hosts.as_ref();
            lacks.then(|| Change::AddKey(wanted.clone()))
        }
        // A key more harms nobody; Tasks name the key that they read.
        None if ours => Some(Change::AddKey(wanted.clone())),
        _ => Some(Change::ReplaceKey {
            secret: wanted.clone(),
            ours,
        }),
    }
}

fn workspace_change(found: Option<Workspace>, wanted: &Workspace) -> Option<Change> {
    let Some(mut found) = found else {
        return Some(Change::CreateWorkspace(Box::new(wanted.clone())));
    };
    if found.spec == wanted.spec {
        return None;
    }
    let ours = is_ours(&found.metadata);
    let was = std::mem::replace(&mut found.spec, wanted.spec.clone()).repo;
    Some(Change::ReplaceWorkspace {
        workspace: Box::new(found),
        ours,
        was,
    })
}

fn is_ours(meta: &ObjectMeta) -> bool {
    let owner = meta.labels.as_ref().and_then(|l| l.get(labels::MANAGED_BY));
    owner.is_some_and(|owner| owner == MANAGER)
}

/// Asks before anything is replaced, and names who else uses it. `-y` answers for what an earlier run made, never for
/// what somebody else made, and never for the work of others: a Workspace that moves to another repository takes
/// with it all that wait for it.
pub(crate) async fn ask(ui: &Ui, cluster: &Cluster, changes: &[Change], yes: bool) -> Result<()> {
    let replaces = |change: &&Change| {
        matches!(
            change,
            Change::ReplaceKey { .. } | Change::ReplaceWorkspace { .. }
        )
    };
    if !changes.iter().any(|change| replaces(&change)) {
        return Ok(());
    }
    let users = Users::read(cluster).await?;
    for change in changes {
        let (what, name, ours, used_by) = match change {
            Change::ReplaceKey { secret, ours } => (
                "secret",
                secret.name.as_str(),
                *ours,
                users.of_secret(&secret.name),
            ),
            Change::ReplaceWorkspace { workspace, ours, .. } => {
                let name = workspace.metadata.name.as_deref().unwrap_or_default();
                ("workspace", name, *ours, users.of_workspace(name))
            }
            _ => continue,
        };
        ask_one(ui, cluster, change, (what, name), ours, &used_by, yes)?;
    }
    Ok(())
}

fn ask_one(
    ui: &Ui,
    cluster: &Cluster,
    change: &Change,
    (what, name): (&str, &str),
    ours: bool,
    used_by: &[&str],
    yes: bool,
) -> Result<()> {
    let namespace = &cluster.namespace;
    let mut state = format!("{what} {name:?} already exists in namespace {namespace} with other values");
    let away = references::moved(change).filter(|_| !used_by.is_empty());
    if let Some((was, now)) = away {
        let users = references::named(used_by);
        state = format!(
            "{what} {name:?} in namespace {namespace} is of {was}, and {users} would work on {now} instead"
        );
    } else if !used_by.is_empty() {
        state += &format!(", and is used by {}", references::named(used_by));
    }
    if away.is_some() && (yes || !ui.can_ask()) {
        return Err(CliError::new(state)
            .hint("make a workspace for your repository: kubectl axon create workspace NAME --repo URL")
            .hint("and name it: --workspace NAME, or workspace.name in the configuration file"));
    }
    if ours {
        if yes && !used_by.is_empty() {
            ui.warn(&format!("{state}; they get the new values"));
        }
        return ui.confirm(&format!("{state}. Replace it?"), yes, &state);
    }
    if yes {
        return Err(CliError::new(format!("{state}, and {MANAGER} did not make it")).hint(format!(
            "use it as it is with --{what} {name}, or delete it: kubectl delete {what} {name} -n {namespace}{}",
            cluster.target.flags
        )));
    }
    let question = format!("{state}, and {MANAGER} did not make it. Replace it all the same?");
    ui.confirm(&question, false, &state)
}

/// Writes the changes.
pub(crate) async fn write(ui: &Ui, cluster: &Cluster, changes: &[Change], trial: bool) -> Result<()> {
    for change in changes {
        let done = match change {
            Change::CreateSecret(secret) => {
                create_secret(cluster, secret, trial).await?;
                format!("secret/{} created", secret.name)
            }
            Change::AddKey(secret) | Change::ReplaceKey { secret, .. } => {
                patch_secret(cluster, secret, trial).await?;
                format!("secret/{} configured", secret.name)
            }
            Change::CreateWorkspace(workspace) => write_workspace(cluster, workspace, false, trial).await?,
            Change::ReplaceWorkspace { workspace, .. } => {
                write_workspace(cluster, workspace, true, trial).await?
            }
        };
        ui.say(&format!("{done}{}", if trial { " (server dry run)" } else { "" }));
    }
    Ok(())
}

async fn create_secret(cluster: &Cluster, wanted: &WantedSecret, trial: bool) -> Result<()> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(wanted.name.clone()),
            labels: Some(own_labels()),
            annotations: wanted.annotations(),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(
            wanted.key.to_owned(),
            ByteString(wanted.value.clone().into_bytes()),
        )])),
        ..Secret::default()
    };
    let action = Action::new("create", "secrets")
        .named(&wanted.name)
        .within(&cluster.namespace);
    cluster
        .call(&action, cluster.api::<Secret>().create(&posting(trial), &secret))
        .await?;
    Ok(())
}

async fn patch_secret(cluster: &Cluster, wanted: &WantedSecret, trial: bool) -> Result<()> {
    let action = Action::new("patch", "secrets")
        .named(&wanted.name)
        .within(&cluster.namespace);
    let params = patching(trial);
    let mut members = serde_json::Map::new();
    members.insert(
        "data".to_owned(),
        json!({wanted.key: ByteString(wanted.value.clone().into_bytes())}),
    );
    if let Some(annotations) = wanted.annotations() {
        members.insert("metadata".to_owned(), json!({ "annotations": annotations }));
    }
    let patch = Patch::Merge(members);
    cluster
        .call(
            &action,
            cluster.api::<Secret>().patch(&wanted.name, &params, &patch),
        )
        .await?;
    Ok(())
}

async fn write_workspace(
    cluster: &Cluster,
    workspace: &Workspace,
    replace: bool,
    trial: bool,
) -> Result<String> {
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    let verb = if replace { "update" } else { "create" };
    let action = Action::new(verb, "workspaces")
        .named(name)
        .within(&cluster.namespace);
    let api = cluster.api::<Workspace>();
    if replace {
        // The object carries the resourceVersion that was read: nobody else's change is lost.
        cluster
            .call(&action, api.replace(name, &posting(trial), workspace))
            .await?;
        Ok(format!("workspace/{name} configured"))
    } else {
        cluster
            .call(&action, api.create(&posting(trial), workspace))
            .await?;
        Ok(format!("workspace/{name} created"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(ours: bool, key: &str, value: &str) -> Secret {
        Secret {
            metadata: ObjectMeta {
                labels: ours.then(own_labels),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                key.to_owned(),
                ByteString(value.as_bytes().to_vec()),
            )])),
            ..Secret::default()
        }
    }

    fn wanted() -> WantedSecret {
        WantedSecret {
            name: "s".into(),
            key: "KEY",
            value: "v".into(),
            hosts: None,
        }
    }

    #[test]
    fn a_secret_is_written_only_when_it_must_be() {
        let change = |found: Option<Secret>| secret_change(found.as_ref(), &wanted());
        assert!(matches!(change(None), Some(Change::CreateSecret(_))));
        assert!(change(Some(existing(false, "KEY", "v"))).is_none());
        assert!(matches!(
            change(Some(existing(true, "OTHER", "v"))),
            Some(Change::AddKey(_))
        ));
        for (ours, key) in [(true, "KEY"), (false, "KEY"), (false, "OTHER")] {
            let Some(Change::ReplaceKey { ours: told, .. }) = change(Some(existing(ours, key, "x"))) else {
                panic!("{ours} {key}");
            };
            assert_eq!(told, ours);
        }
    }

    #[test]
    fn a_token_gets_the_host_that_it_is_for_unless_somebody_else_made_the_secret() {
        let wanted = WantedSecret {
            hosts: Some("ghe.example".into()),
            ..wanted()
        };
        let mut found = existing(true, "KEY", "v");
        assert!(matches!(
            secret_change(Some(&found), &wanted),
            Some(Change::AddKey(_))
        ));
        assert!(secret_change(Some(&existing(false, "KEY", "v")), &wanted).is_none());
        found.metadata.annotations = wanted.annotations();
        assert!(secret_change(Some(&found), &wanted).is_none());
    }
}
