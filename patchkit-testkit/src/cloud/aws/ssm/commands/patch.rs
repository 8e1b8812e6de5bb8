//! RunPatchBaseline on a node: which patches, which options, and what is uploaded.

use std::sync::Arc;

use fixedbitset::FixedBitSet;
use patchkit_core::{OperationKind, PackageFamily};

use super::{super::associations, At, State, documents::Does, overrides, run::StepEnd, text};
use crate::cloud::world::{
    Execution,
    judge::{BaselineRef, Judgement},
    machine::{AwsKind, MachineIx},
    patching::{JobEnd, Reboot, Work},
};

/// One patch operation, as the document's parameters ask for it.
#[derive(Clone, Debug)]
pub(super) struct Order {
    operation: OperationKind,
    reboot: Reboot,
    snapshot: Option<Arc<str>>,
    install_list: Option<String>,
    baseline: Option<String>,
    association: Option<Arc<str>>,
    /// It reports to its association, and leaves patch compliance alone.
    for_association: bool,
}

impl Order {
    /// What AWS-RunPatchBaseline and its like are told.
    pub(super) fn of_document(state: &State, at: &At) -> Self {
        let first = |name| state.parameter(at, name).into_iter().next().filter(|it| !it.is_empty());
        let for_association =
            state.document_at(at).is_some_and(|it| it.name == "AWS-RunPatchBaselineAssociation");
        Self {
            operation: operation(first("Operation").as_deref()),
            reboot: reboot(first("RebootOption").as_deref()),
            snapshot: first("SnapshotId").map(Arc::from),
            install_list: first("InstallOverrideList"),
            baseline: first("BaselineOverride"),
            association: first("AssociationId").map(Arc::from),
            for_association,
        }
    }

    /// The scan of RunPatchBaselineWithHooks.
    pub(super) fn scan_of_hooks(state: &State, at: &At) -> Self {
        let snapshot = state.parameter(at, "SnapshotId").into_iter().next();
        Self::scan(snapshot.filter(|it| !it.is_empty()).map(Arc::from))
    }

    fn scan(snapshot: Option<Arc<str>>) -> Self {
        Self {
            operation: OperationKind::Scan,
            reboot: Reboot::Never,
            snapshot,
            install_list: None,
            baseline: None,
            association: None,
            for_association: false,
        }
    }

    /// The installs of RunPatchBaselineWithHooks: first without a reboot, then with one where it is
    /// allowed. None where it is only to scan, or not to reboot.
    pub(super) fn of_hooks(state: &State, at: &At, does: &Does) -> Option<Self> {
        let first = |name| state.parameter(at, name).into_iter().next().filter(|it| !it.is_empty());
        let allowed = reboot(first("RebootOption").as_deref());
        if operation(first("Operation").as_deref()) == OperationKind::Scan
            || *does == Does::Reboot && allowed == Reboot::Never
        {
            return None;
        }
        let reboot = if *does == Does::Reboot { allowed } else { Reboot::Never };
        let scan = Self::scan(first("SnapshotId").map(Arc::from));
        Some(Self { operation: OperationKind::Install, reboot, ..scan })
    }
}

/// What the documents call it.
pub(super) fn reboot_option(reboot: Reboot) -> &'static str {
    match reboot {
        Reboot::Never => "NoReboot",
        _ => "RebootIfNeeded",
    }
}

fn operation(text: Option<&str>) -> OperationKind {
    match text {
        Some("Install") => OperationKind::Install,
        _ => OperationKind::Scan,
    }
}

/// RebootIfNeeded boots after any install, whether or not a patch needs it (user guide, "About the
/// AWS-RunPatchBaseline SSM document").
fn reboot(text: Option<&str>) -> Reboot {
    match text {
        Some("NoReboot") => Reboot::Never,
        _ => Reboot::AfterInstall,
    }
}

/// What an order comes to on one node.
struct Plan {
    judgement: Arc<Judgement>,
    wanted: FixedBitSet,
    snapshot: Arc<str>,
}

impl State {
    /// Carries out a patch operation as the step that an invocation is at.
    pub(super) fn patch(&mut self, at: At, order: Order) {
        let Some(machine) = self.invocation(&at).map(|it| it.machine) else { return };
        let plan = match self.plan(machine, &order) {
            Ok(plan) => plan,
            Err(message) => return self.fail_soon(at, message),
        };
        let work = match order.operation {
            OperationKind::Scan => Work::Scan,
            OperationKind::Install => {
                Work::Install { wanted: plan.wanted.clone(), reboot: order.reboot }
            }
        };
        let place = at.clone();
        let started = self.start_job(machine, work, move |state, machine, end| {
            state.patched(&place, machine, &order, &plan, &end);
        });
        if let Some(job) = started {
            if let Some(invocation) = self.invocation_mut(&at) {
                invocation.job = Some(job);
            }
        } else {
            let message = self.lock_message(machine).to_owned();
            self.fail_soon(at, message);
        }
    }

    fn fail_soon(&mut self, at: At, message: String) {
        let wait = self.takes(&at, 37, 2, 6);
        self.work(at, wait, move |state, at| state.end_step(at, StepEnd::failure(1, message)));
    }

