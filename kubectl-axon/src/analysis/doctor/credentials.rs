//! Secrets that are named, and what the tokens in them can do.

use super::guards::some_of;
use super::{Fact, Facts, Finding, Verdict, bad, ok, unknown};

/// GitHub requests below which it is time to worry.
const FEW_REQUESTS: u64 = 200;

/// A Secret that is named somewhere.
#[derive(Clone, Debug)]
pub struct SecretFacts {
    /// Its name.
    pub name: String,
    /// What names it, such as `workspace app`.
    pub user: String,
    /// Keys of which one must be there.
    pub wanted: Vec<String>,
    /// Keys that are there; `None` if the Secret does not exist.
    pub keys: Fact<Option<Vec<String>>>,
    /// How far its git credential reaches, where that can be seen.
    pub reach: Option<Reach>,
}

/// How far a git credential reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A GitHub App: tokens for the Workspace's repository and `more` others.
    App {
        /// How many repositories the Workspace adds.
        more: usize,
    },
    /// A fine-grained token: whoever made it chose repositories.
    FineGrained,
    /// A token for all that its user can reach.
    User,
}

impl Reach {
    /// Returns the reach of a token of GitHub by its prefix, which GitHub has documented; `None` for other tokens.
    #[must_use]
    pub fn of_token(token: &str) -> Option<Self> {
        let token = token.trim_start();
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| token.starts_with(prefix));
        if begins(&["github_pat_"]) {
            Some(Self::FineGrained)
        } else {
            begins(&["ghp_", "gho_", "ghu_"]).then_some(Self::User)
        }
    }
}

/// What GitHub says about a token.
#[derive(Clone, Debug, Default)]
pub struct GithubFacts {
    /// Status of the answer.
    pub status: u16,
    /// Scopes of a classic token; `None` for tokens without scopes.
    pub scopes: Option<String>,
    /// Requests that are left.
    pub remaining: Option<u64>,
}

/// Returns a finding for each Secret, one on the reach of git credentials if there are any, and one on the token of the
/// configuration file.
pub(crate) fn credentials(facts: &Facts) -> Vec<Finding> {
    let place = format!("{}{}", facts.namespace, facts.flags);
    let of_secrets = facts.secrets.iter().map(|secret| secret_finding(secret, &place));
    let mut findings: Vec<Finding> = of_secrets.collect();
    findings.extend(reach(&facts.secrets));
    findings.extend(facts.github.as_ref().map(github));
    findings
}

fn reach(secrets: &[SecretFacts]) -> Option<Finding> {
    let check = "token scope";
    let known: Vec<(&SecretFacts, &Reach)> = secrets
        .iter()
        .filter_map(|secret| Some((secret, secret.reach.as_ref()?)))
        .collect();
    let names = |is: fn(&Reach) -> bool| {
        let some = known.iter().filter(|(_, reach)| is(reach));
        some.map(|(secret, _)| format!("{} of {}", secret.name, secret.user))
            .collect::<Vec<_>>()
    };
    let wide = names(|reach| *reach == Reach::User);
    if !wide.is_empty() {
        return Some(bad(
            check,
            Verdict::Warn,
            format!(
                "agents get a token for all that its user can reach: {}",
                some_of(&wide)
            ),
            "use a GitHub App, or a fine-grained token for the repository alone",
        ));
    }
    let widened = names(|reach| matches!(reach, Reach::App { more } if *more > 0));
    match (known.len(), widened.len()) {
        (0, _) => None,
        (n, 0) => Some(ok(
            check,
            format!(
                "{} for chosen repositories",
                crate::format::count(n, "credential")
            ),
        )),
        _ => Some(ok(
            check,
            format!(
                "for chosen repositories; workspaces add some to {}",
                some_of(&widened)
            ),
        )),
    }
}

