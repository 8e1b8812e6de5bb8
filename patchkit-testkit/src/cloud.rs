//! A simulated cloud on loopback.

pub mod aws;
pub mod keys;
pub mod s3;
