//! Memory of large bodies, used again for the next ones.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::cloud::shared::lock;

/// How many are kept: about as many as are written at once.
const MOST: usize = 8;

/// Bytes that one has at most, and at least: others are not worth it.
const MOST_BYTES: usize = 4 << 20;
const LEAST_BYTES: usize = 64 << 10;

/// Buffers whose bodies have been sent.
///
/// New memory of a few megabytes is the kernel's to clear, and far from every processor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// An empty buffer, with the room of the body that was sent last.
    pub(crate) fn take(&self) -> Vec<u8> {
        lock(&self.0).pop().unwrap_or_default()
    }

    /// A body whose buffer comes back once it is sent.
    pub(crate) fn lend(&self, body: Vec<u8>) -> Bytes {
        if (LEAST_BYTES..=MOST_BYTES).contains(&body.capacity()) {
            Bytes::from_owner(Lent { body, buffers: self.clone() })
        } else {
            body.into()
        }
    }
}

struct Lent {
    body: Vec<u8>,
    buffers: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut kept = lock(&self.buffers.0);
        if kept.len() < MOST {
            let mut body = std::mem::take(&mut self.body);
            body.clear();
            kept.push(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_of_a_large_body_comes_back_empty_once_it_is_sent() {
        let buffers = Buffers::default();
        let bodies = [LEAST_BYTES - 1, LEAST_BYTES, MOST_BYTES, MOST_BYTES + 1].map(|size| {
            let mut body = Vec::with_capacity(size);
            body.extend_from_slice(b"text");
            buffers.lend(body)
        });
        assert_eq!(buffers.take().capacity(), 0, "all of them are on their way");
        for body in bodies {
            assert_eq!(body, "text");
        }
        let back = [buffers.take(), buffers.take(), buffers.take()];
        let rooms = back.each_ref().map(Vec::capacity);
        assert_eq!(rooms, [MOST_BYTES, LEAST_BYTES, 0]);
        assert!(back.iter().all(Vec::is_empty));
    }

    #[test]
    fn no_more_are_kept_than_are_written_at_once() {
        let buffers = Buffers::default();
        let lent: Vec<Bytes> =
            (0..=MOST).map(|_| buffers.lend(Vec::with_capacity(LEAST_BYTES))).collect();
        drop(lent);
        assert_eq!(lock(&buffers.0).len(), MOST);
    }
}
