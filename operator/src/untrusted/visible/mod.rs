//! What GitHub's page shows of a text in Markdown. Pure.
//!
//! People approve what they see on that page, and an agent reads the source. This module takes out of the source what
//! the page does not show, so that both read the same:
//!
//! | in the source | what stays |
//! | --- | --- |
//! | HTML comments, `<? ?>`, `<!DOCTYPE>`, CDATA | nothing; in code they are visible, and stay |
//! | a comment that nothing ends | nothing to the end of the text, as in a browser |
//! | tags | the names of those that GitHub keeps; of their attributes `href` and `src` |
//! | `![alternative text](address "title")` | `![](address)` |
//! | `[text](address "title")`, `[text][label]` | `[text](address)` |
//! | link definitions | nothing: the links have the address |
//! | footnotes that nothing outside of footnotes refers to | nothing; the labels of the others become numbers |
//! | what follows the language of a fenced block | nothing |
//! | cells beyond the columns of a table | nothing |
//! | invisible characters, as such or as references | nothing; see [`axon_api::shown`] |
//!
//! All else is copied, byte for byte. Where Markdown's readers differ about what is shown, the text goes. The addresses of
//! links and pictures stay, which a page shows at the pointer; the sources of diagrams and formulas stay, with comments in them.

mod html;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use self::html::Html;
use axon_api::shown::{is_hidden, without_hidden};

/// Extensions of Markdown in which GitHub hides something. What is written with the others is visible either way.
const EXTENSIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_FOOTNOTES);

/// Longest name of a fenced block's language, in bytes.
const MAX_LANGUAGE: usize = 32;

/// Returns what GitHub's page shows of a text in Markdown, as Markdown. Empty if it shows nothing. Takes time and memory in
/// proportion to the text.
#[must_use]
pub fn markdown(source: &str) -> String {
    let mut writer = Writer {
        source,
        at: 0,
        out: String::with_capacity(source.len()),
        html: Html::default(),
        links: Vec::new(),
        definitions: Vec::new(),
        skipped: 0,
        footnotes: footnotes(source),
    };
    for (event, range) in Parser::new_ext(source, EXTENSIONS).into_offset_iter() {
        writer.event(&event, range);
    }
    writer.structure(source.len());
    let shown = without_hidden(&writer.out);
    if shown.trim().is_empty() {
        return String::new();
    }
    shown
}

/// Returns the number of each footnote that the text outside of footnotes refers to.
fn footnotes(source: &str) -> HashMap<String, usize> {
    let mut numbers = HashMap::new();
    if !source.contains("[^") {
        return numbers;
    }
    let mut depth = 0usize;
    for event in Parser::new_ext(source, EXTENSIONS) {
        match event {
            Event::Start(Tag::FootnoteDefinition(_)) => depth += 1,
            Event::End(TagEnd::FootnoteDefinition) => depth = depth.saturating_sub(1),
            Event::FootnoteReference(label) if depth == 0 => {
                let next = numbers.len() + 1;
                numbers.entry(label.to_lowercase()).or_insert(next);
            }
            _ => {}
        }
    }
    numbers
}

/// Returns an address as it can stand in `(...)` and in quotes.
fn address(text: &str) -> String {
    let mut address = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_hidden(c) => {}
            ' ' | '\t' | '\n' | '"' | '<' | '>' => {
                let _ = write!(address, "%{:02X}", u32::from(c));
            }
            c if c.is_whitespace() => address.push_str("%20"),
            c => address.push(c),
        }
    }
    address
}

/// Copies the source up to `at`, without what is not shown.
struct Writer<'a> {
    source: &'a str,
    at: usize,
    out: String,
    html: Html,
    /// Links and pictures around this place; absent for an address that is its own text.
    links: Vec<Option<Link>>,
    /// Open footnote definitions, outermost first; `true` for each that is left out.
    definitions: Vec<bool>,
    /// Number of open pictures and footnotes that are left out.
    skipped: usize,
    footnotes: HashMap<String, usize>,
}

/// A link or a picture that has begun.
struct Link {
    address: String,
    /// Length of the output before it and behind its bracket.
    before: usize,
    begun: usize,
    is_picture: bool,
}

