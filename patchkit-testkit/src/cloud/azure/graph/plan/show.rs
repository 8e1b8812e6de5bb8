//! How rows are shown of which it is known that they are in the answer: what is only passed on is
//! written from the table into the answer, and nothing else is made than what the steps compute.

use super::{
    COLUMNS, Plan, Step,
    reads::{Load, Uses, Want},
};
use crate::cloud::azure::graph::{
    eval::Node,
    route::Route,
    value::{Cell, Type},
};

/// What each row of an answer is made of.
#[derive(Debug, Default)]
pub(in super::super) struct Show {
    pub(in super::super) outputs: Vec<Output>,
    /// What is read for those that are made.
    pub(in super::super) loads: Vec<Load>,
    /// The columns that the others are of.
    pub(in super::super) columns: Vec<&'static str>,
}

/// A column of an answer.
#[derive(Debug)]
pub(in super::super) enum Output {
    /// What the table has.
    Read(Origin),
    /// What the steps make of a row.
    Made,
}

/// Whose a column is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Whose {
    /// The plan's own table's.
    Own,
    /// That of the plan that is joined to it.
    Joined,
}

/// A column of a table or a member of its document: at the end of keys, and of a way that is
/// not keys alone behind them.
#[derive(Clone, Debug)]
pub(in super::super) struct Origin {
    pub(in super::super) whose: Whose,
    pub(in super::super) slot: usize,
    pub(in super::super) route: Route,
}

impl Origin {
    /// Those of the columns of a table.
    pub(super) fn of_table(whose: Whose) -> Vec<Option<Self>> {
        let of_slot = |slot| Self { whose, slot, route: Route::default() };
        (0..COLUMNS.len()).map(|slot| Some(of_slot(slot))).collect()
    }

    /// Where what is in each slot behind some steps is from, by where it is from before them. None
    /// where a step does other than make a row of one.
    pub(super) fn behind(
        steps: &[Step],
        mut origins: Vec<Option<Self>>,
    ) -> Option<Vec<Option<Self>>> {
        for step in steps.iter().filter(|step| step.makes()) {
            match step {
                Step::Project(nodes) => {
                    origins = nodes.iter().map(|node| origin(node, &origins)).collect();
                }
                Step::Select(slots) => {
                    origins = slots.iter().map(|slot| origins.get(*slot).cloned()?).collect();
                }
                Step::Extend(values) => {
                    let set = values.iter().map(|(slot, node)| (*slot, origin(node, &origins)));
                    for (slot, origin) in set.collect::<Vec<_>>() {
                        put(&mut origins, slot, origin);
                    }
                }
                Step::Parse { columns, .. } => {
                    for (slot, _) in columns {
                        put(&mut origins, *slot, None);
                    }
                }
                _ => return None,
            }
        }
        Some(origins)
    }

    /// What stands for it where there is no row.
    pub(in super::super) fn none(&self) -> Cell<'static> {
        let kind = COLUMNS.get(self.slot).map(|(_, kind)| *kind);
        match kind.filter(|_| self.route.is_empty()) {
            Some(kind) => Cell::none(kind),
            None => Cell::Null,
        }
    }

    /// A member of what it is; none where that has no members.
    fn at(mut self, route: &Route) -> Option<Self> {
        let is_document = COLUMNS.get(self.slot).is_some_and(|it| it.1 == Type::Dynamic);
        if !is_document {
            return None;
        }
        self.route = self.route.then(route);
        Some(self)
    }
}

impl Plan {
    /// What of it shows rows, and nothing else.
    pub(in super::super) fn into_shown(self) -> Self {
        let Self { table, hints, shows, mut steps, .. } = self;
        let makes = shows.makes();
        steps.retain(|step| makes && step.makes());
        steps.shrink_to_fit();
        let (leading, tests, loads, columns) = (0, Vec::new(), Vec::new(), Vec::new());
        Self { table, hints, leading, tests, loads, shows, steps, columns }
    }

    /// What rows are made of that are shown; only for a plan of which each row of the answer is made
    /// of one row of the table.
    pub(super) fn show(&self) -> Show {
        let Some(origins) = Origin::behind(&self.steps, Origin::of_table(Whose::Own)) else {
            return Show::default();
        };
        let making = self.steps.iter().filter(|step| step.makes());
        let made = making.rev().fold(made(&origins), Uses::before);
        Show { loads: made.into_loads(), ..Show::of(origins) }
    }
}

/// What is to be made where it is from nowhere.
pub(super) fn made(origins: &[Option<Origin>]) -> Uses {
    let mut made = Uses::default();
    for (slot, _) in origins.iter().enumerate().filter(|(_, origin)| origin.is_none()) {
        made.need(slot, Want::Whole);
    }
    made
}

impl Show {
    /// What is read of the plan's own table, and written as it is.
    pub(super) fn of(origins: Vec<Option<Origin>>) -> Self {
        let columns = columns(&origins, Whose::Own);
        let outputs = origins.into_iter().map(|it| it.map_or(Output::Made, Output::Read));
        Self { outputs: outputs.collect(), loads: Vec::new(), columns }
    }

    /// Whether anything is made of a row.
    pub(in super::super) fn makes(&self) -> bool {
        self.outputs.iter().any(|it| matches!(it, Output::Made))
    }
}

/// The columns of a table that something is from.
pub(super) fn columns(origins: &[Option<Origin>], whose: Whose) -> Vec<&'static str> {
    let own = origins.iter().flatten().filter(|origin| origin.whose == whose);
    let mut columns: Vec<_> = own.filter_map(|it| Some(COLUMNS.get(it.slot)?.0)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn origin(node: &Node, origins: &[Option<Origin>]) -> Option<Origin> {
    match node {
        Node::Slot(slot) => origins.get(*slot).cloned()?,
        Node::Path(base, route) => origin(base, origins)?.at(route),
        _ => None,
    }
}

fn put(origins: &mut Vec<Option<Origin>>, slot: usize, origin: Option<Origin>) {
    origins.resize(origins.len().max(slot + 1), None);
    if let Some(place) = origins.get_mut(slot) {
        *place = origin;
    }
}
