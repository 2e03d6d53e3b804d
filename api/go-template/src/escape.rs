//! `html`, `js` and `urlquery`.

use super::buffer::{Buffer, Full};
use super::unicode::{is_print, runes};

pub(super) fn html(out: &mut Buffer, text: &[u8]) -> Result<(), Full> {
    for byte in text {
        match byte {
            b'\0' => out.push_char(char::REPLACEMENT_CHARACTER)?,
            b'"' => out.push_str("&#34;")?,
            b'\'' => out.push_str("&#39;")?,
            b'&' => out.push_str("&amp;")?,
            b'<' => out.push_str("&lt;")?,
            b'>' => out.push_str("&gt;")?,
            other => out.push(&[*other])?,
        }
    }
    Ok(())
}

pub(super) fn js(out: &mut Buffer, text: &[u8]) -> Result<(), Full> {
    for rune in runes(text) {
        match rune {
            Ok(c @ ('\\' | '\'' | '"')) => {
                out.push_char('\\')?;
                out.push_char(c)?;
            }
            Ok(c @ ('<' | '>' | '&' | '=')) => unit(out, c)?,
            Ok(c) if c < ' ' => unit(out, c)?,
            Ok(c) if c.is_ascii() || is_print(c) => out.push_char(c)?,
            Ok(c) => unit(out, c)?,
            Err(byte) => out.push(&[byte])?,
        }
    }
    Ok(())
}

fn unit(out: &mut Buffer, c: char) -> Result<(), Full> {
    out.push_str(&format!("\\u{:04X}", u32::from(c)))
}

pub(super) fn url_query(out: &mut Buffer, text: &[u8]) -> Result<(), Full> {
    for byte in text {
        match byte {
            b' ' => out.push(b"+")?,
            b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(&[*byte])?,
            other => out.push_str(&format!("%{other:02X}"))?,
        }
    }
    Ok(())
}
