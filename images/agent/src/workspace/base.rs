//! Configuration of agents out of the default branch, for a tree that anybody may have written.
//!
//! Git's sparse checkout keeps the listed paths of every tree out of the working directory: of the one that is checked out now,
//! and of those that the agent checks out later, such as a pull request. The index has them as they are, so no commit of the
//! agent's changes them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use axon_api::TaskReason;

use super::clone::Clone;
use super::paths;
use super::plan::Advertised;
use crate::failure::Failure;
use crate::say;

/// The ref of the clone whose files configure the agent.
pub const BASE: &str = "refs/axon/base";
/// Most paths that are taken from the default branch.
const MOST: usize = 10_000;
/// Paths that one call of git gets as arguments.
const CHUNK: usize = 200;
/// Paths that the log names.
const NAMED: usize = 8;
/// Characters of such a path.
const LONGEST: usize = 80;

impl Clone<'_> {
    /// Keeps the listed paths out of the working directory. Before anything is checked out.
    pub(super) fn keep_out(&self) -> Result<(), Failure> {
        for (key, value) in [
            ("core.sparseCheckout", "true"),
            ("core.sparseCheckoutCone", "false"),
            // Files of the default branch in their places are no reason to look at the tree's.
            ("sparse.expectFilesOutsideOfPatterns", "true"),
        ] {
            self.git(["config", key, value])?;
        }
        let info = self.dir().join(".git/info");
        let write = || -> io::Result<()> {
            fs::create_dir_all(&info)?;
            fs::write(info.join("sparse-checkout"), paths::sparse_checkout())?;
            let mut exclude = fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(info.join("exclude"))?;
            exclude.write_all(format!("\n{}", paths::exclude()).as_bytes())
        };
        write().map_err(|error| Failure::clone_failed(format!("can't write {}: {error}", info.display())))
    }

    /// Puts the listed files of the default branch into their places, and tells what was done. If that branch can't be read,
    /// there are none.
    pub(super) fn configure(&self, advertised: &Advertised) -> Result<(), Failure> {
        let left_out = self.left_out()?;
        let (name, given) = match self.fetch_base(advertised) {
            Ok(Some(name)) => {
                let given = self.take()?;
                (name, given)
            }
            Ok(None) => {
                say!("trust Base: the repository has no default branch to configure the agent");
                ("no branch".to_owned(), Vec::new())
            }
            Err(failure) if failure.reason == TaskReason::Stopped => return Err(failure),
            Err(failure) => {
                say!("{failure}");
                say!(
                    "trust Base: the default branch can't be read, so that nothing in the repository configures the agent"
                );
                ("no branch".to_owned(), Vec::new())
            }
        };
        say!(
            "trust Base: {} of the checked-out tree left out{}; {} of {name} in their places{}",
            super::counted(left_out.len(), "path"),
            named(&left_out),
            super::counted(given.len(), "path"),
            named(&given),
        );
        Ok(())
    }

    /// Returns the paths of the checked-out tree that are not in the working directory, quoted by git.
    fn left_out(&self) -> Result<Vec<String>, Failure> {
        let listing = self.git(["ls-files", "-t"])?.stdout;
        let skipped = listing.lines().filter_map(|line| line.strip_prefix("S "));
        Ok(skipped.map(str::to_owned).collect())
    }

    /// Fetches the default branch; returns its name, or nothing if there is none.
    fn fetch_base(&self, advertised: &Advertised) -> Result<Option<String>, Failure> {
        let Some(head) = advertised.refs.get("HEAD") else {
            return Ok(None);
        };
        let (name, commit) = match &advertised.default_branch {
            Some(branch) => {
                let own = format!("refs/remotes/origin/{branch}");
                // Once more would cut off history that a branch is compared by.
                if self
                    .try_git(["rev-parse", "--quiet", "--verify", &own])?
                    .stdout
                    .trim()
                    != head
                {
                    let refs = format!("+refs/heads/{branch}:{own}");
                    self.fetch(&["--depth=1", "origin", &refs])?;
                }
                (branch.clone(), own)
            }
            None => {
                self.fetch(&["--depth=1", "origin", "HEAD"])?;
                ("HEAD".to_owned(), "FETCH_HEAD".to_owned())
            }
        };
        self.git(["update-ref", BASE, &commit])?;
        Ok(Some(name))
    }

    /// Checks the listed files of the base out beside the working directory, where no `.gitattributes` and no symbolic link of
    /// the tree is, and moves them over. Returns their paths.
    fn take(&self) -> Result<Vec<String>, Failure> {
        let aside = Aside {
            index: self.dir().join(".git/axon-index"),
            tree: self.dir().join(".git/axon-base"),
        };
        let failed = |error: io::Error| {
            Failure::clone_failed(format!("can't take files of the default branch: {error}"))
        };
        fs::create_dir_all(&aside.tree).map_err(failed)?;
        self.aside(&aside, &["read-tree", BASE])?;
        let specs = paths::pathspecs();
        let args = ["ls-files", "-z", "--"].into_iter();
        let args: Vec<&str> = args.chain(specs.iter().map(String::as_str)).collect();
        let listing = self.aside(&aside, &args)?;
        let all: Vec<&str> = listing.split('\0').filter(|path| paths::is_given(path)).collect();
        if all.len() > MOST {
            say!(
                "trust Base: only {MOST} of {} paths of the default branch are taken",
                all.len()
            );
        }
        let all = all.get(..MOST).unwrap_or(&all);
        let mut given = Vec::new();
        for chunk in all.chunks(CHUNK) {
            let args = ["checkout-index", "--quiet", "--"].into_iter();
            let args: Vec<&str> = args.chain(chunk.iter().copied()).collect();
            self.aside(&aside, &args)?;
            for path in chunk {
                if place(&aside.tree, self.dir(), path).map_err(failed)? {
                    given.push((*path).to_owned());
                }
            }
        }
        fs::remove_dir_all(&aside.tree).map_err(failed)?;
        fs::remove_file(&aside.index).map_err(failed)?;
        Ok(given)
    }

    /// Runs git on an index and a working directory of our own.
    fn aside(&self, aside: &Aside, args: &[&str]) -> Result<String, Failure> {
        let mut call = self.in_clone(
            ["-c", "core.sparseCheckout=false"]
                .iter()
                .chain(args)
                .copied()
                .collect(),
        );
        call.unset
            .retain(|name| !["GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_DIR"].contains(name));
        call.set.extend([
            ("GIT_DIR", self.dir().join(".git").into()),
            ("GIT_INDEX_FILE", aside.index.clone().into()),
            ("GIT_WORK_TREE", aside.tree.clone().into()),
        ]);
        call.dir = Some(aside.tree.clone());
        Ok(self.done("can't take files of the default branch", &call)?.stdout)
    }
}

