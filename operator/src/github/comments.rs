//! The comments of an item as one text. Pure.

use serde::Deserialize;

/// Most bytes of comments that a template gets.
pub const MAX_BYTES: usize = 64 * 1024;
const SEPARATOR: &str = "\n---\n";
const CUT: &str = "\n[cut]";

#[derive(Deserialize)]
struct Comment {
    #[serde(default)]
    body: Option<String>,
}

/// Reads one page of comments, the oldest first. Comments without a text are left out.
///
/// # Errors
/// If it is no list.
pub fn read_page(body: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let comments: Vec<Comment> = serde_json::from_slice(body)?;
    Ok(comments
        .into_iter()
        .filter_map(|comment| comment.body)
        .filter(|text| !text.trim().is_empty())
        .collect())
}

/// Gathers comments from the newest to the oldest until there is no room.
#[derive(Debug, Default)]
pub struct Newest {
    texts: Vec<String>,
    bytes: usize,
    full: bool,
}

impl Newest {
    /// Adds the comments of a page that is older than those added before.
    pub fn add_older(&mut self, page: Vec<String>) {
        for mut text in page.into_iter().rev() {
            if self.full {
                return;
            }
            let separator = if self.texts.is_empty() { 0 } else { SEPARATOR.len() };
            let room = MAX_BYTES.saturating_sub(self.bytes + separator);
            if text.len() > room {
                self.full = true;
                if !self.texts.is_empty() {
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
            self.texts.push(text);
        }
    }

    /// Returns true if nothing older will be kept.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Returns the comments, the oldest first, with a line `---` between them.
    #[must_use]
    pub fn into_text(mut self) -> String {
        self.texts.reverse();
        self.texts.join(SEPARATOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(pages: Vec<Vec<String>>) -> Newest {
        let mut newest = Newest::default();
        for page in pages {
            newest.add_older(page);
        }
        newest
    }

    #[test]
    fn comments_are_joined_in_the_order_in_which_they_were_written() {
        let pages = vec![vec!["c".into(), "d".into()], vec!["a".into(), "b".into()]];
        assert_eq!(newest(pages).into_text(), "a\n---\nb\n---\nc\n---\nd");
        assert_eq!(newest(Vec::new()).into_text(), "");
    }

    #[test]
    fn the_newest_are_kept_when_it_is_too_much() {
        let page: Vec<String> = (0..100).map(|n| format!("{n:03}{}", "x".repeat(1000))).collect();
        let newest = newest(vec![page]);
        assert!(newest.is_full());
        let text = newest.into_text();
        assert!(text.len() <= MAX_BYTES && text.len() > MAX_BYTES - 1100);
        assert!(text.contains("\n---\n099x") && !text.starts_with("000"));
        let gap = vec![
            vec!["new".into()],
            vec!["y".repeat(MAX_BYTES)],
            vec!["old".into()],
        ];
        let text = super::tests::newest(gap).into_text();
        assert_eq!(text, "new", "nothing older than what did not fit");
    }

    #[test]
    fn one_giant_comment_is_cut_and_not_lost() {
        let text = newest(vec![vec!["ü".repeat(MAX_BYTES)]]).into_text();
        assert!(text.len() <= MAX_BYTES && text.starts_with("üü") && text.ends_with("ü\n[cut]"));
    }

    #[test]
    fn pages_are_read() {
        let page =
            read_page(br#"[{"body":"a","user":{}},{"body":null},{"body":" \n"},{"body":"b"}]"#).unwrap();
        assert_eq!(page, ["a", "b"]);
        assert!(read_page(b"{\"message\":\"x\"}").is_err());
    }
}
