//! The rows of Resource Graph, made from a picture of the world as they are asked for.
//!
//! A row has the columns that its table fills; a column that it lacks is empty. Types and names of
//! resource groups are in lower case, as the service writes them.

mod alike;
mod assessed;
mod interface;
mod machine;
mod numbers;
mod other;
mod patch;
mod printed;
mod resource;
mod results;
mod within;

use std::{
    collections::BTreeSet,
    num::NonZero,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde_json::Value;

use self::{
    assessed::Assessed,
    machine::{Class, MachineRow},
    other::Other,
    resource::{ResourceRow, Seat},
};
pub(super) use self::{assessed::Report, other::Others, printed::Prints, resource::Written};
use super::{
    census::{Folder, Group, Kind},
    graph::{Alike, Hints, IdText, Look, Pick, Record, Rows, Scan, Table},
    side,
    tally::{Counts, Tallies},
    tenant,
};
use crate::cloud::world::{
    State,
    machine::{AzureSide, MachineIx, SubIx},
    machines::Machines,
};

/// How long assessments and installations are kept ("Query logs" of Azure Update Manager).
const ASSESSMENTS: Duration = Duration::from_hours(7 * 24);
const INSTALLATIONS: Duration = Duration::from_hours(30 * 24);

/// How many machines are looked at before their rows are made.
const AHEAD: usize = 64;

/// What a caller may not read: a type of resources, in a subscription.
pub(super) type Hidden = BTreeSet<(SubIx, &'static str)>;

/// Writes what answers show of the machines as they are, so that the first page of a thousand rows
/// costs what the next one does.
pub(crate) fn write(state: &mut State) {
    let all = (0..).map(SubIx).take(state.subscriptions.len()).collect();
    let world = World::of(state, all, Hidden::new());
    let seats: Vec<(Seat, usize)> = world.seats().collect();
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = seats.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let world = &world;
        scope.spawn(move || {
            world.state.azure.census.order(&world.state);
        });
        for seats in seats.chunks(share) {
            scope.spawn(move || {
                // One kind of text after the other: what is read together then lies together.
                let classes = Class::of(Table::Resources);
                for (seat, kind) in seats {
                    if let Some(class) = classes.get(*kind) {
                        ResourceRow::new(world, *seat, class).written();
                    }
                }
                let classes = Class::of(Table::PatchAssessmentResources);
                for (seat, kind) in seats {
                    if let Some(class) = classes.get(2 * kind) {
                        Assessed::of(world, *seat, class);
                    }
                }
            });
        }
    });
}

/// The world as the tables of a query, in the subscriptions that it asks for.
#[derive(Debug)]
pub(super) struct World {
    state: State,
    tenant: String,
    subscriptions: Vec<SubIx>,
    hidden: Hidden,
    /// How many machines had been copied for pictures before this one.
    copied: usize,
    /// Network interfaces: as many as machines, which few queries ask for.
    interfaces: OnceLock<Vec<Other>>,
}

/// Where a row goes.
type Each<'e, 'a> = &'e mut dyn FnMut(&dyn Record<'a>) -> ControlFlow<()>;

impl World {
    /// A picture of the world as it is now.
    pub(super) fn of(state: &mut State, subscriptions: Vec<SubIx>, hidden: Hidden) -> Self {
        state.recount();
        if !state.azure.others.is_of(state.version) {
            state.azure.others = Arc::new(Others::new(state.version));
        }
        Self {
            tenant: tenant(state.seed),
            copied: state.machines.copied(),
            state: state.picture(),
            subscriptions,
            hidden,
            interfaces: OnceLock::new(),
        }
    }

