//! Asks the simulated service as a client does, without a socket between.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;

use crate::cloud::{
    World,
    aws::{self, ring::KeyRing},
    s3::SignatureChecks,
    shared::{Shared, lock},
    world::{State, clock::WorldClock, machine::Behavior},
};

/// One account in two Regions, machines that behave well, on 3 March 2026.
pub(super) struct Desk {
    shared: Shared,
}

impl Desk {
    pub(super) fn new() -> Self {
        let plan = World::builder()
            .seed(7)
            .nodes(80)
            .aws_account("111122223333")
            .behavior(Behavior::Well)
            .start_at("2026-03-03T10:00:00Z".parse().unwrap())
            .plan();
        let keys = KeyRing::new(7, &[Arc::clone(&plan.accounts[0].0)]);
        let clock = WorldClock::new(plan.now, 0.0);
        let mut shared = Shared::new(State::new(&plan), clock, keys, SignatureChecks::Off);
        shared.buckets = None;
        Self { shared }
    }

    /// The answer to a request in us-east-1, or the name of the error and its message.
    pub(super) fn ask(&self, operation: &str, input: &Value) -> Result<Value, (String, String)> {
        let scope = "AKIAANYTHING/20260303/us-east-1/ssm/aws4_request";
        let request = http::Request::post("/")
            .header("x-amz-target", format!("AmazonSSM.{operation}"))
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}"))
            .body(Bytes::from(input.to_string()))
            .unwrap();
        let response = aws::answer(&self.shared, &request).response;
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        if response.status().is_success() {
            return Ok(body);
        }
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let message = format!("{}{}", text("message"), text("Message"));
        Err((text("__type"), message))
    }

    /// The answer to a request that must succeed.
    pub(super) fn good(&self, operation: &str, input: &Value) -> Value {
        let answer = self.ask(operation, input);
        answer.unwrap_or_else(|error| panic!("{operation} {input}: {error:?}"))
    }

    /// The name of the error of a request that must fail.
    pub(super) fn bad(&self, operation: &str, input: &Value) -> String {
        self.ask(operation, input).expect_err(operation).0
    }

    /// All items of a listing, page by page.
    pub(super) fn all(&self, operation: &str, input: &Value, member: &str) -> Vec<Value> {
        let mut input = input.clone();
        let mut items = Vec::new();
        loop {
            let page = self.good(operation, &input);
            items.extend(page[member].as_array().cloned().unwrap_or_default());
            match page["NextToken"].as_str() {
                Some(token) => input["NextToken"] = token.into(),
                None => return items,
            }
        }
    }

    pub(super) fn advance(&self, by: Duration) {
        lock(&self.shared.clock).advance(by);
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.shared.settled())
    }
}
