//! The kinds, as the command line names and shows them.

use std::str::FromStr;

use axon_api::v1alpha1::TaskBudget;
use axon_api::{AgentConfig, Task, TaskRecord, TaskSpawner, Workspace};
use kube::api::ApiResource;

mod budget;
mod columns;
mod detail;

pub use columns::{Column, columns};
pub use detail::detail;

/// One of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A run of an agent.
    Task,
    /// What makes Tasks.
    TaskSpawner,
    /// A repository.
    Workspace,
    /// Instructions, plugins and MCP servers.
    AgentConfig,
    /// What a set of Tasks may spend.
    TaskBudget,
    /// What a finished Task has consumed.
    TaskRecord,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Task,
        Self::TaskSpawner,
        Self::Workspace,
        Self::AgentConfig,
        Self::TaskBudget,
        Self::TaskRecord,
    ];

    /// Returns the word for one object, as in `task/NAME`.
    #[must_use]
    pub fn singular(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::TaskSpawner => "taskspawner",
            Self::Workspace => "workspace",
            Self::AgentConfig => "agentconfig",
            Self::TaskBudget => "taskbudget",
            Self::TaskRecord => "taskrecord",
        }
    }

    /// Returns the resource, as in URLs.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Task => "tasks",
            Self::TaskSpawner => "taskspawners",
            Self::Workspace => "workspaces",
            Self::AgentConfig => "agentconfigs",
            Self::TaskBudget => "taskbudgets",
            Self::TaskRecord => "taskrecords",
        }
    }

    /// Returns what a dynamic API needs to know.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Task => ApiResource::erase::<Task>(&()),
            Self::TaskSpawner => ApiResource::erase::<TaskSpawner>(&()),
            Self::Workspace => ApiResource::erase::<Workspace>(&()),
            Self::AgentConfig => ApiResource::erase::<AgentConfig>(&()),
            Self::TaskBudget => ApiResource::erase::<TaskBudget>(&()),
            Self::TaskRecord => ApiResource::erase::<TaskRecord>(&()),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let word = lower.strip_suffix(".axon.io").unwrap_or(&lower);
        match word {
            "task" | "tasks" | "axt" => Ok(Self::Task),
            "taskspawner" | "taskspawners" | "ts" => Ok(Self::TaskSpawner),
            "workspace" | "workspaces" | "ws" => Ok(Self::Workspace),
            "agentconfig" | "agentconfigs" | "ac" => Ok(Self::AgentConfig),
            "taskbudget" | "taskbudgets" | "budget" | "budgets" | "tb" => Ok(Self::TaskBudget),
            "taskrecord" | "taskrecords" | "axr" => Ok(Self::TaskRecord),
            _ => Err(format!(
                "{text:?} is not a type: use task, taskspawner (ts), workspace (ws), agentconfig (ac), taskbudget (tb) or taskrecord (axr)"
            )),
        }
    }
}

/// Reads `TYPE NAME...` or `TYPE/NAME...` into a kind and names.
///
/// # Errors
/// When a type is unknown, or when types are mixed.
pub fn parse_arguments(first: &str, others: &[String]) -> Result<(Kind, Vec<String>), String> {
    let both = |odd: &str| format!("{odd:?}: write either TYPE NAME... or TYPE/NAME..., not both");
    if !first.contains('/') {
        let kind = first.parse()?;
        return match others.iter().find(|name| name.contains('/')) {
            Some(odd) => Err(both(odd)),
            None => Ok((kind, others.to_vec())),
        };
    }
    let mut kind = None;
    let mut names = Vec::new();
    for argument in std::iter::once(first).chain(others.iter().map(String::as_str)) {
        let (word, name) = argument.split_once('/').ok_or_else(|| both(argument))?;
        let this: Kind = word.parse()?;
        if *kind.get_or_insert(this) != this {
            return Err("objects of one type only at a time".to_owned());
        }
        if name.is_empty() || name.contains('/') {
            return Err(format!("{argument:?} has no name after its type"));
        }
        names.push(name.to_owned());
    }
    kind.map(|kind| (kind, names)).ok_or_else(|| both(first))
}

/// Reads `NAME` or `TYPE/NAME`, where `NAME` alone is of the first of the kinds that are possible.
///
/// # Errors
/// When the type is none of these, or there is no name.
pub fn parse_named(text: &str, possible: &[Kind]) -> Result<(Kind, String), String> {
    let forms = || {
        let first = possible.first().map(|k| k.singular().to_ascii_uppercase());
        let typed = possible.iter().map(|k| format!("{}/NAME", k.singular()));
        let all: Vec<String> = first.into_iter().chain(typed).collect();
        all.join(", ")
    };
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (kind.parse()?, name),
        None => (*possible.first().ok_or("nothing is possible")?, text),
    };
    if !possible.contains(&kind) || name.is_empty() || name.contains('/') {
        return Err(format!("{text:?} can't be used here: write one of {}", forms()));
    }
    Ok((kind, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<(Kind, Vec<String>), String> {
        let others: Vec<String> = arguments.iter().skip(1).map(|a| (*a).to_owned()).collect();
        parse_arguments(arguments[0], &others)
    }

    #[test]
    fn both_ways_to_name_objects_are_read() {
        let names = |n: &[&str]| n.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(parse(&["tasks"]), Ok((Kind::Task, vec![])));
        assert_eq!(
            parse(&["ts", "a", "b"]),
            Ok((Kind::TaskSpawner, names(&["a", "b"])))
        );
        assert_eq!(
            parse(&["Task.axon.io/a", "tasks/b"]),
            Ok((Kind::Task, names(&["a", "b"])))
        );
        assert_eq!(parse(&["ac/x"]), Ok((Kind::AgentConfig, names(&["x"]))));
    }

    #[test]
    fn one_name_says_what_it_is_of() {
        let possible = [Kind::Task, Kind::TaskSpawner];
        for (text, kind) in [
            ("a", Kind::Task),
            ("task/a", Kind::Task),
            ("ts/a", Kind::TaskSpawner),
            ("taskspawners.axon.io/a", Kind::TaskSpawner),
        ] {
            assert_eq!(parse_named(text, &possible), Ok((kind, "a".to_owned())), "{text}");
        }
        for bad in ["ws/a", "pod/a", "task/", "task/a/b", ""] {
            assert!(parse_named(bad, &possible).is_err(), "{bad}");
        }
    }

    #[test]
    fn mixtures_are_refused() {
        for bad in [
            &["pods"][..],
            &["task/a", "ws/b"],
            &["task", "task/a"],
            &["task/"],
            &["task/a", "b"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
