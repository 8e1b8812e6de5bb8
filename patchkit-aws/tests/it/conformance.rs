//! The conformance suite on the simulated AWS, plain and behind the fault wrapper.

mod plain {
    patchkit_testkit::conformance!(crate::harness::AwsHarness::new().await);
}

mod behind_faults {
    patchkit_testkit::conformance!(faulty crate::harness::AwsHarness::new().await);
}
