//! Repository URLs and branch names.

use url::Url;

use crate::contract::env;

/// Where a repository lives, read from its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Host, lower case, with the port when the URL has one. Never holds credentials.
    pub host: String,
    /// Path without leading slash and without a trailing `.git` or slash, such as `org/repo`.
    pub path: String,
    /// True for `http` and `https` URLs, the ones that take a token.
    pub is_http: bool,
    /// True for `http` URLs: nothing is encrypted.
    pub is_plain_http: bool,
    /// True for `ssh` URLs and `git@HOST:PATH`, the ones that take a key.
    pub is_ssh: bool,
}

/// A repository URL that git could not clone or that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{url:?} is not a repository URL: use https://, http://, git://, ssh:// or git@HOST:PATH, with a host of letters, digits, '.' and '-'"
)]
pub struct InvalidRepository {
    /// The refused text, as [`redacted`] shows it.
    pub url: String,
}

impl Repository {
    /// Reads a URL in one of the forms that a Workspace may have.
    ///
    /// # Errors
    /// [`InvalidRepository`] for any other form, such as a local path.
    pub fn parse(text: &str) -> Result<Self, InvalidRepository> {
        let invalid = || InvalidRepository { url: redacted(text) };
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid());
        }
        if let Some(rest) = text.strip_prefix("git@") {
            let (host, path) = split_host(rest).ok_or_else(invalid)?;
            // `?` and `#` would end the path where the repository's URL is written in another form.
            let path = path.strip_prefix(':').filter(|path| !path.contains(['?', '#']));
            let path = path.filter(|path| !path.trim_matches('/').is_empty() && is_the_same_in_https(host));
            return Ok(Self {
                host: host.to_ascii_lowercase(),
                path: normalise_path(path.ok_or_else(invalid)?),
                is_http: false,
                is_plain_http: false,
                is_ssh: true,
            });
        }
        let url = Url::parse(text).map_err(|_| invalid())?;
        if !matches!(url.scheme(), "https" | "http" | "git" | "ssh") {
            return Err(invalid());
        }
        let written = written_host(text).ok_or_else(invalid)?;
        // git reads the text itself. Where the two could differ, with `%67ithub.com`, `127.1` or `a\@b`, the URL is refused.
        let name = url
            .host_str()
            .filter(|name| name.eq_ignore_ascii_case(written) && is_the_same_in_https(name))
            .ok_or_else(invalid)?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", name.to_ascii_lowercase()),
            None => name.to_ascii_lowercase(),
        };
        Ok(Self {
            host,
            path: normalise_path(url.path()),
            is_http: url.scheme().starts_with("http"),
            is_plain_http: url.scheme() == "http",
            is_ssh: url.scheme() == "ssh",
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
        format!("{host}/{}", self.path.to_ascii_lowercase())
    }
}

/// Splits the host off the beginning of a text: a name of letters, digits, `.`, `_` and `-`, or an IPv6 address in brackets.
fn split_host(text: &str) -> Option<(&str, &str)> {
    let end = match text.strip_prefix('[') {
        Some(address) => {
            let end = address.find(|c: char| !c.is_ascii_hexdigit() && !":.".contains(c))?;
            let is_address = address.get(..end)?.parse::<std::net::Ipv6Addr>().is_ok();
            address.get(end..)?.strip_prefix(']').filter(|_| is_address)?;
            end + 2
        }
        None => text
            .find(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c))
            .unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(end)?;
    let is_plain = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    is_plain.then_some((host, rest))
}

/// Returns true if the host stays what it is in the URL of the API. `0` and `127.1` are names in `ssh://127.1/o/r`, and
/// addresses in `https://127.1/`.
fn is_the_same_in_https(host: &str) -> bool {
    let url = Url::parse(&format!("https://{host}/"));
    url.is_ok_and(|url| url.host_str().is_some_and(|name| name.eq_ignore_ascii_case(host)))
}

/// Returns the host as it stands in a URL: after the user, of whom there is one at most, and before port and path.
fn written_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    // git takes all before the first slash for the host, and a URL's parser would end it at `?` and `#` too.
    let authority = rest.split('/').next()?;
    if authority.contains(['?', '#']) {
        return None;
    }
    let place = match authority.split_once('@') {
        Some((_, place)) if place.contains('@') => return None,
        Some((_, place)) => place,
        None => authority,
    };
    let (host, port) = split_host(place)?;
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(host)
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

/// Returns true if a URL holds a password, which has no place where everyone may read it.
#[must_use]
pub fn has_password(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.password().is_some())
}

/// Returns a URL for people to read: who it says that logs in is left out, unless that is `git`. Tokens stand there, with
/// and without a user's name.
#[must_use]
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // Of what is no URL nobody can say where the password ends.
    let end = match Url::parse(url) {
        Ok(_) => rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()),
        Err(_) => rest.len(),
    };
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) if user != "git" => format!("{scheme}<redacted>@{host}{path}"),
        _ => url.to_owned(),
    }
}

