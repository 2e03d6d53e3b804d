use super::flags::request_timeout;
use super::*;

const TWO_CONTEXTS: &str = "
apiVersion: v1
kind: Config
current-context: one
contexts:
- name: one
  context: {cluster: first, user: alice, namespace: team-a}
- name: two
  context: {cluster: second, user: bob}
clusters:
- name: first
  cluster: {server: 'https://first.example:6443', certificate-authority-data: aGVsbG8=}
- name: second
  cluster: {server: 'https://second.example'}
users:
- name: alice
  user: {token: secret-a}
- name: bob
  user: {client-certificate: /c, client-key: /k}
";

fn files() -> Kubeconfig {
    Kubeconfig::from_yaml(TWO_CONTEXTS).unwrap()
}

fn parts(args: &ConnectionArgs) -> (KubeCluster, AuthInfo, Context) {
    let (_, kubeconfig) = args.selected(&files()).unwrap();
    (
        kubeconfig.clusters[0].cluster.clone().unwrap(),
        kubeconfig.auth_infos[0].auth_info.clone().unwrap(),
        kubeconfig.contexts[0].context.clone().unwrap(),
    )
}

#[test]
fn the_current_context_is_the_default_and_its_namespace_counts() {
    let (cluster, user, context) = parts(&ConnectionArgs::default());
    assert_eq!(cluster.server.as_deref(), Some("https://first.example:6443"));
    assert!(user.token.is_some());
    assert_eq!(context.namespace.as_deref(), Some("team-a"));
}

#[test]
fn flags_choose_and_override() {
    let args = ConnectionArgs {
        context: Some("two".into()),
        cluster: Some("first".into()),
        server: Some("https://other.example".into()),
        certificate_authority: Some("/ca".into()),
        token: Some("t".into()),
        ..ConnectionArgs::default()
    };
    let (cluster, user, _) = parts(&args);
    assert_eq!(cluster.server.as_deref(), Some("https://other.example"));
    assert_eq!(cluster.certificate_authority.as_deref(), Some("/ca"));
    assert_eq!(cluster.certificate_authority_data, None);
    assert_eq!(
        user.client_certificate, None,
        "a token on the command line wins over a certificate"
    );
}

#[test]
fn names_that_do_not_exist_are_errors_that_list_what_does() {
    for (args, word) in [
        (
            ConnectionArgs {
                context: Some("x".into()),
                ..Default::default()
            },
            "context \"x\"",
        ),
        (
            ConnectionArgs {
                cluster: Some("x".into()),
                ..Default::default()
            },
            "cluster \"x\"",
        ),
        (
            ConnectionArgs {
                user: Some("x".into()),
                ..Default::default()
            },
            "user \"x\"",
        ),
    ] {
        let error = args.selected(&files()).unwrap_err();
        assert!(error.message.contains(word), "{error}");
        assert!(error.hints[0].contains("there is"), "{:?}", error.hints);
    }
}

#[test]
fn a_server_is_enough_without_any_kubeconfig() {
    let args = ConnectionArgs {
        server: Some("http://127.0.0.1:1".into()),
        ..ConnectionArgs::default()
    };
    let (name, kubeconfig) = args.selected(&Kubeconfig::default()).unwrap();
    assert_eq!(name, None);
    let cluster = kubeconfig.clusters[0].cluster.clone().unwrap();
    assert_eq!(cluster.server.as_deref(), Some("http://127.0.0.1:1"));
}

/// What the kubelet and the ServiceAccount give a pod.
fn of_a_pod() -> Config {
    let mut config = Config::new("https://10.0.0.1:443".parse().unwrap());
    config.auth_info.token_file = Some("/pods/token".into());
    config.root_cert = Some(vec![vec![1]]);
    config.root_cert_file = Some("/pods/ca.crt".into());
    config
}

#[test]
fn in_a_pod_flags_override_what_the_service_account_has() {
    let mut config = of_a_pod();
    ConnectionArgs::default().override_in_cluster(&mut config);
    assert_eq!(config.auth_info.token_file.as_deref(), Some("/pods/token"));
    assert_eq!(config.root_cert_file, Some("/pods/ca.crt".into()));

    let args = ConnectionArgs {
        token: Some("t".into()),
        certificate_authority: Some("/ca".into()),
        client_certificate: Some("/c".into()),
        client_key: Some("/k".into()),
        insecure_skip_tls_verify: Some(true),
        tls_server_name: Some("name".into()),
        ..ConnectionArgs::default()
    };
    args.override_in_cluster(&mut config);
    assert!(config.auth_info.token.is_some());
    assert_eq!(
        config.auth_info.token_file, None,
        "the ServiceAccount's token would win"
    );
    assert_eq!(config.auth_info.client_certificate.as_deref(), Some("/c"));
    assert_eq!(config.auth_info.client_key.as_deref(), Some("/k"));
    assert_eq!(
        (config.root_cert, config.root_cert_file),
        (None, Some("/ca".into()))
    );
    assert!(config.accept_invalid_certs);
    assert_eq!(config.tls_server_name.as_deref(), Some("name"));
}

#[test]
fn in_a_pod_there_is_no_context_cluster_or_user_to_choose() {
    let named = |what: &str| ConnectionArgs {
        context: (what == "context").then(|| "prod".into()),
        cluster: (what == "cluster").then(|| "prod".into()),
        user: (what == "user").then(|| "prod".into()),
        ..ConnectionArgs::default()
    };
    for what in ["context", "cluster", "user"] {
        let error = named(what).in_cluster().unwrap_err();
        assert_eq!(error.message, format!("{what} \"prod\" is not in the kubeconfig"));
        assert!(error.hints[0].contains("--kubeconfig"), "{:?}", error.hints);
    }
    assert!(named("none of them").refuse_names().is_ok());
}

#[test]
fn without_a_kubeconfig_the_namespace_is_the_pods() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("namespace");
    let none = ConnectionArgs::default();
    assert_eq!(none.own_namespace(None, &file).unwrap(), "default");
    std::fs::write(&file, "team-b\n").unwrap();
    assert_eq!(none.own_namespace(None, &file).unwrap(), "team-b");
    assert_eq!(none.own_namespace(Some(files()), &file).unwrap(), "team-a");
    let server = ConnectionArgs {
        server: Some("http://127.0.0.1:1".into()),
        ..ConnectionArgs::default()
    };
    assert_eq!(
        server.own_namespace(None, &file).unwrap(),
        "default",
        "another server is another cluster"
    );
    let context = ConnectionArgs {
        context: Some("prod".into()),
        ..ConnectionArgs::default()
    };
    assert!(context.own_namespace(None, &file).is_err());
}

#[test]
fn request_timeouts_take_durations_and_seconds() {
    assert_eq!(request_timeout("5"), Ok(Duration::from_secs(5)));
    assert_eq!(request_timeout("1m"), Ok(Duration::from_secs(60)));
    assert!(request_timeout("soon").is_err());
    let none = ConnectionArgs {
        request_timeout: Some(Duration::ZERO),
        ..Default::default()
    };
    assert_eq!(none.limit(), None);
}
