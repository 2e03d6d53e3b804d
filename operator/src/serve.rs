//! Serves the HTTP port so that no client can use it up: a connection carries one request within a time limit, and one address
//! has few connections at a time. The kubelet's probes come from the node's address, so that a pod that takes all connections
//! of its own address does not keep them out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// What clients may use of the port.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time from the connection to the end of the request's headers.
    pub headers: Duration,
    /// Longest time of a connection. Prometheus gives up after 10 s by default.
    pub connection: Duration,
    /// Connections of one address at a time; further ones are closed at once.
    pub of_one_address: usize,
    /// Connections at a time.
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
            let _ = timeout(limits.connection, connection).await;
            drop(place);
        });
    }
}

/// The number of open connections, by address.
#[derive(Clone, Default)]
struct Open(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Open {
    fn take(&self, address: IpAddr, limits: Limits) -> Option<Place> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&address).copied().unwrap_or_default();
        if all >= limits.in_all || own >= limits.of_one_address {
            return None;
        }
        open.insert(address, own + 1);
        Some(Place {
            open: self.clone(),
            address,
        })
    }
}

/// An open connection; free again when it is dropped.
struct Place {
    open: Open,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.address);
            }
        }
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
        let _other = from("127.0.0.3", address).await;
        let full = answer(from("127.0.0.1", address).await, WHOLE).await;
        assert_eq!(full, "", "all places are taken");
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
