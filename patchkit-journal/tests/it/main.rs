//! The durable journals keep what a journal promises, whatever dies, breaks or comes in between.

mod kill;
mod object;
mod sqlite;
mod workflow;
