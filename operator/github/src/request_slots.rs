//! Who may send a request now. Places are few, for each host and for all of them; namespaces that wait get them in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Requests under way at the same time to one API; GitHub's secondary limits begin at a hundred.
pub(super) const PER_HOST: usize = 16;
/// Requests under way at the same time to all APIs. Namespace users choose the hosts of a wildcard.
pub(super) const ALL: usize = 64;

/// Requests that wait. `W` is what is told that it may begin; its host and its namespace are texts.
#[derive(Debug)]
struct Queue<W> {
    /// Requests under way, by host.
    used: HashMap<String, usize>,
    /// Namespaces that wait, the next one first, each with its requests in the order in which they came.
    waiting: VecDeque<(String, VecDeque<(String, W)>)>,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self {
            used: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }
}

impl<W> Queue<W> {
    fn wait(&mut self, host: &str, namespace: &str, who: W) {
        let entry = (host.to_owned(), who);
        match self.waiting.iter_mut().find(|(name, _)| name == namespace) {
            Some((_, requests)) => requests.push_back(entry),
            None => self
                .waiting
                .push_back((namespace.to_owned(), VecDeque::from([entry]))),
        }
    }

    /// Gives a free place to the namespace that has waited for its turn longest, among those that wait for a host with
    /// one. A namespace that was given one comes behind all others.
    fn next(&mut self) -> Option<(String, W)> {
        if self.used.values().sum::<usize>() >= ALL {
            return None;
        }
        let is_free = |host: &str| self.used.get(host).copied().unwrap_or_default() < PER_HOST;
        let (turn, at) = self
            .waiting
            .iter()
            .enumerate()
            .find_map(|(turn, (_, requests))| {
                let at = requests.iter().position(|(host, _)| is_free(host))?;
                Some((turn, at))
            })?;
        let (namespace, mut requests) = self.waiting.remove(turn)?;
        let (host, who) = requests.remove(at)?;
        if !requests.is_empty() {
            self.waiting.push_back((namespace, requests));
        }
        *self.used.entry(host.clone()).or_default() += 1;
        Some((host, who))
    }

    fn leave(&mut self, host: &str) {
        if let Some(used) = self.used.get_mut(host) {
            *used = used.saturating_sub(1);
            if *used == 0 {
                self.used.remove(host);
            }
        }
    }
}

/// The places of a replica; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestSlots(Arc<Mutex<Queue<oneshot::Sender<Place>>>>);

/// The right to send a request. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    slots: RequestSlots,
    host: String,
}

impl RequestSlots {
    /// Waits for a place at `host` on behalf of `namespace`.
    pub(super) async fn take(&self, host: &str, namespace: &str) -> Option<Place> {
        let (give, given) = oneshot::channel();
        self.with(|queue| queue.wait(host, namespace, give));
        self.fill();
        // The sender is dropped only with the queue itself.
        given.await.ok()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Queue<oneshot::Sender<Place>>) -> T) -> T {
        change(&mut self.0.lock())
    }

    fn fill(&self) {
        while let Some((host, give)) = self.with(Queue::next) {
            let place = Place {
                slots: self.clone(),
                host,
            };
            // Whoever no longer waits gives it back, which fills it again: not here, where that would recurse.
            if let Err(mut place) = give.send(place) {
                let host = std::mem::take(&mut place.host);
                self.with(|queue| queue.leave(&host));
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.host.is_empty() {
            self.slots.with(|queue| queue.leave(&self.host));
            self.slots.fill();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u8, u8),
        Leave(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0u8..8, 0u8..5).prop_map(|(host, namespace)| Step::Wait(host, namespace)),
            2 => any::<u8>().prop_map(Step::Leave),
        ];
        proptest::collection::vec(step, 1..600)
    }

    proptest! {
        #[test]
        fn places_are_bounded_and_nobody_is_lost_or_waits_for_a_free_one(steps in steps()) {
            let mut queue = Queue::<usize>::default();
            let mut under_way: Vec<(String, usize)> = Vec::new();
            let (mut asked, mut begun) = (Vec::new(), 0usize);
            for step in steps {
                match step {
                    Step::Wait(host, namespace) => {
                        let who = asked.len();
                        asked.push((host.to_string(), namespace.to_string()));
                        queue.wait(&host.to_string(), &namespace.to_string(), who);
                    }
                    Step::Leave(n) if !under_way.is_empty() => {
                        let (host, _) = under_way.swap_remove(usize::from(n) % under_way.len());
                        queue.leave(&host);
                    }
                    Step::Leave(_) => {}
                }
                while let Some((host, who)) = queue.next() {
                    prop_assert_eq!(&asked[who].0, &host);
                    begun += 1;
                    under_way.push((host, who));
                }
                prop_assert!(under_way.len() <= ALL);
                for host in 0u8..8 {
                    let used = under_way.iter().filter(|(name, _)| *name == host.to_string()).count();
                    prop_assert!(used <= PER_HOST);
                    // Nobody waits for a place that is free.
                    let waits = queue.waiting.iter().flat_map(|(_, all)| all).any(|(name, _)| *name == host.to_string());
                    prop_assert!(!waits || used == PER_HOST || under_way.len() == ALL);
                }
                let waiting: usize = queue.waiting.iter().map(|(_, all)| all.len()).sum();
                prop_assert_eq!(begun + waiting, asked.len());
            }
        }

        #[test]
        fn namespaces_get_the_same_number_of_places_however_many_requests_they_have(
            greedy in 50usize..400, modest in 1usize..40
        ) {
            let mut queue = Queue::<&str>::default();
            for _ in 0..greedy {
                queue.wait("h", "greedy", "greedy");
            }
            let first = std::iter::from_fn(|| queue.next()).count();
            prop_assert_eq!(first, PER_HOST);
            for _ in 0..modest {
                queue.wait("h", "modest", "modest");
            }
            let mut served = Vec::new();
            for _ in 0..2 * modest {
                queue.leave("h");
                served.extend(queue.next().map(|(_, who)| who));
            }
            let got = served.iter().filter(|who| **who == "modest").count();
            prop_assert!(got + 1 >= modest.min(served.len().div_ceil(2)), "{got} of {modest} in {}", served.len());
        }
    }

    #[tokio::test]
    async fn a_place_comes_back_from_who_has_it_and_from_who_gave_up_waiting() {
        let places = RequestSlots::default();
        let mut held = Vec::new();
        for _ in 0..PER_HOST {
            held.push(places.take("h", "a").await.unwrap());
        }
        let mut gone = Box::pin(places.take("h", "a"));
        assert!(futures::poll!(&mut gone).is_pending());
        let mut waits = Box::pin(places.take("h", "b"));
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(
            places.take("other", "a").await.is_some(),
            "another host has places of its own"
        );
        drop(gone);
        drop(held.pop());
        assert!(waits.await.is_some());
        drop(held);
        assert!(places.with(|queue| queue.used.is_empty() && queue.waiting.is_empty()));
    }
}
