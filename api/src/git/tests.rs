use axon_fixtures::git_urls::{REFS, Ref, URLS, Url as Outcome};
use proptest::prelude::*;
use url::Url;

use super::*;

#[test]
fn every_form_of_a_url_is_read_as_the_table_says() {
    let mut wrong = Vec::new();
    for (text, outcome) in URLS {
        let parsed = Repository::parse(text);
        let is_good = match (outcome, &parsed) {
            (Outcome::Taken(host, path), Ok(repository)) => {
                (repository.host.as_str(), repository.path.as_str()) == (*host, *path) && !has_password(text)
            }
            (Outcome::Password, Ok(_)) => has_password(text),
            (Outcome::Refused(words), Err(error)) => {
                let error = error.to_string();
                error.contains("is not a repository URL: ") && error.contains(words)
            }
            _ => false,
        };
        if !is_good {
            wrong.push(format!("{text:?}: {outcome:?}, not {parsed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(URLS.len() > 150);
}

/// The parser takes every URL that advice names; otherwise people would go in circles.
#[test]
fn the_url_that_a_message_names_is_taken() {
    let mut named = 0;
    for (text, _) in URLS {
        let Err(error) = Repository::parse(text) else {
            continue;
        };
        if let Some(rest) = error.advice.strip_prefix("write \"") {
            let url = rest.split('"').next().unwrap();
            assert!(Repository::parse(url).is_ok(), "{text:?}: {url}");
            named += 1;
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn the_kind_of_a_url_decides_what_it_takes() {
    for (text, is_http, is_plain_http, is_ssh) in [
        ("https://bot@h:8443/x", true, false, false),
        ("http://h/x", true, true, false),
        ("git://h/x", false, false, false),
        ("org-1@h:x", false, false, true),
        ("ssh://git@[::1]:2222/x", false, false, true),
    ] {
        let it = Repository::parse(text).unwrap();
        assert_eq!(
            (it.is_http, it.is_plain_http, it.is_ssh),
            (is_http, is_plain_http, is_ssh),
            "{text}"
        );
    }
}

#[test]
fn nobody_who_reads_a_url_sees_a_password() {
    for (text, shown) in [
        ("https://bot:s3cret@h/x@y", "https://<redacted>@h/x@y"),
        ("https://s3cret@h:8443/x", "https://<redacted>@h:8443/x"),
        ("https://bot:s3@cret@h/x", "https://<redacted>@h/x"),
        ("https://bot:s3/cret@h/x", "https://<redacted>@h/x"),
        ("bot:s3cret@h/x", "<redacted>@h/x"),
        ("bot:s3cret@h:o/x", "<redacted>@h:o/x"),
        ("s3cret@h/x", "<redacted>@h/x"),
        ("ghp_s3cret@h:o/x", "<redacted>@h:o/x"),
        ("https://h/x@y", "https://h/x@y"),
        ("https://h/x?token=s3cret", "https://h/x?<redacted>"),
        ("https://h?token=s3@cret", "https://<redacted>@cret"),
        ("ssh://git@h:2222/x", "ssh://git@h:2222/x"),
        ("ssh://org-123@h/x", "ssh://org-123@h/x"),
        ("git+ssh://org-123@h/x", "git+ssh://org-123@h/x"),
        ("ssh://git:s3cret@h/x", "ssh://<redacted>@h/x"),
        ("ssh://git:s3cret@h:o/x", "ssh://<redacted>@h:o/x"),
        ("git@h:x", "git@h:x"),
        ("org-123@github.com:o/r", "org-123@github.com:o/r"),
        ("org-123@h:-o", "org-123@h:-o"),
        ("/local", "/local"),
        ("", ""),
    ] {
        assert_eq!(redacted(text), shown);
    }
}

#[test]
fn no_message_has_a_secret() {
    let hidden = ["s3cret", "ghp_0"];
    for (text, _) in URLS {
        let text = text.replace("git@", "git:s3cret@");
        for text in [
            text.clone(),
            format!(" {text}"),
            format!("{text}?x=s3cret"),
            text.replacen("://", "://me:s3cret@", 1),
        ] {
            if let Err(error) = Repository::parse(&text) {
                let error = error.to_string();
                assert!(hidden.iter().all(|secret| !error.contains(secret)), "{error}");
            }
        }
    }
}

/// git goes to `evil.example` for the first; `test/tests/api/repositories.rs` compares all forms with git itself.
#[test]
fn refuses_hosts_that_are_not_only_a_host() {
    for text in [
        "ssh://evil.example%2fx@github.com/o/r",
        "git@127.0.0.1/admin/x?y=:o/r",
        "git@127.0.0.1/admin/y#:o/r",
        "git@u@127.0.0.1/z?:o/r",
        "git@h#:o/r",
        "git@.:/",
        "git@h\\admin:o/r",
        "git@h\u{0}:o/r",
        "git@[::1]o/r",
        "git://0x7f000001/o/r",
        "https://h\u{ff0f}x/o/r",
        "git://h!x/o/r",
        "https://[v1.x]/o/r",
        "https:h/o/r",
        "https://h\t/o/r",
    ] {
        assert!(Repository::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_ref_that_no_server_can_have_is_told_from_one_that_is_missing() {
    for (name, outcome) in REFS {
        let advice = ref_advice(name).unwrap_or_default();
        match (outcome, ref_fault(name)) {
            (Ref::Refused(words), Some(fault)) => {
                assert!(
                    advice.contains(words) || fault.contains(words),
                    "{name:?}: {fault}; {advice}"
                );
            }
            (Ref::Refused(_), None) => panic!("{name:?} is refused"),
            (Ref::Missing(words), None) => {
                assert!(
                    advice.contains(words) || words.starts_with("no branch"),
                    "{name:?}: {advice}"
                );
            }
            (Ref::Default, _) => assert_eq!(normalised_ref(name), None),
            (_, fault) => assert_eq!((fault, advice.as_str()), (None, ""), "{name:?}"),
        }
    }
}

#[test]
fn the_api_is_where_the_host_says() {
    for (url, api) in [
        ("https://github.com/o/r.git", "https://api.github.com"),
        ("git@github.com:o/r", "https://api.github.com"),
        ("https://www.github.com/o/r", "https://api.github.com"),
        ("ssh://git@ssh.github.com:443/o/r", "https://api.github.com"),
        ("ssh://git@github.com:22/o/r", "https://api.github.com"),
        ("git@ssh.github.com:o/r", "https://api.github.com"),
        ("https://octo.ghe.com/o/r", "https://api.octo.ghe.com"),
        ("ssh://git@octo.ghe.com:22/o/r", "https://api.octo.ghe.com"),
        ("https://ghe.example/o/r", "https://ghe.example/api/v3"),
        ("https://notghe.com/o/r", "https://notghe.com/api/v3"),
        (
            "https://octo.ghe.com.evil/o/r",
            "https://octo.ghe.com.evil/api/v3",
        ),
        ("http://ghe:8080/o/r", "http://ghe:8080/api/v3"),
        ("ssh://git@ghe:2222/o/r", "https://ghe/api/v3"),
    ] {
        assert_eq!(Repository::parse(url).unwrap().github_api(), api, "{url}");
    }
    assert_eq!(gh_token_variable("octo.ghe.com"), "GH_TOKEN");
    assert_eq!(gh_token_variable("ghe.example:8443"), "GH_ENTERPRISE_TOKEN");
}

proptest! {
    /// However a URL is written, the operator asks the host that git clones from, and nothing but the API's root.
    #[test]
    fn the_api_is_at_the_parsed_host_and_at_its_root(
        scheme in prop_oneof![Just("git@"), Just("https://"), Just("http://"), Just("ssh://"), Just("git://")],
        rest in "[a-zA-Z0-9.:/@?#%\\\\_\\[\\]-]{1,24}",
    ) {
        let text = format!("{scheme}{rest}");
        if let Ok(repository) = Repository::parse(&text) {
            let api = Url::parse(&repository.github_api()).unwrap();
            let authority = match api.port() {
                Some(port) => format!("{}:{port}", api.host_str().unwrap()),
                None => api.host_str().unwrap().to_owned(),
            };
            let site = Repository::site(&repository);
            prop_assert!(
                [site.to_owned(), format!("api.{site}"), format!("api.{}", repository.host_name())].contains(&authority),
                "{} of {}", authority, text
            );
            prop_assert!(matches!(api.path(), "/" | "/api/v3"), "{} of {}", api, text);
            prop_assert!(api.query().is_none() && api.fragment().is_none() && api.username().is_empty());
            prop_assert!(repository.host.chars().all(|c| c.is_ascii_alphanumeric() || "._-:[]".contains(c)));
        }
    }
}

#[test]
fn one_repository_has_one_key() {
    let keys: Vec<String> = [
        "https://github.com/Org/Repo.git",
        "git@github.com:org/repo",
        "ssh://git@github.com:22/org/repo/",
        "ssh://git@ssh.github.com:443/org/repo.git",
        "https://www.github.com/org/repo",
    ]
    .iter()
    .map(|u| Repository::parse(u).unwrap().key())
    .collect();
    assert!(keys.iter().all(|k| k == "github.com/org/repo"), "{keys:?}");
}

#[test]
fn branch_names_follow_git() {
    for good in ["main", "feature/x-1", "a.b", "ünï", "x@y", "@x"] {
        assert_eq!(branch_fault(good), None, "{good}");
    }
    for bad in [
        "", "-x", "@", "HEAD", "a b", "a..b", "a@{1}", "a//b", "/a", "a/", "a.", ".a", "a/.b", "a.lock",
        "a.lock/b", "a~", "a:b", "a\nb", "a\\b",
    ] {
        assert!(branch_fault(bad).is_some(), "{bad}");
    }
}
