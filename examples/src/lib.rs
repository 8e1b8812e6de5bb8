//! What the example binaries share: exit codes, safe text, quiet broken pipes.
//!
//! The binaries are examples of embedding PatchKit:
//! - `patch-cycle` runs the whole patch cycle on a cloud in memory, and with the feature `aws` on AWS;
//! - `fleet-report` reports on a data-sync lake, on disk or in S3;
//! - `plan` shows plans that were saved, and tells what is different between two;
//! - `what-if` tells what a change of baselines would do to a fleet.

mod exit;
mod text;

pub use exit::{Exit, Failure, tell};
pub use text::{percent, printable, table, write_json};
