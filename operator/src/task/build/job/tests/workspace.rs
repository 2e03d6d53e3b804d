//! The init container that prepares the workspace, and how it reaches the repository.

use super::*;

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
