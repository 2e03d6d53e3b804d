//! `run` against a cluster: what it creates, in which order, and what stops it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::fake::not_found;
use super::*;

const CONFIG: &str = "apiKey: s3cret\nworkspace: {repo: 'https://example.com/org/repo.git', token: ghp}\n";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const WORKSPACES: &str = "/apis/axon.io/v1alpha1/namespaces/default/workspaces";
const SPAWNERS: &str = "/apis/axon.io/v1alpha1/namespaces/default/taskspawners";
const TASKS: &str = "/apis/axon.io/v1alpha1/namespaces/default/tasks";

/// A cluster that has some objects, by path, and takes new ones.
fn cluster(objects: &[(&str, Value)]) -> Fake {
    let stored: BTreeMap<String, Value> = objects
        .iter()
        .map(|(path, value)| ((*path).to_owned(), value.clone()))
        .collect();
    let stored = Arc::new(Mutex::new(stored));
    Fake::start(move |request| {
        let mut stored = stored.lock().unwrap();
        match request.method.as_str() {
            "GET" if request.path == TASKS || request.path == SPAWNERS || request.path == WORKSPACES => {
                let of_kind = stored.range(format!("{}/", request.path)..format!("{}0", request.path));
                list(&of_kind.map(|(_, object)| object.clone()).collect::<Vec<_>>())
            }
            "GET" => match stored.get(&request.path) {
                Some(object) => Reply::Json(200, object.clone()),
                None => not_found(request.path.rsplit('/').next().unwrap()),
            },
            "PATCH" => Reply::Json(200, stored[&request.path].clone()),
            "PUT" => accepted(request),
            _ => {
                let name = request.body["metadata"]["name"].as_str().unwrap();
                stored.insert(format!("{}/{name}", request.path), request.body.clone());
                accepted(request)
            }
        }
    })
}

fn secret(ours: bool, key: &str, value: &str) -> Value {
    let labels = if ours {
        json!({"app.kubernetes.io/managed-by": "kubectl-axon"})
    } else {
        json!({})
    };
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "axon-credentials-claude-code", "labels": labels},
        "data": {key: value}})
}

