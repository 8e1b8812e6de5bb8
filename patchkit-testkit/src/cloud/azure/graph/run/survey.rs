//! What is known of all rows by a look at few: which are in an answer, and in which order.

use std::{borrow::Cow, cell::RefCell, ops::ControlFlow};

use fixedbitset::FixedBitSet;

use super::{
    super::{
        Numbers,
        ast::Sense,
        eval::{Node, Run},
        plan::{COLUMNS, Key, Plan, Step},
        source::{Alike, ORDERED_COLUMNS, Pick},
        value::Cell,
    },
    Each, Env, Limit, Part, Rest, Row, Sink, compare, link, run_part, scan,
};

/// The numbers of the rows that a plan answers with, in the order of its answer. Each is made of
/// one row of the table, and nothing is read that is only shown.
pub(in super::super) fn survey<'a>(plan: &'a Plan, env: Env<'a>, blocks: &'a [usize]) -> Numbers {
    let part = Part { blocks: Some(blocks), ..Part::default() };
    if let Some(found) = by_kind(plan, env, part) {
        return found;
    }
    Numbers::Each(by_text(plan, env, blocks).unwrap_or_else(|| by_row(plan, env, part)))
}

/// The same where all rows of the blocks are in the answer, if their order is at hand.
pub(in super::super) fn sorted(plan: &Plan, env: Env<'_>, blocks: &[usize]) -> Option<Numbers> {
    let [key] = sort_keys(&plan.steps) else { return None };
    let column = plan.gist().keys.first().copied().flatten()?;
    let part = Part { blocks: Some(blocks), ..Part::default() };
    let rows = env.rows.sorted(part.scan(plan), column)?;
    Some(if key.is_descending() { rows.reversed() } else { rows })
}

fn by_row<'a>(plan: &'a Plan, env: Env<'a>, part: Part<'a>) -> Vec<u32> {
    let mut found = look(plan, env, part);
    let keys = sort_keys(&plan.steps);
    if !keys.is_empty() {
        found.sort_by(|(left, _), (right, _)| compare(keys, left, right));
    }
    found.into_iter().map(|(_, number)| number).collect()
}

/// Runs a plan. Where it gathers rows of which it is known which are alike, the first of each kind
/// stands for all of them.
pub(in super::super) fn gather(plan: &Plan, env: Env<'_>, each: &mut dyn FnMut(&[Cell<'_>])) {
    let mut sink = Each(|row: &[Cell<'_>]| {
        each(row);
        true
    });
    let looks = plan.gathered();
    let alike = looks.and_then(|looks| env.rows.alike(Part::default().scan(plan), &looks));
    let Some(Alike { kinds: _, firsts }) = &alike else {
        return run_part(plan, env, Part::default(), &mut sink);
    };
    let counts = alike.as_ref().map(Alike::counts).unwrap_or_default();
    let pick = Pick::These(firsts);
    run_part(plan, env, Part { pick, counts: &counts, ..Part::default() }, &mut sink);
}

