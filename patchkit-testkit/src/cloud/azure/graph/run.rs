//! Rows pushed through the steps of a plan, one at a time where a step allows it.

mod join;
mod pairs;
mod show;
mod summarize;
mod survey;

use std::{borrow::Cow, cmp::Ordering, ops::ControlFlow};

use serde_json::Value;

use self::{
    join::{Join, Right},
    summarize::Summarize,
};
pub(super) use self::{
    pairs::{Pairs, keys},
    show::show,
    survey::{gather, sorted, survey},
};
use super::{
    ast::{Nulls, Order},
    eval::{Node, Run},
    plan::{
        COLUMNS, Item, Key, Leg, Plan, Step,
        reads::{Load, Reads, Uses, Want},
    },
    source::{Field, Path, Pick, Record, Rows, Scan},
    value::{Cell, Type},
};

/// A row on its way. A step may take what is in it.
pub(super) type Row<'a> = Vec<Cell<'a>>;

/// Where rows go.
pub(super) trait Sink<'a> {
    /// Takes a row; `Break` says that no further one is wanted.
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()>;

    /// Says that there are no more rows.
    fn finish(&mut self) {}
}

/// Everything a run borrows.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    pub(super) rows: &'a dyn Rows,
    pub(super) run: &'a Run,
}

/// What of a table is read: all of it, or some rows of some blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part<'a> {
    pub(super) blocks: Option<&'a [usize]>,
    pub(super) pick: Pick<'a>,
    pub(super) shown: &'a [&'static str],
    /// For how many rows that are alike each of these stands; one where nothing is said.
    pub(super) counts: &'a [usize],
}

impl<'a> Part<'a> {
    /// What is read of a plan's table.
    pub(super) fn scan(self, plan: &'a Plan) -> Scan<'a> {
        let Self { blocks, pick, shown, .. } = self;
        Scan { blocks, pick, shown, ..Scan::new(plan.table, &plan.hints) }
    }
}

/// Runs a plan over all rows, and gives each of its answer.
pub(super) fn each(plan: &Plan, env: Env<'_>, each: &mut dyn FnMut(&[Cell<'_>])) {
    let mut sink = Each(|row: &[Cell<'_>]| {
        each(row);
        true
    });
    run_part(plan, env, Part::default(), &mut sink);
}

/// Runs a plan over a part of its table.
fn run_part<'a>(plan: &'a Plan, env: Env<'a>, part: Part<'a>, sink: &mut dyn Sink<'a>) {
    let mut chain: Box<dyn Sink<'a> + '_> = Box::new(Limit { run: env.run, next: sink });
    for step in plan.rest().iter().rev() {
        chain = link(step, env, chain);
    }
    scan(plan, env, part, plan.reads(&plan.loads), chain.as_mut());
    chain.finish();
}

/// A sink that shows each row to a function, as long as that wants more.
pub(super) struct Each<F>(pub(super) F);

impl<'a, F: FnMut(&[Cell<'a>]) -> bool> Sink<'a> for Each<F> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        if (self.0)(row) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// The rows of a plan, kept.
pub(super) fn collect<'a>(plan: &'a Plan, env: Env<'a>) -> Vec<Row<'a>> {
    let mut kept = Keep(Vec::new());
    run_part(plan, env, Part::default(), &mut kept);
    kept.0
}

struct Keep<'a>(Vec<Row<'a>>);

impl<'a> Sink<'a> for Keep<'a> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        self.0.push(std::mem::take(row));
        ControlFlow::Continue(())
    }
}

/// The last of every chain: counts what was made.
struct Limit<'s, 'a> {
    run: &'a Run,
    next: &'s mut dyn Sink<'a>,
}

impl<'a> Sink<'a> for Limit<'_, 'a> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        self.run.count_row()?;
        self.next.push(row)
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

