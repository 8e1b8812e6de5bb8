//! Versions without written rules: `10.0.20348.1`, `3.12`, `1.1.1k`, `v2.0-beta1`.

use std::cmp::Ordering;

use super::deb::{compare_numbers, split_while};

/// Compares place by place, numbers as numbers; what is missing at the end is zero.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (Tokens::of(a), Tokens::of(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => {
                let order = compare_places(a, b);
                if order.is_ne() {
                    return order;
                }
            }
        }
    }
}

/// One place: a run of digits or a run of letters.
#[derive(Clone, Copy)]
enum Token<'a> {
    Number(&'a [u8]),
    Text(&'a [u8]),
}

/// The places of a version; what is neither a letter nor a digit only separates them.
struct Tokens<'a>(&'a [u8]);

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        let bytes = text.trim().as_bytes();
        match bytes {
            [b'v' | b'V', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit) => Self(rest),
            _ => Self(bytes),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let (_, rest) = split_while(self.0, |byte| !is_text(*byte) && !byte.is_ascii_digit());
        let first = rest.first()?;
        let (token, rest) = if first.is_ascii_digit() {
            let (digits, rest) = split_while(rest, u8::is_ascii_digit);
            (Token::Number(digits), rest)
        } else {
            let (text, rest) = split_while(rest, |byte| is_text(*byte));
            (Token::Text(text), rest)
        };
        self.0 = rest;
        Some(token)
    }
}

fn compare_places(a: Option<Token<'_>>, b: Option<Token<'_>>) -> Ordering {
    match (a, b) {
        (Some(Token::Text(a)), Some(Token::Text(b))) => rank(Some(Token::Text(a)))
            .cmp(&rank(Some(Token::Text(b))))
            .then_with(|| lower(a).cmp(lower(b))),
        (Some(Token::Number(a)), Some(Token::Number(b))) => compare_numbers(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Pre-releases, then nothing and zero alike, then other text (`1.1.1k`), then higher numbers.
///
/// Nothing must rank as zero does, so that `1.0` and `1` compare alike with `1.0a` and `1a`.
fn rank(token: Option<Token<'_>>) -> u8 {
    match token {
        Some(Token::Text(text)) if is_pre_release(text) => 0,
        None => 1,
        Some(Token::Number(digits)) if digits.iter().all(|digit| *digit == b'0') => 1,
        Some(Token::Text(_)) => 2,
        Some(Token::Number(_)) => 3,
    }
}

fn is_pre_release(text: &[u8]) -> bool {
    ["alpha", "beta", "dev", "pre", "preview", "rc"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || !byte.is_ascii()
}

fn lower(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().map(u8::to_ascii_lowercase)
}
