//! Cases of caps on what a Task may spend.

use axon_api::v1alpha1::{Budget, RetryPolicy, RetryReason};

use super::*;

fn capped(tokens: i64) -> Task {
    let mut t = with_phase(TaskPhase::Running);
    t.spec.budget = Some(Budget {
        tokens: Some(tokens),
        cost_usd: None,
    });
    t.spec.retry_policy = Some(RetryPolicy {
        limit: 3,
        backoff: "30s".into(),
        on: vec![RetryReason::AgentError],
    });
    t
}

/// Decides about a run that has ended so.
fn after(t: &Task, end: Ended) -> TaskStatus {
    let failed = PodView {
        name: "a".into(),
        owner_uid: Some("job-1".into()),
        ..pod(ContainerView::Unknown, ContainerView::Terminated(end))
    };
    status_of(decide(&Observed {
        job: Some(job_failed("BackoffLimitExceeded")),
        pods: vec![failed],
        ..observed(t)
    }))
}

fn used(tokens: i64, reason: TaskReason) -> Ended {
    let mut end = ended(1, tokens);
    let report = end.report.as_mut().unwrap();
    report.reason = Some(reason);
    report.usage.output_tokens = Some(0);
    end
}

#[test]
fn a_run_is_repeated_only_while_something_is_left_to_spend() {
    let again = after(&capped(100), used(99, TaskReason::AgentError));
    assert_eq!(again.reason, Some(TaskReason::Retrying));
    let over = after(&capped(100), used(100, TaskReason::AgentError));
    assert_eq!(
        (over.phase, over.reason, over.next_run.is_none()),
        (Some(TaskPhase::Failed), Some(TaskReason::BudgetExceeded), true)
    );
    let message = over.message.unwrap();
    assert!(
        message.starts_with("the Task has used 100 of 100 tokens (spec.budget.tokens) in 1 run"),
        "{message}"
    );
    // Half a figure is none.
    let unknown = after(&capped(100), ended(1, 1));
    assert_eq!(unknown.reason, Some(TaskReason::BudgetExceeded));
}

#[test]
fn a_run_that_was_stopped_by_its_cap_is_not_repeated() {
    let status = after(&capped(100), used(50, TaskReason::BudgetExceeded));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::BudgetExceeded))
    );
}

#[test]
fn a_cap_that_cannot_be_kept_is_refused_before_there_is_a_job() {
    let mut t = task("t");
    t.spec.budget = Some(Budget::default());
    let status = status_of(decide(&observed(&t)));
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::InvalidConfig))
    );
    t.spec.budget = Some(Budget {
        tokens: Some(5),
        cost_usd: None,
    });
    assert!(matches!(decide(&observed(&t)), Decision::CreateJob(_)));
}
