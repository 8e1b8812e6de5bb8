//! Answers whose rows are made when their page is asked for.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::{
    Query, QueryError, Rows,
    eval::Run,
    page::Form,
    plan::{COLUMNS, reads::Load},
    run::{self, Env, Part, Row},
    source::BLOCK_COLUMNS,
    value::Cell,
};

/// A query over rows that stay as they are, of which it is known how many it answers with.
pub(super) struct Stream {
    query: Arc<Query>,
    rows: Arc<dyn Rows + Send + Sync>,
    now: Timestamp,
    /// Which blocks of the table the filters leave.
    blocks: Vec<bool>,
    total: usize,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { query, total, .. } = self;
        f.debug_struct("Stream").field("query", query).field("total", total).finish_non_exhaustive()
    }
}

impl Stream {
    /// None where all rows must be seen before the first can be told.
    pub(super) fn open(
        query: &Arc<Query>,
        rows: &Arc<dyn Rows + Send + Sync>,
        now: Timestamp,
    ) -> Option<Self> {
        let plan = &query.plan;
        let (filters, most) = plan.filters()?;
        let run = query.begin(now);
        let of_block = (0..COLUMNS.len()).filter(|slot| BLOCK_COLUMNS.contains(&COLUMNS[*slot].0));
        let (mut blocks, mut total) = (Vec::new(), 0_usize);
        let told = rows.blocks(plan.table, &plan.hints, &mut |block, count| {
            let mut row = Row::new();
            row.resize(COLUMNS.len(), Cell::Null);
            for slot in of_block.clone() {
                run::load(block, &Load { slot, keys: None }, &mut row);
            }
            let passes =
                count > 0 && filters.iter().all(|test| test.test(&row, &run) == Some(true));
            blocks.push(passes);
            total = total.saturating_add(if passes { count } else { 0 });
        });
        (told && !run.gave_up()).then(|| Self {
            query: Arc::clone(query),
            rows: Arc::clone(rows),
            now,
            blocks,
            total: total.min(most),
        })
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// About how many bytes it keeps in memory.
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
        let run: Run = self.query.begin(self.now);
        let env = Env { rows: self.rows.as_ref(), run: &run };
        let part = Part { blocks: Some(&self.blocks), skip: from };
        let mut left = to.saturating_sub(from);
        if left > 0 {
            let begin = out.len();
            run::run_part(
                &self.query.plan,
                env,
                part,
                &mut run::Each(|row: &[Cell<'_>]| {
                    if out.len() > begin {
                        out.push(b',');
                    }
                    form.write(row, out);
                    left -= 1;
                    left > 0
                }),
            );
        }
        if run.gave_up() { Err(QueryError::too_large()) } else { Ok(()) }
    }
}
