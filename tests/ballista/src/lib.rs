//! Nothing: this crate is its tests, which start Ballista's processes.
