//! Rules of the API server: the grammar of [`super::form`] and [`super::pages`] in CEL.

use kube::core::Rule;

/// Characters that no URL has: blanks, control characters, backslashes.
const ODD: &str = r"\s\x00-\x1f\x7f-\x{9f}\p{Z}\\";
const SSH_USER: &str = "[A-Za-z0-9_][A-Za-z0-9._+-]*";
const NAME: &str = r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*";
const PORT: &str = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})";
/// Hosts on which a repository is `OWNER/NAME`.
const TWO_PARTS: &str = r"(((www|ssh)\.)?github\.com|bitbucket\.org)";

/// Returns the rules of a Workspace's `repo`, as [`super::Repository::parse`] reads it.
pub(crate) fn repo_rules() -> [Rule; 5] {
    let host = format!(r"({NAME}|\[[0-9A-Fa-f:]+\])");
    let http = format!("https?://([^/@?#{ODD}]+@)?");
    let ssh = format!("ssh://({SSH_USER}(:[^/@%?#{ODD}]*)?@)?");
    let part = format!("[^/{ODD}]+");
    let url = format!("({http}|{ssh}|git://){host}(:{PORT})?(/{part})+/*");
    let scp = format!("{SSH_USER}@{host}:(/{part}|[^/{ODD}-][^/{ODD}]*)(/{part})*/*");
    let url_of = |host: &str| format!("^((https?|git|ssh)://([^/@]*@)?|[^/@]*@){host}");
    let octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
    let two_parts = url_of(TWO_PARTS);
    [
        Rule::new(matches(&format!("^({url}|{scp})$"))).message(
            "repo must be a URL that starts with https://, http://, git://, ssh:// or USER@HOST:, followed by a host of letters, \
             digits, '.' and '-' and by a path such as OWNER/NAME",
        ),
        Rule::new(format!("!{}", matches("[?#]")))
            .message("repo must not have '?' or '#': name the branch, tag or commit in ref"),
        Rule::new(format!(
            "!{} || {}",
            matches(&url_of(r"(\[|([A-Za-z0-9_-]+\.)*([0-9]+|0[xX][0-9a-fA-F]*)(:|/|$))")),
            matches(&url_of(&format!(r"(({octet}\.){{3}}{octet}(:|/|$)|\[{}\])", ipv6())))
        ))
        .message("repo must have an IP address in the form that all programs read: 127.0.0.1, not 127.1, and [2001:db8::1]"),
        Rule::new(format!(
            "!{}",
            matches(r"^[^/]*:/?(.*/)?(\.|%2[eE]){1,2}(/|$)|%(2[fF]|5[cC]|[01][0-9a-fA-F]|7[fF])")
        ))
        .message("repo must not have '.', '..' or an encoded slash in its path"),
        Rule::new(format!(
            "{} ? {} : ({} || !{})",
            matches(&format!("(?i){two_parts}[:/]")),
            matches(&format!(
                "(?i)^((https?|ssh)://([^/@]*@)?{TWO_PARTS}(:[0-9]*)?/|[^/@]*@{TWO_PARTS}:/?)[a-z0-9._-]+/[a-z0-9._-]+/*$"
            )),
            matches("[.]git/*$"),
            matches(&page())
        ))
        .message(
            "repo must be the URL that git clones, not the address of a page: https://HOST/OWNER/NAME, with the branch, tag or \
             commit in ref",
        ),
    ]
}

/// Returns the pattern of pages on hosts that are no more known than by their software.
fn page() -> String {
    let part = "[^/]+";
    format!(
        "^https?://{part}/({part}/(.*/)?[+-](/|$)|{part}/{part}/((tree|blob|blame|raw|edit|commits)/{part}|\
         src/(branch|commit|tag)/{part}|commit/[0-9a-fA-F]{{7,}}(/|$)|(pull|pulls|issues|merge_requests)/[0-9]+(/|$))|\
         (projects|users)/{part}/repos/{part}/browse(/|$)|(.*/)?_git/{part}/(pullrequest|commit)/{part}/*$)"
    )
}

fn ipv6() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let mut forms = vec![format!("({group}:){{7}}{group}"), format!("({group}:){{1,7}}:")];
    // N groups, `::`, and up to 7 - N further ones.
    forms.extend((1..7).map(|before| format!("({group}:){{{before}}}(:{group}){{1,{}}}", 7 - before)));
    forms.push(format!(":(:{group}){{1,7}}"));
    forms.push("::".to_owned());
    format!("({})", forms.join("|"))
}

/// Returns the rules of a Workspace's `ref`, as [`super::ref_fault`] reads it.
pub(crate) fn ref_rules() -> [Rule; 2] {
    let fault = r"^/|^@$|[~^:?*\[\\]|\.\.|@\{|//|[/.]$|(^|/)\.|\.lock(/|$)";
    [
        Rule::new(format!("!{}", matches(r"^-|[\s\x00-\x1f\x7f]")))
            .message("ref must not start with '-' or contain spaces: name a branch, a tag or a commit"),
        Rule::new(format!("!{}", matches(fault)))
            .message("ref must be the name of one branch or tag, the id of a commit, or HEAD: no pattern (v1.*) and no expression (main~1)"),
    ]
}

/// CEL of a text that matches. A raw string, or CEL would read the backslashes.
fn matches(pattern: &str) -> String {
    format!("self.matches(r'{pattern}')")
}
