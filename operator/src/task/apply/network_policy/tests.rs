use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// An API server with one namespace, which notes what it is asked.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    asked: Vec<String>,
    annotations: Value,
    policy: Option<Value>,
    /// Code and message of what is answered to everything, or to a verb.
    fault: Option<(Option<Method>, u16, &'static str)>,
}

impl Server {
    fn network(&self, is_managed: bool) -> Network {
        let world = Arc::clone(&self.0);
        let service = tower::service_fn(move |request: Request<Body>| {
            let world = Arc::clone(&world);
            async move {
                // So that others come in between.
                tokio::time::sleep(Duration::from_millis(10)).await;
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let (code, answer) = world.lock().answer(&parts.method, parts.uri.path(), &body);
                Ok::<_, tower::BoxError>(
                    Response::builder()
                        .status(code)
                        .body(Body::from(serde_json::to_vec(&answer)?))?,
                )
            }
        });
        let options = Options {
            is_managed,
            allow: Allow::parse("10.1.0.0/16:443").unwrap(),
            name_servers: vec!["10.96.0.10".parse().unwrap()],
        };
        Network::new(Client::new(service, "team"), options)
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.0.lock())
    }

    fn asked(&self) -> Vec<String> {
        self.change(|world| std::mem::take(&mut world.asked))
    }
}

impl World {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let last = path.rsplit('/').next().unwrap_or_default();
        self.asked.push(format!("{method} {last}"));
        let status = |code: u16, message: &str| {
            (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                    "reason": if code == 404 { "NotFound" } else { "" }, "message": message}),
            )
        };
        if let Some((only, code, message)) = &self.fault
            && only.as_ref().is_none_or(|only| only == method)
        {
            return status(*code, message);
        }
        match (method, last) {
            (&Method::GET, "team") => (
                200,
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"name": "team", "annotations": self.annotations}}),
            ),
            (&Method::GET, _) => match &self.policy {
                Some(policy) => (200, policy.clone()),
                None => status(404, "not found"),
            },
            _ => {
                let policy: Value = serde_json::from_slice(body).unwrap();
                self.policy = Some(policy.clone());
                (200, policy)
            }
        }
    }
}

const LOOK: [&str; 3] = ["GET team", "GET axon-agents", "PATCH axon-agents"];

