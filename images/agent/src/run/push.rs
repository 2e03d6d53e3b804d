//! Saves the work of a run that fails: the commits of the Task's branch that the remote does not have. They were paid for,
//! and another run goes on from there.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axon_api::contract::env as names;
use axon_api::outputs::tail;

use super::facts::branch_of;
use crate::env::Env;
use crate::program::{Call, Output};
use crate::say;

/// Time for the push. With what comes after, it fits the grace period of a pod that is told to end meanwhile.
const LIMIT: Duration = Duration::from_secs(25);
/// The same when the agent has used up its own time of that period.
const SHORT_LIMIT: Duration = Duration::from_secs(10);
/// Time for the look before it, which needs no network.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Where `crate::workspace::START` is; a pattern, since clones that others made have no such ref.
const STARTS: &str = "--glob=refs/axon/*";
/// Bytes of git's words in a message.
const EVIDENCE: usize = 300;

/// Pushes what the branch named by the Task has gained, if it is the branch that is checked out: never another one, and
/// never by force. `hurry` is for a pod that is being stopped. Returns what is to be told of it, if anything was to be
/// done.
#[must_use]
pub fn save_work(env: &Env, hurry: bool) -> Option<String> {
    let branch = env.text(names::BRANCH)?;
    if branch_of(Path::new(".")).as_deref() != Some(branch) {
        return None;
    }
    let new = unpushed()?;
    let limit = if hurry { SHORT_LIMIT } else { LIMIT };
    let target = format!("HEAD:refs/heads/{branch}");
    // Without its hooks: they may take long, and what is saved is what the agent had committed.
    let pushed = git(&["push", "--quiet", "--no-verify", "origin", &target], limit)?;
    Some(if pushed.success() {
        format!("new commits pushed to {branch}: {new}")
    } else {
        let said = pushed.stderr.trim();
        format!(
            "new commits on {branch} could not be pushed: {new} ({})",
            tail(said, EVIDENCE)
        )
    })
}

/// Says in the log of a run that has succeeded what of it nobody else will see: its pod goes, and its clone with it.
pub fn tell_of_unpushed() {
    if let Some(new) = unpushed() {
        let branch = branch_of(Path::new("."));
        let branch = branch
            .map(|name| format!(" on branch {name}"))
            .unwrap_or_default();
        say!("commits{branch} that were not pushed and end with the pod: {new}");
    }
}

/// Returns how many commits the run has made that the remote does not have, if there are any. What the clone began with
/// is none of them: a tag or a commit may be on no branch of the remote's that is known here.
fn unpushed() -> Option<String> {
    let new = git(
        &["rev-list", "--count", "HEAD", "--not", "--remotes=origin", STARTS],
        LOOK_LIMIT,
    )?;
    let new = new.success().then(|| new.stdout.trim().to_owned())?;
    (!new.is_empty() && new != "0").then_some(new)
}

fn git(args: &[&str], limit: Duration) -> Option<Output> {
    // The clone may belong to another user, as when an fsGroup or a custom image decides it.
    let args = ["-c", "safe.directory=*"].iter().chain(args).copied();
    let call = Call {
        limit: Some(limit),
        ..Call::new("git", args)
    };
    let call = Call {
        set: [call.set.clone(), vec![("GIT_TERMINAL_PROMPT", "0".into())]].concat(),
        ..call
    };
    call.run(&AtomicBool::new(false)).ok()
}
