//! The API server's audit log: who did what, and in whose name.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::control_plane::ControlPlane;

/// Returns the lines of a control plane's audit log so far. It has what was done to Secrets, ServiceAccounts and
/// RoleBindings, and who made Tasks, without their content.
///
/// # Errors
/// If it can't be read.
pub fn of(control_plane: &ControlPlane) -> Result<Vec<Value>> {
    let folder = control_plane.kubeconfig().parent().unwrap_or(Path::new("."));
    let file = folder.join("logs/audit.log");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    // The last line may be half written.
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
