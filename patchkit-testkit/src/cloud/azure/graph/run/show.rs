//! Rows shown of which it is known that they are in the answer.

use std::{cell::RefCell, ops::ControlFlow};

use super::{
    super::{
        Owns,
        plan::{
            COLUMNS, Plan,
            show::{Origin, Output},
        },
        route::{Route, walk},
        source::{Piece, Record},
        stencil::Columns,
        value::Cell,
    },
    Env, Limit, Part, Rest, Row, Sink, cell_of, link, load, whole,
};

/// A row of an answer: a row of the table, and what the steps made of it.
pub(in super::super) struct Shown<'r, 'a> {
    outputs: &'r [Output],
    record: &'r dyn Record<'a>,
    made: &'r [Cell<'a>],
}

impl Columns for Shown<'_, '_> {
    fn stencil(&self) -> Option<[usize; 3]> {
        self.record.stencil()
    }

    fn pieces(&self, column: usize, each: &mut dyn FnMut(Piece<'_>)) -> bool {
        match self.outputs.get(column) {
            Some(Output::Read(origin)) => pieces(self.record, origin, each),
            _ => false,
        }
    }

    fn owns(&self) -> Owns<'_> {
        self.record.owns()
    }

    fn write(&self, column: usize, out: &mut Vec<u8>) {
        match self.outputs.get(column) {
            Some(Output::Read(origin)) => write(self.record, origin, out),
            _ => self.made.get(column).unwrap_or(&Cell::Null).write(out),
        }
    }
}

/// Tells the pieces of what a row of a table has.
pub(super) fn pieces(
    record: &dyn Record<'_>,
    origin: &Origin,
    each: &mut dyn FnMut(Piece<'_>),
) -> bool {
    let (Some((name, _)), Route { path, rest }) = (COLUMNS.get(origin.slot), &origin.route) else {
        return false;
    };
    if rest.is_empty() {
        return record.pieces(name, path, each);
    }
    // What is in a document that all of these rows have is the same in all of them, too.
    let (mut document, mut is_shared) = (Vec::new(), true);
    let told = record.pieces(name, path, &mut |piece| match piece {
        Piece::Text(text) => document.extend_from_slice(text),
        Piece::Own(_) => is_shared = false,
    });
    let document = if told && is_shared { serde_json::from_slice(&document).ok() } else { None };
    let Some(document) = document else { return false };
    let mut shown = Vec::new();
    walk(&Cell::owned(document), &[], rest).write(&mut shown);
    each(Piece::Text(&shown));
    true
}

/// Writes what a row of a table has.
pub(super) fn write(record: &dyn Record<'_>, origin: &Origin, out: &mut Vec<u8>) {
    let Some((name, _)) = COLUMNS.get(origin.slot) else { return Cell::Null.write(out) };
    let Route { path, rest } = &origin.route;
    if !rest.is_empty() {
        let cell = cell_of(record.member(name, path));
        return walk(&cell, &[], rest).write(out);
    }
    if record.write(name, path, out) {
        return;
    }
    if path.is_empty() {
        whole(record, origin.slot).write(out);
    } else {
        cell_of(record.member(name, path)).write(out);
    }
}

/// Shows rows of a plan whose rows are each made of one of the table, in the table's order: some of
/// those that pass all filters, whatever their order and number are in the answer.
pub(in super::super) fn show<'a>(
    plan: &'a Plan,
    env: Env<'a>,
    part: Part<'a>,
    each: &mut dyn FnMut(Shown<'_, 'a>) -> ControlFlow<()>,
) {
    let shows = &plan.shows;
    let part = Part { shown: &shows.columns, ..part };
    let made = RefCell::new(Row::new());
    let mut last = Last { made: &made };
    let mut chain: Rest<'a, '_> = Box::new(Limit { run: env.run, next: &mut last });
    for step in plan.steps.iter().filter(|it| it.makes()).rev() {
        chain = link(step, env, chain);
    }
    let (makes, mut row) = (shows.makes(), Row::new());
    env.rows.scan(part.scan(plan), &mut |record| {
        if makes {
            env.run.count_read(1);
            // What the row before had in a column that is not read is looked at by nobody.
            row.resize(COLUMNS.len(), Cell::Null);
            for load_one in &shows.loads {
                load(record, load_one, &mut row);
            }
            chain.push(&mut row)?;
        }
        let outputs = &shows.outputs;
        each(Shown { outputs, record, made: &made.borrow() })?;
        if env.run.gave_up() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
}

/// Keeps the row that was made last.
pub(super) struct Last<'s, 'a> {
    pub(super) made: &'s RefCell<Row<'a>>,
}

impl<'a> Sink<'a> for Last<'_, 'a> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        std::mem::swap(&mut *self.made.borrow_mut(), row);
        ControlFlow::Continue(())
    }
}
