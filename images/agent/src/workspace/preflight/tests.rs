use super::*;

const HTTP_403: &str = "fatal: unable to access 'https://h/o/r.git/': The requested URL returned error: 403";
const SSH: &str = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n\
                   and the repository exists.";

fn answer(said: &str) -> Answer {
    Answer::of(&End::Failure(Some(128)), said)
}

#[test]
fn hosts_words_are_known() {
    use Cause::{Archived, Credential, ReadOnly};
    for (said, after, cause) in [
        (
            "remote: This repository was archived so it is read-only.",
            HTTP_403,
            Archived,
        ),
        (
            "ERROR: This repository was archived so it is read-only.",
            SSH,
            Archived,
        ),
        (
            "remote: You can't push code to an archived project.",
            HTTP_403,
            Archived,
        ),
        (
            "remote: Permission to o/r.git denied to somebody.",
            HTTP_403,
            ReadOnly,
        ),
        (
            "remote: Write access to repository not granted.",
            HTTP_403,
            ReadOnly,
        ),
        (
            "remote: You are not allowed to push code to this project.",
            HTTP_403,
            ReadOnly,
        ),
        (
            "remote: Repository not found.",
            "fatal: repository 'https://h/o/r.git/' not found",
            ReadOnly,
        ),
        ("ERROR: Permission to o/r.git denied to deploy key", SSH, ReadOnly),
        (
            "ERROR: The key you are authenticating with has been marked as read only.",
            SSH,
            ReadOnly,
        ),
        (
            "remote: ERROR: This deploy key does not have write access to this project.",
            SSH,
            ReadOnly,
        ),
        (
            "conq: repository access denied. access via a deployment key is read-only.",
            "fatal: The remote end hung up unexpectedly",
            ReadOnly,
        ),
        ("FATAL: W any r user DENIED by fallthru", SSH, ReadOnly),
        (
            "",
            "fatal: remote error: access denied or repository not exported: /r.git",
            ReadOnly,
        ),
        (
            "remote: Invalid username or token. Password authentication is not supported for Git operations.",
            "fatal: Authentication failed for 'https://h/o/r.git/'",
            Credential,
        ),
        (
            "remote: The 'acme' organization has enabled or enforced SAML SSO.",
            HTTP_403,
            Credential,
        ),
        (
            "",
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            Credential,
        ),
    ] {
        assert_eq!(
            answer(&format!("{said}\n{after}")),
            Answer::Refused(cause),
            "{said}"
        );
    }
}

#[test]
fn what_may_pass_or_is_not_known_refuses_nothing() {
    for said in [
        "fatal: unable to access 'https://h/r/': The requested URL returned error: 502",
        "fatal: unable to access 'https://h/r/': The requested URL returned error: 429",
        "remote: You have exceeded a secondary rate limit.\nfatal: unable to access 'https://h/r/': The requested URL returned error: 403",
        "remote: The repository is temporarily read-only. Please try again later.\nfatal: unable to access 'https://h/r/': The requested URL returned error: 403",
        "Unauthorized use of this system is prohibited.\nConnection closed by 192.0.2.1 port 22\nfatal: Could not read from remote repository.",
        "fatal: unable to access 'https://h/archived/read-only.git/': The requested URL returned error: 502",
        "fatal: the remote end hung up unexpectedly",
        "",
    ] {
        assert_eq!(answer(said), Answer::Unknown, "{said}");
    }
    for end in [End::TimedOut(LIMIT), End::Failure(None)] {
        assert_eq!(Answer::of(&end, HTTP_403), Answer::Unknown);
    }
    let empty = "No refs in common and none specified; doing nothing.\nPerhaps you should specify a branch.\nfatal: the remote end hung up unexpectedly";
    assert_eq!(Answer::of(&End::Failure(Some(1)), empty), Answer::Granted);
    assert_eq!(Answer::of(&End::Success, ""), Answer::Granted);
}

#[test]
fn only_work_that_is_to_be_pushed_and_could_be_fails_a_task() {
    let (archived, read_only) = (Answer::Refused(Cause::Archived), Answer::Refused(Cause::ReadOnly));
    for (answer, has_branch, has_credential, verdict) in [
        (Answer::Granted, true, true, Verdict::Go),
        (read_only, true, true, Verdict::Fail(TaskReason::AuthFailed)),
        (archived, true, true, Verdict::Fail(TaskReason::CloneFailed)),
        (read_only, false, true, Verdict::Warn),
        (read_only, true, false, Verdict::Warn),
        (Answer::Unknown, true, true, Verdict::Warn),
    ] {
        assert_eq!(answer.verdict(has_branch, has_credential), verdict, "{answer:?}");
    }
}

#[test]
fn names_that_github_refuses_are_known() {
    let id = "0123456789abcdef0123456789abcdef01234567";
    for (url, branch, is_refused) in [
        ("https://github.com/o/r", "refs/heads/x", true),
        ("git@github.com:o/r.git", id, true),
        ("https://acme.ghe.com/o/r", id, true),
        ("https://github.com/o/r", "axon/refs/heads/x", false),
        ("https://github.com/o/r", &id[..39], false),
        ("https://git.example.com/o/r", "refs/heads/x", false),
    ] {
        let repository = Repository::parse(url).unwrap();
        assert_eq!(
            name_fault(&repository, branch).is_some(),
            is_refused,
            "{url} {branch}"
        );
    }
}

#[test]
fn another_host_takes_a_full_name_and_the_short_one_is_advised() {
    let warning = |url: &str, branch: &str| name_warning(&Repository::parse(url).unwrap(), branch);
    let said = warning("https://git.example.com/o/r", "refs/heads/q").unwrap();
    assert!(
        said.contains("refs/heads/refs/heads/q") && said.contains("write \"q\""),
        "{said}"
    );
    assert_eq!(warning("https://git.example.com/o/r", "q/refs/heads/x"), None);
    assert_eq!(warning("https://github.com/o/r", "refs/heads/q"), None);
}

#[test]
fn the_question_is_on_or_off_and_nothing_else() {
    for (value, is) in [
        (None, Some(true)),
        (Some(""), Some(true)),
        (Some("on"), Some(true)),
        (Some("True"), Some(true)),
        (Some("1"), Some(true)),
        (Some("yes"), Some(true)),
        (Some("off"), Some(false)),
        (Some(" OFF\n"), Some(false)),
        (Some("false"), Some(false)),
        (Some("0"), Some(false)),
        (Some("no"), Some(false)),
        (Some("disabled"), None),
        (Some("of"), None),
    ] {
        match (is_asked(value), is) {
            (Ok(found), Some(is)) => assert_eq!(found, is, "{value:?}"),
            (Err(failure), None) => {
                assert_eq!(failure.reason, TaskReason::InvalidConfig);
                assert!(failure.message.contains("AXON_PUSH_CHECK"), "{failure}");
            }
            (found, is) => panic!("{value:?}: {found:?}, {is:?}"),
        }
    }
}

#[test]
fn the_advice_is_about_what_the_scheme_takes() {
    let refused = Answer::Refused(Cause::ReadOnly);
    for (url, part, other) in [
        ("https://h/o/r", "give the token", "key"),
        ("git@h:o/r", "give the key", "token"),
        ("git://h/o/r", "https:// or ssh://", "token"),
    ] {
        let repository = Repository::parse(url).unwrap();
        let advice = refused.advice(Scheme::of(Some(&repository))).unwrap();
        assert!(
            advice.contains(part) && !advice.contains(other),
            "{url}: {advice}"
        );
        assert!(advice.contains("AXON_PUSH_CHECK=off"), "{advice}");
    }
}
