//! What keeps the operator, the accounts `axon-spawner` and Tasks within bounds. Pure.

use axon_api::managed::is_taken_over;
use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};

use super::{Facts, Finding, Verdict, bad, install, ok, unknown};
use crate::install::manifests::POLICY;

/// Name of the account, of its RoleBinding and of its ClusterRole.
const SPAWNER: &str = axon_api::SPAWNER_ACCOUNT;

/// The admission policies of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmissionFacts {
    /// The API server does not know the kind.
    NotServed,
    /// What is there.
    Served {
        /// Policies of the installation that are not there, or not bound.
        missing: Vec<String>,
        /// Those that let something pass: other than `Deny`, with `failurePolicy: Ignore`, or bound to some namespaces only.
        weakened: Vec<String>,
        /// The add-on `config/policy`.
        tasks: TaskPolicy,
    },
}

/// How the add-on `config/policy` is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPolicy {
    /// Not at all.
    Absent,
    /// Without its ConfigMap, so that it refuses every Task.
    WithoutParameters,
    /// With its ConfigMap.
    Installed,
    /// So that it allows nothing that is not listed.
    Strict,
}

/// Who has rights of axon beyond the release's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleFacts {
    /// Rights of axon's ClusterRoles that this release does not give, as `axon-edit: create pods`.
    pub widened: Vec<String>,
    /// State of the namespace's RoleBinding `axon-spawner`.
    pub binding: BindingState,
}

/// State of a RoleBinding `axon-spawner`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BindingState {
    /// There is none: no Task of the namespace has needed it.
    #[default]
    Absent,
    /// As the operator makes it.
    Standard,
    /// An administrator's own.
    TakenOver,
    /// It gives the account's rights to these others.
    Drifted(Vec<String>),
}

impl BindingState {
    /// Judges the RoleBinding of a namespace.
    #[must_use]
    pub fn of(namespace: &str, binding: Option<&RoleBinding>) -> Self {
        let Some(binding) = binding else {
            return Self::Absent;
        };
        if is_taken_over(&binding.metadata)
            || binding.role_ref.kind != "ClusterRole"
            || binding.role_ref.name != SPAWNER
        {
            return Self::TakenOver;
        }
        let others = binding.subjects.iter().flatten().filter(|subject| {
            let own = subject.namespace.as_deref() == Some(namespace);
            !(own && subject.kind == "ServiceAccount" && subject.name == SPAWNER)
        });
        let others: Vec<String> = others
            .map(|subject| format!("{} {}", subject.kind, subject.name))
            .collect();
        match others.is_empty() {
            true => Self::Standard,
            false => Self::Drifted(others),
        }
    }
}

/// Returns the rights of a role that another one does not give, as `ROLE: VERB RESOURCE`.
#[must_use]
pub fn widened(live: &ClusterRole, built_in: &ClusterRole) -> Vec<String> {
    let rights = |role: &ClusterRole| {
        let mut all = BTreeSet::new();
        for rule in role.rules.iter().flatten() {
            let names = rule.resource_names.clone().unwrap_or_default().join(",");
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    for verb in &rule.verbs {
                        all.insert((verb.clone(), resource.clone(), group.clone(), names.clone()));
                    }
                }
            }
            for url in rule.non_resource_urls.iter().flatten() {
                for verb in &rule.verbs {
                    all.insert((verb.clone(), url.clone(), String::new(), String::new()));
                }
            }
        }
        all
    };
    let name = live.metadata.name.as_deref().unwrap_or_default();
    let more = rights(live)
        .difference(&rights(built_in))
        .cloned()
        .collect::<Vec<_>>();
    more.into_iter()
        .map(|(verb, resource, group, _)| match group.as_str() {
            "" => format!("{name}: {verb} {resource}"),
            group => format!("{name}: {verb} {resource}.{group}"),
        })
        .collect()
}

/// Longest list in a line.
const SHOWN: usize = 3;

pub(crate) fn some_of(all: &[String]) -> String {
    match all.split_at_checked(SHOWN) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => all.join(", "),
    }
}

/// Judges the admission policies.
pub(crate) fn policy(facts: &Facts) -> Finding {
    let check = "policy";
    let (missing, weakened, tasks) = match &facts.admission {
        Err(why) => return unknown(check, why),
        Ok(AdmissionFacts::NotServed) => {
            return bad(
                check,
                Verdict::Warn,
                "the cluster serves no admission policies: only RBAC bounds the operator",
                format!("update to Kubernetes 1.30 or later, then {}", install(facts)),
            );
        }
        Ok(AdmissionFacts::Served {
            missing,
            weakened,
            tasks,
        }) => (missing, weakened, tasks),
    };
    if *tasks == TaskPolicy::WithoutParameters {
        return bad(
            check,
            Verdict::Fail,
            format!("{POLICY} refuses every task: its ConfigMap is gone"),
            format!("kubectl apply -k config/policy{}", facts.flags),
        );
    }
    if !missing.is_empty() {
        let detail = format!("not in force: {}", some_of(missing));
        return bad(check, Verdict::Warn, detail, install(facts));
    }
    if !weakened.is_empty() {
        let detail = format!("changed so that it does not always deny: {}", some_of(weakened));
        return bad(check, Verdict::Warn, detail, install(facts));
    }
    let tasks = match tasks {
        TaskPolicy::Strict => "of tasks only what is listed passes",
        TaskPolicy::Installed => "config/policy narrows tasks",
        _ => "tasks may ask for anything (config/policy)",
    };
    ok(check, format!("the operator's writes are bounded; {tasks}"))
}

