//! What operators and the embedder ask of a run while it goes on: to wait, or to end.

use std::time::Duration;

use super::{
    Runner,
    log::{Lost, RunLog},
};
use crate::{Error, ErrorKind, Standing, observe::RunEventKind};

/// How often a paused run asks whether it may go on, at first and at last.
const HOLD: [Duration; 2] = [Duration::from_secs(5), Duration::from_mins(1)];

impl Runner {
    /// Reads the orders, and waits for as long as the run is paused. The lease is kept meanwhile.
    pub(super) async fn hold(&self, log: &RunLog) {
        let [mut pause, longest] = HOLD;
        let mut told = false;
        loop {
            // Whether the lease is lost is asked below.
            let _ = log.keep().await;
            let is_paused = log.standing() == Standing::Paused && !self.cancel.is_cancelled();
            if !is_paused || log.lost() != Lost::No {
                if told {
                    log.tell(RunEventKind::RunUnpaused);
                }
                return;
            }
            if !std::mem::replace(&mut told, true) {
                log.tell(RunEventKind::RunPaused);
            }
            self.clock.sleep(pause).await;
            pause = (pause * 3 / 2).min(longest);
        }
    }

    /// Whether the run is to end early, as its token or an order says.
    pub(super) fn is_cancelled(&self, log: &RunLog) -> bool {
        self.cancel.is_cancelled() || log.standing() >= Standing::Cancelled
    }

    /// Why a run that is cancelled is.
    pub(super) fn why_cancelled(log: &RunLog) -> &'static str {
        match log.standing() {
            Standing::Halted => "the kill switch is on",
            _ => "the run was cancelled",
        }
    }

    pub(super) fn cancelled(log: &RunLog, operation: &'static str) -> Error {
        Error::new(ErrorKind::Cancelled, "core", operation, Self::why_cancelled(log))
    }
}
