//! How an App gets its tokens and ends them: what its installation has is looked up, the token is asked for within that.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::api_url::words;
use super::app::{self, InstallationToken};
use super::client::{CLOCK_TOLERANCE, Client, account};
use super::credential::{App, Credential};
use super::error::GithubError;
use super::grant::{Grant, Installation, Lack};
use super::repository::Repository;
use super::target::{Question, Target};
use super::transport::Response;

/// Age up to which what an installation has is taken to be known: who gives it less finds out by GitHub's refusal, and who
/// gives it more waits that long.
const INSTALLATION_PERIOD: Duration = Duration::from_secs(300);
/// Most installations that are remembered; some 10 KiB each at most.
const MAX_INSTALLATIONS: usize = 500;

impl Client {
    /// Exchanges an App's key for a token that can do what `grant` says. `afresh` tells that what is known of the
    /// installation may be outdated.
    pub(super) async fn mint(
        &self,
        repository: &Repository,
        app: &App,
        grant: &Grant,
        afresh: bool,
    ) -> Result<InstallationToken, GithubError> {
        let credential = app.credential();
        let target = Target {
            repository,
            credential: &credential,
            what: format!("installation {} of App {}", app.installation_id, app.app_id),
        };
        let path = format!("{}/access_tokens", installation_path(app));
        let mut afresh = afresh;
        loop {
            let (installation, is_fresh) = self.installation(&target, app, afresh).await?;
            afresh = true;
            let body = match grant.body(&installation) {
                Ok(body) => body,
                Err(lack) if is_fresh => return Err(lacks(&target, grant, lack)),
                Err(_) => continue,
            };
            let answer = self
                .as_app(&target, app, &Method::POST, &path, Some(&body))
                .await?;
            return match answer.status {
                StatusCode::CREATED => app::read_token(&answer.body, self.server_time(&repository.api))
                    .ok_or_else(|| target.malformed(&"no token in the answer")),
                StatusCode::UNPROCESSABLE_ENTITY if !is_fresh => continue,
                StatusCode::UNPROCESSABLE_ENTITY => Err(refused(&target, grant, words(&answer.body))),
                _ => Err(self.app_refusal(&target, &answer)),
            };
        }
    }

    /// Returns what an installation has, and whether GitHub was asked for it now.
    async fn installation(
        &self,
        target: &Target<'_>,
        app: &App,
        afresh: bool,
    ) -> Result<(Arc<Installation>, bool), GithubError> {
        let account = account(target);
        let known = {
            let all = self.installations.lock();
            all.get(&account).cloned()
        };
        if let Some((at, known)) = known
            && !afresh
            && at.elapsed() < INSTALLATION_PERIOD
        {
            return Ok((known, false));
        }
        let path = installation_path(app);
        let answer = self.as_app(target, app, &Method::GET, &path, None).await?;
        if answer.status != StatusCode::OK {
            return Err(self.app_refusal(target, &answer));
        }
        let read = Installation::read(&answer.body).map_err(|error| target.malformed(&error))?;
        let read = Arc::new(read);
        let mut all = self.installations.lock();
        if all.len() >= MAX_INSTALLATIONS {
            all.clear();
        }
        all.insert(account, (Instant::now(), Arc::clone(&read)));
        Ok((read, true))
    }

