//! The provider against the simulated cloud, through the real SDK clients.

#[cfg(feature = "ec2")]
mod conformance;
#[cfg(feature = "ec2")]
mod harness;
