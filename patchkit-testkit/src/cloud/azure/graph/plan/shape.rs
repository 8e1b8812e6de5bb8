//! What the form of a plan tells of its answer: which rows are in it, and what is only shown.

use std::collections::BTreeSet;

use super::{
    COLUMNS, Plan, Step,
    reads::{Uses, Want},
};
use crate::cloud::azure::graph::{
    eval::{Node, Run, all},
    source::BLOCK_COLUMNS,
    value::Cell,
};

/// How a plan is answered page by page.
#[derive(Debug)]
pub(in super::super) struct Shape<'p> {
    /// What the filters ask.
    pub(in super::super) filters: Filter<'p>,
    /// Whether they are put in an order.
    pub(in super::super) sorts: bool,
    /// The most rows that it answers with.
    pub(in super::super) most: usize,
}

/// What is asked of rows, by what must be known of them to tell.
#[derive(Debug)]
pub(in super::super) enum Filter<'p> {
    All(Vec<Self>),
    Any(Vec<Self>),
    /// What all rows of a block have in common tells.
    OfBlock(&'p Node),
    /// The row of the table tells.
    OfRow(&'p Node),
    /// What steps made of the row tells.
    OfMade,
}

/// What is known of rows of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Known {
    /// What all rows of a block have in common.
    Block,
    /// All of it, of one row.
    Row,
}

impl<'p> Filter<'p> {
    fn of(test: &'p Node, is_made: &dyn Fn(usize) -> bool) -> Self {
        let all = |sides: &'p [Node]| sides.iter().map(|it| Self::of(it, is_made)).collect();
        match test {
            Node::All(sides) => return Self::All(all(sides)),
            Node::Any(sides) => return Self::Any(all(sides)),
            _ => {}
        }
        let slots: Vec<usize> = Uses::of([test]).slots().collect();
        let is_of_block =
            |slot: &usize| COLUMNS.get(*slot).is_some_and(|(name, _)| BLOCK_COLUMNS.contains(name));
        if slots.iter().any(|slot| is_made(*slot)) {
            Self::OfMade
        } else if slots.iter().all(is_of_block) {
            Self::OfBlock(test)
        } else {
            Self::OfRow(test)
        }
    }

    /// Whether rows are kept of which so much is known. None where that does not tell.
    pub(in super::super) fn keeps<'a>(
        &'a self,
        row: &[Cell<'a>],
        known: Known,
        run: &'a Run,
    ) -> Option<bool> {
        match self {
            Self::All(sides) => all(sides.iter().map(|it| it.keeps(row, known, run))),
            Self::Any(sides) => {
                let none_is = all(sides.iter().map(|it| it.keeps(row, known, run).map(|is| !is)));
                none_is.map(|none_is| !none_is)
            }
            Self::OfRow(_) if known == Known::Block => None,
            Self::OfBlock(test) | Self::OfRow(test) => Some(test.test(row, run) == Some(true)),
            Self::OfMade => None,
        }
    }

    /// Whether blocks tell all that it asks.
    fn is_of_blocks(&self) -> bool {
        match self {
            Self::All(sides) | Self::Any(sides) => sides.iter().all(Self::is_of_blocks),
            Self::OfBlock(_) => true,
            Self::OfRow(_) | Self::OfMade => false,
        }
    }

    /// The slots of the table that it looks at, where that is what tells.
    pub(in super::super) fn slots(&self) -> BTreeSet<usize> {
        match self {
            Self::All(sides) | Self::Any(sides) => sides.iter().flat_map(Self::slots).collect(),
            Self::OfBlock(test) | Self::OfRow(test) => Uses::of([*test]).slots().collect(),
            Self::OfMade => BTreeSet::new(),
        }
    }
}

