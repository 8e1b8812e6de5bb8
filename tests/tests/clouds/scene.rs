//! One fleet over both clouds, and who patches it.

use patchkit_core::{LinkedFleet, memory::MemoryJournal, workflow::Runner};
use patchkit_testkit::cloud::World;

use crate::estate;

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) fleet: LinkedFleet,
    pub(crate) runner: Runner,
}

impl Scene {
    /// Three accounts in two Regions, and two subscriptions, with about so many machines.
    pub(crate) async fn of(machines: usize) -> Self {
        let world = estate::world(machines).start().await.unwrap();
        let clock = world.clock();
        let fleet = estate::fleet(world.endpoints(), clock.clone()).await;
        let journal = MemoryJournal::new(clock.clone());
        let runner = Runner::new(fleet.clone(), fleet.clone(), journal, clock);
        Self { world, fleet, runner }
    }
}
