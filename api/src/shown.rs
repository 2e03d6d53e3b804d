//! Text of others, made safe: to be shown on a terminal, to be read by an agent, and to be stored by the API server.
//!
//! Issues, commits, agents and image authors write what we print. A terminal obeys control characters, a reader can't see
//! the invisible ones, and the API server reads a server-side apply as YAML, which has no room for some of them. One rule
//! serves all: such a character becomes [`REPLACEMENT`], so that people see that something was there, and is removed for
//! an agent, which has no use for it.

use std::borrow::Cow;

use serde_json::Value;

/// Stands for every character that is not shown.
pub const REPLACEMENT: char = '\u{fffd}';

const ZERO_WIDTH_JOINER: char = '\u{200d}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';

/// Returns true for a character that a terminal obeys, that changes the order of others, or that nobody sees. Line feed
/// and tab are none.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    matches!(
        c,
        // C0, DEL and C1.
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, grapheme joiner, Arabic letter mark, fillers of Hangul and Khmer, Mongolian selectors.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}'
        // Zero width, directions, separators of lines and paragraphs, invisible operators.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Variation selectors, byte order mark, annotations, what is no character.
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        // Shorthand and musical controls, tags, more selectors.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns each character, and whether it has to be hidden where it stands.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = None;
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        let c = rest.next()?;
        let hidden = is_hidden(c) && !belongs(before, c, rest.peek().copied());
        // What is taken out holds nothing together.
        before = (!hidden).then_some(c);
        Some((c, hidden))
    })
}

/// Returns true if `text` has a hidden character, apart from those that emoji and words are made of.
#[must_use]
pub fn has_hidden(text: &str) -> bool {
    judged(text).any(|(_, hidden)| hidden)
}

