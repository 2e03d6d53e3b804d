//! The table itself, and the page that shows it.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

#[test]
fn no_word_stands_twice_and_what_is_lost_runs_again() {
    let all: BTreeSet<(Origin, &str)> = RULES.iter().map(|w| (w.origin, w.word)).collect();
    assert_eq!(all.len(), RULES.len());
    for word in RULES {
        assert_eq!(word.then == RunsAgain, is_lost(word.reason), "{word:?}");
    }
    assert_eq!(rule_for(Pod, "OutOfnvidia.com/gpu").unwrap().word, "OutOf*");
    assert_eq!(
        rule_for(Terminated, "Evicted"),
        None,
        "a word counts in its place only"
    );
    assert_eq!(rule_for(Terminated, "Error"), None, "the container's own end");
}

#[test]
fn limits_of_the_pod_are_told_from_pressure_on_the_node() {
    for (said, own, volume) in [
        (
            "Usage of EmptyDir volume \"tmp\" exceeds the limit \"10Gi\". ",
            true,
            true,
        ),
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
            true,
            false,
        ),
        (
            "Container agent exceeded its local ephemeral storage limit \"10Gi\". ",
            true,
            false,
        ),
        (
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 9Mi. \
             Container agent was using 5Gi, request is 0, has larger consumption of ephemeral-storage. ",
            false,
            false,
        ),
        ("The node had condition: [DiskPressure]. ", false, false),
    ] {
        assert_eq!(
            (is_over_its_own_limit(said), is_over_a_volumes_limit(said)),
            (own, volume),
            "{said}"
        );
    }
}

/// Heading of the table in the documentation.
const HEADING: &str = "| Kubernetes says | where | phase, reason | runs again |";

#[test]
fn the_documentation_has_this_table() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipelines.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once(HEADING).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut shown = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [words, place, state, again] = cells[..] else {
            panic!("{row}");
        };
        for said in words.split('`').skip(1).step_by(2) {
            shown.insert(format!("{place} {said}: {state}, {again}"));
        }
    }
    let expected: BTreeSet<String> = RULES.iter().map(in_words).collect();
    let missing: Vec<_> = expected.difference(&shown).collect();
    let unknown: Vec<_> = shown.difference(&expected).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing: {missing:#?}, unknown: {unknown:#?}"
    );
}

fn in_words(word: &Rule) -> String {
    let place = match word.origin {
        Pod => "pod",
        Disruption => "`DisruptionTarget`",
        Terminated => "container, terminated",
        Waiting => "container, waiting",
        Job => "Job",
    };
    // `Pending` comes first where the Task waits.
    let (phase, again) = match word.then {
        RunsAgain => ("Pending", "yes, at once"),
        Fails => ("Failed", "by `retryPolicy`"),
        Waits => ("Pending", "waits"),
        WaitsForImage => ("Pending", "waits, 5 min at most"),
    };
    let reason = match word.then {
        RunsAgain => format!("`Retrying` after `{}`", word.reason),
        _ => format!("`{}`", word.reason),
    };
    format!("{place} {}: {phase}, {reason}, {again}", word.word)
}
