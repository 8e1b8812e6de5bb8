//! SendCommand: the rules by which a command is taken, and what is noted of it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::super::{Call, input},
    super::documents as contents,
    At, AwsError, Command, Invocation, Plugin, Stage, State,
    documents::{Document, Parameter, Platform, Rule},
    notices, output, targets,
};
use crate::cloud::world::{
    clock::later,
    judge::between,
    machine::{MachineIx, Power, ScopeIx},
};

/// The service's own, where a request gives none (API reference, SendCommand).
const DELIVERY: u32 = 3_600;
const EXECUTION: u32 = 3_600;
const CONCURRENCY: usize = 50;

/// What SendCommand takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SendRequest {
    pub(crate) instance_ids: Vec<String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) document_name: String,
    pub(crate) document_version: Option<String>,
    pub(crate) document_hash: Option<String>,
    pub(crate) document_hash_type: Option<String>,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) comment: Option<String>,
    pub(crate) parameters: BTreeMap<String, Vec<String>>,
    #[serde(rename = "OutputS3BucketName")]
    pub(crate) bucket: Option<String>,
    #[serde(rename = "OutputS3KeyPrefix")]
    pub(crate) prefix: Option<String>,
    #[serde(rename = "OutputS3Region")]
    pub(crate) bucket_region: Option<String>,
    pub(crate) max_concurrency: Option<String>,
    pub(crate) max_errors: Option<String>,
    pub(crate) service_role_arn: Option<String>,
    pub(crate) notification_config: Option<NotificationConfig>,
    pub(crate) cloud_watch_output_config: Option<Value>,
    #[serde(skip)]
    pub(crate) origin: Origin,
}

/// Who sends a command.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Origin {
    /// SendCommand, or what calls it for someone: it is listed.
    #[default]
    Request,
    /// An association, whose runs Run Command does not list.
    Association,
}

/// Nodes by one property with any of some values.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Target {
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct NotificationConfig {
    #[serde(rename = "NotificationArn")]
    pub(crate) topic: String,
    #[serde(rename = "NotificationEvents")]
    pub(crate) events: Vec<String>,
    #[serde(rename = "NotificationType", skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<String>,
}

pub(in super::super) fn send_command(call: &mut Call<'_>, value: Value) -> Result<Value, AwsError> {
    let request: SendRequest = input(value)?;
    let named = !request.instance_ids.is_empty();
    let answer = send(call.state, call.scope, request)?;
    // The input names its instances itself.
    if !named && let Some(id) = answer["Command"]["CommandId"].as_str() {
        call.reached = super::reached(call.state, call.scope, id);
    }
    Ok(answer)
}

/// Sends a command as SendCommand does; answers as it does.
pub(crate) fn send(
    state: &mut State,
    scope: ScopeIx,
    request: SendRequest,
) -> Result<Value, AwsError> {
    let document = check_document(state, scope, &request)?;
    check_parameters(&document, &request.parameters)?;
    check_notification(state, scope, &request)?;
    let nodes = match (request.instance_ids.as_slice(), request.targets.as_slice()) {
        ([], []) => {
            let message = "Either InstanceIds or Targets must be specified.";
            return Err(AwsError::validation(message));
        }
        ([], wanted) if request.origin == Origin::Request && wanted.iter().any(Target::is_all) => {
            // All nodes can be meant by associations alone.
            let message = "The target InstanceIds takes ids.";
            return Err(AwsError::validation(message));
        }
        ([], wanted) => targets::resolve(state, scope, wanted)?,
        (ids, []) => named_nodes(state, scope, ids, &document)?,
        _ => {
            let message = "InstanceIds and Targets cannot be specified together.";
            return Err(AwsError::validation(message));
        }
    };
    let id: Arc<str> = state.new_uuid().into();
    let command = new_command(state, Arc::clone(&id), request, document, &nodes);
    let answer = output::command(&command, &state.scope(scope).region);
    let (expires, over) = (command.expires, command.stage.is_over());
    let number = state.next_number();
    state.commands_mut(scope).enter(number, command);
    if !over {
        state.at(expires, {
            let id = Arc::clone(&id);
            move |state| state.expire(scope, &id)
        });
        state.pump(scope, &id);
        state.grow_ramp(scope, id);
    }
    Ok(serde_json::json!({ "Command": answer }))
}

