//! Cases of pods that wait for their volumes.

use k8s_openapi::api::core::v1::Pod;

use super::*;
use crate::task::decide::volumes::are_overdue;
use crate::task::observe::pod::Needed;

fn secret(name: &str) -> Needed {
    Needed {
        kind: "Secret",
        name: name.into(),
    }
}

fn creating(seconds: i64, ready: Option<bool>) -> PodView {
    PodView {
        scheduled: Some(at(NOW - seconds)),
        needs: vec![secret("a"), secret("b")],
        volumes_ready: ready,
        ..pod(waiting("PodInitializing", ""), waiting("PodInitializing", ""))
    }
}

fn decided(pod: &PodView, missing: &[Needed], told: Option<TaskStatus>) -> Decision {
    let mut t = with_phase(TaskPhase::Pending);
    if let Some(told) = told {
        t.status = Some(told);
    }
    decide(&Observed {
        job: Some(job()),
        pods: vec![pod.clone()],
        missing: missing.to_vec(),
        ..observed(&t)
    })
}

fn told_of(pod: &PodView, missing: &[Needed]) -> (TaskReason, String) {
    let status = status_of(decided(pod, missing, None));
    assert_eq!(status.phase, Some(TaskPhase::Pending));
    (status.reason.unwrap(), status.message.unwrap())
}

#[test]
fn what_is_missing_is_named_once_it_takes_too_long() {
    let soon = creating(4, Some(false));
    let starting = status_of(decided(&soon, &[], None));
    assert_eq!(starting.reason, Some(TaskReason::Starting));
    assert_eq!(
        decided(&soon, &[], Some(starting)),
        Decision::Wait(Some(Duration::from_secs(6)))
    );

    let late = creating(11, Some(false));
    let (reason, message) = told_of(&late, &[secret("b")]);
    assert_eq!(reason, TaskReason::SecretNotFound);
    assert_eq!(
        message,
        "the pod can't start: its volumes need Secret b, which does not exist"
    );
    let told = status_of(decided(&late, &[secret("b")], None));
    let again = decided(&late, &[secret("b")], Some(told));
    assert_eq!(again, Decision::Wait(Some(Duration::from_secs(30))), "told once");

    let map = Needed {
        kind: "ConfigMap",
        name: "m".into(),
    };
    let (reason, message) = told_of(&late, std::slice::from_ref(&map));
    assert_eq!(reason, TaskReason::Starting, "{message}");
    let (reason, message) = told_of(&late, &[map, secret("a")]);
    assert_eq!(reason, TaskReason::SecretNotFound);
    assert!(
        message.contains("ConfigMap m, Secret a, which do not exist"),
        "{message}"
    );
}

#[test]
fn where_nobody_can_tell_what_is_missing_everything_needed_is_named() {
    let (reason, message) = told_of(&creating(11, Some(false)), &[]);
    assert_eq!(reason, TaskReason::Starting);
    assert!(
        message.contains("Secret a, Secret b") && message.contains("kubectl describe pod t-x"),
        "{message}"
    );
    // An older kubelet says nothing of volumes: an image may be on its way.
    let (_, message) = told_of(&creating(11, None), &[]);
    assert_eq!(message, STARTING);
}

#[test]
fn only_a_pod_that_waits_for_volumes_is_overdue() {
    let overdue = |pod: &PodView| are_overdue(pod, at(NOW));
    assert!(overdue(&creating(11, Some(false))) && overdue(&creating(11, None)));
    assert!(!overdue(&creating(9, Some(false))) && !overdue(&creating(99, Some(true))));
    let runs = PodView {
        workspace: ContainerView::Running { since: None },
        ..creating(99, None)
    };
    let going = PodView {
        deleting: true,
        ..creating(99, None)
    };
    let simple = PodView {
        needs: Vec::new(),
        ..creating(99, None)
    };
    for pod in [runs, going, simple] {
        assert!(!overdue(&pod), "{pod:?}");
    }
}

#[test]
fn what_volumes_can_do_without_is_not_needed() {
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "t-x"},
        "spec": {"containers": [], "volumes": [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "secret": {"secretName": "s"}},
            {"name": "c", "secret": {"secretName": "o", "optional": true}},
            {"name": "d", "configMap": {"name": "m", "optional": false}},
            {"name": "e", "projected": {"sources": [
                {"secret": {"name": "p"}}, {"secret": {"name": "s"}}, {"configMap": {"name": "q", "optional": true}},
                {"downwardAPI": {}}]}},
        ]},
        "status": {"conditions": [{"type": "PodReadyToStartContainers", "status": "False"}]},
    }))
    .unwrap();
    let view = PodView::from(&pod);
    let names: Vec<String> = view.needs.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["ConfigMap m", "Secret p", "Secret s"]);
    assert_eq!(view.volumes_ready, Some(false));
}
