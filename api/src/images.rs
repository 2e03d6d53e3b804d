//! The product's images: their names, and where they are.

use std::collections::BTreeMap;
use std::fmt;

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

/// Digests of images by their names, as a release of the product has them. The digest of a name is that of its image for all
/// architectures, so that a complete copy in another registry has the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests(BTreeMap<String, String>);

/// A list of digests that can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestsError {
    /// The entry is no assignment of a digest.
    #[error("{0:?} is not NAME=sha256:DIGEST, with 64 hexadecimal digits in lower case")]
    Shape(String),
    /// The product has no such image.
    #[error("{0:?} is none of the images: {all}", all = all().collect::<Vec<_>>().join(", "))]
    Name(String),
    /// An image has two digests.
    #[error("{0} is in the list twice")]
    Twice(String),
}

impl Digests {
    /// Reads `NAME=sha256:DIGEST,…`; an empty text has none.
    ///
    /// # Errors
    /// The first entry that can't be used.
    pub fn parse(text: &str) -> Result<Self, DigestsError> {
        let mut digests = BTreeMap::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, digest) = entry.split_once('=').unwrap_or((entry, ""));
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(DigestsError::Shape(entry.to_owned()));
            }
            if !all().any(|known| known == name) {
                return Err(DigestsError::Name(name.to_owned()));
            }
            if digests.insert(name.to_owned(), digest.to_owned()).is_some() {
                return Err(DigestsError::Twice(name.to_owned()));
            }
        }
        Ok(Self(digests))
    }

    /// Returns where an image is: `REGISTRY/axon-NAME:TAG@DIGEST`, without the digest if it is not known. Nodes pull by the
    /// digest then, and the tag is for readers.
    #[must_use]
    pub fn reference(&self, registry: &str, name: &str, tag: &str) -> String {
        let by_tag = reference(registry, name, tag);
        match self.0.get(name) {
            Some(digest) => format!("{by_tag}@{digest}"),
            None => by_tag,
        }
    }

    /// Returns the digests of the images that Tasks run.
    #[must_use]
    pub fn of_tasks(&self) -> Self {
        let own = of_tasks().filter_map(|name| Some((name.to_owned(), self.0.get(name)?.clone())));
        Self(own.collect())
    }

    /// Returns true if no digest is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The format that [`Digests::parse`] reads.
impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, digest)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={digest}")?;
        }
        Ok(())
    }
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

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn a_known_digest_decides_and_the_tag_is_for_readers() {
        let text = format!("operator={}, codex={},", digest('a'), digest('0'));
        let digests = Digests::parse(&text).unwrap();
        let codex = digests.reference("r.example:5000/x/", "codex", "v1");
        assert_eq!(codex, format!("r.example:5000/x/axon-codex:v1@{}", digest('0')));
        assert_eq!(digests.reference("r", "gemini", "v1"), "r/axon-gemini:v1");
        assert_eq!(digests.of_tasks().to_string(), format!("codex={}", digest('0')));
        assert_eq!(Digests::parse(&digests.to_string()), Ok(digests));
        assert!(Digests::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_digest_that_no_registry_would_know_is_refused() {
        for (text, part) in [
            ("codex".to_owned(), "\"codex\" is not NAME=sha256:DIGEST"),
            ("codex=sha256:0f".to_owned(), "is not NAME=sha256:DIGEST"),
            (format!("codex={}", digest('A')), "in lower case"),
            (
                format!("codex={}", digest('0').replace("sha256", "sha512")),
                "is not NAME",
            ),
            (
                format!("agent-base={}", digest('0')),
                "\"agent-base\" is none of the images: operator, workspace",
            ),
            (
                format!("codex={0},codex={0}", digest('0')),
                "codex is in the list twice",
            ),
        ] {
            let error = Digests::parse(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
