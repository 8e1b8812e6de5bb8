//! Simulated AWS and Azure control planes on the wire.
//!
//! A [`World`] is one fleet that two clouds see: EC2 instances, hybrid nodes, Azure VMs of which some
//! are nodes of Systems Manager too, Arc machines. It is made from a seed, its time is virtual, and
//! it serves real endpoints on loopback, to which the clouds' own SDKs and command lines are pointed.
//! Nodes scan, install, boot, hang and die as real ones do; what they report follows from the
//! baseline that applies to them.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use patchkit_testkit::cloud::{Fault, FaultKind, World};
//!
//! let world = World::builder()
//!     .seed(7)
//!     .aws_account("111122223333")
//!     .azure_subscription("11111111-2222-3333-4444-555555555555")
//!     .nodes(50)
//!     .start()
//!     .await?;
//! println!("AWS at {}", world.endpoints().aws_endpoint);
//! println!("Azure at {}", world.endpoints().azure_endpoint);
//!
//! // The second answer to SendCommand is lost, though the service has acted.
//! world.add_fault(Fault::new(FaultKind::CutAfter).on("SendCommand").skip(1).times(1))?;
//! // … what is to be tested talks to the endpoints, and time passes …
//! world.advance(std::time::Duration::from_secs(3_600));
//! assert!(world.calls().of("SendCommand").is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! `sim-cloud` serves the same from a shell; `sim-cloud --help` lists its flags, and it prints one
//! line of JSON with its endpoints and keys. Its control endpoint has these routes:
//!
//! | route | what it does |
//! |---|---|
//! | `GET /` | these routes |
//! | `GET /endpoints` | where everything listens, and the keys |
//! | `GET /clock` | the world's time and speed |
//! | `POST /clock` | `{"advance_seconds": 90}` lets time pass; `{"speed": 60}` changes the speed |
//! | `GET /calls` | every request so far; `?operation=SendCommand&service=ssm&from=17`: those of one operation, one service, of `number` 17 and later. Who asks each time from the last number and one on gets none twice, and misses none but those that `GET /record` tells of as dropped |
//! | `DELETE /calls` | forgets them; numbers go on |
//! | `GET /record` | the number of the request that comes next, how many are kept, and how many there was no room for |
//! | `GET /faults` | the faults that are set, and how often each was met |
//! | `POST /faults` | sets one: a [`Fault`], such as `{"kind": "fail", "status": 503, "operation": "SendCommand", "times": 1}` |
//! | `DELETE /faults`, `DELETE /faults/3` | takes all of them back, or one |
//! | `GET /denials` | who may not do what |
//! | `POST /denials` | adds one: a [`Denial`], such as `{"action": "ssm:SendCommand", "caller": "*reader*"}` |
//! | `GET /allowances` | who may do these things alone |
//! | `POST /allowances` | allows someone these actions and nothing else: an [`Allowance`], such as `{"actions": ["ssm:Describe*"]}` |
//! | `DELETE /denials` | lets everyone do everything: takes denials and allowances back |
//! | `GET /limits` | the rates that were set |
//! | `POST /limits` | sets one: a [`RateLimit`], such as `{"operation": "SendCommand", "per_second": 3, "burst": 5}` |
//! | `DELETE /limits` | takes them back; the documented ones stay |
//! | `POST /callers` | `{"account": "111122223333", "user": "seeder"}`: a key of another user of an account |
//! | `GET /messages` | every message that was published to a topic |
//! | `GET /nodes` | the ids of all machines |
//! | `POST /nodes` | adds one: a [`NodeSpec`], such as `{"place": {"ec2": {"account": "111122223333", "region": "us-east-1"}}, "operating_system": "UBUNTU"}`; answers with its truth and its `id` |
//! | `GET /nodes/i-…` | the truth of one, by an id of either cloud (percent-encoded) or its host name |
//! | `POST /nodes/i-…` | changes one: a [`NodeChange`], such as `{"agent": "connection_lost"}`; one of Azure's is not terminated |
//! | `PUT /patches/i-…` | replaces what is on one, and has it reported: a list of [`PatchSpec`], such as `[{"id": "openssl", "state": "MISSING"}]` |
//!
//! # Behavior
//! - One seed, one start and the same requests give the same answers.
//! - Each account has, in each Region, a stopped instance and a managed node at least, unless it is
//!   made of [no nodes](WorldBuilder::nodes): a test then [adds its own](World::add_node).
//! - A key that is not known is the first account's, and any bearer is taken, unless
//!   [`SignatureChecks::On`](s3::SignatureChecks) says otherwise; temporary credentials end in any case.
//! - What is not served answers in the service's own form of errors.
//! - What is documented of limits is held to: page sizes, batches, lengths, patterns and rates.
//! - Everything that came is in [`World::calls`]: who asked what of which nodes, and whether the
//!   service acted, whatever became of the answer.
//!
//! # A world for a test of its own
//! A world of no nodes has accounts, subscriptions, AWS's own baselines and nothing else. Nodes are
//! added with the state that each of their patches is in, whatever a baseline says of it:
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use patchkit_core::{Clock, OperatingSystem, PatchState};
//! use patchkit_testkit::cloud::{Fault, FaultKind, NodeSpec, PatchSpec, World};
//!
//! let world = World::builder().nodes(0).start().await?;
//! let node = NodeSpec::ec2(OperatingSystem::Ubuntu, "111122223333", "us-east-1")
//!     .with_tag("PatchGroup", "web")
//!     .with_patches([PatchSpec::new("openssl".parse()?, PatchState::Missing)])
//!     .scanned();
//! let id = world.add_node(&node)?;
//! assert_eq!(world.node(&id).map(|it| it.absent), Some(vec!["openssl".to_owned()]));
//!
//! // Where something waits, time passes: as long as is waited for.
//! let clock = world.clock();
//! let before = world.now();
//! clock.sleep(std::time::Duration::from_secs(3_600)).await;
//! assert_eq!(world.now().duration_since(before).as_secs(), 3_600);
//!
//! // The second page of a listing is refused, but only to whom it is tested with.
//! world.add_fault(Fault::new(FaultKind::Deny).of_caller("*:user/patchkit").on_page(2).times(1))?;
//! # Ok(())
//! # }
//! ```
//!
//! Each account has four roles: `patchkit-managed-node` and `patchkit-no-systems-manager`, with instance
//! profiles of the same names, `patchkit-hybrid-node` for activations, and `patchkit-notifications`, by
//! which commands tell topics.
//!
//! Baselines, patch groups, roles and whatever else a service keeps are best made by its own API,
//! through a client whose credentials are those of [`World::add_caller`]: under its name its requests
//! are told from those under test, and a fault [of a caller](Fault::of_caller) leaves them alone.
//!
//! # What is served
//! Azure's operations are in [`azure`], those of S3 in [`s3`].
//!
#![doc = include_str!("cloud/aws/served.md")]

mod aws;
pub mod azure;
mod builder;
mod clock;
mod control;
mod fault;
mod keeper;
pub mod keys;
mod lake;
mod limit;
mod pages;
mod places;
mod policy;
mod record;
pub mod s3;
mod s3_tap;
mod seed;
mod server;
mod shared;
mod sink;
#[cfg(test)]
mod testing;
mod throttle;
mod truth;
mod world;

pub use self::{
    aws::sns::Message,
    builder::{AccountKey, Endpoints, InvalidPattern, Throttles, World, WorldBuilder},
    clock::SimClock,
    fault::{Fault, FaultKind, FaultStatus, InvalidFault},
    limit::RateLimit,
    policy::{Allowance, Denial},
    record::{Calls, Dropped, RecordedCall},
    seed::{ExtensionSpec, NodePlace, NodeSpec, PatchSpec},
    truth::{NodeChange, NodeTruth},
    world::machine::{Agent, Behavior, Power},
};
