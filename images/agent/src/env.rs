//! The environment as plain data, so that rules about it need no process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use axon_api::contract::env as names;
use axon_api::v1alpha1::Trust;

/// Overrides the path of the termination message.
pub const TERMINATION_LOG: &str = "AXON_TERMINATION_LOG";
/// Overrides the directory of the clone.
pub const REPO_DIR: &str = "AXON_REPO_DIR";
/// Seconds that the agent gets between SIGTERM and SIGKILL.
pub const TERMINATION_GRACE_SECONDS: &str = "AXON_TERMINATION_GRACE_SECONDS";
/// Seconds that the agent gets after its last event to end, or to go on.
pub const LINGER_SECONDS: &str = "AXON_LINGER_SECONDS";

/// The agent's `PATH`, which login shells in our images take over (`/etc/profile.d/axon.sh`).
pub const LOGIN_PATH: &str = "AXON_PATH";

/// Environment variables.
#[derive(Clone, Debug, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// Returns this process' environment.
    #[must_use]
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// Returns a variable that is set and not empty; one that is no UTF-8 counts as absent.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    /// Returns a variable that is set and not empty, as a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.get(name).map(Path::new)
    }

    /// Returns true for a variable that is set, even to nothing.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(OsStr::new(name))
    }

    /// Returns the home directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path("HOME")
            .map_or_else(|| axon_api::contract::HOME_DIR.into(), Path::to_owned)
    }

    /// Returns whose files configure the agent. Anything but the one other word is the stricter: a value that is not known is of
    /// an operator that knows more.
    #[must_use]
    pub fn trust(&self) -> Trust {
        match self.get(names::TRUST) {
            None => Trust::Ref,
            Some(value) if value == "Ref" => Trust::Ref,
            Some(_) => Trust::Base,
        }
    }

    /// Returns the file that `program` is in the directories of `PATH`.
    #[must_use]
    pub fn program(&self, program: &str) -> Option<PathBuf> {
        let path = self.get("PATH")?;
        let mut files = std::env::split_paths(path).map(|dir| dir.join(program));
        files.find(|file| file.is_file())
    }

    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_trusted_unless_something_else_is_said() {
        let of = |value: &str| [(names::TRUST, value)].into_iter().collect::<Env>().trust();
        assert_eq!(Env::default().trust(), Trust::Ref);
        assert_eq!((of(""), of("Ref")), (Trust::Ref, Trust::Ref));
        assert_eq!((of("Base"), of("Newer")), (Trust::Base, Trust::Base));
    }

    #[test]
    fn an_empty_variable_is_set_but_has_no_text() {
        let env: Env = [("A", ""), ("B", "x")].into_iter().collect();
        assert_eq!(
            (env.text("A"), env.text("B"), env.text("C")),
            (None, Some("x"), None)
        );
        assert!(env.is_set("A") && !env.is_set("C"));
        assert_eq!(env.home(), Path::new("/home/agent"));
    }
}
