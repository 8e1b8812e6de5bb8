//! What decides which rows are in an answer, in which order and in which group: less than what is
//! shown of them.

use super::{
    COLUMNS, Plan, Step,
    aggregate::{Aggregate, Kind},
    reads::{Uses, Want},
};
use crate::cloud::azure::graph::{
    Path,
    eval::Node,
    source::{Look, ORDERED_COLUMNS},
    value::Type,
};

/// What decides over the rows of a plan.
#[derive(Debug)]
pub(in super::super) struct Gist {
    /// What is looked at in each row.
    pub(in super::super) looks: Vec<Look>,
    /// For each key of the sort: which of the [`ORDERED_COLUMNS`] it is, if it is just that. Nothing else
    /// is then looked at for it.
    pub(in super::super) keys: Vec<Option<&'static str>>,
}

impl Plan {
    /// What decides which rows of a table are answered with, and in which order, where each row of
    /// the answer is made of one of them.
    pub(in super::super) fn gist(&self) -> Gist {
        let (mut uses, mut sorted) = (Uses::default(), Vec::new());
        for (at, step) in self.steps.iter().enumerate().rev() {
            let Step::Sort { keys, .. } = step else {
                uses = uses.before(step);
                continue;
            };
            let before = self.steps.get(..at).unwrap_or_default();
            sorted = keys.iter().map(|key| ordered(before, &key.node)).collect();
            for (key, _) in keys.iter().zip(&sorted).filter(|(_, column)| column.is_none()) {
                uses.add(&key.node);
            }
        }
        Gist { looks: uses.into_looks(), keys: sorted }
    }

    /// What decides over the groups of a plan that gathers all rows of its table first. None where it
    /// does something else, or rows that are alike count for more than their number.
    pub(in super::super) fn gathered(&self) -> Option<Vec<Look>> {
        let mut passed = Vec::new();
        for step in &self.steps {
            match step {
                Step::Where(_)
                | Step::Extend(_)
                | Step::Select(_)
                | Step::Project(_)
                | Step::Parse { .. } => passed.push(step),
                Step::Summarize { aggregates, .. } if !aggregates.iter().all(Aggregate::adds) => {
                    return None;
                }
                Step::Summarize { .. } | Step::Count => {
                    let uses = Uses::of(step.nodes());
                    let uses = passed.into_iter().rev().fold(uses, Uses::before);
                    return Some(uses.into_looks());
                }
                Step::Sort { .. }
                | Step::Take(_)
                | Step::Expand { .. }
                | Step::Join { .. }
                | Step::Union { .. } => return None,
            }
        }
        None
    }
}

impl Aggregate {
    /// Whether it is the same for rows that are alike as for the first of them with their number.
    fn adds(&self) -> bool {
        match self.kind {
            Kind::Count
            | Kind::Distinct
            | Kind::Min
            | Kind::Max
            | Kind::Set(_)
            | Kind::ArgMax
            | Kind::ArgMin
            | Kind::Any => true,
            // A sum of reals depends on the order of its parts.
            Kind::Sum => self.value_kind == Type::Long,
            Kind::Average | Kind::List(_) => false,
        }
    }
}

impl Uses {
    /// What is to be known before a step for this to be known behind it.
    pub(super) fn before(mut self, step: &Step) -> Self {
        match step {
            Step::Where(_) | Step::Sort { .. } => step.nodes().for_each(|node| self.add(node)),
            Step::Take(_) => {}
            Step::Extend(values) => {
                let wanted = values.iter().map(|(slot, node)| (node, self.get(*slot).cloned()));
                let wanted: Vec<_> = wanted.collect();
                for (slot, _) in values {
                    self.take(*slot);
                }
                for (node, want) in wanted {
                    self.make(node, want);
                }
            }
            Step::Project(nodes) => {
                let mut before = Self::default();
                for (slot, want) in self.into_wants() {
                    if let Some(node) = nodes.get(slot) {
                        before.make(node, Some(want));
                    }
                }
                return before;
            }
            Step::Select(slots) => {
                let mut before = Self::default();
                for (slot, want) in self.into_wants() {
                    if let Some(from) = slots.get(slot) {
                        before.need(*from, want);
                    }
                }
                return before;
            }
            Step::Parse { value, columns, .. } => {
                let wanted = columns.iter().filter_map(|(slot, _)| self.take(*slot)).count();
                if wanted > 0 {
                    self.add(value);
                }
            }
            Step::Summarize { .. }
            | Step::Count
            | Step::Expand { .. }
            | Step::Join { .. }
            | Step::Union { .. } => return Self::all(),
        }
        self
    }

    /// Adds what a value is made of, if something of it is looked at.
    fn make(&mut self, node: &Node, want: Option<Want>) {
        match (node, want) {
            (_, None) => {}
            (Node::Slot(slot), Some(want)) => self.need(*slot, want),
            (node, Some(_)) => self.add(node),
        }
    }

    fn into_looks(self) -> Vec<Look> {
        let mut looks = Vec::new();
        for (slot, want) in self.into_wants() {
            let Some((column, _)) = COLUMNS.get(slot) else { continue };
            let paths = match want {
                Want::Members(paths) => paths,
                Want::Whole | Want::Shown => vec![Path::default()],
            };
            looks.extend(paths.into_iter().map(|path| Look { column, path }));
        }
        looks
    }
}

/// Where the value in a slot behind some steps is from.
#[derive(Debug)]
pub(super) enum Source<'s> {
    /// A slot before them all.
    Slot(usize),
    /// An expression over the rows behind some of them.
    Made(&'s [Step], &'s Node),
}

impl<'s> Source<'s> {
    /// None where it is not known.
    pub(super) fn of(before: &'s [Step], mut slot: usize) -> Option<Self> {
        for (at, step) in before.iter().enumerate().rev() {
            let from = match step {
                Step::Where(_) | Step::Sort { .. } | Step::Take(_) => continue,
                Step::Extend(values) => match values.iter().rev().find(|(set, _)| *set == slot) {
                    Some((_, node)) => node,
                    None => continue,
                },
                Step::Parse { columns, .. } if columns.iter().all(|(set, _)| *set != slot) => {
                    continue;
                }
                Step::Select(slots) => {
                    slot = *slots.get(slot)?;
                    continue;
                }
                Step::Project(nodes) => nodes.get(slot)?,
                _ => return None,
            };
            let Node::Slot(moved) = from else { return Some(Self::Made(before.get(..at)?, from)) };
            slot = *moved;
        }
        Some(Self::Slot(slot))
    }
}

/// The column of the table that is in a slot behind some steps, if rows may be in its order.
pub(super) fn ordered(before: &[Step], node: &Node) -> Option<&'static str> {
    let Node::Slot(slot) = node else { return None };
    let Some(Source::Slot(slot)) = Source::of(before, *slot) else { return None };
    let (column, _) = COLUMNS.get(slot)?;
    ORDERED_COLUMNS.contains(column).then_some(column)
}
