//! Reads JSON that others wrote without building more of it than is wanted: lists stop at a number of entries, texts are
//! cut, and members that nobody asked for are skipped. Pure.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deepest nesting. GitHub's own answers have less than ten levels; serde_json skips values of any depth, with memory for
/// each level.
const MAX_DEPTH: usize = 64;

/// An answer that is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("its JSON is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("{0}")]
    NotThat(#[from] serde_json::Error),
}

/// The entries of a list that could be read.
#[derive(Debug)]
pub(super) struct Entries<T> {
    pub(super) entries: Vec<T>,
    /// Entries of the list, readable or not.
    pub(super) count: usize,
}

/// Reads a list of at most `MOST` entries, each by itself: one that is odd does not hide the others.
///
/// # Errors
/// If it is no such list.
pub(super) fn list<'a, T: Deserialize<'a>, const MOST: usize>(body: &'a [u8]) -> Result<Entries<T>, Unread> {
    check_depth(body)?;
    let List::<T, MOST>(entries) = serde_json::from_slice(body)?;
    Ok(entries)
}

/// Reads one object.
///
/// # Errors
/// If it is none of this kind.
pub(super) fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unread> {
    check_depth(body)?;
    Ok(serde_json::from_slice(body)?)
}

fn check_depth(body: &[u8]) -> Result<(), Unread> {
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Unread::TooDeep);
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// A list of at most `MOST` entries inside an object.
#[derive(Debug)]
pub(super) struct List<T, const MOST: usize>(pub(super) Entries<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for List<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Reader<T, MOST> {
            type Value = List<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = Entries {
                    entries: Vec::new(),
                    count: 0,
                };
                while let Some(raw) = list.next_element::<&'de RawValue>()? {
                    if found.count == MOST {
                        return Err(A::Error::custom(format!("a list of more than {MOST} entries")));
                    }
                    found.count += 1;
                    found.entries.extend(serde_json::from_str::<T>(raw.get()).ok());
                }
                Ok(List(found))
            }
        }

        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

/// A text of at most `MOST` characters; what is longer is cut.
#[derive(Debug, Default)]
pub(super) struct Cut<const MOST: usize> {
    pub(super) text: String,
    pub(super) was_cut: bool,
}

impl<'de, const MOST: usize> Deserialize<'de> for Cut<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, |text| {
            let end = text.char_indices().nth(MOST).map(|(end, _)| end);
            Self {
                text: text
                    .get(..end.unwrap_or(text.len()))
                    .unwrap_or_default()
                    .to_owned(),
                was_cut: end.is_some(),
            }
        })
    }
}

/// A name or an address of at most `MOST` bytes; empty if it is longer. A part of a name is another name, which may
/// belong to somebody else.
#[derive(Debug, Default)]
pub(super) struct Whole<const MOST: usize>(pub(super) String);

impl<'de, const MOST: usize> Deserialize<'de> for Whole<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, |text| {
            let fits = text.len() <= MOST;
            Self(if fits { text.to_owned() } else { String::new() })
        })
    }
}

fn text<'de, D: Deserializer<'de>, T>(deserializer: D, make: impl FnOnce(&str) -> T) -> Result<T, D::Error> {
    struct Reader<F>(F);

    impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Reader<F> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E>(self, text: &str) -> Result<T, E> {
            Ok((self.0)(text))
        }
    }

    deserializer.deserialize_str(Reader(make))
}

/// The names of labels: the first `MOST` that have at most `BYTES` bytes each.
#[derive(Debug, Default)]
pub(super) struct LabelNames<const MOST: usize, const BYTES: usize> {
    pub(super) names: Vec<String>,
    pub(super) was_cut: bool,
}

#[derive(serde::Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
}

impl<'de, const MOST: usize, const BYTES: usize> Deserialize<'de> for LabelNames<MOST, BYTES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<const MOST: usize, const BYTES: usize>;

        impl<'de, const MOST: usize, const BYTES: usize> Visitor<'de> for Reader<MOST, BYTES> {
            type Value = LabelNames<MOST, BYTES>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of labels")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = LabelNames::default();
                while let Some(raw) = list.next_element::<&'de RawValue>()? {
                    let raw = raw.get();
                    // A label is a text or an object with a name.
                    let name = if raw.starts_with('"') {
                        Some(raw)
                    } else {
                        let named = serde_json::from_str::<Named<'_>>(raw).map_err(A::Error::custom)?;
                        named.name.map(RawValue::get)
                    };
                    let Some(name) = name else { continue };
                    let Whole::<BYTES>(name) = serde_json::from_str(name).map_err(A::Error::custom)?;
                    if found.names.len() == MOST || name.is_empty() {
                        found.was_cut = true;
                    } else {
                        found.names.push(name);
                    }
                }
                Ok(found)
            }
        }

        deserializer.deserialize_seq(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_at_its_limit_and_an_odd_entry_is_counted() {
        let found = list::<u64, 3>(b"[1,\"x\",3]").unwrap();
        assert_eq!((found.entries, found.count), (vec![1, 3], 3));
        let error = list::<u64, 3>(b"[1,2,3,4,5]").unwrap_err();
        assert!(error.to_string().contains("more than 3 entries"), "{error}");
        for bad in ["{}", "null", "[1,2", "[1]]", "[1] x", ""] {
            assert!(list::<u64, 3>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_read() {
        let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
        assert!(check_depth(deep("[", "]", MAX_DEPTH).as_bytes()).is_ok());
        for bad in [
            deep("[", "]", 65),
            deep("{\"a\":", "}", 100_000),
            "[".repeat(1_000_000),
        ] {
            assert!(matches!(list::<u64, 3>(bad.as_bytes()), Err(Unread::TooDeep)));
        }
        let quoted = format!("[\"{}\\\"{}\"]", "[".repeat(500), "{".repeat(500));
        assert_eq!(list::<String, 3>(quoted.as_bytes()).unwrap().entries.len(), 1);
    }

    #[test]
    fn texts_are_cut_by_characters_and_names_are_whole_or_empty() {
        let cut = |json: &str| serde_json::from_str::<Cut<3>>(json).unwrap();
        assert_eq!(
            (cut("\"äöüß\"").text.as_str(), cut("\"äöüß\"").was_cut),
            ("äöü", true)
        );
        assert_eq!(
            (cut("\"a\\nb\"").text.as_str(), cut("\"abc\"").was_cut),
            ("a\nb", false)
        );
        assert_eq!(serde_json::from_str::<Whole<3>>("\"abcd\"").unwrap().0, "");
        assert_eq!(serde_json::from_str::<Whole<3>>("\"abc\"").unwrap().0, "abc");
        assert!(serde_json::from_str::<Cut<3>>("7").is_err());
    }

    #[test]
    fn labels_are_texts_or_objects_and_few() {
        let read = |json: &str| serde_json::from_str::<LabelNames<2, 4>>(json);
        let found = read(r#"["a", {"id": [1], "name": "b"}, {"name": null}, {}]"#).unwrap();
        assert_eq!(
            (found.names, found.was_cut),
            (vec!["a".to_owned(), "b".to_owned()], false)
        );
        let found = read(r#"["a", "toolong", "b", "c"]"#).unwrap();
        assert_eq!(
            (found.names, found.was_cut),
            (vec!["a".to_owned(), "b".to_owned()], true)
        );
        assert!(read("[1]").is_err() && read("{}").is_err());
    }
}
