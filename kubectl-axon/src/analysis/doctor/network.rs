//! What Tasks' pods of the namespace may reach. Pure.
//!
//! The API shows which policies there are, and never whether the cluster's network enforces any.

use std::collections::BTreeMap;

use axon_api::labels;
use axon_api::network::{self, ALLOW_VARIABLE, Allow, MODE_VARIABLE, NAME, PROXY_VARIABLES, Plan};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;

use super::{Facts, Finding, Verdict, bad, ok, unknown};

/// The network of a namespace's Tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFacts {
    /// The NetworkPolicy of the operator.
    pub policy: PolicyState,
    /// Names of other NetworkPolicies that select Tasks' pods, and so add to it.
    pub others: Vec<String>,
}

/// State of the NetworkPolicy `axon-agents`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyState {
    /// Nobody wants it: the installation, or an annotation of the namespace.
    Off {
        /// Setting that turned the policy off, such as `--agent-network-policy`.
        by: String,
        /// True if an earlier one is there.
        is_left: bool,
    },
    /// The settings can't be used, so that no Task starts.
    Unusable(String),
    /// Not there yet.
    Absent,
    /// As the operator writes it.
    Standard,
    /// Other than the operator writes it.
    Differs,
    /// An administrator's own.
    TakenOver,
}

impl NetworkFacts {
    /// Judges a namespace by the operator's variables, its own annotations and its NetworkPolicies.
    #[must_use]
    pub fn of(
        namespace: &str,
        variables: &BTreeMap<String, String>,
        annotations: Option<&BTreeMap<String, String>>,
        policies: &[NetworkPolicy],
    ) -> Self {
        let found = policies.iter().find(|policy| policy.name_any() == NAME);
        let others = policies
            .iter()
            .filter(|policy| policy.name_any() != NAME && selects_tasks(policy));
        Self {
            policy: state(namespace, variables, annotations, found),
            others: others.map(kube::ResourceExt::name_any).collect(),
        }
    }
}

fn state(
    namespace: &str,
    variables: &BTreeMap<String, String>,
    annotations: Option<&BTreeMap<String, String>>,
    found: Option<&NetworkPolicy>,
) -> PolicyState {
    let off = |by: &str| PolicyState::Off {
        by: by.to_owned(),
        is_left: found.is_some_and(|policy| network::plan(Some(policy), policy) != Plan::LeaveAlone),
    };
    let variable = |name: &str| variables.get(name).map(String::as_str).unwrap_or_default();
    if variable(MODE_VARIABLE) == "off" {
        return off("--agent-network-policy=off");
    }
    let mut allow = match Allow::parse(variable(ALLOW_VARIABLE)) {
        Ok(allow) => allow,
        Err(error) => return PolicyState::Unusable(format!("{ALLOW_VARIABLE} of the operator: {error}")),
    };
    for name in PROXY_VARIABLES {
        allow.add_proxy(variable(name));
    }
    let more = match network::of_namespace(namespace, annotations) {
        Ok(Some(more)) => more,
        Ok(None) => return off(&format!("annotation {} of the namespace", labels::NETWORK_POLICY)),
        Err(error) => return PolicyState::Unusable(error.to_string()),
    };
    let Some(found) = found else {
        return PolicyState::Absent;
    };
    let wanted = network::policy(namespace, &allow.and(&more), &network::name_servers(found));
    match network::plan(Some(found), &wanted) {
        Plan::Keep => PolicyState::Standard,
        Plan::Apply => PolicyState::Differs,
        Plan::LeaveAlone => PolicyState::TakenOver,
    }
}

/// Returns true if a policy may select a Task's pod; what depends on labels that a Task adds counts as well.
fn selects_tasks(policy: &NetworkPolicy) -> bool {
    let own = [
        (labels::NAME, labels::APP_NAME),
        (labels::COMPONENT, labels::COMPONENT_TASK),
        (labels::MANAGED_BY, labels::MANAGER),
    ];
    let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
    let mut wanted = selector.iter().flat_map(|s| s.match_labels.iter().flatten());
    wanted.all(|(key, value)| {
        let known = own.iter().find(|(name, _)| name == key);
        known.is_none_or(|(_, own)| own == value)
    })
}

