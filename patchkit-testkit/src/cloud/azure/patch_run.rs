//! Assessments and installations as the platform's agents carry them out.

use std::{sync::Arc, time::Duration};

use fixedbitset::FixedBitSet;
use jiff::Timestamp;

use super::{
    error::ArmError,
    operation::End,
    patch_choice::{Decision, Order},
    patch_result,
};
use crate::cloud::world::{
    State,
    clock::{earlier, later},
    judge::between,
    machine::{Assessment, Attempt, AzureKind, Failure, Installation, MachineIx, Power},
    patching::{JobEnd, Work},
};

const DAY: Duration = Duration::from_hours(24);
/// How long an assessment may take.
const ASSESSMENT: Duration = Duration::from_mins(30);
/// How long after its window the platform waits for an installation.
const GRACE: Duration = Duration::from_mins(15);
/// How often it looks whether the agent still reports.
const LOOK: Duration = Duration::from_mins(2);
/// What an agent needs before it installs, and for each patch.
const FIRST_LOOK: Duration = Duration::from_mins(1);
const EACH: Duration = Duration::from_secs(8);

/// A patch operation of the platform on one machine.
#[derive(Clone, Debug)]
struct Run {
    at: MachineIx,
    activity: Box<str>,
    job: u64,
    deadline: Timestamp,
}

/// What became of an operation on the machine itself.
#[derive(Clone, Copy, Debug)]
enum Begun {
    Job(u64),
    /// Something else has the package manager.
    Locked,
    NoAgent,
}

impl State {
    /// Starts an assessment that a person asked for.
    pub(super) fn begin_assessment(&mut self, at: MachineIx, activity: &str) {
        self.begin_operation(activity, at);
        self.set_busy(at, Some(activity));
        let started = self.now;
        let id: Box<str> = activity.into();
        if let Some(azure) = &mut self.machine_mut(at).azure {
            azure.attempt = Some(Attempt { activity: id.clone(), started, failed: None });
        }
        let begun = self.begin(at, Work::Scan, move |state, at, _| {
            state.assess(at, &id, started, "User");
            let result = state.assessed(at);
            state.end_run(at, &id, End::Succeeded(result));
        });
        let deadline = later(started, ASSESSMENT);
        self.follow(at, activity, begun, deadline);
    }

    /// Starts an installation.
    pub(super) fn begin_installation(&mut self, at: MachineIx, activity: &str, order: &Order) {
        self.begin_operation(activity, at);
        self.set_busy(at, Some(activity));
        let started = self.now;
        let mut plan = Plan::new(self, at, order);
        let installation = Installation {
            activity: activity.into(),
            started,
            ended: None,
            status: "InProgress",
            reboot_status: "NotNeeded",
            window_exceeded: false,
            failure: None,
            started_by: order.started_by,
            maintenance_run: order.maintenance_run.clone(),
            installed: plan.none.clone(),
            failed: plan.none.clone(),
            pending: plan.wanted.clone(),
            excluded: std::mem::take(&mut plan.excluded),
            not_selected: std::mem::take(&mut plan.not_selected),
        };
        let kept = earlier(started, DAY * 30);
        if let Some(azure) = &mut self.machine_mut(at).azure {
            azure.installations.retain(|it| it.started >= kept);
            azure.installations.push(installation);
        }
        let late = plan.leave_out(order.maximum);
        let id: Box<str> = activity.into();
        let work = Work::Install { wanted: plan.wanted, reboot: order.reboot };
        let begun = self.begin(at, work, move |state, at, end| {
            state.installed(at, &id, &end, late);
            // The agents assess again at the end of an installation.
            state.assess(at, &id, end.started, "Platform");
            let result = state.installation_result(at, &id);
            state.end_run(at, &id, End::Succeeded(result));
        });
        let deadline = later(started, order.maximum.saturating_add(GRACE));
        self.follow(at, activity, begun, deadline);
    }

    fn begin(
        &mut self,
        at: MachineIx,
        work: Work,
        done: impl FnOnce(&mut Self, MachineIx, JobEnd) + Send + 'static,
    ) -> Begun {
        if !self.answers_azure(at) {
            return Begun::NoAgent;
        }
        self.start_job(at, work, done).map_or(Begun::Locked, Begun::Job)
    }

    /// Notes what is missing on a machine now.
    pub(crate) fn assess(
        &mut self,
        at: MachineIx,
        activity: &str,
        started: Timestamp,
        started_by: &'static str,
    ) {
        let ended = self.now;
        let machine = self.machine_mut(at);
        let reboot_pending = machine.reboot_pending();
        let mut available = machine.patches.relevant.clone();
        available.difference_with(&machine.patches.installed);
        if let Some(azure) = &mut machine.azure {
            azure.attempt = None;
            azure.assessment = Some(Arc::new(Assessment {
                activity: activity.into(),
                started,
                ended,
                started_by,
                reboot_pending,
                available,
            }));
        }
    }

