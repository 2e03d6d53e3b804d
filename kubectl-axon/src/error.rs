//! What can go wrong, as exit codes and as lines for people.

use std::io;

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
            Self::Error | Self::Denied => 1,
            Self::Usage => 2,
            Self::TaskFailed => 3,
            Self::TimedOut => 4,
            Self::NotFound => 5,
            Self::Interrupted => 130,
        }
    }
}

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
}

impl Target {
    fn words(&self) -> String {
        match &self.context {
            Some(context) => format!("{} (context {context})", self.server),
            None => self.server.clone(),
        }
    }
}

/// Puts a failed request in words.
#[must_use]
pub fn explain(error: &kube::Error, action: &Action, target: &Target) -> CliError {
    match error {
        kube::Error::Api(status) => explain_status(status, action, target),
        kube::Error::Auth(auth) => CliError::new(format!(
            "cannot get credentials for {}: {}",
            target.words(),
            root_cause(auth)
        ))
        .hint("try the same with kubectl: kubectl auth whoami"),
        other => {
            let unreachable = CliError::new(format!(
                "cannot reach the cluster at {}: {}",
                target.words(),
                root_cause(other)
            ));
            match other {
                kube::Error::SerdeError(e) => CliError::new(format!(
                    "cannot {}: the answer of {} is not understood: {e}",
                    action.words(),
                    target.words()
                ))
                .hint("compare versions: kubectl axon version"),
                _ => unreachable.hint("check the context and the server: kubectl cluster-info"),
            }
        }
    }
}

/// Returns the failure of a request that was not answered in time.
#[must_use]
pub fn timed_out(action: &Action, target: &Target, seconds: f64) -> CliError {
    CliError::of(
        Kind::TimedOut,
        format!(
            "cannot {}: no answer from {} within {seconds} s",
            action.words(),
            target.words()
        ),
    )
    .hint("give it more time with --request-timeout, or check the server: kubectl cluster-info")
}

fn explain_status(status: &kube::core::Status, action: &Action, target: &Target) -> CliError {
    // Quotas, policies and namespaces that go away are "forbidden" too; only this wording is about permissions.
    if status.is_forbidden() && status.message.contains(" cannot ") {
        return denied(&status.message, action);
    }
    if status.code == 401 {
        return CliError::new(format!("{} does not accept the credentials", target.words()))
            .hint("log in again, or choose another --context or --user");
    }
    if status.is_not_found() || status.code == 404 {
        // An object that is missing comes with details; a path that the server does not know is plain text.
        if status.details.is_none() && is_ours(&action.resource) {
            return CliError::new(format!(
                "the cluster at {} does not know axon's resources ({})",
                target.words(),
                axon_api::API_VERSION
            ))
            .hint("install the operator and its resources: kubectl axon install");
        }
        if let (Some(details), Some(namespace)) = (&status.details, &action.namespace)
            && details.kind == "namespaces"
        {
            return CliError::of(Kind::NotFound, format!("namespace {namespace:?} does not exist"))
                .hint(format!("create it: kubectl create namespace {namespace}"));
        }
        return CliError::of(Kind::NotFound, not_found_words(action));
    }
    CliError::new(format!("cannot {}: {}", action.words(), status.message.trim()))
}

/// Names who may not do what, and how to check it. `message` is the API server's, which names the user.
fn denied(message: &str, action: &Action) -> CliError {
    let user = message
        .split_once("User \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let who = user
        .map(|(name, _)| format!("user {name:?} is "))
        .unwrap_or_default();
    let place = action
        .namespace
        .as_ref()
        .map(|n| format!(" --namespace {n}"))
        .unwrap_or_default();
    let error = CliError::of(Kind::Denied, format!("{who}not allowed to {}", action.words()));
    let check = format!(
        "kubectl auth can-i {} {}{place}",
        action.verb,
        qualified(&action.resource)
    );
    if is_ours(&action.resource) && action.namespace.is_some() {
        let role = if matches!(action.verb, "get" | "list" | "watch") {
            "view"
        } else {
            "edit"
        };
        error.hint(format!(
            "the role {role} of the namespace includes it; check with: {check}"
        ))
    } else {
        error.hint(format!(
            "ask the cluster's administrator for it; check with: {check}"
        ))
    }
}

fn not_found_words(action: &Action) -> String {
    let what = singular(&action.resource);
    let name = action.name.as_deref().unwrap_or_default();
    match &action.namespace {
        Some(namespace) => format!("{what} {name:?} does not exist in namespace {namespace}"),
        None => format!("{what} {name:?} does not exist"),
    }
}

fn is_ours(resource: &str) -> bool {
    matches!(resource, "tasks" | "taskspawners" | "workspaces" | "agentconfigs")
}

fn qualified(resource: &str) -> String {
    if is_ours(resource) {
        format!("{resource}.{}", axon_api::GROUP)
    } else {
        resource.to_owned()
    }
}

/// Returns the innermost cause, which is the one that says what is wrong; outer ones only say where.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        match io.kind() {
            io::ErrorKind::ConnectionRefused => return "connection refused".into(),
            io::ErrorKind::TimedOut => return "the connection timed out".into(),
            _ => {}
        }
        if let Some(inner) = io.get_ref().and_then(|e| e.source().map(ToString::to_string)) {
            return inner;
        }
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn target() -> Target {
        Target {
            server: "https://host:6443".into(),
            context: Some("dev".into()),
        }
    }

    fn api(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
    }

    #[test]
    fn a_denial_names_verb_resource_and_namespace() {
        let action = Action::new("list", "tasks").within("team-a");
        let error = explain(
            &api(
                403,
                "Forbidden",
                "tasks.axon.io is forbidden: User \"u\" cannot list",
            ),
            &action,
            &target(),
        );
        assert_eq!(error.kind.exit_code(), 1);
        assert_eq!(
            error.message,
            "user \"u\" is not allowed to list tasks in namespace team-a"
        );
        assert!(
            error.hints[0].contains("can-i list tasks.axon.io --namespace team-a"),
            "{:?}",
            error.hints
        );
    }

    #[test]
    fn an_unknown_path_means_that_nothing_is_installed() {
        let action = Action::new("list", "tasks").within("x");
        let error = explain(
            &api(404, "Failed to parse error data", "404 page not found\n"),
            &action,
            &target(),
        );
        assert!(
            error.message.contains("does not know axon's resources"),
            "{error}"
        );
        assert!(error.hints[0].contains("kubectl axon install"));
        assert_eq!(error.kind, Kind::Error);
    }

    #[test]
    fn a_missing_object_is_named() {
        let status = Status::failure("", "NotFound").with_code(404).with_details(
            kube::core::response::StatusDetails {
                name: "x".into(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                causes: vec![],
                retry_after_seconds: 0,
            },
        );
        let error = explain(
            &kube::Error::Api(status.boxed()),
            &Action::new("get", "taskspawners").named("x").within("y"),
            &target(),
        );
        assert_eq!(error.kind.exit_code(), 5);
        assert_eq!(error.message, "taskspawner \"x\" does not exist in namespace y");
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
