//! Replicas that are killed and stopped, an API server that fails every fifth call and cuts watches, clocks that are
//! minutes apart: every issue and every run of a schedule becomes a Task exactly once, and no limit is exceeded.
//!
//! `AXON_CHAOS_SECONDS` says for how long, five minutes if it does not; `make chaos` takes an hour.

#![cfg(test)]

mod clocks;
mod recorder;
mod replica;
mod world;

use std::time::Duration;

use axon_fixtures::fault_proxy::{Call, Fault, FaultProxy};
use axon_test::control_plane::ControlPlane;
use axon_test::operator_process;
use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use tokio::time::{Instant, sleep};

use clocks::Clocks;
use recorder::Recorder;
use replica::Replica;
use world::World;

/// By how much the replicas' clocks are wrong, in seconds.
const SKEWS: [i64; 3] = [0, 300, -300];
/// Time between two kills.
const KILL_PERIOD: Duration = Duration::from_secs(20);
/// How long it may take, when the chaos is over, until the next of what is outstanding is done. A limit on how many run
/// at once may have let a queue grow, which takes its time but may not stand still.
const CALM: Duration = Duration::from_secs(150);
/// Of a hundred calls at least so many have to fail for this to be a test. Fourteen are meant to be refused, beside those
/// that are done and not answered.
const FAILING: usize = 10;

fn length() -> Duration {
    let seconds = std::env::var("AXON_CHAOS_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(300))
}

fn fault(call: &Call) -> Fault {
    let mut random = rand::rng();
    if call.is_watch() {
        return Fault::Cut(Duration::from_millis(random.random_range(3_000..20_000)));
    }
    match random.random_range(0..100) {
        0..8 => Fault::Refuse(429),
        8..14 => Fault::Refuse(500),
        // Done, but the caller is told that it was not.
        14..20 => Fault::Hide(500),
        20..25 => Fault::Delay(Duration::from_millis(random.random_range(50..1500))),
        _ => Fault::None,
    }
}

#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    leaders_killed: u32,
    stops: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_made_twice_or_beyond_a_limit_whatever_dies() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let config = replica::admin_config(control_plane).await;
    let proxy = FaultProxy::start(config).await.unwrap();
    let client = control_plane.client().await.unwrap();
    operator_process::install_rights(&client).await.unwrap();
    let token = operator_process::token(&client).await.unwrap();
    let world = World::build(control_plane).await;
    let recorder = Recorder::start(world.namespace.client().clone(), world.namespace.name()).await;
    let mut replicas: Vec<Replica> = SKEWS
        .iter()
        .enumerate()
        .map(|(i, skew)| Replica::start(i, proxy.url(), &token, *skew))
        .collect();
    let logs = |replicas: &[Replica]| replicas.iter().map(Replica::end_of_log).collect::<String>();
    if let Err(error) = world.until_all_run().await {
        panic!("{error:#}\n{}", logs(&replicas));
    }
    let begin = world.now().await;
    let before = proxy.calls().len();
    proxy.set_rule(fault);
    let mut clocks = Clocks::new(client);

    let (end, mut tally) = (Instant::now() + length(), Tally::default());
    let mut next_kill = Instant::now() + KILL_PERIOD;
    // One long stop in the middle, and one per five minutes beyond that.
    let stop_length = Duration::from_secs(60).min(length() / 4);
    let mut next_stop = Instant::now() + (length() / 3).min(Duration::from_secs(100));
    let mut stopped: Option<(usize, Instant)> = None;
    while Instant::now() < end {
        sleep(Duration::from_secs(1)).await;
        world.step(&recorder).await;
        clocks.look().await;
        let now = Instant::now();
        if let Some((index, until)) = stopped
            && now >= until
        {
            replicas[index].go_on();
            stopped = None;
        }
        if stopped.is_none() && now >= next_stop && now + stop_length < end {
            let index = rand::rng().random_range(0..replicas.len());
            replicas[index].halt();
            (stopped, next_stop) = (Some((index, now + stop_length)), now + Duration::from_secs(300));
            tally.stops += 1;
        }
        if now >= next_kill {
            next_kill = now + KILL_PERIOD;
            let leader = world.leader().await;
            let awake: Vec<usize> = (0..replicas.len())
                .filter(|i| stopped.is_none_or(|(s, _)| s != *i))
                .collect();
            let by_chance = awake.choose(&mut rand::rng()).copied();
            let leading = awake
                .iter()
                .copied()
                .find(|i| leader.as_deref() == Some(&replicas[*i].name));
            let index = if rand::rng().random_bool(0.5) {
                leading.or(by_chance)
            } else {
                by_chance
            };
            if let Some(index) = index {
                tally.kills += 1;
                tally.leaders_killed += u32::from(leading == Some(index));
                replicas[index].kill().await;
                sleep(Duration::from_millis(500)).await;
                replicas[index].restart();
            }
        }
    }
    if let Some((index, _)) = stopped {
        replicas[index].go_on();
    }
    let calls: Vec<Call> = proxy.calls().split_off(before);
    // Watches are cut, not refused.
    let exposed = calls.iter().filter(|call| !call.is_watch()).count();
    let failing = |call: &&Call| !call.is_watch() && call.answer.is_none();
    let failed = calls.iter().filter(failing).count();
    proxy.set_rule(|_| Fault::None);
    world.stop_adding();

    let over = Instant::now();
    let (mut least, mut calm) = (usize::MAX, over + CALM);
    let verdict = loop {
        world.finish_tasks(&recorder).await;
        let verdict = world.verdict(&recorder, begin).await;
        if verdict.outstanding() < least {
            (least, calm) = (verdict.outstanding(), Instant::now() + CALM);
        }
        if verdict.is_perfect() || verdict.is_hopeless() || Instant::now() > calm {
            break verdict;
        }
        sleep(Duration::from_secs(2)).await;
    };
    println!(
        "\nchaos for {} s, 3 replicas, clocks {SKEWS:?} s apart",
        length().as_secs()
    );
    println!(
        "  replicas killed      {} ({} of them leading)",
        tally.kills, tally.leaders_killed
    );
    println!(
        "  replicas stopped     {} for {} s",
        tally.stops,
        stop_length.as_secs()
    );
    println!(
        "  calls                {} and {} watches ({failed} refused or unanswered)",
        exposed,
        calls.len() - exposed
    );
    let clocks_seen = replicas.iter().filter_map(|r| clocks.nearest(&r.name, r.skew));
    println!(
        "  clocks seen          {:?} s off",
        clocks_seen.collect::<Vec<_>>()
    );
    println!("{verdict}");
    println!(
        "  all done             {} s after the end",
        over.elapsed().as_secs()
    );
    assert!(
        verdict.is_perfect(),
        "{verdict}\n{}",
        replicas.iter().map(Replica::end_of_log).collect::<String>()
    );
    assert!(
        failed * 100 > exposed * FAILING,
        "{failed} of {exposed} calls failed"
    );
    for replica in &replicas {
        let is_wrong = clocks.was_off(&replica.name, replica.skew);
        assert!(
            is_wrong,
            "the clock of {} is not {:+} s",
            replica.name, replica.skew
        );
    }
}
