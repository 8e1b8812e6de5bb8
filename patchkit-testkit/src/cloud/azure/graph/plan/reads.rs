//! What a plan reads of its table: columns, of a document the members, and when.

use super::{COLUMNS, Plan, Step};
use crate::cloud::azure::graph::{Path, eval::Node, route::Route};

/// A column that is read of a row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Load {
    pub(in super::super) slot: usize,
    pub(in super::super) want: Want,
}

/// What of a column is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) enum Want {
    /// All of it.
    Whole,
    /// What an answer shows of it: no step looks at it.
    Shown,
    /// Members of its document.
    Members(Vec<Path>),
}

impl Load {
    /// Whether what this reads is enough for another.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.slot == other.slot
            && match (&self.want, &other.want) {
                (Want::Whole, _) => true,
                (Want::Members(own), Want::Members(paths)) => {
                    paths.iter().all(|path| own.contains(path))
                }
                (own, other) => own == other,
            }
    }
}

/// Slots that nodes look at, in their order, with what of the documents in them.
#[derive(Debug, Default)]
pub(in super::super) struct Uses(Vec<(usize, Want)>);

impl Uses {
    pub(in super::super) fn of<'n>(nodes: impl IntoIterator<Item = &'n Node>) -> Self {
        let mut uses = Self::default();
        nodes.into_iter().for_each(|node| uses.add(node));
        uses
    }

    pub(in super::super) fn slots(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().map(|(slot, _)| slot)
    }

    pub(super) fn add(&mut self, node: &Node) {
        match node {
            Node::Slot(slot) => *self.of_slot(*slot) = Want::Whole,
            Node::Path(base, Route { path, .. }) => match base.as_ref() {
                Node::Slot(slot) if !path.is_empty() => {
                    self.need(*slot, Want::Members(vec![path.clone()]));
                }
                base => self.add(base),
            },
            other => other.each_part(&mut |part| self.add(part)),
        }
    }

    /// Where a slot is among those that are looked at, or would be.
    fn place(&self, slot: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&slot, |(known, _)| *known)
    }

    /// What of a slot is looked at; no members of it where it was not looked at before.
    fn of_slot(&mut self, slot: usize) -> &mut Want {
        let at = self.place(slot).unwrap_or_else(|at| {
            self.0.insert(at, (slot, Want::Members(Vec::new())));
            at
        });
        &mut self.0[at].1
    }

    /// Adds what is looked at in a slot to what is known of it.
    pub(super) fn need(&mut self, slot: usize, want: Want) {
        match (self.of_slot(slot), want) {
            (Want::Members(paths), Want::Members(more)) => {
                for path in more {
                    if !paths.contains(&path) {
                        paths.push(path);
                    }
                }
            }
            // What is looked at as a whole stays so.
            (known @ Want::Members(_), whole) => *known = whole,
            _ => {}
        }
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Want> {
        self.0.get(self.place(slot).ok()?).map(|(_, want)| want)
    }

    /// Takes out what is looked at in a slot.
    pub(super) fn take(&mut self, slot: usize) -> Option<Want> {
        Some(self.0.remove(self.place(slot).ok()?).1)
    }

    /// What of the slots from one on is looked at, which become slots of their own.
    pub(super) fn split_off(&mut self, slot: usize) -> Self {
        let behind = self.0.split_off(self.0.partition_point(|(known, _)| *known < slot));
        Self(behind.into_iter().map(|(at, want)| (at - slot, want)).collect())
    }

    /// What is read of the table for them.
    pub(super) fn into_loads(self) -> Vec<Load> {
        let own = self.into_wants().filter(|(slot, _)| *slot < COLUMNS.len());
        own.map(|(slot, want)| Load { slot, want }).collect()
    }

    pub(super) fn into_wants(self) -> impl Iterator<Item = (usize, Want)> {
        self.0.into_iter()
    }

    pub(super) fn all() -> Self {
        Self((0..COLUMNS.len()).map(|slot| (slot, Want::Whole)).collect())
    }

    /// What steps look at in the table's slots, or pass on.
    fn of_steps<'s>(steps: impl IntoIterator<Item = &'s Step>) -> Self {
        let mut uses = Self::default();
        for step in steps {
            step.nodes().for_each(|node| uses.add(node));
            match step {
                Step::Join { .. } | Step::Union { .. } => return Self::all(),
                Step::Select(slots) => {
                    for slot in slots {
                        *uses.of_slot(*slot) = Want::Whole;
                    }
                }
                _ => {}
            }
            if step.closes() {
                return uses;
            }
        }
        Self::all()
    }

    fn loads(&self, touched: &[usize]) -> Vec<Load> {
        let slots = touched.iter().filter(|slot| self.get(**slot).is_some());
        slots.map(|slot| self.load(*slot)).collect()
    }

    fn load(&self, slot: usize) -> Load {
        Load { slot, want: self.get(slot).cloned().unwrap_or(Want::Whole) }
    }
}

/// What is read of each row: what filters look at, and of the rows that pass them the rest.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Reads<'p> {
    pub(in super::super) leading: &'p [Step],
    pub(in super::super) tests: &'p [Load],
    pub(in super::super) loads: &'p [Load],
}

impl Plan {
    /// What is read where the filters that stand before everything else are carried out.
    pub(in super::super) fn reads<'p>(&'p self, loads: &'p [Load]) -> Reads<'p> {
        let leading = self.steps.get(..self.leading).unwrap_or_default();
        Reads { leading, tests: &self.tests, loads }
    }

    /// The steps behind them.
    pub(in super::super) fn rest(&self) -> &[Step] {
        self.steps.get(self.leading..).unwrap_or_default()
    }

    /// Divides what is read into what the leading filters need and what the other steps do.
    pub(super) fn arrange(&mut self, touched: &[usize]) {
        self.leading = self.steps.iter().take_while(|it| matches!(it, Step::Where(_))).count();
        let (leading, rest) = self.steps.split_at(self.leading);
        let tests = Uses::of(leading.iter().flat_map(Step::nodes));
        let of_tests = touched.iter().filter(|slot| tests.get(**slot).is_some());
        self.tests = of_tests.map(|slot| tests.load(*slot)).collect();
        self.loads = Uses::of_steps(rest).loads(touched);
        self.loads.retain(|it| !self.tests.iter().any(|test| test.covers(it)));
    }
}

impl Step {
    /// Whether it makes rows into others, and does not only choose among them.
    pub(in super::super) fn makes(&self) -> bool {
        !matches!(self, Self::Where(_) | Self::Sort { .. } | Self::Take(_))
    }

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
    pub(super) fn nodes(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
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
            | Self::Lower(one)
            | Self::Piece(one, ..)
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
