//! Tells that a run ended, where there is an outbox.

use std::sync::Arc;

use super::{RunReport, Runner, log::RunLog};
use crate::notify::{Notification, Outbox};

impl Runner {
    /// Has `outbox` tell of every patch run that ends here: queued before the run is over in the
    /// journal, delivered after it.
    ///
    /// What could not be delivered is among the run's problems, and waits in the outbox.
    #[must_use]
    pub fn with_outbox(mut self, outbox: Arc<Outbox>) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// Writes down that it is to be told how the run ended.
    pub(super) async fn queue(&self, log: &RunLog, report: &RunReport) {
        let Some(outbox) = &self.outbox else { return };
        if let Err(error) = outbox.queue(&Notification::run_ended(report)).await {
            log.problem(format!("the notification could not be queued: {}", error.report()));
        }
    }

    /// Delivers what waits in the outbox.
    pub(super) async fn post(&self, log: &RunLog) {
        let Some(outbox) = &self.outbox else { return };
        match outbox.flush().await {
            Ok(posted) => {
                for failed in posted.deliveries.iter().filter(|it| it.error.is_some()) {
                    let error = failed.error.as_deref().unwrap_or_default();
                    log.problem(format!("not delivered to {}: {error}", failed.to));
                }
                for problem in posted.problems {
                    log.problem(problem);
                }
            }
            Err(error) => log.problem(format!("the outbox cannot be read: {}", error.report())),
        }
    }
}
