//! Git in gemini's shell.
//!
//! Gemini takes all configuration outside the repository, and every credential helper, from the `git` that its
//! commands call. A repository would then be pushed with a token on disk, or not at all. So a `git` that comes first
//! in `PATH` undoes just that, and starts the real one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::env::Env;
use crate::subprocess::{dir_first, quoted};

/// What gemini sets over what was there, besides adding entries to `GIT_CONFIG_KEY_*`.
const CHANGED: [&str; 5] = [
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
];

/// The `git` for gemini's commands.
pub(super) struct Wrapper {
    /// Its path and its text.
    pub(super) program: (PathBuf, String),
    /// `PATH` with its directory in front; `None` if that is no list of directories.
    pub(super) path: Option<OsString>,
}

/// Returns the wrapper for an environment.
pub(super) fn wrapper(env: &Env) -> Wrapper {
    let dir = env.home().join(".axon/bin");
    let git = env.program("git").unwrap_or_else(|| "/usr/bin/git".into());
    Wrapper {
        path: dir_first(env, &dir),
        program: (dir.join("git"), script(env, &git)),
    }
}

/// The first of gemini's entries takes away the credential helpers. Entries before it are the user's; where it is
/// missing, as in a test suite that isolates its own git, nothing is changed.
fn script(env: &Env, git: &Path) -> String {
    let restore: Vec<String> = CHANGED
        .iter()
        .map(|name| match env.text(name) {
            Some(value) => format!("    export {name}={}", quoted(value)),
            None => format!("    unset {name}"),
        })
        .collect();
    format!(
        "#!/bin/sh\n\
         axon_n=0\n\
         while [ \"$axon_n\" -lt \"${{GIT_CONFIG_COUNT:-0}}\" ]; do\n\
         \x20 eval \"axon_entry=\\${{GIT_CONFIG_KEY_$axon_n-}}=\\${{GIT_CONFIG_VALUE_$axon_n-}}\"\n\
         \x20 if [ \"$axon_entry\" = credential.helper= ]; then\n\
         \x20   export GIT_CONFIG_COUNT=\"$axon_n\"\n\
         {}\n\
         \x20   break\n\
         \x20 fi\n\
         \x20 axon_n=$((axon_n + 1))\n\
         done\n\
         exec {} \"$@\"\n",
        restore.join("\n"),
        quoted(&git.to_string_lossy())
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    /// Runs the wrapper with a git that prints what it was given.
    fn run(user: &[(&str, &str)], shell: &[(&str, &str)]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &Path, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let git = dir.path().join("it's/git");
        put(
            &git,
            "#!/bin/sh\nenv | grep -E '^(GIT|SSH)' | sort\nprintf '%s|' \"$@\"\n",
        );
        let bin = git.parent().unwrap().to_str().unwrap();
        let env: Env = user
            .iter()
            .copied()
            .chain([("HOME", dir.path().to_str().unwrap()), ("PATH", bin)])
            .collect();
        let wrapper = wrapper(&env);
        assert_eq!(
            wrapper.path.unwrap().to_str().unwrap(),
            format!("{}/.axon/bin:{bin}", dir.path().display())
        );
        put(&wrapper.program.0, &wrapper.program.1);
        let mut command = Command::new(&wrapper.program.0);
        command
            .args(["a b", "'c"])
            .env_clear()
            .envs(shell.iter().copied());
        // A test beside this one may have started a program while the file was open for writing.
        let output = loop {
            match command.output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                result => break result.unwrap(),
            }
        };
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    const GEMINI: [(&str, &str); 8] = [
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "credential.helper"),
        ("GIT_CONFIG_VALUE_0", ""),
        ("GIT_CONFIG_KEY_1", "core.hooksPath"),
        ("GIT_CONFIG_VALUE_1", ""),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_ASKPASS", ""),
    ];

    #[test]
    fn what_gemini_takes_comes_back() {
        let given = run(&[("GIT_CONFIG_GLOBAL", "/my'config")], &GEMINI);
        assert!(given.contains("GIT_CONFIG_COUNT=0\n"), "{given}");
        assert!(given.contains("GIT_CONFIG_GLOBAL=/my'config\n"), "{given}");
        assert!(
            !given.contains("NOSYSTEM") && !given.contains("ASKPASS"),
            "{given}"
        );
        assert!(given.ends_with("a b|'c|"), "{given}");
    }

    #[test]
    fn entries_of_the_user_stay() {
        let mut shell = vec![
            ("GIT_CONFIG_COUNT", "3"),
            ("GIT_CONFIG_KEY_0", "user.name"),
            ("GIT_CONFIG_VALUE_0", "credential.helper="),
        ];
        shell.extend([
            ("GIT_CONFIG_KEY_1", "credential.helper"),
            ("GIT_CONFIG_VALUE_1", ""),
        ]);
        assert!(run(&[], &shell).contains("GIT_CONFIG_COUNT=1\n"));
    }

    #[test]
    fn another_s_isolation_stays() {
        for shell in [
            &[("GIT_CONFIG_GLOBAL", "/dev/null")][..],
            &[
                ("GIT_CONFIG_GLOBAL", "/dev/null"),
                ("GIT_CONFIG_COUNT", "1"),
                ("GIT_CONFIG_KEY_0", "a.b"),
            ],
        ] {
            assert!(run(&[], shell).contains("GIT_CONFIG_GLOBAL=/dev/null\n"));
        }
    }
}