/// Returns `text` with each hidden character replaced by what `escape` gives. Characters that belong to emoji or words stay.
#[must_use]
pub fn escaped(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (c, hidden) in judged(text) {
        if hidden {
            escaped += &escape(c);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Returns `text` for a terminal: lines and tabs stay, line ends become line feeds, hidden characters become
/// [`REPLACEMENT`].
#[must_use]
pub fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let text = text.strip_suffix('\r').unwrap_or(&text);
    escaped(text, |_| REPLACEMENT.to_string())
}

/// Returns `text` for one line of a terminal: without surrounding blanks, with line feeds written as `\n`, and with a blank
/// for each tab.
#[must_use]
pub fn line(text: &str) -> String {
    lines(text.trim()).replace('\n', "\\n").replace('\t', " ")
}

/// Returns `text` without hidden characters, for a reader who would obey what people can't see. Line ends stay as they are;
/// a carriage return alone is one too.
#[must_use]
pub fn without_hidden(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = judged(text).peekable();
    while let Some((c, hidden)) = rest.next() {
        match c {
            '\r' if rest.peek().is_some_and(|(next, _)| *next == '\n') => kept.push(c),
            '\r' => kept.push('\n'),
            c if !hidden => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Returns `text` as one line without hidden characters, with one blank for each run of white space.
#[must_use]
pub fn one_line(text: &str) -> String {
    let text = without_hidden(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// Emoji and words are made of characters that are hidden elsewhere: a selector of the form behind a pictograph, a joiner
/// between two of them, and the two joiners that change the form of letters in scripts such as Persian and Hindi.
fn belongs(before: Option<char>, c: char, next: Option<char>) -> bool {
    let Some(before) = before else { return false };
    match c {
        '\u{fe0e}' | '\u{fe0f}' => is_pictograph(before) || before.is_ascii_digit() || "#*".contains(before),
        ZERO_WIDTH_JOINER if is_pictograph(before) || before == '\u{fe0f}' => next.is_some_and(is_pictograph),
        // As in names of Internet hosts (RFC 5892, appendix A): behind a virama, or between two letters.
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER => {
            is_virama(before) || (has_joined_forms(before) && next.is_some_and(has_joined_forms))
        }
        _ => false,
    }
}

/// Returns true for the sign of Brahmic scripts that takes a consonant's vowel away.
fn is_virama(c: char) -> bool {
    matches!(
        c,
        '\u{94d}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{dca}'
            | '\u{1039}'
            | '\u{103a}'
            | '\u{17d2}'
    )
}

/// Returns true for a letter or sign of a script in which joiners are part of the spelling.
fn has_joined_forms(c: char) -> bool {
    let is_of_script = matches!(
        c,
        // Arabic, Syriac, N'Ko, Mandaic; Brahmic scripts from Devanagari to Sinhala; Myanmar, Khmer, Mongolian.
        '\u{620}'..='\u{6ff}' | '\u{710}'..='\u{7ff}' | '\u{840}'..='\u{85f}' | '\u{8a0}'..='\u{8ff}'
        | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1820}'..='\u{18aa}'
    );
    is_of_script && !is_hidden(c)
}

/// Returns true for what may be (a part of) an emoji.
fn is_pictograph(c: char) -> bool {
    matches!(
        c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}' | '\u{24c2}' | '\u{25a0}'..='\u{27bf}' | '\u{2934}' | '\u{2935}'
        | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}'
    )
}

/// Returns `text` as the API server can store it, also when it comes by a server-side apply: control characters and
/// noncharacters become [`REPLACEMENT`], line ends become line feeds. All else stays, whether it is shown or not.
#[must_use]
pub fn storable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unstorable) {
        return Cow::Borrowed(text);
    }
    let kept = text.replace("\r\n", "\n");
    let kept = kept
        .chars()
        .map(|c| if is_unstorable(c) { REPLACEMENT } else { c });
    Cow::Owned(kept.collect())
}

fn is_unstorable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Makes all texts of a body [`storable`], so that no write fails for the sake of a character.
pub fn make_storable(body: &mut Value) {
    match body {
        Value::String(text) => {
            if let Cow::Owned(clean) = storable(text) {
                *text = clean;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_storable),
        Value::Object(fields) => {
            if fields.keys().any(|key| key.chars().any(is_unstorable)) {
                let all = std::mem::take(fields).into_iter();
                fields.extend(all.map(|(key, value)| (storable(&key).into_owned(), value)));
            }
            fields.values_mut().for_each(make_storable);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns JSON in which no hidden character stands as it is: it is the same JSON, with more of it escaped.
#[must_use]
pub fn json(text: &str) -> String {
    // Outside of its strings, JSON has no hidden character.
    escaped(text, |c| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_commands_a_terminal_or_hides_is_replaced_and_the_rest_stays() {
        for (text, expected) in [
            ("\u{1b}]0;PWNED\u{7}", "�]0;PWNED�"),
            ("a\u{9b}2Jb\u{7f}", "a�2Jb�"),
            ("a\u{202e}b\u{2066}c\u{200f}", "a�b�c�"),
            ("in\u{200b}vi\u{2060}si\u{feff}ble", "in�vi�si�ble"),
            ("tag\u{e0041}\u{e007f}s", "tag��s"),
            ("a\u{fe0f}b\u{fe01}\u{e0101}", "a�b��"),
            ("progress\rover", "progress�over"),
            ("a\r\nb\tc\r", "a\nb\tc"),
            ("größer 修复 нет ٣ e\u{301}", "größer 修复 нет ٣ e\u{301}"),
        ] {
            assert_eq!(lines(text), expected, "{text:?}");
        }
        assert_eq!(line(" a\nb\tc\r\n"), "a\\nb c");
    }

    #[test]
    fn emoji_stay_whole_and_their_parts_alone_do_not() {
        for emoji in ["👩‍💻", "👨‍👩‍👧", "🏳️‍🌈", "❤️", "1️⃣", "👍🏽", "🇩🇪"]
        {
            assert_eq!(lines(emoji), emoji);
        }
        assert_eq!(lines("a\u{200d}👩"), "a�👩");
        assert_eq!(lines("👩\u{200d}a"), "👩�a");
        assert_eq!(lines("\u{fe0f}"), "�");
        assert_eq!(lines("👩\u{fe0f}\u{fe0f}"), "👩\u{fe0f}�");
    }

    #[test]
    fn joiners_stay_where_they_are_part_of_a_word() {
        for word in [
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "क्\u{200c}ष",
            "ന്\u{200d}",
            "ශ්\u{200d}රී",
            "র\u{200d}্য",
        ] {
            assert_eq!(
                (lines(word), without_hidden(word)),
                (word.to_owned(), word.to_owned())
            );
        }
        for (text, expected) in [
            ("a\u{200c}b\u{200d}c", "abc"),
            ("می\u{200c}\u{200c}خ", "میخ"),
            ("می\u{200c} خ", "می خ"),
            ("\u{200c}م", "م"),
        ] {
            assert_eq!(without_hidden(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_nobody_sees_is_removed_and_line_ends_stay() {
        for (text, expected) in [
            ("tag\u{e0041}\u{e007f}s \u{202e}bi\u{2066}di\u{200f}", "tags bidi"),
            ("in\u{200b}vi\u{2060}si\u{feff}ble\0\u{1b}[2J", "invisible[2J"),
            ("a\u{fe0f}b\u{fe01}\u{e0101} ❤️ 👩‍💻", "ab ❤️ 👩‍💻"),
            ("a\r\nb\tc\rd\r", "a\r\nb\tc\nd\n"),
            ("größer 修复 нет ٣ e\u{301}", "größer 修复 нет ٣ e\u{301}"),
        ] {
            assert_eq!(without_hidden(text), expected, "{text:?}");
        }
        assert_eq!(one_line(" a\r\n b\u{200b}\tc\u{2028} "), "a b c");
    }

    #[test]
    fn the_api_server_gets_what_yaml_can_carry() {
        let text = "it\u{92}s\0 \u{7f}\u{85}\u{fffe}\u{ffff}\r\nno\u{202e}\t修👩‍💻";
        assert_eq!(storable(text), "it�s� ����\nno\u{202e}\t修👩‍💻");
        assert!(matches!(storable("plain\n\t"), Cow::Borrowed(_)));
        let mut body = serde_json::json!({"a\u{7f}": [{"b": "\u{9f}"}], "c": 1});
        make_storable(&mut body);
        assert_eq!(body, serde_json::json!({"a�": [{"b": "�"}], "c": 1}));
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_but_what_emoji_are_made_of(text in any::<String>()) {
            for c in lines(&text).chars() {
                let is_part = matches!(c, ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER | '\u{fe0e}' | '\u{fe0f}');
                prop_assert!(!is_hidden(c) || is_part, "{c:?}");
            }
            let clean = one_line(&text);
            prop_assert_eq!(one_line(&clean), &*clean, "twice is as once");
            prop_assert!(!has_hidden(&clean) && !clean.contains(['\n', '\t', '\r']), "{clean:?}");
            let once = line(&text);
            prop_assert!(!once.contains(['\n', '\t', '\r']));
            let stored = storable(&text).into_owned();
            prop_assert_eq!(storable(&stored), &*stored, "twice is as once");
        }

        #[test]
        fn json_stays_the_same_and_shows_nothing_hidden(key in any::<String>(), text in "[\0-\u{a0}\u{200b}-\u{2069}\u{e0000}-\u{e007f}👩x]*") {
            let value = serde_json::json!({key: [text]});
            let written = json(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert!(!has_hidden(&written), "{}", written);
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
    }
}
