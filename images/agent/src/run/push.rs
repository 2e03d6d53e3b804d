//! Saves the work of a run that is stopped: the commits of the Task's branch that the remote does not have.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axon_api::contract::env as names;
use axon_api::outputs::tail;

use super::facts::branch_of;
use crate::env::Env;
use crate::program::{Call, Output};

/// Time for the push. With the agent's own time and what comes after, it fits the pod's grace period.
const LIMIT: Duration = Duration::from_secs(10);
/// Time for the look before it, which needs no network.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of git's words in a message.
const EVIDENCE: usize = 300;

/// Pushes what the branch named by the Task has gained, if it is the branch that is checked out: never another one, and
/// never by force. Returns what is to be told of it, if anything was to be done.
#[must_use]
pub fn save_work(env: &Env) -> Option<String> {
    let branch = env.text(names::BRANCH)?;
    if branch_of(Path::new(".")).as_deref() != Some(branch) {
        return None;
    }
    let new = git(
        &["rev-list", "--count", "HEAD", "--not", "--remotes=origin"],
        LOOK_LIMIT,
    )?;
    let new = new.success().then(|| new.stdout.trim().to_owned())?;
    if new.is_empty() || new == "0" {
        return None;
    }
    let target = format!("HEAD:refs/heads/{branch}");
    // Without its hooks: they may take long, and what is saved is what the agent had committed.
    let pushed = git(&["push", "--quiet", "--no-verify", "origin", &target], LIMIT)?;
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
