//! Answers whose rows are each made of two, joined to each other.

use jiff::Timestamp;

use super::{Chosen, Places};
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
            Chosen::of(plan, &plan.shape()?, Env { rows, run: &run })
        };
        let plans = paired.choosing();
        let [left, right] = [choose(&plans[0])?, choose(&plans[1])?];
        let pairs = {
            let rows_of = |side: &Chosen| match &side.picks {
                Some(picks) => picks.clone(),
                None => (0..).take(side.total).collect(),
            };
            let sides = [rows_of(&left), rows_of(&right)];
            let sides = [sides[0].as_slice(), &sides[1]];
            let blocks = [left.blocks.as_slice(), &right.blocks];
            let keys = if let Some(keys) = known_keys(&paired, &plans, rows, blocks, sides) {
                keys
            } else {
                let run = query.begin(now);
                let keys = run::keys(&paired, Env { rows, run: &run }, blocks, sides);
                if run.gave_up() {
                    return None;
                }
                keys
            };
            Pairs::of(paired.kind, sides, [&keys[0], &keys[1]])?
        };
        let blocks = [left.blocks, right.blocks];
        let mut pairs = in_order(&paired, &plans[0], query, (rows, now), &blocks, pairs)?;
        pairs.truncate(paired.most);
        Some(Self { pairs, blocks, showing: paired.showing()? })
    }

    /// Shows rows of the answer, in the order of the left table.
    pub(super) fn show(
        &self,
        env: Env<'_>,
        places: Places<'_>,
        each: &mut dyn FnMut(&dyn Columns),
    ) {
        let pairs = match places {
            Places::From(first, count) => self.pairs.at(first..first.saturating_add(count)),
            Places::These(places) => self.pairs.at(places.iter().copied()),
        };
        pairs.shown(&self.showing, env, [&self.blocks[0], &self.blocks[1]], each);
    }
}

/// The keys of rows, where both sides know them without a look.
fn known_keys(
    paired: &Paired<'_>,
    plans: &[Plan; 2],
    rows: &dyn Rows,
    blocks: [&[usize]; 2],
    sides: [&[u32]; 2],
) -> Option<[Vec<u32>; 2]> {
    let texts = paired.ids()?;
    let keys = |side: usize| {
        let part = Part { blocks: Some(blocks[side]), ..Part::default() };
        let all = rows.numbers(part.scan(&plans[side]), texts[side])?;
        let own = sides[side].iter().map(|row| all.get(*row as usize).copied());
        own.collect::<Option<Vec<u32>>>()
    };
    Some([keys(0)?, keys(1)?])
}

/// Those of pairs that are in the answer, in its order.
fn in_order(
    paired: &Paired<'_>,
    left: &Plan,
    query: &Query,
    (rows, now): (&dyn Rows, Timestamp),
    blocks: &[Vec<usize>; 2],
    pairs: Pairs,
) -> Option<Pairs> {
    if !paired.filters()
        && let Some(order) = paired.order()
    {
        let part = Part { blocks: Some(&blocks[0]), ..Part::default() };
        let ranks = order.iter().map(|(key, column)| {
            let ranks = rows.ranks(part.scan(left), column)?;
            Some((*key, ranks))
        });
        if let Some(ranks) = ranks.collect::<Option<Vec<_>>>() {
            return Some(if ranks.is_empty() { pairs } else { pairs.sorted(&ranks) });
        }
    }
    let making = paired.deciding();
    let run = query.begin(now);
    let pairs = pairs.decided(&making, Env { rows, run: &run }, [&blocks[0], &blocks[1]]);
    (!run.gave_up()).then_some(pairs)
}
