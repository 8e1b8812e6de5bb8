//! Simulated AWS and Azure control planes on the wire.

mod aws;
mod builder;
mod keeper;
mod lake;
mod record;
mod server;
mod shared;
mod sink;
#[cfg(test)]
mod testing;
mod world;

pub use self::{
    builder::{AccountKey, Endpoints, World, WorldBuilder},
    record::{Calls, RecordedCall},
    world::machine::{Agent, Behavior},
};
