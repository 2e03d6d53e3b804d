//! Cases of agents whose pods go on without them, and of ends that come after the agent's.

use super::*;

/// A pod whose agent has ended while a container of somebody else's goes on.
fn outlived(agent: Ended) -> PodView {
    PodView {
        owner_uid: Some("job-1".into()),
        ..pod(ContainerView::Unknown, ContainerView::Terminated(agent))
    }
}

fn finished(exit_code: i32, seconds_ago: i64) -> Ended {
    Ended {
        report: None,
        finished: Some(at(NOW - seconds_ago)),
        ..ended(exit_code, 0)
    }
}

/// An agent that had said that its task is done when its node lost its exit code.
fn lost_when_done() -> Ended {
    Ended {
        reason: "Unknown".into(),
        ..ended(255, 4)
    }
}

#[test]
fn a_final_report_ends_the_task_whatever_other_containers_do() {
    let t = with_phase(TaskPhase::Running);
    let o = Observed {
        job: Some(job()),
        pods: vec![outlived(ended(0, 7))],
        ..observed(&t)
    };
    let status = status_of(decide(&o));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Succeeded), Some(TaskReason::Completed))
    );
    assert_eq!(status.usage.unwrap().input_tokens, Some(7));
    assert_eq!(status.results["branch"], "b");
    let failed = Observed {
        pods: vec![outlived(ended(1, 7))],
        ..o
    };
    let status = status_of(decide(&failed));
    assert_eq!(
        (status.phase, status.reason, status.attempts.len()),
        (Some(TaskPhase::Failed), Some(TaskReason::AgentError), 1)
    );
}

#[test]
fn an_end_without_a_report_counts_after_a_moment() {
    let t = with_phase(TaskPhase::Running);
    let see = |agent: Ended| {
        let o = Observed {
            job: Some(job()),
            pods: vec![outlived(agent)],
            ..observed(&t)
        };
        decide(&o)
    };
    for (code, phase, reason) in [
        (0, TaskPhase::Succeeded, TaskReason::Completed),
        (3, TaskPhase::Failed, TaskReason::AgentError),
    ] {
        let soon = see(finished(code, 10));
        if let Decision::UpdateStatus(status) = &soon {
            assert_eq!(
                (status.phase, status.attempts.len()),
                (Some(TaskPhase::Running), 0)
            );
        }
        let status = status_of(see(finished(code, 30)));
        assert_eq!((status.phase, status.reason), (Some(phase), Some(reason)));
        assert_eq!(status.attempts[0].exit_code, Some(code));
    }
    let mut told = t.clone();
    let soon = Observed {
        job: Some(job()),
        pods: vec![outlived(finished(0, 10))],
        ..observed(&t)
    };
    if let Decision::UpdateStatus(status) = decide(&soon) {
        told.status = Some(*status);
    }
    let wait = decide(&Observed { task: &told, ..soon });
    assert_eq!(wait, Decision::Wait(Some(Duration::from_secs(20))));
}

#[test]
fn nothing_that_comes_after_the_agents_last_word_changes_it() {
    let mut t = with_phase(TaskPhase::Running);
    t.status.as_mut().unwrap().pod_name = Some("t-x".into());
    let deleted = |agent: Ended| PodView {
        deleting: true,
        gone: true,
        ..outlived(agent)
    };
    let deleting = JobView {
        deleting: true,
        ..job()
    };
    let suspended = JobView {
        held: Some(Held::Suspended),
        ..job()
    };
    let jobs = [
        Some(job_failed("DeadlineExceeded")),
        Some(job_failed("BackoffLimitExceeded")),
        Some(deleting),
        Some(suspended),
        None,
    ];
    for job in jobs {
        for stop in [None, Some(true)] {
            t.spec.stop = stop;
            for agent in [ended(0, 4), lost_when_done()] {
                let o = Observed {
                    job: job.clone(),
                    pods: vec![deleted(agent.clone())],
                    ..observed(&t)
                };
                let status = status_of(decide(&o));
                assert_eq!(status.phase, Some(TaskPhase::Succeeded), "{job:?} {agent:?}");
                assert_eq!(status.usage.unwrap().input_tokens, Some(4));
            }
            let mut agent = ended(1, 4);
            agent.report.as_mut().unwrap().reason = Some(TaskReason::AgentError);
            let failed = Observed {
                job: job.clone(),
                pods: vec![deleted(agent)],
                ..observed(&t)
            };
            assert_eq!(outcome_of(&failed).1, TaskReason::AgentError, "{job:?}");
        }
    }
}

