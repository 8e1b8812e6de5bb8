//! The provider against the simulated cloud, through the real SDK clients.

#![expect(clippy::unwrap_used, reason = "tests")]

mod baseline;
mod cloud;
mod command;
#[cfg(feature = "ec2")]
mod conformance;
#[cfg(all(feature = "ec2", feature = "organizations"))]
mod estate;
mod fleet;
mod group;
#[cfg(feature = "ec2")]
mod harness;
mod kept;
mod power;
mod support;
mod tags;
