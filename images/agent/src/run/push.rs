//! Saves the work of a run that fails: the commits of the Task's branch that the remote does not have. They were paid for,
//! and another run goes on from there.

use std::ffi::OsString;
use std::time::Duration;

use axon_api::contract::env as names;
use axon_api::outputs::tail;

use super::view::View;
use crate::env::Env;
use crate::say;
use crate::token_file;
use crate::workspace::remote::Remote;

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
/// never by force. It goes to the repository of the Workspace, whatever the clone names its remote. `hurry` is for a pod that
/// is being stopped. Returns what is to be told of it, if anything was to be done.
#[must_use]
pub fn save_work(env: &Env, view: Option<&View>, hurry: bool) -> Option<String> {
    let branch = env.text(names::BRANCH)?;
    let view = view.filter(|view| view.branch() == Some(branch))?;
    let new = unpushed(view)?;
    let lost = |why: &str| format!("new commits on {branch} could not be pushed: {new} ({why})");
    let Some(url) = env.text(names::REPO) else {
        return Some(lost(&format!("{} is not set", names::REPO)));
    };
    let remote = match Remote::parse(url, token_file::token(env).is_some()) {
        Ok(remote) => remote,
        Err(failure) => return Some(lost(&failure.message)),
    };
    let limit = if hurry { SHORT_LIMIT } else { LIMIT };
    let mut args: Vec<OsString> = Vec::new();
    for (key, value) in &remote.credential {
        args.extend(["-c".into(), format!("{key}={value}").into()]);
    }
    let target = format!("HEAD:refs/heads/{branch}");
    args.extend(["push", "--quiet", "--no-verify", "--", &remote.url, &target].map(Into::into));
    let pushed = view.git(args, limit)?;
    Some(if pushed.success() {
        format!("new commits pushed to {branch}: {new}")
    } else {
        lost(tail(pushed.stderr.trim(), EVIDENCE))
    })
}

/// Says in the log of a run that has succeeded what of it nobody else will see: its pod goes, and its clone with it.
pub fn tell_of_unpushed(view: Option<&View>) {
    let Some(view) = view else { return };
    if let Some(new) = unpushed(view) {
        let branch = view.branch();
        let branch = branch
            .map(|name| format!(" on branch {name}"))
            .unwrap_or_default();
        say!("commits{branch} that were not pushed and end with the pod: {new}");
    }
}

/// Returns how many commits the run has made that the remote does not have, if there are any. What the clone began with
/// is none of them: a tag or a commit may be on no branch of the remote's that is known here.
fn unpushed(view: &View) -> Option<String> {
    let args = ["rev-list", "--count", "HEAD", "--not", "--remotes=origin", STARTS];
    view.answer(args, LOOK_LIMIT).filter(|new| new != "0")
}
