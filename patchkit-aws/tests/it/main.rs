//! The provider against the simulated cloud, through the real SDK clients.

#![expect(clippy::unwrap_used, reason = "tests")]

mod command;
#[cfg(feature = "ec2")]
mod conformance;
mod fleet;
#[cfg(feature = "ec2")]
mod harness;
mod hybrid;
mod power;
mod support;
mod sync;
mod tags;
