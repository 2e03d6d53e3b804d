//! What needs no cluster: help, usage errors, dry runs, the configuration file.

use super::*;

#[test]
fn help_of_every_command() {
    let home = Home::new();
    let mut all = String::new();
    for command in [
        "",
        "run",
        "logs",
        "get",
        "describe",
        "stop",
        "retry",
        "create",
        "create workspace",
        "create agentconfig",
        "create taskspawner",
        "config",
        "completion",
        "doctor",
        "tree",
        "why",
        "cost",
        "delete",
        "install",
        "uninstall",
        "init",
        "options",
        "verify-image",
        "version",
    ] {
        let words: Vec<&str> = command.split_whitespace().chain(["-h"]).collect();
        let done = home.run(&words);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{command}");
        for line in done.out.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
        let long: Vec<&str> = words
            .iter()
            .map(|w| if *w == "-h" { "--help" } else { w })
            .collect();
        assert_eq!(
            home.run(&long).out,
            done.out,
            "{command}: -h and --help are the same"
        );
        all += &format!("$ kubectl axon {}\n{}\n", words.join(" "), done.out);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_options_of_all_commands_are_listed() {
    let done = Home::new().run(&["options"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    insta::assert_snapshot!(done.out);
}

#[test]
fn the_reference_is_what_the_program_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    assert!(
        std::fs::read_to_string(file).unwrap_or_default() == kubectl_axon::cli_reference::markdown(),
        "docs/cli.md is old: run `make generate`"
    );
}

#[test]
fn the_last_of_a_repeated_flag_counts_and_an_empty_one_does_not() {
    let words = [
        "run",
        "-p",
        "x",
        "--dry-run",
        "--credential-type",
        "none",
        "-o",
        "yaml",
    ];
    let home = Home::new();
    let done = home.run(
        &[
            &words[..],
            &["-n", "a", "-n", "b", "--context", "", "--kubeconfig="],
        ]
        .concat(),
    );
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("namespace: b\n"), "{}", done.out);
    let done = home.run(&[&words[..], &["--env", "A=1", "--env", "B=2"]].concat());
    assert_eq!(done.out.matches("- name: ").count(), 2, "{}", done.out);
}

#[test]
fn wrong_usage_is_exit_code_2_and_creates_nothing() {
    let home = Home::with_config("apiKey: x\n");
    for (words, said) in [
        (&["run"][..], "--prompt"),
        (&["run", "-p", ""], "--prompt is empty"),
        (&["run", "-p", "--watch"], "looks like a flag"),
        (&["run", "-p", "x", "-t", "cursor"], "claude-code"),
        (&["run", "-p", "x", "--name", "A_b"], "--name"),
        (&["run", "-p", "x", "--branch", "a..b"], "--branch"),
        (&["run", "-p", "x", "--timeout", "10"], "--timeout"),
        (&["run", "-p", "x", "--env", "A"], "--env"),
        (&["run", "-p", "x", "-w", "--dry-run"], "exclude each other"),
        (&["run", "-p", "@/no/such/file"], "--prompt -"),
        (&["run", "-p", "x", "--as-group", "g"], "--as"),
        (&["get"], "TYPE"),
        (&["get", "pods"], "is not a type"),
        (&["get", "tasks", "x", "-A"], "exclude each other"),
        (&["get", "tasks", "-o", "xml"], "json"),
        (&["get", "tasks", "--detail"], "name it"),
        (&["delete", "task"], "--all"),
        (&["delete", "task", "x", "--all"], "cannot be combined"),
        (&["delete", "task", "x", "--timeout", "soon"], "--timeout"),
        (&["logs"], "TASK"),
        (&["logs", "pod/x"], "is not a task"),
        (&["logs", "x", "--since", "5"], "--since"),
        (&["install", "-n", "elsewhere"], "axon-system"),
        (&["install", "--tag", "a b"], "--tag"),
        (&["install", "--dry-run=server"], "--dry-run=server"),
        (
            &["create", "ts", "x", "--cron", "* * * * *", "-p", " "],
            "--prompt",
        ),
        (&["get", "tasks", "--request-timeout", "soon"], "duration"),
    ] {
        let done = home.run(&[words, &["--server", "http://127.0.0.1:1"]].concat());
        assert_eq!(done.code, 2, "{words:?}: {}", done.err);
        assert!(done.err.contains(said), "{words:?}: {}", done.err);
        assert!(done.err.starts_with("error: "), "{words:?}: {}", done.err);
        assert_eq!(done.out, "", "{words:?}");
    }
}

#[test]
fn a_run_is_shown_without_a_cluster_and_without_credentials() {
    let home = Home::with_config(
        "oauthToken: s3cret\nmodel: m\nnamespace: team-a\n\
         workspace: {repo: 'https://example.com/org/repo.git', ref: main, token: s3cret}\n",
    );
    let done = home.run(&[
        "run",
        "-p",
        "Fix: \"it\"\nplease",
        "--name",
        "fix",
        "--timeout",
        "30m",
        "--dry-run",
    ]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    insta::assert_snapshot!(done.out);
    let names = home.run(&[
        "run",
        "-p",
        "x",
        "--name",
        "fix",
        "--dry-run=client",
        "-o",
        "name",
    ]);
    assert_eq!(
        names.out,
        "secret/axon-credentials-claude-code\nsecret/axon-workspace-credentials\n\
         workspace.axon.io/axon-workspace\ntask.axon.io/fix\n"
    );
    let json: Value =
        serde_json::from_str(&home.run(&["run", "-p", "x", "--dry-run", "-o", "json"]).out).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 4);
}

#[test]
fn the_namespace_is_the_flags_then_the_files_then_the_contexts() {
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
        contexts: [{name: c, context: {cluster: k, namespace: from-context}}]\n\
        clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n";
    let namespace = |config: &str, words: &[&str]| {
        let home = Home::with_config(config);
        std::fs::create_dir(home.path().join(".kube")).unwrap();
        std::fs::write(home.path().join(".kube/config"), kubeconfig).unwrap();
        let done = home.run(&[&["run", "-p", "x", "--dry-run", "-o", "json"], words].concat());
        let printed: Value = serde_json::from_str(&done.out).unwrap();
        printed["items"].as_array().unwrap().last().unwrap()["metadata"]["namespace"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(namespace("apiKey: none\n", &[]), "from-context");
    assert_eq!(
        namespace("apiKey: none\nnamespace: from-file\n", &[]),
        "from-file"
    );
    assert_eq!(
        namespace("apiKey: none\nnamespace: from-file\n", &["-n", "from-flag"]),
        "from-flag"
    );
}

#[test]
fn a_prompt_may_come_from_stdin() {
    let home = Home::with_config("apiKey: none\n");
    let mut command = home.command();
    let done = done(
        command
            .args(["run", "-p", "-", "--dry-run", "-o", "json"])
            .write_stdin("from\nstdin"),
    );
    assert!(done.out.contains("from\\nstdin"), "{}", done.out);
    let words = [
        "create",
        "ts",
        "x",
        "--cron",
        "0 3 * * *",
        "-p",
        "-",
        "--dry-run",
        "-o",
        "json",
    ];
    let spawner = super::done(home.command().args(words).write_stdin("Fix\n{{.Time}}"));
    assert!(
        spawner.out.contains("\"promptTemplate\": \"Fix\\n{{.Time}}\""),
        "{}{}",
        spawner.out,
        spawner.err
    );
}

#[test]
fn the_configuration_file_is_watched_over() {
    let home = Home::with_config("oauth_token: x\napiKey: none\n");
    let done = home.run(&["run", "-p", "x", "--dry-run"]);
    assert!(
        done.err
            .contains("unknown key oauth_token is ignored (did you mean oauthToken?)"),
        "{}",
        done.err
    );
    let broken = Home::with_config("apiKey: [s3cret\n").run(&["run", "-p", "x", "--dry-run"]);
    assert_eq!(broken.code, 2);
    assert!(
        broken.err.contains("config.yaml") && !broken.err.contains("s3cret"),
        "{}",
        broken.err
    );
    let missing = home.run(&["run", "-p", "x", "--dry-run", "--config", "nowhere.yaml"]);
    assert_eq!(missing.code, 2);
    assert!(
        missing.err.contains("nowhere.yaml does not exist"),
        "{}",
        missing.err
    );
}

#[cfg(unix)]
#[test]
fn a_file_with_credentials_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::with_config("apiKey: x\n");
    let file = home.path().join(".axon/config.yaml");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let done = home.run(&["run", "-p", "x", "--dry-run"]);
    assert_eq!(done.code, 0);
    assert!(done.err.contains("chmod 600"), "{}", done.err);
}

#[cfg(unix)]
#[test]
fn init_writes_a_private_file_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let first = home.run(&["init"]);
    assert_eq!(first.code, 0, "{}", first.err);
    let file = home.path().join(".axon/config.yaml");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let again = home.run(&["init"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("--force"), "{}", again.err);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(home.run(&["init", "--force"]).code, 0);
    assert_eq!(mode(&file), 0o600);
    let run = home.run(&["run", "-p", "x", "--dry-run"]);
    assert!(run.err.contains("no credential for claude-code"), "{}", run.err);
    let elsewhere = home.run(&["init", "--config", "here.yaml"]);
    assert_eq!(
        (elsewhere.code, home.path().join("here.yaml").exists()),
        (0, true)
    );
}

#[test]
fn install_prints_all_manifests_without_a_cluster() {
    let done = Home::new().run(&[
        "install",
        "--dry-run",
        "--registry",
        "example.com/m",
        "--tag",
        "v9",
    ]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let documents = axon_api::yaml::documents(&done.out).unwrap();
    let kinds: Vec<&str> = documents.iter().map(|d| d["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds.iter().filter(|k| **k == "CustomResourceDefinition").count(),
        6
    );
    assert_eq!((kinds[6], kinds.last()), ("Namespace", Some(&"Deployment")));
    assert!(done.out.contains("example.com/m/axon-operator:v9"));
    assert!(!done.out.contains(":latest"));
    let short = Home::new().run(&["install", "--dry-run"]);
    for mode in ["client", "none"] {
        let flag = format!("--dry-run={mode}");
        let long = Home::new().run(&["install", &flag, "--server", "http://127.0.0.1:1"]);
        let same = (long.code, long.out.as_str()) == (0, short.out.as_str());
        assert_eq!(same, mode == "client", "{mode}: {}", long.err);
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let done = Home::new().run(&["get", "tasks", "--server", "http://127.0.0.1:1"]);
    assert_eq!(done.code, 1);
    assert_eq!(
        done.err,
        "error: cannot reach the cluster at http://127.0.0.1:1: connection refused\n\
         hint: check the context and the server: kubectl cluster-info\n"
    );
}

#[test]
fn no_kubeconfig_is_explained() {
    let done = Home::new().run(&["get", "tasks"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("no kubeconfig found") && done.err.contains("--kubeconfig"),
        "{}",
        done.err
    );
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted() {
    let home = Home::new();
    let missing = home.run(&["get", "tasks", "--kubeconfig", "nowhere"]);
    assert!(
        missing.err.starts_with("error: cannot read kubeconfig nowhere: "),
        "{}",
        missing.err
    );
    let text = "users:\n- name: u\n  user: {token: s3cret\nclusters: [";
    std::fs::write(home.path().join("broken"), text).unwrap();
    let broken = home.run(&["get", "tasks", "--kubeconfig", "broken"]);
    assert_eq!(broken.code, 1);
    assert!(!broken.err.contains("s3cret"), "{}", broken.err);
}

#[test]
fn the_clients_version_needs_no_cluster() {
    let home = Home::new();
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        home.run(&["version", "--client"]).out,
        format!("client    {version}\n")
    );
    assert_eq!(
        home.run(&["version", "--client", "-o", "yaml"]).out,
        format!("client: {version}\n")
    );
    let unreachable = home.run(&["version", "--server", "http://127.0.0.1:1"]);
    assert_eq!(
        (unreachable.code, unreachable.out),
        (1, format!("client    {version}\n"))
    );
}
