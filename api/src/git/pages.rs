//! Addresses of pages in the browser, which look like repository URLs and are none.

use super::form::Form;

/// Hosts on which a repository is `OWNER/NAME`, and everything longer a page.
const TWO_PARTS: [&str; 4] = ["github.com", "www.github.com", "ssh.github.com", "bitbucket.org"];

/// Returns true for a URL that names no repository on its host, such as `https://github.com/o/r/tree/main`.
pub(super) fn is_page(form: &Form<'_>) -> bool {
    let host = form.host.to_ascii_lowercase();
    let path = form.path();
    if TWO_PARTS.contains(&host.as_str()) {
        // github.com has stopped to serve git://.
        let is_plain = |part: &str| {
            let mut chars = part.chars();
            chars.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        let is_served = form.scheme.is_http() || form.scheme.is_ssh();
        return !is_served || path.split('/').count() != 2 || !path.split('/').all(is_plain);
    }
    form.scheme.is_http() && !form.is_bare() && place(path).is_some()
}

/// A page of a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    /// Path of the repository.
    pub(super) path: String,
    /// The ref that the page shows, as `spec.ref` takes it.
    pub(super) reference: Option<String>,
    /// A text that begins with what the page shows: names have slashes, and paths follow them.
    pub(super) beginning: Option<String>,
    /// Parts of the path after the repository.
    pub(super) rest: &'a [&'a str],
}

/// Returns how many parts of a path are the repository, if it is that of a page on some forge.
pub(super) fn place(path: &str) -> Option<usize> {
    let parts: Vec<&str> = path.split('/').collect();
    let is_id = |text: &str| text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // GitLab: group/sub/name/-/tree/main; Gerrit's browser: name/+/refs/heads/main.
    if let Some(at) = parts.iter().skip(1).position(|part| matches!(*part, "-" | "+")) {
        return Some(at + 1);
    }
    match parts.as_slice() {
        [
            _,
            _,
            "tree" | "blob" | "blame" | "raw" | "edit" | "commits",
            _,
            ..,
        ]
        | [_, _, "src", "branch" | "commit" | "tag", _, ..] => Some(2),
        [_, _, "commit", id, ..] if is_id(id) => Some(2),
        [_, _, "pull" | "pulls" | "issues" | "merge_requests", number, ..] if is_digits(number) => Some(2),
        // Bitbucket's own servers, which clone from /scm/PROJECT/NAME.git.
        ["projects" | "users", _, "repos", _, "browse", ..] => Some(4),
        [.., "_git", _, "pullrequest" | "commit", _] => Some(parts.len() - 2),
        _ => None,
    }
}

impl<'a> Page<'a> {
    /// Parts the path of a page. `two` is true on hosts where a repository has two parts.
    pub(super) fn of(parts: &'a [&'a str], two: bool) -> Option<Self> {
        let at = match place(&parts.join("/")) {
            Some(at) => at,
            None if two && parts.len() > 2 => 2,
            None => return None,
        };
        let (repository, rest) = parts.split_at_checked(at)?;
        let what = rest.strip_prefix(&["-"]).or_else(|| rest.strip_prefix(&["+"]));
        let reference = match what.unwrap_or(rest) {
            ["pull" | "pulls", number, ..] => Some(format!("refs/pull/{number}/head")),
            ["merge_requests", number, ..] => Some(format!("refs/merge-requests/{number}/head")),
            // A branch's name may have slashes, and a path may follow it.
            [
                "tree" | "blob" | "blame" | "raw" | "edit" | "commits" | "commit" | "src",
                name,
            ]
            | ["src", "branch" | "commit" | "tag", name] => Some((*name).to_owned()),
            ["releases", "tag", name] => Some(format!("refs/tags/{name}")),
            _ => None,
        };
        let beginning = match what.unwrap_or(rest) {
            ["src", "branch" | "commit" | "tag", name, more @ ..]
            | [
                "tree" | "blob" | "blame" | "raw" | "edit" | "commits" | "src" | "branch",
                name,
                more @ ..,
            ] => Some([&[*name], more].concat().join("/")),
            _ => None,
        };
        let path = match repository {
            [_, project, "repos", name] => format!("scm/{project}/{name}"),
            parts => parts.join("/"),
        };
        Some(Self {
            path,
            reference: reference.filter(|name| super::ref_fault(name).is_none()),
            beginning: beginning.filter(|name| super::ref_fault(name).is_none()),
            rest,
        })
    }
}

pub(super) fn has_two_parts(host: &str) -> bool {
    TWO_PARTS.contains(&host.to_ascii_lowercase().as_str())
}
