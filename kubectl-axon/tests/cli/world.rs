//! A fake cluster with one Task and its pod, whose state a test moves on.

use std::sync::{Arc, Mutex};

use super::fake::not_found;
use super::*;

/// What the fake cluster is like at the moment.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) status: Value,
    pub(crate) workspace: Value,
    pub(crate) agent: Value,
    /// Answers of the log endpoint, in turn; the last one for ever.
    pub(crate) logs: Vec<(u16, String, bool)>,
    pub(crate) pods: bool,
    /// Whether the Task was created.
    pub(crate) exists: bool,
    /// Whether the watch tells that the Task was deleted, after its last state.
    pub(crate) deleted: bool,
    pub(crate) calls: usize,
    pub(crate) agent_type: &'static str,
}

impl World {
    pub(crate) fn new(phase: &str, agent: Value, log: &str) -> Self {
        Self {
            status: json!({"phase": phase}),
            workspace: json!({"terminated": {"exitCode": 0}}),
            agent,
            logs: vec![(200, log.to_owned(), false)],
            pods: true,
            exists: true,
            deleted: false,
            calls: 0,
            agent_type: "claude-code",
        }
    }

    fn task(&self) -> Value {
        let mut task = task("t", &self.status);
        task["spec"]["type"] = self.agent_type.into();
        task
    }

    fn pod(&self) -> Value {
        let container = |name: &str, state: &Value| json!({"name": name, "state": state, "image": "i", "imageID": "", "ready": false, "restartCount": 0});
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "t-pod", "namespace": "default", "uid": "p1", "resourceVersion": "5",
                "creationTimestamp": "2026-01-02T09:00:00Z", "labels": {"axon.io/task": "t"}},
            "status": {"initContainerStatuses": [container("workspace", &self.workspace)],
                "containerStatuses": [container("agent", &self.agent)]},
        })
    }
}

/// Serves a world. `moved` is told of each request of the log, and may move the world on.
pub(crate) fn serve(world: World, moved: impl Fn(&mut World) + Send + Sync + 'static) -> Fake {
    let world = Arc::new(Mutex::new(world));
    Fake::start(move |request| {
        let mut world = world.lock().unwrap();
        if request.method == "POST" {
            world.exists = true;
            return accepted(request);
        }
        if request.query.contains("watch=true") {
            // Watches tell what is there once and end soon, so that the program sees each change.
            std::thread::sleep(std::time::Duration::from_millis(20));
            let object = if request.path.ends_with("/pods") {
                world.pod()
            } else {
                world.task()
            };
            let event = |kind: &str| format!("{}\n", json!({"type": kind, "object": object}));
            if world.deleted && request.path.ends_with("/tasks") {
                return Reply::Stream(event("MODIFIED") + &event("DELETED"));
            }
            return Reply::Stream(event("MODIFIED"));
        }
        match request.path.rsplit('/').next().unwrap() {
            "pods" if world.pods => list(&[world.pod()]),
            "pods" => list(&[]),
            "tasks" => list(&[world.task()]),
            "t" if !world.exists => not_found("t"),
            "log" => {
                let index = world.calls.min(world.logs.len() - 1);
                let (status, text, broken) = world.logs[index].clone();
                world.calls += 1;
                moved(&mut world);
                match (status, broken) {
                    (200, false) => Reply::Stream(text),
                    (200, true) => Reply::Broken(text),
                    _ => Reply::Text(status, text),
                }
            }
            _ => Reply::Json(200, world.task()),
        }
    })
}

/// Puts times before lines, as the kubelet does: one line each 100 ms.
pub(crate) fn stamped(log: &str) -> String {
    let lines = log.lines().enumerate();
    lines
        .map(|(i, line)| format!("2026-01-02T09:00:{:02}.{}00000000Z {line}\n", i / 10, i % 10))
        .collect()
}

pub(crate) fn ended() -> Value {
    json!({"terminated": {"exitCode": 0}})
}
