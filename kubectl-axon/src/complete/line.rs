//! From the words of a command line to what may come next.

use clap::{Arg, Command};

use super::Candidate;
use crate::kinds::Kind;

/// Where candidates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// There are none.
    Nothing,
    /// Names of files; the shell knows them.
    Files,
    /// These.
    Words(Vec<Candidate>),
    /// Objects of these kinds: the first by name alone, the others as `TYPE/NAME`.
    Objects(Vec<Kind>),
    /// Objects as `TYPE/NAME`, where TYPE is as typed.
    Typed(Kind, String),
    /// Namespaces.
    Namespaces,
    /// Secrets.
    Secrets,
    /// Contexts of the kubeconfig.
    Contexts,
}

/// What is to be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where candidates come from.
    pub source: Source,
    /// What was typed of the word.
    pub prefix: String,
    /// What stands before it in the same word, such as `--workspace=`.
    pub before: String,
    /// kubectl's flags on the line, as `--flag=value`.
    pub connection: Vec<String>,
    /// Names that are on the line already.
    pub given: Vec<String>,
}

/// What was read of a line so far.
struct Walk<'a> {
    command: &'a Command,
    path: Vec<String>,
    positionals: Vec<String>,
    connection: Vec<String>,
    expecting: Option<&'a Arg>,
    only_names: bool,
}

/// Looks at the words after the program's name, of which the last one is being typed.
#[must_use]
pub fn look(root: &Command, words: &[String]) -> Request {
    let (words, split) = joined(words);
    let empty = String::new();
    let (last, before) = words.split_last().unwrap_or((&empty, &[]));
    // Some shells can't pass an empty word.
    let last = if matches!(last.as_str(), "\"\"" | "''") {
        ""
    } else {
        last
    };
    let mut walk = Walk {
        command: root,
        path: Vec::new(),
        positionals: Vec::new(),
        connection: Vec::new(),
        expecting: None,
        only_names: false,
    };
    for word in before {
        walk.step(word);
    }
    let mut request = Request {
        source: Source::Nothing,
        prefix: last.to_owned(),
        before: String::new(),
        connection: std::mem::take(&mut walk.connection),
        given: walk.positionals.clone(),
    };
    if let Some(arg) = walk.expecting {
        request.source = values(arg, last);
        // Of a list, the last one is being typed.
        if let (Some(','), Some((done, rest))) = (arg.get_value_delimiter(), last.rsplit_once(',')) {
            request.before = format!("{done},");
            request.prefix = rest.to_owned();
        }
    } else if let Some((flag, value)) = last.split_once('=').filter(|_| last.starts_with("--")) {
        if let Some(arg) = walk.long(flag.trim_start_matches('-')) {
            request.source = values(arg, value);
            request.prefix = value.to_owned();
            // A shell that splits at = replaces only what comes after it.
            request.before = if split { String::new() } else { format!("{flag}=") };
        }
    } else if last.starts_with('-') && !walk.only_names {
        request.source = Source::Words(walk.flags());
    } else if walk.command.has_subcommands() && walk.positionals.is_empty() {
        request.source = Source::Words(walk.subcommands());
    } else {
        request.source = walk.names(last);
    }
    request
}

/// bash hands over `--flag=value` as three words. Returns them as one, and whether the last word was such.
fn joined(words: &[String]) -> (Vec<String>, bool) {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    let mut split = false;
    for word in words {
        let joins = open || (word == "=" && all.last().is_some_and(|w| w.starts_with("--")));
        split = joins;
        match all.last_mut().filter(|_| joins) {
            Some(flag) => flag.push_str(word),
            None => all.push(word.clone()),
        }
        open = word == "=" && joins && !open;
    }
    (all, split)
}

