use super::super::query::ItemKind;
use super::*;

const PERIOD: Duration = Duration::from_secs(60);

fn query(caller: &str, labels: &[&str]) -> ListQuery {
    ListQuery {
        caller: caller.into(),
        labels: labels.iter().map(ToString::to_string).collect(),
        issues: true,
        max_age: PERIOD,
        ..ListQuery::default()
    }
}

fn page(numbers: &[u64], labels: &[&str]) -> Page {
    let item = |number: &u64| {
        Arc::new(Item {
            kind: ItemKind::Issue,
            number: *number,
            title: String::new(),
            body: None,
            url: String::new(),
            labels: labels.iter().map(ToString::to_string).collect(),
            comments: 0,
            author: axon_api::v1alpha1::Writer::default(),
            author_is_user: true,
            updated: None,
            kept: None,
        })
    };
    Page {
        path: "/p".into(),
        etag: None,
        next: None,
        count: numbers.len(),
        unread: 0,
        items: numbers.iter().map(item).collect(),
        sum: Sum::default(),
        _kept: None,
    }
}

/// Polls; returns true if that took a fetch.
fn poll(shared: &mut Shared, query: &ListQuery, now: Instant) -> bool {
    shared.note(query, now);
    if shared.answer(query, now).is_some() {
        return false;
    }
    shared.scope();
    let pages = vec![page(&[1], &["a", "b"])];
    shared
        .fetched(query, (pages, Ok(true)), now, Timestamp::UNIX_EPOCH)
        .unwrap();
    true
}

fn at(start: Instant, millis: u64) -> Instant {
    start + Duration::from_millis(millis)
}

#[test]
fn many_callers_make_one_fetch_a_period_and_one_caller_one_at_each_poll() {
    let start = Instant::now();
    let mut shared = Shared::default();
    let callers: Vec<ListQuery> = (0..30).map(|n| query(&n.to_string(), &["a"])).collect();
    let mut fetches = 0;
    for round in 0..10 {
        for (n, caller) in (0u64..).zip(&callers) {
            // Some come a little early, some late.
            let jitter = (n * 7 + round * 13) % 400;
            fetches += u32::from(poll(
                &mut shared,
                caller,
                at(start, 1000 + round * 60_000 + n * 2000 + jitter),
            ));
        }
    }
    assert_eq!(fetches, 10);

    let mut alone = Shared::default();
    let fetches = (0..10u64).filter(|n| poll(&mut alone, &callers[0], at(start, n * 60_000 - n * 20 % 90)));
    assert_eq!(fetches.count(), 10);
}

#[test]
fn another_takes_over_when_the_fetcher_is_gone() {
    let start = Instant::now();
    let mut shared = Shared::default();
    assert!(poll(&mut shared, &query("gone", &["a"]), start));
    assert!(!poll(&mut shared, &query("b", &["a"]), at(start, 59_000)));
    assert!(poll(&mut shared, &query("b", &["a"]), at(start, 60_000)));
}

#[test]
fn what_is_older_than_a_caller_allows_is_no_answer_and_what_is_newer_is_one_for_all() {
    let start = Instant::now();
    let mut shared = Shared::default();
    assert!(poll(&mut shared, &query("before", &["a"]), start));
    let takeover = at(start, 5000);
    let mut callers: Vec<ListQuery> = (0..900).map(|n| query(&n.to_string(), &["a"])).collect();
    for caller in &mut callers {
        caller.not_before = Some(takeover);
    }
    let polls = (0u64..).zip(&callers);
    let fetches = polls.filter(|(n, caller)| poll(&mut shared, caller, at(start, 6000 + n * 3)));
    assert_eq!(fetches.count(), 1);
    // The own one is no exception.
    let mut resumed = callers[0].clone();
    resumed.not_before = Some(at(start, 6001));
    assert!(poll(&mut shared, &resumed, at(start, 6002)));
}

