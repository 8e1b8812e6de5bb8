//! What may pass from S3's names to the file system's, and who may pass at all.

use std::sync::Arc;

use async_trait::async_trait;
use s3s::{
    S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    dto::{
        CopyObjectInput, CopySource, CreateMultipartUploadInput, DeleteObjectsInput,
        ListObjectsInput, ListObjectsV2Input, PutObjectInput, UploadPartCopyInput,
    },
    host::{S3Host, VirtualHost},
    path::check_bucket_name,
    s3_error,
};

use super::{SignatureChecks, tap::bucket_of_host};
use crate::cloud::keys::Keys;

/// The longest name of a file or folder.
const LONGEST_NAME: usize = 255;

/// Whether a key names a file below the bucket's folder, and that file is named by no other key.
pub(super) fn is_file_key(key: &str) -> bool {
    let folder = key.strip_suffix('/').unwrap_or(key);
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..") && !name.contains('\0') && name.len() <= LONGEST_NAME
    };
    // A backslash parts folders where it is not a letter like any other.
    let is_portable = std::path::MAIN_SEPARATOR == '/' || !key.contains(['\\', ':']);
    is_portable && folder.split('/').all(is_name)
}

fn check_key(key: &str) -> S3Result<()> {
    if is_file_key(key) {
        return Ok(());
    }
    Err(s3_error!(
        NotImplemented,
        "objects are files here: a key with an empty, '.' or '..' segment, or a longer one than \
         255 bytes, is not served"
    ))
}

fn check_source(source: &CopySource) -> S3Result<()> {
    match source {
        CopySource::Bucket { bucket, key, .. } if check_bucket_name(bucket) => check_key(key),
        CopySource::Bucket { .. } => Err(s3_error!(InvalidBucketName)),
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            Err(s3_error!(NotImplemented, "copies from access points are not served"))
        }
    }
}

/// What stands between the parsed requests and the folder.
pub(super) struct Guard {
    pub(super) checks: SignatureChecks,
}

#[async_trait]
impl S3Access for Guard {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if self.checks == SignatureChecks::On && context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        context.s3_path().get_object_key().map_or(Ok(()), check_key)
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        check_source(&request.input.copy_source)
    }

    async fn create_multipart_upload(
        &self,
        request: &mut S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<()> {
        stored_encoding(&mut request.input.content_encoding);
        Ok(())
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        request.input.delete.objects.iter().try_for_each(|object| check_key(&object.key))
    }

    async fn list_objects(&self, request: &mut S3Request<ListObjectsInput>) -> S3Result<()> {
        check_delimiter(&mut request.input.delimiter)
    }

    async fn list_objects_v2(&self, request: &mut S3Request<ListObjectsV2Input>) -> S3Result<()> {
        check_delimiter(&mut request.input.delimiter)
    }

    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        stored_encoding(&mut request.input.content_encoding);
        Ok(())
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        check_source(&request.input.copy_source)
    }
}

/// Leaves out `aws-chunked`, which is how the request came and not what the object is: S3 API
/// reference, `PutObject`.
fn stored_encoding(encoding: &mut Option<String>) {
    *encoding = encoding.take().and_then(|text| {
        let kept: Vec<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("aws-chunked"))
            .collect();
        (!kept.is_empty()).then(|| kept.join(","))
    });
}

/// Passes what the listing can part keys by.
fn check_delimiter(delimiter: &mut Option<String>) -> S3Result<()> {
    match delimiter.as_deref() {
        None => Ok(()),
        // None at all: S3 API reference, `ListObjectsV2`.
        Some("") => {
            *delimiter = None;
            Ok(())
        }
        Some(text) if text.len() == 1 => Ok(()),
        Some(_) => {
            Err(s3_error!(NotImplemented, "a delimiter of more than one byte is not served"))
        }
    }
}

/// The secrets by which signatures are checked.
pub(super) struct Secrets(pub(super) Arc<dyn Keys>);

#[async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.secret(access_key) {
            Some(entry) => Ok(SecretKey::from(entry.secret.expose())),
            None => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

/// Buckets in hosts, see [`bucket_of_host`].
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match bucket_of_host(host) {
            Some(bucket) => VirtualHost::new("localhost").with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}
