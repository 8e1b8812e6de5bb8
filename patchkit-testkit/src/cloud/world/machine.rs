//! One machine: its power, its agent, what is installed on it, and where it is known.

use std::{sync::Arc, time::Duration};

use fixedbitset::FixedBitSet;
use jiff::Timestamp;
use patchkit_core::{ComplianceLevel, PatchState};
use serde::{Deserialize, Serialize};

use super::{catalogue::SystemIx, gathering::Gathered, judge::PatchScan};

/// The place of a machine in the world.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct MachineIx(pub(crate) u32);

/// The place of an account's Region in the world.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ScopeIx(pub(crate) u16);

/// The place of a subscription in the world.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct SubIx(pub(crate) u16);

pub(crate) type Tags = Vec<(Arc<str>, Arc<str>)>;

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Its host name.
    pub(crate) name: Box<str>,
    pub(crate) system: SystemIx,
    pub(crate) power: Power,
    /// Grows with each change of power: what was planned before it is void.
    pub(crate) power_changes: u32,
    /// When it last booted.
    pub(crate) booted: Timestamp,
    /// When it had last booted as the world began.
    pub(crate) first_booted: Timestamp,
    pub(crate) created: Timestamp,
    pub(crate) address: [u8; 4],
    pub(crate) behavior: Behavior,
    pub(crate) patches: NodePatches,
    /// The patch operation that is under way on it, if any.
    pub(crate) job: Option<u64>,
    pub(crate) aws: Option<AwsSide>,
    pub(crate) azure: Option<AzureSide>,
}

impl Machine {
    /// Whether what it installed waits for a reboot.
    pub(crate) fn reboot_pending(&self) -> bool {
        self.patches.pending.count_ones(..) > 0
    }

    /// Its private address, as text.
    pub(crate) fn address(&self) -> String {
        std::net::Ipv4Addr::from(self.address).to_string()
    }

    /// The name and the first domain label as Windows cuts it: 15 characters (NetBIOS).
    pub(crate) fn short_name(&self) -> &str {
        let name = &self.name[..];
        name.char_indices().nth(15).map_or(name, |(end, _)| &name[..end])
    }
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Power {
    /// It is coming up.
    Starting,
    /// It runs, or boots anew.
    Running,
    /// It is going down.
    Stopping,
    /// It is off.
    Stopped,
    /// It is going down, and gives its hardware back.
    Deallocating,
    /// It is off, and has no hardware.
    Deallocated,
    /// It is gone for ever.
    Terminated,
}

impl Power {
    /// Whether it is off, and stays so.
    pub(crate) fn is_off(self) -> bool {
        matches!(self, Self::Stopped | Self::Deallocated | Self::Terminated)
    }
}

/// What a machine does when it is patched.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Behavior {
    /// It installs what it is told to.
    Well,
    /// One patch never installs; the others do.
    OneFails,
    /// After an install it boots again and again, and never comes back.
    RebootsForever,
    /// An install never ends.
    Hangs,
    /// It dies in the middle of an install: half is installed, and it is gone.
    DiesInTheMiddle,
    /// The first install brings half, the second the rest.
    TwoRounds,
}

/// What is on a machine, by the place of a patch in its system's catalogue.
#[derive(Clone, Debug)]
pub(crate) struct NodePatches {
    /// The patch's package or feature is there: others are of no concern to this machine.
    pub(crate) relevant: FixedBitSet,
    pub(crate) installed: FixedBitSet,
    /// Installed, and in effect after a reboot.
    pub(crate) pending: FixedBitSet,
    /// The last attempt to install it failed.
    pub(crate) failed: FixedBitSet,
    /// What was installed in this world's time, with the second.
    pub(crate) installed_at: Vec<(u16, i64)>,
    /// How many installs have run to their end.
    pub(crate) rounds: u32,
    /// The state of each patch as operations are to report it, whatever the baseline says.
    pub(crate) told: Option<Box<[Told]>>,
}

/// A patch's state that someone named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    pub(crate) state: PatchState,
    pub(crate) level: ComplianceLevel,
}

impl NodePatches {
    /// Patches whose states someone named.
    pub(crate) fn told(told: Vec<Told>) -> Self {
        let those = |is: &dyn Fn(&PatchState) -> bool| {
            let mut bits = FixedBitSet::with_capacity(told.len());
            let such = told.iter().enumerate().filter(|(_, it)| is(&it.state));
            bits.extend(such.map(|(place, _)| place));
            bits
        };
        Self {
            relevant: those(&|it| *it != PatchState::NotApplicable),
            installed: those(&is_there),
            pending: those(&|it| *it == PatchState::InstalledPendingReboot),
            failed: those(&|it| *it == PatchState::Failed),
            installed_at: Vec::new(),
            rounds: 0,
            told: Some(told.into()),
        }
    }

