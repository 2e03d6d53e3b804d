//! Objects that the operator keeps in namespaces and that an administrator can take over. Pure.

use kube::core::ObjectMeta;

use crate::labels;

/// Action of the operator for such an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing: the object is as the operator writes it.
    Keep,
    /// Applies it: the object is missing, or differs from what the operator writes.
    Apply,
    /// Nothing: the object belongs to an administrator.
    LeaveAlone,
}

/// Returns true if an administrator has taken the object over, by the annotation [`labels::MANAGED`] with the value `false`.
#[must_use]
pub fn is_taken_over(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    annotations
        .and_then(|all| all.get(labels::MANAGED))
        .is_some_and(|value| value == "false")
}
