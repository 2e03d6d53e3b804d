//! Advice for refused URLs: people bring forms that other tools take, and addresses from the browser.

use super::form::{self, Scheme, is_ssh_user};
use super::pages::{self, Page};
use super::{Repository, redacted, ref_fault};

/// Advice for texts without an obvious better form.
const FORMS: &str =
    "use https://, http://, git://, ssh:// or USER@HOST:PATH, with a host of letters, digits, '.' and '-'";
/// More repairs than a text can need. A bound, since one repair may undo another.
const MOST_REPAIRS: usize = 8;

/// A text on its way to a URL that is taken.
struct Repair {
    text: String,
    /// Words for the message about the ref that was cut off the text.
    reference: Option<String>,
}

fn in_ref(name: &str) -> String {
    format!("{name:?} in ref")
}

/// Returns what to write in place of `text`.
pub(super) fn of(text: &str) -> String {
    let trimmed = text.trim();
    let is_local = ["file:", "/", "./", "../", "~"]
        .iter()
        .any(|start| trimmed.to_ascii_lowercase().starts_with(start))
        && !trimmed.starts_with("//");
    if is_local {
        return "a pod can't reach a folder: use the URL of a server, such as https://HOST/OWNER/NAME"
            .to_owned();
    }
    if redacted(text).contains("<redacted>@") {
        // A repair could take a part of what is hidden there for a path.
        return FORMS.to_owned();
    }
    let mut repair = Repair {
        text: text.to_owned(),
        reference: None,
    };
    for _ in 0..MOST_REPAIRS {
        if Repository::read(&repair.text).is_some() {
            let (url, reference) = (redacted(&repair.text), &repair.reference);
            let reference = reference.as_deref().map(|words| format!(", and {words}"));
            return format!("write {url:?}{}", reference.unwrap_or_default());
        }
        if let Some(owner) = owner_alone(&repair.text) {
            return format!("write {:?}, with the repository's name", format!("{owner}/NAME"));
        }
        let Some((better, reference)) = better(&repair.text) else {
            break;
        };
        repair.text = better;
        repair.reference = repair.reference.or(reference);
    }
    FORMS.to_owned()
}

/// Returns the URL of an owner on a host where a repository is `OWNER/NAME`.
fn owner_alone(text: &str) -> Option<String> {
    let form = form::read(text)?;
    let path = form.path();
    let is_owner = !path.is_empty()
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let is_plain = form.scheme.is_http() && pages::has_two_parts(form.host) && is_owner;
    is_plain.then(|| format!("https://{}/{path}", form.host))
}

/// Returns a text that is nearer to a URL that is taken, and what to say of the ref that it no longer has.
fn better(text: &str) -> Option<(String, Option<String>)> {
    let alone = [trimmed, schemeless, scheme, tail_of_colon, host, path]
        .iter()
        .find_map(|repair| repair(text).filter(|better| better != text));
    let with_ref = || extras(text).or_else(|| page(text));
    with_ref().or_else(|| Some((alone?, None)))
}

fn trimmed(text: &str) -> Option<String> {
    let short = text.trim_matches(|c: char| c.is_whitespace() || "<>\"'`".contains(c));
    let short = short.strip_prefix("git::").unwrap_or(short);
    (short != text).then(|| short.to_owned())
}

/// `?ref=develop`, `#develop` and what else follows a path.
fn extras(text: &str) -> Option<(String, Option<String>)> {
    let (url, extra) = text.split_at_checked(text.find(['?', '#'])?)?;
    // Before the path it is no such thing, and what the host is can't be told.
    let path = url
        .split_once("://")
        .map_or_else(|| url.split_once(':'), |(_, rest)| rest.split_once('/'));
    path?;
    let wanted = ["ref=", "branch=", "tag=", "version=GB"];
    let named = extra
        .split(['?', '&', '#'])
        .find_map(|pair| wanted.iter().find_map(|key| pair.strip_prefix(key)));
    let name = named.or_else(|| extra.strip_prefix('#')).unwrap_or_default();
    let is_name = ref_fault(name).is_none() && !name.contains(['=', '@']) && name.len() < 100;
    Some((url.to_owned(), is_name.then(|| in_ref(name))))
}

