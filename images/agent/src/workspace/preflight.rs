//! Asks the host before the agent is paid if it takes the run's pushes.

use std::time::Duration;

use axon_api::TaskReason;
use axon_api::contract::env as names;
use axon_api::git::Repository;

use super::clone::{Clone, EVIDENCE_LINES};
use super::git_error::{Fault, evidence};
use super::plan::Advertised;
use crate::failure::Failure;
use crate::say;
use crate::subprocess::{Call, End};

/// Longest time that the host's answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Value of the variable that switches the question off.
const OFF: &str = "off";
/// Other values with that meaning.
const ALSO_OFF: [&str; 3] = ["false", "0", "no"];
/// Values that leave the question on.
const ON: [&str; 5] = ["on", "true", "1", "yes", ""];

/// The host's answer about pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The credential may push. Rules for single branches show only at a real push.
    Granted,
    /// No push can succeed.
    Refused(Cause),
    /// The host gave no answer, or none that is known.
    Unknown,
}

/// Why no push can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The repository is archived.
    Archived,
    /// There is no credential, or the host does not accept it.
    Credential,
    /// The credential is for reading.
    ReadOnly,
}

/// The consequence of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the run goes on.
    Go,
    /// A line in the log.
    Warn,
    /// The Task fails with this reason.
    Fail(TaskReason),
}

/// Transport to the host, as far as it decides about credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    /// `https` or `http`: a token.
    Http,
    /// A key.
    Ssh,
    /// `git`: neither.
    Git,
}

impl Scheme {
    fn of(repository: Option<&Repository>) -> Self {
        match repository {
            Some(repository) if repository.is_ssh => Self::Ssh,
            Some(repository) if !repository.is_http => Self::Git,
            _ => Self::Http,
        }
    }
}

/// Hosts that ask for a credential, or do not accept the one that they got.
const CREDENTIAL: [&str; 7] = [
    "could not read username",
    "could not read password",
    "authentication failed",
    "returned error: 401",
    "saml sso",
    "are forbidden from accessing this repository",
    "permission denied (",
];
/// GitHub, GitLab, Bitbucket, Gitea, Azure DevOps, gitolite, and git's own servers. No single word that a company's
/// greeting over SSH may have, such as "unauthorized", and no text without a space that a repository's name may have.
const READ_ONLY: [&str; 17] = [
    "returned error: 403",
    "returned error: 405",
    "write access",
    "denied to ",
    " read-only",
    " read only",
    "not allowed to push",
    "not allowed to upload",
    "pushing over http is not allowed",
    "can't push code",
    "repository access denied",
    "permission denied for writing",
    "not authorized to write",
    "tf401027",
    "denied by ",
    "service not enabled",
    "access denied or repository not exported",
];

impl Answer {
    /// Reads how `git push --dry-run` of nothing has ended.
    #[must_use]
    pub fn of(end: &End, stderr: &str) -> Self {
        let text = stderr.to_ascii_lowercase();
        let any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        // An empty repository has nothing in common with ours, and git calls that a failure.
        if *end == End::Success || text.contains("no refs in common") {
            Self::Granted
        } else if *end != End::Failure(Some(1)) && *end != End::Failure(Some(128)) {
            Self::Unknown
        } else if any(&[" archived "]) {
            Self::Refused(Cause::Archived)
        } else if Fault::is_limit(&text) {
            Self::Unknown
        } else if any(&CREDENTIAL) {
            Self::Refused(Cause::Credential)
        } else if any(&READ_ONLY) || (text.contains("fatal: repository '") && text.contains("not found")) {
            Self::Refused(Cause::ReadOnly)
        } else {
            Self::Unknown
        }
    }

    /// Returns what is done about it. `has_branch`: the Task names a branch, so that its work is to be pushed.
    /// `has_credential`: the Workspace has a credential for pushes. Without one, a branch may only keep Tasks apart.
    #[must_use]
    pub fn verdict(self, has_branch: bool, has_credential: bool) -> Verdict {
        match self {
            Self::Granted => Verdict::Go,
            Self::Refused(cause) if has_branch && has_credential => Verdict::Fail(match cause {
                Cause::Archived => TaskReason::CloneFailed,
                Cause::Credential | Cause::ReadOnly => TaskReason::AuthFailed,
            }),
            Self::Refused(_) | Self::Unknown => Verdict::Warn,
        }
    }

    fn advice(self, scheme: Scheme) -> Option<String> {
        let otherwise = format!(
            "if the Task pushes nothing there, set {}={OFF} in podOverrides.env",
            names::PUSH_CHECK
        );
        match self {
            Self::Refused(Cause::Archived) => Some(format!(
                "unarchive the repository, or name another one in spec.repo of the Workspace; {otherwise}"
            )),
            Self::Refused(Cause::ReadOnly | Cause::Credential) if scheme == Scheme::Git => Some(format!(
                "git:// takes no credential: use an https:// or ssh:// URL in spec.repo of the Workspace; {otherwise}"
            )),
            Self::Refused(Cause::ReadOnly) => {
                let (what, how) = match scheme {
                    Scheme::Ssh => ("key", "a deploy key: Allow write access"),
                    _ => ("token", "GitHub: Contents, read and write"),
                };
                Some(format!(
                    "give the {what} in the Secret of spec.secretRef write access ({how}); {otherwise}"
                ))
            }
            _ => None,
        }
    }
}

