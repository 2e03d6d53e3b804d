//! Cases of runs that are repeated.

use axon_api::v1alpha1::{NextRun, RetryPolicy, RetryReason};

use super::*;

pub(super) fn policy(limit: i32, on: RetryReason) -> Option<RetryPolicy> {
    Some(RetryPolicy {
        limit,
        backoff: "30s".into(),
        on: vec![on],
    })
}

pub(super) fn running() -> PodView {
    pod(
        ContainerView::Unknown,
        ContainerView::Running {
            since: Some(at(NOW - 9)),
        },
    )
}

pub(super) fn failed_pod(name: &str, job: &str) -> PodView {
    PodView {
        name: name.into(),
        owner_uid: Some(job.into()),
        ..pod(ContainerView::Unknown, ContainerView::Terminated(ended(1, 3)))
    }
}

pub(super) fn told(task: &Task, status: TaskStatus) -> Task {
    let mut task = task.clone();
    task.status = Some(status);
    task
}

#[test]
fn a_run_is_not_repeated_while_its_count_would_not_be_stored() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.retry_policy = policy(3, RetryReason::AgentError);
    let failed = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![failed_pod("a", "job-1")],
        ..observed(&t)
    };
    assert_eq!(status_of(decide(&failed)).reason, Some(TaskReason::Retrying));
    let ended = status_of(decide(&Observed {
        can_repeat: false,
        ..failed
    }));
    assert_eq!(
        (ended.phase, ended.reason, ended.retries),
        (Some(TaskPhase::Failed), Some(TaskReason::AgentError), None)
    );
}

#[test]
fn a_failed_run_is_repeated_by_policy_one_at_a_time() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.retry_policy = policy(2, RetryReason::AgentError);
    let failed = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![failed_pod("t-x", "job-1")],
        ..observed(&t)
    };
    let status = status_of(decide(&failed));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Pending), Some(TaskReason::Retrying))
    );
    assert_eq!((status.retries, status.attempts.len()), (Some(1), 1));
    let next = NextRun {
        after: Time(at(NOW + 31)),
        replaces: Some("job-1".into()),
    };
    assert_eq!(status.next_run, Some(next));
    assert_eq!(status.completion_time, None);

    let t = told(&t, status);
    let pause = Observed { task: &t, ..failed };
    assert_eq!(
        decide(&pause),
        Decision::Wait(Some(Duration::from_secs(31))),
        "its log may be read until then"
    );
    let due = Observed {
        now: at(NOW + 31),
        ..pause
    };
    assert_eq!(decide(&due), Decision::DeleteJob);
    let going = Observed {
        job: Some(JobView {
            deleting: true,
            ..job_failed("BackoffLimitExceeded")
        }),
        ..due.clone()
    };
    assert_eq!(
        decide(&going),
        Decision::Wait(Some(NET)),
        "two Jobs can't have the name"
    );
    let gone = Observed {
        job: None,
        ..due.clone()
    };
    let Decision::CreateJob(known) = decide(&gone) else {
        panic!("the next run is due");
    };
    assert_eq!((known.next_run.clone(), known.attempts.len()), (None, 1));

    // The creator may die before it says so.
    let second = Observed {
        job: Some(JobView {
            uid: Some("job-2".into()),
            ..job()
        }),
        pods: Vec::new(),
        ..due
    };
    let status = status_of(decide(&second));
    assert_eq!(status.next_run, None);
    let t = told(&t, status);
    let failed_again = Observed {
        task: &t,
        job: Some(JobView {
            uid: Some("job-2".into()),
            ..job_failed("BackoffLimitExceeded")
        }),
        pods: vec![failed_pod("t-y", "job-2")],
        ..second
    };
    let status = status_of(decide(&failed_again));
    assert_eq!(status.retries, Some(2));
    assert_eq!(status.usage.clone().unwrap().input_tokens, Some(6));
    let t = told(
        &t,
        TaskStatus {
            next_run: None,
            ..status
        },
    );
    let last = Observed {
        task: &t,
        job: Some(JobView {
            uid: Some("job-3".into()),
            ..job_failed("BackoffLimitExceeded")
        }),
        pods: vec![failed_pod("t-z", "job-3")],
        ..failed_again
    };
    let status = status_of(decide(&last));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::AgentError))
    );
    assert_eq!((status.attempts.len(), status.next_run), (3, None));
}

#[test]
fn a_reason_that_is_not_in_the_policy_is_final() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.retry_policy = policy(2, RetryReason::OOMKilled);
    let failed = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![failed_pod("t-x", "job-1")],
        ..observed(&t)
    };
    assert_eq!(outcome_of(&failed).0, TaskPhase::Failed);
}

