//! Answers whose rows are each made of two, joined to each other.

use std::ops::Range;

use jiff::Timestamp;

use super::Chosen;
use crate::cloud::azure::graph::{
    Numbers, Partners, Query, Rows, Singles,
    ast::JoinKind,
    plan::{
        Plan,
        lean::{Paired, Showing},
    },
    run::{self, Env, Pairs, Part},
    stencil::Columns,
};

/// Which rows of two tables make the rows of an answer, and how.
pub(in super::super) struct Joined {
    pub(super) pairs: Kept,
    /// How many rows there are of the blocks of both tables.
    blocks: [Vec<usize>; 2],
    showing: Showing,
}

/// Pairs of rows in the order of an answer.
pub(super) enum Kept {
    Pairs(Pairs),
    /// Each row on the left once, with its partner if it has one.
    Singles(Numbers, Singles),
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs.len(),
            Self::Singles(left, _) => left.len(),
        }
    }

    /// How many bytes they take.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs.size(),
            Self::Singles(left, singles) => left.size() + singles.size(),
        }
    }

    /// Those at some places.
    pub(super) fn at(&self, places: Range<usize>) -> Pairs {
        match self {
            Self::Pairs(pairs) => pairs.at(places),
            Self::Singles(left, singles) => Pairs::of_singles(left.at(places), singles),
        }
    }

    /// Each by itself.
    fn into_pairs(self) -> Pairs {
        match self {
            Self::Pairs(pairs) => pairs,
            Self::Singles(left, singles) => Pairs::of_singles(left.into_each(), &singles),
        }
    }

    /// Keeps no more than so many.
    fn truncated(self, most: usize) -> Self {
        match self {
            Self::Pairs(mut pairs) => {
                pairs.truncate(most);
                Self::Pairs(pairs)
            }
            Self::Singles(left, singles) => Self::Singles(left.truncated(most), singles),
        }
    }
}

impl Joined {
    /// None where it is not known without a run of the whole plan.
    pub(super) fn open(query: &Query, rows: &dyn Rows, now: Timestamp) -> Option<Self> {
        let paired = query.plan.paired()?;
        let choose = |plan: &Plan| {
            let run = query.lets.begin(now);
            Chosen::of(plan, Env { rows, run: &run })
        };
        let plans = paired.choosing();
        let (left, right) = (choose(&plans[0])?, choose(&plans[1])?);
        let (of_left, left) = (left.blocks, left.rows);
        let blocks = [of_left.as_slice(), &right.blocks];
        let leaves_out = right.leaves_out();
        let mut pairs = match partners(&paired, &plans, rows, blocks) {
            Some(Partners::Singles(singles))
                if paired.kind == JoinKind::LeftOuter && !leaves_out =>
            {
                Kept::Singles(left, singles)
            }
            Some(partners) => {
                let wanted = leaves_out.then(|| right.rows.into_each());
                let wanted = wanted.map(|it| it.into_iter().map(|row| row as usize).collect());
                let (left, partners) = (left.into_each(), partners.into_each());
                Kept::Pairs(Pairs::of_partners(paired.kind, &left, &partners, wanted.as_ref())?)
            }
            None => {
                let sides = [left.into_each(), right.rows.into_each()];
                let sides = [sides[0].as_slice(), &sides[1]];
                let run = query.lets.begin(now);
                let keys = run::keys(&paired, Env { rows, run: &run }, blocks, sides);
                if run.gave_up() {
                    return None;
                }
                Kept::Pairs(Pairs::of(paired.kind, sides, [&keys[0], &keys[1]])?)
            }
        };
        if paired.order().is_none() {
            let run = query.lets.begin(now);
            let decided = pairs.into_pairs();
            let decided = decided.decided(&paired.deciding(), Env { rows, run: &run }, blocks);
            if run.gave_up() {
                return None;
            }
            pairs = Kept::Pairs(decided);
        }
        let pairs = pairs.truncated(paired.most);
        Some(Self { pairs, blocks: [of_left, right.blocks], showing: paired.showing()? })
    }

    /// Shows rows of the answer, in the order of the left table.
    pub(super) fn show(&self, env: Env<'_>, pairs: &Pairs, each: &mut dyn FnMut(&dyn Columns)) {
        pairs.shown(&self.showing, env, [&self.blocks[0], &self.blocks[1]], each);
    }
}

/// Of each row on the left those on the right with its key, where that is known without a look at them.
fn partners(
    paired: &Paired<'_>,
    plans: &[Plan; 2],
    rows: &dyn Rows,
    blocks: [&[usize]; 2],
) -> Option<Partners> {
    let part = |side: usize| Part { blocks: Some(blocks[side]), ..Part::default() };
    let scans = [0, 1].map(|side| part(side).scan(&plans[side]));
    rows.partners(scans, paired.ids()?)
}
