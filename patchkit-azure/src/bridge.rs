//! The generated client of Microsoft.Compute, made to send through our own pipeline.
//!
//! `azure_mgmt_compute` is of an older generation of Microsoft's SDK, whose HTTP, retries and long
//! operations are not used: it writes the requests, and [`Client::send`] makes the calls. Nothing of
//! it is seen outside this crate.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::{
    Method, Request,
    headers::{HeaderName, HeaderValue, Headers},
};
use azure_core_legacy as legacy;
use azure_mgmt_compute::package_2024_07_01 as compute;
use futures::{FutureExt, future::BoxFuture, stream};
use patchkit_core::Result;

use crate::{
    client::{Client, Reply},
    error::{Call, again, malformed, own},
    limit::Charge,
};

impl Client {
    /// The generated client for one call.
    pub(crate) fn compute(self: &Arc<Self>, call: Call, charge: Charge) -> Result<compute::Client> {
        let bridge = Bridge { client: Arc::clone(self), call, charge };
        compute::Client::builder(Arc::new(Nobody))
            .endpoint(self.endpoint().clone())
            .retry(legacy::RetryOptions::none())
            .transport(legacy::TransportOptions::new(Arc::new(bridge)))
            .build()
            .map_err(|error| malformed(call.name(), error.to_string()))
    }
}

/// The answer to a request that the generated client has sent.
pub(crate) fn reply<'a, R>(
    call: Call,
    sent: impl Future<Output = legacy::Result<R>> + Send + 'a,
) -> BoxFuture<'a, Result<Reply>>
where
    R: Into<legacy::Response>,
{
    async move {
        let response: legacy::Response = match sent.await {
            Ok(answer) => answer.into(),
            Err(error) => {
                return Err(match own(&error) {
                    Some(ours) => again(ours),
                    None => malformed(call.name(), "the request could not be made"),
                });
            }
        };
        let (status, headers, body) = response.deconstruct();
        let body = body.collect().await;
        let body = body.map_err(|_| malformed(call.name(), "the answer broke off"))?;
        let mut ours = Headers::new();
        for (name, value) in headers.iter() {
            ours.insert(
                HeaderName::from(name.as_str().to_owned()),
                HeaderValue::from(value.as_str().to_owned()),
            );
        }
        Ok(Reply { status: status.into(), headers: ours, body })
    }
    .boxed()
}

#[derive(Debug)]
struct Bridge {
    client: Arc<Client>,
    call: Call,
    charge: Charge,
}

/// What the pipeline sets itself.
const OURS: [&str; 4] = ["authorization", "content-length", "user-agent", "x-ms-client-request-id"];

#[async_trait]
impl legacy::HttpClient for Bridge {
    async fn execute_request(&self, request: &legacy::Request) -> legacy::Result<legacy::Response> {
        let failed =
            |what: &'static str| legacy::Error::message(legacy::error::ErrorKind::Other, what);
        let method = match request.method() {
            legacy::Method::Get => Method::Get,
            legacy::Method::Post => Method::Post,
            legacy::Method::Put => Method::Put,
            legacy::Method::Patch => Method::Patch,
            legacy::Method::Delete => Method::Delete,
            _ => return Err(failed("a method that Resource Manager does not know")),
        };
        let mut ours = Request::new(request.url().clone(), method);
        for (name, value) in request.headers().iter() {
            if !OURS.contains(&name.as_str()) {
                ours.insert_header(
                    HeaderName::from(name.as_str().to_owned()),
                    HeaderValue::from(value.as_str().to_owned()),
                );
            }
        }
        match request.body() {
            legacy::Body::Bytes(bytes) => ours.set_body(bytes.clone()),
            legacy::Body::SeekableStream(_) => return Err(failed("a body that is no text")),
        }
        let reply = self.client.send(self.call, self.charge.clone(), ours).await;
        let reply =
            reply.map_err(|error| legacy::Error::new(legacy::error::ErrorKind::Other, error))?;
        let status = legacy::StatusCode::try_from(reply.status);
        let status = status.map_err(|_| failed("a status that HTTP does not know"))?;
        let mut headers = legacy::headers::Headers::new();
        for (name, value) in reply.headers.iter() {
            headers.insert(name.as_str().to_owned(), value.as_str().to_owned());
        }
        let body = stream::iter([Ok(reply.body)]);
        Ok(legacy::Response::new(status, headers, Box::pin(body)))
    }
}

/// The generated client insists on a credential; its token never leaves this process.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl legacy::auth::TokenCredential for Nobody {
    async fn get_token(&self, _: &[&str]) -> legacy::Result<legacy::auth::AccessToken> {
        let ends = azure_core::time::OffsetDateTime::UNIX_EPOCH;
        Ok(legacy::auth::AccessToken::new("", ends))
    }

    async fn clear_cache(&self) -> legacy::Result<()> {
        Ok(())
    }
}
