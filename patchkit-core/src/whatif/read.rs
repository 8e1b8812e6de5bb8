//! Reads a matrix from a provider's live reports.

use std::{collections::BTreeMap, num::NonZeroUsize};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    build::{MatrixBuilder, NodeFacts},
    matrix::{Evidence, PatchMatrix},
    scenario::BaselineSet,
};
use crate::{
    Error, ErrorKind, GroupTag, ManagedNode, NodeCompliance, NodeSelector, OperatingSystem, Patch,
    PatchCompliance, PatchSource, PatchState, Presence, Provider, Result,
};

/// The patches that are offered to operating systems, with their dates and products.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    patches: BTreeMap<OperatingSystem, Vec<Patch>>,
}

impl Catalogue {
    /// A catalogue without any patch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds patches for an operating system.
    #[must_use]
    pub fn with_patches(
        mut self,
        os: OperatingSystem,
        patches: impl IntoIterator<Item = Patch>,
    ) -> Self {
        self.add(os, patches);
        self
    }

    /// Adds patches for an operating system.
    pub fn add(&mut self, os: OperatingSystem, patches: impl IntoIterator<Item = Patch>) {
        self.patches.entry(os).or_default().extend(patches);
    }

    /// The patches, by operating system.
    pub fn patches(&self) -> impl Iterator<Item = (&OperatingSystem, &Patch)> {
        self.patches.iter().flat_map(|(os, patches)| patches.iter().map(move |patch| (os, patch)))
    }

    /// Tells a builder of all of it.
    pub fn offer_to(&self, builder: &mut MatrixBuilder) {
        self.patches().for_each(|(os, patch)| {
            builder.offer(os, patch.clone());
        });
    }
}

/// A matrix of live reports, and what of them could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct LiveMatrix {
    /// The matrix.
    pub matrix: PatchMatrix,
    /// What could not be read, each with its scope or node. A node that is named here is in the
    /// matrix with what else is known of it, and is never compliant.
    pub problems: Vec<Error>,
}

/// Reads what a provider knows of the patches of the nodes that `selector` takes.
///
/// `builder` may have been told of a [`Catalogue`] before: without one a patch has no date, and
/// delays have no say in it.
///
/// # Behavior
/// - The patches of `parallel` nodes are read at once.
/// - A scope or a node that cannot be read is a problem, and the others are read.
/// - A row with a state that is not known is a problem; its node is known in part.
///
/// # Errors
/// What ends the listing of the nodes.
pub async fn read_matrix(
    provider: &dyn Provider,
    selector: &NodeSelector,
    mut builder: MatrixBuilder,
    parallel: NonZeroUsize,
) -> Result<LiveMatrix> {
    let mut problems = Vec::new();
    let mut nodes = Vec::new();
    let mut listing = provider.nodes_with_compliance(selector);
    while let Some(row) = listing.next().await {
        match row {
            Ok(node) => nodes.push(node),
            Err(error) if error.scope().is_some() => problems.push(error),
            Err(error) => return Err(error),
        }
    }
    let read = |(node, known): (ManagedNode, NodeCompliance)| async move {
        let rows = match known.observed_at {
            Some(_) => provider.patches(&node.id).map(Ok::<_, Error>).try_collect().await,
            None => Ok(Vec::new()),
        };
        (node, known, rows)
    };
    let mut reports = stream::iter(nodes.into_iter().map(read)).buffer_unordered(parallel.get());
    while let Some((node, known, rows)) = reports.next().await {
        let rows: Vec<Result<PatchCompliance>> = rows?;
        let facts = facts(&mut builder, node, known, rows, &mut problems);
        builder.node(facts)?;
    }
    problems.sort_by_cached_key(Error::report);
    Ok(LiveMatrix { matrix: builder.build(), problems })
}

/// Reads the baselines that a provider holds nodes of these operating systems against: the defaults,
/// and those registered for patch groups.
///
/// # Behavior
/// - An operating system without a default has none here either.
///
/// # Errors
/// What a listing or a read ends with: a set with a gap would let nodes look compliant.
pub async fn read_baselines(
    provider: &dyn Provider,
    systems: impl IntoIterator<Item = OperatingSystem>,
) -> Result<BaselineSet> {
    let mut set = BaselineSet::new();
    for os in systems {
        match provider.default_baseline(&os).await {
            Ok(baseline) => set = set.with_default(baseline),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let groups: Vec<_> = provider.groups().try_collect().await?;
    for group in groups {
        let registrations: Vec<_> = provider.registrations(&group).try_collect().await?;
        for registration in registrations {
            let baseline = provider.baseline(&registration.baseline).await?;
            set = set.with_group(group.clone(), baseline);
        }
    }
    Ok(set)
}

pub(super) fn facts(
    builder: &mut MatrixBuilder,
    node: ManagedNode,
    known: NodeCompliance,
    rows: Vec<Result<PatchCompliance>>,
    problems: &mut Vec<Error>,
) -> NodeFacts {
    let tag = node.group_tag();
    let os = node.operating_system;
    let mut facts =
        NodeFacts::new(node.id.clone(), os.clone()).with_report(known.status, known.observed_at);
    if known.observed_at.is_none() {
        facts.evidence = Evidence::Nothing;
    }
    match (known.group, tag) {
        (Some(group), _) | (None, GroupTag::One(group)) => facts.group = Some(group),
        (None, GroupTag::Ambiguous(_)) => facts.evidence = Evidence::AmbiguousGroup,
        (None, GroupTag::None) => {}
    }
    let mut spoiled = |error: Error, evidence: &mut Evidence| {
        if *evidence == Evidence::Whole {
            *evidence = Evidence::Part;
        }
        problems.push(error.with_node(node.id.clone()));
    };
    for row in rows {
        match row {
            Err(error) => spoiled(error, &mut facts.evidence),
            Ok(row) => {
                if let Some(presence) = presence_of(&row.state) {
                    let patch = builder.patch(&os, reported(row));
                    facts.patches.push((patch, presence));
                    continue;
                }
                let message = format!("patch {} is in state {:?}", row.patch, row.state.as_str());
                let error = Error::new(ErrorKind::Malformed, "core", "whatif", message);
                spoiled(error, &mut facts.evidence);
            }
        }
    }
    facts
}

/// Whether a patch that is reported in a state is on the node; `None` for a state that is not known.
///
/// What a baseline made of it is taken out again: `InstalledOther` and `InstalledRejected` are
/// installed, and what no baseline or filter chose is absent all the same.
pub fn presence_of(state: &PatchState) -> Option<Presence> {
    Some(match state {
        PatchState::Installed | PatchState::InstalledOther | PatchState::InstalledRejected => {
            Presence::Installed
        }
        PatchState::InstalledPendingReboot => Presence::InstalledPendingReboot,
        PatchState::Missing
        | PatchState::AvailableSecurityUpdate
        | PatchState::Excluded
        | PatchState::NotSelected
        | PatchState::Pending
        | PatchState::Available => Presence::Absent,
        PatchState::Failed => Presence::InstallFailed,
        PatchState::NotApplicable => Presence::NotApplicable,
        PatchState::Other(_) => return None,
    })
}

fn reported(row: PatchCompliance) -> Patch {
    let mut patch = Patch::new(row.patch);
    patch.title = row.title.filter(|title| !title.is_empty());
    patch.classification = row.classification;
    patch.severity = row.severity;
    patch.cves = row.cves;
    // Nothing else says what source it comes from.
    if patch.classification.as_ref().is_some_and(|kind| !kind.is_security()) {
        patch.source = PatchSource::Other;
    }
    patch
}
