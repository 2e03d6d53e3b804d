//! Tasks that wait for each other.

use axon_api::{Task, TaskPhase, TaskReason};
use axon_test::kubelet::PodState;
use axon_test::wait;
use k8s_openapi::api::batch::v1::Job;
use kube::api::DeleteParams;

use crate::harness::{PATIENCE, SILENCE, bench};

const WORKSPACES: &str = "apiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: https}\nspec: {repo: 'https://github.com/O/r.git'}\n---\napiVersion: axon.io/v1alpha1\nkind: Workspace\nmetadata: {name: ssh}\nspec: {repo: 'git@github.com:o/r'}";

#[tokio::test]
async fn a_dependent_starts_when_its_dependency_has_succeeded() {
    let b = bench().await;
    b.create("second", "dependsOn: [first]").await;
    let waiting = b.until_reason("second", TaskReason::WaitingForDependencies).await;
    assert_eq!(
        waiting.message.as_deref(),
        Some("waits for first (does not exist yet)")
    );
    b.create("first", "").await;
    b.until_phase("first", TaskPhase::Pending).await;
    assert!(
        b.namespace
            .api::<Job>()
            .get_opt("second")
            .await
            .unwrap()
            .is_none()
    );
    b.succeed("first", "").await;
    b.until_phase("first", TaskPhase::Succeeded).await;
    b.until_phase("second", TaskPhase::Pending).await;
}

/// Some of them succeed while the operator reads the results of the others.
#[tokio::test]
async fn results_of_dependencies_that_end_at_the_same_time_are_all_there() {
    let b = bench().await;
    let names: Vec<String> = (0..20).map(|n| format!("fan-{n}")).collect();
    for name in &names {
        b.create(name, "").await;
    }
    let join = serde_json::json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "join"},
        "spec": {"type": "claude-code", "credentials": {"type": "none"}, "dependsOn": names,
                 "prompt": "{{range .Deps}}<{{.Results.branch}}>{{end}}"},
    });
    b.namespace.apply(&join.to_string()).await.unwrap();
    for name in &names {
        b.until_phase(name, TaskPhase::Pending).await;
    }
    let reports: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"axon":1,"final":true,"outputs":["branch: of-{name}"]}}"#))
        .collect();
    let ends = names
        .iter()
        .zip(&reports)
        .map(|(name, report)| b.succeed(name, report));
    futures::future::join_all(ends).await;
    let joined = b.until_phase("join", TaskPhase::Pending).await;
    assert_eq!(joined.satisfied_dependencies.len(), names.len());
    let job = b.namespace.api::<Job>().get("join").await.unwrap();
    let pod = job.spec.unwrap().template.spec.unwrap();
    let prompt = pod.containers[0].args.clone().unwrap().join(" ");
    for name in &names {
        assert!(
            prompt.contains(&format!("<of-{name}>")),
            "{name} is not in {prompt}"
        );
    }
}

#[tokio::test]
async fn failure_and_cycles_spread_with_their_cause() {
    let b = bench().await;
    b.create("c", "dependsOn: [b]").await;
    b.create("b", "dependsOn: [a]").await;
    b.create("a", "dependsOn: [a]").await;
    let cycle = b.until_phase("a", TaskPhase::Failed).await;
    assert_eq!(
        (cycle.reason, cycle.message.as_deref()),
        (
            Some(TaskReason::DependencyCycle),
            Some("circular dependency: a -> a")
        )
    );
    for (name, cause) in [("b", "a"), ("c", "b")] {
        let failed = b.until_phase(name, TaskPhase::Failed).await;
        assert_eq!(failed.reason, Some(TaskReason::DependencyFailed));
        assert_eq!(failed.message, Some(format!("dependency {cause} failed")));
    }
}

