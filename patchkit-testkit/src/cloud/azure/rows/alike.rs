//! Which machines are alike in what a query looks at, and their order: read off columns of small
//! numbers, without a look at the machines.

mod patches;

use std::{
    collections::{BTreeMap, HashMap},
    iter::Peekable,
    ops::Range,
};

use super::{Class, Other, Shelf, Stretch, World, other::Place, resource::EMPTY};
use crate::cloud::{
    azure::{
        census::{Order, Ranks},
        facets::{Facet, Facets, nanoseconds},
        graph::{Alike, BLOCK_COLUMNS, Field, Look, Numbers, Scan, Table},
    },
    world::machines::Chunks,
};

/// Kinds of rows beyond which every row is looked at: one of each kind is.
const MOST_KINDS: usize = 2_048;
/// The largest table of all kinds that might be.
const MOST_NUMBERS: usize = 1 << 20;

/// What is looked at in a machine: small numbers that together make one.
#[derive(Debug, Default)]
struct Number<'q> {
    digits: Vec<Digit<'q>>,
    now: i64,
}

#[derive(Debug)]
struct Digit<'q> {
    facet: Facet<'q>,
    /// How many values it has; a machine with another one is like none else.
    base: usize,
    /// Of tags, the value of each list of tags.
    values: Vec<u16>,
}

impl<'q> Number<'q> {
    /// None where a machine has more to look at.
    fn of(world: &World, looks: &'q [Look]) -> Option<Self> {
        let mut facets = Vec::new();
        for Look { column, path } in looks {
            match (*column, &**path) {
                ("properties", path) => {
                    facets.extend(Facet::of_vm(path)?);
                    facets.extend(Facet::of_arc(path)?);
                }
                ("tags", [name]) => facets.push(Facet::Tag(name)),
                (column, _) if EMPTY.contains(&column) || BLOCK_COLUMNS.contains(&column) => {}
                _ => return None,
            }
        }
        let mut digits: Vec<Digit<'q>> = Vec::new();
        for facet in facets {
            if !digits.iter().any(|it| it.facet == facet) {
                digits.push(Digit::of(world, facet)?);
            }
        }
        Some(Self { digits, now: nanoseconds(world.state.now) })
    }

    /// Whether nothing is looked at: all machines have one number.
    fn is_unread(&self) -> bool {
        self.digits.is_empty()
    }

    fn base(&self) -> usize {
        self.digits.iter().fold(1, |all, it| all.saturating_mul(it.base))
    }

    /// Reads the numbers of neighbours, behind what they are. None where a machine has a value that is not
    /// counted upon.
    fn read(&self, facets: &Chunks<Facets>, first: usize, numbers: &mut [usize]) -> Option<()> {
        self.digits.iter().try_for_each(|it| it.read(facets.starting_at(first), self.now, numbers))
    }
}

impl<'q> Digit<'q> {
    fn of(world: &World, facet: Facet<'q>) -> Option<Self> {
        let words = world.state.azure.census.words();
        let mut values = Vec::new();
        let base = match facet {
            Facet::Power | Facet::Size => 8,
            Facet::Version | Facet::Answers => 2,
            Facet::System => world.state.catalogue.count(),
            Facet::Patching => words.patchings(),
            Facet::Tag(name) => {
                values = words.values(name)?;
                values.iter().max().map_or(1, |most| usize::from(*most) + 1)
            }
        };
        Some(Self { facet, base, values })
    }

    /// Puts the digits of machines behind their numbers.
    fn read<'f>(
        &self,
        all: impl Iterator<Item = &'f Facets>,
        now: i64,
        numbers: &mut [usize],
    ) -> Option<()> {
        match self.facet {
            Facet::Power => self.put(all.map(|it| it.power.into()), numbers),
            Facet::Size => self.put(all.map(|it| it.size.into()), numbers),
            Facet::Version => self.put(all.map(|it| it.version.into()), numbers),
            Facet::Answers => self.put(all.map(|it| it.answers(now).into()), numbers),
            Facet::System => self.put(all.map(|it| it.system.into()), numbers),
            Facet::Patching => self.put(all.map(|it| it.patching.into()), numbers),
            Facet::Tag(_) => {
                let value = |it: &Facets| self.values.get(usize::from(it.tags)).copied();
                self.put(all.map(|it| value(it).map_or(self.base, usize::from)), numbers)
            }
        }
    }

    fn put(&self, values: impl Iterator<Item = usize>, numbers: &mut [usize]) -> Option<()> {
        let mut fit = true;
        for (number, value) in numbers.iter_mut().zip(values) {
            fit &= value < self.base;
            *number = *number * self.base + value;
        }
        fit.then_some(())
    }
}

