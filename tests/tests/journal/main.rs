//! The journal of objects on S3, as it is on the wire: conditional puts, listings in pages, signatures.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../../../patchkit-journal/tests/it/object/harness.rs"]
mod harness;
mod shared;

use std::sync::LazyLock;

use harness::ObjectHarness;
use object_store::{
    aws::{AmazonS3, AmazonS3Builder},
    client::SpawnedReqwestConnector,
};
use patchkit_testkit::cloud::{World, s3::SignatureChecks};
use tokio::runtime::Runtime;

mod on_s3 {
    patchkit_testkit::journal_conformance!(crate::on_s3().await);
}

const BUCKET: &str = "journals";

/// A journal in a bucket of a simulated account.
async fn on_s3() -> ObjectHarness {
    let world = bucket().await;
    ObjectHarness::over(client(&world), world)
}

/// Cases work from threads of their own while the test's thread waits for them: neither the server nor
/// its clients may be driven by that.
static NETWORK: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

async fn bucket() -> World {
    let world = World::builder().nodes(1).signature_checks(SignatureChecks::On);
    let starting = NETWORK.spawn(async { world.start().await });
    let world = starting.await.unwrap().unwrap();
    world.ensure_bucket(BUCKET).unwrap();
    world
}

fn client(world: &World) -> AmazonS3 {
    let ends = world.endpoints();
    let key = &ends.credentials[0];
    AmazonS3Builder::new()
        .with_endpoint(&ends.s3_endpoint)
        .with_allow_http(true)
        .with_http_connector(SpawnedReqwestConnector::new(NETWORK.handle().clone()))
        .with_region(&ends.regions[0])
        .with_bucket_name(BUCKET)
        .with_access_key_id(&key.access_key_id)
        .with_secret_access_key(&key.secret_access_key)
        .build()
        .unwrap()
}
