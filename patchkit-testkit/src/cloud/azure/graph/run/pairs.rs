//! Rows of two tables that make the rows of an answer, by their numbers.

mod written;

use std::{
    cell::{Cell as Flag, RefCell},
    collections::HashMap,
    ops::{ControlFlow, Range},
};

use fixedbitset::FixedBitSet;

use self::written::Written;
use super::{
    super::{
        Owns, Singles,
        ast::JoinKind,
        eval::Run,
        plan::{
            COLUMNS,
            lean::{Making, Paired, Showing},
            show::{Output, Whose},
        },
        source::{Pick, Piece, Record},
        stencil::Columns,
        value::{Cell, Type},
    },
    Each, Env, Keep, Limit, Part, Rest, Row, Sink, compare,
    join::write_key,
    link, load, run_part,
    show::{self, Last},
    survey::{choosing, sort_keys},
};

/// Of a key that nothing has, and of a row that nothing is joined to.
const NONE: u32 = u32::MAX;

/// Pairs of rows: of each the number of the one on the left, and of the one on the right.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Pairs {
    pub(in super::super) left: Vec<u32>,
    right: Vec<u32>,
}

impl Pairs {
    /// The pairs of rows whose keys are the same, in the order of a join. None where there are so
    /// many that a run of the whole plan must tell whether it is refused.
    pub(in super::super) fn of(
        kind: JoinKind,
        [left, right]: [&[u32]; 2],
        [left_keys, right_keys]: [&[u32]; 2],
    ) -> Option<Self> {
        let count = right_keys.iter().filter(|key| **key != NONE).max();
        let count = count.map_or(0, |most| *most as usize + 1);
        // Of each key its first row on the right, and of each such row the next with its key.
        let (mut firsts, mut next) = (vec![NONE; count], vec![NONE; right.len()]);
        let places = 0..u32::try_from(right.len()).ok()?;
        for (place, (key, next)) in places.zip(right_keys.iter().zip(&mut next)).rev() {
            if let Some(first) = firsts.get_mut(*key as usize) {
                *next = std::mem::replace(first, place);
            }
        }
        let mut met = FixedBitSet::with_capacity(count);
        let mut pairs = Self::with_capacity(left.len());
        for (read, (row, key)) in left.iter().zip(left_keys).enumerate() {
            let mut found = firsts.get(*key as usize).copied().unwrap_or(NONE);
            if found == NONE && kind == JoinKind::LeftOuter {
                pairs.push(*row, NONE);
            }
            if kind == JoinKind::InnerUnique && found != NONE && met.put(*key as usize) {
                continue;
            }
            while found != NONE {
                pairs.push(*row, *right.get(found as usize)?);
                found = *next.get(found as usize)?;
            }
            if !Run::has_room(pairs.len(), read + 1) {
                return None;
            }
        }
        Some(pairs)
    }

    /// The pairs of rows on the left with their partners, or with those of them that are wanted.
    pub(in super::super) fn of_partners(
        kind: JoinKind,
        left: &[u32],
        partners: &[Range<u32>],
        wanted: Option<&FixedBitSet>,
    ) -> Option<Self> {
        let mut met = FixedBitSet::new();
        let mut pairs = Self::with_capacity(left.len());
        for (read, row) in left.iter().enumerate() {
            let own = partners.get(*row as usize)?.clone();
            let is_wanted = |row: &u32| wanted.is_none_or(|it| it.contains(*row as usize));
            let mut own = own.filter(is_wanted).peekable();
            match (kind, own.peek()) {
                (JoinKind::LeftOuter, None) => pairs.push(*row, NONE),
                // Whoever has one partner has all of them.
                (JoinKind::InnerUnique, Some(first)) => {
                    met.grow(*first as usize + 1);
                    if met.put(*first as usize) {
                        continue;
                    }
                }
                _ => {}
            }
            own.for_each(|other| pairs.push(*row, other));
            if !Run::has_room(pairs.len(), read + 1) {
                return None;
            }
        }
        Some(pairs)
    }

    /// Rows on the left, each with its one partner if it has one.
    pub(in super::super) fn of_singles(left: Vec<u32>, singles: &Singles) -> Self {
        let right = singles.of(&left).map(|it| it.unwrap_or(NONE)).collect();
        Self { left, right }
    }

    fn with_capacity(count: usize) -> Self {
        Self { left: Vec::with_capacity(count), right: Vec::with_capacity(count) }
    }

    fn push(&mut self, left: u32, right: u32) {
        self.left.push(left);
        self.right.push(right);
    }

    pub(in super::super) fn len(&self) -> usize {
        self.left.len()
    }

    /// How many bytes they take.
    pub(in super::super) fn size(&self) -> usize {
        size_of_val(self.left.as_slice()) + size_of_val(self.right.as_slice())
    }