impl<'a> Walk<'a> {
    fn step(&mut self, word: &str) {
        if let Some(arg) = self.expecting.take() {
            self.note(arg, word);
        } else if self.only_names {
            self.positionals.push(word.to_owned());
        } else if word == "--" {
            self.only_names = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            match (self.long(name), value) {
                (Some(arg), Some(value)) => self.note(arg, value),
                (Some(arg), None) if wants_value(arg) => self.expecting = Some(arg),
                _ => {}
            }
        } else if let Some(short) = word.strip_prefix('-').filter(|s| !s.is_empty()) {
            let letter = short.chars().next();
            let found = self.command.get_arguments().find(|a| a.get_short() == letter);
            let value = short.get(1..).unwrap_or_default();
            let value = value.strip_prefix('=').unwrap_or(value);
            match found {
                Some(arg) if wants_value(arg) && value.is_empty() => self.expecting = Some(arg),
                Some(arg) if wants_value(arg) => self.note(arg, value),
                _ => {}
            }
        } else if let (Some(command), true) =
            (self.command.find_subcommand(word), self.positionals.is_empty())
        {
            self.command = command;
            self.path.push(command.get_name().to_owned());
        } else {
            self.positionals.push(word.to_owned());
        }
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name))
    }

    /// Keeps what decides where names are looked up.
    fn note(&mut self, arg: &Arg, value: &str) {
        if let (true, Some(long)) = (arg.is_global_set(), arg.get_long()) {
            self.connection.push(format!("--{long}={value}"));
        }
    }

    fn flags(&self) -> Vec<Candidate> {
        let own = |arg: &&Arg| !arg.is_global_set();
        let all = self.command.get_arguments();
        // A command's own flags first.
        let (mut first, then): (Vec<&Arg>, Vec<&Arg>) = all.partition(own);
        first.extend(then);
        first
            .iter()
            .filter_map(|arg| {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                Some((format!("--{}", arg.get_long()?), help))
            })
            .collect()
    }

    fn subcommands(&self) -> Vec<Candidate> {
        let shown = self.command.get_subcommands().filter(|c| !c.is_hide_set());
        shown
            .map(|c| {
                let about = c.get_about().map(ToString::to_string).unwrap_or_default();
                (c.get_name().to_owned(), about)
            })
            .collect()
    }

    /// What a positional argument may be.
    fn names(&self, last: &str) -> Source {
        let place = self.positionals.len();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (path.as_slice(), place) {
            (["logs" | "retry"], 0) | (["stop" | "wait"], _) => Source::Objects(vec![Kind::Task]),
            (["preview"], 0) => typed(last, &[Kind::TaskSpawner]),
            (["why"], 0) | (["tree"], _) => typed(last, &[Kind::Task, Kind::TaskSpawner]),
            (["get" | "delete" | "describe"], 0) => types(last, &Kind::ALL),
            (["suspend" | "resume"], 0) => types(last, &[Kind::TaskSpawner]),
            (["get" | "delete" | "describe" | "suspend" | "resume"], _) => {
                let first = self.positionals.first().map(String::as_str).unwrap_or_default();
                match (first.contains('/'), first.parse::<Kind>()) {
                    (true, _) => types(last, &Kind::ALL),
                    (false, Ok(kind)) => Source::Objects(vec![kind]),
                    (false, Err(_)) => Source::Nothing,
                }
            }
            _ => Source::Nothing,
        }
    }
}

fn wants_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// Names of the first kind, or `TYPE/NAME` once that was begun.
fn typed(last: &str, kinds: &[Kind]) -> Source {
    match last.split_once('/') {
        Some(_) => types(last, kinds),
        None => Source::Objects(kinds.to_vec()),
    }
}

/// Types, or `TYPE/NAME` once that was begun.
fn types(last: &str, kinds: &[Kind]) -> Source {
    match last.split_once('/') {
        Some((word, _)) => match word.parse::<Kind>() {
            Ok(kind) if kinds.contains(&kind) => Source::Typed(kind, word.to_owned()),
            _ => Source::Nothing,
        },
        None => Source::Words(
            kinds
                .iter()
                .map(|k| (k.singular().to_owned(), String::new()))
                .collect(),
        ),
    }
}

