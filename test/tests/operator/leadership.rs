//! Leader election against the real Lease API.

use std::time::Duration;

use axon_operator::ha::leadership;
use axon_operator::ha::leadership::Timing;
use axon_test::control_plane::ControlPlane;
use axon_test::wait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::harness::{PATIENCE, config};

const FAST: Timing = Timing {
    ttl: Duration::from_secs(3),
    period: Duration::from_millis(300),
    call_limit: Duration::from_millis(500),
    margin: Duration::from_millis(600),
};

struct Candidate {
    leading: watch::Receiver<Option<Instant>>,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Candidate {
    async fn start(control_plane: &ControlPlane, namespace: &str, name: &str) -> Self {
        let client = leadership::client(config(control_plane).await, &FAST).unwrap();
        let (sender, leading) = watch::channel(None);
        let (heartbeat, _) = watch::channel(Instant::now());
        let stop = CancellationToken::new();
        let run = leadership::run(
            client,
            namespace.into(),
            name.into(),
            FAST,
            sender,
            heartbeat,
            stop.clone(),
        );
        Self {
            leading,
            stop,
            handle: tokio::spawn(run),
        }
    }

    fn leads(&self) -> bool {
        self.leading.borrow().is_some_and(|until| until > Instant::now())
    }
}

async fn leader(candidates: &[Candidate]) -> usize {
    wait::until("a leader", PATIENCE, async || {
        let leaders: Vec<usize> = (0..candidates.len()).filter(|i| candidates[*i].leads()).collect();
        assert!(leaders.len() <= 1, "two leaders: {leaders:?}");
        Ok(leaders.first().copied())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn one_leads_and_another_takes_over_after_a_crash_and_after_a_farewell() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = control_plane.namespace().await.unwrap();
    let mut candidates = Vec::new();
    for name in ["a", "b", "c"] {
        candidates.push(Candidate::start(control_plane, namespace.name(), name).await);
    }
    let first = leader(&candidates).await;

    // A crash: no farewell. The lease has to run out.
    let crashed = candidates.remove(first);
    crashed.handle.abort();
    let _ = crashed.handle.await;
    let start = Instant::now();
    let second = leader(&candidates).await;
    let bound = FAST.ttl + FAST.period * 3 + FAST.call_limit * 4;
    assert!(start.elapsed() <= bound, "take-over took {:?}", start.elapsed());

    // A farewell: the lease is given up.
    let leaving = candidates.remove(second);
    leaving.stop.cancel();
    leaving.handle.await.unwrap();
    let start = Instant::now();
    leader(&candidates).await;
    assert!(
        start.elapsed() <= FAST.ttl,
        "hand-over took {:?}, as long as a crash",
        start.elapsed()
    );
    candidates[0].stop.cancel();
}

#[tokio::test]
async fn candidates_that_meet_an_expired_lease_do_not_both_lead() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let namespace = control_plane.namespace().await.unwrap();
    let mut candidates = Vec::new();
    for i in 0..6 {
        candidates.push(Candidate::start(control_plane, namespace.name(), &format!("c{i}")).await);
    }
    for _ in 0..2 {
        let crashed = candidates.remove(leader(&candidates).await);
        crashed.handle.abort();
        let _ = crashed.handle.await;
    }
    // `leader` looks at all of them all the time and fails on two.
    leader(&candidates).await;
    for candidate in &candidates {
        candidate.stop.cancel();
    }
}
