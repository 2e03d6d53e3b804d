//! Addresses of GitHub's APIs, and the words of their refusals. Pure.

use super::link;
use super::read::{self, Cut};
use serde::Deserialize;

/// Most characters of a refusal's words.
const MAX_WORDS: usize = 300;

/// Returns the address of the GraphQL API beside a REST API.
pub(super) fn graphql_of(api: &str) -> String {
    format!("{}/graphql", api.strip_suffix("/v3").unwrap_or(api))
}

/// Returns the path of a base URL, such as `/api/v3`, or nothing.
pub(super) fn prefix(api: &str) -> &str {
    let after = api.split_once("://").map_or(api, |(_, rest)| rest);
    after.find('/').and_then(|at| after.get(at..)).unwrap_or_default()
}

/// Returns path and query of a redirect that stays at `origin`.
pub(super) fn same_host(origin: &str, location: &str) -> Option<String> {
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