/// The kinds that were met.
#[derive(Debug)]
struct Kinds {
    alike: Alike,
    /// By number.
    known: Vec<Option<u16>>,
    most: usize,
}

impl Kinds {
    fn new(most: usize) -> Self {
        Self { alike: Alike::default(), known: Vec::new(), most }
    }

    /// Enters the next row. None where there are too many kinds.
    fn enter(&mut self, number: usize) -> Option<()> {
        let kind = if let Some(kind) = self.known.get(number)? {
            *kind
        } else {
            let kind = self.first()?;
            *self.known.get_mut(number)? = Some(kind);
            kind
        };
        self.alike.kinds.push(kind);
        Some(())
    }

    /// Enters the next rows, which have one number.
    fn enter_all(&mut self, number: usize, rows: usize) -> Option<()> {
        let Some(others) = rows.checked_sub(1) else { return Some(()) };
        self.enter(number)?;
        let kind = (*self.known.get(number)?)?;
        self.alike.kinds.extend(std::iter::repeat_n(kind, others));
        Some(())
    }

    /// A kind that the next row is the first of.
    fn first(&mut self) -> Option<u16> {
        let kind = u16::try_from(self.alike.firsts.len()).ok();
        let kind = kind.filter(|kind| usize::from(*kind) < self.most)?;
        self.alike.firsts.push(u32::try_from(self.alike.kinds.len()).ok()?);
        Some(kind)
    }
}

impl World {
    /// The rows of machines that are alike; every other resource is of its own kind.
    pub(super) fn alike_machines(&self, scan: Scan<'_>, looks: &[Look]) -> Option<Alike> {
        if scan.table != Table::Resources || scan.hints.ids.is_some() {
            return None;
        }
        let number = Number::of(self, looks)?;
        let blocks = looks.iter().map(|it| it.column).filter(|it| BLOCK_COLUMNS.contains(it));
        let columns: Vec<&'static str> = blocks.collect();
        // What is the same in all rows of a block stands before the number.
        let mut heads: Vec<(usize, Vec<String>)> = Vec::new();
        let (mut kinds, mut numbers) = (Kinds::new(MOST_KINDS), Vec::new());
        kinds.alike.kinds.reserve(scan.blocks.unwrap_or_default().iter().sum());
        for Stretch { shelf, kind, places, .. } in self.stretches(scan) {
            let head = (kind, self.block(scan.table, &shelf, kind, &columns)?);
            let known = heads.iter().position(|it| *it == head);
            let head = known.unwrap_or_else(|| {
                heads.push(head);
                heads.len() - 1
            });
            let count = heads.len().saturating_mul(number.base());
            if count > MOST_NUMBERS {
                return None;
            }
            kinds.known.resize(count, None);
            if number.is_unread() {
                kinds.enter_all(head, places.len())?;
                continue;
            }
            numbers.clear();
            numbers.resize(places.len(), head);
            number.read(self.state.azure.census.facets(shelf.at)?, places.start, &mut numbers)?;
            for number in &numbers {
                kinds.enter(*number)?;
            }
        }
        for _ in self.wanted_others(scan) {
            let kind = kinds.first()?;
            kinds.alike.kinds.push(kind);
        }
        Some(kinds.alike)
    }

