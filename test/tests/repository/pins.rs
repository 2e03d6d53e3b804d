//! Everything from others that is built in is pinned by its hash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::root;

/// Packages without a hash: the registry that the hashes were taken from did not have them. No image can be built of them until
/// `hack/pin-agents.sh` was run where they are.
const UNKNOWN: [&str; 1] = ["opencode-linux-arm64-1.18.33.tgz"];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the files of all workflows.
pub fn workflows() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join(".github/workflows")).unwrap();
    folder.map(|file| file.unwrap().path()).collect()
}

#[test]
fn every_action_is_named_by_its_commit() {
    let mut used = 0;
    for path in workflows() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses:"))
        {
            // A workflow of this repository is of the same commit.
            if line.trim().starts_with("./.github/workflows/") {
                continue;
            }
            used += 1;
            let (action, version) = line.split_once('#').unwrap_or((line, ""));
            let commit = action.trim().rsplit_once('@').map_or("", |(_, commit)| commit);
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(
                is_commit,
                "{}: {line}: name a commit, which nobody can move",
                path.display()
            );
            assert!(
                version.trim().starts_with('v'),
                "{}: {line}: say which version that is",
                path.display()
            );
        }
    }
    assert!(used > 0, "the workflows use actions");
}

#[test]
fn every_program_of_others_in_an_image_has_a_hash_for_each_architecture() {
    let versions = read("images/versions.env");
    let versions: BTreeMap<&str, &str> = versions.lines().filter_map(|line| line.split_once('=')).collect();
    let version = |name: &str| versions[&*format!("{name}_VERSION")];
    let mut expected = BTreeSet::from([
        format!("google-gemini-cli-{}.tgz", version("GEMINI")),
        format!("npm-{}.tgz", version("NPM")),
    ]);
    for arch in ["x64", "arm64"] {
        expected.extend([
            format!(
                "anthropic-ai-claude-code-linux-{arch}-{}.tgz",
                version("CLAUDE_CODE")
            ),
            format!("openai-codex-{}-linux-{arch}.tgz", version("CODEX")),
            format!("opencode-linux-{arch}-{}.tgz", version("OPENCODE")),
            format!("node-linux-{arch}-{}.tgz", version("NODE")),
        ]);
    }
    assert_eq!(
        versions.len(),
        6,
        "a program with a version of its own has a line below as well"
    );
    let checksums = read("images/checksums.sha512");
    let mut pinned = BTreeSet::new();
    for line in checksums.lines() {
        let (hash, name) = line.split_once(" *").expect("a line of sha512sum");
        assert!(
            hash.len() == 128 && hash.bytes().all(|b| b.is_ascii_hexdigit()),
            "{line}"
        );
        pinned.insert(name.to_owned());
    }
    for name in UNKNOWN {
        assert!(
            expected.remove(name),
            "{name} is of another version: nothing is unknown any more"
        );
    }
    assert_eq!(pinned, expected, "run hack/pin-agents.sh");
}

#[test]
fn what_is_unpacked_into_an_image_was_checked_before() {
    let makefile = read("Makefile");
    let packs: Vec<&str> = makefile
        .lines()
        .filter(|line| line.contains("npm pack"))
        .collect();
    assert_eq!(packs.len(), 1, "one way to unpack: {packs:?}");
    let (_, after) = makefile.split_once(packs[0]).unwrap();
    let check = after.find("sha512sum --check").expect("a check");
    let unpacked = after.find("tar -xzf").expect("then it is unpacked");
    assert!(check < unpacked);
}

/// Programs that checks and releases use, whatever file names them.
#[test]
fn programs_of_releases_and_checks_have_one_version() {
    let tools = read("hack/tools.env");
    let versions: BTreeMap<&str, &str> = tools.lines().filter_map(|line| line.split_once('=')).collect();
    for (name, version) in &versions {
        let exact = version.trim_start_matches('v').split('.');
        let parts: Vec<&str> = exact.collect();
        let is_exact = parts.len() == 3 && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
        assert!(is_exact, "{name}={version}: a range moves");
    }
    let script = read("hack/tools.sh");
    for name in script
        .split("$")
        .filter_map(|rest| rest.split(" ;;").next())
        .filter(|name| name.ends_with("_VERSION"))
    {
        assert!(versions.contains_key(name), "hack/tools.env lacks {name}");
    }
    assert_eq!(script.matches("go install").count(), 1);
    assert!(
        script.contains("GOSUMDB=sum.golang.org"),
        "the checksum database knows the hashes"
    );
    for path in workflows() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            assert!(
                !line.replace("cargo install", "").contains("go install"),
                "{}: {line}: use hack/tools.sh",
                path.display()
            );
            let installs = line.contains("cargo install");
            assert!(
                !installs || (line.contains("--locked") && line.contains("--version \"$")),
                "{}: {line}: name a version of hack/tools.env",
                path.display()
            );
            for word in ["curl ", "wget ", "npm install -g", "pip install"] {
                assert!(
                    !line.contains(word),
                    "{}: {line}: nothing checks what that brings",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_version_is_looked_after() {
    let config: serde_json::Value = serde_json::from_str(&read("renovate.json")).unwrap();
    let managers = config["customManagers"].as_array().unwrap();
    let mut looked_after = BTreeSet::new();
    for manager in managers {
        let file = manager["managerFilePatterns"][0].as_str().unwrap();
        let file = file
            .trim_matches('/')
            .trim_start_matches('^')
            .trim_end_matches('$');
        let variable = manager["matchStrings"][0].as_str().unwrap();
        let variable = variable.strip_suffix(r"=(?<currentValue>\S+)").unwrap();
        looked_after.insert(format!("{} {variable}", file.replace('\\', "")));
    }
    let mut all = BTreeSet::new();
    for file in ["images/versions.env", "hack/tools.env"] {
        let text = read(file);
        let own = text.lines().filter_map(|line| line.split_once('='));
        all.extend(own.map(|(name, _)| format!("{file} {name}")));
    }
    assert_eq!(looked_after, all);
}
