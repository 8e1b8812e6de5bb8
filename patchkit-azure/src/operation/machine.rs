//! What Azure last did on a machine, by the machine itself.

use std::sync::Arc;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use patchkit_core::{AccountId, Error, ErrorKind, NodeId, Result};
use serde_json::Value;

use super::{act::Kind, result};
use crate::{
    MachineKind,
    bridge::reply,
    client::{Client, Reply},
    error::{Call, PROVIDER},
    fleet::{ARC_VERSION, why_not_patched},
    graph::Literal,
    ids::MachineId,
    limit::{Charge, Quota},
};

/// An act that is said to go on for longer has been forgotten by whoever was to tell its end: a window
/// ends after four hours.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// The family of a machine's operating system, which decides what an install is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum System {
    Windows,
    Linux,
}

impl System {
    fn of(text: Option<&str>) -> Option<Self> {
        match text?.to_ascii_lowercase().as_str() {
            "windows" => Some(Self::Windows),
            "linux" => Some(Self::Linux),
            _ => None,
        }
    }
}

/// A machine at a moment.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) system: Option<System>,
    /// The last of each kind that Azure tells of; of Arc machines those of its last weeks.
    pub(super) acts: Vec<SeenAct>,
    /// How far the service's clock is ahead of ours.
    pub(super) ahead: SignedDuration,
}

/// An act that a machine tells of.
#[derive(Clone, Debug)]
pub(super) struct SeenAct {
    pub(super) kind: Kind,
    /// In lower case.
    pub(super) activity: String,
    /// By the service's clock.
    pub(super) started: Option<Timestamp>,
    pub(super) told: Value,
}

impl SeenAct {
    pub(super) fn read(kind: Kind, told: &Value) -> Option<Self> {
        let key = match kind {
            Kind::Scan => "assessmentActivityId",
            Kind::Install => "installationActivityId",
        };
        let activity = told[key].as_str().filter(|id| !id.is_empty())?;
        Some(Self {
            kind,
            activity: activity.to_ascii_lowercase(),
            started: result::time(told, &["startTime", "startDateTime"]),
            told: told.clone(),
        })
    }

    /// Whether it goes on at this time of the service's.
    pub(super) fn runs(&self, at: Timestamp) -> bool {
        let status = self.told["status"].as_str().unwrap_or_default();
        let word = |word: &str| status.eq_ignore_ascii_case(word);
        (word("InProgress") || word("NotStarted"))
            && self.started.is_none_or(|since| at.duration_since(since) < STALE)
    }
}

impl Client {
    /// Reads a machine: its system, and what was last done on it.
    pub(super) async fn seen(
        self: &Arc<Self>,
        operation: &'static str,
        node: &NodeId,
    ) -> Result<Seen> {
        let machine = self.machine(operation, node)?;
        let seen = match machine.kind {
            MachineKind::Vm => self.seen_vm(machine, node).await,
            MachineKind::Arc => self.seen_arc(&machine, node).await,
            MachineKind::ScaleSetInstance => Err(not_patched(operation, &machine)),
        };
        seen.map_err(|error| error.with_node(node.clone()))
    }

    async fn seen_vm(self: &Arc<Self>, machine: MachineId, node: &NodeId) -> Result<Seen> {
        const OPERATION: &str = "VirtualMachines_Get";
        let call = Call::Read(OPERATION);
        let charge = Charge::on(Quota::LowCostGet, node);
        let vms = self.compute(call, charge)?.virtual_machines_client();
        let MachineId { group, name, subscription, .. } = machine;
        let sent = vms.get(group, name, subscription).expand("instanceView").send();
        let answer = reply(call, sent).await?;
        let body = answer.value(OPERATION)?;
        let status = &body["properties"]["instanceView"]["patchStatus"];
        let acts = [
            (Kind::Install, &status["lastPatchInstallationSummary"]),
            (Kind::Scan, &status["availablePatchSummary"]),
        ];
        Ok(Seen {
            system: System::of(body["properties"]["storageProfile"]["osDisk"]["osType"].as_str()),
            acts: acts.into_iter().filter_map(|(kind, told)| SeenAct::read(kind, told)).collect(),
            ahead: ahead(&answer, self.now()),
        })
    }