    /// Keeps no more than so many.
    pub(in super::super) fn truncate(&mut self, most: usize) {
        for side in [&mut self.left, &mut self.right] {
            side.truncate(most);
            side.shrink_to_fit();
        }
    }

    fn pair(&self, at: usize) -> Option<(u32, u32)> {
        Some((*self.left.get(at)?, *self.right.get(at)?))
    }

    /// Those at some places.
    pub(in super::super) fn at(&self, places: impl Iterator<Item = usize>) -> Self {
        let mut some = Self::with_capacity(places.size_hint().0);
        places.filter_map(|at| self.pair(at)).for_each(|(left, right)| some.push(left, right));
        some
    }

    /// Those of them that the steps behind the join leave, in the order of the answer.
    pub(in super::super) fn decided(
        &self,
        making: &Making,
        env: Env<'_>,
        blocks: [&[usize]; 2],
    ) -> Self {
        let ([left, right], at) = (self.rows(), Flag::new(0));
        let (mut found, tapped) = (Vec::new(), RefCell::default());
        let mut note = Each(|_: &[Cell<'_>]| {
            found.push((tapped.take(), at.get()));
            true
        });
        let last: Rest<'_, '_> = Box::new(Limit { run: env.run, next: &mut note });
        let chain = choosing(&making.after, env, &tapped, last);
        let sides = Sides {
            pairs: self,
            at: &at,
            left: some(blocks[0], &left),
            right: some(blocks[1], &right),
            rights: &right,
        };
        couple(making, env, sides, Some(chain), &mut |_, _| {});
        let keys = sort_keys(&making.after);
        if !keys.is_empty() {
            found.sort_by(|(left, _), (right, _)| compare(keys, left, right));
        }
        self.at(found.into_iter().map(|(_, place)| place))
    }

    /// Shows the rows of the answer that are made of them, which are in the order of the left table:
    /// each as what writes its columns.
    pub(in super::super) fn shown(
        &self,
        showing: &Showing,
        env: Env<'_>,
        blocks: [&[usize]; 2],
        each: &mut dyn FnMut(&dyn Columns),
    ) {
        let Showing { show, joined, making } = showing;
        let ([left, right], at) = (self.rows(), Flag::new(0));
        let of_left = Part { shown: &show.columns, ..some(blocks[0], &left) };
        let of_right = Part { shown: joined, ..some(blocks[1], &right) };
        let written = Written::of(showing, env, of_right, &right);
        let made = RefCell::new(Row::new());
        let mut last = Last { made: &made };
        let chain = show.makes().then(|| {
            let last: Rest<'_, '_> = Box::new(Limit { run: env.run, next: &mut last });
            making.after.iter().rev().fold(last, |next, step| link(step, env, next))
        });
        let sides = Sides {
            pairs: self,
            at: &at,
            left: of_left,
            right: some(blocks[1], &right),
            rights: &right,
        };
        couple(making, env, sides, chain, &mut |record, other| {
            let (made, right) = (&*made.borrow(), written.row(other));
            each(&ShownPair { outputs: &show.outputs, record, made, written: &written, right });
        });
    }

    /// The rows of both sides, each once, in the order of their tables.
    fn rows(&self) -> [Vec<u32>; 2] {
        [&self.left, &self.right].map(|side| {
            let mut rows: Vec<u32> = side.iter().copied().filter(|row| *row != NONE).collect();
            rows.sort_unstable();
            rows.dedup();
            rows
        })
    }
}

/// The keys of rows on both sides, as numbers: the same for the same key.
pub(in super::super) fn keys(
    paired: &Paired<'_>,
    env: Env<'_>,
    blocks: [&[usize]; 2],
    rows: [&[u32]; 2],
) -> [Vec<u32>; 2] {
    // They are read in the order of their table.
    let mut listed = rows[0].to_vec();
    listed.sort_unstable();
    let [of_left, of_right] = keys_as_listed(paired, env, blocks, [&listed, rows[1]]);
    let key = |row: &u32| listed.binary_search(row).ok().and_then(|at| of_left.get(at).copied());
    [rows[0].iter().map(|row| key(row).unwrap_or(NONE)).collect(), of_right]
}

fn keys_as_listed(
    paired: &Paired<'_>,
    env: Env<'_>,
    blocks: [&[usize]; 2],
    rows: [&[u32]; 2],
) -> [Vec<u32>; 2] {
    let [left, right] = paired.comparing();
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut key = Vec::new();
    let mut numbers = Vec::new();
    let part = |side: usize| some(blocks[side], rows[side]);
    run_part(
        &right.0,
        env,
        part(1),
        &mut Each(|row: &[Cell<'_>]| {
            let next = u32::try_from(known.len()).unwrap_or(NONE);
            let has_key = write_key(row, right.1, &mut key);
            numbers.push(match known.get(&key) {
                _ if !has_key => NONE,
                Some(number) => *number,
                None => {
                    known.insert(std::mem::take(&mut key), next);
                    next
                }
            });
            true
        }),
    );
    let of_right = std::mem::take(&mut numbers);
    run_part(
        &left.0,
        env,
        part(0),
        &mut Each(|row: &[Cell<'_>]| {
            // What nothing on the right has is as good as none.
            let has_key = write_key(row, left.1, &mut key);
            numbers.push(known.get(&key).copied().filter(|_| has_key).unwrap_or(NONE));
            true
        }),
    );
    [numbers, of_right]
}