#[tokio::test]
async fn one_task_at_a_time_works_on_a_branch_whatever_its_workspace_is_called() {
    let b = bench().await;
    b.namespace.apply(WORKSPACES).await.unwrap();
    b.create("one", "branch: x\nworkspaceRef: {name: https}").await;
    b.until_phase("one", TaskPhase::Pending).await;
    b.create("two", "branch: x\nworkspaceRef: {name: ssh}").await;
    let waiting = b.until_reason("two", TaskReason::WaitingForBranch).await;
    assert_eq!(
        waiting.message.as_deref(),
        Some("waits for branch x, which Task one works on")
    );
    b.create("other", "branch: other\nworkspaceRef: {name: ssh}")
        .await;
    b.until_phase("other", TaskPhase::Pending).await;
    tokio::time::sleep(SILENCE).await;
    assert!(b.namespace.api::<Job>().get_opt("two").await.unwrap().is_none());
    b.succeed("one", "").await;
    b.until_phase("two", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_holder_that_is_deleted_lets_its_branch_go() {
    let b = bench().await;
    b.create("hold", "branch: x").await;
    b.kubelet
        .report_job("hold", &PodState::AgentRunning)
        .await
        .unwrap();
    b.until_phase("hold", TaskPhase::Running).await;
    b.create("next", "branch: x").await;
    b.until_reason("next", TaskReason::WaitingForBranch).await;
    b.namespace
        .api::<Task>()
        .delete("hold", &DeleteParams::background())
        .await
        .unwrap();
    b.until_phase("next", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_dependency_that_is_gone_after_its_success_counts() {
    let b = bench().await;
    b.create("after", "dependsOn: [first, second]").await;
    b.until_reason("after", TaskReason::WaitingForDependencies).await;
    b.create("first", "ttlSecondsAfterFinished: 0").await;
    b.create("second", "").await;
    b.until_phase("first", TaskPhase::Pending).await;
    b.succeed("first", "").await;
    wait::until_gone(&b.namespace.api::<Task>(), "first", PATIENCE)
        .await
        .unwrap();
    b.until_phase("second", TaskPhase::Pending).await;
    b.succeed("second", "").await;
    b.until_phase("after", TaskPhase::Pending).await;
}

#[tokio::test]
async fn a_dependent_on_the_same_branch_does_not_block_what_it_waits_for() {
    let b = bench().await;
    b.create("late", "branch: x\ndependsOn: [early]").await;
    b.until_reason("late", TaskReason::WaitingForDependencies).await;
    b.create("early", "branch: x").await;
    b.until_phase("early", TaskPhase::Pending).await;
    b.succeed("early", "").await;
    b.until_phase("late", TaskPhase::Pending).await;
}

#[tokio::test]
async fn many_tasks_of_one_branch_never_run_two_at_a_time() {
    let b = bench().await;
    const N: usize = 8;
    for i in 0..N {
        b.create(&format!("t{i}"), "branch: x").await;
    }
    for _ in 0..N {
        let running = wait::until("one task with a job", PATIENCE, async || {
            let all = b
                .namespace
                .api::<axon_api::Task>()
                .list(&Default::default())
                .await?;
            let live: Vec<String> = all
                .iter()
                .filter(|t| crate::harness::status(t).phase == Some(TaskPhase::Pending))
                .filter_map(|t| t.metadata.name.clone())
                .collect();
            assert!(live.len() <= 1, "two at a time: {live:?}");
            Ok(live.into_iter().next())
        });
        let name = running.await.unwrap();
        b.succeed(&name, "").await;
        b.until_phase(&name, TaskPhase::Succeeded).await;
    }
}

/// As many creations as are under way here let statuses wait: the branch is taken all the same, and every Task is told of
/// in the end.
#[tokio::test]
async fn a_rush_of_tasks_keeps_to_its_branches_and_is_told_of_in_the_end() {
    let b = bench().await;
    const PAIRS: usize = 40;
    b.create("gate", "dependsOn: [never]").await;
    for i in 0..PAIRS {
        for name in ["a", "b"] {
            let more = format!("dependsOn: [gate]\nbranch: x{i}");
            b.create(&format!("{name}-{i}"), &more).await;
        }
    }
    b.until_reason("gate", TaskReason::WaitingForDependencies).await;
    b.create("never", "").await;
    b.until_phase("never", TaskPhase::Pending).await;
    b.succeed("never", "").await;
    b.until_phase("gate", TaskPhase::Pending).await;
    b.succeed("gate", "").await;
    let told = wait::until("half of them to be told of", PATIENCE, async || {
        let all = b.namespace.api::<Task>().list(&Default::default()).await?;
        let pending = all
            .iter()
            .map(crate::harness::status)
            .filter(|s| s.phase == Some(TaskPhase::Pending));
        let named = pending.filter(|s| s.job_name.is_some()).count();
        Ok((named >= PAIRS).then_some(named))
    });
    assert_eq!(told.await.unwrap(), PAIRS);
    let jobs = b
        .namespace
        .api::<Job>()
        .list_metadata(&Default::default())
        .await
        .unwrap();
    let mut branches: Vec<&str> = jobs
        .iter()
        .filter_map(|job| job.metadata.name.as_deref()?.split_once('-'))
        .map(|(_, i)| i)
        .collect();
    branches.sort_unstable();
    branches.dedup();
    assert_eq!(
        (jobs.items.len(), branches.len()),
        (PAIRS + 2, PAIRS),
        "one Job a branch, and those of the two others"
    );
}
