//! Where the operator may work: in all of the cluster, or in some namespaces. Pure.

use serde_json::{Value, json};

use super::{Manifest, OPERATOR};

/// Variable of the operator with the namespaces that it works in.
pub const WATCH_NAMESPACES: &str = "AXON_WATCH_NAMESPACES";

/// Puts a Role and a RoleBinding in each of the namespaces in the place of the operator's ClusterRole and its binding. The
/// ClusterRole `axon-spawner` stays, which gives nobody anything before a RoleBinding of a namespace names it.
pub(crate) fn narrow(all: Vec<Manifest>, namespaces: &[String]) -> Vec<Manifest> {
    let mut narrowed = Vec::new();
    for manifest in all {
        let is_the_operators = manifest.name() == OPERATOR;
        let kind = match manifest.kind() {
            "ClusterRole" if is_the_operators => "Role",
            "ClusterRoleBinding" if is_the_operators => "RoleBinding",
            _ => {
                narrowed.push(manifest);
                continue;
            }
        };
        for namespace in namespaces {
            let mut object = manifest.object.clone();
            set(&mut object, "/kind", kind);
            if object.pointer("/roleRef/kind").is_some() {
                set(&mut object, "/roleRef/kind", "Role");
            }
            if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                metadata.insert("namespace".into(), json!(namespace));
            }
            narrowed.push(Manifest { object });
        }
    }
    narrowed
}

fn set(object: &mut Value, pointer: &str, value: &str) {
    if let Some(field) = object.pointer_mut(pointer) {
        *field = value.into();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Choices, manifests};
    use super::*;

    fn rights(watch: &[&str]) -> Vec<(String, Value)> {
        let namespaces = watch.iter().map(|name| (*name).to_owned()).collect();
        let choices = Choices {
            watch: Some(namespaces),
            ..Choices::default()
        };
        let all = manifests(&choices).unwrap().into_iter();
        let own = all
            .filter(|manifest| manifest.name() == OPERATOR && manifest.resource().group.starts_with("rbac"));
        own.map(|manifest| (manifest.title(), manifest.object)).collect()
    }

    #[test]
    fn a_role_of_each_namespace_has_the_rules_of_the_cluster_role() {
        let (wide, narrow) = (rights(&[]), rights(&["a", "b"]));
        let titles = |all: &[(String, Value)]| -> Vec<String> {
            let named = |(title, object): &(String, Value)| match object["metadata"]["namespace"].as_str() {
                Some(namespace) => format!("{namespace} {title}"),
                None => title.clone(),
            };
            all.iter().map(named).collect()
        };
        let group = "rbac.authorization.k8s.io/axon-operator";
        assert_eq!(
            titles(&wide),
            [
                format!("clusterrole.{group}"),
                format!("clusterrolebinding.{group}")
            ]
        );
        let of = |kind: &str, namespace: &str| format!("{namespace} {kind}.{group}");
        let expected = [
            of("role", "a"),
            of("role", "b"),
            of("rolebinding", "a"),
            of("rolebinding", "b"),
        ];
        assert_eq!(titles(&narrow), expected);
        assert_eq!(narrow[0].1["rules"], wide[0].1["rules"]);
        let reference = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OPERATOR});
        assert_eq!(narrow[3].1["roleRef"], reference);
        assert_eq!(narrow[3].1["subjects"], wide[1].1["subjects"]);
    }
}
