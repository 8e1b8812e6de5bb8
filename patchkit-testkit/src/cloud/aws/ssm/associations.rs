//! State Manager: documents that are applied to nodes again and again.

mod arrival;
mod change;
mod read;
mod run;
mod standing;
#[cfg(test)]
mod tests;
mod versions;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use patchkit_core::{ComplianceStatus, OperationKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(super) use self::{run::refresh, standing::Standing};
use super::{
    super::{AwsError, Operations},
    commands::Target,
    schedule::Timing,
};
use crate::cloud::{
    lake::Part,
    world::{
        State,
        judge::Judgement,
        machine::{MachineIx, ScopeIx},
    },
};

pub(super) const OPERATIONS: Operations = &[
    ("CreateAssociation", change::create_association),
    ("DeleteAssociation", change::delete_association),
    ("DescribeAssociation", read::describe_association),
    ("DescribeAssociationExecutionTargets", read::describe_association_execution_targets),
    ("DescribeAssociationExecutions", read::describe_association_executions),
    ("DescribeEffectiveInstanceAssociations", read::describe_effective_instance_associations),
    ("DescribeInstanceAssociationsStatus", read::describe_instance_associations_status),
    ("ListAssociationVersions", versions::list_association_versions),
    ("ListAssociations", read::list_associations),
    ("StartAssociationsOnce", run::start_associations_once),
    ("UpdateAssociation", change::update_association),
];

/// The associations of one account's Region.
#[derive(Debug, Default)]
pub(crate) struct Associations {
    by_id: BTreeMap<Arc<str>, Association>,
}

/// What nodes report of their associations, by node and association: compliance items of the type
/// `Association`.
pub(crate) type AssociationCompliance = BTreeMap<(Box<str>, Arc<str>), AssociationItem>;

/// One association on one node.
#[derive(Clone, Debug)]
pub(crate) struct AssociationItem {
    /// The document.
    pub(crate) title: Box<str>,
    pub(crate) status: ComplianceStatus,
    /// `CRITICAL` … `UNSPECIFIED`
    pub(crate) severity: Box<str>,
    pub(crate) executed: Timestamp,
    /// The run that it is of, and what kind of run that is.
    pub(crate) execution: Arc<str>,
    pub(crate) execution_type: &'static str,
    pub(crate) details: BTreeMap<&'static str, String>,
}

/// What an association is made of; an update replaces all of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
struct Definition {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    association_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    targets: Vec<Target>,
    parameters: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_expression: Option<String>,
    apply_only_at_cron_interval: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrency: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_errors: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance_severity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_compliance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_location: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_offset: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u32>,
}

#[derive(Clone, Debug)]
struct Association {
    id: Arc<str>,
    definition: Definition,
    /// What it was made of before, oldest first.
    old: Vec<Version>,
    created: Timestamp,
    updated: Timestamp,
    last_run: Option<Timestamp>,
    last_success: Option<Timestamp>,
    /// Oldest first.
    executions: Vec<Execution>,
    /// By node: what came of it there last.
    results: HashMap<Box<str>, TargetResult>,
    /// When it runs; none where only changes and requests run it.
    timing: Option<Timing>,
    /// Grows with each change: what was planned before it is void.
    plan: u64,
}

/// What an association was made of until an update.
#[derive(Clone, Debug)]
struct Version {
    definition: Definition,
    created: Timestamp,
}

/// One run of an association.
#[derive(Clone, Debug)]
struct Execution {
    id: Arc<str>,
    version: usize,
    created: Timestamp,
    /// The command that it is.
    command: Arc<str>,
    /// None while it runs.
    ended: Option<Ended>,
}

#[derive(Clone, Debug)]
struct Ended {
    at: Timestamp,
    status: &'static str,
    details: &'static str,
    targets: Vec<TargetResult>,
}

#[derive(Clone, Debug)]
struct TargetResult {
    node: Box<str>,
    status: &'static str,
    details: &'static str,
    at: Timestamp,
    /// When it last succeeded there.
    last_success: Option<Timestamp>,
    execution: Arc<str>,
    code: i32,
}

impl TargetResult {
    /// Of a node where the association has not run.
    fn pending(node: Box<str>, at: Timestamp) -> Self {
        let (status, details) = ("Pending", "Associated");
        Self { node, status, details, at, last_success: None, execution: "".into(), code: -1 }
    }

