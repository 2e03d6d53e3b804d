//! The shape of a Task's Job.

use axon_api::agents::{AgentType, CredentialType};
use axon_api::v1alpha1::{NameRef, Trust};
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::json;
use strum::IntoEnumIterator;

use super::*;
use crate::task::fixtures::{task, workspace};

mod inputs;
mod workspace;

fn images() -> Images {
    Images::new("reg.example/axon", "v1")
}

fn pod_of(plan: &Manifests) -> &PodSpec {
    plan.job.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

fn built(task: &Task, workspace: Option<&Workspace>, config: Option<&AgentConfig>) -> Manifests {
    build(task, workspace, config, &images()).unwrap()
}

fn agent(plan: &Manifests) -> &Container {
    assert_eq!(pod_of(plan).containers.len(), 1);
    &pod_of(plan).containers[0]
}

fn init(plan: &Manifests) -> &Container {
    let all = pod_of(plan).init_containers.as_ref().unwrap();
    assert_eq!(all.len(), 1, "one init container prepares everything");
    &all[0]
}

fn names(container: &Container) -> Vec<&str> {
    container.env.iter().flatten().map(|e| e.name.as_str()).collect()
}

fn var<'a>(container: &'a Container, name: &str) -> &'a EnvVar {
    container
        .env
        .iter()
        .flatten()
        .find(|e| e.name == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn value<'a>(container: &'a Container, name: &str) -> &'a str {
    var(container, name).value.as_deref().unwrap()
}

fn secret(container: &Container, name: &str) -> (String, String) {
    let selector = var(container, name)
        .value_from
        .as_ref()
        .unwrap()
        .secret_key_ref
        .as_ref()
        .unwrap();
    (selector.name.clone(), selector.key.clone())
}

fn with_secret(repo: &str) -> Workspace {
    let mut w = workspace(repo);
    w.spec.reference = Some("main".into());
    w.spec.secret_ref = Some(NameRef::new("gh"));
    w
}

fn config(spec: serde_json::Value) -> AgentConfig {
    AgentConfig::new("c", serde_json::from_value(spec).unwrap())
}

#[test]
fn a_plain_task_is_one_container_with_the_contracts_variables() {
    let mut t = task("t");
    t.spec.model = Some("opus".into());
    let plan = built(&t, None, None);
    assert_eq!(plan.config_map, None);
    assert_eq!(pod_of(&plan).init_containers, None);
    let agent = agent(&plan);
    assert_eq!(agent.command, Some(vec!["/axon_entrypoint.sh".into()]));
    assert_eq!(agent.args, Some(vec!["do it".into()]));
    assert_eq!(
        names(agent),
        ["AXON_MODEL", "AXON_AGENT_TYPE", "ANTHROPIC_API_KEY", "HOME"]
    );
    assert_eq!(
        secret(agent, "ANTHROPIC_API_KEY"),
        ("key".into(), "ANTHROPIC_API_KEY".into())
    );
    assert_eq!(
        agent.image.as_deref(),
        Some("reg.example/axon/axon-claude-code:v1")
    );
    assert_eq!(agent.working_dir.as_deref(), Some("/workspace"));
}

#[test]
fn every_agent_gets_its_image_and_its_credential() {
    for kind in AgentType::iter() {
        for credential in CredentialType::iter() {
            let mut t = task("t");
            t.spec.agent = kind;
            t.spec.credentials.kind = credential;
            let plan = built(&t, None, None);
            let agent = agent(&plan);
            assert_eq!(
                agent.image.as_deref(),
                Some(format!("reg.example/axon/axon-{kind}:v1").as_str())
            );
            assert_eq!(value(agent, "AXON_AGENT_TYPE"), kind.to_string());
            let secrets: Vec<_> = agent
                .env
                .iter()
                .flatten()
                .filter(|e| e.value_from.is_some())
                .collect();
            match kind.credential_variable(credential) {
                Some(variable) => assert_eq!(secret(agent, variable), ("key".into(), variable.into())),
                None => assert!(secrets.is_empty(), "type none injects nothing"),
            }
        }
    }
}