fn scan<'a>(
    plan: &'a Plan,
    env: Env<'a>,
    part: Part<'a>,
    reads: Reads<'a>,
    chain: &mut dyn Sink<'a>,
) {
    let Reads { leading, tests, loads } = reads;
    let run = env.run;
    let mut row = Row::new();
    let mut counts = part.counts.iter();
    env.rows.scan(part.scan(plan), &mut |record| {
        run.count_read(counts.next().copied().unwrap_or(1));
        // What the row before had in a column that is not read is looked at by nobody.
        row.resize(COLUMNS.len(), Cell::Null);
        for load_one in tests {
            load(record, load_one, &mut row);
        }
        let passes = |step: &'a Step| match step {
            Step::Where(test) => test.test(&row, run) == Some(true),
            _ => true,
        };
        // What a filter leaves out is not made further.
        if leading.iter().all(passes) {
            for load_one in loads {
                load(record, load_one, &mut row);
            }
            chain.push(&mut row)?;
        }
        if run.gave_up() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    // What is made of these rows stands for itself.
    run.ends_read();
}

/// Puts what is wanted of a record's column into its slot.
fn load<'a>(record: &dyn Record<'a>, load: &'a Load, row: &mut Row<'a>) {
    let (Some(cell), Some((name, _))) = (row.get_mut(load.slot), COLUMNS.get(load.slot)) else {
        return;
    };
    match &load.want {
        Want::Whole => *cell = whole(record, load.slot),
        Want::Shown => {
            let mut json = Vec::new();
            let written = record.write(name, &Path::default(), &mut json);
            *cell = match String::from_utf8(json) {
                Ok(json) if written => Cell::Written(Cow::Owned(json)),
                _ => whole(record, load.slot),
            };
        }
        Want::Members(paths) => {
            let member = |path: &'a Path| (&**path, cell_of(record.member(name, path)));
            *cell = Cell::Members(paths.iter().map(member).collect());
        }
    }
}

/// A member of a document as a cell: what it has is of type dynamic.
fn cell_of(member: Field<'_>) -> Cell<'_> {
    match member {
        Field::None => Cell::Null,
        Field::Text(text) => Cell::owned(text.into_owned().into()),
        Field::Document(Cow::Borrowed(value)) => Cell::borrowed(value),
        Field::Document(Cow::Owned(value)) => Cell::owned(value),
    }
}

/// All that a record has in the column of a slot.
pub(super) fn whole<'a>(record: &dyn Record<'a>, slot: usize) -> Cell<'a> {
    let Some((name, kind)) = COLUMNS.get(slot) else { return Cell::Null };
    match record.column(name) {
        Field::None => Cell::none(*kind),
        Field::Text(text) if *kind == Type::Text => Cell::Text(text),
        Field::Text(text) => Cell::owned(text.into_owned().into()),
        Field::Document(Cow::Borrowed(value)) => Cell::column(value, *kind),
        Field::Document(Cow::Owned(value)) => Cell::owned_column(value, *kind),
    }
}

fn link<'a: 's, 's>(step: &'a Step, env: Env<'a>, next: Rest<'a, 's>) -> Rest<'a, 's> {
    let run = env.run;
    match step {
        Step::Where(test) => Box::new(Where { test, run, next }),
        Step::Extend(values) => Box::new(Extend { values, run, made: Vec::new(), next }),
        Step::Select(slots) => Box::new(Select { slots, out: Row::new(), next }),
        Step::Project(nodes) => Box::new(Project::new(nodes, run, next)),
        Step::Summarize { keys, aggregates, outputs } => {
            Box::new(Summarize::new(keys, aggregates, outputs, run, next))
        }
        Step::Count => Box::new(Count { rows: 0, run, next }),
        Step::Sort { keys, take } => {
            Box::new(Sort { keys, take: *take, run, rows: Vec::new(), next })
        }
        Step::Take(count) => Box::new(Take { left: *count, next }),
        Step::Expand { items, index, limit } => {
            Box::new(Expand { items, index: *index, limit: *limit, run, next })
        }
        Step::Parse { value, pattern, columns } => {
            Box::new(Parse { value, pattern, columns, run, next })
        }
        Step::Join { kind, right, left_keys, right_keys, widths } => {
            let right = Right::new(collect(right, env), right_keys);
            Box::new(Join::new(*kind, right, left_keys, widths, run, next))
        }
        Step::Union { own, legs, kinds } => Box::new(Union { own, legs, kinds, env, next }),
    }
}

type Rest<'a, 's> = Box<dyn Sink<'a> + 's>;

struct Where<'a, 's> {
    test: &'a Node,
    run: &'a Run,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Where<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        match self.test.test(row, self.run) {
            Some(true) => self.next.push(row),
            _ => ControlFlow::Continue(()),
        }
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

