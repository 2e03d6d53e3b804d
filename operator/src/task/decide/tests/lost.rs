//! Cases of runs that are lost without a last word, and of pods that never ran.

use super::*;

/// A pod whose agent ran when its node was lost: that is all that anyone will ever hear of it.
fn running(name: &str, seconds_ago: i64) -> PodView {
    PodView {
        name: name.into(),
        owner_uid: Some("job-1".into()),
        node: Some("spot-1".into()),
        created: Some(at(NOW - seconds_ago)),
        ..pod(
            ContainerView::Unknown,
            ContainerView::Running {
                since: Some(at(NOW - seconds_ago)),
            },
        )
    }
}

fn lost_with_its_node(name: &str, seconds_ago: i64) -> PodView {
    PodView {
        failed: true,
        disruption: Some(("DeletionByPodGC".into(), "PodGC: node no longer exists".into())),
        ..running(name, seconds_ago)
    }
}

fn gone(pod: PodView) -> PodView {
    PodView { gone: true, ..pod }
}

fn reasons(status: &TaskStatus) -> Vec<TaskReason> {
    status.attempts.iter().filter_map(|a| a.reason).collect()
}

#[test]
fn a_run_that_is_lost_with_its_node_is_counted_though_the_job_replaces_it() {
    let t = with_phase(TaskPhase::Running);
    for lost in [
        lost_with_its_node("a", 50),
        gone(lost_with_its_node("a", 50)),
        gone(PodView {
            failed: false,
            ..lost_with_its_node("a", 50)
        }),
    ] {
        let one = Observed {
            job: Some(job()),
            pods: vec![lost.clone(), running("b", 5)],
            ..observed(&t)
        };
        let status = status_of(decide(&one));
        assert_eq!(
            (status.phase, status.pod_name.as_deref()),
            (Some(TaskPhase::Running), Some("b"))
        );
        assert_eq!(reasons(&status), [TaskReason::Evicted], "{lost:?}");
        assert_eq!(status.attempts[0].pod_name, "a");
        let message = status.attempts[0].message.clone().unwrap();
        assert!(
            message.contains("spot-1") && message.contains("node no longer exists"),
            "{message}"
        );
        // Before there is another pod, and whenever it is looked at again.
        let alone = status_of(decide(&Observed {
            pods: vec![lost],
            ..one.clone()
        }));
        assert_eq!(reasons(&alone), [TaskReason::Evicted]);
        let mut told = t.clone();
        told.status = Some(status);
        assert_eq!(
            decide(&Observed { task: &told, ..one }),
            Decision::Wait(Some(NET))
        );
    }
}

#[test]
fn a_run_that_the_job_replaced_is_lost_whatever_became_of_its_pod() {
    let t = with_phase(TaskPhase::Running);
    let replaced = Observed {
        job: Some(job()),
        pods: vec![gone(running("a", 50)), running("b", 5)],
        ..observed(&t)
    };
    assert_eq!(reasons(&status_of(decide(&replaced))), [TaskReason::PodLost]);
    let alone = Observed {
        pods: vec![gone(running("a", 50))],
        ..replaced
    };
    let status = status_of(decide(&alone));
    assert!(status.attempts.is_empty(), "the Job's end says what it was");
    let unstarted = PodView {
        agent: waiting("ContainerCreating", ""),
        ..lost_with_its_node("a", 50)
    };
    let never_ran = Observed {
        pods: vec![gone(unstarted), running("b", 5)],
        ..alone
    };
    assert!(
        status_of(decide(&never_ran)).attempts.is_empty(),
        "nothing was spent"
    );
}

