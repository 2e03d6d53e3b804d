//! What a run starts from when it is not made of flags alone: a manifest, or a Task that is there.

use std::collections::BTreeMap;
use std::io::Read as _;

use axon_api::v1alpha1::{NameRef, PodOverrides, Rendering, Wanted};
use axon_api::{Task, TaskSpawner, TaskSpec, labels, naming};

use super::Args;
use super::plan;
use crate::cluster::Cluster;
use crate::cluster::operator_query::{ask, tail};
use crate::config_file::Config;
use crate::error::{Action, CliError, Result};
use crate::kinds::{Kind, parse_named};
use crate::objects::plan::{Plan, own_labels};
use crate::objects::{credentials, inputs, manifest};
use crate::term::output::Ui;

/// A Task to vary.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) spec: TaskSpec,
    /// Name in the manifest, or one that tells of the TaskSpawner.
    pub(crate) name: Option<String>,
    /// Namespace in the manifest.
    pub(crate) namespace: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// Reads the manifest of `--filename`, if there is one. Its namespace must be the one that was given, if one was.
pub(crate) fn from_file(args: &Args, namespace: Option<&str>) -> Result<Option<Base>> {
    let Some(path) = &args.filename else {
        return Ok(None);
    };
    let shown = path.display();
    let text = if path.as_os_str() == "-" {
        let mut read = String::new();
        std::io::stdin()
            .read_to_string(&mut read)
            .map_err(|e| CliError::usage(format!("--filename: cannot read stdin: {e}")))?;
        read
    } else {
        std::fs::read_to_string(path)
            .map_err(|e| CliError::usage(format!("--filename: cannot read {shown}: {e}")))?
    };
    let fault = |fault: String| CliError::usage(format!("--filename {shown}: {fault}"));
    let task = manifest::parse(&text).map_err(fault)?;
    let own = task.metadata.namespace.clone().filter(|n| !n.is_empty());
    if let (Some(own), Some(given)) = (&own, namespace)
        && own != given
    {
        let words = format!("the namespace of the object, {own:?}, does not match the namespace {given:?}");
        return Err(fault(words).hint(format!("pass --namespace={own}, or leave it out")));
    }
    let made_up = task.metadata.generate_name.as_ref();
    let made_up = made_up.map(|begin| format!("{begin}{}", tail()));
    Ok(Some(Base {
        name: task.metadata.name.clone().or(made_up),
        namespace: own,
        labels: task.metadata.labels.clone().unwrap_or_default(),
        annotations: manifest::annotations(&task),
        spec: task.spec,
    }))
}

/// Reads the Task of `--from-task`.
pub(crate) async fn from_task(cluster: &Cluster, given: &str) -> Result<Base> {
    let (_, name) = parse_named(given, &[Kind::Task]).map_err(CliError::usage)?;
    let action = Action::new("get", "tasks")
        .named(&name)
        .within(&cluster.namespace);
    let task = cluster.call(&action, cluster.api::<Task>().get(&name)).await?;
    let mut spec = task.spec;
    spec.stop = None;
    spec.retry_of = None;
    Ok(Base {
        spec,
        name: None,
        namespace: None,
        labels: manifest::chosen(task.metadata.labels.as_ref()),
        annotations: manifest::chosen(task.metadata.annotations.as_ref()),
    })
}

/// Asks the operator for what the template of `--from` makes of an item.
pub(crate) async fn from_spawner(ui: &Ui, cluster: &Cluster, given: &str, item: Option<u64>) -> Result<Base> {
    let (_, name) = parse_named(given, &[Kind::TaskSpawner])
        .map_err(|fault| CliError::usage(format!("--from: {fault}")))?;
    let wanted = Wanted::Rendering(item.map(|number| number.to_string()));
    let (spawner, answer) = ask(cluster, &name, wanted).await?;
    let rendering = answer
        .rendering
        .ok_or_else(|| CliError::new("the operator gave no rendering: is it of this version?"))?;
    if let Some(number) = rendering.comments_left_out {
        let comments = if number == 1 { "comment" } else { "comments" };
        ui.warn(&format!(
            "{number} {comments} left out: githubIssues.commentsFrom of the taskspawner says whose count"
        ));
    }
    Ok(tried(&spawner, &name, rendering, &tail()))
}

/// The label is not the one of the spawner's own Tasks: those count against its limits, and mean that their item has had
/// its turn.
fn tried(spawner: &TaskSpawner, name: &str, rendering: Rendering, tail: &str) -> Base {
    let mut spec = spawner
        .spec
        .task_template
        .task(rendering.prompt, rendering.branch);
    spec.trust = spec.trust.or(rendering.trust);
    Base {
        spec,
        name: Some(naming::tried(name, &rendering.item, tail)),
        namespace: None,
        labels: BTreeMap::from([
            (labels::RUN_FROM.to_owned(), naming::label_value(name)),
            (labels::ITEM.to_owned(), rendering.item),
        ]),
        annotations: rendering
            .url
            .map(|url| (labels::ITEM_URL.to_owned(), url))
            .into_iter()
            .collect(),
    }
}

