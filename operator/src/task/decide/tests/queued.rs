//! Cases of Jobs that are suspended, by a queue or by hand.

use super::*;

fn suspended() -> JobView {
    JobView {
        held: Some(Held::Suspended),
        queue: Some("agents".into()),
        started: None,
        ..job()
    }
}

/// The Job after the queue has let it run again.
fn resumed(seconds_ago: i64) -> JobView {
    JobView {
        queue: Some("agents".into()),
        started: Some(at(NOW - seconds_ago)),
        resumed: Some(at(NOW - seconds_ago)),
        ..job()
    }
}

fn named(name: &str, seconds_ago: i64, agent: ContainerView) -> PodView {
    PodView {
        name: name.into(),
        owner_uid: Some("job-1".into()),
        node: Some("n1".into()),
        created: Some(at(NOW - seconds_ago)),
        ..pod(ContainerView::Unknown, agent)
    }
}

/// A pod that the suspension of its Job has ended.
fn preempted(name: &str, seconds_ago: i64) -> PodView {
    PodView {
        deleting: true,
        ..named(name, seconds_ago, ContainerView::Terminated(ended(143, 2)))
    }
}

fn reasons(status: &TaskStatus) -> Vec<TaskReason> {
    status.attempts.iter().filter_map(|a| a.reason).collect()
}

