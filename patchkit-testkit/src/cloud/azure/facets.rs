//! What many machines have in common, each thing as a small number: of rows that differ in nothing
//! that a query looks at, one is enough to know what becomes of all.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{hybrid, side, vm};
use crate::cloud::world::{
    State,
    machine::{Agent, AzureSide, GuestPatching, MachineIx, Power, Tags},
};

/// A tag with more values than this tells machines apart, and is of no use here.
const MOST_VALUES: usize = 64;
/// Sets of tags, and settings of patching, that are numbered. What comes later has no number.
const MOST_SETS: usize = 4_096;
const MOST_PATCHINGS: usize = 255;

/// Something of a machine that is the same on many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Facet<'q> {
    Power,
    System,
    /// The size of its hardware.
    Size,
    Patching,
    /// Whether its agent is of an old version.
    Version,
    /// Whether its agent answers, which the time tells too.
    Answers,
    /// The value of a tag.
    Tag(&'q str),
}

impl Facet<'_> {
    /// On what of a virtual machine a member of its properties depends, and on nothing else. None
    /// where it is its own.
    pub(super) fn of_vm(path: &[String]) -> Option<Vec<Self>> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Some(match path.as_slice() {
            ["extended", "instanceView", "powerState", ..] => vec![Self::Power],
            ["extended", "instanceView", "osName" | "osVersion", ..] => {
                vec![Self::Answers, Self::System]
            }
            ["extended", "instanceView", "hyperVGeneration", ..] => Vec::new(),
            ["hardwareProfile", ..] => vec![Self::Size],
            ["storageProfile", "imageReference", ..]
            | ["storageProfile", "osDisk", "osType", ..] => vec![Self::System],
            ["osProfile", "windowsConfiguration" | "linuxConfiguration", ..] => {
                vec![Self::System, Self::Patching]
            }
            // What no virtual machine has.
            [first, ..] if !vm::has(first) => Vec::new(),
            _ => return None,
        })
    }

    /// The same of a machine of Arc.
    pub(super) fn of_arc(path: &[String]) -> Option<Vec<Self>> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        Some(match path.as_slice() {
            ["status", ..] => vec![Self::Answers],
            ["agentVersion", ..] => vec![Self::Version],
            ["osType" | "osName" | "osSku" | "osVersion", ..] => vec![Self::System],
            ["osProfile", "windowsConfiguration" | "linuxConfiguration", ..] => {
                vec![Self::System, Self::Patching]
            }
            ["provisioningState" | "domainName" | "detectedProperties", ..] => Vec::new(),
            // What no machine of Arc has.
            [first, ..] if !hybrid::PROPERTIES.contains(first) => Vec::new(),
            _ => return None,
        })
    }
}

/// The facets of one machine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Facets {
    pub(super) power: u8,
    pub(super) size: u8,
    pub(super) version: u8,
    pub(super) patching: u8,
    pub(super) system: u16,
    pub(super) tags: u16,
    /// From when on its agent answers, in nanoseconds; never where that is after all time.
    answers_from: i64,
}

impl Facets {
    pub(super) fn of(
        state: &State,
        at: MachineIx,
        azure: &AzureSide,
        words: &mut Arc<Words>,
    ) -> Self {
        let machine = state.machine(at);
        let may_answer = machine.power == Power::Running && azure.agent.answers_after().is_some();
        let size = vm::SIZES.iter().position(|it| *it == vm::size(state, at)).unwrap_or(0);
        Self {
            power: machine.power as u8,
            size: u8::try_from(size).unwrap_or(u8::MAX),
            version: u8::from(azure.agent == Agent::OldVersion),
            patching: Words::patching(words, &azure.patching),
            system: u16::try_from(machine.system.0).unwrap_or(u16::MAX),
            tags: Words::tags(words, &azure.tags),
            answers_from: if may_answer { nanoseconds(azure.answers_from) } else { i64::MAX },
        }
    }

    /// Whether its agent answers at a time, which comes from [`nanoseconds`].
    pub(super) fn answers(&self, now: i64) -> bool {
        self.answers_from <= now
    }
}

/// A time as it is compared here.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    // All times of a world are in the three centuries that this holds.
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX - 1)
}

/// What the numbers of facets stand for.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    patchings: Vec<GuestPatching>,
    /// Tags that tell machines apart: they are in no set.
    apart: HashSet<Arc<str>>,
    sets: Vec<Tags>,
    numbers: HashMap<Tags, u16>,
}

impl Words {
    /// Finds the tags that tell machines apart.
    pub(super) fn new(state: &State) -> Self {
        let mut values: HashMap<&Arc<str>, HashSet<&Arc<str>>> = HashMap::new();
        let all = state.subscriptions.iter().flat_map(|it| &it.machines);
        for azure in all.filter_map(|at| side(state, *at).ok()) {
            for (name, value) in &azure.tags {
                let known = values.entry(name).or_default();
                if known.len() <= MOST_VALUES {
                    known.insert(value);
                }
            }
        }
        let apart = values.into_iter().filter(|(_, values)| values.len() > MOST_VALUES);
        let apart = apart.map(|(name, _)| Arc::clone(name)).collect();
        Self { apart, ..Self::default() }
    }

    /// The number of settings of patching. Words that a picture shares are copied for a new one
    /// alone.
    fn patching(words: &mut Arc<Self>, patching: &GuestPatching) -> u8 {
        let known = words.patchings.iter().position(|it| it == patching);
        let place = known.unwrap_or_else(|| {
            let place = words.patchings.len();
            if place < MOST_PATCHINGS {
                Arc::make_mut(words).patchings.push(patching.clone());
            }
            place
        });
        u8::try_from(place).unwrap_or(u8::MAX)
    }

    /// The number of the tags of a machine that do not tell it from others.
    fn tags(words: &mut Arc<Self>, tags: &Tags) -> u16 {
        let shared = tags.iter().filter(|(name, _)| !words.apart.contains(name));
        let set: Tags = shared.cloned().collect();
        if let Some(number) = words.numbers.get(&set) {
            return *number;
        }
        let place = words.sets.len();
        let Some(number) = u16::try_from(place).ok().filter(|_| place < MOST_SETS) else {
            return u16::MAX;
        };
        let words = Arc::make_mut(words);
        words.sets.push(set.clone());
        words.numbers.insert(set, number);
        number
    }

    /// How many settings of patching have a number.
    pub(super) fn patchings(&self) -> usize {
        self.patchings.len()
    }

    /// Numbers for the values of a tag, by the numbers of the sets. None where it is in no set.
    pub(super) fn values(&self, name: &str) -> Option<Vec<u16>> {
        if self.apart.contains(name) {
            return None;
        }
        let mut values: Vec<Option<&Arc<str>>> = Vec::new();
        let numbers = self.sets.iter().map(|set| {
            let value = set.iter().find(|(key, _)| **key == *name).map(|(_, value)| value);
            let known = values.iter().position(|it| *it == value);
            let place = known.unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            });
            u16::try_from(place).ok()
        });
        numbers.collect()
    }
}
