//! The operator in a container's memory beside objects that one namespace has stored to break it.
//!
//! `make hostile` runs the whole set with the release build, `make test` a part of it with the development build.

#![cfg(test)]
#![allow(clippy::large_futures, reason = "the one test is one future")]

mod answers;
mod set;

use std::time::{Duration, Instant};

use answers::{Answers, FORMS};
use axon_api::TaskReason;
use axon_test::cgroup::Cgroup;
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::operator_process::{Operator, install_rights, token};
use axon_test::plain_http::Request;
use axon_test::{paths, wait};
use k8s_openapi::api::batch::v1::Job;
use kube::core::DynamicObject;
use serde_json::json;
use set::{Numbers, Set, generations, lift_limits, open_gate, phases, stop_late};

const PATIENCE: Duration = Duration::from_secs(300);
/// Memory of the whole set: the limit of the Deployment.
const LIMIT: u64 = 256 << 20;
/// Memory of the part, so that a part is enough to see what the whole would.
const SMALL_LIMIT: u64 = 128 << 20;

struct Scene {
    operator: Operator,
    bystander: Namespace,
    /// Goes last: a group with processes can't be removed.
    cgroup: Cgroup,
}

impl Scene {
    /// Returns the longest time from the creation of a bystander's Task to its Job, of `count` of them.
    async fn latency(&self, what: &str, count: usize) -> Duration {
        let mut longest = Duration::ZERO;
        for n in 0..count {
            let name = format!("{what}-{n}");
            let task = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
                "spec": set::task(json!({}))});
            let begun = Instant::now();
            self.bystander.apply(&task.to_string()).await.unwrap();
            let jobs = self.bystander.api::<Job>();
            wait::until(&format!("the Job of {name}"), PATIENCE, async || {
                Ok(jobs.get_opt(&name).await?)
            })
            .await
            .unwrap();
            longest = longest.max(begun.elapsed());
            self.lives();
        }
        println!("{what}: Job after {longest:?} at most, {}", self.memory());
        longest
    }

    fn lives(&self) {
        assert_eq!(
            self.cgroup.kills().unwrap(),
            0,
            "the kernel has killed the operator"
        );
    }

    /// Returns the process's memory, now and the most.
    fn memory(&self) -> String {
        let pid = self.operator.pid().expect("the operator runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let of = |name: &str| {
            let line = status
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default();
            line.split_whitespace()
                .nth(1)
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or_default()
                / 1024
        };
        format!("{} MiB, most {} MiB", of("VmRSS"), of("VmHWM"))
    }

    async fn ready(&self) {
        wait::until("the operator to be ready", PATIENCE, async || {
            self.lives();
            let Some(url) = self.operator.url() else {
                return Ok(None);
            };
            let answer = Request::new("GET", &format!("{url}/readyz"))?.send().await;
            Ok(answer.ok().filter(|answer| answer.status == 200).map(drop))
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stored_object_kills_the_operator_or_holds_up_others() {
    let is_whole = std::env::var_os("AXON_HOSTILE_WHOLE").is_some();
    let (numbers, limit) = if is_whole {
        (
            Numbers {
                tasks: 270,
                others: 60,
                parts: 20,
                stops: 100,
            },
            LIMIT,
        )
    } else {
        (
            Numbers {
                tasks: 30,
                others: 6,
                parts: 5,
                stops: 8,
            },
            SMALL_LIMIT,
        )
    };
    println!("{}", paths::operator_program().unwrap().display());
    let control_plane = ControlPlane::shared().await.unwrap();
    let client = control_plane.client().await.unwrap();
    install_rights(&client).await.unwrap();
    let token = token(&client).await.unwrap();
    lift_limits(control_plane).await.unwrap();
    let cgroup = Cgroup::with_memory(limit).unwrap();
    let operator = Operator::start_within(cgroup.path(), control_plane.kubeconfig(), &token).unwrap();
    let bystander = control_plane.namespace().await.unwrap();
    let mut scene = Scene {
        operator,
        bystander,
        cgroup,
    };
    scene.ready().await;
    let alone = scene.latency("alone", 5).await;
    // The API server itself is slow while it stores a megabyte a call.
    let bearable = alone * 5 + Duration::from_secs(15);

    let hostile = Set::new(control_plane.namespace().await.unwrap());
    // From here on it polls a hostile host all the time.
    let answers = Answers::serve().await.unwrap();
    hostile.poll(&answers).await.unwrap();
    let begun = Instant::now();
    let (stored, beside) = tokio::join!(hostile.store(numbers), scene.latency("beside", 10));
    stored.unwrap();
    println!("stored in {:?}", begun.elapsed());
    let after = scene.latency("after", 5).await;

    // What it read bit by bit comes all at once.
    scene.operator.kill_and_restart().await.unwrap();
    let begun = Instant::now();
    scene.ready().await;
    println!("ready after {:?}", begun.elapsed());
    let again = scene.latency("again", 5).await;

    // All of the large Tasks may start.
    open_gate(&hostile).await.unwrap();
    let crowd = scene.latency("crowd", 10).await;
    wait::until("the large Tasks to start", PATIENCE, async || {
        scene.lives();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let phases = phases(&hostile).await?;
        Ok((phases.get("Pending").copied().unwrap_or_default() >= numbers.tasks).then_some(()))
    })
    .await
    .unwrap();
    println!("all started, {}", scene.memory());
    let tasks = hostile.api("Task");
    let refused =
        |task: &DynamicObject| task.data["status"]["reason"] == json!(TaskReason::InvalidConfig.to_string());
    let started = |task: &DynamicObject| task.data["status"]["jobName"].is_string();
    wait::until_object(&tasks, "volumes", "is refused", PATIENCE, refused)
        .await
        .unwrap();
    for name in ["refers-0", "refers-7", "labels", "status"] {
        wait::until_object(&tasks, name, "has its Job", PATIENCE, started)
            .await
            .unwrap();
    }
    // Each of them is read as a whole once more.
    let begun = Instant::now();
    let (stopped, stops) = tokio::join!(stop_late(&hostile, numbers.stops), scene.latency("stops", 2));
    stopped.unwrap();
    wait::until("the late stops to be seen", PATIENCE, async || {
        scene.lives();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seen = generations(&hostile).await?;
        Ok((seen.get(&2).copied().unwrap_or_default() >= numbers.stops).then_some(()))
    })
    .await
    .unwrap();
    println!("late stops in {:?}, {}", begun.elapsed(), scene.memory());
    let asked = answers.asked();
    println!("hostile answers: {asked:?}");
    for form in FORMS {
        assert!(asked.contains_key(form), "nobody has asked for {form}: {asked:?}");
    }
    scene.lives();
    for (what, latency) in [
        ("beside", beside),
        ("after", after),
        ("crowd", crowd),
        ("stops", stops),
    ] {
        assert!(latency <= bearable, "{what}: {latency:?}, alone {alone:?}");
    }
    // The first of them waits for the election, too.
    assert!(
        again <= bearable + Duration::from_secs(30),
        "after the start: {again:?}"
    );
    scene.operator.kill().await.unwrap();
}
