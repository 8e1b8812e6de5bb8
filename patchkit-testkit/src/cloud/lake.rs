//! Writes what Resource Data Sync writes: one object for each node and type, of JSON lines.
//!
//! Objects are written when a sync is made, and again when what they hold changes. They are never
//! deleted: those of a node that is gone stay as they were, but for its AWS:InstanceInformation
//! (user guide, "Walkthrough: Use resource data sync to aggregate inventory data").

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use patchkit_core::Result;
use serde_json::Value;

use super::{
    sink::ObjectSink,
    world::{
        State,
        inventory::{Content, Kind, Row, stamp},
        machine::{MachineIx, ScopeIx},
    },
};

/// So many nodes are written at once, and as many a second later: a sync of a large account must
/// not keep others waiting.
const PIECE: usize = 100;
const PAUSE: Duration = Duration::from_secs(1);

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

impl State {
    /// Keeps a folder as the lake of all accounts and Regions, from now on.
    pub(crate) fn keep_lake(&mut self, sink: Arc<dyn ObjectSink>) -> Result<()> {
        self.lake = Some(Target { sink, bucket: Box::default(), prefix: Box::default() });
        for scope in (0u16..).map(ScopeIx).take(self.scopes.len()) {
            if let Some(lake) = self.lake.clone() {
                self.write_test(scope, &lake)?;
            }
            self.write_all(scope, 0, None);
        }
        Ok(())
    }

    /// Writes what of a node has changed into every lake that it belongs to.
    pub(crate) fn sync_node(&mut self, at: MachineIx, part: Part) {
        let Some(scope) = self.machine(at).aws.as_ref().map(|aws| aws.scope) else { return };
        if let Some(lake) = &self.lake {
            // A folder that can no longer be written to has no one here to tell.
            let _ = self.write_node(at, part, lake);
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
            // As in `sync_node`.
            let _ = self.write(scope, &id, kind, &content, lake);
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

    /// Writes all nodes of a Region, piece by piece: for one sync, or for the folder.
    pub(crate) fn write_all(&mut self, scope: ScopeIx, from: usize, sync: Option<Box<str>>) {
        let machines = &self.scope(scope).machines;
        let piece: Vec<MachineIx> = machines.iter().skip(from).take(PIECE).copied().collect();
        let more = from + piece.len() < machines.len();
        for at in piece {
            match (&sync, &self.lake) {
                (Some(sync), _) => self.sync_into(at, scope, Part::All, sync),
                (None, Some(lake)) => {
                    // As in `sync_node`.
                    let _ = self.write_node(at, Part::All, lake);
                }
                (None, None) => {}
            }
        }
        if more {
            self.after(PAUSE, move |state| state.write_all(scope, from + PIECE, sync));
        } else if let Some(sync) = sync {
            let now = self.now;
            self.scope_mut(scope).ssm.syncs.completed(&sync, now);
        }
    }

    fn write_node(&self, at: MachineIx, part: Part, target: &Target) -> Result<()> {
        let Some(aws) = &self.machine(at).aws else { return Ok(()) };
        for kind in part.kinds() {
            if let Some(content) = self.inventory(at, *kind) {
                self.write(aws.scope, &aws.id, kind.name(), &content, target)?;
            } else if part == Part::Tags && aws.registered.is_some() {
                // The last tag is gone: what was there is not left standing.
                let content = Content { schema: "1.0", captured: self.now, rows: Vec::new() };
                self.write(aws.scope, &aws.id, kind.name(), &content, target)?;
            }
        }
        if matches!(part, Part::All | Part::Custom) {
            for put in self.scope(aws.scope).ssm.inventory.of(&aws.id) {
                self.write_rows(
                    aws.scope,
                    &aws.id,
                    &put.kind,
                    [&put.schema, &put.captured],
                    put.rows(),
                    target,
                )?;
            }
        }
        Ok(())
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
