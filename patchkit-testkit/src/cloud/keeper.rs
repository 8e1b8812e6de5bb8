//! What goes on in a world while no one asks.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::shared::Shared;

/// How often it looks whether anything is due.
const REST: Duration = Duration::from_millis(250);
/// So many nodes are written before others are served.
const PIECE: usize = 8;

/// Lets things happen that are due, and writes what is to be written: neither waits for a request.
/// It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let shared = Arc::clone(shared);
        let keep = move || {
            let mut rest = Duration::ZERO;
            // Nothing is ever sent: the channel ends with the keeper.
            while stopped.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                let more = shared.settled().write_some(PIECE);
                // Others have as much time as the writing takes.
                rest = if more { begun.elapsed() } else { REST };
            }
        };
        let thread = thread::Builder::new().name("world".to_owned()).spawn(keep)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been printed; there is nothing else to do about it here.
            let _ = thread.join();
        }
    }
}
