//! patchkit-inventory

mod finding;
mod key;
mod reader;
mod record;
mod schema;
mod source;

pub use finding::{
    LakeReading, Listed, MAX_LISTED, RepairReason, Repaired, SkipReason, Skipped, TypeReading,
};
pub use key::{InventoryKey, KeyProblem, MAX_KEY_BYTES};
pub use reader::{Consider, MAX_LINE_BYTES, ObjectReader, ObjectReading, RowSink};
pub use record::{Field, InventoryRecord, MAX_FIELDS, MAX_NESTING, Rows, Value};
pub use schema::{Attribute, AttributeKind, InventoryType};
pub use source::{ListEntry, LocalSource, ObjectBody, ObjectSource};
