//! What a pod may spend, as its Job has it.

use axon_api::contract::{container, env};
use k8s_openapi::api::batch::v1::Job;

use super::job::literal;
use crate::task::decide::budget::Left;

const VARIABLES: [&str; 3] = [env::MAX_COST_USD, env::MAX_TOKENS, env::PRICE];

/// Gives the agent its caps, in place of any that the user's own variables name, and leaves the Job a single pod: one that the
/// Job controller made after it would have the same caps, which the first may have spent.
pub(crate) fn apply(left: &Left, job: &mut Job) {
    let Some(spec) = &mut job.spec else { return };
    spec.pod_failure_policy = None;
    let containers = spec.template.spec.iter_mut().flat_map(|pod| &mut pod.containers);
    for agent in containers.filter(|one| one.name == container::AGENT) {
        let variables = agent.env.get_or_insert_default();
        variables.retain(|variable| !VARIABLES.contains(&variable.name.as_str()));
        let cost = left
            .cost
            .map(|cost| literal(env::MAX_COST_USD, &cost.to_string()));
        let tokens = left
            .tokens
            .map(|tokens| literal(env::MAX_TOKENS, &tokens.to_string()));
        let price = left.price.map(|price| literal(env::PRICE, &price.json()));
        variables.extend([cost, tokens, price].into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use axon_api::money::Money;
    use axon_api::price::Price;
    use k8s_openapi::api::core::v1::EnvVar;

    use super::*;
    use crate::images::Images;
    use crate::task::build::job;
    use crate::task::fixtures::task;

    #[test]
    fn the_caps_replace_the_user_s_own_and_the_job_makes_one_pod() {
        let mut task = task("t");
        let own = |name: &str| EnvVar {
            name: name.to_owned(),
            value: Some("999".to_owned()),
            value_from: None,
        };
        let overrides = task.spec.pod_overrides.get_or_insert_default();
        overrides.env = VARIABLES.map(own).into();
        let mut job = job::build(&task, None, None, &Images::new("r", "v1"))
            .unwrap()
            .job;
        let left = Left {
            cost: Money::reported("1.5"),
            tokens: Some(7),
            price: None,
        };
        apply(&left, &mut job);
        let caps = |job: &Job| -> Vec<(String, Option<String>)> {
            let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
            let agent = pod.containers.iter().find(|one| one.name == container::AGENT);
            let all = agent.unwrap().env.clone().unwrap().into_iter();
            all.filter(|one| VARIABLES.contains(&one.name.as_str()))
                .map(|one| (one.name, one.value))
                .collect()
        };
        let is = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        assert_eq!(
            caps(&job),
            [is("AXON_MAX_COST_USD", "1.50"), is("AXON_MAX_TOKENS", "7")]
        );
        let spec = job.spec.as_ref().unwrap();
        assert_eq!((spec.backoff_limit, &spec.pod_failure_policy), (Some(0), &None));

        let price = Price::default();
        apply(
            &Left {
                tokens: None,
                price: Some(price),
                ..left
            },
            &mut job,
        );
        assert_eq!(
            caps(&job),
            [is("AXON_MAX_COST_USD", "1.50"), is("AXON_PRICE", &price.json())]
        );
    }
}
