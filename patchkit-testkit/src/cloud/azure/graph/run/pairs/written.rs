//! What is shown of the rows on the right of a join, written before the left ones come.

use std::{collections::HashMap, ops::ControlFlow};

use super::super::{
    super::{
        plan::{
            lean::Showing,
            show::{Origin, Output, Whose},
        },
        source::{Piece, Record},
    },
    Env, Part, show,
};

/// The columns of rows on the right, as JSON.
pub(super) struct Written<'s> {
    rights: &'s [u32],
    /// Of each column of the answer its place among those that are from the right.
    places: Vec<Option<usize>>,
    width: usize,
    bytes: Vec<u8>,
    /// Where each column of each row ends.
    ends: Vec<usize>,
}

/// How a column is written in all rows that are alike.
enum Way {
    /// Of these pieces: text, and one of the row's own values behind it.
    Pieces(Vec<(Vec<u8>, Option<usize>)>),
    /// As each row does it.
    Own,
}

impl Way {
    fn of(record: &dyn Record<'_>, origin: &Origin) -> Self {
        let mut pieces = vec![(Vec::new(), None)];
        let told = show::pieces(record, origin, &mut |piece| match (piece, pieces.last_mut()) {
            (Piece::Text(text), Some((last, None))) => last.extend_from_slice(text),
            (Piece::Text(text), _) => pieces.push((text.to_vec(), None)),
            (Piece::Own(number), Some((_, last @ None))) => *last = Some(number),
            (Piece::Own(number), _) => pieces.push((Vec::new(), Some(number))),
        });
        if told { Self::Pieces(pieces) } else { Self::Own }
    }

    fn write(&self, record: &dyn Record<'_>, origin: &Origin, out: &mut Vec<u8>) {
        let Self::Pieces(pieces) = self else { return show::write(record, origin, out) };
        let owns = record.owns();
        for (text, own) in pieces {
            out.extend_from_slice(text);
            if let Some(number) = own {
                out.extend_from_slice(owns.get(*number));
            }
        }
    }
}

impl<'s> Written<'s> {
    pub(super) fn of(showing: &Showing, env: Env<'_>, part: Part<'_>, rights: &'s [u32]) -> Self {
        let mut origins = Vec::new();
        let places = showing.show.outputs.iter().map(|output| match output {
            Output::Read(origin) if origin.whose == Whose::Joined => {
                origins.push(origin);
                Some(origins.len() - 1)
            }
            _ => None,
        });
        let places: Vec<_> = places.collect();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let mut known: HashMap<[usize; 3], Vec<Way>> = HashMap::new();
        if !origins.is_empty() && !rights.is_empty() {
            env.rows.scan(part.scan(&showing.making.right), &mut |record| {
                let ways = || origins.iter().map(|origin| Way::of(record, origin)).collect();
                let ways = record.stencil().map(|it| &*known.entry(it).or_insert_with(ways));
                for (column, origin) in origins.iter().enumerate() {
                    match ways.and_then(|it| it.get(column)) {
                        Some(way) => way.write(record, origin, &mut bytes),
                        None => show::write(record, origin, &mut bytes),
                    }
                    ends.push(bytes.len());
                }
                ControlFlow::Continue(())
            });
        }
        Self { rights, places, width: origins.len(), bytes, ends }
    }

    /// The place of a row on the right.
    pub(super) fn row(&self, number: u32) -> Option<usize> {
        self.rights.binary_search(&number).ok()
    }

    /// A column of the answer, of the row at a place.
    pub(super) fn column(&self, row: usize, column: usize) -> Option<&[u8]> {
        let place = row * self.width + self.places.get(column).copied()??;
        let start = if place == 0 { 0 } else { *self.ends.get(place - 1)? };
        self.bytes.get(start..*self.ends.get(place)?)
    }
}
