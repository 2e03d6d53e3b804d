//! Cases of the reasons.

use axon_api::outputs::Report;

use super::*;
use crate::task::observe::pod::ContainerView;

fn pod(agent: Ended) -> PodView {
    PodView {
        name: "t-abc".into(),
        node: Some("n1".into()),
        agent: ContainerView::Terminated(agent),
        ..PodView::default()
    }
}

fn ended(exit_code: i32, reason: &str) -> Ended {
    Ended {
        exit_code,
        reason: reason.into(),
        ..Ended::default()
    }
}

fn report(reason: TaskReason, message: &str) -> Option<Box<Report>> {
    Some(Box::new(Report {
        is_final: true,
        reason: Some(reason),
        message: Some(message.into()),
        ..Report::new()
    }))
}

#[test]
fn success_is_no_failure() {
    assert_eq!(of_pod(&pod(ended(0, "Completed"))), None);
    assert_eq!(of_pod(&PodView::default()), None);
}

#[test]
fn memory_wins_over_what_the_agent_said() {
    let failure = of_pod(&pod(Ended {
        report: report(TaskReason::AgentError, "x"),
        ..ended(137, "OOMKilled")
    }))
    .unwrap();
    assert_eq!(failure.reason, TaskReason::OOMKilled);
    assert!(
        failure.message.contains("limits.memory") && failure.message.contains("n1"),
        "{}",
        failure.message
    );
}

#[test]
fn the_report_names_the_reason() {
    let failure = of_pod(&pod(Ended {
        report: report(TaskReason::AuthFailed, "invalid x-api-key"),
        ..ended(1, "Error")
    }));
    assert_eq!(
        failure,
        Some(Failure::new(TaskReason::AuthFailed, "invalid x-api-key"))
    );
}

#[test]
fn an_image_claims_no_reason_that_the_cluster_gives() {
    use TaskReason as R;
    for (claimed, counts) in [
        (R::AuthFailed, R::AuthFailed),
        (R::ToolsDenied, R::ToolsDenied),
        (R::ProviderUnavailable, R::ProviderUnavailable),
        (R::CloneFailed, R::CloneFailed),
        // These would run the Task again on its owner's money.
        (R::Evicted, R::AgentError),
        (R::PodLost, R::AgentError),
        (R::Queued, R::AgentError),
        (R::OOMKilled, R::AgentError),
        (R::DeadlineExceeded, R::AgentError),
        (R::DependencyFailed, R::AgentError),
        (R::Completed, R::AgentError),
        (R::Unknown, R::AgentError),
    ] {
        let failure = of_pod(&pod(Ended {
            report: report(claimed, "word"),
            ..ended(1, "Error")
        }));
        assert_eq!(failure, Some(Failure::new(counts, "word")), "{claimed}");
    }
}

#[test]
fn without_a_report_the_log_and_then_the_exit_code_speak() {
    let log = of_pod(&pod(Ended {
        message: "\nboom\n".into(),
        ..ended(2, "Error")
    }))
    .unwrap();
    assert_eq!(log, Failure::new(TaskReason::AgentError, "boom"));
    let bare = of_pod(&pod(ended(137, "Error"))).unwrap();
    assert_eq!(
        bare.message,
        "the agent ended with exit code 137 (killed, SIGKILL)"
    );
}

#[test]
fn a_deleted_pod_is_lost_unless_the_agent_itself_failed() {
    let mut lost = pod(Ended {
        report: report(TaskReason::Stopped, "SIGTERM"),
        ..ended(143, "Error")
    });
    lost.deleting = true;
    let failure = of_pod(&lost).unwrap();
    assert_eq!(failure.reason, TaskReason::PodLost);
    assert!(failure.message.ends_with(": SIGTERM"), "{}", failure.message);
    let mut failed = pod(Ended {
        report: report(TaskReason::AgentError, "x"),
        ..ended(1, "Error")
    });
    failed.deleting = true;
    assert_eq!(of_pod(&failed).unwrap().reason, TaskReason::AgentError);
}