#[test]
fn the_third_run_that_is_lost_with_its_node_ends_the_task() {
    let t = with_phase(TaskPhase::Running);
    let pods = |n: i64| -> Vec<PodView> {
        (0..n)
            .map(|i| gone(lost_with_its_node(&format!("p{i}"), 50 - i)))
            .collect()
    };
    let two = Observed {
        job: Some(job()),
        pods: pods(2),
        ..observed(&t)
    };
    assert_eq!(status_of(decide(&two)).phase, Some(TaskPhase::Running));
    let three = status_of(decide(&Observed {
        pods: pods(3),
        ..two.clone()
    }));
    assert_eq!(
        (three.phase, three.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::Evicted))
    );
    assert_eq!(reasons(&three), [TaskReason::Evicted; 3]);
    let replaced = |agent: ContainerView| {
        let mut all: Vec<PodView> = pods(3);
        all.push(PodView {
            agent,
            ..running("d", 1)
        });
        reasons(&status_of(decide(&Observed {
            pods: all,
            ..two.clone()
        })))
        .len()
    };
    assert_eq!(
        replaced(ContainerView::Unknown),
        3,
        "a pod that did nothing is no run"
    );
    assert_eq!(replaced(ContainerView::Running { since: None }), 4);
}

#[test]
fn a_run_whose_count_is_not_stored_is_not_repeated() {
    let t = with_phase(TaskPhase::Running);
    let one = Observed {
        job: Some(job()),
        pods: vec![gone(lost_with_its_node("a", 50))],
        ..observed(&t)
    };
    assert_eq!(status_of(decide(&one)).phase, Some(TaskPhase::Running));
    let ended = status_of(decide(&Observed {
        can_repeat: false,
        ..one
    }));
    assert_eq!(
        (ended.phase, ended.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::Evicted))
    );
    assert!(ended.message.unwrap().contains("disrupted once"));
    // An attempt whose reason older definitions did not let in may have been such a one.
    let mut t = with_phase(TaskPhase::Running);
    let unknown = |pod: &str| axon_api::v1alpha1::Attempt {
        pod_name: pod.into(),
        reason: Some(TaskReason::Unknown),
        ..axon_api::v1alpha1::Attempt::default()
    };
    t.status.as_mut().unwrap().attempts = vec![unknown("x"), unknown("y"), unknown("z")];
    let ended = status_of(decide(&Observed {
        job: Some(job()),
        ..observed(&t)
    }));
    assert_eq!(ended.phase, Some(TaskPhase::Failed));
}

#[test]
fn a_pod_that_went_while_nobody_looked_is_counted() {
    let mut t = with_phase(TaskPhase::Running);
    t.status.as_mut().unwrap().pod_name = Some("a".into());
    let replaced = Observed {
        job: Some(job()),
        pods: vec![running("b", 5)],
        ..observed(&t)
    };
    for pods in [vec![running("b", 5)], Vec::new()] {
        let status = status_of(decide(&Observed {
            pods,
            ..replaced.clone()
        }));
        assert_eq!(reasons(&status), [TaskReason::PodLost]);
        assert_eq!(status.attempts[0].pod_name, "a");
        assert_eq!(status.attempts[0].job_uid.as_deref(), Some("job-1"));
        let mut told = t.clone();
        told.status = Some(status);
        let again = decide(&Observed {
            task: &told,
            pods: vec![running("b", 5)],
            ..replaced.clone()
        });
        if let Decision::UpdateStatus(status) = again {
            assert_eq!(status.attempts.len(), 1, "once");
        }
    }
    let done = Observed {
        job: Some(JobView {
            finished: Some(JobEnd::Complete),
            ..job()
        }),
        pods: Vec::new(),
        ..replaced.clone()
    };
    let status = status_of(decide(&done));
    assert_eq!(
        (status.phase, status.attempts.len()),
        (Some(TaskPhase::Succeeded), 0),
        "it was not lost"
    );
    let deadline = Observed {
        job: Some(job_failed("DeadlineExceeded")),
        ..done
    };
    assert_eq!(
        reasons(&status_of(decide(&deadline))),
        [TaskReason::DeadlineExceeded]
    );
}

