//! Cases of a Task whose Job exists: its pod starts, runs and ends.

use super::*;

#[test]
fn the_last_words_of_a_pod_that_outlives_its_job_are_waited_for() {
    let t = with_phase(TaskPhase::Running);
    let running = PodView {
        deleting: true,
        gone_by: Some(at(NOW + 40)),
        ..pod(ContainerView::Unknown, ContainerView::Running { since: None })
    };
    let over = PodView {
        agent: ContainerView::Terminated(ended(143, 9)),
        ..running.clone()
    };
    for job in [
        None,
        Some(JobView {
            deleting: true,
            ..job()
        }),
        Some(job_failed("DeadlineExceeded")),
    ] {
        let waits = Observed {
            job: job.clone(),
            pods: vec![running.clone()],
            ..observed(&t)
        };
        let status = match decide(&waits) {
            Decision::UpdateStatus(status) => *status,
            Decision::Wait(Some(pause)) => {
                assert!(pause <= Duration::from_secs(70), "{pause:?}");
                t.status.clone().unwrap()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(status.phase, Some(TaskPhase::Running), "{job:?}");
        let late = Observed {
            now: at(NOW + 100),
            ..waits
        };
        assert_eq!(outcome_of(&late).0, TaskPhase::Failed, "not for ever");
        let told = status_of(decide(&Observed {
            job: job.clone(),
            pods: vec![over.clone()],
            ..observed(&t)
        }));
        assert_eq!(told.phase, Some(TaskPhase::Failed), "{job:?}");
        assert_eq!(told.usage.unwrap().input_tokens, Some(9), "{job:?}");
    }
}

#[test]
fn a_pod_that_is_disrupted_again_and_again_fails_the_task() {
    let t = with_phase(TaskPhase::Running);
    let evicted = |name: &str| PodView {
        name: name.into(),
        disruption: Some(("EvictionByEvictionAPI".into(), "drained".into())),
        ..pod(ContainerView::Unknown, ContainerView::Terminated(ended(137, 1)))
    };
    let two = Observed {
        job: Some(job()),
        pods: vec![evicted("a"), evicted("b")],
        ..observed(&t)
    };
    assert_eq!(status_of(decide(&two)).phase, Some(TaskPhase::Running));
    let three = Observed {
        pods: vec![evicted("a"), evicted("b"), evicted("c")],
        ..two
    };
    let status = status_of(decide(&three));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::Evicted))
    );
    assert_eq!(status.usage.unwrap().input_tokens, Some(3));
}

#[test]
fn the_pods_progress_is_told() {
    let t = with_phase(TaskPhase::Pending);
    let unscheduled = PodView {
        unschedulable: Some("0/3 nodes".into()),
        ..PodView::default()
    };
    let cases = [
        (unscheduled, TaskPhase::Pending, TaskReason::Unschedulable),
        (
            pod(waiting("PodInitializing", ""), waiting("PodInitializing", "")),
            TaskPhase::Pending,
            TaskReason::Starting,
        ),
        (
            pod(
                ContainerView::Running { since: None },
                waiting("PodInitializing", ""),
            ),
            TaskPhase::Pending,
            TaskReason::Cloning,
        ),
        (
            pod(
                ContainerView::Unknown,
                waiting("CreateContainerConfigError", "secret \"key\" not found"),
            ),
            TaskPhase::Pending,
            TaskReason::SecretNotFound,
        ),
        (
            pod(
                ContainerView::Terminated(Ended::default()),
                ContainerView::Running {
                    since: Some(at(NOW - 5)),
                },
            ),
            TaskPhase::Running,
            TaskReason::AgentRunning,
        ),
    ];
    for (pod, phase, reason) in cases {
        let o = Observed {
            job: Some(job()),
            pods: vec![pod.clone()],
            ..observed(&t)
        };
        let (is_phase, is_reason, _) = outcome_of(&o);
        assert_eq!((is_phase, is_reason), (phase, reason), "{pod:?}");
    }
}

#[test]
fn a_job_without_a_pod_is_explained_after_a_while() {
    let t = with_phase(TaskPhase::Pending);
    let unseen = JobView {
        started: None,
        ..job()
    };
    let status = status_of(decide(&Observed {
        job: Some(unseen),
        ..observed(&t)
    }));
    assert_eq!(status.reason, Some(TaskReason::Starting));
    let fresh = JobView {
        started: Some(at(NOW - 1)),
        ..job()
    };
    let status = status_of(decide(&Observed {
        job: Some(fresh.clone()),
        ..observed(&t)
    }));
    assert_eq!(status.reason, Some(TaskReason::Starting));
    let mut same = t.clone();
    same.status = Some(status);
    assert_eq!(
        decide(&Observed {
            job: Some(fresh),
            ..observed(&same)
        }),
        Decision::Wait(Some(Duration::from_secs(4)))
    );
    assert_eq!(
        outcome_of(&Observed {
            job: Some(job()),
            ..observed(&t)
        })
        .1,
        TaskReason::PodRefused
    );
}

