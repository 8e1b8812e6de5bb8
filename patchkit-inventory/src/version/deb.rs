//! The comparison of the Debian policy manual, section 5.6.12 (`verrevcmp` of dpkg).

use std::{cmp::Ordering, iter};

/// Compares two epochs, upstream versions or revisions; a missing one equals `0`.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    // Bytes, as dpkg does: the text comes from nodes and need not be ASCII.
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split_while(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split_while(b, |byte| !byte.is_ascii_digit());
        let (number_a, next_a) = split_while(rest_a, u8::is_ascii_digit);
        let (number_b, next_b) = split_while(rest_b, u8::is_ascii_digit);
        let order = compare_text(text_a, text_b).then_with(|| compare_numbers(number_a, number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// Compares two runs of digits of any length; an empty one is zero.
pub(super) fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (_, a) = split_while(a, |byte| *byte == b'0');
    let (_, b) = split_while(b, |byte| *byte == b'0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Cuts before the first byte that does not hold.
pub(super) fn split_while(bytes: &[u8], holds: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !holds(byte)).unwrap_or(bytes.len()))
}

fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let len = a.len().max(b.len());
    padded(a, len).cmp(padded(b, len))
}

fn padded(text: &[u8], len: usize) -> impl Iterator<Item = u16> {
    text.iter().copied().map(weight).chain(iter::repeat(END)).take(len)
}

/// `~` before the end, the end before letters, letters before all else.
fn weight(byte: u8) -> u16 {
    match byte {
        b'~' => 0,
        letter if letter.is_ascii_alphabetic() => u16::from(letter) + 1,
        other => u16::from(other) + 257,
    }
}

const END: u16 = 1;
