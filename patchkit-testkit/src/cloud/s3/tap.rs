//! Where the simulator's call log and its faults meet the requests.

use std::{fmt, time::Duration};

use http::{Method, StatusCode, request::Parts};
use jiff::Timestamp;

use crate::cloud::aws::sigv4::{Credential, query_pairs, query_value};

/// A request, as the call log names it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct S3Call {
    /// The operation; `Unknown` for one that this server does not tell apart.
    pub operation: &'static str,
    /// The key it says it is signed with; empty for an anonymous one.
    pub access_key: String,
    /// The bucket, if any.
    pub bucket: Option<String>,
    /// The object's key, if any, decoded.
    pub key: Option<String>,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The connection ends after the server acted, without an answer.
    CutAfter,
    /// The connection ends before the server acts.
    CutBefore,
    /// It is carried out after this time.
    Delay(Duration),
    /// It is carried out, and `InternalError` is the answer where it would have been a good one.
    FailAfter,
    /// It is carried out.
    #[default]
    Pass,
    /// It is refused with this status, code and message.
    Refuse(StatusCode, &'static str, &'static str),
    /// It is refused for it was made at another time than the server's.
    Skewed {
        /// When the client says it is.
        client: Timestamp,
        /// When the server says it is.
        server: Timestamp,
    },
    /// It is carried out, and the answer's body takes this time; where it has none, the answer.
    SlowBody(Duration),
    /// It is carried out, and the connection ends in the middle of the answer's body.
    TruncateBody,
}

impl Verdict {
    /// The refusal of one who asks too often.
    pub const SLOW_DOWN: Self = Self::Refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "SlowDown",
        "Please reduce your request rate.",
    );

    /// The refusal of a server that is broken.
    pub const INTERNAL_ERROR: Self =
        Self::Refuse(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL.0, INTERNAL.1);

    /// The refusal of a server that is broken, under another status.
    pub(in crate::cloud) fn failed(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::Refuse(status, INTERNAL.0, INTERNAL.1)
    }
}

/// The code and message of a server that is broken.
pub(super) const INTERNAL: (&str, &str) =
    ("InternalError", "We encountered an internal error. Please try again.");

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Ended {
    /// What the server itself made of it; none where it was not asked.
    pub served: Option<StatusCode>,
    /// What the client was answered; none where the connection was cut instead.
    pub answered: Option<StatusCode>,
}

/// A [`Verdict`], and what else is to be done about a request.
#[derive(Default)]
pub struct Decision {
    pub(super) verdict: Verdict,
    pub(super) date: Option<Timestamp>,
    pub(super) end: Option<Box<dyn FnOnce(Ended) + Send>>,
}

impl Decision {
    /// A verdict, and nothing else.
    pub fn new(verdict: Verdict) -> Self {
        Self { verdict, date: None, end: None }
    }

    /// Has the answer say this time in its `Date`.
    #[must_use]
    pub fn with_date(mut self, date: Timestamp) -> Self {
        self.date = Some(date);
        self
    }

    /// Has this called when the request is answered; never for one whose client left before.
    #[must_use]
    pub fn with_end(mut self, end: impl FnOnce(Ended) + Send + 'static) -> Self {
        self.end = Some(Box::new(end));
        self
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// Is told of each request, and decides what becomes of it.
pub trait Tap: fmt::Debug + Send + Sync + 'static {
    /// A request came; nothing of it has been looked at but its head.
    fn decide(&self, call: &S3Call, head: &Parts) -> Decision;
}

impl S3Call {
    /// What a request asks for.
    pub(super) fn of(head: &Parts) -> Self {
        let path = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let path = path.strip_prefix('/').unwrap_or(&path);
        let in_host = head
            .headers
            .get(http::header::HOST)
            .and_then(|host| bucket_of_host(host.to_str().ok()?));
        let (bucket, key) = match in_host {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (bucket, key) = (some(bucket), some(key));
        let operation = operation(head, bucket.as_deref(), key.as_deref());
        let access_key = access_key(head).unwrap_or_default();
        Self { operation, access_key, bucket, key }
    }
}

/// The access key that a request says it is signed with, in version 4 or 2: boto3 presigns in
/// version 2 unless it is told otherwise.
pub(super) fn access_key(head: &Parts) -> Option<String> {
    if let Some(credential) = Credential::of(head) {
        return Some(credential.access_key);
    }
    match head.headers.get(http::header::AUTHORIZATION) {
        Some(value) => {
            let (access_key, _) = value.to_str().ok()?.strip_prefix("AWS ")?.split_once(':')?;
            Some(access_key.to_owned())
        }
        None => query_value(head, "AWSAccessKeyId"),
    }
}

/// The bucket that a host names, for the one domain whose every subdomain is loopback.
pub(super) fn bucket_of_host(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix(".localhost")
}

fn operation(head: &Parts, bucket: Option<&str>, key: Option<&str>) -> &'static str {
    let query = head.uri.query().unwrap_or_default();
    let has = |name: &str| query_pairs(query).any(|(key, _)| *key == *name.as_bytes());
    let is_copy = head.headers.contains_key("x-amz-copy-source");
    // The subresources that nothing here serves; each is its own operation.
    let others = [
        "accelerate",
        "acl",
        "cors",
        "encryption",
        "legal-hold",
        "lifecycle",
        "logging",
        "notification",
        "object-lock",
        "replication",
        "retention",
        "tagging",
        "versioning",
        "versions",
        "website",
    ];
    if others.into_iter().any(has) {
        return "Unknown";
    }
    let is_v2 = || query_pairs(query).any(|(key, value)| *key == *b"list-type" && *value == *b"2");
    let method = &head.method;
    match (bucket, key) {
        (None, _) if method == Method::GET => "ListBuckets",
        (Some(_), None) if has("policy") => match *method {
            Method::DELETE => "DeleteBucketPolicy",
            Method::GET => "GetBucketPolicy",
            Method::PUT => "PutBucketPolicy",
            _ => "Unknown",
        },
        (Some(_), None) => match *method {
            Method::DELETE => "DeleteBucket",
            Method::GET if has("location") => "GetBucketLocation",
            Method::GET if has("uploads") => "ListMultipartUploads",
            Method::GET if is_v2() => "ListObjectsV2",
            Method::GET => "ListObjects",
            Method::HEAD => "HeadBucket",
            Method::POST if has("delete") => "DeleteObjects",
            Method::PUT => "CreateBucket",
            _ => "Unknown",
        },
        (Some(_), Some(_)) => match *method {
            Method::DELETE if has("uploadId") => "AbortMultipartUpload",
            Method::DELETE => "DeleteObject",
            Method::GET if has("uploadId") => "ListParts",
            Method::GET if has("attributes") => "GetObjectAttributes",
            Method::GET => "GetObject",
            Method::HEAD => "HeadObject",
            Method::POST if has("uploads") => "CreateMultipartUpload",
            Method::POST if has("uploadId") => "CompleteMultipartUpload",
            Method::PUT if has("uploadId") && is_copy => "UploadPartCopy",
            Method::PUT if has("uploadId") => "UploadPart",
            Method::PUT if is_copy => "CopyObject",
            Method::PUT => "PutObject",
            _ => "Unknown",
        },
        _ => "Unknown",
    }
}