    /// What was installed takes effect.
    pub(crate) fn take_effect(&mut self) {
        let waiting: Vec<usize> = self.pending.ones().collect();
        for place in waiting {
            self.take_effect_of(place);
        }
    }

    /// One of those that were installed takes effect.
    pub(crate) fn take_effect_of(&mut self, place: usize) {
        // A bit beyond those that there are is of patches that were replaced in the meantime.
        if place < self.pending.len() {
            self.pending.set(place, false);
        }
        let told = self.told.as_deref_mut().and_then(|it| it.get_mut(place));
        if let Some(told) = told.filter(|it| it.state == PatchState::InstalledPendingReboot) {
            told.state = PatchState::Installed;
        }
    }

    /// Installs some; they take effect after a boot.
    pub(crate) fn put_in(&mut self, share: &FixedBitSet, second: i64) {
        self.installed.union_with(share);
        self.pending.union_with(share);
        let places = share.ones().filter_map(|place| u16::try_from(place).ok());
        self.installed_at.extend(places.map(|place| (place, second)));
        self.tell_all(share, &PatchState::InstalledPendingReboot);
    }

    /// Notes what came of an attempt to install.
    pub(crate) fn tried(&mut self, installed: &FixedBitSet, failed: &FixedBitSet) {
        self.failed.difference_with(installed);
        self.failed.union_with(failed);
        self.tell_all(failed, &PatchState::Failed);
    }

    /// Of patches whose states someone named, those that an install brings.
    pub(crate) fn told_missing(&self) -> Option<FixedBitSet> {
        let told = self.told.as_deref()?;
        let mut bits = FixedBitSet::with_capacity(told.len());
        let missing = told.iter().enumerate().filter(|(_, it)| is_missing(&it.state));
        bits.extend(missing.map(|(place, _)| place));
        Some(bits)
    }

    /// A patch's state that no model knows, as it was spelled.
    pub(crate) fn strange(&self, place: usize) -> Option<&str> {
        match &self.told.as_deref()?.get(place)?.state {
            PatchState::Other(text) => Some(text),
            _ => None,
        }
    }

    fn tell_all(&mut self, places: &FixedBitSet, state: &PatchState) {
        let Some(told) = &mut self.told else { return };
        for place in places.ones() {
            if let Some(told) = told.get_mut(place) {
                told.state = state.clone();
            }
        }
    }
}

fn is_there(state: &PatchState) -> bool {
    matches!(
        state,
        PatchState::Installed
            | PatchState::InstalledOther
            | PatchState::InstalledPendingReboot
            | PatchState::InstalledRejected
    )
}

fn is_missing(state: &PatchState) -> bool {
    matches!(
        state,
        PatchState::Missing | PatchState::Failed | PatchState::Available | PatchState::Pending
    )
}

/// The agent of a cloud on a machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Agent {
    /// It answers.
    Online,
    /// It answers, in a version that is out of date.
    OldVersion,
    /// It has stopped answering.
    ConnectionLost,
    /// It is not installed.
    Absent,
    /// It answers, but only some ten minutes after a boot.
    LateAfterBoot,
}

impl Agent {
    /// How long after a boot it answers; none where it never does.
    pub(crate) fn answers_after(self) -> Option<Duration> {
        match self {
            Self::Online | Self::OldVersion => Some(Duration::from_secs(45)),
            Self::LateAfterBoot => Some(Duration::from_mins(10)),
            Self::ConnectionLost | Self::Absent => None,
        }
    }
}

/// A machine as an account's Region knows it.
#[derive(Clone, Debug)]
pub(crate) struct AwsSide {
    pub(crate) scope: ScopeIx,
    /// `i-…` or `mi-…`.
    pub(crate) id: Box<str>,
    pub(crate) tags: Tags,
    pub(crate) agent: Agent,
    pub(crate) agent_version: Arc<str>,
    /// When the agent can first answer after the last boot or registration.
    pub(crate) answers_from: Timestamp,
    /// When the service first heard of it; none while it is not managed.
    pub(crate) registered: Option<Timestamp>,
    /// Its role does not let it speak to the service, which has known it.
    pub(crate) shut_out: bool,
    /// When the agent was last heard of, while it no longer answers.
    pub(crate) last_heard: Timestamp,
    pub(crate) side: AwsKind,
    /// What the last patch operation reported.
    pub(crate) scan: Option<Arc<PatchScan>>,
    /// What gathering software last saw, where that is no longer what is there.
    pub(crate) gathered: Option<Box<Gathered>>,
}

#[derive(Clone, Debug)]
pub(crate) enum AwsKind {
    Ec2(Ec2),
    Hybrid(Hybrid),
}

