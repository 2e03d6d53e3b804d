//! An agent whose checked-out tree is not to configure it.
//!
//! `axon-agent workspace` has put the default branch's files into the places of the tree's. CLIs that can do without a project's
//! settings do: what they would read are programs, and those of the default branch may start others of the tree. Its
//! instructions are words alone, and reach the model with those of the Task.

use std::fs;
use std::path::Path;

use axon_api::v1alpha1::Trust;

use super::Setup;

/// Longest file of instructions that counts, in bytes.
const LONGEST: u64 = 256 * 1024;

/// Returns true if the tree is not to configure the agent.
#[must_use]
pub fn applies(setup: &Setup<'_>) -> bool {
    setup.env.trust() == Trust::Base
}

/// Returns the instructions for the agent: the Task's, and those of the default branch in the first file of `names` that is
/// there, if the CLI is not to read it by itself.
#[must_use]
pub fn instructions(setup: &Setup<'_>, names: &[&str]) -> Option<String> {
    let own = setup.instructions.clone();
    if !applies(setup) {
        return own;
    }
    let found = names.iter().find_map(|name| read(Path::new("."), name));
    let found = found.map(|text| format!("# Instructions of the repository\n\n{}\n", text.trim()));
    match (own, found) {
        (Some(own), Some(found)) => Some(format!("{}\n\n{found}", own.trim_end())),
        (own, found) => own.or(found),
    }
}

/// Reads a file of the directory; a symbolic link may lead to another file in it.
fn read(dir: &Path, name: &str) -> Option<String> {
    let root = fs::canonicalize(dir).ok()?;
    let file = fs::canonicalize(dir.join(name)).ok()?;
    let data = fs::metadata(&file).ok()?;
    let is_good = file.starts_with(&root) && data.is_file() && data.len() <= LONGEST;
    let text = is_good.then(|| fs::read(&file).ok()).flatten()?;
    // As the CLIs read it: a byte that is no UTF-8 costs no instructions.
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn instructions_are_files_of_the_repository() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("AGENTS.md"), "be kind").unwrap();
        symlink("AGENTS.md", dir.path().join("CLAUDE.md")).unwrap();
        fs::write(outside.path().join("x"), "secret").unwrap();
        symlink(outside.path().join("x"), dir.path().join("GEMINI.md")).unwrap();
        fs::create_dir(dir.path().join("dir.md")).unwrap();
        fs::write(dir.path().join("latin.md"), b"caf\xe9").unwrap();
        let text = "x".repeat(256 * 1024 + 1);
        fs::write(dir.path().join("long.md"), text).unwrap();
        let read = |name: &str| read(dir.path(), name);
        assert_eq!(read("AGENTS.md").as_deref(), Some("be kind"));
        assert_eq!(read("CLAUDE.md").as_deref(), Some("be kind"));
        assert_eq!(read("latin.md").as_deref(), Some("caf\u{fffd}"));
        for name in ["GEMINI.md", "dir.md", "long.md", "none.md"] {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