    fn is_pending(&self) -> bool {
        self.status == "Pending"
    }
}

impl Definition {
    /// The nodes that an association is for.
    fn targets(&self) -> Vec<Target> {
        match &self.instance_id {
            Some(id) => vec![Target { key: "InstanceIds".to_owned(), values: vec![id.clone()] }],
            None => self.targets.clone(),
        }
    }
}

impl Association {
    fn targets(&self) -> Vec<Target> {
        self.definition.targets()
    }

    /// Whether it runs by its schedule alone.
    fn waits_for_schedule(&self) -> bool {
        let definition = &self.definition;
        definition.apply_only_at_cron_interval && definition.schedule_expression.is_some()
    }

    /// The number of the version that it is now.
    fn version(&self) -> usize {
        self.old.len() + 1
    }

    /// `Pending` before the first run has ended, then how the last one did.
    fn status(&self) -> (&'static str, &'static str) {
        let last = self.executions.iter().rev().find_map(|it| it.ended.as_ref());
        last.map_or(("Pending", "Creating"), |ended| (ended.status, ended.details))
    }

    fn overview(&self) -> Value {
        let (status, details) = self.status();
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for result in self.results.values() {
            *counts.entry(result.status).or_default() += 1;
        }
        json!({
            "Status": status,
            "DetailedStatus": details,
            "AssociationStatusAggregatedCount": counts,
        })
    }
}

impl State {
    fn associations(&self, scope: ScopeIx) -> &Associations {
        &self.scope(scope).ssm.associations
    }

    fn association(&self, scope: ScopeIx, id: &str) -> Option<&Association> {
        self.associations(scope).by_id.get(id)
    }

    fn association_mut(&mut self, scope: ScopeIx, id: &str) -> Option<&mut Association> {
        self.scope_mut(scope).ssm.associations.by_id.get_mut(id)
    }
}

/// Notes what AWS-RunPatchBaselineAssociation found: an item of the association's compliance, which
/// leaves the node's patch compliance as it is.
pub(super) fn report_patches(
    state: &mut State,
    at: MachineIx,
    association: &Arc<str>,
    command: &Arc<str>,
    (judgement, operation): (&Judgement, OperationKind),
) {
    let machine = state.machine(at);
    let Some(aws) = &machine.aws else { return };
    let (scope, node) = (aws.scope, aws.id.clone());
    let verdict = judgement.verdict(&state.catalogue, machine.system, &machine.patches, operation);
    let counts = verdict.counts;
    let text = json!({
        "PatchBaselineId": &*judgement.baseline.id,
        "InstalledCount": counts.installed,
        "InstalledOtherCount": counts.installed_other,
        "InstalledPendingRebootCount": counts.installed_pending_reboot,
        "InstalledRejectedCount": counts.installed_rejected,
        "MissingCount": counts.missing,
        "FailedCount": counts.failed,
        "NotApplicableCount": counts.not_applicable,
    });
    let known = state.association(scope, association);
    let severity = known.and_then(|it| it.definition.compliance_severity.as_deref());
    let item = AssociationItem {
        title: "AWS-RunPatchBaselineAssociation".into(),
        status: verdict.status,
        severity: severity.unwrap_or("UNSPECIFIED").into(),
        executed: state.now,
        execution: Arc::clone(command),
        execution_type: "Command",
        details: BTreeMap::from([("DetailedText", text.to_string())]),
    };
    let key = (node, Arc::clone(association));
    state.scope_mut(scope).ssm.association_compliance.insert(key, item);
    state.sync_node(at, Part::Compliance);
}

fn unknown(id: &str) -> AwsError {
    AwsError::new("AssociationDoesNotExist", format!("Association with ID {id} does not exist."))
}
