//! What is told of the daemon's health.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use patchkit_core::RunId;
use serde::Serialize;

/// Where the daemon stands.
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<Health>);

/// Where the daemon stands, as `/healthz` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Health {
    pub(crate) draining: bool,
    /// Why the journal cannot be read; nothing where it can.
    pub(crate) journal: Option<String>,
    pub(crate) jobs: BTreeMap<&'static str, JobHealth>,
}

/// Where a job stands.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct JobHealth {
    pub(crate) next: Option<Timestamp>,
    pub(crate) running: Option<RunId>,
    pub(crate) last: Option<LastRun>,
}

/// How a job's last run ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastRun {
    pub(crate) run: RunId,
    pub(crate) ended_at: Timestamp,
    pub(crate) end: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl State {
    pub(crate) fn health(&self) -> Health {
        self.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.lock());
    }

    pub(crate) fn of_job(&self, name: &'static str, change: impl FnOnce(&mut JobHealth)) {
        change(self.lock().jobs.entry(name).or_default());
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
