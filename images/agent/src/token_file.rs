//! The GitHub token that is good now. That of a GitHub App ends after an hour; the operator renews it, and the kubelet
//! brings it into a file. Variables keep the first one, so what needs a token reads the file each time.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use axon_api::contract::{GITHUB_DIR, env as names};
use axon_api::git::gh_token_variable;

use crate::agent::Launch;
use crate::env::Env;
use crate::subprocess::{dir_first, quoted};

/// Returns the file, if there is one. Agents that keep variables with TOKEN in their names from their commands must
/// not make git blind: the file is also found where the operator always puts it.
#[must_use]
pub fn file(env: &Env) -> Option<PathBuf> {
    let usual = || Path::new(GITHUB_DIR).join(names::GITHUB_TOKEN);
    let file = env
        .path(names::GITHUB_TOKEN_FILE)
        .map_or_else(usual, Path::to_owned);
    file.is_file().then_some(file)
}

/// Returns the token: the file's, or that of the variable.
#[must_use]
pub fn token(env: &Env) -> Option<String> {
    let renewed = file(env).and_then(|file| read(&file));
    renewed.or_else(|| env.text(names::GITHUB_TOKEN).and_then(bare))
}

/// Returns a token without what a file or an editor has put around it.
fn bare(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// Returns the token in a file, if one is there.
#[must_use]
pub fn read(file: &Path) -> Option<String> {
    bare(&fs::read_to_string(file).ok()?)
}

/// Returns the variable that `gh` reads first for the Workspace's host.
fn variable(env: &Env) -> &'static str {
    let host = env.text(names::GH_HOST).filter(|host| !host.is_empty());
    host.map_or(names::GH_TOKEN, gh_token_variable)
}

/// Returns the variables with which `gh` uses the token that is good now, if that is another than the variables have.
#[must_use]
pub fn for_gh(env: &Env) -> Vec<(&'static str, OsString)> {
    let renewed = file(env).and_then(|file| read(&file));
    renewed
        .map(|token| (variable(env), token.into()))
        .into_iter()
        .collect()
}

/// Puts a `gh` first in the agent's `PATH` that reads the file at each call.
pub fn wrap_gh(env: &Env, launch: &mut Launch) {
    let (Some(file), Some(gh)) = (file(env), env.program("gh")) else {
        return;
    };
    let dir = env.home().join(".axon/bin");
    let script = format!(
        "#!/bin/sh\naxon_token=$(cat {file} 2>/dev/null)\nif [ -n \"$axon_token\" ]; then\n  export {variable}=\"$axon_token\"\nfi\n\
         exec {gh} \"$@\"\n",
        file = quoted(&file.to_string_lossy()),
        variable = variable(env),
        gh = quoted(&gh.to_string_lossy()),
    );
    launch.programs.push((dir.join("gh"), script));
    if !launch.set.iter().any(|(name, _)| *name == "PATH")
        && let Some(path) = dir_first(env, &dir)
    {
        launch.set.push(("PATH", path));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    struct World {
        dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let world = Self {
                dir: tempfile::tempdir().unwrap(),
            };
            world.program("gh", "#!/bin/sh\necho \"$GH_TOKEN $GH_ENTERPRISE_TOKEN $*\"\n");
            world
        }

        fn path(&self, name: &str) -> String {
            self.dir.path().join(name).to_str().unwrap().to_owned()
        }

        fn program(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn env(&self, more: &[(&str, &str)]) -> Env {
            let (home, bin, file) = (self.path("home"), self.path(""), self.path("token"));
            let all = [
                ("HOME", home.as_str()),
                ("PATH", &bin),
                ("AXON_GITHUB_TOKEN_FILE", &file),
                ("GITHUB_TOKEN", "first"),
            ];
            all.into_iter().chain(more.iter().copied()).collect()
        }
    }

    #[test]
    fn the_file_wins_and_is_read_each_time() {
        let w = World::new();
        let env = w.env(&[]);
        assert_eq!(token(&env).as_deref(), Some("first"), "not there yet");
        for text in ["second\n", "third"] {
            fs::write(w.path("token"), text).unwrap();
            assert_eq!(token(&env).as_deref(), Some(text.trim()));
        }
        fs::write(w.path("token"), "\n").unwrap();
        assert_eq!(token(&env).as_deref(), Some("first"));
        assert_eq!(
            token(&w.env(&[("GITHUB_TOKEN", "first\r\n")])).as_deref(),
            Some("first")
        );
        assert_eq!(token(&w.env(&[("GITHUB_TOKEN", "\n")])), None);
        assert!(for_gh(&env).is_empty());
    }

    #[test]
    fn gh_gets_the_token_that_is_good_at_the_call() {
        let w = World::new();
        for (more, said) in [
            (&[][..], ["second  pr list", "third  pr list"]),
            (&[("GH_HOST", "ghe")], [" second pr list", " third pr list"]),
            (
                &[("GH_HOST", "octo.ghe.com")],
                ["second  pr list", "third  pr list"],
            ),
        ] {
            let env = w.env(more);
            fs::write(w.path("token"), "second").unwrap();
            let mut launch = Launch::default();
            wrap_gh(&env, &mut launch);
            let (path, script) = &launch.programs[0];
            w.program("home/.axon/bin/gh", script);
            assert_eq!(path, &w.dir.path().join("home/.axon/bin/gh"));
            let run = || {
                let output = Command::new(path).args(["pr", "list"]).output().unwrap();
                String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
            };
            assert_eq!(run(), said[0]);
            fs::write(w.path("token"), "third").unwrap();
            assert_eq!(run(), said[1]);
            let set = launch.set.iter().find(|(name, _)| *name == "PATH").unwrap();
            assert!(
                set.1
                    .to_str()
                    .unwrap()
                    .starts_with(path.parent().unwrap().to_str().unwrap())
            );
        }
    }

    #[test]
    fn without_the_file_nothing_is_wrapped() {
        let w = World::new();
        let mut launch = Launch::default();
        wrap_gh(&w.env(&[]), &mut launch);
        assert_eq!(launch, Launch::default());
    }
}
