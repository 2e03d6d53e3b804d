//! Cases of the status that a Task gets.

use axon_api::outputs::Report;

use super::*;
use crate::task::decide::prices::PriceTable;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ended(tokens: i64, cost: &str) -> Ended {
    let usage = Usage {
        input_tokens: Some(tokens),
        cost_usd: Some(cost.into()),
        ..Usage::default()
    };
    Ended {
        report: Some(Box::new(Report {
            usage,
            outputs: vec!["branch: b".into()],
            ..Report::new()
        })),
        ..Ended::default()
    }
}

fn evicted() -> Failure {
    Failure {
        reason: TaskReason::Evicted,
        message: "m".into(),
    }
}

fn pod(name: &str) -> PodView {
    PodView {
        name: name.into(),
        ..PodView::default()
    }
}

#[test]
fn conditions_follow_the_phase_and_keep_their_transition_time() {
    let waiting = enter(
        &TaskStatus::default(),
        TaskPhase::Waiting,
        TaskReason::WorkspaceNotFound,
        "w",
        Some(1),
        at(10),
    );
    assert_eq!(
        waiting
            .conditions
            .iter()
            .map(|c| c.status.as_str())
            .collect::<Vec<_>>(),
        ["False", "True", "False"]
    );
    let pending = enter(
        &waiting,
        TaskPhase::Pending,
        TaskReason::Starting,
        "",
        Some(1),
        at(20),
    );
    assert_eq!(pending.conditions[1].last_transition_time.0, at(10));
    assert_eq!(pending.message, None);
    let failed = enter(
        &pending,
        TaskPhase::Failed,
        TaskReason::AgentError,
        "boom",
        Some(1),
        at(30),
    );
    assert_eq!(failed.conditions[2].status, "True");
    assert_eq!(failed.completion_time, Some(Time(at(30))));
    let again = enter(
        &failed,
        TaskPhase::Failed,
        TaskReason::AgentError,
        "boom",
        Some(1),
        at(40),
    );
    assert_eq!(again, failed, "writing the same state again changes nothing");
}

#[test]
fn attempts_add_up_and_the_same_pod_counts_once() {
    let mut status = TaskStatus::default();
    record_attempt(
        &mut status,
        &pod("a"),
        &ended(10, "0.10"),
        Some(evicted()),
        &[],
        None,
    );
    record_attempt(
        &mut status,
        &pod("a"),
        &ended(12, "0.20"),
        Some(evicted()),
        &[],
        None,
    );
    assert_eq!(status.usage.as_ref().unwrap().cost_usd.as_deref(), Some("0.20"));
    record_attempt(&mut status, &pod("b"), &ended(5, "0.05"), None, &[], None);
    let usage = status.usage.unwrap();
    assert_eq!(
        (usage.input_tokens, usage.cost_usd.as_deref()),
        (Some(17), Some("0.25"))
    );
    assert_eq!(status.attempts.len(), 2);
}

#[test]
fn only_attempts_without_a_cost_are_estimated_and_images_estimate_nothing() {
    let mut task = crate::task::fixtures::task("t");
    task.spec.model = Some("m".into());
    let table = PriceTable::parse("models: {m: {input: 3, output: 0}}").unwrap();
    let price = table.price_of(&task);
    let killed = |estimated: Option<&str>| Ended {
        report: Some(Box::new(Report {
            usage: Usage {
                input_tokens: Some(1_000_000),
                output_tokens: Some(1),
                estimated_cost_usd: estimated.map(Into::into),
                ..Usage::default()
            },
            ..Report::new()
        })),
        ..Ended::default()
    };
    let mut status = TaskStatus::default();
    record_attempt(&mut status, &pod("a"), &killed(None), Some(evicted()), &[], price);
    record_attempt(&mut status, &pod("b"), &ended(5, "0.05"), None, &[], price);
    let usage = status.usage.clone().unwrap();
    assert_eq!(usage.cost_usd.as_deref(), Some("0.05"));
    assert_eq!(usage.estimated_cost_usd.as_deref(), Some("3.00"));
    assert!(!status.results.contains_key("cost-usd"));

    record_attempt(&mut status, &pod("a"), &killed(Some("9")), None, &[], None);
    assert_eq!(status.usage.unwrap().estimated_cost_usd, None);
}

