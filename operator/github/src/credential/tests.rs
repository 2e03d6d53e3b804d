use super::*;

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect()
}

#[test]
fn a_token_is_trimmed_and_never_shown() {
    let credential = Credential::from_secret("gh", &data(&[(TOKEN_KEY, "ghp_abc\n")])).unwrap();
    assert_eq!(credential.token().unwrap().expose_secret(), "ghp_abc");
    assert!(!format!("{credential:?}").contains("ghp_abc"));
    assert_ne!(credential.id(), Credential::anonymous().id());
}

#[test]
fn an_app_needs_all_its_keys_and_its_id_depends_on_its_key() {
    let app = |key: &str| {
        Credential::from_secret(
            "gh",
            &data(&[("appID", " 12\n"), ("installationID", "34"), ("privateKey", key)]),
        )
    };
    let one = app("-----BEGIN").unwrap();
    assert_eq!(one.app().unwrap().app_id, "12");
    assert_ne!(one.id(), app("other").unwrap().id());
    assert_eq!(one.id(), one.app().unwrap().credential().id());
    let half = data(&[("appID", "12"), ("privateKey", "x")]);
    assert!(matches!(
        Credential::from_secret("gh", &half),
        Err(CredentialError::Missing { .. })
    ));
}

#[test]
fn what_is_wrong_names_the_secret_and_the_key() {
    for (pairs, words) in [
        (&[(TOKEN_KEY, " ")][..], "Secret gh, key GITHUB_TOKEN"),
        (&[(TOKEN_KEY, "a b")], "key GITHUB_TOKEN"),
        (&[("token", "x")], "Secret gh has neither"),
        (
            &[("appID", "1/../2"), ("installationID", "3"), ("privateKey", "k")],
            "key appID",
        ),
        (
            &[("appID", "1"), ("installationID", ""), ("privateKey", "k")],
            "key installationID",
        ),
    ] {
        let error = Credential::from_secret("gh", &data(pairs))
            .unwrap_err()
            .to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_secret_is_for_github_com_unless_it_says_otherwise() {
    let secret = |annotation: Option<&str>| Secret {
        metadata: kube::core::ObjectMeta {
            name: Some("gh".into()),
            namespace: Some("team".into()),
            annotations: annotation.map(|list| [(HOSTS.to_owned(), list.to_owned())].into()),
            ..kube::core::ObjectMeta::default()
        },
        data: Some(data(&[
            ("appID", "1"),
            ("installationID", "2"),
            ("privateKey", "k"),
        ])),
        ..Secret::default()
    };
    let usual = Credential::of(&secret(None)).unwrap();
    assert!(usual.scope.hosts.name(false, "github.com") && !usual.scope.hosts.name(false, "octo.ghe.com"));
    let own = Credential::of(&secret(Some("ghe.example, http://lab"))).unwrap();
    let app = own.app().unwrap().credential();
    for scope in [&own.scope, &app.scope] {
        assert!(scope.hosts.name(false, "ghe.example") && scope.hosts.name(true, "lab"));
        assert!(!scope.hosts.name(false, "github.com") && scope.namespace == "team");
    }
    assert!(
        !Credential::of(&secret(Some("")))
            .unwrap()
            .scope
            .hosts
            .name(false, "github.com")
    );
    let error = Credential::of(&secret(Some("a/b"))).unwrap_err().to_string();
    assert!(
        error.contains("Secret gh, annotation axon.io/hosts: \"a/b\""),
        "{error}"
    );
}
