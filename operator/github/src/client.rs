//! One request to GitHub and what its answer means: credentials, redirects, rate limits, errors, the server's clock.

mod responses;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use super::Options;
use super::api_url::{graphql_of, prefix, same_host, words};
use super::app::InstallationToken;
use super::approvals;
use super::cooldown::{Account, Cooldowns};
use super::credential::App;
use super::error::GithubError;
use super::grant::{Grant, Installation};
use super::hosts::{self, Hosts};
use super::limits;
use super::link;
use super::metrics::GithubMetrics;
use super::repository::Repository;
use super::request_slots::RequestSlots;
use super::target::{Conditional, PageResponse, Question, Target};
use super::transport::{Body, Request, Response, Transport, TransportError};
use crate::clock::Clock;

const MAX_REDIRECTS: usize = 3;
/// Difference between two clocks below which it is none: a header has whole seconds, and comes late.
pub(super) const CLOCK_TOLERANCE: i64 = 10;
/// Age up to which a token of an App is taken to know of all that the App may do.
const YOUNG: Duration = Duration::from_secs(60);
/// Most accounts whose tokens are remembered, and APIs whose clocks are.
const MAX_ACCOUNTS: usize = 10_000;
/// Most bytes of an ETag, and of a link to another page; longer ones are not used.
const MAX_ETAG: usize = 256;
const MAX_LINK: usize = 4096;

/// A token for reading, by whose App it is, and what it may do.
type Purpose = (Account, Grant);

struct Cached {
    token: InstallationToken,
    made: Instant,
    renew: Instant,
}

pub(super) struct Client {
    transport: Transport,
    clock: Clock,
    pub(super) metrics: GithubMetrics,
    hosts: Hosts,
    slots: RequestSlots,
    cooldowns: Mutex<Cooldowns>,
    tokens: Mutex<HashMap<Purpose, Arc<tokio::sync::Mutex<Option<Cached>>>>>,
    pub(super) installations: Mutex<HashMap<Account, (Instant, Arc<Installation>)>>,
    /// Age up to which a token of an App is taken to know of all that the App may do.
    young: Duration,
    /// Seconds by which each API's clock goes ahead of this machine's.
    ahead: Mutex<HashMap<String, i64>>,
}

impl Client {
    pub(super) fn new(clock: Clock, metrics: GithubMetrics, options: &Options) -> Self {
        Self {
            transport: Transport::new(options),
            clock,
            metrics,
            hosts: options.hosts.clone(),
            slots: RequestSlots::default(),
            cooldowns: Mutex::default(),
            tokens: Mutex::default(),
            installations: Mutex::default(),
            young: options.young.unwrap_or(YOUNG),
            ahead: Mutex::default(),
        }
    }

    /// Gets a path of the target's host. `etag` makes the request conditional.
    pub(super) async fn get(
        &self,
        target: &Target<'_>,
        path: &str,
        etag: Option<&str>,
    ) -> Result<Conditional, GithubError> {
        let answer = match target.credential.app() {
            None => self.follow(target, path, target.credential.token(), etag).await?,
            Some(app) => {
                let token = self.app_token(target.repository, app, None).await?;
                let answer = self.follow(target, path, Some(&token), etag).await?;
                let is_old = || self.age(target.repository, app, &token) >= self.young;
                if answer.status == StatusCode::UNAUTHORIZED || self.is_about_access(&answer) && is_old() {
                    // It was revoked before its time, or the App has been given more since: a fresh one tells.
                    let token = self.app_token(target.repository, app, Some(&token)).await?;
                    self.follow(target, path, Some(&token), etag).await?
                } else {
                    answer
                }
            }
        };
        match answer.status {
            StatusCode::OK => {
                let link = |relation| {
                    let header = answer.headers.get(header::LINK)?.to_str().ok()?;
                    link::target(header, relation).filter(|link| link.len() <= MAX_LINK)
                };
                let etag = answer
                    .headers
                    .get(header::ETAG)
                    .filter(|etag| etag.len() <= MAX_ETAG);
                Ok(Conditional::Changed(PageResponse {
                    etag: etag.and_then(|value| value.to_str().ok()).map(str::to_owned),
                    next: link("next"),
                    last: link("last"),
                    body: answer.body,
                }))
            }
            StatusCode::NOT_MODIFIED => Ok(Conditional::Unchanged),
            _ => Err(self.refusal(target, &answer)),
        }
    }

