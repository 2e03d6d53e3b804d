//! Hosts whose certificate a company's own CA vouches for.

use axon_api::TaskReason;
use axon_fixtures::tls::CA;
use serde_json::json;

use crate::bench::{Bench, bench};

const HOST: &str = "git.axon-fixtures.svc";

impl Bench {
    /// Makes a repository on the HTTPS host, with GitHub's API, and returns its path.
    async fn enterprise_repository(&self) -> String {
        let repository = format!("acme/{}", self.repository);
        self.fixtures
            .put_repository(&repository, "private=1")
            .await
            .unwrap();
        self.fixtures
            .put_github_repository(&repository, &json!({"private": true}), &self.token)
            .await
            .unwrap();
        repository
    }
}

#[tokio::test]
async fn git_and_gh_reach_a_host_by_the_ca_of_the_workspaces_secret() {
    let b = bench().await;
    let repository = b.enterprise_repository().await;
    b.secret_of("ghe", [("GITHUB_TOKEN", b.token.as_str()), ("ca.crt", CA)])
        .await;
    let url = format!("https://{HOST}/{repository}.git");
    b.workspace("ghe", &url, "ref: main\n  secretRef: {name: ghe}")
        .await;
    let prompt = format!(
        "@bash echo gh-says-$(gh api repos/{repository} --jq .full_name | tr a-z A-Z)\n\
         @bash printf x > f.txt && git add f.txt && git commit -q -m f && git push -q origin HEAD && echo pushed-by-https\n\
         @bash curl -s -o /dev/null -w curl-%{{http_code}} https://{HOST}/healthz\n@say done"
    );
    let spec = json!({"workspaceRef": {"name": "ghe"}, "branch": "by-https"});
    b.task("t", &prompt, spec).await;
    let status = b.until_succeeded("t").await;
    let seen = b.fixtures.bodies(&b.run_id("t")).await.unwrap().to_string();
    for words in ["gh-says-ACME/", "pushed-by-https", "curl-200"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert!(!seen.contains("x509"), "{seen}");
    let refs = b.fixtures.refs(&repository).await.unwrap();
    assert_eq!(status.results["commit"], refs["refs/heads/by-https"]);
    let record = b.fixtures.github_record().await.unwrap().to_string();
    let asked = format!("GET /repos/{repository} 200");
    assert!(record.contains(&asked), "{asked}: {record}");
}

#[tokio::test]
async fn a_host_whose_ca_nobody_knows_is_told_with_advice() {
    let b = bench().await;
    let repository = b.enterprise_repository().await;
    b.workspace(
        "ghe",
        &format!("https://{HOST}/{repository}.git"),
        "ref: main\n  secretRef: {name: git}",
    )
    .await;
    b.task("t", "@say x", json!({"workspaceRef": {"name": "ghe"}}))
        .await;
    let status = b.until_failed("t", TaskReason::CloneFailed).await;
    let message = status.message.unwrap();
    assert!(
        message.contains("certificate") && message.contains("ca.crt"),
        "{message}"
    );
}
