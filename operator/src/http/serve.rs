//! Serves the HTTP port so that no client can use it up: a connection carries one request within a time limit, one address has
//! few connections at a time, and if there are too many in all, the addresses with the most lose one for each newcomer. The
//! kubelet's probes come from the node's address, so that no number of pods keeps them out.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What clients may use of the port.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time from the connection to the end of the request's headers.
    pub headers: Duration,
    /// Longest time of a connection. Prometheus gives up after 10 s by default.
    pub connection: Duration,
    /// Connections of one address at a time; further ones are closed at once.
    pub of_one_address: usize,
    /// Connections at a time. For a further one, the oldest of an address that has more than the newcomer's is closed.
    pub in_all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(5),
            connection: Duration::from_secs(30),
            of_one_address: 16,
            in_all: 256,
        }
    }
}

/// Pause after the kernel refuses to accept, as it does while the process has too many open files.
const PAUSE: Duration = Duration::from_millis(200);
/// Bytes of a request's head, the smallest that hyper takes.
const HEAD: usize = 8 * 1024;

/// Answers requests without end.
pub async fn serve(listener: TcpListener, routes: Router, limits: Limits) {
    let open = Open::default();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection on the HTTP port");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = open.take(address.ip().to_canonical(), limits) else {
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.headers)
            .max_buf_size(HEAD)
            // Kept-alive connections would be idle places.
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes.clone()));
        tokio::spawn(async move {
            // Clients that are slow or gone are no event.
            tokio::select! {
                _ = timeout(limits.connection, connection) => {}
                () = place.end.cancelled() => {}
            }
            drop(place);
        });
    }
}

/// The open connections.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<Connections>>);

/// Connections by address, the oldest first, each with what ends it.
#[derive(Default)]
struct Connections {
    by_address: HashMap<IpAddr, VecDeque<(u64, CancellationToken)>>,
    /// Connections so far.
    count: u64,
}

impl Connections {
    /// Adds a connection, if the address may have one more. Returns its number, and ends another one if there is no room
    /// otherwise.
    fn enter(&mut self, address: IpAddr, end: CancellationToken, limits: Limits) -> Option<u64> {
        let all: usize = self.by_address.values().map(VecDeque::len).sum();
        let own = self.by_address.get(&address).map_or(0, VecDeque::len);
        if own >= limits.of_one_address || all >= limits.in_all && !self.end_one(own) {
            return None;
        }
        let number = self.count;
        self.count += 1;
        self.by_address
            .entry(address)
            .or_default()
            .push_back((number, end));
        Some(number)
    }

    /// Ends the oldest connection of the addresses with the most, if those are more than `than`.
    fn end_one(&mut self, than: usize) -> bool {
        let oldest = |connections: &VecDeque<(u64, _)>| connections.front().map(|(number, _)| *number);
        let most = self
            .by_address
            .iter()
            .filter(|(_, connections)| connections.len() > than)
            .max_by_key(|(_, connections)| (connections.len(), std::cmp::Reverse(oldest(connections))))
            .map(|(address, connections)| (*address, oldest(connections)));
        let Some((address, Some(number))) = most else {
            return false;
        };
        if let Some(end) = self.leave(address, number) {
            end.cancel();
        }
        true
    }

    fn leave(&mut self, address: IpAddr, number: u64) -> Option<CancellationToken> {
        let connections = self.by_address.get_mut(&address)?;
        let at = connections.iter().position(|(own, _)| *own == number)?;
        let (_, end) = connections.remove(at)?;
        if connections.is_empty() {
            self.by_address.remove(&address);
        }
        Some(end)
    }
}

impl Open {
    fn take(&self, address: IpAddr, limits: Limits) -> Option<Place> {
        let end = CancellationToken::new();
        let number = self.with(|all| all.enter(address, end.clone(), limits))?;
        Some(Place {
            open: self.clone(),
            address,
            number,
            end,
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Connections) -> T) -> T {
        change(&mut self.0.lock())
    }
}

/// An open connection; free again when it is dropped.
struct Place {
    open: Open,
    address: IpAddr,
    number: u64,
    /// Cancelled if the connection is to make room for another one.
    end: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.with(|all| all.leave(self.address, self.number));
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpSocket, TcpStream};

    use super::*;

