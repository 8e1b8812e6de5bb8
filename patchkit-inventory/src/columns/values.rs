//! The values of columns, before they are Arrow's.
//!
//! Texts are copied: a view of bytes that somebody else holds is made safely by checking its bytes
//! once more, value by value, and that costs twice what the copy does.

use std::mem;

use arrow_array::{
    Int64Array, StringViewArray,
    builder::{Int64Builder, StringViewBuilder},
};

use crate::plain::{head, is_same};

/// How large the blocks of text are.
const BLOCK_BYTES: u32 = 64 << 10;

/// After so many values in a row that differ from the one before, none is held against it.
const STEADY: u8 = 4;

/// A column of texts. An empty one is null.
#[derive(Debug)]
pub(super) struct Texts {
    builder: StringViewBuilder,
    capacity: usize,
    /// The value that is not in the builder yet, and how often it came: the rows of a node share
    /// many of their values.
    pending: String,
    head: u64,
    repeats: usize,
    changes: u8,
}

/// Whether two texts are equal of which the first eight bytes are.
fn is_same_behind(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.len() <= size_of::<u64>() || is_same(a.as_bytes(), b.as_bytes()))
}

fn builder(capacity: usize) -> StringViewBuilder {
    StringViewBuilder::with_capacity(capacity).with_fixed_block_size(BLOCK_BYTES)
}

impl Texts {
    pub(super) fn new(capacity: usize) -> Self {
        let pending = String::new();
        Self { builder: builder(capacity), capacity, pending, head: 0, repeats: 0, changes: 0 }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.push_headed(text, head(text.as_bytes()));
    }

    /// Takes a text whose first bytes are known.
    #[inline]
    pub(super) fn push_headed(&mut self, text: &str, head: u64) {
        if self.changes >= STEADY {
            return self.append(text);
        }
        if self.repeats > 0 {
            if self.head == head && is_same_behind(&self.pending, text) {
                self.repeats += 1;
                return;
            }
            self.changes = if self.repeats == 1 { self.changes + 1 } else { 0 };
            self.flush();
            if self.changes >= STEADY {
                return self.append(text);
            }
        }
        self.pending.push_str(text);
        (self.head, self.repeats) = (head, 1);
    }

    /// Takes the same text so many times.
    pub(super) fn push_n(&mut self, text: &str, times: usize) {
        self.flush();
        self.append_n(text, times);
    }

    fn append(&mut self, text: &str) {
        if text.is_empty() {
            self.builder.append_null();
        } else {
            self.builder.append_value(text);
        }
    }

    fn append_n(&mut self, text: &str, times: usize) {
        let done = match text {
            "" => Err(()),
            _ => self.builder.try_append_value_n(text, times).map_err(drop),
        };
        if done.is_err() {
            (0..times).for_each(|_| self.builder.append_null());
        }
    }

    fn flush(&mut self) {
        let (text, times) = (mem::take(&mut self.pending), mem::take(&mut self.repeats));
        self.append_n(&text, times);
        self.pending = text;
        self.pending.clear();
    }

    pub(super) fn take(&mut self) -> StringViewArray {
        self.flush();
        self.changes = 0;
        mem::replace(&mut self.builder, builder(self.capacity)).finish()
    }
}

/// A column of counts.
#[derive(Debug, Default)]
pub(super) struct Numbers(Int64Builder);

impl Numbers {
    pub(super) fn push(&mut self, number: Option<u32>) {
        self.0.append_option(number.map(i64::from));
    }

    pub(super) fn take(&mut self) -> Int64Array {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            values in proptest::collection::vec(("[a-c]{0,1}|[a-c]{14}", 1_usize..4), 0..40),
        ) {
            let mut texts = Texts::new(8);
            let mut expected = Vec::new();
            for (text, times) in &values {
                if *times == 3 {
                    texts.push_n(text, 3);
                } else {
                    (0..*times).for_each(|_| texts.push(text));
                }
                let value = Some(text.as_str()).filter(|text| !text.is_empty());
                expected.extend(std::iter::repeat_n(value, *times));
            }
            let array = texts.take();
            prop_assert_eq!(array.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(texts.take().iter().count(), 0);
        }
    }
}
