//! The repository's URL: what git gets, what people see, and who may have the token.

use axon_api::contract::{GITHUB_DIR, env as names};
use axon_api::git::{PASSWORD_ADVICE, Repository, has_password};
use url::Url;

use crate::credential::DEFAULT_USER;
use crate::failure::Failure;
use crate::secrets::without_userinfo;

/// A repository to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// For git.
    pub url: String,
    /// For people: without user and password.
    pub shown: String,
    /// Host, lower case, with the port when the URL has one.
    pub host: String,
    /// Git configuration that gives the token to this host and to no other.
    pub credential: Vec<(String, String)>,
}

impl Remote {
    /// Reads the URL of a Workspace.
    ///
    /// # Errors
    /// `InvalidConfig` for a URL that is not allowed.
    pub fn parse(text: &str, has_token: bool) -> Result<Self, Failure> {
        let shown = without_userinfo(text);
        let repository = Repository::parse(text)
            .map_err(|error| Failure::invalid(format!("Workspace.spec.repo {error}")))?;
        if has_password(text) {
            return Err(Failure::invalid(format!("the URL of {shown} {PASSWORD_ADVICE}")));
        }
        let remote = Self {
            url: text.to_owned(),
            shown,
            host: repository.host.clone(),
            credential: Vec::new(),
        };
        if !repository.is_http || !has_token {
            return Ok(remote);
        }
        let has_user = Url::parse(text).is_ok_and(|url| !url.username().is_empty());
        let scheme = text.split_once("://").map_or("https", |(scheme, _)| scheme);
        let credential = credential_config(&scheme.to_ascii_lowercase(), &repository.host, has_user)?;
        Ok(Self { credential, ..remote })
    }

    /// Returns where git says that the host sends it, and whether that is another place: there, nobody gets the token.
    fn target(&self, said: &str) -> Option<(String, bool)> {
        let own = Url::parse(&self.url).ok()?;
        let target = said.lines().rev().find_map(|line| {
            if let Some((_, target)) = line.split_once("redirecting to ") {
                return Url::parse(target.trim()).ok();
            }
            // git does not tell of the redirect if it is asked for a password there.
            let (_, rest) = line.split_once("could not read ")?;
            let mut target = Url::parse(rest.split('\'').nth(1)?).ok()?;
            target.set_path(own.path());
            Some(target)
        })?;
        let is_elsewhere = target.origin() != own.origin();
        let target = without_userinfo(target.as_str().trim_end_matches('/'));
        (is_elsewhere || target != self.url.trim_end_matches('/')).then_some((target, is_elsewhere))
    }

    /// Returns what to say of a redirect, after a command of git's that worked.
    #[must_use]
    pub fn moved(&self, said: &str) -> Option<String> {
        let (target, is_elsewhere) = self.target(said)?;
        if is_elsewhere {
            return Some(elsewhere(&target));
        }
        Some(format!(
            "{} redirects to {target}: write that URL in spec.repo of the Workspace, since tokens and pull requests are \
             matched by it",
            self.shown
        ))
    }

    /// Returns what to do about an error of git that the form of the URL may explain.
    #[must_use]
    pub fn advice(&self, said: &str) -> Option<String> {
        if let Some((target, true)) = self.target(said) {
            return Some(format!(
                "{} (the token of the Workspace's Secret was not sent there)",
                elsewhere(&target)
            ));
        }
        // The number in git@HOST:2222/OWNER/NAME is no port.
        let (place, path) = self.url.split_once(':').filter(|_| !self.url.contains("://"))?;
        let (port, path) = path.split_once('/')?;
        port.parse::<u16>().ok().map(|port| {
            format!(
                "{port} is a part of the path in this URL: with a port, it is ssh://{place}:{port}/{path}"
            )
        })
    }
}

