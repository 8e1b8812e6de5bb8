//! The memory provider holds what the traits promise, as it is and behind faults.

mod full {
    patchkit_testkit::conformance!(patchkit_testkit::memory::MemoryHarness::full());
}

mod read_only {
    patchkit_testkit::conformance!(patchkit_testkit::memory::MemoryHarness::read_only());
}

mod full_behind_faults {
    patchkit_testkit::conformance!(faulty patchkit_testkit::memory::MemoryHarness::full());
}

mod read_only_behind_faults {
    patchkit_testkit::conformance!(faulty patchkit_testkit::memory::MemoryHarness::read_only());
}
