//! Which image runs what.

use std::collections::BTreeMap;

use axon_api::agents::AgentType;
use axon_api::images::{self, Digests};

/// Where the product's images are: `REGISTRY/axon-NAME:TAG`, by digest where it is known, except for those that are named exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// Registry and path before the image's name.
    pub registry: String,
    /// Tag of all images.
    pub tag: String,
    /// Digests of these images.
    pub digests: Digests,
    /// Images that are somewhere else.
    pub exact: Exact,
}

impl Images {
    /// Returns the images of a registry that all have the same tag.
    #[must_use]
    pub fn new(registry: &str, tag: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            tag: tag.to_owned(),
            digests: Digests::default(),
            exact: Exact::default(),
        }
    }

    /// Returns the image of an agent.
    #[must_use]
    pub fn agent(&self, agent: AgentType) -> String {
        self.named(agent.into())
    }

    /// Returns the image that prepares the workspace.
    #[must_use]
    pub fn workspace(&self) -> String {
        self.named(images::WORKSPACE)
    }

    fn named(&self, name: &str) -> String {
        let exact = self.exact.0.get(name).cloned();
        exact.unwrap_or_else(|| self.digests.reference(&self.registry, name, &self.tag))
    }
}

/// References of single images, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exact(BTreeMap<String, String>);

/// A list of images that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// An entry is no assignment.
    #[error("{0:?} is not NAME=IMAGE")]
    Shape(String),
    /// No pod of a Task runs it.
    #[error("{0:?} is none of the images of Tasks: {all}", all = images::of_tasks().collect::<Vec<_>>().join(", "))]
    Name(String),
    /// Two references for one.
    #[error("{0} stands there twice")]
    Twice(String),
    /// What no node could pull.
    #[error("{image:?} of {name} is not an image such as registry.example/axon-{name}@sha256:…")]
    Image {
        /// Name.
        name: String,
        /// Reference.
        image: String,
    },
}

impl Exact {
    /// Reads `NAME=IMAGE,…`; an empty text names none.
    ///
    /// # Errors
    /// The first entry that can't be used.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let mut all = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let shape = || ListError::Shape(entry.to_owned());
            let (name, image) = entry.split_once('=').ok_or_else(shape)?;
            let (name, image) = (name.trim().to_owned(), image.trim().to_owned());
            if !images::of_tasks().any(|known| known == name) {
                return Err(ListError::Name(name));
            }
            if !is_image(&image) {
                return Err(ListError::Image { name, image });
            }
            if all.insert(name.clone(), image).is_some() {
                return Err(ListError::Twice(name));
            }
        }
        Ok(Self(all))
    }
}

/// Returns true for what could be an image reference; registries and nodes know the rest.
fn is_image(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
    let (name, digest) = text.split_once('@').unwrap_or((text, "sha256:"));
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    starts && text.chars().all(allowed) && !text.contains("://") && digest.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_images_come_before_registry_and_tag() {
        let images = Images {
            exact: Exact::parse("codex=r.example:5000/codex@sha256:0f, workspace=[fd00::1]:5000/w:v2,")
                .unwrap(),
            ..Images::new("reg.example/axon/", "v1")
        };
        assert_eq!(images.agent(AgentType::Codex), "r.example:5000/codex@sha256:0f");
        assert_eq!(images.workspace(), "[fd00::1]:5000/w:v2");
        assert_eq!(
            images.agent(AgentType::OpenCode),
            "reg.example/axon/axon-opencode:v1"
        );
        assert_eq!(Exact::parse(" "), Ok(Exact::default()));
    }

    #[test]
    fn exact_images_come_before_digests_and_digests_before_the_tag() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let images = Images {
            digests: Digests::parse(&format!("codex={digest},workspace={digest}")).unwrap(),
            exact: Exact::parse("codex=r/codex:mine").unwrap(),
            ..Images::new("r", "v1")
        };
        assert_eq!(images.workspace(), format!("r/axon-workspace:v1@{digest}"));
        assert_eq!(images.agent(AgentType::Codex), "r/codex:mine");
        assert_eq!(images.agent(AgentType::Gemini), "r/axon-gemini:v1");
    }

    #[test]
    fn what_can_never_work_is_told() {
        for (text, part) in [
            ("codex", "\"codex\" is not NAME=IMAGE"),
            (
                "claude=r/c",
                "\"claude\" is none of the images of Tasks: workspace, claude-code, codex",
            ),
            ("operator=r/o", "\"operator\" is none"),
            ("codex=r/a,codex=r/b", "codex stands there twice"),
            ("codex=", "\"\" of codex"),
            ("codex=https://r/c", "\"https://r/c\" of codex"),
            ("codex=r/c v1", "\"r/c v1\" of codex"),
            ("codex=r/c@0f", "\"r/c@0f\" of codex"),
        ] {
            let error = Exact::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
