//! What is remembered of one object besides its rows.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    ChangeMark, InventoryKey, InventoryType, LakeReading, Listed, ObjectReading, RepairReason,
    Repaired, SkipReason, Skipped, TypeReading,
};

/// One object as it was read: its mark, how many rows of it are held, and all that was found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct StoredObject {
    pub(super) key: Arc<str>,
    /// `None` where it has to be read again whatever the listing says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<ChangeMark>,
    pub(super) rows: u32,
    pub(super) bytes: u64,
    /// From which row on, at which line, the lines do not just follow each other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) jumps: Vec<(u32, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<(Option<u64>, SkipReason)>,
    /// How many were skipped, where that is more than are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skipped_total: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    repaired: Vec<(Option<u64>, RepairReason, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    native_number: Option<(u64, Box<str>)>,
}

impl StoredObject {
    pub(super) fn new(
        key: Arc<str>,
        mark: Option<ChangeMark>,
        jumps: Vec<(u32, u64)>,
        found: &ObjectReading,
    ) -> Self {
        let skipped = found.skipped.entries();
        // It may have been the network's fault, and the object the same as ever.
        let was_read = !skipped.iter().any(|lost| matches!(lost.reason, SkipReason::Unreadable(_)));
        Self {
            key,
            mark: mark.filter(|_| was_read),
            rows: u32::try_from(found.reading.rows).unwrap_or(u32::MAX),
            bytes: found.reading.bytes,
            jumps,
            skipped: skipped.iter().map(|lost| (lost.line, lost.reason.clone())).collect(),
            skipped_total: Some(found.skipped.total()).filter(|all| *all > skipped.len() as u64),
            repaired: found
                .repaired
                .iter()
                .map(|repaired| (repaired.line, repaired.reason.clone(), repaired.lines))
                .collect(),
            native_number: found.native_number.clone(),
        }
    }

    /// What the reader said of it.
    pub(super) fn reading(&self) -> ObjectReading {
        let entries: Vec<_> = self
            .skipped
            .iter()
            .map(|(line, reason)| Skipped {
                key: Arc::clone(&self.key),
                line: *line,
                reason: reason.clone(),
            })
            .collect();
        let total = self.skipped_total.unwrap_or(entries.len() as u64);
        let repaired = self.repaired.iter().map(|(line, reason, lines)| Repaired {
            key: Arc::clone(&self.key),
            line: *line,
            reason: reason.clone(),
            lines: *lines,
        });
        ObjectReading {
            reading: TypeReading {
                rows: self.rows.into(),
                bytes: self.bytes,
                ..TypeReading::default()
            },
            skipped: Listed::of(entries, total),
            repaired: repaired.collect(),
            native_number: self.native_number.clone(),
        }
    }

    /// Adds it to what was read of a lake, as [`scan`](crate::scan) does; numbers that came as numbers
    /// are kept apart, for only all objects of a type tell whether they are drift.
    pub(super) fn add_to(
        &self,
        reading: &mut LakeReading,
        natives: &mut BTreeMap<Box<str>, Listed<Repaired>>,
        ty: &InventoryType,
    ) {
        let name = ty.as_str();
        if !reading.types.contains_key(name) {
            reading.types.insert(name.into(), TypeReading::default());
        }
        if let Some(ty) = reading.types.get_mut(name) {
            ty.objects += 1;
            ty.rows += u64::from(self.rows);
            ty.bytes += self.bytes;
        }
        if self.skipped.is_empty() && self.repaired.is_empty() && self.native_number.is_none() {
            return;
        }
        let found = self.reading();
        reading.skipped.merge(found.skipped);
        for repaired in found.repaired {
            reading.repaired.push(repaired);
        }
        if let Some((line, field)) = found.native_number {
            natives.entry(name.into()).or_default().push(Repaired {
                key: Arc::clone(&self.key),
                line: Some(line),
                reason: RepairReason::TypeDrift(field),
                lines: 1,
            });
        }
    }
}

/// Follows the lines of an object's rows, which are nearly always one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    jumps: &'a [(u32, u64)],
    row: u32,
    line: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn of(object: &'a StoredObject) -> Self {
        Self { jumps: &object.jumps, row: 0, line: 0 }
    }

    /// The line of the next row.
    pub(super) fn next(&mut self) -> u64 {
        self.line = match self.jumps.split_first() {
            Some(((row, line), rest)) if *row == self.row => {
                self.jumps = rest;
                *line
            }
            _ => self.line + 1,
        };
        self.row += 1;
        self.line
    }
}

/// An object that is held, with its key as it was parsed.
#[derive(Clone, Debug)]
pub(super) struct HeldObject {
    pub(super) stored: StoredObject,
    pub(super) key: InventoryKey,
}