impl<'a> Writer<'a> {
    fn event(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => {
                self.structure(range.start);
                self.start(tag, &range);
            }
            Event::End(tag) => self.end(*tag, range.end),
            Event::Text(text) => {
                self.structure(range.start);
                let is_reference = self.slice(&range).starts_with('&');
                if is_reference && text.chars().all(is_hidden) {
                    self.at = self.at.max(range.end);
                } else {
                    self.copy(range.end);
                }
            }
            Event::Html(_) => self.html(&range),
            Event::InlineHtml(_) => {
                let was_hidden = self.html.hides();
                self.html(&range);
                // Markdown takes it for HTML because it has an end.
                if !was_hidden {
                    self.html.end_inline();
                }
            }
            Event::FootnoteReference(label) => {
                self.structure(range.start);
                let number = self.footnotes.get(&label.to_lowercase()).copied();
                self.write(&format!("[^{}]", number.unwrap_or_default()));
                self.at = self.at.max(range.end);
            }
            _ => {
                self.structure(range.start);
                self.copy(range.end);
            }
        }
    }

    fn start(&mut self, tag: &Tag<'_>, range: &Range<usize>) {
        match tag {
            Tag::Link {
                link_type: LinkType::Autolink | LinkType::Email,
                ..
            } => self.links.push(None),
            Tag::Link { dest_url, .. } => self.link(dest_url, range.start, false),
            Tag::Image { dest_url, .. } => self.link(dest_url, range.start, true),
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => self.fence(info, range),
            Tag::FootnoteDefinition(label) => {
                let number = self.footnotes.get(&label.to_lowercase()).copied();
                self.definitions.push(number.is_none());
                let Some(number) = number else {
                    self.skipped += 1;
                    return;
                };
                self.write(&format!("[^{number}]:"));
                let label = self.slice(range).find("]:").map_or(0, |at| at + 2);
                self.at = self.at.max(range.start + label);
            }
            _ => {}
        }
    }

    fn link(&mut self, dest: &str, start: usize, is_picture: bool) {
        let before = self.out.len();
        let bracket = if is_picture { "![" } else { "[" };
        self.write(bracket);
        self.at = self.at.max(start + bracket.len());
        self.links.push(Some(Link {
            address: address(dest),
            before,
            begun: self.out.len(),
            is_picture,
        }));
        self.skipped += usize::from(is_picture);
    }

    /// Writes the first line of a fenced block: of what stands behind the fence a page uses the first word.
    fn fence(&mut self, info: &str, range: &Range<usize>) {
        let line = self.slice(range).lines().next().unwrap_or_default();
        let end = range.start + line.len();
        let fence = line.trim_start();
        let fence = fence.get(..fence.len() - fence.trim_start_matches(['`', '~']).len());
        let language = info.split_whitespace().next().unwrap_or_default();
        self.write(fence.unwrap_or_default());
        if language.len() <= MAX_LANGUAGE {
            self.write(language);
        }
        self.at = self.at.max(end);
    }

    fn html(&mut self, range: &Range<usize>) {
        self.structure(range.start);
        let piece = self.source.get(self.at..range.end).unwrap_or_default();
        if self.skipped == 0 {
            self.html.read(piece, &mut self.out);
        }
        self.at = self.at.max(range.end);
    }

    fn end(&mut self, tag: TagEnd, end: usize) {
        match tag {
            TagEnd::Link | TagEnd::Image => match self.links.pop().flatten() {
                None => self.structure(end),
                Some(link) => {
                    self.skipped -= usize::from(link.is_picture);
                    self.at = self.at.max(end);
                    if !link.is_picture && self.out.len() == link.begun {
                        // Nothing of it is to be seen.
                        self.out.truncate(link.before);
                    } else {
                        self.write("](");
                        self.write(&link.address);
                        self.write(")");
                    }
                }
            },
            TagEnd::FootnoteDefinition => {
                if self.definitions.pop() == Some(true) {
                    self.skipped -= 1;
                    self.at = self.at.max(end);
                } else {
                    self.structure(end);
                }
            }
            TagEnd::HtmlBlock => {
                self.structure(end);
                self.html.end_block();
            }
            _ => self.structure(end),
        }
    }

    /// Writes what stands between texts up to `end`: the marks of blocks and emphasis, and line ends. Words there are link
    /// definitions, which begin with a bracket, or something else that is not shown.
    fn structure(&mut self, end: usize) {
        let Some(piece) = self.source.get(self.at..end) else {
            return;
        };
        self.at = end;
        let (marks, definitions) = match piece.find('[') {
            Some(bracket) => piece.split_at(bracket),
            None => (piece, ""),
        };
        // The marks of the next block stand on the last line.
        let last_line = definitions.rfind('\n').and_then(|at| definitions.get(at..));
        let last_line = last_line.and_then(|line| line.split('[').next());
        if self.is_shown() {
            let all = marks.chars().chain(last_line.unwrap_or_default().chars());
            self.out.extend(all.filter(|c| is_mark(*c)));
        }
    }

    fn copy(&mut self, end: usize) {
        if self.is_shown()
            && let Some(text) = self.source.get(self.at..end)
        {
            self.out.push_str(text);
        }
        self.at = self.at.max(end);
    }

    fn write(&mut self, text: &str) {
        if self.is_shown() {
            self.out.push_str(text);
        }
    }

    fn is_shown(&self) -> bool {
        self.skipped == 0 && !self.html.hides()
    }

    fn slice(&self, range: &Range<usize>) -> &'a str {
        self.source.get(range.clone()).unwrap_or_default()
    }
}

/// Returns true for characters of which Markdown's own marks are made.
fn is_mark(c: char) -> bool {
    c.is_ascii_digit() || c.is_ascii_whitespace() || "#>*+-=_~`|:.)(]!<\\".contains(c)
}
