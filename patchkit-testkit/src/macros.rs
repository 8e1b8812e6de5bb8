//! The macros that turn suites into tests.

/// Runs the whole conformance suite against a harness, each case as a test of its own.
///
/// The expression is evaluated for every case, inside an async function. The tests are
/// `#[tokio::test]`s in modules named after what they are about (`fleet::lists_every_node_once`),
/// so filters and failure names work; the crate needs `tokio` with `macros` and `rt` among its
/// dev-dependencies. Put each invocation in a module of its own.
///
/// With `faulty` before it the harness's provider is reached through faults that a patient caller
/// bears: see [`FaultyHarness`](crate::fault::FaultyHarness).
///
/// ```
/// use patchkit_testkit::memory::MemoryHarness;
///
/// mod plain {
///     patchkit_testkit::conformance!(crate::MemoryHarness::full());
/// }
///
/// mod behind_faults {
///     patchkit_testkit::conformance!(faulty crate::MemoryHarness::full());
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! conformance {
    (faulty $harness:expr $(,)?) => {
        $crate::conformance!($crate::fault::FaultyHarness::bearable($harness));
    };
    ($harness:expr $(,)?) => {
        $crate::__conformance_cases!([$crate::__conformance_tests] $harness);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ({ $harness:expr } $($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            // The harness's expression speaks of what the caller has in scope.
            #[allow(unused_imports, clippy::wildcard_imports)]
            use super::*;

            $(
                #[::tokio::test]
                async fn $case() {
                    let harness = $harness;
                    $crate::cases::$module::$case(&harness).await;
                }
            )*
        }
    )*};
}

/// Runs the whole workflow suite, each case as a test of its own.
///
/// The expression makes a fresh [`World`](crate::workflow::World), and is evaluated again and
/// again. It may `await`. The tests are in modules as those of
/// [`conformance!`](crate::conformance): `patch::dropped_at_each_await`.
///
/// ```
/// use patchkit_core::memory::MemoryJournal;
/// use patchkit_testkit::{memory::MemoryHarness, workflow::World};
///
/// fn world() -> World {
///     let clock = MemoryHarness::virtual_clock();
///     // Here a journal of your own, on the same clock.
///     let journal = MemoryJournal::new(clock.clone());
///     World::new(MemoryHarness::new(patchkit_core::Capabilities::full(), clock), journal)
/// }
///
/// mod workflows {
///     patchkit_testkit::workflows!(crate::world());
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! workflows {
    ($world:expr $(,)?) => {
        $crate::__workflow_cases!([$crate::__workflow_tests] $world);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __workflow_tests {
    ({ $world:expr } $($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            // The world's expression speaks of what the caller has in scope.
            #[allow(unused_imports, clippy::wildcard_imports)]
            use super::*;

            $(
                #[::tokio::test]
                async fn $case() {
                    $crate::workflow::$module::$case(&async || $world).await;
                }
            )*
        }
    )*};
}

/// Runs the whole journal suite, each case as a test of its own.
///
/// The expression makes a fresh [`JournalHarness`](crate::journal::JournalHarness) for every case.
/// The tests are in modules as those of [`conformance!`](crate::conformance):
/// `leases::an_old_holder_is_refused`.
///
/// ```
/// use patchkit_testkit::journal::MemoryJournalHarness;
///
/// mod journal {
///     patchkit_testkit::journal_conformance!(crate::MemoryJournalHarness::new());
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! journal_conformance {
    ($harness:expr $(,)?) => {
        $crate::__journal_cases!([$crate::__journal_tests] $harness);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __journal_tests {
    ({ $harness:expr } $($module:ident { $($case:ident)* })*) => {$(
        mod $module {
            // The harness's expression speaks of what the caller has in scope.
            #[allow(unused_imports, clippy::wildcard_imports)]
            use super::*;

            $(
                #[::tokio::test]
                async fn $case() {
                    let harness = $harness;
                    $crate::journal::$module::$case(&harness).await;
                }
            )*
        }
    )*};
}
