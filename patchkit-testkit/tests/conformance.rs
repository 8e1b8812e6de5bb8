//! The memory provider holds what the traits promise, as it is and behind faults, and so does an
//! estate of several.

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

mod estate {
    patchkit_testkit::conformance!(patchkit_testkit::estate::EstateHarness::full());
}

mod read_only_estate {
    patchkit_testkit::conformance!(patchkit_testkit::estate::EstateHarness::read_only());
}

mod estate_behind_faults {
    patchkit_testkit::conformance!(faulty patchkit_testkit::estate::EstateHarness::full());
}

mod estate_with_faults_in_its_scopes {
    patchkit_testkit::conformance!(patchkit_testkit::estate::EstateHarness::full().behind_faults());
}

mod linked {
    patchkit_testkit::conformance!(patchkit_testkit::linked::LinkedHarness::full());
}

mod read_only_linked {
    patchkit_testkit::conformance!(patchkit_testkit::linked::LinkedHarness::read_only());
}

mod linked_behind_faults {
    patchkit_testkit::conformance!(faulty patchkit_testkit::linked::LinkedHarness::full());
}
