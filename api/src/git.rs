//! Repository URLs, refs and branch names.

use crate::contract::env;

mod advice;
mod form;
mod host;
mod pages;
mod redact;
mod reference;
mod rules;

pub use redact::{has_password, redacted};
pub use reference::{normalised as normalised_ref, ref_advice, ref_fault};
pub(crate) use rules::{ref_rules, repo_rules};

/// Host and path of a repository, read from its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Host, lower case, with the port when the URL has one that is not its scheme's usual one. Never holds credentials.
    pub host: String,
    /// Path as written, without leading slash and without a trailing `.git` or slash, such as `org/repo`.
    pub path: String,
    /// True for `http` and `https` URLs, the ones that take a token.
    pub is_http: bool,
    /// True for `http` URLs: nothing is encrypted.
    pub is_plain_http: bool,
    /// True for `ssh` URLs and `USER@HOST:PATH`, the ones that take a key.
    pub is_ssh: bool,
}

/// A repository URL that git could not clone or that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a repository URL: {advice}")]
pub struct InvalidRepository {
    /// The refused text, as [`redacted`] shows it.
    pub url: String,
    /// Advice: the form to write instead.
    pub advice: String,
}

impl Repository {
    /// Reads a URL in one of the forms that a Workspace may have.
    ///
    /// # Errors
    /// [`InvalidRepository`] for any other form, such as a local path or the address of a page in the browser.
    pub fn parse(text: &str) -> Result<Self, InvalidRepository> {
        Self::read(text).ok_or_else(|| InvalidRepository {
            url: redacted(text),
            advice: advice::of(text),
        })
    }

    fn read(text: &str) -> Option<Self> {
        let form = form::read(text).filter(|form| !pages::is_page(form))?;
        let host = form.host.to_ascii_lowercase();
        Some(Self {
            host: match form.port.filter(|port| *port != form.scheme.port()) {
                Some(port) => format!("{host}:{port}"),
                None => host,
            },
            path: form.path().to_owned(),
            is_http: form.scheme.is_http(),
            is_plain_http: form.scheme == form::Scheme::Http,
            is_ssh: form.scheme.is_ssh(),
        })
    }

    /// Returns the host without a port.
    #[must_use]
    pub fn host_name(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
            _ => &self.host,
        }
    }

    /// Returns true when the repository is on github.com, which has a name of its own for SSH on port 443.
    #[must_use]
    pub fn is_github_com(&self) -> bool {
        match self.without_other_port() {
            "github.com" | "www.github.com" => true,
            name => self.is_ssh && name == "ssh.github.com",
        }
    }

    /// Returns the host as GitHub's API and `gh` know it: of its names the usual one, and without a port that is not
    /// HTTP's.
    #[must_use]
    pub fn site(&self) -> &str {
        if self.is_github_com() {
            return "github.com";
        }
        self.without_other_port()
    }

    /// Returns the host without a port that says nothing about HTTP's.
    fn without_other_port(&self) -> &str {
        if self.is_http {
            &self.host
        } else {
            self.host_name()
        }
    }

    /// Returns the base URL of GitHub's REST API for the repository's host, without a trailing slash. github.com and the
    /// enterprises on ghe.com have it on a host of its own; any other host is taken for a GitHub Enterprise Server,
    /// which has it below `/api/v3`. The port of a URL that is not HTTP's says nothing about the API's.
    #[must_use]
    pub fn github_api(&self) -> String {
        if self.is_github_com() {
            return "https://api.github.com".to_owned();
        }
        if is_on_ghe_com(self.host_name()) {
            return format!("https://api.{}", self.host_name());
        }
        let scheme = if self.is_plain_http { "http" } else { "https" };
        format!("{scheme}://{}/api/v3", self.site())
    }

    /// Returns what identifies the repository however its URL is written: two Workspaces with the same key push to
    /// the same branches.
    #[must_use]
    pub fn key(&self) -> String {
        let host = if self.is_github_com() {
            self.site()
        } else {
            self.host_name()
        };
        let host = host::canonical(host);
        format!("{host}/{}", self.path.to_ascii_lowercase())
    }
}

/// Returns the variable from which `gh` takes the token for a host other than github.com: one for GitHub's own cloud,
/// which the subdomains of ghe.com belong to, and one for Enterprise Servers (`gh help environment`).
#[must_use]
pub fn gh_token_variable(host: &str) -> &'static str {
    if is_on_ghe_com(host) {
        env::GH_TOKEN
    } else {
        env::GH_ENTERPRISE_TOKEN
    }
}

/// Returns the entry of a list of hosts that names exactly this host, as in the annotation [`crate::labels::HOSTS`]. `plain` is
/// true for a host without TLS.
#[must_use]
pub fn host_entry(plain: bool, host: &str) -> String {
    if plain {
        format!("http://{host}")
    } else {
        host.to_owned()
    }
}

/// Returns true for an enterprise with data residency, a subdomain of ghe.com.
fn is_on_ghe_com(host: &str) -> bool {
    let tenant = host.strip_suffix(".ghe.com");
    tenant.is_some_and(|tenant| !tenant.is_empty())
}

/// Advice about a password in a URL.
pub const PASSWORD_ADVICE: &str = "holds a password, which everyone could read who may see the Workspace, and the agent: put it into a \
     Secret with the key GITHUB_TOKEN, and name that in spec.secretRef (a user name may stay in the URL)";

/// Returns why git would refuse `name` as a branch, or `None` if it would take it (git-check-ref-format's rules).
#[must_use]
pub fn branch_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.starts_with('-') {
        return Some("starts with '-'");
    }
    if name == "@" || name == "HEAD" {
        return Some("is a name that git reserves");
    }
    if name
        .chars()
        .any(|c| c.is_ascii_control() || " ~^:?*[\\".contains(c))
    {
        return Some("has a space, a control character or one of ~^:?*[\\");
    }
    if name.contains("..") || name.contains("@{") || name.contains("//") {
        return Some("has '..', '@{' or '//'");
    }
    if name.starts_with('/') || name.ends_with('/') || name.ends_with('.') {
        return Some("starts or ends with '/', or ends with '.'");
    }
    if name
        .split('/')
        .any(|part| part.starts_with('.') || part.ends_with(".lock"))
    {
        return Some("has a part that starts with '.' or ends with '.lock'");
    }
    None
}

#[cfg(test)]
mod tests;
