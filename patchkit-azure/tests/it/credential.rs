//! A credential of the simulated tenant: those of azure_identity speak TLS alone.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{HttpClient, Method, Request, new_http_client},
    time::OffsetDateTime,
};
use patchkit_core::Clock;
use patchkit_testkit::cloud::World;

/// An application that gets tokens by its secret.
#[derive(Debug)]
pub(crate) struct Application {
    id: String,
    endpoint: String,
    clock: Arc<dyn Clock>,
    http: Arc<dyn HttpClient>,
}

/// What no error, log or `Debug` may show.
pub(crate) const SECRET: &str = "c0rrect-h0rse";

impl Application {
    pub(crate) fn new(world: &World, id: &str) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            endpoint: world.endpoints().azure_endpoint.clone(),
            clock: Arc::new(world.clock()),
            http: new_http_client(None),
        })
    }
}

#[async_trait]
impl TokenCredential for Application {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let url = format!("{}/tenant/oauth2/v2.0/token", self.endpoint.trim_end_matches('/'));
        let mut request = Request::new(url.parse()?, Method::Post);
        request.insert_header("content-type", "application/x-www-form-urlencoded");
        let scope = scopes.join(" ");
        request.set_body(format!(
            "grant_type=client_credentials&client_id={}&client_secret={SECRET}&scope={scope}",
            self.id
        ));
        let answer = self.http.execute_request(&request).await?.try_into_raw_response().await?;
        let body: serde_json::Value = answer.body().json()?;
        let none = || azure_core::Error::with_message(ErrorKind::Credential, "no token");
        let token = body["access_token"].as_str().ok_or_else(none)?.to_owned();
        let seconds = body["expires_in"].as_i64().ok_or_else(none)?;
        let ends = OffsetDateTime::from_unix_timestamp(self.clock.now().as_second() + seconds);
        Ok(AccessToken::new(token, ends.map_err(|_| none())?))
    }
}
