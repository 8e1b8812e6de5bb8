//! Listening: one port for each endpoint, one task for each connection.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinHandle};

/// The longest body that is read: the largest request of any service is a megabyte.
const LONGEST_BODY: usize = 16 << 20;

/// What answers requests.
pub(crate) trait Answer: Send + Sync + 'static {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes>;
}

/// A listening endpoint; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Listening {
    pub(crate) async fn start(at: SocketAddr, answer: Arc<impl Answer>) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
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

async fn accept(listener: TcpListener, answer: Arc<impl Answer>) {
    // The set ends with this task, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        // Small answers must not wait for more to send.
        let _ = socket.set_nodelay(true);
        let answer = Arc::clone(&answer);
        let service = service_fn(move |request| respond(Arc::clone(&answer), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn respond(
    answer: Arc<impl Answer>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let response = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => answer.answer(&Request::from_parts(head, body.to_bytes())),
        Err(_) => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
            response
        }
    };
    Ok(response.map(Full::new))
}
