//! The plugin's krew manifest: what krew's index asks for, and an installation by a real krew from a local archive.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on panics"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use axon_test::clean_machine::{self, Machine, Release, VERSION};

fn run(command: &mut Command) -> Output {
    clean_machine::run(command).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The rules of krew's index (internal/index/validation) and of its developer guide.
#[test]
fn the_manifest_is_what_the_index_asks_for() {
    let manifest = Release::of(b"x").unwrap().manifest().unwrap();
    assert_eq!(
        manifest["apiVersion"],
        "krew.googlecontainertools.github.com/v1alpha2"
    );
    assert_eq!(
        (&manifest["kind"], &manifest["metadata"]["name"]),
        (&"Plugin".into(), &"axon".into())
    );
    let name = manifest["metadata"]["name"].as_str().unwrap();
    assert!(name.chars().all(|c| c.is_ascii_lowercase()) && !name.starts_with("kube"));
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], VERSION);
    let short = spec["shortDescription"].as_str().unwrap();
    assert!(
        short.len() <= 50 && !short.contains('\n') && !short.ends_with('.'),
        "{short}"
    );
    assert!(!short.to_lowercase().contains("kubectl"), "{short}");
    assert!(spec["homepage"].as_str().unwrap().starts_with("https://"));
    assert!(spec["description"].as_str().unwrap().lines().count() > 1);
    let platforms = spec["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 3);
    let selected: std::collections::BTreeSet<String> =
        platforms.iter().map(|p| p["selector"].to_string()).collect();
    assert_eq!(selected.len(), platforms.len(), "no two for one platform");
    for platform in platforms {
        let labels = platform["selector"]["matchLabels"].as_object().unwrap();
        let windows = labels["os"] == "windows";
        assert_eq!(
            platform["bin"],
            if windows {
                "kubectl-axon.exe"
            } else {
                "kubectl-axon"
            }
        );
        let (uri, sum) = (
            platform["uri"].as_str().unwrap(),
            platform["sha256"].as_str().unwrap(),
        );
        assert!(
            uri.starts_with("https://") && uri.ends_with(".tar.gz") && uri.contains(VERSION),
            "{uri}"
        );
        assert!(
            sum.len() == 64 && sum.chars().all(|c| c.is_ascii_hexdigit()),
            "{sum}"
        );
    }
}

#[test]
fn an_archive_holds_the_plugin_and_its_licence_and_is_the_same_each_time() {
    let release = Release::of(b"x").unwrap();
    let listed = run(Command::new("tar").arg("-tzf").arg(release.archive()));
    assert_eq!(text(&listed.stdout), "kubectl-axon\nLICENSE\n");
    let bytes = |release: &Release| std::fs::read(release.archive()).unwrap();
    assert_eq!(bytes(&release), bytes(&Release::of(b"x").unwrap()));
    assert_ne!(bytes(&release), bytes(&Release::of(b"y").unwrap()));
}

#[test]
fn a_real_krew_installs_it_and_a_real_kubectl_runs_it() {
    let (release, machine) = (Release::of_the_build().unwrap(), Machine::new().unwrap());
    machine.install(&release).unwrap();
    let tool = |name: &str| -> Command {
        let tool = clean_machine::tool(name).unwrap();
        machine.command(&tool).unwrap()
    };

    let version = run(tool("kubectl").args(["axon", "version", "--client"]));
    assert_eq!(text(&version.stdout), format!("client    {VERSION}\n"));
    let listed = run(tool("kubectl").args(["plugin", "list"]));
    let (out, err) = (text(&listed.stdout), text(&listed.stderr));
    assert!(out.contains("/krew/bin/kubectl-axon\n"), "{out}");
    assert!(!(out + &err).contains("warning"), "{err}");
    let help = run(tool("kubectl").args(["axon", "run", "--help"]));
    assert!(
        text(&help.stdout).contains("Usage: kubectl axon run"),
        "{}",
        text(&help.stdout)
    );

    // kubectl's own completion finds the helper that one command writes.
    run(tool("kubectl").args(["axon", "completion", "install"]));
    let helper = machine.path("krew/bin/kubectl_complete-axon");
    assert_eq!(helper.metadata().unwrap().permissions().mode() & 0o111, 0o111);
    let completed = run(tool("kubectl").args(["__complete", "axon", "un"]));
    assert!(
        text(&completed.stdout).starts_with("uninstall\t"),
        "{}",
        text(&completed.stdout)
    );

    run(tool("krew").args(["uninstall", "axon"]));
    assert!(!machine.path("krew/bin/kubectl-axon").exists());
}