#[test]
fn a_suspended_job_says_in_which_queue_it_waits() {
    let t = with_phase(TaskPhase::Pending);
    for (job, words) in [
        (suspended(), "queue agents"),
        (
            JobView {
                queue: None,
                ..suspended()
            },
            "is suspended (spec.suspend)",
        ),
        (
            JobView {
                held: Some(Held::NoParallelism),
                ..job()
            },
            "spec.parallelism 0",
        ),
    ] {
        let o = Observed {
            job: Some(job),
            ..observed(&t)
        };
        let (phase, reason, message) = outcome_of(&o);
        assert_eq!((phase, reason), (TaskPhase::Pending, TaskReason::Queued));
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_preempted_run_is_neither_lost_nor_a_failure() {
    let mut t = with_phase(TaskPhase::Running);
    t.status.as_mut().unwrap().pod_name = Some("a".into());
    let running = PodView {
        deleting: true,
        ..named("a", 50, ContainerView::Running { since: None })
    };
    for pods in [
        vec![running.clone()],
        vec![preempted("a", 50)],
        vec![PodView {
            gone: true,
            ..running
        }],
        Vec::new(),
    ] {
        let o = Observed {
            job: Some(suspended()),
            pods: pods.clone(),
            ..observed(&t)
        };
        let status = status_of(decide(&o));
        assert_eq!(
            (status.phase, status.reason),
            (Some(TaskPhase::Pending), Some(TaskReason::Queued)),
            "{pods:?}"
        );
        let ended = pods.iter().all(|pod| pod.is_over() || pod.gone);
        let expected: &[TaskReason] = if ended { &[TaskReason::Queued] } else { &[] };
        assert_eq!(reasons(&status), expected, "{pods:?}");
        let mut told = t.clone();
        told.status = Some(status);
        let again = decide(&Observed { task: &told, ..o });
        assert_eq!(again, Decision::Wait(Some(NET)));
    }
}

#[test]
fn a_queue_may_preempt_more_often_than_a_status_has_room() {
    let mut t = with_phase(TaskPhase::Running);
    let mut pods: Vec<PodView> = Vec::new();
    for run in 0..40 {
        pods.push(preempted(&format!("p{run:02}"), 1000 - run));
        let o = Observed {
            job: Some(suspended()),
            pods: pods.clone(),
            ..observed(&t)
        };
        let status = status_of(decide(&o));
        assert_eq!(status.reason, Some(TaskReason::Queued), "run {run}");
        assert_eq!(
            status.usage.as_ref().unwrap().input_tokens,
            Some(2 * (run + 1)),
            "each run is paid for once"
        );
        assert!(status.attempts.len() <= 2, "{:?}", status.attempts);
        // Admitted again: what was recorded stays what it was.
        let mut told = t.clone();
        told.status = Some(status);
        let goes_on = Observed {
            task: &told,
            job: Some(resumed(1)),
            ..o
        };
        let status = status_of(decide(&goes_on));
        assert_eq!(status.usage.as_ref().unwrap().input_tokens, Some(2 * (run + 1)));
        assert!(
            reasons(&status)
                .iter()
                .all(|reason| *reason == TaskReason::Queued)
        );
        assert_eq!(status.phase, Some(TaskPhase::Pending));
        t.status = Some(status);
    }
    pods.push(named("z", 1, ContainerView::Terminated(ended(0, 5))));
    let done = Observed {
        job: Some(resumed(2)),
        pods,
        ..observed(&t)
    };
    let status = status_of(decide(&done));
    assert_eq!(status.phase, Some(TaskPhase::Succeeded));
    assert_eq!(status.usage.unwrap().input_tokens, Some(85));
}

#[test]
fn a_suspension_that_nobody_saw_is_known_by_its_end() {
    let t = with_phase(TaskPhase::Running);
    let see = |job: JobView| {
        let running = named("b", 1, ContainerView::Running { since: None });
        let o = Observed {
            job: Some(job),
            pods: vec![preempted("a", 50), running],
            ..observed(&t)
        };
        reasons(&status_of(decide(&o)))
    };
    assert_eq!(see(resumed(10)), [TaskReason::Queued]);
    assert_eq!(
        see(resumed(50)),
        [TaskReason::PodLost],
        "it came after the resumption"
    );
    assert_eq!(see(job()), [TaskReason::PodLost]);
}

#[test]
fn a_stop_ends_a_suspended_task_without_a_pod() {
    let mut t = with_phase(TaskPhase::Pending);
    t.spec.stop = Some(true);
    let o = Observed {
        job: Some(suspended()),
        ..observed(&t)
    };
    let mut told = t.clone();
    told.status = Some(status_of(decide(&o)));
    assert_eq!(
        decide(&Observed {
            task: &told,
            ..o.clone()
        }),
        Decision::DeleteJob
    );
    let gone = Observed {
        task: &told,
        job: None,
        ..o
    };
    let (phase, reason, message) = outcome_of(&gone);
    assert_eq!((phase, reason), (TaskPhase::Failed, TaskReason::Stopped));
    assert!(message.contains("before the agent had started"), "{message}");
}

#[test]
fn a_stop_of_a_suspended_task_leaves_its_attempts_as_they_were() {
    let mut t = with_phase(TaskPhase::Running);
    t.status.as_mut().unwrap().pod_name = Some("b".into());
    let pods = vec![preempted("a", 90), preempted("b", 50)];
    let waits = Observed {
        job: Some(suspended()),
        pods: pods.clone(),
        ..observed(&t)
    };
    let queued = status_of(decide(&waits));
    assert_eq!(reasons(&queued), [TaskReason::Queued, TaskReason::Queued]);
    let mut stopped = t.clone();
    stopped.spec.stop = Some(true);
    stopped.status = Some(queued.clone());
    let asked = status_of(decide(&Observed {
        task: &stopped,
        ..waits.clone()
    }));
    assert_eq!(asked.reason, Some(TaskReason::Stopping));
    assert_eq!(asked.attempts, queued.attempts);
    stopped.status = Some(asked);
    for pods in [pods, Vec::new()] {
        let gone = Observed {
            task: &stopped,
            job: None,
            pods,
            ..waits.clone()
        };
        let status = status_of(decide(&gone));
        assert_eq!(status.reason, Some(TaskReason::Stopped));
        assert_eq!(status.attempts, queued.attempts);
        let message = status.message.unwrap();
        assert!(message.contains("while its Job was suspended"), "{message}");
    }
}

#[test]
fn no_message_advises_to_delete_a_node_that_has_time_left() {
    let t = with_phase(TaskPhase::Running);
    let told = |gone_by: i64| {
        let leaving = PodView {
            deleting: true,
            gone_by: Some(at(gone_by)),
            ..named("a", 50, ContainerView::Running { since: None })
        };
        let o = Observed {
            job: Some(job()),
            pods: vec![leaving],
            ..observed(&t)
        };
        status_of(decide(&o)).message.unwrap()
    };
    assert!(!told(NOW - 29).contains("delete"), "{}", told(NOW - 29));
    assert!(told(NOW - 30).contains("delete its Node object"));
}
