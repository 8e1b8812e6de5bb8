//! Every request that came, so that a test can prove what was sent, how often, and to whom.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::fault::{FaultKind, Subject};

/// A request that an endpoint received.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RecordedCall {
    /// Its place in the record: counted from 0, in the order in which requests were answered. No
    /// other request ever gets it, also where the record is forgotten.
    pub number: u64,
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
    /// The subscriptions that a query is about; not kept.
    #[serde(skip)]
    pub(crate) scopes: Vec<Arc<str>>,
}

impl RecordedCall {
    /// The request as faults and policies see it.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            service: &self.service,
            operation: &self.operation,
            caller: &self.caller,
            scope: &self.scope,
            scopes: &self.scopes,
            ids: &self.ids,
            page: self.page,
            passes_role: self.passes_role,
            at: self.at,
        }
    }

    pub(crate) fn new(request_id: &str) -> Self {
        Self {
            number: 0,
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
            scopes: Vec::new(),
        }
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn by_name<S: Serializer>(fault: &Option<FaultKind>, serializer: S) -> Result<S::Ok, S::Error> {
    fault.map(FaultKind::as_str).serialize(serializer)
}

impl RecordedCall {
    /// Whether it is one of those that only look, by the name that its service gave it.
    fn is_read(&self) -> bool {
        let name = self.operation.rsplit_once('_').map_or(&*self.operation, |(_, name)| name);
        // What no service has a name for is told by its method and path.
        let name = if self.operation.contains(' ') { &*self.operation } else { name };
        READS.iter().any(|it| name.starts_with(it))
    }
}

/// What the operations are called that change nothing. One that is not known is named by its method.
const READS: [&str; 16] = [
    "BatchGet",
    "Describe",
    "GET ",
    "Get",
    "HEAD ",
    "Head",
    "InstanceDiscovery",
    "InstanceView",
    "List",
    "Lookup",
    "OpenIdConfiguration",
    "Resources",
    "Search",
    "Select",
    "SigningKeys",
    "Simulate",
];

/// How many requests are remembered: some hundred megabytes.
const MOST_CALLS: usize = 200_000;

/// What is remembered. Where it is too much the oldest reads go first, and writes only where there
/// are no reads.
#[derive(Debug)]
pub(crate) struct Record {
    reads: VecDeque<RecordedCall>,
    writes: VecDeque<RecordedCall>,
    next: u64,
    dropped: Dropped,
    most: usize,
}

/// How many requests the record had no room for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Those that only look: their name begins with `Describe`, `Get`, `List` or the like.
    pub reads: u64,
    /// All others.
    pub writes: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self::of(MOST_CALLS)
    }
}

impl Record {
    fn of(most: usize) -> Self {
        let (reads, writes) = (VecDeque::new(), VecDeque::new());
        Self { reads, writes, next: 0, dropped: Dropped::default(), most }
    }

    pub(crate) fn note(&mut self, mut call: RecordedCall) {
        call.number = self.next;
        self.next += 1;
        let Self { reads, writes, dropped, .. } = self;
        if reads.len() + writes.len() >= self.most {
            if reads.pop_front().is_some() {
                dropped.reads += 1;
            } else if writes.pop_front().is_some() {
                dropped.writes += 1;
            }
        }
        let kept = if call.is_read() { reads } else { writes };
        kept.push_back(call);
    }

    /// Forgets the requests so far, also those that it had no room for. Numbers go on.
    pub(crate) fn forget(&mut self) {
        *self = Self { next: self.next, ..Self::of(self.most) };
    }

    /// What is kept and fits, in the order of the numbers.
    pub(crate) fn such(&self, such: impl Fn(&RecordedCall) -> bool) -> Vec<&RecordedCall> {
        let all = self.reads.iter().chain(&self.writes);
        let mut found: Vec<_> = all.filter(|it| such(it)).collect();
        found.sort_by_key(|it| it.number);
        found
    }

    pub(crate) fn calls(&self) -> Calls {
        let calls = self.such(|_| true).into_iter().cloned().collect();
        Calls { calls, dropped: self.dropped }
    }

