//! Cuts a template into tokens: text between actions, and the words inside `{{` and `}}`.

use super::unicode;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The text cannot be read any further; [`Lexed::error`] says why.
    Error,
    End,
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Assign,
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    Comma,
    /// Any other printable character.
    Char,
    Bool,
    CharConstant,
    Complex,
    Number,
    Quoted,
    RawQuoted,
    /// A name without a dot: a function.
    Identifier,
    /// `.name`.
    Field,
    /// `$` or `$name`.
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

/// The words of control actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) offset: usize,
    pub(super) text: &'a str,
}

/// All tokens; the last one is [`Kind::End`] or [`Kind::Error`].
pub(super) struct Lexed<'a> {
    pub(super) tokens: Vec<Token<'a>>,
    pub(super) error: String,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Why lexing stopped.
type Stop = String;

/// Cuts the text.
pub(super) fn lex(text: &str) -> Lexed<'_> {
    let mut lexer = Lexer {
        text,
        at: 0,
        start: 0,
        tokens: Vec::new(),
    };
    let error = lexer.run().err();
    lexer.tokens.push(Token {
        kind: if error.is_some() { Kind::Error } else { Kind::End },
        offset: if error.is_some() { lexer.start } else { text.len() },
        text: "",
    });
    Lexed {
        tokens: lexer.tokens,
        error: error.unwrap_or_default(),
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the token being read began.
    start: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|next| set.contains(next));
        if found {
            self.at += 1;
        }
        found
    }

    fn accept_run(&mut self, set: &str) {
        while self.accept(set) {}
    }

    fn emit(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token {
            kind,
            offset: start,
            text: self.text.get(start..self.at).unwrap_or_default(),
        });
    }

    fn run(&mut self) -> Result<(), Stop> {
        loop {
            let start = self.at;
            let Some(before) = self.rest().find("{{") else {
                self.at = self.text.len();
                if self.at > start {
                    self.emit(Kind::Text, start);
                }
                return Ok(());
            };
            let delim = start + before;
            let inside = self.text.get(delim + 2..).unwrap_or_default();
            let trim = inside
                .strip_prefix('-')
                .is_some_and(|after| after.starts_with(SPACES));
            let text = self.text.get(start..delim).unwrap_or_default();
            let kept = if trim { text.trim_end_matches(SPACES) } else { text };
            if !kept.is_empty() {
                self.at = start + kept.len();
                self.emit(Kind::Text, start);
            }
            self.at = delim + 2;
            let marker = if trim { 2 } else { 0 };
            if inside.get(marker..).is_some_and(|after| after.starts_with("/*")) {
                self.at += marker;
                self.start = self.at;
                self.comment()?;
            } else {
                self.emit(Kind::LeftDelim, delim);
                self.at += marker;
                self.action()?;
            }
        }
    }

    /// Returns whether a right delimiter starts here, and whether it trims.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if rest.starts_with(SPACES) && rest.get(1..).is_some_and(|after| after.starts_with("-}}")) {
            Some(true)
        } else {
            rest.starts_with("}}").then_some(false)
        }
    }

    fn pass_right_delim(&mut self, trim: bool) {
        self.at += if trim { 4 } else { 2 };
        if trim {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start_matches(SPACES).len();
        }
    }

    fn comment(&mut self) -> Result<(), Stop> {
        let end = self
            .rest()
            .get(2..)
            .and_then(|body| body.find("*/"))
            .ok_or("unclosed comment")?;
        self.at += end + 4;
        let trim = self
            .right_delim()
            .ok_or("comment ends before closing delimiter")?;
        self.pass_right_delim(trim);
        Ok(())
    }

    fn action(&mut self) -> Result<(), Stop> {
        let mut parens = 0usize;
        loop {
            let start = self.at;
            self.start = start;
            if let Some(trim) = self.right_delim() {
                if parens > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.tokens.push(Token {
                    kind: Kind::RightDelim,
                    offset: start,
                    text: "}}",
                });
                self.pass_right_delim(trim);
                return Ok(());
            }
            let Some(next) = self.bump() else {
                return Err("unclosed action".to_owned());
            };
            let kind = match next {
                ' ' | '\t' | '\r' | '\n' => {
                    while self.right_delim().is_none() && self.peek().is_some_and(|c| SPACES.contains(&c)) {
                        self.at += 1;
                    }
                    Kind::Space
                }
                '=' => Kind::Assign,
                ':' if self.accept("=") => Kind::Declare,
                ':' => return Err("expected :=".to_owned()),
                '|' => Kind::Pipe,
                ',' => Kind::Comma,
                '"' => self.quoted('"', "unterminated quoted string", Kind::Quoted)?,
                '\'' => self.quoted('\'', "unterminated character constant", Kind::CharConstant)?,
                '`' => {
                    let end = self.rest().find('`').ok_or("unterminated raw quoted string")?;
                    self.at += end + 1;
                    Kind::RawQuoted
                }
                '$' => self.name(Kind::Variable)?,
                '.' if self.peek().is_some_and(|c| !c.is_ascii_digit()) => self.name(Kind::Field)?,
                '.' | '+' | '-' | '0'..='9' => {
                    self.at = start;
                    self.number()?
                }
                '(' => {
                    parens += 1;
                    Kind::LeftParen
                }
                ')' => {
                    parens = parens.checked_sub(1).ok_or("unexpected right paren")?;
                    Kind::RightParen
                }
                word if unicode::is_word(word) => self.word(start)?,
                ' '..='~' => Kind::Char,
                other => {
                    return Err(format!(
                        "unrecognized character in action: {}",
                        unicode::described(other)
                    ));
                }
            };
            self.emit(kind, start);
        }
    }

    fn quoted(&mut self, quote: char, unterminated: &str, kind: Kind) -> Result<Kind, Stop> {
        loop {
            let mut next = self.bump();
            if next == Some('\\') {
                next = self.bump().filter(|escaped| *escaped != '\n');
                if next.is_some() {
                    continue;
                }
            }
            match next {
                None | Some('\n') => return Err(unterminated.to_owned()),
                Some(other) if other == quote => return Ok(kind),
                Some(_) => {}
            }
        }
    }

    fn pass_word(&mut self) {
        while self.peek().is_some_and(unicode::is_word) {
            self.bump();
        }
    }

    /// Checks that what follows a name may follow a name.
    fn terminated(&self) -> Result<(), Stop> {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            Some(_) if self.rest().starts_with("}}") => Ok(()),
            Some(other) => Err(format!("bad character {}", unicode::described(other))),
        }
    }

    /// Reads what follows `.` or `$`.
    fn name(&mut self, kind: Kind) -> Result<Kind, Stop> {
        if self.terminated().is_ok() {
            return Ok(if kind == Kind::Field { Kind::Dot } else { kind });
        }
        self.pass_word();
        self.terminated()?;
        Ok(kind)
    }

    fn word(&mut self, start: usize) -> Result<Kind, Stop> {
        self.pass_word();
        self.terminated()?;
        Ok(match self.text.get(start..self.at).unwrap_or_default() {
            "block" => Kind::Keyword(Keyword::Block),
            "break" => Kind::Keyword(Keyword::Break),
            "continue" => Kind::Keyword(Keyword::Continue),
            "define" => Kind::Keyword(Keyword::Define),
            "else" => Kind::Keyword(Keyword::Else),
            "end" => Kind::Keyword(Keyword::End),
            "if" => Kind::Keyword(Keyword::If),
            "range" => Kind::Keyword(Keyword::Range),
            "template" => Kind::Keyword(Keyword::Template),
            "with" => Kind::Keyword(Keyword::With),
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        })
    }

    fn number(&mut self) -> Result<Kind, Stop> {
        let start = self.at;
        let mut readable = self.scan_number();
        let mut kind = Kind::Number;
        if readable && self.peek().is_some_and(|next| next == '+' || next == '-') {
            // A complex number, such as 1+2i.
            readable = self.scan_number() && self.text.as_bytes().get(self.at - 1) == Some(&b'i');
            kind = Kind::Complex;
        }
        if readable {
            return Ok(kind);
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        Err(format!("bad number syntax: {}", unicode::quoted(text.as_bytes())))
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        let mut exponent = "eE";
        if self.accept("0") {
            if self.accept("xX") {
                (digits, exponent) = ("0123456789abcdefABCDEF_", "pP");
            } else if self.accept("oO") {
                (digits, exponent) = ("01234567_", "");
            } else if self.accept("bB") {
                (digits, exponent) = ("01_", "");
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(unicode::is_word) {
            self.bump();
            return false;
        }
        true
    }
}