/// The rows of a plan as [`survey`] has them, by a look at the first of each kind. None where it is
/// not known which are alike.
fn by_kind(plan: &Plan, env: Env<'_>, part: Part<'_>) -> Option<Numbers> {
    let gist = plan.gist();
    let alike = env.rows.alike(part.scan(plan), &gist.looks)?;
    let keys = sort_keys(&plan.steps);
    let sorted = match (keys, gist.keys.as_slice()) {
        ([_], [Some(column)]) => env.rows.sorted(part.scan(plan), column),
        _ => None,
    };
    let ranked = gist.keys.iter().filter(|_| sorted.is_none());
    let columns = ranked.map(|column| match column {
        Some(column) => env.rows.ranks(part.scan(plan), column).map(Some),
        None => Some(None),
    });
    let columns: Vec<Option<Vec<u32>>> = columns.collect::<Option<_>>()?;
    let found = look(plan, env, Part { pick: Pick::These(&alike.firsts), ..part });
    let mut passes = vec![false; alike.firsts.len()];
    for (_, kind) in &found {
        set(&mut passes, *kind, true);
    }
    let is_in = |kind: &u16| passes.get(usize::from(*kind)).copied().unwrap_or(false);
    if let Some(mut rows) = sorted {
        if !passes.iter().all(|it| *it) {
            let mut each = rows.into_each();
            each.retain(|row| alike.kinds.get(*row as usize).is_some_and(is_in));
            rows = Numbers::Each(each);
        }
        return Some(if keys.iter().any(Key::is_descending) { rows.reversed() } else { rows });
    }
    let mut rows = all_that(&alike.kinds, is_in);
    // What is put in order by the last key first, and stays so where the others are equal.
    for (at, key) in keys.iter().enumerate().rev() {
        let at_end = |most: u32, rank: u32| if key.is_descending() { most - rank } else { rank };
        if let Some(Some(ranks)) = columns.get(at) {
            let most = ranks.iter().max().copied().unwrap_or(0);
            let of = |row: u32| ranks.get(row as usize).copied().unwrap_or(0);
            rows = in_order(&rows, most, |row| at_end(most, of(row)));
        } else {
            let ranks = kinds_in_order(key, at, &found, passes.len());
            let most = ranks.iter().max().copied().unwrap_or(0);
            let kind = |row: u32| alike.kinds.get(row as usize).copied().unwrap_or(0);
            let of = |row: u32| ranks.get(usize::from(kind(row))).copied().unwrap_or(0);
            rows = in_order(&rows, most, of);
        }
    }
    Some(Numbers::Each(rows))
}

/// The numbers of the rows whose kind is in. That is guessed wrong so often that it costs more than
/// to write each down, and go on where it is.
fn all_that(kinds: &[u16], is_in: impl Fn(&u16) -> bool) -> Vec<u32> {
    let (mut rows, mut count) = (vec![0; kinds.len()], 0);
    for (number, kind) in (0..).zip(kinds) {
        if let Some(row) = rows.get_mut(count) {
            *row = number;
        }
        count += usize::from(is_in(kind));
    }
    rows.truncate(count);
    rows
}

/// The same where what rows do not have in common with others is one text, which their filters ask
/// for by itself.
fn by_text(plan: &Plan, env: Env<'_>, blocks: &[usize]) -> Option<Vec<u32>> {
    ORDERED_COLUMNS.iter().find_map(|column| by_text_in(column, plan, env, blocks))
}

fn by_text_in(
    column: &'static str,
    plan: &Plan,
    env: Env<'_>,
    blocks: &[usize],
) -> Option<Vec<u32>> {
    let (others, tests) = plan.without(column)?;
    let part = Part { blocks: Some(blocks), ..Part::default() };
    let slot = (0..).zip(COLUMNS).find(|(_, (name, _))| *name == column)?.0;
    let is_needle = |test: &&&Node| matches!(test, Node::Text(_, Sense::Is, hay) if matches!(**hay, Node::Slot(_)));
    let needle = tests.iter().find(is_needle).copied();
    let is_rest = |test: &&&Node| needle.is_none_or(|needle| !std::ptr::eq(needle, **test));
    let rest: Vec<&Node> = tests.iter().filter(is_rest).copied().collect();
    let (mut found, mut rows) = (Vec::new(), 0_u32);
    let told = env.rows.texts(part.scan(plan), column, &mut |texts| {
        let mut row = vec![Cell::Null; COLUMNS.len()];
        let enter = |at: usize| {
            let Some((text, number)) = texts.get(at).zip(u32::try_from(at).ok()) else { return };
            set(&mut row, slot, Cell::Text(Cow::Borrowed(text)));
            if rest.iter().all(|test| test.test(&row, env.run) == Some(true)) {
                found.push(rows + number);
            }
        };
        match needle {
            Some(Node::Text(needle, ..)) => needle.each_in(texts, enter),
            _ => (0..texts.len()).for_each(enter),
        }
        rows += u32::try_from(texts.len()).unwrap_or(u32::MAX);
    });
    if !told {
        return None;
    }
    if !others.shape()?.looks() {
        return Some(found);
    }
    let mut passes = FixedBitSet::with_capacity(rows as usize);
    passes.extend(found.into_iter().map(|row| row as usize));
    let mut found = by_kind(&others, env, part)?.into_each();
    found.retain(|row| passes.contains(*row as usize));
    Some(found)
}

