//! Rows that are written alike: what they share is one text, with gaps for what each has of its own.

use super::{Owns, page::Form, source::Piece};

/// Stencils that an answer keeps: about what the rows of one resource group need. Others begin anew.
const MOST: usize = 64;

/// What writes the columns of a row of an answer.
pub(super) trait Columns {
    /// What rows have in common that are written alike; see
    /// [`Record::stencil`](super::Record::stencil).
    fn stencil(&self) -> Option<[usize; 3]>;

    /// Tells the pieces of a column. False, and nothing is told, where it is written otherwise.
    fn pieces(&self, column: usize, each: &mut dyn FnMut(Piece<'_>)) -> bool;

    /// The row's own values.
    fn owns(&self) -> Owns<'_>;

    /// Writes a column.
    fn write(&self, column: usize, out: &mut Vec<u8>);
}

/// The stencils of an answer: so few that a look at all of them, the newest first, finds one.
#[derive(Default)]
pub(super) struct Stencils(Vec<([usize; 3], Stencil)>);

impl Stencils {
    /// Writes a row.
    pub(super) fn write(&mut self, form: &Form, row: &dyn Columns, out: &mut Vec<u8>) {
        let Some(kind) = row.stencil() else {
            return form.write_each(out, |column, out| row.write(column, out));
        };
        let known = self.0.iter().rposition(|(known, _)| *known == kind);
        let at = known.unwrap_or_else(|| {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            self.0.push((kind, Stencil::of(form, row)));
            self.0.len() - 1
        });
        if let Some((_, stencil)) = self.0.get(at) {
            stencil.write(row.owns(), out, |column, out| row.write(column, out));
        }
    }
}

/// How rows of one kind are written, or one of their columns.
#[derive(Default)]
pub(super) struct Stencil {
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
        let mut own = Self::default();
        let Self { text, gaps } = &mut own;
        form.write_each(text, |column, text| {
            if !row.pieces(column, &mut |piece| add(piece, text, gaps)) {
                gaps.push((text.len(), Gap::Column(column)));
            }
        });
        own
    }

    /// That of pieces alone; none where none are told.
    pub(super) fn of_pieces(tell: impl FnOnce(&mut dyn FnMut(Piece<'_>)) -> bool) -> Option<Self> {
        let mut own = Self::default();
        let Self { text, gaps } = &mut own;
        tell(&mut |piece| add(piece, text, gaps)).then_some(own)
    }

    /// Writes a row with these values of its own, of which each column that is missing writes itself.
    pub(super) fn write(
        &self,
        owns: Owns<'_>,
        out: &mut Vec<u8>,
        column: impl Fn(usize, &mut Vec<u8>),
    ) {
        let mut from = 0;
        for (to, gap) in &self.gaps {
            out.extend_from_slice(self.text.get(from..*to).unwrap_or_default());
            match *gap {
                Gap::Own(number) => out.extend_from_slice(owns.get(number)),
                Gap::Column(number) => column(number, out),
            }
            from = *to;
        }
        out.extend_from_slice(self.text.get(from..).unwrap_or_default());
    }
}

fn add(piece: Piece<'_>, text: &mut Vec<u8>, gaps: &mut Vec<(usize, Gap)>) {
    match piece {
        Piece::Text(piece) => text.extend_from_slice(piece),
        Piece::Own(number) => gaps.push((text.len(), Gap::Own(number))),
    }
}
