//! For those who write or embed a PatchKit provider: conformance suite, fault injection, sample lakes.

pub mod cases;
#[cfg(feature = "cloud")]
pub mod cloud;
pub mod estate;
pub mod fault;
mod harness;
pub mod journal;
pub mod lake;
pub mod linked;
mod macros;
pub mod memory;
mod rng;
pub mod workflow;

pub use harness::{Harness, Membership, NodeSeed, PatchSeed, Scanned, Trouble, TroubleKind};
