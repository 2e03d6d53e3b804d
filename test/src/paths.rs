//! Paths of the repository and of the programs that are built from it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Returns the repository's root.
#[must_use]
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Returns the program that starts clusters and control planes: `AXON_CLUSTER_BIN`, or the one that the
/// repository builds.
///
/// # Errors
/// If it has not been built.
pub fn cluster_program() -> Result<PathBuf> {
    let program = match std::env::var_os("AXON_CLUSTER_BIN") {
        Some(program) => PathBuf::from(program),
        None => root().join(".cluster/bin/axon-cluster"),
    };
    ensure!(
        program.is_file(),
        "{} does not exist: run `make cluster-binaries` first",
        program.display()
    );
    Ok(program)
}

/// Returns the kubeconfig of the full cluster: `KUBECONFIG`, or the one that `make cluster-up` writes.
///
/// # Errors
/// If there is none.
pub fn cluster_kubeconfig() -> Result<PathBuf> {
    let path = match std::env::var_os("KUBECONFIG") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => root().join(".cluster/kubeconfig"),
    };
    ensure!(
        path.is_file(),
        "{} does not exist: run `make cluster-up` first",
        path.display()
    );
    Ok(path)
}

/// Returns the plugin's program: `AXON_BIN`, or the one built beside the running test, or the newest in `target`.
///
/// # Errors
/// If it has not been built.
pub fn plugin_program() -> Result<PathBuf> {
    built_program("kubectl-axon", "AXON_BIN")
}

/// Returns the program that runs agents: `AXON_TEST_AGENT`, or the one built beside the running test, or the newest
/// in `target`.
///
/// # Errors
/// If it has not been built.
pub fn agent_program() -> Result<PathBuf> {
    built_program("axon-agent", "AXON_TEST_AGENT")
}

/// Returns the operator's program: `AXON_TEST_OPERATOR`, or the one built beside the running test, or the newest in
/// `target`.
///
/// # Errors
/// If it has not been built.
pub fn operator_program() -> Result<PathBuf> {
    built_program("axon-operator", "AXON_TEST_OPERATOR")
}

fn built_program(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(program) = std::env::var_os(variable) {
        return Ok(program.into());
    }
    // A test runs as target/PROFILE/deps/NAME-HASH.
    let running = std::env::current_exe()?;
    let beside = running.ancestors().nth(2).map(|profile| profile.join(name));
    if let Some(beside) = beside.filter(|path| path.is_file()) {
        return Ok(beside);
    }
    let built = ["debug", "release"].map(|profile| root().join("target").join(profile).join(name));
    let newest = built
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    match newest {
        Some((_, path)) => Ok(path),
        None => anyhow::bail!("{name} has not been built: run `cargo build -p {name}` first"),
    }
}
