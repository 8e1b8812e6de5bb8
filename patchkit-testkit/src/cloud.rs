//! Simulated control planes of AWS and Azure.

pub mod azure;
