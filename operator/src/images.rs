//! Which image runs what.

use axon_api::agents::AgentType;

/// Where the product's images are: `REGISTRY/axon-NAME:TAG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Registry and path before the image's name.
    pub registry: String,
    /// Tag of all images.
    pub tag: String,
}

impl Images {
    /// Returns the image of an agent.
    #[must_use]
    pub fn agent(&self, agent: AgentType) -> String {
        self.named(&agent.to_string())
    }

    /// Returns the image that prepares the workspace.
    #[must_use]
    pub fn workspace(&self) -> String {
        self.named("workspace")
    }

    fn named(&self, name: &str) -> String {
        format!("{}/axon-{name}:{}", self.registry.trim_end_matches('/'), self.tag)
    }
}
