//! Rows of two tables that make the rows of an answer, by their numbers.

use std::{
    cell::{Cell as Flag, RefCell},
    collections::HashMap,
    ops::ControlFlow,
};

use fixedbitset::FixedBitSet;

use super::{
    super::{
        ast::JoinKind,
        eval::Run,
        plan::{
            Key, Plan,
            lean::{Making, Paired},
        },
        source::Pick,
        value::{Cell, Type},
    },
    Each, Env, Keep, Limit, Part, Rest, Row, Sink, compare,
    join::write_key,
    link, show,
    survey::{choosing, in_order, sort_keys},
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
        // Where the right rows of each key end, and behind the loop where they begin.
        let mut places = vec![0_u32; count + 1];
        for key in right_keys {
            if let Some(place) = places.get_mut(*key as usize) {
                *place += 1;
            }
        }
        let mut sum = 0;
        for place in &mut places {
            sum += *place;
            *place = sum;
        }
        let mut by_key = vec![NONE; sum as usize];
        for (key, row) in right_keys.iter().zip(right).rev() {
            if let Some(place) = places.get_mut(*key as usize) {
                *place -= 1;
                if let Some(known) = by_key.get_mut(*place as usize) {
                    *known = *row;
                }
            }
        }
        let mut met = FixedBitSet::with_capacity(count);
        let mut pairs = Self::default();
        for (read, (row, key)) in left.iter().zip(left_keys).enumerate() {
            let key = *key as usize;
            let found = places.get(key).zip(places.get(key.saturating_add(1)));
            let found = found.and_then(|(start, end)| by_key.get(*start as usize..*end as usize));
            let found = found.unwrap_or_default();
            if found.is_empty() && kind == JoinKind::LeftOuter {
                pairs.push(*row, NONE);
            }
            if kind == JoinKind::InnerUnique && !found.is_empty() && met.put(key) {
                continue;
            }
            found.iter().for_each(|other| pairs.push(*row, *other));
            if !Run::has_room(pairs.len(), read + 1) {
                return None;
            }
        }
        Some(pairs)
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
        let mut some = Self::default();
        places.filter_map(|at| self.pair(at)).for_each(|(left, right)| some.push(left, right));
        some
    }

    /// Them by the ranks of their left rows in each column.
    pub(in super::super) fn sorted(&self, keys: &[(&Key, Vec<u32>)]) -> Self {
        let mut order: Vec<u32> = (0..).zip(&self.left).map(|(place, _)| place).collect();
        // By the last key first: what is equal in another stays so.
        for (key, ranks) in keys.iter().rev() {
            let most = ranks.iter().max().copied().unwrap_or(0);
            let row = |place: u32| self.left.get(place as usize).copied().unwrap_or(NONE);
            let rank = |place: u32| ranks.get(row(place) as usize).copied().unwrap_or(0);
            order = if key.is_descending() {
                in_order(&order, most, |place| most - rank(place))
            } else {
                in_order(&order, most, rank)
            };
        }
        self.at(order.into_iter().map(|place| place as usize))
    }

    /// Those of them that the steps behind the join leave, in the order of the answer.
    pub(in super::super) fn decided(
        &self,
        making: &Making,
        env: Env<'_>,
        blocks: [&[usize]; 2],
    ) -> Self {
        let (rows, at) = (self.rows(), Flag::new(0_usize));
        let (mut found, tapped) = (Vec::new(), RefCell::default());
        let mut note = Each(|_: &[Cell<'_>]| {
            found.push((tapped.take(), at.get().saturating_sub(1)));
            true
        });
        let last: Rest<'_, '_> = Box::new(Limit { run: env.run, next: &mut note });
        let chain = choosing(&making.after, env, &tapped, last);
        couple(making, env, blocks, (self, &rows, &at), chain);
        let keys = sort_keys(&making.after);
        if !keys.is_empty() {
            found.sort_by(|(left, _), (right, _)| compare(keys, left, right));
        }
        self.at(found.into_iter().map(|(_, place)| place))
    }

    /// Makes the rows of the answer of them, which are in the order of the left table.
    pub(in super::super) fn shown(
        &self,
        making: &Making,
        env: Env<'_>,
        blocks: [&[usize]; 2],
        write: &mut dyn FnMut(&[Cell<'_>]),
    ) {
        let (rows, at) = (self.rows(), Flag::new(0_usize));
        let mut each = Each(|row: &[Cell<'_>]| {
            write(row);
            true
        });
        let mut chain: Rest<'_, '_> = Box::new(Limit { run: env.run, next: &mut each });
        for step in making.after.iter().rev() {
            chain = link(step, env, chain);
        }
        couple(making, env, blocks, (self, &rows, &at), chain);
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
    let [left, right] = paired.comparing();
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut key = Vec::new();
    let mut numbers = Vec::new();
    let all_keys = |plan: &Plan, part: Part<'_>, each: &mut dyn FnMut(&[Cell<'_>])| {
        show(plan, env, part, &mut Each(|row: &[Cell<'_>]| {
            each(row);
            true
        }));
    };
    let of_right = Part { blocks: Some(blocks[1]), pick: Pick::These(rows[1]), ..Part::default() };
    all_keys(&right.0, of_right, &mut |row| {
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
    });
    let of_right = std::mem::take(&mut numbers);
    let part = Part { blocks: Some(blocks[0]), pick: Pick::These(rows[0]), ..Part::default() };
    all_keys(&left.0, part, &mut |row| {
        // What nothing on the right has is as good as none.
        let has_key = write_key(row, left.1, &mut key);
        numbers.push(known.get(&key).copied().filter(|_| has_key).unwrap_or(NONE));
    });
    [numbers, of_right]
}