    /// Asks GitHub's GraphQL API. An App's token that was revoked is made anew once.
    pub(super) async fn graphql(&self, target: &Target<'_>, query: &Value) -> Result<Body, GithubError> {
        let url = graphql_of(&target.repository.api);
        let ask = |bearer| Question {
            method: &Method::POST,
            url: &url,
            bearer,
            etag: None,
            body: Some(query),
        };
        let answer = match target.credential.app() {
            None => self.ask(target, ask(target.credential.token())).await?,
            Some(app) => {
                let token = self.app_token(target.repository, app, None).await?;
                let answer = self.ask(target, ask(Some(&token))).await?;
                if answer.status == StatusCode::UNAUTHORIZED {
                    let token = self.app_token(target.repository, app, Some(&token)).await?;
                    self.ask(target, ask(Some(&token))).await?
                } else {
                    answer
                }
            }
        };
        if answer.status != StatusCode::OK {
            return Err(self.refusal(target, &answer));
        }
        // A limit of this API comes with status 200.
        match self.check_cooldown(target) {
            Err(limit) if approvals::is_limited(&answer.body) => Err(limit),
            _ => Ok(answer.body),
        }
    }

    /// Returns a token for reading, made now or before. `refused` is one that GitHub no longer takes, or that may not do what
    /// the App may do by now.
    async fn app_token(
        &self,
        repository: &Repository,
        app: &App,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, GithubError> {
        use secrecy::ExposeSecret as _;
        let purpose = purpose(repository, app);
        let grant = purpose.1.clone();
        let slot = {
            let mut all = self.tokens.lock();
            if all.len() >= MAX_ACCOUNTS {
                all.clear();
            }
            Arc::clone(all.entry(purpose).or_default())
        };
        let mut slot = slot.lock().await;
        if let Some(cached) = slot.as_ref() {
            let same = refused.is_some_and(|r| r.expose_secret() == cached.token.token.expose_secret());
            if Instant::now() < cached.renew && !same {
                return Ok(cached.token.token.clone());
            }
        }
        let token = self.mint(repository, app, &grant, refused.is_some()).await?;
        let fresh = token.token.clone();
        *slot = Some(Cached {
            made: Instant::now(),
            renew: Instant::now() + token.renew_after(),
            token,
        });
        Ok(fresh)
    }

    /// Returns whether GitHub says that an account may not do or see something, which is no limit.
    fn is_about_access(&self, answer: &Response) -> bool {
        let is_limit = || {
            let said = words(&answer.body);
            limits::limit(answer.status, &answer.headers, &said, self.clock.now()).is_some()
        };
        match answer.status {
            StatusCode::NOT_FOUND => true,
            StatusCode::FORBIDDEN => !is_limit(),
            _ => false,
        }
    }

    /// Returns how long ago a token for reading was made; it is new if another one has taken its place.
    fn age(&self, repository: &Repository, app: &App, token: &SecretString) -> Duration {
        use secrecy::ExposeSecret as _;
        let slot = {
            let all = self.tokens.lock();
            all.get(&purpose(repository, app)).map(Arc::clone)
        };
        // It is held while a token is made.
        let made = slot.as_ref().and_then(|slot| {
            let slot = slot.try_lock().ok()?;
            let cached = slot.as_ref()?;
            let same = cached.token.token.expose_secret() == token.expose_secret();
            same.then_some(cached.made)
        });
        made.map_or(Duration::ZERO, |made| made.elapsed())
    }

    /// Sends a GET and follows redirects, such as a renamed repository's, within the same host: no other one gets the
    /// token.
    async fn follow(
        &self,
        target: &Target<'_>,
        path: &str,
        bearer: Option<&SecretString>,
        etag: Option<&str>,
    ) -> Result<Response, GithubError> {
        let api = &target.repository.api;
        let origin = api.strip_suffix(prefix(api)).unwrap_or(api);
        let mut path = path.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let url = format!("{origin}{path}");
            let question = Question {
                method: &Method::GET,
                url: &url,
                bearer,
                etag,
                body: None,
            };
            let answer = self.ask(target, question).await?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let location = answer.headers.get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok()).unwrap_or_default();
            path = same_host(origin, location)
                .ok_or_else(|| target.malformed(&format!("a redirect to another host, {location:?}")))?;
        }
        Err(target.malformed(&"too many redirects"))
    }

    /// Sends a request, unless the host is not allowed or a limit lasts.
    pub(super) async fn ask(
        &self,
        target: &Target<'_>,
        question: Question<'_>,
    ) -> Result<Response, GithubError> {
        let host = &target.repository.host;
        let namespace = &target.credential.scope.namespace;
        let ask = Request {
            method: question.method.clone(),
            url: question.url.to_owned(),
            bearer: question.bearer,
            etag: question.etag,
            body: question.body,
            namespace,
        };
        self.admit(target)?;
        self.check_cooldown(target)?;
        let _slot = self.slots.take(&target.repository.api, namespace).await;
        // The gate may have been closed by an answer to those who were first.
        self.check_cooldown(target)?;
        let sent = self.transport.send(ask).await;
        self.metrics
            .request(host, sent.as_ref().ok().map(|answer| answer.status.as_u16()));
        let answer = match sent {
            Ok(answer) => answer,
            Err(TransportError::Silent(said)) => return Err(self.silence(target, said)),
            Err(TransportError::NotAllowed(private)) => {
                let said = format!(
                    "{private}; an administrator of the cluster can allow its network with the operator's flag \
                     --github-private-networks (AXON_GITHUB_PRIVATE_NETWORKS)"
                );
                return Err(target.not_allowed(said));
            }
            Err(TransportError::TooLarge) => return Err(target.answer_too_large()),
            Err(broken @ TransportError::Impossible(_)) => return Err(target.malformed(&broken)),
        };
        self.learn(target, &answer);
        if answer.status.is_server_error() {
            let said = format!("{}: {}", answer.status, words(&answer.body));
            return Err(self.silence(target, said));
        }
        Ok(answer)
    }

    /// Refuses hosts that the administrator has not named, and hosts that a credential is not for. All requests pass here.
    pub(super) fn admit(&self, target: &Target<'_>) -> Result<(), GithubError> {
        let (plain, host) = target.repository.site();
        let entry = hosts::entry(plain, host);
        if !self.hosts.name(plain, host) {
            return Err(target.not_allowed(format!(
                "an administrator of the cluster can add {entry} to its flag --github-hosts (AXON_GITHUB_HOSTS)"
            )));
        }
        let scope = &target.credential.scope;
        // The API of github.com has TLS whatever the URL says. A Task with the same URL and Secret gets no token, though.
        let plain = target.repository.is_plain_http;
        let entry = hosts::entry(plain, host);
        match &target.credential.secret {
            Some(secret) if !scope.hosts.name(plain, host) => Err(GithubError::SecretNotForHost {
                secret: secret.clone(),
                namespace: scope.namespace.clone(),
                value: scope.hosts.with(&entry),
                host: entry,
            }),
            _ => Ok(()),
        }
    }

    /// Returns the time by an API's clock, as far as it is known.
    pub(super) fn server_time(&self, api: &str) -> Timestamp {
        let ahead = {
            let all = self.ahead.lock();
            all.get(api).copied().unwrap_or_default()
        };
        let now = self.clock.now();
        now.checked_add(SignedDuration::from_secs(ahead)).unwrap_or(now)
    }
}

pub(super) fn account(target: &Target<'_>) -> Account {
    (target.repository.api.clone(), target.credential.id().to_owned())
}

/// Returns which token a poll takes.
fn purpose(repository: &Repository, app: &App) -> Purpose {
    let account = (repository.api.clone(), app.credential().id().to_owned());
    (account, Grant::for_polls(repository))
}
