//! What steps do: the actions that are modelled. Any other one fails its step, by name.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    State,
    flow::{At, StepEnd},
    runbooks::texts,
};
use crate::cloud::{
    aws::ssm::commands::{self, Invocation, SendRequest, Stage},
    world::{
        clock::later,
        machine::{AwsKind, MachineIx, Power, ScopeIx},
        power::Off,
    },
};

/// How often a step that waits for a property looks.
const LOOK: Duration = Duration::from_secs(15);

impl State {
    pub(super) fn act(&mut self, at: At, action: &str, inputs: Value) {
        match action {
            "aws:runCommand" => self.run_command_step(at, inputs),
            "aws:changeInstanceState" => self.change_state_step(at, &inputs),
            "aws:sleep" => self.sleep_step(at, &inputs),
            "aws:assertAwsResourceProperty" => self.property_step(at, inputs, Waits::No),
            "aws:waitForAwsResourceProperty" => self.property_step(at, inputs, Waits::Yes),
            other => {
                let message = format!("The simulator does not model the action {other}.");
                self.end_automation_step(&at, StepEnd::failure(message));
            }
        }
    }

    fn run_command_step(&mut self, at: At, mut inputs: Value) {
        // A step may give one value where SendCommand takes a list.
        if let Value::Object(members) = &mut inputs {
            if let Some(ids) = members.get_mut("InstanceIds") {
                *ids = texts(ids).into();
            }
            if let Some(Value::Object(parameters)) = members.get_mut("Parameters") {
                for value in parameters.values_mut() {
                    *value = texts(value).into();
                }
            }
            if let Some(seconds) = members.get_mut("TimeoutSeconds")
                && let Some(number) = seconds.as_str().and_then(|it| it.parse::<u32>().ok())
            {
                *seconds = number.into();
            }
        }
        let request: SendRequest = match serde_json::from_value(inputs) {
            Ok(request) => request,
            Err(error) => {
                let message = format!("The inputs of aws:runCommand are wrong: {error}.");
                return self.end_automation_step(&at, StepEnd::failure(message));
            }
        };
        let sent = match commands::send(self, at.scope, request) {
            Ok(sent) => sent,
            Err(error) => {
                let message = format!("{} ({})", error.message, error.name);
                return self.end_automation_step(&at, StepEnd::failure(message));
            }
        };
        let command: Arc<str> = sent["Command"]["CommandId"].as_str().unwrap_or_default().into();
        if let Some(run) = self.step_run_mut(&at) {
            run.command = Some(Arc::clone(&command));
        }
        let id = Arc::clone(&command);
        commands::on_end(self, at.scope, &id, move |state| {
            let end = state.command_end(at.scope, &command);
            state.end_automation_step(&at, end);
        });
    }

    fn command_end(&self, scope: ScopeIx, id: &str) -> StepEnd {
        let Some(command) = self.commands(scope).get(id) else {
            return StepEnd::failure("The command is not known any more.");
        };
        let first = command.invocations.first();
        let output = first.map(|it| {
            let texts: Vec<&str> = it.plugins.iter().map(|it| it.stdout.as_str()).collect();
            texts.concat()
        });
        // An output of a step holds no more (API reference, AutomationParameterValue).
        let output: String = output.unwrap_or_default().chars().take(512).collect();
        let outputs = BTreeMap::from([
            ("CommandId".to_owned(), vec![id.to_owned()]),
            ("Status".to_owned(), vec![command.stage.status().to_owned()]),
            ("ResponseCode".to_owned(), vec![first.map_or(-1, Invocation::code).to_string()]),
            ("Output".to_owned(), vec![output]),
        ]);
        match command.stage {
            Stage::Success | Stage::NoInstancesInTag => StepEnd::success(outputs),
            stage => {
                let message = format!("The command {id} ended as {}.", stage.details());
                StepEnd { outputs, ..StepEnd::failure(message) }
            }
        }
    }

    fn change_state_step(&mut self, at: At, inputs: &Value) {
        let ids = texts(&inputs["InstanceIds"]);
        let desired = inputs["DesiredState"].as_str().unwrap_or("running");
        let wanted = match desired {
            "running" => Power::Running,
            "stopped" => Power::Stopped,
            other => {
                let message = format!("The simulator does not model the state {other}.");
                return self.end_automation_step(&at, StepEnd::failure(message));
            }
        };
        let only_check = truth(&inputs["CheckStateOnly"]);
        let mut machines = Vec::new();
        let mut ready = self.now;
        for id in &ids {
            let found = self.find(at.scope, id).filter(|it| self.is_instance(*it));
            let Some(machine) = found else {
                let message = format!("The instance ID '{id}' does not exist.");
                return self.end_automation_step(&at, StepEnd::failure(message));
            };
            machines.push(machine);
            let power = self.machine(machine).power;
            if only_check || power == wanted {
                continue;
            }
            // EC2 refuses what is on its way to the other state.
            let done = match (wanted, power) {
                (Power::Running, Power::Stopped) => Some(self.power_on(machine)),
                (Power::Stopped, Power::Running) => Some(self.power_off(machine, Off::Stop)),
                (Power::Running, Power::Starting) | (Power::Stopped, Power::Stopping) => {
                    Some(later(self.now, LOOK))
                }
                _ => None,
            };
            let Some(done) = done else {
                let message = format!(
                    "The instance '{id}' is not in a state from which it can be {desired}."
                );
                return self.end_automation_step(&at, StepEnd::failure(message));
            };
            ready = ready.max(done);
        }
        self.at(ready, move |state| state.look_for_power(at, machines, wanted));
    }

