//! The signer of a release: its own workflow at the tag of that version. SBOMs and sums are part of what it signs.

use std::process::Command;

use super::release::{DIGEST, program};
use super::root;

/// Runs a script with a `cosign` and a `gh` that note how they were called, and a `cosign` that refuses if `refuses`.
fn run(words: &[&str], refuses: bool) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let (bin, dist) = (folder.path().join("bin"), folder.path().join("dist"));
    for path in [&bin, &dist] {
        std::fs::create_dir(path).unwrap();
    }
    let log = folder.path().join("log");
    for name in ["cosign", "gh"] {
        let text = format!(
            "echo {name} \"$@\" >>{}\nexit {}\n",
            log.display(),
            u8::from(refuses)
        );
        program(&bin.join(name), &text);
    }
    std::fs::write(
        dist.join("images.txt"),
        format!("r.example:5000/axon/axon-codex:v1 {DIGEST}\n"),
    )
    .unwrap();
    for arch in ["amd64", "arm64"] {
        std::fs::write(dist.join(format!("axon-codex_v1_linux_{arch}.spdx.json")), "{}").unwrap();
    }
    let output = Command::new(root().join(words[0]))
        .args(&words[1..])
        .current_dir(folder.path())
        .env(
            "PATH",
            format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()),
        )
        .env_remove("AXON_SIGNING_KEY")
        .env_remove("AXON_VERIFICATION_KEY")
        .output()
        .unwrap();
    (
        output.status.success(),
        std::fs::read_to_string(log).unwrap_or_default(),
    )
}

#[test]
fn a_release_is_asked_for_the_signature_of_its_own_workflow_at_its_own_tag() {
    let (is_verified, log) = run(&["hack/verify-release.sh", "v1", "dist"], true);
    assert!(!is_verified);
    let identity = "--certificate-identity https://github.com/axon-io/kubectl-axon/.github/workflows/release.yaml@refs/tags/v1 \
                    --certificate-oidc-issuer https://token.actions.githubusercontent.com ";
    assert!(
        log.starts_with(&format!("cosign verify-blob {identity}--bundle ")),
        "{log}"
    );
    assert_eq!(log.lines().count(), 1, "nothing is trusted before: {log}");
    assert!(!log.contains("--key") && !log.contains("insecure"), "{log}");
}

#[test]
fn images_are_signed_by_digest_with_an_sbom_for_each_architecture() {
    let (done, log) = run(&["hack/sign.sh", "images", "dist"], false);
    assert!(done);
    let image = format!("r.example:5000/axon/axon-codex@{DIGEST}");
    let sbom = |arch: &str| {
        format!(
            "cosign attest --yes --type spdxjson --predicate dist/axon-codex_v1_linux_{arch}.spdx.json {image}\n"
        )
    };
    let expected = format!("cosign sign --yes {image}\n{}{}", sbom("amd64"), sbom("arm64"));
    assert_eq!(log, expected, "keyless, which needs no other option");
}

#[test]
fn every_archive_and_every_image_has_an_sbom_that_names_our_crates() {
    let folder = tempfile::tempdir().unwrap();
    let (bin, dist) = (folder.path().join("bin"), folder.path().join("dist"));
    for path in [&bin, &dist] {
        std::fs::create_dir(path).unwrap();
    }
    let plugin = folder.path().join("plugin");
    program(&plugin, "true\n");
    let script = |words: &[&str]| {
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let output = Command::new(root().join("hack/release.sh"))
            .args(words)
            .current_dir(folder.path())
            .env("PATH", path)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let pack = ["pack", "dist", "v1", "windows", "amd64", plugin.to_str().unwrap()];
    assert!(script(&pack).0);
    std::fs::write(
        dist.join("images.txt"),
        format!("r.example:5000/axon/axon-codex:v1 {DIGEST}\n"),
    )
    .unwrap();
    let syft = |found: &str| {
        let text =
            format!("[[ \"$4\" == spdx-json=* ]] && echo '{found}' \"${{@:5}}\" >\"${{4#spdx-json=}}\"\n");
        program(&bin.join("syft"), &text);
    };
    syft("pkg:deb/git@2");
    let (done, said) = script(&["sboms", "dist", "v1"]);
    assert!(!done && said.contains("has no Rust dependencies"), "{said}");

    syft("pkg:cargo/axon-api@0.1.0");
    let (done, said) = script(&["sboms", "dist", "v1"]);
    assert!(done, "{said}");
    let read = |name: &str| std::fs::read_to_string(dist.join(name)).unwrap();
    for arch in ["amd64", "arm64"] {
        let sbom = read(&format!("axon-codex_v1_linux_{arch}.spdx.json"));
        let scanned = format!("registry:r.example:5000/axon/axon-codex@{DIGEST} --platform linux/{arch}\n");
        assert!(sbom.ends_with(&scanned), "{sbom}");
    }
    let sbom = read("kubectl-axon_v1_windows_amd64.spdx.json");
    assert!(sbom.contains(" dir:/"), "{sbom}");

    assert!(script(&["sums", "dist"]).0);
    let sums = read("SHA256SUMS");
    assert_eq!(sums.lines().count(), 5, "{sums}");
    // Again, with the sums there: the same.
    assert!(script(&["sums", "dist"]).0);
    assert_eq!(read("SHA256SUMS"), sums);
}