#[test]
fn what_the_file_holds_is_created_before_the_task() {
    let fake = cluster(&[]);
    let home = Home::with_config(CONFIG);
    let done = home.against(&fake, &["run", "-p", "do it", "--name", "t1"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/t1 created\n"),
        "{}",
        done.err
    );
    assert_eq!(
        done.err,
        "secret/axon-credentials-claude-code created\nsecret/axon-workspace-credentials created\n\
         workspace/axon-workspace created\n"
    );
    let created: Vec<Request> = fake
        .requests()
        .into_iter()
        .filter(|r| r.method == "POST")
        .collect();
    let paths: Vec<&str> = created.iter().map(|r| r.path.as_str()).collect();
    assert_eq!(paths, [SECRETS, SECRETS, WORKSPACES, TASKS]);
    assert_eq!(created[0].body["data"]["ANTHROPIC_API_KEY"], "czNjcmV0");
    assert_eq!(
        created[2].body["spec"]["secretRef"]["name"],
        "axon-workspace-credentials"
    );
    assert_eq!(
        created[3].body["spec"]["credentials"]["secretRef"]["name"],
        "axon-credentials-claude-code"
    );
    assert!(created.iter().all(|r| r.has("fieldManager=axon-cli")));

    let again = home.against(&fake, &["run", "-p", "do it", "--name", "t2"]);
    assert_eq!(
        (again.code, again.err.as_str()),
        (0, ""),
        "what is the same is left alone"
    );
}

#[test]
fn other_values_are_replaced_only_when_told_to() {
    let path = format!("{SECRETS}/axon-credentials-claude-code");
    let other = |ours| cluster(&[(path.as_str(), secret(ours, "ANTHROPIC_API_KEY", "b2xk"))]);
    let home = Home::with_config("apiKey: s3cret\n");

    let fake = other(true);
    let refused = home.against(&fake, &["run", "-p", "x"]);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(
        refused
            .err
            .contains("already exists in namespace default with other values"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("hint: pass -y"), "{}", refused.err);
    assert!(fake.writes().is_empty(), "{:?}", fake.writes());

    let done = home.against(&fake, &["run", "-p", "x", "-y"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(fake.writes(), [format!("PATCH {path}"), format!("POST {TASKS}")]);

    let foreign = other(false);
    let done = home.against(&foreign, &["run", "-p", "x", "-y"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("kubectl-axon did not make it") && done.err.contains("--secret"),
        "{}",
        done.err
    );
    assert!(foreign.writes().is_empty());
}

#[test]
fn a_workspace_is_not_taken_from_under_the_tasks_of_others() {
    let place = format!("{WORKSPACES}/axon-workspace");
    let theirs = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "axon-workspace", "resourceVersion": "3",
            "labels": {"app.kubernetes.io/managed-by": "kubectl-axon"}},
        "spec": {"repo": "https://example.com/org/theirs.git"}});
    let waits = |name: &str, phase: &str| {
        let mut task = task(name, &json!({"phase": phase}));
        task["spec"]["workspaceRef"] = json!({"name": "axon-workspace"});
        (format!("{TASKS}/{name}"), task)
    };
    let with = |others: &[(String, Value)]| {
        let all = others
            .iter()
            .map(|(path, object)| (path.as_str(), object.clone()));
        let own = (place.as_str(), theirs.clone());
        cluster(&all.chain([own]).collect::<Vec<_>>())
    };
    let home = Home::with_config("apiKey: none\nworkspace: {repo: 'https://example.com/org/mine.git'}\n");
    let spawner = json!({"metadata": {"name": "fix"}, "spec": {"taskTemplate": {"workspaceRef": {"name": "axon-workspace"}}}});
    let fake = with(&[
        waits("theirs", "Waiting"),
        waits("done", "Succeeded"),
        (format!("{SPAWNERS}/fix"), spawner),
    ]);
    for words in [&["run", "-p", "x"][..], &["run", "-p", "x", "-y"]] {
        let done = home.against(&fake, words);
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{}", done.err);
        assert_eq!(
            done.err,
            "error: workspace \"axon-workspace\" in namespace default is of https://example.com/org/theirs.git, and \
             task/theirs and taskspawner/fix would work on https://example.com/org/mine.git instead\n\
             hint: make a workspace for your repository: kubectl axon create workspace NAME --repo URL\n\
             hint: and name it: --workspace NAME, or workspace.name in the configuration file\n"
        );
        assert!(fake.writes().is_empty(), "{:?}", fake.writes());
    }

    let unused = with(&[waits("done", "Failed")]);
    let done = home.against(&unused, &["run", "-p", "x", "-y"]);
    assert_eq!((done.code, unused.writes().len()), (0, 2), "{}", done.err);
}

#[test]
fn who_else_uses_a_key_is_said_before_it_is_replaced() {
    let path = format!("{SECRETS}/axon-credentials-claude-code");
    let mut theirs = task("theirs", &json!({"phase": "Pending"}));
    theirs["spec"]["credentials"] =
        json!({"type": "api-key", "secretRef": {"name": "axon-credentials-claude-code"}});
    let fake = cluster(&[
        (path.as_str(), secret(true, "ANTHROPIC_API_KEY", "b2xk")),
        (&format!("{TASKS}/theirs"), theirs),
    ]);
    let home = Home::with_config("apiKey: s3cret\n");
    let refused = home.against(&fake, &["run", "-p", "x"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("and is used by task/theirs\n"),
        "{}",
        refused.err
    );
    assert!(fake.writes().is_empty());
    let done = home.against(&fake, &["run", "-p", "x", "-y"]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.err
            .starts_with("warning: secret \"axon-credentials-claude-code\"")
            && done
                .err
                .contains("used by task/theirs; they get the new values\n"),
        "{}",
        done.err
    );
}

#[test]
fn a_key_for_another_credential_type_is_added_without_asking() {
    let path = format!("{SECRETS}/axon-credentials-claude-code");
    let fake = cluster(&[(path.as_str(), secret(true, "ANTHROPIC_API_KEY", "b2xk"))]);
    let done = Home::with_config("oauthToken: tok\n").against(&fake, &["run", "-p", "x"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let patch = fake.requests().into_iter().find(|r| r.method == "PATCH").unwrap();
    assert_eq!(patch.body, json!({"data": {"CLAUDE_CODE_OAUTH_TOKEN": "dG9r"}}));
}

#[test]
fn what_does_not_exist_yet_is_warned_about() {
    let path = format!("{SECRETS}/mine");
    let fake = cluster(&[(path.as_str(), secret(false, "TOKEN", "eA=="))]);
    let words = [
        "run",
        "-p",
        "x",
        "--secret",
        "mine",
        "--workspace",
        "w",
        "--agent-config",
        "ac",
        "--depends-on",
        "a",
    ];
    let done = Home::new().against(&fake, &words);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(
        done.err,
        "warning: workspace \"w\" does not exist in namespace default; the task waits until it does\n\
         warning: agentconfig \"ac\" does not exist in namespace default; the task waits until it does\n\
         warning: secret \"mine\" has no key ANTHROPIC_API_KEY (it has TOKEN); the task waits until it does\n\
         warning: task \"a\" does not exist in namespace default; the task waits until it does\n"
    );
}

#[test]
fn a_name_that_is_taken_stops_everything() {
    let path = format!("{TASKS}/t1");
    let fake = cluster(&[(path.as_str(), task("t1", &json!({})))]);
    let done = Home::with_config(CONFIG).against(&fake, &["run", "-p", "x", "--name", "t1"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err
            .contains("task \"t1\" already exists in namespace default"),
        "{}",
        done.err
    );
    assert!(fake.writes().is_empty());
}

#[test]
fn without_the_definitions_nothing_is_created() {
    let fake = Fake::start(|request| {
        if request.path.contains("axon.io") {
            Reply::Text(404, "404 page not found\n".into())
        } else {
            not_found("x")
        }
    });
    let done = Home::with_config(CONFIG).against(&fake, &["run", "-p", "x"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.contains("does not know axon's resources"),
        "{}",
        done.err
    );
    assert!(
        done.err
            .contains("hint: install the operator and its resources: kubectl axon install"),
        "{}",
        done.err
    );
    assert!(fake.writes().is_empty());
}

#[test]
fn a_denial_says_which_permission_is_missing() {
    let fake = Fake::start(|request| {
        if request.path.ends_with("/tasks/t") {
            return not_found("t");
        }
        let message =
            "secrets \"s\" is forbidden: User \"u\" cannot get resource \"secrets\" in API group \"\"";
        Reply::Json(
            403,
            json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": message}),
        )
    });
    let done = Home::with_config("apiKey: x\n").against(&fake, &["run", "-p", "x", "--name", "t"]);
    assert_eq!(done.code, 1);
    assert!(
        done.err.starts_with(
            "error: user \"u\" is not allowed to get secret \"axon-credentials-claude-code\" in namespace default"
        ),
        "{}",
        done.err
    );
    assert!(
        done.err
            .contains("kubectl auth can-i get secrets --namespace default"),
        "{}",
        done.err
    );
}

#[test]
fn a_server_dry_run_is_marked_as_one() {
    let fake = cluster(&[]);
    let done = Home::with_config("apiKey: x\n")
        .against(&fake, &["run", "-p", "x", "--name", "t", "--dry-run=server"]);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/t created (server dry run)\n"),
        "{}",
        done.err
    );
    assert!(
        fake.requests()
            .iter()
            .filter(|r| r.method == "POST")
            .all(|r| r.has("dryRun=All"))
    );
}

#[test]
fn a_server_dry_run_asks_nothing_and_changes_nothing() {
    let path = format!("{SECRETS}/axon-credentials-claude-code");
    let home = Home::with_config("apiKey: s3cret\nworkspace: {name: app}\n");
    let run = ["run", "-p", "x", "--name", "t", "--dry-run=server"];
    let create = ["create", "ts", "t", "-p", "x", "--dry-run=server"];
    for ours in [true, false] {
        for words in [&run[..], &create[..]] {
            let fake = cluster(&[(path.as_str(), secret(ours, "ANTHROPIC_API_KEY", "b2xk"))]);
            let done = home.against(&fake, words);
            assert_eq!(done.code, 0, "{words:?}: {}", done.err);
            let writes = fake.requests().into_iter().filter(|r| r.method != "GET");
            let writes: Vec<Request> = writes.collect();
            assert_eq!(writes.len(), 2, "{words:?}");
            assert!(
                writes.iter().all(|r| r.has("dryRun=All")),
                "{words:?}: {writes:?}"
            );
        }
    }
}

#[test]
fn a_manifest_goes_where_it_says_as_it_is() {
    let fake = cluster(&[]);
    let home = Home::with_config("apiKey: none\nnamespace: from-file\n");
    let manifest = |spec: &str| {
        let text = format!(
            "apiVersion: axon.io/v1alpha1\nkind: Task\n\
             metadata: {{name: t, namespace: team, labels: {{team: a}}, annotations: {{why: x}}}}\n\
             spec: {{type: codex, prompt: p, credentials: {{type: none}}{spec}}}\n"
        );
        std::fs::write(home.path().join("task.yaml"), text).unwrap();
    };
    manifest("");
    let run = ["run", "-f", "task.yaml"];
    let done = home.against(&fake, &run);
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "task/t created\n"),
        "{}",
        done.err
    );
    let post = fake.requests().into_iter().find(|r| r.method == "POST").unwrap();
    assert_eq!(post.path, "/apis/axon.io/v1alpha1/namespaces/team/tasks");
    assert_eq!(post.body["metadata"]["labels"]["team"], "a");
    assert_eq!(post.body["metadata"]["annotations"], json!({"why": "x"}));
    let dry = home.run(&[&run[..], &["--dry-run"]].concat());
    assert!(dry.out.contains("namespace: team\n"), "{}", dry.out);

    let count = fake.requests().len();
    let elsewhere = home.against(&fake, &[&run[..], &["-n", "other"]].concat());
    assert_eq!(elsewhere.code, 2);
    assert!(elsewhere.err.contains("--namespace=team"), "{}", elsewhere.err);
    manifest(", modle: m");
    let unknown = home.against(&fake, &run);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("\"spec.modle\""), "{}", unknown.err);
    assert_eq!(fake.requests().len(), count, "nothing was asked of the cluster");
}

#[test]
fn a_task_that_varies_another_has_the_labels_that_its_user_chose() {
    let mut old = task("old", &json!({"phase": "Failed"}));
    old["metadata"]["labels"] = json!({"team": "a", "axon.io/taskspawner": "s", "axon.io/item": "7",
        "kustomize.toolkit.fluxcd.io/name": "agents"});
    old["metadata"]["annotations"] = json!({"why": "x", "axon.io/item-url": "u"});
    let path = format!("{TASKS}/old");
    let fake = cluster(&[(path.as_str(), old)]);
    let words = ["run", "--from-task", "old", "--name", "new", "--label", "x=y"];
    let done = Home::new().against(&fake, &words);
    assert_eq!(done.code, 0, "{}", done.err);
    let post = fake.requests().into_iter().find(|r| r.method == "POST").unwrap();
    let labels = json!({"team": "a", "x": "y", "app.kubernetes.io/managed-by": "kubectl-axon"});
    assert_eq!(post.body["metadata"]["labels"], labels);
    assert_eq!(post.body["metadata"]["annotations"], json!({"why": "x"}));
}