struct Extend<'a, 's> {
    values: &'a [(usize, Node)],
    run: &'a Run,
    made: Vec<Cell<'a>>,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Extend<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        // Each value sees the row as it was before any of them.
        self.made.extend(self.values.iter().map(|(_, node)| node.eval(row, self.run)));
        for ((slot, _), value) in self.values.iter().zip(self.made.drain(..)) {
            set(row, *slot, value);
        }
        self.next.push(row)
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

/// Puts a value in its slot, which may be the first behind the row's end.
fn set<'a>(row: &mut Row<'a>, slot: usize, value: Cell<'a>) {
    if slot >= row.len() {
        row.resize(slot + 1, Cell::Null);
    }
    row[slot] = value;
}

struct Select<'a, 's> {
    slots: &'a [usize],
    out: Row<'a>,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Select<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        self.out.clear();
        let taken = self.slots.iter().map(|slot| row.get_mut(*slot).map(std::mem::take));
        self.out.extend(taken.map(Option::unwrap_or_default));
        self.next.push(&mut self.out)
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

struct Project<'a, 's> {
    nodes: &'a [Node],
    /// Slots of which nothing but the node at this place sees anything: they need no copy.
    moved: Vec<Option<usize>>,
    run: &'a Run,
    out: Row<'a>,
    next: Rest<'a, 's>,
}

impl<'a, 's> Project<'a, 's> {
    fn new(nodes: &'a [Node], run: &'a Run, next: Rest<'a, 's>) -> Self {
        let uses: Vec<usize> = nodes.iter().flat_map(|it| Uses::of([it]).slots()).collect();
        let moved = nodes.iter().map(|node| match node {
            Node::Slot(slot) if uses.iter().filter(|it| *it == slot).count() == 1 => Some(*slot),
            _ => None,
        });
        Self { nodes, moved: moved.collect(), run, out: Row::new(), next }
    }
}

impl<'a> Sink<'a> for Project<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        self.out.clear();
        for (node, moved) in self.nodes.iter().zip(&self.moved) {
            self.out.push(match moved.and_then(|slot| row.get_mut(slot)) {
                Some(cell) => std::mem::take(cell),
                None => node.eval(row, self.run),
            });
        }
        self.next.push(&mut self.out)
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

struct Count<'a, 's> {
    rows: i64,
    run: &'a Run,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Count<'a, '_> {
    fn push(&mut self, _row: &mut Row<'a>) -> ControlFlow<()> {
        self.rows += self.run.stands_for();
        ControlFlow::Continue(())
    }

    fn finish(&mut self) {
        let _wanted = self.next.push(&mut vec![Cell::Long(self.rows)]);
        self.next.finish();
    }
}

struct Take<'a, 's> {
    left: usize,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Take<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let Some(left) = self.left.checked_sub(1) else { return ControlFlow::Break(()) };
        self.left = left;
        self.next.push(row)?;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

struct Sort<'a, 's> {
    keys: &'a [Key],
    take: Option<usize>,
    run: &'a Run,
    rows: Vec<(Vec<Cell<'a>>, Row<'a>)>,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Sort<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let keys = self.keys.iter().map(|key| key.node.eval(row, self.run)).collect();
        self.rows.push((keys, std::mem::take(row)));
        self.run.count_row()
    }

    fn finish(&mut self) {
        let keys = self.keys;
        self.rows.sort_by(|(left, _), (right, _)| compare(keys, left, right));
        let take = self.take.unwrap_or(usize::MAX);
        for (_, mut row) in self.rows.drain(..).take(take) {
            if self.next.push(&mut row).is_break() {
                break;
            }
        }
        self.next.finish();
    }
}

/// The order of two rows by the keys of a sort.
fn compare(keys: &[Key], left: &[Cell<'_>], right: &[Cell<'_>]) -> Ordering {
    let mut pairs = keys.iter().zip(left.iter().zip(right));
    let order = pairs.find_map(|(key, (left, right))| {
        Some(key.order(left, right)).filter(|order| order.is_ne())
    });
    order.unwrap_or(Ordering::Equal)
}

impl Key {
    fn is_descending(&self) -> bool {
        self.order == Order::Descending
    }

