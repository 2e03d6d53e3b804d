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
