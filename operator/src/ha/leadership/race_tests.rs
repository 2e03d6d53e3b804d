//! Races of several candidates, brought about on purpose: an API server of one Lease holds requests back until the worst
//! moment.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::*;

/// Who held the Lease before; its time is long over.
fn expired() -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": "ns", "resourceVersion": "1"},
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 10, "leaseTransitions": 1,
            "acquireTime": "2020-01-01T00:00:00.000000Z", "renewTime": "2020-01-01T00:00:00.000000Z"},
    })
}

/// An API server of one Lease, which all clients share. It refuses to replace a version that is no longer there.
struct Server {
    /// Null if there is none.
    lease: Mutex<Value>,
    /// The first writers wait here for each other, after they have read the Lease.
    gate: Barrier,
    /// Writes that still go through the gate.
    gated: AtomicUsize,
    /// Answers to writes that still get lost.
    lost: AtomicUsize,
    /// Each write: its holder, and whether it was stored.
    writes: Mutex<Vec<(String, bool)>>,
    version: AtomicUsize,
}

impl Server {
    fn with_gate_for(writers: usize) -> Arc<Self> {
        Arc::new(Self {
            lease: Mutex::new(expired()),
            gate: Barrier::new(writers),
            gated: AtomicUsize::new(writers),
            lost: AtomicUsize::new(0),
            writes: Mutex::default(),
            version: AtomicUsize::new(1),
        })
    }

    /// A server that holds no request back.
    fn with_lease(lease: Value) -> Arc<Self> {
        let server = Self::with_gate_for(1);
        server.gated.store(0, Ordering::SeqCst);
        *server.lease.lock() = lease;
        server
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "ns")
    }

    fn leases(self: &Arc<Self>) -> Api<Lease> {
        Api::namespaced(self.client(), "ns")
    }

    /// Stores a Lease as another client would, and so in a new version.
    fn set(&self, change: impl FnOnce(&mut Value)) {
        let mut lease = self.lease.lock();
        change(&mut lease);
        if !lease.is_null() {
            let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
            lease["metadata"]["resourceVersion"] = json!(version.to_string());
        }
    }

    fn holder(&self) -> String {
        self.lease.lock()["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<axum::body::Bytes>> {
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let (status, said) = if method == Method::GET {
            let lease = self.lease.lock().clone();
            if lease.is_null() {
                refusal(404, "NotFound")
            } else {
                (200, lease)
            }
        } else {
            let left = |n: usize| n.checked_sub(1);
            let is_one_of =
                |n: &AtomicUsize| n.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok();
            if is_one_of(&self.gated) {
                self.gate.wait().await;
            }
            let answer = self.write(&method, serde_json::from_slice(&body).unwrap());
            if is_one_of(&self.lost) {
                std::future::pending::<()>().await;
            }
            answer
        };
        let mut answer = Response::new(Full::new(axum::body::Bytes::from(said.to_string())));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
    }

    fn write(&self, method: &Method, sent: Value) -> (u16, Value) {
        let stored = self.lease.lock().clone();
        let refused = match *method {
            Method::POST if stored.is_null() => None,
            Method::POST => Some(refusal(409, "AlreadyExists")),
            Method::PUT if stored.is_null() => Some(refusal(404, "NotFound")),
            Method::PUT => {
                let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
                assert!(version(&sent).is_string(), "a replace without a precondition");
                (version(&sent) != version(&stored)).then(|| refusal(409, "Conflict"))
            }
            _ => panic!("the election only reads, creates and replaces: {method}"),
        };
        let holder = sent["spec"]["holderIdentity"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.writes.lock().push((holder, refused.is_none()));
        refused.unwrap_or_else(|| {
            self.set(|lease| *lease = sent);
            (200, self.lease.lock().clone())
        })
    }
}

fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let said = json!({"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "status": "Failure",
        "message": "refused", "metadata": {}});
    (code, said)
}

/// Lets a replica take part in the election.
fn candidate(server: &Arc<Server>, name: &str, stop: CancellationToken) -> watch::Receiver<Option<Instant>> {
    candidate_by(server.client(), name, stop)
}

fn candidate_by(client: Client, name: &str, stop: CancellationToken) -> watch::Receiver<Option<Instant>> {
    let (sender, receiver) = watch::channel(None);
    let (heartbeat, _) = watch::channel(Instant::now());
    let run = run(
        client,
        "ns".into(),
        name.into(),
        Timing::default(),
        sender,
        heartbeat,
        stop,
    );
    tokio::spawn(run);
    receiver
}

