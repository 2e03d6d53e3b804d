//! Clones the repository and sets up the branch, with the `git` program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axon_api::TaskReason;
use axon_api::contract::env as names;
use axon_api::git::{branch_fault, normalised_ref, ref_advice, ref_fault};
use axon_api::v1alpha1::Trust;
use nix::sys::signal::Signal;

use super::git_error::{self, Fault, evidence};
use super::plan::{ALL_REFS, Advertised, Target, patterns};
use super::remote::Remote;
use super::ssh::Access;
use crate::ca;
use crate::env::Env;
use crate::failure::Failure;
use crate::say;
use crate::secrets::Secrets;
use crate::signals;
use crate::subprocess::{Call, End, Output};
use crate::token_file;

/// A server that does not list its refs in this time is dead.
const LIST_LIMIT: Duration = Duration::from_secs(60);
/// A transfer that shows no progress for this time is dead. Generous: a server may prepare a big pack in silence.
const SILENCE: Duration = Duration::from_secs(180);
/// Lines of git's own words in a message.
pub(super) const EVIDENCE_LINES: usize = 8;
/// History fetched to find where an existing branch left its base, before all of it is.
const DEEPER: &str = "--depth=200";

/// Settings of our own git calls; none of them is written to the clone.
const SETTINGS: [&str; 8] = [
    // Nothing out of the repository runs while we prepare it.
    "core.hooksPath=/dev/null",
    "core.askPass=",
    "advice.detachedHead=false",
    "maintenance.auto=false",
    "gc.auto=0",
    "init.defaultBranch=main",
    // Servers that prepare a pack send about one byte per second, dead ones none.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
];

/// Identity of commits where nobody gave another; `GIT_AUTHOR_*` and `GIT_COMMITTER_*` win over it.
const IDENTITY: [(&str, &str); 2] = [
    ("user.name", "axon-agent"),
    ("user.email", "axon-agent@users.noreply.axon.io"),
];

/// A clone to be made.
pub struct Clone<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) env: &'a Env,
    pub(super) remote: Remote,
    access: Access,
    reference: Option<&'a str>,
    pub(super) branch: Option<&'a str>,
    pub(super) dir: &'a Path,
    trust: Trust,
    own_ssh_command: bool,
    cancel: Arc<AtomicBool>,
}

