//! The grammar of repository URLs. git reads the text itself: where it could find another host or path than we do, there is
//! no reading. The rules of the definition ([`super::rules`]) have the same grammar as regular expressions.

use super::host;

/// Transport of a repository URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
    Git,
    Ssh,
    /// `USER@HOST:PATH`, by SSH.
    Scp,
}

impl Scheme {
    /// Returns the scheme of a name. git knows them in lower case only.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "https" => Self::Https,
            "http" => Self::Http,
            "git" => Self::Git,
            "ssh" => Self::Ssh,
            _ => return None,
        })
    }

    /// Returns the port that a URL need not name.
    pub(super) fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Git => 9418,
            Self::Ssh | Self::Scp => 22,
        }
    }

    pub(super) fn is_http(self) -> bool {
        matches!(self, Self::Https | Self::Http)
    }

    pub(super) fn is_ssh(self) -> bool {
        matches!(self, Self::Ssh | Self::Scp)
    }
}

/// A URL in its parts, all of them as written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form<'a> {
    pub(super) scheme: Scheme,
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    /// The path: everything after the host and its port or colon.
    written_path: &'a str,
}

impl<'a> Form<'a> {
    /// Returns the path without slashes at its ends and without `.git`.
    pub(super) fn path(&self) -> &'a str {
        let path = self.written_path.trim_matches('/');
        match path.strip_suffix(".git") {
            Some(short) if !short.is_empty() && !short.ends_with('/') => short,
            _ => path,
        }
    }

    /// Returns true if the path ends in `.git`.
    pub(super) fn is_bare(&self) -> bool {
        self.written_path.trim_end_matches('/').ends_with(".git")
    }
}

/// Reads a URL, if git and we read the same in it.
pub(super) fn read(text: &str) -> Option<Form<'_>> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\');
    if text.chars().any(is_odd) || has_encoded_separator(text) {
        return None;
    }
    let form = match text.split_once("://") {
        Some((scheme, rest)) => url(Scheme::named(scheme)?, rest)?,
        None => scp(text)?,
    };
    is_path(&form).then_some(form)
}

fn url(scheme: Scheme, rest: &str) -> Option<Form<'_>> {
    let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
    let (user, place) = match authority.split_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| !is_user(scheme, user)) {
        return None;
    }
    let (host, after) = host::split(place)?;
    let port = match after.strip_prefix(':') {
        // A zero in front is another number for some.
        Some(port) if !port.starts_with(['0', '+']) => Some(port.parse().ok()?),
        Some(_) => return None,
        None if after.is_empty() => None,
        None => return None,
    };
    Some(Form {
        scheme,
        host,
        port,
        written_path: path,
    })
}

fn scp(text: &str) -> Option<Form<'_>> {
    let (user, rest) = text.split_once('@')?;
    let (host, rest) = host::split(rest)?;
    let path = rest.strip_prefix(':')?;
    // git refuses a path that could be an option, and takes two slashes for a URL.
    let is_read = is_ssh_user(user) && !path.starts_with('-') && !path.starts_with("//");
    is_read.then_some(Form {
        scheme: Scheme::Scp,
        host,
        port: None,
        written_path: path,
    })
}

fn is_user(scheme: Scheme, user: &str) -> bool {
    match scheme {
        Scheme::Https | Scheme::Http => !user.is_empty(),
        // git looks up `USER@HOST` as a whole.
        Scheme::Git => false,
        Scheme::Ssh | Scheme::Scp => {
            // git decodes all of `ssh://evil%2fx@HOST/` before it looks for the host.
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            is_ssh_user(name) && !password.contains('%')
        }
    }
}

/// Returns true for the name of a user that is one word for `ssh`, and no option.
pub(super) fn is_ssh_user(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// Returns true for a path that is the same for git, for servers and for lists of allowed repositories.
fn is_path(form: &Form<'_>) -> bool {
    let path = form.written_path;
    let path = path.strip_prefix('/').unwrap_or(path).trim_end_matches('/');
    path.split('/').all(|part| {
        let plain = part.to_ascii_lowercase().replace("%2e", ".");
        !matches!(plain.as_str(), "" | "." | "..")
    })
}

/// Returns true for an encoded slash, backslash or control character: git decodes `ssh://` URLs as a whole.
fn has_encoded_separator(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let digits = rest.get(..2).filter(|digits| !digits.starts_with('+'));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| byte == b'/' || byte == b'\\' || byte.is_ascii_control())
    })
}
