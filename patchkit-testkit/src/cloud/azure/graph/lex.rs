//! Words, numbers and strings of a query.

use std::borrow::Cow;

use jiff::SignedDuration;

use super::QueryError;

/// The longest query that is read; what people send is a few kilobytes.
const MAX_QUERY: usize = 128 * 1024;

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'t> {
    /// A name, a keyword, or an operator made of letters such as `!has` or `in~`.
    Word(&'t str),
    Text(Cow<'t, str>),
    Long(i64),
    Real(f64),
    Span(SignedDuration),
    /// `datetime(...)` and its like, whose inside is not made of tokens: the word and the inside.
    Literal(&'static str, &'t str),
    Sign(&'static str),
    End,
}

/// Literals whose inside is taken as it stands.
const RAW: [&str; 6] = ["date", "datetime", "dynamic", "guid", "time", "timespan"];

/// Longer signs first, so that each is found whole.
const SIGNS: [&str; 25] = [
    "==", "=~", "!=", "!~", "<=", ">=", "..", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", "{", "}", ",", ".", ":", "|",
];

pub(super) fn lex(text: &str) -> Result<Vec<Token<'_>>, QueryError> {
    if text.len() > MAX_QUERY {
        return Err(QueryError::option("QueryTooLong", "The query is longer than is allowed."));
    }
    let (mut lexer, mut tokens) = (Lexer { text, at: 0 }, Vec::with_capacity(text.len() / 4));
    while lexer.skip_blank() {
        let start = lexer.at;
        let kind = lexer.token().ok_or_else(|| {
            let shown = text.get(start..).unwrap_or_default();
            failure(text, start, shown)
        })?;
        tokens.push(Token { kind, start, end: lexer.at });
    }
    let end = text.len();
    tokens.push(Token { kind: Kind::End, start: end, end });
    Ok(tokens)
}

/// The refusal of what stands at an offset.
pub(super) fn failure(text: &str, offset: usize, token: &str) -> QueryError {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let character = before.get(start..).map_or(0, |line| line.chars().count());
    QueryError::parser(
        i64::try_from(line).unwrap_or(i64::MAX),
        i64::try_from(character).unwrap_or(i64::MAX),
        token,
    )
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Skips spaces and comments; says whether anything is left.
    fn skip_blank(&mut self) -> bool {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let blank = rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                let comment = trimmed.find('\n').unwrap_or(trimmed.len());
                self.at += blank + comment;
            } else {
                self.at += blank;
                return !trimmed.is_empty();
            }
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn token(&mut self) -> Option<Kind<'t>> {
        let start = self.at;
        let first = self.peek()?;
        let second = self.rest().chars().nth(1);
        match first {
            '\'' | '"' => self.quoted(first),
            '@' if matches!(second, Some('\'' | '"')) => {
                self.at += 1;
                self.verbatim(second?)
            }
            '0'..='9' => self.number(),
            '!' if second.is_some_and(|c| c.is_ascii_alphabetic()) => {
                self.at += 1;
                self.letters();
                self.word(start)
            }
            'a'..='z' | 'A'..='Z' | '_' | '$' => {
                self.at += 1;
                self.letters();
                let word = self.text.get(start..self.at)?;
                let raw = RAW.iter().find(|raw| **raw == word);
                let Some(raw) = raw.filter(|_| self.rest().trim_start().starts_with('(')) else {
                    return self.word(start);
                };
                // A literal without an end is a failure at its word.
                self.raw_inside().map(|inside| Kind::Literal(raw, inside))
            }
            ';' => {
                self.at += 1;
                Some(Kind::Sign(";"))
            }
            _ => {
                let sign = SIGNS.iter().find(|sign| self.rest().starts_with(**sign))?;
                self.at += sign.len();
                Some(Kind::Sign(sign))
            }
        }
    }

    fn letters(&mut self) {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
    }

    /// The word that begins at a place; of all words, only `in` and `!in` carry a tilde.
    fn word(&mut self, start: usize) -> Option<Kind<'t>> {
        let word = self.text.get(start..self.at)?;
        if matches!(word, "in" | "!in") && self.rest().starts_with('~') {
            self.at += 1;
        }
        self.text.get(start..self.at).map(Kind::Word)
    }

    /// What stands between the parentheses of a raw literal.
    fn raw_inside(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let open = rest.len() - rest.trim_start().len();
        let inside = rest.get(open..)?.strip_prefix('(')?;
        let mut depth = 1_u32;
        let mut quote = None;
        let mut escaped = false;
        for (at, c) in inside.char_indices() {
            match quote {
                Some(_) if escaped => escaped = false,
                Some(_) if c == '\\' => escaped = true,
                Some(open) if c == open => quote = None,
                Some(_) => {}
                None => match c {
                    '\'' | '"' => quote = Some(c),
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                },
            }
            if depth == 0 {
                self.at += open + 1 + at + 1;
                return inside.get(..at).map(str::trim);
            }
        }
        None
    }

    fn quoted(&mut self, quote: char) -> Option<Kind<'t>> {
        let (text, len) = unescape(self.rest().get(1..)?, quote)?;
        self.at += 1 + len;
        Some(Kind::Text(text))
    }

    fn verbatim(&mut self, quote: char) -> Option<Kind<'t>> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                text.push(c);
            } else if chars.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                self.at += at + c.len_utf8();
                return Some(Kind::Text(text.into()));
            }
        }
        None
    }

    fn number(&mut self) -> Option<Kind<'t>> {
        let start = self.at;
        let whole = self.take_while(|c| c.is_ascii_digit());
        let mut is_real = false;
        let mut after = self.rest().chars();
        if after.next() == Some('.') && after.next().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            is_real = true;
            self.take_while(|c| c.is_ascii_digit());
        }
        let unit = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let digits = self.text.get(start..self.at - unit.len())?;
        match unit {
            "" if is_real => digits.parse().ok().map(Kind::Real),
            "" => whole.parse().ok().map(Kind::Long),
            unit => span(digits, unit).map(Kind::Span),
        }
    }
}

