//! Each fault of the simulator, and what comes of it for whom it meets: one who lists a fleet, reports
//! its compliance, switches machines, sends a command or runs a patch run.
//!
//! What a lost answer to a single command comes to stands in `command::sending`.

mod credentials;
mod patch;
mod power;
mod reads;

use std::{sync::Arc, time::Duration};

use aws_config::{SdkConfig, retry::RetryConfig};
use futures::{StreamExt, stream::BoxStream};
use patchkit_aws::{CallBudget, Ssm};
use patchkit_core::{Error, Result};
use patchkit_testkit::cloud::{Fault, FaultKind, World};

use crate::support::{REGION, sdk};

/// As an embedder has it: the SDK tries what it may three times.
fn patient(world: &World) -> SdkConfig {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    sdk(world, REGION).to_builder().retry_config(retries).build()
}

/// A provider of fifty rows a page, so that listings have pages.
async fn provider(world: &Arc<World>, sdk: &SdkConfig) -> Ssm {
    Ssm::builder(sdk)
        .with_s3_endpoint(&world.endpoints().s3_endpoint)
        .with_clock(world.clock())
        .with_budget(CallBudget::unlimited())
        .with_page_size(50)
        .build()
        .await
        .unwrap()
}

/// The rows of a listing, and the error that ended it: nothing comes after one.
async fn rows<T>(mut listing: BoxStream<'static, Result<T>>) -> (Vec<T>, Option<Error>) {
    let mut rows = Vec::new();
    while let Some(row) = listing.next().await {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => {
                assert!(listing.next().await.is_none(), "a row after {error}");
                return (rows, Some(error));
            }
        }
    }
    (rows, None)
}

/// Does something while a fault is set, which must meet a request.
async fn under<T>(world: &World, fault: Fault, what: impl Future<Output = T>) -> T {
    let number = world.add_fault(fault).unwrap();
    let done = what.await;
    let status = world.faults().into_iter().find(|it| it.number == number).unwrap();
    assert!(status.met > 0, "{:?} met nothing", status.fault);
    assert!(world.remove_fault(number));
    done
}

/// Whether an error may be tried again.
fn word(kind: FaultKind, error: &Error) -> String {
    let again = if error.is_retryable() { "again" } else { "never" };
    format!("{}: {:?}, {again}", kind.as_str(), error.kind())
}
