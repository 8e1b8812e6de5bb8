//! Answers whose rows are each made of two, joined to each other.

use std::ops::Range;

use jiff::Timestamp;

use super::Chosen;
use crate::cloud::azure::graph::{
    Query, Rows,
    plan::{
        Plan,
        lean::{Paired, Showing},
    },
    run::{self, Env, Pairs, Part},
    stencil::Columns,
};

/// Which rows of two tables make the rows of an answer, and how.
pub(super) struct Joined {
    pub(super) pairs: Pairs,
    /// How many rows there are of the blocks of both tables.
    blocks: [Vec<usize>; 2],
    showing: Showing,
}

impl Joined {
    /// None where it is not known without a run of the whole plan.
    pub(super) fn open(query: &Query, rows: &dyn Rows, now: Timestamp) -> Option<Self> {
        let paired = query.plan.paired()?;
        let choose = |plan: &Plan| {
            let run = query.begin(now);
            Chosen::of(plan, Env { rows, run: &run })
        };
        let plans = paired.choosing();
        let ((of_left, left), right) = (choose(&plans[0])?.into_rows(), choose(&plans[1])?);
        let blocks = [of_left.as_slice(), &right.blocks];
        let mut pairs = if let Some(partners) = partners(&paired, &plans, rows, blocks) {
            let wanted = right.leaves_out().then(|| right.rows());
            let wanted = wanted.map(|rows| rows.iter().map(|row| *row as usize).collect());
            Pairs::of_partners(paired.kind, left, &partners, wanted.as_ref())?
        } else {
            let sides = [left.as_slice(), &right.rows()];
            let run = query.begin(now);
            let keys = run::keys(&paired, Env { rows, run: &run }, blocks, sides);
            if run.gave_up() {
                return None;
            }
            Pairs::of(paired.kind, sides, [&keys[0], &keys[1]])?
        };
        if paired.order().is_none() {
            let run = query.begin(now);
            pairs = pairs.decided(&paired.deciding(), Env { rows, run: &run }, blocks);
            if run.gave_up() {
                return None;
            }
        }
        pairs.truncate(paired.most);
        Some(Self { pairs, blocks: [of_left, right.blocks], showing: paired.showing()? })
    }

    /// Shows rows of the answer, in the order of the left table.
    pub(super) fn show(
        &self,
        env: Env<'_>,
        places: impl Iterator<Item = usize>,
        each: &mut dyn FnMut(&dyn Columns),
    ) {
        let pairs = self.pairs.at(places);
        pairs.shown(&self.showing, env, [&self.blocks[0], &self.blocks[1]], each);
    }
}

/// Of each row on the left those on the right with its key, where that is known without a look at them.
fn partners(
    paired: &Paired<'_>,
    plans: &[Plan; 2],
    rows: &dyn Rows,
    blocks: [&[usize]; 2],
) -> Option<Vec<Range<u32>>> {
    let part = |side: usize| Part { blocks: Some(blocks[side]), ..Part::default() };
    let scans = [0, 1].map(|side| part(side).scan(&plans[side]));
    rows.partners(scans, paired.ids()?)
}
