//! A real kubectl applies the output of the plugin, and the API server has the same texts as before.

mod texts;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use axon_api::limits::MAX_ELEMENTS;
use axon_api::{AgentConfig, Task};
use axon_test::control_plane::ControlPlane;
use axon_test::namespace::Namespace;
use axon_test::paths;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::PostParams;
use serde_json::json;

use texts::texts;

/// The number of programs that run at the same time.
const PARALLEL: usize = 4;

fn tool() -> PathBuf {
    let kubectl = paths::root().join(".cluster/bin/kubectl");
    assert!(
        kubectl.exists(),
        "{} is missing: run `make cluster-binaries`",
        kubectl.display()
    );
    kubectl
}

async fn run(program: PathBuf, kubeconfig: PathBuf, home: PathBuf, args: Vec<String>) -> Output {
    let started = tokio::task::spawn_blocking(move || {
        Command::new(&program)
            .args(&args)
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            .env("HOME", home)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    });
    let output = started.await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    output
}

/// The plugin and kubectl, for one namespace.
struct Tools {
    home: tempfile::TempDir,
    kubeconfig: PathBuf,
    namespace: Namespace,
}

impl Tools {
    async fn new() -> Self {
        let control_plane = ControlPlane::shared().await.unwrap();
        Self {
            home: tempfile::tempdir().unwrap(),
            kubeconfig: control_plane.kubeconfig().to_owned(),
            namespace: control_plane.namespace().await.unwrap(),
        }
    }

    fn file(&self, name: &str, text: &[u8]) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    }

    async fn start(&self, program: &Path, args: &[&str]) -> Output {
        let mut words: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        words.extend(["-n".to_owned(), self.namespace.name().to_owned()]);
        let home = self.home.path().to_owned();
        run(program.to_owned(), self.kubeconfig.clone(), home, words).await
    }

    /// Returns what the plugin prints.
    async fn plugin(&self, args: &[&str]) -> Vec<u8> {
        self.start(&paths::plugin_program().unwrap(), args).await.stdout
    }

    /// Applies what was printed; returns what kubectl says.
    async fn apply(&self, name: &str, printed: &[u8]) -> String {
        let file = self.file(name, printed);
        let output = self.start(&tool(), &["apply", "-f", &file]).await;
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the Tasks, by name.
    async fn tasks(&self) -> std::collections::BTreeMap<String, Task> {
        let all = self
            .namespace
            .api::<Task>()
            .list(&Default::default())
            .await
            .unwrap();
        all.into_iter().map(|task| (task.name_any(), task)).collect()
    }
}

fn value_of(task: &Task, variable: usize) -> Option<String> {
    let overrides = task.spec.pod_overrides.as_ref()?;
    let mut found = overrides.env.iter().filter(|e| e.name == format!("V{variable}"));
    found.next()?.value.clone()
}

