//! Rows that are written alike: what they share is one text, with gaps for what each has of its own.

use std::collections::HashMap;

use super::{page::Form, source::Piece};

/// Stencils that an answer keeps: about what the rows of one resource group need. Others begin anew.
const MOST: usize = 64;
/// How many rows of one kind are written before a stencil is made for the others.
const FEW: u8 = 4;

/// What writes the columns of a row of an answer.
pub(super) trait Columns {
    /// What rows have in common that are written alike; see
    /// [`Record::stencil`](super::Record::stencil).
    fn stencil(&self) -> Option<[usize; 3]>;

    /// Tells the pieces of a column. False, and nothing is told, where it is written otherwise.
    fn pieces(&self, column: usize, each: &mut dyn FnMut(Piece<'_>)) -> bool;

    /// One of the row's own values.
    fn own(&self, number: usize) -> &[u8];

    /// Writes a column.
    fn write(&self, column: usize, out: &mut Vec<u8>);
}

/// The stencils of an answer.
#[derive(Default)]
pub(super) struct Stencils(HashMap<[usize; 3], Known>);

enum Known {
    /// So many rows were written.
    Seen(u8),
    Made(Stencil),
}

impl Stencils {
    /// Writes a row.
    pub(super) fn write(&mut self, form: &Form, row: &dyn Columns, out: &mut Vec<u8>) {
        match row.stencil().and_then(|kind| self.of(kind, form, row)) {
            Some(stencil) => stencil.write(row, out),
            None => form.write_each(out, |column, out| row.write(column, out)),
        }
    }

    fn of(&mut self, kind: [usize; 3], form: &Form, row: &dyn Columns) -> Option<&Stencil> {
        if self.0.len() >= MOST && !self.0.contains_key(&kind) {
            self.0.clear();
        }
        let known = self.0.entry(kind).or_insert(Known::Seen(0));
        match known {
            Known::Seen(rows) if *rows < FEW => *rows += 1,
            Known::Seen(_) => *known = Known::Made(Stencil::of(form, row)),
            Known::Made(_) => {}
        }
        match known {
            Known::Made(stencil) => Some(stencil),
            Known::Seen(_) => None,
        }
    }
}

/// How rows of one kind are written.
struct Stencil {
    text: Vec<u8>,
    /// Where in the text something is missing, and what.
    gaps: Vec<(usize, Gap)>,
}

#[derive(Clone, Copy)]
enum Gap {
    /// An own value of the row.
    Own(usize),
    /// A whole column.
    Column(usize),
}

impl Stencil {
    fn of(form: &Form, row: &dyn Columns) -> Self {
        let (mut text, mut gaps) = (Vec::new(), Vec::new());
        form.write_each(&mut text, |column, text| {
            let told = row.pieces(column, &mut |piece| match piece {
                Piece::Text(piece) => text.extend_from_slice(piece),
                Piece::Own(number) => gaps.push((text.len(), Gap::Own(number))),
            });
            if !told {
                gaps.push((text.len(), Gap::Column(column)));
            }
        });
        Self { text, gaps }
    }

    fn write(&self, row: &dyn Columns, out: &mut Vec<u8>) {
        let mut from = 0;
        for (to, gap) in &self.gaps {
            out.extend_from_slice(self.text.get(from..*to).unwrap_or_default());
            match *gap {
                Gap::Own(number) => out.extend_from_slice(row.own(number)),
                Gap::Column(column) => row.write(column, out),
            }
            from = *to;
        }
        out.extend_from_slice(self.text.get(from..).unwrap_or_default());
    }
}
