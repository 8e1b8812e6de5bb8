//! A lake in S3, or behind any endpoint that speaks S3.

mod client;
mod listing;

use std::{fmt, str::FromStr};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::{Client, config::Builder};
use patchkit_core::{Error, Result};

/// A bucket, and the part of it that is the lake.
///
/// ```
/// use patchkit_inventory::S3Location;
///
/// let lake: S3Location = "s3://central-inventory/sync/prod/".parse()?;
/// assert_eq!((lake.bucket(), lake.prefix()), ("central-inventory", "sync/prod"));
/// assert_eq!(lake.to_string(), "s3://central-inventory/sync/prod");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct S3Location {
    bucket: Box<str>,
    prefix: Box<str>,
}

impl S3Location {
    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The prefix without slashes around it; empty for the whole bucket.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What every key of the lake begins with. The slash keeps `sync-old/` out of `sync/`.
    fn start(&self) -> String {
        if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) }
    }
}

impl FromStr for S3Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let path = text.strip_prefix("s3://").unwrap_or_default();
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.is_empty() {
            let message = format!("{text:?} is not s3://bucket/prefix");
            return Err(Error::invalid("s3", "parse", message));
        }
        Ok(Self { bucket: bucket.into(), prefix: prefix.trim_matches('/').into() })
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

/// How a lake in S3 is reached; what is not set here comes from the environment, as for every AWS
/// tool.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct S3Options {
    /// The endpoint, where it is not AWS's public one. Buckets are then named in the path.
    pub endpoint_url: Option<String>,
    /// The Region.
    pub region: Option<String>,
}

impl S3Options {
    /// Talks to this endpoint.
    #[must_use]
    pub fn with_endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Talks to this Region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }
}

/// A lake in a bucket.
///
/// # Behavior
/// - Keys are listed folder by folder, many folders at once, so that they come in no order.
/// - An object's mark is its ETag with its time and size.
/// - An object that breaks off half-way is asked for from there on, and
///   only as long as it is the same object.
/// - Its futures need a tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct S3Source {
    client: Client,
    location: S3Location,
}

impl S3Source {
    /// A lake behind a client that the caller has configured.
    pub fn new(client: Client, location: S3Location) -> Self {
        Self { client, location }
    }

    /// A lake behind a client with the usual credential chain: environment, profile, SSO, container
    /// and instance roles.
    ///
    /// # Errors
    /// `InvalidInput` where no Region is known. A custom endpoint needs none.
    pub async fn connect(location: S3Location, options: &S3Options) -> Result<Self> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let mut builder = Builder::from(&config);
        if config.endpoint_url().is_some() {
            // Bucket names as host names need DNS that a private endpoint rarely has.
            builder = builder.force_path_style(true);
        }
        if config.region().is_none() {
            if config.endpoint_url().is_none() {
                return Err(Error::invalid("s3", "connect", "no Region is configured"));
            }
            builder = builder.region(Region::new("us-east-1"));
        }
        Ok(Self::new(Client::from_conf(builder.build()), location))
    }

    /// Where the lake is.
    pub fn location(&self) -> &S3Location {
        &self.location
    }
}

#[cfg(test)]
mod tests {
    use patchkit_core::ErrorKind;

    use super::*;

    #[test]
    fn locations_are_read_with_and_without_prefix() {
        for (text, bucket, start) in [
            ("s3://b", "b", ""),
            ("s3://b/", "b", ""),
            ("s3://b/a", "b", "a/"),
            ("s3://b/a/c//", "b", "a/c/"),
        ] {
            let location: S3Location = text.parse().unwrap();
            assert_eq!((location.bucket(), &*location.start()), (bucket, start));
        }
        for text in ["b/a", "s3://", "s3:///a", "https://b"] {
            assert_eq!(text.parse::<S3Location>().unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
