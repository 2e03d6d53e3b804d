//! A spec that never changes, but for named fields.
//!
//! CEL can compare two objects only as a whole, so that the rule is written out field by field. It is made from the
//! schema itself: a field that is added later is in it without anyone thinking of it.

use schemars::Schema;
use serde_json::{Value, json};

const MESSAGE: &str = "Task spec is immutable after creation: create a new Task instead";

/// Adds the rule to the schema of a Task's spec: every field stays as it was, but for `stop`.
pub(super) fn but_for_stop(schema: &mut Schema) {
    let rule = rule(schema, &["stop"]);
    let rules = schema
        .ensure_object()
        .entry("x-kubernetes-validations")
        .or_insert_with(|| json!([]));
    if let Value::Array(rules) = rules {
        rules.push(json!({"rule": rule, "message": MESSAGE}));
    }
}

fn rule(schema: &Schema, mutable: &[&str]) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |field: &str| {
        required
            .into_iter()
            .flatten()
            .any(|name| name.as_str() == Some(field))
    };
    let fields = schema.get("properties").and_then(Value::as_object);
    let mut fields: Vec<&str> = fields
        .into_iter()
        .flat_map(|fields| fields.keys().map(String::as_str))
        .collect();
    // The order of the map depends on features of serde_json that other crates may switch on.
    fields.sort_unstable();
    let same = |field: &&str| {
        if is_required(field) {
            format!("self.{field} == oldSelf.{field}")
        } else {
            format!(
                "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"
            )
        }
    };
    let fixed: Vec<String> = fields
        .iter()
        .filter(|field| !mutable.contains(field))
        .map(same)
        .collect();
    fixed.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_but_the_named_ones_is_compared() {
        let schema = Schema::try_from(json!({
            "properties": {"prompt": {}, "model": {}, "stop": {}}, "required": ["prompt"],
        }))
        .unwrap();
        assert_eq!(
            rule(&schema, &["stop"]),
            "has(self.model) == has(oldSelf.model) && (!has(self.model) || self.model == oldSelf.model) \
             && self.prompt == oldSelf.prompt"
        );
    }
}