#[test]
fn an_image_may_fail_for_a_while_and_the_cause_is_kept() {
    let t = with_phase(TaskPhase::Pending);
    let view = |reason, message| pod(ContainerView::Unknown, waiting(reason, message));
    let first = Observed {
        job: Some(job()),
        pods: vec![view("ErrImagePull", "no such host")],
        ..observed(&t)
    };
    let status = status_of(decide(&first));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Pending), Some(TaskReason::ImagePull))
    );
    let mut told = t.clone();
    told.status = Some(status.clone());
    let backing_off = view("ImagePullBackOff", "Back-off pulling image");
    let second = Observed {
        job: Some(job()),
        pods: vec![backing_off.clone()],
        ..observed(&told)
    };
    assert_eq!(
        decide(&second),
        Decision::Wait(Some(Duration::from_secs(250))),
        "back-off says nothing new"
    );
    let late = Observed {
        now: at(NOW + 300),
        ..second
    };
    let status = status_of(decide(&late));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::ImagePull))
    );
    assert!(status.message.unwrap().contains("no such host"));
    let invalid = Observed {
        pods: vec![view("InvalidImageName", "bad")],
        ..first
    };
    assert_eq!(outcome_of(&invalid).0, TaskPhase::Failed);
}

#[test]
fn success_keeps_outputs_start_and_what_the_agent_says_of_it() {
    let t = with_phase(TaskPhase::Running);
    let done = JobView {
        finished: Some(JobEnd::Complete),
        ..job()
    };
    let mut end = ended(0, 7);
    let note = "1 tool call was denied (Bash)";
    end.report.as_mut().unwrap().message = Some(note.into());
    let view = pod(
        ContainerView::Terminated(Ended::default()),
        ContainerView::Terminated(end),
    );
    let status = status_of(decide(&Observed {
        job: Some(done),
        pods: vec![view],
        ..observed(&t)
    }));
    assert_eq!(status.phase, Some(TaskPhase::Succeeded));
    assert_eq!(status.message.as_deref(), Some(note));
    assert_eq!(status.results["branch"], "b");
    assert_eq!(status.usage.unwrap().input_tokens, Some(7));
    assert_eq!(status.start_time, Some(Time(at(NOW - 40))));
}

#[test]
fn what_a_pod_consumed_is_recorded_before_the_job_ends_and_survives_the_pod() {
    let t = with_phase(TaskPhase::Running);
    let mut view = pod(ContainerView::Unknown, ContainerView::Terminated(ended(143, 9)));
    view.deleting = true;
    let status = status_of(decide(&Observed {
        job: Some(job()),
        pods: vec![view],
        ..observed(&t)
    }));
    assert_eq!(
        status.phase,
        Some(TaskPhase::Running),
        "the Job has the last word"
    );
    let mut recorded = t.clone();
    recorded.status = Some(status);
    let gone = Observed {
        job: Some(job_failed("DeadlineExceeded")),
        ..observed(&recorded)
    };
    let status = status_of(decide(&gone));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::DeadlineExceeded))
    );
    assert_eq!(status.usage.unwrap().input_tokens, Some(9));
}

#[test]
fn a_log_that_was_read_once_is_not_forgotten() {
    let t = with_phase(TaskPhase::Running);
    let mut view = pod(
        ContainerView::Unknown,
        ContainerView::Terminated(Ended::default()),
    );
    view.deleting = true;
    let lines = vec!["commit: abc".to_owned()];
    let first = Observed {
        job: Some(job()),
        pods: vec![view.clone()],
        log_outputs: lines,
        ..observed(&t)
    };
    let mut recorded = t.clone();
    recorded.status = Some(status_of(decide(&first)));
    let done = JobView {
        finished: Some(JobEnd::Complete),
        ..job()
    };
    let status = status_of(decide(&Observed {
        job: Some(done),
        pods: vec![view],
        ..observed(&recorded)
    }));
    assert_eq!(status.results["commit"], "abc");
}

#[test]
fn a_job_that_vanishes_under_a_running_task_ends_it() {
    let t = with_phase(TaskPhase::Running);
    assert_eq!(outcome_of(&observed(&t)).1, TaskReason::PodLost);
    let deleting = JobView {
        deleting: true,
        ..job()
    };
    assert_eq!(
        outcome_of(&Observed {
            job: Some(deleting),
            ..observed(&t)
        })
        .1,
        TaskReason::PodLost
    );
}
