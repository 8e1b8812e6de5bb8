//! PatchKit's half: what an embedder writes to read an estate.

use std::{error::Error, process::ExitCode};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use futures::TryStreamExt;
use patchkit_aws::{Accounts, CallBudget, Ssm};
use patchkit_core::{
    ComplianceStatus, ManagedNode, NodeCompliance, NodeId, NodeOrigin, NodeSelector,
    OperatingSystem, PatchGroupName, PowerState,
};
use serde::{Deserialize, Serialize};

use super::{Task, say, wait_for_the_end};

/// What both readers must agree on.
#[derive(Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Totals {
    pub(crate) nodes: usize,
    pub(crate) hybrid: usize,
    pub(crate) named: usize,
    pub(crate) windows: usize,
    pub(crate) stopped: usize,
    /// Nodes whose agent's version is known, be it only from the inventory.
    pub(crate) agents: usize,
    /// Nodes in a patch group.
    pub(crate) grouped: usize,
    pub(crate) compliant: usize,
    pub(crate) non_compliant: usize,
    pub(crate) unknown: usize,
    /// Missing patches of all nodes.
    pub(crate) missing: u64,
}

/// What is kept of a node.
struct Row {
    #[expect(dead_code, reason = "who keeps rows of nodes keeps their names")]
    id: NodeId,
    name: Option<String>,
    system: OperatingSystem,
    hybrid: bool,
    power: PowerState,
    agent: Option<String>,
    group: Option<PatchGroupName>,
    status: ComplianceStatus,
    missing: u32,
}

impl Row {
    fn of(node: ManagedNode, known: &NodeCompliance) -> Self {
        Self {
            id: node.id.clone(),
            group: node.patch_group(),
            name: node.name,
            system: node.operating_system,
            hybrid: node.origin == NodeOrigin::Hybrid,
            power: node.power,
            agent: node.agent_version,
            status: known.status,
            missing: known.counts.missing,
        }
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
    let keys = Credentials::new(&task.access_key_id, &task.secret_access_key, None, None, "bench");
    let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(task.regions[0].clone()))
        .endpoint_url(&task.endpoint)
        .credentials_provider(keys)
        .load()
        .await;
    let accounts = task.accounts.iter().map(|id| id.parse()).collect::<Result<Vec<_>, _>>()?;
    let regions = task.regions.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    let ssm = Ssm::builder(&sdk).with_budget(CallBudget::unlimited());
    let opened = Accounts::from_builder(ssm)
        .with_accounts(accounts)
        .with_regions(regions)
        .with_role("patchkit")
        .with_parallel(task.parallel)
        .open()
        .await?;
    if let Some(failure) = opened.failures.first() {
        return Err(failure.to_string().into());
    }

    let mut rows = Vec::new();
    let mut nodes = opened.estate.nodes_with_compliance(&NodeSelector::all());
    while let Some((node, known)) = nodes.try_next().await? {
        rows.push(Row::of(node, &known));
    }
    Ok(totals(&rows))
}

fn totals(rows: &[Row]) -> Totals {
    let mut totals = Totals::default();
    for row in rows {
        totals.nodes += 1;
        totals.hybrid += usize::from(row.hybrid);
        totals.named += usize::from(row.name.is_some());
        totals.windows += usize::from(row.system == OperatingSystem::Windows);
        totals.stopped += usize::from(row.power == PowerState::Stopped);
        totals.agents += usize::from(row.agent.is_some());
        totals.grouped += usize::from(row.group.is_some());
        totals.missing += u64::from(row.missing);
        *match row.status {
            ComplianceStatus::Compliant => &mut totals.compliant,
            ComplianceStatus::NonCompliant => &mut totals.non_compliant,
            _ => &mut totals.unknown,
        } += 1;
    }
    totals
}