/// Returns true if the host is known to be GitHub's own: it has its API on a host of its own.
pub(super) fn is_github(repository: &Repository) -> bool {
    !repository.github_api().ends_with("/api/v3")
}

/// Returns why GitHub takes no branch of this name, if it does not.
#[must_use]
pub fn name_fault(repository: &Repository, branch: &str) -> Option<&'static str> {
    if !is_github(repository) {
        None
    } else if branch.starts_with("refs/") {
        Some("begins with \"refs/\", which GitHub refuses: name it without \"refs/heads/\"")
    } else if branch.len() == 40 && branch.chars().all(|c| c.is_ascii_hexdigit()) {
        Some("looks like the id of a commit, which GitHub refuses")
    } else {
        None
    }
}

/// Returns a warning about a name that another host than GitHub takes, though it is hardly what was meant.
#[must_use]
pub fn name_warning(repository: &Repository, branch: &str) -> Option<String> {
    let name = branch.strip_prefix("refs/heads/")?;
    (!is_github(repository)).then(|| {
        format!("branch {branch:?} is pushed as refs/heads/{branch}: write {name:?} in spec.branch for the branch of that name")
    })
}

/// Returns whether the host is asked about pushes.
///
/// # Errors
/// `InvalidConfig` for a value that is neither on nor off.
pub fn is_asked(value: Option<&str>) -> Result<bool, Failure> {
    let value = value.unwrap_or_default();
    let word = value.trim().to_ascii_lowercase();
    if word == OFF || ALSO_OFF.contains(&word.as_str()) {
        Ok(false)
    } else if ON.contains(&word.as_str()) {
        Ok(true)
    } else {
        Err(Failure::invalid(format!(
            "{} in podOverrides.env is {value:?}: it is on or {OFF}",
            names::PUSH_CHECK
        )))
    }
}

impl Clone<'_> {
    /// Fails, or says so, if what the run is to do can't be pushed. The agent would learn of it when all of its work is
    /// done.
    pub(super) fn preflight(&self, advertised: &Advertised) -> Result<(), Failure> {
        let is_asked = is_asked(self.env.text(names::PUSH_CHECK))?;
        let repository = Repository::parse(&self.remote.url).ok();
        if let Some(branch) = self.branch {
            if let Some(fault) = repository
                .as_ref()
                .and_then(|repository| name_fault(repository, branch))
            {
                return Err(Failure::invalid(format!("branch {branch:?} {fault}")));
            }
            if let Some(warning) = repository.as_ref().and_then(|at| name_warning(at, branch)) {
                say!("warning: {warning}");
            }
            if let Some(other) = advertised.in_the_way_of(branch) {
                return Err(Failure::invalid(format!(
                    "branch {branch:?} can't be pushed to {}, which has a branch {other:?}: name another one in spec.branch",
                    self.remote.shown
                )));
            }
        }
        if !is_asked {
            return Ok(());
        }
        self.ask_for_pushes(repository.as_ref())?;
        if let (Some(branch), Some(repository)) = (self.branch, &repository) {
            self.tell_of_rules(repository, branch, !advertised.has_branch(branch));
        }
        Ok(())
    }

    /// Asks the host whether it takes pushes. The repository here is still empty, so that nothing could be pushed even
    /// without `--dry-run`: the host lists what it has, if the credential may push.
    fn ask_for_pushes(&self, repository: Option<&Repository>) -> Result<(), Failure> {
        let scheme = Scheme::of(repository);
        let has_credential = self.has_token() || scheme == Scheme::Ssh;
        if self.branch.is_none() && !has_credential {
            return Ok(());
        }
        let output = self.start(&Call {
            limit: Some(LIMIT),
            ..self.in_clone(vec!["push", "--dry-run", "--no-verify", "origin", ":"])
        })?;
        let answer = Answer::of(&output.end, &output.stderr);
        let verdict = answer.verdict(self.branch.is_some(), has_credential);
        if verdict == Verdict::Go {
            return Ok(());
        }
        let shown = &self.remote.shown;
        let said = match &output.end {
            End::TimedOut(limit) => format!("no answer for {}s", limit.as_secs()),
            _ => evidence(&output.stderr, EVIDENCE_LINES),
        };
        let advice = self.advice(&output.stderr).or_else(|| answer.advice(scheme));
        let advice = advice.map(|advice| format!("\n{advice}")).unwrap_or_default();
        let told = |what: &str| self.secrets.scrub(&format!("{what}: {said}{advice}"));
        match (verdict, self.branch) {
            (Verdict::Fail(reason), Some(branch)) => Err(Failure {
                reason,
                message: told(&format!("branch {branch:?} can't be pushed to {shown}")),
            }),
            _ if answer == Answer::Unknown => {
                say!(
                    "warning: {}",
                    told(&format!("can't find out whether {shown} takes pushes"))
                );
                Ok(())
            }
            _ => {
                say!(
                    "warning: {}",
                    told(&format!("{shown} takes no pushes of this Task"))
                );
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
