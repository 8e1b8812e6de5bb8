//! The schedules of Update Manager by which Azure patches a machine itself.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use futures::{
    StreamExt,
    lock::Mutex,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{Error, ManagedNode, Result};

use crate::{Assignments, UpdateManager};

/// How long what was read of schedules is believed: a workflow lists nodes again and again.
const KEPT: Duration = Duration::from_mins(5);

/// What was read last, and when.
#[derive(Clone, Default)]
pub(crate) struct Schedules(Arc<Mutex<LastRead>>);

type LastRead = Option<(Timestamp, Arc<Assignments>)>;

impl fmt::Debug for Schedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedules").finish_non_exhaustive()
    }
}

impl UpdateManager {
    /// Adds to the nodes of a listing by which schedules Azure patches them. They are asked for when
    /// there is a node, and once.
    pub(crate) fn with_schedules<T: Send + 'static>(
        &self,
        rows: BoxStream<'static, Result<T>>,
        node: fn(&mut T) -> &mut ManagedNode,
    ) -> BoxStream<'static, Result<T>> {
        let state = (rows, self.clone(), None);
        stream::unfold(state, move |(mut rows, manager, mut known)| async move {
            let mut row = rows.next().await?;
            if let Ok(row) = &mut row {
                let known = match &mut known {
                    Some(known) => known,
                    none => none.insert(manager.known_assignments().await),
                };
                schedule(node(row), known);
            }
            Some((row, (rows, manager, known)))
        })
        .boxed()
    }

    async fn known_assignments(&self) -> Result<Arc<Assignments>> {
        let mut kept = self.schedules.0.lock().await;
        let now = self.client.now();
        let fresh = |read: Timestamp| now.duration_since(read).unsigned_abs() < KEPT;
        if let Some((_, known)) = kept.as_ref().filter(|(read, _)| fresh(*read)) {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(self.assignments().await?);
        // What could not be read now may be in a moment.
        *kept = known.problems().is_empty().then(|| (now, Arc::clone(&known)));
        Ok(known)
    }
}

/// A machine of whose schedules nothing is known may be patched by any: plans refuse it as they do one
/// that has some.
fn schedule(node: &mut ManagedNode, assignments: &Result<Arc<Assignments>>) {
    let unknown = |error: &Error| BTreeSet::from([format!("unknown: {}", error.message())]);
    node.schedules = match assignments {
        Ok(known) => known.live(node).unwrap_or_else(|error| unknown(&error)),
        Err(error) => unknown(error),
    };
}