impl<'p> Shape<'p> {
    /// The shape of steps behind a table. None where a row behind them is made of other than one
    /// row before them.
    pub(super) fn of(steps: &'p [Step]) -> Option<Self> {
        let mut filters = Vec::new();
        let (mut sorts, mut most) = (false, usize::MAX);
        // Whether the slots are the table's own; those of them that were set anew.
        let (mut open, mut set) = (true, Vec::new());
        for step in steps {
            match step {
                // What is taken before is taken of rows that this leaves out, or puts elsewhere.
                Step::Where(_) | Step::Sort { .. } if most < usize::MAX => return None,
                Step::Where(test) => {
                    filters.push(Filter::of(test, &|slot| !open || set.contains(&slot)));
                }
                Step::Sort { .. } if sorts => return None,
                Step::Sort { take, .. } => (sorts, most) = (true, take.unwrap_or(most)),
                Step::Extend(values) => set.extend(values.iter().map(|(slot, _)| *slot)),
                Step::Parse { columns, .. } => set.extend(columns.iter().map(|(slot, _)| *slot)),
                Step::Select(_) | Step::Project(_) => open = false,
                Step::Take(count) => most = most.min(*count),
                Step::Summarize { .. }
                | Step::Count
                | Step::Expand { .. }
                | Step::Join { .. }
                | Step::Union { .. } => return None,
            }
        }
        Some(Self { filters: Filter::All(filters), sorts, most })
    }

    /// Whether rows must be looked at to know which are in the answer, and in which order.
    pub(in super::super) fn looks(&self) -> bool {
        self.sorts || !self.filters.is_of_blocks()
    }
}

impl Plan {
    /// None where a row of the answer is made of other than one row of the table.
    pub(in super::super) fn shape(&self) -> Option<Shape<'_>> {
        Shape::of(&self.steps)
    }

    /// Has what no step looks at read as it is shown. For the plan of an answer, not for one that
    /// is joined to another.
    pub(super) fn show_unseen(&mut self) {
        let unseen = unseen(self.rest());
        for load in &mut self.loads {
            if load.want == Want::Whole && unseen.contains(&load.slot) {
                load.want = Want::Shown;
            }
        }
        self.shows = self.show();
    }
}

/// The slots of the table that steps pass on without a look at what is in them.
fn unseen(steps: &[Step]) -> BTreeSet<usize> {
    let mut unseen: BTreeSet<usize> = (0..COLUMNS.len()).collect();
    // The slot of the table that the value in each slot of the row is from.
    let mut origins: Vec<Option<usize>> = (0..COLUMNS.len()).map(Some).collect();
    let origin = |origins: &[Option<usize>], slot: usize| origins.get(slot).copied().flatten();
    for step in steps {
        let moved: Vec<&Node> = match step {
            Step::Project(nodes) => nodes.iter().collect(),
            Step::Extend(values) => values.iter().map(|(_, node)| node).collect(),
            _ => Vec::new(),
        };
        let looks = step.nodes().filter(|node| {
            let is_moved = moved.iter().any(|it| std::ptr::eq(*it, *node));
            !(is_moved && matches!(node, Node::Slot(_)))
        });
        for slot in Uses::of(looks).slots() {
            if let Some(seen) = origin(&origins, slot) {
                unseen.remove(&seen);
            }
        }
        let from = |node: &Node| match node {
            Node::Slot(slot) => origin(&origins, *slot),
            _ => None,
        };
        match step {
            Step::Where(_) | Step::Sort { .. } | Step::Take(_) => {}
            Step::Project(nodes) => origins = nodes.iter().map(from).collect(),
            Step::Select(slots) => {
                origins = slots.iter().map(|slot| origin(&origins, *slot)).collect();
            }
            Step::Extend(values) => {
                let set: Vec<_> = values.iter().map(|(slot, node)| (*slot, from(node))).collect();
                for (slot, from) in set {
                    origins.resize(origins.len().max(slot + 1), None);
                    origins[slot] = from;
                }
            }
            Step::Parse { columns, .. } => {
                for (slot, _) in columns {
                    origins.resize(origins.len().max(slot + 1), None);
                    origins[*slot] = None;
                }
            }
            // They compare, copy or join whatever they are given.
            Step::Summarize { .. }
            | Step::Count
            | Step::Expand { .. }
            | Step::Join { .. }
            | Step::Union { .. } => {
                unseen.retain(|slot| !origins.contains(&Some(*slot)));
                origins.clear();
            }
        }
    }
    unseen
}

impl Node {
    /// The tests that must all hold for this one to hold.
    pub(super) fn conjuncts(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::All(sides) => Box::new(sides.iter().flat_map(Self::conjuncts)),
            one => Box::new(std::iter::once(one)),
        }
    }
}
