//! The provider against the simulated cloud, over the wire.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cloud;
mod conformance;
mod credential;
mod fault;
mod fleet;
mod harness;
mod log;
mod operation;
mod power;
mod resource_group;
mod scale_set;
mod secret;
mod tags;
