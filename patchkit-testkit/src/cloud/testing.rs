//! A world for the tests of operations: requests without a network.

use std::{
    sync::{Arc, MutexGuard, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::{
    aws::{self, ring::KeyRing},
    builder::World,
    s3::SignatureChecks,
    shared::{Shared, lock},
    world::{
        State,
        clock::WorldClock,
        machine::{AwsKind, MachineIx, Power, ScopeIx},
        populate::Plan,
    },
};

/// The Region that requests are for, of the first account.
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const HERE: ScopeIx = ScopeIx(0);

/// An error's code and message.
pub(crate) type Refused = (String, String);

pub(crate) struct TestWorld {
    shared: Shared,
}

/// What is asked, of a state whose time stands still and whose callers are not slowed down.
pub(crate) fn shared(plan: &Plan, state: State) -> Shared {
    let accounts: Vec<_> = plan.accounts.iter().map(|(id, _)| Arc::clone(id)).collect();
    let keys = KeyRing::new(plan.seed, &accounts);
    let clock = WorldClock::new(plan.now, 0.0);
    let mut shared = Shared::new(state, clock, keys, SignatureChecks::Off);
    shared.buckets = None;
    shared
}

/// What Systems Manager answers to the first account.
pub(crate) fn ask(shared: &Shared, operation: &str, input: &Value) -> Result<Value, Refused> {
    let scope = format!("20261102/{REGION}/ssm/aws4_request");
    let request = Request::post("/")
        .header("x-amz-target", format!("AmazonSSM.{operation}"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential=any/{scope}, SignedHeaders=host, Signature=0"),
        )
        .body(Bytes::from(input.to_string()))
        .expect("a request");
    let response = aws::answer(shared, &request).response;
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    if response.status().is_success() {
        return Ok(body);
    }
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let message = if body["message"].is_null() { text("Message") } else { text("message") };
    Err((text("__type"), message))
}

/// One world for all tests that change nothing.
pub(crate) fn read_only() -> &'static TestWorld {
    static WORLD: OnceLock<TestWorld> = OnceLock::new();
    WORLD.get_or_init(|| TestWorld::new(500))
}

impl TestWorld {
    pub(crate) fn new(nodes: usize) -> Self {
        let at = "2026-11-02T00:00:00Z".parse().expect("a time");
        let plan = World::builder().seed(7).nodes(nodes).start_at(at).plan();
        Self { shared: shared(&plan, State::new(&plan)) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.settled()
    }

    pub(crate) fn advance(&self, by: Duration) {
        lock(&self.shared.clock).advance(by);
        let mut state = self.state();
        while state.write_some(64) {}
    }

    /// What Systems Manager answers to the first account.
    pub(crate) fn ssm(&self, operation: &str, input: &Value) -> Result<Value, Refused> {
        ask(&self.shared, operation, input)
    }

    /// The code by which a request is refused.
    pub(crate) fn refused(&self, operation: &str, input: &Value) -> String {
        self.ssm(operation, input).expect_err("a refusal").0
    }

    /// All items of a listing, page by page.
    pub(crate) fn all(&self, operation: &str, key: &str, input: &Value) -> Vec<Value> {
        let (mut input, mut items) = (input.clone(), Vec::new());
        loop {
            let page = self.ssm(operation, &input).expect("a page");
            items.extend(page[key].as_array().cloned().unwrap_or_default());
            match page.get("NextToken") {
                Some(token) => input["NextToken"] = token.clone(),
                None => return items,
            }
        }
    }

    /// The ids of the first account's nodes here that are so.
    pub(crate) fn ids(&self, such: impl Fn(&State, MachineIx) -> bool) -> Vec<String> {
        let state = self.state();
        let machines = state.scope(HERE).machines.iter();
        let such = machines.filter(|at| such(&state, **at));
        such.filter_map(|at| Some(state.machine(*at).aws.as_ref()?.id.to_string())).collect()
    }

    pub(crate) fn at(&self, id: &str) -> MachineIx {
        self.state().find(HERE, id).expect("a machine")
    }
}

pub(crate) fn is_hybrid(state: &State, at: MachineIx) -> bool {
    matches!(state.machine(at).aws.as_ref().map(|aws| &aws.side), Some(AwsKind::Hybrid(_)))
}

pub(crate) fn is_scanned(state: &State, at: MachineIx) -> bool {
    state.machine(at).aws.as_ref().is_some_and(|aws| aws.scan.is_some())
}

pub(crate) fn is_stopped(state: &State, at: MachineIx) -> bool {
    state.machine(at).power == Power::Stopped
}