    /// The types of all rows.
    pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
        let tables =
            [Table::Resources, Table::PatchAssessmentResources, Table::PatchInstallationResources];
        let of_machines = tables.into_iter().flat_map(Class::of).map(|it| it.name);
        of_machines.chain(other::KINDS)
    }

    /// Whether the caller sees a type of resources in a subscription.
    fn shows(&self, at: SubIx, kind: &'static str) -> bool {
        self.hidden.is_empty() || !self.hidden.contains(&(at, kind))
    }

    /// The time that it shows.
    #[cfg(test)]
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.state.now
    }

    /// The subscriptions that a scan reads, with where their blocks begin.
    fn here<'a, 'h>(
        &'a self,
        hints: &'h Hints,
        table: Table,
    ) -> impl Iterator<Item = Shelf<'a>> + use<'a, 'h> {
        let mut first = 0;
        let all = self.subscriptions.iter().filter(|at| {
            let id = &self.state.subscription(**at).id;
            let named = |asked: &Vec<String>| asked.iter().any(|it| it.eq_ignore_ascii_case(id));
            hints.subscriptions.as_ref().is_none_or(named)
        });
        all.filter_map(move |at| {
            let folder = self.state.azure.census.folder(*at)?;
            let shelf = Shelf { at: *at, first, folder };
            first += folder.groups.len() * Class::of(table).len();
            Some(shelf)
        })
    }

    /// Every machine that has a row of its own, in the order of its folder, with its kind.
    fn seats(&self) -> impl Iterator<Item = (Seat, usize)> {
        self.subscriptions.iter().flat_map(|at| {
            let folder = self.state.azure.census.folder(*at).into_iter();
            folder.flat_map(|folder| (0..).zip(&folder.groups)).flat_map(|(number, group)| {
                self.seats_of(*at, number, *group).filter(|(_, kind)| *kind != Kind::None as usize)
            })
        })
    }

    /// The machines of a resource group with their kinds.
    fn seats_of(
        &self,
        subscription: SubIx,
        number: usize,
        group: Group,
    ) -> impl Iterator<Item = (Seat, usize)> {
        let kinds = self.state.azure.census.folder(subscription).map_or(&[][..], |it| &it.kinds);
        let machines = &self.state.subscription(subscription).machines;
        (group.start..group.end).filter_map(move |place| {
            let seat = Seat { at: *machines.get(place)?, subscription, group: number, place };
            Some((seat, *kinds.get(place)? as usize))
        })
    }

    fn row<'a>(
        &'a self,
        at: MachineIx,
        azure: &'a AzureSide,
        class: &'static Class,
    ) -> MachineRow<'a> {
        MachineRow::new(&self.state, &self.tenant, at, azure, class)
    }
}

/// The machines of a subscription, and where its blocks begin among all.
#[derive(Clone, Copy, Debug)]
struct Shelf<'a> {
    at: SubIx,
    first: usize,
    folder: &'a Folder,
}

/// Which rows a scan wants.
struct Choice<'a> {
    scan: Scan<'a>,
    classes: &'static [Class],
    /// By class, where there are no blocks.
    wanted: Vec<bool>,
    pick: Pick<'a>,
    /// The number of the next row.
    at: usize,
}

impl<'a> Choice<'a> {
    fn of(scan: Scan<'a>) -> Self {
        let classes = Class::of(scan.table);
        let wanted = classes.iter().map(|it| scan.hints.wants_type(it.name)).collect();
        Self { scan, classes, wanted, pick: scan.pick, at: 0 }
    }

    /// Whether the rows of a class in a resource group are wanted.
    fn wants(&self, shelf: &Shelf<'_>, group: usize, class: usize) -> bool {
        match self.scan.blocks {
            Some(blocks) => {
                let block = shelf.first + group * self.classes.len() + class;
                blocks.get(block).is_some_and(|rows| *rows > 0)
            }
            None => self.wanted.get(class).copied().unwrap_or(false),
        }
    }

    /// Whether no row of a resource group is picked: they are then left out.
    fn skips_group(&mut self, shelf: &Shelf<'_>, group: usize) -> bool {
        let classes = self.classes.len();
        let first = shelf.first + group * classes;
        let blocks = self.scan.blocks.and_then(|it| it.get(first..first + classes));
        blocks.is_some_and(|rows| self.skips(rows.iter().sum()))
    }

    /// Whether none of the next rows, so many, is picked: they are then left out.
    fn skips(&mut self, rows: usize) -> bool {
        let end = self.at + rows;
        let skips = self.next() >= end;
        if skips {
            self.at = end;
        }
        skips
    }

    /// The number of the next row that is picked.
    fn next(&self) -> usize {
        match self.pick {
            Pick::From(first) => first.max(self.at),
            Pick::These(rows) => {
                let first = rows.first().and_then(|it| usize::try_from(*it).ok());
                first.unwrap_or(usize::MAX)
            }
        }
    }

    /// Whether no further row is picked.
    fn is_done(&self) -> bool {
        matches!(self.pick, Pick::These([]))
    }

    /// Whether the next row is picked.
    fn takes(&mut self) -> bool {
        if self.skips(1) {
            return false;
        }
        self.at += 1;
        if let Pick::These(rows) = self.pick {
            self.pick = Pick::These(rows.get(1..).unwrap_or_default());
        }
        true
    }
}

