//! The workflows hold their guarantees on the memory provider, whatever goes wrong where.

use std::sync::Arc;

use patchkit_core::{Capabilities, memory::MemoryJournal};
use patchkit_testkit::{
    estate::EstateHarness,
    fault::{FaultPlan, Faults},
    linked::LinkedHarness,
    memory::MemoryHarness,
    workflow::{World, scopes, scopes::ScopedWorld},
};

fn world(capabilities: Capabilities) -> World {
    let clock = MemoryHarness::virtual_clock();
    let journal = MemoryJournal::new(clock.clone());
    World::new(MemoryHarness::new(capabilities, clock), journal)
}

fn estate() -> World {
    let clock = MemoryHarness::virtual_clock();
    let journal = MemoryJournal::new(clock.clone());
    World::new(EstateHarness::new(Capabilities::full(), clock).spread(), journal)
}

/// Every machine is a node of two clouds, one of which patches it and the other one powers it.
fn linked() -> World {
    let clock = MemoryHarness::virtual_clock();
    let journal = MemoryJournal::new(clock.clone());
    World::new(LinkedHarness::new(Capabilities::full(), clock), journal)
}

mod full {
    use patchkit_core::Capabilities;

    patchkit_testkit::workflows!(crate::world(Capabilities::full()));
}

mod read_only {
    use patchkit_core::Capabilities;

    patchkit_testkit::workflows!(crate::world(Capabilities::read_only()));
}

mod estate {
    patchkit_testkit::workflows!(crate::estate());
}

mod linked {
    patchkit_testkit::workflows!(crate::linked());
}

/// One scope of an estate goes wrong: the one at each place in turn.
mod one_scope {
    use patchkit_testkit::workflow::scopes;

    use super::{
        Arc, Capabilities, EstateHarness, FaultPlan, Faults, MemoryHarness, MemoryJournal,
    };
    use super::{ScopedWorld, World};

    fn world(place: usize, plan: FaultPlan) -> ScopedWorld {
        let clock = MemoryHarness::virtual_clock();
        let faults = Faults::new(Arc::new(clock.clone()), plan);
        let journal = MemoryJournal::new(clock.clone());
        let harness = EstateHarness::new(Capabilities::full(), clock)
            .spread()
            .behind_faults_at(place, faults.clone());
        let scope = harness.scopes().nth(place).expect("three scopes").clone();
        ScopedWorld::new(World::new(harness, journal), scope, faults)
    }

    #[tokio::test]
    async fn an_error_at_each_step() {
        for place in 0..3 {
            scopes::an_error_at_each_step_in_one_scope(&async |plan| world(place, plan)).await;
        }
    }

    #[tokio::test]
    async fn an_outage_from_each_step_on() {
        for place in 0..3 {
            scopes::an_outage_in_one_scope_from_each_step_on(&async |plan| world(place, plan))
                .await;
        }
    }
}

/// The cloud that hosts the machines goes wrong; the one that patches them does not.
#[tokio::test]
async fn an_error_at_each_step_of_a_host() {
    let world = async |plan| {
        let clock = MemoryHarness::virtual_clock();
        let faults = Faults::new(Arc::new(clock.clone()), plan);
        let journal = MemoryJournal::new(clock.clone());
        let harness = LinkedHarness::new(Capabilities::full(), clock);
        let scope = harness.hosts().scope().clone();
        let harness = harness.behind_host_faults(faults.clone());
        ScopedWorld::new(World::new(harness, journal), scope, faults)
    };
    scopes::an_error_at_each_step_of_a_host(&world).await;
}
