//! Simulated AWS and Azure control planes on the wire.

mod aws;
mod builder;
mod control;
mod fault;
mod policy;
mod record;
mod server;
mod shared;
mod truth;
mod world;

pub use self::{
    aws::sns::Message,
    builder::{AccountKey, Endpoints, InvalidPattern, World, WorldBuilder},
    fault::{Fault, FaultKind, FaultStatus},
    policy::Denial,
    record::{Calls, RecordedCall},
    truth::{NodeChange, NodeTruth},
    world::machine::{Agent, Behavior, Power},
};
