//! Raw HTML in Markdown, reduced to what the page shows of it.

use std::fmt::Write as _;

use axon_api::shown::is_hidden;

/// Elements that GitHub's page keeps, and those that it shows as text. The tags of all others are not seen.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "b",
    "bdo",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "iframe",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "noembed",
    "noframes",
    "ol",
    "p",
    "picture",
    "plaintext",
    "pre",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "script",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "tt",
    "ul",
    "var",
    "video",
    "wbr",
    "xmp",
];

/// Reads raw HTML piece by piece. A comment or a quoted value that nothing ends goes on behind its block, as in a
/// browser: the page shows nothing of what follows, whatever Markdown makes of it.
#[derive(Debug, Default)]
pub(super) struct Html {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// Behind `<`, with what has been read since.
    Begun(String),
    Tag(Tag),
    /// In a comment, behind this many dashes.
    Comment(usize),
    /// In `<!NAME`, `<?` or `<![CDATA[`, with its end and the last characters of the text.
    Other(&'static str, String),
}

#[derive(Debug)]
struct Tag {
    text: String,
    quote: Option<char>,
    last: char,
}

impl Html {
    /// Returns true if nothing of what follows is shown.
    pub(super) fn hides(&self) -> bool {
        match &self.state {
            State::Comment(_) => true,
            State::Tag(tag) => tag.quote.is_some(),
            State::Text | State::Begun(_) | State::Other(..) => false,
        }
    }

    /// Ends a piece that Markdown says is whole.
    pub(super) fn end_inline(&mut self) {
        self.state = State::Text;
    }

    /// Ends a block. The tag of the next one ends a tag that is open.
    pub(super) fn end_block(&mut self) {
        if !self.hides() {
            self.state = State::Text;
        }
    }

    /// Reads a piece and writes what is shown of it.
    pub(super) fn read(&mut self, piece: &str, out: &mut String) {
        let mut rest = piece;
        while let Some(c) = rest.chars().next() {
            if matches!(self.state, State::Text)
                && let Some((len, code)) = numeric_reference(rest)
                && is_hidden(code)
            {
                rest = rest.get(len..).unwrap_or_default();
                continue;
            }
            self.step(c, out);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }

    fn step(&mut self, c: char, out: &mut String) {
        match &mut self.state {
            State::Text if c == '<' => self.state = State::Begun(String::new()),
            State::Text => out.push(c),
            State::Begun(begun) if begun.is_empty() && !(c.is_ascii_alphabetic() || "/!?".contains(c)) => {
                out.push('<');
                self.state = State::Text;
                // It may begin a tag itself.
                self.step(c, out);
            }
            State::Begun(begun) => {
                begun.push(c);
                if let Some(next) = after_angle(begun) {
                    self.state = next;
                }
            }
            State::Tag(tag) => {
                if tag.read(c) {
                    out.push_str(&shown(&tag.text));
                    self.state = State::Text;
                }
            }
            State::Comment(dashes) => match c {
                '-' => *dashes += 1,
                '>' if *dashes >= 2 => self.state = State::Text,
                _ => *dashes = 0,
            },
            State::Other(end, last) => {
                last.push(c);
                if last.ends_with(*end) {
                    self.state = State::Text;
                } else if last.chars().nth(2).is_some() {
                    // No end is longer than three characters.
                    last.remove(0);
                }
            }
        }
    }
}

/// Returns what begins behind `<`, once that can be told from a letter, `/`, `?` or `!` and what follows it.
fn after_angle(begun: &str) -> Option<State> {
    match begun {
        "!" | "!-" => None,
        "!--" => Some(State::Comment(0)),
        "![" => Some(State::Other("]]>", String::new())),
        "!>" | "!->" => Some(State::Text),
        "?" => Some(State::Other("?>", String::new())),
        _ if begun.starts_with('!') => Some(State::Other(">", String::new())),
        _ => Some(State::Tag(Tag {
            text: begun.to_owned(),
            quote: None,
            last: '<',
        })),
    }
}

impl Tag {
    /// Returns true if the character ends the tag. Quotes count only behind `=`.
    fn read(&mut self, c: char) -> bool {
        match self.quote {
            Some(quote) if c == quote => self.quote = None,
            Some(_) => {}
            None if c == '>' => return true,
            None if self.last == '=' && matches!(c, '"' | '\'') => self.quote = Some(c),
            None => {}
        }
        if !c.is_whitespace() {
            self.last = c;
        }
        self.text.push(c);
        false
    }
}

/// Returns the tag without what the page does not show: of the attributes only addresses stay.
fn shown(text: &str) -> String {
    let (slash, text) = match text.strip_prefix('/') {
        Some(text) => ("/", text),
        None => ("", text),
    };
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    let (name, attributes) = text.split_at(end);
    let Some(known) = ELEMENTS.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
        return String::new();
    };
    let mut tag = format!("<{slash}{known}");
    for address in addresses(attributes) {
        let _ = write!(tag, " {address}");
    }
    tag.push('>');
    tag
}

/// Returns the attributes `href` and `src` of a tag, normalised.
fn addresses(attributes: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/' || c == '=');
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '/'))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return found;
        }
        rest = after;
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else {
            continue;
        };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => {
                let inner = value.get(1..).unwrap_or_default();
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        rest = after;
        for known in ["href", "src"] {
            if name.eq_ignore_ascii_case(known) {
                found.push(format!("{known}=\"{}\"", super::address(value)));
            }
        }
    }
}

/// Reads `&#65;` or `&#x41;` at the begin of a text: its length and the character.
fn numeric_reference(text: &str) -> Option<(usize, char)> {
    let digits = text.strip_prefix("&#")?;
    let (digits, radix, before) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16, 3),
        None => (digits, 10, 2),
    };
    let len = digits
        .bytes()
        .take(8)
        .take_while(u8::is_ascii_alphanumeric)
        .count();
    let code = char::from_u32(u32::from_str_radix(digits.get(..len)?, radix).ok()?)?;
    let semicolon = usize::from(digits.as_bytes().get(len) == Some(&b';'));
    Some((before + len + semicolon, code))
}
