use kube::core::response::StatusDetails;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn said(code: u16, causes: &[(&str, &str)]) -> Status {
    let causes = causes.iter().map(|(reason, field)| StatusCause {
        reason: (*reason).to_owned(),
        field: (*field).to_owned(),
        message: "no".to_owned(),
    });
    Status {
        code,
        message: "no".into(),
        details: Some(StatusDetails {
            causes: causes.collect(),
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            retry_after_seconds: 0,
        }),
        ..Status::default()
    }
}

fn refusal(status: Status) -> CallError {
    CallError::Call {
        what: "write",
        source: Box::new(kube::Error::Api(Box::new(status))),
    }
}

fn task() -> Value {
    json!({
        "metadata": {"resourceVersion": "7"},
        "status": {
            "phase": "Failed", "reason": "StorageExceeded", "message": "full", "jobName": "t", "podName": "t-x",
            "usage": {"costUSD": "4.00", "inputTokens": 7},
            "outputs": ["branch: b"], "results": {"branch": "b"},
            "dependencyOutputs": {"a": ["message: kept"]},
            "attempts": [
                {"podName": "t-w", "reason": "Evicted", "message": "node"},
                {"podName": "t-x", "reason": "StorageExceeded", "message": "full", "usage": {"costUSD": "4.00"}},
            ],
            "conditions": [{
                "type": "Stalled", "status": "True", "reason": "StorageExceeded", "message": "full",
                "lastTransitionTime": "2026-11-30T06:00:00Z",
            }],
        },
    })
}

#[test]
fn reasons_that_the_definitions_lack_become_unknown_and_texts_stay() {
    let mut cut = Cut::default();
    let enums = [
        ("FieldValueNotSupported", "status.reason"),
        ("FieldValueNotSupported", "status.attempts[1].reason"),
    ];
    assert!(cut.deepen("status", &said(422, &enums)));
    let mut expected = task();
    expected["status"]["reason"] = UNKNOWN.into();
    expected["status"]["attempts"][1]["reason"] = UNKNOWN.into();
    expected["status"]["attempts"][1]["message"] = "StorageExceeded: full".into();
    assert_eq!(cut.of("status", &task()), expected);
    // Definitions that do not have even that.
    assert!(cut.deepen("status", &said(422, &enums[..1])));
    let less = cut.of("status", &task());
    assert_eq!(less.pointer("/status/reason"), None);
    assert_eq!(less["status"]["conditions"], expected["status"]["conditions"]);
}

#[test]
fn fields_that_the_definitions_lack_are_left_out_wherever_they_stand() {
    // Kubernetes 1.34, with the message as it comes.
    let lacks = |path: &str| Status {
        message: format!(
            "failed to create typed patch object (/; axon.io/v1alpha1, Kind=Task): {path}: field not declared in schema"
        ),
        ..said(500, &[])
    };
    let (stored, calls) = play(vec![
        lacks(".status.jobName"),
        lacks(".status.attempts[0].message"),
        lacks(".status.usage.costUSD"),
    ]);
    let stored = stored.unwrap();
    let mut expected = task();
    let status = expected["status"].as_object_mut().unwrap();
    status.remove("jobName");
    status["usage"].as_object_mut().unwrap().remove("costUSD");
    for attempt in status["attempts"].as_array_mut().unwrap() {
        attempt.as_object_mut().unwrap().remove("message");
    }
    assert_eq!((&stored.value, calls), (&expected, 4));
    let (cut, first) = stored.cut.unwrap();
    assert_eq!(
        cut.what(),
        "status.attempts[].message, status.jobName, status.usage.costUSD"
    );
    assert!(cut.note("status", &first).contains("kubectl axon install"));
    // Known before.
    let write = Write::new("status", task()).without(
        [
            "status.attempts[].message",
            "status.jobName",
            "status.usage.costUSD",
        ]
        .map(Into::into),
    );
    assert_eq!(write.body(), &expected);
    // Without a phase nothing is told, and an outage is none of this.
    assert_eq!(play(vec![lacks(".status.phase")]).1, 1);
    assert_eq!(
        play(vec![lacks(".status.jobName"), lacks(".status.jobName")]).1,
        2
    );
}

