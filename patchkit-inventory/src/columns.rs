//! Rows as Arrow's columns: one table for each inventory type.
//!
//! The names and kinds of the columns are part of the public interface:
//!
//! | columns | what they hold | Arrow's type |
//! |---|---|---|
//! | `account_id`, `region`, `node_id` | of the key; never null | `Utf8View` |
//! | `partition_resource_type` | the key's `resourcetype=…`, which is not the node's kind | `Utf8View` |
//! | the type's [attributes](InventoryType::attributes) in their order, in snake case: `computer_name`, `kb_id`, `cve_ids`, `cpu_speed_mhz`; `resource_type` is the body's `ResourceType` | text, `AttributeKind::Text` | `Utf8View` |
//! | the same: `missing_count`, `cpus` | counts, `AttributeKind::Number` | `Int64` |
//! | `capture_time`, `schema_version` | what the service adds to every row | `Utf8View` |
//! | `other_fields` | the fields that are not documented and the counts that cannot be read, as a JSON object; null where there are none | `Utf8View` |
//!
//! - What a row does not have is null; so is an empty text, as the agents write for it, and a number that
//!   is none. The latter is told as [`RepairReason::TypeDrift`](crate::RepairReason::TypeDrift), and is
//!   in `other_fields`, so that a count that cannot be read is not taken for one that is not there.
//! - A custom or unknown type has the key's columns, `capture_time`, `schema_version` and
//!   `other_fields`, which then has every field of the row.
//! - Copies of the key in a row (`resourceId`, `accountId`, `region`, and `resourceType` where it is
//!   not documented) are no columns.

mod batch;
mod name;
mod read;
mod values;

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

#[cfg(all(feature = "snapshot", feature = "sql"))]
pub(crate) use self::batch::{From, key_part, others, sources};
#[cfg(feature = "athena")]
pub(crate) use self::name::column as column_name;
pub use self::read::{BatchBounds, ColumnOptions, ColumnReader, ColumnSink, scan_columns};
use crate::{AttributeKind, InventoryType};

/// How many columns come from the key.
const KEY_COLUMNS: usize = 4;

/// The columns of a type's rows.
///
/// ```
/// use patchkit_inventory::{InventoryType, columns::table_schema};
///
/// let schema = table_schema(&InventoryType::Tag);
/// let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
/// assert_eq!(names, [
///     "account_id", "region", "node_id", "partition_resource_type",
///     "key", "value", "capture_time", "schema_version", "other_fields",
/// ]);
/// ```
pub fn table_schema(ty: &InventoryType) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8View, true);
    let mut fields = vec![
        Field::new("account_id", DataType::Utf8View, false),
        Field::new("region", DataType::Utf8View, false),
        Field::new("node_id", DataType::Utf8View, false),
        text("partition_resource_type"),
    ];
    fields.extend(ty.attributes().iter().map(|attribute| {
        let name = name::column(attribute.name);
        match attribute.kind {
            AttributeKind::Text => text(&name),
            AttributeKind::Number => Field::new(name, DataType::Int64, true),
        }
    }));
    fields.extend([text("capture_time"), text("schema_version"), text("other_fields")]);
    Arc::new(Schema::new(fields))
}

/// The name of a type's table: `aws_application` of `AWS:Application`.
///
/// ```
/// use patchkit_inventory::{InventoryType, columns::table_name};
///
/// assert_eq!(table_name(&InventoryType::AwsComponent), "aws_aws_component");
/// assert_eq!(table_name(&"Custom:Rack Row".parse().unwrap()), "custom_rack_row");
/// ```
pub fn table_name(ty: &InventoryType) -> String {
    let (owner, name) = ty.as_str().split_once(':').unwrap_or(("other", ty.as_str()));
    let mut table = owner.to_ascii_lowercase();
    for c in format!("_{}", name::column(name)).chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !table.ends_with('_') {
            table.push(c);
        }
    }
    table
}

#[cfg(test)]
mod tests;
