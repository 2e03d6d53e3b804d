//! GitHub Apps: a run that outlives its token, with a real kubelet between the operator and the agent.

use axon_api::TaskStatus;
use axon_fixtures::github::APP_KEY_PKCS8;
use axon_test::fixtures_client::repository_url;
use serde_json::json;

use crate::bench::bench;

/// Seconds for which a token is good. The operator renews it after half of that, and the kubelet takes up to a minute to
/// bring a renewed one into the pod, so that each is good for at least as long as half of this when it comes.
const TOKEN_SECONDS: u64 = 60;

#[tokio::test]
async fn a_run_that_outlives_its_token_pushes_with_a_renewed_one() {
    let b = bench().await;
    let app = json!({"installation": 88, "token_seconds": TOKEN_SECONDS});
    b.fixtures.put_app("77", &app).await.unwrap();
    let repository = format!("acme/{}", b.repository);
    b.fixtures.put_repository(&repository, "private=1").await.unwrap();
    b.secret_of(
        "app",
        [
            ("appID", "77"),
            ("installationID", "88"),
            ("privateKey", APP_KEY_PKCS8),
        ],
    )
    .await;
    let url = repository_url(&repository);
    let other = format!("{repository}-other");
    b.fixtures.put_repository(&other, "private=1").await.unwrap();
    let other = repository_url(&other);
    b.workspace("app", &url, "ref: main\n  secretRef: {name: app}")
        .await;
    let file = "/axon/github/GITHUB_TOKEN";
    let ask = |url: &str| {
        format!("curl -s -o /dev/null -w %{{http_code}} '{url}/info/refs?service=git-upload-pack' -u")
    };
    let (ask, ask_elsewhere) = (ask(&url), ask(&other));
    // Until the first token has ended and another one is there.
    let wait = format!(
        "first=$(cat {file}); for i in $(seq 110); do sleep 1; \
         test $i -ge {TOKEN_SECONDS} && test \"$(cat {file})\" != \"$first\" && break; done; \
         echo first-$({ask} x:$first) now-$({ask} x:$(cat {file})) elsewhere-$({ask_elsewhere} x:$(cat {file}))"
    );
    let prompt = format!(
        "Take your time.\n@bash {wait}\n@bash printf x > late.txt && git add late.txt && git commit -q -m late && \
         git push -q origin HEAD && echo pushed-late\n@say done"
    );
    let spec = json!({"workspaceRef": {"name": "app"}, "branch": "late"});
    b.task("t", &prompt, spec).await;
    let has_token = |s: &TaskStatus| s.github_token.is_some();
    let first = b.until("t", "has a token", has_token).await.github_token.unwrap();
    let is_renewed = |s: &TaskStatus| {
        let token = s.github_token.as_ref();
        token.is_some_and(|token| token.expiration_time > first.expiration_time)
    };
    b.until("t", "has a renewed token", is_renewed).await;
    let status = b.until_succeeded("t").await;
    let seen = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    assert!(seen.contains("first-401 now-200 elsewhere-401"), "{seen}");
    assert!(seen.contains("pushed-late"), "{seen}");
    let refs = b.fixtures.refs(&repository).await.unwrap();
    assert_eq!(status.results["commit"], refs["refs/heads/late"]);
    assert_ne!(status.results["commit"], refs["refs/heads/main"]);
    b.until("t", "has no token any more", |s| s.github_token.is_none())
        .await;
}
