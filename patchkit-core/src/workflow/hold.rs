//! What keeps a run from beginning more: operators and the embedder, the journal, the times.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};
use jiff::Timestamp;

use super::{
    Runner, WhileFrozen,
    log::{Lost, RunLog},
    patch::Progressing,
    waves::Stop,
};
use crate::{
    Error, ErrorKind, Standing,
    observe::{RunEventKind, WaitCause},
};

/// How often a paused run asks whether it may go on, at first and at last.
const HOLD: [Duration; 2] = [Duration::from_secs(5), Duration::from_mins(1)];

/// How long a run sleeps at most before it looks after its lease and its orders.
const SLICE: Duration = Duration::from_mins(1);

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

    /// Waits for a paused run to be resumed; says why nothing more may be begun.
    pub(super) async fn held(&self, going: &Progressing<'_>) -> Stop {
        self.hold(going.log).await;
        self.must_stop(going)
    }

    /// As `held`, between nodes: none is under way, so a freeze may be waited out.
    pub(super) async fn may_begin(&self, going: &Progressing<'_>) -> Stop {
        loop {
            let stop = self.held(going).await;
            match self.thaw(going) {
                // Something else may keep it from beginning, which the wait would not end.
                Some(thaw) if self.ends_for_good(going).is_none() => {
                    self.wait(going, WaitCause::Freeze, thaw).await;
                }
                _ => return stop,
            }
        }
    }

    pub(super) fn must_stop(&self, going: &Progressing<'_>) -> Stop {
        let (options, now) = (&going.plan.options, self.clock.now());
        let shut = || {
            let window = options.window.as_ref()?;
            (!window.admits(now))
                .then(|| format!("the maintenance window does not admit work at {now}"))
        };
        let frozen = || options.freezes.as_ref()?.standstill(now);
        self.ends_for_good(going).or_else(shut).or_else(frozen)
    }

    /// Why the run begins nothing more, at whatever time.
    fn ends_for_good(&self, going: &Progressing<'_>) -> Stop {
        if self.is_cancelled(going.log) {
            return Some(Self::why_cancelled(going.log).to_owned());
        }
        match going.log.lost() {
            Lost::No => going.stopped.clone(),
            Lost::Journal => Some("the journal cannot be written".to_owned()),
            Lost::Lease => Some("the run's lease was lost".to_owned()),
        }
    }

    /// When the freeze is over that the run is to wait out; none where work would not begin then.
    fn thaw(&self, going: &Progressing<'_>) -> Option<Timestamp> {
        let (options, now) = (&going.plan.options, self.clock.now());
        let freezes = options.freezes.as_ref().filter(|it| it.during == WhileFrozen::Wait)?;
        let thaw = freezes.thaw(now)?;
        let admits = |at| options.window.as_ref().is_none_or(|window| window.admits(at));
        (admits(now) && admits(thaw)).then_some(thaw)
    }

    /// Says for what, and waits as `sleep_until` does.
    pub(super) async fn wait(&self, going: &Progressing<'_>, cause: WaitCause, until: Timestamp) {
        going.log.tell(RunEventKind::Waiting { cause, until });
        self.sleep_until(going, until).await;
    }

    /// Waits, and keeps the lease; not longer than the run may go on.
    pub(super) async fn sleep_until(&self, going: &Progressing<'_>, at: Timestamp) {
        while let Ok(left) = Duration::try_from(at.duration_since(self.clock.now()))
            && left > Duration::ZERO
            && self.ends_for_good(going).is_none()
        {
            self.clock.sleep(left.min(SLICE)).await;
            // Whether the lease is lost is asked above.
            let _ = going.log.keep().await;
        }
    }

    /// Does work of the embedder's, and keeps the lease; `None` where it takes longer than `limit`.
    pub(super) async fn within<T>(
        &self,
        log: &RunLog,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let (mut work, mut left) = (pin!(work), limit);
        loop {
            let slice = left.min(SLICE);
            match select(work, pin!(self.clock.sleep(slice))).await {
                Either::Left((done, _)) => return Some(done),
                Either::Right(((), going_on)) => work = going_on,
            }
            left -= slice;
            if left.is_zero() {
                return None;
            }
            let _ = log.keep().await;
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
