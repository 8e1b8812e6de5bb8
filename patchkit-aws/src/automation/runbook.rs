//! The runbook: what becomes of one instance, as a document.

use std::{collections::BTreeMap, time::Duration};

use patchkit_core::{PatchAction, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    command::{
        CommandOptions,
        document::{self, Document},
    },
    convert::hex,
    error::invalid,
};

/// The parameters that [`start_runbook`](crate::Ssm::start_runbook) fills.
pub(super) const INSTANCE: &str = "InstanceId";
pub(super) const SNAPSHOT: &str = "SnapshotId";
pub(super) const ROLE: &str = "AutomationAssumeRole";

const CREATE: &str = "CreateDocument";
/// What the names of our runbooks begin with; those that begin with `AWS` are AWS's.
const PREFIX: &str = "PatchKit-Patch-";

/// What a runbook does to each instance: start it if it is stopped, wait for its agent, update the
/// agent, install, rescan, and stop it again if it was stopped.
///
/// # Behavior
/// - Only what the runbook started is stopped, also where a step in between fails: the execution
///   then ends as failed. One that is [stopped](crate::Ssm::stop_automation) at once does nothing
///   more, and leaves the instance on.
/// - An instance that is stopping or terminated is a failure, not something to fight with.
/// - An agent that cannot be updated is no failure; as in our own workflow it is the agents of
///   instances that were off that are updated.
/// - Instances of EC2 only: a hybrid node has no power that AWS holds.
/// - Whether an instance is compliant then is what the rescan reports, not how the execution ends.
///
/// # Example
/// ```
/// use patchkit_aws::PatchRunbook;
/// use patchkit_core::{PatchAction, RebootPolicy};
///
/// let runbook = PatchRunbook::new(PatchAction::Install(RebootPolicy::IfRequired)).render()?;
/// assert!(runbook.name.starts_with("PatchKit-Patch-"));
/// assert!(runbook.content.contains("\"schemaVersion\": \"0.3\""));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PatchRunbook {
    /// What is done: a scan or an install.
    pub action: PatchAction,
    /// What becomes of instances that are stopped.
    pub stopped: StoppedInstances,
    /// How the commands are sent.
    pub options: CommandOptions,
    /// How long an agent may take to answer.
    pub online_timeout: Duration,
    /// How long one command may take.
    pub command_timeout: Duration,
}

/// What becomes of instances that are stopped.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum StoppedInstances {
    /// They are started, and stopped again.
    #[default]
    Start,
    /// They are left as they are; their executions fail.
    Leave,
}

/// A runbook as it is registered.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RunbookDocument {
    /// Its name, which holds a hash of the content: another content is another runbook, and one that
    /// runs is never changed under its executions.
    pub name: String,
    /// The content, in JSON.
    pub content: String,
}

impl PatchRunbook {
    /// A scan or an install that starts what is stopped.
    pub fn new(action: PatchAction) -> Self {
        Self {
            action,
            stopped: StoppedInstances::Start,
            options: CommandOptions::default(),
            online_timeout: Duration::from_mins(15),
            command_timeout: Duration::from_hours(2),
        }
    }

    /// Sets what becomes of instances that are stopped.
    #[must_use]
    pub fn with_stopped(mut self, stopped: StoppedInstances) -> Self {
        self.stopped = stopped;
        self
    }

