//! The shape of a Task's Job.

use axon_api::agents::{AgentType, CredentialType};
use axon_api::v1alpha1::{NameRef, Trust};
use k8s_openapi::api::core::v1::EnvVar;
use serde_json::json;
use strum::IntoEnumIterator;

use super::*;
use crate::task::fixtures::{task, workspace};

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
fn a_workspace_is_prepared_by_an_init_container() {
    let mut t = task("t");
    t.spec.branch = Some("feature/x".into());
    let plan = built(&t, Some(&with_secret("https://github.com/o/r.git")), None);
    let (init, agent) = (init(&plan), agent(&plan));
    assert_eq!(init.args, Some(vec!["workspace".into()]));
    assert_eq!(init.image.as_deref(), Some("reg.example/axon/axon-workspace:v1"));
    assert_eq!(value(init, "AXON_REPO"), "https://github.com/o/r.git");
    assert_eq!(agent.working_dir.as_deref(), Some("/workspace/repo"));
    assert_eq!(
        names(agent),
        [
            "AXON_BRANCH",
            "AXON_AGENT_TYPE",
            "ANTHROPIC_API_KEY",
            "AXON_REPO",
            "AXON_BASE_BRANCH",
            "GITHUB_TOKEN",
            "GH_TOKEN",
            "HOME"
        ]
    );
    for container in [init, agent] {
        assert_eq!(value(container, "AXON_REPO"), "https://github.com/o/r.git");
        assert_eq!(value(container, "AXON_BRANCH"), "feature/x");
        assert_eq!(value(container, "AXON_BASE_BRANCH"), "main");
        assert_eq!(
            secret(container, "GITHUB_TOKEN"),
            ("gh".into(), "GITHUB_TOKEN".into())
        );
        assert_eq!(
            secret(container, "GH_TOKEN"),
            ("gh".into(), "GITHUB_TOKEN".into())
        );
    }
    assert!(
        !names(init).contains(&"ANTHROPIC_API_KEY"),
        "preparing needs no model"
    );
}

#[test]
fn a_branch_is_a_variable_and_nothing_else_and_needs_a_workspace_to_be_set_up() {
    let mut t = task("t");
    let branch = "x\"; touch /tmp/hacked #";
    t.spec.branch = Some(branch.into());
    let plan = built(&t, Some(&workspace("https://h/o/r")), None);
    for container in [init(&plan), agent(&plan)] {
        assert_eq!(value(container, "AXON_BRANCH"), branch);
        let words = container.command.iter().chain(&container.args).flatten();
        assert!(!words.into_iter().any(|word| word.contains("hacked")));
    }
    let alone = built(&t, None, None);
    assert_eq!(pod_of(&alone).init_containers, None);
    assert_eq!(value(agent(&alone), "AXON_BRANCH"), branch);
}

#[test]
fn a_workspace_without_ref_and_secret_has_neither_variable() {
    let plan = built(&task("t"), Some(&workspace("https://github.com/o/r")), None);
    for name in [
        "AXON_BASE_BRANCH",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GH_HOST",
        "AXON_BRANCH",
    ] {
        assert!(
            !names(agent(&plan)).contains(&name) && !names(init(&plan)).contains(&name),
            "{name}"
        );
    }
}

#[test]
fn a_tree_that_anybody_may_propose_configures_nothing() {
    let mut proposed = workspace("https://github.com/o/r");
    proposed.spec.reference = Some("refs/pull/7/head".into());
    let mut t = task("t");
    let both = |t: &Task| {
        let plan = built(t, Some(&proposed), None);
        [init(&plan), agent(&plan)].map(|container| names(container).contains(&"AXON_TRUST"))
    };
    assert_eq!(both(&t), [true, true]);
    let plan = built(&t, Some(&proposed), None);
    assert_eq!(value(agent(&plan), "AXON_TRUST"), "Base");
    t.spec.trust = Some(Trust::Ref);
    assert_eq!(both(&t), [false, false]);
    // An agent without a Workspace may clone one.
    t.spec.trust = Some(Trust::Base);
    assert_eq!(value(agent(&built(&t, None, None)), "AXON_TRUST"), "Base");
}

#[test]
fn another_host_than_github_gets_the_enterprise_variables() {
    let plan = built(
        &task("t"),
        Some(&with_secret("https://ghe.example:8443/o/r")),
        None,
    );
    for container in [init(&plan), agent(&plan)] {
        assert_eq!(value(container, "GH_HOST"), "ghe.example:8443");
        assert_eq!(secret(container, "GH_ENTERPRISE_TOKEN").1, "GITHUB_TOKEN");
        assert!(!names(container).contains(&"GH_TOKEN"));
    }
}

