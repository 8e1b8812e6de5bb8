//! The rows of Resource Graph, made from a picture of the world as they are asked for.
//!
//! A row has the columns that its table fills; a column that it lacks is empty. Types and names of
//! resource groups are in lower case, as the service writes them.

mod alike;
mod assessed;
mod interface;
mod machine;
mod other;
mod partners;
mod patch;
mod printed;
mod resource;
mod results;
mod within;

use std::{
    collections::BTreeSet,
    num::NonZero,
    ops::{ControlFlow, Range},
    sync::{Arc, OnceLock},
    time::Duration,
};

use self::{
    assessed::Assessed,
    machine::{Block, Class, MachineRow},
    other::Other,
    resource::{ResourceRow, Seat},
};
pub(super) use self::{assessed::Report, other::Others, printed::Prints, resource::Written};
use super::{
    census::{self, Folder, Group, Kind, Names},
    graph::{
        self, Alike, Hints, IdText, Look, Numbers, Partners, Pick, Record, Rows, Scan, Table, Texts,
    },
    side, tenant,
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
    let hints = Hints::default();
    let seats = world.stretches(Scan::new(Table::Resources, &hints)).flat_map(|it| {
        let Stretch { shelf, kind, places, .. } = it;
        let seats = places.filter_map(|place| world.seat(shelf.at, shelf.group, place));
        seats.map(|seat| (seat, kind)).collect::<Vec<_>>()
    });
    let seats: Vec<(Seat, usize)> = seats.collect();
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
            subscriptions: census::in_order(state, subscriptions),
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

    /// The subscriptions that a scan may read.
    fn here<'a, 'h>(&'a self, hints: &'h Hints) -> impl Iterator<Item = &'a SubIx> + use<'a, 'h> {
        self.subscriptions.iter().filter(|at| {
            let id = &self.state.subscription(**at).id;
            let named = |asked: &Vec<String>| asked.iter().any(|it| it.eq_ignore_ascii_case(id));
            hints.subscriptions.as_ref().is_none_or(named)
        })
    }

    /// The resource groups with machines that a scan may read.
    fn shelves<'a, 'h>(
        &'a self,
        hints: &'h Hints,
        table: Table,
    ) -> impl Iterator<Item = Shelf<'a>> + use<'a, 'h> {
        let all = self.here(hints).flat_map(|at| {
            let folder = self.state.azure.census.folder(*at).into_iter();
            folder.flat_map(move |it| it.groups.iter().map(move |group| (*at, it, group)))
        });
        let blocks = (0..).step_by(Class::of(table).len().max(1));
        all.zip(blocks).map(|((at, folder, group), block)| Shelf { at, folder, group, block })
    }

    /// The machines whose rows a scan wants, in the order of the rows.
    fn stretches<'a, 's>(
        &'a self,
        scan: Scan<'s>,
    ) -> impl Iterator<Item = Stretch<'a>> + use<'a, 's> {
        let choice = Choice::of(scan);
        // Results and patches, or the machines themselves.
        let each = choice.classes.len() / 2;
        self.shelves(scan.hints, scan.table).flat_map(move |shelf| {
            let wants = |class: usize| {
                let kind = choice.classes.get(class).filter(|_| choice.wants(shelf.block, class));
                kind.filter(|it| self.shows(shelf.at, it.name))
            };
            let stretches = [0, 1].map(|kind| {
                let (class, places) = (kind * each, shelf.group.places()[kind].clone());
                let wanted = [0, 1].map(|it| if it < each { wants(class + it) } else { None });
                Stretch { shelf, kind, wanted, places }
            });
            let is_read =
                |it: &Stretch<'_>| it.wanted.iter().any(Option::is_some) && !it.places.is_empty();
            stretches.into_iter().filter(is_read)
        })
    }

    fn seat(&self, subscription: SubIx, group: &Group, place: usize) -> Option<Seat> {
        let at = *self.state.subscription(subscription).machines.get(place)?;
        Some(Seat { at, subscription, group: group.number, place })
    }

    /// What all rows of a class in a resource group have in common.
    fn block_of<'a>(&'a self, shelf: &Shelf<'_>, class: &'static Class) -> Block<'a> {
        let (subscription, group) = (shelf.at, shelf.group.number);
        Block { state: &self.state, tenant: &self.tenant, subscription, group, class }
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

/// The machines of a resource group, and where its blocks begin among all.
#[derive(Clone, Copy, Debug)]
struct Shelf<'a> {
    at: SubIx,
    folder: &'a Folder,
    group: &'a Group,
    block: usize,
}