    /// What all machines of a class in a resource group have in some columns.
    fn block(
        &self,
        table: Table,
        shelf: &Shelf<'_>,
        class: usize,
        columns: &[&'static str],
    ) -> Option<Vec<String>> {
        let row = self.block_of(shelf, Class::of(table).get(class)?);
        let texts = columns.iter().map(|column| match row.column(column) {
            Field::Text(text) => Some(text.into_owned()),
            _ => None,
        });
        texts.collect()
    }

    /// The order of resources by name or id.
    pub(super) fn resources_in_order(&self, scan: Scan<'_>, column: &str) -> Option<Vec<u32>> {
        if scan.table != Table::Resources || scan.hints.ids.is_some() {
            return None;
        }
        let ranks = self.ranks_of(column)?;
        let mut order = self.of_machines(scan, &ranks.of)?;
        let others = self.wanted_others(scan);
        let others = others.map(|it| (self.place(it, column), it.text(column)));
        among(&mut order, &others.collect::<Vec<_>>(), ranks.firsts.len());
        Some(order)
    }

    /// The numbers of resources in the order of their names or ids.
    pub(super) fn resources_sorted(&self, scan: Scan<'_>, column: &str) -> Option<Numbers> {
        if scan.table != Table::Resources || scan.hints.ids.is_some() {
            return None;
        }
        let ranks = self.ranks_of(column)?;
        // Where two have one text, it is not known which comes first.
        if ranks.firsts.len() < ranks.of.iter().map(Vec::len).sum() {
            return None;
        }
        let machines: usize = self.stretches(scan).map(|it| it.places.len()).sum();
        let others = self.wanted_others(scan).zip(u32::try_from(machines).ok()?..);
        let others = others.map(|(other, number)| {
            let place = self.place(other, column);
            (!place.is_known).then(|| (place.before, other.text(column), number))
        });
        let mut others: Vec<(usize, &str, u32)> = others.collect::<Option<_>>()?;
        others.sort_unstable();
        if !others.is_sorted_by(|left, right| left.1 < right.1) {
            return None;
        }
        let mut others = others.into_iter().map(|(before, _, number)| (before, number)).peekable();
        if column == "id" && self.state.azure.census.order(&self.state).is_as_listed {
            let mut sorted = self.merge(scan, ranks, &mut others)?;
            sorted.extend(others.map(|(_, number)| number..number + 1));
            return Some(sorted.into_iter().collect());
        }
        let of_machines = self.starts(scan)?;
        let mut sorted = Vec::with_capacity(machines);
        for (rank, [folder, place]) in ranks.firsts.iter().enumerate() {
            while let Some((_, number)) = others.next_if(|(before, _)| *before <= rank) {
                sorted.push(number);
            }
            sorted.extend(of_machines.of(*folder, *place));
        }
        sorted.extend(others.map(|(_, number)| number));
        Some(Numbers::Each(sorted))
    }

    /// Puts rows of machines, which are in order, among others, of which it is known how many machines
    /// are before each.
    fn merge(
        &self,
        scan: Scan<'_>,
        ranks: &Ranks,
        others: &mut Peekable<impl Iterator<Item = (usize, u32)>>,
    ) -> Option<Vec<Range<u32>>> {
        let (mut first, mut sorted) = (0, Vec::new());
        for Stretch { shelf, places, .. } in self.stretches(scan) {
            let own = ranks.of.get(usize::from(shelf.at.0))?.get(places)?;
            let end = first + u32::try_from(own.len()).ok()?;
            let is_before = |rank: &u32, before: usize| (*rank as usize) < before;
            let is_inside = |before: usize| own.last().is_some_and(|last| !is_before(last, before));
            let mut next = first;
            while let Some((before, number)) = others.next_if(|(before, _)| is_inside(*before)) {
                let count = own.partition_point(|rank| is_before(rank, before));
                let upto = first + u32::try_from(count).ok()?;
                sorted.extend([next..upto, number..number + 1]);
                next = upto;
            }
            sorted.push(next..end);
            first = end;
        }
        Some(sorted)
    }

    fn ranks_of(&self, column: &str) -> Option<&Ranks> {
        let Order { names, ids, .. } = self.state.azure.census.order(&self.state);
        match column {
            "name" => Some(names),
            "id" => Some(ids),
            _ => None,
        }
    }

    /// Where the name or the id of a resource is among those of machines.
    fn place(&self, other: &Other, column: &str) -> Place {
        let [name, id] = other.places(&self.state);
        if column == "name" { *name } else { *id }
    }

    /// Of each machine that a scan reads its number in its folder.
    fn of_machines(&self, scan: Scan<'_>, all: &[Vec<u32>]) -> Option<Vec<u32>> {
        let mut order = Vec::new();
        for Stretch { shelf, places, .. } in self.stretches(scan) {
            order.extend_from_slice(all.get(usize::from(shelf.at.0))?.get(places)?);
        }
        Some(order)
    }
}

/// Puts texts behind those of which the ranks are known, and makes room for them among their ranks.
fn among(order: &mut Vec<u32>, texts: &[(Place, &str)], known: usize) {
    if texts.is_empty() {
        return;
    }
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    // How many known texts are before each, and whether it is the one behind them.
    let sorted: BTreeMap<&str, Place> = texts.iter().map(|(place, text)| (*text, *place)).collect();
    let mut before = vec![0_u32; known + 1];
    let (mut ranks, mut new) = (HashMap::new(), 0);
    for (text, place) in sorted {
        ranks.insert(text, narrow(place.before + new));
        if !place.is_known {
            new += 1;
            if let Some(count) = before.get_mut(place.before) {
                *count += 1;
            }
        }
    }
    let mut sum = 0;
    for count in &mut before {
        sum += *count;
        *count = sum;
    }
    for rank in order.iter_mut() {
        *rank += before.get(*rank as usize).copied().unwrap_or(0);
    }
    order.extend(texts.iter().filter_map(|(_, text)| ranks.get(text)));
}
