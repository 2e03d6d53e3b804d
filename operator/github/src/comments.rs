//! The comments of an item. Pure.

use axon_api::v1alpha1::{People, Writer};
use jiff::Timestamp;

use super::query::{PER_PAGE, RawComment};
use super::read::{self, Unread};

/// Most bytes of comments that a template gets.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most comments that a template gets: each of them costs a line that says whose it is.
const MOST: usize = 1000;
/// Stands between comments where they are one text.
const SEPARATOR: &str = "\n---\n";
const CUT: &str = "\n[cut]";

/// A comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    /// Login of who wrote it; empty if the account is gone.
    pub author: String,
    /// What it says.
    pub text: String,
}

/// An item's comments as templates see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comments {
    /// All of them that count, the oldest first: as one text at most [`MAX_BYTES`].
    pub all: Vec<Comment>,
    /// How many were read and left out for who wrote them.
    pub left_out: usize,
}

/// Returns comments as one text.
#[must_use]
pub fn joined(comments: &[Comment]) -> String {
    let texts: Vec<&str> = comments.iter().map(|comment| comment.text.as_str()).collect();
    texts.join(SEPARATOR)
}

/// Filter for comments.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Authors whose comments count.
    pub from: &'a People,
    /// Of somebody who counts only as the item's author those that were neither written nor changed since then.
    pub author_until: Option<Timestamp>,
}

impl<'a> From<&'a People> for Heard<'a> {
    fn from(from: &'a People) -> Self {
        Self {
            from,
            author_until: None,
        }
    }
}

impl Heard<'_> {
    fn include(self, writer: &Writer, author: &Writer, changed: Option<Timestamp>) -> bool {
        let Some(until) = self.author_until else {
            return self.from.include(writer, author);
        };
        let is_timely = changed.is_some_and(|changed| changed < until);
        // To an author who is nobody no comment is the author's own.
        let as_others = || self.from.include(writer, &Writer::default());
        self.from.include(writer, author) && (is_timely || as_others())
    }
}

/// Reads one page of comments on an item that `author` opened, the oldest first. Comments without a text are left out, and
/// those that do not count; the number is of the latter.
///
/// # Errors
/// If it is no list.
pub(super) fn read_page(
    body: &[u8],
    heard: Heard<'_>,
    author: &Writer,
) -> Result<(Vec<Comment>, usize), Unread> {
    let comments = read::list::<RawComment, PER_PAGE>(body)?.entries;
    let (mut texts, mut left_out) = (Vec::new(), 0);
    for mut comment in comments {
        let writer = comment.writer();
        let Some(body) = comment.body.filter(|body| !body.text.trim().is_empty()) else {
            continue;
        };
        let changed = comment.updated_at.and_then(|time| time.0.parse().ok());
        if heard.include(&writer, author, changed) {
            texts.push(Comment {
                author: writer.login,
                text: body.text,
            });
        } else {
            left_out += 1;
        }
    }
    Ok((texts, left_out))
}

/// Gathers comments from the newest to the oldest until there is no room.
#[derive(Debug, Default)]
pub struct Newest {
    comments: Vec<Comment>,
    bytes: usize,
    full: bool,
    left_out: usize,
}

impl Newest {
    /// Adds the comments of a page that is older than those added before.
    pub fn add_older(&mut self, (page, left_out): (Vec<Comment>, usize)) {
        self.left_out += left_out;
        for mut comment in page.into_iter().rev() {
            self.full |= self.comments.len() >= MOST;
            if self.full {
                return;
            }
            let separator = if self.comments.is_empty() {
                0
            } else {
                SEPARATOR.len()
            };
            let room = MAX_BYTES.saturating_sub(self.bytes + separator);
            let text = &mut comment.text;
            if text.len() > room {
                self.full = true;
                if !self.comments.is_empty() {
                    return;
                }
                // The newest is never lost, however long it is.
                let mut end = room - CUT.len();
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
                text.push_str(CUT);
            }
            self.bytes += separator + text.len();
            self.comments.push(comment);
        }
    }