/// An index and a working directory beside the clone's own.
struct Aside {
    index: PathBuf,
    tree: PathBuf,
}

/// Moves a file of the base to its place; returns false if it has none.
fn place(from: &Path, to: &Path, path: &str) -> io::Result<bool> {
    let (source, target) = (from.join(path), to.join(path));
    let Ok(data) = fs::symlink_metadata(&source) else {
        return Ok(false);
    };
    let is_good = if data.is_symlink() {
        let link = fs::read_link(&source)?;
        link.to_str()
            .is_some_and(|link| paths::leads_to_given(path, link))
    } else {
        data.is_file()
    };
    if !is_good || !has_directory(to, path)? || fs::symlink_metadata(&target).is_ok() {
        return Ok(false);
    }
    fs::rename(&source, &target)?;
    Ok(true)
}

/// Returns whether the directory of `path` is one, and no symbolic link leads to it. It is made only where it is configuration
/// itself: where the tree has no such directory, or something else in its place, no agent reads files in it.
fn has_directory(root: &Path, path: &str) -> io::Result<bool> {
    let own = paths::listed(path).unwrap_or(usize::MAX);
    let parts: Vec<&str> = path.split('/').collect();
    let mut dir = root.to_owned();
    for (part, count) in parts.iter().zip(1..parts.len()) {
        dir.push(part);
        match fs::symlink_metadata(&dir) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) if count < own => return Ok(false),
            Err(_) => fs::create_dir(&dir)?,
        }
    }
    Ok(true)
}

fn short(path: &str) -> String {
    if path.chars().count() <= LONGEST {
        return path.to_owned();
    }
    path.chars().take(LONGEST).chain(['…']).collect()
}

fn named(paths: &[String]) -> String {
    let shown: Vec<String> = paths.iter().take(NAMED).map(|path| short(path)).collect();
    match paths.len() {
        0 => String::new(),
        n if n > NAMED => format!(" ({}, and {} more)", shown.join(", "), n - NAMED),
        _ => format!(" ({})", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_go_to_their_places_and_through_no_link() {
        let (from, to, outside) = (
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
            tempfile::tempdir().unwrap(),
        );
        let (from, to) = (from.path(), to.path());
        for path in [
            "CLAUDE.md",
            ".claude/skills/x/SKILL.md",
            "a/CLAUDE.md",
            "link/CLAUDE.md",
            "file/CLAUDE.md",
            "gone/CLAUDE.md",
            ".agents/x",
        ] {
            fs::create_dir_all(from.join(path).parent().unwrap()).unwrap();
            fs::write(from.join(path), path).unwrap();
        }
        symlink("CLAUDE.md", from.join("AGENTS.md")).unwrap();
        symlink("scripts/x", from.join("GEMINI.md")).unwrap();
        fs::create_dir(to.join("a")).unwrap();
        symlink(outside.path(), to.join("link")).unwrap();
        fs::write(to.join("file"), "").unwrap();
        symlink(outside.path(), to.join(".agents")).unwrap();
        let place = |path: &str| super::place(from, to, path).unwrap();
        for path in ["CLAUDE.md", ".claude/skills/x/SKILL.md", "a/CLAUDE.md"] {
            assert!(place(path), "{path}");
            assert_eq!(fs::read_to_string(to.join(path)).unwrap(), path);
        }
        assert!(place("AGENTS.md"));
        assert_eq!(fs::read_to_string(to.join("AGENTS.md")).unwrap(), "CLAUDE.md");
        for path in [
            "GEMINI.md",
            "link/CLAUDE.md",
            "file/CLAUDE.md",
            "gone/CLAUDE.md",
            ".agents/x",
            "not/there",
        ] {
            assert!(!place(path), "{path}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(!to.join("gone").exists());
    }

    #[test]
    fn the_log_names_some() {
        let paths = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(named(&[]), "");
        assert_eq!(named(&paths(2)), " (0, 1)");
        assert_eq!(named(&["é".repeat(81)]), format!(" ({}…)", "é".repeat(80)));
        assert_eq!(named(&paths(10)), " (0, 1, 2, 3, 4, 5, 6, 7, and 2 more)");
    }
}
