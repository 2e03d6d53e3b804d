//! Cases of the lifecycle.

use axon_api::outputs::Report;
use axon_api::usage::Usage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::task::build::prompt::ParsedPrompt;
use crate::task::decide::dependencies::Satisfied;
use crate::task::decide::failure::Failure;
use crate::task::fixtures::{task, workspace};
use crate::task::observe::pod::{ContainerView, Ended, Held, JobEnd};

mod volumes;

mod budget;
mod progress;

mod stop;

mod retry;

mod lost;

mod agent_end;

mod queued;

mod simulation;

mod properties;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const NOW: i64 = 1_000;

fn observed(task: &Task) -> Observed<'_> {
    Observed {
        task,
        job: None,
        pods: Vec::new(),
        prompt_fault: ParsedPrompt::parse(task).err(),
        workspace: Named::No,
        agent_config: Named::No,
        dependencies: Dependencies::Ready(Satisfied::default()),
        rivals: Vec::new(),
        awaited: false,
        log_outputs: Vec::new(),
        image_pull_limit: Duration::from_secs(300),
        price: None,
        can_repeat: true,
        missing: Vec::new(),
        now: at(NOW),
    }
}

fn job() -> JobView {
    JobView {
        uid: Some("job-1".into()),
        made_by_us: true,
        owner_uid: Some("uid-1".into()),
        finished: None,
        ending: None,
        deleting: false,
        deleting_since: None,
        started: Some(at(NOW - 60)),
        held: None,
        queue: None,
        resumed: None,
    }
}

fn job_failed(reason: &str) -> JobView {
    JobView {
        finished: Some(JobEnd::Failed {
            reason: reason.into(),
            message: "m".into(),
            at: Some(at(NOW - 1)),
        }),
        ..job()
    }
}

fn pod(workspace: ContainerView, agent: ContainerView) -> PodView {
    PodView {
        name: "t-x".into(),
        created: Some(at(NOW - 50)),
        workspace,
        agent,
        ..PodView::default()
    }
}

fn waiting(reason: &str, message: &str) -> ContainerView {
    ContainerView::Waiting {
        reason: reason.into(),
        message: message.into(),
    }
}

fn ended(exit_code: i32, tokens: i64) -> Ended {
    let usage = Usage {
        input_tokens: Some(tokens),
        ..Usage::default()
    };
    Ended {
        exit_code,
        report: Some(Box::new(Report {
            // One that was killed had no time for a last word.
            is_final: !matches!(exit_code, 137 | 143),
            usage,
            outputs: vec!["branch: b".into()],
            ..Report::new()
        })),
        started: Some(at(NOW - 40)),
        ..Ended::default()
    }
}

fn with_phase(phase: TaskPhase) -> Task {
    let mut t = task("t");
    t.status = Some(TaskStatus {
        phase: Some(phase),
        job_name: Some("t".into()),
        observed_generation: Some(1),
        completion_time: phase.is_terminal().then(|| Time(at(NOW - 10))),
        ..TaskStatus::default()
    });
    t
}

fn status_of(decision: Decision) -> TaskStatus {
    match decision {
        Decision::UpdateStatus(status) => *status,
        other => panic!("no status update: {other:?}"),
    }
}

fn satisfied(name: &str) -> Satisfied {
    Satisfied {
        names: vec![name.to_owned()],
        ..Satisfied::default()
    }
}

fn outcome_of(observed: &Observed<'_>) -> (TaskPhase, TaskReason, String) {
    let status = status_of(decide(observed));
    (
        status.phase.unwrap(),
        status.reason.unwrap(),
        status.message.unwrap_or_default(),
    )
}

#[test]
fn a_new_task_gets_its_job() {
    assert!(matches!(decide(&observed(&task("t"))), Decision::CreateJob(_)));
}

#[test]
fn missing_objects_are_waited_for_by_name() {
    let t = task("t");
    let (phase, reason, message) = outcome_of(&Observed {
        workspace: Named::Missing("ws"),
        ..observed(&t)
    });
    assert_eq!(
        (phase, reason),
        (TaskPhase::Waiting, TaskReason::WorkspaceNotFound)
    );
    assert!(message.contains("ws"));
    let (_, reason, _) = outcome_of(&Observed {
        agent_config: Named::Missing("c"),
        ..observed(&t)
    });
    assert_eq!(reason, TaskReason::AgentConfigNotFound);
    let w = workspace("https://h/x");
    let decision = decide(&Observed {
        workspace: Named::Found(&w),
        ..observed(&t)
    });
    assert!(matches!(decision, Decision::CreateJob(_)));
}

#[test]
fn dependencies_hold_and_fail_a_task() {
    let t = task("t");
    let hold = Observed {
        dependencies: Dependencies::Waiting {
            message: "waits for a (Running)".into(),
            satisfied: satisfied("b"),
        },
        ..observed(&t)
    };
    assert_eq!(outcome_of(&hold).1, TaskReason::WaitingForDependencies);
    let failure = Failure {
        reason: TaskReason::DependencyFailed,
        message: "dependency a failed".into(),
    };
    let failed = Observed {
        dependencies: Dependencies::Failed(failure),
        ..observed(&t)
    };
    let status = status_of(decide(&failed));
    assert_eq!(status.phase, Some(TaskPhase::Failed));
    assert!(
        status.completion_time.is_some(),
        "a Task that never had a Job has an end too"
    );
}