    /// Asks GitHub as the App itself, for which its key signs.
    async fn as_app(
        &self,
        target: &Target<'_>,
        app: &App,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, GithubError> {
        let api = &target.repository.api;
        let url = format!("{api}{path}");
        let ask = async |now| {
            let jwt = app::jwt(app, now)?;
            let question = Question {
                method,
                url: &url,
                bearer: Some(&jwt),
                etag: None,
                body,
            };
            self.ask(target, question).await
        };
        let before = self.server_time(api);
        let answer = ask(before).await?;
        let after = self.server_time(api);
        let moved = after.as_second().abs_diff(before.as_second()) > CLOCK_TOLERANCE.unsigned_abs();
        if answer.status == StatusCode::UNAUTHORIZED && moved {
            // This machine's clock is wrong, as the answer has told.
            return ask(after).await;
        }
        Ok(answer)
    }

    /// Returns what a refusal to an App means: it is no repository that is missing.
    fn app_refusal(&self, target: &Target<'_>, answer: &Response) -> GithubError {
        match self.refusal(target, answer) {
            GithubError::NotFound { asked, said } => GithubError::NoInstallation { asked, said },
            error => error,
        }
    }

    /// Ends a token of an installation.
    pub(super) async fn revoke(
        &self,
        repository: &Repository,
        credential: &Credential,
    ) -> Result<(), GithubError> {
        let target = Target {
            repository,
            credential,
            what: "the end of a token".into(),
        };
        let url = format!("{}/installation/token", repository.api);
        let question = Question {
            method: &Method::DELETE,
            url: &url,
            bearer: credential.token(),
            etag: None,
            body: None,
        };
        let answer = self.ask(&target, question).await?;
        match answer.status {
            // 401: it has ended, or its agent has ended it.
            StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED => Ok(()),
            _ => Err(self.refusal(&target, &answer)),
        }
    }
}

fn installation_path(app: &App) -> String {
    format!("/app/installations/{}", app.installation_id)
}

/// Returns the error of a token that would be refused.
fn lacks(target: &Target<'_>, grant: &Grant, lack: Lack) -> GithubError {
    let asked = target.asked();
    match lack {
        Lack::Owner(account) => GithubError::NotInstalled {
            repositories: grant.repositories(),
            said: format!("it is an installation on {account}"),
            asked,
        },
        Lack::Permissions(lacking) => GithubError::NotGranted {
            asked,
            said: format!("it lacks {lacking}"),
        },
    }
}

/// Returns what it means that GitHub refuses a token for being asked too much.
fn refused(target: &Target<'_>, grant: &Grant, said: String) -> GithubError {
    let asked = target.asked();
    if said.contains("permission") {
        return GithubError::NotGranted { asked, said };
    }
    GithubError::NotInstalled {
        asked,
        repositories: grant.repositories(),
        said,
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::time::Duration;

    use axon_api::labels::HOSTS;
    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use kube::core::ObjectMeta;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::super::client::Client;
    use super::super::{Credential, GithubError, GithubMetrics, Hosts, Options, Repository};
    use crate::clock::Clock;

    const KEY: &str = "GITHUB_TOKEN";

    /// Answers by the token that is to end, and notes it. Returns its own address.
    async fn github(asked: Arc<Mutex<Vec<String>>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut line, mut token) = (String::new(), String::new());
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await.unwrap();
                    if line.to_lowercase().starts_with("authorization:") {
                        token = line.split_whitespace().last().unwrap().to_owned();
                    }
                }
                let answer = match token.as_str() {
                    "limited" => "403 x\r\nx-ratelimit-remaining: 0\r\nretry-after: 1800",
                    "silent" => "503 x",
                    _ => "204 x",
                };
                asked.lock().push(token);
                let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        url
    }

    fn ending(url: &str, namespace: &str, token: &str) -> Credential {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some("t-github-token".into()),
                namespace: Some(namespace.into()),
                annotations: Some([(HOSTS.to_owned(), url.to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some([(KEY.to_owned(), ByteString(token.into()))].into()),
            ..Secret::default()
        };
        Credential::to_revoke(&secret, KEY).unwrap()
    }

    #[tokio::test]
    async fn a_limit_is_one_tokens_and_silence_is_a_hosts() {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let url = github(Arc::clone(&asked)).await;
        let options = Options {
            hosts: Hosts::parse("http://127.0.0.1:*").unwrap(),
            ..Options::default()
        };
        let client = Client::new(Clock::system(), GithubMetrics::default(), &options);
        let repository = Repository::of(&format!("{url}/o/r")).unwrap();
        let revoke = async |namespace: &str, token: &str| {
            let ending = ending(&url, namespace, token);
            client.revoke(&repository, &ending).await
        };
        for _ in 0..2 {
            let limit = revoke("team", "limited").await.unwrap_err();
            let pause = limit.pause(Clock::system().now()).unwrap();
            assert!(matches!(limit, GithubError::RateLimited { .. }), "{limit}");
            assert!(pause > Duration::from_secs(1700), "{pause:?}");
        }
        revoke("team", "another").await.unwrap();
        let silent = revoke("team", "silent").await.unwrap_err();
        assert!(matches!(silent, GithubError::Unreachable { .. }), "{silent}");
        let unasked = revoke("team", "third").await.unwrap_err();
        assert!(matches!(unasked, GithubError::Unreachable { .. }), "{unasked}");
        revoke("elsewhere", "fourth").await.unwrap();
        let asked = asked.lock();
        assert_eq!(*asked, ["limited", "another", "silent", "fourth"], "each once");
    }
}
