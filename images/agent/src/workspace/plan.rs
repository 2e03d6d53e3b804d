//! What to fetch, decided from what the server advertises.

use std::collections::BTreeMap;

/// The part of the server's refs that we asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertised {
    /// Branch that HEAD points to.
    pub default_branch: Option<String>,
    /// Object of each ref, by full name; `HEAD` is one of them.
    pub refs: BTreeMap<String, String>,
}

/// What to check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A branch, by its short name.
    Branch(String),
    /// A tag or any other ref, by its full name.
    Ref(String),
    /// A commit by its full id.
    Commit(String),
    /// A commit by the beginning of its id, which only a full fetch can find.
    Abbreviated(String),
    /// A HEAD that points to no branch.
    Head,
    /// Nothing: the repository has no commit to start from.
    Nothing,
}

/// Names of some branches of a repository whose HEAD points to none, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternatives {
    /// Branches.
    Branches(String),
    /// Tags and other refs, as `spec.ref` takes them; there is no branch.
    Others(String),
}

impl Alternatives {
    /// Returns what is wrong with HEAD, to stand behind its name. `default_branch`: where it points to, if the server says so.
    #[must_use]
    pub fn fault(&self, default_branch: Option<&str>) -> String {
        match (self, default_branch) {
            (Self::Branches(all), Some(name)) => {
                format!("points to {name}, which is no branch there (it has {all})")
            }
            (Self::Branches(all), None) => format!("points to a branch that is not there (it has {all})"),
            (Self::Others(all), _) => format!("points to no commit, and there is no branch (it has {all})"),
        }
    }
}

/// Returns the refs to ask the server for.
#[must_use]
pub fn patterns(reference: Option<&str>, branch: Option<&str>) -> Vec<String> {
    let mut patterns = vec!["HEAD".to_owned()];
    match reference {
        Some(full) if full.starts_with("refs/") => patterns.push(full.to_owned()),
        Some(name) => {
            patterns.extend([format!("refs/heads/{name}"), format!("refs/tags/{name}")]);
            patterns.extend(expanded(name));
        }
        None => {}
    }
    if let Some(name) = branch {
        patterns.extend([format!("refs/heads/{name}"), format!("refs/heads/{name}/*")]);
        patterns.extend(above(name).map(|above| format!("refs/heads/{above}")));
    }
    patterns
}

/// Returns the full name of a ref that is written without `refs/`, as git takes it. No other than branches and tags: how a
/// ref begins tells the operator whose files may configure the agent.
fn expanded(name: &str) -> Option<String> {
    let is_known = name.starts_with("heads/") || name.starts_with("tags/");
    is_known.then(|| format!("refs/{name}"))
}

/// The refs to ask for where HEAD has led to nothing.
pub const ALL_REFS: &str = "refs/*";

/// Returns the names that a branch's name begins with, up to each of its slashes.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

/// Returns the first few names.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let some: Vec<&str> = names.take(5).collect();
    (!some.is_empty()).then(|| some.join(", "))
}

