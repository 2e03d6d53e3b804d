//! What an installation keeps when it is run again: choices of an earlier one, and what was tuned since. Pure.

use axon_api::network::{ALLOW_VARIABLE, MODE_VARIABLE};
use serde_json::Value;

use crate::install::manifests::{Choices, OPERATOR, PULL_SECRETS, WATCH_NAMESPACES};

/// The container that runs the operator.
fn container(deployment: &Value) -> Option<&Value> {
    deployment.pointer("/spec/template/spec/containers/0")
}

/// The container of this name: others may have been put beside it.
fn same_container<'a>(live: &'a Value, built_in: &Value) -> Option<&'a Value> {
    let name = container(built_in)?.get("name")?;
    let all = live.pointer("/spec/template/spec/containers")?.as_array()?;
    all.iter().find(|container| container.get("name") == Some(name))
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container.get("env")?.as_array()?;
    let own = variables
        .iter()
        .find(|v| v.get("name").is_some_and(|n| n == name))?;
    own.get("value")?.as_str()
}

/// Adds to the choices what the Deployment in the cluster has and no flag says, where this release's differs. Returns
/// what is kept, and what is not, in words.
pub(super) fn keep(choices: &mut Choices, live: &Value, built_in: &Value) -> Vec<String> {
    let mut kept = Vec::new();
    let (Some(theirs), Some(ours)) = (same_container(live, built_in), container(built_in)) else {
        return kept;
    };
    let (registry, tag) = ("AXON_IMAGE_REGISTRY", "AXON_IMAGE_TAG");
    // An update is what it is for; who has images of his own wants to know.
    if let (Some(before), Some(after), None) = (variable(theirs, tag), variable(ours, tag), &choices.tag)
        && before != after
    {
        kept.push(format!(
            "changes the image tag from {before} to {after}; --tag {before} keeps it"
        ));
    }
    if let Some(value) = variable(theirs, registry)
        && choices.registry.is_none()
        && variable(ours, registry) != Some(value)
    {
        kept.push(format!("keeps registry {value}; --registry changes it"));
        choices.registry = Some(value.to_owned());
    }
    if let Some(value) = variable(theirs, PULL_SECRETS)
        && choices.pull_secrets.is_empty()
        && variable(ours, PULL_SECRETS) != Some(value)
    {
        kept.push(format!(
            "keeps pull secrets {value}; --image-pull-secret changes them"
        ));
        choices.pull_secrets = value.split(',').map(str::to_owned).collect();
    }
    if let Some(value) = variable(theirs, WATCH_NAMESPACES).filter(|value| !value.is_empty())
        && choices.watch.is_none()
    {
        kept.push(format!(
            "keeps to namespaces {value}; --watch-namespace changes them, and --watch-namespace='*' makes it all of the cluster"
        ));
        let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
        choices.watch = Some(names.map(str::to_owned).collect());
    }
    if let Some(value) = variable(theirs, MODE_VARIABLE).filter(|value| *value == "off")
        && choices.agent_network_policy.is_none()
    {
        kept.push(
            "keeps the network of tasks unmanaged; --agent-network-policy=managed changes it".to_owned(),
        );
        choices.agent_network_policy = Some(value.to_owned());
    }
    if let Some(value) = variable(theirs, ALLOW_VARIABLE).filter(|value| !value.is_empty())
        && choices.agent_network_allow.is_none()
    {
        kept.push(format!(
            "keeps {value} open to tasks; --agent-network-allow changes it, and --agent-network-allow='' closes it"
        ));
        choices.agent_network_allow = Some(value.to_owned());
    }
    // None at all is no number to keep: an installation is to run.
    if let Some(value) = live.pointer("/spec/replicas").and_then(Value::as_i64)
        && let Ok(value) = i32::try_from(value)
        && value > 0
        && choices.replicas.is_none()
        && built_in.pointer("/spec/replicas") != Some(&value.into())
    {
        kept.push(format!(
            "keeps {}; --replicas changes it",
            crate::format::count(usize::try_from(value).unwrap_or_default(), "replica",)
        ));
        choices.replicas = Some(value);
    }
    if let Some(value) = theirs.get("imagePullPolicy").and_then(Value::as_str)
        && choices.pull_policy.is_none()
        && ours.get("imagePullPolicy").is_none_or(|own| own != value)
    {
        kept.push(format!(
            "keeps pull policy {value}; --image-pull-policy changes it"
        ));
        choices.pull_policy = Some(value.to_owned());
    }
    if let Some(value) = theirs.get("resources")
        && ours.get("resources") != Some(value)
    {
        kept.push(format!(
            "keeps the resources of deployment {OPERATOR}, which are not this release's: {value}"
        ));
        choices.resources = Some(value.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use axon_api::images::Digests;
    use serde_json::json;

    use super::*;
    use crate::install::manifests::manifests;

    fn deployment(choices: &Choices) -> Value {
        manifests(choices).unwrap().pop().unwrap().object
    }

    fn tuned() -> Choices {
        Choices {
            registry: Some("example.com/mirror".into()),
            tag: Some("v0".into()),
            digests: Digests::default(),
            pull_policy: Some("Always".into()),
            replicas: Some(3),
            resources: Some(json!({"limits": {"memory": "1Gi"}})),
            pull_secrets: vec!["mirror".into(), "other".into()],
            watch: Some(vec!["a".into(), "b".into()]),
            agent_network_policy: Some("off".into()),
            agent_network_allow: Some("10.1.0.0/16:443".into()),
        }
    }

    #[test]
    fn what_no_flag_says_stays() {
        let (live, built_in) = (deployment(&tuned()), deployment(&Choices::default()));
        let mut choices = Choices::default();
        let kept = keep(&mut choices, &live, &built_in);
        assert_eq!(kept.len(), 9, "{kept:?}");
        assert!(
            kept[0].starts_with("changes the image tag from v0 to v"),
            "{kept:?}"
        );
        let again = deployment(&choices);
        let expected = deployment(&Choices { tag: None, ..tuned() });
        assert_eq!(again, expected, "all but the tag, which is the release's");
    }

    #[test]
    fn flags_win_and_what_is_the_same_is_not_worth_a_word() {
        let (live, built_in) = (deployment(&tuned()), deployment(&Choices::default()));
        let mut choices = Choices {
            registry: Some("other".into()),
            tag: Some("v0".into()),
            digests: Digests::default(),
            pull_policy: Some("Never".into()),
            replicas: Some(1),
            pull_secrets: vec!["mine".into()],
            watch: Some(Vec::new()),
            agent_network_policy: Some("managed".into()),
            agent_network_allow: Some(String::new()),
            ..Choices::default()
        };
        assert_eq!(keep(&mut choices, &live, &built_in).len(), 1);
        assert_eq!(
            (choices.registry.as_deref(), choices.replicas),
            (Some("other"), Some(1))
        );
        assert_eq!(keep(&mut Choices::default(), &built_in, &built_in), [""; 0]);
    }

    #[test]
    fn what_others_made_of_it_is_no_reason_to_fail() {
        let built_in = deployment(&Choices::default());
        let mut stopped = built_in.clone();
        stopped["spec"]["replicas"] = json!(0);
        let mut beside = deployment(&tuned());
        let all = beside["spec"]["template"]["spec"]["containers"]
            .as_array_mut()
            .unwrap();
        all.insert(0, json!({"name": "proxy", "resources": {}}));
        for (live, count) in [(json!({}), 0), (stopped, 0), (beside, 9)] {
            assert_eq!(
                keep(&mut Choices::default(), &live, &built_in).len(),
                count,
                "{live}"
            );
        }
    }
}
