//! Starts nodes no faster than the plan allows.

use super::{
    NodeOutcome, Runner,
    patch::{Progressing, failed, skipped},
    power::Started,
};
use crate::{NodeId, PowerState, clock::later, observe::WaitCause};

impl Runner {
    /// Starts nodes, so many in an interval as the plan says. Returns those that may be running because
    /// of it, and how the others ended.
    pub(super) async fn start_slowly(
        &self,
        going: &mut Progressing<'_>,
        off: &[(NodeId, PowerState)],
    ) -> (Started, Vec<(NodeId, NodeOutcome)>) {
        let (mut started, mut ended) = (Started::new(), Vec::new());
        let mut left = off;
        while !left.is_empty() {
            let free = self.may_start(going).await.min(left.len());
            if let Some(reason) = self.must_stop(going) {
                ended.extend(left.iter().map(|(node, _)| (node.clone(), skipped(&reason))));
                break;
            }
            let (now, later) = left.split_at(free);
            left = later;
            if going.plan.options.rollout.ramp.is_some() {
                going.starts.extend(now.iter().map(|_| self.clock.now()));
            }
            let (on, refused) = self.start(going.log, now).await;
            started.extend(on);
            ended.extend(refused.into_iter().map(|(node, reason)| (node, failed(reason))));
        }
        (started, ended)
    }

    /// Waits until something may be started; says how many.
    async fn may_start(&self, going: &mut Progressing<'_>) -> usize {
        let Some(ramp) = going.plan.options.rollout.ramp else { return usize::MAX };
        // A plan may have been edited: a ramp of none would wait for ever.
        let most = usize::try_from(ramp.starts).unwrap_or(usize::MAX).max(1);
        loop {
            let now = self.clock.now();
            while going.starts.front().is_some_and(|at| later(*at, ramp.every) <= now) {
                going.starts.pop_front();
            }
            let free = most.saturating_sub(going.starts.len());
            let oldest = going.starts.front().copied();
            match oldest {
                Some(oldest) if free == 0 && self.must_stop(going).is_none() => {
                    self.wait(going, WaitCause::Ramp, later(oldest, ramp.every)).await;
                }
                _ => return free,
            }
        }
    }
}