impl Rows for World {
    fn scan<'a>(&'a self, scan: Scan<'a>, each: Each<'_, 'a>) {
        let mut choice = Choice::of(scan);
        let _wanted = match scan.table {
            Table::Resources => self.resources(&mut choice, each),
            Table::ResourceContainers => self.containers(scan.hints, each),
            Table::MaintenanceResources => self.maintenance(scan.hints, each),
            _ => self.patches(&mut choice, each),
        };
    }

    fn blocks<'a>(
        &'a self,
        table: Table,
        hints: &'a Hints,
        each: &mut dyn FnMut(&dyn Record<'a>, usize),
    ) -> bool {
        // A few machines are found faster by their ids than counted.
        let few = hints.ids.is_some() || self.few(table, hints).is_some();
        if few || Class::of(table).is_empty() {
            return false;
        }
        let (classes, oldest) = (Class::of(table), self.oldest(table));
        let wanted: Vec<bool> = classes.iter().map(|it| hints.wants_type(it.name)).collect();
        for shelf in self.here(hints, table) {
            let machines = &self.state.subscription(shelf.at).machines;
            for group in &shelf.folder.groups {
                let mut counts = vec![0; classes.len()];
                if table == Table::Resources {
                    counts.copy_from_slice(&group.counts);
                } else if let Some(all) = self.state.azure.census.outcomes(table, shelf.at) {
                    let mut sums = Counts::default();
                    for piece in Tallies::pieces(group.start..group.end) {
                        let own = self.counts_of(&all.tallies, shelf.at, &piece, oldest);
                        let sums = sums.as_flattened_mut().iter_mut();
                        sums.zip(own.as_flattened()).for_each(|(sum, count)| *sum += count);
                    }
                    counts = sums.into_iter().flatten().take(classes.len()).collect();
                }
                let first = machines.get(group.start);
                let first = first.and_then(|at| Some((*at, side(&self.state, *at).ok()?)));
                for ((class, count), wanted) in classes.iter().zip(counts).zip(&wanted) {
                    // Any machine of the group stands for the block.
                    match first {
                        Some((at, azure)) if *wanted && self.shows(shelf.at, class.name) => {
                            each(&self.row(at, azure, class), count);
                        }
                        _ => each(&&Value::Null, 0),
                    }
                }
            }
        }
        for other in self.others(table, hints) {
            each(&&other.row, usize::from(hints.wants_type(other.text("type"))));
        }
        true
    }

    fn alike(&self, scan: Scan<'_>, looks: &[Look]) -> Option<Alike> {
        // Of few machines every row is looked at.
        if self.few(scan.table, scan.hints).is_some() {
            return None;
        }
        self.alike_machines(scan, looks).or_else(|| self.alike_patches(scan, looks))
    }

    fn ranks(&self, scan: Scan<'_>, column: &'static str) -> Option<Vec<u32>> {
        self.resources_in_order(scan, column).or_else(|| self.patches_in_order(scan, column))
    }

    fn sorted(&self, scan: Scan<'_>, column: &'static str) -> Option<Vec<u32>> {
        self.resources_sorted(scan, column).or_else(|| self.patches_sorted(scan, column))
    }

    fn texts<'a>(
        &'a self,
        scan: Scan<'_>,
        column: &'static str,
        each: &mut dyn FnMut(&'a str),
    ) -> bool {
        let is_at_hand =
            scan.table == Table::Resources && scan.hints.ids.is_none() && column == "name";
        if is_at_hand {
            self.names(scan, each);
        }
        is_at_hand
    }

    fn numbers(&self, scan: Scan<'_>, text: IdText<'_>) -> Option<Vec<u32>> {
        self.numbers_of_machines(scan, text)
    }

    fn held(&self) -> usize {
        Machines::weight(self.state.machines.copied().saturating_sub(self.copied))
    }
}

