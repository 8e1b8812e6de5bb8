//! Which objects of a lake a filter leaves, by their keys alone.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    catalog::Session,
    common::{DFSchema, Result, ScalarValue},
    logical_expr::{BinaryExpr, Expr, Like, Operator, utils::conjunction},
};

use super::ledger::Listed;

/// The columns that a key gives, in their order: the first of every table.
pub(super) const KEY_COLUMNS: [&str; 4] =
    ["account_id", "region", "node_id", "partition_resource_type"];

/// How many keys are held against a filter at once.
const CHUNK: usize = 8_192;

/// The key columns of a table, as the reader gives them.
pub(super) fn key_schema() -> SchemaRef {
    let fields = KEY_COLUMNS.map(|name| Field::new(name, DataType::Utf8View, true));
    Arc::new(Schema::new(fields.to_vec()))
}

/// Whether keys alone decide a filter, each time alike.
pub(super) fn is_of_keys(filter: &Expr) -> bool {
    !filter.is_volatile()
        && filter.column_refs().iter().all(|column| KEY_COLUMNS.contains(&column.name()))
        && !filter.column_refs().is_empty()
}

/// The key columns of objects.
pub(super) fn key_batch(objects: &[Listed]) -> Result<RecordBatch> {
    let texts = |text: fn(&Listed) -> Option<&str>| -> ArrayRef {
        Arc::new(objects.iter().map(text).collect::<StringViewArray>())
    };
    let columns = vec![
        texts(|it| Some(it.node.scope().account().as_str())),
        texts(|it| Some(it.node.scope().region().as_str())),
        texts(|it| Some(it.node.resource())),
        texts(|it| it.partition_kind.as_deref()),
    ];
    Ok(RecordBatch::try_new(key_schema(), columns)?)
}

/// The objects that every filter about keys takes, in the order of the listing.
pub(super) fn chosen(
    objects: &[Listed],
    filters: &[Expr],
    session: &dyn Session,
) -> Result<Vec<Listed>> {
    let Some(filter) = conjunction(filters.iter().filter(|it| is_of_keys(it)).cloned()) else {
        return Ok(objects.to_vec());
    };
    let schema = DFSchema::try_from(key_schema())?;
    let filter = session.create_physical_expr(filter, &schema)?;
    let mut chosen = Vec::new();
    for chunk in objects.chunks(CHUNK) {
        let takes = filter.evaluate(&key_batch(chunk)?)?.into_array(chunk.len())?;
        let takes: &BooleanArray = takes.as_boolean();
        let taken = chunk.iter().zip(takes).filter(|(_, takes)| *takes == Some(true));
        chosen.extend(taken.map(|(object, _)| object.clone()));
    }
    Ok(chosen)
}

/// What the value of a column must begin with for a filter to take its row, where the filter says so:
/// `name = 'openssl'`, `name LIKE 'openssl%'`, `starts_with(name, 'openssl')`.
pub(super) fn prefix(filter: &Expr, column: &str) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            match (is_column(left, column), is_column(right, column)) {
                (true, _) => literal(right),
                (_, true) => literal(left),
                _ => None,
            }
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, .. })
            if is_column(expr, column) =>
        {
            let pattern = literal(pattern)?;
            let end = pattern.find(['%', '_', '\\']).unwrap_or(pattern.len());
            Some(pattern[..end].to_owned())
        }
        Expr::ScalarFunction(call) if call.name() == "starts_with" => match &call.args[..] {
            [text, start] if is_column(text, column) => literal(start),
            _ => None,
        },
        _ => None,
    }
    .filter(|prefix| !prefix.is_empty())
}

fn is_column(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Column(column) => column.name() == name,
        Expr::Cast(cast) => is_column(&cast.expr, name),
        _ => false,
    }
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text),
            _,
        ) => text.clone(),
        _ => None,
    }
}
