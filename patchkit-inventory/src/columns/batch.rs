//! Rows of one type, gathered into columns.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch, RecordBatchOptions,
    builder::{Int64Builder, StringViewBuilder},
};
use arrow_schema::{Schema, SchemaRef};
use patchkit_core::{Error, ErrorKind, Result};

use super::{KEY_COLUMNS, table_schema};
use crate::{
    AttributeKind, InventoryKey, InventoryRecord, InventoryType, Value, record::parse_count,
};

/// Gathers the rows of one type.
#[derive(Debug)]
pub(super) struct TypeColumns {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
}

#[derive(Debug)]
struct Column {
    from: From,
    values: Values,
}

/// Where the values of a column come from.
#[derive(Clone, Copy, Debug)]
enum From {
    /// A part of the key, by its place.
    Key(usize),
    /// A documented field.
    Field(&'static str),
    /// All that is not documented.
    Others,
}

#[derive(Debug)]
enum Values {
    Text(StringViewBuilder),
    Number(Int64Builder),
}

/// Fields that are no columns of their own: they repeat the key.
const COPIES: [&str; 4] = ["resourceId", "accountId", "region", "resourceType"];

impl TypeColumns {
    /// The columns of that type, or those of them that are wanted.
    pub(super) fn new(ty: &InventoryType, wanted: Option<&BTreeSet<Box<str>>>) -> Self {
        let schema = table_schema(ty);
        let attributes = ty.attributes().iter().map(|it| (From::Field(it.name), it.kind));
        let sources = (0..KEY_COLUMNS)
            .map(|part| (From::Key(part), AttributeKind::Text))
            .chain(attributes)
            .chain([
                (From::Field("captureTime"), AttributeKind::Text),
                (From::Field("schemaVersion"), AttributeKind::Text),
                (From::Others, AttributeKind::Text),
            ]);
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, (from, kind)) in schema.fields().iter().zip(sources) {
            if wanted.is_none_or(|wanted| wanted.contains(field.name().as_str())) {
                fields.push(Arc::clone(field));
                let values = match kind {
                    AttributeKind::Text => Values::Text(StringViewBuilder::new()),
                    AttributeKind::Number => Values::Number(Int64Builder::new()),
                };
                columns.push(Column { from, values });
            }
        }
        Self { schema: Arc::new(Schema::new(fields)), columns, rows: 0 }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn push(&mut self, key: &InventoryKey, row: &InventoryRecord<'_>) {
        self.rows += 1;
        for column in &mut self.columns {
            match (&mut column.values, column.from) {
                (Values::Text(values), From::Key(part)) => {
                    values.append_option(key_part(key, part))
                }
                (Values::Text(values), From::Field(name)) => values.append_option(row.text(name)),
                (Values::Text(values), From::Others) => values.append_option(others(key, row)),
                (Values::Number(values), From::Field(name)) => {
                    values.append_option(row.text(name).and_then(parse_count).map(i64::from));
                }
                (Values::Number(values), _) => values.append_null(),
            }
        }
    }

    /// What was gathered since the last time; `None` where that is nothing.
    pub(super) fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let columns: Vec<ArrayRef> = self
            .columns
            .iter_mut()
            .map(|column| match &mut column.values {
                Values::Text(values) => Arc::new(values.finish()) as ArrayRef,
                Values::Number(values) => Arc::new(values.finish()),
            })
            .collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows);
        batch.map(Some).map_err(|error| {
            let message = "the columns of a type do not fit together";
            Error::new(ErrorKind::Unexpected, "lake", "columns", message).with_source(error)
        })
    }
}

fn key_part(key: &InventoryKey, part: usize) -> Option<&str> {
    let scope = key.node().scope();
    match part {
        0 => Some(scope.account().as_str()),
        1 => Some(scope.region().as_str()),
        2 => Some(key.node().resource()),
        _ => key.partition_kind(),
    }
}

/// The fields of a row that are not documented, as one JSON object.
fn others(key: &InventoryKey, row: &InventoryRecord<'_>) -> Option<String> {
    let ty = key.inventory_type();
    let is_other = |name: &str| match ty.is_documented() {
        true => ty.attribute(name).is_none(),
        false => !COPIES.iter().any(|copy| copy.eq_ignore_ascii_case(name)),
    };
    let mut text = String::new();
    for field in row.fields().iter().filter(|field| is_other(&field.name)) {
        text.push(if text.is_empty() { '{' } else { ',' });
        push_quoted(&mut text, &field.name);
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
