//! A release is signed and verified with the scripts of `hack/` and a real cosign against a real registry; what was tampered with is
//! refused. A key signs instead of a workflow's identity, and `gh`, which asks GitHub for provenance, is a script: both need GitHub.
//!
//! Needs `cosign` and `crane` on the PATH: `make release-test`.
#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on panics")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const VERSION: &str = "v0.0.1";
const IMAGES: [&str; 2] = ["operator", "workspace"];

/// A release in a folder, and the registry with its images.
struct Release {
    folder: tempfile::TempDir,
    registry: Child,
    address: String,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.registry.kill().ok();
        self.registry.wait().ok();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn program(file: &Path, text: &str) {
    std::fs::write(file, format!("#!/usr/bin/env bash\n{text}")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A registry on a free port of loopback.
fn registry() -> (Child, String) {
    let mut registry = Command::new("crane")
        .args(["registry", "serve", "--address=127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("crane: {error}; run make release-test"));
    let mut lines = BufReader::new(registry.stderr.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, port) = line.rsplit_once("port ")?;
        port.trim().parse::<u16>().ok()
    });
    // Its log goes on: a full pipe would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (registry, format!("127.0.0.1:{}", port.unwrap()))
}

impl Release {
    /// Makes a release of two images and an archive, and signs it.
    fn signed() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (registry, address) = registry();
        let release = Self {
            folder,
            registry,
            address,
        };
        for name in ["bin", "dist"] {
            std::fs::create_dir(release.path(name)).unwrap();
        }
        program(
            &release.path("bin/gh"),
            "[[ \"$1 $2\" == 'attestation verify' && \"$*\" == *' --source-ref refs/tags/v0.0.1' && \"$*\" == \
             *' --signer-workflow axon-io/kubectl-axon/.github/workflows/release.yaml '* ]] || exit 2\n\
             [[ ! -e \"$(dirname \"$0\")/no-provenance\" || \"$3\" != *\"$(cat \"$(dirname \"$0\")/no-provenance\")\"* ]]\n",
        );
        for key in ["key", "other"] {
            release.run("cosign", &["generate-key-pair", "--output-key-prefix", key]);
        }
        let images: Vec<String> = IMAGES
            .iter()
            .map(|image| {
                let digest = release.push(image, "good");
                format!("{}/axon/axon-{image}:{VERSION} {digest}\n", release.address)
            })
            .collect();
        release.write("dist/images.txt", &images.concat());
        release.complete();
        let images = release.script("hack/sign.sh", &["images", "dist"], &[]);
        assert!(images.0, "{}", images.1);
        release.sign("key.key");
        release
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, program: &Path, words: &[&str]) -> Command {
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("COSIGN_PASSWORD", "");
        command
    }

    fn run(&self, program: &str, words: &[&str]) -> String {
        let output = self.command(Path::new(program), words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn script(&self, name: &str, words: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
        let output = self
            .command(&root().join(name), words)
            .env("AXON_SIGNING_KEY", self.path("key.key"))
            .env("AXON_VERIFICATION_KEY", self.path("key.pub"))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    }

    /// Pushes an image whose only file has this content; returns its digest.
    fn push(&self, image: &str, content: &str) -> String {
        self.write("content", &format!("{image}: {content}"));
        self.run("tar", &["-cf", "layer.tar", "content"]);
        let name = format!("{}/axon/axon-{image}:{VERSION}", self.address);
        self.run(
            "crane",
            &[
                "append",
                "--oci-empty-base",
                "--new_layer=layer.tar",
                "--new_tag",
                &name,
            ],
        );
        self.run("crane", &["digest", &name]).trim().to_owned()
    }

    /// Writes all files of the release that follow from its `images.txt`, as the workflow does.
    fn complete(&self) {
        let images = self.read("dist/images.txt");
        let list = images.replace(' ', "@");
        program(
            &self.path("plugin"),
            &format!("[[ \"$*\" == 'install --list-images' ]] && cat <<'END'\n{list}END\n"),
        );
        let plugin = self.path("plugin");
        let check = self.script(
            "hack/release.sh",
            &["check", "dist", plugin.to_str().unwrap()],
            &[],
        );
        assert!(check.0, "{}", check.1);
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            _ => "arm64",
        };
        let pack = ["pack", "dist", VERSION, "linux", arch, plugin.to_str().unwrap()];
        for words in [&pack[..], &["manifest", "dist", VERSION]] {
            let done = self.script("hack/release.sh", words, &[]);
            assert!(done.0, "{}", done.1);
        }
        let [operator, workspace] = [0, 1].map(|index| images.lines().nth(index).unwrap().replace(' ', "@"));
        let digest = workspace.split_once('@').unwrap().1;
        self.write(
            "dist/install.yaml",
            &format!("image: >-\n  {operator}\nvalue: codex=x,workspace={digest}\n"),
        );
        for image in IMAGES {
            let sbom = format!("dist/axon-{image}_{VERSION}_linux_{arch}.spdx.json");
            self.write(&sbom, r#"{"spdxVersion":"SPDX-2.3"}"#);
        }
    }

    /// Signs the sums of the files with this key.
    fn sign(&self, key: &str) {
        let sums = self.script("hack/release.sh", &["sums", "dist"], &[]);
        assert!(sums.0, "{}", sums.1);
        let key = self.path(key);
        let signed = self.script(
            "hack/sign.sh",
            &["sums", "dist"],
            &[("AXON_SIGNING_KEY", key.to_str().unwrap())],
        );
        assert!(signed.0, "{}", signed.1);
    }

    fn refused(&self, part: &str) {
        let (is_verified, said) = self.script("hack/verify-release.sh", &[VERSION, "dist"], &[]);
        assert!(!is_verified && said.contains(part), "{part}: {said}");
    }

    fn verified(&self) {
        let (is_verified, said) = self.script("hack/verify-release.sh", &[VERSION, "dist"], &[]);
        assert!(is_verified, "{said}");
        assert!(
            said.contains("v0.0.1 is what its tag's workflow has built: 1 archives, 2 images"),
            "{said}"
        );
    }
}

#[test]
fn a_release_verifies_until_one_of_its_files_is_another() {
    let release = Release::signed();
    release.verified();

    let install = release.read("dist/install.yaml");
    release.write(
        "dist/install.yaml",
        &install.replace("127.0.0.1:", "evil.example/127.0.0.1:"),
    );
    release.refused("a file is not what SHA256SUMS says");
    // With sums to match, the signature is missing.
    let sums = release.script("hack/release.sh", &["sums", "dist"], &[]);
    assert!(sums.0, "{}", sums.1);
    release
        .refused("SHA256SUMS is not signed by axon-io/kubectl-axon/.github/workflows/release.yaml at v0.0.1");
    // Another key's is none.
    release.sign("other.key");
    release.refused("SHA256SUMS is not signed");
    // Even the right one does not make manifests right that name other images.
    release.sign("key.key");
    release.refused("install.yaml lacks 127.0.0.1:");
    release.write("dist/install.yaml", &install);
    release.sign("key.key");
    release.verified();
    release.write("dist/extra.tar.gz", "x");
    release.refused("extra.tar.gz is not in SHA256SUMS");
}

#[test]
fn an_image_that_was_tampered_with_is_refused() {
    let release = Release::signed();
    let tampered = release.push("workspace", "evil");
    // The tag has moved, and nobody pulls by it.
    release.verified();
    // A signer of the files alone can't replace an image.
    let images = release.read("dist/images.txt");
    let good = images.trim().rsplit_once(' ').unwrap().1;
    assert_ne!(good, tampered);
    release.write("dist/images.txt", &images.replace(good, &tampered));
    release.complete();
    release.sign("key.key");
    release.refused(&format!("axon-workspace@{tampered} is not signed by"));
    let image = format!("{}/axon/axon-workspace@{tampered}", release.address);
    let cosign = |words: &[&str], key: &str| {
        let key = format!("--key={key}");
        let options = ["--yes", &key, "--use-signing-config=false", "--tlog-upload=false"];
        release.run("cosign", &[words, &options[..], &[&image]].concat());
    };
    // Statements of another key do not count.
    let sbom = release.path("sbom.json");
    std::fs::write(&sbom, "{}").unwrap();
    let attest = ["attest", "--type=spdxjson", "--predicate", sbom.to_str().unwrap()];
    cosign(&attest, "other.key");
    cosign(&["sign"], "other.key");
    release.refused(&format!("axon-workspace@{tampered} is not signed by"));
    cosign(&attest, "key.key");
    cosign(&["sign"], "key.key");
    release.verified();
}

#[test]
fn a_signed_image_without_an_sbom_is_refused() {
    let release = Release::signed();
    let bare = release.push("workspace", "bare");
    let images = release.read("dist/images.txt");
    let good = images.trim().rsplit_once(' ').unwrap().1;
    release.write("dist/images.txt", &images.replace(good, &bare));
    release.complete();
    release.sign("key.key");
    let image = format!("{}/axon/axon-workspace@{bare}", release.address);
    let key = [
        "sign",
        "--yes",
        "--key=key.key",
        "--use-signing-config=false",
        "--tlog-upload=false",
    ];
    release.run("cosign", &[&key[..], &[&image]].concat());
    release.refused(&format!("axon-workspace@{bare} has no SBOM of"));
}

#[test]
fn an_image_or_an_archive_without_provenance_is_refused() {
    let release = Release::signed();
    release.write("bin/no-provenance", "oci://");
    release.refused("axon-operator@sha256:");
    release.write("bin/no-provenance", ".tar.gz");
    release.refused(".tar.gz has no provenance attestation of axon-io/kubectl-axon");
}

#[test]
fn a_plugin_that_installs_other_images_is_refused() {
    let release = Release::signed();
    let images = release.read("dist/images.txt");
    program(
        &release.path("plugin"),
        "echo evil.example/axon-operator:v0.0.1\n",
    );
    let plugin = release.path("plugin");
    let check = release.script(
        "hack/release.sh",
        &["check", "dist", plugin.to_str().unwrap()],
        &[],
    );
    assert!(
        !check.0 && check.1.contains("installs evil.example/"),
        "{}",
        check.1
    );
    let arch = if std::env::consts::ARCH == "x86_64" {
        "amd64"
    } else {
        "arm64"
    };
    let pack = ["pack", "dist", VERSION, "linux", arch, plugin.to_str().unwrap()];
    for words in [&pack[..], &["manifest", "dist", VERSION]] {
        assert!(release.script("hack/release.sh", words, &[]).0);
    }
    release.sign("key.key");
    release.refused("the plugin installs other images than those of images.txt");
    assert_eq!(release.read("dist/images.txt"), images);
}
