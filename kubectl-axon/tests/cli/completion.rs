//! Completion: the protocol that kubectl speaks, live names, and the scripts.

use super::*;

/// Names of two Tasks in `team`, of one in `default`; nothing else is allowed.
fn cluster() -> Fake {
    Fake::start(|request| {
        let item = |name: &str| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": name}});
        match request.path.as_str() {
            "/apis/axon.io/v1alpha1/namespaces/team/tasks" => list(&[item("fix-a"), item("fix-b")]),
            "/apis/axon.io/v1alpha1/namespaces/default/tasks" => list(&[item("other")]),
            "/apis/axon.io/v1alpha1/namespaces/team/taskspawners" => list(&[item("bugs")]),
            _ => Reply::Json(403, json!({"kind": "Status", "code": 403, "status": "Failure"})),
        }
    })
}

fn complete(home: &Home, fake: &Fake, words: &[&str]) -> String {
    let server = format!("--server={}", fake.url());
    let done = home.run(&[&["__complete", &server][..], words].concat());
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{words:?}");
    done.out
}

#[test]
fn names_come_from_the_namespace_that_the_command_would_use() {
    let (fake, home) = (cluster(), Home::new());
    assert_eq!(
        complete(&home, &fake, &["logs", "-n", "team", ""]),
        "fix-a\nfix-b\n:4\n"
    );
    assert_eq!(complete(&home, &fake, &["logs", ""]), "other\n:4\n");
    assert_eq!(
        complete(&home, &fake, &["stop", "-n=team", "fix-a", "f"]),
        "fix-b\n:4\n"
    );
    assert_eq!(
        complete(&home, &fake, &["why", "-n", "team", ""]),
        "fix-a\nfix-b\ntaskspawner/bugs\n:4\n"
    );
    assert_eq!(
        complete(&home, &fake, &["tree", "-n", "team", "ts/"]),
        "ts/bugs\n:4\n"
    );
    assert_eq!(
        complete(
            &home,
            &fake,
            &["run", "--namespace", "team", "--depends-on=fix-a,"]
        ),
        "--depends-on=fix-a,\n:4\n".replace("--depends-on=fix-a,\n", "")
    );
    let configured = Home::with_config("namespace: team\n");
    assert_eq!(
        complete(&configured, &fake, &["logs", "fix"]),
        "fix-a\nfix-b\n:4\n"
    );
    let queries = fake.requests();
    assert!(queries.iter().all(|r| r.has("limit=500")), "{queries:?}");
}

#[test]
fn what_fails_is_silent() {
    let home = Home::with_config("apiKey: [broken\n");
    let refused = cluster();
    assert_eq!(complete(&home, &refused, &["get", "ws", ""]), ":4\n");
    let nobody = home.run(&["__complete", "--server=http://127.0.0.1:1", "logs", ""]);
    assert_eq!(
        (nobody.code, nobody.out.as_str(), nobody.err.as_str()),
        (0, ":4\n", "")
    );
    for words in [
        &["__complete"][..],
        &["__complete", "get", "--nonsense", "x", "y", "z"],
        &["__complete", "--", "-x"],
    ] {
        let done = home.run(words);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{words:?}");
    }
}

#[test]
fn flags_and_commands_have_descriptions() {
    let home = Home::new();
    let done = home.run(&["__complete", "tr"]);
    assert_eq!(done.out, "tree\tShow tasks as trees: what waits for what\n:4\n");
    let done = home.run(&["__complete", "tree", "--a"]);
    assert!(done.out.starts_with("--all\tShow also"), "{}", done.out);
    let files = home.run(&["__complete", "run", "--config", ""]);
    assert_eq!(files.out, ":0\n");
}

#[test]
fn kubectls_helper_is_installed_beside_the_plugin() {
    let home = Home::new();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = format!("/does/not/exist:{}", bin.display());
    let nowhere = done(home.command().args(["completion", "install"]).env("PATH", &path));
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.err.contains("--dir FOLDER"), "{}", nowhere.err);
    std::fs::write(bin.join("kubectl-axon"), "").unwrap();
    let installed = done(home.command().args(["completion", "install"]).env("PATH", &path));
    assert_eq!(installed.code, 0, "{}", installed.err);
    assert_eq!(
        installed.out,
        format!("{}/kubectl_complete-axon written\n", bin.display())
    );
    let script = std::fs::read_to_string(bin.join("kubectl_complete-axon")).unwrap();
    assert!(script.contains("exec kubectl-axon __complete \"$@\""), "{script}");
    let elsewhere = home.run(&["completion", "install", "--dir", "."]);
    assert!(elsewhere.err.contains("not on the PATH"), "{}", elsewhere.err);
}

/// Presses the tab key in a real bash.
#[cfg(unix)]
#[test]
fn bash_completes_words_and_values() {
    let (fake, home) = (cluster(), Home::new());
    let script = home.run(&["completion", "bash"]).out;
    std::fs::write(home.path().join("completion.bash"), script).unwrap();
    let program = env!("CARGO_BIN_EXE_kubectl-axon");
    std::os::unix::fs::symlink(program, home.path().join("axon")).unwrap();
    let press = |words: &[&str]| {
        let quoted: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
        let text = format!(
            "source completion.bash; COMP_WORDS=(./axon {}); COMP_CWORD={}; _kubectl_axon; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            quoted.join(" "),
            words.len()
        );
        let mut bash = assert_cmd::Command::new("bash");
        bash.args(["--norc", "-c", &text])
            .env_clear()
            .env("HOME", home.path())
            .current_dir(home.path());
        done(&mut bash).out
    };
    let server = format!("--server={}", fake.url());
    assert_eq!(press(&["unin"]), "uninstall\n");
    assert_eq!(press(&[&server, "logs", "-n", "team", "fix-b"]), "fix-b\n");
    assert_eq!(press(&["run", "--type", "=", "ge"]), "gemini\n");
    assert_eq!(
        press(&["run", "--type", "="]),
        "claude-code\ncodex\ngemini\nopencode\n"
    );
}

#[test]
fn every_shell_has_a_script() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let done = home.run(&["completion", shell]);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{shell}");
        assert!(
            done.out.contains("__complete") && done.out.contains("kubectl-axon"),
            "{shell}"
        );
    }
    assert_eq!(home.run(&["completion", "tcsh"]).code, 2);
}
