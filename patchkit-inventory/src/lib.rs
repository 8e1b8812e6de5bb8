//! The S3 lake that Systems Manager's Resource Data Sync writes: its keys and rows, one fast pass over
//! all of it, and the fleet's compliance read off it.
//!
//! - [`LakeReport`] is the [`ComplianceReport`](patchkit_core::ComplianceReport) of a lake: nodes
//!   joined with their liveness, grouped, and with what was lost or repaired in reading.
//! - [`LocalSource`] reads a directory; with the feature `s3`, `S3Source` reads a bucket.
//! - With the feature `snapshot`, `LakeSnapshot` keeps a lake as it was read, and reads only what changes.
//! - [`scan`] shows every row to a [`Visitor`], on all cores and in bounded memory.
//! - [`LakeReport::matrix`] makes of it what [what-if questions](patchkit_core::whatif) are asked of;
//!   [`parse_baselines`] and [`parse_catalogue`] read what AWS answers for them.
//! - With the feature `sql`, `FleetSql` answers SQL over a lake, its snapshot or its Parquet export, and
//!   with `parquet` too, `ParquetLake` has an export's tables for any session of DataFusion's; with
//!   `athena`, `AthenaLake` has the statements for the same tables and views on Amazon Athena.
//! - [`InventoryKey`], [`InventoryRecord`] and [`ObjectReader`] are the parts.
//!
//! Everything in a lake was written by the nodes themselves and is not trusted: no input panics, what
//! is read of one object is bounded, and what is lost has its key, its line and a reason.

mod application;
#[cfg(feature = "athena")]
mod athena;
mod baseline_file;
mod catalogue;
#[cfg(feature = "columns")]
pub mod columns;
mod finding;
mod group;
mod key;
mod matrix;
mod name_prefix;
mod node;
mod origin;
#[cfg(feature = "parquet")]
pub mod parquet;
mod plain;
mod reader;
mod record;
mod report;
#[cfg(feature = "s3")]
mod s3;
mod scan;
mod schema;
#[cfg(feature = "snapshot")]
mod snapshot;
mod source;
#[cfg(feature = "sql")]
mod sql;
mod tally;
mod version;
#[cfg(any(feature = "athena", feature = "sql"))]
mod views;

pub use application::{ApplicationQuery, ApplicationRow, NodesWanted};
#[cfg(feature = "athena")]
pub use athena::{AccountPartition, AthenaLake, AthenaStatement};
pub use baseline_file::parse_baselines;
pub use catalogue::{CatalogueReading, parse_catalogue};
pub use finding::{
    LakeReading, Listed, MAX_LISTED, RepairReason, Repaired, SkipReason, Skipped, TypeReading,
};
pub use group::{Dimension, Group, NotLive, PatchGap, StatusCounts};
pub use key::{InventoryKey, KeyProblem, MAX_KEY_BYTES};
pub use matrix::{LakeMatrix, compare_versions};
pub use name_prefix::NamePrefix;
pub use node::{Disagreement, LakeNode, Liveness, NodeInfo};
pub use plain::{PlainRow, RowLayout};
pub use reader::{Consider, MAX_LINE_BYTES, ObjectReader, ObjectReading, RowSink};
pub use record::{Field, InventoryRecord, MAX_FIELDS, MAX_NESTING, Rows, Value};
pub use report::{Checked, LakeReport, LoadOptions, PatchDetails};
#[cfg(feature = "s3")]
pub use s3::{S3Location, S3Options, S3Source};
pub use scan::{Listing, ScanOptions, Visitor, Wanted, read_object, scan};
pub use schema::{Attribute, AttributeKind, InventoryType};
#[cfg(feature = "snapshot")]
pub use snapshot::{
    LakeSnapshot, Opened, Refresh, RowCount, SnapshotOptions, SnapshotStore, Stale,
};
pub use source::{ChangeMark, ListEntry, LocalSource, ObjectBody, ObjectSource};
#[cfg(all(feature = "parquet", feature = "sql"))]
pub use sql::ParquetLake;
#[cfg(feature = "sql")]
pub use sql::{Answer, FleetSql, Losses, MAX_QUERY_BYTES, QueryLimits, lake_functions};
pub use version::{Below, PackageVersion, VersionScheme};
#[cfg(any(feature = "athena", feature = "sql"))]
pub use views::{ColumnKind, Dialect, View, ViewColumn};