/// What is read of a side: some rows, by their numbers.
fn some<'a>(blocks: &'a [usize], rows: &'a [u32]) -> Part<'a> {
    Part { blocks: Some(blocks), pick: Pick::These(rows), ..Part::default() }
}

/// Which rows are read of both sides for pairs.
#[derive(Clone, Copy)]
struct Sides<'a, 's> {
    pairs: &'s Pairs,
    /// The place of the pair that is on its way.
    at: &'s Flag<usize>,
    left: Part<'a>,
    right: Part<'a>,
    /// The rows on the right by their numbers.
    rights: &'a [u32],
}

/// Passes on each pair as a row, if someone wants it, and then shows its left record and the number of
/// its right one. Pairs are in the order of the left table.
fn couple<'a>(
    making: &'a Making,
    env: Env<'a>,
    sides: Sides<'a, '_>,
    next: Option<Rest<'a, '_>>,
    each: &mut dyn FnMut(&dyn Record<'a>, u32),
) {
    let Sides { pairs, at, left, right, rights } = sides;
    let mut kept = Keep(Vec::new());
    if next.is_some() && !rights.is_empty() {
        run_part(&making.right, env, right, &mut kept);
    }
    let mut chain = next.map(|next| {
        let (width, kinds) = (making.width, making.kinds.as_slice());
        let (rows, out) = (kept.0, Row::new());
        let couple: Rest<'a, '_> =
            Box::new(Couple { pairs, at, rights, rows, kinds, width, out, next });
        making.left.steps.iter().rev().fold(couple, |next, step| link(step, env, next))
    });
    let mut row = Row::new();
    env.rows.scan(left.scan(&making.left), &mut |record| {
        let own = pairs.left.get(at.get()).copied();
        while let Some((_, other)) = pairs.pair(at.get()).filter(|(left, _)| Some(*left) == own) {
            if let Some(chain) = &mut chain {
                env.run.count_read(1);
                row.resize(COLUMNS.len(), Cell::Null);
                for load_one in &making.left.loads {
                    load(record, load_one, &mut row);
                }
                chain.push(&mut row)?;
            }
            each(record, other);
            at.set(at.get() + 1);
        }
        if env.run.gave_up() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
}

/// Puts the right row of a pair behind the left one.
struct Couple<'a, 's> {
    pairs: &'s Pairs,
    at: &'s Flag<usize>,
    rights: &'s [u32],
    rows: Vec<Row<'a>>,
    kinds: &'s [Type],
    /// How many columns a row on the left has.
    width: usize,
    out: Row<'a>,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Couple<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let other = self.pairs.right.get(self.at.get()).copied().unwrap_or(NONE);
        let found = self.rights.binary_search(&other).ok().and_then(|at| self.rows.get(at));
        self.out.clear();
        self.out.append(row);
        self.out.resize(self.width, Cell::Null);
        match found {
            Some(row) => self.out.extend(row.iter().cloned()),
            None => self.out.extend(self.kinds.iter().map(|kind| Cell::none(*kind))),
        }
        self.out.resize(self.width + self.kinds.len(), Cell::Null);
        self.next.push(&mut self.out)
    }
}

/// A row of an answer: a row on the left, and what was joined to it and made of both.
struct ShownPair<'r, 'a> {
    outputs: &'r [Output],
    record: &'r dyn Record<'a>,
    made: &'r [Cell<'a>],
    written: &'r Written<'r>,
    /// The place of the row on the right.
    right: Option<usize>,
}

impl Columns for ShownPair<'_, '_> {
    fn stencil(&self) -> Option<[usize; 3]> {
        self.record.stencil()
    }

    fn pieces(&self, column: usize, each: &mut dyn FnMut(Piece<'_>)) -> bool {
        match self.outputs.get(column) {
            Some(Output::Read(origin)) if origin.whose == Whose::Own => {
                show::pieces(self.record, origin, each)
            }
            _ => false,
        }
    }

    fn owns(&self) -> Owns<'_> {
        self.record.owns()
    }

    fn write(&self, column: usize, out: &mut Vec<u8>) {
        match self.outputs.get(column) {
            Some(Output::Read(origin)) if origin.whose == Whose::Own => {
                show::write(self.record, origin, out);
            }
            Some(Output::Read(origin)) => {
                if !self.right.is_some_and(|row| self.written.write(row, column, out)) {
                    origin.none().write(out);
                }
            }
            _ => self.made.get(column).unwrap_or(&Cell::Null).write(out),
        }
    }
}
