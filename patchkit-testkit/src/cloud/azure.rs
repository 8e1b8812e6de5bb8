//! The Azure side of the simulated control planes.

pub mod graph;
