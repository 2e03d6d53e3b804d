//! Refs as people write them, and what they mean to us.

use super::branch_fault;

/// Returns a ref, or nothing if it names the default branch: `HEAD`, as Argo CD has it.
#[must_use]
pub fn normalised(reference: &str) -> Option<&str> {
    (!matches!(reference, "" | "HEAD")).then_some(reference)
}

/// Returns why no server can have a ref of this name, or `None` if one can (git-check-ref-format's rules).
#[must_use]
pub fn ref_fault(name: &str) -> Option<&'static str> {
    match name {
        "HEAD" => None,
        "@" => Some("is git's short form of HEAD"),
        name => branch_fault(name),
    }
}

/// Returns what to write in place of a ref that can't be, or that a server does not have, if that can be told.
#[must_use]
pub fn ref_advice(name: &str) -> Option<String> {
    let trimmed = name.trim();
    if trimmed != name && !trimmed.is_empty() {
        return Some(format!("write {trimmed:?}, without blanks"));
    }
    if name == "@" {
        return Some("write HEAD, or leave ref out".to_owned());
    }
    if name.contains('*') {
        return Some("a ref is no pattern: write the name of one branch or tag".to_owned());
    }
    if name.contains(['~', '^']) || name.contains("@{") {
        return Some("a ref is no expression: write the id of the commit".to_owned());
    }
    if let Some(number) = number_of_request(name) {
        return Some(format!(
            "write \"refs/pull/{number}/head\" for a pull request of GitHub, \"refs/merge-requests/{number}/head\" for a \
             merge request of GitLab"
        ));
    }
    let short = ["refs/remotes/", "remotes/", ""]
        .iter()
        .find_map(|start| name.strip_prefix(start)?.strip_prefix("origin/"));
    if let Some(short) = short.filter(|short| !short.is_empty()) {
        return Some(format!(
            "write {short:?}: the server's own branches have no origin/"
        ));
    }
    let slashless = name.trim_matches('/');
    if slashless != name && !slashless.is_empty() {
        return Some(format!("write {slashless:?}"));
    }
    let is_id = name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && !matches!(name.len(), 7..=40 | 64))
        .then(|| "the id of a commit has 40 digits, or at least the first 7 of them".to_owned())
}

/// Returns the number of the pull or merge request that a short form names: `pull/7/head`, `pull/7`, `#7`, `!7`.
fn number_of_request(name: &str) -> Option<&str> {
    let number = ["pull/", "pulls/", "merge-requests/", "merge_requests/", "#", "!"]
        .iter()
        .find_map(|start| name.strip_prefix(start))?;
    let number = number.strip_suffix("/head").unwrap_or(number);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(number)
}
