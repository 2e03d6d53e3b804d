use serde_json::{Value, json};

use super::*;

fn task(status: &Value) -> Task {
    serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"},
        "spec": {"type": "claude-code", "prompt": "p", "credentials": {"type": "none"}},
        "status": status,
    }))
    .unwrap()
}

fn pod(workspace: &Value, agent: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "t-pod", "uid": "u1"},
        "status": {
            "initContainerStatuses": [{"name": "workspace", "state": workspace, "image": "", "imageID": "", "ready": false, "restartCount": 0}],
            "containerStatuses": [{"name": "agent", "state": agent, "image": "", "imageID": "", "ready": false, "restartCount": 0}],
        },
    }))
    .unwrap()
}

fn ended(exit: i32) -> Value {
    json!({"terminated": {"exitCode": exit}})
}

fn waits(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": "because"}})
}

fn stream(container: &'static str) -> Step {
    Step::Stream {
        pod: "t-pod".into(),
        container,
    }
}

fn wait(step: &Step) -> &str {
    match step {
        Step::Wait(words) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_says_what_a_task_without_a_pod_waits_for() {
    let (seen, options) = (Seen::default(), Options::default());
    assert_eq!(
        wait(&next(&task(&json!({})), None, &seen, &options)),
        "waiting for the operator to take up the task"
    );
    let blocked =
        task(&json!({"phase": "Waiting", "reason": "WaitingForBranch", "message": "task a holds branch b"}));
    assert_eq!(
        wait(&next(&blocked, None, &seen, &options)),
        "task a holds branch b (WaitingForBranch)"
    );
}

#[test]
fn it_says_what_keeps_a_pod_from_starting() {
    let pending = task(&json!({"phase": "Pending"}));
    let (seen, options) = (Seen::default(), Options::default());
    for (workspace, agent, words) in [
        (
            waits("PodInitializing"),
            waits("PodInitializing"),
            "preparing the pod",
        ),
        (
            json!({"running": {}}),
            waits("PodInitializing"),
            "cloning the repository",
        ),
        (ended(0), waits("PodInitializing"), "starting the agent"),
        (
            ended(0),
            waits("ImagePullBackOff"),
            "container agent does not start: ImagePullBackOff: because",
        ),
    ] {
        assert_eq!(
            wait(&next(&pending, Some(&pod(&workspace, &agent)), &seen, &options)),
            words
        );
    }
    let told = task(&json!({"phase": "Pending", "reason": "SecretNotFound", "message": "no secret\n\"s\""}));
    let stuck = pod(&ended(0), &waits("CreateContainerConfigError"));
    assert_eq!(
        wait(&next(&told, Some(&stuck), &seen, &options)),
        "no secret; \"s\" (SecretNotFound)",
        "the operator says it better"
    );
    let unscheduled: Pod = serde_json::from_value(
        json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}}),
    )
    .unwrap();
    assert_eq!(
        wait(&next(&pending, Some(&unscheduled), &seen, &options)),
        "waiting for a node: 0/1 nodes"
    );
}

#[test]
fn the_agents_log_is_shown_once_it_has_started() {
    let running = task(&json!({"phase": "Running"}));
    for agent in [json!({"running": {}}), ended(0), ended(1)] {
        let pod = pod(&ended(0), &agent);
        assert_eq!(
            next(&running, Some(&pod), &Seen::default(), &Options::default()),
            stream(AGENT)
        );
    }
}

#[test]
fn a_failed_clone_shows_its_own_log_and_then_the_outcome() {
    let pod = pod(&ended(128), &waits("PodInitializing"));
    let running = task(&json!({"phase": "Pending"}));
    let mut seen = Seen::default();
    assert_eq!(
        next(&running, Some(&pod), &seen, &Options::default()),
        stream(WORKSPACE)
    );
    seen.add("u1".into(), WORKSPACE);
    assert_eq!(
        wait(&next(&running, Some(&pod), &seen, &Options::default())),
        "waiting for the operator to record the outcome"
    );
    let failed = task(&json!({"phase": "Failed", "reason": "CloneFailed"}));
    assert_eq!(next(&failed, Some(&pod), &seen, &Options::default()), Step::End);
}

#[test]
fn nothing_is_waited_for_once_a_task_has_ended() {
    let (seen, options) = (Seen::default(), Options::watch(None));
    for phase in ["Succeeded", "Failed"] {
        let ended_task = task(&json!({"phase": phase}));
        assert_eq!(next(&ended_task, None, &seen, &options), Step::End);
        let stuck = pod(&ended(0), &waits("ImagePullBackOff"));
        assert_eq!(next(&ended_task, Some(&stuck), &seen, &options), Step::End);
    }
}

#[test]
fn logs_end_with_the_agent_and_watching_ends_with_the_task() {
    let running = task(&json!({"phase": "Running"}));
    let pod = pod(&ended(0), &ended(0));
    let mut seen = Seen::default();
    seen.add("u1".into(), AGENT);
    assert_eq!(next(&running, Some(&pod), &seen, &Options::default()), Step::End);
    assert!(
        wait(&next(&running, Some(&pod), &seen, &Options::watch(None))).starts_with("the agent has ended")
    );
}

#[test]
fn a_pod_that_its_node_gave_up_is_followed_by_the_next() {
    let running = task(&json!({"phase": "Running"}));
    let mut given_up = pod(&ended(0), &ended(137));
    given_up.status.as_mut().unwrap().conditions =
        serde_json::from_value(json!([{"type": "DisruptionTarget", "status": "True"}])).unwrap();
    let mut seen = Seen::default();
    seen.add("u1".into(), AGENT);
    assert!(matches!(
        next(&running, Some(&given_up), &seen, &Options::default()),
        Step::Wait(_)
    ));
    let mut second = pod(&ended(0), &json!({"running": {}}));
    second.metadata.uid = Some("u2".into());
    assert_eq!(
        next(&running, Some(&second), &seen, &Options::default()),
        stream(AGENT)
    );
    assert!(introduction(AGENT, &seen, &Options::default()).is_some());
}

#[test]
fn the_workspace_can_be_asked_for() {
    let options = Options {
        workspace: true,
        ..Options::default()
    };
    let pod = pod(&ended(0), &json!({"running": {}}));
    let mut seen = Seen::default();
    assert_eq!(
        next(&task(&json!({"phase": "Running"})), Some(&pod), &seen, &options),
        stream(WORKSPACE)
    );
    seen.add("u1".into(), WORKSPACE);
    assert_eq!(
        next(&task(&json!({"phase": "Running"})), Some(&pod), &seen, &options),
        Step::End
    );
}

#[test]
fn silence_is_explained() {
    let cases = [
        (json!({}), "no operator has taken it up"),
        (json!({"phase": "Succeeded"}), "gone with its pod"),
        (
            json!({"phase": "Failed", "reason": "InvalidConfig", "message": "bad ref"}),
            "has Failed: bad ref (InvalidConfig)",
        ),
        (
            json!({"phase": "Waiting", "reason": "SecretNotFound"}),
            "is Waiting: SecretNotFound",
        ),
    ];
    for (status, words) in cases {
        let explained = explain_silence("t", &task(&status), None);
        assert!(explained.contains(words), "{explained}");
    }
}
