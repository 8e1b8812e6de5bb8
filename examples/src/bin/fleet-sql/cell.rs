//! One value of a row.

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Float64Type, Int64Type},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::Value;

/// Times as RFC 3339 has them, and nothing where there is nothing.
const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_null("")
    .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"))
    .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));

/// The values of one column, as text and as JSON.
pub(crate) struct Cells<'a> {
    array: &'a ArrayRef,
    formatter: ArrayFormatter<'a>,
}

/// What a value is to those who write it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// Text, which came from a node or may have.
    Text,
    /// A number, a time or a truth value: made by the engine, and safe.
    Other,
}

impl<'a> Cells<'a> {
    pub(crate) fn new(array: &'a ArrayRef) -> Result<Self, ArrowError> {
        Ok(Self { array, formatter: ArrayFormatter::try_new(array.as_ref(), &OPTIONS)? })
    }

    pub(crate) fn text(&self, row: usize) -> String {
        self.formatter.value(row).to_string()
    }

    pub(crate) fn origin(&self) -> Origin {
        match self.array.data_type() {
            DataType::Boolean | DataType::Timestamp(..) => Origin::Other,
            kind if kind.is_numeric() => Origin::Other,
            _ => Origin::Text,
        }
    }

    pub(crate) fn json(&self, row: usize) -> Value {
        if self.array.is_null(row) {
            return Value::Null;
        }
        match self.array.data_type() {
            DataType::Boolean => self.array.as_boolean().value(row).into(),
            DataType::Int64 => self.array.as_primitive::<Int64Type>().value(row).into(),
            // JSON has no word for what is no number.
            DataType::Float64 => self.array.as_primitive::<Float64Type>().value(row).into(),
            kind if kind.is_integer() => self
                .text(row)
                .parse::<i64>()
                .map_or_else(|_| Value::from(self.text(row)), Value::from),
            _ => self.text(row).into(),
        }
    }
}
