//! The fixture servers inside a cluster, reached through the API server.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use kube::Client;
use serde_json::Value;

use axon_fixtures::github::store::{CommentSpec, ItemSpec};
use axon_fixtures::model::record::Totals;

const NAMESPACE: &str = "axon-fixtures";

/// Returns the base URL that a pod uses for a run's model.
#[must_use]
pub fn model_url(run: &str) -> String {
    format!("http://model.{NAMESPACE}.svc/run/{run}")
}

/// Returns the URL that a pod uses for a repository.
#[must_use]
pub fn repository_url(name: &str) -> String {
    format!("http://git.{NAMESPACE}.svc/{name}.git")
}

/// The fixture servers of a cluster.
#[derive(Clone)]
pub struct Fixtures {
    client: Client,
}

impl Fixtures {
    /// Returns the servers of the cluster that `client` talks to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Returns what a run asked the model, and what that cost.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn record(&self, run: &str) -> Result<Value> {
        self.json("GET", "model", &format!("run/{run}/record")).await
    }

    /// Returns the same with each request's whole body.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn bodies(&self, run: &str) -> Result<Value> {
        self.json("GET", "model", &format!("run/{run}/record?bodies=1"))
            .await
    }

    /// Returns the calls that a run's MCP servers got.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn mcp_calls(&self, run: &str) -> Result<Value> {
        self.json("GET", "model", &format!("run/{run}/mcp-calls")).await
    }

    /// Returns what a run cost, by the model's own count.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn totals(&self, run: &str) -> Result<Totals> {
        let record = self.record(run).await?;
        let totals = record.get("totals").context("the record has no totals")?;
        Ok(serde_json::from_value(totals.clone())?)
    }

    /// Returns the prompt as the model got it, byte for byte.
    ///
    /// # Errors
    /// If the server can't be reached, or the run has asked nothing.
    pub async fn prompt(&self, run: &str) -> Result<String> {
        self.send("GET", "model", &format!("run/{run}/prompt")).await
    }

    /// Makes a repository, or changes its access. `query` is empty or has `private=1` and `push=token`.
    ///
    /// # Errors
    /// If the server can't be reached or refuses the name.
    pub async fn put_repository(&self, name: &str, query: &str) -> Result<()> {
        self.send("PUT", "git", &format!("_admin/repos/{name}?{query}"))
            .await?;
        Ok(())
    }

    /// Makes a GitHub App, as [`axon_fixtures::github::accounts::AppSpec`] describes it.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn put_app(&self, id: &str, app: &Value) -> Result<()> {
        let path = format!("_admin/apps/{id}");
        self.send_body("PUT", "github", &path, app.to_string().into_bytes())
            .await?;
        Ok(())
    }

    /// Makes a repository of the GitHub, as [`axon_fixtures::github::store::RepositorySpec`] describes it, and a token
    /// that may use its API.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn put_github_repository(&self, name: &str, repository: &Value, token: &str) -> Result<()> {
        for (path, body) in [
            (format!("_admin/repos/{name}"), repository.to_string()),
            (format!("_admin/tokens/{token}"), "{}".to_owned()),
        ] {
            self.send_body("PUT", "github", &path, body.into_bytes()).await?;
        }
        Ok(())
    }

    /// Returns what the GitHub was asked.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn github_record(&self) -> Result<Value> {
        self.json("GET", "github", "_admin/record").await
    }

    /// Allows a token as password.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn allow_token(&self, token: &str) -> Result<()> {
        self.send("PUT", "git", &format!("_admin/tokens/{token}")).await?;
        Ok(())
    }

    /// Returns the git host's public key for SSH, as `TYPE KEY`.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn ssh_host_key(&self) -> Result<String> {
        self.send("GET", "git", "_admin/ssh/host").await
    }

    /// Makes a key for SSH and returns its private half; one that is `let_in` opens every repository.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn ssh_key(&self, let_in: bool, passphrase: &str) -> Result<String> {
        let path = format!(
            "_admin/ssh/keys?let-in={}&passphrase={passphrase}",
            u8::from(let_in)
        );
        self.send("POST", "git", &path).await
    }

    /// Returns a repository's refs with the commits they point to.
    ///
    /// # Errors
    /// If the server can't be reached or there is no such repository.
    pub async fn refs(&self, repository: &str) -> Result<BTreeMap<String, String>> {
        let refs = self
            .json("GET", "git", &format!("_admin/repos/{repository}/refs"))
            .await?;
        Ok(serde_json::from_value(refs)?)
    }

    /// Returns the commits of a branch, newest first, with author, message and files.
    ///
    /// # Errors
    /// If the server can't be reached or there is no such branch.
    pub async fn log(&self, repository: &str, branch: &str) -> Result<Vec<Value>> {
        let path = format!("_admin/repos/{repository}/log?ref={branch}");
        Ok(serde_json::from_value(self.json("GET", "git", &path).await?)?)
    }

    /// Returns a file of a branch.
    ///
    /// # Errors
    /// If the server can't be reached or there is no such file.
    pub async fn file(&self, repository: &str, branch: &str, path: &str) -> Result<String> {
        let path = format!("_admin/repos/{repository}/file?ref={branch}&path={path}");
        self.send("GET", "git", &path).await
    }

    /// Returns what git clients asked of a repository lately, without credentials.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn git_requests(&self, repository: &str) -> Result<Vec<Value>> {
        let path = format!("_admin/requests?repo={repository}");
        Ok(serde_json::from_value(self.json("GET", "git", &path).await?)?)
    }

    /// Makes an issue or pull request of a GitHub repository, or changes it.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn put_item(&self, repository: &str, number: u64, item: &ItemSpec) -> Result<()> {
        let path = format!("api/v3/_admin/repos/{repository}/items/{number}");
        self.send_body("PUT", "git", &path, serde_json::to_vec(item)?)
            .await?;
        Ok(())
    }

    /// Adds comments of the repository's owner to an issue or pull request.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn comment(&self, repository: &str, number: u64, bodies: &[&str]) -> Result<()> {
        let of = |body: &&str| CommentSpec {
            body: (*body).to_owned(),
            ..CommentSpec::default()
        };
        let comments: Vec<CommentSpec> = bodies.iter().map(of).collect();
        self.comment_by(repository, number, &comments).await
    }

    /// Adds comments to an issue or pull request.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn comment_by(&self, repository: &str, number: u64, comments: &[CommentSpec]) -> Result<()> {
        let path = format!("api/v3/_admin/repos/{repository}/items/{number}/comments");
        self.send_body("POST", "git", &path, serde_json::to_vec(comments)?)
            .await?;
        Ok(())
    }

    /// Lets a token use GitHub's API.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn allow_github_token(&self, token: &str) -> Result<()> {
        self.send("PUT", "git", &format!("api/v3/_admin/tokens/{token}"))
            .await?;
        Ok(())
    }

    async fn json(&self, method: &str, service: &str, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.send(method, service, path).await?)?)
    }

    async fn send(&self, method: &str, service: &str, path: &str) -> Result<String> {
        self.send_body(method, service, path, Vec::new()).await
    }

    async fn send_body(&self, method: &str, service: &str, path: &str, body: Vec<u8>) -> Result<String> {
        let uri = format!("/api/v1/namespaces/{NAMESPACE}/services/{service}:80/proxy/{path}");
        let request = http::Request::builder().method(method).uri(&uri).body(body)?;
        self.client
            .request_text(request)
            .await
            .with_context(|| format!("failed to {method} {path} of the {service} fixture"))
    }
}