/// Returns the objects of a run that varies `base`: what flags say wins, and the configuration file is asked only for
/// the credential of another agent.
pub(crate) fn vary(
    args: &Args,
    config: &Config,
    base: &Base,
    prompt: Option<String>,
    name: &str,
) -> Result<Plan> {
    if let Some(fault) = axon_api::naming::label_fault(name) {
        return Err(CliError::usage(format!("--name {name:?} {fault}")));
    }
    let mut spec = base.spec.clone();
    let mut secrets = Vec::new();
    let other_agent = args.agent.is_some_and(|agent| agent != spec.agent);
    if other_agent || args.credential.secret.is_some() || args.credential.credential_type.is_some() {
        spec.agent = args.agent.unwrap_or(spec.agent);
        let (credentials, secret) = credentials::choose(&args.credential, config, spec.agent)?;
        spec.credentials = credentials;
        secrets.extend(secret);
        if other_agent {
            // Another agent knows neither the model nor the image.
            (spec.model, spec.image) = (None, None);
        }
    }
    if let Some(prompt) = prompt {
        spec.prompt = prompt;
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    spec.model = given(&args.model).or(spec.model);
    spec.image = given(&args.image).or(spec.image);
    if let Some(workspace) = &args.workspace {
        spec.workspace_ref = Some(NameRef::new(&inputs::reference("--workspace", workspace)?));
    }
    if let Some(config) = &args.agent_config {
        spec.agent_config_ref = Some(NameRef::new(&inputs::reference("--agent-config", config)?));
    }
    plan::check_branch(args)?;
    spec.branch = args.branch.clone().or(spec.branch);
    let depends_on = plan::depends_on(args, name)?;
    if !depends_on.is_empty() {
        spec.depends_on = depends_on;
    }
    plan::check_prompt(&spec.prompt, &spec.depends_on)?;
    if let Some(ttl) = &args.ttl {
        spec.ttl_seconds_after_finished = Some(inputs::ttl(ttl)?);
    }
    spec.budget = args.budget.over(spec.budget.as_ref())?;
    let mut overrides = spec.pod_overrides.take().unwrap_or_default();
    if let Some(timeout) = &args.timeout {
        overrides.active_deadline_seconds = Some(inputs::timeout(timeout)?);
    }
    for variable in inputs::env(&args.env)? {
        overrides.env.retain(|known| known.name != variable.name);
        overrides.env.push(variable);
    }
    spec.pod_overrides = (*overrides != PodOverrides::default()).then_some(overrides);
    let mut task = Task::new(name, spec);
    let mut labels = own_labels();
    labels.extend(base.labels.clone());
    labels.extend(inputs::labels(&args.label)?);
    task.metadata.labels = Some(labels);
    task.metadata.annotations = Some(base.annotations.clone()).filter(|all| !all.is_empty());
    Ok(Plan {
        secrets,
        workspace: None,
        task,
    })
}

#[cfg(test)]
mod tests {
    use axon_api::v1alpha1::Trust;

    use super::*;

    #[test]
    fn flags_change_what_they_name_and_nothing_else() {
        use axon_api::agents::AgentType;
        use clap::Parser as _;
        let spec: TaskSpec = serde_json::from_value(serde_json::json!({
            "type": "claude-code", "prompt": "old", "credentials": {"type": "api-key", "secretRef": {"name": "s"}},
            "model": "opus", "branch": "b", "stallTimeout": "15m", "podOverrides": {"env": [{"name": "A", "value": "1"}]},
        }))
        .unwrap();
        let base = Base {
            spec: spec.clone(),
            name: None,
            namespace: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        let varied = |words: &[&str], prompt: Option<&str>| {
            let args = Args::try_parse_from([&["run", "--from-task", "x"], words].concat()).unwrap();
            let config: Config = axon_api::yaml::from_str("{apiKey: k, model: ignored}").unwrap();
            vary(&args, &config, &base, prompt.map(str::to_owned), "new").unwrap()
        };
        let same = varied(&[], None);
        assert_eq!((same.task.spec, same.secrets.len()), (spec.clone(), 0));
        let other = varied(&["--env", "A=2", "--timeout", "5m", "--branch", "c"], Some("new"))
            .task
            .spec;
        assert_eq!(
            (other.prompt.as_str(), other.branch.as_deref()),
            ("new", Some("c"))
        );
        assert_eq!(
            (other.model.as_deref(), other.stall_timeout.as_deref()),
            (Some("opus"), Some("15m"))
        );
        let overrides = other.pod_overrides.unwrap();
        assert_eq!(overrides.active_deadline_seconds, Some(300));
        assert_eq!(
            (overrides.env.len(), overrides.env[0].value.as_deref()),
            (1, Some("2"))
        );
        let codex = varied(&["-t", "codex"], None);
        assert_eq!(
            (codex.task.spec.agent, codex.task.spec.model),
            (AgentType::Codex, None)
        );
        assert_eq!(codex.secrets[0].name, "axon-credentials-codex");
    }

    #[test]
    fn what_a_template_made_is_none_of_the_spawners_tasks() {
        use clap::Parser as _;
        let spawner: TaskSpawner = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "fix"},
            "spec": {"when": {"githubIssues": {}}, "taskTemplate": {"type": "codex", "credentials": {"type": "none"},
                "workspaceRef": {"name": "w"}, "stallTimeout": "15m"}},
        }))
        .unwrap();
        let rendering = Rendering {
            item: "42".into(),
            url: Some("https://github.com/o/r/issues/42".into()),
            prompt: "fix it".into(),
            branch: Some("axon-42".into()),
            trust: Some(Trust::Base),
            comments_left_out: None,
        };
        let base = tried(&spawner, "fix", rendering, "bcdfg");
        assert_eq!(base.name.as_deref(), Some("fix-42-try-bcdfg"));
        assert_eq!(base.spec.trust, Some(Trust::Base));
        assert_eq!(
            (
                base.spec.prompt.as_str(),
                base.spec.branch.as_deref(),
                base.spec.stall_timeout.as_deref()
            ),
            ("fix it", Some("axon-42"), Some("15m"))
        );
        let args = Args::try_parse_from(["run", "--from", "fix"]).unwrap();
        let task = vary(&args, &Config::default(), &base, None, "t").unwrap().task;
        let all = task.metadata.labels.unwrap();
        assert_eq!(all.get(labels::TASK_SPAWNER), None);
        assert_eq!(
            (all[labels::RUN_FROM].as_str(), all[labels::ITEM].as_str()),
            ("fix", "42")
        );
        assert!(task.metadata.annotations.unwrap()[labels::ITEM_URL].ends_with("/42"));
    }

    #[test]
    fn a_prompt_that_is_no_template_is_refused_if_there_are_dependencies() {
        use clap::Parser as _;
        let base = |depends_on: &[&str]| Base {
            spec: serde_json::from_value(serde_json::json!({"type": "codex", "prompt": "{{index .Deps",
                "credentials": {"type": "none"}, "dependsOn": depends_on}))
            .unwrap(),
            name: None,
            namespace: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        };
        let varied = |base: &Base, words: &[&str], prompt: Option<&str>| {
            let args = Args::try_parse_from([&["run", "--from-task", "x"], words].concat()).unwrap();
            vary(&args, &Config::default(), base, prompt.map(str::to_owned), "t").map(drop)
        };
        let words: [&[&str]; 2] = [&[], &["--depends-on", "a"]];
        let bases = [base(&["a"]), base(&[])];
        for (base, words) in bases.iter().zip(words) {
            let error = varied(base, words, None).unwrap_err();
            assert!(
                error
                    .message
                    .starts_with("the prompt can't be rendered: template: prompt:1:"),
                "{error}"
            );
            assert!(varied(base, words, Some("{{.Deps}}")).is_ok());
        }
        assert!(
            varied(&base(&[]), &[], None).is_ok(),
            "without dependencies it is text"
        );
    }

    #[test]
    fn all_that_a_manifest_says_reaches_the_task() {
        use clap::Parser as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {name: t, namespace: team, \
            labels: {team: a, app.kubernetes.io/managed-by: argo}, annotations: {why: x}}\n\
            spec: {type: codex, prompt: p, credentials: {type: none}}\n";
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        let args = Args::try_parse_from(["run", "-f", path, "--label", "team=b", "--label", "x=y"]).unwrap();
        let base = from_file(&args, None).unwrap().unwrap();
        assert_eq!(
            (base.name.as_deref(), base.namespace.as_deref()),
            (Some("t"), Some("team"))
        );
        let task = vary(&args, &Config::default(), &base, None, "t").unwrap().task;
        let all = task.metadata.labels.unwrap();
        assert_eq!((all["team"].as_str(), all["x"].as_str()), ("b", "y"), "flags win");
        assert_eq!(all[labels::MANAGED_BY], "argo");
        assert_eq!(task.metadata.annotations.unwrap()["why"], "x");

        assert!(from_file(&args, Some("team")).is_ok());
        let error = from_file(&args, Some("other")).unwrap_err();
        assert!(
            error
                .message
                .contains("\"team\", does not match the namespace \"other\""),
            "{error}"
        );
        assert!(error.hints[0].contains("--namespace=team"), "{:?}", error.hints);
    }
}
