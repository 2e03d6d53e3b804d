//! Copies the JSON of an object without the members that nobody needs, before anything is made of them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// What becomes of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Copied as it is.
    All,
    /// Left out.
    Nothing,
    /// An object of which each member is asked for.
    Each,
    /// Replaced by this JSON.
    Instead(&'static str),
}

/// Copies `json`. `keep` is asked for each member of the top level by its path, such as `["spec", "prompt"]`, and gets the
/// member's JSON.
///
/// # Errors
/// If `json` is no object, or one that [`Keep::Each`] was said of.
pub fn prune(json: &str, keep: &impl Fn(&[&str], &str) -> Keep) -> serde_json::Result<String> {
    let mut out = String::new();
    copy(json, &[], keep, &mut out)?;
    Ok(out)
}

fn copy(
    json: &str,
    path: &[&str],
    keep: &impl Fn(&[&str], &str) -> Keep,
    out: &mut String,
) -> serde_json::Result<()> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    let mut next = '{';
    for (name, value) in &members {
        let path = [path, &[name.as_str()]].concat();
        let what = keep(&path, value.get());
        if what == Keep::Nothing {
            continue;
        }
        out.push(next);
        next = ',';
        out.push_str(&serde_json::to_string(name)?);
        out.push(':');
        match what {
            Keep::Each if value.get() == "null" => out.push_str("null"),
            Keep::Each => copy(value.get(), &path, keep, out)?,
            Keep::Instead(json) => out.push_str(json),
            Keep::All | Keep::Nothing => out.push_str(value.get()),
        }
    }
    if next == '{' {
        out.push('{');
    }
    out.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn members_are_kept_left_out_and_replaced_by_their_path() {
        let object = json!({"metadata": {"name": "a\"b", "x": {}}, "spec": {"prompt": "long", "name": 1}, "status": null});
        let pruned = prune(&object.to_string(), &|path, _| match path {
            ["metadata" | "spec" | "status"] => Keep::Each,
            ["spec", "prompt"] => Keep::Instead("\"\""),
            ["metadata", "x"] => Keep::Nothing,
            _ => Keep::All,
        });
        let pruned: Value = serde_json::from_str(&pruned.unwrap()).unwrap();
        let expected =
            json!({"metadata": {"name": "a\"b"}, "spec": {"prompt": "", "name": 1}, "status": null});
        assert_eq!(pruned, expected);
    }

    #[test]
    fn nesting_that_no_parser_takes_is_left_out_unread() {
        let deep = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let keep = |path: &[&str], _: &str| if path == ["a"] { Keep::Nothing } else { Keep::All };
        assert_eq!(prune(&deep, &keep).unwrap(), r#"{"b":1}"#);
        assert_eq!(prune(&deep, &|_, _| Keep::Nothing).unwrap(), "{}");
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(prune("[]", &|_, _| Keep::All).is_err());
        assert!(prune(r#"{"spec":1}"#, &|_, _| Keep::Each).is_err());
    }
}
