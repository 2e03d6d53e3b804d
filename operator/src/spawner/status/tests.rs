use super::*;
use crate::spawner::fixtures::{cron, github};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn situation(now: Timestamp) -> Situation<'static> {
    Situation {
        active: 2,
        room: Room {
            free: 1,
            concurrency_full: false,
            budget_spent: false,
        },
        concurrency: None,
        runner: "pod-1",
        deployment: "axon-operator",
        paused: None,
        source: Box::leak(crate::spawner::source::of(&github("fix").spec.when).unwrap()),
        now,
    }
}

/// Builds a status with the source that the TaskSpawner has.
fn build(
    old: &TaskSpawnerStatus,
    spawner: &TaskSpawner,
    outcome: &PollOutcome,
    situation: &Situation<'_>,
) -> TaskSpawnerStatus {
    let source = crate::spawner::source::of(&spawner.spec.when).unwrap();
    let situation = Situation {
        source: &*source,
        ..*situation
    };
    super::build(old, spawner, outcome, &situation)
}

fn polled(discovered: usize, now: Timestamp) -> PollOutcome {
    PollOutcome {
        source: Some("github.com/org/repo".into()),
        discovered: Some(discovered),
        polled: Some(now),
        ..PollOutcome::default()
    }
}

fn waiting(n: usize) -> Waiting {
    let claim = |i: usize| Claim {
        item: i.to_string(),
        name: format!("fix-{i}"),
    };
    let claims: Vec<Claim> = (0..n).map(claim).collect();
    Waiting::of(&claims, |_| Some("t".repeat(200)))
}

fn condition<'a>(status: &'a TaskSpawnerStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|c| c.type_ == kind).unwrap();
    (&found.status, &found.reason, &found.message)
}

#[test]
fn a_spawner_at_work_says_what_it_found() {
    let status = build(
        &TaskSpawnerStatus::default(),
        &github("fix"),
        &polled(3, at(0)),
        &situation(at(0)),
    );
    assert_eq!(status.phase, Some(TaskSpawnerPhase::Running));
    assert_eq!(
        status.message.as_deref(),
        Some("found 3 items, created 0 in all, 2 active")
    );
    assert_eq!(
        (status.deployment_name.as_deref(), status.runner.as_deref()),
        (Some("axon-operator"), Some("pod-1"))
    );
    assert_eq!(condition(&status, "Ready").0, "True");
    assert_eq!(condition(&status, "Suspended").1, "Running");
    assert_eq!(condition(&status, "TaskBudgetExhausted").1, "BudgetAvailable");
    assert_eq!(condition(&status, "SourceReachable").0, "True");
}

#[test]
fn a_fault_is_a_failure_that_a_person_or_time_mends() {
    for (transient, stalled) in [(false, "True"), (true, "False")] {
        let fault = Fault {
            reason: SpawnerReason::Unauthorized,
            message: "GitHub refuses the credential".into(),
            transient,
        };
        let outcome = PollOutcome {
            source_fault: Some(fault),
            ..PollOutcome::default()
        };
        let old = TaskSpawnerStatus {
            total_discovered: Some(7),
            ..TaskSpawnerStatus::default()
        };
        let status = build(&old, &github("fix"), &outcome, &situation(at(0)));
        assert_eq!(status.phase, Some(TaskSpawnerPhase::Failed));
        assert_eq!(
            status.message.as_deref(),
            Some("Unauthorized: GitHub refuses the credential")
        );
        assert_eq!(condition(&status, "SourceReachable").1, "Unauthorized");
        assert_eq!(
            (condition(&status, "Ready").0, condition(&status, "Stalled").0),
            ("False", stalled)
        );
        assert_eq!(status.total_discovered, Some(7));
    }
}

#[test]
fn a_pause_counts_more_than_a_fault() {
    let mut spawner = cron("nightly", "0 9 * * *");
    spawner.spec.suspend = true;
    let outcome = PollOutcome {
        next_run: Some(at(0)),
        discovered: Some(0),
        ..PollOutcome::default()
    };
    let status = build(
        &TaskSpawnerStatus::default(),
        &spawner,
        &outcome,
        &situation(at(0)),
    );
    assert_eq!(status.phase, Some(TaskSpawnerPhase::Suspended));
    assert_eq!(condition(&status, "Suspended").1, "UserSuspended");
    assert_eq!(status.next_run_time, None);
    assert_eq!(condition(&status, "ScheduleValid").0, "True");
}

