//! Learns the facts. What may not be seen is a fact, too.

mod guards;
mod network;

use std::collections::BTreeMap;

use axon_api::{LEADER_LEASE, TaskSpawner, Workspace, contract, fit, labels};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ResourceQuota, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Client, Config};

use crate::analysis::doctor::credentials::{GithubFacts, Reach, SecretFacts};
use crate::analysis::doctor::spawners::SpawnerFacts;
use crate::analysis::doctor::{Fact, Facts, OperatorFacts, QuotaFacts, Right};
use crate::cluster::Cluster;
use crate::config_file::Config as File;
use crate::error::{Action, Kind as Failure};
use crate::follow;
use crate::install::installed;
use crate::install::manifests::{NAMESPACE, OPERATOR};

/// Longest time without a leader that is no fault: a lease of a replica that was killed runs out in it.
const ELECTION: std::time::Duration = std::time::Duration::from_secs(20);

/// Verb and resource of what a user needs; a group of "" is Kubernetes' own.
const USER: [(&str, &str, &str); 11] = [
    ("create", axon_api::GROUP, "tasks"),
    ("list", axon_api::GROUP, "tasks"),
    ("watch", axon_api::GROUP, "tasks"),
    ("patch", axon_api::GROUP, "tasks"),
    ("delete", axon_api::GROUP, "tasks"),
    ("list", axon_api::GROUP, "taskrecords"),
    ("list", "", "pods"),
    ("get", "", "pods/log"),
    ("get", "", "secrets"),
    ("create", "", "secrets"),
    ("create", axon_api::GROUP, "workspaces"),
];

/// Those of them that only somebody needs who sets up credentials: `axon-edit` has no right on Secrets.
const SET_UP: [(&str, &str); 3] = [
    ("get", "secrets"),
    ("create", "secrets"),
    ("create", "workspaces"),
];

/// The same for the operator.
const OPERATORS: [(&str, &str, &str); 8] = [
    ("watch", axon_api::GROUP, "tasks"),
    ("patch", axon_api::GROUP, "tasks/status"),
    ("watch", axon_api::GROUP, "workspaces"),
    ("create", axon_api::GROUP, "taskrecords"),
    ("create", "batch", "jobs"),
    ("watch", "batch", "jobs"),
    ("watch", "", "pods"),
    ("create", "", "configmaps"),
];

/// Learns everything.
pub(super) async fn gather(cluster: &Cluster, file: &File) -> Facts {
    let namespace = cluster.namespace.as_str();
    let version = async {
        let action = Action::new("get", "version");
        let info = cluster.call(&action, cluster.client.apiserver_version()).await;
        info.map(|info| info.git_version).map_err(|e| e.to_string())
    };
    let found = installed::operator(cluster).await.map_err(|e| e.to_string());
    let variables = found
        .as_ref()
        .map(|found| found.as_ref().map(|o| o.variables.clone()).unwrap_or_default());
    let variables = variables.map_err(Clone::clone);
    let operator: Fact<Option<OperatorFacts>> = found.map(|found| {
        found.map(|o| OperatorFacts {
            version: o.version,
            namespace: o.namespace,
            replicas: o.replicas,
            ready: o.ready,
            watches: o.watches,
        })
    });
    let resources = async { installed::crds(cluster).await.map_err(|e| e.to_string()) };
    let lacking = async {
        let action = Action::new("get", "the definitions' schema");
        let request = http::Request::get(fit::path())
            .body(Vec::new())
            .map_err(|e| e.to_string())?;
        let served = cluster
            .call(&action, cluster.client.request::<fit::Served>(request))
            .await;
        served.map(|served| served.missing()).map_err(|e| e.to_string())
    };
    let place = operator
        .as_ref()
        .ok()
        .and_then(|found| Some(found.as_ref()?.namespace.clone()));
    let place = place.as_deref().unwrap_or(NAMESPACE);
    let (version, resources, lacking, leader, user, operator_rights) = futures::join!(
        version,
        resources,
        lacking,
        leader_in_time(
            cluster,
            place,
            operator
                .as_ref()
                .is_ok_and(|found| found.as_ref().is_some_and(|o| o.ready > 0))
        ),
        user_rights(cluster),
        operator_rights(cluster, place)
    );
    let (admission, roles, network) = futures::join!(
        guards::admission(cluster, place),
        guards::roles(cluster),
        network::network(cluster, &variables)
    );
    let (pod_security, quotas, has_limit_range, image_faults, spawners, secrets, github) = futures::join!(
        pod_security(cluster),
        quotas(cluster),
        limit_range(cluster),
        image_faults(cluster),
        spawners(cluster),
        secrets(cluster, file),
        github(file)
    );
    Facts {
        server: cluster.target.server.clone(),
        namespace: namespace.to_owned(),
        flags: cluster.target.flags.clone(),
        cluster: version,
        resources,
        lacking,
        operator,
        client: installed::client(),
        leader,
        user,
        operator_rights,
        admission,
        roles,
        network,
        pod_security,
        quotas,
        has_limit_range,
        image_faults,
        spawners,
        secrets,
        github,
    }
}

