//! The net under all writes of what became of something: a body that the API server refuses for its content is written again
//! with less in it, so that no text and no word that older definitions lack keeps a Task from ending.
//!
//! Phase, reason, conditions, times, figures and references stay as long as the API server takes them. [`Cut`] is pure.

use std::collections::BTreeSet;

use kube::core::Status;
use kube::core::response::StatusCause;
use serde_json::Value;

use super::call::CallError;

/// Most writes of one body. The API server names one field at a time that its definitions lack.
const MOST_WRITES: usize = 16;

/// Members that are text of people, agents, images or the cluster, wherever they stand.
const WORDS: [&str; 8] = [
    "message",
    "outputs",
    "results",
    "title",
    "answer",
    "source",
    "model",
    "taskLabels",
];

/// The reason that every version of the definitions has for those that it does not know.
const UNKNOWN: &str = "Unknown";

/// Members of a body that are left out or replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Pointers to reasons that the definitions lack: they become `Unknown`.
    unknown: BTreeSet<String>,
    /// Pointers to reasons that are not even taken as `Unknown`: they are left out.
    dropped: BTreeSet<String>,
    /// True if all free text is left out.
    words: bool,
    /// Members of the part that are left out as a whole.
    members: BTreeSet<String>,
    /// Paths of fields that the definitions lack, such as `status.attempts[].jobUID`.
    fields: BTreeSet<String>,
}

impl Cut {
    /// Takes out what the API server complains about; false if nothing is left to take out. `part` is the member of the body
    /// that the operator fills, `status` or `spec`.
    #[must_use]
    pub fn deepen(&mut self, part: &str, said: &Status) -> bool {
        if said.message.contains(NOT_TYPED) {
            return undeclared(part, said).is_some_and(|field| self.fields.insert(field));
        }
        let causes = said.details.as_ref().map_or(&[][..], |details| &details.causes);
        let of_part: Vec<&StatusCause> = causes
            .iter()
            .filter(|cause| is_below(&cause.field, part))
            .collect();
        if !causes.is_empty() && of_part.is_empty() {
            // Something that others wrote breaks a rule.
            return false;
        }
        let reasons = of_part
            .iter()
            .filter(|cause| cause.reason == "FieldValueNotSupported" && cause.field.ends_with(".reason"));
        let mut has_changed = false;
        for pointer in reasons.map(|cause| pointer(&cause.field)) {
            has_changed |= if self.unknown.contains(&pointer) {
                self.dropped.insert(pointer)
            } else {
                self.unknown.insert(pointer)
            };
        }
        if has_changed {
            return true;
        }
        if !self.words {
            self.words = true;
            return true;
        }
        for cause in of_part {
            let member = cause.field.strip_prefix(part).unwrap_or_default();
            let end = |c: char| !c.is_ascii_alphanumeric();
            let member = member
                .trim_start_matches('.')
                .split(end)
                .next()
                .unwrap_or_default();
            if !matches!(member, "" | "phase" | "conditions") {
                has_changed |= self.members.insert(member.to_owned());
            }
        }
        has_changed
    }

    /// Returns true if a reason was replaced or left out: the definitions are older than the operator.
    #[must_use]
    pub fn has_unknown_reasons(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// Returns the body with less in it.
    #[must_use]
    pub fn of(&self, part: &str, body: &Value) -> Value {
        let mut body = body.clone();
        for reason in &self.unknown {
            let Some((owner, key)) = reason.rsplit_once('/') else {
                continue;
            };
            let Some(owner) = body.pointer_mut(owner).and_then(Value::as_object_mut) else {
                continue;
            };
            let Some(told) = owner.insert(key.to_owned(), UNKNOWN.into()) else {
                continue;
            };
            // The reason of an attempt is read from here, see `task::decide::unknown_reasons`. That of the Task itself is in its conditions.
            if let (true, Some(told)) = (
                owner.contains_key("podName") && reason.contains("/attempts/"),
                told.as_str(),
            ) {
                let message = owner.get("message").and_then(Value::as_str).unwrap_or_default();
                owner.insert("message".to_owned(), format!("{told}: {message}").into());
            }
        }
        for reason in &self.dropped {
            if let Some((owner, key)) = reason.rsplit_once('/')
                && let Some(owner) = body.pointer_mut(owner).and_then(Value::as_object_mut)
            {
                owner.remove(key);
            }
        }
        for field in &self.fields {
            remove(&mut body, field);
        }
        let Some(filled) = body.get_mut(part) else {
            return body;
        };
        if self.words {
            remove_words(filled);
        }
        if let Some(filled) = filled.as_object_mut() {
            filled.retain(|member, _| !self.members.contains(member));
        }
        body
    }

    /// Returns what is missing, for people.
    #[must_use]
    pub fn what(&self) -> String {
        let reasons =
            (!self.unknown.is_empty()).then(|| "reasons that the definitions do not have".to_owned());
        let words = self.words.then(|| "texts".to_owned());
        let members = self.members.iter().chain(&self.fields).cloned();
        let all: Vec<String> = reasons.into_iter().chain(words).chain(members).collect();
        all.join(", ")
    }
}

impl Cut {
    /// Returns what people should know: what is missing of a `body`, such as `status`, why, and what to do.
    #[must_use]
    pub fn note(&self, body: &str, said: &CallError) -> String {
        let said = said
            .said()
            .map_or_else(|| said.to_string(), |said| said.message.clone());
        let advice = if self.has_unknown_reasons() || !self.members.is_empty() || !self.fields.is_empty() {
            "the definitions are older than the operator: update them with `kubectl axon install`"
        } else {
            "the operator's log has all of it"
        };
        format!(
            "stored without {}, {advice}; the whole {body} was refused: {said}",
            self.what()
        )
    }
}

/// Words of the API server's 500 for a server-side apply with a field that the definitions lack.
const NOT_TYPED: &str = "failed to create typed patch object";

/// Returns the path of the field of `part` that the definitions lack; `None` for another answer, and for a field without which
/// nothing is worth to be stored.
fn undeclared(part: &str, said: &Status) -> Option<String> {
    let (_, told) = said.message.split_once(NOT_TYPED)?;
    let below = format!(".{part}.");
    let words = told.split_whitespace();
    let path = words
        .filter_map(|word| word.strip_suffix(':'))
        .find(|word| word.starts_with(&below))?;
    let mut field = String::with_capacity(path.len());
    let mut is_index = false;
    // Which element of a list has it is no matter of the definitions.
    for c in path.trim_start_matches('.').chars() {
        is_index = (is_index || c == '[') && c != ']';
        if !is_index || c == '[' {
            field.push(c);
        }
    }
    let name = field.strip_prefix(part)?;
    (!matches!(name, ".phase" | ".conditions")).then_some(field)
}

/// Removes a field by its path; `[]` stands for every element of a list.
fn remove(value: &mut Value, path: &str) {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let (name, is_list) = match first.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (first, false),
    };
    let Some(members) = value.as_object_mut() else {
        return;
    };
    match (rest, members.get_mut(name)) {
        (None, _) => drop(members.remove(name)),
        (Some(rest), Some(Value::Array(items))) if is_list => {
            items.iter_mut().for_each(|item| remove(item, rest));
        }
        (Some(rest), Some(member)) => remove(member, rest),
        (Some(_), None) => {}
    }
}

