//! Answers whose rows are made when their page is asked for.

use std::{fmt, ops::ControlFlow, sync::Arc};

use jiff::Timestamp;

use super::{
    Query, QueryError, Rows,
    eval::Run,
    page::Form,
    plan::COLUMNS,
    run::{self, Env, Part, Row},
    source::{BLOCK_COLUMNS, Pick},
    value::Cell,
};

/// A query over rows that stay as they are, of which it is known how many it answers with.
pub(super) struct Stream {
    query: Arc<Query>,
    rows: Arc<dyn Rows + Send + Sync>,
    now: Timestamp,
    /// How many rows the filters leave of the blocks of the table: all of one, or none.
    blocks: Vec<usize>,
    /// The numbers of the rows in these blocks that it answers with; none where it is all.
    picks: Option<Vec<u32>>,
    total: usize,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, total, .. } = self;
        f.debug_struct("Stream").field("query", query).field("total", total).finish_non_exhaustive()
    }
}

impl Stream {
    /// None where a row of the answer is made of other than one row of the table.
    pub(super) fn open(
        query: &Arc<Query>,
        rows: &Arc<dyn Rows + Send + Sync>,
        now: Timestamp,
    ) -> Option<Self> {
        let plan = &query.plan;
        let shape = plan.shape()?;
        let run = query.begin(now);
        let of_block = (0..COLUMNS.len()).filter(|slot| BLOCK_COLUMNS.contains(&COLUMNS[*slot].0));
        let (mut blocks, mut total) = (Vec::new(), 0_usize);
        let told = rows.blocks(plan.table, &plan.hints, &mut |block, count| {
            let mut row = Row::new();
            row.resize(COLUMNS.len(), Cell::Null);
            for slot in of_block.clone() {
                row[slot] = run::whole(block, slot);
            }
            let passes =
                count > 0 && shape.of_block.iter().all(|it| it.test(&row, &run) == Some(true));
            let left = if passes { count } else { 0 };
            blocks.push(left);
            total = total.saturating_add(left);
        });
        if !told {
            return None;
        }
        let picks = shape.looks.then(|| {
            let env = Env { rows: rows.as_ref(), run: &run };
            let mut picks = run::survey(plan, env, &blocks);
            picks.truncate(shape.most);
            picks.shrink_to_fit();
            picks
        });
        if run.gave_up() {
            return None;
        }
        let total = picks.as_ref().map_or(total.min(shape.most), Vec::len);
        let (query, rows) = (Arc::clone(query), Arc::clone(rows));
        Some(Self { query, rows, now, blocks, picks, total })
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// How many bytes it takes of its own.
    pub(super) fn size(&self) -> usize {
        self.picks.as_ref().map_or(0, |picks| size_of_val(picks.as_slice()))
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
        let Some(picks) = &self.picks else {
            return self.show(Pick::From(from), to.saturating_sub(from), form, out, |_| {});
        };
        let picks = picks.get(from..to).unwrap_or_default();
        if picks.is_sorted() {
            return self.show(Pick::These(picks), picks.len(), form, out, |_| {});
        }
        // They are read in the table's order, and then put in the answer's.
        let mut order: Vec<usize> = (0..picks.len()).collect();
        order.sort_unstable_by_key(|at| picks.get(*at));
        let ascending: Vec<u32> = order.iter().filter_map(|at| picks.get(*at)).copied().collect();
        let (mut made, mut ends) = (Vec::new(), Vec::new());
        let pick = Pick::These(&ascending);
        self.show(pick, ascending.len(), form, &mut made, |end| ends.push(end))?;
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

    /// Writes rows with commas between them, at most so many, and tells where each ends.
    fn show(
        &self,
        pick: Pick<'_>,
        mut left: usize,
        form: &Form,
        out: &mut Vec<u8>,
        mut ends: impl FnMut(usize),
    ) -> Result<(), QueryError> {
        let run: Run = self.query.begin(self.now);
        if left > 0 {
            let env = Env { rows: self.rows.as_ref(), run: &run };
            let part = Part { blocks: Some(&self.blocks), pick, ..Part::default() };
            let begin = out.len();
            run::show(&self.query.plan, env, part, &mut |row| {
                if out.len() > begin {
                    out.push(b',');
                }
                form.write_each(out, |column, out| row.write(column, out));
                ends(out.len());
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        if run.gave_up() { Err(QueryError::too_large()) } else { Ok(()) }
    }
}
