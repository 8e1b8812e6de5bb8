//! Machines as rows of `resources`. What an answer shows of them is kept beside each other, in the
//! order of the rows: a machine itself is looked at only for what a query compares.

use std::{cell::OnceCell, sync::OnceLock};

use super::{
    World,
    machine::{Block, Class, MachineRow},
};
use crate::cloud::{
    azure::{
        facets::nanoseconds,
        graph::{Field, Owns, Path, Piece, Record},
        own, side, tags,
        template::{self, Filled, NAME, Terms},
    },
    world::{
        State,
        machine::{AzureSide, MachineIx, SubIx},
    },
};

/// Columns of which no machine has anything.
pub(super) const EMPTY: [&str; 5] = ["sku", "plan", "identity", "zones", "extendedLocation"];

/// What is kept of a row beside its name and its properties.
const TAGS: usize = NAME + 1;

/// What is shown of a machine, until it changes: by whether its agent answers, which changes with
/// the time, and whether an operation on it is under way.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Written([OnceLock<Filled>; 4]);

/// A machine by its place in the folder of a subscription.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) at: MachineIx,
    pub(super) subscription: SubIx,
    pub(super) group: usize,
    pub(super) place: usize,
}

impl Seat {
    /// What the rows of a class have in common with its row.
    pub(super) fn block<'a>(self, world: &'a World, class: &'static Class) -> Block<'a> {
        let Self { subscription, group, .. } = self;
        Block { state: &world.state, tenant: &world.tenant, subscription, group, class }
    }

    fn written(self, state: &State) -> Option<&OnceLock<Filled>> {
        let census = &state.azure.census;
        let answers =
            census.facets(self.subscription)?.get(self.place)?.answers(nanoseconds(state.now));
        let updating = state.azure.updating.contains(&self.at);
        let written = census.written(self.subscription)?.get(self.place)?;
        written.0.get(2 * usize::from(answers) + usize::from(updating))
    }
}

pub(super) struct ResourceRow<'a> {
    world: &'a World,
    seat: Seat,
    class: &'static Class,
    written: OnceCell<&'a Filled>,
}

impl<'a> ResourceRow<'a> {
    pub(super) fn new(world: &'a World, seat: Seat, class: &'static Class) -> Self {
        Self { world, seat, class, written: OnceCell::new() }
    }

    /// What is shown of it; made where nobody asked before.
    pub(super) fn written(&self) -> Option<&'a Filled> {
        if let Some(written) = self.written.get() {
            return Some(written);
        }
        if let Some(written) = self.known() {
            return Some(written);
        }
        let (state, azure) = (&self.world.state, self.azure()?);
        let own = if self.class.is_vm { &own::VM[..] } else { &own::ARC };
        let written = self.seat.written(state)?.get_or_init(|| {
            let (group_id, name) = (self.block().group_id(), template::inner(&azure.name));
            let terms = Terms { group_id, name, own, named: &own::NAMED };
            let mut tags = Vec::new();
            template::write(&tags::document(&azure.tags), &mut tags);
            state.azure.templates.fill(&terms, &[tags], &self.machine(azure).properties())
        });
        Some(self.written.get_or_init(|| written))
    }

    /// Reads a little of what is shown of it, so that all of it is on its way from memory.
    pub(super) fn touch(&self) -> u8 {
        self.known().map_or(0, Filled::touch)
    }

    fn name(&self) -> Option<&'a str> {
        self.world.state.azure.census.folder(self.seat.subscription)?.names.get(self.seat.place)
    }

    fn id(&self) -> Option<String> {
        Some(self.block().id_head() + self.name()?)
    }

    /// What is shown of it, if somebody asked before.
    fn known(&self) -> Option<&'a Filled> {
        let known = self.seat.written(&self.world.state)?.get()?;
        Some(self.written.get_or_init(|| known))
    }

    fn azure(&self) -> Option<&'a AzureSide> {
        side(&self.world.state, self.seat.at).ok()
    }

    fn block(&self) -> Block<'a> {
        self.seat.block(self.world, self.class)
    }

    fn machine(&self, azure: &'a AzureSide) -> MachineRow<'a> {
        self.world.row(self.seat.at, azure, self.class)
    }
}

impl<'a> Record<'a> for ResourceRow<'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        match name {
            "name" => self.name().map_or(Field::None, Field::text),
            "id" => self.id().map_or(Field::None, Field::text),
            "tags" | "properties" => {
                self.azure().map_or(Field::None, |azure| self.machine(azure).column(name))
            }
            _ => self.block().column(name),
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        match name {
            "properties" => {
                self.written().map_or(Field::None, |it| it.member(path, || self.block().group_id()))
            }
            "tags" => self.azure().map_or(Field::None, |it| self.machine(it).member(name, path)),
            _ => self.column(name).at(path),
        }
    }

    fn pieces(&self, name: &'static str, path: &Path, each: &mut dyn FnMut(Piece<'_>)) -> bool {
        match name {
            "properties" => match self.written() {
                Some(written) => written.pieces(path, || self.block().group_id(), each),
                None => return false,
            },
            "id" => self.block().id_pieces("", each),
            "name" => {
                each(Piece::Text(b"\""));
                each(Piece::Own(NAME));
                each(Piece::Text(b"\""));
            }
            "tags" if path.is_empty() => each(Piece::Own(TAGS)),
            "tags" => return false,
            column => return self.block().piece(column, each),
        }
        true
    }

    fn owns(&self) -> Owns<'a> {
        self.written().map(Filled::owns).unwrap_or_default()
    }

    fn stencil(&self) -> Option<[usize; 3]> {
        Some(self.block().stencil(self.written()?.form()))
    }
}
