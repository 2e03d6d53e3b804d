//! Characters as Go classes them, and Go's quoting.

use std::fmt::Write as _;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Returns whether a name may contain the character: letters, decimal digits, underscore.
pub(super) fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c == '_' || c.is_ascii_alphanumeric();
    }
    c.general_category_group() == GeneralCategoryGroup::Letter
        || c.general_category() == unicode_properties::GeneralCategory::DecimalNumber
}

/// Returns whether Go prints the character as it is.
pub(super) fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return matches!(c, ' '..='~');
    }
    !matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other
    )
}

/// Returns the character as `%#U` writes it.
pub(super) fn described(c: char) -> String {
    let code = u32::from(c);
    if is_print(c) {
        format!("U+{code:04X} '{c}'")
    } else {
        format!("U+{code:04X}")
    }
}

/// Cuts bytes into characters and single bytes that are none.
pub(super) fn runes(bytes: &[u8]) -> impl Iterator<Item = Result<char, u8>> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().copied().map(Err);
        chunk.valid().chars().map(Ok).chain(invalid)
    })
}

/// Returns how many characters Go counts.
pub(super) fn rune_count(bytes: &[u8]) -> usize {
    runes(bytes).count()
}

/// Returns bytes as text; each byte that belongs to no character becomes U+FFFD.
pub(super) fn to_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        runes(error.as_bytes())
            .map(|rune| rune.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    })
}

/// Returns the bytes as a Go string literal in double quotes.
pub(super) fn quoted(bytes: &[u8]) -> String {
    quoted_with(bytes, '"', false)
}

/// Returns the bytes between quotes, escaped as Go does; `ascii` escapes all that is not ASCII.
pub(super) fn quoted_with(bytes: &[u8], quote: char, ascii: bool) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_add(2));
    out.push(quote);
    for rune in runes(bytes) {
        match rune {
            Ok(c) => push_escaped(&mut out, c, quote, ascii),
            Err(byte) => push_formatted(&mut out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(quote);
    out
}

fn push_escaped(out: &mut String, c: char, quote: char, ascii: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        c if c == quote => {
            out.push('\\');
            out.push(c);
        }
        c if is_print(c) && (c.is_ascii() || !ascii) => out.push(c),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if c < ' ' || c == '\x7f' => push_formatted(out, format_args!("\\x{:02x}", u32::from(c))),
        c if u32::from(c) < 0x1_0000 => push_formatted(out, format_args!("\\u{:04x}", u32::from(c))),
        c => push_formatted(out, format_args!("\\U{:08x}", u32::from(c))),
    }
}

fn push_formatted(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

/// Returns whether the text can stand between backquotes unchanged.
pub(super) fn can_backquote(bytes: &[u8]) -> bool {
    runes(bytes).all(|rune| match rune {
        Ok('\u{feff}' | '`' | '\x7f') | Err(_) => false,
        Ok('\t') => true,
        Ok(c) => c >= ' ',
    })
}
