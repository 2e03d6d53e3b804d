//! What can go wrong, as exit codes and as lines for people.

use std::io;

mod explain;

pub use explain::{explain, timed_out};

/// Result of everything that a person may be told about.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

/// What kind of failure it was; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything without a code of its own.
    Error,
    /// The command line or the configuration can't be used.
    Usage,
    /// The Task that was watched has failed.
    TaskFailed,
    /// Something did not happen in time.
    TimedOut,
    /// The permission is missing.
    Denied,
    /// The credentials are missing, wrong or too old.
    Unauthenticated,
    /// The object that was named does not exist.
    NotFound,
    /// Ctrl-C.
    Interrupted,
    /// The reader of stdout went away, which is how `| head` ends: no failure.
    BrokenPipe,
}

impl Kind {
    /// Returns the exit code of the program. The numbers are documented and stay.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::BrokenPipe => 0,
            Self::Error | Self::Denied | Self::Unauthenticated => 1,
            Self::Usage => 2,
            Self::TaskFailed => 3,
            Self::TimedOut => 4,
            Self::NotFound => 5,
            Self::Interrupted => 130,
        }
    }
}

/// All exit codes and what they mean, as help and documentation show them.
pub const EXIT_CODES: [(u8, &str); 7] = [
    (0, "ok"),
    (1, "error"),
    (2, "wrong usage"),
    (3, "the watched task failed"),
    (4, "timed out"),
    (5, "not found"),
    (130, "interrupted"),
];

/// A failure, as it is told: what happened, and what to do next.
///
/// An empty message means that everything has been said already; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    /// Lower-case sentence that names the object and the field.
    pub message: String,
    /// Next steps, most useful first.
    pub hints: Vec<String>,
}

impl CliError {
    /// Returns a failure without a code of its own.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Error, message)
    }

    /// Returns a usage error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::of(Kind::Usage, message)
    }

    /// Returns a failure of `kind`.
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Returns an exit code without words.
    #[must_use]
    pub fn silent(kind: Kind) -> Self {
        Self::of(kind, "")
    }

    /// Adds a next step. Commands are written as `kubectl axon …`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(Kind::BrokenPipe);
        }
        Self::new(format!("cannot write the output: {error}"))
    }
}

/// What was being asked of the API server, for words about its refusal.
#[derive(Debug, Clone)]
pub struct Action {
    /// Kubernetes verb, such as `list`.
    pub verb: &'static str,
    /// Plural resource, such as `tasks`.
    pub resource: String,
    /// Name of the object, if one was named.
    pub name: Option<String>,
    /// Namespace, unless the resource has none.
    pub namespace: Option<String>,
}

impl Action {
    /// Returns an action on a resource that is in no namespace.
    pub fn new(verb: &'static str, resource: impl Into<String>) -> Self {
        Self {
            verb,
            resource: resource.into(),
            name: None,
            namespace: None,
        }
    }

    /// Names the object.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Names the namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Returns the action in words: `get task "x" in namespace y`.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match &self.name {
            Some(name) => format!("{} {name:?}", singular(&self.resource)),
            None => self.resource.clone(),
        };
        match &self.namespace {
            Some(namespace) => format!("{} {what} in namespace {namespace}", self.verb),
            None => format!("{} {what}", self.verb),
        }
    }
}

/// Returns the word for one object of a plural resource.
#[must_use]
pub fn singular(resource: &str) -> String {
    let word = resource.split('/').next().unwrap_or(resource);
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}

/// Where requests go, for words about a server that does not answer.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// URL of the API server.
    pub server: String,
    /// Name of the kubeconfig context, if one is used.
    pub context: Option<String>,
    /// User of `--as`.
    pub impersonated: Option<String>,
    /// Flags by which a command to be typed next finds the same cluster, each with a blank before it; often none.
    pub flags: String,
}

impl Target {
    fn words(&self) -> String {
        match &self.context {
            Some(context) => format!("{} (context {context})", self.server),
            None => self.server.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        let kinds = [
            Kind::Error,
            Kind::Usage,
            Kind::TaskFailed,
            Kind::TimedOut,
            Kind::Denied,
            Kind::Unauthenticated,
            Kind::NotFound,
            Kind::Interrupted,
            Kind::BrokenPipe,
        ];
        let mut codes: Vec<u8> = kinds.iter().map(|kind| kind.exit_code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, EXIT_CODES.map(|(code, _)| code));
    }

    #[test]
    fn plurals_have_singulars() {
        for (plural, one) in [
            ("tasks", "task"),
            ("pods/log", "pod"),
            ("networkpolicies", "networkpolicy"),
        ] {
            assert_eq!(singular(plural), one);
        }
    }
}
