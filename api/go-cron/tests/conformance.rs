//! Answers of robfig/cron v3: every expression must be taken or refused as there, and tick at the same times.

#![expect(clippy::unwrap_used, reason = "a broken case file ends the test")]

use std::fs;
use std::path::{Path, PathBuf};

use go_cron::Schedule;
use jiff::Timestamp;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    expr: String,
    from: Timestamp,
    ok: bool,
    #[serde(default)]
    next: Vec<Timestamp>,
    #[serde(default)]
    error: String,
}

const TICKS: usize = 6;

fn case_files() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    // More cases than the repository keeps, for instance fresh random ones.
    let more = std::env::var_os("AXON_MORE_CASES").map(PathBuf::from);
    let mut files: Vec<PathBuf> = [Some(here), more]
        .into_iter()
        .flatten()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("cron"))
        .collect();
    files.sort();
    files
}

/// Returns what is wrong with our answer.
fn difference(case: &Case) -> Option<String> {
    let schedule = match Schedule::parse(&case.expr, None) {
        Ok(_) if !case.ok => return Some(format!("accepted, but: {}", case.error)),
        Err(error) => return case.ok.then(|| format!("refused: {error}")),
        Ok(schedule) => schedule,
    };
    let ticks = std::iter::successors(Some(case.from), |at| schedule.next_after(*at));
    let ticks: Vec<Timestamp> = ticks.skip(1).take(TICKS).collect();
    (ticks != case.next).then(|| format!("ticks {ticks:?}, not {:?}", case.next))
}

#[test]
fn agrees_with_robfig_cron() {
    let mut all = 0usize;
    let mut differences = Vec::new();
    for path in case_files() {
        let file: File = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for case in &file.cases {
            all += 1;
            if let Some(found) = difference(case) {
                differences.push(format!("{:?} from {}: {found}", case.expr, case.from));
            }
        }
    }
    println!("{} of {all} schedules agree", all - differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