/// What to do about it.
pub const PASSWORD_ADVICE: &str = "holds a password, which everyone could read who may see the Workspace, and the agent: put it into a \
     Secret with the key GITHUB_TOKEN, and name that in spec.secretRef (a user name may stay in the URL)";

fn normalise_path(path: &str) -> String {
    let trimmed = path.trim_matches('/');
    trimmed.strip_suffix(".git").unwrap_or(trimmed).to_owned()
}

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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_host_and_path_of_every_form() {
        let cases = [
            (
                "https://github.com/org/my.repo.git",
                "github.com",
                "org/my.repo",
                true,
            ),
            (
                "https://user:tok@GitHub.com/org/repo/",
                "github.com",
                "org/repo",
                true,
            ),
            ("http://git.example:8080/a/b", "git.example:8080", "a/b", true),
            ("git://host/x.git", "host", "x", false),
            ("git@github.com:org/repo.git", "github.com", "org/repo", false),
            ("ssh://git@host:2222/org/repo", "host:2222", "org/repo", false),
        ];
        for (text, host, path, is_http) in cases {
            let repo = Repository::parse(text).unwrap();
            assert_eq!(
                (repo.host.as_str(), repo.path.as_str(), repo.is_http),
                (host, path, is_http),
                "{text}"
            );
        }
    }

    #[test]
    fn ssh_and_passwords_are_told_from_the_url() {
        for (text, is_ssh, name, password) in [
            ("https://bot@h:8443/x", false, "h", false),
            ("https://bot:secret@h/x", false, "h", true),
            ("git://h/x", false, "h", false),
            ("git@h:x", true, "h", false),
            ("ssh://git@h:2222/x", true, "h", false),
            ("ssh://git:secret@[::1]/x", true, "[::1]", true),
        ] {
            let repository = Repository::parse(text).unwrap();
            assert_eq!(
                (repository.is_ssh, repository.host_name(), has_password(text)),
                (is_ssh, name, password),
                "{text}"
            );
        }
    }

    #[test]
    fn nobody_who_reads_a_url_sees_who_logs_in() {
        for (text, shown) in [
            ("https://bot:s3cret@h/x@y", "https://<redacted>@h/x@y"),
            ("https://s3cret@h:8443/x", "https://<redacted>@h:8443/x"),
            ("https://bot:s3@cret@h/x", "https://<redacted>@h/x"),
            ("https://bot:s3/cret@h/x", "https://<redacted>@h/x"),
            ("bot:s3cret@h/x", "<redacted>@h/x"),
            ("https://h/x@y", "https://h/x@y"),
            ("ssh://git@h:2222/x", "ssh://git@h:2222/x"),
            ("ssh://git:s3cret@h/x", "ssh://<redacted>@h/x"),
            ("git@h:x", "git@h:x"),
            ("/local", "/local"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), shown);
        }
        let refused = Repository::parse("ftp://bot:s3cret@h/x").unwrap_err();
        assert!(!refused.to_string().contains("s3cret"), "{refused}");
    }

    #[test]
    fn the_api_is_where_the_host_says() {
        for (url, api) in [
            ("https://github.com/o/r.git", "https://api.github.com"),
            ("git@github.com:o/r", "https://api.github.com"),
            ("https://www.github.com/o/r", "https://api.github.com"),
            ("ssh://git@ssh.github.com:443/o/r", "https://api.github.com"),
            ("ssh://git@github.com:22/o/r", "https://api.github.com"),
            ("git@ssh.github.com:o/r", "https://api.github.com"),
            ("https://octo.ghe.com/o/r", "https://api.octo.ghe.com"),
            ("ssh://git@octo.ghe.com:22/o/r", "https://api.octo.ghe.com"),
            ("https://ghe.example/o/r", "https://ghe.example/api/v3"),
            ("https://notghe.com/o/r", "https://notghe.com/api/v3"),
            (
                "https://octo.ghe.com.evil/o/r",
                "https://octo.ghe.com.evil/api/v3",
            ),
            ("http://ghe:8080/o/r", "http://ghe:8080/api/v3"),
            ("ssh://git@ghe:2222/o/r", "https://ghe/api/v3"),
        ] {
            assert_eq!(Repository::parse(url).unwrap().github_api(), api, "{url}");
        }
        assert_eq!(gh_token_variable("octo.ghe.com"), "GH_TOKEN");
        assert_eq!(gh_token_variable("ghe.example:8443"), "GH_ENTERPRISE_TOKEN");
    }

    #[test]
    fn refuses_what_is_no_remote() {
        for text in [
            "",
            "/local",
            "file:///x",
            "ext::sh -c id",
            "git@host",
            "ftp://h/x",
            "https://",
            "C:\\x",
            "user@host:o/r",
        ] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
    }

    /// git takes the first three for local paths; `test/tests/api/repositories.rs` compares with git itself.
    #[test]
    fn refuses_hosts_that_are_not_only_a_host() {
        for text in [
            "git@127.0.0.1/admin/x?y=:o/r",
            "git@127.0.0.1/admin/y#:o/r",
            "git@u@127.0.0.1/z?:o/r",
            "git@h#:o/r",
            "git@h?x:o/r",
            "git@u@h:o/r",
            "git@h%2fadmin:o/r",
            "git@-oProxyCommand=id:o/r",
            "git@.:/",
            "git@h:o/r?x",
            "git@h:o/r#x",
            "git@h\\admin:o/r",
            "git@[::1:o/r",
            "git@[::1]o/r",
            "git@[h:22]:o/r",
            "git@[]:o/r",
            "git@h\u{0}:o/r",
            "https://%67ithub.com/o/r",
            "https://127.1/o/r",
            "https://0x7f000001/o/r",
            "ssh://0/o/r",
            "ssh://git@127.1/o/r",
            "git://0x7f000001/o/r",
            "git@127.1:o/r",
            "https://evil.example?@github.com/o/r",
            "https://evil.example#@github.com/o/r",
            "ssh://github.com?@evil.example/o/r",
            "ssh://github.com#@evil.example/o/r",
            "https://a\\@b/o/r",
            "https://a@b@c/o/r",
            "https://a:b/c@d/o/r",
            "https://b\u{fc}cher.example/o/r",
            "https://h\u{ff0f}x/o/r",
            "https://h:99999/o/r",
            "ssh://-oProxyCommand=id/o/r",
            "ssh://h%20x/o/r",
            "git://h!x/o/r",
            "https://[::1/o/r",
            "https://[v1.x]/o/r",
            "https:/h/o/r",
            "https:h/o/r",
            "https://h\t/o/r",
        ] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
        for (text, host) in [
            ("git@[::1]:o/r", "[::1]"),
            ("git@My-Host.example:o/r", "my-host.example"),
            ("git@build_host:o/r", "build_host"),
            ("ssh://git@[::1]:2222/o/r", "[::1]:2222"),
            ("https://127.0.0.1:8443/o/r", "127.0.0.1:8443"),
            ("https://dev.azure.com/org/My%20Project/_git/r", "dev.azure.com"),
            ("https://u%40corp@h/o/r", "h"),
        ] {
            assert_eq!(Repository::parse(text).unwrap().host, host, "{text}");
        }
    }

    proptest! {
        /// However a URL is written, the operator asks the host that git clones from, and nothing but the API's root.
        #[test]
        fn the_api_is_at_the_parsed_host_and_at_its_root(
            scheme in prop_oneof![Just("git@"), Just("https://"), Just("http://"), Just("ssh://"), Just("git://")],
            rest in "[a-zA-Z0-9.:/@?#%\\\\_\\[\\]-]{1,24}",
        ) {
            let text = format!("{scheme}{rest}");
            if let Ok(repository) = Repository::parse(&text) {
                let api = Url::parse(&repository.github_api()).unwrap();
                let authority = match api.port() {
                    Some(port) => format!("{}:{port}", api.host_str().unwrap()),
                    None => api.host_str().unwrap().to_owned(),
                };
                let site = Repository::site(&repository);
                prop_assert!(
                    [site.to_owned(), format!("api.{site}"), format!("api.{}", repository.host_name())].contains(&authority),
                    "{} of {}", authority, text
                );
                prop_assert!(matches!(api.path(), "/" | "/api/v3"), "{} of {}", api, text);
                prop_assert!(api.query().is_none() && api.fragment().is_none() && api.username().is_empty());
                prop_assert!(repository.host.chars().all(|c| c.is_ascii_alphanumeric() || "._-:[]".contains(c)));
            }
        }
    }

    #[test]
    fn one_repository_has_one_key() {
        let keys: Vec<String> = [
            "https://github.com/Org/Repo.git",
            "git@github.com:org/repo",
            "ssh://git@github.com:22/org/repo/",
            "ssh://git@ssh.github.com:443/org/repo.git",
            "https://www.github.com/org/repo",
        ]
        .iter()
        .map(|u| Repository::parse(u).unwrap().key())
        .collect();
        assert!(keys.iter().all(|k| k == "github.com/org/repo"), "{keys:?}");
    }

    #[test]
    fn branch_names_follow_git() {
        for good in ["main", "feature/x-1", "a.b", "ünï", "x@y", "@x"] {
            assert_eq!(branch_fault(good), None, "{good}");
        }
        for bad in [
            "", "-x", "@", "HEAD", "a b", "a..b", "a@{1}", "a//b", "/a", "a/", "a.", ".a", "a/.b", "a.lock",
            "a.lock/b", "a~", "a:b", "a\nb", "a\\b",
        ] {
            assert!(branch_fault(bad).is_some(), "{bad}");
        }
    }
}
