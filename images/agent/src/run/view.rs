//! Git on the agent's clone without the clone's configuration.
//!
//! An agent can write anything into `.git` and into its home directory: hooks, credential helpers, an SSH command, a filter,
//! `core.fsmonitor`, a promisor remote that git fetches missing objects from. Git started in the clone would run them, with
//! the token, after the agent was killed. So git works in a bare repository of our own that shares no more than the data.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axon_api::contract::env as names;
use nix::libc;
use nix::unistd::{AccessFlags, access};
use tempfile::TempDir;

use crate::env::Env;
use crate::subprocess::{Call, Output};

/// What is shared with the clone: objects, refs, and where its history is cut off. Data, all of it.
const SHARED: [&str; 4] = ["objects", "refs", "packed-refs", "shallow"];
/// Longest content of HEAD that counts.
const MAX_HEAD: u64 = 4096;
/// Time for the one look into the clone's configuration.
const FORMAT_LIMIT: Duration = Duration::from_secs(2);
/// The configuration of ssh that an agent can't write. The user's own, in the home directory, it can.
const SSH_CONFIG: &str = "/etc/ssh/ssh_config";

/// A bare repository with the commits and refs of a clone. It is removed when dropped.
#[derive(Debug)]
pub struct View {
    dir: TempDir,
    head: String,
    set: Vec<(&'static str, OsString)>,
}

impl View {
    /// Makes a view of the clone in `clone`. Nothing if there is none, or one that is not a plain directory `.git`.
    #[must_use]
    pub fn open(env: &Env, clone: &Path) -> Option<Self> {
        let head = head(clone)?;
        let dir = TempDir::with_prefix("axon-git-").ok()?;
        let view = Self {
            set: variables(env, dir.path()),
            dir,
            head,
        };
        // What fails leaves nothing: the view is dropped.
        view.fill(&clone.join(".git")).is_ok().then_some(view)
    }

    fn fill(&self, clone: &Path) -> io::Result<()> {
        let clone = fs::canonicalize(clone)?;
        fs::create_dir(self.git_dir())?;
        for name in SHARED {
            if clone.join(name).exists() {
                symlink(clone.join(name), self.git_dir().join(name))?;
            }
        }
        fs::write(self.git_dir().join("HEAD"), &self.head)?;
        let format = self.object_format(&clone.join("config"));
        fs::write(self.git_dir().join("config"), config(&format))
    }

    /// Asks git, as the file may be of any form: it is read as data, without the files that it includes.
    fn object_format(&self, config: &Path) -> String {
        let file = config.as_os_str().to_owned();
        let args = ["config", "--no-includes", "--file"].map(OsString::from);
        let key = ["--get", "extensions.objectFormat"].map(OsString::from);
        let call = self.call(args.into_iter().chain([file]).chain(key), FORMAT_LIMIT);
        let output = call.run(&AtomicBool::new(false)).ok();
        output
            .map(|output| output.stdout.trim().to_owned())
            .unwrap_or_default()
    }

    fn git_dir(&self) -> PathBuf {
        self.dir.path().join("git")
    }

    /// Returns the variables with which a program reads nothing that an agent could have written.
    #[must_use]
    pub fn variables(&self) -> &[(&'static str, OsString)] {
        &self.set
    }

    /// Returns the directory that takes the home directory's place.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the branch that HEAD points to.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        branch_in(&self.head)
    }

    /// Runs git; nothing if it can't be started.
    #[must_use]
    pub fn git<S: Into<OsString>>(
        &self,
        args: impl IntoIterator<Item = S>,
        limit: Duration,
    ) -> Option<Output> {
        self.call(args, limit).run(&AtomicBool::new(false)).ok()
    }

