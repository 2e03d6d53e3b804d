//! Inside a crate, modules may use only those above them: there are no import circles.
//!
//! The test reads source text: Rust has no rule for the order of modules inside a crate.

use std::collections::BTreeMap;
use std::path::Path;

use super::root;

/// The top modules of a crate. Each may use those before it.
const LAYERS: [(&str, &[&str]); 4] = [
    (
        "api/src",
        &[
            "agents",
            "contract",
            "file_path",
            "go_duration",
            "images",
            "labels",
            "limits",
            "managed",
            "money",
            "naming",
            "network",
            "gzip",
            "shown",
            "yaml",
            "git",
            "usage",
            "price",
            "v1alpha1",
            "branch_lock",
            "outputs",
            "trust",
            "crds",
            "fit",
            "crd_docs",
        ],
    ),
    (
        "operator/src",
        &[
            "images",
            "telemetry",
            "slots",
            "untrusted",
            "kube",
            "ha",
            "metrics",
            "definitions",
            "budget",
            "http",
            "shared",
            "spawner",
            "task",
            "args",
            "run",
        ],
    ),
    (
        "kubectl-axon/src",
        &[
            "text_width",
            "format",
            "kinds",
            "error",
            "term",
            "render",
            "config_file",
            "cluster",
            "follow",
            "install",
            "objects",
            "analysis",
            "globals",
            "commands",
            "cli",
            "cli_reference",
            "complete",
            "dispatch",
        ],
    ),
    (
        "images/agent/src",
        &[
            "env",
            "say",
            "failure",
            "subprocess",
            "signals",
            "ca",
            "credential",
            "agent",
            "children",
            "token_file",
            "mcp_secrets",
            "secrets",
            "key_form",
            "reexec",
            "termination",
            "workspace",
            "run",
            "cli",
        ],
    ),
];

/// Returns the module that a path such as `crate::a::b` or `super::a` begins with, for each path of the file; `depth` is how
/// many modules the file is below the crate's root.
fn used(text: &str, depth: usize) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let mut names = Vec::new();
    let above = "super::".repeat(depth);
    for start in ["crate::", above.as_str()]
        .into_iter()
        .filter(|start| !start.is_empty())
    {
        for (at, _) in code.match_indices(start) {
            let before = code.get(..at).unwrap_or_default();
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let after = code.get(at + start.len()..).unwrap_or_default();
            let group = after.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let listed = group.map_or(after, |(inside, _)| inside);
            let parts: Vec<&str> = match group {
                Some(_) => listed.split(',').collect(),
                None => vec![listed],
            };
            for part in parts {
                let name: String = part
                    .trim()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                names.push(name);
            }
        }
    }
    names
}

/// Adds each edge between top modules below `folder` to `edges`, with a file that has it. Tests may use what they like.
fn collect(folder: &Path, top: Option<&str>, depth: usize, edges: &mut BTreeMap<(String, String), String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if stem != "bin" && stem != "snapshots" && stem != "testdata" {
                collect(&path, Some(top.unwrap_or(&stem)), depth + 1, edges);
            }
            continue;
        }
        let is_below_tests = path
            .strip_prefix(root())
            .unwrap()
            .iter()
            .any(|part| part == "tests");
        let is_test = stem.ends_with("tests")
            || ["fixtures", "properties", "model", "simulation"].contains(&stem.as_str());
        if path.extension().is_none_or(|e| e != "rs") || is_test || is_below_tests {
            continue;
        }
        if top.is_none() && ["lib", "main"].contains(&stem.as_str()) {
            continue;
        }
        let from = top.unwrap_or(&stem).to_owned();
        let below = if stem == "mod" { depth } else { depth + 1 };
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for to in used(text, below) {
            edges
                .entry((from.clone(), to))
                .or_insert_with(|| path.to_string_lossy().into_owned());
        }
    }
}

fn faults(layers: &[&str], edges: &BTreeMap<(String, String), String>) -> Vec<String> {
    let place = |name: &str| layers.iter().position(|layer| *layer == name);
    let mut faults = Vec::new();
    for ((from, to), file) in edges {
        match (place(from), place(to)) {
            (None, _) => faults.push(format!("{file}: module {from} is in no layer")),
            (Some(from_place), Some(to_place)) if from_place < to_place => {
                faults.push(format!("{file}: {from} may not use {to}, which is above it"));
            }
            // Of what is no module, such as a macro or an item of the root, nothing is known.
            _ => {}
        }
    }
    faults
}

#[test]
fn modules_use_only_those_below_them() {
    for (folder, layers) in LAYERS {
        let mut edges = BTreeMap::new();
        collect(&root().join(folder), None, 0, &mut edges);
        assert!(edges.len() > layers.len(), "{folder}: {edges:?}");
        let faults = faults(layers, &edges);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        for layer in layers {
            let file = root().join(folder).join(layer);
            assert!(
                file.is_dir() || file.with_extension("rs").is_file(),
                "{folder} has no module {layer}"
            );
        }
    }
}

#[test]
fn an_edge_the_wrong_way_is_found_however_it_is_written() {
    for (text, depth) in [
        ("use crate::run::Shared;", 1),
        ("use crate::{clock, run};", 2),
        ("    crate::run::run(args).await", 1),
        ("use super::super::run;", 2),
        ("use super::run::Shared;", 1),
    ] {
        let found = used(text, depth);
        assert!(found.contains(&"run".to_owned()), "{text}: {found:?}");
        let edges = found
            .into_iter()
            .map(|to| (("task".to_owned(), to), "task.rs".to_owned()))
            .collect();
        assert_eq!(faults(&["clock", "task", "run"], &edges).len(), 1, "{text}");
    }
    assert!(used("use other_crate::run; // crate::run", 1).is_empty());
    assert!(!used("use super::run;", 2).contains(&"run".to_owned()));
}
