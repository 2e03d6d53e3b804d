//! Which Secret is wrong, from what the operator and the kubelet say, and how to put it right.

use axon_api::contract::env::GITHUB_TOKEN;
use axon_api::git::Repository;
use axon_api::{Task, Workspace};

/// A Secret that something is wrong with.
#[derive(Debug, PartialEq, Eq)]
enum Fault<'a> {
    /// It does not exist.
    Missing(&'a str),
    /// It exists and lacks a key.
    Lacks(&'a str),
}

/// Returns the command for each Secret that a message about missing Secrets names; without a name, for the agent's own.
pub(crate) fn fixes(message: &str, task: &Task, workspace: Option<&Workspace>, flag: &str) -> Vec<String> {
    let mut faults = faults(message);
    let own = task.spec.credentials.secret_ref.as_ref().map(|r| r.name.as_str());
    if faults.is_empty() {
        faults.push(Fault::Missing(own.unwrap_or("NAME")));
    }
    let commands = faults.into_iter().map(|fault| match fault {
        Fault::Lacks(name) => format!("kubectl edit secret {name}{flag}"),
        Fault::Missing(name) => {
            format!(
                "kubectl create secret generic {name} {}{flag}",
                content(name, task, workspace)
            )
        }
    });
    commands.collect()
}

/// Returns the command that shows the Secret whose credential was refused, without showing the credential: the
/// Workspace's while the agent had not started, the agent's own after that.
pub(crate) fn refused(task: &Task, workspace: Option<&Workspace>, flag: &str) -> String {
    let started = task.status.as_ref().is_some_and(|s| s.start_time.is_some());
    let of_workspace = task.spec.workspace_ref.as_ref().filter(|_| !started);
    let named = match (of_workspace, workspace) {
        (Some(_), Some(found)) => found.spec.secret_ref.as_ref(),
        (Some(reference), None) => {
            return format!("kubectl axon get workspace {} -o yaml{flag}", reference.name);
        }
        (None, _) => task.spec.credentials.secret_ref.as_ref(),
    };
    match (named, of_workspace) {
        (Some(secret), _) => format!("kubectl describe secret {}{flag}", secret.name),
        (None, Some(reference)) => format!("kubectl axon get workspace {} -o yaml{flag}", reference.name),
        (None, None) => format!("kubectl describe secret NAME{flag}"),
    }
}

/// Returns what `kubectl create secret` needs to know of the content.
fn content(name: &str, task: &Task, workspace: Option<&Workspace>) -> String {
    let credentials = &task.spec.credentials;
    if credentials
        .secret_ref
        .as_ref()
        .is_some_and(|own| own.name == name)
        && let Some(key) = task.spec.agent.credential_variable(credentials.kind)
    {
        return format!("--from-literal={key}=VALUE");
    }
    let of_workspace = workspace.filter(|w| w.spec.secret_ref.as_ref().is_some_and(|s| s.name == name));
    let Some(workspace) = of_workspace else {
        return "--from-literal=KEY=VALUE".to_owned();
    };
    if Repository::parse(&workspace.spec.repo).is_ok_and(|repo| repo.is_ssh) {
        "--from-file=ssh-privatekey=FILE --from-file=known_hosts=FILE".to_owned()
    } else {
        format!("--from-literal={GITHUB_TOKEN}=VALUE")
    }
}

/// Reads the names out of the kubelet's two sentences and the operator's `Secret NAME`.
fn faults(message: &str) -> Vec<Fault<'_>> {
    let after = |text: &'static str| message.split_once(text).map(|(_, rest)| rest);
    if let Some(rest) = after("couldn't find key ")
        && let Some((_, rest)) = rest.split_once(" in Secret ")
        && let Some((_, name)) = word(rest).split_once('/')
    {
        return vec![Fault::Lacks(name)];
    }
    if let Some(rest) = after("secret \"")
        && let Some((name, _)) = rest.split_once("\" not found")
    {
        return vec![Fault::Missing(name)];
    }
    let mut parts = message.split("Secret ");
    parts.next();
    parts
        .map(word)
        .filter(|name| !name.is_empty())
        .map(Fault::Missing)
        .collect()
}

