use patchkit_core::{Fleet, FleetExt, NodeSelector, PowerTarget};
use serde_json::json;

use super::*;
use crate::testing::{Canned, SUBSCRIPTION, Tokens as Issued};

fn headers<const N: usize>(pairs: [(&'static str, &'static str); N]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in pairs {
        headers.insert(name, value);
    }
    headers
}

fn vm() -> NodeId {
    format!(
        "azure/{SUBSCRIPTION}/we//subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers\
         /Microsoft.Compute/virtualMachines/vm1"
    )
    .parse()
    .unwrap()
}

fn view(power: &str) -> Value {
    json!({"statuses": [{"code": format!("PowerState/{power}")}]})
}

fn refusal(code: &str) -> Value {
    json!({"error": {"code": code, "message": "no"}})
}

#[test]
fn a_recorded_answer_tells_what_is_left() {
    let headers = headers([
        ("x-ms-ratelimit-remaining-subscription-global-reads", "3749"),
        (
            "x-ms-ratelimit-remaining-resource",
            "Microsoft.Compute/GetOperationResource;40,Microsoft.Compute/GetOperationSubscriptionMaximum;14995",
        ),
    ]);
    let left = left(200, &headers);
    assert_eq!((left.resource, left.all, left.door), (Some(40.0), Some(14_995.0), None));
    assert_eq!(left.pause, None);
}

#[test]
fn a_throttle_says_for_how_long_in_seconds_milliseconds_or_as_a_date() {
    for (pairs, seconds) in [
        ([("retry-after", "17"), ("date", "")], Some(17)),
        ([("x-ms-retry-after-ms", "2000"), ("retry-after", "17")], Some(2)),
        (
            [
                ("retry-after", "Tue, 24 Nov 2026 02:01:00 GMT"),
                ("date", "Tue, 24 Nov 2026 02:00:00 GMT"),
            ],
            Some(60),
        ),
        ([("retry-after", "soon"), ("date", "")], None),
    ] {
        let told = retry_after(&headers(pairs));
        assert_eq!(told, seconds.map(Duration::from_secs), "{pairs:?}");
    }
}

#[tokio::test]
async fn a_long_throttle_is_handed_on_instead_of_slept_through() {
    let told = [("retry-after", "3600"), ("x-ms-request-id", "r-1")];
    for (status, kind) in [(429, ErrorKind::Throttled), (503, ErrorKind::Unexpected)] {
        let service = Canned::new().then(status, &told, &refusal("TooManyRequests"));
        let error = service.provider(Issued::Same).status(&vm()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.retry(), Retry::After(Duration::from_hours(1)));
        assert_eq!(error.request_id(), Some("r-1"));
        assert_eq!(service.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_write_whose_service_is_away_for_long_may_have_been_done() {
    let model = json!({"properties": {"instanceView": view("deallocated")}});
    let service = Canned::new().then(200, &[], &model).then(
        503,
        &[("retry-after", "3600")],
        &refusal("ServiceUnavailable"),
    );
    let azure = service.provider(Issued::Same);
    let error = azure.power(&vm(), PowerTarget::Running).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Never));
    assert_eq!(service.asked().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_write_is_sent_with_the_other() {
    let model = json!({"properties": {"instanceView": view("deallocated")}});
    let service = Canned::new()
        .then(200, &[], &model)
        .then(401, &[], &refusal("ExpiredAuthenticationToken"))
        .then(202, &[("location", "https://management.azure.com/x")], &Value::Null);
    service.provider(Issued::New).power(&vm(), PowerTarget::Running).await.unwrap();
    let tokens: Vec<String> = service.asked().into_iter().map(|it| it.token).collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-1", "Bearer token-2"]);
}

#[tokio::test]
async fn a_token_that_stays_refused_is_the_callers_to_mend() {
    for (issued, requests) in [(Issued::New, 2), (Issued::Same, 1)] {
        let refused = refusal("InvalidAuthenticationToken");
        let service = Canned::new().then(401, &[], &refused).then(401, &[], &refused);
        let error = service.provider(issued).status(&vm()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never));
        assert_eq!(service.asked().len(), requests, "{issued:?}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_and_has_no_token_for_the_rest_is_not_the_whole() {
    let seen = json!({"count": 1, "data": [{"subscriptionId": SUBSCRIPTION}]});
    let cut = json!({"count": 0, "data": [], "resultTruncated": "true"});
    let service = Canned::new().then(200, &[], &seen).then(200, &[], &cut);
    let azure = service.provider(Issued::Same);
    let error = azure.collect_nodes(&NodeSelector::all()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
    let asked = service.asked();
    assert_eq!(asked[1].body["options"]["$top"], 1_000);
    assert_eq!(asked[1].body["subscriptions"], json!([SUBSCRIPTION]));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = [("location", "https://evil.example/")];
    let service = Canned::new().then(302, &elsewhere, &Value::Null);
    let azure = service.provider(Issued::Same);
    let error = azure.statuses(&[vm()]).await.remove(0).1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn an_address_of_another_host_scheme_or_port_is_refused() {
    let client = Canned::new().provider(Issued::Same).client;
    for (url, fine) in [
        ("https://management.azure.com/subscriptions?x=1", true),
        ("https://MANAGEMENT.azure.com:443/subscriptions", true),
        ("http://management.azure.com/subscriptions", false),
        ("https://management.azure.com:8443/subscriptions", false),
        ("https://management.azure.com.evil.example/", false),
        ("https://management.azure.com@evil.example/", false),
        ("https://me:pw@management.azure.com/", false),
        ("//evil.example/x", false),
        ("file:///etc/passwd", false),
    ] {
        assert_eq!(client.given("test", url).is_ok(), fine, "{url}");
    }
}