impl Advertised {
    /// Reads the output of `git ls-remote --symref`.
    #[must_use]
    pub fn parse(output: &str) -> Self {
        let mut advertised = Self::default();
        for (value, name) in output.lines().filter_map(|line| line.split_once('\t')) {
            match value.strip_prefix("ref: ") {
                Some(target) if name == "HEAD" => {
                    advertised.default_branch = target.strip_prefix("refs/heads/").map(str::to_owned);
                }
                Some(_) => {}
                None => {
                    advertised.refs.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        advertised
    }

    /// Returns true when the server has this branch.
    #[must_use]
    pub fn has_branch(&self, name: &str) -> bool {
        self.refs.contains_key(&format!("refs/heads/{name}"))
    }

    /// Returns the branch that keeps a new one of this name from being pushed: git has branches as files and folders.
    #[must_use]
    pub fn in_the_way_of(&self, name: &str) -> Option<&str> {
        let below = format!("refs/heads/{name}/");
        let mut branches = self
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix("refs/heads/"));
        if self.has_branch(name) {
            return None;
        }
        branches.find(|branch| {
            above(name).any(|above| above == *branch) || format!("refs/heads/{branch}").starts_with(&below)
        })
    }

    /// Returns what a repository whose HEAD leads to nothing has to start from, for people; nothing if it has no ref.
    #[must_use]
    pub fn alternatives(&self) -> Option<Alternatives> {
        let branches = self
            .refs
            .keys()
            .filter_map(|name| name.strip_prefix("refs/heads/"));
        if let Some(some) = some(branches) {
            return Some(Alternatives::Branches(some));
        }
        // Gerrit keeps its own settings there, in an empty repository as well. A peeled tag is no ref of its own.
        let others = self
            .refs
            .keys()
            .filter(|name| {
                name.starts_with("refs/") && !name.starts_with("refs/meta/") && !name.ends_with("^{}")
            })
            .map(|name| name.strip_prefix("refs/tags/").unwrap_or(name));
        some(others).map(Alternatives::Others)
    }

    /// Returns true when the repository's ids are SHA-256.
    #[must_use]
    pub fn is_sha256(&self) -> bool {
        self.refs.values().any(|id| id.len() == 64)
    }

    /// Returns what `reference` means, or the default when there is none; `None` if the server has no such ref.
    ///
    /// A branch wins over a tag, and both win over a commit, as with `git clone --branch`.
    #[must_use]
    pub fn target(&self, reference: Option<&str>) -> Option<Target> {
        let Some(name) = reference else {
            return Some(match &self.default_branch {
                Some(branch) if self.refs.contains_key("HEAD") => Target::Branch(branch.clone()),
                None if self.refs.contains_key("HEAD") => Target::Head,
                _ => Target::Nothing,
            });
        };
        if name.starts_with("refs/") {
            let branch = name.strip_prefix("refs/heads/");
            return self.refs.contains_key(name).then(|| {
                branch.map_or_else(
                    || Target::Ref(name.to_owned()),
                    |branch| Target::Branch(branch.to_owned()),
                )
            });
        }
        let tag = format!("refs/tags/{name}");
        if self.has_branch(name) {
            Some(Target::Branch(name.to_owned()))
        } else if self.refs.contains_key(&tag) {
            Some(Target::Ref(tag))
        } else if let Some(full) = expanded(name) {
            self.target(Some(&full))
        } else if !name.chars().all(|c| c.is_ascii_hexdigit()) {
            None
        } else {
            match name.len() {
                40 | 64 => Some(Target::Commit(name.to_ascii_lowercase())),
                7..40 => Some(Target::Abbreviated(name.to_ascii_lowercase())),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axon_fixtures::git_urls::{REFS, Ref, SERVER};

    const ID: &str = "21f25c9f00000000000000000000000000000000";

    fn advertised() -> Advertised {
        Advertised::parse(&format!(
            "ref: refs/heads/main\tHEAD\n{ID}\tHEAD\n{ID}\trefs/heads/main\n{ID}\trefs/heads/both\n\
             {ID}\trefs/tags/both\n{ID}\trefs/tags/v1\n{ID}\trefs/tags/v1^{{}}\n{ID}\trefs/heads/deadbee\n\
             {ID}\trefs/heads/x/topic\n{ID}\trefs/pull/7/head\n"
        ))
    }

    #[test]
    fn a_ref_is_a_branch_then_a_tag_then_a_commit() {
        let full = "deadbeef00000000000000000000000000000000";
        for (name, target) in [
            ("main", Some(Target::Branch("main".into()))),
            ("both", Some(Target::Branch("both".into()))),
            ("deadbee", Some(Target::Branch("deadbee".into()))),
            ("v1", Some(Target::Ref("refs/tags/v1".into()))),
            ("refs/heads/main", Some(Target::Branch("main".into()))),
            ("refs/tags/v1", Some(Target::Ref("refs/tags/v1".into()))),
            ("refs/pull/7/head", Some(Target::Ref("refs/pull/7/head".into()))),
            ("refs/heads/gone", None),
            (full, Some(Target::Commit(full.into()))),
            ("DEADBEEF", Some(Target::Abbreviated("deadbeef".into()))),
            ("topic", None),
            ("dead", None),
            ("gone", None),
        ] {
            assert_eq!(advertised().target(Some(name)), target, "{name}");
        }
    }

    #[test]
    fn every_form_of_a_ref_means_what_the_table_says() {
        let lines = SERVER.iter().map(|name| format!("{ID}\t{name}\n"));
        let head = format!("ref: refs/heads/main\tHEAD\n{ID}\tHEAD\n");
        let server = Advertised::parse(&(head + &lines.collect::<String>()));
        for (name, outcome) in REFS {
            let target = server.target(axon_api::git::normalised_ref(name));
            match outcome {
                Ref::Default => assert_eq!(target, Some(Target::Branch("main".into())), "{name:?}"),
                Ref::Branch(branch) => assert_eq!(target, Some(Target::Branch((*branch).into())), "{name:?}"),
                Ref::Full(full) => assert_eq!(target, Some(Target::Ref((*full).into())), "{name:?}"),
                Ref::Commit => assert!(
                    matches!(target, Some(Target::Commit(_) | Target::Abbreviated(_))),
                    "{name:?}"
                ),
                Ref::Missing(_) | Ref::Refused(_) => assert_eq!(target, None, "{name:?}"),
            }
            if let Ref::Branch(_) | Ref::Full(_) = outcome {
                let asked = patterns(Some(name), None);
                let has = |full: &str| asked.iter().any(|pattern| pattern == full);
                assert!(SERVER.iter().any(|full| has(full)), "{name:?}: {asked:?}");
            }
        }
    }

    #[test]
    fn without_a_ref_head_decides() {
        assert_eq!(advertised().target(None), Some(Target::Branch("main".into())));
        let detached = Advertised::parse(&format!("{ID}\tHEAD\n"));
        assert_eq!(detached.target(None), Some(Target::Head));
        assert_eq!(Advertised::default().target(None), Some(Target::Nothing));
        let dangling = Advertised::parse("ref: refs/heads/main\tHEAD\n");
        assert_eq!(dangling.target(None), Some(Target::Nothing));
    }

    #[test]
    fn a_branch_exists_by_its_whole_name_only() {
        assert!(advertised().has_branch("x/topic"));
        assert!(!advertised().has_branch("topic"));
        assert!(!advertised().is_sha256());
    }

    #[test]
    fn a_branch_can_be_in_the_way_of_another_on_both_sides() {
        let has = |names: &[&str]| {
            let lines = names.iter().map(|name| format!("{ID}\trefs/heads/{name}\n"));
            Advertised::parse(&lines.collect::<String>())
        };
        for (names, branch, in_the_way) in [
            (&["axon"][..], "axon/fix-1", Some("axon")),
            (&["a/b"], "a/b/c/d", Some("a/b")),
            (&["axon/fix-1/old"], "axon/fix-1", Some("axon/fix-1/old")),
            (&["axon/fix-1"], "axon/fix-1", None),
            (&["axo", "axon-2", "axon/fix-10"], "axon/fix-1", None),
            // The server matches the end of a name, too.
            (&["x/refs/heads/axon"], "axon/fix-1", None),
            (&[], "axon/fix-1", None),
        ] {
            assert_eq!(has(names).in_the_way_of(branch), in_the_way, "{names:?} {branch}");
        }
    }

    #[test]
    fn only_a_repository_without_any_ref_is_empty() {
        use Alternatives::{Branches, Others};
        for (names, found) in [
            (&[][..], None),
            (
                &["refs/heads/b", "refs/heads/a", "refs/tags/v1"],
                Some(Branches("a, b".into())),
            ),
            (&["refs/tags/v1", "refs/tags/v1^{}"], Some(Others("v1".into()))),
            (&["refs/pull/1/head"], Some(Others("refs/pull/1/head".into()))),
            (&["refs/meta/config"], None),
        ] {
            let lines = names.iter().map(|name| format!("{ID}\t{name}\n"));
            let advertised = Advertised::parse(&lines.collect::<String>());
            assert_eq!(advertised.alternatives(), found, "{names:?}");
        }
        let branches = Branches("develop".into());
        assert_eq!(
            branches.fault(Some("main")),
            "points to main, which is no branch there (it has develop)"
        );
        assert_eq!(
            branches.fault(None),
            "points to a branch that is not there (it has develop)"
        );
    }

    #[test]
    fn asks_only_for_what_it_needs() {
        assert_eq!(patterns(None, None), ["HEAD"]);
        assert_eq!(
            patterns(Some("v1"), Some("b")),
            [
                "HEAD",
                "refs/heads/v1",
                "refs/tags/v1",
                "refs/heads/b",
                "refs/heads/b/*"
            ]
        );
        assert_eq!(
            patterns(None, Some("axon/fix/1"))[1..],
            [
                "refs/heads/axon/fix/1",
                "refs/heads/axon/fix/1/*",
                "refs/heads/axon",
                "refs/heads/axon/fix"
            ]
        );
        assert_eq!(
            patterns(Some("refs/pull/7/head"), None),
            ["HEAD", "refs/pull/7/head"]
        );
    }
}
