//! Health and metrics over HTTP.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::state::State;

/// What is told to whoever asks.
pub(crate) struct Served {
    pub(crate) state: Arc<State>,
    pub(crate) metrics: PrometheusHandle,
}

/// Answers until the process ends. A caller that misbehaves costs its own connection.
pub(crate) async fn serve(listener: TcpListener, served: Arc<Served>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most of the time: others will be closed.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let answer = served.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            let _ = connection.await;
        });
    }
}

impl Served {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/metrics" => {
                self.metrics.run_upkeep();
                text(StatusCode::OK, self.metrics.render())
            }
            "/healthz" => self.health(|health| health.journal.is_none()),
            "/readyz" => self.health(|health| health.journal.is_none() && !health.draining),
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz, /metrics\n"),
        }
    }

    fn health(&self, good: impl FnOnce(&super::state::Health) -> bool) -> Response<Full<Bytes>> {
        let health = self.state.health();
        let status = if good(&health) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut answer = text(status, serde_json::to_string(&health).unwrap_or_default());
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        answer
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}
