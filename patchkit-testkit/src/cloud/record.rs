//! Every request that came, so that a test can prove what was sent, how often, and to whom.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::fault::{FaultKind, Subject};

/// A request that an endpoint received.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RecordedCall {
    /// The world's time.
    pub at: Timestamp,
    /// `ssm`, `ec2`, `s3`, `arm`, …
    pub service: Cow<'static, str>,
    /// As the service names it: `SendCommand`, `VirtualMachines_InstallPatches`.
    pub operation: String,
    /// The ARN or the application that called.
    pub caller: String,
    /// `111122223333/us-east-1`, or a subscription.
    pub scope: String,
    /// The nodes that it named, and those that it reached.
    pub ids: Vec<String>,
    /// What the command does that it sends, by its document and the operation that this is given:
    /// `AWS-RunPatchBaseline Install`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The page that it asked for, counted from 1, where it is a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The status of the answer; none where the connection was cut instead.
    pub status: Option<u16>,
    /// The code of the error that was answered.
    pub error: Option<String>,
    /// Whether the service did what was asked, whatever became of the answer.
    pub acted: bool,
    /// The fault that was injected; JSON has its name.
    #[serde(serialize_with = "by_name")]
    pub fault: Option<FaultKind>,
    /// The answer's request id.
    pub request_id: String,
    /// Whether it hands a role to a service, which is an action of its own.
    #[serde(skip)]
    pub(crate) passes_role: bool,
}

impl RecordedCall {
    /// The request as faults and policies see it.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            service: &self.service,
            operation: &self.operation,
            caller: &self.caller,
            scope: &self.scope,
            ids: &self.ids,
            page: self.page,
            passes_role: self.passes_role,
            at: self.at,
        }
    }

    pub(crate) fn new(request_id: &str) -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            service: Cow::Borrowed(""),
            operation: String::new(),
            caller: String::new(),
            scope: String::new(),
            ids: Vec::new(),
            command: None,
            page: None,
            status: None,
            error: None,
            acted: false,
            fault: None,
            request_id: request_id.to_owned(),
            passes_role: false,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn by_name<S: Serializer>(fault: &Option<FaultKind>, serializer: S) -> Result<S::Ok, S::Error> {
    fault.map(FaultKind::as_str).serialize(serializer)
}

/// Requests, in the order in which they were answered.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Calls(pub(crate) Vec<RecordedCall>);

impl Calls {
    /// Those of one operation.
    #[must_use]
    pub fn of(&self, operation: &str) -> Self {
        Self(self.0.iter().filter(|call| call.operation == operation).cloned().collect())
    }

    /// Those of a caller, by his ARN or application.
    #[must_use]
    pub fn of_caller(&self, caller: &str) -> Self {
        Self(self.0.iter().filter(|call| call.caller == caller).cloned().collect())
    }

    /// Those that the service acted on.
    #[must_use]
    pub fn acted(&self) -> Self {
        Self(self.0.iter().filter(|call| call.acted).cloned().collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &RecordedCall> {
        self.0.iter()
    }

    /// The nodes that they named or reached, each as often as it was.
    pub fn ids(&self) -> Vec<&str> {
        self.0.iter().flat_map(|call| call.ids.iter().map(String::as_str)).collect()
    }
}
