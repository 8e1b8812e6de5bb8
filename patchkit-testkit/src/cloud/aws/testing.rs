//! A world for the tests of operations: whole requests without a network.

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::ring::KeyRing;
use crate::cloud::{
    builder::World,
    s3::SignatureChecks,
    shared::{Shared, lock},
    world::{State, clock::WorldClock, machine::ScopeIx},
};

/// The first account in the first Region.
pub(crate) const HERE: ScopeIx = ScopeIx(0);
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "us-east-1";

pub(crate) struct TestCloud {
    pub(crate) shared: Shared,
}

/// An error's code and message.
pub(crate) type Refused = (String, String);

impl TestCloud {
    pub(crate) fn new(nodes: usize) -> Self {
        let plan = World::builder()
            .seed(7)
            .nodes(nodes)
            .patches(200)
            .start_at("2026-11-02T00:00:00Z".parse().unwrap())
            .aws_account(ACCOUNT)
            .aws_account("222233334444")
            .plan();
        let accounts: Vec<_> = plan.accounts.iter().map(|(id, _)| Arc::clone(id)).collect();
        let keys = KeyRing::new(plan.seed, &accounts);
        let clock = WorldClock::new(plan.now, 0.0);
        Self { shared: Shared::new(State::new(&plan), clock, keys, SignatureChecks::Off) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.settled()
    }

    pub(crate) fn advance(&self, seconds: u64) {
        lock(&self.shared.clock).advance(Duration::from_secs(seconds));
        drop(self.state());
    }

    /// What a service of JSON with targets answers to the first account.
    pub(crate) fn json(&self, target: &str, input: &Value) -> Result<Value, Refused> {
        let request = Request::post("/").header("x-amz-target", target);
        self.send(request, "any", input.to_string())
    }

    /// What a service of REST-JSON answers to the first account.
    pub(crate) fn rest(
        &self,
        service: &str,
        [method, path]: [&str; 2],
        input: &Value,
    ) -> Result<Value, Refused> {
        let body = if input.is_null() { String::new() } else { input.to_string() };
        self.send(Request::builder().method(method).uri(path), service, body)
    }

    /// What a query service answers, as XML; the status too.
    pub(crate) fn query(&self, service: &str, access_key: &str, form: &str) -> (u16, String) {
        let scope = format!("20261102/{REGION}/{service}/aws4_request");
        let request = Request::post("/")
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}"))
            .body(Bytes::from(form.to_owned()))
            .unwrap();
        let response = super::answer(&self.shared, &request).response;
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        (response.status().as_u16(), body)
    }

    fn send(
        &self,
        request: http::request::Builder,
        service: &str,
        body: String,
    ) -> Result<Value, Refused> {
        let scope = format!("20261102/{REGION}/{service}/aws4_request");
        let request = request
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential=any/{scope}"))
            .body(Bytes::from(body))
            .unwrap();
        let response = super::answer(&self.shared, &request).response;
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        if response.status().is_success() {
            return Ok(body);
        }
        let of_header = response.headers().get("x-amzn-errortype").map(|it| it.to_str().unwrap());
        let name = of_header.or(body["__type"].as_str()).unwrap().to_owned();
        let message = body["Message"].as_str().or(body["message"].as_str()).unwrap();
        Err((name, message.to_owned()))
    }
}
