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

/// Said with any status, 403 too.
const LIMITED: [&str; 3] = ["rate limit", "too many requests", "try again later"];
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
const TRANSIENT: [&str; 23] = [
    "could not resolve host",
    "could not resolve hostname",
    "temporary failure in name resolution",
    "unable to look up",
    "connection refused",
    "connection reset",
    "connection timed out",
    "connection was reset",
    "connection closed by",
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
    /// Reads git's standard error. Authentication wins over the network: ssh reports it along with a hang-up.
    #[must_use]
    pub fn of(stderr: &str) -> Self {
        let text = stderr.to_ascii_lowercase();
        let any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if Self::is_limit(&text) {
            Self::Transient
        } else if any(&AUTH) {
            Self::Auth
        } else if any(&TRANSIENT) || text.contains("returned error: 5") {
            Self::Transient
        } else {
            Self::Other
        }
    }

    /// Returns true for the words of a host that has had too many requests or is being maintained; `text` is lower case.
    pub(super) fn is_limit(text: &str) -> bool {
        LIMITED.iter().any(|phrase| text.contains(phrase))
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

/// Returns what to do about an error that git reports over HTTP; `has_token` is true if the Workspace's Secret has a token for the
/// repository. [`super::remote::Remote::advice`] knows redirects.
#[must_use]
pub fn advice(stderr: &str, has_token: bool) -> Option<String> {
    let text = stderr.to_ascii_lowercase();
    let any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    let advice = if any(&["could not read username", "could not read password"]) {
        if has_token {
            // git's credential helper has said why it gave none.
            return None;
        }
        "the host wants a credential: put a token as GITHUB_TOKEN into a Secret, and name it in spec.secretRef of the \
         Workspace"
    } else if any(&["update url base from redirection"]) {
        "the host answers with another page, such as that of a log-in: check spec.repo of the Workspace"
    } else if any(&["saml sso", "sso authorization"]) {
        "authorize the token for the organization's single sign-on (`Configure SSO` beside the token on GitHub), or \
         put one that is into the Secret of spec.secretRef"
    } else if any(&["tokens (classic) are forbidden", "access tokens are forbidden"]) {
        "put a token of a kind that the organization allows into the Secret of spec.secretRef"
    } else if has_token
        && any(&[
            "authentication failed",
            "invalid username or",
            "bad credentials",
            "returned error: 401",
        ])
    {
        "the host does not accept the token: it has expired, was revoked, or is another host's. Put a new one as \
         GITHUB_TOKEN into the Secret of spec.secretRef"
    } else if has_token && text.contains("not found") {
        "check spec.repo of the Workspace; hosts also say so of a repository that the token may not read"
    } else {
        return None;
    };
    Some(advice.to_owned())
}

/// Returns a line about service meshes for an error after all tries, or nothing if no mesh causes such an error. A mesh sends the
/// connections of init containers to its proxy, which starts after them.
#[must_use]
pub fn of_a_mesh(stderr: &str) -> &'static str {
    let text = stderr.to_ascii_lowercase();
    let is_unreachable = [
        "connection refused",
        "failed to connect to",
        "couldn't connect to server",
        "network is unreachable",
        "no route to host",
    ];
    if is_unreachable.iter().any(|phrase| text.contains(phrase)) {
        "\nin a service mesh the sidecar has to be a native one or left out: see \"Sidecars\" in docs/pipelines.md"
    } else {
        ""
    }
}

/// Returns the lines of git's standard error that are worth reading: its last `max` ones, without progress and general advice.
#[must_use]
pub fn evidence(stderr: &str, max: usize) -> String {
    let lines: Vec<&str> = stderr
        .split(['\n', '\r'])
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty() && !is_progress(line) && !ADVICE.contains(line))
        .collect();
    let from = lines.len().saturating_sub(max);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Advice that git prints after every failure.
const ADVICE: [&str; 2] = [
    "Please make sure you have the correct access rights",
    "and the repository exists.",
];

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
                "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'https://h/x/': The requested URL returned error: 403",
                Fault::Transient,
            ),
            (
                "fatal: unable to access 'https://h/x/': The requested URL returned error: 429",
                Fault::Transient,
            ),
            (
                "Connection closed by 192.0.2.1 port 22\nfatal: Could not read from remote repository.",
                Fault::Transient,
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
    fn errors_about_credentials_come_with_what_to_do() {
        let wants = "fatal: could not read Username for 'https://h': terminal prompts disabled";
        let refused = "remote: Invalid username or token. Password authentication is not supported for Git operations.\nfatal: Authentication failed for 'https://github.com/o/r/'";
        let sso = "remote: The 'acme' organization has enabled or enforced SAML SSO.\nremote: To access this repository, you must re-authorize the OAuth Application.\nfatal: unable to access 'https://github.com/acme/r/': The requested URL returned error: 403";
        let page = "fatal: unable to update url base from redirection:\n  asked for: https://h/r/info/refs?service=git-upload-pack\n   redirect: https://h/users/sign_in";
        let forbidden = "remote: Personal access tokens (classic) are forbidden from accessing this repository.\nfatal: unable to access 'https://github.com/o/r/': The requested URL returned error: 403";
        let missing = "remote: Repository not found.\nfatal: repository 'https://h/x/' not found";
        for (said, has_token, part) in [
            (wants, false, "name it in spec.secretRef"),
            (refused, true, "it has expired, was revoked"),
            (sso, true, "Configure SSO"),
            (forbidden, true, "of a kind that the organization allows"),
            (page, false, "that of a log-in"),
            (missing, true, "may not read"),
        ] {
            let advice = advice(said, has_token).unwrap_or_default();
            assert!(advice.contains(part), "{said}: {advice}");
        }
        for (said, has_token) in [(wants, true), (missing, false), ("fatal: early EOF", true)] {
            assert_eq!(advice(said, has_token), None, "{said}");
        }
    }

    #[test]
    fn only_a_host_that_is_not_reached_may_be_behind_a_mesh() {
        for (said, is) in [
            (
                "fatal: unable to connect to h:\nh[0: 192.0.2.1]: errno=Connection refused",
                true,
            ),
            (
                "fatal: unable to access 'http://h/': Failed to connect to h port 80 after 0 ms",
                true,
            ),
            ("ssh: connect to host h port 22: Network is unreachable", true),
            ("ssh: connect to host h port 22: No route to host", true),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h",
                false,
            ),
            (
                "fatal: unable to access 'https://h/x/': The requested URL returned error: 502",
                false,
            ),
        ] {
            assert_eq!(of_a_mesh(said).contains("docs/pipelines.md"), is, "{said}");
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
        let text = "remote: Counting objects: 5% (1/20)\rremote: Counting objects: 100%\nReceiving objects: 1%\r\nhint: x\nfatal: y\n\nPlease make sure you have the correct access rights\nand the repository exists.\n";
        assert_eq!(evidence(text, 5), "hint: x\nfatal: y");
        assert_eq!(evidence(text, 1), "fatal: y");
    }
}
