//! Bodies in the encoding `aws-chunked`, read without a look at their signatures.
//!
//! S3 API reference, "Signature calculations for the Authorization header: transferring payload in
//! multiple chunks". s3s reads it too, but only together with a signature that it checks.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};

/// The longest line that begins a chunk: a size, and a signature of 64 digits.
const LONGEST_LINE: usize = 1024;

/// The most that may follow the last chunk.
const LONGEST_TRAILER: usize = 16 << 10;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The payload of a body; `length` is how much of it was announced.
pub(super) fn decode<E: Into<Fault>>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    length: Option<u64>,
) -> impl Stream<Item = Result<Bytes, Fault>> + Send {
    let chunks = Chunks { body, buffer: BytesMut::new(), left: None, length, taken: 0 };
    stream::try_unfold(chunks, async |mut chunks| {
        let piece = chunks.next().await?;
        Ok(piece.map(|piece| (piece, chunks)))
    })
}

struct Chunks<S> {
    body: S,
    buffer: BytesMut,
    /// What is still to come of the chunk that is read; `None` before the first one.
    left: Option<u64>,
    length: Option<u64>,
    taken: u64,
}

impl<S, E> Chunks<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Fault>,
{
    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.left == Some(0) && !self.line().await?.is_empty() {
            return Err("a chunk is longer than it says".into());
        }
        let left = match self.left {
            Some(left @ 1..) => left,
            Some(0) | None => self.size().await?,
        };
        if left == 0 {
            self.end().await?;
            return Ok(None);
        }
        if self.buffer.is_empty() && !self.fill().await? {
            return Err("the body ends within a chunk".into());
        }
        let held = self.buffer.len();
        let count = usize::try_from(left).map_or(held, |left| left.min(held));
        let piece = self.buffer.split_to(count).freeze();
        self.left = Some(left - count as u64);
        self.taken += count as u64;
        Ok(Some(piece))
    }

    /// The size in the line that begins a chunk.
    async fn size(&mut self) -> Result<u64, Fault> {
        let line = self.line().await?;
        let size = line.as_ref().split(|byte| *byte == b';').next().unwrap_or_default();
        let text = std::str::from_utf8(size)?.trim();
        if !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("a chunk has no size".into());
        }
        Ok(u64::from_str_radix(text, 16)?)
    }

    /// Reads what follows the last chunk, trailing checksums among it.
    async fn end(&mut self) -> Result<(), Fault> {
        let mut trailer = self.buffer.len();
        while trailer <= LONGEST_TRAILER && self.fill().await? {
            trailer = self.buffer.len();
        }
        if trailer > LONGEST_TRAILER {
            return Err("the trailer is too long".into());
        }
        match self.length {
            Some(length) if length != self.taken => {
                Err("the payload is not as long as x-amz-decoded-content-length says".into())
            }
            _ => Ok(()),
        }
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<BytesMut, Fault> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(end + 1);
                line.truncate(end);
                if line.ends_with(b"\r") {
                    line.truncate(end - 1);
                }
                return Ok(line);
            }
            if self.buffer.len() > LONGEST_LINE {
                return Err("a chunk begins with too long a line".into());
            }
            if !self.fill().await? {
                return Err("the body ends before its last chunk".into());
            }
        }
    }

    /// Takes more of the body; whether there was more.
    async fn fill(&mut self) -> Result<bool, Fault> {
        match self.body.next().await {
            None => Ok(false),
            Some(piece) => {
                self.buffer.extend_from_slice(&piece.map_err(Into::into)?);
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::TryStreamExt;

    use super::*;

    /// Decodes a body that arrives in pieces of this size.
    async fn decoded(body: &[u8], piece: usize, length: Option<u64>) -> Result<Vec<u8>, Fault> {
        let pieces: Vec<io::Result<Bytes>> =
            body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let payload: Vec<Bytes> = decode(stream::iter(pieces), length).try_collect().await?;
        Ok(payload.concat())
    }

    #[tokio::test]
    async fn signed_and_unsigned_chunks_are_read_however_they_arrive() {
        let signature = "0".repeat(64);
        let signed = format!(
            "5;chunk-signature={signature}\r\nhello\r\nA;chunk-signature={signature}\r\n, 0123\r\n89\r\n\
             0;chunk-signature={signature}\r\n\r\n"
        );
        let unsigned = "5\r\nhello\r\na\r\n, 0123\r\n89\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for body in [signed.as_str(), unsigned] {
            for piece in [1, 2, 7, 1000] {
                let payload = decoded(body.as_bytes(), piece, Some(15)).await.unwrap();
                assert_eq!(payload, b"hello, 0123\r\n89");
            }
        }
        assert_eq!(decoded(b"0\r\n\r\n", 1, Some(0)).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn damage_is_an_error() {
        for body in [
            "",
            "5",
            "5\r\nhel",
            "5\r\nhello",
            "5\r\nhello!\r\n0\r\n",
            "5\r\nhello\r\n",
            "x\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n0\r\n",
            "\r\n",
            "ffffffffffffffffff\r\n",
            "4\r\nhell\r\n0\r\n",
        ] {
            assert!(decoded(body.as_bytes(), 3, Some(5)).await.is_err(), "{body:?}");
        }
        assert!(decoded("5".repeat(5000).as_bytes(), 10, None).await.is_err());
        let long = format!("0\r\n{}", "x".repeat(LONGEST_TRAILER + 1));
        assert!(decoded(long.as_bytes(), 10, None).await.is_err());
    }
}
