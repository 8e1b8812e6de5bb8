//! The AWS side of the simulated cloud.

pub mod sigv4;