/// Waits as long as an election takes if replicas are ready: right after an installation or an update nobody leads yet.
async fn leader_in_time(cluster: &Cluster, place: &str, is_ready: bool) -> Fact<Option<i64>> {
    let limit = tokio::time::Instant::now() + ELECTION;
    loop {
        let found = leader(cluster, place).await;
        if !is_ready || !matches!(found, Ok(None)) || tokio::time::Instant::now() >= limit {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

async fn leader(cluster: &Cluster, place: &str) -> Fact<Option<i64>> {
    let action = Action::new("get", "leases").named(LEADER_LEASE).within(place);
    let api = cluster.api_in::<Lease>(place);
    let lease = cluster.call(&action, api.get_opt(LEADER_LEASE)).await;
    let spec = lease.map_err(|e| e.to_string())?.and_then(|lease| lease.spec);
    let held = spec.filter(|s| s.holder_identity.as_ref().is_some_and(|h| !h.is_empty()));
    let renewed = held.and_then(|s| s.renew_time);
    Ok(renewed.map(|time| Timestamp::now().as_second() - time.0.as_second()))
}

fn attributes((verb, group, resource): (&str, &str, &str), namespace: Option<&str>) -> ResourceAttributes {
    let (resource, sub) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (resource, None),
    };
    ResourceAttributes {
        group: Some(group.to_owned()),
        namespace: namespace.map(str::to_owned),
        resource: Some(resource.to_owned()),
        subresource: sub,
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    }
}

async fn user_rights(cluster: &Cluster) -> Fact<Vec<Right>> {
    let api = cluster.cluster_api::<SelfSubjectAccessReview>();
    let asked = USER.map(|right| {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes(right, Some(&cluster.namespace))),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api = api.clone();
        async move {
            let action = Action::new("create", "selfsubjectaccessreviews");
            let answer = cluster
                .call(&action, api.create(&PostParams::default(), &review))
                .await;
            let status = answer.map_err(|e| e.to_string())?.status;
            Ok(Right {
                what: format!("{} {}", right.0, right.2),
                allowed: status.is_some_and(|s| s.allowed),
                is_optional: SET_UP.contains(&(right.0, right.2)),
            })
        }
    });
    futures::future::join_all(asked).await.into_iter().collect()
}

async fn operator_rights(cluster: &Cluster, place: &str) -> Fact<Vec<Right>> {
    let api = cluster.cluster_api::<SubjectAccessReview>();
    let asked = OPERATORS.map(|right| {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{place}:{OPERATOR}")),
                groups: Some(vec![
                    "system:serviceaccounts".into(),
                    "system:authenticated".into(),
                ]),
                resource_attributes: Some(attributes(right, Some(&cluster.namespace))),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api = api.clone();
        async move {
            let action = Action::new("create", "subjectaccessreviews");
            let answer = cluster
                .call(&action, api.create(&PostParams::default(), &review))
                .await;
            let status = answer.map_err(|e| e.to_string())?.status;
            Ok(Right {
                what: format!("{} {}", right.0, right.2),
                allowed: status.is_some_and(|s| s.allowed),
                is_optional: false,
            })
        }
    });
    futures::future::join_all(asked).await.into_iter().collect()
}

async fn pod_security(cluster: &Cluster) -> Fact<Option<String>> {
    let action = Action::new("get", "namespaces").named(&cluster.namespace);
    let api = cluster.cluster_api::<Namespace>();
    let found = cluster.call(&action, api.get(&cluster.namespace)).await;
    let mut labels = found
        .map_err(|e| e.to_string())?
        .metadata
        .labels
        .unwrap_or_default();
    Ok(labels.remove("pod-security.kubernetes.io/enforce"))
}

/// Resources of a ResourceQuota that bound the number of Tasks.
const COUNTS: [&str; 4] = ["pods", "count/pods", "count/jobs.batch", "count/tasks.axon.io"];

async fn quotas(cluster: &Cluster) -> Fact<Vec<QuotaFacts>> {
    let action = Action::new("list", "resourcequotas").within(&cluster.namespace);
    let api = cluster.api::<ResourceQuota>();
    let found = cluster.call(&action, api.list(&ListParams::default())).await;
    let quotas = found.map_err(|e| e.to_string())?.items.into_iter().map(|quota| {
        let status = quota.status.unwrap_or_default();
        let (hard, used) = (status.hard.unwrap_or_default(), status.used.unwrap_or_default());
        // Counts alone are compared: sizes are written in many ways, and what is left of them depends on the pod.
        let count = |text: &str| text.parse::<i64>().ok();
        let exhausted = COUNTS
            .into_iter()
            .filter_map(|resource| {
                let (most, now) = (hard.get(resource)?, used.get(resource)?);
                let full = count(&now.0)? >= count(&most.0)?;
                full.then(|| format!("{resource} ({} of {})", now.0, most.0))
            })
            .collect();
        QuotaFacts {
            name: quota.metadata.name.unwrap_or_default(),
            exhausted,
            demands_limits: hard
                .keys()
                .any(|key| crate::analysis::doctor::demands_of_pods(key)),
            counts_tasks: COUNTS.iter().any(|resource| hard.contains_key(*resource)),
        }
    });
    Ok(quotas.collect())
}

async fn limit_range(cluster: &Cluster) -> Fact<bool> {
    let action = Action::new("list", "limitranges").within(&cluster.namespace);
    let api = cluster.api::<LimitRange>();
    let found = cluster.call(&action, api.list(&ListParams::default())).await;
    let mut limits = found.map_err(|e| e.to_string())?.items.into_iter();
    Ok(limits.any(|range| {
        let limits = range.spec.map(|spec| spec.limits).unwrap_or_default();
        limits
            .iter()
            .any(|item| item.type_ == "Container" && item.default.is_some())
    }))
}

async fn image_faults(cluster: &Cluster) -> Fact<Vec<String>> {
    let action = Action::new("list", "pods").within(&cluster.namespace);
    let params = ListParams::default().labels(labels::TASK);
    let found = cluster.call(&action, cluster.api::<Pod>().list(&params)).await;
    let mut faults = Vec::new();
    for pod in found.map_err(|e| e.to_string())?.items {
        for container in [contract::container::WORKSPACE, contract::container::AGENT] {
            let waiting = follow::container_state(&pod, container).and_then(|s| s.waiting.as_ref());
            let reason = waiting.and_then(|w| w.reason.as_deref()).unwrap_or_default();
            if matches!(
                reason,
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull"
            ) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let message = waiting.and_then(|w| w.message.as_deref()).unwrap_or_default();
                faults.push(format!(
                    "pod {name}: {reason}: {}",
                    crate::format::gist(message, 200)
                ));
            }
        }
    }
    Ok(faults)
}