    /// An Arc machine does not tell of its patches itself: Resource Graph does, some time later.
    async fn seen_arc(self: &Arc<Self>, machine: &MachineId, node: &NodeId) -> Result<Seen> {
        const OPERATION: &str = "Machines_Get";
        let charge = Charge::door(&machine.subscription);
        let url = self.url(&machine.to_string(), ARC_VERSION);
        let answer = self.get(OPERATION, charge, url).await?;
        let body = answer.value(OPERATION)?;
        let ahead = ahead(&answer, self.now());
        Ok(Seen {
            system: System::of(body["properties"]["osType"].as_str()),
            acts: self.told_acts(machine, node, None).await?,
            ahead,
        })
    }

    /// The acts on a machine of which Resource Graph tells: its last assessment, and the installs of
    /// thirty days. With an activity, that one alone.
    pub(super) async fn told_acts(
        self: &Arc<Self>,
        machine: &MachineId,
        node: &NodeId,
        activity: Option<&str>,
    ) -> Result<Vec<SeenAct>> {
        let under = format!("{machine}/");
        let only = match activity {
            Some(id) => format!("| where name =~ {}\n", Literal(id)),
            None => String::new(),
        };
        let rows_of = |table: &str, kind: &str| {
            format!(
                "{table}\n| where id startswith {}\n| where type endswith '/{kind}'\n{only}\
                 | project id, type, properties",
                Literal(&under)
            )
        };
        let query = format!(
            "{}\n| union ({})",
            rows_of("patchinstallationresources", "patchinstallationresults"),
            rows_of("patchassessmentresources", "patchassessmentresults"),
        );
        let rows: Vec<Value> =
            self.graph(query, &self.subscription_of(machine, node)?).try_collect().await?;
        let act = |row: &Value| {
            let kind = row["type"].as_str().unwrap_or_default().to_ascii_lowercase();
            let install = kind.ends_with("/patchinstallationresults");
            let kind = if install { Kind::Install } else { Kind::Scan };
            SeenAct::read(kind, &row["properties"])
        };
        Ok(rows.iter().filter_map(act).collect())
    }

    /// What became of each patch of an install, as Resource Graph tells it.
    pub(super) async fn told_patches(
        self: &Arc<Self>,
        machine: &MachineId,
        node: &NodeId,
        activity: &str,
    ) -> Result<Vec<Value>> {
        let under = format!("{machine}/patchInstallationResults/{activity}/");
        let query = format!(
            "patchinstallationresources\n| where id startswith {}\n\
             | where type endswith '/softwarepatches'\n| project id, properties\n| order by id asc",
            Literal(&under)
        );
        let rows = self.graph(query, &self.subscription_of(machine, node)?);
        rows.map_ok(|row| row["properties"].clone()).try_collect().await
    }

    fn subscription_of(&self, machine: &MachineId, node: &NodeId) -> Result<[AccountId; 1]> {
        let known = self.subscription(&machine.subscription).cloned();
        let unknown = || Error::not_found(PROVIDER, "Resources", "the node");
        Ok([known.ok_or_else(|| unknown().with_node(node.clone()))?])
    }
}

pub(super) fn not_patched(operation: &'static str, machine: &MachineId) -> Error {
    Error::new(ErrorKind::Unsupported, PROVIDER, operation, why_not_patched(&machine.name))
}

/// How far the service's clock is ahead of ours by an answer that has just come. Its `Date` has no
/// fractions, and the answer took its way: it is ahead by that, or by a little more.
fn ahead(answer: &Reply, now: Timestamp) -> SignedDuration {
    let date = answer
        .header("date")
        .and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    date.map_or(SignedDuration::ZERO, |date| date.duration_since(now))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_act_that_nobody_ended_within_a_day_does_not_go_on() {
        let told = |status: &str| {
            let told = json!({
                "status": status,
                "installationActivityId": "A",
                "startTime": "2026-11-24T02:00:00.1234567+00:00",
            });
            SeenAct::read(Kind::Install, &told).unwrap()
        };
        let at = |text: &str| text.parse().unwrap();
        assert!(told("InProgress").runs(at("2026-11-25T01:00:00Z")));
        assert!(!told("InProgress").runs(at("2026-11-25T03:00:00Z")));
        assert!(!told("Succeeded").runs(at("2026-11-24T02:01:00Z")));
        assert_eq!(told("Succeeded").activity, "a");
    }
}
