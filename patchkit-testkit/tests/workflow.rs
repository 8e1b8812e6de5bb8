//! The workflows hold their guarantees on the memory provider, whatever goes wrong where.

mod memory;

use patchkit_core::{Capabilities, VirtualClock, memory::MemoryJournal};
use patchkit_testkit::workflow::World;

fn world(capabilities: Capabilities) -> World {
    let clock = VirtualClock::automatic(memory::beginning());
    let journal = MemoryJournal::new(clock.clone());
    World::new(memory::MemoryHarness::with(capabilities, clock), journal)
}

mod full {
    use patchkit_core::Capabilities;

    patchkit_testkit::workflows!(crate::world(Capabilities::full()));
}

mod read_only {
    use patchkit_core::Capabilities;

    patchkit_testkit::workflows!(crate::world(Capabilities::read_only()));
}
