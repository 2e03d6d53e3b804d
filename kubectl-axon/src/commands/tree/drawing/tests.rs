//! Trees as drawn, with and without colour.

use super::*;
use crate::analysis::graph::Spawner;
use crate::analysis::graph::tests::{spawned, task};

fn drawn(tasks: &[Brief], spawners: &[Spawner], width: Option<usize>, unicode: bool) -> String {
    let graph = Graph::new(tasks, spawners);
    let shown = (0..graph.nodes.len()).collect();
    let drawing = Drawing {
        graph: &graph,
        shown: &shown,
        named: &BTreeSet::from([1]),
        namespaces: false,
        wide: false,
        width,
        unicode,
        colour: false,
        now: "2026-01-02T10:00:00Z".parse().unwrap(),
    };
    drawing.text().as_str().to_owned()
}

fn rich() -> Vec<Brief> {
    let mut scaffold = task("scaffold", &[], "Succeeded", 4);
    scaffold.spec.branch = Some("feature/user-service-with-a-rather-long-name".into());
    scaffold.status.results = BTreeMap::from([("pr".into(), "https://github.com/o/r/pull/12".into())]);
    scaffold.status.usage = Some(Usage {
        cost_usd: Some("0.4120".into()),
        ..Usage::default()
    });
    vec![
        spawned(scaffold, "fix-bugs"),
        spawned(
            task(
                "tests-of-the-user-service-with-a-long-name",
                &["scaffold"],
                "Running",
                1,
            ),
            "fix-bugs",
        ),
        spawned(task("docs", &["scaffold"], "Waiting", 0), "fix-bugs"),
        spawned(
            task(
                "merge",
                &["tests-of-the-user-service-with-a-long-name", "docs"],
                "Waiting",
                0,
            ),
            "fix-bugs",
        ),
        task("orphan", &["ghost"], "Waiting", 0),
        task("one", &["two"], "Failed", 0),
        task("two", &["one"], "Failed", 0),
    ]
}

#[test]
fn a_tree_has_branches_references_and_a_critical_path() {
    insta::assert_snapshot!(drawn(&rich(), &[], None, true));
}

#[test]
fn where_there_is_no_unicode_there_is_none() {
    let text = drawn(&rich(), &[], Some(90), false);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_hundred_columns_are_enough() {
    for width in [80, 100] {
        let text = drawn(&rich(), &[], Some(width), true);
        let widest = text
            .lines()
            .filter(|l| !l.starts_with('*'))
            .map(text_width::width)
            .max();
        assert!(widest.unwrap() <= width, "{text}");
    }
}

#[test]
fn what_is_very_deep_says_how_deep() {
    let tasks: Vec<Brief> = (0..20)
        .map(|i| {
            let before = format!("t{:02}", i - 1);
            let name = format!("t{i:02}");
            match i {
                0 => task(&name, &[], "Waiting", 0),
                _ => task(&name, &[&before], "Waiting", 0),
            }
        })
        .collect();
    let text = drawn(&tasks, &[], Some(100), false);
    let deepest = text.lines().find(|l| l.contains(" t19")).unwrap();
    assert!(deepest.starts_with("9:   "), "{text}");
}

#[test]
fn pull_requests_are_numbers() {
    for (url, text) in [
        ("https://github.com/o/r/pull/77", "#77"),
        ("https://gitlab.com/o/r/-/merge_requests/3/", "#3"),
        ("", ""),
    ] {
        assert_eq!(number(url), text);
    }
}

#[test]
fn only_the_phase_is_coloured() {
    let painted = |line: &str| {
        let mut text = Shown::default();
        paint(&mut text, line, 7);
        text.as_str().to_owned()
    };
    assert_eq!(painted("├─ a   Failed   1s"), "├─ a   \x1b[31mFailed\x1b[0m   1s");
    assert_eq!(painted("* x"), "* x");
}
