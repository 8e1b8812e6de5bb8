//! In which Region a bucket is: s3s-fs 0.14 has no Regions.

use std::fs;

use s3s::{S3Result, dto::BucketLocationConstraint, s3_error};

use super::Root;
use crate::cloud::places::is_region;

/// Where a bucket is of which nothing was said, and which no constraint may name: S3 API reference,
/// `CreateBucket`.
const USUAL: &str = "us-east-1";

/// The Region that a bucket is to be in.
///
/// # Errors
/// `InvalidLocationConstraint`.
pub(super) fn asked(constraint: &BucketLocationConstraint) -> S3Result<&str> {
    let region = constraint.as_str();
    // `EU` is eu-west-1 to the oldest clients.
    if (is_region(region) && region != USUAL) || region == BucketLocationConstraint::EU {
        return Ok(region);
    }
    Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"))
}

impl Root {
    /// The constraint that a bucket was made with, if any.
    pub(super) fn location(&self, bucket: &str) -> Option<String> {
        fs::read_to_string(self.sidecar(bucket, "", "location")).ok()
    }

    /// The Region that a bucket is in.
    pub(super) fn region(&self, bucket: &str) -> String {
        match self.location(bucket) {
            None => USUAL.to_owned(),
            Some(it) if it == BucketLocationConstraint::EU => "eu-west-1".to_owned(),
            Some(region) => region,
        }
    }
}
