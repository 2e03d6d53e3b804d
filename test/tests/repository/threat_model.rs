//! The threat model names a test for each control, and the test is there.

use std::collections::BTreeSet;

use super::{root, sources};

/// A row of one of the tables *attack, control, test*.
struct Row {
    attack: String,
    tests: Vec<String>,
}

/// Returns the rows of all tables of a page that have the three columns of an attack.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let Some(inner) = line.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = inner.split(" | ").collect();
        match cells.as_slice() {
            ["attack", "control", "test"] => inside = true,
            [attack, _, tests] if inside && !attack.starts_with("---") => rows.push(Row {
                attack: (*attack).to_owned(),
                tests: tests.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
            }),
            _ => {}
        }
    }
    rows
}

#[test]
fn every_control_of_the_threat_model_has_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rows = rows(&page);
    let lines = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 2);
    let lines: BTreeSet<&str> = lines.filter(|line| !line.starts_with("| ---")).collect();
    assert!(rows.len() > 30, "only {} rows are read", rows.len());
    assert!(lines.len() >= rows.len(), "two rows are the same");
    let folders = ["api", "operator", "kubectl-axon", "images/agent", "test"];
    let all: String = folders
        .iter()
        .map(|folder| sources(&root().join(folder)))
        .collect();
    for Row { attack, tests } in rows {
        assert!(!tests.is_empty(), "no test is named against: {attack}");
        for test in tests {
            assert!(
                all.contains(&format!("fn {test}(")),
                "{test}, named against {attack:?}, is no test"
            );
        }
    }
}

#[test]
fn a_row_is_read_with_the_tests_that_it_names() {
    let page = "| attack | control | test |\n| --- | --- | --- |\n| a | b | `one`, `two` |\n| c | d | none |\n\n| x | y | `z` |\n";
    let rows: Vec<_> = rows(page)
        .into_iter()
        .map(|row| (row.attack, row.tests))
        .collect();
    assert_eq!(
        rows,
        [
            ("a".to_owned(), vec!["one".to_owned(), "two".to_owned()]),
            ("c".to_owned(), vec![])
        ]
    );
}
