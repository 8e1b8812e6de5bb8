//! The memory journal keeps the promises that durable ones are held to.

use patchkit_testkit::journal::MemoryJournalHarness;

mod memory {
    patchkit_testkit::journal_conformance!(crate::MemoryJournalHarness::new());
}
