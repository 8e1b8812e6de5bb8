//! Writes what Resource Data Sync writes: one object for each node and type, of JSON lines.
//!
//! Objects are written when a sync is made, and again when what they hold changes. They are never
//! deleted: those of a node that is gone stay as they were, but for its AWS:InstanceInformation
//! (user guide, "Walkthrough: Use resource data sync to aggregate inventory data").

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    error::Error as _,
    io::{self, Write as _},
    sync::{Arc, Mutex},
};

use patchkit_core::{Error, Result};
use serde_json::Value;

use super::{
    shared::lock,
    sink::ObjectSink,
    world::{
        State,
        inventory::{Content, Kind, Row, stamp},
        machine::{MachineIx, ScopeIx},
    },
};

/// The nodes of a Region that are yet to be written, for one sync or for the folder.
///
/// They are written a few at a time, while others are served in between: a sync of a large account
/// must not keep them waiting.
#[derive(Debug)]
pub(crate) struct Backlog {
    scope: ScopeIx,
    /// None: for the folder.
    sync: Option<Box<str>>,
    /// The id of the last node that was written; nodes are in the order of their ids.
    last: Option<Box<str>>,
}

/// What of a node has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    /// All that there is of it.
    All,
    /// Its state and its agent.
    Node,
    Tags,
    /// A patch operation has uploaded what it found.
    Scan,
    /// AWS-GatherSoftwareInventory has run.
    Software,
    /// PutComplianceItems.
    Compliance,
    /// PutInventory: the types of the account itself.
    Custom,
}

impl Part {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::All => &Kind::ALL,
            Self::Node => &[Kind::InstanceInformation],
            Self::Tags => &[Kind::Tag],
            Self::Scan => &[
                Kind::PatchSummary,
                Kind::PatchCompliance,
                Kind::ComplianceItem,
                Kind::ComplianceSummary,
            ],
            Self::Software => &[
                Kind::Application,
                Kind::AwsComponent,
                Kind::Network,
                Kind::WindowsUpdate,
                Kind::InstanceDetailedInformation,
                Kind::Service,
            ],
            Self::Compliance => &[Kind::ComplianceItem, Kind::ComplianceSummary],
            Self::Custom => &[],
        }
    }
}

/// Where a sync writes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) sink: Arc<dyn ObjectSink>,
    pub(crate) bucket: Box<str>,
    /// Empty, or ending in a slash.
    pub(crate) prefix: Box<str>,
}

/// What was said of a folder that cannot be written to: each cause once.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<BTreeSet<String>>);

impl Complaints {
    /// What there is to say of an error, where nothing was said of its cause.
    fn about(&self, error: &Error) -> Option<String> {
        let cause =
            error.source().map_or_else(|| format!("{:?}", error.kind()), ToString::to_string);
        lock(&self.0).insert(cause).then(|| error.report())
    }

    /// Tells on standard error of what was not written to the folder: no request waits for it that
    /// could be answered so.
    pub(crate) fn tell(&self, written: &Result<()>) {
        if let Some(text) = written.as_ref().err().and_then(|error| self.about(error)) {
            // Who closed standard error does not want to know.
            let _ = writeln!(io::stderr(), "{text}; this cause is not told again");
        }
    }
}

impl State {
    /// Keeps a folder as the lake of all accounts and Regions, from now on.
    pub(crate) fn keep_lake(&mut self, sink: Arc<dyn ObjectSink>) -> Result<()> {
        self.lake = Some(Target { sink, bucket: Box::default(), prefix: Box::default() });
        for scope in (0u16..).map(ScopeIx).take(self.scopes.len()) {
            if let Some(lake) = self.lake.clone() {
                self.write_test(scope, &lake)?;
            }
            self.write_all(scope, None);
        }
        Ok(())
    }

    /// Writes what of a node has changed into every lake that it belongs to.
    pub(crate) fn sync_node(&mut self, at: MachineIx, part: Part) {
        let Some(scope) = self.machine(at).aws.as_ref().map(|aws| aws.scope) else { return };
        if let Some(lake) = &self.lake {
            self.complaints.tell(&self.write_node(at, part, lake));
        }
        for name in self.scope(scope).ssm.syncs.names() {
            self.sync_into(at, scope, part, &name);
        }
    }

    /// Writes that a hybrid node is given up: nothing else of it changes any more.
    pub(crate) fn sync_gone(&mut self, at: MachineIx) {
        let Some(scope) = self.machine(at).aws.as_ref().map(|aws| aws.scope) else { return };
        let Some(mut content) = self.inventory(at, Kind::InstanceInformation) else { return };
        for row in &mut content.rows {
            row.insert("InstanceStatus".to_owned(), "Terminated".into());
        }
        content.captured = self.now;
        let id = self.machine(at).aws.as_ref().map(|aws| aws.id.clone()).unwrap_or_default();
        let kind = Kind::InstanceInformation.name();
        if let Some(lake) = &self.lake {
            self.complaints.tell(&self.write(scope, &id, kind, &content, lake));
        }
        for name in self.scope(scope).ssm.syncs.names() {
            let Some(target) = self.target_of(scope, &name) else { continue };
            let result = self.write(scope, &id, kind, &content, &target);
            let now = self.now;
            self.scope_mut(scope).ssm.syncs.ended(&name, now, result);
        }
    }

