//! The people whose items and comments a TaskSpawner accepts, by their association with the repository.

use std::str::FromStr;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// People: those who have one of these associations with the repository, and those who are named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("size(self.associations) + size(self.users) > 0")
    .message("name associations, users or both; associations: [ALL] means everybody"))]
pub struct People {
    /// Relations to the repository: GitHub's `author_association` values, `AUTHOR` for the user who opened the item, `WRITER` for
    /// users with write permission (in `authors` only), and `ALL`. `MEMBER` and `COLLABORATOR` say nothing about write permission.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub associations: Vec<Association>,
    /// Logins, whatever their relation; Apps have names such as `my-app[bot]`.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(min = 1, max = 100)))]
    pub users: Vec<String>,
}

/// Association of a user with a repository, as GitHub reports it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::EnumString, strum::Display,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Association {
    /// Owns the repository.
    Owner,
    /// Is a member of the organisation that owns it.
    Member,
    /// Was invited to collaborate on it.
    Collaborator,
    /// Has committed to it before.
    Contributor,
    /// Has not committed to it before.
    FirstTimeContributor,
    /// Has not committed to anything on GitHub before.
    FirstTimer,
    /// Stands for a user of another system, by an import.
    Mannequin,
    /// Nothing.
    None,
    /// Whoever opened the item.
    Author,
    /// May write to the repository, which GitHub is asked for.
    Writer,
    /// Everybody.
    All,
}

/// The author of an item or comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// Login; empty for an account that is gone.
    pub login: String,
    /// GitHub's `author_association`; empty if it was not told.
    pub association: String,
}

impl People {
    /// Returns whose comments become part of prompts unless a spawner says otherwise: of those who can set labels or
    /// were given a part in the repository, and of the item's own author, whose text is there anyway.
    #[must_use]
    pub fn trusted_with_comments() -> Self {
        use Association::{Author, Collaborator, Member, Owner};
        Self {
            associations: vec![Owner, Member, Collaborator, Author],
            users: Vec::new(),
        }
    }

    /// Returns whether write permission makes somebody one of them.
    #[must_use]
    pub fn include_writers(&self) -> bool {
        self.associations.contains(&Association::Writer)
    }

    /// Returns whether people whom nobody has given anything are among them.
    #[must_use]
    pub fn include_strangers(&self) -> bool {
        use Association::{All, Author, Contributor, FirstTimeContributor, FirstTimer, None};
        let strange = [All, Author, Contributor, FirstTimeContributor, FirstTimer, None];
        self.associations.iter().any(|one| strange.contains(one))
    }

    /// Returns whether somebody is named.
    #[must_use]
    pub fn name(&self, login: &str) -> bool {
        !login.is_empty() && self.users.iter().any(|user| user.eq_ignore_ascii_case(login))
    }

    /// Returns whether the words of `writer` count. Write permission has to be asked for, and makes no difference here. `author` opened the item that they are about.
    #[must_use]
    pub fn include(&self, writer: &Writer, author: &Writer) -> bool {
        let same = |a: &str, b: &str| !a.is_empty() && a.eq_ignore_ascii_case(b);
        let relation = Association::from_str(&writer.association).unwrap_or(Association::None);
        let by_relation = self.associations.iter().any(|association| match association {
            Association::All => true,
            Association::Author => same(&writer.login, &author.login),
            // No word of GitHub's makes anybody a writer.
            Association::Writer => false,
            other => *other == relation,
        });
        by_relation || self.name(&writer.login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(login: &str, association: &str) -> Writer {
        Writer {
            login: login.into(),
            association: association.into(),
        }
    }

    fn people(associations: &[Association], users: &[&str]) -> People {
        People {
            associations: associations.to_vec(),
            users: users.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn whose_words_count() {
        use Association::{All, Author, Contributor, None, Owner, Writer};
        let (author, nobody) = (writer("reporter", "NONE"), writer("", "NONE"));
        for (of, who, counts) in [
            (people(&[Owner], &[]), writer("boss", "OWNER"), true),
            (people(&[Owner], &[]), writer("m", "MEMBER"), false),
            (people(&[Owner], &["M"]), writer("m", "MEMBER"), true),
            (
                people(&[Owner, Contributor], &[]),
                writer("c", "CONTRIBUTOR"),
                true,
            ),
            (people(&[Author], &[]), writer("Reporter", "NONE"), true),
            (people(&[Author], &[]), writer("stranger", "NONE"), false),
            // GitHub may come to know other relations, or tell none.
            (people(&[Owner], &[]), writer("x", "FRIEND"), false),
            (people(&[Owner], &[]), writer("x", ""), false),
            (people(&[None], &[]), writer("x", ""), true),
            (people(&[All], &[]), writer("", ""), true),
            // These words are ours, and nobody's relation.
            (people(&[Author], &[]), writer("x", "AUTHOR"), false),
            (people(&[Writer], &[]), writer("x", "WRITER"), false),
            (people(&[], &["bot[bot]"]), writer("bot[bot]", "NONE"), true),
        ] {
            assert_eq!(of.include(&who, &author), counts, "{of:?} {who:?}");
        }
        assert!(
            !people(&[Author], &[]).include(&nobody, &nobody),
            "accounts that are gone"
        );
    }

    #[test]
    fn strangers_are_those_whom_nobody_let_in() {
        use Association::{All, Author, Collaborator, Contributor, Member, None, Owner, Writer};
        for (associations, strange) in [
            (&[Owner, Member, Collaborator, Writer][..], false),
            (&[], false),
            (&[Member, All], true),
            (&[None], true),
            (&[Contributor], true),
            (&[Author], true),
        ] {
            assert_eq!(
                people(associations, &["x"]).include_strangers(),
                strange,
                "{associations:?}"
            );
        }
    }

    #[test]
    fn strangers_are_not_trusted_unless_the_item_is_theirs() {
        let trusted = People::trusted_with_comments();
        let author = writer("reporter", "NONE");
        for (association, counts) in [
            ("OWNER", true),
            ("MEMBER", true),
            ("COLLABORATOR", true),
            ("CONTRIBUTOR", false),
            ("FIRST_TIME_CONTRIBUTOR", false),
            ("FIRST_TIMER", false),
            ("MANNEQUIN", false),
            ("NONE", false),
        ] {
            let who = writer("somebody", association);
            assert_eq!(trusted.include(&who, &author), counts, "{association}");
        }
        assert!(trusted.include(&author, &author));
    }
}
