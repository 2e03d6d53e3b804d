//! `stop`, `retry`, `create`, `describe` and `config`.

use super::fake::not_found;
use super::*;
use axon_fixtures::git_urls::{REFS, Ref, URLS, Url};

/// A cluster with one Task.
fn with_task(phase: &'static str) -> Fake {
    Fake::start(
        move |request| match (request.method.as_str(), request.path.as_str()) {
            ("POST", _) => accepted(request),
            ("PATCH", _) => Reply::Json(200, task("t", &json!({"phase": phase}))),
            (_, path) if path.ends_with("/tasks") => list(&[task("t", &json!({})), task("t-r1", &json!({}))]),
            (_, path) if path.ends_with("/tasks/t") => Reply::Json(
                200,
                task(
                    "t",
                    &json!({"phase": phase, "reason": "AgentError", "message": "no\nway",
                    "attempts": [{"podName": "t-x", "exitCode": 1, "reason": "AgentError", "usage": {"costUSD": "0.5"}}],
                    "conditions": [{"type": "Ready", "status": "False", "reason": "AgentError", "message": "no way",
                        "lastTransitionTime": "2026-01-02T09:00:00Z"}]}),
                ),
            ),
            (_, path) if path.ends_with("/pods") || path.ends_with("/events") => list(&[]),
            _ => not_found("x"),
        },
    )
}

#[test]
fn stop_sets_one_field_and_leaves_alone_what_has_ended() {
    let home = Home::new();
    let running = with_task("Running");
    let done = home.against(&running, &["stop", "task/t"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/t stopped\n"),
        "{}",
        done.err
    );
    let patch = running
        .requests()
        .into_iter()
        .find(|r| r.method == "PATCH")
        .unwrap();
    assert_eq!(patch.body, json!({"spec": {"stop": true}}));
    assert!(patch.has("fieldManager=axon-cli"));
    let ended = with_task("Succeeded");
    let done = home.against(&ended, &["stop", "t"]);
    assert_eq!(
        (done.code, done.err.as_str()),
        (0, "task/t has ended already: Succeeded\n")
    );
    assert!(ended.writes().is_empty());
    assert_eq!(home.against(&ended, &["stop", "nope"]).code, 5);
}

#[test]
fn suspend_and_resume_set_one_field_and_say_so_if_it_was_set() {
    let home = Home::new();
    let spawner = |suspend: bool| {
        json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "s"},
            "spec": {"suspend": suspend, "when": {"cron": {"schedule": "0 9 * * *"}},
                "taskTemplate": {"type": "codex", "credentials": {"type": "none"}}}})
    };
    for (verb, participle, before) in [("suspend", "suspended", false), ("resume", "resumed", true)] {
        let fake = Fake::start(move |request| match request.path.as_str() {
            path if path.ends_with("/taskspawners/s") => Reply::Json(200, spawner(before)),
            _ => not_found("x"),
        });
        let done = home.against(&fake, &[verb, "taskspawner", "s"]);
        assert_eq!(
            (done.code, done.out),
            (0, format!("taskspawner/s {participle}\n")),
            "{}",
            done.err
        );
        let patch = fake.requests().into_iter().find(|r| r.method == "PATCH").unwrap();
        assert_eq!(patch.body, json!({"spec": {"suspend": !before}}));
        let there = Fake::start(move |_| Reply::Json(200, spawner(!before)));
        let done = home.against(&there, &[verb, "ts/s"]);
        assert_eq!(
            (done.code, done.err),
            (0, format!("taskspawner/s is {participle} already\n"))
        );
        assert!(there.writes().is_empty());
        assert_eq!(home.against(&fake, &[verb, "ts/nope"]).code, 5);
        assert_eq!(home.against(&fake, &[verb, "task", "t"]).code, 2);
        assert_eq!(home.against(&fake, &[verb, "ts"]).code, 2);
    }
}