#[test]
fn the_job_belongs_to_its_task_and_carries_its_name() {
    let plan = built(&task("t"), None, None);
    let owner = &plan.job.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.uid.as_str(), owner.controller),
        ("Task", "uid-1", Some(true))
    );
    assert_eq!(plan.job.metadata.name.as_deref(), Some("t"));
    for labels in [
        &plan.job.metadata.labels,
        &plan
            .job
            .spec
            .as_ref()
            .unwrap()
            .template
            .metadata
            .as_ref()
            .unwrap()
            .labels,
    ] {
        let labels = labels.as_ref().unwrap();
        assert_eq!(labels["axon.io/task"], "t");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "axon-operator");
    }
}

#[test]
fn a_failed_agent_is_not_run_again_and_a_disrupted_pod_is() {
    let plan = built(&task("t"), None, None);
    let spec = plan.job.spec.unwrap();
    assert_eq!(spec.backoff_limit, Some(0));
    let rules = spec.pod_failure_policy.unwrap().rules;
    assert_eq!(rules[0].action, "Ignore");
    assert_eq!(
        rules[0].on_pod_conditions.as_ref().unwrap()[0].type_,
        "DisruptionTarget"
    );
}

#[test]
fn pod_overrides_reach_job_and_pod_and_never_replace_a_built_in_variable() {
    let mut t = task("t");
    t.spec.pod_overrides = Some(
        serde_json::from_value(json!({
            "resources": {"limits": {"cpu": 2, "memory": "1Gi"}},
            "activeDeadlineSeconds": 60,
            "nodeSelector": {"disk": "ssd"},
            "env": [{"name": "ANTHROPIC_API_KEY", "value": "stolen"}, {"name": "HOME", "value": "/root"}, {"name": "MINE", "value": "1"}]
        }))
        .unwrap(),
    );
    let plan = built(&t, None, None);
    assert_eq!(plan.job.spec.as_ref().unwrap().active_deadline_seconds, Some(60));
    assert_eq!(pod_of(&plan).node_selector.as_ref().unwrap()["disk"], "ssd");
    let agent = agent(&plan);
    assert_eq!(
        agent.resources.as_ref().unwrap().limits.as_ref().unwrap()["cpu"].0,
        "2"
    );
    assert_eq!(
        names(agent),
        ["AXON_AGENT_TYPE", "ANTHROPIC_API_KEY", "HOME", "MINE"]
    );
    assert_eq!(secret(agent, "ANTHROPIC_API_KEY").0, "key");
}

#[test]
fn the_workspace_has_the_agents_resources_and_its_way_out_of_the_cluster() {
    let mut t = task("t");
    t.spec.pod_overrides = Some(
        serde_json::from_value(json!({
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
            "env": [
                {"name": "PROXY_HOST", "value": "proxy"},
                {"name": "PROXY_LOGIN", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "login"}}},
                {"name": "MINE", "value": "$(HTTPS_PROXY)"},
                {"name": "HTTPS_PROXY", "value": "http://$(PROXY_LOGIN)@$(PROXY_HOST):3128"},
                {"name": "no_proxy", "value": ".svc"},
                {"name": "AXON_PUSH_CHECK", "value": "off"},
                {"name": "HOME", "value": "$(HTTP_PROXY)"},
            ]
        }))
        .unwrap(),
    );
    let plan = built(&t, Some(&workspace("https://h/o/r")), None);
    let (init, agent) = (init(&plan), agent(&plan));
    assert!(init.resources.is_some());
    assert_eq!(init.resources, agent.resources);
    assert_eq!(
        names(init),
        [
            "AXON_REPO",
            "GH_HOST",
            "HOME",
            "PROXY_HOST",
            "PROXY_LOGIN",
            "HTTPS_PROXY",
            "no_proxy",
            "AXON_PUSH_CHECK"
        ]
    );
    assert_eq!(
        value(init, "HTTPS_PROXY"),
        "http://$(PROXY_LOGIN)@$(PROXY_HOST):3128"
    );
    assert_eq!(secret(init, "PROXY_LOGIN"), ("proxy".into(), "login".into()));
    assert_eq!(value(init, "HOME"), "/home/agent");
}