/// Returns what to do about a redirect to another scheme or host.
fn elsewhere(target: &str) -> String {
    if target.starts_with("https://") {
        format!("the host redirects to {target}: write that URL in spec.repo of the Workspace")
    } else {
        format!("the host redirects to {target}, which is not encrypted: use a URL that begins with https://")
    }
}

/// Returns the configuration that makes git ask us, and only us, for this host's credential.
fn credential_config(scheme: &str, host: &str, has_user: bool) -> Result<Vec<(String, String)>, Failure> {
    // The host becomes a word of a shell command below; a real one has no other characters.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err(Failure::invalid(format!("{host:?} is no host name")));
    }
    let scope = format!("{scheme}://{host}");
    // git matches no configuration with a host that has a '_'. There, it is axon-agent that limits the helper to its host.
    let is_matched = !host.contains('_');
    let ours = format!("axon-agent git-credential '{scope}' \"$1\"");
    // Images written for axon have no axon-agent; there git itself is all that limits the helper to its host.
    let without_us = format!(
        "elif test \"$1\" = get; then t=$(cat \"${{{file}:-{dir}/{token}}}\" 2>/dev/null); \
         t=$(printf %s \"${{t:-${token}}}\" | tr -d '\\r'); \
         if test \"$(printf %s \"$t\" | wc -l)\" -gt 0; then echo 'the token has a line break in its middle' >&2; \
         elif test -n \"$t\"; then printf 'password=%s\\n' \"$t\"; fi; ",
        file = names::GITHUB_TOKEN_FILE,
        dir = GITHUB_DIR,
        token = names::GITHUB_TOKEN
    );
    let without_us = if is_matched { without_us.as_str() } else { "" };
    let helper = format!(
        "!axon_credential() {{ if command -v axon-agent >/dev/null 2>&1; then {ours}; {without_us}fi; }}; axon_credential"
    );
    let key = |name: &str| match is_matched {
        true => format!("credential.{scope}.{name}"),
        false => format!("credential.{name}"),
    };
    let mut config = vec![
        // Empty: forget helpers of wider configuration, one of which might store the token on disk.
        (key("helper"), String::new()),
        (key("helper"), helper),
        (key("useHttpPath"), "false".to_owned()),
    ];
    // The helper answers with this name, too.
    if !has_user && is_matched {
        config.push((key("username"), DEFAULT_USER.to_owned()));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axon_fixtures::git_urls::{URLS, Url as Outcome};

    #[test]
    fn the_token_is_for_the_host_alone() {
        let remote = Remote::parse("https://bot@Git.Example:8443/o/r.git", true).unwrap();
        assert_eq!(remote.url, "https://bot@Git.Example:8443/o/r.git");
        assert_eq!(
            (remote.shown.as_str(), remote.host.as_str()),
            ("https://Git.Example:8443/o/r.git", "git.example:8443")
        );
        let keys: Vec<_> = remote.credential.iter().map(|(key, _)| key.as_str()).collect();
        let key = "credential.https://git.example:8443";
        assert_eq!(
            keys,
            [
                format!("{key}.helper"),
                format!("{key}.helper"),
                format!("{key}.useHttpPath")
            ]
        );
        assert!(
            remote.credential[1]
                .1
                .contains("axon-agent git-credential 'https://git.example:8443'")
        );
    }

    #[test]
    fn a_url_without_user_gets_the_default_one() {
        let remote = Remote::parse("http://h/o/r", true).unwrap();
        let user = (
            "credential.http://h.username".to_owned(),
            "x-access-token".to_owned(),
        );
        assert!(remote.credential.contains(&user));
        assert_eq!(remote.url, "http://h/o/r");
    }

    #[test]
    fn without_a_token_or_without_http_the_url_is_git_s_own_business() {
        for (url, token) in [("https://u@h/r", false), ("git@h:o/r", true), ("git://h/r", true)] {
            let remote = Remote::parse(url, token).unwrap();
            assert_eq!((remote.url.as_str(), remote.credential.len()), (url, 0));
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_with_advice_and_not_repeated() {
        for (url, token) in [
            ("https://u:secret@h/r", false),
            ("https://u:secret@h/r", true),
            ("ssh://u:secret@h/r", false),
        ] {
            let failure = Remote::parse(url, token).unwrap_err();
            assert!(failure.message.contains("spec.secretRef"), "{failure}");
            assert!(!failure.message.contains("secret@"), "{failure}");
        }
    }

    #[test]
    fn every_form_of_a_url_is_the_parsers() {
        for (form, outcome) in URLS {
            let remote = Remote::parse(form, true);
            match outcome {
                Outcome::Taken(host, _) => {
                    let remote = remote.unwrap();
                    assert_eq!((remote.url.as_str(), remote.host.as_str()), (*form, *host));
                    let takes_token = form.starts_with("http");
                    assert_eq!(!remote.credential.is_empty(), takes_token, "{form}");
                }
                Outcome::Password => {
                    let failure = remote.unwrap_err();
                    assert!(failure.message.contains("spec.secretRef"), "{failure}");
                }
                Outcome::Refused(words) => {
                    let failure = remote.unwrap_err();
                    assert!(failure.message.starts_with("Workspace.spec.repo "), "{failure}");
                    assert!(failure.message.contains(words), "{failure}");
                }
            }
        }
    }

    #[test]
    fn a_redirect_to_another_place_is_named() {
        let remote = Remote::parse("http://h/o/r.git", true).unwrap();
        for (said, place) in [
            (
                "warning: redirecting to https://h/o/r.git/\nfatal: x",
                Some("the host redirects to https://h/o/r.git: write that URL in spec.repo of the Workspace"),
            ),
            (
                "fatal: could not read Username for 'https://h': terminal prompts disabled",
                Some("redirects to https://h/o/r.git: write"),
            ),
            (
                "fatal: could not read Password for 'https://me@h:8443': terminal prompts disabled",
                Some("redirects to https://h:8443/o/r.git: write"),
            ),
            (
                "warning: redirecting to http://evil.example/o/r/",
                Some("not encrypted: use a URL"),
            ),
            ("warning: redirecting to http://h/new/r/", None),
            (
                "fatal: could not read Username for 'http://h': terminal prompts disabled",
                None,
            ),
            ("fatal: Authentication failed for 'https://h/'", None),
        ] {
            let found = remote.advice(said);
            assert_eq!(found.is_some(), place.is_some(), "{said}");
            assert!(found.is_none_or(|found| found.contains(place.unwrap())), "{said}");
        }
        let renamed = remote.moved("warning: redirecting to http://h/new/r.git/\nabc\tHEAD");
        assert!(
            renamed
                .is_some_and(|said| said.contains("http://h/o/r.git redirects to http://h/new/r.git: write"))
        );
        assert_eq!(remote.moved("abc\tHEAD"), None);
    }

    #[test]
    fn a_port_that_is_none_is_named() {
        let advice = |url| Remote::parse(url, false).unwrap().advice("fatal: x");
        let said = advice("git@h:2222/o/r").unwrap();
        assert!(said.ends_with("it is ssh://git@h:2222/o/r"), "{said}");
        assert_eq!(advice("git@h:o/r"), None);
        assert_eq!(advice("ssh://git@h:2222/o/r"), None);
        assert_eq!(advice("git@[::1]:o/r"), None);
    }

    #[test]
    fn no_host_reaches_the_shell_as_more_than_a_word() {
        for url in [
            "https://$(id)/r",
            "https://a'b/r",
            "https://a;b/r",
            "https://a`b`/r",
            "https://a&b/r",
        ] {
            assert!(Remote::parse(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn a_refused_url_shows_no_password() {
        let failure = Remote::parse("ftp://user:secret@h/x", true).unwrap_err();
        assert!(!failure.message.contains("secret"), "{failure}");
        assert!(failure.message.contains("is not a repository URL"), "{failure}");
    }
}
