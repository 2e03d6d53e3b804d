//! Numbers and times as people read them.

use std::time::Duration;

use axon_api::money::Money;
use axon_api::usage::stored_tokens;
use jiff::Timestamp;

/// Returns the age of something as kubectl writes it; `<unknown>` without a time.
#[must_use]
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(
        || "<unknown>".to_owned(),
        |since| duration(now.duration_since(since).unsigned_abs()),
    )
}

/// Returns a duration as kubectl writes ages: two units at most, `3d4h`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{small_unit}")
        }
    };
    if seconds < 120 {
        format!("{seconds}s")
    } else if minutes < 10 {
        two(minutes, "m", seconds % 60, "s")
    } else if hours < 3 {
        format!("{minutes}m")
    } else if hours < 8 {
        two(hours, "h", minutes % 60, "m")
    } else if hours < 48 {
        format!("{hours}h")
    } else if days < 8 {
        two(days, "d", hours % 24, "h")
    } else if days < 365 * 2 {
        format!("{days}d")
    } else if days < 365 * 8 {
        two(days / 365, "y", days % 365, "d")
    } else {
        format!("{}y", days / 365)
    }
}

/// Returns how long a run took: seconds with a tenth while they are few.
#[must_use]
pub fn run_time(milliseconds: u64) -> String {
    if milliseconds < 60_000 {
        let tenths = (milliseconds + 50) / 100;
        format!("{}.{}s", tenths / 10, tenths % 10)
    } else {
        duration(Duration::from_millis(milliseconds))
    }
}

/// Returns dollars in few digits: `$0.0122`, `$12.34`; `?` for a text that is no amount.
#[must_use]
pub fn cost(dollars: &str) -> String {
    Money::parse(dollars).map_or_else(|| "?".to_owned(), Money::short)
}

/// Returns a number of tokens that a status or a record has; `?` if it can't be one.
#[must_use]
pub fn tokens(count: i64) -> String {
    stored_tokens(count).map_or_else(|| "?".to_owned(), |count| count.to_string())
}

/// Returns what was reported, and apart from it what was estimated: `$0.0122`, `~$0.0122`, `$0.0122+~$0.0040`.
#[must_use]
pub fn spent(reported: Option<&str>, estimated: Option<&str>) -> String {
    let estimated = estimated.map(|dollars| format!("~{}", cost(dollars)));
    let parts = reported.map(cost).into_iter().chain(estimated);
    parts.collect::<Vec<_>>().join("+")
}

/// Returns `text` on one line, without characters that a terminal would obey or that nobody sees.
#[must_use]
pub fn one_line(text: &str) -> String {
    axon_api::shown::line(text)
}

/// Returns the lines of `text` as one, for the middle of a sentence.
#[must_use]
pub fn joined(text: &str) -> String {
    let lines = text.lines().map(one_line).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// Returns `text` without characters that a terminal would obey or that nobody sees, lines and tabs apart.
#[must_use]
pub fn printable(text: &str) -> String {
    axon_api::shown::lines(text)
}

/// Returns at most `max` characters of `text` on one line, with `...` if there was more.
#[must_use]
pub fn gist(text: &str, max: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(max) {
        Some((cut, _)) => format!("{}...", line.get(..cut).unwrap_or_default()),
        None => line,
    }
}

/// Returns a word as a shell reads it back.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Returns a number in few digits: `950`, `12.3k`, `4.5M`.
#[must_use]
pub fn quantity(number: u64) -> String {
    let scaled = |unit: u64, letter: char| {
        let tenths = number.saturating_add(unit / 20) / (unit / 10);
        if tenths >= 1000 {
            format!("{}{letter}", tenths / 10)
        } else {
            format!("{}.{}{letter}", tenths / 10, tenths % 10)
        }
    };
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => scaled(1000, 'k'),
        1_000_000..1_000_000_000 => scaled(1_000_000, 'M'),
        _ => scaled(1_000_000_000, 'G'),
    }
}

/// Returns `1 task`, `2 tasks`.
#[must_use]
pub fn count(number: usize, word: &str) -> String {
    if number == 1 {
        format!("1 {word}")
    } else {
        format!("{number} {word}s")
    }
}

/// Returns a sentence in lines of `width` columns, or in one without a width.
#[must_use]
pub fn wrapped(sentence: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else {
        return vec![sentence.to_owned()];
    };
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let Some(line) = lines.last_mut() else {
            break;
        };
        if !line.is_empty() && crate::text_width::width(line) + 1 + crate::text_width::width(word) > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_kubectl_does() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600, "8h"),
            (47 * 3600, "47h"),
            (3 * 86400 + 4 * 3600, "3d4h"),
            (8 * 86400, "8d"),
            (800 * 86400, "2y70d"),
            (9 * 365 * 86400, "9y"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn money_and_run_times_are_short() {
        assert_eq!(cost("0.012224"), "$0.0122");
        for bad in ["inf", "-1", "1e308", "\u{1b}[2J", ""] {
            assert_eq!(cost(bad), "?");
        }
        assert_eq!(
            (tokens(5), tokens(-5), tokens(i64::MAX)),
            ("5".into(), "?".into(), "?".into())
        );
        assert_eq!(spent(None, None), "");
        assert_eq!(spent(Some("0.5"), None), "$0.5000");
        assert_eq!(spent(None, Some("0.12")), "~$0.1200");
        assert_eq!(spent(Some("0.5"), Some("0.12")), "$0.5000+~$0.1200");
        assert_eq!(run_time(442), "0.4s");
        assert_eq!(run_time(4200), "4.2s");
        assert_eq!(run_time(252_000), "4m12s");
    }

    #[test]
    fn large_numbers_are_short() {
        for (number, text) in [
            (0, "0"),
            (9999, "9999"),
            (12_345, "12.3k"),
            (123_456, "123k"),
            (4_560_000, "4.6M"),
            (7_000_000_000, "7.0G"),
            (u64::MAX, "18446744073G"),
        ] {
            assert_eq!(quantity(number), text);
        }
    }

    #[test]
    fn gists_are_one_short_line_without_control_characters() {
        assert_eq!(gist("a\nb\x1b[31m", 20), "a\\nb\u{fffd}[31m");
        assert_eq!(printable("a\r\n\tb\x1b]0;x\x07"), "a\n\tb\u{fffd}]0;x\u{fffd}");
        assert_eq!(gist("äöüß", 3), "äöü...");
        assert_eq!(gist("abc", 3), "abc");
        assert_eq!(joined("a\n\n b\x07\n"), "a; b\u{fffd}");
    }

    #[test]
    fn sentences_are_wrapped_at_words() {
        assert_eq!(wrapped("one two three", Some(8)), ["one two", "three"]);
        assert_eq!(wrapped("one two three", None), ["one two three"]);
        assert_eq!(
            wrapped("longer-than-the-line x", Some(5)),
            ["longer-than-the-line", "x"]
        );
    }
}
