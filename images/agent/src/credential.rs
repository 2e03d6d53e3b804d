//! Git's credential protocol: gives the token to one host only, at call time.

/// User name that GitHub takes together with any token.
pub const DEFAULT_USER: &str = "x-access-token";

/// Answers one request (gitcredentials(7)). `scope` is the scheme and host that may have the token.
///
/// An empty answer lets git go on without a credential; `store` and `erase` always get one.
#[must_use]
pub fn answer(action: &str, scope: &str, request: &str, token: Option<&str>) -> String {
    let Some(token) = token.filter(|token| fault(token).is_none()) else {
        return String::new();
    };
    let attribute = |name: &str| {
        request
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    let protocol = attribute("protocol").unwrap_or_default();
    let host = attribute("host").unwrap_or_default();
    let asked = canonical(protocol, host);
    if action != "get" || asked.is_none() || asked != canonical_scope(scope) {
        return String::new();
    }
    let user = attribute("username")
        .filter(|user| !user.is_empty())
        .unwrap_or(DEFAULT_USER);
    format!("username={user}\npassword={token}\n")
}

/// Returns why git can't have a token, if it can't: its protocol has one line for it.
#[must_use]
pub fn fault(token: &str) -> Option<&'static str> {
    token.contains(['\n', '\r', '\0']).then_some(
        "the token of the Workspace's Secret is not used: GITHUB_TOKEN there has a line break in its middle, and a \
         token is one line",
    )
}

fn canonical_scope(scope: &str) -> Option<(String, String)> {
    let (protocol, host) = scope.split_once("://")?;
    canonical(protocol, host)
}

/// Lower case and without the scheme's default port; `None` for what takes no token.
fn canonical(protocol: &str, host: &str) -> Option<(String, String)> {
    let default_port = match protocol {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let host = host.strip_suffix(default_port).unwrap_or(host);
    (!host.is_empty()).then(|| (protocol.to_owned(), host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "https://git.example.com:8443";

    fn get(request: &str) -> String {
        answer("get", SCOPE, request, Some("tok"))
    }

    #[test]
    fn the_workspace_s_host_gets_the_token() {
        let request = "protocol=https\nhost=Git.Example.com:8443\nwwwauth[]=Basic realm=x\n\n";
        assert_eq!(get(request), "username=x-access-token\npassword=tok\n");
        let named = "protocol=https\nhost=git.example.com:8443\nusername=bot\n";
        assert_eq!(get(named), "username=bot\npassword=tok\n");
        let port = "protocol=https\nhost=h:443\n";
        assert!(!answer("get", "https://h", port, Some("tok")).is_empty());
    }

    #[test]
    fn nobody_else_does() {
        for request in [
            "",
            "protocol=https\nhost=evil.com\n",
            "protocol=http\nhost=git.example.com:8443\n",
            "protocol=https\nhost=git.example.com\n",
            "protocol=https\nhost=git.example.com:8443.evil.com\n",
            "protocol=https\n\nhost=git.example.com:8443\n",
        ] {
            assert_eq!(get(request), "", "{request}");
        }
        for scope in ["", "x", "://", "ftp://git.example.com:8443"] {
            let request = "protocol=ftp\nhost=git.example.com:8443\n";
            assert_eq!(answer("get", scope, request, Some("tok")), "", "{scope}");
        }
    }

    #[test]
    fn only_get_has_an_answer_and_only_with_a_token() {
        let request = "protocol=https\nhost=git.example.com:8443\n";
        for action in ["store", "erase", "other"] {
            assert_eq!(answer(action, SCOPE, request, Some("tok")), "");
        }
        assert_eq!(answer("get", SCOPE, request, None), "");
        assert_eq!(answer("get", SCOPE, request, Some("a\nb=c")), "");
    }
}
