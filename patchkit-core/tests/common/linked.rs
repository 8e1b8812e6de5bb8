//! Two clouds that share machines: one patches them, the other one powers them.

use std::sync::Arc;

use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, Estate, LinkedFleet, MachineUuid, NodeId, PatchBaseline,
    PowerState, RESOURCE_ID_TAG, VM_ID_TAG, VirtualClock,
    memory::{MemoryCloud, MemoryJournal, MemoryNode},
    workflow::Runner,
};

use super::{OS, azure, id, node};

pub(crate) const UUID: &str = "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a";
/// The same as firmware shows it.
pub(crate) const SWAPPED: &str = "601f3e5c-2b9a-474d-8f10-2b6f0c9d1e7a";
pub(crate) const ANEW: &str = "11111111-2222-4333-8444-555555555555";

pub(crate) fn uuid(text: &str) -> MachineUuid {
    text.parse().unwrap()
}

pub(crate) fn vm() -> NodeId {
    azure("vm-7")
}

pub(crate) fn mi() -> NodeId {
    id("mi-7")
}

/// One machine of both clouds, `vm-7` here and `mi-7` there, and one of each cloud alone.
pub(crate) struct Linked {
    pub(crate) clock: VirtualClock,
    pub(crate) ssm: MemoryCloud,
    pub(crate) azure: MemoryCloud,
    pub(crate) fleet: LinkedFleet,
    pub(crate) journal: MemoryJournal,
}

/// What the tags of the patched node say.
#[derive(Clone, Copy)]
pub(crate) enum Tagged {
    VmId,
    ResourceId,
    Nothing,
}

pub(crate) fn machine(power: PowerState, vm_id: &str) -> MemoryNode {
    node(vm()).with_power(power).with_vm_id(uuid(vm_id)).with_tag("Place", "azure")
}

pub(crate) fn linked(power: PowerState, tagged: Tagged) -> Linked {
    let clock = VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap());
    let [ssm, azure] = [(); 2].map(|()| MemoryCloud::builder().clock(clock.clone()).build());
    let draft = PatchBaseline::new("everything", OS)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
    for cloud in [&ssm, &azure] {
        futures::executor::block_on(async {
            let id = cloud.create_baseline(&draft).await.unwrap();
            cloud.set_default_baseline(&id).await.unwrap();
        });
    }
    azure.insert(machine(power, UUID));
    azure.insert(node(super::azure("vm-8")).with_vm_id(uuid(ANEW)));
    ssm.insert(node(id("i-1")));
    let agent = node(mi()).on_machine(&azure, vm()).with_tag("PatchStart", "yes");
    ssm.insert(match tagged {
        Tagged::VmId => agent.with_tag(VM_ID_TAG, SWAPPED),
        Tagged::ResourceId => agent.with_tag(RESOURCE_ID_TAG, vm().resource().to_uppercase()),
        Tagged::Nothing => agent,
    });
    let journal = MemoryJournal::new(clock.clone());
    let fleet = fleet(&ssm, &azure);
    Linked { clock, ssm, azure, fleet, journal }
}

pub(crate) fn fleet(ssm: &MemoryCloud, azure: &MemoryCloud) -> LinkedFleet {
    LinkedFleet::new(
        Estate::new().with([mi().scope().clone()], Arc::new(ssm.clone())),
        Estate::new().with([vm().scope().clone()], Arc::new(azure.clone())),
    )
}

impl Linked {
    /// A runner as another process would have it.
    pub(crate) fn runner(&self) -> Runner {
        let fleet = fleet(&self.ssm, &self.azure);
        Runner::new(fleet.clone(), fleet, self.journal.clone(), self.clock.clone())
    }

    /// A runner that knows one of the clouds alone.
    pub(crate) fn alone(&self, cloud: &MemoryCloud) -> Runner {
        Runner::new(cloud.clone(), cloud.clone(), self.journal.clone(), self.clock.clone())
    }

    /// The machine is deleted, and another one is created in its name.
    pub(crate) fn create_anew(&self, power: PowerState) {
        self.azure.insert(machine(power, ANEW));
    }
}

pub(crate) fn calls(cloud: &MemoryCloud, operation: &str) -> usize {
    cloud.calls().iter().filter(|call| call.operation == operation).count()
}

/// Drives `work` until `enough` holds, then drops it.
pub(crate) async fn until<T>(
    work: impl Future<Output = T>,
    enough: impl Fn() -> bool,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(move |cx| {
        if enough() {
            return std::task::Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}
