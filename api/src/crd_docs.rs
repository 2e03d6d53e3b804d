//! The fields of all kinds as Markdown: `docs/reference.md`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::crds;

const INTRODUCTION: &str = "\
<!-- Generated from api/src/v1alpha1 by `make generate`: change the comments there. -->
# Fields of all kinds

`axon.io/v1alpha1`, as `kubectl explain` shows it too. `[]` are the elements of a list. A field without **required** may be
left out. What has a Kubernetes type is written as in a pod, and described there. A status is the operator's to write.

The API server counts the length of a text in characters (Unicode code points), not in bytes. Strings of Kubernetes' own
types have at most 1,024 characters, their lists and maps at most 100 elements, unless this page says otherwise. An object as
a whole has at most some 1.5 MB.
";

/// Fields of types that are Kubernetes' own, by the end of their path.
const FOREIGN: [(&str, &str); 8] = [
    ("podOverrides.affinity", "Affinity"),
    ("podOverrides.env", "[]EnvVar"),
    ("podOverrides.imagePullSecrets", "[]LocalObjectReference"),
    ("podOverrides.resources", "ResourceRequirements"),
    ("podOverrides.tolerations", "[]Toleration"),
    ("podOverrides.volumeMounts", "[]VolumeMount"),
    ("podOverrides.volumes", "[]Volume"),
    ("status.conditions", "[]Condition"),
];

/// The place at which a TaskSpawner has the fields of a Task.
const TEMPLATE: &str = "spec.taskTemplate.";

/// Returns the page.
///
/// # Errors
/// Only if a definition can't be written as JSON.
pub fn markdown() -> Result<String, serde_json::Error> {
    let mut page = INTRODUCTION.to_owned();
    let definitions: Vec<Value> = crds::all()
        .iter()
        .map(|(_, crd)| serde_json::to_value(crd))
        .collect::<Result<_, _>>()?;
    let kind = |definition: &Value| text(definition, "/spec/names/kind");
    let task = definitions.iter().find(|d| kind(d) == "Task");
    let of_task = task
        .and_then(|t| schema(t).pointer("/properties/spec/properties"))
        .cloned();
    for definition in &definitions {
        let short = definition
            .pointer("/spec/names/shortNames/0")
            .and_then(Value::as_str);
        let short = short.map(|short| format!(" (`{short}`)")).unwrap_or_default();
        let about = one_line(&text(schema(definition), "/description"));
        // Writing to a String does not fail.
        write!(page, "\n## {}{short}\n\n{about}\n\n", kind(definition)).ok();
        page += "| field | type | default | description |\n| --- | --- | --- | --- |\n";
        let mut table = Table {
            page: &mut page,
            of_task: of_task.as_ref(),
        };
        table.fields(schema(definition), "");
    }
    Ok(page)
}

fn schema(definition: &Value) -> &Value {
    definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .unwrap_or(&Value::Null)
}

struct Table<'a> {
    page: &'a mut String,
    /// The fields of a Task's spec.
    of_task: Option<&'a Value>,
}

impl Table<'_> {
    fn fields(&mut self, parent: &Value, path: &str) {
        let required = |name: &str| {
            let names = parent.get("required").and_then(Value::as_array);
            names.is_some_and(|names| names.iter().any(|n| n == name))
        };
        let properties = parent.get("properties").and_then(Value::as_object);
        for (name, field) in properties.unwrap_or(&Map::new()) {
            let path = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            self.field(field, &path, required(name));
        }
    }

    fn field(&mut self, field: &Value, path: &str, required: bool) {
        let foreign = FOREIGN
            .iter()
            .find(|(end, _)| path.ends_with(end))
            .map(|(_, kind)| *kind);
        let as_in_task = path
            .strip_prefix(TEMPLATE)
            .filter(|name| self.of_task.and_then(|all| all.get(name)) == Some(field));
        let default = match (required, field.get("default")) {
            (true, _) => "**required**".to_owned(),
            (false, Some(value)) => format!("`{value}`"),
            (false, None) => String::new(),
        };
        let description = match as_in_task {
            Some(name) => format!("As `spec.{name}` of a [Task](#task-axt)."),
            None => described(field),
        };
        let kind = foreign.map_or_else(|| kind(field), str::to_owned);
        // Spec and status themselves say nothing that their fields do not.
        if path.contains('.') {
            let cell = |text: &str| text.replace('|', "\\|");
            writeln!(
                self.page,
                "| `{path}` | {kind} | {} | {} |",
                cell(&default),
                cell(&description)
            )
            .ok();
        }
        if foreign.is_some() || as_in_task.is_some() {
            return;
        }
        self.fields(field, path);
        if let Some(items) = field.get("items") {
            self.fields(items, &format!("{path}[]"));
        }
    }
}

