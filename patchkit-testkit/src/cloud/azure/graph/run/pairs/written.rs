//! What is shown of the rows on the right of a join, at hand when the left ones come.

use std::{cell::Cell as Flag, ops::ControlFlow};

use super::super::{
    super::{
        Owns,
        plan::{
            lean::Showing,
            show::{Origin, Output, Whose},
        },
        stencil::Stencil,
    },
    Env, Part, show,
};

/// The columns of rows on the right.
pub(super) struct Written<'a> {
    rights: &'a [u32],
    /// The row that is looked for next, where they are in the order of the left ones.
    next: Flag<usize>,
    /// Of each column of the answer its place among those that are from the right.
    places: Vec<Option<usize>>,
    /// How the columns of rows that are alike are written, and where what else they have is found.
    alike: Vec<([usize; 3], Vec<Option<Stencil>>)>,
    rows: Vec<Right<'a>>,
    /// The columns of rows that are like no others, and those without a stencil, as JSON.
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// A row on the right.
struct Right<'a> {
    alike: Option<usize>,
    owns: Owns<'a>,
    /// Where its columns are that have been written.
    begin: usize,
}

impl<'a> Written<'a> {
    pub(super) fn of(
        showing: &'a Showing,
        env: Env<'a>,
        part: Part<'a>,
        rights: &'a [u32],
    ) -> Self {
        let mut origins: Vec<&Origin> = Vec::new();
        let places = showing.show.outputs.iter().map(|output| match output {
            Output::Read(origin) if origin.whose == Whose::Joined => {
                origins.push(origin);
                Some(origins.len() - 1)
            }
            _ => None,
        });
        let places: Vec<_> = places.collect();
        let (alike, rows, bytes, ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let next = Flag::new(0);
        let mut written = Self { rights, next, places, alike, rows, bytes, ends };
        if origins.is_empty() || rights.is_empty() {
            return written;
        }
        written.rows.reserve(rights.len());
        env.rows.scan(part.scan(&showing.making.right), &mut |record| {
            let Self { alike, rows, bytes, ends, .. } = &mut written;
            let own = record.stencil().map(|kind| {
                // There are few on a page, and most rows are like one that came just before.
                let known = alike.iter().rposition(|(known, _)| *known == kind);
                known.unwrap_or_else(|| {
                    let stencils = origins.iter().map(|origin| {
                        Stencil::of_pieces(|each| show::pieces(record, origin, each))
                    });
                    alike.push((kind, stencils.collect()));
                    alike.len() - 1
                })
            });
            rows.push(Right { alike: own, owns: record.owns(), begin: ends.len() });
            let stencils = own.and_then(|own| Some(&alike.get(own)?.1));
            if stencils.is_some_and(|it| it.iter().all(Option::is_some)) {
                return ControlFlow::Continue(());
            }
            for (column, origin) in origins.iter().enumerate() {
                if stencils.is_none_or(|it| it.get(column).is_none_or(Option::is_none)) {
                    show::write(record, origin, bytes);
                }
                ends.push(bytes.len());
            }
            ControlFlow::Continue(())
        });
        written
    }

    /// The place of a row on the right.
    pub(super) fn row(&self, number: u32) -> Option<usize> {
        let next = self.next.get();
        let at = match self.rights.get(next) {
            Some(known) if *known == number => next,
            _ => self.rights.binary_search(&number).ok()?,
        };
        self.next.set(at + 1);
        Some(at)
    }

    /// Writes a column of the answer, of the row at a place. False where there is no such row.
    pub(super) fn write(&self, row: usize, column: usize, out: &mut Vec<u8>) -> bool {
        let Some(Some(column)) = self.places.get(column) else { return false };
        let Some(right) = self.rows.get(row) else { return false };
        let stencils = right.alike.and_then(|it| Some(&self.alike.get(it)?.1));
        if let Some(Some(stencil)) = stencils.and_then(|it| it.get(*column)) {
            stencil.write(right.owns, out, |_, _| {});
            return true;
        }
        let place = right.begin + column;
        let start = place.checked_sub(1).and_then(|it| self.ends.get(it)).copied();
        let range = start.unwrap_or(0)..self.ends.get(place).copied().unwrap_or(0);
        out.extend_from_slice(self.bytes.get(range).unwrap_or_default());
        true
    }
}