/// Returns the name that a text begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-./".contains(c)));
    let word = end.map_or(text, |end| text.get(..end).unwrap_or_default());
    word.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_read_out_of_messages() {
        use Fault::{Lacks, Missing};
        for (message, expected) in [
            (
                "waits for Secret git of Workspace app, which does not exist",
                vec![Missing("git")],
            ),
            (
                "the pod can't start: secret \"claude.key\" not found",
                vec![Missing("claude.key")],
            ),
            (
                "the pod can't start: couldn't find key ANTHROPIC_API_KEY in Secret team/claude",
                vec![Lacks("claude")],
            ),
            (
                "the pod can't start: its volumes need Secret mcp, ConfigMap x, Secret certs, which do not exist",
                vec![Missing("mcp"), Missing("certs")],
            ),
            ("the pod can't start", vec![]),
        ] {
            assert_eq!(faults(message), expected, "{message}");
        }
    }

    #[test]
    fn a_secret_gets_the_keys_that_its_user_needs() {
        let task: Task =
            serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": {"type": "claude-code",
            "prompt": "p", "credentials": {"type": "api-key", "secretRef": {"name": "claude"}},
            "workspaceRef": {"name": "app"}}}))
            .unwrap();
        let workspace = |repo: &str| -> Workspace {
            serde_json::from_value(
                json!({"metadata": {"name": "app"}, "spec": {"repo": repo, "secretRef": {"name": "git"}}}),
            )
            .unwrap()
        };
        let https = workspace("https://h.io/o/r.git");
        for (message, workspace, command) in [
            (
                "secret \"claude\" not found",
                &https,
                "claude --from-literal=ANTHROPIC_API_KEY=VALUE",
            ),
            (
                "waits for Secret git of",
                &https,
                "git --from-literal=GITHUB_TOKEN=VALUE",
            ),
            (
                "waits for Secret git of",
                &workspace("git@h.io:o/r.git"),
                "git --from-file=ssh-privatekey=FILE --from-file=known_hosts=FILE",
            ),
            (
                "its volumes need Secret mcp,",
                &https,
                "mcp --from-literal=KEY=VALUE",
            ),
            (
                "it can't start",
                &https,
                "claude --from-literal=ANTHROPIC_API_KEY=VALUE",
            ),
        ] {
            assert_eq!(
                fixes(message, &task, Some(workspace), " -n x"),
                [format!("kubectl create secret generic {command} -n x")],
                "{message}"
            );
        }
        assert_eq!(
            fixes("couldn't find key A in Secret x/claude", &task, None, ""),
            ["kubectl edit secret claude"]
        );
    }

    #[test]
    fn before_the_agent_started_it_was_the_repositorys_credential() {
        let mut task: Task =
            serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": {"type": "claude-code",
            "prompt": "p", "credentials": {"type": "api-key", "secretRef": {"name": "claude"}},
            "workspaceRef": {"name": "app"}}, "status": {"phase": "Failed", "reason": "AuthFailed"}}))
            .unwrap();
        let with: Workspace = serde_json::from_value(
            json!({"metadata": {"name": "app"}, "spec": {"repo": "https://h.io/o/r", "secretRef": {"name": "git"}}}),
        )
        .unwrap();
        let mut without = with.clone();
        without.spec.secret_ref = None;
        assert_eq!(refused(&task, Some(&with), ""), "kubectl describe secret git");
        for workspace in [None, Some(&without)] {
            assert_eq!(
                refused(&task, workspace, ""),
                "kubectl axon get workspace app -o yaml"
            );
        }
        let status = task.status.as_mut().unwrap();
        status.start_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            "2026-01-02T09:00:00Z".parse().unwrap(),
        ));
        assert_eq!(refused(&task, Some(&with), ""), "kubectl describe secret claude");
        task.status = None;
        task.spec.workspace_ref = None;
        assert_eq!(refused(&task, None, ""), "kubectl describe secret claude");
    }
}
