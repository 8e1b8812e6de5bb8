//! The lake that a binary is given: a directory, or `s3://bucket/prefix`.

use std::{ffi::OsStr, path::Path, sync::Arc};

use patchkit_inventory::{LocalSource, ObjectSource};

use crate::Failure;

/// How the bucket of a lake is reached; flags that every binary has which reads one.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LakeFlags {
    /// The S3 endpoint, where it is not AWS's own
    #[arg(long, value_name = "URL", global = true)]
    endpoint_url: Option<String>,
    /// The bucket's Region
    #[arg(long, value_name = "REGION", global = true)]
    region: Option<String>,
}

/// Where a lake is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LakePlace<'a> {
    /// In a directory.
    Directory(&'a Path),
    /// In a bucket: `s3://bucket/prefix`.
    Bucket(&'a str),
}

impl LakeFlags {
    /// Tells a bucket from a directory.
    ///
    /// # Errors
    /// Where it is neither, and where flags are given that a directory has no use for.
    pub fn place<'a>(&self, lake: &'a OsStr) -> Result<LakePlace<'a>, Failure> {
        let text = lake.to_str().unwrap_or_default();
        if text.starts_with("s3://") {
            return Ok(LakePlace::Bucket(text));
        }
        if text.contains("://") {
            let message = format!("LAKE {text} is neither a directory nor s3://bucket/prefix");
            return Err(Failure::new(message));
        }
        self.of_no_use("with a directory").map(|()| LakePlace::Directory(Path::new(lake)))
    }

    /// Refuses flags that are given where there is no bucket.
    ///
    /// # Errors
    /// Which flag that is.
    pub fn of_no_use(&self, place: &str) -> Result<(), Failure> {
        let flag = match (&self.endpoint_url, &self.region) {
            (Some(_), _) => "--endpoint-url",
            (None, Some(_)) => "--region",
            (None, None) => return Ok(()),
        };
        Err(Failure::new(format!("{flag} is of no use {place}: it is for s3://bucket/prefix")))
    }

    /// Opens the lake.
    ///
    /// # Errors
    /// Where it is no place of a lake, and where the directory or the credentials are not there.
    pub async fn open(&self, lake: &OsStr) -> Result<Arc<dyn ObjectSource>, Failure> {
        match self.place(lake)? {
            LakePlace::Directory(path) => Ok(Arc::new(LocalSource::open(path)?)),
            LakePlace::Bucket(bucket) => self.bucket(bucket).await,
        }
    }

    #[cfg(feature = "s3")]
    async fn bucket(&self, lake: &str) -> Result<Arc<dyn ObjectSource>, Failure> {
        use patchkit_inventory::{S3Options, S3Source};

        let mut options = S3Options::default();
        options.endpoint_url.clone_from(&self.endpoint_url);
        options.region.clone_from(&self.region);
        let source = S3Source::connect(lake.parse()?, &options).await.map_err(|error| {
            Failure::new(format!("{lake}: {}; give --region or set AWS_REGION", error.report()))
        })?;
        Ok(Arc::new(source))
    }

    #[cfg(not(feature = "s3"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits for the credentials")]
    async fn bucket(&self, lake: &str) -> Result<Arc<dyn ObjectSource>, Failure> {
        Err(Failure::new(format!(
            "{lake} is in S3, and this program was built without that: build it with --features s3"
        )))
    }
}

/// Says that a lake has nothing in it, and what its folder looks like.
pub fn no_inventory(lake: &str) -> Failure {
    Failure::new(format!(
        "{lake} holds no inventory: give the folder above keys such as \
         AWS:InstanceInformation/accountid=111122223333/region=eu-west-1/\
         resourcetype=ManagedInstanceInventory/i-0abc.json"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(flags: &LakeFlags, lake: &'a str) -> Result<LakePlace<'a>, Failure> {
        flags.place(OsStr::new(lake))
    }

    #[test]
    fn a_bucket_is_told_from_a_directory() {
        let none = LakeFlags::default();
        assert_eq!(place(&none, "s3://b/p").unwrap(), LakePlace::Bucket("s3://b/p"));
        assert_eq!(place(&none, "s3").unwrap(), LakePlace::Directory(Path::new("s3")));
        assert!(place(&none, "gs://b").is_err());
    }

    #[test]
    fn flags_of_buckets_are_refused_elsewhere() {
        let region = LakeFlags { region: Some("eu-west-1".to_owned()), ..LakeFlags::default() };
        assert!(place(&region, "s3://b").is_ok());
        let error = place(&region, "lake").unwrap_err().to_string();
        assert!(error.contains("--region"), "{error}");
    }
}