/// Judges what Tasks of the namespace may reach.
pub(crate) fn network(facts: &Facts) -> Finding {
    let check = "network";
    let (namespace, flags) = (&facts.namespace, &facts.flags);
    let found = match &facts.network {
        Err(why) => return unknown(check, why),
        Ok(found) => found,
    };
    let more = match found.others.as_slice() {
        [] => String::new(),
        others => format!("; what else adds to it: {}", super::guards::some_of(others)),
    };
    match &found.policy {
        PolicyState::Unusable(why) => bad(
            check,
            Verdict::Fail,
            format!("no task starts: {why}"),
            format!(
                "kubectl annotate namespace {namespace} --overwrite {}=CIDR:PORT{flags}",
                labels::ALLOW_EGRESS
            ),
        ),
        PolicyState::Off { by, is_left: true } => bad(
            check,
            Verdict::Warn,
            format!("turned off by {by}, but an earlier networkpolicy {NAME} is still there"),
            format!("kubectl delete networkpolicy {NAME} -n {namespace}{flags}"),
        ),
        PolicyState::Off { by, .. } if found.others.is_empty() => bad(
            check,
            Verdict::Warn,
            format!("tasks may reach everything: {by}, and no NetworkPolicy selects them"),
            format!(
                "kubectl axon install --agent-network-policy=managed{flags}, without {}: off on the namespace",
                labels::NETWORK_POLICY
            ),
        ),
        PolicyState::Off { by, .. } => ok(
            check,
            format!("{by}; selected by {}", super::guards::some_of(&found.others)),
        ),
        PolicyState::Absent => ok(
            check,
            format!("networkpolicy {NAME} comes before the next task's pod{more}"),
        ),
        PolicyState::Differs => bad(
            check,
            Verdict::Warn,
            format!(
                "networkpolicy {NAME} is not as its settings say; the operator writes it again before the next task's pod{more}"
            ),
            format!("kubectl describe networkpolicy {NAME} -n {namespace}{flags}"),
        ),
        PolicyState::TakenOver => ok(
            check,
            format!("an administrator's own networkpolicy {NAME}{more}"),
        ),
        PolicyState::Standard => ok(
            check,
            format!(
                "networkpolicy {NAME} is there, and holds if the cluster's network enforces policies (docs/security.md has a test){more}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    fn of(set: &[(&str, &str)], annotated: &[(&str, &str)], policies: &[NetworkPolicy]) -> PolicyState {
        NetworkFacts::of("team", &variables(set), Some(&variables(annotated)), policies).policy
    }

    fn written(allow: &str) -> NetworkPolicy {
        let servers = ["10.96.0.10".parse().unwrap()];
        network::policy("team", &Allow::parse(allow).unwrap(), &servers)
    }

    #[test]
    fn what_the_operator_would_write_is_standard() {
        let off = |by: &str, is_left| PolicyState::Off {
            by: by.to_owned(),
            is_left,
        };
        assert_eq!(of(&[], &[], &[]), PolicyState::Absent);
        assert_eq!(of(&[], &[], &[written("")]), PolicyState::Standard);
        let settings = [
            (ALLOW_VARIABLE, "10.1.0.0/16:443"),
            (PROXY_VARIABLES[0], "http://u:p@10.2.0.1:3128"),
        ];
        let annotated = [(labels::ALLOW_EGRESS, "public:80")];
        assert_eq!(of(&settings, &annotated, &[written("")]), PolicyState::Differs);
        let all = written("10.1.0.0/16:443,10.2.0.1/32:3128,public:80");
        assert_eq!(
            of(&settings, &annotated, std::slice::from_ref(&all)),
            PolicyState::Standard
        );
        assert_eq!(of(&[], &[], std::slice::from_ref(&all)), PolicyState::Differs);
        let mut taken = all;
        taken.metadata.annotations = Some(variables(&[(labels::MANAGED, "false")]));
        assert_eq!(of(&[], &[], std::slice::from_ref(&taken)), PolicyState::TakenOver);
        let by = "--agent-network-policy=off";
        assert_eq!(of(&[(MODE_VARIABLE, "off")], &[], &[]), off(by, false));
        assert_eq!(of(&[(MODE_VARIABLE, "off")], &[], &[written("")]), off(by, true));
        assert_eq!(of(&[(MODE_VARIABLE, "off")], &[], &[taken]), off(by, false));
        let by = "annotation axon.io/network-policy of the namespace";
        assert_eq!(of(&[], &[(labels::NETWORK_POLICY, "off")], &[]), off(by, false));
        for (set, annotated) in [
            (&[(ALLOW_VARIABLE, "x")][..], &[][..]),
            (&[], &[(labels::ALLOW_EGRESS, "0.0.0.0/0")]),
        ] {
            assert!(matches!(of(set, annotated, &[]), PolicyState::Unusable(_)));
        }
    }

    #[test]
    fn other_policies_that_select_tasks_are_named() {
        let named = |name: &str, selector: Value| -> NetworkPolicy {
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"podSelector": selector}}))
                .unwrap()
        };
        let policies = [
            named("all", json!({})),
            named(
                "tasks",
                json!({"matchLabels": {"app.kubernetes.io/component": "task"}}),
            ),
            named("one", json!({"matchLabels": {"axon.io/task": "t"}})),
            named(
                "web",
                json!({"matchLabels": {"app.kubernetes.io/component": "web"}}),
            ),
            written(""),
        ];
        let found = NetworkFacts::of("team", &BTreeMap::new(), None, &policies);
        assert_eq!(found.others, ["all", "tasks", "one"]);
        assert_eq!(found.policy, PolicyState::Standard);
    }
}
