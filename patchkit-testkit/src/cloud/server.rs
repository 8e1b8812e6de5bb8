//! Listening: one port for each endpoint, one task for each connection.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::Sleep,
};

use super::fault::{Delivery, Reply};

/// The longest body that is kept: the largest request of any service is a megabyte.
const LONGEST_BODY: usize = 16 << 20;
/// How much of a longer one is read all the same. Who is still sending when the connection is closed
/// gets no answer: it is gone with the connection.
const MOST_DRAINED: usize = 1 << 30;

/// What answers requests.
pub(crate) trait Answer: Send + Sync + 'static {
    fn answer(&self, request: &Request<Bytes>) -> Reply;

    /// Refuses a request, here without its body, for that is too long.
    fn too_long(&self, request: &Request<Bytes>) -> Reply;
}

/// A listening endpoint; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Listening {
    pub(crate) fn on(listener: TcpListener, answer: Arc<impl Answer>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, answer));
        Ok(Self { address, accepting })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Listens for the endpoint of this number: on a port that follows the first one, or on a free one
/// where the first is 0.
pub(crate) async fn bind(first: SocketAddr, number: u16) -> io::Result<TcpListener> {
    let mut at = first;
    if first.port() != 0 {
        let port = first.port().checked_add(number);
        let missing = || io::Error::other(format!("cannot listen on four ports from {first} on"));
        at.set_port(port.ok_or_else(missing)?);
    }
    let bound = TcpListener::bind(at).await;
    bound.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {at}: {error}")))
}

async fn accept(listener: TcpListener, answer: Arc<impl Answer>) {
    // The set ends with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of file descriptors, mostly: others will be closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        // Small answers must not wait for more to send; without it they are only slower.
        drop(socket.set_nodelay(true));
        let answer = Arc::clone(&answer);
        let service = service_fn(move |request| respond(Arc::clone(&answer), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service);
        // A connection that is cut on purpose ends in an error.
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn respond(
    answer: Arc<impl Answer>,
    request: Request<Incoming>,
) -> Result<Response<Paced>, io::Error> {
    let (head, body) = request.into_parts();
    let Reply { response, delivery } = match read(body).await? {
        Some(body) => answer.answer(&Request::from_parts(head, body)),
        None => answer.too_long(&Request::from_parts(head, Bytes::new())),
    };
    match delivery {
        Delivery::Whole => Ok(response.map(Paced::whole)),
        Delivery::Cut => Err(io::Error::other("cut on purpose")),
        Delivery::Truncated => {
            let (mut head, body) = response.into_parts();
            head.headers.insert(header::CONTENT_LENGTH, body.len().into());
            Ok(Response::from_parts(head, Paced::half(&body)))
        }
        Delivery::Slow(time) => Ok(response.map(|body| Paced::slow(&body, time))),
    }
}

/// A body to its end; none where it is too long.
async fn read(mut body: Incoming) -> io::Result<Option<Bytes>> {
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        length += data.len();
        if length <= LONGEST_BODY {
            kept.extend_from_slice(&data);
        } else if length > MOST_DRAINED {
            break;
        }
    }
    Ok((length <= LONGEST_BODY).then(|| kept.freeze()))
}

/// A body that comes in pieces, with a wait before each but the first.
struct Paced {
    pieces: std::vec::IntoIter<Bytes>,
    wait: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    /// It fails after its last piece.
    breaks: bool,
    /// Known beforehand where it comes in one piece.
    length: Option<u64>,
}

impl Paced {
    fn whole(body: Bytes) -> Self {
        let length = Some(body.len() as u64);
        let pieces = if body.is_empty() { Vec::new() } else { vec![body] };
        Self {
            pieces: pieces.into_iter(),
            wait: Duration::ZERO,
            waiting: None,
            breaks: false,
            length,
        }
    }

    fn half(body: &Bytes) -> Self {
        let half = body.slice(..body.len() / 2);
        Self {
            pieces: vec![half].into_iter(),
            // What was written must be sent before the end comes.
            wait: Duration::from_millis(20),
            waiting: None,
            breaks: true,
            length: None,
        }
    }

    fn slow(body: &Bytes, time: Duration) -> Self {
        let pieces: Vec<Bytes> =
            body.chunks(body.len().div_ceil(10).max(1)).map(Bytes::copy_from_slice).collect();
        let wait = time / u32::try_from(pieces.len().max(1)).unwrap_or(1);
        let waiting = Some(Box::pin(tokio::time::sleep(wait)));
        Self { pieces: pieces.into_iter(), wait, waiting, breaks: false, length: None }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(waiting) = &mut self.waiting {
            if waiting.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.waiting = None;
        }
        match self.pieces.next() {
            Some(piece) => {
                if !self.wait.is_zero() {
                    self.waiting = Some(Box::pin(tokio::time::sleep(self.wait)));
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.breaks => Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