#[test]
fn a_pod_that_wrote_too_much_is_not_disrupted() {
    for said in [
        "Usage of EmptyDir volume \"tmp\" exceeds the limit \"10Gi\". ",
        "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ",
        "Container agent exceeded its local ephemeral storage limit \"10Gi\". ",
    ] {
        let mut full = pod(ended(137, "Error"));
        full.failure = Some(("Evicted".into(), said.into()));
        let failure = of_pod(&full).unwrap();
        assert_eq!(failure.reason, TaskReason::StorageExceeded, "{said}");
        assert!(
            failure.message.contains(said.trim().trim_end_matches('.')),
            "{}",
            failure.message
        );
    }
}

#[test]
fn eviction_and_disruption_are_not_the_agents_fault() {
    let mut evicted = pod(ended(137, "Error"));
    evicted.failure = Some(("Evicted".into(), "The node was low on resource: memory.".into()));
    assert_eq!(of_pod(&evicted).unwrap().reason, TaskReason::Evicted);
    for said in [
        "Pod was rejected: The node had condition: [DiskPressure]. ",
        "The node had condition: [MemoryPressure]. ",
        "In words of another release",
    ] {
        evicted.failure = Some(("Evicted".into(), said.into()));
        assert_eq!(of_pod(&evicted).unwrap().reason, TaskReason::Evicted, "{said}");
    }
    let mut drained = PodView {
        name: "p".into(),
        ..PodView::default()
    };
    drained.disruption = Some(("EvictionByEvictionAPI".into(), "Eviction API: evicting".into()));
    assert!(
        of_pod(&drained)
            .unwrap()
            .message
            .contains("EvictionByEvictionAPI")
    );
}

#[test]
fn a_failed_clone_has_gits_words() {
    let ended = Ended {
        report: report(TaskReason::CloneFailed, "fatal: repository not found"),
        ..ended(1, "Error")
    };
    let view = PodView {
        workspace: ContainerView::Terminated(ended),
        ..PodView::default()
    };
    assert_eq!(
        of_pod(&view),
        Some(Failure::new(
            TaskReason::CloneFailed,
            "fatal: repository not found"
        ))
    );
}

#[test]
fn a_job_past_its_deadline_says_so_whatever_the_pod_says() {
    let end = JobEnd::Failed {
        reason: "DeadlineExceeded".into(),
        message: String::new(),
        at: None,
    };
    assert_eq!(
        of_job(&end, Some(&pod(ended(143, "Error"))), None).reason,
        TaskReason::DeadlineExceeded
    );
}

#[test]
fn a_job_without_a_pod_lost_it() {
    let end = JobEnd::Failed {
        reason: "BackoffLimitExceeded".into(),
        message: "limit".into(),
        at: None,
    };
    assert_eq!(of_job(&end, None, None).reason, TaskReason::PodLost);
    let known = Attempt {
        reason: Some(TaskReason::AgentError),
        message: Some("boom".into()),
        ..Attempt::default()
    };
    assert_eq!(
        of_job(&end, None, Some(&known)),
        Failure::new(TaskReason::AgentError, "boom")
    );
}

#[test]
fn the_cluster_loses_containers_and_the_agent_ends_by_itself() {
    let lost = [(255, "Unknown"), (137, "ContainerStatusUnknown")];
    for (code, reason) in lost {
        for container in ["agent", "workspace"] {
            let end = Ended {
                message: "The container could not be located when the pod was terminated".into(),
                ..ended(code, reason)
            };
            let mut view = pod(end.clone());
            view.failed = true;
            if container == "workspace" {
                view.workspace = ContainerView::Terminated(end);
                view.agent = ContainerView::Unknown;
            }
            let failure = of_pod(&view).unwrap();
            assert_eq!(failure.reason, TaskReason::PodLost, "{container}");
            assert!(
                failure.message.contains("n1") && failure.message.contains(reason),
                "{}",
                failure.message
            );
        }
    }
    // An agent can end with this code as well.
    assert_eq!(
        of_pod(&pod(ended(255, "Error"))).unwrap().reason,
        TaskReason::AgentError
    );
}

