//! What the API server or the connection says, in words for people.

use std::io;

use super::{Action, CliError, Kind, Target, singular};

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
        .hint(format!(
            "try the same with kubectl: kubectl auth whoami{}",
            target.flags
        )),
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
                .hint(format!("compare versions: kubectl axon version{}", target.flags)),
                _ => unreachable.hint(format!(
                    "check the context and the server: kubectl cluster-info{}",
                    target.flags
                )),
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
    .hint(format!(
        "give it more time with --request-timeout, or check the server: kubectl cluster-info{}",
        target.flags
    ))
}

fn explain_status(status: &kube::core::Status, action: &Action, target: &Target) -> CliError {
    // Quotas, policies and namespaces that go away are "forbidden" too; only this wording is about permissions.
    if status.is_forbidden() && status.message.contains(" cannot ") {
        return denied(&status.message, action, target);
    }
    if status.code == 401 {
        return CliError::of(
            Kind::Unauthenticated,
            format!("{} does not accept the credentials", target.words()),
        )
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
            .hint(format!(
                "install the operator and its resources: kubectl axon install{}",
                target.flags
            ));
        }
        if let (Some(details), Some(namespace)) = (&status.details, &action.namespace)
            && details.kind == "namespaces"
        {
            return CliError::of(Kind::NotFound, format!("namespace {namespace:?} does not exist")).hint(
                format!("create it: kubectl create namespace {namespace}{}", target.flags),
            );
        }
        return CliError::of(Kind::NotFound, not_found_words(action));
    }
    CliError::new(format!("cannot {}: {}", action.words(), status.message.trim()))
}

/// Names who may not do what, and how to check it. `message` is the API server's, which names the user.
fn denied(message: &str, action: &Action, target: &Target) -> CliError {
    let user = message
        .split_once("User \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    let who = user
        .map(|(name, _)| format!("user {name:?} is "))
        .unwrap_or_default();
    let place = match &action.namespace {
        Some(namespace) => format!(" --namespace {namespace}"),
        None if is_ours(&action.resource) => " --all-namespaces".to_owned(),
        None => String::new(),
    };
    let person = target
        .impersonated
        .as_ref()
        .map(|user| format!(" --as {user}"))
        .unwrap_or_default();
    let error = CliError::of(Kind::Denied, format!("{who}not allowed to {}", action.words()));
    let check = format!(
        "kubectl auth can-i {} {}{place}{person}{}",
        action.verb,
        qualified(&action.resource),
        target.flags
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
    crate::kinds::Kind::ALL
        .iter()
        .any(|kind| kind.plural() == resource)
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
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => return "the connection was cut".into(),
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
            impersonated: Some("u".into()),
            flags: " --context dev".into(),
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
            error.hints[0].contains("can-i list tasks.axon.io --namespace team-a --as u"),
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
}
