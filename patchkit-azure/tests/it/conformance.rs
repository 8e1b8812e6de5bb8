//! The conformance suite on the simulated Azure, plain and behind the fault wrapper.

mod plain {
    patchkit_testkit::conformance!(crate::harness::AzureHarness::new().await);
}

mod behind_faults {
    patchkit_testkit::conformance!(faulty crate::harness::AzureHarness::new().await);
}
