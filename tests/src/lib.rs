//! Nothing: this crate is its tests, which cross the other crates and meet real servers.