    /// Returns true if nothing older will be kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Returns the comments, the oldest first.
    #[must_use]
    pub fn into_comments(mut self) -> Comments {
        self.comments.reverse();
        Comments {
            all: self.comments,
            left_out: self.left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use axon_api::v1alpha1::Association;

    use super::*;

    fn newest(pages: Vec<Vec<String>>) -> Newest {
        let mut newest = Newest::default();
        for page in pages {
            let page = page.into_iter().map(|text| Comment {
                author: String::new(),
                text,
            });
            newest.add_older((page.collect(), 0));
        }
        newest
    }

    fn of((comments, left_out): (Vec<Comment>, usize)) -> (Vec<String>, usize) {
        (
            comments.into_iter().map(|comment| comment.text).collect(),
            left_out,
        )
    }

    #[test]
    fn comments_are_joined_in_the_order_in_which_they_were_written() {
        let pages = vec![vec!["c".into(), "d".into()], vec!["a".into(), "b".into()]];
        assert_eq!(
            joined(&newest(pages).into_comments().all),
            "a\n---\nb\n---\nc\n---\nd"
        );
        assert_eq!(joined(&newest(Vec::new()).into_comments().all), "");
    }

    #[test]
    fn the_newest_are_kept_when_it_is_too_much() {
        let page: Vec<String> = (0..100).map(|n| format!("{n:03}{}", "x".repeat(1000))).collect();
        let newest = newest(vec![page]);
        assert!(newest.is_full());
        let text = joined(&newest.into_comments().all);
        assert!(text.len() <= MAX_BYTES && text.len() > MAX_BYTES - 1100);
        assert!(text.contains("\n---\n099x") && !text.starts_with("000"));
        let gap = vec![
            vec!["new".into()],
            vec!["y".repeat(MAX_BYTES)],
            vec!["old".into()],
        ];
        let text = joined(&super::tests::newest(gap).into_comments().all);
        assert_eq!(text, "new", "nothing older than what did not fit");
    }

    #[test]
    fn many_small_comments_are_bounded_by_their_number() {
        let page: Vec<String> = (0..MOST + 10).map(|n| n.to_string()).collect();
        let newest = newest(vec![page]);
        assert!(newest.is_full());
        let all = newest.into_comments().all;
        assert_eq!((all.len(), all[0].text.as_str()), (MOST, "10"));
    }

    #[test]
    fn one_giant_comment_is_cut_and_not_lost() {
        let text = joined(&newest(vec![vec!["ü".repeat(MAX_BYTES)]]).into_comments().all);
        assert!(text.len() <= MAX_BYTES && text.starts_with("üü") && text.ends_with("ü\n[cut]"));
    }

    #[test]
    fn pages_are_read() {
        let body = br#"[{"body":"a","user":{}},{"body":null},{"body":" \n","author_association":"NONE"},
            {"body":"b","user":{"login":"ann"},"author_association":"NONE"},
            {"body":"c","user":null,"author_association":"OWNER"},
            {"body":"d","user":{"login":"mallory"},"author_association":"CONTRIBUTOR"}]"#;
        let author = Writer {
            login: "Ann".into(),
            association: "NONE".into(),
        };
        let read = |associations: Vec<Association>| {
            let from = People {
                associations,
                users: Vec::new(),
            };
            of(read_page(body, (&from).into(), &author).unwrap())
        };
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(read(vec![Association::All]), (texts(&["a", "b", "c", "d"]), 0));
        let trusted = People::trusted_with_comments();
        assert_eq!(read(trusted.associations.clone()), (texts(&["b", "c"]), 2));
        assert_eq!(read(vec![Association::Contributor]), (texts(&["d"]), 3));
        assert!(read_page(b"{\"message\":\"x\"}", (&trusted).into(), &author).is_err());
    }

    #[test]
    fn what_an_author_says_after_an_approval_was_not_approved() {
        let said = |login: &str, association: &str, second: u32| {
            let updated = format!("2026-01-01T00:00:{second:02}Z");
            serde_json::json!({"body": format!("{login}{second}"), "user": {"login": login},
                "author_association": association, "updated_at": updated})
        };
        let mut comments = vec![
            said("ann", "NONE", 4),
            said("ann", "NONE", 5),
            said("bob", "NONE", 1),
            said("maya", "MEMBER", 9),
        ];
        comments.push(serde_json::json!({"body": "when?", "user": {"login": "ann"}}));
        let author = Writer {
            login: "ann".into(),
            association: "NONE".into(),
        };
        let body = serde_json::json!(comments).to_string();
        let read = |from: &People| {
            let heard = Heard {
                from,
                author_until: "2026-01-01T00:00:05Z".parse().ok(),
            };
            of(read_page(body.as_bytes(), heard, &author).unwrap())
        };
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            read(&People::trusted_with_comments()),
            (texts(&["ann4", "maya9"]), 3)
        );
        let named = People {
            associations: vec![Association::Author],
            users: vec!["Ann".into()],
        };
        assert_eq!(read(&named), (texts(&["ann4", "ann5", "when?"]), 2));
    }
}
