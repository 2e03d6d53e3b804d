//! The longest texts, lists and maps that a spec may have.
//!
//! Everything in a spec is kept in the operator's memory while its object is watched, so nothing in it may be limited by
//! the size of an etcd object alone. The fields of the product name their limits themselves; [`bound`] gives one to every
//! field that has none, such as those of Kubernetes' own types.
//!
//! Lengths are counted as the API server counts them: in characters (Unicode code points), not in bytes.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Characters of a prompt.
pub const MAX_PROMPT: usize = 512 * 1024;
/// Characters of a prompt template: the most that the template parser reads, `go_template::MAX_TEXT`.
pub const MAX_PROMPT_TEMPLATE: usize = 256 * 1024;
/// Characters of one text that becomes a file: instructions, a skill, a sub-agent, a file of a Workspace.
pub const MAX_CONTENT: usize = 256 * 1024;
/// Characters of the value of an environment variable, an argument or a command.
pub const MAX_VALUE: usize = 32 * 1024;
/// Characters of an HTTP header's value.
pub const MAX_HEADER: usize = 16 * 1024;
/// Characters of a URL.
pub const MAX_URL: usize = 4096;
/// Characters of a model's name; the ARN of a Bedrock inference profile has up to 2,048.
pub const MAX_MODEL: usize = 2048;
/// Characters of an image reference.
pub const MAX_IMAGE: usize = 1024;
/// Characters of a file name, as file systems limit it.
pub const MAX_FILE_NAME: usize = 255;
/// Characters of an object's name, and of the name of an environment variable.
pub const MAX_NAME: usize = 253;
/// Elements of the lists and maps that people write: variables, arguments, headers, labels.
pub const MAX_ELEMENTS: usize = 100;
/// Characters of a label on GitHub, which refuses longer ones.
pub const MAX_GITHUB_LABEL: usize = 50;
/// Characters of a repository's name on GitHub, which refuses longer ones.
pub const MAX_GITHUB_REPOSITORY: usize = 100;
/// Most repositories in `githubApp.repositories`. GitHub accepts up to 500 for one token.
pub const MAX_GITHUB_REPOSITORIES: usize = 100;
/// Permissions of a token; GitHub knows some 40 of them.
pub const MAX_GITHUB_PERMISSIONS: usize = 50;
/// Characters of a label's value in Kubernetes.
pub const MAX_LABEL_VALUE: usize = 63;
/// Skills, or sub-agents, of a plugin.
pub const MAX_SKILLS: usize = 256;
/// Labels that a Task's record keeps.
pub const MAX_RECORDED_LABELS: usize = 500;

/// Characters of a string whose field names no limit.
const DEFAULT_LENGTH: i64 = 1024;
/// Elements of a list, and entries of a map, whose field names no limit.
const DEFAULT_ELEMENTS: i64 = 100;

/// Strings that need another limit than the default and can't name it themselves, by the end of their path: fields of
/// Kubernetes' own types, and values of maps.
const LENGTHS: [(&str, usize); 8] = [
    ("mcpServers[].env{}", MAX_VALUE),
    ("mcpServers[].headers{}", MAX_HEADER),
    ("podOverrides.annotations{}", MAX_VALUE),
    ("podOverrides.env[].name", MAX_NAME),
    ("podOverrides.env[].value", MAX_VALUE),
    ("podOverrides.labels{}", MAX_LABEL_VALUE),
    ("podOverrides.nodeSelector{}", MAX_LABEL_VALUE),
    ("taskLabels{}", MAX_LABEL_VALUE),
];
/// Maps that need another limit than the default.
const ENTRIES: [(&str, usize); 1] = [("taskLabels", MAX_RECORDED_LABELS)];

/// Returns how far `text` is over a limit of `most` characters: its own number of characters, if there are more.
#[must_use]
pub fn excess(text: &str, most: usize) -> Option<usize> {
    // A text never has more characters than bytes; most texts need no count.
    let length = if text.len() <= most {
        0
    } else {
        text.chars().count()
    };
    (length > most).then_some(length)
}

/// Gives every string, list and map of a definition's spec a limit, unless it has one. A status is left alone: an operator
/// of the former version must be able to write its own.
///
/// These limits are part of the schema and no rules of CEL: a write of a status is checked against the status's schema
/// alone, but against the rules of the whole object. A Task that is older than a limit can therefore end on every API
/// server, also on those before Kubernetes 1.30, which do not tolerate a field that was invalid before.
pub fn bound(definition: &mut CustomResourceDefinition) {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut();
        let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_mut());
        let properties = schema.and_then(|schema| schema.properties.as_mut());
        if let Some(spec) = properties.and_then(|properties| properties.get_mut("spec")) {
            bound_schema(spec, "spec");
        }
    }
}

fn bound_schema(schema: &mut JSONSchemaProps, path: &str) {
    let is_bare_text =
        schema.type_.as_deref() == Some("string") || schema.x_kubernetes_int_or_string == Some(true);
    if is_bare_text && !is_bounded_text(schema) {
        schema.max_length = Some(own(&LENGTHS, path).unwrap_or(DEFAULT_LENGTH));
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        bound_schema(property, &format!("{path}.{name}"));
    }
    if let Some(items) = &mut schema.items {
        schema.max_items.get_or_insert(DEFAULT_ELEMENTS);
        if let JSONSchemaPropsOrArray::Schema(items) = items {
            bound_schema(items, &format!("{path}[]"));
        }
    }
    if let Some(values) = &mut schema.additional_properties {
        let most = own(&ENTRIES, path).unwrap_or(DEFAULT_ELEMENTS);
        schema.max_properties.get_or_insert(most);
        if let JSONSchemaPropsOrBool::Schema(values) = values {
            bound_schema(values, &format!("{path}{{}}"));
        }
    }
}

