//! Simulated AWS and Azure control planes on the wire.

mod aws;
pub mod azure;
mod builder;
mod record;
mod server;
mod shared;
mod throttle;
mod world;

pub use self::{
    builder::{AccountKey, Endpoints, Throttles, World, WorldBuilder},
    record::{Calls, RecordedCall},
    world::machine::{Agent, Behavior},
};