    fn plan(&mut self, machine: MachineIx, order: &Order) -> Result<Plan, String> {
        if order.install_list.is_some() && order.baseline.is_some() {
            return Err("InstallOverrideList and BaselineOverride cannot be used together.".into());
        }
        let hybrid = self.machine(machine).aws.as_ref().map(|aws| &aws.side);
        if order.for_association && matches!(hybrid, Some(AwsKind::Hybrid(_))) {
            return Err("AWS-RunPatchBaselineAssociation runs on EC2 instances only.".into());
        }
        let judgement = self.judgement_of_order(machine, order)?;
        let wanted = match &order.install_list {
            Some(url) if order.operation == OperationKind::Install => {
                let text = overrides::read(self, url)?;
                let os = self.system_of(machine).os.clone();
                let baseline = overrides::install_list(&text, os)?;
                self.judge_override(baseline, machine).wanted.clone()
            }
            // Where someone named the states, they say what is missing.
            _ => match self.machine(machine).patches.told_missing() {
                Some(missing) => missing,
                None => judgement.wanted.clone(),
            },
        };
        let snapshot = match &order.snapshot {
            Some(snapshot) => Arc::clone(snapshot),
            None => self.new_uuid().into(),
        };
        Ok(Plan { judgement, wanted, snapshot })
    }

    /// The approved set: of the snapshot where it was taken before, also when the baseline or the
    /// override's file has changed since.
    fn judgement_of_order(
        &mut self,
        machine: MachineIx,
        order: &Order,
    ) -> Result<Arc<Judgement>, String> {
        let (now, system) = (self.now, self.machine(machine).system);
        let Some(scope) = self.machine(machine).aws.as_ref().map(|aws| aws.scope) else {
            return Err("The node is not registered.".into());
        };
        let own = self.judgement_for(machine);
        let baseline = match (&order.baseline, &own) {
            (Some(_), _) => Arc::from("override"),
            (None, Some(own)) => Arc::clone(&own.baseline.id),
            (None, None) => {
                let os = self.system_of(machine).os.as_str();
                return Err(format!("There is no patch baseline for {os}."));
            }
        };
        let key = order.snapshot.as_ref().map(|it| (Arc::clone(it), baseline, system));
        if let Some(key) = &key
            && let Some(taken) = self.commands(scope).taken(key, now)
        {
            return Ok(taken);
        }
        let judgement = match (&order.baseline, own) {
            (Some(url), _) => {
                let text = overrides::read(self, url)?;
                let baseline = overrides::baseline(&text, &self.system_of(machine).os)?;
                self.judge_override(baseline, machine)
            }
            (None, Some(own)) => own,
            (None, None) => return Err("There is no patch baseline.".into()),
        };
        if let Some(key) = key {
            self.commands_mut(scope).take(key, now, &judgement);
        }
        Ok(judgement)
    }

    fn judge_override(
        &mut self,
        baseline: patchkit_core::PatchBaseline,
        machine: MachineIx,
    ) -> Arc<Judgement> {
        let revision = self.next_number();
        let baseline = Arc::new(BaselineRef { id: "override".into(), revision, baseline });
        self.judge(&baseline, machine)
    }

    /// What the agent does when a patch operation has ended: it uploads, and prints a report.
    fn patched(&mut self, at: &At, machine: MachineIx, order: &Order, plan: &Plan, end: &JobEnd) {
        let id = Arc::clone(&at.command);
        let with = (&*plan.judgement, &*plan.snapshot);
        let report = text::report(self, machine, (order.operation, order.reboot), with, end);
        let failed = end.failed.count_ones(..);
        if order.for_association {
            if let Some(association) = &order.association {
                associations::report_patches(
                    self,
                    machine,
                    association,
                    &id,
                    (&plan.judgement, order.operation),
                );
            }
        } else if order.baseline.is_none() || order.association.is_some() {
            // What an overriding baseline found is not uploaded, unless a patch policy asked for it
            // (aws/amazon-ssm-agent#562).
            let policy = order.baseline.is_some();
            let execution = Execution {
                id,
                kind: if policy { "PatchPolicy" } else { "Command" },
                snapshot: Arc::clone(&plan.snapshot),
                reboot_option: reboot_option(order.reboot),
                install_override: order.install_list.as_deref().map(Arc::from),
                started: end.started,
            };
            self.upload_scan(machine, Arc::clone(&plan.judgement), order.operation, execution);
        }
        let step = match failed {
            0 => StepEnd::success(report),
            n => {
                let message = format!("{n} patch(es) failed to install.");
                StepEnd { stdout: report, ..StepEnd::failure(1, message) }
            }
        };
        self.end_step(at, step);
    }

    /// What a package manager says while another one holds its lock.
    fn lock_message(&self, machine: MachineIx) -> &'static str {
        match self.system_of(machine).os.family() {
            PackageFamily::Apt => {
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by another process. \
                 Unable to acquire the dpkg frontend lock, is another process using it?"
            }
            PackageFamily::Zypper => {
                "System management is locked by another application (zypper). Close this \
                 application before trying again."
            }
            PackageFamily::Windows => {
                "Another instance of the patch baseline operation is already running."
            }
            _ => "Another app is currently holding the yum lock; exiting",
        }
    }
}
