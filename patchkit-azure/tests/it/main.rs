//! The provider against the simulated cloud, over the wire.

#![expect(clippy::unwrap_used, reason = "tests")]

mod arm;
mod baseline;
mod cloud;
mod conformance;
mod credential;
mod fault;
mod fleet;
mod group;
mod harness;
mod log;
mod maintenance;
mod power;
mod resource_group;
mod scale_set;
mod secret;
mod tags;
