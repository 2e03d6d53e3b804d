//! The two faults of kube-leader-election that the fence is there for, brought about on purpose: an API server of one
//! Lease holds requests back until the worst moment.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kube::client::Body;
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

/// What every client of the server shares.
struct Server {
    /// Null if there is none.
    lease: Mutex<Value>,
    /// All who write at first wait here for each other.
    gate: Barrier,
    /// Writes that still go through the gate.
    gated: AtomicUsize,
    writes: Mutex<Vec<String>>,
}

impl Server {
    fn with_gate_for(writers: usize) -> Arc<Self> {
        Arc::new(Self {
            lease: Mutex::new(expired()),
            gate: Barrier::new(writers),
            gated: AtomicUsize::new(writers),
            writes: Mutex::default(),
        })
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, "ns")
    }

    /// A server with a Lease that nobody writes.
    fn with_lease(lease: Value) -> Arc<Self> {
        let server = Self::with_gate_for(1);
        server.gated.store(0, Ordering::SeqCst);
        *server.lease.lock().unwrap() = lease;
        server
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<axum::body::Bytes>> {
        let method = request.method().clone();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if method == Method::DELETE {
            let asked: Value = serde_json::from_slice(&body).unwrap();
            let mut lease = self.lease.lock().unwrap();
            assert_eq!(
                asked["preconditions"]["resourceVersion"], lease["metadata"]["resourceVersion"],
                "only what was judged is deleted"
            );
            *lease = Value::Null;
        } else if method == Method::POST {
            let mut lease: Value = serde_json::from_slice(&body).unwrap();
            lease["metadata"]["resourceVersion"] = json!("1");
            *self.lease.lock().unwrap() = lease;
        } else if method == Method::PATCH {
            let left = |n: usize| n.checked_sub(1);
            if self
                .gated
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
                .is_ok()
            {
                self.gate.wait().await;
            }
            let patch: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                patch.pointer("/metadata/resourceVersion"),
                None,
                "the library patches without a precondition"
            );
            let mut lease = self.lease.lock().unwrap();
            for (key, value) in patch["spec"].as_object().unwrap() {
                lease["spec"][key] = value.clone();
            }
            let version: u64 = lease["metadata"]["resourceVersion"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            lease["metadata"]["resourceVersion"] = json!((version + 1).to_string());
            let holder = lease["spec"]["holderIdentity"].as_str().unwrap().to_owned();
            self.writes.lock().unwrap().push(holder);
        }
        let lease = self.lease.lock().unwrap().clone();
        let (status, body) = if lease.is_null() {
            let code = if method == Method::GET { 404 } else { 200 };
            let said = json!({"kind": "Status", "apiVersion": "v1", "code": code, "reason": "NotFound",
                "status": if code == 404 { "Failure" } else { "Success" }, "message": "no lease", "metadata": {}});
            (code, said)
        } else {
            (200, lease)
        };
        let mut answer = Response::new(Full::new(axum::body::Bytes::from(body.to_string())));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        answer
    }
}

fn lock(server: &Arc<Server>, name: &str) -> LeaseLock {
    let params = LeaseLockParams {
        holder_id: name.into(),
        lease_name: LEASE.into(),
        lease_ttl: Timing::default().ttl,
    };
    LeaseLock::new(server.client(), "ns", params)
}

fn names(result: Result<LeaseLockResult, kube_leader_election::Error>, name: &str) -> bool {
    matches!(result.unwrap(), LeaseLockResult::Acquired(lease) if holder(&lease) == Some(name))
}

#[tokio::test(start_paused = true)]
async fn the_library_names_two_leaders_when_both_have_read_the_expired_lease() {
    let server = Server::with_gate_for(2);
    let (a, b) = (lock(&server, "a"), lock(&server, "b"));
    let (of_a, of_b) = tokio::join!(a.try_acquire_or_renew(), b.try_acquire_or_renew());
    assert!(
        names(of_a, "a") && names(of_b, "b"),
        "each is told that it leads, by a Lease that names it"
    );
    assert_eq!(server.writes.lock().unwrap().len(), 2);
}

/// Lets a replica take part in the election.
fn candidate(server: &Arc<Server>, name: &str, stop: CancellationToken) -> watch::Receiver<Option<Instant>> {
    let (sender, receiver) = watch::channel(None);
    let (heartbeat, _) = watch::channel(Instant::now());
    let run = run(
        server.client(),
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

#[tokio::test(start_paused = true)]
async fn the_fence_lets_one_of_them_lead() {
    let server = Server::with_gate_for(2);
    let stop = CancellationToken::new();
    let mut leading = Vec::new();
    for name in ["a", "b"] {
        leading.push(candidate(&server, name, stop.clone()));
    }
    let lead = |leading: &[watch::Receiver<Option<Instant>>]| -> Vec<usize> {
        let now = Instant::now();
        (0..leading.len())
            .filter(|i| leading[*i].borrow().is_some_and(|until| until > now))
            .collect()
    };
    let mut seen = std::collections::BTreeSet::new();
    // Every millisecond of half a minute: time stands still in between.
    for _ in 0..30_000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let leaders = lead(&leading);
        assert!(leaders.len() <= 1, "two leaders: {leaders:?}");
        seen.extend(leaders);
    }
    stop.cancel();
    let writes = server.writes.lock().unwrap().clone();
    assert_ne!(writes[0], writes[1], "both have acquired it: {writes:?}");
    let last = usize::from(writes[1] != "a");
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [last],
        "the one whose name stayed in the Lease leads"
    );
}

/// Lets another one take the Lease after `renewal` has read it and before it writes.
async fn robbed<T>(server: &Server, renewal: impl Future<Output = T>) -> T {
    server.lease.lock().unwrap()["spec"]["holderIdentity"] = json!("a");
    server.gated.store(1, Ordering::SeqCst);
    let rob = async {
        // Time moves on only when the renewal waits at the gate.
        sleep(Duration::from_millis(1)).await;
        server.lease.lock().unwrap()["spec"]["holderIdentity"] = json!("b");
        server.gate.wait().await;
    };
    tokio::join!(renewal, rob).0
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_is_robbed_while_it_renews_leads_by_the_librarys_word_and_not_by_the_fences() {
    let server = Server::with_gate_for(2);
    server.gated.store(0, Ordering::SeqCst);
    let (timing, a) = (Timing::default(), lock(&server, "a"));
    assert_eq!(round(&a, "a", &timing).await, Round::Mine);
    let told = robbed(&server, a.try_acquire_or_renew()).await.unwrap();
    let LeaseLockResult::Acquired(lease) = told else {
        panic!("the library has learned to compare the holder");
    };
    assert_eq!(holder(&lease), Some("b"));
    assert_eq!(robbed(&server, round(&a, "a", &timing)).await, Round::Theirs);
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
        assert!(took < Duration::from_secs(15), "{took:?}");
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
        assert!(took < Duration::from_secs(5), "{took:?}");
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
        server.lease.lock().unwrap()["metadata"]["resourceVersion"] = json!((renewal + 10).to_string());
        assert_eq!(*rival.borrow(), None);
    }
    assert_eq!(server.lease.lock().unwrap()["spec"]["holderIdentity"], "a");
    stop.cancel();
}