/// Machines of one kind in a resource group, whose rows are wanted.
#[derive(Clone, Debug)]
struct Stretch<'a> {
    shelf: Shelf<'a>,
    kind: usize,
    /// As which classes: the machines themselves, or results and their patches.
    wanted: [Option<&'static Class>; 2],
    /// Their places in their folder.
    places: Range<usize>,
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

    /// Whether the rows of a class are wanted, where the blocks of its resource group begin with one.
    fn wants(&self, block: usize, class: usize) -> bool {
        match self.scan.blocks {
            Some(blocks) => blocks.get(block + class).is_some_and(|rows| *rows > 0),
            None => self.wanted.get(class).copied().unwrap_or(false),
        }
    }

    /// Whether none of the next rows, so many, is picked: they are then left out.
    fn skips(&mut self, rows: usize) -> bool {
        let skips = self.next() >= self.at + rows;
        if skips {
            self.at += rows;
        }
        skips
    }

    /// Leaves out those of the next rows, so many, that are before one that is picked.
    fn skip(&mut self, rows: usize) -> usize {
        let left_out = self.next().saturating_sub(self.at).min(rows);
        self.at += left_out;
        left_out
    }

    /// The number of the next row that is picked.
    fn next(&self) -> usize {
        match self.pick {
            Pick::All => self.at,
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
        each: &mut dyn FnMut(graph::Block<'_, 'a>),
    ) -> bool {
        // A few machines are found faster by their ids than counted.
        let few = hints.ids.is_some() || self.few(table, hints).is_some();
        if few || Class::of(table).is_empty() {
            return false;
        }
        let classes = Class::of(table);
        let wanted: Vec<bool> = classes.iter().map(|it| hints.wants_type(it.name)).collect();
        for shelf in self.shelves(hints, table) {
            let is_wanted = |class: usize| {
                let is_wanted = wanted.get(class).copied().unwrap_or(false);
                is_wanted && classes.get(class).is_some_and(|it| self.shows(shelf.at, it.name))
            };
            let counts = self.counts_on(&shelf, table, is_wanted);
            for (at, (class, count)) in classes.iter().zip(counts).enumerate() {
                if is_wanted(at) {
                    each(graph::Block::Rows(&self.block_of(&shelf, class), count));
                } else {
                    each(graph::Block::Unwanted);
                }
            }
        }
        for other in self.others(table, hints) {
            if hints.wants_type(other.text("type")) {
                each(graph::Block::Row(&&other.row));
            } else {
                each(graph::Block::Unwanted);
            }
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

    fn sorted(&self, scan: Scan<'_>, column: &'static str) -> Option<Numbers> {
        let of_patches = || self.patches_sorted(scan, column).map(Numbers::Each);
        self.resources_sorted(scan, column).or_else(of_patches)
    }

    fn texts(&self, scan: Scan<'_>, column: &'static str, each: &mut dyn FnMut(Texts<'_>)) -> bool {
        let is_at_hand =
            scan.table == Table::Resources && scan.hints.ids.is_none() && column == "name";
        if is_at_hand {
            for Stretch { shelf, places, .. } in self.stretches(scan) {
                each(shelf.folder.names.piece(places));
            }
            let mut others = Names::default();
            self.wanted_others(scan).for_each(|it| others.push(it.text("name")));
            each(others.piece(0..others.len()));
        }
        is_at_hand
    }

    fn partners(&self, scans: [Scan<'_>; 2], texts: [IdText<'_>; 2]) -> Option<Partners> {
        self.about_the_same(scans, texts)
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
                    self.here(hints).find(|it| **it == azure.subscription)?;
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
        let scan = choice.scan;
        let mut next: Vec<ResourceRow<'a>> = Vec::with_capacity(AHEAD);
        let mut give_all = |next: &mut Vec<ResourceRow<'a>>| {
            if !scan.shown.is_empty() {
                std::hint::black_box(next.iter().fold(0, |seen, row| seen ^ row.touch()));
            }
            next.drain(..).try_for_each(|row| each(&row))
        };
        for Stretch { shelf, wanted: [class, _], mut places, .. } in self.stretches(scan) {
            let Some(class) = class else { continue };
            loop {
                places.start += choice.skip(places.len());
                if places.is_empty() || !choice.takes() {
                    break;
                }
                let seat = places.next().and_then(|it| self.seat(shelf.at, shelf.group, it));
                next.extend(seat.map(|seat| ResourceRow::new(self, seat, class)));
                if next.len() == AHEAD {
                    give_all(&mut next)?;
                }
            }
        }
        give_all(&mut next)
    }

    /// The resources behind the machines that a scan wants.
    fn wanted_others<'a, 's>(
        &'a self,
        scan: Scan<'s>,
    ) -> impl Iterator<Item = &'a Other> + use<'a, 's> {
        let classes = Class::of(scan.table).len();
        let blocks = classes * self.shelves(scan.hints, scan.table).count();
        let all = (blocks..).zip(self.others(scan.table, scan.hints));
        let wanted = all.filter(move |(block, other)| match scan.blocks {
            Some(wanted) => wanted.get(*block).is_some_and(|rows| *rows > 0),
            None => scan.hints.wants_type(other.text("type")),
        });
        wanted.map(|(_, other)| other)
    }
}
