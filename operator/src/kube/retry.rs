//! Reads that the API server answered with an error of its own are asked again at once.
//!
//! kube's policy does so for 429, 503 and 504 alone. A list comes in pages, and one page that is answered 500, as
//! happens while etcd elects a leader, would let the whole list begin anew, after a pause that doubles each time: with
//! many objects it might never end. Only what changes nothing is repeated: after a write with such an answer the caller
//! has to look whether it was done.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::retry::backoff::{Backoff as _, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff as _};
use tower::retry::{Policy, RetryLayer};
use tower::util::rng::HasherRng;

/// How often a read is repeated at most.
const MOST: u32 = 5;
/// Pause before the first repetition; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Pauses and number of the repetitions that are kube's. Its default goes up to 1000 s, for which a watch would be deaf
/// when the API server has long been back.
const KUBES: (Duration, Duration, u32) = (Duration::from_millis(5), Duration::from_secs(2), 10);
/// Calls that wait for the connection pool; kube's own measure.
const QUEUE: usize = 1024;

/// Returns the operator's client.
///
/// # Errors
/// If it can't be built from `config`.
pub fn client(mut config: Config) -> anyhow::Result<Client> {
    let mut pauses = ExponentialBackoffMaker::new(FIRST_PAUSE, LONGEST_PAUSE, 0.5, HasherRng::new())?;
    let again = RetryLayer::new(Again {
        left: MOST,
        pauses: pauses.make_backoff(),
    });
    config.default_retry = false;
    let busy = RetryLayer::new(RetryPolicy::new(KUBES.0, KUBES.1, KUBES.2, true)?);
    let builder = ClientBuilder::try_from(config)?;
    // What is repeated must be cloned, which kube's boxed service can't.
    let builder = builder.with_layer(&BufferLayer::new(QUEUE)).with_layer(&busy);
    Ok(builder.with_layer(&again).build())
}

#[derive(Clone)]
struct Again {
    left: u32,
    pauses: ExponentialBackoff,
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Again {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        answer: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let status = answer.as_ref().ok()?.status();
        let passing = matches!(
            status,
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY
        );
        self.left = self.left.checked_sub(u32::from(passing))?;
        passing.then(|| self.pauses.next_backoff())
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        if request.method() != Method::GET {
            return None;
        }
        let mut again = Request::new(Body::empty());
        *again.method_mut() = Method::GET;
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Again {
        let mut pauses =
            ExponentialBackoffMaker::new(FIRST_PAUSE, LONGEST_PAUSE, 0.5, HasherRng::new()).unwrap();
        Again {
            left: MOST,
            pauses: pauses.make_backoff(),
        }
    }

    fn asked_again(policy: &mut Again, status: u16) -> bool {
        let mut request = Request::new(Body::empty());
        let mut answer = Ok(Response::builder().status(status).body(()).unwrap());
        policy.retry(&mut request, &mut answer).is_some()
    }

    #[tokio::test]
    async fn a_server_s_own_error_is_asked_again_a_few_times() {
        let mut policy = policy();
        let again = (0..10).filter(|_| asked_again(&mut policy, 500)).count();
        assert_eq!(again, 5);
    }

    #[tokio::test]
    async fn an_answer_is_not_asked_again() {
        // 429, 503 and 504 were repeated below already.
        for status in [200, 403, 404, 409, 410, 429, 503, 504] {
            assert!(!asked_again(&mut policy(), status), "{status}");
        }
    }

    fn repeatable(method: Method) -> bool {
        let request = Request::builder()
            .method(method)
            .uri("/api/v1/pods?limit=5&continue=x")
            .header("accept", "application/json")
            .body(Body::empty())
            .unwrap();
        let again = Policy::<_, Response<()>, _>::clone_request(&mut policy(), &request);
        again.is_some_and(|again| again.uri() == request.uri() && again.headers() == request.headers())
    }

    #[test]
    fn only_reads_are_repeated() {
        assert!(repeatable(Method::GET));
        for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
            assert!(!repeatable(method.clone()), "{method}");
        }
    }
}
