//! Answers whose rows are made when their page is asked for.

mod joined;

use std::{
    fmt,
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;

use self::joined::Joined;
use super::{
    Lets, Numbers, Query, QueryError, Rows,
    eval::Run,
    page::Form,
    plan::{COLUMNS, Plan, shape::Known},
    run::{self, Env, Pairs, Part, Row},
    source::{Block, Pick},
    stencil::{Columns, Stencils},
    value::Cell,
};
use crate::cloud::shared::lock;

/// Bytes that a page has room for before its rows are written: twice what most take.
const MOST_ROOM: usize = 4 << 20;

/// An answer over rows that stay as they are, of which it is known how many it has. Of its query there
/// is no more than what shows them.
pub(super) struct Stream {
    lets: Lets,
    plan: Plan,
    rows: Arc<dyn Rows + Send + Sync>,
    now: Timestamp,
    made: Made,
    stencils: Mutex<Stencils>,
}

/// Of what the rows of an answer are made.
pub(super) enum Made {
    /// Each of one row of the table.
    Rows(Chosen),
    /// Each of a pair of rows.
    Pairs(Box<Joined>),
}

impl Made {
    /// None where a row of the answer is made of other than one row of the table, and of one that is
    /// joined to it.
    pub(super) fn of(query: &Query, rows: &dyn Rows, now: Timestamp) -> Option<Self> {
        let Some(shape) = query.plan.shape() else {
            return Some(Self::Pairs(Box::new(Joined::open(query, rows, now)?)));
        };
        let run = query.lets.begin(now);
        let env = Env { rows, run: &run };
        let chosen = if shape.looks() {
            Chosen::of(&query.plan.choosing(), env)
        } else {
            Chosen::of(&query.plan, env)
        };
        chosen.map(Self::Rows)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("total", &self.total()).finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(
        query: Query,
        rows: Arc<dyn Rows + Send + Sync>,
        now: Timestamp,
        made: Made,
    ) -> Self {
        let Query { lets, plan, .. } = query;
        Self { lets, plan: plan.into_shown(), rows, now, made, stencils: Mutex::default() }
    }

    pub(super) fn total(&self) -> usize {
        match &self.made {
            Made::Rows(chosen) => chosen.rows.len(),
            Made::Pairs(joined) => joined.pairs.len(),
        }
    }

    /// How many bytes it takes of its own.
    pub(super) fn size(&self) -> usize {
        match &self.made {
            Made::Rows(chosen) => chosen.rows.size(),
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
        let places = from..to;
        let picked = match &self.made {
            Made::Rows(chosen) => Picked::Rows(chosen.rows.at(places)),
            Made::Pairs(joined) => Picked::Pairs(joined.pairs.at(places)),
        };
        let rows = picked.rows();
        if rows.is_sorted() {
            return self.show(&picked, form, out, |_| {});
        }
        // They are read in the table's order, and then put in the answer's.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|at| rows.get(*at));
        let room = out.capacity().saturating_sub(out.len());
        let (mut made, mut ends) = (Vec::with_capacity(room), Vec::with_capacity(rows.len()));
        self.show(&picked.at(&order), form, &mut made, |end| ends.push(end))?;
        out.reserve(made.len());
        let mut pieces = vec![&[][..]; rows.len()];
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
        picked: &Picked,
        form: &Form,
        out: &mut Vec<u8>,
        mut ends: impl FnMut(usize),
    ) -> Result<(), QueryError> {
        let run: Run = self.lets.begin(self.now);
        let env = Env { rows: self.rows.as_ref(), run: &run };
        let (begin, count) = (out.len(), picked.rows().len());
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
                out.reserve_exact(room.min(MOST_ROOM));
            }
            ends(out.len());
        };
        match (&self.made, picked) {
            (Made::Rows(chosen), Picked::Rows(rows)) => {
                chosen.show(&self.plan, env, rows, &mut each);
            }
            (Made::Pairs(joined), Picked::Pairs(pairs)) => joined.show(env, pairs, &mut each),
            _ => {}
        }
        *lock(&self.stencils) = stencils;
        if run.gave_up() { Err(QueryError::too_large()) } else { Ok(()) }
    }
}

/// Rows of an answer.
enum Picked {
    /// The numbers of the rows that they are made of.
    Rows(Vec<u32>),
    Pairs(Pairs),
}

impl Picked {
    /// The rows of the table, or of the left one.
    fn rows(&self) -> &[u32] {
        match self {
            Self::Rows(rows) => rows,
            Self::Pairs(pairs) => &pairs.left,
        }
    }

    /// Those at some places.
    fn at(&self, places: &[usize]) -> Self {
        match self {
            Self::Rows(rows) => {
                Self::Rows(places.iter().filter_map(|at| rows.get(*at)).copied().collect())
            }
            Self::Pairs(pairs) => Self::Pairs(pairs.at(places.iter().copied())),
        }
    }
}

/// The rows of a plan's table that pass its filters.
pub(super) struct Chosen {
    /// How many rows there are of each block of the table, and none of those whose rows all fail the
    /// filters.
    blocks: Vec<usize>,
    /// Which rows in these blocks, in the order of the answer.
    rows: Numbers,
}

impl Chosen {
    /// None where that is not known, or given up.
    fn of(plan: &Plan, env: Env<'_>) -> Option<Self> {
        let (run, shape) = (env.run, plan.shape()?);
        let slots = shape.filters.slots();
        let mut row = Row::new();
        row.resize(COLUMNS.len(), Cell::Null);
        // Of most blocks the filters keep all rows or none; where they do not, each row is looked at.
        let (mut blocks, mut are_told) = (Vec::new(), true);
        let told = env.rows.blocks(plan.table, &plan.hints, &mut |block| {
            let (record, count, known) = match block {
                Block::Rows(record, count) if count > 0 => (record, count, Known::Block),
                Block::Row(record) => (record, 1, Known::Row),
                _ => return blocks.push(0),
            };
            for slot in &slots {
                if let Some(cell) = row.get_mut(*slot) {
                    *cell = run::whole(record, *slot);
                }
            }
            let keeps = shape.filters.keeps(&row, known, run);
            are_told &= keeps.is_some();
            blocks.push(if keeps == Some(false) { 0 } else { count });
        });
        if !told {
            return None;
        }
        let all = || Numbers::first(blocks.iter().sum());
        let rows = match (are_told, shape.sorts) {
            (true, false) => Some(all()),
            (true, true) => run::sorted(plan, env, &blocks),
            (false, _) => None,
        };
        let rows = rows.unwrap_or_else(|| run::survey(plan, env, &blocks));
        if run.gave_up() {
            return None;
        }
        Some(Self { blocks, rows: rows.truncated(shape.most) })
    }

    /// Whether rows of the blocks are left out.
    fn leaves_out(&self) -> bool {
        self.rows.len() < self.blocks.iter().sum()
    }

    /// Shows rows of the plan, by their numbers in the order of its table.
    fn show(&self, plan: &Plan, env: Env<'_>, rows: &[u32], each: &mut dyn FnMut(&dyn Columns)) {
        let mut left = rows.len();
        if left == 0 {
            return;
        }
        let pick = Pick::These(rows);
        let part = Part { blocks: Some(&self.blocks), pick, ..Part::default() };
        run::show(plan, env, part, &mut |row| {
            each(&row);
            left -= 1;
            if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
    }
}
