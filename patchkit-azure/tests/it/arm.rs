//! Resource Manager as someone else uses it: the portal, a template.

use azure_core::{
    credentials::TokenCredential,
    http::{Method, Request, Url, new_http_client},
};
use patchkit_testkit::cloud::World;
use serde_json::Value;

use crate::{
    cloud::{HOME, SUBSCRIPTION},
    credential::Application,
};

const SOMEONE: &str = "00000000-0000-4000-8000-0000000000f3";

/// Sends a request, and takes its answer apart.
pub(crate) async fn send(world: &World, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let mut url: Url = world.endpoints().azure_endpoint.parse().unwrap();
    url.set_path(path);
    url.query_pairs_mut().append_pair("api-version", "2023-04-01");
    let scope = ["https://management.azure.com/.default"];
    let token = Application::new(world, SOMEONE).get_token(&scope, None).await.unwrap();
    let mut request = Request::new(url, method);
    request.insert_header("authorization", format!("Bearer {}", token.token.secret()));
    request.insert_header("content-type", "application/json");
    if !body.is_null() {
        request.set_body(body.to_string());
    }
    let answer = new_http_client(None).execute_request(&request).await.unwrap();
    let (status, _, body) = answer.try_into_raw_response().await.unwrap().deconstruct();
    (status.into(), serde_json::from_slice(&body).unwrap_or_default())
}

/// Makes or replaces a resource.
pub(crate) async fn put(world: &World, path: &str, body: &Value) {
    let (status, answer) = send(world, Method::Put, path, body).await;
    assert!((200..300).contains(&status), "{status} {answer}");
}

pub(crate) async fn get(world: &World, path: &str) -> Value {
    let (status, answer) = send(world, Method::Get, path, &Value::Null).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The id of a configuration in the group of the home.
pub(crate) fn configuration(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{HOME}/providers/Microsoft.Maintenance\
         /maintenanceConfigurations/{name}"
    )
}

/// The id of an assignment of a scope.
pub(crate) fn assignment(scope: &str, name: &str) -> String {
    format!("{scope}/providers/Microsoft.Maintenance/configurationAssignments/{name}")
}

pub(crate) fn subscription() -> String {
    format!("/subscriptions/{SUBSCRIPTION}")
}