#[test]
fn a_paused_workspace_suspends_and_says_how_to_go_on() {
    let (mut spawner, old) = (github("fix"), TaskSpawnerStatus::default());
    let paused = Situation {
        paused: Some("w"),
        ..situation(at(0))
    };
    let status = build(&old, &spawner, &polled(3, at(0)), &paused);
    assert_eq!(status.phase, Some(TaskSpawnerPhase::Suspended));
    let (is, reason, message) = condition(&status, "Suspended");
    assert_eq!((is, reason), ("True", "WorkspacePaused"));
    assert!(
        message.contains("kubectl annotate workspaces.axon.io w axon.io/paused-"),
        "{message}"
    );
    assert_eq!(status.message.as_deref(), Some(message));
    // What its own spec says comes first.
    spawner.spec.suspend = true;
    let status = build(&old, &spawner, &polled(3, at(0)), &paused);
    assert_eq!(condition(&status, "Suspended").1, "UserSuspended");
}

#[test]
fn who_may_start_an_agent_is_told() {
    let (mut spawner, old) = (github("fix"), TaskSpawnerStatus::default());
    let status = build(&old, &spawner, &polled(3, at(0)), &situation(at(0)));
    assert_eq!(condition(&status, "OpenToStrangers").0, "False");
    assert_eq!(condition(&status, "PermissionUnknown").0, "False");
    let spec = spawner.spec.when.github_issues.as_mut().unwrap();
    spec.authors = Some(axon_api::v1alpha1::People {
        associations: vec![axon_api::v1alpha1::Association::All],
        users: Vec::new(),
    });
    let outcome = PollOutcome {
        permission_unknown: Some("use another token".into()),
        ..polled(3, at(0))
    };
    let status = build(&old, &spawner, &outcome, &situation(at(0)));
    let (is, reason, message) = condition(&status, "OpenToStrangers");
    assert_eq!((is, reason), ("True", "AuthorsOpen"));
    assert!(message.contains("leave authors out"), "{message}");
    assert_eq!(
        condition(&status, "PermissionUnknown"),
        ("True", "PushAccessNeeded", "use another token")
    );
    let status = build(&old, &cron("nightly", "0 9 * * *"), &outcome, &situation(at(0)));
    assert!(status.conditions.iter().all(|c| c.type_ != "OpenToStrangers"));
}

#[test]
fn nothing_is_said_of_a_source_that_nobody_asked() {
    let fault = Fault {
        reason: SpawnerReason::InvalidTemplate,
        message: "no template".into(),
        transient: false,
    };
    let outcome = PollOutcome {
        template_fault: Some(fault),
        ..PollOutcome::default()
    };
    for (spawner, kind) in [
        (github("fix"), "SourceReachable"),
        (cron("nightly", "0 9 * * *"), "ScheduleValid"),
    ] {
        let old = TaskSpawnerStatus::default();
        let status = build(&old, &spawner, &outcome, &situation(at(0)));
        assert_eq!(condition(&status, "TemplateValid").0, "False");
        assert!(status.conditions.iter().all(|c| c.type_ != kind), "{kind}");
    }
}

#[test]
fn limits_are_told_with_what_waits() {
    let outcome = PollOutcome {
        waiting: waiting(30),
        ..polled(30, at(0))
    };
    let room = Room {
        free: 0,
        concurrency_full: true,
        budget_spent: true,
    };
    let status = build(
        &TaskSpawnerStatus::default(),
        &github("fix"),
        &outcome,
        &Situation {
            room,
            ..situation(at(0))
        },
    );
    assert_eq!(
        condition(&status, "ConcurrencyLimited").2,
        "30 items waiting for one of 2 running Tasks to end"
    );
    assert_eq!(condition(&status, "TaskBudgetExhausted").1, "BudgetReached");
    assert_eq!(
        (status.waiting.len(), status.max_concurrency),
        (MAX_WAITING, None)
    );
    assert_eq!(
        status.waiting[0].title.as_ref().unwrap().chars().count(),
        MAX_TITLE
    );
}

