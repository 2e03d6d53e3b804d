//! SSH: what the Workspace's Secret has to hold, and what git's errors over SSH ask for.

use std::fs;
use std::path::Path;

use axon_api::contract::env as names;
use axon_api::contract::ssh::{KNOWN_HOSTS, PRIVATE_KEY};

use crate::env::Env;
use crate::failure::Failure;
use crate::subprocess::Call;

/// The Secret of a Workspace, as its pod sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Name of the Secret, if the Workspace names one.
    pub secret: Option<String>,
    /// Host of the repository, with the port if the URL has one.
    pub host: String,
}

impl Access {
    /// Returns how `host` is reached.
    #[must_use]
    pub fn new(env: &Env, host: &str) -> Self {
        Self {
            secret: env.text(names::SSH_SECRET).map(str::to_owned),
            host: host.to_owned(),
        }
    }

    /// Looks at the files of the Secret, if there are to be any: git's own words about them say little. `run` runs a
    /// program and returns its standard error if it fails.
    ///
    /// # Errors
    /// `InvalidConfig` for a key that `ssh` can't use, `CloneFailed` without known hosts.
    pub fn check(&self, env: &Env, run: impl Fn(&Call) -> Result<(), String>) -> Result<(), Failure> {
        let (Some(dir), Some(secret)) = (env.path(names::SSH_DIR), &self.secret) else {
            return Ok(());
        };
        let key = dir.join(PRIVATE_KEY);
        if is_empty(&key) {
            return Err(Failure::invalid(format!(
                "Secret {secret:?} has no {PRIVATE_KEY}, or does not exist: a repository that is reached by SSH needs \
                 the private key there"
            )));
        }
        if is_empty(&dir.join(KNOWN_HOSTS)) {
            return Err(Failure::clone_failed(format!(
                "Secret {secret:?} has no {KNOWN_HOSTS}, by which {host} could be told from another host: put there \
                 what `{keyscan}` prints, once you have compared it with the keys that the host's owner publishes",
                host = self.host,
                keyscan = keyscan(&self.host),
            )));
        }
        let args = ["-y", "-P", "", "-f"].map(std::ffi::OsString::from);
        let call = Call::new("ssh-keygen", args.into_iter().chain([key.into_os_string()]));
        run(&call).map_err(|said| {
            let why = if said.contains("passphrase") {
                "has a passphrase, which nobody is there to type: use a key without one, such as a deploy key".to_owned()
            } else {
                let said = said.trim().rsplit(": ").next().unwrap_or_default();
                format!("is no private key that ssh can read ({said}): it must be whole, with the line end after its last line")
            };
            Failure::invalid(format!("{PRIVATE_KEY} of Secret {secret:?} {why}"))
        })
    }

    /// Returns what to do about an error that git reports over SSH.
    #[must_use]
    pub fn advice(&self, said: &str) -> Option<String> {
        let said = said.to_ascii_lowercase();
        let (host, keyscan) = (&self.host, keyscan(&self.host));
        match &self.secret {
            _ if !said.contains("host key verification failed") && !said.contains("permission denied (") => {
                None
            }
            None => Some(format!(
                "name in Workspace.spec.secretRef a Secret with the keys {PRIVATE_KEY} and {KNOWN_HOSTS} (what \
                 `{keyscan}` prints)"
            )),
            Some(secret) if said.contains("host key verification failed") => Some(format!(
                "{KNOWN_HOSTS} of Secret {secret:?} does not have the key that {host} shows: compare it with what \
                 `{keyscan}` prints and with the keys that the host's owner publishes"
            )),
            Some(secret) => Some(format!(
                "{host} does not accept the {PRIVATE_KEY} of Secret {secret:?}"
            )),
        }
    }
}

fn is_empty(path: &Path) -> bool {
    fs::metadata(path).map_or(true, |file| file.len() == 0)
}

/// Returns the command that prints a host's keys.
fn keyscan(host: &str) -> String {
    // Brackets belong to the URL and to known_hosts, not to the command.
    let bare = |name: &str| name.trim_matches(['[', ']']).to_owned();
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => {
            format!("ssh-keyscan -p {port} {}", bare(name))
        }
        _ => format!("ssh-keyscan {}", bare(host)),
    }
}

#[cfg(test)]
mod tests {
    use axon_api::TaskReason;

    use super::*;

    fn access(secret: Option<&str>) -> Access {
        Access {
            secret: secret.map(str::to_owned),
            host: "git.example:2222".into(),
        }
    }

    #[test]
    fn what_the_secret_lacks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let env: Env = [("AXON_SSH_DIR", dir.path().as_os_str())].into_iter().collect();
        let check = |answer: Result<(), String>| {
            let failure = access(Some("s")).check(&env, |_| answer.clone()).unwrap_err();
            (failure.reason, failure.message)
        };
        let (reason, message) = check(Ok(()));
        assert_eq!(reason, TaskReason::InvalidConfig);
        assert!(
            message.contains("Secret \"s\" has no ssh-privatekey"),
            "{message}"
        );

        fs::write(dir.path().join(PRIVATE_KEY), "key").unwrap();
        fs::write(dir.path().join(KNOWN_HOSTS), "").unwrap();
        let (reason, message) = check(Ok(()));
        assert_eq!(reason, TaskReason::CloneFailed);
        assert!(message.contains("`ssh-keyscan -p 2222 git.example`"), "{message}");

        fs::write(dir.path().join(KNOWN_HOSTS), "h ssh-ed25519 AAAA").unwrap();
        let (reason, message) = check(Err(
            "Load key \"/k\": incorrect passphrase supplied to decrypt private key".into(),
        ));
        assert_eq!(reason, TaskReason::InvalidConfig);
        assert!(message.contains("has a passphrase"), "{message}");
        let (_, message) = check(Err("Load key \"/k\": error in libcrypto\n".into()));
        assert!(message.contains("(error in libcrypto)"), "{message}");
        assert_eq!(access(Some("s")).check(&env, |_| Ok(())), Ok(()));
        assert_eq!(access(None).check(&env, |_| Err("x".into())), Ok(()));
    }

    #[test]
    fn errors_over_ssh_have_advice_and_others_none() {
        let unknown = "Host key verification failed.\nfatal: Could not read from remote repository.";
        let denied = "git@h: Permission denied (publickey).";
        for (secret, said, advice) in [
            (None, unknown, "ssh-keyscan -p 2222 git.example"),
            (None, denied, "spec.secretRef"),
            (Some("s"), unknown, "known_hosts of Secret \"s\""),
            (
                Some("s"),
                denied,
                "does not accept the ssh-privatekey of Secret \"s\"",
            ),
        ] {
            let text = access(secret).advice(said).unwrap();
            assert!(text.contains(advice), "{text}");
        }
        assert_eq!(access(None).advice("fatal: repository not found"), None);
        assert_eq!(keyscan("github.com"), "ssh-keyscan github.com");
        assert_eq!(keyscan("[2001:db8::10]"), "ssh-keyscan 2001:db8::10");
        assert_eq!(keyscan("[::1]:2222"), "ssh-keyscan -p 2222 ::1");
    }
}
