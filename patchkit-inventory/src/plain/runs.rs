//! Values that the rows of an object have in common, and that are read at one look.

use super::{RowLayout, Span, is_same};

/// What the rows of one layout in one object have in common, as far as they were seen.
#[derive(Debug, Default)]
pub(super) struct Runs {
    seen: Seen,
    /// The first row, and where its values are.
    line: Vec<u8>,
    values: Vec<Span>,
    /// A bit for each field of which a row had another value than the first.
    loose: u64,
    expected: Vec<Run>,
}

/// How many rows were looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Seen {
    #[default]
    None,
    One,
    Two,
}

/// Fields next to each other of which every row so far had the value of the first row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first: usize,
    pub(super) fields: usize,
    /// Where it stands in the first row: from what is before its first value to the end of its last.
    start: usize,
    end: usize,
}

/// Whether a row has the runs that were expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expected {
    Found,
    Missed,
}

impl Runs {
    /// Takes back all that is expected: another object begins.
    pub(super) fn forget(&mut self) {
        self.seen = Seen::None;
        self.expected.clear();
    }

    pub(super) fn expected(&self) -> impl Iterator<Item = &Run> {
        self.expected.iter()
    }

    /// Adds the values of a run to a row's that has it at that place; gives where it ends.
    pub(super) fn take(
        &self,
        run: &Run,
        line: &[u8],
        at: usize,
        values: &mut Vec<Span>,
    ) -> Option<usize> {
        let bytes = &self.line[run.start..run.end];
        let end = at + bytes.len();
        // Read from the same place on, the same bytes end in the same state: the quote is no escaped
        // one.
        if line.get(end) != Some(&b'"') || !is_same(&line[at..end], bytes) {
            return None;
        }
        let fields = &self.values[run.first..run.first + run.fields];
        values.extend(fields.iter().map(|value| Span {
            start: value.start - run.start + at,
            end: value.end - run.start + at,
            escaped: value.escaped,
        }));
        Some(end)
    }

    /// Looks at a row that was read.
    pub(super) fn look(
        &mut self,
        layout: &RowLayout,
        line: &[u8],
        values: &[Span],
        expected: Expected,
    ) {
        match (self.seen, expected) {
            (Seen::None, _) => {
                self.line.clear();
                self.line.extend_from_slice(line);
                self.values.clear();
                self.values.extend_from_slice(values);
                (self.seen, self.loose) = (Seen::One, 0);
            }
            (Seen::One, _) | (Seen::Two, Expected::Missed) => {
                self.seen = Seen::Two;
                self.loosen(line, values);
                self.find(layout);
            }
            (Seen::Two, Expected::Found) => {}
        }
    }

    fn loosen(&mut self, line: &[u8], values: &[Span]) {
        for (at, (first, value)) in self.values.iter().zip(values).enumerate() {
            if self.line[first.start..first.end] != line[value.start..value.end] {
                self.loose |= 1 << at;
            }
        }
    }

    fn find(&mut self, layout: &RowLayout) {
        self.expected.clear();
        for (at, (value, between)) in self.values.iter().zip(&layout.between).enumerate() {
            if self.loose & 1 << at != 0 {
                continue;
            }
            match self.expected.last_mut() {
                Some(run) if run.first + run.fields == at => {
                    (run.fields, run.end) = (run.fields + 1, value.end);
                }
                _ => {
                    let start = value.start - between.len();
                    self.expected.push(Run { first: at, fields: 1, start, end: value.end });
                }
            }
        }
    }
}
