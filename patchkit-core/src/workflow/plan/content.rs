//! What a plan holds beside nodes and waves, where it was asked for: the baselines as they were, and
//! the patches that are expected.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use futures::{StreamExt, TryStreamExt, future::join_all, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{PlannedNode, hex};
use crate::{
    BaselineId, ComplianceStatus, NodeId, PatchBaseline, PatchId, PatchState, Result, Scope,
    operator::Plain, workflow::Runner,
};

/// Whether a plan lists the patches that each node is expected to get.
///
/// A listing is a call for each node, or more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PatchListing {
    /// How many there are is enough.
    #[default]
    Count,
    /// Each is named.
    Names,
}

impl PatchListing {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it by reference")]
    pub(super) fn is_count(&self) -> bool {
        *self == Self::Count
    }
}

/// A baseline as it was when a plan was made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BaselineVersion {
    /// Where it applies.
    pub scope: Scope,
    /// The baseline.
    pub id: BaselineId,
    /// Its name; untrusted: escape before showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The SHA-256 of all that it says, in hex; `None` where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Why it could not be read. Holds providers' words: escape before showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl BaselineVersion {
    /// The version of `baseline`, as `id` names it in `scope`.
    pub fn of(scope: Scope, id: BaselineId, baseline: &PatchBaseline) -> Self {
        let json = serde_json::to_vec(baseline).unwrap_or_default();
        let hash = Some(hex(&Sha256::digest(json)));
        Self { scope, id, name: Some(baseline.name.clone()), hash, problem: None }
    }

    fn unread(scope: Scope, id: BaselineId, problem: String) -> Self {
        Self { scope, id, name: None, hash: None, problem: Some(problem) }
    }
}

impl fmt::Display for BaselineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{} ", Plain(name))?;
        }
        match (&self.hash, &self.problem) {
            (Some(hash), _) => {
                write!(f, "version {}", Plain(&hash.chars().take(12).collect::<String>()))
            }
            (None, Some(problem)) => write!(f, "could not be read: {}", Plain(problem)),
            (None, None) => f.write_str("of a version that is not known"),
        }
    }
}

/// The patches that a node is expected to get.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExpectedPatches {
    /// Those that its last scan found missing or failed, by id.
    pub patches: Vec<PatchId>,
    /// Why they could not be read to the end. Holds providers' words: escape before showing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Runner {
    /// The versions of the baselines that nodes are held against; nothing where the runner has no
    /// baselines.
    pub(super) async fn versions(&self, nodes: &[PlannedNode]) -> Vec<BaselineVersion> {
        let Some(baselines) = &self.baselines else { return Vec::new() };
        let wanted: BTreeSet<(Scope, BaselineId)> = nodes
            .iter()
            .filter_map(|node| Some((node.id.scope().clone(), node.baseline.clone()?)))
            .collect();
        let read = wanted.into_iter().map(|(scope, id)| async move {
            let Some(keeper) = baselines.of(&scope) else {
                let problem = "nobody keeps the scope's baselines".to_owned();
                return BaselineVersion::unread(scope, id, problem);
            };
            match self.gate.pass(keeper.baseline(&id)).await {
                Ok(baseline) => BaselineVersion::of(scope, id, &baseline),
                Err(error) => BaselineVersion::unread(scope, id, error.report()),
            }
        });
        join_all(read).await
    }

    /// The patches that nodes are expected to get. One whose compliance is not known is left out:
    /// nobody knows what it will get.
    pub(super) async fn expected(
        &self,
        nodes: &[PlannedNode],
    ) -> BTreeMap<NodeId, ExpectedPatches> {
        let known: Vec<NodeId> = nodes
            .iter()
            .filter(|node| node.status != ComplianceStatus::Unknown)
            .map(|node| node.id.clone())
            .collect();
        let listings = stream::iter(known).map(|node| async move {
            let _place = self.gate.place().await;
            let lacks = self.lacks(&node).await;
            (node, lacks)
        });
        listings.buffer_unordered(self.parallel).collect().await
    }

    async fn lacks(&self, node: &NodeId) -> ExpectedPatches {
        let lacks = |state: &PatchState| matches!(state, PatchState::Missing | PatchState::Failed);
        let mut expected = ExpectedPatches::default();
        let mut rows = self.compliance.patches(node);
        let read: Result<()> = async {
            while let Some(row) = rows.try_next().await? {
                if lacks(&row.state) {
                    expected.patches.push(row.patch);
                }
            }
            Ok(())
        }
        .await;
        expected.problem = read.err().map(|error| error.report());
        expected.patches.sort();
        expected.patches.dedup();
        expected
    }
}
