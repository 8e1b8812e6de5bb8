//! A hook that is a call over HTTP.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Uri,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use patchkit_core::{
    Error, ErrorKind, HookPoint, Result,
    workflow::{Hook, HookCall},
};

/// How much of an answer goes into the report.
const SAID: usize = 2_048;

/// Posts what it is called for, as JSON, to an address.
///
/// # Behavior
/// - `Idempotency-Key` is the call's id: the same for a call that is made again.
/// - A status of 200 to 299 is success; any other is a failure, with the beginning of the answer.
///   Redirects are not followed.
/// - HTTPS alone, but to this machine.
#[derive(Clone)]
pub struct HttpHook {
    name: String,
    points: BTreeSet<HookPoint>,
    address: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpHook {
    /// Posts to `address` at each of `points`.
    ///
    /// # Errors
    /// `InvalidInput` (no HTTPS address, nor one of this machine), or the system has no certificates.
    pub fn new(
        name: impl Into<String>,
        points: impl IntoIterator<Item = HookPoint>,
        address: &str,
    ) -> Result<Self> {
        let wrong = |what: &str| Error::invalid("hook", "address", format!("{address:?} {what}"));
        let uri: Uri = address.parse().map_err(|_| wrong("is no address"))?;
        let host = uri.host().ok_or_else(|| wrong("names no host"))?;
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_here => {}
            _ => return Err(wrong("is not https")),
        }
        // Named: where features of other crates bring two providers, rustls takes neither of itself.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let roots = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
        let roots = roots.map_err(|error| {
            Error::new(ErrorKind::Unexpected, "hook", "address", "no certificates of the system")
                .with_source(error)
        })?;
        let connector = roots.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { name: name.into(), points: points.into_iter().collect(), address: uri, client })
    }

    fn failed(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Unexpected, "hook", "call", message)
    }
}

impl fmt::Debug for HttpHook {
    // Addresses of webhooks are secrets more often than not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHook")
            .field("name", &self.name)
            .field("points", &self.points)
            .field("host", &self.address.host())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Hook for HttpHook {
    fn name(&self) -> &str {
        &self.name
    }

    fn wants(&self, point: HookPoint) -> bool {
        self.points.contains(&point)
    }

    async fn call(&self, call: &HookCall<'_>) -> Result<()> {
        let json = serde_json::to_vec(call)
            .map_err(|error| Self::failed("the call is not JSON").with_source(error))?;
        // Names of hooks and runs may hold what a header may not.
        let id: String =
            call.id.bytes().flat_map(std::ascii::escape_default).map(char::from).collect();
        let id = HeaderValue::try_from(id)
            .map_err(|error| Self::failed("its id fits no header").with_source(error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", id)
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| Self::failed("the request could not be made").with_source(error))?;
        let answer = self
            .client
            .request(request)
            .await
            .map_err(|error| Self::failed("no answer").with_source(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let (mut body, mut said) = (answer.into_body(), Vec::new());
        while said.len() < SAID
            && let Some(Ok(frame)) = body.frame().await
        {
            said.extend(frame.into_data().unwrap_or_default());
        }
        said.truncate(SAID);
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(Self::failed(format!("the answer was {status}: {said}")))
    }
}