    fn sync_into(&mut self, at: MachineIx, scope: ScopeIx, part: Part, sync: &str) {
        let Some(target) = self.target_of(scope, sync) else { return };
        let result = self.write_node(at, part, &target);
        let now = self.now;
        self.scope_mut(scope).ssm.syncs.ended(sync, now, result);
    }

    /// Where a sync writes; none where there is no such sync, or no S3.
    pub(crate) fn target_of(&self, scope: ScopeIx, sync: &str) -> Option<Target> {
        let (bucket, prefix) = self.scope(scope).ssm.syncs.place(sync)?;
        Some(Target { sink: Arc::clone(self.objects.as_ref()?), bucket, prefix })
    }

    /// The object by which a sync finds out whether it may write; it is not a node's.
    pub(crate) fn write_test(&self, scope: ScopeIx, target: &Target) -> Result<()> {
        let Target { sink, bucket, prefix } = target;
        let account = &self.account_of(scope).id;
        let kind = Kind::InstanceInformation.name();
        sink.put(bucket, &format!("{prefix}{kind}/accountid={account}/test.json"), b"{}".to_vec())
    }

    /// Has all nodes of a Region written: for a sync, or for the folder.
    pub(crate) fn write_all(&mut self, scope: ScopeIx, sync: Option<Box<str>>) {
        self.backlog.push_back(Backlog { scope, sync, last: None });
    }

    /// Writes some of the nodes that are yet to be written; says whether there are more.
    pub(crate) fn write_some(&mut self, most: usize) -> bool {
        let Some(mut of) = self.backlog.pop_front() else { return false };
        let scope = self.scope(of.scope);
        if of.sync.as_ref().is_some_and(|sync| scope.ssm.syncs.place(sync).is_none()) {
            // The sync is gone.
            return !self.backlog.is_empty();
        }
        let id = |at: MachineIx| self.machine(at).aws.as_ref().map(|aws| &aws.id);
        let from = match &of.last {
            Some(last) => scope.machines.partition_point(|at| id(*at) <= Some(last)),
            None => 0,
        };
        let some: Vec<MachineIx> = scope.machines.iter().skip(from).take(most).copied().collect();
        let more = from + some.len() < scope.machines.len();
        of.last = some.last().and_then(|at| id(*at)).cloned();
        for at in some {
            match (&of.sync, &self.lake) {
                (Some(sync), _) => self.sync_into(at, of.scope, Part::All, sync),
                (None, Some(lake)) => {
                    self.complaints.tell(&self.write_node(at, Part::All, lake));
                }
                (None, None) => {}
            }
        }
        if more {
            self.backlog.push_front(of);
        } else if let Some(sync) = of.sync {
            let now = self.now;
            self.scope_mut(of.scope).ssm.syncs.completed(&sync, now);
        }
        !self.backlog.is_empty()
    }

    fn write_node(&self, at: MachineIx, part: Part, target: &Target) -> Result<()> {
        let Some(aws) = &self.machine(at).aws else { return Ok(()) };
        // One type that cannot be written keeps none of the others back.
        let mut written = Ok(());
        for kind in part.kinds() {
            if let Some(content) = self.inventory(at, *kind) {
                written =
                    written.and(self.write(aws.scope, &aws.id, kind.name(), &content, target));
            } else if part == Part::Tags && aws.registered.is_some() {
                // The last tag is gone: what was there is not left standing.
                let content = Content { schema: "1.0", captured: self.now, rows: Vec::new() };
                written =
                    written.and(self.write(aws.scope, &aws.id, kind.name(), &content, target));
            }
        }
        if matches!(part, Part::All | Part::Custom) {
            for put in self.scope(aws.scope).ssm.inventory.of(&aws.id) {
                written = written.and(self.write_rows(
                    aws.scope,
                    &aws.id,
                    &put.kind,
                    [&put.schema, &put.captured],
                    put.rows(),
                    target,
                ));
            }
        }
        written
    }

    fn write(
        &self,
        scope: ScopeIx,
        id: &str,
        kind: &str,
        content: &Content,
        target: &Target,
    ) -> Result<()> {
        let captured = stamp(content.captured);
        self.write_rows(scope, id, kind, [content.schema, &captured], &content.rows, target)
    }

    fn write_rows(
        &self,
        scope: ScopeIx,
        id: &str,
        kind: &str,
        [schema, captured]: [&str; 2],
        rows: &[Row],
        target: &Target,
    ) -> Result<()> {
        let Target { sink, bucket, prefix } = target;
        let (account, region) = (&self.account_of(scope).id, &self.scope(scope).region);
        let key = format!(
            "{prefix}{kind}/accountid={account}/region={region}\
             /resourcetype=ManagedInstanceInventory/{id}.json"
        );
        sink.put(bucket, &key, lines(id, schema, captured, rows))
    }
}

/// Rows as lines, each with the fields that the sync adds.
fn lines(id: &str, schema: &str, captured: &str, rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        let mut row = row.clone();
        for (name, text) in
            [("resourceId", id), ("captureTime", captured), ("schemaVersion", schema)]
        {
            row.insert(name.to_owned(), Value::from(text));
        }
        // A JSON value is always written: its keys are text, and memory takes every byte.
        if serde_json::to_writer(&mut bytes, &row).is_ok() {
            bytes.push(b'\n');
        }
    }
    bytes
}
