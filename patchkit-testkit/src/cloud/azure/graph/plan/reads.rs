//! What a plan reads of its table: columns, of a document the members, and when.

use std::collections::BTreeMap;

use super::{super::eval, COLUMNS, Plan, Step};
use crate::cloud::azure::graph::{eval::Node, source::BLOCK_COLUMNS};

/// A column that is read of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Load {
    pub(in super::super) slot: usize,
    /// The only members of its document that are looked at; none where all may be.
    pub(in super::super) keys: Option<Vec<String>>,
}

impl Load {
    /// Whether what this reads is enough for another.
    fn covers(&self, other: &Self) -> bool {
        self.slot == other.slot
            && match (&self.keys, &other.keys) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(own), Some(keys)) => keys.iter().all(|key| own.contains(key)),
            }
    }
}

/// Slots that nodes look at, with the members of the documents in them.
#[derive(Debug, Default)]
struct Uses(BTreeMap<usize, Option<Vec<String>>>);

impl Uses {
    fn of<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> Self {
        let mut uses = Self::default();
        nodes.into_iter().for_each(|node| uses.add(node));
        uses
    }

    fn add(&mut self, node: &Node) {
        match node {
            Node::Slot(slot) => drop(self.0.insert(*slot, None)),
            Node::Path(base, steps) => match (base.as_ref(), steps.first()) {
                (Node::Slot(slot), Some(eval::Step::Key(key))) => {
                    // What is looked at as a whole stays so.
                    if let Some(keys) = self.0.entry(*slot).or_insert_with(|| Some(Vec::new()))
                        && !keys.contains(key)
                    {
                        keys.push(key.clone());
                    }
                }
                (base, _) => self.add(base),
            },
            other => other.each_part(&mut |part| self.add(part)),
        }
    }

    fn all() -> Self {
        Self((0..COLUMNS.len()).map(|slot| (slot, None)).collect())
    }

    fn load(&self, slot: usize) -> Load {
        Load { slot, keys: self.0.get(&slot).cloned().flatten() }
    }
}

impl Plan {
    /// How many filters stand before everything else.
    fn leading(&self) -> usize {
        self.steps.iter().take_while(|step| matches!(step, Step::Where(_))).count()
    }

    /// Divides what is read into what the leading filters need and what the other steps do.
    pub(super) fn arrange(&mut self, touched: &[usize]) {
        self.leading = self.leading();
        let (leading, rest) = self.steps.split_at(self.leading);
        let tests = Uses::of(leading.iter().flat_map(Step::nodes));
        let mut later = Uses::default();
        let mut closed = false;
        for step in rest {
            step.nodes().for_each(|node| later.add(node));
            match step {
                Step::Join { .. } | Step::Union { .. } => later = Uses::all(),
                Step::Select(slots) => later.0.extend(slots.iter().map(|slot| (*slot, None))),
                _ => {}
            }
            if step.closes() {
                closed = true;
                break;
            }
        }
        if !closed {
            later = Uses::all();
        }
        let of_tests = touched.iter().filter(|slot| tests.0.contains_key(slot));
        self.tests = of_tests.map(|slot| tests.load(*slot)).collect();
        let loads = touched.iter().filter(|slot| later.0.contains_key(slot));
        let loads = loads.map(|slot| later.load(*slot));
        self.loads = loads.filter(|it| !self.tests.iter().any(|test| test.covers(it))).collect();
    }

    /// The filters of a plan that is answered page by page, and the most rows it answers with.
    ///
    /// None where a row's part in the answer depends on other rows, or on more of it than its
    /// block tells.
    pub(in super::super) fn filters(&self) -> Option<(Vec<&Node>, usize)> {
        let (mut filters, mut most) = (Vec::new(), usize::MAX);
        // Whether the slots are the table's own; those of them that were set anew.
        let (mut open, mut set) = (true, Vec::new());
        for step in &self.steps {
            match step {
                Step::Where(test) => {
                    let of_block = |slot: &usize| {
                        COLUMNS.get(*slot).is_some_and(|(name, _)| BLOCK_COLUMNS.contains(name))
                            && !set.contains(slot)
                    };
                    let uses = Uses::of([test]);
                    // What is taken before is taken of rows that this leaves out.
                    if !open || most < usize::MAX || !uses.0.keys().all(of_block) {
                        return None;
                    }
                    filters.push(test);
                }
                Step::Extend(values) => set.extend(values.iter().map(|(slot, _)| *slot)),
                Step::Parse { columns, .. } => set.extend(columns.iter().map(|(slot, _)| *slot)),
                Step::Select(_) | Step::Project(_) => open = false,
                Step::Take(count) => most = most.min(*count),
                _ => return None,
            }
        }
        Some((filters, most))
    }
}

impl Step {
    /// Whether the slots behind it are others than those before it.
    fn closes(&self) -> bool {
        match self {
            Self::Where(_)
            | Self::Extend(_)
            | Self::Sort { .. }
            | Self::Take(_)
            | Self::Expand { .. }
            | Self::Parse { .. } => false,
            Self::Select(_)
            | Self::Project(_)
            | Self::Summarize { .. }
            | Self::Count
            | Self::Join { .. }
            | Self::Union { .. } => true,
        }
    }

    /// The expressions that look at the row as it comes to it.
    fn nodes(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match self {
            Self::Where(test) => Box::new(std::iter::once(test)),
            Self::Extend(values) => Box::new(values.iter().map(|(_, node)| node)),
            Self::Project(nodes) => Box::new(nodes.iter()),
            Self::Sort { keys, .. } => Box::new(keys.iter().map(|key| &key.node)),
            Self::Expand { items, .. } => Box::new(items.iter().map(|item| &item.value)),
            Self::Parse { value, .. } => Box::new(std::iter::once(value)),
            Self::Summarize { keys, aggregates, .. } => {
                let of_aggregates = aggregates
                    .iter()
                    .flat_map(|it| it.when.iter().chain(it.value.iter()).chain(it.row.iter()));
                Box::new(keys.iter().chain(of_aggregates))
            }
            Self::Select(_)
            | Self::Count
            | Self::Take(_)
            | Self::Join { .. }
            | Self::Union { .. } => Box::new(std::iter::empty()),
        }
    }
}

impl Node {
    /// Every expression that this one is directly made of.
    fn each_part(&self, each: &mut dyn FnMut(&Self)) {
        match self {
            Self::Const(_) | Self::Slot(_) | Self::Let(_) | Self::Now(None, _) => {}
            Self::Path(one, _)
            | Self::Not(one)
            | Self::Text(_, _, one)
            | Self::Matches(_, one)
            | Self::Within(_, _, one)
            | Self::HasEach(_, _, one)
            | Self::Negate(one)
            | Self::Replace { text: one, .. }
            | Self::Trim(_, one)
            | Self::TimePart(_, one)
            | Self::Cast(_, one)
            | Self::Now(Some(one), _) => each(one),
            Self::Index(one, two)
            | Self::Compare(_, _, one, two)
            | Self::TextBy(_, _, one, two)
            | Self::Math(_, _, one, two)
            | Self::Extract(_, one, two, _)
            | Self::Difference(_, one, two)
            | Self::AddTime(_, one, two) => {
                each(one);
                each(two);
            }
            Self::All(many) | Self::Any(many) | Self::Coalesce(many, _) | Self::Call(_, many) => {
                many.iter().for_each(each);
            }
            Self::Between(_, _, three) => three.iter().for_each(each),
            Self::Case(arms, rest, _) => {
                for (when, value) in arms {
                    each(when);
                    each(value);
                }
                each(rest);
            }
        }
    }
}
