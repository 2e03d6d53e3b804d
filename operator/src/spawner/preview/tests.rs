use axon_api::v1alpha1::{Claim, Writer};
use proptest::prelude::*;

use super::*;
use crate::spawner::fixtures::{cron, github, issue};
use crate::spawner::plan::match_state::Mark;

fn known(name: &str, item: &str, ended: bool) -> ExistingTask {
    ExistingTask {
        name: name.into(),
        item: Some(item.into()),
        ended,
        ..ExistingTask::default()
    }
}

fn seen(
    spawner: &TaskSpawner,
    tasks: &[ExistingTask],
    ledger: &Ledger,
    items: &[Item],
    excluded: &[(Item, Exclusion)],
) -> Vec<PreviewItem> {
    let templates = Templates::parse(spawner).unwrap();
    let filter = spawner
        .spec
        .when
        .github_issues
        .as_ref()
        .map(|spec| Filter::of("github.com/org/repo", spec));
    let scene = Scene {
        spawner,
        templates: &templates,
        tasks,
        ledger,
        limits: Limits::of(&spawner.spec, None),
        filter: filter.as_ref(),
    };
    preview(scene, items, excluded, &LeftOut::new()).0
}

fn lines(items: &[PreviewItem]) -> Vec<String> {
    let line = |i: &PreviewItem| {
        let word = |text: &Option<String>| text.clone().unwrap_or("-".into());
        format!("{} {} {} {}", i.item, i.outcome, word(&i.task), word(&i.reason))
    };
    items.iter().map(line).collect()
}

#[test]
fn what_is_created_waits_is_done_and_left_out() {
    let mut spawner = github("fix");
    spawner.spec.max_concurrency = Some(3);
    spawner.spec.task_template.branch = Some("axon/{{.Title}}".into());
    let slug = |n: i64| Item {
        title: format!("t{n}"),
        ..issue(n)
    };
    let tasks = [known("fix-1", "1", true), known("fix-2", "2", false)];
    let claim = |item: &str| Claim {
        name: format!("fix-{item}"),
        item: item.into(),
    };
    let ledger = Ledger {
        claims: vec![claim("2"), claim("3")],
        total: 3,
    };
    let stranger = Writer {
        login: "mallory".into(),
        association: "NONE".into(),
    };
    let items = [slug(1), slug(2), slug(3), issue(4), slug(5), slug(6)];
    let all = seen(
        &spawner,
        &tasks,
        &ledger,
        &items,
        &[
            (slug(7), Exclusion::Label("axon/needs-input".into())),
            (slug(8), Exclusion::Author(stranger)),
        ],
    );
    assert_eq!(
        lines(&all),
        [
            "3 Create fix-3 -",
            // A branch has no spaces; such an item takes no room.
            "4 Blocked fix-4 InvalidBranch",
            "5 Create fix-5 -",
            "6 Wait fix-6 ConcurrencyLimited",
            "1 Done fix-1 HasTask",
            "2 Done fix-2 HasTask",
            "7 Excluded - ExcludedLabel",
            "8 Excluded - UntrustedAuthor",
        ]
    );
    assert_eq!(all[2].branch.as_deref(), Some("axon/t5"));
    assert_eq!(
        all[6].message.as_deref(),
        Some("it has the label \"axon/needs-input\"")
    );
    let message = all[7].message.as_deref().unwrap();
    assert!(
        message.contains("mallory") && message.contains("NONE"),
        "{message}"
    );
}

#[test]
fn a_paused_spawner_shows_what_it_would_do_within_its_budget() {
    let mut spawner = github("fix");
    spawner.spec.suspend = true;
    spawner.spec.max_total_tasks = Some(2);
    let ledger = Ledger {
        total: 1,
        ..Ledger::default()
    };
    let all = seen(&spawner, &[], &ledger, &[issue(1), issue(2)], &[]);
    assert_eq!(
        lines(&all),
        ["1 Wait fix-1 Suspended", "2 Wait fix-2 TaskBudgetExhausted"]
    );
}

#[test]
fn an_item_that_came_back_waits_for_its_former_task() {
    let spawner = github("fix");
    let filter = Filter::of(
        "github.com/org/repo",
        spawner.spec.when.github_issues.as_ref().unwrap(),
    );
    let mark = Mark::new(&filter).next(false, true, &filter).unwrap();
    let with = |ended| {
        let task = ExistingTask {
            mark: mark.clone(),
            ..known("fix-1", "1", ended)
        };
        lines(&seen(&spawner, &[task], &Ledger::default(), &[issue(1)], &[]))
    };
    assert_eq!(with(false), ["1 Wait fix-1 FormerTaskRuns"]);
    assert_eq!(with(true), ["1 Create fix-1-r2 -"]);
}

#[test]
fn runs_have_a_time() {
    let spawner = cron("nightly", "0 9 * * *");
    let tick = Item::of_tick("2026-02-07T09:00:00Z".parse().unwrap(), "0 9 * * *");
    let all = seen(&spawner, &[], &Ledger::default(), &[tick], &[]);
    assert_eq!(lines(&all), ["20260207-0900 Create nightly-20260207-0900 -"]);
    assert_eq!(all[0].time, Some(Time("2026-02-07T09:00:00Z".parse().unwrap())));
}

#[test]
fn the_many_that_are_done_hide_nothing() {
    let spawner = github("fix");
    let tasks: Vec<ExistingTask> = (1..=150)
        .map(|n| known(&format!("fix-{n}"), &n.to_string(), true))
        .collect();
    let items: Vec<Item> = (1..=151).map(issue).collect();
    let templates = Templates::parse(&spawner).unwrap();
    let scene = Scene {
        spawner: &spawner,
        templates: &templates,
        tasks: &tasks,
        ledger: &Ledger::default(),
        limits: Limits::default(),
        filter: None,
    };
    let (all, more) = preview(scene, &items, &[], &LeftOut::new());
    assert_eq!((all.len(), more, all[0].item.as_str()), (100, 51, "151"));
}

proptest! {
    /// What a preview says is created is what the plan claims.
    #[test]
    fn a_preview_and_the_plan_agree(
        concurrency in 0i32..5, total in 0i32..8, spent in 0i64..8, has in 0u32..64, ended in 0u32..64, count in 0i64..7,
    ) {
        let mut spawner = github("fix");
        spawner.spec.max_concurrency = Some(concurrency);
        spawner.spec.max_total_tasks = Some(total);
        let bit = |of: u32, n: i64| of & (1 << n) != 0;
        let tasks: Vec<ExistingTask> = (0..6).filter(|n| bit(has, *n))
            .map(|n| known(&format!("fix-{n}"), &n.to_string(), bit(ended, n))).collect();
        let ledger = Ledger { claims: Vec::new(), total: spent };
        let items: Vec<Item> = (0..count).map(issue).collect();
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        let wanted = plan::wanted("fix", &ids, &tasks, &ledger, None);
        let claimed = plan::claim(&ledger, &tasks, Limits::of(&spawner.spec, None), &wanted);
        let mut named: Vec<String> = claimed.map(|l| l.claims).unwrap_or_default().into_iter().map(|c| c.name).collect();
        let mut created: Vec<String> = seen(&spawner, &tasks, &ledger, &items, &[]).into_iter()
            .filter(|i| i.outcome == PreviewOutcome::Create).filter_map(|i| i.task).collect();
        named.sort();
        created.sort();
        prop_assert_eq!(created, named);
    }
}
