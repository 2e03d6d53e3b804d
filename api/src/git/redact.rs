//! URLs for people to read, and passwords in them.

use super::form::is_ssh_user;

/// Prefixes of the usual hosts' tokens. People also put tokens in the place of a URL's user name.
const TOKENS: [&str; 10] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glcbt-",
    "ATBB",
];

/// Returns true if a URL holds a password or a token, which has no place where everyone may read it.
#[must_use]
pub fn has_password(url: &str) -> bool {
    let Some((user, _)) = split_user(url) else {
        return false;
    };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    !password.is_empty() || is_token(name)
}

fn is_token(name: &str) -> bool {
    TOKENS.iter().any(|token| name.starts_with(token))
}

/// Splits what stands before the last `@` of a URL's authority from the rest, without the scheme.
fn split_user(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = split_scheme(url);
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (at, _) = rest.get(..end)?.char_indices().rfind(|(_, c)| *c == '@')?;
    Some((rest.get(..at)?, rest.get(at + 1..)?))
}

/// Splits a scheme off, if what stands before `://` can be one.
fn split_scheme(url: &str) -> (&str, &str) {
    let is_scheme = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    match url.find("://").and_then(|at| url.split_at_checked(at + 3)) {
        Some((scheme, rest)) if is_scheme(scheme.trim_end_matches("://").trim_start()) => (scheme, rest),
        _ => ("", url),
    }
}

/// Returns a URL for people to read: who it says that logs in is left out, unless that is a user of SSH, which is no
/// secret. Tokens stand there, with and without a user's name, and in what follows a `?`.
#[must_use]
pub fn redacted(url: &str) -> String {
    let (scheme, rest) = split_scheme(url);
    // Of what is no URL nobody can say where the password ends.
    let at = if super::form::read(url).is_some() {
        split_user(url).map(|(user, _)| user.len())
    } else {
        rest.rfind('@')
    };
    let Some((user, place)) = at.and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?))) else {
        return format!("{scheme}{}", without_query(rest));
    };
    let is_scp = scheme.is_empty() && place.contains(':');
    let is_shown =
        is_ssh_user(user) && !is_token(user) && (is_scp || scheme.contains("ssh") || user == "git");
    let user = if is_shown { user } else { "<redacted>" };
    format!("{scheme}{user}@{}", without_query(place))
}

fn without_query(text: &str) -> String {
    match text.split_once('?') {
        Some((before, _)) => format!("{before}?<redacted>"),
        None => text.to_owned(),
    }
}
