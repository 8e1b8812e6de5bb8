//! Durable journals for PatchKit's runs.
//!
//! A run that dies is taken up from its journal: the next worker waits for what was submitted,
//! submits none of it again, and puts back what was started. For that the journal has to outlive
//! the process, and here are two that do:
//!
//! - [`SqliteJournal`], a file on this machine. One process or several share
//!   it. The right one for a worker that comes back on the machine where it died.
//! - [`ObjectJournal`], objects in a bucket. Workers on many machines share
//!   runs, and one takes over what another left.
//!
//! Both keep every promise of [`Journal`](patchkit_core::Journal), held to them by the suite of
//! `patchkit-testkit`.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # async fn patch_or_go_on(path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! use futures::TryStreamExt;
//! use patchkit_core::{
//!     NodeSelector, RunId, RunState, Runs, VirtualClock,
//!     memory::MemoryCloud,
//!     workflow::{PatchOptions, Runner},
//! };
//! use patchkit_journal::SqliteJournal;
//!
//! let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse()?);
//! let fleet = MemoryCloud::builder().seed(7).nodes(20).clock(clock.clone()).build();
//! let journal = SqliteJournal::open(path, clock.clone())?;
//! let runs = Runs::new(journal.clone(), clock.clone());
//! let runner = Runner::new(fleet.clone(), fleet, journal, clock).with_holder("worker-1");
//!
//! // What died is gone on with: what was submitted is followed to its end, never submitted again.
//! let lines: Vec<_> = runs.list().try_collect().await?;
//! for line in lines.iter().filter(|line| line.state == RunState::Dead) {
//!     println!("{}", runner.resume(&line.head.run).await?);
//! }
//! let run = RunId::new("2026-11-24")?;
//! let plan = runner.plan_patch(&PatchOptions::new(NodeSelector::all())).await?;
//! runner.patch(&run, &plan).await?;
//! println!("{}", runs.story(&run).await?);
//! # Ok(())
//! # }
//! # #[cfg(feature = "sqlite")]
//! # fn main() {
//! #     let directory = tempfile::tempdir().unwrap();
//! #     futures::executor::block_on(patch_or_go_on(&directory.path().join("runs.db"))).unwrap();
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
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
