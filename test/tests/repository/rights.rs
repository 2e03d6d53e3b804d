//! Rights of the workflows' jobs: a job that runs code of the repository can write nothing to it, and a release is signed before it
//! is published and verified before it is the latest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::release::{words, workflow};

fn jobs() -> BTreeMap<String, Value> {
    let workflow = workflow();
    let jobs = workflow["jobs"].as_object().unwrap();
    jobs.iter()
        .map(|(name, job)| (name.clone(), job.clone()))
        .collect()
}

fn steps<'a>(job: &'a Value, key: &str) -> Vec<&'a str> {
    // A job that calls another workflow has no steps of its own.
    let all = job["steps"].as_array().into_iter().flatten();
    all.filter_map(|step| step[key].as_str()).collect()
}

/// Returns the names of jobs that have a right to write.
fn who_writes(right: &str) -> BTreeSet<String> {
    let all = jobs().into_iter();
    let own = all.filter(|(_, job)| job["permissions"][right] == "write");
    own.map(|(name, _)| name).collect()
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// Returns the jobs that end before this one begins.
fn before(name: &str, jobs: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let needs = match &jobs[name]["needs"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(all) => all.iter().map(|n| n.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    };
    let further: Vec<_> = needs.iter().flat_map(|need| before(need, jobs)).collect();
    needs.into_iter().chain(further).collect()
}

#[test]
fn jobs_have_the_rights_that_they_need_and_no_others() {
    // Whatever says nothing may do nothing.
    assert_eq!(workflow()["permissions"], serde_json::json!({}));
    assert_eq!(who_writes("contents"), set(["publish", "promote"]));
    assert_eq!(
        who_writes("packages"),
        set(["image", "images", "sign", "provenance"])
    );
    assert_eq!(who_writes("id-token"), set(["sign", "provenance"]));
    assert_eq!(who_writes("attestations"), set(["sign", "provenance"]));
    for (name, job) in jobs() {
        for right in job["permissions"].as_object().unwrap().keys() {
            let known = ["contents", "packages", "id-token", "attestations"];
            assert!(known.contains(&right.as_str()), "{name}: {right}");
        }
    }
}

#[test]
fn what_can_write_the_release_runs_no_code_of_the_repository() {
    for (name, job) in jobs() {
        if job["permissions"]["contents"] != "write" {
            continue;
        }
        let actions = steps(&job, "uses");
        let checkout = actions
            .iter()
            .find(|action| !action.starts_with("actions/download-artifact@"));
        assert_eq!(checkout, None, "{name}");
        for command in steps(&job, "run") {
            assert!(command.starts_with("gh release "), "{name}: {command}");
        }
    }
    for (name, job) in jobs() {
        if job["permissions"]["id-token"] != "write" {
            continue;
        }
        for command in steps(&job, "run") {
            let builds = ["cargo", "make", "npm", "docker build"]
                .iter()
                .any(|word| command.contains(word));
            assert!(!builds, "{name} can sign, and builds: {command}");
        }
    }
}

#[test]
fn a_release_is_signed_before_it_is_published_and_verified_before_it_is_the_latest() {
    let jobs = jobs();
    let publish = before("publish", &jobs);
    assert_eq!(
        publish,
        set([
            "test",
            "bases",
            "image",
            "images",
            "archive",
            "files",
            "sign",
            "provenance"
        ])
    );
    for (name, job) in &jobs {
        let pushes = job["permissions"]["packages"] == "write";
        assert!(
            !pushes || before(name, &jobs).contains("test"),
            "{name} pushes images before the tests have passed"
        );
    }
    assert!(
        before("archive", &jobs).contains("images"),
        "the plugin knows their digests"
    );
    assert!(before("image", &jobs).contains("bases"));
    let command = steps(&jobs["publish"], "run").concat();
    assert!(
        command.contains("--prerelease") && command.contains("--verify-tag"),
        "{command}"
    );
    assert!(
        steps(&jobs["verify"], "run")
            .iter()
            .any(|c| c.starts_with("hack/verify-release.sh "))
    );
    assert!(before("promote", &jobs).contains("verify"));

    let sign = steps(&jobs["sign"], "run");
    for wanted in ["hack/sign.sh images dist", "hack/sign.sh sums dist"] {
        assert!(sign.contains(&wanted), "{sign:?}");
    }
    let attests = |job: &str| {
        steps(&jobs[job], "uses")
            .iter()
            .filter(|action| action.starts_with("actions/attest@"))
            .count()
    };
    assert_eq!((attests("sign"), attests("provenance")), (1, 1));
    let matrix = jobs["provenance"]["strategy"]["matrix"]["image"]
        .as_array()
        .unwrap();
    let attested: BTreeSet<String> = matrix
        .iter()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(attested, words(&workflow()["env"]["IMAGES"]));
}

#[test]
fn the_plugin_of_a_release_knows_the_digests_and_what_it_is_made_of() {
    let jobs = jobs();
    let archive = steps(&jobs["archive"], "run");
    let place = |part: &str| {
        archive
            .iter()
            .position(|command| command.contains(part))
            .unwrap_or_else(|| panic!("{part}"))
    };
    let build = place("cargo auditable build");
    assert!(archive[build].contains("AXON_IMAGE_DIGESTS=$(hack/images.sh digests images.release)"));
    assert!(build < place("hack/release.sh check images.release"));
    assert!(place("hack/release.sh check") < place("hack/release.sh pack"));
    let files = steps(&jobs["files"], "run");
    let last = files
        .iter()
        .position(|command| command.starts_with("hack/release.sh sums "))
        .unwrap();
    let sboms = files
        .iter()
        .position(|command| command.starts_with("hack/release.sh sboms "))
        .unwrap();
    assert!(sboms < last, "SHA256SUMS has the SBOMs");
}

#[test]
fn no_workflow_has_more_than_its_jobs_ask_for_and_none_keeps_a_token() {
    let mut writes = BTreeSet::new();
    for path in super::pins::workflows() {
        let workflow: Value = axon_api::yaml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(workflow["permissions"], serde_json::json!({}), "{file}");
        // Such a run would have the rights of the repository, and the code of whoever opened the pull request.
        assert!(
            !workflow["on"].to_string().contains("pull_request_target"),
            "{file}"
        );
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            for (right, value) in job["permissions"].as_object().unwrap() {
                if value == "write" && file != "release.yaml" {
                    writes.insert(format!("{file} {name} {right}"));
                }
            }
            // The token of the checkout would stay on the disk of every later step.
            for step in job["steps"].as_array().into_iter().flatten() {
                let action = step["uses"].as_str().unwrap_or_default();
                if action.starts_with("actions/checkout@") {
                    assert_eq!(step["with"]["persist-credentials"], false, "{file} {name}");
                }
            }
        }
    }
    assert_eq!(writes, set(["nightly.yaml report issues"]));
}