    /// Sets how the commands are sent.
    #[must_use]
    pub fn with_options(mut self, options: CommandOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets how long an agent may take to answer.
    #[must_use]
    pub fn with_online_timeout(mut self, timeout: Duration) -> Self {
        self.online_timeout = timeout;
        self
    }

    /// Sets how long one command may take.
    #[must_use]
    pub fn with_command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// Writes the runbook. The same options are the same text, byte for byte.
    ///
    /// # Errors
    /// `InvalidInput` for an action that is neither a scan nor an install, for options that a
    /// runbook cannot keep, and for texts that Automation would read as its own (`{{`);
    /// `Unsupported` for a reboot that Systems Manager does not know.
    pub fn render(&self) -> Result<RunbookDocument> {
        self.check()?;
        let mut parameters = BTreeMap::new();
        parameters.insert(INSTANCE, Parameter::of("The instance.", None));
        parameters.insert(
            SNAPSHOT,
            Parameter::of("One snapshot of approved patches for a whole run.", Some("")),
        );
        parameters.insert(ROLE, Parameter::of("The role that the runbook works with.", Some("")));
        let main_steps = self.steps()?;
        let content = Content {
            schema_version: "0.3",
            description: format!("{} by PatchKit: {}", what(self.action), explain(self.stopped)),
            assume_role: reference(ROLE),
            parameters,
            main_steps,
        };
        let content = serde_json::to_string_pretty(&content)
            .map_err(|error| invalid(CREATE, "the runbook cannot be written").with_source(error))?;
        let hash = hex(&Sha256::digest(content.as_bytes())[..8]);
        Ok(RunbookDocument { name: format!("{PREFIX}{hash}"), content })
    }

    fn check(&self) -> Result<()> {
        let options = &self.options;
        options.check()?;
        let refuse = |message: &str| Err(invalid(CREATE, message.to_owned()));
        let installs = match self.action {
            PatchAction::Scan => false,
            PatchAction::Install(_) => true,
            _ => return refuse("a runbook of ours scans or installs"),
        };
        if !installs && (options.hooks.is_some() || options.install_override_list.is_some()) {
            return refuse("hooks and a list of what is installed are of installs");
        }
        if options.output.as_ref().is_some_and(|output| output.region.is_some()) {
            return refuse("a runbook's commands write to buckets of their own Region");
        }
        if options.notification.is_some()
            || options.lookback.is_some()
            || !options.associations.is_empty()
        {
            return refuse("a runbook keeps no notification, no lookback and no associations");
        }
        for (time, what) in [
            (Some(self.online_timeout), "an agent's"),
            (Some(self.command_timeout), "a command's"),
            (options.delivery_timeout, "a delivery's"),
        ] {
            if time.is_some_and(|time| time.subsec_nanos() > 0 || time.as_secs() < 30) {
                return refuse(&format!("{what} time is 30 whole seconds or more"));
            }
        }
        let hooks = options
            .hooks
            .iter()
            .flat_map(|it| [&it.pre_install, &it.post_install, &it.on_exit].into_iter().flatten());
        let output = options.output.iter().flat_map(|it| [Some(&it.bucket), it.prefix.as_ref()]);
        let others =
            [&options.install_override_list, &options.baseline_override, &options.agent_version];
        let mut texts = hooks.chain(output.flatten()).chain(others.into_iter().flatten());
        if texts.any(|text| text.contains("{{")) {
            return refuse("Automation would read what stands between {{ and }} as its own");
        }
        Ok(())
    }

    fn steps(&self) -> Result<Vec<Step>> {
        let online = self.online_timeout.as_secs();
        let mut steps = Vec::new();
        if self.stopped == StoppedInstances::Start {
            // Whether it fails says which way to go, and is no failure of the whole.
            steps.push(
                power_is("isStopped", &["stopped"])
                    .on_failure("step:isRunning")
                    .uncritical()
                    .next("startInstance"),
            );
            steps.push(
                Step::new("startInstance", "aws:changeInstanceState")
                    .input("InstanceIds", Value::List(vec![reference(INSTANCE)]))
                    .input("DesiredState", text("running"))
                    .timeout(online)
                    .on_failure("step:stopAgain"),
            );
            steps.push(answers("waitForStarted", online).on_failure("step:stopAgain"));
            steps.push(
                self.command("updateAgent", PatchAction::UpdateAgent)?
                    .on_failure("Continue")
                    .uncritical(),
            );
            steps.push(self.command("patchStarted", self.action)?.on_failure("step:stopAgain"));
            if self.action != PatchAction::Scan {
                let scan = self.command("rescanStarted", PatchAction::Scan)?;
                steps.push(scan.on_failure("step:stopAgain"));
            }
            steps.push(
                Step::new("stopAgain", "aws:changeInstanceState")
                    .input("InstanceIds", Value::List(vec![reference(INSTANCE)]))
                    .input("DesiredState", text("stopped"))
                    .timeout(online)
                    .end(),
            );
        }
        steps.push(power_is("isRunning", &["running", "pending"]));
        steps.push(answers("waitForRunning", online));
        let install = self.command("patchRunning", self.action)?;
        if self.action == PatchAction::Scan {
            steps.push(install.end());
        } else {
            steps.push(install);
            steps.push(self.command("rescanRunning", PatchAction::Scan)?.end());
        }
        Ok(steps)
    }

    /// A command; what patches works with the snapshot of the run.
    fn command(&self, name: &'static str, action: PatchAction) -> Result<Step> {
        let (document, mut parameters) = document::of(action, &self.options, Uuid::nil())?;
        if document != Document::UpdateAgent {
            parameters.insert(SNAPSHOT.to_owned(), vec![reference(SNAPSHOT)]);
        }
        let mut step = Step::new(name, "aws:runCommand")
            .input("DocumentName", text(document.name()))
            .input("InstanceIds", Value::List(vec![reference(INSTANCE)]))
            .timeout(self.command_timeout.as_secs());
        if !parameters.is_empty() {
            step = step.input("Parameters", Value::Map(parameters.into_iter().collect()));
        }
        if let Some(delivery) = self.options.delivery_timeout {
            step = step.input("TimeoutSeconds", Value::Number(delivery.as_secs()));
        }
        if let Some(output) = &self.options.output {
            step = step.input("OutputS3BucketName", text(&output.bucket));
            if let Some(prefix) = &output.prefix {
                step = step.input("OutputS3KeyPrefix", text(prefix));
            }
        }
        Ok(step)
    }
}

fn what(action: PatchAction) -> &'static str {
    if action == PatchAction::Scan { "Scan" } else { "Install and rescan" }
}

