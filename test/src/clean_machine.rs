//! A machine with kubectl and krew but nothing of ours, and the archives of a release to install there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::paths;

/// Version of a release.
pub const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// A folder with archives of the plugin and the manifest that names them.
pub struct Release {
    folder: TempDir,
}

/// Returns what a command that succeeds writes.
///
/// # Errors
/// If it can't be started or fails; the error has all that it wrote.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(output)
}

/// Returns krew's name of this machine's architecture.
#[must_use]
pub fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// Returns a program that the repository builds for its tests.
///
/// # Errors
/// If it has not been built.
pub fn tool(name: &str) -> Result<PathBuf> {
    let tool = paths::root().join(".cluster/bin").join(name);
    ensure!(
        tool.is_file(),
        "{} is missing: run `make control-plane`",
        tool.display()
    );
    Ok(tool)
}

impl Release {
    /// Packs `plugin`, which may be any file, as the release does.
    ///
    /// # Errors
    /// If the script that packs fails.
    pub fn of(plugin: &[u8]) -> Result<Self> {
        let release = Self {
            folder: tempfile::tempdir()?,
        };
        let (out, file) = (release.file(""), release.folder.path().join("plugin"));
        std::fs::write(&file, plugin)?;
        let script = paths::root().join("hack/release.sh");
        let licence = paths::root().join("LICENSE");
        for (os, arch) in [("linux", arch()), ("darwin", "arm64"), ("windows", "amd64")] {
            // What is inside matters for the platform of this machine only.
            let file = if os == "linux" { &file } else { &licence };
            let mut pack = Command::new(&script);
            pack.arg("pack").arg(&out).args([VERSION, os, arch]).arg(file);
            run(&mut pack)?;
        }
        run(Command::new(&script).arg("manifest").arg(&out).arg(VERSION))?;
        Ok(release)
    }

    /// Packs the development build, without symbols.
    ///
    /// # Errors
    /// If there is none, or as [`Release::of`].
    pub fn of_the_build() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let stripped = folder.path().join("kubectl-axon");
        run(Command::new("strip")
            .arg("-o")
            .arg(&stripped)
            .arg(paths::plugin_program()?))?;
        Self::of(&std::fs::read(&stripped)?)
    }

    /// Returns the path of a file of the release.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    /// Returns the archive for this machine.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.file(&format!("kubectl-axon_{VERSION}_linux_{}.tar.gz", arch()))
    }

    /// Returns the manifest for krew.
    ///
    /// # Errors
    /// If it is no YAML.
    pub fn manifest(&self) -> Result<Value> {
        let text = std::fs::read_to_string(self.file("axon.yaml"))?;
        Ok(axon_api::yaml::from_str(&text)?)
    }
}

/// A machine with kubectl and krew, and nothing else.
pub struct Machine {
    home: TempDir,
}

impl Machine {
    /// Returns a machine on which krew was set up.
    ///
    /// # Errors
    /// If krew's index can't be made.
    pub fn new() -> Result<Self> {
        let machine = Self {
            home: tempfile::tempdir()?,
        };
        // krew looks for its own index before anything else; an empty one will do.
        let index = machine.path("krew/index/default");
        std::fs::create_dir_all(index.join("plugins"))?;
        let commit = "-c user.name=x -c user.email=x@example.com commit --quiet --allow-empty -m x";
        for words in ["init --quiet", commit] {
            let mut git = machine.command(Path::new("git"))?;
            run(git.args(words.split(' ')).current_dir(&index))?;
        }
        Ok(machine)
    }

    /// Returns a path below the home directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Returns a command that knows nothing of the machine on which the tests run.
    ///
    /// # Errors
    /// If kubectl has not been built.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let kubectl = tool("kubectl")?;
        let bin = kubectl.parent().unwrap_or(Path::new("/"));
        let path = format!(
            "{}:{}:/usr/bin:/bin",
            self.path("krew/bin").display(),
            bin.display()
        );
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("KREW_ROOT", self.path("krew"))
            .env("PATH", path)
            .current_dir(self.home.path());
        Ok(command)
    }

    /// Installs a release with krew.
    ///
    /// # Errors
    /// If krew refuses it.
    pub fn install(&self, release: &Release) -> Result<()> {
        let manifest = format!("--manifest={}", release.file("axon.yaml").display());
        let archive = format!("--archive={}", release.archive().display());
        run(self
            .command(&tool("krew")?)?
            .args(["install", &manifest, &archive]))?;
        Ok(())
    }
}