#[test]
fn what_a_child_does_to_memory_does_not_hide_a_refused_credential() {
    let refused = Ended {
        report: report(TaskReason::AuthFailed, "401"),
        ..ended(1, "OOMKilled")
    };
    assert_eq!(of_pod(&pod(refused)).unwrap().reason, TaskReason::AuthFailed);
    let bare = Ended {
        report: report(TaskReason::AgentError, "cargo was killed"),
        ..ended(1, "OOMKilled")
    };
    assert_eq!(of_pod(&pod(bare)).unwrap().reason, TaskReason::OOMKilled);
    assert_eq!(
        of_pod(&pod(ended(0, "OOMKilled"))),
        None,
        "the agent went on without the child"
    );
}

#[test]
fn each_word_about_a_pod_has_its_reason() {
    for word in super::fault::RULES
        .iter()
        .filter(|word| word.origin == Origin::Pod)
    {
        let said = word.word.replace('*', "cpu");
        let mut view = pod(ended(137, "Error"));
        view.failure = Some((said.clone(), "The kubelet's words. ".into()));
        let failure = of_pod(&view).unwrap();
        assert_eq!(failure.reason, word.reason, "{said}");
        assert!(
            failure.message.ends_with("The kubelet's words"),
            "{}",
            failure.message
        );
        // Where the agent has never started there is nothing else to go by.
        view.agent = ContainerView::Unknown;
        assert_eq!(of_pod(&view).unwrap().reason, word.reason, "{said}");
    }
}

#[test]
fn each_word_about_a_container_and_a_disruption_has_its_reason() {
    for word in super::fault::RULES {
        let mut view = pod(ended(137, word.word));
        if word.origin == Origin::Disruption {
            view = pod(ended(143, "Error"));
            view.disruption = Some((word.word.into(), "m".into()));
        } else if word.origin != Origin::Terminated {
            continue;
        }
        assert_eq!(of_pod(&view).unwrap().reason, word.reason, "{word:?}");
    }
}

#[test]
fn a_full_volume_and_a_full_disk_have_advice_of_their_own() {
    let advice = |said: &str| {
        let mut full = pod(ended(137, "Error"));
        full.failure = Some(("Evicted".into(), said.into()));
        of_pod(&full).unwrap().message
    };
    let volume = advice("Usage of EmptyDir volume \"tmp\" exceeds the limit \"10Gi\". ");
    assert!(volume.contains("AXON_POD_SCRATCH_LIMIT"), "{volume}");
    let disk = advice("Pod ephemeral local storage usage exceeds the total limit of containers 200Mi. ");
    assert!(
        disk.contains("podOverrides.resources.limits.ephemeral-storage"),
        "{disk}"
    );
}

#[test]
fn an_agent_that_could_not_be_started_in_a_pod_that_goes_is_lost() {
    let mut going = pod(Ended {
        message: "cannot mount".into(),
        ..ended(128, "StartError")
    });
    assert_eq!(of_pod(&going).unwrap().reason, TaskReason::InvalidConfig);
    going.deleting = true;
    assert_eq!(of_pod(&going).unwrap().reason, TaskReason::PodLost);
}

#[test]
fn an_agent_that_failed_before_its_node_was_drained_has_failed() {
    let mut drained = pod(Ended {
        report: report(TaskReason::RateLimited, "429"),
        ..ended(1, "Error")
    });
    drained.disruption = Some(("EvictionByEvictionAPI".into(), "Eviction API: evicting".into()));
    let failure = Failure::new(TaskReason::RateLimited, "429");
    assert_eq!(of_pod(&drained), Some(failure.clone()));
    assert_eq!(verdict(&drained), Some(Verdict::Failed(failure)));
    let stopped = Ended {
        report: report(TaskReason::Stopped, "SIGTERM"),
        ..ended(143, "Error")
    };
    drained.agent = ContainerView::Terminated(stopped);
    assert_eq!(of_pod(&drained).unwrap().reason, TaskReason::Evicted);
    assert_eq!(verdict(&drained), None);
}