#[test]
fn a_prompt_that_is_no_template_fails_before_anything_is_waited_for() {
    fn held(task: &Task) -> Observed<'_> {
        Observed {
            dependencies: Dependencies::Waiting {
                message: "waits for a".into(),
                satisfied: satisfied("b"),
            },
            workspace: Named::Missing("w"),
            ..observed(task)
        }
    }
    let mut t = task("t");
    t.spec.depends_on = vec!["a".into()];
    t.spec.prompt = "Review {{index .Deps \"a\"".into();
    let status = status_of(decide(&held(&t)));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::InvalidConfig))
    );
    let message = status.message.unwrap();
    assert!(
        message.starts_with("the prompt can't be rendered: template: prompt:1:"),
        "{message}"
    );

    t.spec.prompt += "}}";
    assert_eq!(outcome_of(&held(&t)).1, TaskReason::WorkspaceNotFound);
}

#[test]
fn a_foreign_job_is_reported_and_never_adopted() {
    let t = task("t");
    let foreign = JobView {
        owner_uid: Some("other".into()),
        made_by_us: false,
        ..job()
    };
    assert_eq!(
        outcome_of(&Observed {
            job: Some(foreign),
            ..observed(&t)
        })
        .1,
        TaskReason::InvalidConfig
    );
    let orphan = JobView {
        made_by_us: false,
        owner_uid: None,
        ..job()
    };
    assert_eq!(
        outcome_of(&Observed {
            job: Some(orphan),
            ..observed(&t)
        })
        .1,
        TaskReason::InvalidConfig
    );
}

#[test]
fn the_job_of_a_former_task_of_the_same_name_is_waited_for() {
    let t = task("t");
    let leftover = JobView {
        owner_uid: Some("uid-0".into()),
        ..job()
    };
    let status = status_of(decide(&Observed {
        job: Some(leftover.clone()),
        ..observed(&t)
    }));
    assert_eq!(status.phase, Some(TaskPhase::Waiting));
    assert_eq!(status.job_name, None, "it is not this Task's");
    let mut told = t.clone();
    told.status = Some(status);
    let again = decide(&Observed {
        job: Some(leftover),
        ..observed(&told)
    });
    assert_eq!(again, Decision::Wait(Some(Duration::from_secs(2))));
}

#[test]
fn a_task_that_someone_waits_for_does_not_expire() {
    let mut t = with_phase(TaskPhase::Succeeded);
    t.spec.ttl_seconds_after_finished = Some(0);
    assert!(matches!(
        decide(&Observed {
            awaited: true,
            ..observed(&t)
        }),
        Decision::Wait(Some(_))
    ));
    assert_eq!(decide(&observed(&t)), Decision::Expire);
}

#[test]
fn successes_of_dependencies_are_recorded_while_others_are_waited_for() {
    let t = task("t");
    let dependencies = Dependencies::Waiting {
        message: "waits for a".into(),
        satisfied: satisfied("b"),
    };
    let status = status_of(decide(&Observed {
        dependencies,
        ..observed(&t)
    }));
    assert_eq!(status.satisfied_dependencies, ["b"]);
}

#[test]
fn a_wait_that_is_no_end_has_a_net() {
    let running = pod(ContainerView::Unknown, ContainerView::Running { since: None });
    let t = with_phase(TaskPhase::Pending);
    let o = Observed {
        job: Some(job()),
        pods: vec![running],
        ..observed(&t)
    };
    let mut told = t.clone();
    told.status = Some(status_of(decide(&o)));
    assert_eq!(decide(&Observed { task: &told, ..o }), Decision::Wait(Some(NET)));
}

#[test]
fn a_finished_task_never_runs_again() {
    for phase in [TaskPhase::Succeeded, TaskPhase::Failed] {
        assert_eq!(
            decide(&observed(&with_phase(phase))),
            Decision::Wait(None),
            "its Job has vanished"
        );
    }
}

#[test]
fn a_job_that_outlives_its_task_is_deleted() {
    let t = with_phase(TaskPhase::Failed);
    assert_eq!(
        decide(&Observed {
            job: Some(job()),
            ..observed(&t)
        }),
        Decision::DeleteJob
    );
    let done = JobView {
        finished: Some(JobEnd::Complete),
        ..job()
    };
    assert_eq!(
        decide(&Observed {
            job: Some(done),
            ..observed(&t)
        }),
        Decision::Wait(None)
    );
    let foreign = JobView {
        owner_uid: Some("other".into()),
        ..job()
    };
    assert_eq!(
        decide(&Observed {
            job: Some(foreign),
            ..observed(&t)
        }),
        Decision::Wait(None)
    );
}

#[test]
fn time_to_live_counts_from_the_end_with_or_without_a_job() {
    let mut t = with_phase(TaskPhase::Failed);
    t.spec.ttl_seconds_after_finished = Some(30);
    assert_eq!(
        decide(&observed(&t)),
        Decision::Wait(Some(Duration::from_secs(20)))
    );
    t.spec.ttl_seconds_after_finished = Some(10);
    assert_eq!(decide(&observed(&t)), Decision::Expire);
    t.spec.ttl_seconds_after_finished = Some(0);
    assert_eq!(decide(&observed(&t)), Decision::Expire);
}