    /// The machines that the platform assesses by itself have an assessment from the beginning,
    /// and one each day after it.
    pub(crate) fn first_assessments(&mut self) {
        let now = self.now;
        let machines: Vec<_> =
            self.subscriptions.iter().flat_map(|it| it.machines.iter().copied()).collect();
        for at in machines {
            let age = between(self.draw(at, 45), 600, 86_399);
            if self.is_assessed_daily(at) {
                let activity = self.new_uuid();
                self.now = earlier(now, age);
                let started = earlier(self.now, Duration::from_secs(40));
                self.assess(at, &activity, started, "Platform");
                self.now = now;
            }
            self.at(later(now, DAY.saturating_sub(age)), move |state| state.assess_daily(at));
        }
    }

    pub(super) fn assess_daily(&mut self, at: MachineIx) {
        if self.is_assessed_daily(at) && self.answers_azure(at) {
            let (activity, now) = (self.new_uuid(), self.now);
            self.assess(at, &activity, now, "Platform");
        }
        self.after(DAY, move |state| state.assess_daily(at));
    }

    fn is_assessed_daily(&self, at: MachineIx) -> bool {
        let machine = self.machine(at);
        machine.power == Power::Running
            && machine.azure.as_ref().is_some_and(|azure| {
                *azure.patching.assessment_mode == *"AutomaticByPlatform"
                    && !matches!(azure.kind, AzureKind::Uniform { .. })
            })
    }

    /// Whether a patch operation of the platform is under way.
    pub(super) fn is_busy(&self, at: MachineIx) -> bool {
        self.machine(at).azure.as_ref().is_some_and(|it| it.busy.is_some())
    }

    fn set_busy(&mut self, at: MachineIx, activity: Option<&str>) {
        if let Some(azure) = &mut self.machine_mut(at).azure {
            azure.busy = activity.map(Into::into);
        }
    }

    /// Follows an operation to its end.
    fn follow(&mut self, at: MachineIx, activity: &str, begun: Begun, deadline: Timestamp) {
        let activity: Box<str> = activity.into();
        match begun {
            Begun::Job(job) => Run { at, activity, job, deadline }.look_later(self),
            Begun::Locked => self.after(LOOK, move |state| {
                let error = internal("Another process holds the lock of the package manager.");
                state.fail_run(at, &activity, error);
            }),
            Begun::NoAgent => self.after(LOOK, move |state| {
                let error = silent(state, at);
                state.fail_run(at, &activity, error);
            }),
        }
    }

    fn end_run(&mut self, at: MachineIx, activity: &str, end: End) {
        self.set_busy(at, None);
        self.end_operation(activity, end);
    }

    fn fail_run(&mut self, at: MachineIx, activity: &str, error: ArmError) {
        let now = self.now;
        let failure =
            Failure { code: (*error.code).into(), message: error.message.as_str().into() };
        if let Some(azure) = &mut self.machine_mut(at).azure
            && let Some(it) = azure.installations.iter_mut().find(|it| *it.activity == *activity)
        {
            it.status = "Failed";
            it.ended = Some(now);
            it.failure = Some(failure.clone());
        }
        if let Some(azure) = &mut self.machine_mut(at).azure
            && let Some(it) = azure.attempt.as_mut().filter(|it| *it.activity == *activity)
        {
            it.failed = Some((now, failure));
        }
        self.end_run(at, activity, End::Failed(error));
    }

    /// Enters how an installation ended on the machine.
    fn installed(&mut self, at: MachineIx, activity: &str, end: &JobEnd, late: FixedBitSet) {
        let now = self.now;
        let machine = self.machine_mut(at);
        if !end.rebooted {
            // On these systems only some patches wait for a boot.
            let patches = &mut machine.patches;
            let done: Vec<_> = end.installed.ones().filter(|it| !Self::needs_boot(*it)).collect();
            for place in done {
                patches.take_effect_of(place);
            }
        }
        let waits = machine.reboot_pending();
        let Some(azure) = &mut machine.azure else { return };
        let found = azure.installations.iter_mut().find(|it| *it.activity == *activity);
        let Some(it) = found else { return };
        it.ended = Some(now);
        it.reboot_status = match (end.rebooted, waits) {
            (true, _) => "Completed",
            (false, true) => "Required",
            (false, false) => "NotNeeded",
        };
        it.window_exceeded = late.count_ones(..) > 0;
        it.status = match (end.failed.count_ones(..), end.installed.count_ones(..)) {
            (0, _) if !it.window_exceeded => "Succeeded",
            (1.., 0) => "Failed",
            _ => "CompletedWithWarnings",
        };
        it.installed.clone_from(&end.installed);
        it.failed.clone_from(&end.failed);
        it.pending = late;
    }

