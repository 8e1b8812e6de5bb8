//! What goes wrong on purpose where tokens are given.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::Value;

use super::{super::answer, Cloud, SUBSCRIPTION};
use crate::cloud::{
    Denial, Fault, FaultKind, RateLimit,
    fault::{Delivery, Reply},
    shared::lock,
};

const ENTRA: &str = "Token";
const MACHINE: &str = "IdentityToken";

fn ask(cloud: &Cloud, operation: &str) -> Reply {
    let request = if operation == ENTRA {
        let form = "grant_type=client_credentials&client_id=app&client_secret=s\
                    &scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
        Request::post("/tenant/oauth2/v2.0/token").body(Bytes::from(form))
    } else {
        let resource = "resource=https%3A%2F%2Fmanagement.azure.com%2F";
        Request::get(format!("/metadata/identity/oauth2/token?api-version=2018-02-01&{resource}"))
            .header("metadata", "true")
            .body(Bytes::new())
    };
    answer(&cloud.0, &request.unwrap())
}

/// The answer to a request that meets a fault, and how it comes.
fn met(operation: &str, kind: FaultKind) -> (StatusCode, Value, Delivery) {
    let cloud = Cloud::well();
    lock(&cloud.0.faults).add(Fault::new(kind).on(operation).times(1)).unwrap();
    let reply = ask(&cloud, operation);
    let status = lock(&cloud.0.faults).status();
    assert_eq!(status[0].met, 1, "{kind:?}");
    assert_eq!(ask(&cloud, operation).response.status(), 200, "the next one passes");
    let body = serde_json::from_slice(reply.response.body()).unwrap_or_default();
    (reply.response.status(), body, reply.delivery)
}

#[test]
fn a_failure_is_told_in_the_words_of_who_gives_the_token() {
    for (operation, status, error, words) in [
        (ENTRA, 503, "temporarily_unavailable", "AADSTS90033: "),
        (ENTRA, 500, "server_error", "AADSTS50000: "),
        (MACHINE, 500, "unknown", "Failed to retrieve token from the Active directory."),
    ] {
        let (answered, body, _) = met(operation, FaultKind::Fail { status });
        assert_eq!((answered.as_u16(), &body["error"]), (status, &error.into()));
        assert!(body["error_description"].as_str().unwrap().starts_with(words), "{body}");
    }
    let (status, body, _) = met(ENTRA, FaultKind::FailAfter);
    assert_eq!((status.as_u16(), &body["error"]), (500, &"server_error".into()));
    let (status, body, _) = met(ENTRA, FaultKind::Deny);
    assert_eq!((status.as_u16(), &body["error"]), (400, &"unauthorized_client".into()));
    let (status, body, _) = met(MACHINE, FaultKind::Deny);
    assert_eq!((status.as_u16(), &body["error"]), (403, &"access_denied".into()));
    let (status, body, _) = met(MACHINE, FaultKind::Throttle);
    assert_eq!((status.as_u16(), &body["error"]), (429, &"invalid_request".into()));
}

#[test]
fn entra_throttles_in_plain_text_and_for_a_minute() {
    let cloud = Cloud::well();
    lock(&cloud.0.faults).add(Fault::new(FaultKind::Throttle).on(ENTRA)).unwrap();
    let response = ask(&cloud, ENTRA).response;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "60");
    let types: Vec<_> = response.headers().get_all("content-type").iter().collect();
    assert_eq!(types, ["text/plain; charset=utf-8"]);
    assert_eq!(&response.body()[..], b"Too Many Requests");
    let call = cloud.0.calls().iter().last().cloned().unwrap();
    assert_eq!((&*call.operation, &*call.caller, call.acted), (ENTRA, "", false));
    assert_eq!((call.fault, call.status), (Some(FaultKind::Throttle), Some(429)));
}

#[test]
fn an_answer_of_a_token_is_cut_slow_or_half() {
    for operation in [ENTRA, MACHINE] {
        for (kind, delivery) in [
            (FaultKind::CutBefore, Delivery::Cut),
            (FaultKind::CutAfter, Delivery::Cut),
            (FaultKind::Away, Delivery::Cut),
            (FaultKind::Truncate, Delivery::Truncated),
            (FaultKind::Slow { seconds: 7 }, Delivery::Slow(std::time::Duration::from_secs(7))),
        ] {
            assert_eq!(met(operation, kind).2, delivery, "{kind:?}");
        }
    }
}

#[test]
fn faults_of_pages_and_of_callers_wait_and_a_denial_is_about_what_the_token_is_for() {
    let cloud = Cloud::well();
    lock(&cloud.0.faults).add(Fault::new(FaultKind::Throttle).of_caller("*")).unwrap();
    lock(&cloud.0.faults).add(Fault::new(FaultKind::EmptyPage).times(1)).unwrap();
    lock(&cloud.0.policy).deny(Denial::of("arm:*")).unwrap();
    assert_eq!(ask(&cloud, ENTRA).response.status(), 200);
    assert!(lock(&cloud.0.faults).status().iter().all(|it| it.met == 0));
}

#[test]
fn a_rate_of_tokens_tells_the_wait() {
    let cloud = Cloud::well();
    lock(&cloud.0.limits).add(RateLimit::of("*Token", 0.1, 1)).unwrap();
    let [first, second] = [(); 2].map(|()| ask(&cloud, ENTRA).response);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 429));
    let seconds: u64 = second.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    // Time of ours passes, too, while this runs.
    assert!((6..=10).contains(&seconds), "{seconds}");
}

/// A token that Entra gives for a scope, or for a resource by its older endpoint.
fn token(cloud: &Cloud, path: &str, wanted: &str) -> String {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", "app")
        .append_pair("client_secret", "s")
        .append_pair(if path.contains("v2.0") { "scope" } else { "resource" }, wanted)
        .finish();
    let request = Request::post(path).body(Bytes::from(form)).unwrap();
    let body: Value = serde_json::from_slice(answer(&cloud.0, &request).response.body()).unwrap();
    format!("Bearer {}", body["access_token"].as_str().unwrap())
}

#[test]
fn a_token_for_another_audience_is_refused_where_tokens_are_looked_at() {
    let mut cloud = Cloud::well();
    cloud.0.bearer.checked = true;
    let ask = |token: &str| {
        let path = format!("/subscriptions/{SUBSCRIPTION}");
        cloud.with(token, Method::GET, &path, &Value::Null)
    };
    let [new, old] = ["/tenant/oauth2/v2.0/token", "/tenant/oauth2/token"];
    for (path, wanted) in [
        (new, "https://management.azure.com/.default"),
        (new, "https://management.azure.com//.default"),
        (new, "https://management.core.windows.net/.default"),
        (new, "https://management.core.windows.net//.default"),
        (old, "https://management.azure.com/"),
        (old, "https://management.core.windows.net"),
    ] {
        assert_eq!(ask(&token(&cloud, path, wanted)).status, StatusCode::OK, "{wanted}");
    }
    let refused = ask(&token(&cloud, new, "https://graph.microsoft.com/.default"));
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (401, "InvalidAuthenticationTokenAudience")
    );
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("wrong audience or resource 'https://graph.microsoft.com'"),
        "{message}"
    );
    assert!(refused.header("www-authenticate").contains("invalid_token"));
}
