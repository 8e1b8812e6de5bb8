//! What is wrong with a row that is one.

use std::sync::Arc;

use crate::{
    AttributeKind, InventoryKey, InventoryRecord, InventoryType, PlainRow, RepairReason, Repaired,
    Value, finding::shown, record::parse_count,
};

/// Most reasons for repair that are told apart in one object; more fields than any type has.
pub(super) const MAX_REASONS: usize = 64;

/// Whether the names of a row are documented, each once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Names {
    Right,
    Wrong,
}

/// Where the repairs of one line are noted.
pub(super) struct Dirt<'a> {
    pub(super) line: u64,
    pub(super) key: &'a Arc<str>,
    pub(super) repaired: &'a mut Vec<Repaired>,
}

impl Dirt<'_> {
    pub(super) fn note(&mut self, reason: RepairReason) {
        let full = self.repaired.len() >= MAX_REASONS;
        if let Some(entry) = self.repaired.iter_mut().find(|entry| entry.reason == reason) {
            entry.lines += 1;
        } else if full && reason != RepairReason::Further {
            self.note(RepairReason::Further);
        } else {
            let (key, line) = (Arc::clone(self.key), Some(self.line));
            self.repaired.push(Repaired { key, line, reason, lines: 1 });
        }
    }
}

/// Holds rows against what is documented for their type.
#[derive(Debug)]
pub(super) struct Checker {
    pub(super) ty: InventoryType,
    resource: Box<str>,
    /// The names of the last row that had nothing wrong with its names. The rows of an object have
    /// one writer, so the next row nearly always has the same.
    layout: Vec<(Box<str>, AttributeKind)>,
}

impl Checker {
    pub(super) fn new(key: &InventoryKey) -> Self {
        let resource = key.node().resource().into();
        Self { ty: key.inventory_type().clone(), resource, layout: Vec::new() }
    }

    pub(super) fn check(
        &mut self,
        row: &InventoryRecord<'_>,
        dirt: &mut Dirt<'_>,
        native: &mut Option<(u64, Box<str>)>,
    ) -> Names {
        let known = self.layout.len() == row.fields().len()
            && self.layout.iter().zip(row.fields()).all(|((name, _), field)| **name == *field.name);
        let names = if known {
            for ((name, kind), field) in self.layout.iter().zip(row.fields()) {
                self.check_value(name, *kind, &field.value, dirt, native);
            }
            Names::Right
        } else {
            self.check_names(row, dirt, native)
        };
        if row.text("resourceId").is_some_and(|id| id != &*self.resource) {
            dirt.note(RepairReason::OtherResource);
        }
        names
    }

    /// Holds a row that was read the short way against its type: its names are right.
    pub(super) fn check_plain(&self, row: &PlainRow<'_>, dirt: &mut Dirt<'_>) {
        let layout = row.layout();
        for (at, name) in layout.numbers() {
            let text = row.value(at);
            if !text.is_empty() && parse_count(&text).is_none() {
                dirt.note(RepairReason::TypeDrift(self.documented(name)));
            }
        }
        if let Some(at) = layout.resource() {
            let id = row.value(at);
            if !id.is_empty() && *id != *self.resource {
                dirt.note(RepairReason::OtherResource);
            }
        }
    }

    /// A field's name as it is documented, however a row spells it.
    fn documented(&self, name: &str) -> Box<str> {
        shown(self.ty.attribute(name).map_or(name, |attribute| attribute.name))
    }

    fn check_names(
        &mut self,
        row: &InventoryRecord<'_>,
        dirt: &mut Dirt<'_>,
        native: &mut Option<(u64, Box<str>)>,
    ) -> Names {
        let mut layout = Vec::with_capacity(row.fields().len());
        let mut clean = true;
        for (at, field) in row.fields().iter().enumerate() {
            let name = &*field.name;
            if row.fields()[..at].iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
                dirt.note(RepairReason::DuplicateField(shown(name)));
                clean = false;
            }
            match self.ty.attribute(name) {
                Some(attribute) => {
                    self.check_value(attribute.name, attribute.kind, &field.value, dirt, native);
                    layout.push((name.into(), attribute.kind));
                }
                None if self.ty.is_documented() => {
                    dirt.note(RepairReason::UnknownField(shown(name)));
                    clean = false;
                }
                // Of a custom type nothing is documented but that its values are strings.
                None => {
                    self.check_value(name, AttributeKind::Text, &field.value, dirt, native);
                    layout.push((name.into(), AttributeKind::Text));
                }
            }
        }
        if clean {
            self.layout = layout;
            Names::Right
        } else {
            Names::Wrong
        }
    }

    fn check_value(
        &self,
        name: &str,
        kind: AttributeKind,
        value: &Value<'_>,
        dirt: &mut Dirt<'_>,
        native: &mut Option<(u64, Box<str>)>,
    ) {
        match (kind, value) {
            (AttributeKind::Text, Value::Text(_)) => {}
            (_, Value::Null) => dirt.note(RepairReason::NullField(self.documented(name))),
            (AttributeKind::Number, Value::Number(text)) if parse_count(text).is_some() => {
                native.get_or_insert_with(|| (dirt.line, self.documented(name)));
            }
            (AttributeKind::Number, Value::Text(text))
                if text.is_empty() || parse_count(text).is_some() => {}
            _ => dirt.note(RepairReason::TypeDrift(self.documented(name))),
        }
    }
}
