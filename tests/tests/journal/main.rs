//! The journal of objects on S3, as it is on the wire: conditional puts, listings in pages, signatures.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

#[path = "../../../patchkit-journal/tests/it/object/harness.rs"]
mod harness;
mod shared;

use harness::ObjectHarness;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use patchkit_testkit::cloud::{World, s3::SignatureChecks};

mod on_s3 {
    patchkit_testkit::journal_conformance!(crate::on_s3().await);
}

const BUCKET: &str = "journals";

/// A journal in a bucket of a simulated account.
async fn on_s3() -> ObjectHarness {
    let world = bucket().await;
    ObjectHarness::over(client(&world), world)
}

async fn bucket() -> World {
    let world = World::builder().nodes(1).signature_checks(SignatureChecks::On);
    let world = world.start().await.unwrap();
    world.ensure_bucket(BUCKET).unwrap();
    world
}

fn client(world: &World) -> AmazonS3 {
    let ends = world.endpoints();
    let key = &ends.credentials[0];
    AmazonS3Builder::new()
        .with_endpoint(&ends.s3_endpoint)
        .with_allow_http(true)
        .with_region(&ends.regions[0])
        .with_bucket_name(BUCKET)
        .with_access_key_id(&key.access_key_id)
        .with_secret_access_key(&key.secret_access_key)
        .build()
        .unwrap()
}
