//! `summarize` and `distinct`: rows gathered by key.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use jiff::SignedDuration;
use serde_json::Value;

use super::{
    super::{
        eval::{Node, Run},
        plan::aggregate::{Aggregate, Kind},
        value::{Cell, Type},
    },
    Rest, Row, Sink,
};

pub(super) struct Summarize<'a, 's> {
    keys: &'a [Node],
    aggregates: &'a [Aggregate],
    outputs: &'a [Node],
    run: &'a Run,
    groups: Vec<(Vec<Cell<'a>>, Vec<State<'a>>)>,
    by_key: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
    next: Rest<'a, 's>,
}

/// What an aggregate knows so far.
enum State<'a> {
    Count(i64),
    Distinct(HashSet<Vec<u8>>),
    Long(i64),
    Real(f64),
    Span(SignedDuration),
    Average { sum: f64, count: f64 },
    Best(Option<Cell<'a>>),
    List(Vec<Value>),
    Set(Vec<Value>, HashSet<Vec<u8>>),
    BestRow(Option<(Cell<'a>, Row<'a>)>),
    Row(Option<Row<'a>>),
}

impl<'a, 's> Summarize<'a, 's> {
    pub(super) fn new(
        keys: &'a [Node],
        aggregates: &'a [Aggregate],
        outputs: &'a [Node],
        run: &'a Run,
        next: Rest<'a, 's>,
    ) -> Self {
        let (groups, by_key) = (Vec::new(), HashMap::new());
        Self { keys, aggregates, outputs, run, groups, by_key, key: Vec::new(), next }
    }
}

impl<'a> Sink<'a> for Summarize<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let keys: Vec<Cell<'a>> = self.keys.iter().map(|key| key.eval(row, self.run)).collect();
        self.key.clear();
        for key in &keys {
            key.write_key(&mut self.key);
        }
        let at = if let Some(at) = self.by_key.get(&self.key) {
            *at
        } else {
            let at = self.groups.len();
            self.run.count_row()?;
            self.by_key.insert(self.key.clone(), at);
            self.groups.push((keys, self.aggregates.iter().map(State::new).collect()));
            at
        };
        if let Some((_, states)) = self.groups.get_mut(at) {
            for (aggregate, state) in self.aggregates.iter().zip(states) {
                let when = aggregate.when.as_ref();
                if when.is_none_or(|when| when.test(row, self.run) == Some(true)) {
                    state.add(aggregate, row, self.run);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self) {
        let mut groups = std::mem::take(&mut self.groups);
        if groups.is_empty() && self.keys.is_empty() {
            // Without keys there is one group even of no rows.
            groups.push((Vec::new(), self.aggregates.iter().map(State::new).collect()));
        }
        for (mut inner, states) in groups {
            for (aggregate, state) in self.aggregates.iter().zip(states) {
                state.finish(aggregate, &mut inner, self.run);
            }
            let mut row: Row<'a> =
                self.outputs.iter().map(|node| node.eval(&inner, self.run)).collect();
            if self.next.push(&mut row).is_break() {
                break;
            }
        }
        self.next.finish();
    }
}

impl<'a> State<'a> {
    fn new(aggregate: &Aggregate) -> Self {
        match aggregate.kind {
            Kind::Count => Self::Count(0),
            Kind::Distinct => Self::Distinct(HashSet::new()),
            Kind::Sum => match aggregate.value_kind {
                Type::Real => Self::Real(0.0),
                Type::Span => Self::Span(SignedDuration::ZERO),
                _ => Self::Long(0),
            },
            Kind::Min | Kind::Max => Self::Best(None),
            Kind::Average => Self::Average { sum: 0.0, count: 0.0 },
            Kind::List(_) => Self::List(Vec::new()),
            Kind::Set(_) => Self::Set(Vec::new(), HashSet::new()),
            Kind::ArgMax | Kind::ArgMin => Self::BestRow(None),
            Kind::Any => Self::Row(None),
        }
    }

    fn add(&mut self, aggregate: &'a Aggregate, row: &Row<'a>, run: &'a Run) {
        let value = aggregate.value.as_ref().map(|value| value.eval(row, run)).unwrap_or_default();
        // Every aggregate of a value passes nulls over.
        if aggregate.value.is_some() && value.is_null() {
            return;
        }
        let wanted = match aggregate.kind {
            Kind::Min | Kind::ArgMin => Ordering::Less,
            _ => Ordering::Greater,
        };
        let better = |best: &Cell<'a>| value.order(best, aggregate.value_kind) == Some(wanted);
        match self {
            Self::Count(count) => *count += run.stands_for(),
            Self::Distinct(seen) => {
                let mut key = Vec::new();
                value.write_key(&mut key);
                seen.insert(key);
            }
            Self::Long(sum) => {
                let all = value.as_long().unwrap_or(0).wrapping_mul(run.stands_for());
                *sum = sum.wrapping_add(all);
            }
            Self::Real(sum) => *sum += value.as_real().unwrap_or(0.0),
            Self::Span(sum) => {
                *sum = sum.saturating_add(value.as_span().unwrap_or(SignedDuration::ZERO));
            }
            Self::Average { sum, count } => {
                if let Some(value) = value.as_real() {
                    *sum += value;
                    *count += 1.0;
                }
            }
            Self::Best(best) => {
                if best.as_ref().is_none_or(better) {
                    *best = Some(value);
                }
            }
            Self::List(items) => {
                if matches!(aggregate.kind, Kind::List(most) if items.len() < most) {
                    items.push(value.into_json());
                }
            }
            Self::Set(items, seen) => {
                if matches!(aggregate.kind, Kind::Set(most) if items.len() < most) {
                    let mut key = Vec::new();
                    value.write_key(&mut key);
                    if seen.insert(key) {
                        items.push(value.into_json());
                    }
                }
            }
            Self::BestRow(best) => {
                if best.as_ref().is_none_or(|(best, _)| better(best)) {
                    let kept = aggregate.row.iter().map(|node| node.eval(row, run)).collect();
                    *best = Some((value, kept));
                }
            }
            Self::Row(kept) => {
                if kept.is_none() {
                    *kept = Some(aggregate.row.iter().map(|node| node.eval(row, run)).collect());
                }
            }
        }
    }

    fn finish(self, aggregate: &Aggregate, out: &mut Row<'a>, run: &Run) {
        let many = |count: usize| Cell::Long(i64::try_from(count).unwrap_or(i64::MAX));
        match self {
            Self::Count(count) | Self::Long(count) => out.push(Cell::Long(count)),
            Self::Distinct(seen) => out.push(many(seen.len())),
            Self::Real(sum) => out.push(Cell::Real(sum)),
            Self::Span(sum) => out.push(Cell::Span(sum)),
            // Of nothing there is no average: Kusto says NaN.
            Self::Average { sum, count } => out.push(Cell::Real(sum / count)),
            Self::Best(best) => out.push(best.unwrap_or(Cell::none(aggregate.value_kind))),
            Self::List(items) | Self::Set(items, _) => {
                out.push(run.document(Value::Array(items)));
            }
            Self::BestRow(best) => match best {
                Some((value, row)) => {
                    out.push(value);
                    out.extend(row);
                }
                None => out.resize(out.len() + aggregate.width(), Cell::Null),
            },
            Self::Row(row) => match row {
                Some(row) => out.extend(row),
                None => out.resize(out.len() + aggregate.width(), Cell::Null),
            },
        }
    }
}
