//! Whether the item of a spawned Task has left its spawner's match since the Task was made.
//!
//! That is what the feedback loop needs to know: a label of `excludeLabels` is put on an item, and when it is taken off
//! again the item is run again. The knowledge stands on the item's newest Task, as an annotation, so that it is as
//! durable as that Task, costs a write only when an item leaves, and goes with it.
//!
//! A mark names the filter that it is about. An edit of the spawner's filter moves no item: one that matches again
//! after a typo was mended is not run again. One that was out of the match before the edit and is out of it afterwards
//! is out: it is run again when it comes back.

use std::fmt::{self, Display};

use axon_api::v1alpha1::GithubIssues;
use sha2::{Digest, Sha256};

/// Identifies a filter and the repository that it is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// Returns the identity of a filter.
    #[must_use]
    pub fn of(repository: &str, spec: &GithubIssues) -> Self {
        // Whose comments are shown moves no item.
        let spec = GithubIssues {
            comments_from: None,
            ..spec.clone()
        };
        // GitHub tells no two repositories apart by case. All of it is plain data: it can be written.
        let text = serde_json::to_string(&(repository.to_lowercase(), spec)).unwrap_or_default();
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What is known about an item since its Task was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// Nothing: the Task is older than this operator, or of a schedule.
    #[default]
    Unknown,
    /// It was in the match of this filter.
    In(String),
    /// It was seen to have left the match of this filter.
    Left(String),
}

impl Mark {
    /// Reads an annotation.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        match text.and_then(|text| text.split_once(':')) {
            Some(("in", filter)) => Self::In(filter.to_owned()),
            Some(("left", filter)) => Self::Left(filter.to_owned()),
            _ => Self::Unknown,
        }
    }

    /// Returns the mark of a new Task.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        Self::In(filter.0.clone())
    }

    /// Returns whether the item, which is in the match of `filter` now, has come back.
    #[must_use]
    pub fn came_back(&self, filter: &Filter) -> bool {
        *self == Self::Left(filter.0.clone())
    }

    /// Returns the mark that has to be written after a look at the source. `surely_later` says that the look began
    /// after the Task was known: only then an item that is not in the match has left it since.
    #[must_use]
    pub fn next(&self, in_match: bool, surely_later: bool, filter: &Filter) -> Option<Self> {
        match (self, in_match) {
            (Self::In(of) | Self::Left(of), true) if *of == filter.0 => None,
            (_, true) => Some(Self::In(filter.0.clone())),
            (Self::In(of), false) if *of == filter.0 && surely_later => Some(Self::Left(filter.0.clone())),
            // It was out before the edit, and is still out: it may come back.
            (Self::Left(of), false) if *of != filter.0 && surely_later => Some(Self::Left(filter.0.clone())),
            (_, false) => None,
        }
    }
}

impl Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => Ok(()),
            Self::In(filter) => write!(f, "in:{filter}"),
            Self::Left(filter) => write!(f, "left:{filter}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(name: &str) -> Filter {
        Filter(name.to_owned())
    }

    #[test]
    fn a_mark_survives_being_written() {
        for mark in [Mark::In("a1".into()), Mark::Left("a1".into()), Mark::Unknown] {
            assert_eq!(Mark::parse(Some(&mark.to_string())), mark);
        }
    }

    #[test]
    fn an_item_that_leaves_and_comes_back_is_seen_to() {
        let now = filter("a");
        let mark = Mark::new(&now);
        assert_eq!(mark.next(true, true, &now), None);
        let left = mark.next(false, true, &now).unwrap();
        assert!(left.came_back(&now));
        // Nothing more to write, whether it is back or not.
        assert_eq!(
            (left.next(true, true, &now), left.next(false, true, &now)),
            (None, None)
        );
    }

    #[test]
    fn an_old_look_proves_nothing() {
        let now = filter("a");
        assert_eq!(Mark::new(&now).next(false, false, &now), None);
    }

    #[test]
    fn an_item_that_is_out_before_and_after_an_edit_may_come_back() {
        let (left, edited) = (Mark::Left("a".into()), filter("b"));
        assert_eq!(
            left.next(false, false, &edited),
            None,
            "an old look proves nothing"
        );
        let still = left.next(false, true, &edited).unwrap();
        assert_eq!(still, Mark::Left("b".into()));
        assert!(still.came_back(&edited));
    }

    #[test]
    fn marks_of_before_hold_and_whose_comments_are_shown_does_not_count() {
        let mut spec = crate::spawner::fixtures::github("x")
            .spec
            .when
            .github_issues
            .unwrap();
        let of = |spec: &GithubIssues| Filter::of("github.com/org/repo", spec);
        let before = of(&spec);
        let known = r#"["github.com/org/repo",{"types":["issues"],"labels":["bug"],"excludeLabels":["axon/needs-input"],"state":"open"}]"#;
        let digest = Sha256::digest(known.as_bytes());
        let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(before, Filter(digest));
        spec.comments_from = Some(axon_api::v1alpha1::People::trusted_with_comments());
        assert_eq!(of(&spec), before);
        spec.authors.clone_from(&spec.comments_from);
        assert_ne!(of(&spec), before);
    }

    #[test]
    fn another_case_is_no_other_repository() {
        let spec = crate::spawner::fixtures::github("x")
            .spec
            .when
            .github_issues
            .unwrap();
        let of = |name: &str| Filter::of(name, &spec);
        assert_eq!(of("github.com/Org/Repo"), of("github.com/org/repo"));
        assert_ne!(of("github.com/org/repo"), of("github.com/org/other"));
    }

    #[test]
    fn an_edit_of_the_filter_moves_no_item() {
        let (before, typo) = (filter("a"), filter("b"));
        let mark = Mark::new(&before);
        assert_eq!(mark.next(false, true, &typo), None);
        let left = Mark::Left("a".into());
        assert!(!left.came_back(&typo));
        let moved = left.next(true, true, &typo).unwrap();
        assert_eq!(moved, Mark::In("b".into()));
        assert!(!moved.came_back(&before));
        assert_eq!(
            Mark::Unknown.next(true, true, &before),
            Some(Mark::In("a".into()))
        );
    }
}
