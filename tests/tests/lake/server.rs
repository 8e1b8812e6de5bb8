//! A real S3 server on loopback, with signature checks, over a temporary folder.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use futures::StreamExt;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{Body, auth::SimpleAuth, service::S3ServiceBuilder};

use crate::tagged::Tagged;
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const BUCKET: &str = "central-inventory";
const ACCESS_KEY: &str = "AKIATESTTESTTEST";
const SECRET: &str = "not-a-secret";

/// What goes wrong with the GETs of one object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// Every GET is denied.
    Denied,
    /// Every GET fails inside the server.
    Broken,
    /// The first GET breaks off half-way.
    CutOnce,
    /// Every GET breaks off after a few bytes.
    CutAlways,
}

type Faults = Arc<Mutex<HashMap<String, Fault>>>;

/// What clients asked for, counted where it leaves the server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Traffic {
    /// Pages of listings.
    pub(crate) lists: u64,
    /// Objects.
    pub(crate) gets: u64,
    /// The bytes of these.
    pub(crate) bytes: u64,
}

pub(crate) struct S3Server {
    address: SocketAddr,
    faults: Faults,
    traffic: Arc<Mutex<Traffic>>,
    accepting: JoinHandle<()>,
    root: tempfile::TempDir,
}

impl S3Server {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let files = FileSystem::new(root.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(Tagged::new(files, root.path()));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Faults::default();
        let traffic = Arc::<Mutex<Traffic>>::default();
        let (shared, counted) = (Arc::clone(&faults), Arc::clone(&traffic));
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, faults) = (service.clone(), Arc::clone(&shared));
                let traffic = Arc::clone(&counted);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let (service, faults) = (service.clone(), Arc::clone(&faults));
                    let traffic = Arc::clone(&traffic);
                    async move {
                        let asked = Asked::of(&request);
                        let fault = fault_of(&faults, &request);
                        if let Some(refusal) = fault.and_then(refusal) {
                            return Ok::<_, Infallible>(refusal);
                        }
                        let answer = hyper::service::Service::call(&service, request).await;
                        let answer = answer.expect("the S3 service answers every request");
                        traffic.lock().unwrap().count(asked, &answer);
                        Ok(if fault.is_some() { cut(answer).await } else { answer })
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), answer);
                // A connection that is cut on purpose ends in an error.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        let server = Self { address, faults, traffic, accepting, root };
        server.client().create_bucket().bucket(BUCKET).send().await.unwrap();
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(SECRET)
    }

    pub(crate) fn client_with(&self, secret: &str) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .credentials_provider(Credentials::new(ACCESS_KEY, secret, None, None, "test"))
            .endpoint_url(self.endpoint())
            .force_path_style(true)
            .region(Region::new("eu-west-1"))
            .build();
        Client::from_conf(config)
    }

    /// The bucket's folder on the server's disk; what is written there is served.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// Puts objects into the bucket, many at once.
    pub(crate) async fn upload(&self, objects: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let client = self.client();
        futures::stream::iter(objects)
            .for_each_concurrent(64, |(key, bytes)| {
                let put = client.put_object().bucket(BUCKET).key(key).body(bytes.into());
                async { drop(put.send().await.unwrap()) }
            })
            .await;
    }

    /// What was asked for since the last time.
    pub(crate) fn traffic(&self) -> Traffic {
        std::mem::take(&mut *self.traffic.lock().unwrap())
    }

    /// Spoils the GETs of one object from now on.
    pub(crate) fn spoil(&self, key: &str, fault: Fault) {
        self.faults.lock().unwrap().insert(key.to_owned(), fault);
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What kind of request it is.
#[derive(Clone, Copy)]
enum Asked {
    Listing,
    Object,
    Other,
}

impl Asked {
    fn of(request: &Request<Incoming>) -> Self {
        let uri = request.uri();
        match uri.path().trim_start_matches('/').split_once('/') {
            _ if request.method() != Method::GET => Self::Other,
            Some((_, key)) if !key.is_empty() => Self::Object,
            _ if uri.query().is_some_and(|query| query.contains("list-type=2")) => Self::Listing,
            _ => Self::Other,
        }
    }
}

impl Traffic {
    fn count(&mut self, asked: Asked, answer: &Response<Body>) {
        match asked {
            Asked::Listing => self.lists += 1,
            Asked::Object => {
                let length = answer.headers().get("content-length");
                let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
                self.gets += 1;
                self.bytes += length.expect("the length of an object is told");
            }
            Asked::Other => {}
        }
    }
}

fn fault_of(faults: &Faults, request: &Request<Incoming>) -> Option<Fault> {
    if request.method() != Method::GET {
        return None;
    }
    let path = request.uri().path().replace("%3A", ":").replace("%3D", "=");
    let key = path.strip_prefix(&format!("/{BUCKET}/"))?;
    let mut faults = faults.lock().unwrap();
    let fault = *faults.get(key)?;
    if fault == Fault::CutOnce {
        faults.remove(key);
    }
    Some(fault)
}

fn refusal(fault: Fault) -> Option<Response<Body>> {
    let (status, code) = match fault {
        Fault::Denied => (StatusCode::FORBIDDEN, "AccessDenied"),
        Fault::Broken => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
        Fault::CutOnce | Fault::CutAlways => return None,
    };
    let body = format!("<Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    let answer = Response::builder().status(status).header("content-type", "application/xml");
    Some(answer.body(body.into()).unwrap())
}

/// The answer with half of its body, under the length of the whole.
async fn cut(answer: Response<Body>) -> Response<Body> {
    let (head, mut body) = answer.into_parts();
    let whole = body.store_all_limited(1 << 24).await.unwrap();
    let half = whole.slice(..whole.len() / 2);
    Response::from_parts(head, Body::http_body(Half { piece: Some(half), waited: false }))
}

/// A body that gives what it has, waits until that is sent, and then fails.
struct Half {
    piece: Option<Bytes>,
    waited: bool,
}

impl hyper::body::Body for Half {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(std::io::Error::other("cut on purpose"))))
    }
}
