//! Bounds the calls under way, however many acts are followed.

use futures::{
    StreamExt,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    lock::Mutex,
};

/// So many places, each for one call.
///
/// A place is held for one call, and never while another is waited for or time passes.
pub(super) struct Gate {
    back: UnboundedSender<()>,
    free: Mutex<UnboundedReceiver<()>>,
}

impl Gate {
    pub(super) fn new(places: usize) -> Self {
        let (back, free) = unbounded();
        let gate = Self { back, free: Mutex::new(free) };
        (0..places).for_each(|_| gate.give_back());
        gate
    }

    /// Waits for a place; it is free again when what is returned is dropped.
    pub(super) async fn place(&self) -> Place<'_> {
        // The other end of the channel is in `self`, so the channel is never closed.
        let _ = self.free.lock().await.next().await;
        Place(self)
    }

    /// Makes `call` as soon as there is a place for it.
    pub(super) async fn pass<T>(&self, call: impl Future<Output = T>) -> T {
        let _place = self.place().await;
        call.await
    }

    fn give_back(&self) {
        // Never closed, as above, and without bound.
        let _ = self.back.unbounded_send(());
    }
}

/// A place at a gate.
pub(super) struct Place<'a>(&'a Gate);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{executor::block_on, future::join_all};
    use jiff::Timestamp;

    use super::*;
    use crate::{Clock, VirtualClock};

    #[test]
    fn no_more_calls_than_places_are_under_way() {
        let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
        let gate = Gate::new(3);
        block_on(join_all((0..10).map(|_| gate.pass(clock.sleep(Duration::from_secs(1))))));
        assert_eq!(clock.now().as_second(), 4);
    }

    #[test]
    fn a_place_that_was_waited_for_in_vain_is_not_lost() {
        let gate = Gate::new(1);
        block_on(async {
            let held = gate.place().await;
            {
                let mut waiting = Box::pin(gate.place());
                assert!(futures::poll!(&mut waiting).is_pending());
            }
            drop(held);
            let _place = gate.place().await;
        });
    }
}