#[tokio::test]
async fn dry_runs_apply_as_they_are() {
    let tools = Tools::new().await;
    let texts = texts();
    assert!(texts.len() > 150);
    // Blank prompts are refused.
    let prompts: Vec<(usize, &String)> = texts
        .iter()
        .enumerate()
        .filter(|(_, t)| !t.trim().is_empty())
        .collect();
    assert!(prompts.len() > 130);
    let folder = tools.home.path().join("printed");
    std::fs::create_dir(&folder).unwrap();
    stream::iter(&prompts)
        .for_each_concurrent(PARALLEL, async |(n, text)| {
            let source = format!("@{}", tools.file(&format!("prompt-{n}"), text.as_bytes()));
            let format = if n % 4 == 0 { "json" } else { "yaml" };
            let name = format!("{format}-{n}");
            let words = [
                "run",
                "--name",
                &name,
                "--secret",
                "key",
                "-p",
                &source,
                "--dry-run",
                "-o",
                format,
            ];
            let printed = tools.plugin(&words).await;
            std::fs::write(folder.join(format!("{n}.{format}")), printed).unwrap();
        })
        .await;
    let folder = folder.to_string_lossy();
    tools.start(&tool(), &["apply", "-f", &folder]).await;

    // What stands on the command line, and as much of it as fits in one object.
    let variables: Vec<String> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| format!("V{n}={text}"))
        .collect();
    for (part, variables) in variables.chunks(MAX_ELEMENTS).enumerate() {
        let name = format!("part-{part}");
        let mut words = vec!["run", "--name", &name, "--secret", "key", "-p", "x", "--dry-run"];
        variables
            .iter()
            .for_each(|variable| words.extend(["--env", variable]));
        tools
            .apply(&format!("{name}.yaml"), &tools.plugin(&words).await)
            .await;
    }
    let tasks = tools.tasks().await;
    assert_eq!(tasks.len(), prompts.len() + texts.len().div_ceil(MAX_ELEMENTS));
    for (n, text) in prompts {
        let task = tasks
            .get(&format!("yaml-{n}"))
            .or(tasks.get(&format!("json-{n}")))
            .unwrap();
        assert_eq!(&task.spec.prompt, text, "{text:?}");
    }
    for (n, text) in texts.iter().enumerate() {
        assert_eq!(
            value_of(&tasks[&format!("part-{}", n / MAX_ELEMENTS)], n).unwrap_or_default(),
            *text,
            "{text:?}"
        );
    }

    // Instructions, and files of plugins.
    for format in ["yaml", "json"] {
        let skills: Vec<String> = (0..texts.len())
            .map(|n| format!("s{n}=@{}", tools.file(&format!("skill-{n}"), texts[n].as_bytes())))
            .collect();
        let mut words = vec![
            "create",
            "agentconfig",
            format,
            "--agents-md",
            "a: b\t\n\n",
            "--dry-run",
            "-o",
            format,
        ];
        skills.iter().for_each(|skill| words.extend(["--skill", skill]));
        tools
            .apply(&format!("config.{format}"), &tools.plugin(&words).await)
            .await;
        let config = tools.namespace.api::<AgentConfig>().get(format).await.unwrap();
        assert_eq!(config.spec.agents_md.as_deref(), Some("a: b\t\n\n"));
        let config = serde_json::to_value(config).unwrap();
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(
                config["spec"]["plugins"][0]["skills"][n]["content"], **text,
                "{text:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_get_prints_changes_nothing_when_it_is_applied() {
    let tools = Tools::new().await;
    let texts = texts();
    let api = tools.namespace.api::<Task>();
    let task = |n: usize| -> Task {
        serde_json::from_value(json!({
            "metadata": {"name": format!("t-{n}"), "annotations": {"example.com/note": &texts[n]}},
            "spec": {"type": "claude-code", "prompt": format!("x{}", texts[n]), "credentials": {"type": "none"},
                "podOverrides": {"env": [{"name": "V0", "value": &texts[n]}]}},
        }))
        .unwrap()
    };
    stream::iter((0..texts.len()).map(Ok::<_, kube::Error>))
        .try_for_each_concurrent(PARALLEL, async |n| {
            api.create(&PostParams::default(), &task(n)).await.map(|_| ())
        })
        .await
        .unwrap();
    let before = tools.tasks().await;
    let unchanged = async || {
        let after = tools.tasks().await;
        for (name, before) in &before {
            let (mut after, mut before) = (after[name].clone(), before.clone());
            // kubectl notes what it has applied, which is all that is new.
            after
                .annotations_mut()
                .remove("kubectl.kubernetes.io/last-applied-configuration");
            for task in [&mut after, &mut before] {
                task.metadata.managed_fields = None;
                task.metadata.resource_version = None;
            }
            assert_eq!(after.metadata, before.metadata, "{:?}", before.spec.prompt);
            assert_eq!(after.spec, before.spec);
        }
    };
    for format in ["yaml", "json"] {
        let printed = tools.plugin(&["get", "tasks", "-o", format]).await;
        let answer = tools.apply(&format!("tasks.{format}"), &printed).await;
        assert_eq!(answer.lines().count(), texts.len(), "{answer}");
        unchanged().await;
    }
    // One object is printed otherwise than a list.
    for (format, n) in [("yaml", 3), ("json", 4)] {
        let name = format!("t-{n}");
        let printed = tools.plugin(&["get", "task", &name, "-o", format]).await;
        tools.apply(&format!("one.{format}"), &printed).await;
        unchanged().await;
    }
}
