//! Takes the objects of a list out of its JSON, one after the other, as the bytes arrive.

/// Most bytes of a list beside its objects: kind, version and the token of the next page.
const MAX_REST: usize = 64 * 1024;
/// Most bytes of one object. etcd's default limit is 1.5 MiB.
const MAX_ITEM: usize = 8 * 1024 * 1024;

/// JSON that is no list, or one with an absurdly large part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no list of objects: {0}")]
pub struct SplitError(&'static str);

/// Splits one list. Knows strings and nesting, and nothing else of JSON: whoever parses an object finds what is wrong with it.
#[derive(Debug, Default)]
pub struct Splitter {
    depth: usize,
    in_string: bool,
    escaped: bool,
    in_items: bool,
    /// The last string directly in the list: a member's name, when a value begins.
    last: Vec<u8>,
    item: Vec<u8>,
    rest: Vec<u8>,
}

impl Splitter {
    /// Takes bytes up to the end of the next object. Returns how many it took, and the object if it is complete.
    ///
    /// # Errors
    /// [`SplitError`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(usize, Option<Vec<u8>>), SplitError> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let run = if self.in_string { self.text(rest) } else { 0 };
            if run > 0 {
                at += run;
                continue;
            }
            let Some(byte) = rest.first() else { break };
            at += 1;
            if self.byte(*byte)? {
                return Ok((at, Some(std::mem::take(&mut self.item))));
            }
        }
        if self.item.len() > MAX_ITEM {
            return Err(SplitError("an object has more than 8 MiB"));
        }
        if self.rest.len() > MAX_REST {
            return Err(SplitError("more than 64 KiB stand beside its objects"));
        }
        Ok((at, None))
    }

    /// Returns the list without its objects, once it is complete.
    ///
    /// # Errors
    /// [`SplitError`] if it ends early.
    pub fn finish(self) -> Result<Vec<u8>, SplitError> {
        if self.depth == 0 && !self.rest.is_empty() {
            Ok(self.rest)
        } else {
            Err(SplitError("it ends early"))
        }
    }

    /// Takes the bytes of a string that mean only themselves: nearly all of a large object.
    fn text(&mut self, bytes: &[u8]) -> usize {
        if self.escaped {
            return 0;
        }
        let run = bytes.iter().position(|b| matches!(b, b'"' | b'\\'));
        let run = run.unwrap_or(bytes.len());
        let text = bytes.get(..run).unwrap_or_default();
        if !self.in_items && self.depth == 1 && self.last.len() < MAX_REST {
            self.last.extend_from_slice(text);
        }
        self.kept().extend_from_slice(text);
        run
    }

    /// Where the current byte belongs.
    fn kept(&mut self) -> &mut Vec<u8> {
        if self.in_items && self.depth > 2 {
            &mut self.item
        } else {
            &mut self.rest
        }
    }

    /// Takes one byte. Returns true if it ends an object.
    fn byte(&mut self, byte: u8) -> Result<bool, SplitError> {
        if self.in_string {
            self.kept().push(byte);
            match (self.escaped, byte) {
                (true, _) => self.escaped = false,
                (false, b'\\') => self.escaped = true,
                (false, b'"') => self.in_string = false,
                _ => {}
            }
            return Ok(false);
        }
        let between = self.in_items && self.depth == 2;
        match byte {
            b',' | b' ' | b'\n' | b'\r' | b'\t' if between => {}
            b'{' | b'[' => {
                if !self.in_items && self.depth == 1 && byte == b'[' && self.last == b"items" {
                    self.in_items = true;
                    self.kept().push(byte);
                    self.depth += 1;
                } else {
                    self.depth += 1;
                    self.kept().push(byte);
                }
            }
            b'}' | b']' => {
                let is_end = self.in_items && self.depth == 3;
                self.kept().push(byte);
                self.depth = self.depth.checked_sub(1).ok_or(SplitError("it does not nest"))?;
                if self.in_items && self.depth == 1 {
                    self.in_items = false;
                    self.last.clear();
                }
                return Ok(is_end);
            }
            _ if between => return Err(SplitError("one of its items is no object")),
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.last.clear();
                }
                self.kept().push(byte);
            }
            byte => self.kept().push(byte),
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn split(text: &[u8], chunk: usize) -> Result<(Vec<Value>, Value), SplitError> {
        let (mut splitter, mut items) = (Splitter::default(), Vec::new());
        for mut bytes in text.chunks(chunk) {
            while !bytes.is_empty() {
                let (taken, item) = splitter.feed(bytes)?;
                items.extend(item.map(|item| serde_json::from_slice(&item).unwrap()));
                bytes = &bytes[taken..];
            }
        }
        let rest = splitter.finish()?;
        Ok((items, serde_json::from_slice(&rest).unwrap()))
    }

    #[test]
    fn objects_come_one_by_one_wherever_the_bytes_are_cut() {
        let items = json!([
            {"metadata": {"name": "a"}, "spec": {"prompt": "}]{[\",\\ items"}},
            {"items": [{"x": []}], "": null},
            {},
        ]);
        for list in [
            json!({"apiVersion": "v1", "items": items, "kind": "L", "metadata": {"resourceVersion": "7", "continue": "t"}}),
            json!({"metadata": {"items": [1, 2]}, "kind": "items", "items": items}),
        ] {
            for text in [list.to_string(), serde_json::to_string_pretty(&list).unwrap()] {
                for chunk in 1..60 {
                    let (split, mut rest) = split(text.as_bytes(), chunk).unwrap();
                    assert_eq!(json!(split), items);
                    assert_eq!(rest["items"], json!([]));
                    rest["items"] = items.clone();
                    assert_eq!(rest, list);
                }
            }
        }
    }

    #[test]
    fn an_empty_list_has_no_objects() {
        for text in [r#"{"items":[],"metadata":{}}"#, r#"{"items":null,"metadata":{}}"#] {
            assert!(split(text.as_bytes(), 3).unwrap().0.is_empty());
        }
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in [
            "",
            "{",
            r#"{"items":[1]}"#,
            r#"{"items":[{}"#,
            "}",
            r#"{"items":["x"]}"#,
        ] {
            assert!(split(text.as_bytes(), 4).is_err(), "{text}");
        }
        let endless = format!(r#"{{"kind":"{}"#, "x".repeat(MAX_REST));
        assert!(split(endless.as_bytes(), 1000).is_err());
    }

    proptest! {
        #[test]
        fn any_text_in_an_object_survives(text in ".*", key in ".*", chunk in 1_usize..40) {
            let items = json!([{"a": {key: [text]}}, {}]);
            let list = json!({"items": items}).to_string();
            prop_assert_eq!(json!(split(list.as_bytes(), chunk).unwrap().0), items);
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut splitter = Splitter::default();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let Ok((taken, _)) = splitter.feed(rest) else { return Ok(()) };
                prop_assert!(taken > 0);
                rest = &rest[taken..];
            }
        }
    }
}
