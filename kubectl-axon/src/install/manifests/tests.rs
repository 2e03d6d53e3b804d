//! The built-in manifests against the files below `config/`.

use std::path::{Path, PathBuf};

use super::*;

/// Returns the files of a kustomization, in its order.
fn listed(dir: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(dir.join("kustomization.yaml")).unwrap();
    let kustomization: Value = axon_api::yaml::from_str(&text).unwrap();
    let known = ["apiVersion", "kind", "resources"];
    for key in kustomization.as_object().unwrap().keys() {
        assert!(
            known.contains(&key.as_str()),
            "{}: {key} is not built into install",
            dir.display()
        );
    }
    let resources = kustomization["resources"].as_array().unwrap();
    let paths = resources.iter().map(|r| dir.join(r.as_str().unwrap()));
    paths
        .flat_map(|path| if path.is_dir() { listed(&path) } else { vec![path] })
        .collect()
}

#[test]
fn built_in_is_what_the_kustomization_lists() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../config")
        .canonicalize()
        .unwrap();
    let wanted: Vec<String> = listed(&config.join("default"))
        .iter()
        .map(|path| {
            path.canonicalize()
                .unwrap()
                .strip_prefix(&config)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let built_in: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
    assert_eq!(built_in, wanted);
}

#[test]
fn every_object_has_a_resource_and_its_turn() {
    let all = manifests(&Choices::default()).unwrap();
    let titles: Vec<String> = all
        .iter()
        .map(|m| format!("{} {}", m.resource().plural, m.title()))
        .collect();
    insta::assert_snapshot!(titles.join("\n"));
    for manifest in &all {
        assert!(
            manifest.namespace().is_none_or(|n| n == NAMESPACE),
            "{}",
            manifest.title()
        );
    }
}

#[test]
fn the_policy_is_in_no_namespace() {
    let all = policy().unwrap();
    let plurals: Vec<String> = all.iter().map(|m| m.resource().plural).collect();
    let pair = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
    assert_eq!(plurals, [pair; 4].concat());
    assert_eq!(all[0].name(), POLICY);
    assert!(
        all.iter()
            .all(|m| m.namespace().is_none() && m.name().starts_with(POLICY))
    );
}

#[test]
fn the_release_is_this_one() {
    let deployment = manifests(&Choices::default()).unwrap().pop().unwrap();
    let image = deployment
        .object
        .pointer("/spec/template/spec/containers/0/image")
        .unwrap();
    let tag = format!(":v{}", env!("CARGO_PKG_VERSION"));
    assert!(image.as_str().unwrap().ends_with(&tag), "{image}");
}

#[test]
fn choices_reach_image_environment_and_replicas() {
    let choices = Choices {
        registry: Some("example.com/mirror".into()),
        tag: Some("v9".into()),
        digests: Digests::default(),
        pull_policy: Some("Always".into()),
        replicas: Some(1),
        pull_secrets: vec!["mirror".into(), "other".into()],
        resources: None,
        watch: Some(vec!["a".into(), "b".into()]),
        agent_network_policy: Some("off".into()),
        agent_network_allow: Some("10.1.0.0/16:443,public:80".into()),
    };
    let deployment = manifests(&choices).unwrap().pop().unwrap().object;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "example.com/mirror/axon-operator:v9");
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(deployment["spec"]["replicas"], 1);
    let env = container["env"].as_array().unwrap();
    let value = |name: &str| env.iter().find(|v| v["name"] == name).unwrap()["value"].clone();
    assert_eq!(value("AXON_IMAGE_REGISTRY"), "example.com/mirror");
    assert_eq!(value("AXON_IMAGE_TAG"), "v9");
    assert_eq!(value("AXON_IMAGE_PULL_SECRETS"), "mirror,other");
    assert_eq!(value("AXON_WATCH_NAMESPACES"), "a,b");
    assert_eq!(value("AXON_AGENT_NETWORK_POLICY"), "off");
    assert_eq!(value("AXON_AGENT_NETWORK_ALLOW"), "10.1.0.0/16:443,public:80");
    assert_eq!(
        deployment["spec"]["template"]["spec"]["imagePullSecrets"],
        json!([{"name": "mirror"}, {"name": "other"}])
    );
    let all = images(&choices).unwrap();
    assert_eq!(
        all.iter().map(String::as_str).take(2).collect::<Vec<_>>(),
        [
            "example.com/mirror/axon-operator:v9",
            "example.com/mirror/axon-workspace:v9"
        ]
    );
    assert_eq!(container["image"], all[0]);
    assert_eq!(
        deployment["spec"]["selector"]["matchLabels"],
        deployment["metadata"]["labels"]
    );
}

#[test]
fn images_of_a_release_are_named_by_digest_in_any_registry() {
    let digest = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
    let list: Vec<String> = axon_api::images::all()
        .zip("0123456789".chars())
        .map(|(name, digit)| format!("{name}={}", digest(digit)))
        .collect();
    let choices = Choices {
        registry: Some("example.com/mirror".into()),
        digests: Digests::parse(&list.join(",")).unwrap(),
        ..Choices::default()
    };
    let deployment = manifests(&choices).unwrap().pop().unwrap().object;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let version = env!("CARGO_PKG_VERSION");
    let operator = format!("example.com/mirror/axon-operator:v{version}@{}", digest('0'));
    assert_eq!(container["image"], operator);
    let env = container["env"].as_array().unwrap();
    let own: Vec<&Value> = env.iter().filter(|v| v["name"] == "AXON_IMAGE_DIGESTS").collect();
    let [own] = own[..] else {
        panic!("{own:?}");
    };
    let of_tasks = Digests::parse(own["value"].as_str().unwrap()).unwrap();
    assert_eq!(of_tasks, choices.digests.of_tasks());
    let all = images(&choices).unwrap();
    assert_eq!(all[0], operator);
    assert!(all.iter().all(|image| image.contains("@sha256:")), "{all:?}");
    // Of a build without digests, such as that of `cargo install`, nothing changes.
    let plain = manifests(&Choices::default()).unwrap().pop().unwrap();
    assert!(!plain.object.to_string().contains("DIGEST"));
}

#[test]
fn a_tag_alone_keeps_the_registry() {
    let choices = Choices {
        tag: Some("v9".into()),
        ..Choices::default()
    };
    let deployment = manifests(&choices).unwrap().pop().unwrap().object;
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        image.ends_with("/axon-operator:v9") && image.len() > "/axon-operator:v9".len(),
        "{image}"
    );
}
