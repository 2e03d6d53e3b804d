//! What the operator's administrator gives every Task's pod: proxies, and Secrets to pull images with.

use axon_api::Task;
use axon_api::naming::subdomain_fault;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, LocalObjectReference};

use super::job::literal;

/// The defaults.
#[derive(Clone, Debug, Default)]
pub struct PodDefaults {
    /// Names of Secrets in the Task's namespace.
    pub pull_secrets: PullSecrets,
    /// Variables of proxies, by their upper-case names.
    pub proxies: Vec<(&'static str, String)>,
}

/// Names of Secrets with credentials of registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullSecrets(Vec<String>);

/// A name that no Secret can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a Secret")]
pub struct NameError(String);

impl PullSecrets {
    /// Reads names with commas between them; an empty text names none.
    ///
    /// # Errors
    /// The first that is no name of a Secret.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let checked = names.map(|name| match subdomain_fault(name) {
            None => Ok(name.to_owned()),
            Some(_) => Err(NameError(name.to_owned())),
        });
        checked.collect::<Result<_, _>>().map(Self)
    }
}

/// Puts the defaults into a Task's Job. The Task's own variables win. Its own Secrets come first; the others are added,
/// because the image of the workspace is not of the Task's choice.
pub(crate) fn apply(defaults: &PodDefaults, task: &Task, job: &mut Job) {
    let Some(pod) = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) else {
        return;
    };
    for name in &defaults.pull_secrets.0 {
        let all = pod.image_pull_secrets.get_or_insert_default();
        if !all.iter().any(|secret| secret.name == *name) {
            all.push(LocalObjectReference { name: name.clone() });
        }
    }
    let own: Vec<&str> = task
        .spec
        .pod_overrides
        .iter()
        .flat_map(|o| &o.env)
        .map(|variable| variable.name.as_str())
        .collect();
    let wanted: Vec<_> = defaults
        .proxies
        .iter()
        .filter(|(name, _)| !own.iter().any(|own| own.eq_ignore_ascii_case(name)))
        .collect();
    for container in pod
        .containers
        .iter_mut()
        .chain(pod.init_containers.iter_mut().flatten())
    {
        for (name, value) in &wanted {
            add(container, name, value);
        }
    }
}

/// Adds a variable in both spellings: curl, and with it git, reads `http_proxy` in no other.
fn add(container: &mut Container, name: &str, value: &str) {
    let all = container.env.get_or_insert_default();
    for name in [name.to_owned(), name.to_ascii_lowercase()] {
        if !all.iter().any(|variable| variable.name == name) {
            all.push(literal(&name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::images::Images;
    use crate::task::build::job;
    use crate::task::fixtures::{task, workspace};

    fn defaults() -> PodDefaults {
        PodDefaults {
            pull_secrets: PullSecrets::parse("mirror, team").unwrap(),
            proxies: vec![
                ("HTTPS_PROXY", "http://p:3128".into()),
                ("NO_PROXY", ".svc,$(X)".into()),
            ],
        }
    }

    fn pod(overrides: Value, defaults: &PodDefaults) -> Value {
        let mut task = task("t");
        task.spec.pod_overrides = serde_json::from_value(overrides).unwrap();
        let workspace = workspace("https://github.com/o/r");
        let images = Images::new("r", "v1");
        let mut job = job::build(&task, Some(&workspace), None, &images).unwrap().job;
        apply(defaults, &task, &mut job);
        serde_json::to_value(job.spec.unwrap().template.spec.unwrap()).unwrap()
    }

    fn proxies(container: &Value) -> Vec<String> {
        let all = container["env"].as_array().unwrap().iter();
        let proxies = all.filter(|v| {
            v["name"]
                .as_str()
                .unwrap()
                .to_ascii_lowercase()
                .ends_with("_proxy")
        });
        proxies
            .map(|v| format!("{}={}", v["name"].as_str().unwrap(), v["value"].as_str().unwrap()))
            .collect()
    }

    #[test]
    fn both_containers_get_proxies_in_both_spellings() {
        let pod = pod(Value::Null, &defaults());
        let all = [
            "HTTPS_PROXY=http://p:3128",
            "https_proxy=http://p:3128",
            "NO_PROXY=.svc,$$(X)",
            "no_proxy=.svc,$$(X)",
        ];
        assert_eq!(proxies(&pod["containers"][0]), all);
        assert_eq!(proxies(&pod["initContainers"][0]), all);
    }

    #[test]
    fn a_tasks_own_variable_wins_however_it_is_spelt() {
        let env = json!({"env": [{"name": "https_proxy", "value": "http://mine"}]});
        let pod = pod(env, &defaults());
        let agent = proxies(&pod["containers"][0]);
        assert_eq!(
            agent,
            [
                "https_proxy=http://mine",
                "NO_PROXY=.svc,$$(X)",
                "no_proxy=.svc,$$(X)"
            ]
        );
        let all = pod.to_string();
        assert!(!all.contains("http://p:3128"), "{all}");
    }

    #[test]
    fn pull_secrets_are_added_to_the_tasks_own() {
        let own = json!({"imagePullSecrets": [{"name": "own"}, {"name": "team"}]});
        let names = |pod: &Value| pod["imagePullSecrets"].clone();
        assert_eq!(
            names(&pod(own.clone(), &defaults())),
            json!([{"name": "own"}, {"name": "team"}, {"name": "mirror"}])
        );
        assert_eq!(
            names(&pod(Value::Null, &defaults())),
            json!([{"name": "mirror"}, {"name": "team"}])
        );
        assert_eq!(names(&pod(Value::Null, &PodDefaults::default())), Value::Null);
    }

    #[test]
    fn names_of_secrets_are_checked() {
        assert_eq!(PullSecrets::parse(""), Ok(PullSecrets::default()));
        for bad in ["A", "a_b", "a..b", "-a", "a b"] {
            assert_eq!(PullSecrets::parse(bad), Err(NameError(bad.into())));
        }
    }
}