fn new_command(
    state: &State,
    id: Arc<str>,
    request: SendRequest,
    document: Arc<Document>,
    nodes: &[MachineIx],
) -> Command {
    let now = state.now;
    let delivery = request.timeout_seconds.unwrap_or(DELIVERY);
    let total = u64::from(delivery) + u64::from(execution_timeout(&document, &request));
    let most = amount(request.max_concurrency.as_deref(), nodes.len(), CONCURRENCY);
    let allowed_errors = amount(request.max_errors.as_deref(), nodes.len(), 0);
    // A number of the command's own, so that nodes do not always appear in the same order.
    let salt = id.bytes().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let invocations = nodes.iter().map(|at| {
        let machine = state.machine(*at);
        let late = state.consistency.invocations;
        let late = (late / 2).saturating_add(late / 1_000 * (state.draw(*at, salt) % 1_000) as u32);
        Invocation {
            machine: *at,
            node: machine.aws.as_ref().map(|aws| aws.id.clone()).unwrap_or_default(),
            name: machine.name.clone(),
            stage: Stage::Pending,
            visible_from: later(now, late),
            sent: None,
            started: None,
            ended: None,
            plugins: document
                .steps
                .iter()
                .map(|step| Plugin {
                    name: step.name.clone(),
                    folder: step.folder.clone(),
                    stage: Stage::Pending,
                    code: -1,
                    started: None,
                    ended: None,
                    stdout: String::new(),
                    stderr: String::new(),
                })
                .collect(),
            job: None,
            step: 0,
            hook: None,
            power_changes: 0,
        }
    });
    Command {
        invocations: invocations.collect(),
        id,
        request: Arc::new(request),
        document,
        requested: now,
        expires: later(now, Duration::from_secs(total)),
        stage: if nodes.is_empty() { Stage::NoInstancesInTag } else { Stage::Pending },
        concurrency: most.max(1),
        ramp: 1,
        next: 0,
        running: 0,
        completed: 0,
        errors: 0,
        delivery_timed_out: 0,
        allowed_errors,
        cancelled: false,
        observers: Vec::new(),
    }
}

/// How long a document may run on one node.
pub(super) fn execution_timeout(document: &Document, request: &SendRequest) -> u32 {
    let names = ["executionTimeout", "StepTimeoutSeconds"];
    let parameter = document.parameters.iter().find(|it| names.contains(&&*it.name));
    let given = parameter.and_then(|it| {
        let value = request.parameters.get(&*it.name).and_then(|values| values.first());
        value.map(String::as_str).or(it.usual.as_deref())
    });
    given.and_then(|it| it.parse().ok()).unwrap_or(EXECUTION)
}

/// `10` or `10%` of so many; part of a node is none.
fn amount(text: Option<&str>, of: usize, usual: usize) -> usize {
    let Some(text) = text else { return usual };
    match text.strip_suffix('%') {
        Some(percent) => percent.parse().map_or(usual, |percent: usize| of * percent / 100),
        None => text.parse().unwrap_or(usual),
    }
}

fn check_document(
    state: &State,
    scope: ScopeIx,
    request: &SendRequest,
) -> Result<Arc<Document>, AwsError> {
    let name = &request.document_name;
    let document = Document::find(state, scope, name)
        .map_err(|fault| AwsError::new("InvalidDocument", fault))?;
    check_hash(state, scope, request)?;
    match request.document_version.as_deref() {
        None | Some("" | "$DEFAULT" | "$LATEST" | "1") => Ok(document),
        Some(version) => Err(AwsError::new(
            "InvalidDocumentVersion",
            format!("Document {name} has no version {version}."),
        )),
    }
}

/// A hash that is given must be that of the document's content; the words are the service's
/// (aws-samples/aws-security-reference-architecture-examples issue 301).
fn check_hash(state: &State, scope: ScopeIx, request: &SendRequest) -> Result<(), AwsError> {
    let Some(hash) = &request.document_hash else { return Ok(()) };
    // "Sha1 hashes have been deprecated" (API reference, SendCommand).
    if request.document_hash_type.as_deref() == Some("Sha1") {
        return Err(AwsError::validation("The simulator does not model DocumentHashType Sha1."));
    }
    let found = contents::find(state, scope, &request.document_name, None);
    if found.is_some_and(|it| it.content.hash.eq_ignore_ascii_case(hash)) {
        return Ok(());
    }
    let message = format!("document hash {hash} does not match Sha256.");
    Err(AwsError::new("InvalidDocument", message))
}

/// Every parameter must be the document's, hold what it may, and be there where it has no default.
pub(crate) fn check_parameters(
    document: &Document,
    given: &BTreeMap<String, Vec<String>>,
) -> Result<(), AwsError> {
    let refuse = |message: String| Err(AwsError::new("InvalidParameters", message));
    for (name, values) in given {
        let Some(parameter) = document.parameters.iter().find(|it| it.name == *name) else {
            let document = &document.name;
            return refuse(format!(
                "Parameter {name:?} is not defined in the document {document}."
            ));
        };
        if !parameter.takes(values) {
            return refuse(format!("Invalid value(s) {values:?} for the parameter {name:?}."));
        }
    }
    let missing = |it: &&Parameter| it.usual.is_none() && !given.contains_key(&*it.name);
    match document.parameters.iter().find(missing) {
        Some(parameter) => refuse(format!("Parameter {:?} requires a value.", parameter.name)),
        None => Ok(()),
    }
}