    pub(crate) fn status(&self) -> RecordStatus {
        let kept = self.reads.len() + self.writes.len();
        RecordStatus { next: self.next, kept, dropped: self.dropped }
    }
}

/// What the control endpoint tells of the record.
#[derive(Debug, Serialize)]
pub(crate) struct RecordStatus {
    /// The number of the request that comes next.
    next: u64,
    kept: usize,
    dropped: Dropped,
}

/// Requests, in the order in which they were answered.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Calls {
    calls: Vec<RecordedCall>,
    #[serde(skip)]
    dropped: Dropped,
}

impl Calls {
    fn such(&self, such: impl Fn(&RecordedCall) -> bool) -> Self {
        let calls = self.calls.iter().filter(|it| such(it)).cloned().collect();
        Self { calls, dropped: self.dropped }
    }

    /// Those of one operation. Of one that changes something they are all there were, as long as
    /// [`dropped`](Self::dropped) says that no write was; of one that looks, as long as no read was.
    #[must_use]
    pub fn of(&self, operation: &str) -> Self {
        self.such(|call| call.operation == operation)
    }

    /// Those of a caller, by his ARN or application.
    #[must_use]
    pub fn of_caller(&self, caller: &str) -> Self {
        self.such(|call| call.caller == caller)
    }

    /// Those that the service acted on.
    #[must_use]
    pub fn acted(&self) -> Self {
        self.such(|call| call.acted)
    }

    /// How many requests the record had no room for, of whatever operation and caller.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &RecordedCall> {
        self.calls.iter()
    }

    /// The nodes that they named or reached, each as often as it was.
    pub fn ids(&self) -> Vec<&str> {
        self.calls.iter().flat_map(|call| call.ids.iter().map(String::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(record: &mut Record, operation: &str) {
        record.note(RecordedCall { operation: operation.to_owned(), ..RecordedCall::new("") });
    }

    fn numbers(calls: &Calls) -> Vec<u64> {
        calls.iter().map(|it| it.number).collect()
    }

    #[test]
    fn reads_go_before_writes_and_what_went_is_told() {
        let mut record = Record::of(4);
        for operation in ["SendCommand", "ListCommands", "VirtualMachines_InstanceView"] {
            note(&mut record, operation);
        }
        for _ in 0..3 {
            note(&mut record, "VirtualMachines_InstallPatches");
        }
        let calls = record.calls();
        assert_eq!((calls.dropped(), calls.len()), (Dropped { reads: 2, writes: 0 }, 4));
        assert_eq!(numbers(&calls), [0, 3, 4, 5]);
        note(&mut record, "CancelCommand");
        note(&mut record, "GET /nowhere");
        let calls = record.calls();
        assert_eq!(calls.of("SendCommand").dropped(), Dropped { reads: 2, writes: 2 });
        assert_eq!(numbers(&calls), [4, 5, 6, 7]);
    }

    #[test]
    fn what_only_looks_goes_first_under_each_name_that_it_has() {
        let reads = [
            "HEAD /nowhere",
            "InstanceDiscovery",
            "OpenIdConfiguration",
            "SelectResourceConfig",
            "SigningKeys",
            "SimulatePrincipalPolicy",
        ];
        let mut record = Record::of(4);
        for write in ["SendCommand", "PUT /groups/x_GetUp", "CancelCommand"] {
            note(&mut record, write);
        }
        for read in reads {
            note(&mut record, read);
            let calls = record.calls();
            assert_eq!((calls.dropped().writes, calls.len()), (0, 4), "{read}");
        }
    }

    #[test]
    fn a_number_is_never_given_twice_and_the_order_is_theirs() {
        let mut record = Record::default();
        for operation in ["ListCommands", "SendCommand", "GetParameter"] {
            note(&mut record, operation);
        }
        assert_eq!(numbers(&record.calls()), [0, 1, 2]);
        record.forget();
        assert!(record.calls().is_empty());
        note(&mut record, "SendCommand");
        assert_eq!(numbers(&record.calls()), [3]);
    }
}
