//! What the amounts of a budget were added up for. Pure.

use axon_api::v1alpha1::TaskBudgetSpec;
use sha2::{Digest as _, Sha256};

/// Returns a word that is another one for other Tasks or another window. A limit may change without it: what was spent stays the same.
#[must_use]
pub fn of(spec: &TaskBudgetSpec) -> String {
    word(&serde_json::json!([
        spec.task_selector,
        spec.task_spawners,
        spec.window
    ]))
}

/// Returns a word for a set of budgets.
#[must_use]
pub fn of_set(names: &[&str]) -> String {
    word(&serde_json::json!(names))
}

fn word(of: &serde_json::Value) -> String {
    let digest = Sha256::digest(of.to_string().as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
