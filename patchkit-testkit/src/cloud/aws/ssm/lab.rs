//! Asks the simulated service as a client does, without a socket between, and changes its nodes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use patchkit_core::Result;
use serde_json::{Value, json};

use crate::cloud::{
    shared::{Shared, lock},
    sink::{ObjectSink, ObjectSource},
    testing,
    world::{
        Consistency, State,
        machine::{Agent, AwsKind, Behavior, MachineIx, Power, ScopeIx},
        populate::Plan,
    },
};

pub(super) const HERE: ScopeIx = ScopeIx(0);

/// Two accounts in one Region, with machines that all behave alike and answer at once.
pub(super) struct Lab {
    shared: Shared,
    pub(super) bucket: Arc<Bucket>,
}

/// A bucket in memory.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<BTreeMap<String, Vec<u8>>>);

impl Bucket {
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(key).map(|it| String::from_utf8(it.clone()).unwrap())
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    pub(super) fn add(&self, key: &str, text: &str) {
        self.0.lock().unwrap().insert(key.to_owned(), text.into());
    }
}

impl ObjectSink for Bucket {
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        self.0.lock().unwrap().insert(format!("{bucket}/{key}"), bytes);
        Ok(())
    }
}

impl ObjectSource for Bucket {
    fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(&format!("{bucket}/{key}")).cloned()
    }
}

impl Lab {
    pub(super) fn new(behavior: Behavior) -> Self {
        let account = |id: &str| (Arc::from(id), Arc::from(id));
        let plan = Plan {
            seed: 7,
            now: "2026-03-03T10:00:00Z".parse().unwrap(),
            nodes: 64,
            accounts: vec![account("111122223333"), account("222233334444")],
            regions: vec!["us-east-1".into()],
            subscriptions: Vec::new(),
            patches: 400,
            behavior: Some(behavior),
            consistency: Consistency::default(),
        };
        let mut state = State::new(&plan);
        for at in 0..state.machines.len() {
            let machine = &mut state.machines[at];
            machine.patches.pending.clear();
            let Some(aws) = &mut machine.aws else { continue };
            if aws.registered.is_some() {
                aws.agent = Agent::Online;
                aws.answers_from = plan.now;
            }
        }
        let bucket = Arc::new(Bucket::default());
        let (sink, source) = (Arc::clone(&bucket), Arc::clone(&bucket));
        state.objects = Some(sink);
        state.files = Some(source);
        Self { shared: testing::shared(&plan, state), bucket }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.settled()
    }

    pub(super) fn advance(&self, seconds: u64) {
        lock(&self.shared.clock).advance(Duration::from_secs(seconds));
        drop(self.state());
    }

    /// The answer to a request that must succeed.
    pub(super) fn good(&self, operation: &str, input: &Value) -> Value {
        let answer = testing::ask(&self.shared, operation, input);
        answer.unwrap_or_else(|error| panic!("{operation} {input}: {error:?}"))
    }

    /// The name of the error by which a request is refused.
    pub(super) fn refused(&self, operation: &str, input: &Value) -> String {
        testing::ask(&self.shared, operation, input).expect_err("a refusal").0
    }

    /// The nodes that the log says a request reached.
    pub(super) fn reached(&self, operation: &str, input: &Value) -> Vec<String> {
        self.good(operation, input);
        self.shared.calls().iter().last().cloned().expect("it is noted").ids
    }

    fn ids(&self, such: impl Fn(&State, MachineIx) -> bool) -> Vec<String> {
        let state = self.state();
        let machines = state.scope(HERE).machines.iter().filter(|at| such(&state, **at));
        machines.map(|at| state.machine(*at).aws.as_ref().unwrap().id.to_string()).collect()
    }

    /// Running, managed Linux instances.
    pub(super) fn linux(&self) -> Vec<String> {
        self.ids(|state, at| {
            let (machine, aws) = (state.machine(at), state.machine(at).aws.as_ref().unwrap());
            machine.power == Power::Running
                && aws.registered.is_some()
                && matches!(aws.side, AwsKind::Ec2(_))
                && !state.system_of(at).is_windows()
        })
    }

    pub(super) fn windows(&self) -> Vec<String> {
        self.ids(|state, at| {
            let machine = state.machine(at);
            machine.power == Power::Running
                && machine.aws.as_ref().unwrap().registered.is_some()
                && state.system_of(at).is_windows()
        })
    }

    pub(super) fn hybrid(&self) -> Vec<String> {
        self.ids(|state, at| {
            matches!(state.machine(at).aws.as_ref().unwrap().side, AwsKind::Hybrid(_))
                && state.machine(at).power == Power::Running
        })
    }

    pub(super) fn stopped(&self) -> Vec<String> {
        self.ids(|state, at| state.machine(at).power == Power::Stopped)
    }

    pub(super) fn at(&self, id: &str) -> MachineIx {
        self.state().find(HERE, id).unwrap()
    }

    /// Makes a topic of the first account.
    pub(super) fn topic(&self, name: &str) {
        let state = &mut *self.state();
        let arn = format!("arn:aws:sns:us-east-1:{}:{name}", state.account_of(HERE).id);
        state.scope_mut(HERE).sns.add_topic(&arn);
    }

    /// Gives a node another agent.
    pub(super) fn set_agent(&self, id: &str, agent: Agent) {
        let at = self.at(id);
        self.state().machine_mut(at).aws.as_mut().unwrap().agent = agent;
    }

    pub(super) fn tag(&self, ids: &[String], key: &str, value: &str) {
        for id in ids {
            let at = self.at(id);
            let mut state = self.state();
            let aws = state.machine_mut(at).aws.as_mut().unwrap();
            aws.tags.push((key.into(), value.into()));
            state.tags_changed(at);
        }
    }

    /// Sends a document to nodes by id; gives the command's id.
    pub(super) fn send(&self, document: &str, ids: &[String], parameters: Value) -> String {
        let mut input = json!({"DocumentName": document, "InstanceIds": ids});
        input["Parameters"] = parameters;
        self.send_as(&input)
    }

    pub(super) fn send_as(&self, input: &Value) -> String {
        let answer = self.good("SendCommand", input);
        answer["Command"]["CommandId"].as_str().unwrap().to_owned()
    }

    pub(super) fn command(&self, id: &str) -> Value {
        self.good("ListCommands", &json!({"CommandId": id}))["Commands"][0].clone()
    }

    /// `StatusDetails` of all invocations, in order.
    pub(super) fn stages(&self, id: &str) -> Vec<String> {
        let input = json!({"CommandId": id});
        let list = self.good("ListCommandInvocations", &input);
        let list = list["CommandInvocations"].as_array().unwrap().iter();
        list.map(|it| it["StatusDetails"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn plugin(&self, id: &str, node: &str, plugin: &str) -> Value {
        let input = json!({"CommandId": id, "InstanceId": node, "PluginName": plugin});
        self.good("GetCommandInvocation", &input)
    }
}
