//! Nothing: this crate is its tests, which cross the other crates and meet real servers.

/// The README's examples are held against the code as every other one.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
