//! What git's messages mean.

use std::time::Duration;

use axon_api::TaskReason;

/// How a git command failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host refuses the credential, or wants one.
    Auth,
    /// The network or the server failed in a way that may pass.
    Transient,
    /// Anything else.
    Other,
}

const AUTH: [&str; 15] = [
    "could not read username",
    "could not read password",
    "authentication failed",
    "authentication required",
    "authorization failed",
    "invalid username or password",
    "invalid username or token",
    "permission denied (",
    "returned error: 401",
    "returned error: 403",
    "http basic: access denied",
    "write access to repository not granted",
    "terminal prompts disabled",
    "sso authorization",
    "bad credentials",
];
const TRANSIENT: [&str; 22] = [
    "could not resolve host",
    "could not resolve hostname",
    "temporary failure in name resolution",
    "unable to look up",
    "connection refused",
    "connection reset",
    "connection timed out",
    "connection was reset",
    "operation timed out",
    "timeout was reached",
    "network is unreachable",
    "no route to host",
    "failed to connect to",
    "operation too slow",
    "less than 1 bytes/sec",
    "early eof",
    "unexpected disconnect",
    "empty reply from server",
    "rpc failed",
    "the remote end hung up unexpectedly",
    "returned error: 429",
    "ssl_error_syscall",
];

impl Fault {
    /// Reads git's standard error. Authentication wins: ssh reports it along with a hang-up.
    #[must_use]
    pub fn of(stderr: &str) -> Self {
        let text = stderr.to_ascii_lowercase();
        let any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if any(&AUTH) {
            Self::Auth
        } else if any(&TRANSIENT) || text.contains("returned error: 5") {
            Self::Transient
        } else {
            Self::Other
        }
    }

    /// Returns the reason for the Task's status.
    #[must_use]
    pub fn reason(self) -> TaskReason {
        match self {
            Self::Auth => TaskReason::AuthFailed,
            Self::Transient | Self::Other => TaskReason::CloneFailed,
        }
    }

    /// Returns how long to wait before try number `next` (2 is the first repetition), or `None` to give up.
    #[must_use]
    pub fn retry(self, next: u32) -> Option<Duration> {
        match (self, next) {
            (Self::Transient, 2..=4) => Some(Duration::from_secs(1 << (next - 2))),
            _ => None,
        }
    }
}

/// Returns the lines of git's standard error that are worth reading: its last `max` ones, without progress.
#[must_use]
pub fn evidence(stderr: &str, max: usize) -> String {
    let lines: Vec<&str> = stderr
        .split(['\n', '\r'])
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty() && !is_progress(line))
        .collect();
    let from = lines.len().saturating_sub(max);
    lines.get(from..).unwrap_or_default().join("\n")
}

fn is_progress(line: &str) -> bool {
    let line = line.trim_start_matches("remote: ");
    [
        "Enumerating",
        "Counting",
        "Compressing",
        "Receiving",
        "Resolving deltas",
        "Updating files",
        "Total ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_git_says() {
        for (text, fault) in [
            (
                "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                Fault::Auth,
            ),
            (
                "remote: Invalid username or token.\nfatal: Authentication failed for 'https://github.com/a/b/'",
                Fault::Auth,
            ),
            (
                "fatal: unable to access 'https://h/x/': The requested URL returned error: 403",
                Fault::Auth,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Fault::Auth,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://h/x/' not found",
                Fault::Other,
            ),
            ("fatal: couldn't find remote ref refs/heads/x", Fault::Other),
            (
                "fatal: remote error: access denied or repository not exported: /x",
                Fault::Other,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Fault::Other,
            ),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h",
                Fault::Transient,
            ),
            (
                "fatal: unable to access 'http://h/x/': Failed to connect to h port 80 after 0 ms: Couldn't connect to server",
                Fault::Transient,
            ),
            (
                "fatal: unable to access 'https://h/x/': The requested URL returned error: 502",
                Fault::Transient,
            ),
            (
                "error: RPC failed; curl 56 Recv failure: Connection reset by peer",
                Fault::Transient,
            ),
            (
                "fatal: unable to connect to 127.0.0.1:\n127.0.0.1[0: 127.0.0.1]: errno=Connection refused",
                Fault::Transient,
            ),
        ] {
            assert_eq!(Fault::of(text), fault, "{text}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again_and_three_times_at_most() {
        let seconds = |fault: Fault| {
            (2..7)
                .map_while(|n| fault.retry(n))
                .map(|d| d.as_secs())
                .collect::<Vec<_>>()
        };
        assert_eq!(seconds(Fault::Transient), [1, 2, 4]);
        assert!(seconds(Fault::Auth).is_empty());
        assert!(seconds(Fault::Other).is_empty());
        assert_eq!(Fault::Auth.reason(), TaskReason::AuthFailed);
    }

    #[test]
    fn evidence_is_git_s_last_words_without_progress() {
        let text = "remote: Counting objects: 5% (1/20)\rremote: Counting objects: 100%\nReceiving objects: 1%\r\nhint: x\nfatal: y\n\n";
        assert_eq!(evidence(text, 5), "hint: x\nfatal: y");
        assert_eq!(evidence(text, 1), "fatal: y");
    }
}
