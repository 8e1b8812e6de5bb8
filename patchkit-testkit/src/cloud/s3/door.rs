//! What happens to a request on its way in, and to its answer on its way out.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyDataStream, StreamBody};
use hyper::body::{Frame, Incoming};
use jiff::Timestamp;
use patchkit_core::{Clock, Error, ErrorKind, Result};
use s3s::{
    Body,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;

use super::{
    Root, SignatureChecks,
    chunked::decode,
    guard::{Guard, Hosts, Secrets},
    skew::TOLERANCE,
    store::Store,
    tap::{Decision, Ended, INTERNAL, S3Call, Tap, Verdict, access_key},
};
use crate::cloud::{
    aws::sigv4::query_value,
    keys::{Keys, TokenProblem},
};

/// What a query holds of a signature, in versions 4 and 2.
const SIGNING_PARAMETERS: [&str; 11] = [
    "AWSAccessKeyId",
    "Expires",
    "Signature",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "x-amz-security-token",
];

/// The S3 service over a folder, without the door.
pub(super) fn service(
    root: Arc<Root>,
    keys: Arc<dyn Keys>,
    checks: SignatureChecks,
) -> Result<S3Service> {
    let files = FileSystem::new(root.path()).map_err(|e| {
        let message = format!("the folder cannot be served: {e:?}");
        Error::new(ErrorKind::Unexpected, "s3", "start", message)
    })?;
    let mut builder = S3ServiceBuilder::new(Store::new(files, root));
    // Without it, s3s asks no guard.
    builder.set_auth(Secrets(keys));
    builder.set_access(Guard { checks });
    builder.set_host(Hosts);
    Ok(builder.build())
}

/// Stands before the S3 service.
pub(super) struct Door {
    pub(super) checks: SignatureChecks,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) keys: Arc<dyn Keys>,
    /// How many were answered.
    pub(super) requests: AtomicU64,
    pub(super) service: S3Service,
    pub(super) tap: Option<Arc<dyn Tap>>,
}

impl Door {
    /// Answers a request; an error ends the connection.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (head, body) = request.into_parts();
        let call = S3Call::of(&head);
        let expects = head.headers.contains_key(header::EXPECT);
        let decided = self.tap.as_ref().map(|tap| tap.decide(&call, &head)).unwrap_or_default();
        let Decision { verdict, date, end } = decided;
        let method = head.method.clone();
        let served = match &verdict {
            Verdict::CutBefore | Verdict::Refuse(..) | Verdict::Skewed { .. } => None,
            Verdict::Delay(time) => {
                tokio::time::sleep(*time).await;
                Some(self.serve(head, body).await?)
            }
            _ => Some(self.serve(head, body).await?),
        };
        let status = served.as_ref().map(Response::status);
        let answer = spoiled(&method, verdict, served).await;
        if let Some(end) = end {
            end(Ended { served: status, answered: answer.as_ref().ok().map(Response::status) });
        }
        let mut answer = answer?;
        if let Some(Ok(date)) = date.map(|date| HeaderValue::try_from(http_date(date))) {
            answer.headers_mut().insert(header::DATE, date);
        }
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        if let Ok(id) = HeaderValue::try_from(format!("{id:016X}")) {
            answer.headers_mut().insert("x-amz-request-id", id);
        }
        // A client that waited for leave to send its body, and is refused, does not send it; hyper
        // may take the next request for it.
        if expects && answer.status().as_u16() >= 400 {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }

    async fn serve(&self, mut head: Parts, body: Incoming) -> io::Result<Response<Body>> {
        let body = match self.checks {
            SignatureChecks::Off => {
                let is_chunked = is_chunked(&head.headers);
                strip_signature(&mut head);
                if is_chunked { unchunk(&mut head.headers, body) } else { body.into() }
            }
            SignatureChecks::On => {
                if let Err((status, code, message)) = self.admit(&head) {
                    return Ok(refusal(&head.method, status, code, message));
                }
                show_token(&mut head);
                body.into()
            }
        };
        let method = head.method.clone();
        let answer = self.service.call(Request::from_parts(head, body)).await;
        Ok(worded(&method, answer.map_err(io::Error::other)?))
    }

