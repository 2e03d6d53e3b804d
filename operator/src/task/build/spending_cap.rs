//! Tells the agent's pod what it may spend. Pure.

use axon_api::contract::{container, env};
use axon_api::price::Price;
use k8s_openapi::api::batch::v1::Job;

use super::job::literal;
use crate::budget::cap::Cap;

/// Sets the variables of a cap, in the place of any of these names that the Task has brought.
pub(crate) fn apply(cap: Cap, price: Option<&Price>, job: &mut Job) {
    let variables = [
        cap.cost.map(|cost| literal(env::MAX_COST_USD, &cost.to_string())),
        cap.tokens
            .map(|tokens| literal(env::MAX_TOKENS, &tokens.to_string())),
        price
            .filter(|_| cap.cost.is_some())
            .map(|price| literal(env::PRICE, &price.to_json())),
    ];
    let variables: Vec<_> = variables.into_iter().flatten().collect();
    if variables.is_empty() {
        return;
    }
    let pod = job.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
    let containers = pod.into_iter().flat_map(|pod| &mut pod.containers);
    for agent in containers.filter(|one| one.name == container::AGENT) {
        let all = agent.env.get_or_insert_default();
        all.retain(|one| ![env::MAX_COST_USD, env::MAX_TOKENS, env::PRICE].contains(&one.name.as_str()));
        // First: a later variable may refer to an earlier one.
        all.splice(0..0, variables.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use axon_api::money::Money;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cap_stands_in_the_agents_environment_whatever_the_task_has_brought() {
        let mut job: Job = serde_json::from_value(json!({"spec": {"template": {"spec": {"containers": [
            {"name": "agent", "env": [{"name": "AXON_MAX_COST_USD", "value": "999"}, {"name": "A", "value": "b"}]},
            {"name": "sidecar"},
        ]}}}}))
        .unwrap();
        apply(Cap::default(), None, &mut job);
        let cap = Cap {
            cost: Money::parse("2.5"),
            tokens: Some(7),
        };
        apply(cap, Some(&Price::default()), &mut job);
        let containers = job.spec.unwrap().template.spec.unwrap().containers;
        let variables = containers[0].env.clone().unwrap();
        let of = |name: &str| {
            let all: Vec<_> = variables.iter().filter(|one| one.name == name).collect();
            assert_eq!(all.len(), 1, "{name}");
            all[0].value.clone().unwrap()
        };
        assert_eq!(
            (of(env::MAX_COST_USD), of(env::MAX_TOKENS), of("A")),
            ("2.50".into(), "7".into(), "b".into())
        );
        assert!(Price::from_json(&of(env::PRICE)).is_some());
        assert_eq!(containers[1].env, None);
    }
}
