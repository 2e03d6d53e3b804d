use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn history(item: &Value) -> Result<History, Odd> {
    let body = json!({ "data": { "repository": { "issueOrPullRequest": item } } });
    read_history(body.to_string().as_bytes(), 7)
}

fn item(more: &Value) -> Value {
    let mut item = json!({ "__typename": "Issue", "number": 7, "title": "t", "body": "b", "lastEditedAt": null,
        "timelineItems": { "nodes": [] } });
    for (key, value) in more.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

#[test]
fn a_history_is_read_with_its_text() {
    let read = history(&item(
        &json!({ "lastEditedAt": "1970-01-01T00:00:05Z", "timelineItems": { "nodes": [
        { "__typename": "LabeledEvent", "createdAt": "1970-01-01T00:00:01Z",
          "actor": { "__typename": "User", "login": "ann" }, "label": { "name": "axon" } },
        { "__typename": "LabeledEvent", "createdAt": "1970-01-01T00:00:02Z",
          "actor": { "__typename": "Bot", "login": "ann" }, "label": { "name": "bug" } },
        { "__typename": "UnlabeledEvent", "createdAt": "1970-01-01T00:00:03Z", "actor": null, "label": { "name": "bug" } },
        { "__typename": "RenamedTitleEvent", "createdAt": "1970-01-01T00:00:04Z",
          "actor": { "__typename": "Mannequin", "login": "bob" } },
    ] } }),
    ));
    let by = |login: &str, is_user| Account {
        login: login.into(),
        is_user,
    };
    let event = |second, actor, what| Event {
        at: at(second),
        actor,
        what,
    };
    let events = vec![
        event(1, by("ann", true), What::Labeled("axon".into())),
        // A person and an App of the same name are two.
        event(2, by("ann[bot]", false), What::Labeled("bug".into())),
        event(3, Account::default(), What::Unlabeled("bug".into())),
        event(4, by("bob", false), What::Renamed),
    ];
    let wanted = History {
        title: "t".into(),
        body: "b".into(),
        edited: Some(at(5)),
        is_from_fork: false,
        events,
    };
    assert_eq!(read.unwrap(), wanted);
}

#[test]
fn a_pull_request_is_from_a_fork_unless_github_says_that_it_is_not() {
    for (more, is_from_fork) in [
        (
            json!({ "__typename": "PullRequest", "isCrossRepository": false }),
            false,
        ),
        (
            json!({ "__typename": "PullRequest", "isCrossRepository": true }),
            true,
        ),
        (
            json!({ "__typename": "PullRequest", "isCrossRepository": null }),
            true,
        ),
        (json!({ "__typename": "PullRequest" }), true),
        (json!({}), false),
    ] {
        assert_eq!(
            history(&item(&more)).unwrap().is_from_fork,
            is_from_fork,
            "{more}"
        );
    }
}

#[test]
fn what_is_not_understood_is_no_history() {
    let label = json!({ "__typename": "LabeledEvent", "createdAt": "1970-01-01T00:00:01Z", "actor": null });
    let events = |nodes: Value| item(&json!({ "timelineItems": { "nodes": nodes } }));
    for odd in [
        Value::Null,
        item(&json!({ "number": 8 })),
        item(&json!({ "lastEditedAt": "yesterday" })),
        item(&json!({ "timelineItems": null })),
        events(json!([label])),
        events(json!([{ "__typename": "RenamedTitleEvent", "createdAt": "?" }])),
        events(json!([{ "__typename": "ClosedEvent", "createdAt": "1970-01-01T00:00:01Z" }])),
        events(vec![label.clone(); EVENTS + 1].into()),
    ] {
        assert!(history(&odd).is_err(), "{odd}");
    }
    // Data beside an error may be a part of it.
    let whole = item(&json!({}));
    let body = json!({ "data": { "repository": { "issueOrPullRequest": whole } },
        "errors": [{ "type": "RATE_LIMITED", "message": "API rate\n limit exceeded" }] });
    let body = body.to_string();
    assert_eq!(
        read_history(body.as_bytes(), 7).unwrap_err().to_string(),
        "API rate limit exceeded"
    );
    assert!(is_limited(body.as_bytes()) && !is_limited(b"{\"errors\":[{\"type\":\"NOT_FOUND\"}]}"));
    assert!(!is_limited(b"x"));
}

#[test]
fn only_three_permissions_are_write() {
    for (permission, may) in [
        ("admin", MayWrite::Yes),
        ("maintain", MayWrite::Yes),
        ("write", MayWrite::Yes),
        ("triage", MayWrite::No),
        ("read", MayWrite::No),
        ("none", MayWrite::No),
        ("WRITE", MayWrite::No),
        ("", MayWrite::No),
    ] {
        let body = json!({ "permission": permission, "role_name": "maintain", "user": { "login": "Ann" } });
        let read = read_permission(body.to_string().as_bytes(), "ann").unwrap();
        assert_eq!(read, may, "{permission}");
    }
    let other = br#"{"permission":"admin","user":{"login":"bob"}}"#;
    assert!(read_permission(other, "ann").is_err() && read_permission(b"{}", "ann").is_err());
}

#[test]
fn logins_are_those_of_people() {
    for (login, is) in [
        ("octo-cat", true),
        ("emu_corp", true),
        ("", false),
        ("my-app[bot]", false),
        ("../x", false),
        ("a%2f", false),
    ] {
        assert_eq!(is_login(login), is, "{login}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_is_kept_for_minutes_and_so_are_few() {
    let mut kept = Permissions::default();
    let start = Instant::now();
    kept.put(1, MayWrite::Yes, start);
    assert_eq!(kept.get(&1, start), Some(MayWrite::Yes));
    assert_eq!((kept.get(&2, start), kept.get(&1, start + PERIOD)), (None, None));
    for n in 0..2 * MOST {
        kept.put(n, MayWrite::No, start);
    }
    assert!(kept.0.len() <= MOST);
}
