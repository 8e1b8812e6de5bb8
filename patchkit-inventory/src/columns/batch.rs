//! Rows of one type, gathered into columns.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use patchkit_core::{Error, ErrorKind, Result};

use super::{
    KEY_COLUMNS, table_schema,
    values::{Numbers, Texts},
};
use crate::{
    AttributeKind, InventoryKey, InventoryRecord, InventoryType, PlainRow, RowLayout, Value,
    record::parse_count,
};

/// Gathers the rows of one type.
#[derive(Debug)]
pub(super) struct TypeColumns {
    ty: InventoryType,
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    /// The object of the last rows, and how many of them have no key yet.
    last: Option<(u64, InventoryKey)>,
    keyless: usize,
    /// Room for a text without its escapes.
    spare: String,
    /// Where the columns are in the layouts that came, the last one first.
    layouts: Vec<(Arc<RowLayout>, Places)>,
}

/// Where a layout has what the columns take.
#[derive(Debug)]
struct Places {
    /// For each column its field.
    of_column: Box<[Option<usize>]>,
    /// The fields that go into columns of counts.
    counts: Box<[usize]>,
}

#[derive(Debug)]
struct Column {
    from: From,
    values: Values,
}

/// Where the values of a column come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// A part of the key, by its place.
    Key(usize),
    /// A documented field.
    Field(&'static str),
    /// All that is not documented.
    Others,
}

#[derive(Debug)]
enum Values {
    Text(Texts),
    Number(Numbers),
}

/// Fields that are no columns of their own: they repeat the key.
const COPIES: [&str; 4] = ["resourceId", "accountId", "region", "resourceType"];

/// How many layouts are held against a row's before its columns are looked for.
const MAX_LAYOUTS: usize = 8;

impl TypeColumns {
    /// The columns of that type, or those of them that are wanted.
    pub(super) fn new(
        ty: &InventoryType,
        wanted: Option<&BTreeSet<Box<str>>>,
        capacity: usize,
    ) -> Self {
        let schema = table_schema(ty);
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, (from, kind)) in schema.fields().iter().zip(sources(ty)) {
            if wanted.is_none_or(|wanted| wanted.contains(field.name().as_str())) {
                fields.push(Arc::clone(field));
                let values = match kind {
                    AttributeKind::Text => Values::Text(Texts::new(capacity)),
                    AttributeKind::Number => Values::Number(Numbers::default()),
                };
                columns.push(Column { from, values });
            }
        }
        Self {
            ty: ty.clone(),
            schema: Arc::new(Schema::new(fields)),
            columns,
            rows: 0,
            last: None,
            keyless: 0,
            spare: String::new(),
            layouts: Vec::new(),
        }
    }

    pub(super) fn ty(&self) -> &InventoryType {
        &self.ty
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows, or those there are have the account and Region of that key.
    pub(super) fn has_scope_of(&self, key: &InventoryKey) -> bool {
        self.last.as_ref().is_none_or(|(_, last)| last.node().scope() == key.node().scope())
    }

    /// Counts a row of the object with that number.
    fn begin_row(&mut self, object: u64, key: &InventoryKey) {
        if self.last.as_ref().is_none_or(|(last, _)| *last != object) {
            self.push_keys();
            self.last = Some((object, key.clone()));
        }
        self.rows += 1;
        self.keyless += 1;
    }

    /// Gives the last rows their key.
    fn push_keys(&mut self) {
        let times = std::mem::take(&mut self.keyless);
        let Some((_, key)) = &self.last else { return };
        for column in &mut self.columns {
            if let (Values::Text(values), From::Key(part)) = (&mut column.values, column.from) {
                values.push_n(key_part(key, part).unwrap_or_default(), times);
            }
        }
    }

    /// Takes a row of the object with that number.
    pub(super) fn push(&mut self, object: u64, key: &InventoryKey, row: &InventoryRecord<'_>) {
        self.begin_row(object, key);
        for Column { from, values } in &mut self.columns {
            match (values, *from) {
                (_, From::Key(_)) => {}
                (Values::Text(values), From::Field(name)) => {
                    values.push(row.text(name).unwrap_or_default());
                }
                (Values::Text(values), From::Others) => {
                    values.push(&others(&self.ty, row).unwrap_or_default());
                }
                (Values::Number(values), From::Field(name)) => {
                    values.push(row.text(name).and_then(parse_count));
                }
                (Values::Number(values), From::Others) => values.push(None),
            }
        }
    }

    /// Takes a row that was read the short way.
    pub(super) fn push_plain(&mut self, object: u64, key: &InventoryKey, row: &PlainRow<'_>) {
        // All fields of an undocumented type are in one column.
        if !self.ty.is_documented() {
            return self.push(object, key, &row.to_record());
        }
        self.find_layout(row.layout());
        let Some((_, places)) = self.layouts.first() else { return };
        // A count that cannot be read is among the other fields, which a plain row has not.
        let unreadable = |at: &usize| {
            let text = row.value(*at);
            !text.is_empty() && parse_count(&text).is_none()
        };
        if places.counts.iter().any(unreadable) {
            return self.push(object, key, &row.to_record());
        }
        self.begin_row(object, key);
        let Some((_, places)) = self.layouts.first() else { return };
        for (Column { from, values }, place) in self.columns.iter_mut().zip(&places.of_column) {
            match (values, place) {
                (_, _) if matches!(from, From::Key(_)) => {}
                (Values::Text(values), None) => values.push(""),
                (Values::Text(values), Some(at)) => match row.spelled(*at) {
                    (text, false) => values.push_headed(text, row.head(*at)),
                    (_, true) => values.push(row.unescape(*at, &mut self.spare)),
                },
                (Values::Number(values), place) => {
                    let text = place.map(|at| row.value(at));
                    values.push(text.as_deref().and_then(parse_count));
                }
            }
        }
    }

    /// Brings the columns' places in that layout to the front.
    fn find_layout(&mut self, layout: &Arc<RowLayout>) {
        match self.layouts.iter().position(|(known, _)| Arc::ptr_eq(known, layout)) {
            Some(0) => {}
            Some(at) => self.layouts[..=at].rotate_right(1),
            None => {
                let places = self.columns.iter().map(|column| match column.from {
                    From::Field(name) => layout.find(name),
                    _ => None,
                });
                let of_column: Box<[_]> = places.collect();
                let columns = self.columns.iter().zip(&of_column);
                let count = |(column, place): (&Column, &Option<usize>)| {
                    place.filter(|_| matches!(column.values, Values::Number(_)))
                };
                let counts = columns.filter_map(count).collect();
                self.layouts.truncate(MAX_LAYOUTS - 1);
                self.layouts.insert(0, (Arc::clone(layout), Places { of_column, counts }));
            }
        }
    }

    /// What was gathered since the last time; `None` where that is nothing.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        self.push_keys();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.last) = (0, None);
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|column| match &mut column.values {
                Values::Text(values) => Arc::new(values.take()) as ArrayRef,
                Values::Number(values) => Arc::new(values.take()),
            })
            .collect();
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows);
        batch.map(Some).map_err(|error| {
            let message = "the columns of a type do not fit together";
            Error::new(ErrorKind::Unexpected, "lake", "columns", message).with_source(error)
        })
    }
}