#[test]
fn an_end_that_is_not_the_agents_own_decides_nothing() {
    let t = with_phase(TaskPhase::Running);
    let see = |agent: Ended| {
        let o = Observed {
            job: Some(job_failed("DeadlineExceeded")),
            pods: vec![PodView {
                deleting: true,
                ..outlived(agent)
            }],
            ..observed(&t)
        };
        outcome_of(&o).1
    };
    let mut stopped = ended(143, 1);
    let report = stopped.report.as_mut().unwrap();
    (report.is_final, report.reason) = (true, Some(TaskReason::Stopped));
    // Images that end with 0 when they are stopped have not done their task.
    for agent in [stopped, finished(0, 1), ended(143, 1), ended(137, 1)] {
        assert_eq!(see(agent.clone()), TaskReason::DeadlineExceeded, "{agent:?}");
    }
}

#[test]
fn a_container_of_others_that_fails_is_not_the_agents_failure() {
    let t = with_phase(TaskPhase::Running);
    let over = PodView {
        failed: true,
        ..outlived(finished(0, 1))
    };
    let o = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![over],
        ..observed(&t)
    };
    assert_eq!(outcome_of(&o).0, TaskPhase::Succeeded);
}

#[test]
fn what_is_done_is_not_done_again_by_the_pod_that_replaces_it() {
    let t = with_phase(TaskPhase::Running);
    let drained = PodView {
        disruption: Some(("EvictionByEvictionAPI".into(), "drained".into())),
        ..outlived(lost_when_done())
    };
    let next = PodView {
        name: "t-y".into(),
        created: Some(at(NOW - 1)),
        ..pod(ContainerView::Unknown, ContainerView::Running { since: None })
    };
    let o = Observed {
        job: Some(job()),
        pods: vec![drained, next.clone()],
        ..observed(&t)
    };
    let status = status_of(decide(&o));
    assert_eq!(
        (status.phase, status.pod_name.as_deref()),
        (Some(TaskPhase::Succeeded), Some("t-x"))
    );
    let over = with_phase(TaskPhase::Succeeded);
    let after = Observed { task: &over, ..o };
    assert_eq!(decide(&after), Decision::DeleteJob, "another agent is at work");
}

#[test]
fn a_log_can_be_read_for_a_minute_from_a_pod_that_never_ends() {
    let t = with_phase(TaskPhase::Succeeded);
    let o = Observed {
        job: Some(job()),
        pods: vec![outlived(ended(0, 1))],
        ..observed(&t)
    };
    assert_eq!(decide(&o), Decision::Wait(Some(Duration::from_secs(50))));
    let late = Observed {
        now: at(NOW + 50),
        ..o.clone()
    };
    assert_eq!(decide(&late), Decision::DeleteJob);
    let mut short = t.clone();
    short.spec.ttl_seconds_after_finished = Some(20);
    let short = Observed { task: &short, ..o };
    assert_eq!(decide(&short), Decision::Wait(Some(Duration::from_secs(10))));
}

#[test]
fn a_job_whose_agent_failed_keeps_its_log_until_the_next_run() {
    let mut t = with_phase(TaskPhase::Pending);
    t.status.as_mut().unwrap().next_run = Some(axon_api::v1alpha1::NextRun {
        after: Time(at(NOW + 25)),
        replaces: Some("job-1".into()),
    });
    let o = Observed {
        job: Some(job()),
        pods: vec![outlived(ended(1, 1))],
        ..observed(&t)
    };
    assert_eq!(decide(&o), Decision::Wait(Some(Duration::from_secs(25))));
    let due = Observed {
        now: at(NOW + 25),
        ..o.clone()
    };
    assert_eq!(decide(&due), Decision::DeleteJob);
    let disrupted = PodView {
        disruption: Some(("DeletionByTaintManager".into(), "m".into())),
        ..outlived(ended(1, 1))
    };
    let replaced = Observed {
        pods: vec![disrupted],
        ..o
    };
    assert_eq!(decide(&replaced), Decision::DeleteJob, "its Job would replace it");
}

#[test]
fn a_container_of_others_that_cannot_start_is_named() {
    let t = with_phase(TaskPhase::Pending);
    let stuck = |reason: &str| PodView {
        stuck: Some(crate::task::observe::pod::Stuck {
            container: "istio-proxy".into(),
            reason: reason.into(),
            message: "back-off 5m0s".into(),
        }),
        ..pod(waiting("PodInitializing", ""), waiting("PodInitializing", ""))
    };
    let see = |pod: PodView| {
        outcome_of(&Observed {
            job: Some(job()),
            pods: vec![pod],
            ..observed(&t)
        })
    };
    let (phase, reason, message) = see(stuck("CrashLoopBackOff"));
    assert_eq!((phase, reason), (TaskPhase::Pending, TaskReason::Starting));
    assert_eq!(
        message,
        "the pod can't start: container istio-proxy: back-off 5m0s (CrashLoopBackOff)"
    );
    assert_eq!(see(stuck("ErrImagePull")).1, TaskReason::ImagePull);
    let running = PodView {
        agent: ContainerView::Running { since: None },
        ..stuck("CrashLoopBackOff")
    };
    assert_eq!(see(running).1, TaskReason::AgentRunning);
}
