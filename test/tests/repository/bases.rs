//! The base images of a release are named by digest, recorded in its images, and the same for all builds.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use super::release::{DIGEST, fakes, make, program, script};
use super::root;

/// Makes an image of the release with a `docker` that only notes how it was called; returns these notes.
fn build(folder: &Path, image: &str, bases: &str) -> (Output, String) {
    let path = fakes(folder, "x86_64");
    // make itself is the real one; what is built before is not the subject.
    std::fs::remove_file(folder.join("bin/make")).unwrap();
    program(&folder.join("bin/strip"), "touch \"$2\"\n");
    program(&folder.join("bin/npm"), "exit 1\n");
    let stage = folder.join("stage");
    let output = make()
        .args(["--silent", &format!("image-existing-{image}")])
        .args(["CLUSTER=existing", "REGISTRY=r.example", "TAG=t", "CARGO=true"])
        .arg(format!("STAGE={}", stage.display()))
        .arg(format!("BASES={bases}"))
        .env("PATH", path)
        .current_dir(root())
        .output()
        .unwrap();
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    (output, log)
}

#[test]
fn images_are_built_on_recorded_digests_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let (done, _, said) = script(folder.path(), "x86_64", &["bases", out]);
    assert!(done, "{said}");
    let recorded = std::fs::read_to_string(folder.path().join("bases.txt")).unwrap();
    let names: Vec<&str> = recorded
        .lines()
        .filter_map(|line| line.strip_suffix(DIGEST))
        .collect();
    assert_eq!(names.len(), 3, "{recorded}");

    for (image, base) in [
        ("operator", "gcr.io/distroless/cc-debian12:nonroot"),
        ("workspace", "docker.io/library/debian:bookworm-slim"),
    ] {
        let (output, log) = build(folder.path(), image, out);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let line = log
            .lines()
            .find(|line| line.starts_with("docker build") && line.contains(&format!("axon-{image}:t")))
            .unwrap();
        for option in [
            format!("--build-arg BASE_IMAGE={base}@{DIGEST} "),
            format!("--label org.opencontainers.image.base.name={base} "),
            format!("--label org.opencontainers.image.base.digest={DIGEST} "),
        ] {
            assert!(line.contains(&option), "{option}: {line}");
        }
    }
}

#[test]
fn an_image_without_a_recorded_base_is_not_built() {
    let folder = tempfile::tempdir().unwrap();
    for list in ["", "docker.io/library/debian:bookworm-slim latest\n"] {
        std::fs::write(folder.path().join("bases.txt"), list).unwrap();
        let (output, log) = build(folder.path(), "workspace", folder.path().to_str().unwrap());
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("hack/images.sh: ") && said.contains("debian:bookworm-slim"),
            "{said}"
        );
        assert!(!log.contains("docker build"), "{log}");
    }
}

/// The Dockerfiles name a base by `BASE_IMAGE` alone, where a release puts the digest.
#[test]
fn no_image_has_a_base_that_a_release_does_not_record() {
    let mut bases = BTreeSet::new();
    for image in axon_api::images::all().chain(["agent-base"]) {
        let text = std::fs::read_to_string(root().join(format!("images/{image}/Dockerfile"))).unwrap();
        let from: Vec<&str> = text.lines().filter(|line| line.starts_with("FROM ")).collect();
        assert_eq!(from, ["FROM ${BASE_IMAGE}"], "{image}");
        assert!(!text.contains("COPY --from"), "{image}");
        let own = text
            .lines()
            .filter_map(|line| line.strip_prefix("ARG BASE_IMAGE="));
        bases.extend(own.map(str::to_owned));
    }
    let ours = "ghcr.io/axon-io/axon-agent-base".to_owned();
    assert!(bases.remove(&ours));
    let folder = tempfile::tempdir().unwrap();
    assert!(
        script(
            folder.path(),
            "x86_64",
            &["bases", folder.path().to_str().unwrap()]
        )
        .0
    );
    let recorded = std::fs::read_to_string(folder.path().join("bases.txt")).unwrap();
    let mut recorded: BTreeSet<String> = recorded
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    recorded.retain(|name| !name.contains("/rust:"));
    assert_eq!(bases, recorded);
}