#[test]
fn different_labels_share_what_they_have_in_common() {
    let start = Instant::now();
    let mut shared = Shared::default();
    assert!(poll(&mut shared, &query("1", &["a", "b"]), start));
    assert_eq!(
        shared.scope().labels.len(),
        2,
        "GitHub filters for a single caller"
    );
    assert!(
        !poll(&mut shared, &query("2", &["a", "b", "c"]), start),
        "a part of what is there"
    );
    assert!(
        poll(&mut shared, &query("3", &["a", "d"]), start),
        "not yet there"
    );
    let scope = shared.scope();
    assert_eq!(
        (scope.labels.into_iter().collect::<Vec<_>>(), scope.covers.len()),
        (vec!["a".to_owned()], 3)
    );
    for caller in [query("1", &["a", "b"]), query("3", &["a", "d"])] {
        assert!(!poll(&mut shared, &caller, at(start, 20_000)));
    }
}

#[test]
fn smaller_pages_are_asked_for_until_an_hour_has_passed() {
    let start = Instant::now();
    let (mut shared, q) = (Shared::default(), query("1", &[]));
    let sizes: Vec<(bool, usize)> = (0..4).map(|_| (shared.shrink(start), shared.size)).collect();
    assert_eq!(sizes, [(true, 25), (true, 6), (true, 1), (false, 1)]);
    shared.note(&q, at(start, 3_599_000));
    assert_eq!(shared.size, 1);
    shared.note(&q, at(start, 3_600_000));
    assert_eq!(shared.size, PER_PAGE);
}

#[test]
fn who_is_silent_for_long_is_forgotten() {
    let start = Instant::now();
    let mut shared = Shared::default();
    poll(&mut shared, &query("1", &["a", "b"]), start);
    poll(&mut shared, &query("2", &["a", "c"]), start);
    let later = at(start, 700_000);
    assert!(poll(&mut shared, &query("2", &["a", "c"]), later));
    assert_eq!(shared.scope().labels.len(), 2);
}

#[test]
fn errors_are_shared_but_an_unreachable_host_is_tried_again_soon() {
    let start = Instant::now();
    let mut shared = Shared::default();
    let (one, two) = (query("1", &["a"]), query("2", &["a"]));
    let asked = super::super::error::ErrorContext::default();
    let unauthorized = GithubError::Unauthorized {
        asked: asked.clone(),
        said: String::new(),
    };
    shared.note(&one, start);
    let refused = Err(unauthorized.clone());
    let _ = shared.fetched(&one, (Vec::new(), refused), start, Timestamp::UNIX_EPOCH);
    assert_eq!(
        shared.answer(&two, at(start, 50_000)),
        Some(Err(unauthorized.clone()))
    );
    // Somebody may have mended it: no poll interval is so long that nobody looks.
    let rarely = ListQuery {
        max_age: Duration::from_secs(24 * 3600),
        ..two.clone()
    };
    assert!(shared.answer(&rarely, at(start, 200_000)).is_some());
    assert_eq!(shared.answer(&rarely, at(start, 300_000)), None);
    let unreachable = GithubError::Unreachable {
        asked,
        said: String::new(),
        pause: Duration::from_secs(2),
    };
    let known = vec![page(&[1], &["a"])];
    let lost = (known.clone(), Err(unreachable));
    let _ = shared.fetched(&one, lost, start, Timestamp::UNIX_EPOCH);
    assert_eq!(shared.pages.len(), 1, "what was read need not be read again");
    assert!(shared.answer(&two, at(start, 1000)).is_some());
    assert!(shared.answer(&two, at(start, 2000)).is_none());
    let refused = (known, Err(unauthorized));
    let _ = shared.fetched(&one, refused, start, Timestamp::UNIX_EPOCH);
    assert!(shared.pages.is_empty());
}

#[test]
fn items_come_once_in_order_and_what_could_not_be_read_is_told() {
    let start = Instant::now();
    let mut shared = Shared::default();
    let q = query("1", &["a"]);
    shared.note(&q, start);
    let mut odd = page(&[2, 9], &["a"]);
    odd.unread = 1;
    let pages = vec![page(&[1, 2], &["A"]), odd, page(&[3], &["other"])];
    let listing = shared
        .fetched(&q, (pages, Ok(true)), start, Timestamp::UNIX_EPOCH)
        .unwrap();
    let numbers: Vec<u64> = listing.items.iter().map(|item| item.number).collect();
    assert_eq!(
        (numbers, listing.complete, listing.shared),
        (vec![1, 2, 9], false, false)
    );
}