    /// Far longer than the limits of the tests.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn served(limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/metrics", get(|| async { "figures\n" }));
        tokio::spawn(serve(listener, routes, limits));
        address
    }

    async fn from(source: &str, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// Sends this and reads until the server closes the connection.
    async fn answer(mut stream: TcpStream, request: &str) -> String {
        // Of a connection that is closed at once even the request may fail.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let _ = read.expect("the server closes the connection");
        String::from_utf8(answer).unwrap()
    }

    const WHOLE: &str = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

    #[tokio::test]
    async fn a_client_that_sends_no_whole_request_is_cut_off() {
        let limits = Limits {
            headers: Duration::from_millis(100),
            ..Limits::default()
        };
        let address = served(limits).await;
        let good = answer(from("127.0.0.1", address).await, WHOLE).await;
        assert!(
            good.starts_with("HTTP/1.1 200") && good.ends_with("figures\n"),
            "{good}"
        );
        for slow in ["", "GET /metrics HTTP/1.1\r\nHost: a\r\n"] {
            let said = answer(from("127.0.0.1", address).await, slow).await;
            assert!(!said.contains("200"), "{said}");
        }
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD));
        let said = answer(from("127.0.0.1", address).await, &long).await;
        assert!(!said.contains("200"), "{said}");
    }

    #[tokio::test]
    async fn one_address_does_not_take_the_connections_of_others() {
        let limits = Limits {
            of_one_address: 2,
            in_all: 3,
            ..Limits::default()
        };
        let address = served(limits).await;
        let _hanging = [from("127.0.0.2", address).await, from("127.0.0.2", address).await];
        let third = answer(from("127.0.0.2", address).await, WHOLE).await;
        assert_eq!(third, "", "its connection is closed without an answer");
        for _ in 0..5 {
            let probe = answer(from("127.0.0.1", address).await, WHOLE).await;
            assert!(probe.starts_with("HTTP/1.1 200"), "{probe}");
        }
    }

    #[tokio::test]
    async fn a_probe_is_answered_while_many_addresses_hold_all_connections() {
        let limits = Limits {
            of_one_address: 4,
            in_all: 32,
            ..Limits::default()
        };
        let address = served(limits).await;
        let mut hanging = Vec::new();
        for n in 0..32 {
            hanging.push(from(&format!("127.0.0.{}", 2 + n / 4), address).await);
        }
        for _ in 0..40 {
            let probe = answer(from("127.0.0.1", address).await, WHOLE).await;
            assert!(probe.starts_with("HTTP/1.1 200"), "{probe}");
            // The attackers come back at once.
            hanging.push(from("127.0.0.9", address).await);
        }
    }

    proptest::proptest! {
        /// Addresses come and go as they like. The limits hold, whoever is closed had the most, and an address without any
        /// connection always gets one.
        #[test]
        fn connections_are_shared_fairly(steps in proptest::collection::vec((0u8..8, proptest::bool::ANY), 1..300)) {
            let limits = Limits { of_one_address: 4, in_all: 12, ..Limits::default() };
            let (mut all, mut open) = (Connections::default(), Vec::<(IpAddr, u64, CancellationToken)>::new());
            for (who, comes) in steps {
                let who = IpAddr::from([127, 0, 0, who]);
                let count = |open: &[(IpAddr, u64, CancellationToken)], of| open.iter().filter(|(a, ..)| *a == of).count();
                if !comes {
                    if let Some(at) = open.iter().position(|(address, ..)| *address == who) {
                        let (address, number, _) = open.remove(at);
                        proptest::prop_assert!(all.leave(address, number).is_some());
                    }
                    continue;
                }
                let (before, own) = (open.len(), count(&open, who));
                let most = open.iter().map(|(address, ..)| count(&open, *address)).max().unwrap_or_default();
                let end = CancellationToken::new();
                let entered = all.enter(who, end.clone(), limits);
                let ended: Vec<usize> = (0..open.len()).filter(|at| open[*at].2.is_cancelled()).collect();
                let must = own < limits.of_one_address && (before < limits.in_all || most > own);
                proptest::prop_assert_eq!(entered.is_some(), must);
                proptest::prop_assert_eq!(ended.len(), usize::from(must && before == limits.in_all));
                if let Some(at) = ended.first() {
                    let (address, number, _) = open.remove(*at);
                    proptest::prop_assert_eq!(count(&open, address) + 1, most);
                    proptest::prop_assert!(open.iter().all(|(a, n, _)| *a != address || *n > number), "the oldest goes");
                }
                open.extend(entered.map(|number| (who, number, end)));
                proptest::prop_assert!(open.len() <= limits.in_all && count(&open, who) <= limits.of_one_address);
            }
        }
    }

    #[tokio::test]
    async fn a_connection_ends_and_frees_its_place() {
        let limits = Limits {
            connection: Duration::from_millis(100),
            in_all: 1,
            ..Limits::default()
        };
        let address = served(limits).await;
        assert_eq!(answer(from("127.0.0.1", address).await, "GET /met").await, "");
        let again = async {
            while !answer(from("127.0.0.1", address).await, WHOLE)
                .await
                .contains("figures")
            {}
        };
        timeout(PATIENCE, again).await.expect("the place is free again");
    }
}