/// What the value of a flag may be.
fn values(arg: &Arg, typed: &str) -> Source {
    let fixed: Vec<Candidate> = arg
        .get_possible_values()
        .iter()
        .map(|value| {
            let help = value.get_help().map(ToString::to_string).unwrap_or_default();
            (value.get_name().to_owned(), help)
        })
        .collect();
    if !fixed.is_empty() {
        return Source::Words(fixed);
    }
    match arg.get_id().as_str() {
        "workspace" => Source::Objects(vec![Kind::Workspace]),
        "agent_config" => Source::Objects(vec![Kind::AgentConfig]),
        "depends_on" | "from_task" => Source::Objects(vec![Kind::Task]),
        "from" => types(typed, &[Kind::TaskSpawner]),
        "secret" => Source::Secrets,
        "namespace" => Source::Namespaces,
        "context" => Source::Contexts,
        "by" => Source::Words(
            [
                "task",
                "spawner",
                "agent",
                "model",
                "workspace",
                "namespace",
                "day",
                "label=",
            ]
            .map(|word| (word.to_owned(), String::new()))
            .to_vec(),
        ),
        "config"
        | "kubeconfig"
        | "certificate_authority"
        | "client_certificate"
        | "client_key"
        | "filename"
        | "dir" => Source::Files,
        _ => Source::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: &str) -> Request {
        let mut command = crate::cli::command(crate::term::output::PLUGIN);
        command.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        look(&command, &words)
    }

    fn words(request: &Request) -> Vec<&str> {
        match &request.source {
            Source::Words(words) => words
                .iter()
                .map(|(word, _)| word.as_str())
                .filter(|word| word.starts_with(&request.prefix))
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn commands_flags_and_values_are_those_of_the_program() {
        assert_eq!(words(&at("un")), ["uninstall"]);
        assert_eq!(words(&at("create a")), ["agentconfig"]);
        assert_eq!(words(&at("run --dep")), ["--depends-on"]);
        assert_eq!(words(&at("run --type ge")), ["gemini"]);
        assert_eq!(words(&at("run -t co")), ["codex"]);
        assert_eq!(words(&at("get tasks -o w")), ["wide"]);
        assert!(words(&at("run --na")).contains(&"--namespace"));
        assert_eq!(words(&at("get tasksp")), ["taskspawner"]);
        assert!(words(&at("")).contains(&"tree"));
    }

    #[test]
    fn names_are_looked_up_where_names_belong() {
        use Kind::{Task, TaskSpawner, Workspace};
        for (line, source) in [
            ("logs ", Source::Objects(vec![Task])),
            ("logs a ", Source::Nothing),
            ("stop a b", Source::Objects(vec![Task])),
            ("why ", Source::Objects(vec![Task, TaskSpawner])),
            ("tree ts/x", Source::Typed(TaskSpawner, "ts".into())),
            ("get ws ", Source::Objects(vec![Workspace])),
            ("delete task/a tasks/b", Source::Typed(Task, "tasks".into())),
            ("get pods ", Source::Nothing),
            ("run --workspace ", Source::Objects(vec![Workspace])),
            ("run --depends-on a,b", Source::Objects(vec![Task])),
            ("get tasks -n ", Source::Namespaces),
            ("get tasks --context ", Source::Contexts),
            ("run --config ", Source::Files),
            ("run -p ", Source::Nothing),
            ("run -p --name ", Source::Nothing),
            ("nonsense ", Source::Nothing),
        ] {
            assert_eq!(at(line).source, source, "{line}");
        }
        assert_eq!(at("run --depends-on a,b").before, "a,");
    }

    #[test]
    fn flags_that_say_where_to_look_are_kept() {
        let request = at("--context=c logs -n team --as bob -f x");
        assert_eq!(
            request.connection,
            ["--context=c", "--namespace=team", "--as=bob"]
        );
        assert_eq!(request.prefix, "x");
    }

    #[test]
    fn a_value_behind_an_equals_sign_is_one_word_or_three() {
        let whole = at("run --workspace=my");
        assert_eq!(
            (whole.prefix.as_str(), whole.before.as_str()),
            ("my", "--workspace=")
        );
        let split = at("run --workspace = my");
        assert_eq!((split.prefix.as_str(), split.before.as_str()), ("my", ""));
        assert_eq!(split.source, Source::Objects(vec![Kind::Workspace]));
        assert_eq!(
            at("run --workspace = ").source,
            Source::Objects(vec![Kind::Workspace])
        );
        assert_eq!(
            at("run --workspace = my -n x --name ").connection,
            ["--namespace=x"]
        );
        assert_eq!(at("run --namespace = x --name y").connection, ["--namespace=x"]);
    }
}