    fn is_instance(&self, at: MachineIx) -> bool {
        let machine = self.machine(at);
        let ec2 = machine.aws.as_ref().is_some_and(|aws| matches!(aws.side, AwsKind::Ec2(_)));
        ec2 && machine.power != Power::Terminated
    }

    /// Ends the step once all are as wanted; looks again until it times out.
    fn look_for_power(&mut self, at: At, machines: Vec<MachineIx>, wanted: Power) {
        if !self.is_at(&at) {
            return;
        }
        if machines.iter().all(|it| self.machine(*it).power == wanted) {
            let state = if wanted == Power::Running { "running" } else { "stopped" };
            let states = machines.iter().map(|_| state.to_owned()).collect();
            let outputs = BTreeMap::from([("InstanceStates".to_owned(), states)]);
            self.end_automation_step(&at, StepEnd::success(outputs));
            return;
        }
        self.after(LOOK, move |state| state.look_for_power(at, machines, wanted));
    }

    fn sleep_step(&mut self, at: At, inputs: &Value) {
        let until = match (inputs["Duration"].as_str(), inputs["Timestamp"].as_str()) {
            (Some(text), _) => text
                .parse::<jiff::SignedDuration>()
                .ok()
                .and_then(|it| Duration::try_from(it).ok())
                .map(|it| later(self.now, it)),
            (None, Some(text)) => text.parse().ok(),
            (None, None) => None,
        };
        let Some(until) = until else {
            let message = "aws:sleep takes a Duration (PT10M) or a Timestamp.";
            return self.end_automation_step(&at, StepEnd::failure(message));
        };
        self.at(until, move |state| {
            state.end_automation_step(&at, StepEnd::success(BTreeMap::new()));
        });
    }

    fn property_step(&mut self, at: At, inputs: Value, waits: Waits) {
        if !self.is_at(&at) {
            return;
        }
        let desired = texts(&inputs["DesiredValues"]);
        match self.property(at.scope, &inputs) {
            Ok(value) if desired.contains(&value) => {
                self.end_automation_step(&at, StepEnd::success(BTreeMap::new()));
            }
            Ok(value) => match waits {
                Waits::Yes => {
                    self.after(LOOK, move |state| state.property_step(at, inputs, waits));
                }
                Waits::No => {
                    let message = format!("The property is {value:?}, not one of {desired:?}.");
                    self.end_automation_step(&at, StepEnd::failure(message));
                }
            },
            Err(message) => self.end_automation_step(&at, StepEnd::failure(message)),
        }
    }

    /// The property of the one instance that a step asks about: its power or its agent.
    fn property(&self, scope: ScopeIx, inputs: &Value) -> Result<String, String> {
        let word = |name: &str| inputs[name].as_str().unwrap_or_default().to_lowercase();
        let (service, api) = (word("Service"), word("Api"));
        let selector = inputs["PropertySelector"].as_str().unwrap_or_default();
        let id = texts(&inputs["InstanceIds"]).into_iter().next();
        let id = id.or_else(|| {
            let filters = inputs["Filters"]
                .as_array()
                .or(inputs["InstanceInformationFilterList"].as_array())?;
            let values = filters.iter().find_map(|it| it.get("Values").or(it.get("valueSet")));
            values.and_then(|it| texts(it).into_iter().next())
        });
        let at = id.as_deref().and_then(|id| self.find(scope, id));
        match (service.as_str(), api.as_str()) {
            ("ec2", "describeinstances" | "describeinstancestatus")
                if selector.ends_with("State.Name") =>
            {
                let at = at.filter(|it| self.is_instance(*it));
                let at = at.ok_or_else(|| {
                    format!("The instance ID '{}' does not exist.", id.unwrap_or_default())
                })?;
                let name = match self.machine(at).power {
                    Power::Starting => "pending",
                    Power::Running => "running",
                    Power::Stopping | Power::Deallocating => "stopping",
                    Power::Stopped | Power::Deallocated => "stopped",
                    Power::Terminated => "terminated",
                };
                Ok(name.to_owned())
            }
            ("ssm", "describeinstanceinformation") if selector.ends_with("PingStatus") => {
                let online = at.is_some_and(|at| self.answers(at));
                Ok(if online { "Online" } else { "ConnectionLost" }.to_owned())
            }
            _ => Err(format!("The simulator does not model {selector} of {service}:{api}.")),
        }
    }
}

/// Whether a step that looks at a property waits for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waits {
    No,
    Yes,
}

/// `true`, also as text.
fn truth(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}