impl<'a> Clone<'a> {
    /// Reads what to clone.
    ///
    /// # Errors
    /// `InvalidConfig` for a URL, ref or branch that git would not take.
    pub fn new(env: &'a Env, secrets: &'a Secrets, url: &str, dir: &'a Path) -> Result<Self, Failure> {
        let reference = env.text(names::BASE_BRANCH).and_then(normalised_ref);
        if let Some((name, fault)) = reference.and_then(|name| Some((name, ref_fault(name)?))) {
            let advice = with_advice(name);
            return Err(Failure::invalid(format!(
                "Workspace.spec.ref {name:?} {fault}{advice}"
            )));
        }
        let branch = env.text(names::BRANCH);
        if let Some((name, fault)) = branch.and_then(|name| Some((name, branch_fault(name)?))) {
            return Err(Failure::invalid(format!("branch {name:?} {fault}")));
        }
        let cancel = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&cancel);
        // As PID 1 we would not even notice a SIGTERM otherwise.
        let listening = signals::listen(move |signal| {
            if signal != Signal::SIGCHLD {
                stop.store(true, Ordering::Relaxed);
            }
        });
        if let Err(error) = listening {
            say!("can't listen to signals: {error}");
        }
        let remote = Remote::parse(url, token_file::token(env).is_some())?;
        Ok(Self {
            secrets,
            env,
            access: Access::new(env, &remote.host),
            remote,
            reference,
            branch,
            dir,
            trust: env.trust(),
            own_ssh_command: !env.is_set("GIT_SSH_COMMAND") && !env.is_set("GIT_SSH"),
            cancel,
        })
    }

    /// Makes the clone and sets up the branch.
    ///
    /// # Errors
    /// `AuthFailed`, `CloneFailed` or `Stopped`, with git's own words.
    pub fn run(&self) -> Result<(), Failure> {
        let what = match self.reference {
            Some(reference) => format!("{} (ref {reference})", self.remote.shown),
            None => self.remote.shown.clone(),
        };
        say!("cloning {what}");
        let started = Instant::now();
        self.access.check(self.env, |call| {
            let output = self.start(call).map_err(|failure| failure.message)?;
            if output.success() {
                Ok(())
            } else {
                Err(output.stderr)
            }
        })?;
        let advertised = self.list(patterns(self.reference, self.branch))?;
        let Some(target) = advertised.target(self.reference) else {
            let name = self.reference.unwrap_or_default();
            return Err(Failure::clone_failed(format!(
                "{} has no branch or tag {name:?}, and that is no commit either{}",
                self.remote.shown,
                with_advice(name)
            )));
        };
        if target == Target::Nothing && !self.branch.is_some_and(|branch| advertised.has_branch(branch)) {
            self.is_really_empty(&advertised)?;
        }
        self.create(&advertised)?;
        self.preflight(&advertised)?;
        if self.trust == Trust::Base {
            self.keep_out()?;
        }
        self.check_out(&target)?;
        if let (Some(default), Target::Branch(name)) = (&advertised.default_branch, &target)
            && default == name
        {
            let head = format!("refs/remotes/origin/{default}");
            self.git(["symbolic-ref", "refs/remotes/origin/HEAD", &head])?;
        }
        let at = self.describe();
        say!("cloned in {:.1}s at {at}", started.elapsed().as_secs_f64());
        if let Some(branch) = self.branch {
            self.set_up_branch(branch, &advertised, &target)?;
        }
        if target != Target::Nothing {
            self.git(["update-ref", super::START, "HEAD"])?;
            if self.trust == Trust::Base {
                self.configure(&advertised)?;
            }
        }
        self.tell_of_what_is_missing();
        Ok(())
    }

    /// Tells a repository without a commit from one whose HEAD points to a branch that is not there.
    fn is_really_empty(&self, advertised: &Advertised) -> Result<(), Failure> {
        let Some(alternatives) = self.list(vec![ALL_REFS.to_owned()])?.alternatives() else {
            return Ok(());
        };
        Err(Failure::clone_failed(format!(
            "HEAD of {} {}: set spec.ref of the Workspace to the ref to start from",
            self.remote.shown,
            alternatives.fault(advertised.default_branch.as_deref())
        )))
    }

    fn list(&self, patterns: Vec<String>) -> Result<Advertised, Failure> {
        let mut args: Vec<OsString> = Vec::new();
        for (key, value) in &self.remote.credential {
            args.extend(["-c".into(), format!("{key}={value}").into()]);
        }
        args.extend(["ls-remote", "--symref", "--", &self.remote.url].map(Into::into));
        args.extend(patterns.into_iter().map(Into::into));
        let call = Call {
            limit: Some(LIST_LIMIT),
            ..self.call(args)
        };
        let listed = self.persist("list the refs", &call)?;
        if let Some(moved) = self.remote.moved(&listed.stderr) {
            say!("warning: {}", self.secrets.scrub(&moved));
        }
        Ok(Advertised::parse(&listed.stdout))
    }

    fn create(&self, advertised: &Advertised) -> Result<(), Failure> {
        // A restarted init container finds what its predecessor left.
        match fs::remove_dir_all(self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.no_dir(&error)),
            _ => fs::create_dir_all(self.dir).map_err(|error| self.no_dir(&error))?,
        }
        let format = if advertised.is_sha256() { "sha256" } else { "sha1" };
        self.git(["init", "--quiet", "--object-format", format])?;
        self.git(["remote", "add", "origin", &self.remote.url])?;
        for (key, value) in &self.remote.credential {
            self.git(["config", "--add", key, value])?;
        }
        self.give_to_submodules()?;
        for (key, value) in IDENTITY {
            if !self.try_git(["config", "--get", key])?.success() {
                self.git(["config", key, value])?;
            }
        }
        Ok(())
    }

    /// Submodules are repositories of their own, which do not see the clone's configuration: those of the same host find
    /// the credential in the user's.
    fn give_to_submodules(&self) -> Result<(), Failure> {
        let keys: BTreeSet<&str> = self
            .remote
            .credential
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        for key in keys {
            // A restarted init container finds what its predecessor wrote; there is none to remove at first.
            self.try_git(["config", "--global", "--unset-all", key])?;
        }
        for (key, value) in &self.remote.credential {
            self.git(["config", "--global", "--add", key, value])?;
        }
        Ok(())
    }

    fn no_dir(&self, error: &io::Error) -> Failure {
        Failure::clone_failed(format!("can't create {}: {error}", self.dir.display()))
    }

    fn check_out(&self, target: &Target) -> Result<(), Failure> {
        match target {
            Target::Branch(name) => {
                self.fetch(&["--depth=1", "origin", &tracking(name)])?;
                self.check_out_branch(name)
            }
            Target::Ref(name) => {
                self.fetch(&["--depth=1", "origin", &format!("+{name}:{name}")])?;
                self.detach(name)
            }
            Target::Head => {
                self.fetch(&["--depth=1", "origin", "HEAD"])?;
                self.detach("FETCH_HEAD")
            }
            Target::Commit(id) => {
                match self.fetch(&["--depth=1", "origin", id]) {
                    Err(failure) if failure.reason == TaskReason::CloneFailed => {
                        say!("the server does not give out single commits; fetching all");
                        self.find(id)?;
                    }
                    other => other?,
                }
                self.detach(id)
            }
            Target::Abbreviated(id) => {
                say!("a short commit id needs the whole history; fetching all");
                self.find(id)?;
                self.detach(id)
            }
            Target::Nothing => {
                say!("the repository has no default branch to check out");
                Ok(())
            }
        }
    }

    /// Fetches everything, and makes sure that the commit is in it.
    fn find(&self, id: &str) -> Result<(), Failure> {
        self.fetch(&["--tags", "origin"])?;
        let commit = format!("{id}^{{commit}}");
        if self
            .try_git(["rev-parse", "--verify", "--quiet", &commit])?
            .success()
        {
            return Ok(());
        }
        Err(Failure::clone_failed(format!(
            "{} has no commit {id} on any branch or tag (or more than one that begins so)",
            self.remote.shown
        )))
    }

    fn set_up_branch(&self, branch: &str, advertised: &Advertised, target: &Target) -> Result<(), Failure> {
        if matches!(target, Target::Branch(name) if name == branch) {
            say!("on branch {branch}, the ref itself");
        } else if advertised.has_branch(branch) {
            self.fetch(&["--depth=1", "origin", &tracking(branch)])?;
            self.check_out_branch(branch)?;
            self.join_base(branch, target);
            say!("on branch {branch}, continuing at {}", self.describe());
        } else if *target == Target::Nothing {
            self.git(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")])?;
            say!("on branch {branch}, without a commit");
        } else {
            self.git(["checkout", "--quiet", "--no-track", "-b", branch, "HEAD", "--"])?;
            say!("on branch {branch}, created from {}", self.describe());
        }
        Ok(())
    }

    /// Fetches enough history that the branch can be compared with its base. A branch of unrelated history has no
    /// such point, so a failure here is none of the clone.
    fn join_base(&self, branch: &str, target: &Target) {
        let Target::Branch(base) = target else { return };
        let (ours, theirs) = (tracking(branch), tracking(base));
        let (head, root) = (
            format!("refs/remotes/origin/{branch}"),
            format!("refs/remotes/origin/{base}"),
        );
        for depth in [DEEPER, "--unshallow"] {
            let joined = self.try_git(["merge-base", &head, &root]);
            if joined.is_ok_and(|output| output.success()) {
                return;
            }
            if let Err(failure) = self.fetch(&[depth, "origin", &ours, &theirs]) {
                say!("{}", self.secrets.scrub(&failure.message));
            }
        }
    }

    fn check_out_branch(&self, name: &str) -> Result<(), Failure> {
        let upstream = format!("refs/remotes/origin/{name}");
        self.git(["checkout", "--quiet", "--track", "-B", name, &upstream, "--"])?;
        Ok(())
    }

    fn detach(&self, commit: &str) -> Result<(), Failure> {
        self.git(["checkout", "--quiet", "--detach", commit, "--"])?;
        Ok(())
    }

    fn describe(&self) -> String {
        let log = self.try_git(["log", "-1", "--format=%h %s"]);
        let line = log.ok().filter(Output::success).map(|output| output.stdout);
        line.map_or_else(|| "no commit".to_owned(), |line| self.secrets.scrub(line.trim()))
    }

    pub(super) fn fetch(&self, args: &[&str]) -> Result<(), Failure> {
        // Progress shows that the transfer is alive; it is not printed line by line.
        let args = ["fetch", "--progress"].iter().chain(args).copied().collect();
        let call = Call {
            silence: Some(SILENCE),
            ..self.in_clone(args)
        };
        self.persist("fetch", &call).map(drop)
    }

    /// Runs a command that needs no network.
    pub(super) fn git<const N: usize>(&self, args: [&str; N]) -> Result<Output, Failure> {
        let verb = args.first().copied().unwrap_or_default();
        self.done(&format!("git {verb} failed"), &self.in_clone(args.to_vec()))
    }

    /// Runs a call that needs no network; `what` begins the message if it fails.
    pub(super) fn done(&self, what: &str, call: &Call) -> Result<Output, Failure> {
        let output = self.start(call)?;
        if output.success() {
            return Ok(output);
        }
        Err(self.failed(what, &output, Fault::Other))
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir
    }

    pub(super) fn try_git<const N: usize>(&self, args: [&str; N]) -> Result<Output, Failure> {
        self.start(&self.in_clone(args.to_vec()))
    }

    /// Runs a command that needs the network, again when the network was at fault.
    fn persist(&self, what: &str, call: &Call) -> Result<Output, Failure> {
        for next in 2.. {
            let output = self.start(call)?;
            let fault = match output.end {
                End::Success => return Ok(output),
                End::TimedOut(_) => Fault::Transient,
                _ => Fault::of(&output.stderr),
            };
            let failure = self.failed(&format!("can't {what} of {}", self.remote.shown), &output, fault);
            let Some(pause) = fault.retry(next) else {
                return Err(Failure {
                    message: format!("{}{}", failure.message, git_error::of_a_mesh(&output.stderr)),
                    ..failure
                });
            };
            say!("{failure}");
            say!("trying again in {}s", pause.as_secs());
            thread::sleep(pause);
        }
        Err(Failure::clone_failed("out of tries"))
    }

    pub(super) fn start(&self, call: &Call) -> Result<Output, Failure> {
        let output = call
            .run(&self.cancel)
            .map_err(|error| Failure::clone_failed(format!("can't run git: {error}")))?;
        if output.end == End::Cancelled || self.cancel.load(Ordering::Relaxed) {
            return Err(Failure {
                reason: TaskReason::Stopped,
                message: "stopped by a signal while the workspace was being prepared".to_owned(),
            });
        }
        Ok(output)
    }

    fn failed(&self, what: &str, output: &Output, fault: Fault) -> Failure {
        let said = evidence(&output.stderr, EVIDENCE_LINES);
        let why = match &output.end {
            End::TimedOut(limit) => format!("no answer for {}s", limit.as_secs()),
            End::Failure(None) if said.is_empty() => "git was killed".to_owned(),
            _ => said,
        };
        let advice = self.advice(&output.stderr);
        let advice = advice.map(|advice| format!("\n{advice}")).unwrap_or_default();
        Failure {
            reason: fault.reason(),
            message: self.secrets.scrub(&format!("{what}: {why}{advice}")),
        }
    }

    /// Returns what to do about an error of git's that has to do with the host.
    pub(super) fn advice(&self, said: &str) -> Option<String> {
        let advice = self.access.advice(said).or_else(|| ca::advice(said));
        let advice = advice.or_else(|| self.remote.advice(said));
        advice.or_else(|| git_error::advice(said, self.has_token()))
    }

    /// Returns true if git has a token for the host from us.
    pub(super) fn has_token(&self) -> bool {
        !self.remote.credential.is_empty()
    }

    pub(super) fn in_clone(&self, args: Vec<&str>) -> Call {
        Call {
            dir: Some(self.dir.to_owned()),
            ..self.call(args)
        }
    }

    fn call<S: Into<OsString>>(&self, args: Vec<S>) -> Call {
        let settings = SETTINGS.iter().flat_map(|setting| ["-c", setting]);
        let args = settings
            .map(OsString::from)
            .chain(args.into_iter().map(Into::into));
        let mut call = Call::new("git", args);
        call.dir = Some(PathBuf::from("/"));
        call.set.extend([
            ("GIT_TERMINAL_PROMPT", "0".into()),
            ("GIT_ALLOW_PROTOCOL", crate::subprocess::GIT_PROTOCOLS.into()),
        ]);
        if self.own_ssh_command {
            let ssh = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";
            call.set.push(("GIT_SSH_COMMAND", ssh.into()));
        }
        call.unset = vec![
            "GIT_ASKPASS",
            "SSH_ASKPASS",
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
        ];
        call
    }
}

/// Returns the end of a message with the ref to write instead, if there is one.
fn with_advice(reference: &str) -> String {
    let advice = ref_advice(reference).map(|advice| format!(": {advice}"));
    advice.unwrap_or_default()
}

fn tracking(branch: &str) -> String {
    format!("+refs/heads/{branch}:refs/remotes/origin/{branch}")
}