#[test]
fn what_restricted_clusters_ask_for_reaches_the_pod() {
    let mut t = task("t");
    let overrides = json!({
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["agents"]}]}]}}},
        "serviceAccountName": "bedrock",
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "core", "axon.io/task": "another"},
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        "runtimeClassName": "gvisor",
        "priorityClassName": "batch",
        "volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "cargo"}},
                    {"name": "ca", "configMap": {"name": "corporate-ca"}}],
        "volumeMounts": [{"name": "cache", "mountPath": "/home/agent/.cargo"},
                         {"name": "ca", "mountPath": "/etc/corporate", "readOnly": true}]
    });
    t.spec.pod_overrides = Some(serde_json::from_value(overrides.clone()).unwrap());
    let plan = built(&t, Some(&workspace("https://h/o/r")), None);
    let pod = serde_json::to_value(pod_of(&plan)).unwrap();
    for field in [
        "tolerations",
        "affinity",
        "serviceAccountName",
        "imagePullSecrets",
        "runtimeClassName",
        "priorityClassName",
    ] {
        assert_eq!(pod[field], overrides[field], "{field}");
    }
    assert_eq!(pod["automountServiceAccountToken"], false);
    for volume in overrides["volumes"].as_array().unwrap() {
        assert!(pod["volumes"].as_array().unwrap().contains(volume), "{volume}");
    }
    for mount in overrides["volumeMounts"].as_array().unwrap() {
        assert!(
            pod["containers"][0]["volumeMounts"]
                .as_array()
                .unwrap()
                .contains(mount),
            "{mount}"
        );
        assert!(
            !pod["initContainers"][0]["volumeMounts"]
                .as_array()
                .unwrap()
                .contains(mount),
            "{mount}"
        );
    }
    let template = plan.job.spec.as_ref().unwrap().template.metadata.clone().unwrap();
    for metadata in [&plan.job.metadata, &template] {
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!(
            (labels["team"].as_str(), labels["axon.io/task"].as_str()),
            ("core", "t")
        );
        assert_eq!(metadata.annotations.as_ref().unwrap().len(), 1);
    }
}

#[test]
fn the_apis_token_is_mounted_on_request_only() {
    let mut t = task("t");
    t.spec.pod_overrides =
        Some(serde_json::from_value(json!({"automountServiceAccountToken": true})).unwrap());
    let plan = built(&t, None, None);
    assert_eq!(pod_of(&plan).automount_service_account_token, Some(true));
}

#[test]
fn a_custom_image_changes_nothing_but_the_image() {
    let w = with_secret("https://github.com/o/r");
    let own = built(&task("t"), Some(&w), None);
    let mut t = task("t");
    t.spec.image = Some("example/mine:1".into());
    let custom = built(&t, Some(&w), None);
    let expected = Container {
        image: Some("example/mine:1".into()),
        ..agent(&own).clone()
    };
    assert_eq!(agent(&custom), &expected);
}

#[test]
fn every_container_fits_pod_security_restricted() {
    let plan = built(&task("t"), Some(&with_secret("https://github.com/o/r")), None);
    let pod = pod_of(&plan);
    let context = pod.security_context.as_ref().unwrap();
    assert_eq!(
        (context.run_as_user, context.run_as_non_root),
        (Some(61100), Some(true))
    );
    assert_eq!(context.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
    assert_eq!(pod.automount_service_account_token, Some(false));
    for container in [init(&plan), agent(&plan)] {
        let context = container.security_context.as_ref().unwrap();
        assert_eq!(context.allow_privilege_escalation, Some(false));
        assert_eq!(context.read_only_root_filesystem, Some(true));
        assert_eq!(
            context.capabilities.as_ref().unwrap().drop,
            Some(vec!["ALL".to_owned()])
        );
    }
    for volume in pod.volumes.as_ref().unwrap() {
        assert!(
            volume.empty_dir.is_some() || volume.config_map.is_some(),
            "{}",
            volume.name
        );
    }
}