fn own(limits: &[(&str, usize)], path: &str) -> Option<i64> {
    let (_, most) = limits.iter().find(|(end, _)| path.ends_with(end))?;
    i64::try_from(*most).ok()
}

/// Returns true for a string of which the API server knows the longest form.
fn is_bounded_text(schema: &JSONSchemaProps) -> bool {
    let by_format = matches!(schema.format.as_deref(), Some("date" | "date-time"));
    schema.max_length.is_some() || schema.enum_.is_some() || by_format
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::crds;

    /// Calls `see` with each schema below `schema`, and its path.
    fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&Value, &str)) {
        see(schema, path);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            walk(property, &format!("{path}.{name}"), see);
        }
        for (key, end) in [("items", "[]"), ("additionalProperties", "{}")] {
            if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
                walk(inner, &format!("{path}{end}"), see);
            }
        }
        for key in ["allOf", "anyOf", "oneOf", "not"] {
            assert!(schema.get(key).is_none(), "{path}: {key} is not walked");
        }
    }

    fn walk_all(field: &str, mut see: impl FnMut(&Value, &str)) {
        for (file, definition) in crds::all() {
            let definition = serde_json::to_value(definition).unwrap();
            let root = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
            if let Some(schema) = root.get(field) {
                walk(schema, &format!("{file} {field}"), &mut see);
            }
        }
    }

    #[test]
    fn every_string_list_and_map_of_every_spec_has_a_limit() {
        let mut seen = [0, 0, 0];
        walk_all("spec", |schema, path| {
            let has = |name: &str| schema.get(name).is_some_and(Value::is_u64);
            let is_text = schema["type"] == "string" || schema["x-kubernetes-int-or-string"] == true;
            let format = schema["format"].as_str();
            if is_text && schema.get("enum").is_none() && !matches!(format, Some("date" | "date-time")) {
                assert!(has("maxLength"), "{path} is a string without maxLength");
                seen[0] += 1;
            }
            if schema["type"] == "array" {
                assert!(has("maxItems"), "{path} is a list without maxItems");
                seen[1] += 1;
            }
            if schema.get("additionalProperties").is_some() {
                assert!(has("maxProperties"), "{path} is a map without maxProperties");
                seen[2] += 1;
            }
            assert_ne!(
                schema["x-kubernetes-preserve-unknown-fields"], true,
                "{path} takes anything"
            );
            let is_known = schema.get("type").is_some() || schema["x-kubernetes-int-or-string"] == true;
            assert!(is_known, "{path} takes anything");
        });
        assert!(seen.iter().all(|number| *number > 10), "{seen:?}");
    }

    #[test]
    fn a_status_of_the_former_operator_still_fits() {
        let mut limits = Vec::new();
        walk_all("status", |schema, path| {
            for name in ["maxLength", "maxItems", "maxProperties"] {
                // Kubernetes' own conditions have limits that all operators have always met.
                // TaskBudgets are younger than every former operator.
                let is_old = !path.contains("conditions") && !path.starts_with("taskbudgets.yaml");
                if schema.get(name).is_some() && is_old {
                    limits.push(format!("{path} {name}"));
                }
            }
        });
        // The first and the last have always been there; no former operator writes the second.
        let expected = ["attempts", "budgets", "satisfiedDependencies"]
            .map(|f| format!("tasks.yaml status.{f} maxItems"));
        assert_eq!(limits, expected);
    }

    #[test]
    fn every_field_of_the_tables_is_there() {
        let mut missing: Vec<&str> = LENGTHS.iter().chain(&ENTRIES).map(|(end, _)| *end).collect();
        walk_all("spec", |schema, path| {
            let most = |name| schema.get(name).and_then(Value::as_i64);
            let held = |end: &str| {
                (own(&LENGTHS, end).is_some() && most("maxLength") == own(&LENGTHS, end))
                    || (own(&ENTRIES, end).is_some() && most("maxProperties") == own(&ENTRIES, end))
            };
            missing.retain(|end| !(path.ends_with(end) && held(end)));
        });
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn a_limit_that_a_field_names_itself_stays() {
        let mut own = 0;
        walk_all("spec", |schema, path| {
            let expected = match path {
                "tasks.yaml spec.prompt" => MAX_PROMPT,
                "taskspawners.yaml spec.taskTemplate.promptTemplate" => MAX_PROMPT_TEMPLATE,
                "taskspawners.yaml spec.taskTemplate.podOverrides.env[].value"
                | "tasks.yaml spec.podOverrides.env[].value" => MAX_VALUE,
                "workspaces.yaml spec.files[].content"
                | "agentconfigs.yaml spec.agentsMD"
                | "agentconfigs.yaml spec.plugins[].skills[].content"
                | "agentconfigs.yaml spec.plugins[].agents[].content" => MAX_CONTENT,
                "taskspawners.yaml spec.when.githubIssues.labels[]" => MAX_GITHUB_LABEL,
                _ => return,
            };
            assert_eq!(schema["maxLength"], expected, "{path}");
            own += 1;
        });
        assert_eq!(own, 9, "a field of these was renamed");
    }

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(excess("ééé", 3), None);
        assert_eq!(excess("éééé", 3), Some(4));
        assert_eq!(excess("", 0), None);
    }
}