/// Passes on each pair as a row.
fn couple<'a>(
    making: &'a Making,
    env: Env<'a>,
    [of_left, of_right]: [&'a [usize]; 2],
    (pairs, [left, right], at): (&Pairs, &'a [Vec<u32>; 2], &Flag<usize>),
    next: Rest<'a, '_>,
) {
    let part = |blocks, rows| Part {
        blocks: Some(blocks),
        pick: Pick::These(rows),
        ..Part::default()
    };
    let mut kept = Keep(Vec::new());
    if !right.is_empty() {
        show(&making.right, env, part(of_right, right), &mut kept);
    }
    let rights = Rights { numbers: right, rows: kept.0, kinds: &making.kinds };
    let mut couple = Couple { pairs, at, rights, width: making.width, out: Row::new(), next };
    if !left.is_empty() {
        show(&making.left, env, part(of_left, left), &mut couple);
    }
}

/// The rows on the right, by their numbers.
struct Rights<'a, 's> {
    numbers: &'s [u32],
    rows: Vec<Row<'a>>,
    kinds: &'s [Type],
}

impl<'a> Rights<'a, '_> {
    /// Puts a row, or nothing, behind one on the left.
    fn add(&self, number: u32, out: &mut Row<'a>) {
        let end = out.len() + self.kinds.len();
        let found = self.numbers.binary_search(&number).ok().and_then(|at| self.rows.get(at));
        match found {
            Some(row) => out.extend(row.iter().cloned()),
            None => out.extend(self.kinds.iter().map(|kind| Cell::none(*kind))),
        }
        out.resize(end, Cell::Null);
    }
}

struct Couple<'a, 's> {
    pairs: &'s Pairs,
    /// The place of the next pair.
    at: &'s Flag<usize>,
    rights: Rights<'a, 's>,
    /// How many columns a row on the left has.
    width: usize,
    out: Row<'a>,
    next: Rest<'a, 's>,
}

impl<'a> Sink<'a> for Couple<'a, '_> {
    fn push(&mut self, row: &mut Row<'a>) -> ControlFlow<()> {
        let own = self.pairs.left.get(self.at.get()).copied();
        while let Some((left, right)) = self.pairs.pair(self.at.get()).filter(|it| Some(it.0) == own)
        {
            self.at.set(self.at.get() + 1);
            self.out.clear();
            if self.pairs.left.get(self.at.get()) == Some(&left) {
                self.out.extend(row.iter().cloned());
            } else {
                self.out.append(row);
            }
            self.out.resize(self.width, Cell::Null);
            self.rights.add(right, &mut self.out);
            self.next.push(&mut self.out)?;
        }
        ControlFlow::Continue(())
    }
}