    fn assessed(&self, at: MachineIx) -> Option<serde_json::Value> {
        let azure = self.machine(at).azure.as_ref()?;
        let it = azure.assessment.as_ref()?;
        Some(match azure.kind {
            AzureKind::Arc => patch_result::arc_assessment(self, at, it),
            _ => patch_result::assessment(self, at, it),
        })
    }

    fn installation_result(&self, at: MachineIx, activity: &str) -> Option<serde_json::Value> {
        let azure = self.machine(at).azure.as_ref()?;
        let it = azure.installations.iter().find(|it| *it.activity == *activity)?;
        Some(match azure.kind {
            AzureKind::Arc => patch_result::arc_installation(self, at, it),
            _ => patch_result::installation(self, at, it),
        })
    }
}

impl Run {
    fn look_later(self, state: &mut State) {
        let when = later(state.now, LOOK).min(self.deadline);
        state.at(when, move |state| self.look(state));
    }

    /// Looks whether the operation goes on: a machine that is off, or whose agent is gone, does
    /// not tell.
    fn look(self, state: &mut State) {
        let machine = state.machine(self.at);
        let busy = machine.azure.as_ref().and_then(|it| it.busy.as_ref());
        if busy != Some(&self.activity) {
            return;
        }
        if machine.job != Some(self.job) {
            let error = silent(state, self.at);
            state.fail_run(self.at, &self.activity, error);
        } else if state.now >= self.deadline {
            state.cancel_job(self.at, self.job);
            let error = timed_out(state, self.at);
            state.fail_run(self.at, &self.activity, error);
        } else {
            self.look_later(state);
        }
    }
}

/// What an installation means for the patches that are available when it begins.
struct Plan {
    none: FixedBitSet,
    wanted: FixedBitSet,
    excluded: FixedBitSet,
    not_selected: FixedBitSet,
}

impl Plan {
    fn new(state: &State, at: MachineIx, order: &Order) -> Self {
        let (system, patches) = (state.system_of(at), &state.machine(at).patches);
        let none = FixedBitSet::with_capacity(system.patches.len());
        let (mut wanted, mut excluded, mut not_selected) =
            (none.clone(), none.clone(), none.clone());
        for place in patches.relevant.difference(&patches.installed) {
            if patches.strange(place).is_some() {
                continue;
            }
            let Some(patch) = system.patches.get(place) else { continue };
            match order.decide(patch, place, system) {
                Decision::Install => wanted.insert(place),
                Decision::Excluded => excluded.insert(place),
                Decision::NotSelected => not_selected.insert(place),
            }
        }
        Self { none, wanted, excluded, not_selected }
    }

    /// Takes out what does not fit into the time.
    fn leave_out(&mut self, maximum: Duration) -> FixedBitSet {
        let time = maximum.saturating_sub(FIRST_LOOK).as_secs() / EACH.as_secs();
        let fits = usize::try_from(time).unwrap_or(usize::MAX);
        let mut late = self.none.clone();
        let places: Vec<_> = self.wanted.ones().skip(fits).collect();
        for place in places {
            self.wanted.set(place, false);
            late.insert(place);
        }
        late
    }
}

/// "Understand common error messages when you manage virtual machines in Azure" has the words.
fn silent(state: &State, at: MachineIx) -> ArmError {
    let name = &state.machine(at).name;
    ArmError::conflict(
        "VMAgentStatusCommunicationError",
        format!(
            "VM '{name}' has not reported status for VM agent or extensions. Please verify the VM \
             has a running VM agent, and can establish outbound connections to Azure storage."
        ),
    )
}

/// From the same list.
fn timed_out(state: &State, at: MachineIx) -> ArmError {
    let system = if state.system_of(at).is_windows() { "Windows" } else { "Linux" };
    ArmError::conflict(
        "VMExtensionProvisioningTimeout",
        format!(
            "Provisioning of VM extension '{system}PatchExtension' has timed out. Extension \
             installation may be taking too long, or extension status could not be obtained."
        ),
    )
}

/// The code that guest failures have (Azure/azure-rest-api-specs#31144).
fn internal(what: &str) -> ArmError {
    ArmError::conflict("VMGuestPatchInternalError", what)
}
