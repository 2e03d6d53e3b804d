//! The end of the container `agent` is the end of the run, whatever other containers of the pod do.
//!
//! A pod may have containers of others, such as a mesh's proxy or a log shipper, that never end: the Job of such a pod never
//! ends by itself.

use std::time::Duration;

use super::Observed;
use super::with_job::newest;
use crate::task::decide::failure;
use crate::task::observe::pod::{JobView, PodView};

/// Seconds in which the pod of an agent that left no final report may end as well: until then the Job tells more.
const PATIENCE: i64 = 30;

/// An agent that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AgentEnd<'a> {
    /// This pod's end is the run's.
    Over(&'a PodView),
    /// It counts in so much time, unless the pod ends first.
    Soon(Duration),
}

/// Returns the agent's end, if that decides: a final report at once, an exit code once other containers have had their time.
pub(crate) fn find<'a>(observed: &'a Observed<'_>, job: Option<&JobView>) -> Option<AgentEnd<'a>> {
    // Also of a pod that the Job has replaced since: what was asked for is done.
    let decided = observed.pods.iter().filter(|pod| failure::verdict(pod).is_some());
    if let Some(pod) = decided.max_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name))) {
        return Some(AgentEnd::Over(pod));
    }
    if job.is_none_or(|job| job.finished.is_some() || job.deleting || job.held.is_some()) {
        return None;
    }
    let pod = newest(&observed.pods)
        .filter(|pod| pod.outlives_its_agent() && !pod.deleting && pod.disruption.is_none())?;
    let ended = pod.agent_ended()?;
    let since = ended.finished.or(ended.started).or(pod.created);
    let left = since.map_or(0, |since| since.as_second() + PATIENCE - observed.now.as_second());
    Some(match u64::try_from(left) {
        Ok(left @ 1..) => AgentEnd::Soon(Duration::from_secs(left)),
        _ => AgentEnd::Over(pod),
    })
}

/// Returns true if nothing of the agent runs or will run in the Job: what is left of the pod is its log.
pub(crate) fn is_quiet(pods: &[PodView]) -> bool {
    newest(pods).is_some_and(|pod| {
        let over = pod.agent_ended().is_some() || pod.workspace_failed().is_some();
        // One that was disrupted is replaced by its Job.
        over && pod.disruption.is_none() && !pod.deleting && !pod.gone
    })
}
