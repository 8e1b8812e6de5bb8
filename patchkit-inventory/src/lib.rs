//! patchkit-inventory

mod application;
mod finding;
mod group;
mod key;
mod node;
mod reader;
mod record;
mod report;
mod scan;
mod schema;
mod source;
mod tally;
mod version;

pub use application::{ApplicationQuery, ApplicationRow, NodesWanted};
pub use finding::{
    LakeReading, Listed, MAX_LISTED, RepairReason, Repaired, SkipReason, Skipped, TypeReading,
};
pub use group::{Dimension, Group, NotLive, PatchGap, StatusCounts};
pub use key::{InventoryKey, KeyProblem, MAX_KEY_BYTES};
pub use node::{Disagreement, LakeNode, Liveness, NodeInfo};
pub use reader::{Consider, MAX_LINE_BYTES, ObjectReader, ObjectReading, RowSink};
pub use record::{Field, InventoryRecord, MAX_FIELDS, MAX_NESTING, Rows, Value};
pub use report::{LakeReport, LoadOptions, PatchDetails};
pub use scan::{ScanOptions, Visitor, read_object, scan};
pub use schema::{Attribute, AttributeKind, InventoryType};
pub use source::{ListEntry, LocalSource, ObjectBody, ObjectSource};
pub use version::{Below, PackageVersion, VersionScheme};
