//! Asks the simulated service as a client does, without a socket between.

use std::time::Duration;

use serde_json::Value;

use crate::cloud::{
    World,
    shared::{Shared, lock},
    testing::{self, Refused},
    world::{State, machine::Behavior},
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
        Self { shared: testing::shared(&plan, State::new(&plan)) }
    }

    /// The answer to a request in us-east-1, or the name of the error and its message.
    pub(super) fn ask(&self, operation: &str, input: &Value) -> Result<Value, Refused> {
        testing::ask(&self.shared, operation, input)
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