/// The places of kinds in the order of a key.
fn kinds_in_order(key: &Key, at: usize, found: &[(Vec<Cell<'_>>, u32)], kinds: usize) -> Vec<u32> {
    let cells = found.iter().map(|(keys, kind)| (keys.get(at).cloned().unwrap_or_default(), *kind));
    let mut cells: Vec<(Cell<'_>, u32)> = cells.collect();
    cells.sort_by(|(left, _), (right, _)| key.order(left, right));
    let (mut ranks, mut rank) = (vec![0; kinds], 0);
    let mut last: Option<&Cell<'_>> = None;
    for (cell, kind) in &cells {
        if last.is_some_and(|last| key.order(last, cell).is_ne()) {
            rank += 1;
        }
        set(&mut ranks, *kind, rank);
        last = Some(cell);
    }
    ranks
}

/// Rows by their ranks; those of one rank stay in the order in which they are.
fn in_order(rows: &[u32], most: u32, rank: impl Fn(u32) -> u32) -> Vec<u32> {
    // Where the rows of each rank begin.
    let mut places = vec![0_u32; most as usize + 2];
    for row in rows {
        if let Some(place) = places.get_mut(rank(*row) as usize + 1) {
            *place += 1;
        }
    }
    let mut sum = 0;
    for place in &mut places {
        sum += *place;
        *place = sum;
    }
    let mut sorted = vec![0; rows.len()];
    for row in rows {
        if let Some(place) = places.get_mut(rank(*row) as usize) {
            set(&mut sorted, *place, *row);
            *place += 1;
        }
    }
    sorted
}

fn set<T>(list: &mut [T], place: u32, value: T) {
    if let Some(known) = list.get_mut(place as usize) {
        *known = value;
    }
}

/// The keys of the sort among steps.
pub(super) fn sort_keys(steps: &[Step]) -> &[Key] {
    let keys = steps.iter().find_map(|step| match step {
        Step::Sort { keys, .. } => Some(keys.as_slice()),
        _ => None,
    });
    keys.unwrap_or_default()
}

/// Looks at rows: which of them pass, by their numbers among those that are read, with the keys of
/// the sort.
fn look<'a>(plan: &'a Plan, env: Env<'a>, part: Part<'a>) -> Vec<(Vec<Cell<'a>>, u32)> {
    let (mut found, tapped) = (Vec::new(), RefCell::default());
    let mut note = Each(|_: &[Cell<'a>]| {
        let number = u32::try_from(env.run.reads().saturating_sub(1));
        found.push((tapped.take(), number.unwrap_or(u32::MAX)));
        true
    });
    let last: Rest<'a, '_> = Box::new(Limit { run: env.run, next: &mut note });
    let mut chain = choosing(plan.rest(), env, &tapped, last);
    scan(plan, env, part, plan.reads(&plan.loads), chain.as_mut());
    drop(chain);
    found
}

/// The steps through which a row passes that is chosen, with the keys of their sort noted.
pub(super) fn choosing<'a: 's, 's>(
    steps: &'a [Step],
    env: Env<'a>,
    tapped: &'s RefCell<Vec<Cell<'a>>>,
    last: Rest<'a, 's>,
) -> Rest<'a, 's> {
    let steps = steps.iter().rev().filter(|step| !matches!(step, Step::Take(_)));
    steps.fold(last, |next, step| match step {
        Step::Sort { keys, .. } => Box::new(Tap { keys, run: env.run, tapped, next }),
        step => link(step, env, next),
    })
}

/// Notes the keys of a sort as a row passes.
struct Tap<'a, 's> {
    keys: &'a [Key],
    run: &'a Run,
    tapped: &'s RefCell<Vec<Cell<'a>>>,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Tap<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        // Texts that lie side by side are compared faster than where the rows have them.
        let beside = |cell| match cell {
            Cell::Text(text) => Cell::text(text),
            cell => cell,
        };
        let keys = self.keys.iter().map(|key| beside(key.node.eval(row, self.run))).collect();
        self.tapped.replace(keys);
        self.next.push(row)
    }
}
