//! The patches of machines: what assessments found, and what installations brought.

use std::sync::Arc;

use futures::{
    StreamExt, TryStreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{
    AccountId, CompiledBaseline, NodeId, NodePatch, OperationKind, Patch, PatchCompliance,
    Presence, Result, listing::sound, patch_state,
};
use serde_json::Value;

use super::{OPERATION, Say};
use crate::{
    client::Client,
    convert::{compliance::Findings, patch::SoftwarePatch},
    error::PROVIDER,
    graph::{Literal, literals},
};

/// Which patches.
#[derive(Clone, Copy, Debug)]
enum Of<'a> {
    /// Those that the assessment of a machine found.
    Machine(&'a NodeId),
    /// Those that an installation on it dealt with.
    Installation(&'a NodeId, &'a str),
    /// Those that the assessments of some machines found.
    Machines(&'a [NodeId]),
    /// Those that all assessments found.
    All,
}

impl Of<'_> {
    fn query(self) -> String {
        let (table, kind) = match self {
            Self::Installation(..) => ("patchinstallationresources", "patchinstallationresults"),
            _ => ("patchassessmentresources", "patchassessmentresults"),
        };
        // Ids come in any case, of which `startswith` takes no notice.
        let within = |prefix: &str| format!("\n| where id startswith {}", Literal(prefix));
        let these = match self {
            Self::Machine(node) => within(&format!("{}/patchAssessmentResults/", node.resource())),
            Self::Installation(node, activity) => {
                within(&format!("{}/patchInstallationResults/{activity}/", node.resource()))
            }
            Self::Machines(nodes) => {
                let ids: Vec<String> =
                    nodes.iter().map(|node| node.resource().to_ascii_lowercase()).collect();
                let ids = literals(ids.iter().map(String::as_str));
                format!("\n| where tostring(split(tolower(id), '/{kind}/')[0]) in {ids}")
            }
            Self::All => String::new(),
        };
        format!(
            "{table}\n\
             | where type in~ ('microsoft.compute/virtualmachines/{kind}/softwarepatches', \
             'microsoft.hybridcompute/machines/{kind}/softwarepatches'){these}\n\
             | project id, properties\n| order by id asc"
        )
    }
}

/// Who says whether a patch that an assessment found is missing.
#[derive(Debug)]
pub(super) enum By {
    Azure,
    Baseline(Arc<CompiledBaseline>),
    /// The baselines that decide, of which none is for the machine.
    Nobody,
}

impl By {
    fn tell(&self, patch: &SoftwarePatch, now: Timestamp) -> Option<PatchCompliance> {
        match self {
            Self::Azure => Some(patch.assessed()),
            Self::Baseline(baseline) => {
                let offered = NodePatch::new(patch.offered(), Presence::Absent);
                let state = patch_state(baseline, &offered, OperationKind::Scan, now);
                state.map(|state| patch.judged(state))
            }
            Self::Nobody => None,
        }
    }
}

impl Client {
    /// The patches of a node.
    pub(super) fn patches_of(
        self: &Arc<Self>,
        node: &NodeId,
        findings: &Findings,
        by: By,
    ) -> BoxStream<'static, Result<PatchCompliance>> {
        let effect = findings.effect();
        let treated = |of_all: Wanted| match &findings.installation {
            None => stream::empty().boxed(),
            Some(installation) => {
                let of = Of::Installation(node, installation.activity());
                let rows = self
                    .software(node, of)
                    .try_filter(move |patch| ready(of_all == Wanted::All || patch.is_installed()));
                rows.map_ok(move |patch| patch.treated(effect)).boxed()
            }
        };
        match findings.say(self.now()) {
            _ if matches!(by, By::Nobody) => stream::empty().boxed(),
            Say::Nobody => stream::empty().boxed(),
            Say::Installation(_) => treated(Wanted::All),
            Say::Assessment(_) => {
                let (missing, now) = (self.software(node, Of::Machine(node)), self.now());
                let told = move |patch: SoftwarePatch| ready(Ok(by.tell(&patch, now)));
                missing.try_filter_map(told).chain(treated(Wanted::Installed)).boxed()
            }
        }
    }

    /// The patches of one node, of which a row that cannot be read is an error that names the node.
    fn software(
        self: &Arc<Self>,
        node: &NodeId,
        of: Of<'_>,
    ) -> BoxStream<'static, Result<SoftwarePatch>> {
        let node = node.clone();
        let subscriptions = self.subscriptions_of(std::slice::from_ref(&node));
        let rows = self.graph(of.query(), &subscriptions).map_ok(move |row| {
            SoftwarePatch::read(OPERATION, &row)
                .map_err(|error| error.with_scope(node.scope().clone()).with_node(node.clone()))
        });
        sound(PROVIDER, OPERATION, rows)
    }

    /// What the last assessment of a node found, as baselines look at it.
    ///
    /// # Errors
    /// Also for a single row that cannot be read: it may be the one that counts.
    pub(crate) async fn offered(self: &Arc<Self>, node: &NodeId) -> Result<Vec<Patch>> {
        let rows = self.software(node, Of::Machine(node));
        rows.map_ok(|patch| patch.offered()).try_collect().await
    }

    /// What assessments found, by the id of the machine in lower case; of some machines or of all.
    pub(super) fn missing(
        self: &Arc<Self>,
        nodes: Option<&[NodeId]>,
        subscriptions: &[AccountId],
    ) -> BoxStream<'static, Result<(String, Result<SoftwarePatch>)>> {
        let query = nodes.map_or(Of::All, Of::Machines).query();
        let rows = self.graph(query, subscriptions);
        let read = |row: Value| (machine(&row), SoftwarePatch::read(OPERATION, &row));
        rows.map_ok(read).boxed()
    }
}

/// Which of an installation's patches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    All,
    Installed,
}

/// The machine of a row of a patch.
fn machine(row: &Value) -> String {
    let id = row["id"].as_str().unwrap_or_default().to_ascii_lowercase();
    match id.split_once("/patchassessmentresults/") {
        Some((machine, _)) => machine.to_owned(),
        None => id,
    }
}
