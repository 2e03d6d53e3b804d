//! Files of JSON lines that an agent keeps about its own work: some say there what their output does not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How deep below the root the files are looked for.
const DEPTH: usize = 5;

/// All files of one ending below a directory, read as they grow.
#[derive(Debug, Default)]
pub struct Journal {
    root: PathBuf,
    /// Where the first line that was not read yet begins, by file.
    read: BTreeMap<PathBuf, u64>,
}

impl Journal {
    /// Returns a journal of the `.jsonl` files below `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            read: BTreeMap::new(),
        }
    }

    /// Calls `on_line` with each complete line that was not read before, and its file. What can't be read is left out: figures
    /// from here complete those of the output, and a run does not fail for want of them.
    pub fn news(&mut self, mut on_line: impl FnMut(&Path, &[u8])) {
        for path in files(&self.root, DEPTH) {
            let from = self.read.entry(path.clone()).or_default();
            let text = rest(&path, *from).unwrap_or_default();
            let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else {
                continue;
            };
            let complete = text.get(..=end).unwrap_or_default();
            *from += complete.len() as u64;
            for line in complete.split_inclusive(|byte| *byte == b'\n') {
                on_line(&path, line);
            }
        }
    }
}

fn rest(path: &Path, from: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut file = File::open(path)?;
    if file.metadata()?.len() > from {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Symbolic links are not followed, so that there is an end to it.
fn files(dir: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            found.extend(files(&path, depth - 1));
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "jsonl") {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn news(journal: &mut Journal) -> Vec<String> {
        let mut lines = Vec::new();
        journal.news(|_, line| lines.push(String::from_utf8_lossy(line).into_owned()));
        lines.sort();
        lines
    }

    #[test]
    fn each_complete_line_comes_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(dir.path().join("sessions"));
        assert!(news(&mut journal).is_empty());

        let day = dir.path().join("sessions/2026/11/22");
        fs::create_dir_all(&day).unwrap();
        let mut a = File::create(day.join("a.jsonl")).unwrap();
        fs::write(day.join("other.json"), "no\n").unwrap();
        a.write_all(b"one\ntwo\nth").unwrap();
        assert_eq!(news(&mut journal), ["one\n", "two\n"]);
        a.write_all(b"ree\n").unwrap();
        fs::write(dir.path().join("sessions/b.jsonl"), "b\n").unwrap();
        assert_eq!(news(&mut journal), ["b\n", "three\n"]);
        assert!(news(&mut journal).is_empty());
    }

    #[test]
    fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        fs::write(dir.path().join("a.jsonl"), "a\n").unwrap();
        assert_eq!(news(&mut Journal::new(dir.path().into())), ["a\n"]);
    }
}