impl Parameter {
    fn takes(&self, values: &[String]) -> bool {
        let [value] = values else { return matches!(self.rule, Rule::Many) && !values.is_empty() };
        match &self.rule {
            Rule::Any | Rule::Many => true,
            Rule::OneOf(known) => known.contains(value),
            Rule::Matches(pattern) => Regex::new(pattern).is_ok_and(|it| it.is_match(value)),
        }
    }
}

/// A topic, and a role by which the service may speak to it.
fn check_notification(
    state: &State,
    scope: ScopeIx,
    request: &SendRequest,
) -> Result<(), AwsError> {
    let role = request.service_role_arn.as_deref().filter(|it| !it.is_empty());
    if let Some(config) = &request.notification_config {
        if !config.topic.starts_with("arn:aws:sns:") {
            let message = format!("The ARN of a topic is not valid: {:?}.", config.topic);
            return Err(AwsError::new("InvalidNotificationConfig", message));
        }
        if role.is_none() {
            let message = "A role that may publish to the topic must be given: ServiceRoleArn.";
            return Err(AwsError::new("InvalidRole", message));
        }
    }
    let Some(role) = role else { return Ok(()) };
    if role.starts_with("arn:") && notices::role_of(state, scope, role).is_some() {
        return Ok(());
    }
    // "Verify that you specified an IAM role for notifications that includes the required trust
    // policy" (API reference, SendCommand, InvalidRole).
    let message = format!(
        "ServiceRoleArn {role:?} is not the ARN of a role of this account that ssm.amazonaws.com \
         can assume."
    );
    Err(AwsError::new("InvalidRole", message))
}

/// The machines of these ids; one that is not managed and running refuses the whole call.
fn named_nodes(
    state: &State,
    scope: ScopeIx,
    ids: &[String],
    document: &Document,
) -> Result<Vec<MachineIx>, AwsError> {
    let mut seen = HashSet::new();
    if !ids.iter().all(|id| seen.insert(id)) {
        return Err(AwsError::new(
            "DuplicateInstanceId",
            "You can't specify a managed node ID more than once.",
        ));
    }
    let node = |id: &String| {
        state.find(scope, id).filter(|at| {
            let power = state.known_power(*at);
            state.is_managed(*at) && power.is_none_or(|it| it == Power::Running)
        })
    };
    let invalid: Vec<&str> =
        ids.iter().filter(|id| node(id).is_none()).map(String::as_str).collect();
    if !invalid.is_empty() {
        let account = &state.account_of(scope).id;
        let ids = invalid.join(", ");
        let message = format!("Instances [[{ids}]] not in a valid state for account {account}");
        return Err(AwsError::new("InvalidInstanceId", message));
    }
    let nodes: Vec<MachineIx> = ids.iter().filter_map(node).collect();
    if nodes.iter().any(|at| !document.runs_on(state.platform(*at))) {
        let message = format!(
            "The document {} does not support the platform of the given instances.",
            document.name
        );
        return Err(AwsError::new("UnsupportedPlatformType", message));
    }
    Ok(nodes)
}

impl State {
    pub(super) fn platform(&self, at: MachineIx) -> Platform {
        if self.system_of(at).is_windows() { Platform::Windows } else { Platform::Linux }
    }

    /// The values of a parameter of a command: what was given, else the document's default.
    pub(super) fn parameter(&self, at: &At, name: &str) -> Vec<String> {
        let (Some(command), Some(document)) = (self.command_at(at), self.document_at(at)) else {
            return Vec::new();
        };
        // A hook is given none.
        let hooked = self.invocation(at).is_some_and(|it| it.hook.is_some());
        if !hooked && let Some(values) = command.request.parameters.get(name) {
            return values.clone();
        }
        let usual = document.parameters.iter().find(|it| it.name == name);
        let usual = usual.and_then(|it| it.usual.as_deref()).filter(|it| !it.is_empty());
        usual.map(ToOwned::to_owned).into_iter().collect()
    }

    /// How long something takes for one invocation.
    pub(super) fn takes(&self, at: &At, purpose: u64, from: u64, to: u64) -> Duration {
        let Some(invocation) = self.invocation(at) else { return Duration::ZERO };
        between(self.draw(invocation.machine, purpose), from, to)
    }
}