/// Watches the candidates every millisecond, fails if two lead at once, and returns those that have led.
async fn leaders(leading: &[&watch::Receiver<Option<Instant>>], span: Duration) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    let end = Instant::now() + span;
    while Instant::now() < end {
        sleep(Duration::from_millis(1)).await;
        let now = Instant::now();
        let lead: Vec<usize> = (0..leading.len())
            .filter(|i| leading[*i].borrow().is_some_and(|until| until > now))
            .collect();
        assert!(lead.len() <= 1, "two leaders: {lead:?}");
        seen.extend(lead);
    }
    seen.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn of_two_candidates_at_the_same_moment_one_wins() {
    // Both have read the same version before either writes: of a dead holder, of none, and no Lease at all.
    let mut given_up = expired();
    given_up["spec"]["holderIdentity"] = json!("");
    for lease in [expired(), given_up, Value::Null] {
        let server = Server::with_gate_for(2);
        *server.lease.lock() = lease;
        let stop = CancellationToken::new();
        let (a, b) = (
            candidate(&server, "a", stop.clone()),
            candidate(&server, "b", stop.clone()),
        );
        let led = leaders(&[&a, &b], Duration::from_secs(30)).await;
        let writes = server.writes.lock().clone();
        assert_ne!(writes[0].0, writes[1].0, "both write: {writes:?}");
        assert!(
            writes[0].1 && !writes[1].1,
            "only the first is stored: {writes:?}"
        );
        assert_eq!(led, [usize::from(writes[0].0 != "a")]);
        stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_robbed_while_it_renews_does_not_lead() {
    let server = Server::with_gate_for(2);
    server.set(|lease| lease["spec"]["holderIdentity"] = json!("a"));
    server.gated.store(1, Ordering::SeqCst);
    let (leases, timing, mut seen) = (server.leases(), Timing::default(), Seen::default());
    let rob = async {
        // Time moves on only when the renewal waits at the gate.
        sleep(Duration::from_millis(1)).await;
        server.set(|lease| lease["spec"]["holderIdentity"] = json!("b"));
        server.gate.wait().await;
    };
    let (renewal, ()) = tokio::join!(round(&leases, "a", true, &mut seen, &timing), rob);
    assert_eq!(renewal, Round::Theirs);
    assert_eq!(server.holder(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_write_that_takes_the_lease_costs_one_round() {
    let server = Server::with_lease(Value::Null);
    server.set(|lease| {
        *lease = expired();
        lease["spec"]["holderIdentity"] = json!("");
    });
    server.lost.store(1, Ordering::SeqCst);
    let (start, stop) = (Instant::now(), CancellationToken::new());
    let mut a = candidate(&server, "a", stop.clone());
    let b = candidate(&server, "b", stop.clone());
    wait_to_lead(&mut a).await.unwrap();
    let timing = Timing::default();
    assert!(
        start.elapsed() <= timing.call_limit + timing.period,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(leaders(&[&a, &b], Duration::from_secs(30)).await, [0]);
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_first_write_is_given_up_at_the_end() {
    let server = Server::with_lease(Value::Null);
    server.set(|lease| {
        *lease = expired();
        lease["spec"]["holderIdentity"] = json!("");
    });
    server.lost.store(1, Ordering::SeqCst);
    let stop = CancellationToken::new();
    let a = candidate(&server, "a", stop.clone());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(
        (server.holder().as_str(), *a.borrow()),
        ("a", None),
        "it holds the Lease and does not know"
    );
    stop.cancel();
    sleep(Duration::from_secs(3)).await;
    assert_eq!(server.holder(), "");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_makes_no_second_leader() {
    let server = Server::with_lease(Value::Null);
    server.set(|lease| {
        *lease = expired();
        lease["spec"]["holderIdentity"] = json!("a");
    });
    let stop = CancellationToken::new();
    let mut a = candidate(&server, "a", stop.clone());
    let b = candidate(&server, "b", stop.clone());
    wait_to_lead(&mut a).await.unwrap();
    sleep(Duration::from_millis(700)).await;
    server.set(|lease| *lease = Value::Null);
    // A newcomer has never seen the Lease.
    let c = candidate(&server, "c", stop.clone());
    assert_eq!(leaders(&[&a, &b, &c], Duration::from_secs(30)).await, [0]);
    assert_eq!(server.holder(), "a", "the leader made it again");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_the_api_server_does_not_answer_stops_before_a_deleted_lease_is_taken() {
    let server = Server::with_lease(Value::Null);
    server.set(|lease| {
        *lease = expired();
        lease["spec"]["holderIdentity"] = json!("a");
    });
    let cut = Arc::new(AtomicUsize::new(0));
    let client = cuttable(&server, Arc::clone(&cut));
    let stop = CancellationToken::new();
    let mut a = candidate_by(client, "a", stop.clone());
    wait_to_lead(&mut a).await.unwrap();
    cut.store(1, Ordering::SeqCst);
    server.set(|lease| *lease = Value::Null);
    let b = candidate(&server, "b", stop.clone());
    assert_eq!(leaders(&[&a, &b], Duration::from_secs(30)).await, [0, 1]);
    stop.cancel();
}

/// A client whose requests are never answered while `cut` is not zero.
fn cuttable(server: &Arc<Server>, cut: Arc<AtomicUsize>) -> Client {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (server, cut) = (Arc::clone(&server), Arc::clone(&cut));
        async move {
            if cut.load(Ordering::SeqCst) != 0 {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(server.answer(request).await)
        }
    });
    Client::new(service, "ns")
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_stalls_and_comes_back_follows() {
    let server = Server::with_lease(expired());
    server.set(|lease| lease["spec"]["holderIdentity"] = json!("a"));
    let (cut, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
    let mut a = candidate_by(cuttable(&server, Arc::clone(&cut)), "a", stop.clone());
    let b = candidate(&server, "b", stop.clone());
    wait_to_lead(&mut a).await.unwrap();
    cut.store(1, Ordering::SeqCst);
    assert_eq!(leaders(&[&a, &b], Duration::from_secs(20)).await, [0, 1]);
    cut.store(0, Ordering::SeqCst);
    assert_eq!(leaders(&[&a, &b], Duration::from_secs(20)).await, [1]);
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_write_of_before_the_stall_does_not_depose_the_next_leader() {
    let server = Server::with_gate_for(2);
    server.set(|lease| lease["spec"]["holderIdentity"] = json!("a"));
    server.gated.store(0, Ordering::SeqCst);
    // Read before the stall, sent after it.
    let old = held(
        server.leases().get_opt(LEASE).await.unwrap(),
        "a",
        Timing::default().ttl,
        Timestamp::now(),
    );
    let stop = CancellationToken::new();
    let mut b = candidate(&server, "b", stop.clone());
    wait_to_lead(&mut b).await.unwrap();
    let late = server.leases().replace(LEASE, &PostParams::default(), &old).await;
    assert!(matches!(late, Err(kube::Error::Api(said)) if said.code == 409));
    assert_eq!(leaders(&[&b], Duration::from_secs(10)).await, [0]);
    assert_eq!(server.holder(), "b");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_up_is_taken_within_a_round() {
    let server = Server::with_lease(expired());
    server.set(|lease| lease["spec"]["holderIdentity"] = json!("a"));
    let (leave, stop) = (CancellationToken::new(), CancellationToken::new());
    let mut a = candidate(&server, "a", leave.clone());
    let mut b = candidate(&server, "b", stop.clone());
    wait_to_lead(&mut a).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    leave.cancel();
    wait_to_lead(&mut b).await.unwrap();
    assert!(
        start.elapsed() <= Timing::default().period,
        "{:?}",
        start.elapsed()
    );
    assert_eq!((server.holder().as_str(), *a.borrow()), ("b", None));
    stop.cancel();
}

/// A Lease that was renewed by so many seconds in the future of this machine's clock.
fn ahead(seconds: i64, spec: &Value) -> Value {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let mut lease = expired();
    lease["spec"]["renewTime"] = json!(time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
    for (key, value) in spec.as_object().unwrap() {
        lease["spec"][key] = value.clone();
    }
    lease
}

/// Returns how long a replica takes to lead when nobody else does.
async fn time_to_lead(lease: Value) -> Duration {
    let server = Server::with_lease(lease);
    let (start, stop) = (Instant::now(), CancellationToken::new());
    let mut leading = candidate(&server, "a", stop.clone());
    let lead = timeout(Duration::from_secs(60), wait_to_lead(&mut leading)).await;
    assert_eq!(lead, Ok(Some(())), "nobody leads for a minute");
    stop.cancel();
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_dead_leaders_clock_keeps_nobody_from_leading() {
    for ahead_by in [300, 3600 * 24] {
        let took = time_to_lead(ahead(ahead_by, &json!({}))).await;
        assert!(took < Duration::from_secs(11), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_given_up_by_a_fast_clock_is_free_at_once() {
    for holder in [json!(""), Value::Null] {
        let lease = ahead(
            300,
            &json!({"holderIdentity": holder, "leaseDurationSeconds": 1, "leaseTransitions": null}),
        );
        let took = time_to_lead(lease).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_with_a_slow_clock_is_not_robbed_as_long_as_it_renews() {
    // By the rival's clock each renewal is five minutes old.
    let server = Server::with_lease(ahead(-300, &json!({"holderIdentity": "a"})));
    let stop = CancellationToken::new();
    let rival = candidate(&server, "b", stop.clone());
    for renewal in 0..40u32 {
        sleep(Duration::from_millis(1500)).await;
        server.set(|lease| lease["spec"]["leaseTransitions"] = json!(renewal));
        assert_eq!(*rival.borrow(), None);
    }
    assert_eq!(server.lease.lock()["spec"]["holderIdentity"], "a");
    stop.cancel();
}
