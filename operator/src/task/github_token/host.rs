//! Whether a Workspace's Secret is for the Workspace's host. Pure.
//!
//! The agent's git gives the token to the Workspace's scheme and host alone, and `gh` to the same host. Those who write
//! Workspaces choose that host, and need not be those who made the Secret.

use axon_api::Workspace;
use axon_api::git::Repository;
use k8s_openapi::api::core::v1::Secret;

use axon_github::{self as github, GithubError, TOKEN_KEY};

/// Returns why the credential of a Secret must not reach the pod of a Workspace, if it must not. A key for SSH is bound to
/// its hosts by `known_hosts` beside it.
#[must_use]
pub fn fault(workspace: &Workspace, namespace: &str, secret: &Secret) -> Option<String> {
    let data = secret.data.as_ref()?;
    let repository = Repository::parse(&workspace.spec.repo).ok()?;
    // Over SSH no token is made for an App.
    let is_app = github::is_app(data) && !repository.is_ssh;
    if !data.contains_key(TOKEN_KEY) && !is_app {
        return None;
    }
    let (plain, host) = (repository.is_plain_http, repository.site());
    let hosts = match github::hosts_of(secret) {
        Ok(hosts) => hosts,
        Err(error) => return Some(error.to_string()),
    };
    if hosts.name(plain, host) {
        return None;
    }
    let entry = github::entry(plain, host);
    let error = GithubError::SecretNotForHost {
        secret: secret.metadata.name.clone().unwrap_or_default(),
        namespace: namespace.to_owned(),
        value: hosts.with(&entry),
        host: entry,
    };
    Some(error.to_string())
}

/// Returns why a Secret that can't be read does not reach the pod of a Workspace, if it does not.
#[must_use]
pub fn fault_unseen(workspace: &Workspace) -> Option<String> {
    let repository = Repository::parse(&workspace.spec.repo).ok()?;
    let secret = workspace.spec.secret_ref.as_ref()?;
    repository.is_plain_http.then(|| {
        format!(
            "the operator may not read Secret {}, so that it can't see whether that is meant for http:// and {}: use \
             https:// in Workspace.spec.repo",
            secret.name,
            repository.site()
        )
    })
}

#[cfg(test)]
mod tests {
    use axon_api::labels::HOSTS;
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn workspace(repo: &str) -> Workspace {
        serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "w"},
            "spec": {"repo": repo, "secretRef": {"name": "gh"}},
        }))
        .unwrap()
    }

    fn secret(keys: &[&str], hosts: Option<&str>) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some("gh".into());
        secret.metadata.annotations = hosts.map(|list| [(HOSTS.to_owned(), list.to_owned())].into());
        let data = keys
            .iter()
            .map(|key| ((*key).to_owned(), ByteString(b"x".to_vec())));
        secret.data = Some(data.collect());
        secret
    }

    #[test]
    fn a_token_is_for_github_com_and_for_hosts_that_its_secret_names() {
        let token = |hosts| secret(&["GITHUB_TOKEN"], hosts);
        for (repo, hosts, is_good) in [
            ("https://github.com/o/r", None, true),
            ("https://www.github.com/o/r.git", None, true),
            ("git@github.com:o/r", None, true),
            ("ssh://git@ssh.github.com:443/o/r", None, true),
            ("https://ghe.example/o/r", None, false),
            ("https://octo.ghe.com/o/r", None, false),
            ("http://github.com/o/r", None, false),
            ("https://ghe.example/o/r", Some("ghe.example"), true),
            ("https://ghe.example:8443/o/r", Some("ghe.example"), false),
            ("https://ghe.example:8443/o/r", Some("ghe.example:8443"), true),
            ("git@ghe.example:o/r", Some("ghe.example"), true),
            ("http://ghe.example/o/r", Some("ghe.example"), false),
            ("http://ghe.example/o/r", Some("http://ghe.example"), true),
            ("https://github.com/o/r", Some("ghe.example"), false),
            ("https://octo.ghe.com/o/r", Some("github.com,*.ghe.com"), true),
            ("https://github.com/o/r", Some("a/b"), false),
        ] {
            let fault = fault(&workspace(repo), "team", &token(hosts));
            assert_eq!(fault.is_none(), is_good, "{repo} {hosts:?}: {fault:?}");
        }
    }

    #[test]
    fn the_message_has_the_command_that_names_the_host() {
        let said =
            |repo: &str, hosts| fault(&workspace(repo), "team", &secret(&["GITHUB_TOKEN"], hosts)).unwrap();
        let command = "kubectl -n team annotate --overwrite secret gh axon.io/hosts=";
        let one = said("https://ghe.example:8443/o/r", None);
        assert!(one.ends_with(&format!("{command}ghe.example:8443")), "{one}");
        let more = said("http://lab/o/r", Some("ghe.example"));
        assert!(
            more.ends_with(&format!("{command}ghe.example,http://lab")),
            "{more}"
        );
        assert!(more.contains("without encryption"), "{more}");
    }

    #[test]
    fn apps_are_bound_and_keys_for_ssh_alone_are_not() {
        let enterprise = workspace("git@ghe.example:o/r");
        assert!(
            fault(
                &enterprise,
                "n",
                &secret(&["ssh-privatekey", "known_hosts"], None)
            )
            .is_none()
        );
        assert!(
            fault(
                &enterprise,
                "n",
                &secret(&["ssh-privatekey", "GITHUB_TOKEN"], None)
            )
            .is_some()
        );
        let app = secret(&["appID", "installationID", "privateKey"], None);
        assert!(fault(&workspace("https://ghe.example/o/r"), "n", &app).is_some());
        assert!(fault(&workspace("https://github.com/o/r"), "n", &app).is_none());
        assert!(fault(&enterprise, "n", &app).is_none(), "its key is not used");
    }

    #[test]
    fn a_secret_that_is_not_seen_goes_nowhere_without_tls() {
        assert!(fault_unseen(&workspace("http://lab/o/r")).is_some());
        assert!(fault_unseen(&workspace("https://lab/o/r")).is_none());
    }
}