/// A string's value and its length in the text, closing quote included.
pub(super) fn unescape(body: &str, quote: char) -> Option<(Cow<'_, str>, usize)> {
    let plain = body.find([quote, '\\', '\n'])?;
    if body.get(plain..)?.starts_with(quote) {
        return Some((Cow::Borrowed(body.get(..plain)?), plain + quote.len_utf8()));
    }
    let mut text = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, escape) = chars.next()?;
                let digits = match escape {
                    'u' => 4,
                    'x' => 2,
                    _ => 0,
                };
                if digits > 0 {
                    let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&code, 16).ok()?;
                    text.push(char::from_u32(code)?);
                } else {
                    text.push(match escape {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        '0' => '\0',
                        '\\' | '\'' | '"' => escape,
                        _ => return None,
                    });
                }
            }
            '\n' => return None,
            c if c == quote => return Some((text.into(), at + c.len_utf8())),
            c => text.push(c),
        }
    }
    None
}

/// A timespan such as `7d` or `1.5h`.
pub(super) fn span(digits: &str, unit: &str) -> Option<SignedDuration> {
    const SECOND: f64 = 1e9;
    let nanos = match unit {
        "d" | "day" | "days" => 86_400.0 * SECOND,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0 * SECOND,
        "m" | "min" | "minute" | "minutes" => 60.0 * SECOND,
        "s" | "sec" | "second" | "seconds" => SECOND,
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1e6,
        "micro" | "micros" | "microsecond" | "microseconds" => 1e3,
        "tick" | "ticks" => 100.0,
        _ => return None,
    };
    let count: f64 = digits.parse().ok()?;
    // 10,000 years either way is the whole range of time.
    let seconds = count * nanos / SECOND;
    (seconds.abs() < 3.2e11).then(|| SignedDuration::from_secs_f64(seconds))
}
