//! The provider against the simulated cloud, through the real SDK clients.

#![expect(clippy::unwrap_used, reason = "tests")]

mod command;
mod support;
