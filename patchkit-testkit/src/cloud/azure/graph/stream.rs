//! Answers whose rows are made when their page is asked for.

mod joined;

use std::{
    borrow::Cow,
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;

use self::joined::Joined;
use super::{
    Query, QueryError, Rows,
    eval::Run,
    page::Form,
    plan::{COLUMNS, Plan},
    run::{self, Env, Part, Row},
    source::{BLOCK_COLUMNS, Pick},
    stencil::{Columns, Stencils},
    value::Cell,
};
use crate::cloud::shared::lock;

/// Bytes that a page has room for before its rows are written: twice what most take.
const MOST_ROOM: usize = 4 << 20;

/// A query over rows that stay as they are, of which it is known how many it answers with.
pub(super) struct Stream {
    query: Arc<Query>,
    rows: Arc<dyn Rows + Send + Sync>,
    now: Timestamp,
    made: Made,
    stencils: Mutex<Stencils>,
}

/// Of what the rows of an answer are made.
enum Made {
    /// Each of one row of the table.
    Rows(Chosen),
    /// Each of a pair of rows.
    Pairs(Box<Joined>),
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (query, total) = (&self.query, self.total());
        f.debug_struct("Stream")
            .field("query", query)
            .field("total", &total)
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// None where a row of the answer is made of other than one row of the table, and of one that is
    /// joined to it.
    pub(super) fn open(
        query: &Arc<Query>,
        rows: &Arc<dyn Rows + Send + Sync>,
        now: Timestamp,
    ) -> Option<Self> {
        let made = match query.plan.shape() {
            Some(shape) => {
                let run = query.begin(now);
                let env = Env { rows: rows.as_ref(), run: &run };
                let chosen = if shape.looks {
                    Chosen::of(&query.plan.choosing(), env)
                } else {
                    Chosen::of(&query.plan, env)
                };
                Made::Rows(chosen?)
            }
            None => Made::Pairs(Box::new(Joined::open(query, rows.as_ref(), now)?)),
        };
        let (query, rows) = (Arc::clone(query), Arc::clone(rows));
        Some(Self { query, rows, now, made, stencils: Mutex::default() })
    }

    pub(super) fn total(&self) -> usize {
        match &self.made {
            Made::Rows(chosen) => chosen.total,
            Made::Pairs(joined) => joined.pairs.len(),
        }
    }

    /// How many bytes it takes of its own.
    pub(super) fn size(&self) -> usize {
        match &self.made {
            Made::Rows(chosen) => {
                chosen.picks.as_ref().map_or(0, |picks| size_of_val(picks.as_slice()))
            }
            Made::Pairs(joined) => joined.pairs.size(),
        }
    }

    /// About how many bytes it keeps in memory that are not its own.
    pub(super) fn held(&self) -> usize {
        self.rows.held()
    }

    /// Writes the rows from one on to before another.
    pub(super) fn write(
        &self,
        from: usize,
        to: usize,
        form: &Form,
        out: &mut Vec<u8>,
    ) -> Result<(), QueryError> {
        let picks = match &self.made {
            Made::Rows(Chosen { picks: Some(picks), .. }) => picks,
            Made::Rows(Chosen { picks: None, .. }) => {
                let places = Places::From(from, to.saturating_sub(from));
                return self.show(places, form, out, |_| {});
            }
            Made::Pairs(joined) => &joined.pairs.left,
        };
        let picks = picks.get(from..to).unwrap_or_default();
        let mut order: Vec<usize> = (0..picks.len()).collect();
        if picks.is_sorted() {
            for place in &mut order {
                *place += from;
            }
            return self.show(Places::These(&order), form, out, |_| {});
        }
        // They are read in the table's order, and then put in the answer's.
        order.sort_by_key(|at| picks.get(*at));
        let places: Vec<usize> = order.iter().map(|at| from + at).collect();
        let room = out.capacity().saturating_sub(out.len());
        let (mut made, mut ends) = (Vec::with_capacity(room), Vec::with_capacity(picks.len()));
        self.show(Places::These(&places), form, &mut made, |end| ends.push(end))?;
        out.reserve(made.len());
        let mut pieces = vec![&[][..]; picks.len()];
        let mut begin = 0;
        for (end, at) in ends.into_iter().zip(order) {
            // Every row but the first has a comma before it.
            let piece = made.get(begin + usize::from(begin > 0)..end);
            if let (Some(place), Some(piece)) = (pieces.get_mut(at), piece) {
                *place = piece;
            }
            begin = end;
        }
        for (number, piece) in pieces.into_iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Writes rows of the answer with commas between them, in the order of their table, and tells
    /// where each ends.
    fn show(
        &self,
        places: Places<'_>,
        form: &Form,
        out: &mut Vec<u8>,
        mut ends: impl FnMut(usize),
    ) -> Result<(), QueryError> {
        let run: Run = self.query.begin(self.now);
        let env = Env { rows: self.rows.as_ref(), run: &run };
        let (begin, count) = (out.len(), places.count());
        // Whoever writes another page at this time begins with none.
        let mut stencils = std::mem::take(&mut *lock(&self.stencils));
        let mut each = |row: &dyn Columns| {
            let is_first = out.len() == begin;
            if !is_first {
                out.push(b',');
            }
            stencils.write(form, row, out);
            if is_first {
                // The others will hardly take much more.
                let width = out.len() - begin;
                let room = (width + width / 8).saturating_mul(count.saturating_sub(1));
                out.reserve(room.min(MOST_ROOM));
            }
            ends(out.len());
        };
        match &self.made {
            Made::Rows(chosen) => chosen.show(&self.query.plan, env, places, &mut each),
            Made::Pairs(joined) => joined.show(env, places.iter(), &mut each),
        }
        *lock(&self.stencils) = stencils;
        if run.gave_up() { Err(QueryError::too_large()) } else { Ok(()) }
    }
}

/// Which rows of an answer are shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Places<'p> {
    /// Those from one on, so many.
    From(usize, usize),
    /// These, in the order of the rows of the table that they are made of.
    These(&'p [usize]),
}

impl Places<'_> {
    fn count(self) -> usize {
        match self {
            Self::From(_, count) => count,
            Self::These(places) => places.len(),
        }
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        let (all, some) = match self {
            Self::From(first, count) => (first..first.saturating_add(count), &[][..]),
            Self::These(places) => (0..0, places),
        };
        all.chain(some.iter().copied())
    }
}

/// The rows of a plan's table that pass its filters.
struct Chosen {
    /// How many rows the filters leave of the blocks of the table: all of one, or none.
    blocks: Vec<usize>,
    /// The numbers of the rows in these blocks, in the order of the answer; none where it is all.
    picks: Option<Vec<u32>>,
    total: usize,
}

impl Chosen {
    /// None where that is not known, or given up.
    fn of(plan: &Plan, env: Env<'_>) -> Option<Self> {
        let (run, shape) = (env.run, plan.shape()?);
        let of_block = (0..COLUMNS.len()).filter(|slot| BLOCK_COLUMNS.contains(&COLUMNS[*slot].0));
        let (mut blocks, mut total) = (Vec::new(), 0_usize);
        let told = env.rows.blocks(plan.table, &plan.hints, &mut |block, count| {
            let mut row = Row::new();
            row.resize(COLUMNS.len(), Cell::Null);
            for slot in of_block.clone() {
                row[slot] = run::whole(block, slot);
            }
            let passes =
                count > 0 && shape.of_block.iter().all(|it| it.test(&row, run) == Some(true));
            let left = if passes { count } else { 0 };
            blocks.push(left);
            total = total.saturating_add(left);
        });
        if !told {
            return None;
        }
        let picks = shape.looks.then(|| {
            let mut picks = run::survey(plan, env, &blocks);
            picks.truncate(shape.most);
            picks.shrink_to_fit();
            picks
        });
        if run.gave_up() {
            return None;
        }
        let total = picks.as_ref().map_or(total.min(shape.most), Vec::len);
        Some(Self { blocks, picks, total })
    }

    /// Whether rows of the blocks are left out.
    fn leaves_out(&self) -> bool {
        self.picks.is_some() || self.total < self.blocks.iter().sum()
    }

    /// The numbers of its rows, in the order of the answer.
    fn rows(&self) -> Cow<'_, [u32]> {
        match &self.picks {
            Some(picks) => Cow::Borrowed(picks),
            None => (0..).take(self.total).collect(),
        }
    }

    /// The blocks, and these numbers.
    fn into_rows(self) -> (Vec<usize>, Vec<u32>) {
        let Self { blocks, picks, total } = self;
        (blocks, picks.unwrap_or_else(|| (0..).take(total).collect()))
    }

    /// Shows rows of the plan, in the order of its table.
    fn show(
        &self,
        plan: &Plan,
        env: Env<'_>,
        places: Places<'_>,
        each: &mut dyn FnMut(&dyn Columns),
    ) {
        let picks = self.picks.as_deref().unwrap_or_default();
        let these: Vec<u32>;
        let (pick, mut left) = match places {
            Places::From(first, count) => (Pick::From(first), count),
            Places::These(places) => {
                these = places.iter().filter_map(|at| picks.get(*at)).copied().collect();
                (Pick::These(&these), these.len())
            }
        };
        if left == 0 {
            return;
        }
        let part = Part { blocks: Some(&self.blocks), pick, ..Part::default() };
        run::show(plan, env, part, &mut |row| {
            each(&row);
            left -= 1;
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
}
