//! What happens in runs, as it happens: events for programs, `tracing` spans, metrics.
//!
//! Events are plain data. An [`Observer`] takes each on the spot; an [`EventStream`] keeps them for
//! whoever reads at a pace of their own; [`EventStream::write_json`] makes lines of them.
//!
//! # Spans
//! All are of target `patchkit` and level `INFO`. The names and fields are part of the interface.
//!
//! | span | fields | from, to |
//! |---|---|---|
//! | `run` | `run`, `workflow` | the run's lease, its end |
//! | `wave` | `run`, `wave`, `nodes` | a wave's first node, its last one's end |
//! | `node` | `run`, `node`, `outcome` | a node's first step, the end of its part |
//! | `operation` | `run`, `operation`, `action`, `nodes` | before the submission, the act's end |
//!
//! Every [`RunEvent`] is a `tracing` event as well, within its node's span where it has one. Text of
//! providers and nodes has its control characters escaped there.
//!
//! # Metrics
//! With the feature `metrics`, through the facade of that name. Nothing is labelled by run or node:
//! their number has no bound.
//!
//! | name | kind | labels |
//! |---|---|---|
//! | `patchkit_runs_started_total`, `patchkit_runs_finished_total` | counter | `workflow` |
//! | `patchkit_run_seconds` | histogram | `workflow` |
//! | `patchkit_waves_started_total` | counter | |
//! | `patchkit_node_steps_total` | counter | `step` |
//! | `patchkit_nodes_finished_total` | counter | `outcome` |
//! | `patchkit_operations_started_total` | counter | `action` |
//! | `patchkit_operation_seconds` | histogram | `action` |
//! | `patchkit_operation_nodes_total` | counter | `action`, `end`: `succeeded`, `failed`, `unknown` |
//! | `patchkit_problems_total` | counter | |
//! | `patchkit_notifications_total` | counter | `notifier`, `end`: `delivered`, `failed` |

mod event;
#[cfg(feature = "metrics")]
mod metric;
mod stream;
mod tell;

pub(crate) use self::tell::{Teller, Written};
pub use self::{
    event::{RunEvent, RunEventKind, WaitCause},
    stream::{EventFeed, EventStream, Streamed},
};

/// Takes the events of runs as they happen, on the run's own time: return quickly.
///
/// What takes longer reads an [`EventStream`].
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn observe(&self, event: &RunEvent);
}

impl<F: Fn(&RunEvent) + Send + Sync + 'static> Observer for F {
    fn observe(&self, event: &RunEvent) {
        self(event);
    }
}
