//! Patch operations on a machine, as the agents carry them out.

use std::time::Duration;

use fixedbitset::FixedBitSet;
use jiff::Timestamp;

use super::super::lake::Part;
use super::{
    State,
    clock::later,
    judge::between,
    machine::{Agent, Behavior, MachineIx, Power},
};

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Look at what is there.
    Scan,
    /// Install what of `wanted` is relevant and not there.
    Install { wanted: FixedBitSet, reboot: Reboot },
}

/// Whether an install may boot the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reboot {
    /// After any install, and where one is pending: as AWS's agent does it.
    AfterInstall,
    /// Where one of the installed patches needs it: as Azure's does it.
    IfRequired,
    Never,
    Always,
}

/// How a patch operation ended.
#[derive(Clone, Debug)]
pub(crate) struct JobEnd {
    pub(crate) started: Timestamp,
    pub(crate) installed: FixedBitSet,
    pub(crate) failed: FixedBitSet,
    pub(crate) rebooted: bool,
    /// One of the installed patches takes effect only after a boot that was not allowed.
    pub(crate) reboot_needed: bool,
}

type Done = Box<dyn FnOnce(&mut State, MachineIx, JobEnd) + Send>;

impl State {
    /// Starts a patch operation on a running machine; `done` is called at its end, which may never
    /// come. None where another one is under way: package managers hold a lock.
    pub(crate) fn start_job(
        &mut self,
        at: MachineIx,
        work: Work,
        done: impl FnOnce(&mut Self, MachineIx, JobEnd) + Send + 'static,
    ) -> Option<u64> {
        if self.machine(at).job.is_some() {
            return None;
        }
        let job = self.next_number();
        let started = self.now;
        self.machine_mut(at).job = Some(job);
        let looked = later(started, between(self.draw(at, job), 15, 60));
        let done: Done = Box::new(done);
        match work {
            Work::Scan => self.in_job(at, job, looked, move |state| {
                let end = JobEnd::new(state, at, started);
                state.end_job(at, end, done);
            }),
            Work::Install { wanted, reboot } => {
                let missing = self.missing(at, &wanted);
                let each = Duration::from_secs(8);
                let count = u32::try_from(missing.count_ones(..)).unwrap_or(u32::MAX);
                let installed = later(looked, each.saturating_mul(count));
                self.in_job(at, job, installed, move |state| {
                    state.install(at, job, started, &missing, reboot, done);
                });
            }
        }
        Some(job)
    }

    /// Ends a patch operation where it stands: what is installed by then is installed.
    pub(crate) fn cancel_job(&mut self, at: MachineIx, job: u64) {
        let machine = self.machine_mut(at);
        if machine.job == Some(job) {
            machine.job = None;
        }
    }

    /// What an install would bring.
    pub(crate) fn missing(&self, at: MachineIx, wanted: &FixedBitSet) -> FixedBitSet {
        let patches = &self.machine(at).patches;
        let mut missing = wanted.clone();
        missing.intersect_with(&patches.relevant);
        missing.difference_with(&patches.installed);
        if patches.told.is_some() {
            let strange: Vec<usize> =
                missing.ones().filter(|it| patches.strange(*it).is_some()).collect();
            for place in strange {
                missing.set(place, false);
            }
        }
        missing
    }

    /// Whether a patch takes effect only after a boot. Every third does, by its place.
    pub(crate) fn needs_boot(place: usize) -> bool {
        place.is_multiple_of(3)
    }

    fn install(
        &mut self,
        at: MachineIx,
        job: u64,
        started: Timestamp,
        missing: &FixedBitSet,
        reboot: Reboot,
        done: Done,
    ) {
        // What is on the machine may have been replaced since it looked.
        let missing = self.missing(at, missing);
        let behavior = self.machine(at).behavior;
        let mut end = JobEnd::new(self, at, started);
        let Some(share) = share(behavior, missing, self.machine(at).patches.rounds, &mut end)
        else {
            return;
        };
        let waited = self.machine(at).reboot_pending();
        self.keep_gathered(at);
        let second = self.now.as_second();
        self.machine_mut(at).patches.put_in(&share, second);
        end.installed = share;
        if behavior == Behavior::DiesInTheMiddle {
            self.lose_agent(at);
            return;
        }
        let machine = self.machine_mut(at);
        machine.patches.tried(&end.installed, &end.failed);
        machine.patches.rounds += 1;
        let pending = machine.patches.pending.count_ones(..) > 0;
        // What waits from before is a reason to boot, too.
        let required = waited || end.installed.ones().any(Self::needs_boot);
        let boots = match reboot {
            Reboot::AfterInstall => pending,
            Reboot::IfRequired => required,
            Reboot::Always => true,
            Reboot::Never => false,
        };
        if !boots {
            end.reboot_needed = pending && reboot == Reboot::Never;
            if reboot == Reboot::IfRequired {
                self.machine_mut(at).patches.take_effect();
            }
            let looked = later(self.now, between(self.draw(at, job ^ 7), 5, 15));
            self.in_job(at, job, looked, move |state| state.end_job(at, end, done));
            return;
        }
        let up = self.boot_again(at);
        // The operation goes on after the boot, which forgets all else.
        self.machine_mut(at).job = Some(job);
        end.rebooted = true;
        if behavior == Behavior::RebootsForever {
            self.boot_once_more(at, up);
            return;
        }
        // The end is told by an agent, once it answers again; who asks is not known here.
        let machine = self.machine(at);
        let aws = machine.aws.as_ref().and_then(|aws| aws.agent.answers_after());
        let azure = machine.azure.as_ref().and_then(|azure| azure.agent.answers_after());
        let wait = aws.max(azure).unwrap_or(Duration::from_secs(30));
        let resumed = later(up, wait + Duration::from_secs(10));
        self.in_job(at, job, resumed, move |state| state.end_job(at, end, done));
    }

