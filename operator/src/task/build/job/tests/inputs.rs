//! Texts, files and Secrets on their way into the pod.

use super::*;

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