#[test]
fn without_its_texts_a_status_keeps_what_programs_read() {
    let mut cut = Cut::default();
    assert!(cut.deepen("status", &said(400, &[])));
    let less = cut.of("status", &task());
    let status = &less["status"];
    for gone in ["message", "outputs", "results"] {
        assert_eq!(status.get(gone), None, "{gone}");
    }
    assert_eq!(
        status["attempts"][1],
        json!({"podName": "t-x", "reason": "StorageExceeded", "usage": {"costUSD": "4.00"}})
    );
    assert_eq!(status["conditions"][0]["message"], "");
    for kept in [
        "phase",
        "reason",
        "jobName",
        "podName",
        "usage",
        "dependencyOutputs",
    ] {
        assert_eq!(status[kept], task()["status"][kept], "{kept}");
    }
    assert_eq!(less["metadata"], task()["metadata"]);
    let spawner = json!({"status": {"claims": [{"name": "s-1", "item": "1"}], "message": "m", "source": "s",
        "waiting": [{"item": "2", "task": "s-2", "title": "t"}], "answer": {"x": 1}}});
    assert_eq!(
        cut.of("status", &spawner),
        json!({"status": {"claims": [{"name": "s-1", "item": "1"}], "waiting": [{"item": "2", "task": "s-2"}]}})
    );
}

#[test]
fn what_is_refused_without_texts_goes_member_by_member_and_the_phase_stays() {
    let mut cut = Cut::default();
    let many = said(
        422,
        &[
            ("FieldValueTooMany", "status.attempts"),
            ("FieldValueInvalid", "status.phase"),
        ],
    );
    assert!(cut.deepen("status", &many), "texts");
    assert!(cut.deepen("status", &many), "attempts");
    assert!(!cut.deepen("status", &many), "nothing is left");
    let status = &cut.of("status", &task())["status"];
    assert_eq!(
        (status.get("attempts"), &status["phase"]),
        (None, &json!("Failed"))
    );
    assert_eq!(cut.what(), "texts, attempts");
}

#[test]
fn what_others_wrote_is_not_mended_by_leaving_out_what_we_write() {
    let mut cut = Cut::default();
    assert!(!cut.deepen("status", &said(422, &[("FieldValueInvalid", "spec")])));
    assert!(!cut.deepen("status", &said(422, &[("FieldValueInvalid", "statusquo.x")])));
    assert_eq!(cut, Cut::default());
}

/// Plays an API server that answers the first writes so, and then takes what comes.
fn play(answers: Vec<Status>) -> (Result<Stored<Value>, CallError>, usize) {
    let (mut answers, mut write) = (answers.into_iter(), Write::new("status", task()));
    for calls in 1.. {
        let answer = answers
            .next()
            .map_or_else(|| Ok(write.body().clone()), |said| Err(refusal(said)));
        if let Some(end) = write.end(answer) {
            return (end, calls);
        }
    }
    unreachable!()
}

#[test]
fn a_write_that_goes_well_is_made_once() {
    let (stored, calls) = play(vec![]);
    assert!(stored.unwrap().cut.is_none());
    assert_eq!(calls, 1);
}

#[test]
fn a_body_that_cannot_be_decoded_is_written_without_texts() {
    let (stored, calls) = play(vec![said(400, &[])]);
    let stored = stored.unwrap();
    assert_eq!((stored.value["status"].get("message"), calls), (None, 2));
    let (cut, first) = stored.cut.unwrap();
    assert_eq!(cut.what(), "texts");
    assert_eq!(first.said().unwrap().code, 400);
}

#[test]
fn conflicts_outages_and_the_will_of_others_are_not_worked_around() {
    for code in [403, 404, 409, 413, 429, 500, 503] {
        let (stored, calls) = play(vec![said(code, &[])]);
        assert_eq!((stored.unwrap_err().said().unwrap().code, calls), (code, 1));
    }
    let policy = Status {
        message: "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no".into(),
        ..said(422, &[])
    };
    let (stored, calls) = play(vec![policy]);
    assert!(stored.is_err());
    assert_eq!(calls, 1);
    // A conflict on the way is told as such: the next look decides on what is there then.
    let (stored, calls) = play(vec![said(400, &[]), said(409, &[])]);
    assert_eq!(stored.unwrap_err().said().unwrap().code, 409);
    assert_eq!(calls, 2);
}

proptest! {
    #[test]
    fn writes_of_one_body_are_bounded(codes in proptest::collection::vec(
        (prop_oneof![Just(400_u16), Just(422)], proptest::sample::subsequence(vec![
            ("FieldValueNotSupported", "status.reason"), ("FieldValueNotSupported", "status.attempts[0].reason"),
            ("FieldValueTooMany", "status.attempts"), ("FieldValueInvalid", "status.usage.costUSD"),
            ("FieldValueInvalid", "spec"), ("FieldValueInvalid", ""),
        ], 0..6)), 0..20))
    {
        let answers: Vec<Status> = codes.iter().map(|(code, causes)| said(*code, causes)).collect();
        let (stored, calls) = play(answers);
        prop_assert!(calls <= MOST_WRITES);
        if let Ok(stored) = stored {
            prop_assert_eq!(&stored.value["status"]["phase"], "Failed");
            prop_assert_eq!(&stored.value["status"]["conditions"][0]["reason"], "StorageExceeded");
            prop_assert_eq!(stored.cut.is_some(), calls > 1);
        }
    }
}