/// The forms without a scheme that people know from elsewhere.
fn schemeless(text: &str) -> Option<String> {
    if text.contains("://") {
        return None;
    }
    if let Some((_, rest)) = ["https:/", "http:/", "https:", "//"]
        .iter()
        .find_map(|start| Some((start, text.strip_prefix(start)?)))
    {
        return Some(format!("https://{}", rest.trim_start_matches('/')));
    }
    for (short, host) in [
        ("github:", "github.com"),
        ("gh:", "github.com"),
        ("gitlab:", "gitlab.com"),
    ] {
        if let Some(path) = text.strip_prefix(short) {
            return Some(format!("https://{host}/{path}"));
        }
    }
    if let Some((user, rest)) = text.split_once('@') {
        if !is_ssh_user(user) {
            return None;
        }
        // git@[HOST:PORT]:PATH
        if let Some((place, path)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            return Some(format!("ssh://{user}@{place}/{path}"));
        }
        return match rest.split_once(':') {
            Some((host, path)) if host.contains('/') || path.starts_with("//") => {
                Some(format!("{user}@{host}:{}", path.trim_start_matches('/')))
                    .filter(|_| !host.contains('/'))
            }
            Some((host, path)) => port_in_path(user, host, path),
            None => {
                let (host, path) = rest.split_once('/')?;
                Some(format!("{user}@{host}:{path}"))
            }
        };
    }
    let (first, rest) = text.split_once(['/', ':'])?;
    if text.contains(':') && !first.contains('/') && text.get(first.len()..)?.starts_with(':') {
        let is_port = rest.starts_with(|c: char| c.is_ascii_digit());
        // One letter is a drive.
        let is_scheme = matches!(first, "git" | "ssh" | "git+ssh");
        if is_scheme && rest.split('/').next().is_some_and(|host| host.contains('.')) {
            return Some(format!("https://{rest}"));
        }
        let scp = (first.len() > 1 && !is_port).then(|| format!("git@{first}:{rest}"));
        return scp.or_else(|| is_port.then(|| format!("https://{text}")));
    }
    if first.contains('.') || first == "localhost" {
        return Some(format!("https://{text}"));
    }
    (rest.trim_matches('/').split('/').count() == 1).then(|| format!("https://github.com/{text}"))
}

/// `git@github.com:443/o/r`: a number before the path is a part of it, and no port.
fn port_in_path(user: &str, host: &str, path: &str) -> Option<String> {
    let (port, path) = path.split_once('/')?;
    let port: u16 = port.parse().ok()?;
    Some(format!("ssh://{user}@{host}:{port}/{path}"))
}

fn scheme(text: &str) -> Option<String> {
    let (name, rest) = text.split_once("://")?;
    let lower = name.to_ascii_lowercase();
    let name = match lower.as_str() {
        "git+ssh" | "ssh+git" => "ssh",
        "git+https" | "htttps" | "htps" | "httpss" => "https",
        "git+http" => "http",
        "git" if is_git_for_https(rest) => "https",
        "https" | "http" | "git" | "ssh" => lower.as_str(),
        _ => return None,
    };
    Some(format!("{name}://{}", rest.trim_start_matches('/')))
}

/// git:// has no users, and the big hosts have stopped to serve it.
fn is_git_for_https(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    pages::has_two_parts(host)
}

/// `ssh://git@github.com:o/r`, a mixture of both forms of SSH.
fn tail_of_colon(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (place, first) = authority.rsplit_once(':')?;
    let is_port = first.bytes().all(|byte| byte.is_ascii_digit());
    // What stands before an `@` is a password.
    if place.ends_with(']') && is_port || first.contains(['@', ']']) {
        return None;
    }
    if first.is_empty() {
        return Some(format!("{scheme}://{place}/{path}"));
    }
    if is_port {
        let port = first.trim_start_matches('0');
        return (port != first).then(|| format!("{scheme}://{place}:{port}/{path}"));
    }
    if !first.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '~') {
        return None;
    }
    // Before OWNER/NAME it is more likely a mistyped port, and another owner's repository is nothing to advise.
    let is_owner = !scheme.starts_with("http") || !path.trim_matches('/').contains('/');
    is_owner.then(|| format!("{scheme}://{place}/{first}/{path}"))
}

/// A dot at the host's end.
fn host(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let (place, port) = match authority.split_once(':') {
        Some((place, port)) => (place, format!(":{port}")),
        None => (authority, String::new()),
    };
    Some(format!("{scheme}://{}{port}/{path}", place.strip_suffix('.')?))
}

/// Slashes that are there twice, and backslashes.
fn path(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    if path.contains("..") || path.contains('%') || authority.contains('\\') {
        return None;
    }
    let path = path.replace('\\', "/");
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    Some(format!("{scheme}://{authority}/{}", parts.join("/")))
}

fn page(text: &str) -> Option<(String, Option<String>)> {
    let form = form::read(text)?;
    let parts: Vec<&str> = form.path().split('/').collect();
    let page = Page::of(&parts, pages::has_two_parts(form.host)).filter(|page| !page.rest.is_empty())?;
    if form.scheme == Scheme::Scp
        && page.path.starts_with(|c: char| c.is_ascii_digit())
        && !text.contains("/-/")
    {
        // More likely a port.
        return None;
    }
    let before = text.split_at_checked(text.find(form.path())?)?.0;
    // Pages are served over HTTP; the repository is where the page says, by the same way.
    let url = match form.scheme {
        Scheme::Scp => format!("{before}{}", page.path),
        _ => format!("{}/{}", before.trim_end_matches('/'), page.path),
    };
    let certain = page.reference.as_deref().map(in_ref);
    let words = certain.or_else(|| {
        let beginning = page.beginning?;
        Some(format!(
            "its branch or tag, {beginning:?} or a beginning of that, in ref"
        ))
    });
    Some((url, words))
}