impl World {
    fn resources<'a>(&'a self, choice: &mut Choice<'a>, each: Each<'_, 'a>) -> ControlFlow<()> {
        let (hints, classes) = (choice.scan.hints, choice.classes);
        if let Some(ids) = &hints.ids {
            let found = ids.iter().filter_map(|id| self.state.azure.by_id.get(id.as_str()));
            for at in found {
                let here = side(&self.state, *at).ok().and_then(|azure| {
                    let kind = Kind::of(&azure.kind) as usize;
                    self.here(hints, Table::Resources).find(|it| it.at == azure.subscription)?;
                    let (subscription, class) = (azure.subscription, classes.get(kind)?);
                    let shown = self.shows(subscription, class.name);
                    let wanted = choice.wanted.get(kind).copied()? && shown;
                    let place = self.state.azure.census.place(*at)?;
                    let group = usize::from(azure.group);
                    let seat = Seat { at: *at, subscription, group, place };
                    wanted.then(|| ResourceRow::new(self, seat, class))
                });
                if let Some(row) = here {
                    each(&row)?;
                }
            }
        } else {
            self.machines(choice, each)?;
        }
        for other in self.wanted_others(choice.scan) {
            if choice.takes() {
                each(&&other.row)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// The machines in the order of their folders.
    fn machines<'a>(&'a self, choice: &mut Choice<'a>, each: Each<'_, 'a>) -> ControlFlow<()> {
        let (scan, classes) = (choice.scan, choice.classes);
        let mut next: Vec<ResourceRow<'a>> = Vec::with_capacity(AHEAD);
        let mut give_all = |next: &mut Vec<ResourceRow<'a>>| {
            if !scan.shown.is_empty() {
                std::hint::black_box(next.iter().fold(0, |seen, row| seen ^ row.touch()));
            }
            next.drain(..).try_for_each(|row| each(&row))
        };
        for shelf in self.here(scan.hints, Table::Resources) {
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted(choice, &shelf, number);
                let counts = group.counts.iter().zip(wanted);
                let rows = counts.map(|(count, wanted)| if wanted { *count } else { 0 }).sum();
                if choice.skips(rows) {
                    continue;
                }
                for start in (group.start..group.end).step_by(AHEAD) {
                    let piece = Group { start, end: group.end.min(start + AHEAD), ..*group };
                    let kinds = shelf.folder.kinds.get(start..piece.end).unwrap_or_default();
                    if choice.skips(kinds.iter().filter(|it| wanted[**it as usize]).count()) {
                        continue;
                    }
                    for (seat, kind) in self.seats_of(shelf.at, number, piece) {
                        if let Some(class) = classes.get(kind).filter(|_| wanted[kind])
                            && choice.takes()
                        {
                            next.push(ResourceRow::new(self, seat, class));
                        }
                        if next.len() == AHEAD {
                            give_all(&mut next)?;
                        }
                    }
                }
            }
        }
        give_all(&mut next)
    }

    /// The names of the resources that a scan reads.
    fn names<'a>(&'a self, scan: Scan<'_>, each: &mut dyn FnMut(&'a str)) {
        let choice = Choice::of(scan);
        for shelf in self.here(scan.hints, scan.table) {
            for (number, group) in shelf.folder.groups.iter().enumerate() {
                let wanted = self.wanted(&choice, &shelf, number);
                let kinds = shelf.folder.kinds.get(group.start..group.end).unwrap_or_default();
                let names = kinds.iter().zip(shelf.folder.names.starting_at(group.start));
                names.filter(|it| wanted[*it.0 as usize]).for_each(|(_, name)| each(name));
            }
        }
        self.wanted_others(scan).for_each(|it| each(it.text("name")));
    }

    /// Which kinds of machines are wanted of a resource group. What is no resource of its own never is.
    fn wanted(&self, choice: &Choice<'_>, shelf: &Shelf<'_>, group: usize) -> [bool; 3] {
        [0, 1, 2].map(|class| {
            choice.wants(shelf, group, class)
                && choice.classes.get(class).is_some_and(|it| self.shows(shelf.at, it.name))
        })
    }

    /// The resources behind the machines that a scan wants.
    fn wanted_others<'a, 's>(
        &'a self,
        scan: Scan<'s>,
    ) -> impl Iterator<Item = &'a Other> + use<'a, 's> {
        let blocks = self.here(scan.hints, scan.table).last();
        let classes = Class::of(scan.table).len();
        let blocks = blocks.map_or(0, |it| it.first + it.folder.groups.len() * classes);
        let all = (blocks..).zip(self.others(scan.table, scan.hints));
        let wanted = all.filter(move |(block, other)| match scan.blocks {
            Some(wanted) => wanted.get(*block).is_some_and(|rows| *rows > 0),
            None => scan.hints.wants_type(other.text("type")),
        });
        wanted.map(|(_, other)| other)
    }
}