#[test]
fn a_default_limit_is_told_as_what_it_is() {
    let outcome = PollOutcome {
        waiting: waiting(3),
        ..polled(5, at(0))
    };
    let room = Room {
        free: 0,
        concurrency_full: true,
        budget_spent: false,
    };
    let full = Situation {
        room,
        concurrency: Some(2),
        ..situation(at(0))
    };
    let mut spawner = github("fix");
    let of = |spawner: &_| build(&TaskSpawnerStatus::default(), spawner, &outcome, &full);
    let (status, told) = (of(&spawner), "3 items waiting for one of 2 running Tasks to end");
    assert_eq!(status.max_concurrency, Some(2));
    assert_eq!(
        condition(&status, "ConcurrencyLimited").2,
        format!("{told}: without spec.maxConcurrency, the operator's default of 2 is the limit")
    );
    spawner.spec.max_concurrency = Some(2);
    assert_eq!(condition(&of(&spawner), "ConcurrencyLimited").2, told);
}

#[test]
fn blocked_items_are_named_but_not_all_of_many() {
    let item = |i: i32| Blocked {
        item: i.to_string(),
        reason: SpawnerReason::InvalidBranch,
        message: "has a space".into(),
        transient: false,
        all: false,
        left_out: false,
        pause: None,
    };
    let outcome = PollOutcome {
        blocked: (0..7).map(item).collect(),
        ..polled(7, at(0))
    };
    let status = build(
        &TaskSpawnerStatus::default(),
        &github("fix"),
        &outcome,
        &situation(at(0)),
    );
    let (is, reason, message) = condition(&status, "ItemsBlocked");
    assert_eq!((is, reason), ("True", "InvalidBranch"));
    assert!(
        message.starts_with("0: has a space; 1: ") && message.ends_with("; and 2 more"),
        "{message}"
    );
    assert_eq!(status.phase, Some(TaskSpawnerPhase::Running));
}

#[test]
fn nothing_is_written_for_the_time_alone_but_every_five_minutes() {
    let build_at =
        |old: &TaskSpawnerStatus, n, s| build(old, &github("fix"), &polled(n, at(s)), &situation(at(s)));
    let first = build_at(&TaskSpawnerStatus::default(), 3, 0);
    assert!(is_news(None, &first));
    assert!(!is_news(Some(&first), &first));
    assert!(!is_news(Some(&first), &build_at(&first, 3, 299)));
    assert!(is_news(Some(&first), &build_at(&first, 3, 300)));
    assert!(is_news(Some(&first), &build_at(&first, 4, 1)));
    // What a condition says since when stays.
    assert_eq!(build_at(&first, 3, 60).conditions, first.conditions);
}

#[test]
fn skipped_runs_are_told_until_the_next_run_is_on_time() {
    let mut status = TaskSpawnerStatus::default();
    note_skipped(&mut status, 3, at(0), Some(1), at(10));
    let kept = build(
        &status,
        &cron("c", "0 9 * * *"),
        &PollOutcome::default(),
        &situation(at(20)),
    );
    assert!(
        condition(&kept, "RunsSkipped")
            .2
            .starts_with("3 runs before 2027-01-15T08:00:00Z left out")
    );
    note_skipped(&mut status, 0, at(60), Some(1), at(60));
    assert_eq!(condition(&status, "RunsSkipped"), ("False", "OnTime", ""));
    assert_eq!(status.conditions.len(), 1);
}

#[test]
fn a_schedule_of_before_is_forgotten_with_another_source() {
    let old = TaskSpawnerStatus {
        handled_until: Some(Time(at(0))),
        handled_schedule: Some("0 * * * *".into()),
        ..TaskSpawnerStatus::default()
    };
    let built = |spawner| build(&old, &spawner, &PollOutcome::default(), &situation(at(9)));
    assert_eq!(built(github("fix")).handled_until, None);
    assert_eq!(built(github("fix")).handled_schedule, None);
    assert_eq!(built(cron("fix", "0 * * * *")).handled_until, old.handled_until);
}
