//! Durable journals for PatchKit's runs.
//!
//! A run that dies is taken up from its journal: the next worker waits for what was submitted,
//! submits none of it again, and puts back what was started. For that the journal has to outlive
//! the process, and here are two that do:
//!
//! - [`SqliteJournal`](sqlite::SqliteJournal), a file on this machine. One process or several share
//!   it. The right one for a worker that comes back on the machine where it died.
//! - [`ObjectJournal`](object::ObjectJournal), objects in a bucket. Workers on many machines share
//!   runs, and one takes over what another left.
//!
//! Both keep every promise of [`Journal`](patchkit_core::Journal), held to them by the suite of
//! `patchkit-testkit`.
//!
//! # Features
//! - `sqlite`, on by default: compiles SQLite itself, which takes a C compiler.
//! - `object-store`: over any store of the `object_store` crate; `aws` and `azure` switch its
//!   clients for S3 and Azure Blob Storage on.

#[cfg(feature = "object-store")]
pub mod object;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "object-store")]
pub use object::ObjectJournal;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteJournal, SqliteOptions};
