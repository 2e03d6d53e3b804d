//! Cases of `spec.stop`.

use axon_api::v1alpha1::{NextRun, RetryReason};

use super::retry::{failed_pod, policy, running, told};
use super::*;

#[test]
fn a_stop_that_was_told_goes_on_where_the_definitions_lack_its_reason() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.stop = Some(true);
    let runs = Observed {
        job: Some(job()),
        pods: vec![running()],
        ..observed(&t)
    };
    let mut stopping = status_of(decide(&runs));
    stopping.reason = Some(TaskReason::Unknown);
    let t = told(&t, stopping);
    assert_eq!(decide(&Observed { task: &t, ..runs }), Decision::DeleteJob);
}

#[test]
fn a_task_that_is_stopped_before_its_job_ends_at_once() {
    let mut t = task("t");
    t.spec.stop = Some(true);
    let (phase, reason, message) = outcome_of(&Observed {
        workspace: Named::Missing("w"),
        ..observed(&t)
    });
    assert_eq!((phase, reason), (TaskPhase::Failed, TaskReason::Stopped));
    assert!(message.contains("before it had started"), "{message}");
}

#[test]
fn an_agent_whose_start_was_not_told_yet_keeps_what_it_has_done_at_a_stop() {
    let mut t = with_phase(TaskPhase::Pending);
    t.spec.stop = Some(true);
    let mut status = t.status.clone().unwrap();
    (status.reason, status.job_name) = (Some(TaskReason::Stopping), Some("t".into()));
    let t = told(&t, status);
    let on_its_way = PodView {
        node: Some("n".into()),
        deleting: true,
        gone_by: Some(at(NOW + 45)),
        ..pod(ContainerView::Unknown, waiting("PodInitializing", ""))
    };
    let gone = |pod: PodView| Observed {
        job: None,
        pods: vec![pod],
        ..observed(&t)
    };
    let decision = decide(&gone(on_its_way.clone()));
    let still = match &decision {
        Decision::UpdateStatus(status) => status.phase,
        Decision::Wait(Some(_)) => Some(TaskPhase::Pending),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        still,
        Some(TaskPhase::Pending),
        "the kubelet's last word is waited for"
    );
    let unscheduled = PodView {
        node: None,
        ..on_its_way.clone()
    };
    assert_eq!(outcome_of(&gone(unscheduled)).0, TaskPhase::Failed);
    let over = PodView {
        agent: ContainerView::Terminated(ended(143, 9)),
        ..on_its_way
    };
    let status = status_of(decide(&gone(over)));
    assert_eq!(status.phase, Some(TaskPhase::Failed));
    assert_eq!(status.usage.unwrap().input_tokens, Some(9));
}

#[test]
fn a_running_task_is_stopped_by_its_jobs_deletion_and_keeps_what_it_has_done() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.stop = Some(true);
    let runs = Observed {
        job: Some(job()),
        pods: vec![running()],
        ..observed(&t)
    };
    let stopping = status_of(decide(&runs));
    assert_eq!(
        (stopping.phase, stopping.reason),
        (Some(TaskPhase::Running), Some(TaskReason::Stopping))
    );
    let t = told(&t, stopping);
    let runs = Observed { task: &t, ..runs };
    assert_eq!(decide(&runs), Decision::DeleteJob);

    let going = JobView {
        deleting: true,
        deleting_since: Some(at(NOW)),
        ..job()
    };
    let waits = Observed {
        job: Some(going.clone()),
        ..runs.clone()
    };
    assert_eq!(
        decide(&waits),
        Decision::Wait(Some(Duration::from_secs(30))),
        "its pod runs on for a while"
    );
    let over = PodView {
        deleting: true,
        agent: ContainerView::Terminated(ended(143, 9)),
        ..running()
    };
    for job in [Some(going), None] {
        let status = status_of(decide(&Observed {
            job,
            pods: vec![over.clone()],
            ..runs.clone()
        }));
        assert_eq!(
            (status.phase, status.reason),
            (Some(TaskPhase::Failed), Some(TaskReason::Stopped))
        );
        assert_eq!(status.attempts[0].reason, Some(TaskReason::Stopped));
        assert_eq!(status.usage.unwrap().input_tokens, Some(9));
        assert_eq!(status.results["branch"], "b");
    }
}

#[test]
fn what_had_ended_by_itself_before_the_stop_is_told_as_it_ended() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.stop = Some(true);
    t.spec.retry_policy = policy(3, RetryReason::AgentError);
    let done = Observed {
        job: Some(JobView {
            finished: Some(JobEnd::Complete),
            ..job()
        }),
        ..observed(&t)
    };
    assert_eq!(outcome_of(&done).0, TaskPhase::Succeeded);
    let failed = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![failed_pod("t-x", "job-1")],
        ..observed(&t)
    };
    assert_eq!(
        outcome_of(&failed).1,
        TaskReason::AgentError,
        "and is not repeated"
    );
}

#[test]
fn a_change_after_the_end_is_seen_and_changes_nothing() {
    let mut t = with_phase(TaskPhase::Failed);
    t.spec.stop = Some(true);
    t.metadata.generation = Some(2);
    let before = t.status.clone().unwrap();
    let status = status_of(decide(&observed(&t)));
    assert_eq!(status.observed_generation, Some(2));
    let t = told(&t, status.clone());
    assert_eq!(decide(&observed(&t)), Decision::Wait(None));
    let same = TaskStatus {
        observed_generation: Some(1),
        ..status
    };
    assert_eq!(same, before);
}

#[test]
fn a_stop_between_two_runs_ends_the_task() {
    let mut t = with_phase(TaskPhase::Pending);
    t.spec.stop = Some(true);
    t.status.as_mut().unwrap().next_run = Some(NextRun {
        after: Time(at(NOW + 100)),
        replaces: Some("job-1".into()),
    });
    let o = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        ..observed(&t)
    };
    let status = status_of(decide(&o));
    assert_eq!(
        (status.reason, status.next_run),
        (Some(TaskReason::Stopped), None)
    );
}

#[test]
fn a_stop_does_not_wait_for_what_a_former_task_has_left() {
    let mut t = task("t");
    t.spec.stop = Some(true);
    let leftover = JobView {
        owner_uid: Some("uid-0".into()),
        ..job()
    };
    let o = Observed {
        job: Some(leftover),
        ..observed(&t)
    };
    assert_eq!(outcome_of(&o).1, TaskReason::Stopped);
}
