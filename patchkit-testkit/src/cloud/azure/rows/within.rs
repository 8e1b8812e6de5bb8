//! The machines whose rows a query asks for by what their ids begin with.

use std::ops::Range;

use super::World;
use crate::cloud::{
    azure::{
        graph::{Hints, Table},
        side,
    },
    world::machine::SubIx,
};

/// How many slashes are in the id of a machine.
const SLASHES: usize = 8;

/// Machines, by their subscriptions and the places in their folders.
#[derive(Debug)]
pub(super) struct Few(Vec<(SubIx, usize)>);

impl World {
    /// The machines that rows of patches can be about; none where that may be any.
    pub(super) fn few(&self, table: Table, hints: &Hints) -> Option<Few> {
        let beginnings = hints.beginnings.as_ref().filter(|_| table != Table::Resources)?;
        let mut few = Vec::new();
        for text in beginnings {
            // What has no slash behind the name may be the beginning of another name.
            let (end, _) = text.match_indices('/').nth(SLASHES)?;
            let at = text.get(..end).and_then(|id| self.state.azure.by_id.get(id));
            let azure = at.and_then(|at| Some((*at, side(&self.state, *at).ok()?)));
            if let Some((at, azure)) = azure {
                few.push((azure.subscription, self.state.azure.census.place(at)?));
            }
        }
        Some(Few(few))
    }
}

impl Few {
    /// The places, among those of neighbours, that have all of them in it.
    pub(super) fn among(&self, of: SubIx, neighbours: &Range<usize>) -> Range<usize> {
        let own = self.0.iter().filter(|(at, place)| *at == of && neighbours.contains(place));
        let places = own.map(|(_, place)| *place);
        let end = places.clone().max().map_or(neighbours.start, |place| place + 1);
        places.min().unwrap_or(neighbours.start)..end
    }
}
