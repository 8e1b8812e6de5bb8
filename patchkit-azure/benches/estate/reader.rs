//! PatchKit's half: what an embedder writes to know an estate.

use std::{error::Error, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    time::OffsetDateTime,
};
use futures::TryStreamExt;
use patchkit_azure::{CallBudget, Machine, MachineKind, UpdateManager};
use patchkit_core::{
    ComplianceStatus, NodeCompliance, NodeId, NodeSelector, OperatingSystem, PatchCounts,
    PatchGroupName, PowerState,
};
use serde::{Deserialize, Serialize};

use super::{Task, say, wait_for_the_end};

/// What both readers must agree on.
#[derive(Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Totals {
    pub(crate) machines: usize,
    pub(crate) arc: usize,
    /// Instances of uniform scale sets.
    pub(crate) instances: usize,
    pub(crate) windows: usize,
    pub(crate) named: usize,
    /// Machines that are stopped or deallocated.
    pub(crate) off: usize,
    /// Machines in a patch group.
    pub(crate) grouped: usize,
    pub(crate) compliant: usize,
    pub(crate) non_compliant: usize,
    pub(crate) unknown: usize,
    /// Missing patches of all machines that are critical or for security.
    pub(crate) missing: u64,
    pub(crate) others: u64,
}

/// What is kept of a machine.
struct Row {
    #[expect(dead_code, reason = "who keeps rows of machines keeps their ids")]
    id: NodeId,
    kind: MachineKind,
    system: OperatingSystem,
    power: PowerState,
    name: Option<String>,
    group: Option<PatchGroupName>,
    status: ComplianceStatus,
    counts: PatchCounts,
}

impl Row {
    fn of(machine: Machine, known: &NodeCompliance) -> Self {
        let group = machine.node.patch_group();
        Self {
            id: machine.node.id,
            kind: machine.kind,
            system: machine.node.operating_system,
            power: machine.node.power,
            name: machine.node.name,
            group,
            status: known.status,
            counts: known.counts,
        }
    }
}

/// The simulator looks at no token.
#[derive(Debug)]
struct Anyone;

#[async_trait]
impl TokenCredential for Anyone {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let tomorrow = OffsetDateTime::now_utc() + azure_core::time::Duration::days(1);
        Ok(AccessToken::new("bench", tomorrow))
    }
}

pub(crate) fn main() -> ExitCode {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("it is told what to read");
    let task = serde_json::from_str(&line).expect("it is told in JSON");
    match read(&task) {
        Ok(totals) => say(&totals),
        Err(error) => {
            eprintln!("PatchKit: {error}");
            return ExitCode::FAILURE;
        }
    }
    wait_for_the_end();
    ExitCode::SUCCESS
}

#[tokio::main]
async fn read(task: &Task) -> Result<Totals, Box<dyn Error>> {
    let subscriptions = task.subscriptions.iter().map(|id| id.parse());
    let azure = UpdateManager::builder(Arc::new(Anyone))
        .with_subscriptions(subscriptions.collect::<Result<Vec<_>, _>>()?)
        .with_endpoint(task.endpoint.parse()?)
        .with_budget(CallBudget::unlimited())
        .build()?;
    let mut rows = Vec::new();
    let mut machines = azure.machines_with_compliance(&NodeSelector::all());
    while let Some((machine, known)) = machines.try_next().await? {
        rows.push(Row::of(machine, &known));
    }
    Ok(totals(&rows))
}

fn totals(rows: &[Row]) -> Totals {
    let mut totals = Totals::default();
    for row in rows {
        totals.machines += 1;
        totals.arc += usize::from(row.kind == MachineKind::Arc);
        totals.instances += usize::from(row.kind == MachineKind::ScaleSetInstance);
        totals.windows += usize::from(row.system == OperatingSystem::Windows);
        totals.off += usize::from(row.power.is_off());
        totals.named += usize::from(row.name.is_some());
        totals.grouped += usize::from(row.group.is_some());
        totals.missing += u64::from(row.counts.missing);
        totals.others += u64::from(row.counts.other);
        *match row.status {
            ComplianceStatus::Compliant => &mut totals.compliant,
            ComplianceStatus::NonCompliant => &mut totals.non_compliant,
            _ => &mut totals.unknown,
        } += 1;
    }
    totals
}
