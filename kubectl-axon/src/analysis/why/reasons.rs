//! Each reason in words, and what to do about it.

use axon_api::{Task, TaskPhase, TaskReason, Workspace, labels};
use jiff::Timestamp;

use super::secrets;
use crate::format;

/// What is known besides the Task.
pub(crate) struct Context<'a> {
    /// The Task's Workspace, if it is there.
    pub(crate) workspace: Option<&'a Workspace>,
    /// Why the Job controller could not make the pod, in the API server's words.
    pub(crate) refusal: Option<&'a str>,
    /// What commands need to find the namespace.
    pub(crate) flag: &'a str,
    /// The time.
    pub(crate) now: Timestamp,
}

/// Returns what completes "NAME ...", and commands to type next.
pub(crate) fn words(
    name: &str,
    task: &Task,
    phase: TaskPhase,
    reason: Option<TaskReason>,
    context: &Context<'_>,
) -> (String, Vec<String>) {
    let (flag, now, found) = (context.flag, context.now, context.workspace);
    let status = task.status.clone().unwrap_or_default();
    let logs = || format!("kubectl axon logs {name}{flag}");
    let follow = || format!("kubectl axon logs {name} -f{flag}");
    let retry = || format!("kubectl axon retry {name}{flag}");
    let vary = |option: &str| format!("kubectl axon run --from-task {name} {option}{flag}");
    // A repetition would meet the same limit.
    let edit = || {
        vec![
            format!("kubectl axon get task {name} -o yaml{flag} > task.yaml"),
            format!("kubectl axon run --filename task.yaml --name {name}-2{flag}  # with a higher limit"),
        ]
    };
    let pod = || {
        let pod = status.pod_name.clone().unwrap_or_default();
        if pod.is_empty() {
            format!("kubectl describe job {name}{flag}")
        } else {
            format!("kubectl describe pod {pod}{flag}")
        }
    };
    let since = |time: Option<Timestamp>| format::age(time, now);
    let started = status.start_time.as_ref().map(|time| time.0);
    let ended = status.completion_time.as_ref().map(|time| time.0);
    let workspace = task.spec.workspace_ref.as_ref().map(|r| r.name.as_str());
    let config = task.spec.agent_config_ref.as_ref().map(|r| r.name.as_str());
    let message = status.message.as_deref().map(format::joined).unwrap_or_default();
    let because = |words: &str| {
        // The message may begin with what is said here.
        let message = message.strip_prefix(words).unwrap_or(&message);
        let message = message.trim_start_matches([':', ' ']);
        if message.is_empty() {
            format!("failed {} ago: {words}", since(ended))
        } else {
            format!(
                "failed {} ago: {words}: {}",
                since(ended),
                format::gist(message, 160)
            )
        }
    };
    use TaskReason as R;
    match (phase, reason) {
        (TaskPhase::Failed, Some(R::Stopped)) => {
            // The message begins with what is said here.
            let more = message.strip_prefix("stopped on request").unwrap_or(&message);
            let words = format!("was stopped on request {} ago", since(ended));
            let more = more.trim_start_matches([':', ' ']);
            let words = if more.is_empty() {
                words
            } else {
                format!("{words}: {more}")
            };
            (format::gist(&words, 200), vec![retry()])
        }
        (TaskPhase::Succeeded, _) => {
            let words = format!("succeeded {} ago", since(ended));
            let words = if message.is_empty() {
                words
            } else {
                format!("{words}: {}", format::gist(&message, 200))
            };
            (words, vec![logs()])
        }
        (TaskPhase::Failed, reason) => {
            let (words, next) = match reason {
                Some(R::AuthFailed) => (
                    "the credential was refused",
                    vec![secrets::refused(task, found, flag), retry()],
                ),
                Some(R::RateLimited) => ("the model provider's rate limit was reached", vec![retry()]),
                Some(R::ProviderUnavailable) => {
                    ("the model provider failed or had no capacity", vec![retry()])
                }
                Some(R::ContextLengthExceeded) => (
                    "its prompt or session is longer than the model can read",
                    vec![format!("kubectl axon get task {name} -o yaml{flag}"), logs()],
                ),
                Some(R::ToolsDenied) => ("its agent was not allowed to use any tool", vec![logs()]),
                Some(R::OOMKilled) => ("the agent needed more memory than its limit", edit()),
                Some(R::StorageExceeded) => ("its pod wrote more to disk than its limit", edit()),
                Some(R::Evicted) => ("its pod was taken away too often", vec![retry()]),
                Some(R::DeadlineExceeded) => (
                    "it took longer than its timeout",
                    vec![logs(), vary("--timeout DURATION")],
                ),
                Some(R::ImagePull) => (
                    "an image can't be pulled",
                    vec![
                        format!("kubectl axon doctor{flag}"),
                        vary("--image IMAGE"),
                        retry(),
                    ],
                ),
                Some(R::CloneFailed) if is_unreachable(&message) => (
                    "the repository's host can't be reached, maybe because of NetworkPolicy axon-agents, which lets tasks \
                     reach public addresses on ports 443 and 22 and what an administrator adds",
                    vec![
                        format!("kubectl axon logs {name} -c workspace{flag}"),
                        format!("kubectl describe networkpolicy axon-agents{flag}"),
                        "kubectl axon install --agent-network-allow CIDR:PORT".to_owned(),
                        retry(),
                    ],
                ),
                Some(R::CloneFailed) => (
                    "the repository could not be cloned, or the branch not be set up",
                    vec![
                        format!("kubectl axon logs {name} -c workspace{flag}"),
                        format!(
                            "kubectl axon get workspace {} -o yaml{flag}",
                            workspace.unwrap_or("NAME")
                        ),
                        retry(),
                    ],
                ),
                Some(R::InvalidConfig) => (
                    "it can't run as it is written",
                    vec![format!("kubectl axon get task {name} -o yaml{flag}")],
                ),
                Some(R::DependencyCycle) => (
                    "it depends on itself",
                    vec![
                        format!("kubectl axon tree {name}{flag}"),
                        format!("kubectl axon delete task {name}{flag}"),
                    ],
                ),
                Some(R::PodLost) => ("its pod, node or job was lost", vec![retry()]),
                Some(R::BudgetExceeded) => (
                    "it has spent what its budget allows",
                    vec![
                        logs(),
                        format!("kubectl axon retry {name} --max-cost DOLLARS{flag}"),
                    ],
                ),
                Some(R::BudgetExhausted) => (
                    "a TaskBudget has no room for what it may spend",
                    vec![
                        format!("kubectl axon get budgets{flag}"),
                        format!("kubectl axon retry {name} --max-cost DOLLARS{flag}"),
                    ],
                ),
                Some(R::Stalled) => ("its agent was silent for too long", vec![logs(), retry()]),
                _ => ("its agent failed", vec![logs(), retry()]),
            };
            (because(words), next)
        }
        (TaskPhase::Running, Some(R::Stopping)) => ("is being stopped".to_owned(), vec![follow()]),
        (TaskPhase::Running, _) => (format!("has run for {}", since(started)), vec![follow()]),
        (_, Some(R::WorkspaceNotFound)) => {
            let workspace = workspace.unwrap_or("NAME");
            (
                format!("waits for workspace {workspace}, which does not exist"),
                vec![format!(
                    "kubectl axon create workspace {workspace} --repo URL{flag}"
                )],
            )
        }
        (_, Some(R::AgentConfigNotFound)) => {
            let config = config.unwrap_or("NAME");
            (
                format!("waits for agentconfig {config}, which does not exist"),
                vec![format!(
                    "kubectl axon create agentconfig {config} --agents-md @AGENTS.md{flag}"
                )],
            )
        }
        (_, Some(R::SecretNotFound)) => (
            format!("can't start: {message}"),
            secrets::fixes(&message, task, found, flag),
        ),
        (_, Some(R::PodRefused)) => {
            let said = context.refusal.unwrap_or(&message);
            let (_, quota) = said.split_once("exceeded quota: ").unwrap_or_default();
            let quota = quota.split([',', ' ']).next().unwrap_or_default();
            let mut next = Vec::new();
            if !quota.is_empty() {
                next.push(format!("kubectl describe resourcequota {quota}{flag}"));
            }
            // Without the policy there is no Job that could be described.
            let about_network = [
                axon_api::network::NAME,
                labels::ALLOW_EGRESS,
                labels::NETWORK_POLICY,
            ];
            next.push(match about_network.iter().any(|name| said.contains(name)) {
                true => format!("kubectl axon doctor{flag}"),
                false => format!("kubectl describe job {name}{flag}"),
            });
            (format!("can't have its pod for now: {said}"), next)
        }
        (_, Some(R::BudgetExhausted)) => (message.clone(), vec![format!("kubectl axon get budgets{flag}")]),
        (_, Some(R::BudgetNeedsCap)) => (
            format!("waits: {message}"),
            vec![
                format!("kubectl axon get budgets{flag}"),
                format!("kubectl axon run --from-task {name} --max-cost DOLLARS{flag}"),
            ],
        ),
        (_, Some(R::Queued)) => (
            format!("is queued: {message}"),
            vec![
                format!("kubectl describe job {name}{flag}"),
                format!("kubectl axon stop {name}{flag}"),
            ],
        ),
        (_, Some(R::Unschedulable)) => (format!("has no node to run on: {message}"), vec![pod()]),
        (_, Some(R::ImagePull)) => (format!("can't get its image: {message}"), vec![pod()]),
        (_, Some(R::Cloning)) => (
            "is cloning its repository".to_owned(),
            vec![format!("kubectl axon logs {name} -c workspace{flag}")],
        ),
        (_, Some(R::Starting)) => ("is starting: its pod is being prepared".to_owned(), vec![pod()]),
        (_, Some(R::Retrying)) => (format!("is about to run again: {message}"), vec![logs()]),
        (phase, _) => (
            if message.is_empty() {
                format!("is {phase}")
            } else {
                format!("is {phase}: {message}")
            },
            vec![pod()],
        ),
    }
}

/// Returns true for what git and ssh say when a connection can't be made, or the name of the host has no address. A network that
/// enforces policies drops packets or refuses connections.
fn is_unreachable(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    [
        "failed to connect to",
        "couldn't connect to",
        "connection timed out",
        "connection refused",
        "operation timed out",
        "network is unreachable",
        "no route to host",
        "could not resolve host",
    ]
    .iter()
    .any(|said| message.contains(said))
}