#[test]
fn a_marker_block_serves_where_there_is_no_report() {
    let mut status = TaskStatus::default();
    let lines = ["branch: x".to_owned(), "cost-usd: 0.5".to_owned()];
    record_attempt(&mut status, &pod("a"), &Ended::default(), None, &lines, None);
    assert_eq!(status.results["branch"], "x");
    assert_eq!(status.usage.unwrap().cost_usd.as_deref(), Some("0.50"));
}

#[test]
fn a_claim_that_cannot_be_is_left_out_and_told_and_fails_nothing() {
    let report = r#"{"axon":1,"final":true,"usage":{"costUSD":"inf","inputTokens":-5,"outputTokens":9},"outputs":["commit: x y","branch: b"]}"#;
    let ended = Ended {
        report: Report::parse(report).map(Box::new),
        ..Ended::default()
    };
    let mut status = TaskStatus::default();
    record_attempt(&mut status, &pod("a"), &ended, None, &[], None);
    let usage = status.usage.clone().unwrap();
    assert_eq!(
        (usage.cost_usd, usage.input_tokens, usage.output_tokens),
        (None, None, Some(9))
    );
    assert_eq!(status.outputs, ["branch: b"]);
    let attempt = &status.attempts[0];
    assert_eq!(attempt.reason, None);
    let told = attempt.message.as_deref().unwrap();
    for place in ["usage.costUSD", "usage.inputTokens", "output commit"] {
        assert!(told.contains(place), "{told}");
    }
    let lines = ["cost-usd: inf".to_owned(), "input-tokens: -5".to_owned()];
    record_attempt(
        &mut status,
        &pod("b"),
        &Ended::default(),
        Some(evicted()),
        &lines,
        None,
    );
    let told = status.attempts[1].message.as_deref().unwrap();
    assert!(
        told.starts_with("m; left out") && told.contains("output cost-usd"),
        "{told}"
    );
    assert_eq!(status.attempts[1].usage, None);
}

#[test]
fn no_character_of_a_message_keeps_a_status_from_being_written() {
    let bad = "it\u{92}s \u{7f}\0\u{ffff}";
    let now = at(1);
    let mut status = enter(
        &TaskStatus::default(),
        TaskPhase::Failed,
        TaskReason::AgentError,
        bad,
        None,
        now,
    );
    let failure = Failure {
        reason: TaskReason::AgentError,
        message: bad.into(),
    };
    record_attempt(
        &mut status,
        &pod("a"),
        &Ended::default(),
        Some(failure.clone()),
        &[format!("k: {bad}")],
        None,
    );
    record_lost(&mut status, "b", None, &failure);
    let mut written = serde_json::to_value(&status).unwrap();
    let before = written.clone();
    axon_api::shown::make_storable(&mut written);
    assert_eq!(written, before);
    assert_eq!(
        status.message.as_deref(),
        Some("it\u{fffd}s \u{fffd}\u{fffd}\u{fffd}")
    );
    assert_eq!(
        enter(&status, TaskPhase::Failed, TaskReason::AgentError, bad, None, now),
        status
    );
}

#[test]
fn the_list_of_attempts_is_bounded() {
    let mut status = TaskStatus::default();
    for i in 0..20 {
        record_attempt(
            &mut status,
            &pod(&format!("p{i}")),
            &ended(1, "0"),
            None,
            &[],
            None,
        );
    }
    assert_eq!(status.attempts.len(), MAX_ATTEMPTS);
    assert_eq!(
        status.usage.unwrap().input_tokens,
        Some(16),
        "what is counted stays counted"
    );
}
