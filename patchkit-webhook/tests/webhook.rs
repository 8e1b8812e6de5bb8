//! Webhooks against a receiver on this machine.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::sync::{Arc, Mutex};

use patchkit_core::{
    Clock, ErrorKind, Secret, VirtualClock,
    notify::{Notification, Notifier},
};
use patchkit_webhook::{Received, SigningKey, Webhook};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let value = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap()
    }

    fn received(&self) -> Received<'_> {
        Received {
            id: self.header("webhook-id"),
            timestamp: self.header("webhook-timestamp"),
            signature: self.header("webhook-signature"),
        }
    }
}

/// Answers each request with the next of `answers`; the last one stays.
async fn receiver(answers: &[&'static str]) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks/s3cr3t", listener.local_addr().unwrap());
    let (answers, requests) = (answers.to_vec(), Arc::<Mutex<Vec<Request>>>::default());
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let (at, length) = loop {
                let mut chunk = [0; 4_096];
                let read = stream.read(&mut chunk).await.unwrap();
                assert!(read > 0, "the request broke off");
                bytes.extend_from_slice(&chunk[..read]);
                let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
                let head = String::from_utf8_lossy(&bytes[..at]).to_lowercase();
                let length = head.lines().find_map(|it| it.strip_prefix("content-length: "));
                let length: usize = length.unwrap().parse().unwrap();
                if bytes.len() >= at + 4 + length {
                    break (at, length);
                }
            };
            let request = Request {
                head: String::from_utf8(bytes[..at].to_vec()).unwrap(),
                body: bytes[at + 4..at + 4 + length].to_vec(),
            };
            let answer = {
                let mut seen = seen.lock().unwrap();
                seen.push(request);
                answers[(seen.len() - 1).min(answers.len() - 1)]
            };
            let answer =
                format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, requests)
}

fn clock() -> VirtualClock {
    VirtualClock::automatic("2026-11-24T02:00:00Z".parse().unwrap())
}

fn notification() -> Notification {
    serde_json::from_value(serde_json::json!({
        "id": "0123456789abcdef",
        "kind": "run_ended",
        "at": "2026-11-24T02:00:00Z",
        "run": "weekly",
        "subject": "Patch run weekly ended well",
        "text": "Patch run weekly ended well",
        "body": { "counts": [["patched", 3]] },
    }))
    .unwrap()
}

fn webhook(url: &str, clock: &VirtualClock) -> Webhook {
    Webhook::new(url, &Secret::new(SECRET), clock.clone()).unwrap()
}

#[tokio::test]
async fn a_request_is_signed_so_that_its_receiver_can_check_it() {
    let (url, requests) = receiver(&["204 No Content"]).await;
    let clock = clock();
    let webhook = webhook(&url, &clock).with_old_secret(&Secret::new(OLD_SECRET)).unwrap();
    webhook.deliver(&notification()).await.unwrap();
    let requests = requests.lock().unwrap();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert!(request.head.starts_with("POST /hooks/s3cr3t HTTP/1.1"), "{}", request.head);
    assert_eq!(request.header("webhook-id"), notification().id);
    assert_eq!(request.header("content-type"), "application/json");
    for secret in [SECRET, OLD_SECRET] {
        let key = SigningKey::new(&Secret::new(secret)).unwrap();
        key.verify(&request.received(), &request.body, clock.now()).unwrap();
    }
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["type"], "run_ended");
    assert_eq!(
        serde_json::from_value::<Notification>(body["data"].clone()).unwrap(),
        notification()
    );
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_tried_again_under_the_same_id_and_signed_anew() {
    let busy = "503 Service Unavailable\r\nretry-after: 30";
    let (url, requests) = receiver(&[busy, "429 Too Many Requests", "200 OK"]).await;
    let clock = clock();
    let began = clock.now();
    webhook(&url, &clock).deliver(&notification()).await.unwrap();
    let requests = requests.lock().unwrap();
    let times: Vec<i64> = requests
        .iter()
        .map(|request| request.header("webhook-timestamp").parse::<i64>().unwrap())
        .map(|at| at - began.as_second())
        .collect();
    assert_eq!(times, [0, 30, 34], "30 as it asked for, then a pause of our own");
    let key = SigningKey::new(&Secret::new(SECRET)).unwrap();
    for request in requests.iter() {
        assert_eq!(request.header("webhook-id"), notification().id);
        key.verify(&request.received(), &request.body, clock.now()).unwrap();
    }
}

#[tokio::test]
async fn a_receiver_that_stays_broken_is_left_after_four_tries() {
    let (url, requests) = receiver(&["500 Internal Server Error"]).await;
    let error = webhook(&url, &clock()).deliver(&notification()).await.unwrap_err();
    assert!(error.is_retryable() && error.report().contains("500"), "{}", error.report());
    assert_eq!(requests.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_refusal_and_a_redirect_end_the_delivery_at_once() {
    let elsewhere = "307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/elsewhere";
    for (answer, kind) in [
        ("401 Unauthorized", ErrorKind::Unauthenticated),
        ("410 Gone", ErrorKind::NotFound),
        ("422 Unprocessable", ErrorKind::InvalidInput),
        (elsewhere, ErrorKind::Unexpected),
    ] {
        let (url, requests) = receiver(&[answer]).await;
        let error = webhook(&url, &clock()).deliver(&notification()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (kind, false), "{answer}");
        assert_eq!(requests.lock().unwrap().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn neither_secret_nor_url_is_shown() {
    // Nobody listens there.
    let url = "http://127.0.0.1:1/hooks/s3cr3t";
    let webhook = webhook(url, &clock());
    let error = webhook.deliver(&notification()).await.unwrap_err();
    for text in [error.report(), format!("{error:?}"), format!("{webhook:?}")] {
        assert!(!text.contains("s3cr3t") && !text.contains("MfKQ"), "{text}");
    }
}

#[test]
fn only_https_or_this_machine_is_a_receiver() {
    let secret = Secret::new(SECRET);
    let new = |url: &str| Webhook::new(url, &secret, clock());
    for good in [
        "https://hooks.example.com/x",
        "http://localhost:8080",
        "http://[::1]/",
        "http://127.0.0.2/",
    ] {
        assert!(new(good).is_ok(), "{good}");
    }
    for bad in [
        "http://hooks.example.com/x",
        "http://localhost.example.com/",
        "http://10.0.0.1/",
        "https://kim:pw@hooks.example.com/",
        "ftp://127.0.0.1/",
        "hooks.example.com",
        "",
    ] {
        assert_eq!(new(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
    }
}