async fn spawners(cluster: &Cluster) -> Fact<Vec<SpawnerFacts>> {
    let action = Action::new("list", "taskspawners").within(&cluster.namespace);
    let api = cluster.api::<TaskSpawner>();
    let found = cluster.call(&action, api.list(&ListParams::default())).await;
    match found {
        // That the definitions are missing is told already.
        Err(error) if error.kind == Failure::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
        Ok(found) => Ok(found.items.into_iter().map(SpawnerFacts::of).collect()),
    }
}

/// Looks at the Secrets that the configuration file and the namespace's Workspaces name.
async fn secrets(cluster: &Cluster, file: &File) -> Vec<SecretFacts> {
    let mut wanted: Vec<(String, String, Vec<String>, usize)> = Vec::new();
    if let Some(name) = &file.secret {
        let agent = file.agent.as_deref().and_then(|a| a.parse().ok());
        let agent = agent.unwrap_or(axon_api::agents::AgentType::ClaudeCode);
        let kind = file.credential_type.as_deref().and_then(|t| t.parse().ok());
        let kind = kind.unwrap_or(axon_api::agents::CredentialType::ApiKey);
        let key = agent.credential_variable(kind).map(str::to_owned);
        wanted.push((
            name.clone(),
            "the config file".to_owned(),
            key.into_iter().collect(),
            0,
        ));
    }
    let action = Action::new("list", "workspaces").within(&cluster.namespace);
    let api = cluster.api::<Workspace>();
    if let Ok(found) = cluster.call(&action, api.list(&ListParams::default())).await {
        for workspace in found.items {
            let name = workspace.metadata.name.unwrap_or_default();
            if let Some(secret) = workspace.spec.secret_ref {
                // A token, an SSH key, or a GitHub App.
                let keys = [
                    contract::env::GITHUB_TOKEN,
                    "ssh-privatekey",
                    "privateKey",
                    "appID",
                ];
                let keys = keys.map(str::to_owned).to_vec();
                let app = workspace.spec.github_app.unwrap_or_default();
                wanted.push((
                    secret.name,
                    format!("workspace {name}"),
                    keys,
                    app.repositories.len(),
                ));
            }
        }
    }
    let looked = wanted.into_iter().map(|(name, user, wanted, more)| async move {
        let action = Action::new("get", "secrets")
            .named(&name)
            .within(&cluster.namespace);
        let found = cluster
            .call(&action, cluster.api::<Secret>().get_opt(&name))
            .await;
        let data = match found {
            Ok(secret) => Ok(secret.map(|secret| secret.data.unwrap_or_default())),
            Err(error) if error.kind == Failure::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        };
        let reach = data.as_ref().ok().and_then(|data| reach(data.as_ref()?, more));
        let keys = data.map(|data| data.map(|data| data.into_keys().collect()));
        SecretFacts {
            name,
            user,
            wanted,
            keys,
            reach,
        }
    });
    futures::future::join_all(looked).await
}

