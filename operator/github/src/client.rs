//! One request to GitHub and what its answer means: credentials, redirects, rate limits, errors, the server's clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::Options;
use super::app::InstallationToken;
use super::approvals;
use super::credential::{App, Credential};
use super::error::{Asked, GithubError};
use super::figures::Figures;
use super::gates::{Account, Gates, Why};
use super::grant::{Grant, Installation};
use super::hosts::{self, Hosts};
use super::limits;
use super::link;
use super::places::Places;
use super::read::{self, Cut};
use super::repository::Repository;
use super::transport::{Answer, Ask, Body, Broken, Transport};
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
/// Most characters of a refusal's words.
const MAX_WORDS: usize = 300;

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    pub(super) repository: &'a Repository,
    pub(super) credential: &'a Credential,
    /// For messages.
    pub(super) what: String,
}

impl Target<'_> {
    pub(super) fn asked(&self) -> Asked {
        Asked {
            host: self.repository.host.clone(),
            what: self.what.clone(),
            secret: self.credential.secret.clone(),
        }
    }

    fn not_allowed(&self, said: String) -> GithubError {
        GithubError::HostNotAllowed {
            asked: self.asked(),
            said,
        }
    }

    /// Returns the namespace on whose behalf it is asked.
    pub(super) fn namespace(&self) -> Arc<str> {
        Arc::from(self.credential.scope.namespace.as_str())
    }

    pub(super) fn answer_too_large(&self) -> GithubError {
        GithubError::AnswerTooLarge { asked: self.asked() }
    }

    pub(super) fn listing_too_large(&self, said: String) -> GithubError {
        GithubError::ListingTooLarge {
            asked: self.asked(),
            said,
        }
    }

    pub(super) fn out_of_memory(&self) -> GithubError {
        GithubError::OutOfMemory { asked: self.asked() }
    }

    pub(super) fn transferred(&self, url: String) -> GithubError {
        GithubError::Transferred {
            asked: self.asked(),
            url,
        }
    }

    pub(super) fn malformed(&self, said: &dyn std::fmt::Display) -> GithubError {
        GithubError::Malformed {
            asked: self.asked(),
            said: said.to_string(),
        }
    }
}

/// A good answer.
#[derive(Debug)]
pub(super) enum Got {
    /// 304.
    Same,
    /// 200.
    Fresh(Fresh),
}

#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) body: Body,
    pub(super) etag: Option<String>,
    /// Path and query of the pages that the answer names.
    pub(super) next: Option<String>,
    pub(super) last: Option<String>,
}

impl Got {
    /// Returns the answer to a request that was not conditional.
    pub(super) fn into_fresh(self, target: &Target<'_>) -> Result<Fresh, GithubError> {
        match self {
            Self::Fresh(fresh) => Ok(fresh),
            Self::Same => Err(target.malformed(&"304 to a question that named no version")),
        }
    }
}

/// A request to GitHub, but for its host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a str,
    pub(super) bearer: Option<&'a SecretString>,
    pub(super) etag: Option<&'a str>,
    pub(super) body: Option<&'a Value>,
}

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
    pub(super) figures: Figures,
    hosts: Hosts,
    places: Places,
    gates: Mutex<Gates>,
    tokens: Mutex<HashMap<Purpose, Arc<tokio::sync::Mutex<Option<Cached>>>>>,
    pub(super) installations: Mutex<HashMap<Account, (Instant, Arc<Installation>)>>,
    /// Age up to which a token of an App is taken to know of all that the App may do.
    young: Duration,
    /// Seconds by which each API's clock goes ahead of this machine's.
    ahead: Mutex<HashMap<String, i64>>,
}

