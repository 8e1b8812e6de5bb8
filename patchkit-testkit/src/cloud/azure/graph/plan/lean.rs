//! Plans that make less than a whole answer: what a join compares, what decides over its rows, what
//! is shown of them.

use super::{
    COLUMNS, Key, Plan, Step,
    gist::Source,
    reads::{Load, Uses, Want},
    shape::Shape,
    show::{self, Origin, Show, Whose},
};
use crate::cloud::azure::graph::{
    ast::JoinKind,
    eval::Node,
    source::IdText,
    value::{Cell, Type},
};

/// A plan whose rows are each made of one row of its table and of one of another, joined to it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Paired<'p> {
    pub(in super::super) kind: JoinKind,
    /// The joined plan.
    pub(in super::super) right: &'p Plan,
    plan: &'p Plan,
    before: &'p [Step],
    after: &'p [Step],
    keys: [&'p [usize]; 2],
    widths: &'p [Vec<Type>; 2],
    /// The most rows that it answers with.
    pub(in super::super) most: usize,
}

/// What becomes of pairs of rows: of what they are made, and what is done with them then.
#[derive(Debug)]
pub(in super::super) struct Making {
    pub(in super::super) left: Plan,
    pub(in super::super) right: Plan,
    /// How many columns the left rows have, and the types of those of the right ones.
    pub(in super::super) width: usize,
    pub(in super::super) kinds: Vec<Type>,
    pub(in super::super) after: Vec<Step>,
}

/// How pairs of rows are shown.
#[derive(Debug)]
pub(in super::super) struct Showing {
    pub(in super::super) show: Show,
    /// The columns of the joined table that something is from.
    pub(in super::super) joined: Vec<&'static str>,
    pub(in super::super) making: Making,
}

impl Plan {
    /// None where a row of the answer is made otherwise than of one row of each side.
    pub(in super::super) fn paired(&self) -> Option<Paired<'_>> {
        let at = self.steps.iter().position(|step| matches!(step, Step::Join { .. }))?;
        let (before, rest) = self.steps.split_at(at);
        let [Step::Join { kind, right, left_keys, right_keys, widths }, after @ ..] = rest else {
            return None;
        };
        let sides = [Shape::of(before)?, Shape::of(&right.steps)?];
        // Rows that were sorted, or are wanted though they match nothing, come in another order
        // than their table's.
        if sides.iter().any(|side| side.sorts) || *kind == JoinKind::FullOuter {
            return None;
        }
        let most = Shape::of(after)?.most;
        let keys = [left_keys.as_slice(), right_keys];
        Some(Paired { kind: *kind, right, plan: self, before, after, keys, widths, most })
    }

    /// What of the plan decides which rows of its table are answered with, and in which order.
    pub(in super::super) fn choosing(&self) -> Self {
        self.lean(self.steps.iter(), Uses::default())
    }

    /// The plan without what its first filters ask of one column alone, and that. None where that is
    /// nothing.
    pub(in super::super) fn without(&self, column: &str) -> Option<(Self, Vec<&Node>)> {
        let (first, rest) = self.steps.split_at_checked(self.leading)?;
        let parts = first.iter().flat_map(Step::nodes).flat_map(Node::conjuncts);
        let is_its_own = |part: &&Node| {
            let mut slots = Uses::of([*part]).slots();
            let first = slots.next().and_then(|slot| COLUMNS.get(slot));
            first.is_some_and(|(name, _)| *name == column) && slots.next().is_none()
        };
        let (tests, others): (Vec<&Node>, Vec<&Node>) = parts.partition(is_its_own);
        if tests.is_empty() {
            return None;
        }
        let others: Vec<Step> = others.into_iter().cloned().map(Step::Where).collect();
        Some((self.lean(others.iter().chain(rest), Uses::default()), tests))
    }

    /// A plan over the same table whose rows have what is wanted behind some steps, and nothing else.
    fn lean<'s>(&self, steps: impl Iterator<Item = &'s Step>, wanted: Uses) -> Self {
        let steps: Vec<&Step> = steps.collect();
        let leading = steps.iter().take_while(|step| matches!(step, Step::Where(_))).count();
        let (first, rest) = steps.split_at(leading);
        let tests = Uses::of(first.iter().flat_map(|step| step.nodes())).into_loads();
        let (rest, uses) = prune(rest, wanted);
        let mut loads = uses.into_loads();
        loads.retain(|it| !tests.iter().any(|test: &Load| test.covers(it)));
        let first = first.iter().filter_map(|step| step.pruned(&Uses::default()));
        Self {
            table: self.table,
            hints: self.hints.clone(),
            leading,
            tests,
            loads,
            shows: Show::default(),
            steps: first.chain(rest).collect(),
            columns: Vec::new(),
        }
    }
}