fn is_below(field: &str, part: &str) -> bool {
    field
        .strip_prefix(part)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Returns a field's path, such as `status.attempts[0].reason`, as a JSON pointer.
fn pointer(field: &str) -> String {
    let mut pointer = String::with_capacity(field.len() + 1);
    for segment in field.split(['.', '[']) {
        pointer.push('/');
        pointer += segment.trim_end_matches(']');
    }
    pointer
}

fn remove_words(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(remove_words),
        Value::Object(members) => {
            // Of a condition the message is required.
            let is_condition = members.contains_key("lastTransitionTime");
            for word in WORDS {
                match members.get_mut(word) {
                    Some(text) if is_condition => *text = "".into(),
                    Some(_) => drop(members.remove(word)),
                    None => {}
                }
            }
            members
                .iter_mut()
                // They are needed for a prompt, and are texts that the API server has stored already.
                .filter(|(member, _)| *member != "dependencyOutputs")
                .for_each(|(_, value)| remove_words(value));
        }
        _ => {}
    }
}

/// A body that was written, perhaps with less in it.
#[derive(Debug)]
pub struct Stored<T> {
    /// Result of the call.
    pub value: T,
    /// The missing members, and the API server's answer to the complete body.
    pub cut: Option<(Cut, CallError)>,
}

/// A body on its way: written whole, and with less in it as long as the API server refuses it for its content.
#[derive(Debug)]
pub struct Write {
    part: &'static str,
    whole: Value,
    body: Value,
    cut: Cut,
    /// The API server's answer to the complete body.
    refused: Option<CallError>,
    writes: usize,
}

impl Write {
    /// Returns a body, of which the operator fills `part`, before its first write.
    #[must_use]
    pub fn new(part: &'static str, whole: Value) -> Self {
        Self {
            part,
            body: whole.clone(),
            whole,
            cut: Cut::default(),
            refused: None,
            writes: 0,
        }
    }

    /// Leaves out these fields from the start: the definitions are known to lack them.
    #[must_use]
    pub fn without(mut self, fields: impl IntoIterator<Item = String>) -> Self {
        self.cut.fields.extend(fields);
        if !self.cut.fields.is_empty() {
            self.body = self.cut.of(self.part, &self.whole);
        }
        self
    }

    /// Returns what to write now.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// Takes what the write gave, and returns the end of it; `None` if there is less to write now.
    ///
    /// # Errors
    /// The API server's answer to the complete body, if it takes no part of it either; or any other error of a call.
    pub fn end<T>(&mut self, answer: Result<T, CallError>) -> Option<Result<Stored<T>, CallError>> {
        self.writes += 1;
        let error = match answer {
            Ok(value) => {
                let cut = self
                    .refused
                    .take()
                    .map(|said| (std::mem::take(&mut self.cut), said));
                return Some(Ok(Stored { value, cut }));
            }
            Err(error) if !is_malformed(&error) => return Some(Err(error)),
            Err(error) => error,
        };
        let can_be_less =
            self.writes < MOST_WRITES && error.said().is_some_and(|said| self.cut.deepen(self.part, said));
        let first = self.refused.take().unwrap_or(error);
        if !can_be_less {
            return Some(Err(first));
        }
        self.refused = Some(first);
        self.body = self.cut.of(self.part, &self.whole);
        None
    }
}

/// Returns true for an answer about the content of a body: that it can't be decoded, or is invalid. A webhook or a policy that
/// refuses it is somebody's will.
#[must_use]
pub fn is_malformed(error: &CallError) -> bool {
    error.said().is_some_and(|said| {
        said.code == 500 && said.message.contains(NOT_TYPED)
            || matches!(said.code, 400 | 422)
                && super::refusal::of(said) == Some(super::refusal::Refusal::Never)
    })
}

#[cfg(test)]
mod tests;
