//! Events of EventBridge: what an embedding Lambda is called with.

use jiff::Timestamp;
use patchkit_core::{
    AccountId, ComplianceStatus, Error, NodeId, NodeSelector, OperationId, PowerState, Region,
    Result, Scope,
};
use serde::Deserialize;

use crate::error::PROVIDER;

/// An event that concerns patching, read from EventBridge's JSON.
///
/// The handler of an embedding Lambda reads it, and runs a workflow for the node that it names and for
/// no other.
///
/// # Behavior
/// - An event of another kind is [`CloudEventKind::Other`], and selects no node.
/// - Words that PatchKit does not know are `Unknown`.
/// - EventBridge delivers at least once and tells of one moment: a handler reads the node's state
///   before it acts on the event (EventBridge user guide, "Event delivery").
///
/// # Example
/// ```
/// use patchkit_aws::CloudEvent;
/// use patchkit_core::{NodeSelector, RunId, workflow::{AccessMode, AccessReport, Runner}};
///
/// async fn handle(runner: &Runner, json: &str) -> patchkit_core::Result<AccessReport> {
///     let event = CloudEvent::from_json(json)?;
///     runner.check_access(&RunId::new(&event.id)?, &event.selector(), &AccessMode::Check).await
/// }
///
/// let event = CloudEvent::from_json(
///     r#"{"id": "1", "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2",
///         "account": "111122223333", "region": "eu-west-1", "time": "2026-11-24T02:00:00Z",
///         "detail": {"instance-id": "i-0123456789abcdef0", "state": "running"}}"#,
/// )?;
/// let node = "aws/111122223333/eu-west-1/i-0123456789abcdef0".parse()?;
/// assert_eq!(event.selector(), NodeSelector::ids([node]));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CloudEvent {
    /// Its id: the same for every delivery of it.
    pub id: String,
    /// The account and Region it comes from.
    pub scope: Scope,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub kind: CloudEventKind,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CloudEventKind {
    /// An instance came into a state.
    Power {
        /// The instance.
        node: NodeId,
        /// Its state.
        power: PowerState,
    },
    /// A node's compliance changed.
    Compliance {
        /// The node.
        node: NodeId,
        /// `Patch`, `Association` or `Custom:…`.
        kind: String,
        /// Its status now.
        status: ComplianceStatus,
    },
    /// A command came into a status.
    Command {
        /// The command.
        operation: OperationId,
        /// The node, where the event is of one invocation.
        node: Option<NodeId>,
        /// The document.
        document: String,
        /// AWS's word for the status.
        status: String,
    },
    /// Something else.
    Other {
        /// Who says it: `aws.ec2`.
        source: String,
        /// AWS's name of the kind.
        detail_type: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    id: String,
    detail_type: String,
    source: String,
    account: AccountId,
    region: Region,
    time: Timestamp,
    #[serde(default)]
    detail: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PowerDetail {
    instance_id: String,
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ComplianceDetail {
    resource_id: String,
    compliance_status: String,
    compliance_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CommandDetail {
    command_id: String,
    document_name: String,
    status: String,
    instance_id: Option<String>,
}

impl CloudEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// `InvalidInput` for what is no event, or lacks what events of its kind have.
    pub fn from_json(json: &str) -> Result<Self> {
        let envelope: Envelope = serde_json::from_str(json).map_err(|error| wrong(&error))?;
        let scope = Scope::new(PROVIDER, envelope.account, envelope.region)?;
        let node = |id: &str| NodeId::new(scope.clone(), id);
        let kind = match envelope.detail_type.as_str() {
            "EC2 Instance State-change Notification" => {
                let detail: PowerDetail = read(envelope.detail)?;
                CloudEventKind::Power {
                    node: node(&detail.instance_id)?,
                    power: power(&detail.state),
                }
            }
            "Configuration Compliance State Change" => {
                let detail: ComplianceDetail = read(envelope.detail)?;
                CloudEventKind::Compliance {
                    node: node(&detail.resource_id)?,
                    kind: detail.compliance_type,
                    // In lower case here, and in upper case in the API.
                    status: match detail.compliance_status.to_ascii_lowercase().as_str() {
                        "compliant" => ComplianceStatus::Compliant,
                        "non_compliant" => ComplianceStatus::NonCompliant,
                        _ => ComplianceStatus::Unknown,
                    },
                }
            }
            "EC2 Command Status-change Notification"
            | "EC2 Command Invocation Status-change Notification" => {
                let detail: CommandDetail = read(envelope.detail)?;
                CloudEventKind::Command {
                    operation: OperationId::new(&detail.command_id)?,
                    node: detail.instance_id.as_deref().map(node).transpose()?,
                    document: detail.document_name,
                    status: detail.status,
                }
            }
            _ => {
                CloudEventKind::Other { source: envelope.source, detail_type: envelope.detail_type }
            }
        };
        Ok(Self { id: envelope.id, scope, time: envelope.time, kind })
    }

    /// The node that it names.
    pub fn node(&self) -> Option<&NodeId> {
        match &self.kind {
            CloudEventKind::Power { node, .. } | CloudEventKind::Compliance { node, .. } => {
                Some(node)
            }
            CloudEventKind::Command { node, .. } => node.as_ref(),
            CloudEventKind::Other { .. } => None,
        }
    }

    /// Selects the node that it names; nothing, where it names none.
    pub fn selector(&self) -> NodeSelector {
        NodeSelector::ids(self.node().cloned())
    }
}

fn read<T: serde::de::DeserializeOwned>(detail: serde_json::Value) -> Result<T> {
    serde_json::from_value(detail).map_err(|error| wrong(&error))
}

fn wrong(error: &serde_json::Error) -> Error {
    Error::invalid(PROVIDER, "event", format!("not an event of EventBridge: {error}"))
}

fn power(state: &str) -> PowerState {
    match state {
        "pending" => PowerState::Starting,
        "running" => PowerState::Running,
        "stopping" => PowerState::Stopping,
        "stopped" => PowerState::Stopped,
        "shutting-down" | "terminated" => PowerState::Terminated,
        _ => PowerState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail_type: &str, detail: &str) -> Result<CloudEvent> {
        CloudEvent::from_json(&format!(
            r#"{{"version":"0","id":"01234567","detail-type":"{detail_type}","source":"aws.ssm",
                "account":"012345678901","time":"2024-07-17T19:02:31Z","region":"us-east-2",
                "resources":[],"detail":{detail}}}"#
        ))
    }

    #[test]
    fn compliance_and_commands_name_their_node() {
        let seen = event(
            "Configuration Compliance State Change",
            r#"{"resource-type":"managed-instance","resource-id":"mi-0123456789abcdef0",
                "compliance-status":"non_compliant","compliance-type":"Patch",
                "patch-baseline-id":"PB789","severity":"critical"}"#,
        )
        .unwrap();
        assert_eq!(
            seen.node().unwrap().to_string(),
            "aws/012345678901/us-east-2/mi-0123456789abcdef0"
        );
        assert!(matches!(
            seen.kind,
            CloudEventKind::Compliance { status: ComplianceStatus::NonCompliant, .. }
        ));
        let seen = event(
            "EC2 Command Invocation Status-change Notification",
            r#"{"command-id":"4780e1b8","document-name":"AWS-RunPatchBaseline",
                "instance-id":"i-02573cafcf","requested-date-time":"","status":"Success"}"#,
        )
        .unwrap();
        assert_eq!(seen.node().unwrap().resource(), "i-02573cafcf");
    }

    #[test]
    fn an_event_of_another_kind_selects_nothing() {
        let other = event("Parameter Store Change", r#"{"name":"x"}"#).unwrap();
        assert_eq!(other.selector(), NodeSelector::ids([]));
        let all = event(
            "EC2 Command Status-change Notification",
            r#"{"command-id":"1","document-name":"AWS-RunPatchBaseline","status":"Success"}"#,
        );
        assert_eq!(all.unwrap().selector(), NodeSelector::ids([]));
    }

    #[test]
    fn what_is_no_event_says_what_it_lacks() {
        let error = CloudEvent::from_json("{}").unwrap_err();
        assert!(error.message().contains("missing field"), "{error}");
        let error = event("EC2 Instance State-change Notification", "{}").unwrap_err();
        assert!(error.message().contains("instance-id"), "{error}");
    }
}
