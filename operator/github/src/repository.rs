//! Which repository of which GitHub, read from a Workspace's URL.

use axon_api::git;

/// A repository as GitHub's API knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository {
    /// Host, lower case, with the port when the URL has one.
    pub host: String,
    /// Owner: a person or an organisation.
    pub owner: String,
    /// Name.
    pub name: String,
    /// Base URL of the API, without a trailing slash.
    pub api: String,
    /// True if the URL is `http://`, so that git would send a token without encryption, whatever the API does.
    pub is_plain_http: bool,
}

/// A URL that names no repository of a GitHub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOnGithub {
    /// It is no URL of a repository.
    #[error("repo {0}")]
    Invalid(#[from] git::InvalidRepository),
    /// Its path is not `OWNER/NAME`.
    #[error("{url:?} names no repository on GitHub: its path must be OWNER/NAME")]
    Path {
        /// The URL, without credentials.
        url: String,
    },
}

impl Repository {
    /// Reads a Workspace's `spec.repo`.
    ///
    /// # Errors
    /// [`NotOnGithub`] for a URL that is no repository's or whose path is not `OWNER/NAME`.
    pub fn of(url: &str) -> Result<Self, NotOnGithub> {
        let repository = git::Repository::parse(url)?;
        let (owner, name) = repository
            .path
            .split_once('/')
            .filter(|(owner, name)| is_plain(owner) && is_plain(name))
            .ok_or_else(|| NotOnGithub::Path {
                url: format!("{}/{}", repository.host, repository.path),
            })?;
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            host: repository.site().to_owned(),
            api: repository.github_api(),
            is_plain_http: repository.is_plain_http,
        })
    }

    /// Returns the host as lists of hosts name it, and whether it is reached by `http`, without TLS.
    #[must_use]
    pub fn site(&self) -> (bool, &str) {
        (self.api.starts_with("http://"), &self.host)
    }

    /// Returns `OWNER/NAME`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// GitHub's own alphabet for owners and names, so that nothing else gets into a URL's path.
fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axon_fixtures::git_urls::{URLS, Url};

    #[test]
    fn every_form_of_a_url_names_the_repository_that_git_clones() {
        let mut named = 0;
        for (form, outcome) in URLS {
            let repository = Repository::of(form);
            match (outcome, repository) {
                (Url::Taken(_, path), Ok(repository)) => {
                    assert_eq!(repository.path(), *path, "{form}");
                    named += 1;
                }
                // Repositories of other forges: three parts and more, or other letters.
                (Url::Taken(_, path), Err(error)) => {
                    let is_github = path.split('/').count() == 2 && path.split('/').all(is_plain);
                    assert!(!is_github, "{form}: {error}");
                    assert!(
                        error.to_string().contains("its path must be OWNER/NAME"),
                        "{error}"
                    );
                }
                (Url::Refused(words), Err(error)) => {
                    let error = error.to_string();
                    assert!(error.starts_with("repo ") && error.contains(words), "{error}");
                }
                (Url::Password, repository) => assert!(git::has_password(form), "{repository:?}"),
                (Url::Refused(_), Ok(repository)) => panic!("{form}: {repository:?}"),
            }
        }
        assert!(named > 30, "{named}");
    }

    #[test]
    fn the_api_is_where_the_host_says() {
        for (url, host, api) in [
            (
                "https://github.com/o/my.repo.git",
                "github.com",
                "https://api.github.com",
            ),
            (
                "git@github.com:o/my.repo.git",
                "github.com",
                "https://api.github.com",
            ),
            (
                "https://ghe.example/o/my.repo",
                "ghe.example",
                "https://ghe.example/api/v3",
            ),
            (
                "ssh://git@ssh.github.com:443/o/my.repo",
                "github.com",
                "https://api.github.com",
            ),
            (
                "https://www.github.com/o/my.repo",
                "github.com",
                "https://api.github.com",
            ),
            ("http://ghe:8080/o/my.repo", "ghe:8080", "http://ghe:8080/api/v3"),
            (
                "https://octo.ghe.com/o/my.repo",
                "octo.ghe.com",
                "https://api.octo.ghe.com",
            ),
            ("ssh://git@ghe:2222/o/my.repo", "ghe", "https://ghe/api/v3"),
            (
                "https://u:p@ghe.example:8443/o/my.repo",
                "ghe.example:8443",
                "https://ghe.example:8443/api/v3",
            ),
        ] {
            let repository = Repository::of(url).unwrap();
            assert_eq!(
                (repository.host.as_str(), repository.api.as_str()),
                (host, api),
                "{url}"
            );
            assert_eq!(repository.path(), "o/my.repo");
        }
    }

    #[test]
    fn what_is_no_repository_is_refused_without_showing_credentials() {
        for url in [
            "https://u:secret@h/x",
            "https://h/a/b/c",
            "https://h/a/..",
            "https://h/a/b%2fc",
            "x",
            "git@h:o/r/../../admin",
            "git@h:o/..",
            "git@h:o%2fr/x",
            "https://h/o/r%3fx",
            "ssh://h/o/~r",
        ] {
            let error = Repository::of(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_url_that_git_reads_otherwise_is_told_as_such() {
        let error = Repository::of("git@127.0.0.1/admin/x?y=:o/r")
            .unwrap_err()
            .to_string();
        assert!(error.contains("is not a repository URL"), "{error}");
    }
}
