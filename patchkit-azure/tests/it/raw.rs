//! Requests as they are, of the application under test or of someone else, who may do everything.

use azure_core::{
    credentials::TokenCredential,
    http::{Method, Request, headers::HeaderName, new_http_client},
};
use patchkit_testkit::cloud::World;
use serde_json::Value;

use crate::credential::Application;

/// Another application than the one under test.
const SEEDER: &str = "00000000-0000-4000-8000-0000000000f9";

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Value,
    /// Where an operation is followed.
    pub(crate) followed: Option<String>,
}

/// Has someone else do something that must succeed.
pub(crate) async fn send(world: &World, method: Method, path: &str, body: &Value) -> Value {
    send_as(SEEDER, world, method, path, body).await.unwrap().body
}

/// Sends a body to a path of Resource Manager, or to a whole address of it.
pub(crate) async fn send_as(
    application: &str,
    world: &World,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Answer, String> {
    let scopes = ["https://management.azure.com/.default"];
    let token = Application::new(world, application).get_token(&scopes, None).await.unwrap();
    let endpoint = world.endpoints().azure_endpoint.trim_end_matches('/').to_owned();
    let url = match path.strip_prefix('/') {
        Some(path) => format!("{endpoint}/{path}?api-version=2023-04-01"),
        None => path.to_owned(),
    };
    let mut request = Request::new(url.parse().unwrap(), method);
    request.insert_header("authorization", format!("Bearer {}", token.token.secret()));
    request.insert_header("content-type", "application/json");
    if !body.is_null() {
        request.set_body(body.to_string());
    }
    let answer = new_http_client(None).execute_request(&request).await.unwrap();
    let answer = answer.try_into_raw_response().await.unwrap();
    let (status, name) =
        (u16::from(answer.status()), HeaderName::from_static("azure-asyncoperation"));
    let followed = answer.headers().get_optional_str(&name).map(str::to_owned);
    let body: Value = answer.body().json().unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(Answer { body, followed });
    }
    Err(format!("{path}: {status} {body}"))
}