#[test]
fn a_pod_that_someone_deletes_is_replaced_a_few_times() {
    let mut t = with_phase(TaskPhase::Running);
    for run in 1..=3 {
        let uid = format!("job-{run}");
        let lost = PodView {
            deleting: true,
            ..failed_pod(&format!("t-{run}"), &uid)
        };
        let lost = PodView {
            agent: ContainerView::Terminated(Ended {
                report: None,
                ..ended(143, 1)
            }),
            ..lost
        };
        let o = Observed {
            job: Some(JobView {
                uid: Some(uid.clone()),
                ..job_failed("BackoffLimitExceeded")
            }),
            pods: vec![lost],
            ..observed(&t)
        };
        let status = status_of(decide(&o));
        assert_eq!(status.attempts.len(), run);
        assert_eq!(status.attempts[run - 1].reason, Some(TaskReason::PodLost));
        if run < 3 {
            assert_eq!(status.reason, Some(TaskReason::Retrying));
            assert_eq!(status.next_run.clone().unwrap().after, Time(at(NOW)), "at once");
        } else {
            assert_eq!(
                (status.phase, status.reason),
                (Some(TaskPhase::Failed), Some(TaskReason::PodLost))
            );
        }
        t = told(
            &t,
            TaskStatus {
                next_run: None,
                ..status
            },
        );
    }
}

#[test]
fn a_pod_that_vanished_without_a_word_is_told_apart_from_the_run_before() {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.retry_policy = policy(1, RetryReason::AgentError);
    let first = Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![failed_pod("t-x", "job-1")],
        ..observed(&t)
    };
    let status = status_of(decide(&first));
    let t = told(
        &t,
        TaskStatus {
            next_run: None,
            ..status
        },
    );
    let vanished = Observed {
        job: Some(JobView {
            uid: Some("job-2".into()),
            ..job_failed("BackoffLimitExceeded")
        }),
        pods: vec![PodView {
            name: "t-y".into(),
            gone: true,
            ..running()
        }],
        ..observed(&t)
    };
    let status = status_of(decide(&vanished));
    assert_eq!(status.attempts[1].reason, Some(TaskReason::PodLost));
    assert_eq!(
        status.reason,
        Some(TaskReason::Retrying),
        "a lost pod is replaced"
    );
}

#[test]
fn an_image_that_can_not_be_pulled_is_tried_again_by_policy_with_a_new_job() {
    let mut t = with_phase(TaskPhase::Pending);
    t.spec.retry_policy = policy(1, RetryReason::ImagePull);
    let stuck = Observed {
        job: Some(job()),
        pods: vec![pod(ContainerView::Unknown, waiting("InvalidImageName", "bad"))],
        ..observed(&t)
    };
    let status = status_of(decide(&stuck));
    assert_eq!(status.reason, Some(TaskReason::Retrying));
    let t = told(&t, status);
    assert_eq!(
        decide(&Observed { task: &t, ..stuck }),
        Decision::DeleteJob,
        "a Job that might still run does not wait for the pause"
    );
}

#[test]
fn a_clone_is_told_of_once_it_takes_longer_than_an_instant() {
    let t = with_phase(TaskPhase::Pending);
    let mut t = told(
        &t,
        TaskStatus {
            reason: Some(TaskReason::Starting),
            ..t.status.clone().unwrap()
        },
    );
    let cloning = |since| {
        Observed {
            job: Some(job()),
            pods: vec![pod(
                ContainerView::Running {
                    since: Some(at(since)),
                },
                waiting("PodInitializing", ""),
            )],
            ..observed(&task("x"))
        }
        .pods
    };
    let first = Observed {
        job: Some(job()),
        pods: cloning(NOW),
        ..observed(&t)
    };
    t = match decide(&first) {
        Decision::UpdateStatus(status) => told(&t, *status),
        other => panic!("conditions are not written yet: {other:?}"),
    };
    let again = Observed {
        job: Some(job()),
        pods: cloning(NOW),
        ..observed(&t)
    };
    assert_eq!(decide(&again), Decision::Wait(Some(Duration::from_secs(2))));
    let later = Observed {
        now: at(NOW + 2),
        ..again
    };
    assert_eq!(outcome_of(&later).1, TaskReason::Cloning);
}

#[test]
fn a_pod_that_the_job_made_after_the_end_of_its_run_is_an_attempt() {
    let mut t = with_phase(TaskPhase::Pending);
    let status = t.status.as_mut().unwrap();
    status.reason = Some(TaskReason::Retrying);
    status.pod_name = Some("a".into());
    status.next_run = Some(axon_api::v1alpha1::NextRun {
        after: Time(at(NOW + 25)),
        replaces: Some("job-1".into()),
    });
    let late = |agent| PodView {
        name: "b".into(),
        owner_uid: Some("job-1".into()),
        created: Some(at(NOW)),
        ..pod(ContainerView::Unknown, agent)
    };
    let mut going = job();
    going.deleting = true;
    let seen = |t: &Task, agent| {
        decide(&Observed {
            job: Some(going.clone()),
            pods: vec![late(agent)],
            ..observed(t)
        })
    };
    let running = ContainerView::Running { since: Some(at(NOW)) };
    let noted = status_of(seen(&t, running.clone()));
    assert_eq!(
        (noted.phase, noted.reason, noted.attempts.len()),
        (Some(TaskPhase::Pending), Some(TaskReason::Retrying), 1)
    );
    t.status = Some(noted);
    assert_eq!(seen(&t, running), Decision::Wait(Some(NET)));
    // Its figures come with its end.
    let ended = status_of(seen(&t, ContainerView::Terminated(ended(143, 7))));
    assert_eq!(ended.attempts.len(), 1);
    assert_eq!(ended.usage.unwrap().input_tokens, Some(7));
}
