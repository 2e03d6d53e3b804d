//! Own writes that the watch has not returned yet.
//!
//! A Task may be reconciled before its own event comes, for example by an event of its Job. The store then still has the state on
//! which the last decision was made, and the same decision would be made again. The API server refuses its write, but that costs
//! two calls.

use std::collections::HashMap;
use std::time::Duration;

use axon_api::Task;
use kube::ResourceExt as _;
use parking_lot::Mutex;

/// Pause before the next reconcile of a Task whose event is awaited, in case that event never comes.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// The version of each Task, by UID, over which a status was written.
#[derive(Debug, Default)]
pub struct Expectations(Mutex<HashMap<String, String>>);

impl Expectations {
    /// Notes that a status was written over `old`, and gave the version `new`.
    pub(crate) fn note(&self, old: &Task, new: Option<&str>) {
        // The same version means that nothing has changed: no event will come.
        if let (Some(uid), Some(version)) = (old.uid(), old.resource_version())
            && new.is_some_and(|new| new != version)
        {
            self.all().insert(uid, version);
        }
    }

    /// Returns true if `task` is as it was before this replica wrote its status.
    #[must_use]
    pub(crate) fn is_outdated(&self, task: &Task) -> bool {
        let (Some(uid), mut all) = (task.uid(), self.all()) else {
            return false;
        };
        let is_outdated = all
            .get(&uid)
            .is_some_and(|old| task.resource_version().as_ref() == Some(old));
        // Any other version is a later one: the awaited event, or one after it, has come.
        if !is_outdated {
            all.remove(&uid);
        }
        is_outdated
    }

    /// Forgets a Task that is gone.
    pub(crate) fn forget(&self, task: &Task) {
        if let Some(uid) = task.uid() {
            self.all().remove(&uid);
        }
    }

    fn all(&self) -> parking_lot::MutexGuard<'_, HashMap<String, String>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(version: &str) -> Task {
        serde_json::from_value(json!({
            "metadata": {"name": "t", "uid": "u", "resourceVersion": version},
            "spec": {"type": "codex", "prompt": "p", "credentials": {"type": "none"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_task_is_outdated_until_the_watch_tells_of_the_write() {
        let written = Expectations::default();
        assert!(!written.is_outdated(&task("1")));
        written.note(&task("1"), Some("2"));
        assert!(written.is_outdated(&task("1")));
        assert!(written.is_outdated(&task("1")), "as long as it takes");
        assert!(
            !written.is_outdated(&task("3")),
            "somebody may have written since"
        );
        assert!(
            !written.is_outdated(&task("1")),
            "and then nothing is known any more"
        );
        assert!(written.all().is_empty());
    }

    #[test]
    fn a_write_that_changes_nothing_and_a_task_that_is_gone_leave_nothing() {
        let written = Expectations::default();
        written.note(&task("1"), Some("1"));
        assert!(!written.is_outdated(&task("1")));
        written.note(&task("1"), Some("2"));
        written.forget(&task("2"));
        assert!(written.all().is_empty());
    }
}
