//! Cases of the default limits of Tasks' pods.

use serde_json::{Value, json};

use super::*;
use crate::images::Images;
use crate::task::build::job;
use crate::task::fixtures::{task, workspace};

fn defaults() -> PodLimits {
    PodLimits {
        requests: ResourceList::parse("memory=256Mi").unwrap(),
        limits: ResourceList::parse("memory=4Gi, ephemeral-storage=10Gi,cpu=0").unwrap(),
        scratch: Amount::parse("10Gi").unwrap(),
        deadline: Duration::from_secs(4 * 3600),
        stall_timeout: Duration::from_secs(3600),
    }
}

fn job(more: &Value, defaults: &PodLimits) -> Value {
    let mut task = task("t");
    let (overrides, stall) = (more["podOverrides"].clone(), more["stallTimeout"].as_str());
    task.spec.pod_overrides = serde_json::from_value(overrides).unwrap();
    task.spec.stall_timeout = stall.map(str::to_owned);
    let workspace = workspace("https://github.com/o/r");
    let mut job = job::build(&task, Some(&workspace), None, &Images::new("r", "v1"))
        .unwrap()
        .job;
    apply(defaults, &mut job);
    serde_json::to_value(job.spec.unwrap()).unwrap()
}

fn silence(job: &Value) -> Vec<&str> {
    let all = job["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter();
    let own = all.filter(|variable| variable["name"] == env::STALL_TIMEOUT);
    own.map(|variable| variable["value"].as_str().unwrap()).collect()
}

#[test]
fn a_task_that_says_nothing_is_bounded_in_every_respect() {
    let job = job(&json!({}), &defaults());
    assert_eq!(job["activeDeadlineSeconds"], 14_400);
    let pod = &job["template"]["spec"];
    let bounded = json!({
        "requests": {"memory": "256Mi", "ephemeral-storage": "0"},
        "limits": {"memory": "4Gi", "ephemeral-storage": "10Gi"},
    });
    for container in [&pod["containers"][0], &pod["initContainers"][0]] {
        assert_eq!(container["resources"], bounded);
    }
    let empty: Vec<&Value> = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|v| v["emptyDir"].is_object())
        .collect();
    assert_eq!(empty.len(), 4);
    assert!(
        empty
            .iter()
            .all(|volume| volume["emptyDir"]["sizeLimit"] == "10Gi"),
        "{empty:?}"
    );
    assert_eq!(silence(&job), ["3600s"]);
}

#[test]
fn what_a_task_says_wins_resource_by_resource() {
    let overrides = json!({
        "resources": {"requests": {"memory": "8Gi"}, "limits": {"cpu": "2"}},
        "activeDeadlineSeconds": 60,
        "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "more", "emptyDir": {}}],
    });
    let job = job(
        &json!({"podOverrides": overrides, "stallTimeout": "5m"}),
        &defaults(),
    );
    assert_eq!(job["activeDeadlineSeconds"], 60);
    let pod = &job["template"]["spec"];
    let expected = json!({
        "requests": {"memory": "8Gi", "ephemeral-storage": "0"},
        "limits": {"cpu": "2", "ephemeral-storage": "10Gi"},
    });
    assert_eq!(pod["containers"][0]["resources"], expected);
    let size = |name: &str| {
        let volume = pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|volume| volume["name"] == name);
        volume.unwrap()["emptyDir"]["sizeLimit"].clone()
    };
    assert_eq!((size("cache"), size("more")), (json!("1Gi"), json!("10Gi")));
    assert_eq!(silence(&job), ["5m"]);
}

#[test]
fn without_defaults_a_job_is_as_its_task_says() {
    let job = job(&json!({}), &PodLimits::default());
    assert_eq!(job["activeDeadlineSeconds"], Value::Null);
    let pod = &job["template"]["spec"];
    assert_eq!(pod["containers"][0]["resources"], json!({}));
    assert!(!job.to_string().contains("sizeLimit") && silence(&job).is_empty());
}

#[test]
fn no_more_is_reserved_than_may_be_used() {
    let with = |requests: &str, limits: &str| PodLimits {
        requests: ResourceList::parse(requests).unwrap(),
        limits: ResourceList::parse(limits).unwrap(),
        ..PodLimits::default()
    };
    assert_eq!(defaults().contradiction(), None);
    for (requests, limits, expected) in [
        ("memory=256Mi", "memory=200Mi", Some("memory")),
        ("memory=1Gi", "memory=1000M", Some("memory")),
        ("memory=1G", "memory=1Gi", None),
        ("memory=1Gi", "memory=1.0Gi", None),
        ("cpu=2", "cpu=1500m", Some("cpu")),
        ("cpu=2", "", None),
        ("memory=1Ki", "memory=1k", Some("memory")),
    ] {
        assert_eq!(
            with(requests, limits).contradiction(),
            expected,
            "{requests} {limits}"
        );
    }
}

#[test]
fn amounts_are_those_of_kubernetes() {
    for zero in ["", "0", "0Gi", "0.0", " 0 "] {
        assert_eq!(Amount::parse(zero), Ok(None), "{zero:?}");
    }
    for good in ["1", "1.5Gi", "500m", "10G", "2Ti", "1k"] {
        assert_eq!(Amount::parse(good), Ok(Some(Amount(good.into()))));
    }
    for bad in [
        "-1",
        "1gi",
        "Gi",
        "1 Gi",
        "1e3",
        "inf",
        "NaN",
        "1.2.3",
        "4GiB",
        &"9".repeat(21),
    ] {
        assert_eq!(
            Amount::parse(bad),
            Err(AmountError::Amount(bad.into())),
            "{bad:?}"
        );
    }
    for bad in ["memory", "memory=", "gpu=1", "=1", "memory=1Gi;cpu=2"] {
        assert!(ResourceList::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(ResourceList::parse(" , "), Ok(ResourceList::default()));
}
