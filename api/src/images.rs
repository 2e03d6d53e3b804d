//! The product's images: their names, and where they are.

use strum::IntoEnumIterator as _;

use crate::agents::AgentType;

/// Runs the operator.
pub const OPERATOR: &str = "operator";
/// Prepares the workspace of a Task.
pub const WORKSPACE: &str = "workspace";

/// Returns the names of the images that Tasks run: that of the workspace and that of each agent.
pub fn of_tasks() -> impl Iterator<Item = &'static str> {
    std::iter::once(WORKSPACE).chain(AgentType::iter().map(Into::into))
}

/// Returns the names of all images of the product.
pub fn all() -> impl Iterator<Item = &'static str> {
    std::iter::once(OPERATOR).chain(of_tasks())
}

/// Returns where an image is: `REGISTRY/axon-NAME:TAG`.
#[must_use]
pub fn reference(registry: &str, name: &str, tag: &str) -> String {
    format!("{}/axon-{name}:{tag}", registry.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_is_named_once() {
        let names: Vec<&str> = all().collect();
        assert_eq!(
            names,
            [
                "operator",
                "workspace",
                "claude-code",
                "codex",
                "gemini",
                "opencode"
            ]
        );
        assert_eq!(
            reference("r.example/x/", WORKSPACE, "v1"),
            "r.example/x/axon-workspace:v1"
        );
    }
}
