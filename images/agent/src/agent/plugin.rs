//! Plugins: skills and sub-agents, each a Markdown text with YAML front matter.
//!
//! Claude Code takes a plugin's directory as it is. The other agents have one place for the skills and one for the
//! sub-agents of all plugins, and are stricter about the front matter; so for them the plugin's name goes into each
//! name, and the front matter is written anew.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::failure::Failure;

/// A plugin as it lies on disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plugin {
    /// Its directory.
    pub dir: PathBuf,
    /// Its skills, by name.
    pub skills: Vec<Document>,
    /// Its sub-agents, by name.
    pub agents: Vec<Document>,
}

/// A skill or a sub-agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// `<plugin>:<name>`.
    pub name: String,
    /// What it is for; what the text begins with if it does not say.
    pub description: String,
    /// What else the front matter has.
    pub other: Map<String, Value>,
    /// The text after the front matter.
    pub body: String,
}

impl Plugin {
    /// Reads the plugin in `dir`, which has its name.
    ///
    /// # Errors
    /// `InvalidConfig` if there is something that can't be read.
    pub fn read(dir: PathBuf) -> Result<Self, Failure> {
        let plugin = name_of(&dir);
        let unreadable = |path: &Path, error: &io::Error| {
            Failure::invalid(format!("can't read plugin file {}: {error}", path.display()))
        };
        let read = |name: &str, path: &Path| match fs::read_to_string(path) {
            Ok(text) => Ok(Some(Document::parse(format!("{plugin}:{name}"), &text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(path, &error)),
        };
        let mut skills = Vec::new();
        for path in entries(&dir.join("skills")) {
            skills.extend(read(&name_of(&path), &path.join("SKILL.md"))?);
        }
        let mut agents = Vec::new();
        for path in entries(&dir.join("agents")) {
            if let Some(name) = name_of(&path).strip_suffix(".md") {
                agents.extend(read(name, &path)?);
            }
        }
        Ok(Self { dir, skills, agents })
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

impl Document {
    /// Reads a text.
    #[must_use]
    pub fn parse(name: String, text: &str) -> Self {
        let (matter, body) = split(text);
        let mut other = matter.map(fields).unwrap_or_default();
        other.remove("name");
        let told = other.remove("description");
        let told = told.as_ref().and_then(Value::as_str).map(str::trim);
        let description = match told.filter(|text| !text.is_empty()) {
            Some(text) => text.to_owned(),
            None => first_line(body).unwrap_or(&name).to_owned(),
        };
        Self {
            name,
            description,
            other,
            body: body.to_owned(),
        }
    }

    /// Returns the text with `name` and the other fields of `fields` as its front matter. Each value is written as
    /// JSON, which is YAML too, so that none can be taken for anything else.
    #[must_use]
    pub fn markdown(&self, name: Option<&str>, fields: &[(&str, Value)]) -> String {
        let mut text = "---\n".to_owned();
        let mut put = |key: &str, value: &Value| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if key.chars().all(is_plain) {
                text.push_str(&format!("{key}: {value}\n"));
            }
        };
        if let Some(name) = name {
            put("name", &name.into());
        }
        put("description", &self.description.clone().into());
        for (key, value) in fields {
            put(key, value);
        }
        text.push_str("---\n");
        text.push_str(&self.body);
        text
    }

    /// Returns the text of a skill of this name, with all that its front matter says.
    #[must_use]
    pub fn skill(&self, name: &str) -> String {
        let other: Vec<(&str, Value)> = self
            .other
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        self.markdown(Some(name), &other)
    }
}

/// Returns each document with the name that `rename` makes of its own.
///
/// # Errors
/// `InvalidConfig` if two get the same name, of which an agent would only see one.
pub fn named<'a>(
    what: &str,
    documents: impl Iterator<Item = &'a Document>,
    rename: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, &'a Document>, Failure> {
    let mut all: BTreeMap<String, &Document> = BTreeMap::new();
    for document in documents {
        let name = rename(&document.name);
        if let Some(other) = all.get(&name) {
            return Err(Failure::invalid(format!(
                "{what} {:?} and {:?} are both {name:?} for this agent: rename one",
                other.name, document.name
            )));
        }
        all.insert(name, document);
    }
    Ok(all)
}

/// Splits a text into its front matter, if there is one, and the rest.
fn split(text: &str) -> (Option<&str>, &str) {
    // As Claude Code reads it: an editor's byte order mark and blanks behind the dashes hide no front matter.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some((_, inner)) = text
        .split_once('\n')
        .filter(|(first, _)| first.trim_end() == "---")
    else {
        return (None, text);
    };
    let mut at = 0;
    for line in inner.split_inclusive('\n') {
        if line.trim_end() == "---" {
            let (matter, rest) = inner.split_at(at);
            return (Some(matter), rest.get(line.len()..).unwrap_or_default());
        }
        at += line.len();
    }
    (None, text)
}

/// Reads front matter; what is no YAML, such as a description with a colon, is read line by line.
fn fields(matter: &str) -> Map<String, Value> {
    if let Ok(Value::Object(fields)) = axon_api::yaml::from_str(matter) {
        return fields;
    }
    matter
        .lines()
        .filter(|line| !line.starts_with(char::is_whitespace))
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().into()))
        .collect()
}

