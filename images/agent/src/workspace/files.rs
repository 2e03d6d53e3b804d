//! Files of a Workspace, written into the clone and nowhere else.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use axon_api::file_path::components;
use axon_api::v1alpha1::WorkspaceFile;
use nix::libc;

use crate::failure::Failure;

/// Returns the failure for a path that can't be written to.
#[must_use]
pub fn invalid(path: &str, fault: &str) -> Failure {
    Failure::invalid(format!("file {path:?} {fault}"))
}

/// Writes all files below `root`.
///
/// # Errors
/// `InvalidConfig` for a bad path, also one that a symbolic link in the repository leads elsewhere;
/// `CloneFailed` when the file system refuses.
pub fn write(root: &Path, files: &[WorkspaceFile]) -> Result<(), Failure> {
    for file in files {
        let parts = components(&file.path).map_err(|fault| invalid(&file.path, fault))?;
        write_one(root, &parts, &file.content).map_err(|error| match error {
            Error::Path(fault) => invalid(&file.path, fault),
            Error::Io(error) => Failure::clone_failed(format!("can't write file {:?}: {error}", file.path)),
        })?;
    }
    Ok(())
}

#[derive(Debug)]
enum Error {
    Path(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn write_one(root: &Path, parts: &[&str], content: &str) -> Result<(), Error> {
    fs::create_dir_all(root)?;
    let mut path = root.to_owned();
    let (name, parents) = parts.split_last().ok_or(Error::Path("is empty"))?;
    for part in parents {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Err(Error::Path("goes through a symbolic link")),
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(Error::Path("goes through a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&path)?,
            Err(error) => return Err(error.into()),
        }
    }
    path.push(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_symlink() => return Err(Error::Path("is a symbolic link in the repository")),
        Ok(found) if !found.is_file() => return Err(Error::Path("is a directory in the repository")),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)?;
    Ok(file.write_all(content.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use axon_api::TaskReason;

    use super::*;

    fn file(path: &str, content: &str) -> WorkspaceFile {
        WorkspaceFile {
            path: path.into(),
            content: content.into(),
        }
    }

    #[test]
    fn writes_exactly_the_content_and_replaces_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a longer text").unwrap();
        write(
            dir.path(),
            &[file("a", "x"), file("d/e/f", "ü\0\n"), file("d/empty", "")],
        )
        .unwrap();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        assert_eq!(
            (read("a"), read("d/e/f"), read("d/empty")),
            ("x".into(), "ü\0\n".into(), String::new())
        );
    }

    #[test]
    fn a_symbolic_link_leads_nowhere() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink(outside.path().join("new"), dir.path().join("link")).unwrap();
        fs::write(dir.path().join("plain"), "").unwrap();
        for path in ["out/x", "link", "out", "plain/x"] {
            let failure = write(dir.path(), &[file(path, "x")]).unwrap_err();
            assert_eq!(failure.reason, TaskReason::InvalidConfig);
            assert!(failure.message.contains(path), "{failure}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