    fn order(&self, left: &Cell<'_>, right: &Cell<'_>) -> Ordering {
        let nulls = |order: Ordering| match self.nulls {
            Nulls::First => order,
            Nulls::Last => order.reverse(),
        };
        let order = match (left.is_null(), right.is_null()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return nulls(Ordering::Less),
            (false, true) => return nulls(Ordering::Greater),
            (false, false) => match (left, right) {
                // NaN has its place too, or the sort would have no order.
                (Cell::Real(left), Cell::Real(right)) => left.total_cmp(right),
                _ => left.order(right, self.kind).unwrap_or(Ordering::Equal),
            },
        };
        match self.order {
            Order::Ascending => order,
            Order::Descending => order.reverse(),
        }
    }
}

struct Expand<'a, 's> {
    items: &'a [Item],
    index: Option<usize>,
    limit: usize,
    run: &'a Run,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Expand<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let values = self.items.iter().map(|item| parts(item.value.eval(row, self.run)));
        let values: Vec<Vec<Cell<'a>>> = values.collect();
        let most = values.iter().map(Vec::len).max().unwrap_or(0);
        // A row whose array is empty or null stays, with a null in its place.
        for at in 0..most.clamp(1, self.limit.max(1)) {
            self.run.count_row()?;
            let mut out = row.clone();
            for (item, values) in self.items.iter().zip(&values) {
                let value = values.get(at).cloned().unwrap_or_default();
                let value = if item.to == Type::Dynamic { value } else { value.cast(item.to) };
                set(&mut out, item.slot, value);
            }
            if let Some(slot) = self.index {
                set(&mut out, slot, Cell::Long(i64::try_from(at).unwrap_or(i64::MAX)));
            }
            self.next.push(&mut out)?;
        }
        ControlFlow::Continue(())
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

/// The items of an array, or the properties of a bag, each a bag of its own.
fn parts(cell: Cell<'_>) -> Vec<Cell<'_>> {
    match cell {
        Cell::Null => Vec::new(),
        Cell::Dynamic(Cow::Borrowed(Value::Array(items))) => {
            items.iter().map(Cell::borrowed).collect()
        }
        Cell::Dynamic(Cow::Owned(Value::Array(items))) => {
            items.into_iter().map(Cell::owned).collect()
        }
        Cell::Dynamic(value) if value.is_object() => {
            let bag = value.as_object().into_iter().flatten();
            bag.map(|(key, value)| {
                let single = std::iter::once((key.clone(), value.clone()));
                Cell::owned(Value::Object(single.collect()))
            })
            .collect()
        }
        other => vec![other],
    }
}

struct Parse<'a, 's> {
    value: &'a Node,
    pattern: &'a regex::Regex,
    columns: &'a [(usize, Type)],
    run: &'a Run,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Parse<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let text = self.value.eval(row, self.run);
        let text = text.as_text();
        let found = self.pattern.captures(&text);
        for (at, (slot, kind)) in self.columns.iter().enumerate() {
            let part = found.as_ref().and_then(|found| found.get(at + 1));
            let value = match part {
                Some(part) => Cell::text(part.as_str()).cast(*kind),
                None => Cell::none(*kind),
            };
            set(row, *slot, value);
        }
        self.next.push(row)
    }

    fn finish(&mut self) {
        self.next.finish();
    }
}

struct Union<'a, 's> {
    own: &'a Leg,
    legs: &'a [(Plan, Leg)],
    kinds: &'a [Type],
    env: Env<'a>,
    next: Rest<'a, 's>,
}

impl<'a> Union<'a, '_> {
    fn pass(&mut self, leg: &'a Leg, row: &mut Row<'a>) -> ControlFlow<()> {
        let source = leg.source.as_deref().map(|source| Cell::Text(Cow::Borrowed(source)));
        let cells = leg.slots.iter().zip(self.kinds).map(|(slot, kind)| {
            let cell = slot.and_then(|slot| row.get_mut(slot)).map(std::mem::take);
            cell.unwrap_or(Cell::none(*kind))
        });
        let mut out: Row<'a> = source.into_iter().chain(cells).collect();
        self.next.push(&mut out)
    }
}

impl<'a> Sink<'a> for Union<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        self.pass(self.own, row)
    }

    fn finish(&mut self) {
        'legs: for (plan, leg) in self.legs {
            for mut row in collect(plan, self.env) {
                if self.pass(leg, &mut row).is_break() {
                    break 'legs;
                }
            }
        }
        self.next.finish();
    }
}