/// Returns what a field is for, and what values it may have.
fn described(field: &Value) -> String {
    let mut words = one_line(&text(field, "/description"));
    let choices = field.get("enum").or_else(|| field.pointer("/items/enum"));
    let choices = choices
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let choices: Vec<String> = choices
        .iter()
        .filter_map(Value::as_str)
        .map(|c| format!("`{c}`"))
        .collect();
    if !choices.iter().all(|choice| words.contains(choice.as_str())) {
        words += &format!(" One of {}.", choices.join(", "));
    }
    let bound = |name: &str| field.get(name).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => words += &format!(" From {least} to {most}."),
        (Some(least), None) if least > 0.0 => words += &format!(" At least {least}."),
        (None, Some(most)) => words += &format!(" At most {most}."),
        _ => {}
    }
    if let Some(limit) = limit(field) {
        words += &format!(" At most {limit}.");
    }
    words.trim().to_owned()
}

/// Returns the largest size that a string, list or map may have, and that of what is in it.
fn limit(field: &Value) -> Option<String> {
    let most = |name: &str| field.get(name).and_then(Value::as_u64);
    let of = |inner: &str| {
        let inner = field.get(inner).and_then(limit);
        inner
            .map(|limit| format!(" of at most {limit}"))
            .unwrap_or_default()
    };
    let characters = most("maxLength").map(|most| format!("{most} characters"));
    let elements = || most("maxItems").map(|most| format!("{most} elements{}", of("items")));
    let entries =
        || most("maxProperties").map(|most| format!("{most} entries{}", of("additionalProperties")));
    characters.or_else(elements).or_else(entries)
}

fn kind(field: &Value) -> String {
    if let Some(items) = field.get("items") {
        return format!("[]{}", kind(items));
    }
    if let Some(values) = field.get("additionalProperties").filter(|v| v.is_object()) {
        return format!("map of {}", kind(values));
    }
    match (text(field, "/type").as_str(), text(field, "/format").as_str()) {
        ("", _) => "any".to_owned(),
        ("string", "date-time") => "time".to_owned(),
        (name, _) => name.to_owned(),
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_a_row_of_four_cells_and_words() {
        let page = markdown().unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert!(rows.len() > 150, "{}", rows.len());
        for row in &rows {
            let cells = row.replace("\\|", "");
            let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 6, "{row}");
            assert!(!cells[2].is_empty() && !cells[4].is_empty(), "{row}");
        }
    }

    #[test]
    fn fields_say_what_they_need_and_what_they_are_without() {
        let page = markdown().unwrap();
        let row = |field: &str| {
            let begin = format!("| `{field}` | ");
            page.lines()
                .find_map(|line| line.strip_prefix(&begin))
                .unwrap()
                .to_owned()
        };
        assert!(row("spec.repo").starts_with("string | **required** | URL of the repository"));
        assert!(row("spec.pollInterval").starts_with("string | `\"5m\"` | "));
        assert!(row("spec.podOverrides.env").starts_with("[]EnvVar | "));
        assert!(
            row("spec.credentials.type").ends_with("by other means. |"),
            "they are named"
        );
        assert!(row("status.phase").contains("One of `Pending`, `Waiting`"));
        assert_eq!(
            row("spec.taskTemplate.model"),
            "string |  | As `spec.model` of a [Task](#task-axt). |"
        );
        assert!(!page.contains("podOverrides.volumes[]."));
        assert!(row("spec.prompt").contains("At most 524288 characters."));
        let labels = row("spec.when.githubIssues.labels");
        assert!(
            labels.ends_with("At most 100 elements of at most 50 characters. |"),
            "{labels}"
        );
    }
}