#[test]
fn retry_makes_a_new_task_that_says_what_it_repeats() {
    let home = Home::new();
    let fake = with_task("Failed");
    let done = home.against(&fake, &["retry", "t"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/t-r2 created\n"),
        "{}",
        done.err
    );
    let post = fake.requests().into_iter().find(|r| r.method == "POST").unwrap();
    assert_eq!(post.body["spec"]["retryOf"], "t");
    assert_eq!(post.body["metadata"]["labels"]["axon.io/retry-of"], "t");
    let running = home.against(&with_task("Running"), &["retry", "t"]);
    assert_eq!(
        (running.code, running.err.as_str()),
        (
            1,
            "error: task \"t\" has not ended: it is Running\nhint: stop it first: kubectl axon stop t\n"
        )
    );
    assert_eq!(home.against(&fake, &["retry", "t", "--name", "Bad"]).code, 2);
}

#[test]
fn describe_has_everything_on_one_screen() {
    let done = Home::new().against(&with_task("Failed"), &["describe", "task", "t"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let stable: Vec<&str> = done
        .out
        .lines()
        .filter(|l| !l.starts_with("Age:") && !l.starts_with("  Ready"))
        .collect();
    insta::assert_snapshot!(stable.join("\n"));
}

#[test]
fn describe_goes_on_after_one_that_is_missing() {
    let home = Home::new();
    let done = home.against(&with_task("Failed"), &["describe", "task", "missing", "t"]);
    assert_eq!(done.code, 5);
    assert_eq!(
        done.err,
        "error: task \"missing\" does not exist in namespace default\n"
    );
    let alone = home.against(&with_task("Failed"), &["describe", "task", "t"]);
    assert_eq!(done.out, alone.out);
}

#[test]
fn a_workspace_is_made_with_its_secret_and_only_if_it_is_new() {
    let home = Home::new();
    let fake = Fake::start(|request| match request.method.as_str() {
        "POST" => accepted(request),
        _ if request.path.ends_with("/workspaces/old") => Reply::Json(
            200,
            json!({"apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "old"}}),
        ),
        _ => not_found("x"),
    });
    let repo = ["--repo", "https://github.com/o/r.git"];
    std::fs::write(home.path().join("token"), "s3cret\n").unwrap();
    let words = [
        &["create", "workspace", "app", "--github-token", "@token"][..],
        &repo,
    ]
    .concat();
    let done = home.against(&fake, &words);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "workspace/app created\n"),
        "{}",
        done.err
    );
    assert_eq!(done.err, "secret/app-credentials created\n");
    let writes = fake.requests().into_iter().filter(|r| r.method == "POST");
    let bodies: Vec<Value> = writes.map(|r| r.body).collect();
    assert_eq!(bodies[0]["data"], json!({"GITHUB_TOKEN": "czNjcmV0"}));
    assert_eq!(bodies[1]["spec"]["secretRef"]["name"], "app-credentials");

    let count = fake.writes().len();
    let old = home.against(
        &fake,
        &[&["create", "ws", "old", "--github-token", "@token"][..], &repo].concat(),
    );
    assert_eq!(old.code, 1);
    assert!(
        old.err.contains("workspace \"old\" already exists"),
        "{}",
        old.err
    );
    assert_eq!(fake.writes().len(), count, "not even its secret was written");

    let dry = home.run(
        &[
            &["create", "ws", "app", "--github-token", "@token", "--dry-run"][..],
            &repo,
        ]
        .concat(),
    );
    assert!(
        dry.out.contains("<redacted>") && !dry.out.contains("s3cret"),
        "{}",
        dry.out
    );
    for bad in [
        &["create", "ws", "app", "--repo", "/local/path"][..],
        &["create", "ws", "App", "--repo", "https://github.com/o/r"],
        &[
            "create",
            "ws",
            "app",
            "--repo",
            "git@github.com:o/r",
            "--github-token",
            "x",
        ],
        &[
            "create",
            "ws",
            "app",
            "--repo",
            "https://bot:s3cret@github.com/o/r",
        ],
        &["create", "ws", "app"],
        &["create"],
    ] {
        let done = home.run(bad);
        assert_eq!(done.code, 2, "{bad:?}");
        assert!(!done.err.contains("s3cret"), "{}", done.err);
    }
}

#[test]
fn every_form_of_a_url_is_taken_or_told_how_to_write() {
    let home = Home::new();
    let create = |repo: &str, reference: &str| {
        // With `=`, since some begin like a flag.
        let (repo, reference) = (format!("--repo={repo}"), format!("--ref={reference}"));
        home.run(&["create", "workspace", "w", &repo, &reference, "--dry-run=client"])
    };
    // Each is a process of its own; the parser is tested with all of them.
    for (form, outcome) in URLS.iter().step_by(4) {
        let done = create(form, "");
        match outcome {
            Url::Taken(..) => assert_eq!(done.code, 0, "{form}: {}", done.err),
            Url::Password => assert!(done.code == 2 && done.err.contains("--secret"), "{}", done.err),
            Url::Refused(words) => {
                assert_eq!(done.code, 2, "{form}");
                assert!(
                    done.err.contains("--repo: ") && done.err.contains(words),
                    "{}",
                    done.err
                );
            }
        }
        assert!(!done.err.contains("s3cret"), "{}", done.err);
    }
    for (name, outcome) in REFS.iter().step_by(4) {
        let done = create("https://github.com/o/r", name);
        match outcome {
            Ref::Refused(words) => assert!(done.code == 2 && done.err.contains(words), "{}", done.err),
            _ => assert_eq!(done.code, 0, "{name}: {}", done.err),
        }
    }
}

#[test]
fn the_token_for_github_is_not_the_one_for_the_api_server() {
    let home = Home::new();
    let fake = Fake::start(|request| match request.method.as_str() {
        "POST" => accepted(request),
        _ => not_found("x"),
    });
    let create = [
        "create",
        "workspace",
        "app",
        "--repo",
        "https://github.com/o/r.git",
    ];
    let bearers = |fake: &Fake| -> Vec<String> {
        let requests = fake.requests().into_iter();
        requests.map(|request| request.authorization).collect()
    };

    let own = [&create[..], &["--token", "mine", "--github-token", "ghp_x"]].concat();
    let done = home.against(&fake, &own);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        bearers(&fake).iter().all(|b| b == "Bearer mine"),
        "{:?}",
        bearers(&fake)
    );
    assert_eq!(
        fake.writes().len(),
        2,
        "a secret and a workspace: {:?}",
        fake.writes()
    );

    for words in [
        [&["--token", "mine"][..], &create[..]].concat(),
        [&create[..], &["--token", "mine"]].concat(),
    ] {
        let before = fake.writes().len();
        let done = home.against(&fake, &words);
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        assert_eq!(fake.writes().len(), before + 1, "no secret: {:?}", fake.writes());
    }

    let before = fake.requests().len();
    for token in [
        "ghp_x",
        "gho_x",
        "ghu_x",
        "ghs_x",
        "ghr_x",
        "github_pat_x",
        "@token",
        "-",
    ] {
        let done = home.against(&fake, &[&create[..], &["--token", token]].concat());
        assert_eq!(done.code, 2, "{token}: {}", done.err);
        assert!(done.err.contains("--github-token"), "{token}: {}", done.err);
        assert!(!done.err.contains(token) || token == "-", "{token}: {}", done.err);
    }
    assert_eq!(fake.requests().len(), before, "nothing was sent");
}

#[test]
fn the_bearer_of_the_kubeconfig_stays_when_a_workspace_gets_a_token() {
    let home = Home::new();
    let fake = Fake::start(|request| match request.method.as_str() {
        "POST" => accepted(request),
        _ => not_found("x"),
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": fake.url()}}],
        "users": [{"name": "u", "user": {"token": "from-a-file"}}],
    });
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), config.to_string()).unwrap();
    let repo = "https://github.com/o/r.git";
    let done = home.run(&["create", "ws", "app", "--repo", repo, "--github-token", "ghp_x"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(fake.writes().len(), 2);
    for request in fake.requests() {
        assert_eq!(request.authorization, "Bearer from-a-file", "{}", request.line());
    }
}

#[test]
fn agentconfigs_and_taskspawners_are_made_of_flags_and_files() {
    let home = Home::with_config("apiKey: k\ntype: codex\nworkspace: {name: app}\n");
    std::fs::write(home.path().join("skill.md"), "# Deploy\n").unwrap();
    let config = home.run(&[
        "create",
        "agentconfig",
        "team",
        "--agents-md",
        "Be brief",
        "--skill",
        "deploy=@skill.md",
        "--mcp",
        r#"docs={"type":"http","url":"https://host/mcp"}"#,
        "--dry-run",
    ]);
    let spawner = home.run(&[
        "create",
        "taskspawner",
        "bugs",
        "--label",
        "bug",
        "--branch",
        "axon-{{.Number}}",
        "--max-concurrency",
        "2",
        "--dry-run",
    ]);
    let nightly = home.run(&[
        "create",
        "ts",
        "nightly",
        "--cron",
        "0 3 * * *",
        "-p",
        "Fix {{.Time}}",
        "--dry-run",
    ]);
    for done in [&config, &spawner, &nightly] {
        assert_eq!((done.code, done.err.as_str()), (0, ""));
    }
    insta::assert_snapshot!([config.out, spawner.out, nightly.out].join("...\n"));
    for bad in [
        &["create", "ts", "x", "--cron", "61 * * * *", "-p", "x"][..],
        &["create", "ts", "x", "--cron", "* * * * *"],
        &["create", "ts", "x", "-p", "{{.Title"],
        &["create", "ac", "x", "--mcp", "docs={}"],
    ] {
        let done = home.run(bad);
        assert_eq!(done.code, 2, "{bad:?}: {}", done.err);
    }
}

#[test]
fn the_configuration_is_shown_without_its_credentials() {
    let home = Home::with_config("apiKey: s3cret\nmodel: m\nworkspace: {repo: r, token: s3cret}\n");
    let done = home.run(&["config", "view"]);
    assert_eq!(
        done.out,
        "apiKey: <redacted>\nmodel: m\nworkspace:\n  repo: r\n  token: <redacted>\n"
    );
    let path = home.run(&["config", "path", "--config", "x.yaml"]);
    assert_eq!(path.out, "x.yaml\n");
    let none = Home::new().run(&["config", "view"]);
    assert_eq!((none.code, none.out.as_str()), (0, "{}\n"), "{}", none.err);
}

#[test]
fn a_field_that_no_item_has_is_named_at_once() {
    let home = Home::new();
    for (flag, template, field) in [
        ("--prompt", "Fix {{.Bdy}}", ".Bdy"),
        ("--branch", "{{if .Title}}axon/{{.number}}{{end}}", ".number"),
    ] {
        let args = [
            "create",
            "taskspawner",
            "s",
            "--workspace",
            "app",
            "--credential-type",
            "none",
            flag,
            template,
            "--dry-run=client",
        ];
        let done = home.run(&args);
        assert_eq!(done.code, 2, "{}", done.err);
        let words = format!("{flag}: an item has no field {field}: there is .Body, .Comments, ");
        assert!(done.err.contains(&words), "{}", done.err);
    }
}
