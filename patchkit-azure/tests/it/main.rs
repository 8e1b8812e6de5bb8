//! The provider against the simulated cloud, over the wire.

#![expect(clippy::unwrap_used, reason = "tests")]

mod addresses;
mod arm;
mod baseline;
mod cloud;
mod compliance;
mod conformance;
mod cost;
mod credential;
mod deciding;
mod estate;
mod fault;
mod fleet;
mod group;
mod harness;
mod log;
mod maintenance;
mod operation;
mod power;
mod preflight;
mod resource_group;
mod role;
mod scale_set;
mod secret;
mod tag_check;
mod tags;