#[test]
fn a_pod_that_its_node_rejects_is_replaced_at_once_and_not_for_ever() {
    let mut t = with_phase(TaskPhase::Pending);
    for (run, reason) in (1..=3).zip(["OutOfcpu", "UnexpectedAdmissionError", "NodeShutdown"]) {
        let uid = format!("job-{run}");
        let rejected = PodView {
            name: format!("t-{run}"),
            owner_uid: Some(uid.clone()),
            node: Some("n1".into()),
            failed: true,
            failure: Some((reason.into(), "Pod was rejected".into())),
            ..pod(ContainerView::Unknown, ContainerView::Unknown)
        };
        let o = Observed {
            job: Some(JobView {
                uid: Some(uid),
                ..job_failed("BackoffLimitExceeded")
            }),
            pods: vec![rejected],
            ..observed(&t)
        };
        let status = status_of(decide(&o));
        let message = status.message.clone().unwrap();
        assert!(message.contains(reason) && message.contains("n1"), "{message}");
        assert_eq!(status.attempts.len(), run);
        if run < 3 {
            assert_eq!(status.reason, Some(TaskReason::Retrying));
            assert_eq!(status.next_run.clone().unwrap().after, Time(at(NOW)), "at once");
        } else {
            assert_eq!(
                (status.phase, status.reason),
                (Some(TaskPhase::Failed), Some(TaskReason::PodLost))
            );
        }
        t.status = Some(TaskStatus {
            next_run: None,
            ..status
        });
    }
}

#[test]
fn a_deadline_ends_the_task_though_the_node_of_its_pod_does_not_answer() {
    let t = with_phase(TaskPhase::Running);
    let past = JobView {
        ending: Some(JobEnd::Failed {
            reason: "DeadlineExceeded".into(),
            message: "Job was active longer than specified deadline".into(),
            at: Some(at(NOW - 100)),
        }),
        ..job()
    };
    let stuck = PodView {
        deleting: true,
        gone_by: Some(at(NOW - 60)),
        ..running("a", 500)
    };
    let o = Observed {
        job: Some(past.clone()),
        pods: vec![stuck.clone()],
        ..observed(&t)
    };
    let status = status_of(decide(&o));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::DeadlineExceeded))
    );
    assert_eq!(
        reasons(&status),
        [TaskReason::DeadlineExceeded],
        "it ran, and is counted"
    );
    let over = with_phase(TaskPhase::Failed);
    let after = Observed {
        task: &over,
        ..o.clone()
    };
    assert_eq!(decide(&after), Decision::DeleteJob);

    let in_time = PodView {
        gone_by: Some(at(NOW + 40)),
        ..stuck.clone()
    };
    let o = Observed {
        pods: vec![in_time],
        ..o
    };
    let mut told = t.clone();
    if let Decision::UpdateStatus(status) = decide(&o) {
        assert_eq!(status.phase, Some(TaskPhase::Running));
        told.status = Some(*status);
    }
    let waits = decide(&Observed {
        task: &told,
        ..o.clone()
    });
    assert_eq!(
        waits,
        Decision::Wait(Some(Duration::from_secs(70))),
        "for its last words"
    );
    let over = PodView {
        agent: ContainerView::Terminated(super::ended(143, 1)),
        ..stuck.clone()
    };
    let status = status_of(decide(&Observed {
        pods: vec![over],
        ..o.clone()
    }));
    assert_eq!(
        status.phase,
        Some(TaskPhase::Running),
        "the Job has the last word"
    );
    // Another end that is on its way is not waited for: its pod is over.
    let failing = JobView {
        ending: Some(JobEnd::Failed {
            reason: "BackoffLimitExceeded".into(),
            message: String::new(),
            at: Some(at(NOW - 100)),
        }),
        ..past
    };
    let status = status_of(decide(&Observed {
        job: Some(failing),
        pods: vec![stuck],
        ..o
    }));
    assert_eq!(status.phase, Some(TaskPhase::Running));
}

#[test]
fn a_pod_that_is_taken_away_and_runs_on_says_what_it_waits_for() {
    let t = with_phase(TaskPhase::Running);
    let told = |pod: PodView| {
        let o = Observed {
            job: Some(job()),
            pods: vec![pod],
            ..observed(&t)
        };
        status_of(decide(&o)).message
    };
    assert_eq!(told(running("a", 5)), None);
    let deleted = PodView {
        deleting: true,
        ..running("a", 5)
    };
    assert!(told(deleted.clone()).unwrap().contains("waits for node spot-1"));
    let tainted = PodView {
        disruption: Some(("DeletionByTaintManager".into(), "m".into())),
        ..deleted
    };
    assert!(told(tainted).unwrap().contains("(DeletionByTaintManager)"));
}
