//! The provider over real SDK clients, against a simulated AWS.
#![expect(clippy::unwrap_used, reason = "a test that cannot ask has failed")]

mod baseline;
mod cloud;
mod group;
mod kept;
