use axon_api::v1alpha1::Association;

use super::*;

fn item(kind: ItemKind, labels: &[&str]) -> Item {
    Item {
        kind,
        number: 1,
        title: String::new(),
        body: None,
        url: String::new(),
        labels: labels.iter().map(ToString::to_string).collect(),
        comments: 0,
        author: Writer::default(),
        author_is_user: false,
        updated: None,
        kept: None,
    }
}

fn set(labels: &[&str]) -> Labels {
    labels.iter().map(ToString::to_string).collect()
}

#[test]
fn all_labels_none_of_the_excluded_and_the_kind() {
    let query = ListQuery {
        labels: vec!["Bug".into(), "axon".into()],
        exclude_labels: vec!["axon/needs-input".into()],
        issues: true,
        ..ListQuery::default()
    };
    for (labels, wanted) in [
        (&["bug", "Axon", "x"][..], true),
        (&["bug"], false),
        (&["bug", "axon", "Axon/Needs-Input"], false),
    ] {
        assert_eq!(query.wants(&item(ItemKind::Issue, labels)), wanted, "{labels:?}");
    }
    assert!(!query.wants(&item(ItemKind::PullRequest, &["bug", "axon"])));
    let pulls = ListQuery {
        pulls: true,
        ..ListQuery::default()
    };
    assert!(pulls.wants(&item(ItemKind::PullRequest, &[])) && !pulls.wants(&item(ItemKind::Issue, &[])));
}

#[test]
fn who_opened_an_item_may_keep_it_out() {
    let query = ListQuery {
        issues: true,
        exclude_labels: vec!["no".into()],
        authors: Some(People {
            associations: vec![Association::Member],
            users: Vec::new(),
        }),
        ..ListQuery::default()
    };
    let by = |association: &str, labels: &[&str]| {
        let author = Writer {
            login: "x".into(),
            association: association.into(),
        };
        Item {
            author,
            ..item(ItemKind::Issue, labels)
        }
    };
    assert!(query.wants(&by("MEMBER", &[])));
    let stranger = by("NONE", &[]);
    assert!(!query.wants(&stranger));
    assert_eq!(
        query.excluded_by(&stranger),
        Some(Exclusion::Author(stranger.author.clone()))
    );
    let label = Some(Exclusion::Label("no".into()));
    assert_eq!(query.excluded_by(&by("NONE", &["NO"])), label);
    let anybody = ListQuery {
        authors: None,
        ..query
    };
    assert!(anybody.wants(&stranger));
}

#[test]
fn github_filters_by_what_all_want() {
    let (a, b) = (set(&["axon", "bug"]), set(&["axon", "docs", "a,b"]));
    assert_eq!(common([&a, &b].into_iter()), set(&["axon"]));
    assert_eq!(common([&b].into_iter()), set(&["axon", "docs"]));
    assert_eq!(common([&a, &set(&[])].into_iter()), set(&[]));
    assert_eq!(common(std::iter::empty()), set(&[]));
    assert!(any_wants(
        [&a, &b].into_iter(),
        &item(ItemKind::Issue, &["AXON", "bug"])
    ));
    assert!(!any_wants(
        [&a, &b].into_iter(),
        &item(ItemKind::Issue, &["axon"])
    ));
}

#[test]
fn an_entry_that_cannot_be_read_does_not_hide_the_others() {
    let body =
        br#"[{"number":1,"title":"t","body":null,"html_url":"u","labels":[{"name":"a"},"b"],"comments":2,
         "user":{"login":"ann","id":1,"type":"User"},"updated_at":"2026-01-01T00:00:05Z","author_association":"MEMBER"},
        {"number":"x"}, {"number":3,"title":"p","pull_request":{"url":"y"}}]"#;
    let Found {
        items,
        count,
        unread,
        cut,
    } = read_page(body).unwrap();
    assert_eq!((items.len(), count, unread, cut), (2, 3, 1, 0));
    assert_eq!(items[0].labels, ["a", "b"]);
    let author = &items[0].author;
    assert_eq!(
        (author.login.as_str(), author.association.as_str()),
        ("ann", "MEMBER")
    );
    assert!(items[0].author_is_user && !items[1].author_is_user);
    let updated = items[0].updated.map(|time| time.to_string());
    assert_eq!(updated.as_deref(), Some("2026-01-01T00:00:05Z"));
    assert_eq!(items[1].author, Writer::default());
    assert_eq!(
        (items[0].kind, items[1].kind),
        (ItemKind::Issue, ItemKind::PullRequest)
    );
    assert!(read_page(b"{}").is_err());
}

#[test]
fn what_is_too_long_is_cut_or_left_out_and_told() {
    let long = |letter: &str, n: usize| letter.repeat(n);
    let labels: Vec<String> = (0..150).map(|n| format!("label-{n}")).collect();
    let entry = serde_json::json!({
        "number": 1, "title": long("t", 5000), "body": long("ü", 100_000), "html_url": long("u", 3000),
        "labels": labels, "user": {"login": long("a", 101)}, "author_association": long("O", 500),
    });
    let found = read_page(serde_json::json!([entry]).to_string().as_bytes()).unwrap();
    let item = &found.items[0];
    assert_eq!((found.count, found.unread, found.cut), (1, 0, 1));
    assert_eq!(item.title.len(), MAX_TITLE);
    assert_eq!(item.body.as_ref().unwrap().chars().count(), MAX_TEXT);
    assert_eq!((item.labels.len(), item.url.as_str()), (MAX_LABELS, ""));
    assert_eq!(
        item.author,
        Writer::default(),
        "a part of a login is another login"
    );
    let more = format!("[{}0]", "0,".repeat(PER_PAGE));
    assert!(read_page(more.as_bytes()).is_err(), "more than a page has");
}
