//! TaskSpawners that can never create a Task.

use axon_test::control_plane;
use serde_json::{Value, json};

use super::refuse;
use crate::manifest::Manifest;

#[tokio::test]
async fn spawners_that_can_never_spawn() {
    let (github, cron) = (Manifest::github, Manifest::cron);
    let source = "exactly one source is needed: set either githubIssues or cron";
    let template = "/spec/taskTemplate";
    let filter =
        |field: &str, value: Value| github().with(&format!("/spec/when/githubIssues/{field}"), value);
    refuse(vec![
        (
            "R12",
            github().without("/spec/taskTemplate/workspaceRef"),
            &["taskTemplate.workspaceRef is required with when.githubIssues"],
        ),
        (
            "R13",
            filter("state", "merged".into()),
            &[
                "spec.when.githubIssues.state: Unsupported value: \"merged\"",
                "\"all\"",
            ],
        ),
        (
            "R14 concurrency",
            cron().with("/spec/maxConcurrency", -1),
            &["spec.maxConcurrency", "or equal to 0"],
        ),
        (
            "R14 total",
            cron().with("/spec/maxTotalTasks", -1),
            &["spec.maxTotalTasks", "or equal to 0"],
        ),
        (
            "R15",
            cron().without("/spec/when/cron/schedule"),
            &["spec.when.cron.schedule: Required value"],
        ),
        (
            "empty schedule",
            cron().with("/spec/when/cron/schedule", ""),
            &["spec.when.cron.schedule"],
        ),
        ("no source", Manifest::spawner(json!({})), &["spec.when", source]),
        (
            "two sources",
            github().with("/spec/when/cron/schedule", "* * * * *"),
            &["spec.when", source],
        ),
        (
            "unknown association",
            filter("commentsFrom", json!({"associations": ["OWNER", "FRIEND"]})),
            &[
                "spec.when.githubIssues.commentsFrom.associations[1]: Unsupported value: \"FRIEND\"",
                "\"COLLABORATOR\"",
            ],
        ),
        (
            "comments by permission",
            filter("commentsFrom", json!({"associations": ["WRITER"]})),
            &["spec.when.githubIssues", "commentsFrom can't name WRITER"],
        ),
        (
            "nobody",
            filter("authors", json!({})),
            &[
                "spec.when.githubIssues.authors",
                "name associations, users or both; associations: [ALL] means everybody",
            ],
        ),
        (
            "unknown item",
            filter("types", json!(["issues", "commits"])),
            &[
                "spec.when.githubIssues.types[1]: Unsupported value: \"commits\"",
                "\"pulls\"",
            ],
        ),
        (
            "no template",
            cron().without(template),
            &["spec.taskTemplate: Required value"],
        ),
        (
            "no when",
            cron().without("/spec/when"),
            &["spec.when: Required value"],
        ),
        (
            "template without a secret",
            cron().with("/spec/taskTemplate/credentials", json!({"type": "api-key"})),
            &[
                "spec.taskTemplate.credentials",
                "secretRef is required unless type is none",
            ],
        ),
        (
            "template's type",
            cron().with("/spec/taskTemplate/type", "x"),
            &["spec.taskTemplate.type"],
        ),
        (
            "template's time to live",
            cron().with("/spec/taskTemplate/ttlSecondsAfterFinished", -1),
            &["spec.taskTemplate.ttlSecondsAfterFinished"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn poll_intervals_that_are_no_positive_durations() {
    let namespace = control_plane::namespace().await.unwrap();
    for interval in [
        "",
        "5",
        "abc",
        "0s",
        "0h0m",
        "-5m",
        "5 m",
        "1d",
        "5m ",
        "m",
        "5mm",
        "1h30",
        "8785h",
        "2000000000000000h",
    ] {
        let message = Manifest::cron()
            .with("/spec/pollInterval", interval)
            .refusal(&namespace)
            .await;
        assert!(
            message.contains("spec.pollInterval") && message.contains("such as 30s, 5m or 1h"),
            "{interval:?}: {message}"
        );
    }
}
