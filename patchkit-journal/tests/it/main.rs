//! The durable journals keep what a journal promises, whatever dies, breaks or comes in between.

mod object;
mod sqlite;
