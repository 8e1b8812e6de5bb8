//! The workflow suite: runs that fail at each step, are dropped at each await, or meet another run.
//!
//! A run is first made without faults, and its calls are counted, those to the provider and those
//! to the journal. Then it is made again in a fresh [`World`] for each of these calls, with one
//! thing going wrong there. Whatever happens, the same rules are held against it:
//!
//! - Each node's power is what it was, or the report names the node under `undo_failed`.
//! - [`Runner::recover`] by a healthy worker, after the lease's term, puts back every node that is
//!   not as it was, submits nothing, and is as good twice as once.
//! - No act was submitted twice for one token, and no node was given two installs by one run.
//! - `Patched` is said only of nodes that were scanned after their install and are compliant.
//! - A node with an install is not called skipped.
//! - A node that is not put back stays claimed; after the recovery every node can be claimed again.
//! - A run that is resumed gives no node a second install, whoever gave the first.
//!
//! [`scopes`] does the same within one scope of an estate, and has one rule more: the nodes of the
//! other scopes end as if nothing had happened.
//!
//! [`Runner::recover`]: patchkit_core::workflow::Runner::recover

#![expect(clippy::missing_panics_doc, reason = "a case panics when a workflow breaks a rule")]

pub mod changes;
pub mod claims;
pub mod orders;
pub mod patch;
pub mod recovery;
pub mod resume;
mod rules;
pub mod scan;
mod scene;
pub mod scopes;

use std::{fmt, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use patchkit_core::{ErrorKind, Journal};

use crate::{
    Harness,
    fault::{Call, Failure, Fault},
};

/// A fresh provider and a fresh journal.
#[derive(Clone)]
pub struct World {
    harness: Arc<dyn Harness>,
    journal: Arc<dyn Journal>,
}

impl World {
    /// A world of its own; both must be empty.
    pub fn new(harness: impl Harness, journal: impl Journal) -> Self {
        Self { harness: Arc::new(harness), journal: Arc::new(journal) }
    }

    /// The provider.
    pub fn harness(&self) -> &dyn Harness {
        &*self.harness
    }

    /// The journal.
    pub fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    fn journal_handle(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("harness", &self.harness).finish_non_exhaustive()
    }
}

/// What can go wrong with a call of a clean run, each alone.
fn faults_of(call: &Call) -> Vec<Fault> {
    let unexpected = Failure::new(ErrorKind::Unexpected);
    if is_journal(call) {
        return vec![Fault::Refuse(unexpected), Fault::LoseAnswer(unexpected)];
    }
    let mut faults = vec![
        Fault::Refuse(Failure::throttled()),
        Fault::Refuse(Failure::denied()),
        // The caller cannot tell these two apart.
        Fault::Refuse(Failure::timeout()),
        Fault::LoseAnswer(Failure::timeout()),
    ];
    if call.nodes.len() > 1 {
        faults.push(Fault::FailNode(0, Failure::denied()));
        faults.push(Fault::FailNode(call.nodes.len() - 1, Failure::timeout()));
    }
    faults
}

fn is_journal(call: &Call) -> bool {
    matches!(
        call.operation,
        "begin"
            | "take_over"
            | "renew"
            | "release"
            | "append"
            | "events"
            | "runs"
            | "head"
            | "order"
            | "orders"
            | "claim"
            | "unclaim"
    )
}

/// Drives `work` for so many polls, then drops it. Returns its output where it was over by then.
async fn polled<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Drives `work` until `enough` holds, then drops it. Returns its output where it was over by then.
async fn interrupted<T>(enough: impl Fn() -> bool, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(move |cx| {
        if enough() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Calls a macro with what it is handed and the list of all cases of the workflow suite.
#[doc(hidden)]
#[macro_export]
macro_rules! __workflow_cases {
    ([$($then:tt)*] $($handed:tt)*) => {
        $($then)*! {
            { $($handed)* }
            patch {
                a_clean_run_patches_every_node
                an_error_while_planning_changes_nothing
                an_error_at_each_step
                each_step_twice
                every_step_twice
                an_outage_from_each_step_on
                a_lease_lost_at_each_step
                dropped_at_each_await
                cancelled_at_each_step
            }
            recovery {
                an_error_at_each_step_of_a_recovery
                an_outage_from_each_step_of_a_recovery_on
                dropped_at_each_await_of_a_recovery
                a_finished_run_is_left_alone
                an_unsupported_start_leaves_nothing_to_undo
            }
            resume {
                resumed_after_each_await
                an_error_at_each_step_of_a_resumption
                an_outage_from_each_step_of_a_resumption_on
                dropped_at_each_await_of_a_resumption
                a_scan_is_not_resumed
                an_abandoned_run_gives_its_nodes_back
            }
            orders {
                paused_at_each_step
                cancelled_at_each_step
                halted_at_each_step
            }
            claims {
                two_runs_never_work_on_one_node
                the_nodes_of_a_dead_run_are_left_alone
            }
            scan {
                an_error_at_each_step
                dropped_at_each_await
            }
            changes {
                access_with_an_error_at_each_step
                access_dropped_at_each_await
                tags_with_an_error_at_each_step
                tags_dropped_at_each_await
            }
        }
    };
}

#[cfg(test)]
mod tests {
    macro_rules! listed {
        ({} $($module:ident { $($case:ident)* })*) => {
            [$((
                stringify!($module),
                include_str!(concat!("workflow/", stringify!($module), ".rs")),
                &[$(stringify!($case)),*][..],
            )),*]
        };
    }

    #[test]
    fn every_case_is_in_the_list() {
        for (module, source, cases) in crate::__workflow_cases!([listed]) {
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .filter_map(|line| line.split('(').next())
                .collect();
            assert_eq!(written, cases, "{module}");
        }
    }
}
