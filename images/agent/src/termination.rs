//! The container's termination message.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use axon_api::contract;
use axon_api::outputs::Report;

use crate::env::{self, Env};

/// The open termination message. Where there is none, as outside a pod, writing does nothing.
#[derive(Debug)]
pub struct TerminationLog {
    file: Option<File>,
    length: usize,
}

impl TerminationLog {
    /// Opens the file that `env` names, or Kubernetes' default.
    #[must_use]
    pub fn open(env: &Env) -> Self {
        let path = env
            .path(env::TERMINATION_LOG)
            .unwrap_or_else(|| Path::new(contract::TERMINATION_LOG));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path);
        Self {
            file: file.ok(),
            length: 0,
        }
    }

    /// Replaces the message, in place: the file is a mount, so it can't be renamed over.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, report: &Report) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = report.to_termination_message();
        // Padded over the old text and written at once: whenever we are killed, what is there is one report.
        let padded = format!("{text:<width$}", width = self.length);
        file.write_all_at(padded.as_bytes(), 0)?;
        self.length = text.len();
        file.set_len(text.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_report_leaves_nothing_of_a_longer_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let env: Env = [(env::TERMINATION_LOG, path.as_os_str())].into_iter().collect();
        let mut log = TerminationLog::open(&env);
        for message in ["long ".repeat(200), "ünï".into(), String::new(), "x".repeat(90)] {
            let report = Report {
                message: Some(message),
                ..Report::new()
            };
            log.write(&report).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, report.to_termination_message());
        }
    }

    #[test]
    fn no_file_is_no_error() {
        let env: Env = [(env::TERMINATION_LOG, "/does/not/exist")].into_iter().collect();
        TerminationLog::open(&env).write(&Report::new()).unwrap();
    }
}
