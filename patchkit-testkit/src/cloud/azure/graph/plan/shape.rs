//! What the form of a plan tells of its answer: which rows are in it, and what is only shown.

use std::collections::BTreeSet;

use super::{
    COLUMNS, Plan, Step,
    reads::{Uses, Want},
};
use crate::cloud::azure::graph::{eval::Node, source::BLOCK_COLUMNS};

/// How a plan is answered page by page.
#[derive(Debug)]
pub(in super::super) struct Shape<'p> {
    /// Filters that look at nothing but what all rows of a block share.
    pub(in super::super) of_block: Vec<&'p Node>,
    /// Whether rows must be looked at to know which are in the answer, and in which order.
    pub(in super::super) looks: bool,
    /// Whether they are put in an order.
    pub(in super::super) sorts: bool,
    /// The most rows that it answers with.
    pub(in super::super) most: usize,
}

impl<'p> Shape<'p> {
    /// The shape of steps behind a table. None where a row behind them is made of other than one
    /// row before them.
    pub(super) fn of(steps: &'p [Step]) -> Option<Self> {
        let mut shape = Self { of_block: Vec::new(), looks: false, sorts: false, most: usize::MAX };
        // Whether the slots are the table's own; those of them that were set anew.
        let (mut open, mut set) = (true, Vec::new());
        for step in steps {
            match step {
                // What is taken before is taken of rows that this leaves out, or puts elsewhere.
                Step::Where(_) | Step::Sort { .. } if shape.most < usize::MAX => return None,
                Step::Where(test) => {
                    for part in test.conjuncts() {
                        let is_of_block = Uses::of([part]).slots().all(|slot| {
                            let name = COLUMNS.get(slot).map_or("", |(name, _)| name);
                            BLOCK_COLUMNS.contains(&name) && !set.contains(&slot)
                        });
                        if open && is_of_block {
                            shape.of_block.push(part);
                        } else {
                            shape.looks = true;
                        }
                    }
                }
                Step::Sort { take, .. } => {
                    if shape.sorts {
                        return None;
                    }
                    (shape.sorts, shape.looks) = (true, true);
                    shape.most = take.unwrap_or(shape.most);
                }
                Step::Extend(values) => set.extend(values.iter().map(|(slot, _)| *slot)),
                Step::Parse { columns, .. } => set.extend(columns.iter().map(|(slot, _)| *slot)),
                Step::Select(_) | Step::Project(_) => open = false,
                Step::Take(count) => shape.most = shape.most.min(*count),
                Step::Summarize { .. }
                | Step::Count
                | Step::Expand { .. }
                | Step::Join { .. }
                | Step::Union { .. } => return None,
            }
        }
        Some(shape)
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
