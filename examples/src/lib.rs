//! What the example binaries share: exit codes, safe text, quiet broken pipes, the
//! place of a lake and its snapshot, and hooks.
//!
//! The binaries are examples of embedding PatchKit:
//! - `patch-cycle` runs the whole patch cycle on a cloud in memory, and with the feature `aws` on AWS;
//! - `fleet-report` reports on a data-sync lake, on disk or in S3;
//! - `fleet-sbom` writes what nodes run as CycloneDX, and which advisories hit them;
//! - `fleet-sql`, with the feature `sql`, answers SQL over a data-sync lake, its snapshot or its
//!   Parquet export;
//! - `lake-parquet`, with the feature `parquet`, writes a data-sync lake as Parquet for query engines;
//! - `plan` shows plans that were saved, and tells what is different between two;
//! - `what-if` tells what a change of baselines would do to a fleet, in a lake on disk or in S3;
//! - `patch-hooks` patches a fleet in memory and calls commands and addresses around its nodes;
//! - `patchd`, with the feature of that name, is a daemon that carries out schedules.

mod exit;
mod hooks;
mod hurried;
#[cfg(feature = "snapshot")]
mod kept;
mod lake;
mod text;

pub use exit::{Exit, Failure, tell};
#[cfg(feature = "http")]
pub use hooks::HttpHook;
pub use hooks::ShellHook;
pub use hurried::HurriedClock;
#[cfg(feature = "snapshot")]
pub use kept::refreshed;
pub use lake::{LakeFlags, LakePlace, no_inventory};
pub use text::{percent, printable, sheet_cell, table, write_json, write_json_value};