impl AwsKind {
    /// As Systems Manager names the kind.
    pub(crate) fn resource_type(&self) -> &'static str {
        match self {
            Self::Ec2(_) => "EC2Instance",
            Self::Hybrid(_) => "ManagedInstance",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Ec2 {
    /// The association of an instance profile.
    pub(crate) profile: Option<ProfileAssociation>,
    pub(crate) kind: &'static str,
    pub(crate) zone: char,
    /// When it was last started; a reboot is no start.
    pub(crate) launched: Timestamp,
    /// When it was terminated.
    pub(crate) terminated: Option<Timestamp>,
    /// The reason of the last change of power, as EC2 words it.
    pub(crate) reason: Box<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct ProfileAssociation {
    /// `iip-assoc-…`
    pub(crate) id: Box<str>,
    /// The name of the instance profile.
    pub(crate) profile: Arc<str>,
    pub(crate) since: Timestamp,
}

#[derive(Clone, Debug)]
pub(crate) struct Hybrid {
    pub(crate) activation: Arc<str>,
    /// The name that the activation gives to all of its machines.
    pub(crate) given_name: Arc<str>,
    /// The name of the role.
    pub(crate) role: Arc<str>,
}

/// A machine as Azure knows it.
#[derive(Clone, Debug)]
pub(crate) struct AzureSide {
    pub(crate) subscription: SubIx,
    /// The place of its resource group in the subscription.
    pub(crate) group: u16,
    /// The name of the resource.
    pub(crate) name: Box<str>,
    pub(crate) kind: AzureKind,
    /// The id that Azure gave it; of an Arc machine the one in its SMBIOS.
    pub(crate) vm_id: Box<str>,
    pub(crate) tags: Tags,
    pub(crate) patching: GuestPatching,
    /// The guest agent, or Arc's.
    pub(crate) agent: Agent,
    /// When it can first answer after the last boot.
    pub(crate) answers_from: Timestamp,
    /// When a disconnected one was last heard of.
    pub(crate) last_heard: Timestamp,
    /// The activity of the platform's patch operation that is under way.
    pub(crate) busy: Option<Box<str>>,
    /// What the platform last found missing.
    pub(crate) assessment: Option<Arc<Assessment>>,
    /// An assessment since then that found nothing: it goes on, or it failed.
    pub(crate) attempt: Option<Attempt>,
    /// The installs of the last thirty days, newest last.
    pub(crate) installations: Vec<Installation>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AzureKind {
    Vm,
    /// A machine of a flexible scale set: a VM like any other.
    Flexible {
        set: Arc<str>,
    },
    /// An instance of a uniform scale set: not a VM, and not patchable by the platform.
    Uniform {
        set: Arc<str>,
        instance: u32,
    },
    Arc,
}

impl AzureKind {
    /// Where machines of the kind are among those of a resource group: virtual machines are first, and
    /// last what is no resource of its own.
    pub(crate) fn turn(&self) -> usize {
        match self {
            Self::Vm | Self::Flexible { .. } => 0,
            Self::Arc => 1,
            Self::Uniform { .. } => 2,
        }
    }
}

/// Who patches a VM, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GuestPatching {
    pub(crate) patch_mode: Arc<str>,
    pub(crate) assessment_mode: Arc<str>,
    /// `bypassPlatformSafetyChecksOnUserSchedule`
    pub(crate) bypass: Option<bool>,
    /// `rebootSetting` of the platform's own patching.
    pub(crate) reboot: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Assessment {
    pub(crate) activity: Box<str>,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) started_by: &'static str,
    pub(crate) reboot_pending: bool,
    /// What was relevant and not installed.
    pub(crate) available: FixedBitSet,
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) activity: Box<str>,
    pub(crate) started: Timestamp,
    /// When it failed, and of what.
    pub(crate) failed: Option<(Timestamp, Failure)>,
}

/// What went wrong, as the platform tells it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: Box<str>,
    pub(crate) message: Box<str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Installation {
    pub(crate) activity: Box<str>,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    /// `InProgress`, `Succeeded`, `Failed`, `CompletedWithWarnings`
    pub(crate) status: &'static str,
    pub(crate) reboot_status: &'static str,
    pub(crate) window_exceeded: bool,
    /// What ended it before its time.
    pub(crate) failure: Option<Failure>,
    /// `User`, `Platform`
    pub(crate) started_by: &'static str,
    pub(crate) maintenance_run: Box<str>,
    pub(crate) installed: FixedBitSet,
    pub(crate) failed: FixedBitSet,
    pub(crate) pending: FixedBitSet,
    pub(crate) excluded: FixedBitSet,
    pub(crate) not_selected: FixedBitSet,
}
