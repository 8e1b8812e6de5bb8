//! The workflows hold their guarantees on the memory provider, whatever goes wrong where.

use patchkit_core::{Capabilities, memory::MemoryJournal};
use patchkit_testkit::{estate::EstateHarness, memory::MemoryHarness, workflow::World};

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
