//! What people know from kubectl and expect of its plugins.

use super::*;

/// Writes a file below the home directory, and returns its path.
fn file(home: &Home, name: &str, text: &str) -> String {
    let path = home.path().join(name);
    std::fs::write(&path, text).unwrap();
    private(&path);
    path.to_string_lossy().into_owned()
}

#[test]
fn a_user_of_the_kubeconfig_may_be_a_program() {
    let fake = Fake::start(|_| list(&[]));
    let home = Home::new();
    let credential = r#"{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "from-a-program"}}"#;
    let answer = file(&home, "credential.json", credential);
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": fake.url()}}],
        "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": "/bin/cat", "args": [answer], "interactiveMode": "Never"}}}],
    });
    let config = file(&home, "config", &config.to_string());
    let done = done(
        home.command()
            .args(["get", "tasks", "-o", "name"])
            .env("KUBECONFIG", config),
    );
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(fake.requests()[0].authorization, "Bearer from-a-program");
}

#[test]
fn several_kubeconfigs_are_one_and_the_first_that_says_something_wins() {
    let fake = Fake::start(|_| list(&[]));
    let home = Home::new();
    let first = file(
        &home,
        "first",
        r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c"}"#,
    );
    let second = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "other",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "team"}}],
        "users": [{"name": "u", "user": {"token": "from-a-file"}}],
    });
    let second = file(&home, "second", &second.to_string());
    let third = json!({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "k", "cluster": {"server": fake.url()}}]});
    let third = file(&home, "third", &third.to_string());
    let absent = home.path().join("absent").to_string_lossy().into_owned();
    let all = std::env::join_paths([first, absent, second, third]).unwrap();
    let done = done(home.command().args(["get", "tasks"]).env("KUBECONFIG", all));
    assert_eq!(done.err, "No resources found in team namespace.\n");
    assert_eq!(fake.requests()[0].authorization, "Bearer from-a-file");
}

/// Writes a kubeconfig with two contexts, and returns its path.
fn two_contexts(home: &Home, fake: &Fake) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "k", "namespace": "team"}},
            {"name": "two", "context": {"cluster": "k", "namespace": "other"}}],
        "clusters": [{"name": "k", "cluster": {"server": fake.url()}}],
    });
    file(home, "contexts", &config.to_string())
}

#[test]
fn commands_to_type_next_find_the_same_place() {
    let fake = Fake::start(|request| match request.path.rsplit('/').next().unwrap() {
        "denied" => Reply::Json(
            403,
            json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "User \"u\" cannot get"}),
        ),
        "tasks" => list(&[task("t", &json!({"phase": "Running"}))]),
        "workspaces" => list(&[]),
        _ => Reply::Json(200, task("t", &json!({"phase": "Running"}))),
    });
    let stop = |home: &Home, flags: &[&str]| {
        let config = two_contexts(home, &fake);
        let words = [&["retry", "t"][..], flags].concat();
        let said = done(home.command().args(&words).env("KUBECONFIG", config)).err;
        let (_, command) = said.trim_end().split_once("stop it first: ").unwrap();
        command.to_owned()
    };
    let home = Home::new();
    let configured = Home::with_config("namespace: from-file\n");
    for (home, flags, command) in [
        (&home, &[][..], "kubectl axon stop t"),
        (&home, &["-n", "team"], "kubectl axon stop t -n team"),
        (&home, &["--context", "two"], "kubectl axon stop t --context two"),
        (&configured, &[], "kubectl axon stop t -n from-file"),
        (
            &configured,
            &["--context", "two"],
            "kubectl axon stop t -n from-file --context two",
        ),
    ] {
        assert_eq!(stop(home, flags), command);
    }

    let config = two_contexts(&configured, &fake);
    let file = ["--context", "two", "--kubeconfig", config.as_str()];
    let tail = format!(" -n from-file --context two --kubeconfig {config}");
    for (words, hint) in [
        (
            &["get", "task", "t", "-o", "jsonpath=x"][..],
            format!("get tasks.axon.io t{tail} -o jsonpath=x"),
        ),
        (
            &["create", "ws", "t", "--repo", "https://h/r"],
            format!("kubectl edit workspace t{tail}, or"),
        ),
        (
            &["get", "task", "denied"],
            format!("can-i get tasks.axon.io --namespace from-file --context two --kubeconfig {config}"),
        ),
    ] {
        let done = configured.run(&[words, &file].concat());
        assert!(done.err.contains(&hint), "{words:?}: {}\n{hint}", done.err);
    }
    let why = configured.run(&[&["why", "t"][..], &file].concat());
    assert!(
        why.out.contains(&tail) || why.err.contains(&tail),
        "{}{}",
        why.out,
        why.err
    );
}

#[test]
fn the_proxy_of_a_kubeconfig_is_used() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "CONNECT" => Reply::Text(200, String::new()),
        _ => list(&[]),
    });
    let home = Home::new();
    // Nobody has this address.
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://192.0.2.1:6443", "proxy-url": fake.url()}}],
    });
    let config = file(&home, "config", &config.to_string());
    let mut command = home.command();
    // The file's wins over the environment's, as in kubectl.
    command
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("NO_PROXY", "192.0.2.1");
    let done = done(command.args([
        "get",
        "tasks",
        "--request-timeout",
        "20s",
        "--kubeconfig",
        &config,
    ]));
    assert_eq!(
        (done.code, done.err.as_str()),
        (0, "No resources found in default namespace.\n")
    );
    let lines: Vec<String> = fake.requests().iter().map(Request::line).collect();
    assert_eq!(lines[0], "CONNECT 192.0.2.1:6443");
    assert_eq!(lines[1], "GET /apis/axon.io/v1alpha1/namespaces/default/tasks");
}

#[test]
fn flags_of_the_connection_stand_anywhere() {
    let fake = Fake::start(|_| list(&[]));
    let home = Home::new();
    let url = fake.url();
    for words in [
        ["-n", "team", "--server", url.as_str(), "get", "tasks"],
        ["get", "-n", "team", "tasks", "--server", url.as_str()],
        ["get", "tasks", "--server", url.as_str(), "-n", "team"],
    ] {
        let done = home.run(&words);
        assert_eq!(done.err, "No resources found in team namespace.\n", "{words:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let tasks: Vec<Value> = (0..3000).map(|n| task(&format!("t-{n}"), &json!({}))).collect();
    let fake = Fake::start(move |_| list(&tasks));
    let home = Home::new();
    for format in ["json", "yaml", "wide", "name"] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-axon"))
            .args(["get", "tasks", "-o", format, "--server", &fake.url()])
            .env_clear()
            .env("HOME", home.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(0), &b""[..]),
            "{format}"
        );
    }
}

#[test]
fn nothing_is_coloured_that_is_not_for_a_terminal() {
    let fake = Fake::start(|_| list(&[task("a", &json!({"phase": "Failed", "reason": "AgentError"}))]));
    let home = Home::new();
    for words in [
        &["tree", "--all"][..],
        &["get", "tasks"],
        &["why", "a"],
        &["get", "task", "a", "-d"],
        &["cost"],
    ] {
        let done = home.against(&fake, words);
        assert!(!(done.out + &done.err).contains('\u{1b}'), "{words:?}");
    }
}
