//! The calls to S3: bodies that are resumed, and the one place where errors are read.

use std::{error::Error as StdError, fmt, sync::Arc};

use async_trait::async_trait;
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{RequestId, get_object::GetObjectOutput},
    primitives::ByteStream,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{Error, ErrorKind, Result, Retry};

use super::{S3Source, listing};
use crate::{ListEntry, ObjectBody, ObjectSource, finding::shown};

/// How many objects are read at once where the caller does not say. A GET takes some 30 ms whatever
/// its size, so 64 give 2,000 objects a second; a prefix of S3 serves 5,500.
const IN_FLIGHT: usize = 64;

/// How often the rest of one object is asked for after its body broke off.
const RESUMES: u8 = 2;

#[async_trait]
impl ObjectSource for S3Source {
    fn list(&self) -> BoxStream<'static, Result<ListEntry>> {
        listing::list(self)
    }

    fn place(&self) -> Option<String> {
        Some(self.location.to_string())
    }

    async fn get(&self, key: &str) -> Result<ObjectBody> {
        let full_key: Arc<str> = format!("{}{key}", self.location.start()).into();
        let object = self.open(&full_key, None).await?;
        let length = object.content_length.and_then(|length| u64::try_from(length).ok());
        let etag = object.e_tag;
        let body = Body {
            source: self.clone(),
            full_key,
            etag,
            length,
            offset: 0,
            pieces: object.body,
            resumes: RESUMES,
        };
        let pieces = stream::unfold(Some(body), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(pieces.boxed())
    }

    fn in_flight(&self) -> usize {
        IN_FLIGHT
    }
}

impl S3Source {
    async fn open(&self, full_key: &str, rest: Option<&Rest>) -> Result<GetObjectOutput> {
        let mut request = self.client.get_object().bucket(self.location.bucket()).key(full_key);
        if let Some(rest) = rest {
            request = request.range(format!("bytes={}-", rest.offset)).if_match(&rest.etag);
        }
        request.send().await.map_err(|error| classify("get", full_key, error))
    }
}

/// From where on an object is asked for again.
struct Rest {
    offset: u64,
    etag: String,
}

/// The body of an object, and what is needed to go on with it after it broke off.
struct Body {
    source: S3Source,
    full_key: Arc<str>,
    etag: Option<String>,
    length: Option<u64>,
    offset: u64,
    pieces: ByteStream,
    resumes: u8,
}

impl Body {
    async fn next(&mut self) -> Result<Option<bytes::Bytes>> {
        loop {
            let broken = match self.pieces.next().await {
                Some(Ok(piece)) => {
                    self.offset += piece.len() as u64;
                    return Ok(Some(piece));
                }
                None if self.length.is_none_or(|length| self.offset >= length) => return Ok(None),
                None => self.broken(None),
                Some(Err(error)) => self.broken(Some(error.into())),
            };
            let Some(etag) = self.etag.clone().filter(|_| self.resumes > 0) else {
                return Err(broken);
            };
            self.resumes -= 1;
            let rest = Rest { offset: self.offset, etag };
            // The object may have been written anew since: then what is here cannot be completed, and
            // why it broke off is the better answer.
            let object = self.source.open(&self.full_key, Some(&rest)).await;
            let at = format!("bytes {}-", self.offset);
            self.pieces = match object {
                Ok(object) if object.content_range().is_some_and(|r| r.starts_with(&at)) => {
                    object.body
                }
                _ => return Err(broken),
            };
        }
    }

    fn broken(&self, source: Option<Box<dyn StdError + Send + Sync>>) -> Error {
        let message = format!("{} broke off after {} bytes", self.full_key, self.offset);
        let error = Error::new(ErrorKind::Unexpected, "s3", "read", message);
        let error = error.with_retry(Retry::Backoff);
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// The one place where S3's errors become ours. The SDK has retried already.
pub(super) fn classify<E, R>(operation: &'static str, what: &str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
    SdkError<E, R>: RequestId,
{
    let (kind, retry) = match &error {
        SdkError::ServiceError(answer) => of_code(answer.err().code().unwrap_or_default()),
        SdkError::TimeoutError(_) => (ErrorKind::Timeout, Retry::Backoff),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            (ErrorKind::Timeout, Retry::Backoff)
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            (ErrorKind::Unexpected, Retry::Backoff)
        }
        SdkError::ResponseError(_) => (ErrorKind::Malformed, Retry::Never),
        _ => (ErrorKind::Unexpected, Retry::Never),
    };
    let request_id = error.request_id().map(str::to_owned);
    let ours = match &error {
        // Code, message and request id are all that the answer holds. Where there is no code, the SDK
        // could not read the answer, and its own error says why.
        SdkError::ServiceError(answer) if let Some(code) = answer.err().code() => {
            let message = shown(answer.err().message().unwrap_or_default());
            let colon = if message.is_empty() { "" } else { ": " };
            Error::new(kind, "s3", operation, format!("{what}: {code}{colon}{message}"))
        }
        _ => Error::new(kind, "s3", operation, what.to_owned()).with_source(error),
    };
    let ours = ours.with_retry(retry);
    match request_id {
        Some(id) => ours.with_request_id(id),
        None => ours,
    }
}

fn of_code(code: &str) -> (ErrorKind, Retry) {
    match code {
        "NoSuchKey" | "NoSuchBucket" | "NotFound" => (ErrorKind::NotFound, Retry::Never),
        "AccessDenied" | "AllAccessDisabled" | "KMS.DisabledException" | "InvalidObjectState" => {
            (ErrorKind::PermissionDenied, Retry::Never)
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "RequestTimeTooSkewed" => (ErrorKind::Unauthenticated, Retry::Never),
        "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests" => {
            (ErrorKind::Throttled, Retry::Backoff)
        }
        "InternalError" | "ServiceUnavailable" => (ErrorKind::Unexpected, Retry::Backoff),
        "PermanentRedirect" | "InvalidBucketName" => (ErrorKind::InvalidInput, Retry::Never),
        _ => (ErrorKind::Unexpected, Retry::Never),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_the_caller_can_do() {
        for (code, kind) in [
            ("NoSuchBucket", ErrorKind::NotFound),
            ("AccessDenied", ErrorKind::PermissionDenied),
            ("ExpiredToken", ErrorKind::Unauthenticated),
            ("SlowDown", ErrorKind::Throttled),
            ("InternalError", ErrorKind::Unexpected),
            ("New", ErrorKind::Unexpected),
        ] {
            assert_eq!(of_code(code).0, kind, "{code}");
        }
    }
}
