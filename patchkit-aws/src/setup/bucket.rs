//! The buckets of logs and of the lake.

use std::sync::Arc;

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_smithy_types::retry::RetryConfig;
use patchkit_core::{Error, ErrorKind, Result};

use super::{LakeOwner, SetupFinding, SetupItem, SetupStep, policy::LakeAccess};
use crate::{client::Client, error::PROVIDER};

const PUT_POLICY: &str = "PutBucketPolicy";

/// S3's first Region takes no name of it (S3 API reference, CreateBucket).
const FIRST_REGION: &str = "us-east-1";

pub(super) async fn find(client: &Client, item: SetupItem, bucket: &str) -> SetupFinding {
    match exists(client, bucket).await {
        Ok(true) => SetupFinding::present(item),
        Ok(false) => {
            let step = SetupStep::CreateBucket { bucket: bucket.to_owned() };
            SetupFinding::missing(item, vec![step])
        }
        Err(error) => SetupFinding::unknown(item, error.report()),
    }
}

pub(super) async fn find_lake(client: &Client, lake: &LakeOwner) -> [SetupFinding; 2] {
    let to = &lake.expected.destination;
    let bucket = find(client, SetupItem::LakeBucket(to.bucket.clone()), &to.bucket).await;
    let access = LakeAccess::new(lake, client.partition());
    let policy = match current_policy(client, &to.bucket).await {
        // Without a bucket there is none either.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read,
    };
    let item = SetupItem::LakePolicy(to.bucket.clone());
    let policy = match policy {
        Ok(seen) => judge(item, &to.bucket, access, seen.as_deref()),
        Err(error) => SetupFinding::unknown(item, error.report()),
    };
    [bucket, policy]
}

/// Pure: what a bucket's policy is worth.
fn judge(item: SetupItem, bucket: &str, access: LakeAccess, seen: Option<&str>) -> SetupFinding {
    let Some(seen) = seen else {
        let step = SetupStep::PutBucketPolicy { bucket: bucket.to_owned(), access };
        return SetupFinding::missing(item, vec![step]);
    };
    let lacks = access.lacks(bucket, seen);
    if lacks.is_empty() {
        return SetupFinding::present(item);
    }
    SetupFinding::wrong(item, lacks.join("; "))
}

pub(super) async fn exists(client: &Client, bucket: &str) -> Result<bool> {
    let request = client
        .s3()
        .head_bucket()
        .bucket(bucket)
        .expected_bucket_owner(client.scope.account().as_str());
    match client.read("HeadBucket", request.send()).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) async fn create(client: &Client, bucket: &str) -> Result<()> {
    let region = client.scope.region().as_str();
    let place = (region != FIRST_REGION).then(|| {
        CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(region))
            .build()
    });
    let request = client.s3().create_bucket().bucket(bucket).set_create_bucket_configuration(place);
    let request = request.customize().config_override(once());
    client.write("CreateBucket", request.send()).await.map(drop)
}

async fn current_policy(client: &Client, bucket: &str) -> Result<Option<String>> {
    let request = client.s3().get_bucket_policy().bucket(bucket);
    match client.read("GetBucketPolicy", request.send()).await {
        Ok(answer) => Ok(answer.policy),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a bucket's policy is as it should be. One that is there and is not is never replaced.
pub(super) async fn lets_in(
    client: &Arc<Client>,
    bucket: &str,
    access: &LakeAccess,
) -> Result<bool> {
    let Some(seen) = current_policy(client, bucket).await? else { return Ok(false) };
    let lacks = access.lacks(bucket, &seen);
    if lacks.is_empty() {
        return Ok(true);
    }
    let message = format!("{bucket} has another policy by now: {}", lacks.join("; "));
    Err(Error::new(ErrorKind::Conflict, PROVIDER, PUT_POLICY, message))
}

pub(super) async fn put_policy(client: &Client, bucket: &str, access: &LakeAccess) -> Result<()> {
    let request = client
        .s3()
        .put_bucket_policy()
        .bucket(bucket)
        .expected_bucket_owner(client.scope.account().as_str())
        .policy(access.document(bucket));
    let request = request.customize().config_override(once());
    client.write(PUT_POLICY, request.send()).await.map(drop)
}

fn once() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().retry_config(RetryConfig::disabled())
}