impl Client {
    pub(super) fn new(clock: Clock, figures: Figures, options: &Options) -> Self {
        Self {
            transport: Transport::new(options),
            clock,
            figures,
            hosts: options.hosts.clone(),
            places: Places::default(),
            gates: Mutex::default(),
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
    ) -> Result<Got, GithubError> {
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
                Ok(Got::Fresh(Fresh {
                    etag: etag.and_then(|value| value.to_str().ok()).map(str::to_owned),
                    next: link("next"),
                    last: link("last"),
                    body: answer.body,
                }))
            }
            StatusCode::NOT_MODIFIED => Ok(Got::Same),
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
        match self.pass_gate(target) {
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
    fn is_about_access(&self, answer: &Answer) -> bool {
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
    ) -> Result<Answer, GithubError> {
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
    ) -> Result<Answer, GithubError> {
        let host = &target.repository.host;
        let namespace = &target.credential.scope.namespace;
        let ask = Ask {
            method: question.method.clone(),
            url: question.url.to_owned(),
            bearer: question.bearer,
            etag: question.etag,
            body: question.body,
            namespace,
        };
        self.admit(target)?;
        self.pass_gate(target)?;
        let _place = self.places.take(&target.repository.api, namespace).await;
        // The gate may have been closed by an answer to those who were first.
        self.pass_gate(target)?;
        let sent = self.transport.send(ask).await;
        self.figures
            .request(host, sent.as_ref().ok().map(|answer| answer.status.as_u16()));
        let answer = match sent {
            Ok(answer) => answer,
            Err(Broken::Silent(said)) => return Err(self.silence(target, said)),
            Err(Broken::NotAllowed(private)) => {
                let said = format!(
                    "{private}; an administrator of the cluster can allow its network with the operator's flag \
                     --github-private-networks (AXON_GITHUB_PRIVATE_NETWORKS)"
                );
                return Err(target.not_allowed(said));
            }
            Err(Broken::TooLarge) => return Err(target.answer_too_large()),
            Err(broken @ Broken::Impossible(_)) => return Err(target.malformed(&broken)),
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

    /// Takes from an answer what it says about limits and the time.
    fn learn(&self, target: &Target<'_>, answer: &Answer) {
        let api = &target.repository.api;
        if let Some(theirs) = limits::server_time(&answer.headers) {
            let ahead = theirs.as_second() - self.clock.now().as_second();
            let ahead = if ahead.abs() > CLOCK_TOLERANCE { ahead } else { 0 };
            let mut all = self.ahead.lock();
            if all.len() >= MAX_ACCOUNTS {
                all.clear();
            }
            all.insert(api.clone(), ahead);
        }
        // GraphQL's points are counted apart.
        let is_counted = limits::is_rest(&answer.headers) && target.credential.stays();
        if let Some(left) = limits::remaining(&answer.headers).filter(|_| is_counted) {
            let id = target.credential.id();
            self.figures.remaining(&target.repository.host, id, left);
        }
        let now = self.server_time(api);
        let limit = limits::limit(answer.status, &answer.headers, &words(&answer.body), now);
        let (account, silence, now) = (account(target), silence_account(target), Instant::now());
        let mut gates = self.gates.lock();
        if !answer.status.is_server_error() {
            gates.answered(&silence, now);
        }
        if let Some(limit) = limit {
            gates.limited(account, limit.wait, limit.secondary, now);
        }
    }

    fn silence(&self, target: &Target<'_>, said: String) -> GithubError {
        let mut gates = self.gates.lock();
        let pause = gates.silent(
            silence_account(target),
            said.clone(),
            rand::random(),
            Instant::now(),
        );
        GithubError::Unreachable {
            asked: target.asked(),
            said,
            pause,
        }
    }

    /// Refuses what would be asked while a limit or a pause after failures lasts.
    fn pass_gate(&self, target: &Target<'_>) -> Result<(), GithubError> {
        let gates = self.gates.lock();
        let now = Instant::now();
        let closed = gates
            .closed(&account(target), now)
            .or_else(|| gates.closed(&silence_account(target), now));
        let Some((left, why)) = closed else {
            return Ok(());
        };
        Err(match why {
            Why::Limited { secondary } => self.limited(target, left, *secondary),
            Why::Silent { said, .. } => GithubError::Unreachable {
                asked: target.asked(),
                said: said.clone(),
                pause: left,
            },
        })
    }

    fn limited(&self, target: &Target<'_>, left: Duration, secondary: bool) -> GithubError {
        let now = self.clock.now();
        let end = now
            .checked_add(SignedDuration::try_from(left).unwrap_or_default())
            .unwrap_or(now);
        GithubError::RateLimited {
            asked: target.asked(),
            // Whole seconds, rounded up: a status that shows it must not change at each look.
            until: Timestamp::from_second(end.as_second() + 1).unwrap_or(end),
            secondary,
        }
    }

    /// Returns what an answer that is no success means.
    pub(super) fn refusal(&self, target: &Target<'_>, answer: &Answer) -> GithubError {
        let (asked, said) = (target.asked(), words(&answer.body));
        let now = self.server_time(&target.repository.api);
        if let Some(limit) = limits::limit(answer.status, &answer.headers, &said, now) {
            return self.limited(target, limit.wait, limit.secondary);
        }
        match answer.status {
            StatusCode::UNAUTHORIZED => GithubError::Unauthorized { asked, said },
            StatusCode::FORBIDDEN => GithubError::Forbidden { asked, said },
            // 410: issues are switched off, or the repository was taken down.
            StatusCode::NOT_FOUND | StatusCode::GONE => GithubError::NotFound { asked, said },
            status => GithubError::Malformed {
                asked,
                said: format!("{status}: {said}"),
            },
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

/// Returns what silence is counted by; it is the account, but for tokens that are revoked.
fn silence_account(target: &Target<'_>) -> Account {
    let id = target.credential.silence_id();
    (target.repository.api.clone(), id.to_owned())
}

/// Returns which token a poll takes.
fn purpose(repository: &Repository, app: &App) -> Purpose {
    let account = (repository.api.clone(), app.credential().id().to_owned());
    (account, Grant::for_polls(repository))
}

/// Returns the address of the GraphQL API beside a REST API.
fn graphql_of(api: &str) -> String {
    format!("{}/graphql", api.strip_suffix("/v3").unwrap_or(api))
}

/// Returns the path of a base URL, such as `/api/v3`, or nothing.
pub(super) fn prefix(api: &str) -> &str {
    let after = api.split_once("://").map_or(api, |(_, rest)| rest);
    after.find('/').and_then(|at| after.get(at..)).unwrap_or_default()
}

/// Returns path and query of a redirect that stays at `origin`.
fn same_host(origin: &str, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return link::path_of(location);
    }
    let (from, to) = (url::Url::parse(origin).ok()?, url::Url::parse(location).ok()?);
    (from.origin() == to.origin()).then(|| link::path_of(location))?
}

/// Returns GitHub's own words about a refusal: one line of at most [`MAX_WORDS`] characters.
pub(super) fn words(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: Cut<2000>,
    }
    let text = match read::object::<Refusal>(body) {
        Ok(refusal) => refusal.message.text,
        Err(_) => String::from_utf8_lossy(body.get(..2000).unwrap_or(body)).into_owned(),
    };
    let line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_WORDS)
        .collect();
    if line.is_empty() {
        "no explanation".into()
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_at_its_host() {
        let origin = "https://api.github.com";
        assert_eq!(
            same_host(origin, "https://api.github.com/repositories/1/issues?x=1").as_deref(),
            Some("/repositories/1/issues?x=1")
        );
        assert_eq!(
            same_host(origin, "/repositories/1").as_deref(),
            Some("/repositories/1")
        );
        for evil in [
            "https://api.github.com.evil/x",
            "http://api.github.com/x",
            "https://api.github.com:444/x",
            "//evil/x",
            "",
            "x",
        ] {
            assert_eq!(same_host(origin, evil), None, "{evil}");
        }
    }

    #[test]
    fn the_base_url_s_path_is_found() {
        assert_eq!(prefix("https://api.github.com"), "");
        assert_eq!(prefix("http://ghe:8080/api/v3"), "/api/v3");
    }

    #[test]
    fn graphql_is_beside_the_rest_api() {
        for (api, url) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            ("https://api.octo.ghe.com", "https://api.octo.ghe.com/graphql"),
            ("http://ghe:8080/api/v3", "http://ghe:8080/api/graphql"),
        ] {
            assert_eq!(graphql_of(api), url);
        }
    }

    #[test]
    fn explanations_are_one_short_line() {
        assert_eq!(words(br#"{"message":"Bad\n credentials"}"#), "Bad credentials");
        assert_eq!(words(b""), "no explanation");
        assert_eq!(words("ü".repeat(5000).as_bytes()).chars().count(), 300);
    }
}
