//! Every reason that a spawner's conditions, events and answers can have is explained to users.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Words that look like reasons and are none: a kind, statuses, a template's variable, an event's action.
const OTHERS: [&str; 5] = ["TaskSpawner", "True", "False", "Comments", "Spawn"];

fn is_reason(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_uppercase());
    begins && text.len() > 3 && text.chars().all(|c| c.is_ascii_alphabetic()) && !OTHERS.contains(&text)
}

/// Returns the literals of a source file, without those of its tests, that look like reasons.
fn reasons_of(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
    literals
        .filter(|text| is_reason(text))
        .map(str::to_owned)
        .collect()
}

/// Returns the files of a folder and of those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let below = entries.map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    below.flatten().collect()
}

#[test]
fn reasons_are_in_the_documentation() {
    let sources = root().join("operator/src");
    let files = files(&sources.join("spawner"))
        .into_iter()
        .filter(|path| !path.to_string_lossy().ends_with("tests.rs"))
        .filter(|path| !path.ends_with("fixtures.rs") && !path.ends_with("plan/properties.rs"))
        .chain([sources.join("github/error.rs")]);
    let reasons: BTreeSet<String> = files
        .flat_map(|file| reasons_of(&std::fs::read_to_string(file).unwrap()))
        .collect();
    for known in ["RateLimited", "ItemGone", "NeverRuns", "QuotaExceeded", "OnTime"] {
        assert!(reasons.contains(known), "{known} was not found: {reasons:?}");
    }
    let page = std::fs::read_to_string(root().join("docs/taskspawners.md")).unwrap();
    let words: BTreeSet<&str> = page.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let missing: Vec<_> = reasons.iter().filter(|r| !words.contains(r.as_str())).collect();
    assert!(
        missing.is_empty(),
        "docs/taskspawners.md does not name {missing:?}"
    );
}
