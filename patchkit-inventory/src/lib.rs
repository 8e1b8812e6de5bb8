//! patchkit-inventory

mod finding;
mod key;
mod record;
mod schema;

pub use finding::{
    LakeReading, Listed, MAX_LISTED, RepairReason, Repaired, SkipReason, Skipped, TypeReading,
};
pub use key::{InventoryKey, KeyProblem, MAX_KEY_BYTES};
pub use record::{Field, InventoryRecord, MAX_FIELDS, MAX_NESTING, Rows, Value};
pub use schema::{Attribute, AttributeKind, InventoryType};
