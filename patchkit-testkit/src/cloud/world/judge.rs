//! How a baseline judges every patch of a system, computed once for all machines of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fixedbitset::FixedBitSet;
use jiff::Timestamp;
use patchkit_core::{
    CompiledBaseline, InstallChoice, JudgedPatch, NodePatch, NodeVerdict, OperationKind,
    PatchBaseline, Presence, judge_node, patch_state,
};

use super::{
    catalogue::{Catalogue, SystemIx},
    machine::{NodePatches, Told},
};

/// A baseline in one of its revisions, as a patch operation uses it.
#[derive(Debug)]
pub(crate) struct BaselineRef {
    /// As the API names it: `pb-…`, or the ARN of one of AWS's own.
    pub(crate) id: Arc<str>,
    /// Grows with each update: a judgement is of one revision.
    pub(crate) revision: u64,
    pub(crate) baseline: PatchBaseline,
}

/// What a baseline says of every patch of a system at one time.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) baseline: Arc<BaselineRef>,
    compiled: CompiledBaseline,
    /// By the place of the patch: its state for each presence, after a scan and after an install.
    states: Vec<[Option<JudgedPatch>; PRESENCES.len() * 2]>,
    /// The patches that an install brings, where they are not there.
    pub(crate) wanted: FixedBitSet,
}

const PRESENCES: [Presence; 5] = [
    Presence::Absent,
    Presence::Installed,
    Presence::InstalledPendingReboot,
    Presence::InstallFailed,
    Presence::NotApplicable,
];

impl Judgement {
    pub(crate) fn new(
        baseline: &Arc<BaselineRef>,
        catalogue: &Catalogue,
        system: SystemIx,
        when: Timestamp,
    ) -> Self {
        let compiled = CompiledBaseline::new(&baseline.baseline);
        let patches = &catalogue.system(system).patches;
        let mut wanted = FixedBitSet::with_capacity(patches.len());
        let mut states = Vec::with_capacity(patches.len());
        for (place, patch) in patches.iter().enumerate() {
            let mut on_node = NodePatch::new(patch.clone(), Presence::Absent);
            wanted.set(place, compiled.install_choice(&on_node, when) == InstallChoice::Install);
            let mut of_patch = [const { None }; PRESENCES.len() * 2];
            for (index, presence) in PRESENCES.iter().enumerate() {
                on_node.presence = *presence;
                of_patch[index] = patch_state(&compiled, &on_node, OperationKind::Scan, when);
                of_patch[index + PRESENCES.len()] =
                    patch_state(&compiled, &on_node, OperationKind::Install, when);
            }
            states.push(of_patch);
        }
        Self { baseline: Arc::clone(baseline), compiled, states, wanted }
    }

    /// The patches that are reported of a machine, by their places, with their states.
    fn of<'a>(
        &'a self,
        patches: &'a NodePatches,
        operation: OperationKind,
    ) -> impl Iterator<Item = (usize, &'a JudgedPatch)> {
        let offset = match operation {
            OperationKind::Scan => 0,
            OperationKind::Install => PRESENCES.len(),
        };
        self.states.iter().enumerate().filter_map(move |(place, states)| {
            states[offset + presence(patches, place)].as_ref().map(|judged| (place, judged))
        })
    }

    pub(crate) fn verdict(
        &self,
        catalogue: &Catalogue,
        system: SystemIx,
        patches: &NodePatches,
        operation: OperationKind,
    ) -> NodeVerdict {
        let known = &catalogue.system(system).patches;
        if let Some(told) = self.told(patches) {
            let classes = known.iter().map(|it| it.classification.as_ref());
            return judge_node(&self.compiled, classes.zip(told));
        }
        let judged = self.of(patches, operation);
        let judged = judged.map(|(at, it)| (known[at].classification.as_ref(), it.clone()));
        judge_node(&self.compiled, judged)
    }

    /// Of a machine whose patches' states someone named, those.
    pub(crate) fn told(&self, patches: &NodePatches) -> Option<Vec<JudgedPatch>> {
        let judged = |it: &Told| JudgedPatch::new(&self.compiled, it.state.clone(), it.level);
        Some(patches.told.as_deref()?.iter().map(judged).collect())
    }
}

fn presence(patches: &NodePatches, place: usize) -> usize {
    if !patches.relevant.contains(place) {
        4
    } else if patches.pending.contains(place) {
        2
    } else if patches.installed.contains(place) {
        1
    } else if patches.failed.contains(place) {
        3
    } else {
        0
    }
}

/// What a patch operation found and uploaded: the service knows this, not the machine.
#[derive(Clone, Debug)]
pub(crate) struct PatchScan {
    pub(crate) judgement: Arc<Judgement>,
    /// What was on the machine then.
    pub(crate) patches: NodePatches,
    /// Where someone named the states, those, one for each patch.
    pub(crate) told: Option<Vec<JudgedPatch>>,
    pub(crate) operation: OperationKind,
    pub(crate) verdict: NodeVerdict,
    pub(crate) group: Option<Arc<str>>,
    pub(crate) snapshot: Arc<str>,
    /// The command, or the policy, that it ran under.
    pub(crate) execution: Arc<str>,
    pub(crate) execution_type: &'static str,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    /// `RebootIfNeeded` or `NoReboot`.
    pub(crate) reboot_option: &'static str,
    pub(crate) install_override: Option<Arc<str>>,
    pub(crate) last_no_reboot_install: Option<Timestamp>,
}

impl PatchScan {
    /// The baseline as nodes report it: of AWS's own the `pb-` part of their ARN alone
    /// (turbot/steampipe-plugin-aws pull request 1732 shows a reply).
    pub(crate) fn baseline_id(&self) -> &str {
        let id = &*self.judgement.baseline.id;
        id.rsplit('/').next().unwrap_or(id)
    }

    /// The patches that it reported, by their places, with their states.
    pub(crate) fn items(&self) -> impl Iterator<Item = (usize, &JudgedPatch)> {
        let told = self.told.as_deref();
        let judged = told.is_none().then(|| self.judgement.of(&self.patches, self.operation));
        told.into_iter().flatten().enumerate().chain(judged.into_iter().flatten())
    }
}

/// Judgements already made. They change with the hour, since approvals come with time.
#[derive(Debug, Default)]
pub(crate) struct Judgements(HashMap<(Arc<str>, u64, SystemIx, i64), Arc<Judgement>>);

impl Judgements {
    pub(crate) fn get(
        &mut self,
        baseline: &Arc<BaselineRef>,
        catalogue: &Catalogue,
        system: SystemIx,
        when: Timestamp,
    ) -> Arc<Judgement> {
        let hour = when.as_second().div_euclid(3_600);
        // Those of other hours are kept alive by the scans that used them.
        if self.0.len() > 4_096 {
            self.0.retain(|key, _| key.3 == hour);
        }
        let key = (Arc::clone(&baseline.id), baseline.revision, system, hour);
        let made = self.0.entry(key).or_insert_with(|| {
            let when = Timestamp::from_second(hour * 3_600).unwrap_or(when);
            Arc::new(Judgement::new(baseline, catalogue, system, when))
        });
        Arc::clone(made)
    }
}

/// How long something takes on one machine: between the two, by its own number.
pub(crate) fn between(bits: u64, from: u64, to: u64) -> Duration {
    Duration::from_secs(from + bits % (to - from + 1))
}