    /// Boots anew as soon as it is up, until it is turned off. Once no one waits for the operation any
    /// more it is only known to be silent: an endless row of boots would be nothing but work.
    fn boot_once_more(&mut self, at: MachineIx, up: Timestamp) {
        let change = self.machine(at).power_changes;
        self.at(up, move |state| {
            if state.machine(at).power_changes != change {
                return;
            }
            let Some(job) = state.machine(at).job else { return state.silence(at) };
            let up = state.boot_again(at);
            // A boot forgets the operation, which only who gave it can end.
            state.machine_mut(at).job = Some(job);
            state.boot_once_more(at, up);
        });
    }

    /// No agent answers any more, though they are there.
    fn silence(&mut self, at: MachineIx) {
        let machine = self.machine_mut(at);
        if let Some(aws) = &mut machine.aws {
            aws.answers_from = Timestamp::MAX;
        }
        if let Some(azure) = &mut machine.azure {
            azure.answers_from = Timestamp::MAX;
        }
    }

    /// The agent stops answering, and no boot brings it back.
    pub(crate) fn lose_agent(&mut self, at: MachineIx) {
        let now = self.now;
        let machine = self.machine_mut(at);
        machine.job = None;
        if let Some(aws) = &mut machine.aws {
            aws.last_heard = now;
            aws.agent = Agent::ConnectionLost;
        }
        if let Some(azure) = &mut machine.azure {
            azure.last_heard = now;
            azure.agent = Agent::ConnectionLost;
        }
        self.sync_node(at, Part::Node);
    }

    fn end_job(&mut self, at: MachineIx, end: JobEnd, done: Done) {
        self.machine_mut(at).job = None;
        done(self, at, end);
    }

    /// Enters an act of a patch operation: void once it was cancelled or the machine turned off.
    fn in_job(
        &mut self,
        at: MachineIx,
        job: u64,
        when: Timestamp,
        act: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        self.at(when, move |state| {
            let machine = state.machine(at);
            if machine.job == Some(job) && machine.power == Power::Running {
                act(state);
            }
        });
    }
}

/// What of the missing patches this install brings, by the machine's nature; the rest of what it
/// tried is noted as failed. None where it never ends.
fn share(
    behavior: Behavior,
    missing: FixedBitSet,
    rounds: u32,
    end: &mut JobEnd,
) -> Option<FixedBitSet> {
    let mut share = missing;
    match behavior {
        Behavior::Hangs => return None,
        Behavior::OneFails => {
            if let Some(first) = share.minimum() {
                share.set(first, false);
                end.failed.insert(first);
            }
        }
        Behavior::DiesInTheMiddle => halve(&mut share),
        Behavior::TwoRounds if rounds == 0 && share.count_ones(..) > 1 => {
            let all = share.clone();
            halve(&mut share);
            end.failed = all;
            end.failed.difference_with(&share);
        }
        Behavior::Well | Behavior::RebootsForever | Behavior::TwoRounds => {}
    }
    Some(share)
}

/// Keeps every second one.
fn halve(bits: &mut FixedBitSet) {
    let places: Vec<usize> = bits.ones().collect();
    for place in places.into_iter().skip(1).step_by(2) {
        bits.set(place, false);
    }
}

impl JobEnd {
    fn new(state: &State, at: MachineIx, started: Timestamp) -> Self {
        let none = FixedBitSet::with_capacity(state.machine(at).patches.installed.len());
        Self {
            started,
            installed: none.clone(),
            failed: none,
            rebooted: false,
            reboot_needed: false,
        }
    }
}
