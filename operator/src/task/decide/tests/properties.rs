//! Properties of the lifecycle: they hold for every observation.

use proptest::prelude::*;

use super::*;
use crate::task::observe::pod::Stuck;

fn any_container() -> impl Strategy<Value = ContainerView> {
    prop_oneof![
        Just(ContainerView::Unknown),
        prop_oneof![
            Just("ImagePullBackOff"),
            Just("ErrImagePull"),
            Just("InvalidImageName"),
            Just("CreateContainerConfigError"),
            Just("CrashLoopBackOff"),
            Just("PodInitializing")
        ]
        .prop_map(|reason| waiting(reason, "secret words")),
        Just(ContainerView::Running {
            since: Some(at(NOW - 5))
        }),
        (prop_oneof![Just(0), Just(1), Just(137)], 0i64..5)
            .prop_map(|(code, n)| ContainerView::Terminated(ended(code, n))),
    ]
}

fn any_pod() -> impl Strategy<Value = PodView> {
    (any_container(), any_container(), any::<[bool; 6]>(), "[a-p]").prop_map(
        |(workspace, agent, [deleting, evicted, gone, failed, succeeded, stuck], name)| PodView {
            name,
            deleting,
            gone,
            failed,
            succeeded,
            stuck: stuck.then(|| Stuck {
                container: "proxy".into(),
                reason: "CrashLoopBackOff".into(),
                message: String::new(),
            }),
            gone_by: deleting.then(|| at(NOW - 60)),
            disruption: evicted.then(|| ("Evicted".to_owned(), String::new())),
            created: Some(at(NOW - 400)),
            scheduled: Some(at(if deleting { NOW - 5 } else { NOW - 390 })),
            needs: vec![Needed {
                kind: "Secret",
                name: "s".into(),
            }],
            volumes_ready: (!evicted).then_some(false),
            ..pod(workspace, agent)
        },
    )
}

fn any_job() -> impl Strategy<Value = Option<JobView>> {
    prop_oneof![
        Just(None),
        Just(Some(job())),
        Just(Some(JobView {
            deleting: true,
            ..job()
        })),
        Just(Some(JobView {
            finished: Some(JobEnd::Complete),
            ..job()
        })),
        Just(Some(job_failed("DeadlineExceeded"))),
        Just(Some(JobView {
            ending: job_failed("DeadlineExceeded").finished,
            ..job()
        })),
        Just(Some(job_failed("BackoffLimitExceeded"))),
        (any::<bool>(), any::<bool>()).prop_map(|(held, queue)| {
            Some(JobView {
                held: held.then_some(Held::Suspended),
                queue: queue.then(|| "agents".to_owned()),
                resumed: (!held).then(|| at(NOW - 100)),
                ..job()
            })
        }),
        Just(Some(JobView {
            owner_uid: Some("other".into()),
            ..job()
        })),
    ]
}

fn any_phase() -> impl Strategy<Value = Option<TaskPhase>> {
    prop_oneof![
        Just(None),
        Just(Some(TaskPhase::Waiting)),
        Just(Some(TaskPhase::Pending)),
        Just(Some(TaskPhase::Running)),
        Just(Some(TaskPhase::Succeeded)),
        Just(Some(TaskPhase::Failed)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Writing what was decided leads to a state in which the same observation asks for no further write.
    #[test]
    fn no_observation_loops_on_writes(job in any_job(), pods in prop::collection::vec(any_pod(), 0..15), phase in any_phase()) {
        let mut t = task("t");
        t.status = phase.map(|phase| with_phase(phase).status.unwrap());
        for _ in 0..3 {
            let o = Observed { job: job.clone(), pods: pods.clone(), ..observed(&t) };
            match decide(&o) {
                Decision::UpdateStatus(status) => t.status = Some(*status),
                _ => return Ok(()),
            }
        }
        prop_assert!(false, "three status writes on one observation: {:?}", t.status);
    }

    /// A terminal Task keeps its status, whatever is observed.
    #[test]
    fn terminal_is_final(job in any_job(), pods in prop::collection::vec(any_pod(), 0..15), failed in any::<bool>()) {
        let t = with_phase(if failed { TaskPhase::Failed } else { TaskPhase::Succeeded });
        let o = Observed { job, pods, ..observed(&t) };
        prop_assert!(!matches!(decide(&o), Decision::UpdateStatus(_) | Decision::CreateJob(_)));
    }

    /// With a Job, or after one, no second Job is created.
    #[test]
    fn one_job_at_most(job in any_job(), pods in prop::collection::vec(any_pod(), 0..15), phase in any_phase()) {
        let mut t = task("t");
        t.status = phase.map(|phase| with_phase(phase).status.unwrap());
        let had_job = t.status.as_ref().is_some_and(|s| s.job_name.is_some()) || job.is_some();
        let o = Observed { job, pods, ..observed(&t) };
        prop_assert!(!had_job || !matches!(decide(&o), Decision::CreateJob(_)));
    }

    /// A state that is no end says what it waits for, by an event or a time.
    #[test]
    fn every_wait_has_words(job in any_job(), pods in prop::collection::vec(any_pod(), 0..15)) {
        let t = with_phase(TaskPhase::Pending);
        let o = Observed { job, pods, ..observed(&t) };
        if let Decision::UpdateStatus(status) = decide(&o) {
            let phase = status.phase.unwrap();
            prop_assert!(status.reason.is_some());
            prop_assert!(status.message.is_some() || matches!(phase, TaskPhase::Running | TaskPhase::Succeeded)
                || status.reason == t.status.as_ref().unwrap().reason.or(Some(TaskReason::Starting)), "{:?}", status);
        }
    }
}