#[tokio::test(start_paused = true)]
async fn a_crowd_of_tasks_costs_the_calls_of_one() {
    let server = Server::default();
    let network = server.network(true);
    let crowd = || futures::future::join_all((0..200).map(|_| network.ensure("team")));
    let count = |all: &[Result<Ready, CallError>], of: &Ready| {
        all.iter().filter(|ready| ready.as_ref().unwrap() == of).count()
    };
    let first = crowd().await;
    assert_eq!(
        (count(&first, &Ready::Yes), count(&first, &Ready::Busy)),
        (1, 199)
    );
    assert_eq!(count(&crowd().await, &Ready::Yes), 200);
    assert_eq!(server.asked(), LOOK);
    tokio::time::advance(GOOD / 2).await;
    network.ensure("team").await.unwrap();
    assert_eq!(server.asked(), [""; 0]);
    // What has drifted is repaired a minute later, and what is as it should be is not written again.
    tokio::time::advance(GOOD).await;
    network.ensure("team").await.unwrap();
    assert_eq!(server.asked(), LOOK[..2]);
    server.change(|world| world.policy.as_mut().unwrap()["spec"]["egress"] = json!([{}]));
    tokio::time::advance(GOOD).await;
    network.ensure("team").await.unwrap();
    assert_eq!(server.asked(), LOOK);
    let written = server.change(|world| world.policy.clone().unwrap());
    assert!(written.to_string().contains("10.1.0.0/16"), "{written}");
    assert_eq!(
        written["spec"]["ingress"],
        json!([]),
        "owned, so that nobody adds to it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_may_be_another_one_by_now_is_looked_at_again() {
    let server = Server::default();
    let network = server.network(true);
    network.ensure("team").await.unwrap();
    server.change(|world| world.policy = None);
    assert_eq!(server.asked(), LOOK);
    network.doubt("elsewhere");
    tokio::time::advance(APART).await;
    network.ensure("team").await.unwrap();
    assert_eq!(server.asked(), [""; 0]);
    for _ in 0..100 {
        network.doubt("team");
        network.ensure("team").await.unwrap();
    }
    assert_eq!(server.asked(), LOOK, "and not once for each Task that goes");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_is_missing_and_heals() {
    let denied = "networkpolicies.networking.k8s.io \"axon-agents\" is forbidden: User \"x\" cannot patch resource \
                  \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"team\"";
    for (only, code, said, words) in [
        (
            None,
            403,
            "namespaces \"team\" is forbidden: User \"x\" cannot get resource \"namespaces\"",
            "config/rbac",
        ),
        (Some(Method::PATCH), 403, denied, "config/rbac"),
        (
            Some(Method::PATCH),
            403,
            "admission webhook \"w\" denied the request: no",
            "the cluster's rules",
        ),
        (
            Some(Method::PATCH),
            422,
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            "denied request: no",
        ),
    ] {
        let server = Server::default();
        server.change(|world| world.fault = Some((only.clone(), code, said)));
        let network = server.network(true);
        for _ in 0..10 {
            let Ready::Refused(why) = network.ensure("team").await.unwrap() else {
                panic!("{said}");
            };
            assert!(why.contains(words) && why.contains(said), "{why}");
        }
        assert!(server.asked().len() <= 3, "asked once");
        server.change(|world| world.fault = None);
        tokio::time::advance(REFUSED).await;
        assert_eq!(network.ensure("team").await.unwrap(), Ready::Yes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_holds_up_nobody_and_lets_nobody_through() {
    let server = Server::default();
    server.change(|world| world.fault = Some((None, 503, "etcd")));
    let network = server.network(true);
    let crowd = futures::future::join_all((0..50).map(|_| network.ensure("team"))).await;
    let failed = crowd.iter().filter(|ready| ready.is_err()).count();
    let busy = crowd.iter().filter(|r| matches!(r, Ok(Ready::Busy))).count();
    assert_eq!((failed, busy, server.asked().len()), (1, 49, 1));
    assert_eq!(network.ensure("team").await.unwrap(), Ready::Later);
    assert_eq!(server.asked(), [""; 0]);
    server.change(|world| world.fault = None);
    tokio::time::advance(FAILED).await;
    assert_eq!(network.ensure("team").await.unwrap(), Ready::Yes);
}

/// A webhook that never answers about one namespace holds one worker, and not one for each of its Tasks.
#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_holds_one_worker() {
    let service = tower::service_fn(|_: Request<Body>| {
        futures::future::pending::<Result<Response<Body>, tower::BoxError>>()
    });
    let options = Server::default().network(true).options.as_ref().clone();
    let network = Network::new(Client::new(service, "team"), options);
    let mut looking = Box::pin(network.ensure("team"));
    assert!(futures::poll!(&mut looking).is_pending());
    let started = Instant::now();
    for _ in 0..32 {
        assert_eq!(network.ensure("team").await.unwrap(), Ready::Busy);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    looking.await.unwrap_err();
    assert_eq!(network.ensure("team").await.unwrap(), Ready::Later);
}

#[tokio::test(start_paused = true)]
async fn administrators_choose() {
    let server = Server::default();
    assert_eq!(server.network(false).ensure("team").await.unwrap(), Ready::Yes);
    assert_eq!(server.asked(), [""; 0], "off needs no rights");
    server.change(|world| world.annotations = json!({labels::NETWORK_POLICY: "off"}));
    assert_eq!(server.network(true).ensure("team").await.unwrap(), Ready::Yes);
    assert_eq!(server.asked(), LOOK[..1]);
    server.change(|world| world.annotations = json!({labels::ALLOW_EGRESS: "0.0.0.0/0"}));
    let Ready::Refused(why) = server.network(true).ensure("team").await.unwrap() else {
        panic!("a bad list opens nothing, and no agent starts");
    };
    assert!(
        why.contains("annotation axon.io/allow-egress of namespace team"),
        "{why}"
    );
    assert_eq!(server.asked(), LOOK[..1]);
    server.change(|world| {
        world.annotations = json!({labels::ALLOW_EGRESS: "192.168.7.0/24:8443"});
        world.policy = Some(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": NAME, "annotations": {labels::MANAGED: "false"}}, "spec": {"podSelector": {}}}));
    });
    assert_eq!(server.network(true).ensure("team").await.unwrap(), Ready::Yes);
    assert_eq!(server.asked(), LOOK[..2], "an administrator's own stays");
    server.change(|world| world.policy = None);
    assert_eq!(server.network(true).ensure("team").await.unwrap(), Ready::Yes);
    let written = server.change(|world| world.policy.clone().unwrap()).to_string();
    for part in ["192.168.7.0/24", "10.1.0.0/16", "10.96.0.10/32"] {
        assert!(written.contains(part), "{part}: {written}");
    }
}

#[test]
fn name_servers_are_those_of_the_operator() {
    let text = "# made by the kubelet\nsearch a.svc b\nnameserver 10.96.0.10\nnameserver\tfd00::a\nnameserver fe80::1%eth0\n\
                nameservers 1.1.1.1\noptions ndots:5\nnameserver\n";
    let expected: Vec<IpAddr> = vec!["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()];
    assert_eq!(name_servers(text), expected);
}
