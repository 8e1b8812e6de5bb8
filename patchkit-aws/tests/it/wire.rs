//! What goes over the wire: seen, and stepped into at the moment it goes.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    shared::IntoShared,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};

type Hook = Arc<dyn Fn(&HttpRequest) + Send + Sync>;

/// A client that calls a hook before each request, and keeps the session tokens that it carries and
/// the bodies that come back.
#[derive(Clone)]
pub(crate) struct Wire {
    hook: Hook,
    tokens: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    pub(crate) fn new(hook: impl Fn(&HttpRequest) + Send + Sync + 'static) -> Self {
        Self { hook: Arc::new(hook), tokens: Arc::default(), bodies: Arc::default() }
    }

    /// The session tokens of all requests so far.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }

    /// All that was answered so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let client = aws_smithy_http_client::Builder::new().build_http();
        let inner = client.http_connector(settings, components);
        Connector { wire: self.clone(), inner }.into_shared()
    }
}

#[derive(Debug)]
struct Connector {
    wire: Wire,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        (self.wire.hook)(&request);
        let token = request.headers().get("x-amz-security-token").map(str::to_owned);
        self.wire.tokens.lock().unwrap().extend(token);
        let (answer, bodies) = (self.inner.call(request), Arc::clone(&self.wire.bodies));
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
            let body = ByteStream::new(body).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
            bodies.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
            *answer.body_mut() = SdkBody::from(body);
            Ok(answer)
        })
    }
}
