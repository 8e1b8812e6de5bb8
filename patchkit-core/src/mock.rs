//! Mocks of the four traits, made with [mockall](https://docs.rs/mockall).
//!
//! For unit tests of code that calls a provider: say what is expected and what is answered. For
//! tests of what a whole run does, [`memory`](crate::memory) is the better tool: it behaves.
//!
//! ```
//! use futures::{StreamExt, TryStreamExt, stream};
//! use jiff::Timestamp;
//! use patchkit_core::{
//!     Fleet, ManagedNode, NodeSelector, OperatingSystem, PowerState, mock::MockFleet,
//! };
//!
//! /// The code under test: how many nodes are off.
//! async fn off(fleet: &dyn Fleet) -> patchkit_core::Result<usize> {
//!     let off = NodeSelector::all().with_power([PowerState::Stopped, PowerState::Deallocated]);
//!     Ok(fleet.nodes(&off).try_collect::<Vec<_>>().await?.len())
//! }
//!
//! # futures::executor::block_on(async {
//! let mut fleet = MockFleet::new();
//! fleet.expect_nodes().times(1).withf(|selector| selector.power.is_some()).returning(|_| {
//!     let id = "aws/111122223333/eu-west-1/i-01".parse().unwrap();
//!     let node = ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH);
//!     stream::iter([Ok(node)]).boxed()
//! });
//! assert_eq!(off(&fleet).await?, 1);
//! # Ok::<(), patchkit_core::Error>(())
//! # }).unwrap();
//! ```

pub use crate::{
    baseline::MockBaseline, compliance::MockComplianceReport, fleet::MockFleet,
    group::MockPatchGroup,
};