/// Where the columns of a type's table come from, in their order.
pub(crate) fn sources(ty: &InventoryType) -> impl Iterator<Item = (From, AttributeKind)> {
    let attributes = ty.attributes().iter().map(|it| (From::Field(it.name), it.kind));
    (0..KEY_COLUMNS).map(|part| (From::Key(part), AttributeKind::Text)).chain(attributes).chain([
        (From::Field("captureTime"), AttributeKind::Text),
        (From::Field("schemaVersion"), AttributeKind::Text),
        (From::Others, AttributeKind::Text),
    ])
}

pub(crate) fn key_part(key: &InventoryKey, part: usize) -> Option<&str> {
    let scope = key.node().scope();
    match part {
        0 => Some(scope.account().as_str()),
        1 => Some(scope.region().as_str()),
        2 => Some(key.node().resource()),
        _ => key.partition_kind(),
    }
}

/// The fields of a row that are not documented, and counts that cannot be read, as one JSON object.
///
/// A count that is no number is null in its own column, as one that is absent is: a verdict must be
/// able to tell them apart.
pub(crate) fn others(ty: &InventoryType, row: &InventoryRecord<'_>) -> Option<String> {
    let other_name = |name: &str| match ty.attribute(name) {
        Some(known) if ty.is_documented() => {
            let unreadable = known.kind == AttributeKind::Number
                && row.text(known.name).is_some_and(|text| parse_count(text).is_none());
            unreadable.then_some(known.name.to_owned())
        }
        None if ty.is_documented() => Some(name.to_owned()),
        _ => {
            let is_copy = COPIES.iter().any(|copy| copy.eq_ignore_ascii_case(name));
            (!is_copy).then(|| name.to_owned())
        }
    };
    let mut text = String::new();
    for field in row.fields() {
        let Some(name) = other_name(&field.name) else { continue };
        text.push(if text.is_empty() { '{' } else { ',' });
        push_quoted(&mut text, &name);
        text.push(':');
        match &field.value {
            Value::Null => text.push_str("null"),
            Value::Text(value) => push_quoted(&mut text, value),
            Value::Number(value) | Value::Nested(value) => text.push_str(value),
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        }
    }
    (!text.is_empty()).then(|| text + "}")
}

fn push_quoted(text: &mut String, value: &str) {
    text.push_str(&serde_json::Value::from(value).to_string());
}