    /// Runs git and returns what it prints, if that is anything and git succeeds.
    #[must_use]
    pub fn answer<const N: usize>(&self, args: [&str; N], limit: Duration) -> Option<String> {
        let output = self.git(args, limit).filter(Output::success)?;
        let text = output.stdout.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn call<S: Into<OsString>>(&self, args: impl IntoIterator<Item = S>, limit: Duration) -> Call {
        let mut call = Call::new("git", args);
        call.dir = Some(self.dir.path().to_owned());
        call.limit = Some(limit);
        call.set.extend(self.set.iter().cloned());
        call.set.push(("GIT_DIR", self.git_dir().into()));
        call.unset = vec![
            "GIT_ASKPASS",
            "SSH_ASKPASS",
            "GIT_COMMON_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        ];
        call
    }
}

/// Returns the branch that HEAD points to, without starting a program: for use while the agent runs.
#[must_use]
pub fn branch_of(clone: &Path) -> Option<String> {
    branch_in(&head(clone)?).map(str::to_owned)
}

fn branch_in(head: &str) -> Option<&str> {
    head.trim_end().strip_prefix("ref: refs/heads/")
}

/// Reads HEAD. It may be anything that an agent can make: a device or a pipe would hold us.
fn head(clone: &Path) -> Option<String> {
    let git = clone.join(".git");
    if !fs::symlink_metadata(&git).is_ok_and(|data| data.is_dir()) {
        return None;
    }
    let mut options = OpenOptions::new();
    options.read(true);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(git.join("HEAD")).ok()?;
    if !file.metadata().is_ok_and(|data| data.is_file()) {
        return None;
    }
    let mut text = String::new();
    file.take(MAX_HEAD).read_to_string(&mut text).ok()?;
    Some(text)
}

fn config(format: &str) -> String {
    // Shortcuts that the agent may have written are not believed.
    let core = "[core]\n\tbare = true\n\tcommitGraph = false\n\tmultiPackIndex = false\n\thooksPath = /dev/null\n\
                \talternateRefsCommand = true\n";
    match format {
        "sha256" => {
            format!("{core}\trepositoryFormatVersion = 1\n[extensions]\n\tobjectFormat = sha256\n")
        }
        _ => format!("{core}\trepositoryFormatVersion = 0\n"),
    }
}

/// Returns the variables with which git and `gh` read nothing that an agent could have written. Those of this process are the
/// Task's, and stay.
fn variables(env: &Env, dir: &Path) -> Vec<(&'static str, OsString)> {
    let mut all: Vec<(&'static str, OsString)> = vec![
        ("HOME", dir.into()),
        ("XDG_CONFIG_HOME", dir.into()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".into()),
        ("GIT_ATTR_NOSYSTEM", "1".into()),
        ("GIT_TERMINAL_PROMPT", "0".into()),
        ("GIT_ALLOW_PROTOCOL", crate::subprocess::GIT_PROTOCOLS.into()),
        ("GIT_NO_REPLACE_OBJECTS", "1".into()),
        ("GIT_NO_LAZY_FETCH", "1".into()),
        ("GIT_OPTIONAL_LOCKS", "0".into()),
    ];
    let own = env.text(names::GIT_SSH_COMMAND);
    let ssh = ssh(own).filter(|_| own.is_some() || !env.is_set("GIT_SSH"));
    all.extend(ssh.map(|ssh| (names::GIT_SSH_COMMAND, ssh.into())));
    all.extend(path(env).map(|path| ("PATH", path)));
    all
}

/// Returns how ssh is started without the configuration in the home directory, which names programs. A command that is not
/// ssh itself is the Task's own, and stays.
fn ssh(own: Option<&str>) -> Option<String> {
    let rest = match own {
        None => " -o BatchMode=yes",
        Some(command) => command
            .strip_prefix("ssh")
            .filter(|rest| rest.is_empty() || rest.starts_with(' '))?,
    };
    let config = if Path::new(SSH_CONFIG).is_file() {
        SSH_CONFIG
    } else {
        "/dev/null"
    };
    Some(format!("ssh -F {config}{rest}"))
}

/// Returns the directories of `PATH` that an agent could not write into, if git is in one of them: an image may have a
/// directory of the user's first.
fn path(env: &Env) -> Option<OsString> {
    let path = env.path("PATH")?.as_os_str();
    let is_kept = |dir: &PathBuf| dir.is_absolute() && access(dir, AccessFlags::W_OK).is_err();
    let dirs: Vec<PathBuf> = std::env::split_paths(path).filter(is_kept).collect();
    if !dirs.iter().any(|dir| dir.join("git").is_file()) {
        return None;
    }
    std::env::join_paths(dirs).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_is_read_from_head() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(branch_of(dir.path()), None);
        fs::create_dir(dir.path().join(".git")).unwrap();
        let head = dir.path().join(".git/HEAD");
        fs::write(&head, "ref: refs/heads/a/b\n").unwrap();
        assert_eq!(branch_of(dir.path()).as_deref(), Some("a/b"));
        fs::write(&head, "21f25c9f\n").unwrap();
        assert_eq!(branch_of(dir.path()), None);
    }

    #[test]
    fn a_head_that_never_ends_holds_nobody() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        let head = dir.path().join(".git/HEAD");
        nix::unistd::mkfifo(&head, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(branch_of(dir.path()), None);
        fs::remove_file(&head).unwrap();
        symlink("/dev/zero", &head).unwrap();
        assert_eq!(branch_of(dir.path()), None);
        let elsewhere = dir.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(dir.path().join(".git"), elsewhere.join(".git")).unwrap();
        assert_eq!(branch_of(&elsewhere), None);
    }

    #[test]
    fn ssh_reads_no_configuration_of_the_user() {
        let of = |own| ssh(own).unwrap_or_default();
        assert!(of(None).starts_with("ssh -F /"));
        let ours = of(Some(axon_api::contract::ssh::COMMAND));
        assert!(
            ours.starts_with("ssh -F /") && ours.contains(" -i /axon/ssh/"),
            "{ours}"
        );
        assert_eq!(ssh(Some("/opt/bastion.sh")), None);
        assert_eq!(ssh(Some("sshpass -e ssh")), None);
    }
}