/// Returns how far the git credential in a Secret reaches; `more` is how many repositories its Workspace adds.
fn reach(data: &BTreeMap<String, ByteString>, more: usize) -> Option<Reach> {
    if data.contains_key("privateKey") || data.contains_key("appID") {
        return Some(Reach::App { more });
    }
    let token = data.get(contract::env::GITHUB_TOKEN)?;
    Reach::of_token(std::str::from_utf8(&token.0).ok()?)
}

/// Asks GitHub about the token of the configuration file, if it has one.
async fn github(file: &File) -> Option<Fact<GithubFacts>> {
    let workspace = file.workspace.as_ref()?;
    let (token, repo) = (workspace.token.as_ref()?, workspace.repo.as_ref()?);
    let base = axon_api::git::Repository::parse(repo).ok()?.github_api();
    Some(ask_github(&base, token).await)
}

async fn ask_github(base: &str, token: &str) -> Fact<GithubFacts> {
    let words = |e: &dyn std::fmt::Display| format!("{base}: {e}");
    let uri: http::Uri = base.parse().map_err(|e: http::uri::InvalidUri| words(&e))?;
    let mut config = Config::new(uri);
    config.auth_info.token = Some(token.to_owned().into());
    config.connect_timeout = Some(std::time::Duration::from_secs(5));
    config.read_timeout = config.connect_timeout;
    let client = Client::try_from(config).map_err(|e| words(&e))?;
    let request = http::Request::get("/rate_limit")
        .header("user-agent", "kubectl-axon")
        .header("accept", "application/vnd.github+json")
        .body(kube::client::Body::empty())
        .map_err(|e| words(&e))?;
    let limit = std::time::Duration::from_secs(10);
    let answer = tokio::time::timeout(limit, client.send(request)).await;
    let answer = answer
        .map_err(|_| words(&"no answer"))?
        .map_err(|_| words(&"can't be reached from here"))?;
    let header = |name: &str| {
        let value = answer.headers().get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    Ok(GithubFacts {
        status: answer.status().as_u16(),
        scopes: header("x-oauth-scopes"),
        remaining: header("x-ratelimit-remaining").and_then(|left| left.parse().ok()),
    })
}