/// `place` is the namespace, with the flags behind it.
fn secret_finding(secret: &SecretFacts, place: &str) -> Finding {
    let check = "secret";
    let (name, user) = (&secret.name, &secret.user);
    let key = secret.wanted.first().map_or("KEY", String::as_str);
    let create = || format!("kubectl create secret generic {name} --from-literal={key}=VALUE -n {place}");
    match &secret.keys {
        Err(why) => unknown(check, &format!("{name} of {user}: {why}")),
        Ok(None) => bad(
            check,
            Verdict::Fail,
            format!("{name} of {user} does not exist"),
            create(),
        ),
        Ok(Some(keys)) if secret.wanted.iter().any(|w| keys.contains(w)) => {
            ok(check, format!("{name} of {user} has what is needed"))
        }
        Ok(Some(keys)) => {
            let has = if keys.is_empty() {
                "no keys".to_owned()
            } else {
                keys.join(", ")
            };
            let detail = format!(
                "{name} of {user} has {has}, and not {}",
                secret.wanted.join(" or ")
            );
            bad(
                check,
                Verdict::Fail,
                detail,
                format!("kubectl edit secret {name} -n {place}"),
            )
        }
    }
}

fn github(facts: &Fact<GithubFacts>) -> Finding {
    let check = "github token";
    let fix = "make a new token and put it into the config file: workspace.token";
    let facts = match facts {
        Ok(facts) => facts,
        Err(why) => return unknown(check, why),
    };
    if facts.status == 401 {
        return bad(
            check,
            Verdict::Fail,
            "GitHub does not accept the token of the config file",
            fix,
        );
    }
    let left = facts
        .remaining
        .map(|left| format!("{left} requests left this hour"))
        .unwrap_or_default();
    match &facts.scopes {
        Some(scopes)
            if !scopes
                .split(',')
                .any(|s| s.trim() == "repo" || s.trim() == "public_repo") =>
        {
            let has = if scopes.is_empty() { "none" } else { scopes };
            bad(
                check,
                Verdict::Warn,
                format!("the token has the scopes {has}, and not repo: agents can't push"),
                fix,
            )
        }
        _ if facts.remaining.is_some_and(|left| left < FEW_REQUESTS) => bad(
            check,
            Verdict::Warn,
            left,
            "use a token that fewer programs share, or longer poll intervals",
        ),
        _ => ok(
            check,
            format!("accepted; {left}").trim_end_matches("; ").to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, reach: Option<Reach>) -> SecretFacts {
        SecretFacts {
            name: name.into(),
            user: "workspace app".into(),
            wanted: Vec::new(),
            keys: Ok(None),
            reach,
        }
    }

    #[test]
    fn a_token_tells_by_its_form_how_far_it_reaches() {
        for (token, expected) in [
            ("ghp_abc", Some(Reach::User)),
            ("gho_abc", Some(Reach::User)),
            ("github_pat_abc", Some(Reach::FineGrained)),
            ("ghs_abc", None),
            ("glpat-abc", None),
            ("", None),
        ] {
            assert_eq!(Reach::of_token(token), expected, "{token}");
        }
    }

    #[test]
    fn a_token_of_a_whole_user_is_worth_a_look_and_chosen_repositories_are_fine() {
        let verdict =
            |secrets: &[SecretFacts]| reach(secrets).map(|finding| (finding.verdict, finding.detail));
        assert_eq!(verdict(&[secret("a", None)]), None);
        let app = |more| secret("app", Some(Reach::App { more }));
        let (ok, said) = verdict(&[app(0), secret("b", Some(Reach::FineGrained))]).unwrap();
        assert_eq!(
            (ok, said.as_str()),
            (Verdict::Ok, "2 credentials for chosen repositories")
        );
        let (ok, said) = verdict(&[app(2)]).unwrap();
        assert!(
            ok == Verdict::Ok && said.ends_with("app of workspace app"),
            "{said}"
        );
        let (warns, said) = verdict(&[app(0), secret("mine", Some(Reach::User))]).unwrap();
        assert!(
            warns == Verdict::Warn && said.ends_with("mine of workspace app"),
            "{said}"
        );
    }
}
