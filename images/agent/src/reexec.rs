//! What the environment has to be for everything that is started from here. A process can't safely change its own, and
//! setting variables at each call would forget one: so the program starts itself anew with them.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::env::Env;
use crate::secrets::credential_variables;

/// Returns the credentials with something around them that is none of theirs, and what they are without it: files that
/// become Secrets end with a line break, which no header and no password may have.
#[must_use]
pub fn trimmed(env: &Env) -> Vec<(&'static str, OsString)> {
    credential_variables()
        .into_iter()
        .filter_map(|name| {
            let value = env.text(name)?;
            let bare = value.trim();
            (bare.len() < value.len()).then(|| (name, bare.into()))
        })
        .collect()
}

/// Starts this program anew with `changes` in its environment; returns only if that fails.
///
/// # Errors
/// If the program can't be started again.
pub fn start(
    changes: Vec<(&'static str, OsString)>,
    args: impl IntoIterator<Item = OsString>,
) -> io::Result<Infallible> {
    let mut args = args.into_iter();
    let mut command = Command::new(std::env::current_exe()?);
    // By its name the program knows what it is to do.
    command.arg0(args.next().unwrap_or_default()).args(args);
    command.envs(changes);
    Err(command.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_credential_goes_and_what_is_in_it_stays() {
        let env: Env = [
            ("GITHUB_TOKEN", "ghp_1\n"),
            ("GH_TOKEN", " ghp_2\r\n"),
            ("GH_ENTERPRISE_TOKEN", "a\nb\n"),
            ("ANTHROPIC_API_KEY", "sk-1"),
            ("CODEX_API_KEY", "{\n}\n"),
            ("OTHER", "x\n"),
        ]
        .into_iter()
        .collect();
        let mut found = trimmed(&env);
        found.sort();
        let expected = [
            ("CODEX_API_KEY", "{\n}".into()),
            ("GH_ENTERPRISE_TOKEN", "a\nb".into()),
            ("GH_TOKEN", "ghp_2".into()),
            ("GITHUB_TOKEN", "ghp_1".into()),
        ];
        assert_eq!(found, expected);
    }
}
