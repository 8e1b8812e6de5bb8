//! The provider against the simulated cloud, through the real SDK clients; in part against moto, and
//! on request against AWS itself.

#![expect(clippy::unwrap_used, reason = "tests")]

mod association;
#[cfg(feature = "athena")]
mod athena;
mod automation;
mod baseline;
#[cfg(all(feature = "ec2", feature = "organizations", feature = "sns"))]
mod both;
mod cloud;
mod command;
mod compliance;
#[cfg(feature = "ec2")]
mod conformance;
mod cost;
#[cfg(all(feature = "ec2", feature = "organizations"))]
mod estate;
#[cfg(all(feature = "ec2", feature = "sns"))]
mod fault;
mod fleet;
mod group;
#[cfg(feature = "ec2")]
mod harness;
#[cfg(feature = "config")]
mod history;
mod hybrid;
#[cfg(all(feature = "ec2", feature = "organizations", feature = "sns"))]
mod live;
mod log;
#[cfg(all(
    feature = "config",
    feature = "ec2",
    feature = "organizations",
    feature = "resource-groups",
    feature = "s3",
    feature = "sns"
))]
mod policy;
mod power;
#[cfg(feature = "resource-groups")]
mod resource_group;
#[cfg(feature = "ec2")]
mod secret;
#[cfg(all(feature = "ec2", feature = "organizations", feature = "sns"))]
mod server;
#[cfg(all(feature = "ec2", feature = "s3"))]
mod setup;
mod support;
mod sync;
mod tags;
mod window;
mod wire;
