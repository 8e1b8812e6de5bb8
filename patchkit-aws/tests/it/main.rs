//! The provider against the simulated cloud, through the real SDK clients.

#![expect(clippy::unwrap_used, reason = "tests")]

mod fleet;
mod power;
mod support;
mod tags;
