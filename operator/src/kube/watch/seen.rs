//! How an object of a watch becomes what is kept of it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// What is kept of a kind's objects.
pub trait Seen: Clone + Send + Sync + 'static {
    /// The kind, for logs.
    const KIND: &'static str;

    /// Reads what is kept of an object. Must not build what is thrown away again: the object may be as large as etcd takes.
    ///
    /// # Errors
    /// If the object can't be read.
    fn read(json: &str) -> serde_json::Result<Self>;

    /// Returns its `metadata.resourceVersion`.
    fn revision(&self) -> Option<String>;

    /// Returns an object with these names alone, which a store forgets when it is told that the object is gone. `None` for
    /// kinds of which every object can be read.
    #[must_use]
    fn of_names(_: &Names) -> Option<Self> {
        None
    }
}

/// An object, or why it can't be read.
#[derive(Clone, Debug)]
pub struct Guarded<K>(pub Result<K, Unreadable>);

/// An object that can't be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// What names it.
    pub metadata: Names,
    /// What is wrong with it.
    pub error: String,
}

/// Returns an object with these names and a spec that is there only to be read.
#[must_use]
pub fn hollow<K: DeserializeOwned>(names: &Names, spec: &serde_json::Value) -> Option<K> {
    serde_json::from_value(serde_json::json!({ "metadata": names, "spec": spec })).ok()
}

/// What names an object.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Names {
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// UID.
    pub uid: Option<String>,
    /// Version.
    pub resource_version: Option<String>,
}

#[derive(Default, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    pub(crate) metadata: Names,
}

impl<K: Seen> Guarded<K> {
    /// Reads an object.
    #[must_use]
    pub fn of_bytes(json: &[u8]) -> Self {
        match std::str::from_utf8(json) {
            Ok(json) => Self::of(json),
            Err(error) => Self(Err(Unreadable {
                metadata: Names::default(),
                error: error.to_string(),
            })),
        }
    }

    fn of(json: &str) -> Self {
        Self(K::read(json).map_err(|error| Unreadable {
            metadata:
                serde_json::from_str(json).map_or_else(|_| Names::default(), |named: Named| named.metadata),
            error: error.to_string(),
        }))
    }
}

impl<'de, K: Seen> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The text itself, not a tree of it: one megabyte of small values is a tree of some thirty.
        Ok(Self::of(<&RawValue>::deserialize(deserializer)?.get()))
    }
}

#[cfg(test)]
mod tests {
    use kube::api::WatchEvent;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Number(i64);

    impl Seen for Number {
        const KIND: &'static str = "Number";

        fn read(json: &str) -> serde_json::Result<Self> {
            #[derive(Deserialize)]
            struct Object {
                spec: Number,
            }
            Ok(serde_json::from_str::<Object>(json)?.spec)
        }

        fn revision(&self) -> Option<String> {
            None
        }
    }

    fn event(object: &str) -> Guarded<Number> {
        let line = format!(r#"{{"type":"ADDED","object":{object}}}"#);
        match serde_json::from_str(&line).unwrap() {
            WatchEvent::Added(object) => object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_that_cannot_be_read_is_named_and_breaks_nothing_else() {
        assert_eq!(
            event(r#"{"metadata":{"name":"a"},"spec":7}"#).0.unwrap(),
            Number(7)
        );
        let bad = event(r#"{"metadata":{"name":"a","namespace":"n","resourceVersion":"5"},"spec":"x"}"#);
        let bad = bad.0.unwrap_err();
        assert_eq!(bad.metadata.name.as_deref(), Some("a"));
        assert_eq!(bad.metadata.resource_version.as_deref(), Some("5"));
        let deep = format!(
            r#"{{"metadata":{{"name":"b"}},"spec":{}{}}}"#,
            "[".repeat(9999),
            "]".repeat(9999)
        );
        assert_eq!(event(&deep).0.unwrap_err().metadata.name.as_deref(), Some("b"));
        assert!(Guarded::<Number>::of_bytes(b"\xff").0.is_err());
    }
}
