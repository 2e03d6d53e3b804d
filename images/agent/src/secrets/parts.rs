//! Parts of credentials in text: programs quote them cut off, in lines, or encoded.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

/// Bytes of a part that is told from ordinary text.
const LENGTH: usize = 12;

/// Returns `text` with each stretch hidden that is a part of one of `values`, of twelve bytes or more. The words `kept` stay,
/// also where a value holds one of them.
pub(super) fn hidden<'a>(text: &str, values: impl IntoIterator<Item = &'a String>, kept: &[&str]) -> String {
    let values: Vec<&[u8]> = values.into_iter().map(String::as_bytes).collect();
    let parts: HashSet<&[u8]> = values.iter().flat_map(|value| value.windows(LENGTH)).collect();
    if parts.is_empty() {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, word)) = first_of(rest, kept) {
        let (before, after) = rest.split_at(at);
        clean.push_str(&without(before, &parts));
        clean.push_str(word);
        rest = after.strip_prefix(word).unwrap_or_default();
    }
    clean + &without(rest, &parts)
}

/// Returns where the first of `words` is in `text`; of two at one place the longer one.
fn first_of<'a>(text: &str, words: &[&'a str]) -> Option<(usize, &'a str)> {
    let found = words
        .iter()
        .filter(|word| !word.is_empty())
        .filter_map(|word| Some((text.find(word)?, *word)));
    found.min_by_key(|(at, word)| (*at, usize::MAX - word.len()))
}

fn without(text: &str, parts: &HashSet<&[u8]>) -> String {
    let mut covered = vec![false; text.len()];
    for (at, part) in text.as_bytes().windows(LENGTH).enumerate() {
        if parts.contains(part) {
            covered
                .iter_mut()
                .skip(at)
                .take(LENGTH)
                .for_each(|byte| *byte = true);
        }
    }
    let mut clean = String::with_capacity(text.len());
    let mut is_hidden = false;
    for (at, c) in text.char_indices() {
        let hide = covered.iter().skip(at).take(c.len_utf8()).any(|byte| *byte);
        if !hide {
            clean.push(c);
        } else if !is_hidden {
            clean.push_str("***");
        }
        is_hidden = hide;
    }
    clean
}

/// Returns a value as it stands in JSON and in URLs, where that differs from the value.
pub(super) fn encoded(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json.trim_start_matches('"').trim_end_matches('"').to_owned();
    let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let percent = form.replace('+', "%20");
    let mut all = vec![json, form, percent];
    all.retain(|encoded| encoded != value);
    all
}

/// Returns how a value stands in base64 of a longer text, such as `user:token` in a header of HTTP: base64 takes three
/// bytes at a time, so that the number of bytes before the value decides. The characters that also depend on what
/// stands before and behind are left out.
pub(super) fn in_base64(value: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (before, mixed) in [(0, 0), (1, 2), (2, 3)] {
        let text = [&vec![0; before], value.as_bytes()].concat();
        let end = text.len() * 8 / 6;
        for alphabet in [&BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE_NO_PAD] {
            let encoded = alphabet.encode(&text);
            all.extend(encoded.get(mixed..end).map(str::to_owned));
        }
    }
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hidden_as_far_as_they_reach() {
        let values = [
            "sk-ant-oat01-AbCdEfGhIjKlMnOp".to_owned(),
            "übergroß-geheim".to_owned(),
        ];
        for (text, clean) in [
            ("", ""),
            ("key sk-ant-oat01-AbCdEfGhIjKlMnOp!", "key ***!"),
            (
                "begins sk-ant-oat01-AbCd, ends EfGhIjKlMnOp",
                "begins ***, ends ***",
            ),
            ("EfGhIjKlMnO", "EfGhIjKlMnO"),
            ("xEfGhIjKlMnOpx twice EfGhIjKlMnOpEfGhIjKlMnOp", "x***x twice ***"),
            ("a größter b übergroß-ge c", "a größter b *** c"),
            (
                "ordinary words, and more of them than twelve",
                "ordinary words, and more of them than twelve",
            ),
        ] {
            assert_eq!(hidden(text, &values, &[]), clean, "{text}");
        }
        assert_eq!(hidden("as it is", &[], &[]), "as it is");
    }

    #[test]
    fn words_that_are_no_secret_stay_though_a_value_holds_them() {
        let values = ["export THE_KEY_OF_X=sk-ant-oat01-AbCdEfGh".to_owned()];
        let kept = ["THE_KEY_OF", "THE_KEY_OF_X", ""];
        for (text, clean) in [
            ("THE_KEY_OF_X is malformed", "THE_KEY_OF_X is malformed"),
            (
                "in export THE_KEY_OF_X, twice THE_KEY_OF_X",
                "in export THE_KEY_OF_X, twice THE_KEY_OF_X",
            ),
            ("THE_KEY_OF_X=sk-ant-oat01-AbCd…", "THE_KEY_OF_X***…"),
            ("sk-ant-oat01-AbCdEfGh", "***"),
        ] {
            assert_eq!(hidden(text, &values, &kept), clean, "{text}");
        }
    }

    #[test]
    fn a_value_is_known_in_base64_whatever_stands_around_it() {
        let value = "ghp_AbCdEfGh?>~12345678";
        let forms = in_base64(value);
        for (before, behind) in [
            ("", ""),
            ("x", ""),
            ("xy", "!"),
            ("x-access-token:", ""),
            ("u:", "\n"),
            ("abc", "ab"),
        ] {
            let text = format!("{before}{value}{behind}");
            for encoded in [
                BASE64_STANDARD_NO_PAD.encode(&text),
                BASE64_URL_SAFE_NO_PAD.encode(&text),
            ] {
                let rest = encoded.len()
                    - forms
                        .iter()
                        .filter(|form| encoded.contains(*form))
                        .map(String::len)
                        .max()
                        .unwrap_or_default();
                // A character or two of the value are left at each end.
                assert!(
                    rest <= (before.len() + behind.len()).div_ceil(3) * 4 + 4,
                    "{text}: {encoded}"
                );
            }
        }
        assert!(in_base64("").iter().all(String::is_empty));
    }

    #[test]
    fn a_value_is_known_in_other_writings() {
        assert_eq!(encoded("a b/c\n"), ["a b/c\\n", "a+b%2Fc%0A", "a%20b%2Fc%0A"]);
        assert!(encoded("plain-1").is_empty());
    }
}
