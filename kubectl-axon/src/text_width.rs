//! Texts as a terminal shows them: some characters take two columns, some none, and neither do colours.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Returns how many columns `text` takes; it has no colours.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Returns `text` with spaces behind it, so that it takes `columns` at least.
#[must_use]
pub fn padded(text: &str, columns: usize) -> String {
    let spaces = columns.saturating_sub(width(text));
    format!("{text}{:spaces$}", "")
}

/// Returns `text` in at most `columns`; what is left out is in the middle, as both ends tell things apart.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let tail = taken(text.chars().rev(), kept / 2);
    let head = taken(text.chars(), kept - kept / 2);
    head.into_iter()
        .chain(std::iter::once('…'))
        .chain(tail.into_iter().rev())
        .collect()
}

/// Returns the first characters that fit into `columns`.
fn taken(text: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut room = columns;
    text.take_while(|c| {
        let fits = columns_of(*c) <= room;
        room = room.saturating_sub(columns_of(*c));
        fits
    })
    .collect()
}

fn columns_of(c: char) -> usize {
    c.width().unwrap_or_default()
}

/// Returns a line without what does not fit into `columns`. Its colours stay, so that the last one ends.
#[must_use]
pub fn cut(line: &str, columns: usize) -> String {
    let mut kept = String::with_capacity(line.len());
    let (mut room, mut escape) = (columns, false);
    for c in line.chars() {
        if escape || c == '\x1b' {
            kept.push(c);
            // `ESC [`, digits, and a letter that ends it.
            escape = !c.is_ascii_alphabetic();
        } else if columns_of(c) <= room {
            room -= columns_of(c);
            kept.push(c);
        } else {
            room = 0;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_not_characters() {
        for (text, columns) in [("abc", 3), ("修复登录", 8), ("e\u{301}", 1), ("…", 1), ("├─ ", 3)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!(padded("修", 4), "修  ");
        assert_eq!(padded("修复", 3), "修复");
    }

    #[test]
    fn both_ends_are_kept() {
        for (text, columns, short) in [
            ("abcdefg", 7, "abcdefg"),
            ("abcdefgh", 7, "abc…fgh"),
            ("äbcdef", 4, "äb…f"),
            ("修复登录错误", 12, "修复登录错误"),
            ("修复登录错误", 11, "修复…错误"),
            ("修复登录错误", 6, "修…误"),
            ("修复", 1, "…"),
        ] {
            assert_eq!(shortened(text, columns), short);
            assert!(width(short) <= columns);
        }
    }

    #[test]
    fn a_cut_line_fits_and_ends_its_colours() {
        let red = "a \x1b[31mFailed\x1b[0m b";
        assert_eq!(cut(red, 10), red);
        assert_eq!(cut(red, 9), "a \x1b[31mFailed\x1b[0m ");
        assert_eq!(cut(red, 5), "a \x1b[31mFai\x1b[0m");
        assert_eq!(cut("a修b", 2), "a", "nothing comes after what did not fit");
        assert_eq!(cut("", 0), "");
    }
}
