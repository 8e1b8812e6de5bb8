//! The memory provider holds what the traits promise, as it is and behind faults.

mod memory;

mod full {
    patchkit_testkit::conformance!(crate::memory::MemoryHarness::full());
}

mod read_only {
    patchkit_testkit::conformance!(crate::memory::MemoryHarness::read_only());
}

mod full_behind_faults {
    patchkit_testkit::conformance!(faulty crate::memory::MemoryHarness::full());
}

mod read_only_behind_faults {
    patchkit_testkit::conformance!(faulty crate::memory::MemoryHarness::read_only());
}
