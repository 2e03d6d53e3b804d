//! Large objects: how much of them is kept, and how many are read as a whole at the same time.

use std::time::Duration;

use kube::core::ObjectMeta;
use tokio::time::Instant;

use super::prune::Keep;
use crate::slots::{Turn, Turns};

/// Bytes of JSON from which on an object is large: the stores keep only a part of it.
pub const LARGE: usize = 16 * 1024;
/// Large objects that are in memory as a whole at the same time. Each may be some ten times its size for a moment: as text,
/// parsed, and as the Job and ConfigMap that it becomes.
const AT_ONCE: usize = 2;
/// Longest time for which a place is held while GitHub is asked: namespace users choose hosts that answer slowly.
pub const LENT: Duration = Duration::from_secs(5);

/// How an object in memory says that it is a part: in a field that no API server has set since Kubernetes 1.20.
const PART: &str = "part";
/// How it says that it is all that decisions need, and that the whole is large.
const BIG: &str = "large";

/// Notes that the object is large; `is_part` if decisions may need what was left out.
pub fn mark(metadata: &mut ObjectMeta, is_part: bool) {
    metadata.self_link = Some(if is_part { PART } else { BIG }.to_owned());
}

/// Returns true if what is kept is not enough for a decision.
#[must_use]
pub fn is_part(metadata: &ObjectMeta) -> bool {
    metadata.self_link.as_deref() == Some(PART)
}

/// Returns true if the whole object may be read only with a [`Large`] place.
#[must_use]
pub fn is_large(metadata: &ObjectMeta) -> bool {
    matches!(metadata.self_link.as_deref(), Some(PART | BIG))
}

/// What is kept of the metadata of each object.
#[must_use]
pub fn keep_metadata(member: &str) -> Keep {
    match member {
        // The text of the whole object again, and who wrote which field of it.
        "managedFields" | "annotations" | "ownerReferences" | "finalizers" | "selfLink" => Keep::Nothing,
        _ => Keep::All,
    }
}

/// The places for large objects of one replica; clones share them.
#[derive(Clone, Debug)]
pub struct Large(Turns);

impl Default for Large {
    fn default() -> Self {
        Self(Turns::new(AT_ONCE, AT_ONCE))
    }
}

impl Large {
    /// Returns a place, if one is free and it is the namespace's turn. Otherwise the caller requeues the object: waiting here
    /// would hold up small objects.
    #[must_use]
    pub fn take(&self, namespace: &str) -> Option<Turn> {
        self.0.take("", namespace, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_and_come_back() {
        let large = Large::default();
        let taken: Vec<_> = std::iter::from_fn(|| large.take("a")).collect();
        assert_eq!(taken.len(), AT_ONCE);
        drop(taken);
        assert!(large.take("a").is_some());
    }

    #[test]
    fn the_next_place_is_for_the_namespace_that_has_none() {
        let large = Large::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| large.take("a")).collect();
        assert!(large.take("b").is_none());
        taken.pop();
        assert!(large.take("a").is_none(), "however often it asks");
        let of_b = large.take("b");
        assert!(of_b.is_some());
        taken.pop();
        assert!(large.take("a").is_some());
    }

    #[test]
    fn a_part_is_large_too() {
        let mut metadata = ObjectMeta::default();
        assert!(!is_large(&metadata) && !is_part(&metadata));
        mark(&mut metadata, false);
        assert!(is_large(&metadata) && !is_part(&metadata));
        mark(&mut metadata, true);
        assert!(is_large(&metadata) && is_part(&metadata));
    }
}
