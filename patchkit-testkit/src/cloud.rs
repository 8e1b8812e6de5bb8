//! Simulated AWS and Azure control planes on the wire.

mod aws;
pub mod azure;
mod builder;
mod control;
mod fault;
mod keeper;
pub mod keys;
mod lake;
mod limit;
mod policy;
mod record;
pub mod s3;
mod s3_tap;
mod server;
mod shared;
mod sink;
#[cfg(test)]
mod testing;
mod throttle;
mod truth;
mod world;

pub use self::{
    aws::sns::Message,
    builder::{AccountKey, Endpoints, InvalidPattern, Throttles, World, WorldBuilder},
    fault::{Fault, FaultKind, FaultStatus},
    limit::RateLimit,
    policy::Denial,
    record::{Calls, RecordedCall},
    truth::{NodeChange, NodeTruth},
    world::machine::{Agent, Behavior, Power},
};