fn explain(stopped: StoppedInstances) -> &'static str {
    match stopped {
        StoppedInstances::Start => "what is stopped is started, and stopped again.",
        StoppedInstances::Leave => "what is stopped is left as it is.",
    }
}

/// Looks at an instance's power.
fn power_is(name: &'static str, states: &[&str]) -> Step {
    Step::new(name, "aws:assertAwsResourceProperty")
        .input("Service", text("ec2"))
        .input("Api", text("DescribeInstances"))
        .input("InstanceIds", Value::List(vec![reference(INSTANCE)]))
        .input("PropertySelector", text("$.Reservations[0].Instances[0].State.Name"))
        .input("DesiredValues", Value::List(states.iter().map(|it| (*it).to_owned()).collect()))
}

/// Waits for an agent.
fn answers(name: &'static str, seconds: u64) -> Step {
    let filter = Filter { key: "InstanceIds", values: vec![reference(INSTANCE)] };
    Step::new(name, "aws:waitForAwsResourceProperty")
        .input("Service", text("ssm"))
        .input("Api", text("DescribeInstanceInformation"))
        .input("InstanceInformationFilterList", Value::Filters(vec![filter]))
        .input("PropertySelector", text("$.InstanceInformationList[0].PingStatus"))
        .input("DesiredValues", Value::List(vec!["Online".to_owned()]))
        .timeout(seconds)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn reference(parameter: &str) -> String {
    format!("{{{{ {parameter} }}}}")
}

/// The document; its members stand in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    schema_version: &'static str,
    description: String,
    assume_role: String,
    parameters: BTreeMap<&'static str, Parameter>,
    main_steps: Vec<Step>,
}

#[derive(Serialize)]
struct Parameter {
    r#type: &'static str,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'static str>,
}

impl Parameter {
    fn of(description: &'static str, default: Option<&'static str>) -> Self {
        Self { r#type: "String", description, default }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    name: &'static str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_critical: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<u64>,
    inputs: BTreeMap<&'static str, Value>,
    #[serde(rename = "nextStep", skip_serializing_if = "Option::is_none")]
    next: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_end: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(u64),
    List(Vec<String>),
    Map(BTreeMap<String, Vec<String>>),
    Filters(Vec<Filter>),
}

/// A filter of DescribeInstanceInformation, in its older form, which alone the action's examples use.
#[derive(Serialize)]
struct Filter {
    key: &'static str,
    #[serde(rename = "valueSet")]
    values: Vec<String>,
}

impl Step {
    fn new(name: &'static str, action: &'static str) -> Self {
        Self {
            name,
            action,
            on_failure: None,
            is_critical: None,
            timeout_seconds: None,
            inputs: BTreeMap::new(),
            next: None,
            is_end: None,
        }
    }

    fn input(mut self, name: &'static str, value: Value) -> Self {
        self.inputs.insert(name, value);
        self
    }

    fn on_failure(mut self, then: &'static str) -> Self {
        self.on_failure = Some(then);
        self
    }

    fn uncritical(mut self) -> Self {
        self.is_critical = Some(false);
        self
    }

    fn timeout(mut self, seconds: u64) -> Self {
        self.timeout_seconds = Some(seconds);
        self
    }

    fn next(mut self, name: &'static str) -> Self {
        self.next = Some(name);
        self
    }

    fn end(mut self) -> Self {
        self.is_end = Some(true);
        self
    }
}

#[cfg(test)]
mod tests;