#[test]
fn github_com_has_other_names_than_its_own() {
    for url in [
        "https://www.github.com/o/r",
        "ssh://git@ssh.github.com:443/o/r",
        "ssh://git@github.com:22/o/r",
    ] {
        let plan = built(&task("t"), Some(&with_secret(url)), None);
        for container in [init(&plan), agent(&plan)] {
            let names = names(container);
            assert!(
                names.contains(&"GH_TOKEN") && !names.contains(&"GH_HOST"),
                "{url}"
            );
        }
    }
}

#[test]
fn an_enterprise_on_ghe_com_gets_its_host_and_the_variables_of_github_com() {
    let plan = built(&task("t"), Some(&with_secret("https://octo.ghe.com/o/r")), None);
    for container in [init(&plan), agent(&plan)] {
        assert_eq!(value(container, "GH_HOST"), "octo.ghe.com");
        assert_eq!(secret(container, "GH_TOKEN").1, "GITHUB_TOKEN");
        assert!(!names(container).contains(&"GH_ENTERPRISE_TOKEN"));
    }
}

#[test]
fn a_user_in_the_url_is_not_taken_for_a_host_and_a_password_is_refused() {
    let plan = built(
        &task("t"),
        Some(&with_secret("https://bot@git.example/o/r")),
        None,
    );
    assert_eq!(value(agent(&plan), "GH_HOST"), "git.example");
    let error = build(
        &task("t"),
        Some(&with_secret("https://user:token@git.example/o/r")),
        None,
        &images(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("Workspace w") && error.contains("spec.secretRef"),
        "{error}"
    );
    assert!(!error.contains("user:token"), "{error}");
}

#[test]
fn a_repository_over_ssh_gets_key_and_known_hosts_as_files_and_the_token_only_if_there_is_one() {
    for repo in ["git@git.example:o/r.git", "ssh://git@git.example:2222/o/r.git"] {
        let plan = built(&task("t"), Some(&with_secret(repo)), None);
        let volume = pod_of(&plan)
            .volumes
            .iter()
            .flatten()
            .find(|v| v.name == "axon-ssh");
        let source = volume.unwrap().secret.clone().unwrap();
        assert_eq!(
            (source.secret_name.as_deref(), source.optional),
            (Some("gh"), Some(true))
        );
        let items: Vec<_> = source
            .items
            .iter()
            .flatten()
            .map(|i| (i.key.as_str(), i.mode))
            .collect();
        assert_eq!(
            items,
            [("ssh-privatekey", Some(0o400)), ("known_hosts", Some(0o400))]
        );
        for container in [init(&plan), agent(&plan)] {
            let mount = container
                .volume_mounts
                .iter()
                .flatten()
                .find(|m| m.name == "axon-ssh")
                .unwrap();
            assert_eq!(
                (mount.mount_path.as_str(), mount.read_only),
                ("/axon/ssh", Some(true))
            );
            let command = value(container, "GIT_SSH_COMMAND");
            assert!(command.contains("StrictHostKeyChecking=yes") && command.contains("BatchMode=yes"));
            assert_eq!(value(container, "AXON_SSH_SECRET"), "gh");
            assert_eq!(value(container, "GH_HOST"), "git.example", "{repo}");
            let token = var(container, "GITHUB_TOKEN")
                .value_from
                .clone()
                .unwrap()
                .secret_key_ref
                .unwrap();
            assert_eq!(token.optional, Some(true));
        }
    }
}

#[test]
fn without_ssh_or_without_a_secret_there_is_no_key() {
    let plain = workspace("git@github.com:o/r.git");
    for workspace in [with_secret("https://github.com/o/r"), plain] {
        let plan = built(&task("t"), Some(&workspace), None);
        assert!(
            !pod_of(&plan)
                .volumes
                .iter()
                .flatten()
                .any(|v| v.name == "axon-ssh")
        );
        assert!(!names(agent(&plan)).contains(&"GIT_SSH_COMMAND"));
    }
}

#[test]
fn text_from_people_is_not_expanded_by_the_kubelet() {
    let mut t = task("t");
    t.spec.prompt = "-x $(GITHUB_TOKEN) $$(Y) \"q\" 'q'\n".into();
    t.spec.branch = Some("b$(X".into());
    let plan = built(&t, Some(&workspace("https://h/x")), None);
    assert_eq!(
        agent(&plan).args.as_ref().unwrap()[0],
        "-x $$(GITHUB_TOKEN) $$$$(Y) \"q\" 'q'\n"
    );
    assert_eq!(value(init(&plan), "AXON_BRANCH"), "b$$(X");
}

#[test]
fn a_long_prompt_travels_by_file_and_the_argument_points_there() {
    let mut t = task("t");
    t.spec.prompt = "$(X)".repeat(50_000);
    let plan = built(&t, None, None);
    let data = plan.config_map.as_ref().unwrap().data.as_ref().unwrap();
    assert_eq!(data["prompt"], t.spec.prompt, "a file is delivered as it is");
    assert_eq!(value(agent(&plan), "AXON_PROMPT_FILE"), "/axon/input/prompt");
    assert!(agent(&plan).args.as_ref().unwrap()[0].contains("/axon/input/prompt"));
    let owner = &plan
        .config_map
        .as_ref()
        .unwrap()
        .metadata
        .owner_references
        .as_ref()
        .unwrap()[0];
    assert_eq!(owner.uid, "uid-1");
}

#[test]
fn an_agent_config_travels_by_file_and_short_texts_also_by_variable() {
    let c = config(json!({
        "agentsMD": "Be kind.",
        "plugins": [{"name": "p", "skills": [{"name": "s", "content": "x"}]}],
        "mcpServers": [{"name": "m", "type": "stdio", "command": "npx"}]
    }));
    let plan = built(&task("t"), None, Some(&c));
    let (agent, map) = (agent(&plan), plan.config_map.as_ref().unwrap());
    assert_eq!(
        names(agent),
        [
            "AXON_AGENT_TYPE",
            "ANTHROPIC_API_KEY",
            "AXON_AGENTS_MD",
            "AXON_MCP_SERVERS",
            "AXON_PLUGIN_DIR",
            "HOME",
            "AXON_AGENTS_MD_FILE",
            "AXON_MCP_SERVERS_FILE"
        ]
    );
    let reference = var(agent, "AXON_AGENTS_MD")
        .value_from
        .as_ref()
        .unwrap()
        .config_map_key_ref
        .as_ref()
        .unwrap();
    assert_eq!(
        (Some(&reference.name), reference.key.as_str()),
        (map.metadata.name.as_ref(), "agents.md")
    );
    let volume = pod_of(&plan)
        .volumes
        .iter()
        .flatten()
        .find_map(|v| v.config_map.as_ref());
    assert_eq!(volume.map(|v| &v.name), map.metadata.name.as_ref());
    let changed = config(json!({"agentsMD": "Be kind."}));
    let changed = built(&task("t"), None, Some(&changed)).config_map.unwrap();
    assert_ne!(changed.metadata.name, map.metadata.name, "it is another content");
    // Without a repository the plugins still have to be unpacked.
    assert_eq!(value(init(&plan), "AXON_INPUT_DIR"), "/axon/input");
    let long = config(json!({"agentsMD": "x".repeat(100_000)}));
    let plan = built(&task("t"), None, Some(&long));
    assert!(!names(self::agent(&plan)).contains(&"AXON_AGENTS_MD"));
    assert_eq!(
        value(self::agent(&plan), "AXON_AGENTS_MD_FILE"),
        "/axon/input/agents.md"
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
fn a_mount_over_the_pods_own_directories_is_refused() {
    let mut t = task("t");
    t.spec.pod_overrides = Some(
        serde_json::from_value(json!({"volumes": [{"name": "v", "emptyDir": {}}],
            "volumeMounts": [{"name": "v", "mountPath": "/axon/plugin"}]}))
        .unwrap(),
    );
    let error = build(&t, None, None, &images()).unwrap_err().to_string();
    assert!(
        error.contains("podOverrides.volumeMounts") && error.contains("/axon/plugin"),
        "{error}"
    );
}

#[test]
fn secrets_of_mcp_servers_are_mounted_into_the_agent_container_alone() {
    let c = config(json!({"mcpServers": [
        {"name": "tickets", "type": "http", "url": "https://x", "headersFrom": {"secretRef": {"name": "tickets-token"}}}]}));
    let plan = built(&task("t"), Some(&workspace("https://h/o/r")), Some(&c));
    let volumes = pod_of(&plan).volumes.as_ref().unwrap();
    let volume = volumes.iter().find(|v| v.secret.is_some()).unwrap();
    assert_eq!(
        volume.secret.as_ref().unwrap().secret_name.as_deref(),
        Some("tickets-token")
    );
    let mounted = |container: &Container| {
        let mounts = container.volume_mounts.iter().flatten();
        mounts
            .filter(|m| m.name == volume.name)
            .map(|m| m.mount_path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(mounted(agent(&plan)), ["/axon/mcp/0/headers"]);
    assert!(mounted(init(&plan)).is_empty());
    assert_eq!(value(agent(&plan), "AXON_MCP_SECRETS_DIR"), "/axon/mcp");
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
