//! The durable journals keep what a journal promises, whatever dies, breaks or comes in between.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod kill;
mod object;
mod sqlite;
mod told;
mod workflow;
