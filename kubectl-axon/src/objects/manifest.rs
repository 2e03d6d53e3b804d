//! The manifest of a Task as `run --filename` takes it: nothing that it says is lost.

use std::collections::BTreeMap;

use axon_api::{Task, labels};
use serde_json::Value;

/// What kubectl notes on what it applied; a copy of it would be wrong.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Reads the one Task of a manifest. What is the API server's to say (status, owners) is left out.
///
/// # Errors
/// Anything but one Task, and fields that it does not have, by their paths.
pub(crate) fn parse(text: &str) -> Result<Task, String> {
    let documents = axon_api::yaml::documents(text).map_err(|e| e.to_string())?;
    let [document] = documents.as_slice() else {
        return Err("needs exactly one document, a Task; kubectl apply -f takes several".to_owned());
    };
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    if text("/kind") != Some("Task") || text("/apiVersion") != Some(axon_api::API_VERSION) {
        return Err(format!("is not a Task of {}", axon_api::API_VERSION));
    }
    let mut document = document.clone();
    if let Some(fields) = document.as_object_mut() {
        for known in ["apiVersion", "kind", "status"] {
            fields.remove(known);
        }
    }
    let mut unknown = Vec::new();
    let task: Task = serde_ignored::deserialize(document, |path| unknown.push(readable(&path.to_string())))
        .map_err(|e| e.to_string())?;
    match unknown.first() {
        Some(first) => Err(format!("unknown field {first:?}")),
        None => Ok(task),
    }
}

/// The library writes `?` for what is optional.
fn readable(path: &str) -> String {
    let parts = path.split('.').filter(|part| *part != "?");
    parts.collect::<Vec<_>>().join(".")
}

/// Labels and annotations by which tools that apply manifests know what is theirs. A copy that carries them belongs to no
/// manifest, so that such a tool deletes it, while it runs, when it cleans up: Argo CD, Flux, Helm, Fleet, kpt and
/// kubectl's own apply sets.
const OWNERSHIP: [&str; 3] = [
    "app.kubernetes.io/instance",
    "applyset.kubernetes.io/part-of",
    "config.k8s.io/owning-inventory",
];
/// The same, by what stands before the slash.
const OWNERSHIP_PREFIXES: [&str; 4] = [
    "argocd.argoproj.io",
    "meta.helm.sh",
    "helm.sh",
    "objectset.rio.cattle.io",
];

fn marks_owner(key: &str) -> bool {
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    OWNERSHIP.contains(&key) || OWNERSHIP_PREFIXES.contains(&prefix) || prefix.ends_with(".toolkit.fluxcd.io")
}

/// Returns labels or annotations without those by which a tool takes the object for its own.
pub(crate) fn unowned(all: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let all = all.into_iter().flatten();
    let kept = all.filter(|(key, _)| *key != APPLIED && !marks_owner(key));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns the annotations of a Task without kubectl's own notes.
pub(crate) fn annotations(task: &Task) -> BTreeMap<String, String> {
    let mut all = task.metadata.annotations.clone().unwrap_or_default();
    all.remove(APPLIED);
    all
}

/// Returns those labels or annotations of a Task that its user chose: neither axon's, which tie it to a spawner or to
/// what it repeats, nor those of the tool that applied it.
pub(crate) fn chosen(all: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut all = unowned(all);
    all.retain(|key, _| !key.starts_with("axon.io/") && key != labels::MANAGED_BY);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = "apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: t, namespace: team, labels: {team: a}, annotations: {why: x}, creationTimestamp: null}
spec: {type: codex, prompt: p, credentials: {type: none}, podOverrides: {env: [{name: A, value: b}]}}
";

    #[test]
    fn a_manifest_is_one_task() {
        let task = parse(TASK).unwrap();
        assert_eq!(
            (task.metadata.name.as_deref(), task.spec.prompt.as_str()),
            (Some("t"), "p")
        );
        assert!(
            parse(&format!("{TASK}status: {{phase: Running, later: x}}\n")).is_ok(),
            "what kubectl get prints can be read"
        );
        for bad in [
            "",
            "kind: Pod\napiVersion: v1\n",
            "apiVersion: axon.io/v1alpha1\nkind: Task\nspec: {type: nobody}\n",
            &format!("{TASK}---\n{TASK}"),
            ": : :",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_that_do_not_exist_are_named_by_their_path() {
        for (was, is, path) in [
            ("prompt: p,", "prompt: p, modle: m,", "spec.modle"),
            (
                "{type: none}",
                "{type: none, secret: s}",
                "spec.credentials.secret",
            ),
            (
                "podOverrides: {",
                "podOverrides: {envs: [], ",
                "spec.podOverrides.envs",
            ),
            ("value: b", "valeu: b", "spec.podOverrides.env.0.valeu"),
            ("spec:", "sepc: {}\nspec:", "sepc"),
        ] {
            let error = parse(&TASK.replace(was, is)).unwrap_err();
            assert_eq!(error, format!("unknown field {path:?}"));
        }
    }

    #[test]
    fn a_copy_belongs_to_no_tool_that_prunes() {
        let keys = [
            "app.kubernetes.io/instance",
            "app.kubernetes.io/name",
            "argocd.argoproj.io/instance",
            "argocd.argoproj.io/tracking-id",
            "kustomize.toolkit.fluxcd.io/name",
            "helm.toolkit.fluxcd.io/namespace",
            "meta.helm.sh/release-name",
            "helm.sh/chart",
            "applyset.kubernetes.io/part-of",
            "config.k8s.io/owning-inventory",
            "objectset.rio.cattle.io/hash",
            "team",
            "mine.helm.sh/x",
            APPLIED,
        ];
        let all: BTreeMap<String, String> = keys.map(|key| (key.to_owned(), "x".to_owned())).into();
        let left = ["app.kubernetes.io/name", "mine.helm.sh/x", "team"];
        assert_eq!(unowned(Some(&all)).into_keys().collect::<Vec<_>>(), left);
        assert_eq!(chosen(Some(&all)).into_keys().collect::<Vec<_>>(), left);
    }

    #[test]
    fn what_ties_a_task_to_others_is_not_chosen() {
        let all = [
            "team",
            labels::TASK_SPAWNER,
            labels::ITEM,
            labels::RETRY_OF,
            labels::MANAGED_BY,
            labels::ITEM_URL,
            APPLIED,
            "other.axon.io/x",
        ];
        let all = all.map(|key| (key.to_owned(), "x".to_owned())).into();
        let left: Vec<String> = chosen(Some(&all)).into_keys().collect();
        assert_eq!(left, ["other.axon.io/x", "team"]);
        assert!(chosen(None).is_empty());
    }
}