    /// Checks what s3s does not: whether the key's session is the right one, and alive.
    fn admit(&self, head: &Parts) -> Result<(), (StatusCode, &'static str, &'static str)> {
        // Browser forms are signed in their fields, where no session would be found.
        let is_form = head.method == Method::POST
            && head.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
                kind.as_bytes().to_ascii_lowercase().starts_with(b"multipart/form-data")
            });
        if is_form {
            let message = "A header you provided implies functionality that is not implemented.";
            return Err((StatusCode::NOT_IMPLEMENTED, "NotImplemented", message));
        }
        let is_signed = head.headers.contains_key(header::AUTHORIZATION)
            || SIGNING_PARAMETERS.iter().any(|name| query_value(head, name).is_some());
        if !is_signed {
            return Ok(());
        }
        let Some(access_key) = access_key(head) else {
            let message = "The authorization mechanism you have provided is not supported. Please \
                           use AWS4-HMAC-SHA256.";
            return Err((StatusCode::BAD_REQUEST, "InvalidRequest", message));
        };
        let unknown = (
            StatusCode::FORBIDDEN,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        );
        let entry = self.keys.secret(&access_key).ok_or(unknown)?;
        let token = if head.headers.contains_key(header::AUTHORIZATION) {
            let token = head.headers.get("x-amz-security-token");
            token.map(|token| token.as_bytes().to_vec())
        } else {
            // The name is in small letters in version 2.
            let token = query_value(head, "X-Amz-Security-Token")
                .or_else(|| query_value(head, "x-amz-security-token"));
            token.map(String::into_bytes)
        };
        entry.admit(token.as_deref(), self.clock.now()).map_err(|problem| match problem {
            TokenProblem::Expired => {
                (StatusCode::BAD_REQUEST, "ExpiredToken", "The provided token has expired.")
            }
            TokenProblem::Missing => unknown,
            TokenProblem::Unknown => (
                StatusCode::BAD_REQUEST,
                "InvalidToken",
                "The provided token is malformed or otherwise invalid.",
            ),
        })
    }
}

/// Puts the token of a query signed in version 2 where it was when it was signed: among the headers.
/// s3s 0.14 looks for it there only.
fn show_token(head: &mut Parts) {
    if query_value(head, "AWSAccessKeyId").is_none() {
        return;
    }
    let token = query_value(head, "x-amz-security-token");
    if let Some(Ok(token)) = token.map(HeaderValue::try_from) {
        head.headers.insert("x-amz-security-token", token);
    }
}

fn cut() -> io::Error {
    io::Error::other("cut on purpose")
}

/// Whether a body is in the encoding of [`decode`].
fn is_chunked(headers: &HeaderMap) -> bool {
    let is = |name: &str, fits: fn(&str) -> bool| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(fits)
    };
    is("x-amz-content-sha256", |hash| hash.starts_with("STREAMING-"))
        || is("content-encoding", |names| {
            names.split(',').any(|name| name.trim().eq_ignore_ascii_case("aws-chunked"))
        })
}

/// Makes a request anonymous, so that s3s finds nothing to check.
fn strip_signature(head: &mut Parts) {
    for name in ["authorization", "x-amz-content-sha256", "x-amz-security-token"] {
        head.headers.remove(name);
    }
    let Some(query) = head.uri.query() else { return };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            !SIGNING_PARAMETERS.contains(&name)
        })
        .collect();
    let path = head.uri.path();
    let target =
        if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    // It was a target before; should it be none any more, s3s refuses the signature that is left.
    if let Ok(uri) = target.parse() {
        head.uri = uri;
    }
}

/// Takes the payload out of a body of chunks, and with it what the head says of the chunks.
///
/// The checksum in the trailer is read over: it is known only when the object is written.
fn unchunk(headers: &mut HeaderMap, body: Incoming) -> Body {
    let length = headers.remove("x-amz-decoded-content-length");
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove("x-amz-trailer");
    // It announces a checksum that is not in the head.
    headers.remove("x-amz-sdk-checksum-algorithm");
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let payload = decode(BodyDataStream::new(body), length).map_ok(Frame::data);
    Body::http_body_unsync(StreamBody::new(payload))
}

/// An error in S3's XML.
fn refusal(method: &Method, status: StatusCode, code: &str, message: &str) -> Response<Body> {
    refusal_with(method, status, code, message, "")
}