fn first_line(body: &str) -> Option<&str> {
    let line = body
        .lines()
        .map(|line| line.trim_start_matches('#').trim())
        .find(|line| !line.is_empty())?;
    let end = line.char_indices().nth(200).map_or(line.len(), |(at, _)| at);
    line.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Document {
        Document::parse("p:d".into(), text)
    }

    #[test]
    fn front_matter_is_read_and_written_anew() {
        let document =
            parse("---\nname: x\ndescription: >\n  Two\n  lines\nallowed-tools: [Read]\n---\n\nBody\n---\n");
        assert_eq!(document.description, "Two lines");
        assert_eq!(document.body, "\nBody\n---\n");
        assert_eq!(
            document.skill("p:d"),
            "---\nname: \"p:d\"\ndescription: \"Two lines\"\nallowed-tools: [\"Read\"]\n---\n\nBody\n---\n"
        );
    }

    #[test]
    fn what_is_missing_is_made_of_what_is_there() {
        for (text, description, body) in [
            ("# Deploy\n\nDo it.", "Deploy", "# Deploy\n\nDo it."),
            ("---\r\nname: x\r\n---\r\n\r\n## Go\r\n", "Go", "\r\n## Go\r\n"),
            ("---\ndescription: \"\"\n---\n", "p:d", ""),
            ("\u{feff}---\ndescription: Go\n---\nx", "Go", "x"),
            ("---  \ndescription: Go\n--- \nx", "Go", "x"),
            ("\u{feff}Go", "Go", "Go"),
            ("---\nno end\n", "---", "---\nno end\n"),
            ("", "p:d", ""),
            (
                "---\ndescription: Use this: always\ntools: Read\n---\nx",
                "Use this: always",
                "x",
            ),
        ] {
            let document = parse(text);
            assert_eq!(
                (document.description.as_str(), document.body.as_str()),
                (description, body),
                "{text}"
            );
        }
    }

    #[test]
    fn a_plugin_is_its_skills_and_agents() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("team tools");
        let put = |path: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "about").unwrap();
        };
        for path in [
            "skills/b/SKILL.md",
            "skills/a/SKILL.md",
            "skills/none/x",
            "agents/r.md",
            "agents/x.txt",
        ] {
            put(path);
        }
        let plugin = Plugin::read(root).unwrap();
        let names = |all: &[Document]| all.iter().map(|d| d.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&plugin.skills), ["team tools:a", "team tools:b"]);
        assert_eq!(names(&plugin.agents), ["team tools:r"]);
        assert_eq!(Plugin::read(dir.path().join("gone")).unwrap().skills, []);
    }

    #[test]
    fn no_document_hides_another() {
        let documents = ["a:b:c", "a:b-c"].map(|name| Document {
            name: name.into(),
            ..Document::default()
        });
        assert_eq!(named("skills", documents.iter(), str::to_owned).unwrap().len(), 2);
        let fault = named("skills", documents.iter(), |name| name.replace(':', "-")).unwrap_err();
        assert!(
            fault
                .message
                .contains("\"a:b:c\" and \"a:b-c\" are both \"a-b-c\""),
            "{fault}"
        );
    }
}
