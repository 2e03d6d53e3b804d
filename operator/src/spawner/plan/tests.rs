use super::*;
use crate::spawner::fixtures::github;

fn known(name: &str, item: &str, ended: bool) -> ExistingTask {
    ExistingTask {
        name: name.into(),
        uid: format!("uid-{name}"),
        item: Some(item.into()),
        created: Timestamp::UNIX_EPOCH,
        ended,
        mark: Mark::Unknown,
    }
}

fn filter() -> Filter {
    Filter::of(
        "github.com/org/repo",
        &github("x").spec.when.github_issues.unwrap(),
    )
}

fn left(mut task: ExistingTask) -> ExistingTask {
    task.mark = Mark::new(&filter()).next(false, true, &filter()).unwrap();
    task
}

fn names(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|c| c.name.as_str()).collect()
}

fn limits(concurrency: usize, total: i64) -> Limits {
    Limits {
        concurrency: Some(concurrency).filter(|c| *c > 0),
        total: Some(total).filter(|t| *t > 0),
        suspended: false,
    }
}

fn claims(items: &[&str]) -> Vec<Claim> {
    wanted("fix", items, &[], &Ledger::default(), None)
}

#[test]
fn items_without_a_task_are_wanted_in_their_order() {
    let tasks = [known("fix-2", "2", true), known("fix-4", "4", false)];
    let wanted = wanted(
        "fix",
        &["1", "2", "3", "4"],
        &tasks,
        &Ledger::default(),
        Some(&filter()),
    );
    assert_eq!(names(&wanted), ["fix-1", "fix-3"]);
    // A Task of the original has no item.
    let old = ExistingTask {
        item: None,
        ..known("fix-1", "", true)
    };
    assert_eq!(
        names(&super::wanted("fix", &["1"], &[old], &Ledger::default(), None)),
        [""; 0]
    );
}

#[test]
fn an_item_that_came_back_runs_again_under_another_name_once_its_task_has_ended() {
    let wanted = |tasks: &[ExistingTask]| wanted("fix", &["7"], tasks, &Ledger::default(), Some(&filter()));
    assert_eq!(names(&wanted(&[left(known("fix-7", "7", true))])), ["fix-7-r2"]);
    assert_eq!(wanted(&[left(known("fix-7", "7", false))]), []);
    let twice = [left(known("fix-7", "7", true)), known("fix-7-r2", "7", true)];
    assert_eq!(wanted(&twice), []);
    let thrice = [
        left(known("fix-7", "7", true)),
        left(known("fix-7-r2", "7", true)),
    ];
    assert_eq!(names(&wanted(&thrice)), ["fix-7-r3"]);
    // The first is gone: the newest counts.
    assert_eq!(
        names(&wanted(&[left(known("fix-7-r9", "7", true))])),
        ["fix-7-r10"]
    );
    assert_eq!(names(&wanted(&[])), ["fix-7"]);
}

#[test]
fn the_task_that_is_marked_is_the_one_that_the_next_run_depends_on() {
    let at = |seconds, task| ExistingTask {
        created: Timestamp::from_second(seconds).unwrap(),
        ..task
    };
    let long = "fix".repeat(20);
    let cut = naming::child(&naming::spawned(&long, "7", 1), "r1", 63);
    for (spawner, repeated, next) in [
        ("fix", "fix-7-r1".to_owned(), "fix-7-r2".to_owned()),
        ("fix", "another-name".to_owned(), "fix-7-r2".to_owned()),
        ("fix", "fix-7-r4".to_owned(), "fix-7-r5".to_owned()),
        (&long, cut, naming::spawned(&long, "7", 2)),
    ] {
        let first = known(&naming::spawned(spawner, "7", 1), "7", true);
        // Kubernetes tells times by the second.
        for (later, newest) in [(9, Some(&repeated)), (5, None)] {
            let pair = [at(5, first.clone()), at(later, known(&repeated, "7", true))];
            for mut tasks in [pair.clone(), [pair[1].clone(), pair[0].clone()]] {
                let marked = newest_of_items(&tasks).next().unwrap().1.name.clone();
                assert!(newest.is_none_or(|name| *name == marked), "{marked}");
                let task = tasks.iter_mut().find(|task| task.name == marked).unwrap();
                *task = left(task.clone());
                let wanted = wanted(spawner, &["7"], &tasks, &Ledger::default(), Some(&filter()));
                assert_eq!(names(&wanted), [&next], "{repeated}");
            }
        }
    }
}

#[test]
fn limits_leave_room() {
    let tasks = [known("fix-1", "1", true), known("fix-2", "2", false)];
    let ledger = Ledger {
        claims: claims(&["3"]),
        total: 5,
    };
    let free = |concurrency, total| room(&tasks, &ledger, limits(concurrency, total)).free;
    assert_eq!(active(&tasks, &ledger), 2);
    assert_eq!(
        [free(0, 0), free(5, 0), free(2, 0), free(1, 0)],
        [usize::MAX, 3, 0, 0]
    );
    assert_eq!([free(0, 7), free(0, 5), free(0, 3), free(9, 6)], [2, 0, 0, 1]);
    let suspended = Limits {
        suspended: true,
        ..Limits::default()
    };
    assert_eq!(room(&tasks, &ledger, suspended).free, 0);
    assert!(!room(&tasks, &ledger, suspended).budget_spent);
    let mut spec = github("x").spec;
    (spec.max_concurrency, spec.max_total_tasks) = (Some(0), Some(3));
    assert_eq!(Limits::of(&spec, None), limits(0, 3));
}

#[test]
fn a_spawner_that_names_no_concurrency_gets_the_default() {
    let mut spec = github("x").spec;
    for (named, default, expected) in [
        (None, Some(10), Some(10)),
        (None, None, None),
        (Some(0), Some(10), None),
        (Some(20), Some(10), Some(20)),
        (Some(2), Some(10), Some(2)),
    ] {
        spec.max_concurrency = named;
        assert_eq!(
            Limits::of(&spec, default).concurrency,
            expected,
            "{named:?} {default:?}"
        );
    }
}

#[test]
fn a_claim_counts_once_and_is_settled_or_given_back() {
    let ledger = claim(&Ledger::default(), &[], limits(0, 2), &claims(&["1", "2", "3"])).unwrap();
    assert_eq!((names(&ledger.claims), ledger.total), (vec!["fix-1", "fix-2"], 2));
    assert_eq!(claim(&ledger, &[], Limits::default(), &claims(&["1", "2"])), None);
    // It is there: it counts as a Task, no longer as a claim.
    assert_eq!(active(&[known("fix-1", "1", true)], &ledger), 1);
    let settled = ledger.clone().settled(&["fix-1".to_owned()].into());
    assert_eq!((names(&settled.claims), settled.total), (vec!["fix-2"], 2));
    let back = settled.given_back(&["fix-2".to_owned(), "fix-9".to_owned()].into());
    assert_eq!((back.claims.len(), back.total), (0, 1));
}
