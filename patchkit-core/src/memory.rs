//! A complete provider in memory, for tests, examples and demonstrations.
//!
//! [`MemoryCloud`] implements all four traits with the behaviour that their documentation promises:
//! nodes take time to start, agents to answer and installs to finish, on the clock that is handed
//! in. The same seed and the same calls take the same course each time. [`MemoryJournal`] is the
//! journal that goes with it.
//!
//! ```
//! use patchkit_core::{
//!     Fleet, FleetExt, NodeSelector, PowerState, PowerTarget, VirtualClock,
//!     memory::{MemoryCloud, MemoryNode},
//!     OperatingSystem,
//! };
//!
//! # futures::executor::block_on(async {
//! let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
//! let cloud = MemoryCloud::builder().clock(clock.clone()).build();
//! let id = "aws/111122223333/eu-west-1/i-01".parse()?;
//! cloud.insert(MemoryNode::new(id, OperatingSystem::Ubuntu).with_power(PowerState::Stopped));
//!
//! let node = &cloud.collect_nodes(&NodeSelector::all()).await?[0].id;
//! cloud.set_power(std::slice::from_ref(node), PowerTarget::Running).await;
//! assert_eq!(cloud.status(node).await?.power, PowerState::Starting);
//! # Ok::<(), patchkit_core::Error>(())
//! # }).unwrap();
//! ```

mod act;
mod baseline;
mod call;
mod catalogue;
mod cloud;
mod compliance;
mod fleet;
mod group;
mod journal;
mod ledger;
mod life;
mod node;
mod world;

pub use self::{
    call::{Fault, MemoryCall},
    cloud::MemoryCloud,
    journal::MemoryJournal,
    node::{Behavior, MemoryNode},
    world::MemoryCloudBuilder,
};