/// The same, with more members.
fn refusal_with(
    method: &Method,
    status: StatusCode,
    code: &str,
    message: &str,
    more: &str,
) -> Response<Body> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}\
         </Message>{more}</Error>"
    );
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(body) };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

/// Says in S3's words what s3s 0.14 says by its code only.
fn worded(method: &Method, answer: Response<Body>) -> Response<Body> {
    const CODE: &str = "SignatureDoesNotMatch";
    let body = answer.body().bytes().filter(|_| answer.status() == StatusCode::FORBIDDEN);
    let body = body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    if !body.contains(&format!("<Code>{CODE}</Code>")) || body.contains("<Message>") {
        return answer;
    }
    let message = "The request signature we calculated does not match the signature you provided. \
                   Check your key and signing method.";
    refusal(method, StatusCode::FORBIDDEN, CODE, message)
}

/// What the client gets of what the server made of its request.
async fn spoiled(
    method: &Method,
    verdict: Verdict,
    served: Option<Response<Body>>,
) -> io::Result<Response<Body>> {
    match (verdict, served) {
        (Verdict::Refuse(status, code, message), _) => Ok(refusal(method, status, code, message)),
        (Verdict::Skewed { client, server }, _) => Ok(skewed(method, client, server)),
        (Verdict::CutAfter | Verdict::CutBefore, _) | (_, None) => Err(cut()),
        (Verdict::FailAfter, Some(answer)) if answer.status().is_success() => {
            let (code, message) = INTERNAL;
            Ok(refusal(method, StatusCode::INTERNAL_SERVER_ERROR, code, message))
        }
        (Verdict::SlowBody(time), Some(answer)) => slow(answer, time).await,
        (Verdict::TruncateBody, Some(answer)) => truncate(answer).await,
        (Verdict::Delay(_) | Verdict::FailAfter | Verdict::Pass, Some(answer)) => Ok(answer),
    }
}

/// The refusal of a time that is too far from the server's: S3 API reference, "Error responses", and
/// the members that S3 adds to it.
fn skewed(method: &Method, client: Timestamp, server: Timestamp) -> Response<Body> {
    let (code, message) = (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    );
    let more = format!(
        "<RequestTime>{}</RequestTime><ServerTime>{}</ServerTime><MaxAllowedSkewMilliseconds>{}\
         </MaxAllowedSkewMilliseconds>",
        client.strftime("%Y%m%dT%H%M%SZ"),
        server.strftime("%Y-%m-%dT%H:%M:%SZ"),
        TOLERANCE.as_millis(),
    );
    refusal_with(method, StatusCode::FORBIDDEN, code, message, &more)
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The longest body that is spoiled: it is held in memory.
const LONGEST: usize = 1 << 30;

/// The whole body in ten pieces over this time.
async fn slow(answer: Response<Body>, time: Duration) -> io::Result<Response<Body>> {
    const PIECES: u32 = 10;
    let (head, mut body) = answer.into_parts();
    let whole = body.store_all_limited(LONGEST).await.map_err(io::Error::other)?;
    if whole.is_empty() {
        tokio::time::sleep(time).await;
        return Ok(Response::from_parts(head, Body::empty()));
    }
    let size = whole.len().div_ceil(PIECES as usize);
    let pieces: Vec<_> = whole.chunks(size).map(Bytes::copy_from_slice).collect();
    let length = whole.len();
    let pause = time / u32::try_from(pieces.len()).unwrap_or(PIECES);
    let pieces = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, io::Error>(Frame::data(piece))
    });
    let mut answer = Response::from_parts(head, Body::http_body_unsync(StreamBody::new(pieces)));
    answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    Ok(answer)
}

/// Half of the body, under the length of the whole; then the connection ends.
async fn truncate(answer: Response<Body>) -> io::Result<Response<Body>> {
    let (head, mut body) = answer.into_parts();
    let whole = body.store_all_limited(LONGEST).await.map_err(io::Error::other)?;
    if whole.len() < 2 {
        return Err(cut());
    }
    let half = whole.slice(..whole.len() / 2);
    // The wait lets the half be sent before the connection ends.
    let pieces = stream::once(async { Ok(Frame::data(half)) }).chain(stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(cut())
    }));
    let mut answer = Response::from_parts(head, Body::http_body_unsync(StreamBody::new(pieces)));
    answer.headers_mut().insert(header::CONTENT_LENGTH, whole.len().into());
    Ok(answer)
}
