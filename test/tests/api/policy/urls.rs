//! Host and path of a repository's URL: the policy's are those of the parser, in every form.

use axon_test::control_plane;
use serde_json::{Value, json};

use super::super::manifest::Manifest;
use super::install;
use axon_fixtures::git_urls::{URLS, Url};

/// Asks for each form, where nothing is allowed; `words` says how the refusal names what was read.
async fn compare(parameters: &Value, words: impl Fn(&str, &str) -> String) {
    let namespace = control_plane::namespace().await.unwrap();
    install(&namespace, parameters).await;
    let taken = URLS.iter().filter_map(|(form, outcome)| match outcome {
        Url::Taken(host, path) => Some((*form, words(host, path))),
        _ => None,
    });
    let mut wrong = Vec::new();
    for (form, words) in taken {
        let message = Manifest::workspace(form).refusal(&namespace).await;
        if !message.contains(&words) {
            wrong.push(format!("{form}: {words:?} is not in {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_policy_reads_the_host_that_the_parser_reads() {
    let hosts = json!({"repositoryHosts": "none.example"});
    compare(&hosts, |host, _| {
        format!("repo is on host {host}, which is not allowed here")
    })
    .await;
}

#[tokio::test]
async fn the_policy_reads_the_path_that_the_parser_reads() {
    let repositories = json!({"repositories": "none/none"});
    compare(&repositories, |_, path| {
        format!(
            "not allowed here: {} (key repositories",
            path.to_ascii_lowercase()
        )
    })
    .await;
}

/// A host in any form that is taken can be allowed, too.
#[tokio::test]
async fn the_policy_allows_a_listed_host_in_every_form() {
    let namespace = control_plane::namespace().await.unwrap();
    let hosts: Vec<&str> = URLS
        .iter()
        .filter_map(|(_, outcome)| match outcome {
            Url::Taken(host, _) => Some(*host),
            _ => None,
        })
        .collect();
    install(&namespace, &json!({"repositoryHosts": hosts.join(" ")})).await;
    for (form, outcome) in URLS {
        if let Url::Taken(..) = outcome {
            let created = Manifest::workspace(form).create(&namespace).await;
            assert!(created.is_ok(), "{form}: {created:?}");
        }
    }
}
