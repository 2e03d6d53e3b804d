//! Go's own answers: every case must render the same bytes, or fail in the same stage.

#![expect(clippy::unwrap_used, reason = "a broken case file ends the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use go_template::{Limits, MissingKey, Stage, Template, TemplateError, Value};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    datasets: BTreeMap<String, serde_json::Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    root: String,
    missingkey: String,
    dataset: String,
    tier: String,
    ok: bool,
    #[serde(default)]
    output: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    error: String,
}

const ITEM_FIELDS: [&str; 13] = [
    "ID",
    "Number",
    "Title",
    "Body",
    "URL",
    "Labels",
    "Comments",
    "Kind",
    "Branch",
    "ReviewState",
    "ReviewComments",
    "Time",
    "Schedule",
];

/// Builds the data as the Go program did.
fn root(kind: &str, data: &serde_json::Value) -> Value {
    match kind {
        "workitem" => Value::structure(ITEM_FIELDS.map(|name| {
            let value = match data.get(name) {
                Some(value) => Value::from(value),
                None if name == "Number" => Value::Int(0),
                None => Value::from(""),
            };
            (name, value)
        })),
        "deps" => {
            let dependencies = data["Deps"].as_object().unwrap();
            let dependencies = dependencies.iter().map(|(name, dependency)| {
                let lines = dependency["Outputs"].as_array().cloned().unwrap_or_default();
                let results = dependency["Results"].as_object().cloned().unwrap_or_default();
                let dependency = Value::map([
                    (
                        "Outputs",
                        Value::strings(lines.iter().filter_map(|line| line.as_str())),
                    ),
                    (
                        "Results",
                        Value::string_map(results.iter().map(|(key, value)| (key, value.as_str().unwrap()))),
                    ),
                    ("Name", Value::from(dependency["Name"].as_str().unwrap())),
                ]);
                (name, dependency)
            });
            Value::map([("Deps", Value::map(dependencies))])
        }
        _ => Value::from(data),
    }
}

fn render(case: &Case, datasets: &BTreeMap<String, serde_json::Value>) -> Result<String, TemplateError> {
    let missing_key = match case.missingkey.as_str() {
        "zero" => MissingKey::Zero,
        "error" => MissingKey::Error,
        _ => MissingKey::Default,
    };
    Template::parse("t", &case.template)?
        .missing_key(missing_key)
        .render(&root(&case.root, &datasets[&case.dataset]), Limits::default())
}

/// Returns what is wrong with the answer.
fn difference(case: &Case, answer: &Result<String, TemplateError>) -> Option<String> {
    match answer {
        Ok(output) if case.ok && *output == case.output => None,
        Err(error) if !case.ok => {
            let stage = match error.stage {
                Stage::Parse => "parse",
                Stage::Exec => "exec",
            };
            (stage != case.stage).then(|| format!("stage {stage}: {error}"))
        }
        Ok(output) => Some(format!("rendered {output:?}")),
        Err(error) => Some(format!("failed: {error}")),
    }
}

/// Returns Go's words, with the column that Go leaves out of parse errors left out here too.
fn same_words(case: &Case, error: &TemplateError) -> bool {
    let place = match error.stage {
        Stage::Parse => format!("{}", error.line),
        Stage::Exec => format!("{}:{}", error.line, error.column),
    };
    case.error == format!("template: {}:{place}: {}", error.name, error.message)
}

fn case_files() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    // More cases than the repository keeps, for instance fresh random ones.
    let more = std::env::var_os("AXON_MORE_CASES").map(PathBuf::from);
    let mut files: Vec<PathBuf> = [Some(here), more]
        .into_iter()
        .flatten()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("gotemplate")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn agrees_with_go() {
    let mut tiers: BTreeMap<String, [usize; 4]> = BTreeMap::new();
    let mut differences = Vec::new();
    for path in case_files() {
        let file: File = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for case in &file.cases {
            let figures = tiers.entry(case.tier.clone()).or_default();
            figures[1] += 1;
            let answer = render(case, &file.datasets);
            match difference(case, &answer) {
                None => figures[0] += 1,
                Some(found) => differences.push(format!(
                    "{} {} {:?}\n  Go: {:?} {}\n  we: {found}",
                    case.tier,
                    case.name,
                    case.template,
                    case.output,
                    if case.ok { "" } else { &case.error },
                )),
            }
            if let Err(error) = &answer
                && !case.ok
            {
                figures[3] += 1;
                let same = same_words(case, error);
                figures[2] += usize::from(same);
                if !same && std::env::var_os("AXON_SHOW_WORDS").is_some() {
                    println!("words {:?}\n  Go: {}\n  we: {error}", case.template, case.error);
                }
            }
        }
    }
    for (tier, [same, all, words, errors]) in &tiers {
        println!("{tier}: {same} of {all} agree; {words} of {errors} errors in the same words");
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