impl<'p> Paired<'p> {
    /// Both sides: the plan, with the steps before the join.
    fn sides(&self) -> [(&'p Plan, &'p [Step]); 2] {
        [(self.plan, self.before), (self.right, &self.right.steps)]
    }

    /// Which rows of each side there are. Those on the left are in the order of the answer, where that
    /// is [theirs](Self::order).
    pub(in super::super) fn choosing(&self) -> [Plan; 2] {
        let order = self.order().filter(|keys| !keys.is_empty());
        let sort = order.map(|keys| Step::Sort { keys, take: None });
        let [(left, before), (right, steps)] = self.sides();
        [
            left.lean(before.iter().chain(&sort), Uses::default()),
            right.lean(steps.iter(), Uses::default()),
        ]
    }

    /// Their keys.
    pub(in super::super) fn comparing(&self) -> [(Plan, &'p [usize]); 2] {
        let [left, right] = self.sides();
        let keys = |(plan, steps): (&Plan, &'p [Step]), keys: &'p [usize]| {
            let mut wanted = Uses::default();
            for slot in keys {
                wanted.need(*slot, Want::Whole);
            }
            (plan.lean(steps.iter().filter(|step| step.makes()), wanted), keys)
        };
        [keys(left, self.keys[0]), keys(right, self.keys[1])]
    }

    /// The texts that the keys of both sides are, where each side has one that is made of its id.
    pub(in super::super) fn ids(&self) -> Option<[IdText<'p>; 2]> {
        let [(_, left), (_, right)] = self.sides();
        let ([left_key], [right_key]) = (self.keys[0], self.keys[1]) else { return None };
        Some([id_text(left, *left_key)?, id_text(right, *right_key)?])
    }

    /// The keys by which rows on the left are in the order of the answer; no keys where that is the
    /// order of their table. None where it depends on what is joined to them, or filters are behind
    /// the join.
    pub(in super::super) fn order(&self) -> Option<Vec<Key>> {
        let filters = self.after.iter().any(|step| matches!(step, Step::Where(_)));
        let at = self.after.iter().position(|step| matches!(step, Step::Sort { .. }));
        let sort = at.and_then(|at| Some((self.after.get(..at)?, self.after.get(at)?)));
        let (before, keys) = match sort {
            _ if filters => return None,
            Some((before, Step::Sort { keys, .. })) => (before, keys),
            _ => return Some(Vec::new()),
        };
        // Where one row of several with a key is joined, their order tells which it is; and so it does where
        // some are taken before the join.
        if self.kind == JoinKind::InnerUnique || Shape::of(self.before)?.most < usize::MAX {
            return None;
        }
        let of_left = keys.iter().map(|key| {
            let Node::Slot(slot) = key.node else { return None };
            let Some(Source::Slot(slot)) = Source::of(before, slot) else { return None };
            let is_left = slot < self.widths[0].len();
            is_left.then(|| Key { node: Node::Slot(slot), ..key.clone() })
        });
        of_left.collect()
    }

    /// What of pairs decides over the answer.
    pub(in super::super) fn deciding(&self) -> Making {
        self.making(self.after.iter(), Uses::default())
    }

    /// What of pairs is shown: what each column is from, and what is made for the others.
    pub(in super::super) fn showing(&self) -> Option<Showing> {
        let table = |steps, whose| Origin::behind(steps, Origin::of_table(whose));
        let mut origins = table(self.before, Whose::Own)?;
        origins.resize(self.widths[0].len(), None);
        origins.extend(table(&self.right.steps, Whose::Joined)?);
        origins.resize(self.widths[0].len() + self.widths[1].len(), None);
        let origins = Origin::behind(self.after, origins)?;
        let after = self.after.iter().filter(|step| step.makes());
        let making = self.making(after, show::made(&origins));
        let joined = show::columns(&origins, Whose::Joined);
        Some(Showing { show: Show::of(origins), joined, making })
    }

    fn making(&self, after: impl Iterator<Item = &'p Step>, wanted: Uses) -> Making {
        let after: Vec<&Step> = after.collect();
        let (after, mut uses) = prune(&after, wanted);
        let width = self.widths[0].len();
        let of_right = uses.split_off(width);
        let [left, right] = self.sides();
        let lean = |(plan, steps): (&Plan, &'p [Step]), wanted: Uses| {
            plan.lean(steps.iter().filter(|step| step.makes()), wanted)
        };
        let (left, right) = (lean(left, uses), lean(right, of_right));
        Making { left, right, width, kinds: self.widths[1].clone(), after }
    }
}

/// The steps without what makes nothing that is wanted behind them, and what is wanted before them.
fn prune(steps: &[&Step], mut wanted: Uses) -> (Vec<Step>, Uses) {
    let mut pruned = Vec::new();
    for step in steps.iter().rev() {
        if let Some(step) = step.pruned(&wanted) {
            wanted = wanted.before(&step);
            pruned.push(step);
        }
    }
    pruned.reverse();
    (pruned, wanted)
}

impl Step {
    /// The step without what is not wanted behind it; none where that is all.
    fn pruned(&self, wanted: &Uses) -> Option<Self> {
        let is_wanted = |slot: usize| wanted.get(slot).is_some();
        match self {
            Self::Where(test) => Some(Self::Where(test.clone())),
            Self::Extend(values) => {
                let values = values.iter().filter(|(slot, _)| is_wanted(*slot));
                let values: Vec<_> = values.cloned().collect();
                (!values.is_empty()).then_some(Self::Extend(values))
            }
            Self::Select(slots) => Some(Self::Select(slots.clone())),
            Self::Project(nodes) => {
                let nodes = nodes.iter().enumerate().map(|(slot, node)| {
                    if is_wanted(slot) { node.clone() } else { Node::Const(Cell::Null) }
                });
                Some(Self::Project(nodes.collect()))
            }
            Self::Sort { keys, take } => Some(Self::Sort { keys: keys.clone(), take: *take }),
            Self::Take(count) => Some(Self::Take(*count)),
            Self::Parse { value, pattern, columns } => {
                columns.iter().any(|(slot, _)| is_wanted(*slot)).then(|| Self::Parse {
                    value: value.clone(),
                    pattern: pattern.clone(),
                    columns: columns.clone(),
                })
            }
            // None of these leaves each row made of one, and they are in no such plan.
            Self::Summarize { .. }
            | Self::Count
            | Self::Expand { .. }
            | Self::Join { .. }
            | Self::Union { .. } => None,
        }
    }
}

/// The text in a slot behind some steps, if it is made of nothing but the row's id.
fn id_text(steps: &[Step], slot: usize) -> Option<IdText<'_>> {
    let is_id = |steps: &[Step], node: &Node| {
        let Node::Slot(slot) = node else { return false };
        let Some(Source::Slot(slot)) = Source::of(steps, *slot) else { return false };
        COLUMNS.get(slot).is_some_and(|(name, _)| *name == "id")
    };
    let Source::Made(steps, node) = Source::of(steps, slot)? else { return None };
    match node {
        Node::Lower(inner) if is_id(steps, inner) => Some(IdText::Lower),
        Node::Cast(Type::Text, inner) => match inner.as_ref() {
            Node::Piece(text, delimiter, 0) => match text.as_ref() {
                Node::Lower(inner) if is_id(steps, inner) => Some(IdText::LowerBefore(delimiter)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
