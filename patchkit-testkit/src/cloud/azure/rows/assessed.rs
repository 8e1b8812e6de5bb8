//! The rows of what assessments found. What an answer shows of them is kept beside each other, in the
//! order of the rows, as that of machines is.

use std::{borrow::Cow, cell::OnceCell, sync::OnceLock};

use serde_json::Value;

use super::{
    World,
    machine::{Block, Class},
    patch::{LATEST, Outcome, What},
    printed::{self, Print},
    resource::Seat,
};
use crate::cloud::azure::{
    graph::{Field, Owns, Path, Piece, Record},
    own, side,
    template::{self, Filled, NAME, Terms},
};

/// What is kept of an assessment beside the name of its machine and its properties.
const TIME: usize = NAME + 1;
const ACTIVITY: usize = NAME + 2;

/// What is shown of the assessment of a machine, until that changes.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Report(OnceLock<Filled>);

/// What the rows of an assessment have in common.
pub(super) struct Assessed<'a> {
    world: &'a World,
    seat: Seat,
    /// Of the assessment itself.
    class: &'static Class,
    report: &'a Filled,
    /// Its id as JSON without the last quote, for those of its patches.
    head: OnceCell<Vec<u8>>,
}

impl<'a> Assessed<'a> {
    /// None where the machine was never assessed. What is shown is made where nobody asked before.
    pub(super) fn of(world: &'a World, seat: Seat, class: &'static Class) -> Option<Self> {
        let state = &world.state;
        let kept = &state.azure.census.reports(seat.subscription)?.get(seat.place)?.0;
        let report = if let Some(report) = kept.get() {
            report
        } else {
            let azure = side(state, seat.at).ok()?;
            let it = azure.assessment.as_ref()?;
            kept.get_or_init(|| {
                let of = Outcome::new(world.row(seat.at, azure, class), What::Assessment(it));
                let name = template::inner(&azure.name);
                let terms = Terms { name, own: &own::ASSESSMENT, ..Terms::default() };
                let mut beside = [Vec::new(), Vec::new()];
                template::write(of.modified(), &mut beside[0]);
                template::write(of.activity(), &mut beside[1]);
                state.azure.templates.fill(&terms, &beside, &of.properties())
            })
        };
        Some(Self { world, seat, class, report, head: OnceCell::new() })
    }

    /// Reads a little of what is shown of it, so that all of it is on its way from memory.
    pub(super) fn touch(&self) -> u8 {
        self.report.touch()
    }

    fn block(&self, class: &'static Class) -> Block<'a> {
        self.seat.block(self.world, class)
    }

    fn id(&self) -> String {
        let mut json = Vec::new();
        self.write("id", &Path::default(), &mut json);
        serde_json::from_slice(&json).unwrap_or_default()
    }

    fn head(&self) -> &[u8] {
        self.head.get_or_init(|| {
            let mut json = Vec::new();
            self.write("id", &Path::default(), &mut json);
            json.pop();
            json
        })
    }

    fn time(&self) -> String {
        self.text(TIME)
    }

    fn text(&self, own: usize) -> String {
        serde_json::from_slice(self.report.owns().get(own)).unwrap_or_default()
    }
}

impl<'a> Record<'a> for Assessed<'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        match name {
            "id" => Field::text(self.id()),
            "name" => Field::text(self.text(ACTIVITY)),
            "properties" => self.report.member(&Path::default(), Vec::new),
            _ => self.block(self.class).column(name),
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        match name {
            "properties" => self.report.member(path, Vec::new),
            _ => self.column(name).at(path),
        }
    }

    fn pieces(&self, name: &'static str, path: &Path, each: &mut dyn FnMut(Piece<'_>)) -> bool {
        match name {
            "properties" => self.report.pieces(path, Vec::new, each),
            "id" => self.block(self.class).id_pieces(LATEST, each),
            "name" => each(Piece::Own(ACTIVITY)),
            column => return self.block(self.class).piece(column, each),
        }
        true
    }

    fn owns(&self) -> Owns<'a> {
        self.report.owns()
    }

    fn stencil(&self) -> Option<[usize; 3]> {
        Some(self.block(self.class).stencil(self.report.form()))
    }
}

/// The row of a patch that an assessment found, which is as the rows of the patch on other machines.
pub(super) struct MissingRow<'o, 'a> {
    pub(super) of: &'o Assessed<'a>,
    pub(super) class: &'static Class,
    pub(super) print: &'a Print,
}

impl<'a> Record<'a> for MissingRow<'_, 'a> {
    fn column(&self, name: &'static str) -> Field<'a> {
        match name {
            "id" => Field::text(self.of.id() + self.print.tail()),
            "name" => Field::text(self.print.id()),
            "properties" => {
                Field::Document(Cow::Owned(self.print.missing().whole(&self.of.time())))
            }
            _ => self.of.block(self.class).column(name),
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        match (name, &**path) {
            ("properties", [first, rest @ ..]) if printed::is_time(first) => {
                Field::Document(Cow::Owned(Value::String(self.of.time()))).at(rest)
            }
            ("properties", [_, ..]) => {
                Field::Document(Cow::Borrowed(self.print.missing().timeless())).at(path)
            }
            _ => self.column(name).at(path),
        }
    }

    fn write(&self, name: &'static str, path: &Path, out: &mut Vec<u8>) -> bool {
        let time = self.of.report.owns().get(TIME);
        match (name, &**path) {
            ("properties", []) => self.print.missing().write(time, out),
            ("properties", [first]) if printed::is_time(first) => out.extend_from_slice(time),
            ("properties", _) => return false,
            ("id", _) => {
                for piece in [self.of.head(), self.print.tail_written().as_bytes(), b"\""] {
                    out.extend_from_slice(piece);
                }
            }
            ("name", _) => out.extend_from_slice(self.print.id_written()),
            _ => return self.of.block(self.class).write(name, out),
        }
        true
    }
}
