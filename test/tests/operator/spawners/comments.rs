//! Comments that are read, whatever their number.

use axon_fixtures::github::faults::Fault;
use axon_fixtures::github::store::ItemSpec;
use serde_json::json;

use super::{REPO, bug, world};

#[tokio::test]
async fn what_blocks_an_item_is_found_without_its_comments() {
    let w = world().await;
    for (number, title) in [(1, "two words"), (2, "fine"), (3, "taken")] {
        let title = title.to_owned();
        w.put(number, ItemSpec { title, ..bug() });
        let said = [format!("about {number}")];
        w.github.world().store.comment(REPO, number, said);
    }
    w.apply(&crate::harness::task("fix-3", "")).await;
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\npollInterval: 10m",
        "branch: \"b-{{.Title}}\"",
    )
    .await;
    w.until_tasks(&["fix-2", "fix-3"]).await;
    let message = w
        .until_condition("fix", "ItemsBlocked", "True", "InvalidBranch")
        .await;
    assert!(message.contains("3: Task \"fix-3\" exists"), "{message}");
    assert!(
        w.task("fix-2")
            .await
            .spec
            .prompt
            .contains("\nabout 2\n</untrusted-text ")
    );
    let asked = |number: u64| {
        let path = format!("/issues/{number}/comments");
        w.github.world().record.count(&path)
    };
    assert_eq!((asked(1), asked(2), asked(3)), (0, 1, 0));
}

#[tokio::test]
async fn the_newest_comment_is_read_whatever_form_the_pages_have() {
    let w = world().await;
    w.put(1, bug());
    w.github.world().store.comment(REPO, 1, ["one".to_owned()]);
    let path = format!("/repos/{REPO}/issues/1/comments");
    let page = |texts: std::ops::Range<usize>, next: &str| {
        let comment = |n: usize| {
            json!({"id": n, "body": format!("said {n}"), "user": {"login": "ann", "id": 7}, "author_association": "MEMBER",
                "updated_at": "2026-01-01T00:00:00Z"})
        };
        let link = format!("<http://127.0.0.1{path}?per_page=100&after={next}>; rel=\"next\"");
        Fault {
            path: path.clone(),
            status: Some(200),
            body: Some(texts.map(comment).collect()),
            headers: (!next.is_empty())
                .then(|| ("link".to_owned(), link))
                .into_iter()
                .collect(),
            ..Fault::default()
        }
    };
    // Places in the list instead of numbers: no page says which one is the last.
    for (texts, next) in [
        (1..101, "Y3Vyc29yOjEwMA%3D%3D"),
        (101..201, "Y3Vyc29yOjIwMA%3D%3D"),
        (201..203, ""),
    ] {
        w.github.world().faults.add(page(texts, next));
    }
    w.spawner(
        "fix",
        "when: {githubIssues: {labels: [bug]}}\npollInterval: 10m",
        "promptTemplate: \"{{.Comments}}\"",
    )
    .await;
    w.until_tasks(&["fix-1"]).await;
    let prompt = w.task("fix-1").await.spec.prompt;
    assert!(
        prompt.contains("said 1\n") && prompt.contains("said 202"),
        "{prompt}"
    );
}