/// Judges what bounds the namespace.
pub(crate) fn limits(facts: &Facts) -> Finding {
    let check = "limits";
    let quotas = match &facts.quotas {
        Err(why) => return unknown(check, why),
        Ok(quotas) => quotas,
    };
    let has_limit_range = match &facts.has_limit_range {
        Err(why) => return unknown(check, why),
        Ok(has) => *has,
    };
    let counting = quotas.iter().find(|quota| quota.counts_tasks);
    let place = format!("-n {}{}", facts.namespace, facts.flags);
    let Some(quota) = counting else {
        return bad(
            check,
            Verdict::Warn,
            format!(
                "no ResourceQuota counts the tasks of namespace {}",
                facts.namespace
            ),
            format!("kubectl create quota axon --hard=count/tasks.axon.io=500 {place}"),
        );
    };
    if !has_limit_range {
        return bad(
            check,
            Verdict::Warn,
            format!(
                "no LimitRange gives containers of namespace {} defaults",
                facts.namespace
            ),
            format!("apply a LimitRange with defaults for memory and ephemeral-storage {place}"),
        );
    }
    ok(
        check,
        format!(
            "resourcequota {} counts tasks; a LimitRange has defaults",
            quota.name
        ),
    )
}

/// Judges who has axon's rights.
pub(crate) fn roles(facts: &Facts) -> Finding {
    let check = "roles";
    let namespace = &facts.namespace;
    let roles = match &facts.roles {
        Err(why) => return unknown(check, why),
        Ok(roles) => roles,
    };
    if !roles.widened.is_empty() {
        let detail = format!("more than this release gives: {}", some_of(&roles.widened));
        return bad(check, Verdict::Warn, detail, install(facts));
    }
    match &roles.binding {
        BindingState::Drifted(others) => bad(
            check,
            Verdict::Warn,
            format!(
                "rolebinding {SPAWNER} gives its rights on Secrets to {}",
                some_of(others)
            ),
            format!(
                "kubectl delete rolebinding {SPAWNER} -n {namespace}{}; the operator creates it again",
                facts.flags
            ),
        ),
        BindingState::TakenOver => ok(
            check,
            format!("an administrator's own rolebinding {SPAWNER} in {namespace}"),
        ),
        BindingState::Absent => ok(
            check,
            format!("as released; no {SPAWNER} in namespace {namespace} yet"),
        ),
        BindingState::Standard => ok(check, format!("as released; {SPAWNER} is the operator's alone")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn binding(change: impl Fn(&mut Value)) -> BindingState {
        let mut binding = json!({"metadata": {"name": SPAWNER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SPAWNER},
            "subjects": [{"kind": "ServiceAccount", "name": SPAWNER, "namespace": "team"}]});
        change(&mut binding);
        BindingState::of("team", Some(&serde_json::from_value(binding).unwrap()))
    }

    #[test]
    fn a_binding_for_others_is_drift_unless_an_administrator_has_taken_it_over() {
        assert_eq!(BindingState::of("team", None), BindingState::Absent);
        assert_eq!(binding(|_| {}), BindingState::Standard);
        let add = |binding: &mut Value| {
            let subjects = binding["subjects"].as_array_mut().unwrap();
            subjects.push(json!({"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}));
        };
        assert_eq!(binding(add), BindingState::Drifted(vec!["User jane".into()]));
        let elsewhere = |binding: &mut Value| binding["subjects"][0]["namespace"] = json!("other");
        assert_eq!(
            binding(elsewhere),
            BindingState::Drifted(vec!["ServiceAccount axon-spawner".into()])
        );
        let taken = |binding: &mut Value| {
            add(binding);
            binding["metadata"]["annotations"] = json!({ axon_api::labels::MANAGED: "false" });
        };
        assert_eq!(binding(taken), BindingState::TakenOver);
        let narrow = |binding: &mut Value| binding["roleRef"]["name"] = json!("narrow");
        assert_eq!(binding(narrow), BindingState::TakenOver);
    }

    #[test]
    fn rights_beyond_the_release_are_named() {
        let role = |rules: Value| -> ClusterRole {
            serde_json::from_value(json!({"metadata": {"name": "axon-edit"}, "rules": rules})).unwrap()
        };
        let tasks = json!({"apiGroups": ["axon.io"], "resources": ["tasks"], "verbs": ["create", "delete"]});
        let released = role(json!([tasks]));
        assert_eq!(widened(&released, &released), [""; 0]);
        let narrower = role(json!([{"apiGroups": ["axon.io"], "resources": ["tasks"], "verbs": ["create"]}]));
        assert_eq!(widened(&narrower, &released), [""; 0]);
        let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]});
        let records = json!({"apiGroups": ["axon.io"], "resources": ["taskrecords"], "verbs": ["delete"]});
        assert_eq!(
            widened(&role(json!([tasks, pods, records])), &released),
            ["axon-edit: create pods", "axon-edit: delete taskrecords.axon.io"]
        );
    }
}
