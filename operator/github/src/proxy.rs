//! The way to a host: directly, or through the proxy that the network has for the world outside.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::addresses::{Guard, Resolver};

/// A proxy that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proxy must be of the form http://[USER:PASSWORD@]HOST:PORT")]
pub struct BadProxy;

/// Which hosts are reached through a proxy, which resolves them itself: no address is checked then. Only `https://` ones are: what is plain HTTP is inside the cluster.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Option<Arc<Matcher>>);

impl Proxies {
    /// Reads the values of `HTTPS_PROXY` and `NO_PROXY`, as curl does. Empty ones count as absent.
    ///
    /// # Errors
    /// [`BadProxy`]; its message does not show the value, which may hold a password.
    pub fn new(https: Option<&str>, no: Option<&str>) -> Result<Self, BadProxy> {
        let Some(https) = https.filter(|text| !text.is_empty()) else {
            return Ok(Self::default());
        };
        let whole = if https.contains("://") {
            https.to_owned()
        } else {
            format!("http://{https}")
        };
        let uri: Uri = whole.parse().map_err(|_| BadProxy)?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(BadProxy);
        }
        let matcher = Matcher::builder().https(whole).no(no.unwrap_or_default()).build();
        Ok(Self(Some(Arc::new(matcher))))
    }
}

/// Opens connections.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) direct: HttpConnector<Resolver>,
    /// The proxy is the administrator's choice: it is where it is.
    pub(super) to_proxy: HttpConnector,
    pub(super) guard: Guard,
    pub(super) proxies: Proxies,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let via = self.proxies.0.as_ref().and_then(|all| all.intercept(&to));
        let Some(via) = via else {
            if let Err(private) = self.guard.check_literal(to.host().unwrap_or_default()) {
                return Box::pin(std::future::ready(Err(private.into())));
            }
            let direct = self.direct.call(to);
            return Box::pin(async move { Ok(direct.await?) });
        };
        let mut tunnel = Tunnel::new(via.uri().clone(), self.to_proxy.clone());
        if let Some(password) = via.basic_auth() {
            tunnel = tunnel.with_auth(password.clone());
        }
        let tunnel = tunnel.call(to);
        Box::pin(async move { Ok(tunnel.await?) })
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::client::legacy::connect::dns::GaiResolver;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_no_http_proxy_is_refused_without_showing_it() {
        for bad in ["socks5://u:secret@p:1", "https://u:secret@p", "http://", "a b"] {
            let error = Proxies::new(Some(bad), None).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{bad}");
        }
        for good in [None, Some(""), Some("proxy:3128"), Some("http://u:p@proxy:3128")] {
            assert!(Proxies::new(good, None).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn only_https_beyond_the_exceptions_goes_through_it() {
        let proxies = Proxies::new(Some("proxy:3128"), Some("localhost,.svc,10.0.0.0/8")).unwrap();
        let via = |url: &str| {
            let to: Uri = url.parse().unwrap();
            proxies.0.as_ref().unwrap().intercept(&to).is_some()
        };
        assert!(via("https://api.github.com/x"));
        for direct in [
            "https://git.team.svc/api/v3",
            "https://10.1.2.3/",
            "http://ghe.example/",
            "https://localhost/",
        ] {
            assert!(!via(direct), "{direct}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_asked_for_with_the_proxys_password() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            // Then it passes on what the client says, and what is answered.
            let mut said = [0; 5];
            stream.read_exact(&mut said).await.unwrap();
            stream.write_all(&said).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        let guard = Guard::default();
        let resolver = Resolver {
            inner: GaiResolver::new(),
            guard: guard.clone(),
        };
        let proxies = Proxies::new(Some(&format!("http://user:word@{address}")), None).unwrap();
        let mut connector = Connector {
            direct: HttpConnector::new_with_resolver(resolver),
            to_proxy: HttpConnector::new(),
            guard,
            proxies,
        };
        let stream = connector
            .call("https://api.github.com/repos".parse().unwrap())
            .await
            .unwrap();
        let mut stream = stream.into_inner();
        stream.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        let asked = proxy.await.unwrap();
        assert!(
            asked.starts_with("CONNECT api.github.com:443 HTTP/1.1\r\n"),
            "{asked}"
        );
        assert!(asked.contains("Basic dXNlcjp3b3Jk\r\n"), "{asked}");
    }
}
