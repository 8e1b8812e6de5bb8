//! The provider against the simulated cloud, through the real SDK clients.

#![expect(clippy::unwrap_used, reason = "tests")]

mod association;
mod automation;
mod baseline;
mod cloud;
mod command;
mod compliance;
#[cfg(feature = "ec2")]
mod conformance;
mod fleet;
mod group;
#[cfg(feature = "ec2")]
mod harness;
mod kept;
mod policy;
mod power;
#[cfg(feature = "resource-groups")]
mod resource_group;
mod support;
mod tags;
mod window;
