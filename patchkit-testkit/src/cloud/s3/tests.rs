use std::{
    collections::BTreeSet,
    fs,
    sync::Mutex,
    time::{Duration, Instant},
};

use http::{StatusCode, request::Parts};
use jiff::Timestamp;
use patchkit_core::SystemClock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::cloud::keys::KeyEntry;

mod buckets;
mod uploads;

const BUCKET: &str = "example-bucket";

#[derive(Debug)]
struct NoKeys;

impl Keys for NoKeys {
    fn secret(&self, _: &str) -> Option<KeyEntry> {
        None
    }
}

fn options() -> S3Options {
    S3Options::new(Arc::new(NoKeys), Arc::new(SystemClock))
}

async fn start(options: S3Options) -> S3Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = S3Server::start(listener, options).unwrap();
    server.ensure_bucket(BUCKET).unwrap();
    server
}

/// The answer to a request as it came, up to the end of the connection.
async fn raw(server: &S3Server, method: &str, target: &str, body: &str) -> String {
    with_headers(server, method, target, "", body).await
}

/// The same, with more headers, each with its line's end.
async fn with_headers(
    server: &S3Server,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> String {
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}",
        server.address()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A cut connection may end in a reset.
    drop(socket.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

async fn get(server: &S3Server, key: &str) -> String {
    raw(server, "GET", &format!("/{BUCKET}/{key}"), "").await
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or("none")
}

/// The text of the first element of a name.
fn element(answer: &str, name: &str) -> Option<String> {
    let (_, rest) = answer.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.to_owned())
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn what_the_simulator_writes_is_served_with_its_own_tag() {
    let server = start(options()).await;
    // md5 of "first" and "second".
    let (first, second) = ("8b04d5e3775d298e78455efc5ca404d5", "a9f0e61a137d86aa9db53465e0801612");
    assert_eq!(status(&raw(&server, "PUT", "/example-bucket/a/b", "first").await), "200");
    assert!(get(&server, "a/b").await.contains(first));
    server.writer().put(BUCKET, "a/b", b"second").unwrap();
    let answer = get(&server, "a/b").await;
    assert!(answer.contains(second), "{answer}");
    assert_eq!(body(&answer), "second");
    assert!(raw(&server, "HEAD", "/example-bucket/a/b", "").await.contains("content-length: 6"));
    let long = format!("{}/{}", "x".repeat(200), "y".repeat(255));
    server.writer().put(BUCKET, &long, b"long").unwrap();
    assert_eq!(body(&get(&server, &long).await), "long");
    let listed = raw(&server, "GET", "/example-bucket?list-type=2", "").await;
    assert_eq!(listed.matches("<Key>").count(), 2, "{listed}");
}

#[tokio::test]
async fn the_writer_refuses_what_is_no_file_of_the_bucket() {
    let server = start(options()).await;
    let writer = server.writer();
    for (bucket, key, kind) in [
        (BUCKET, "../out", ErrorKind::InvalidInput),
        (BUCKET, "a/../../out", ErrorKind::InvalidInput),
        (BUCKET, "/etc/out", ErrorKind::InvalidInput),
        (BUCKET, "a//out", ErrorKind::InvalidInput),
        (BUCKET, "a/./out", ErrorKind::InvalidInput),
        (BUCKET, "a\0out", ErrorKind::InvalidInput),
        (BUCKET, "folder/", ErrorKind::InvalidInput),
        (BUCKET, "", ErrorKind::InvalidInput),
        ("..", "out", ErrorKind::InvalidInput),
        ("../example-bucket", "out", ErrorKind::InvalidInput),
        ("no-such-bucket", "out", ErrorKind::NotFound),
    ] {
        let error = writer.put(bucket, key, b"x").unwrap_err();
        assert_eq!(error.kind(), kind, "{bucket} {key:?}: {error}");
    }
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(server.root()), [BUCKET.to_owned()].into());
    assert_eq!(names(&server.root().join(BUCKET)), BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_never_sees_half_an_object() {
    let server = start(options()).await;
    let writer = server.writer();
    let contents = ["a".repeat(100_000), "b".repeat(300_000)];
    writer.put(BUCKET, "it", contents[0].as_bytes()).unwrap();
    let writing = std::thread::spawn({
        let contents = contents.clone();
        move || {
            for content in contents.iter().cycle().take(200) {
                writer.put(BUCKET, "it", content.as_bytes()).unwrap();
            }
        }
    });
    while !writing.is_finished() {
        assert!(contents.contains(&body_of(&server.root().join(BUCKET).join("it"))));
        let answer = get(&server, "it").await;
        assert!(contents.contains(&body(&answer).to_owned()));
    }
    writing.join().unwrap();
}

fn body_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn no_target_leads_out_of_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let server = start(options().with_root(folder.path().join("root"))).await;
    server.ensure_bucket("other-bucket").unwrap();
    server.writer().put("other-bucket", "secret", b"secret").unwrap();
    fs::write(server.root().join("secret"), "secret").unwrap();
    for target in [
        "/example-bucket/../secret",
        "/example-bucket/../other-bucket/secret",
        "/example-bucket/../../secret",
        "/example-bucket/%2e%2e/secret",
        "/example-bucket/..%2fother-bucket%2fsecret",
        "/example-bucket/a/%2E%2E/%2e%2e/secret",
        "/example-bucket//secret",
        "/../secret",
        "/%2e%2e/secret",
        "/example-bucket/%00",
        "/./secret",
        "//secret",
    ] {
        for method in ["GET", "PUT", "DELETE", "HEAD", "POST"] {
            let answer = raw(&server, method, target, "overwritten").await;
            assert!(status(&answer).starts_with(['4', '5']), "{method} {target} {answer}");
            assert!(!answer.ends_with("secret"), "{method} {target} {answer}");
        }
    }
    for path in ["secret", "root/secret", "root/other-bucket/secret"] {
        assert_eq!(body_of(&folder.path().join(path)), "secret");
    }
}

/// Gives each request the next verdict, and keeps what it is told.
#[derive(Debug, Default)]
struct Script {
    verdicts: Mutex<Vec<Verdict>>,
    log: Mutex<Vec<String>>,
}

impl Tap for Arc<Script> {
    fn decide(&self, call: &S3Call, _: &Parts) -> Decision {
        let verdict = self.verdicts.lock().unwrap().pop().unwrap_or_default();
        let (script, call) = (Self::clone(self), call.clone());
        Decision::new(verdict).with_end(move |ended| {
            let S3Call { operation, access_key, bucket, key } = call;
            let status = |it: Option<StatusCode>| it.map_or(0, |status| status.as_u16());
            let (bucket, key) = (bucket.as_deref().unwrap_or("-"), key.as_deref().unwrap_or("-"));
            let mut told = format!("{operation} {access_key:?} {bucket} {key}");
            told.push(' ');
            told.push_str(&status(ended.answered).to_string());
            if ended.served != ended.answered {
                told.push_str(" for ");
                told.push_str(&status(ended.served).to_string());
            }
            script.log.lock().unwrap().push(told);
        })
    }
}

impl Script {
    fn next(&self, verdict: Verdict) {
        self.verdicts.lock().unwrap().push(verdict);
    }

    fn last(&self) -> String {
        self.log.lock().unwrap().last().unwrap().clone()
    }
}

#[tokio::test]
async fn each_request_is_told_under_its_operation() {
    let script = Arc::new(Script::default());
    let server = start(options().with_tap(Arc::new(Arc::clone(&script)))).await;
    for (method, target, told) in [
        ("GET", "/", "ListBuckets \"\" - - 200"),
        ("PUT", "/second-bucket", "CreateBucket \"\" second-bucket - 200"),
        ("HEAD", "/second-bucket", "HeadBucket \"\" second-bucket - 200"),
        ("GET", "/second-bucket?location", "GetBucketLocation \"\" second-bucket - 200"),
        ("DELETE", "/second-bucket/", "DeleteBucket \"\" second-bucket - 204"),
        ("PUT", "/example-bucket/a%20b/%3A", "PutObject \"\" example-bucket a b/: 200"),
        ("GET", "/example-bucket/a%20b/:", "GetObject \"\" example-bucket a b/: 200"),
        ("GET", "/example-bucket/none", "GetObject \"\" example-bucket none 404"),
        ("HEAD", "/example-bucket/none", "HeadObject \"\" example-bucket none 404"),
        ("GET", "/example-bucket?list-type=2", "ListObjectsV2 \"\" example-bucket - 200"),
        ("GET", "/example-bucket?prefix=versions", "ListObjects \"\" example-bucket - 200"),
        ("GET", "/example-bucket?versions", "Unknown \"\" example-bucket - 501"),
        (
            "GET",
            "/example-bucket?X-Amz-Credential=AKIA%2F20260131%2Feu-west-1%2Fs3%2Faws4_request",
            "ListObjects \"AKIA\" example-bucket - 200",
        ),
        ("GET", "/example-bucket?AWSAccessKeyId=AK", "ListObjects \"AK\" example-bucket - 200"),
        ("POST", "/example-bucket/x?uploads", "CreateMultipartUpload \"\" example-bucket x 200"),
        ("DELETE", "/example-bucket/none", "DeleteObject \"\" example-bucket none 204"),
    ] {
        raw(&server, method, target, "").await;
        assert_eq!(script.last(), told, "{method} {target}");
    }
}

#[tokio::test]
async fn a_tap_may_spoil_each_request() {
    let script = Arc::new(Script::default());
    let server = start(options().with_tap(Arc::new(Arc::clone(&script)))).await;
    let file = |key: &str| server.root().join(BUCKET).join(key);

    script.next(Verdict::SLOW_DOWN);
    let answer = raw(&server, "PUT", "/example-bucket/a", "0123456789").await;
    assert_eq!(status(&answer), "503");
    assert!(answer.contains("<Code>SlowDown</Code>"), "{answer}");
    script.next(Verdict::INTERNAL_ERROR);
    let answer = raw(&server, "HEAD", "/example-bucket/a", "").await;
    assert_eq!((status(&answer), body(&answer)), ("500", ""));

    script.next(Verdict::CutBefore);
    assert_eq!(raw(&server, "PUT", "/example-bucket/a", "0123456789").await, "");
    assert_eq!(script.last(), "PutObject \"\" example-bucket a 0");
    assert!(!file("a").exists());
    script.next(Verdict::CutAfter);
    assert_eq!(raw(&server, "PUT", "/example-bucket/a", "0123456789").await, "");
    assert_eq!(script.last(), "PutObject \"\" example-bucket a 0 for 200");
    assert_eq!(body_of(&file("a")), "0123456789");
    script.next(Verdict::FailAfter);
    let answer = raw(&server, "PUT", "/example-bucket/after", "0123456789").await;
    assert!(answer.contains("<Code>InternalError</Code>"), "{answer}");
    assert_eq!(script.last(), "PutObject \"\" example-bucket after 500 for 200");
    assert_eq!(body_of(&file("after")), "0123456789");
    script.next(Verdict::FailAfter);
    assert_eq!(status(&get(&server, "none").await), "404");

    script.next(Verdict::TruncateBody);
    let answer = get(&server, "a").await;
    assert!(answer.contains("content-length: 10"), "{answer}");
    assert_eq!(body(&answer), "01234");

    let pause = Duration::from_millis(60);
    for verdict in [Verdict::Delay(pause), Verdict::SlowBody(pause)] {
        for (key, expected) in [("a", "0123456789"), ("empty", "")] {
            server.writer().put(BUCKET, "empty", b"").unwrap();
            script.next(verdict.clone());
            let begun = Instant::now();
            assert_eq!(body(&get(&server, key).await), expected);
            assert!(begun.elapsed() >= pause);
        }
    }
    let (client, server_time) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(901).unwrap());
    script.next(Verdict::Skewed { client, server: server_time });
    let answer = get(&server, "a").await;
    assert_eq!(status(&answer), "403");
    assert!(answer.contains("<Code>RequestTimeTooSkewed</Code>"), "{answer}");
    assert!(answer.contains("<ServerTime>1970-01-01T00:15:01Z</ServerTime>"), "{answer}");
}

#[tokio::test]
async fn dropping_it_ends_it_but_not_a_request_under_way() {
    let script = Arc::new(Script::default());
    script.next(Verdict::Delay(Duration::from_millis(200)));
    let folder = tempfile::tempdir().unwrap();
    let server =
        start(options().with_root(folder.path()).with_tap(Arc::new(Arc::clone(&script)))).await;
    let address = server.address();
    let idle = TcpStream::connect(address).await.unwrap();
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("PUT /{BUCKET}/a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab");
    socket.write_all(request.as_bytes()).await.unwrap();
    while !script.verdicts.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(server);
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(body_of(&folder.path().join(BUCKET).join("a")), "ab");
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_temporary_folder_goes_with_its_server() {
    let server = start(options()).await;
    let root = server.root().to_owned();
    assert!(root.exists());
    drop(server);
    while root.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn unsigned_requests_are_denied_where_signatures_are_checked() {
    let server = start(options().with_checks(SignatureChecks::On)).await;
    let answer = get(&server, "a").await;
    assert_eq!(status(&answer), "403");
    assert!(answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    let form = "POST /example-bucket HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-type: Multipart/form-data; boundary=b\r\ncontent-length: 0\r\n\r\n";
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket.write_all(form.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "501");
}

#[tokio::test]
async fn a_refusal_before_the_body_was_asked_for_ends_the_connection() {
    let server = start(options()).await;
    let put = format!(
        "PUT /{BUCKET}/a//b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n"
    );
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    socket.write_all(put.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), "501");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn one_of_many_puts_that_must_be_the_first_is_the_first() {
    let server = start(options()).await;
    let puts = (0..20).map(|number| {
        let server = &server;
        async move {
            let body = number.to_string();
            let header = "if-none-match: *\r\n";
            let answer = with_headers(server, "PUT", "/example-bucket/a", header, &body).await;
            (status(&answer).to_owned(), body)
        }
    });
    let answers = futures::future::join_all(puts).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|(status, _)| status == "200");
    assert_eq!((won.len(), lost.len()), (1, 19), "{answers:?}");
    assert!(lost.iter().all(|(status, _)| status == "412"), "{answers:?}");
    assert_eq!(body(&get(&server, "a").await), won[0].1);
}

#[tokio::test]
async fn conditions_on_reads_hold() {
    let server = start(options()).await;
    server.writer().put(BUCKET, "a", b"second").unwrap();
    let modified = get(&server, "a").await;
    let modified = modified.lines().find_map(|line| line.strip_prefix("last-modified: ")).unwrap();
    let tag = "\"a9f0e61a137d86aa9db53465e0801612\"";
    for (condition, expected) in [
        (format!("if-match: {tag}"), "200"),
        ("if-match: \"0\"".to_owned(), "412"),
        (format!("if-none-match: {tag}"), "304"),
        ("if-none-match: \"0\"".to_owned(), "200"),
        (format!("if-modified-since: {modified}"), "304"),
        (format!("if-unmodified-since: {modified}"), "200"),
        ("if-modified-since: Mon, 01 Jan 2001 00:00:00 GMT".to_owned(), "200"),
        ("if-unmodified-since: Mon, 01 Jan 2001 00:00:00 GMT".to_owned(), "412"),
    ] {
        for method in ["GET", "HEAD"] {
            let header = format!("{condition}\r\n");
            let answer = with_headers(&server, method, "/example-bucket/a", &header, "").await;
            assert_eq!(status(&answer), expected, "{method} {condition}");
        }
    }
    for (tag, expected) in [(tag, "206"), ("\"0\"", "412")] {
        let headers = format!("range: bytes=1-2\r\nif-match: {tag}\r\n");
        let answer = with_headers(&server, "GET", "/example-bucket/a", &headers, "").await;
        assert_eq!(status(&answer), expected, "{tag}");
    }
}

#[tokio::test]
async fn a_key_may_be_the_folder_of_another() {
    for keys in [["a", "a/b", "a/b/c"], ["a/b/c", "a/b", "a"], ["a/b", "a", "a/b/c"]] {
        let server = start(options()).await;
        for (number, key) in keys.iter().enumerate() {
            if number == 1 {
                server.writer().put(BUCKET, key, key.as_bytes()).unwrap();
            } else {
                let header = "x-amz-meta-key: it\r\ncontent-type: text/x\r\n";
                let target = format!("/{BUCKET}/{key}");
                let put = with_headers(&server, "PUT", &target, header, key).await;
                assert_eq!(status(&put), "200", "{put}");
            }
        }
        for (number, key) in keys.iter().enumerate() {
            let answer = get(&server, key).await;
            assert_eq!(body(&answer), *key);
            assert_eq!(server.writer().read(BUCKET, key).as_deref(), Some(key.as_bytes()));
            assert_eq!(answer.contains("x-amz-meta-key: it"), number != 1, "{answer}");
        }
        let listed = |answer: &str| -> Vec<String> {
            let keys = answer.split("<Key>").skip(1);
            keys.map(|it| it.split('<').next().unwrap().to_owned()).collect()
        };
        let all = raw(&server, "GET", "/example-bucket?list-type=2", "").await;
        assert_eq!(listed(&all), ["a", "a/b", "a/b/c"]);
        let top = raw(&server, "GET", "/example-bucket?list-type=2&delimiter=/", "").await;
        assert_eq!(listed(&top), ["a"]);
        assert!(top.contains("<CommonPrefixes><Prefix>a/</Prefix>"), "{top}");
        let many =
            "<Delete><Object><Key>a/b</Key></Object><Object><Key>none</Key></Object></Delete>";
        let answer = raw(&server, "POST", "/example-bucket?delete", many).await;
        assert_eq!(listed(&answer), ["a/b", "none"]);
        assert_eq!(status(&raw(&server, "DELETE", "/example-bucket/a/b/c", "").await), "204");
        let all = raw(&server, "GET", "/example-bucket?list-type=2&delimiter=/", "").await;
        assert_eq!(listed(&all), ["a"]);
        assert!(!all.contains("<CommonPrefixes>"), "{all}");
        assert_eq!(status(&raw(&server, "DELETE", "/example-bucket/a", "").await), "204");
        assert_eq!(status(&get(&server, "a").await), "404");
    }
}

/// Looks at objects, again and again, while each becomes the folder of another.
async fn while_they_become_folders(count: u32, look: impl AsyncFn(&S3Server, &str)) {
    let server = start(options()).await;
    let writer = server.writer();
    let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
    for name in &names {
        raw(&server, "PUT", &format!("/{BUCKET}/{name}"), name).await;
    }
    let writing = std::thread::spawn({
        let names = names.clone();
        move || {
            for name in &names {
                writer.put(BUCKET, &format!("{name}/b"), b"x").unwrap();
            }
        }
    });
    loop {
        for name in &names {
            look(&server, name).await;
        }
        if writing.is_finished() {
            break;
        }
    }
    writing.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_becomes_a_folder_is_read_all_the_while() {
    while_they_become_folders(100, async |server, name| {
        assert_eq!(body(&get(server, name).await), name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_becomes_a_folder_is_copied_all_the_while() {
    while_they_become_folders(300, async |server, name| {
        let source = format!("x-amz-copy-source: {BUCKET}/{name}\r\n");
        let copied = with_headers(server, "PUT", &format!("/{BUCKET}/copy"), &source, "").await;
        assert_eq!(status(&copied), "200", "{copied}");
        assert_eq!(body(&get(server, "copy").await), name);
    })
    .await;
}

#[tokio::test]
async fn a_folder_is_no_object() {
    let server = start(options()).await;
    server.writer().put(BUCKET, "a/b", b"x").unwrap();
    assert!(get(&server, "a").await.contains("<Code>NoSuchKey</Code>"));
    assert_eq!(status(&raw(&server, "HEAD", "/example-bucket/a", "").await), "404");
    for (method, target) in [("GET", "/example-bucket/a/"), ("HEAD", "/example-bucket/a/")] {
        assert_eq!(status(&raw(&server, method, target, "").await), "404", "{method}");
    }
    let answer = raw(&server, "GET", "/no-such-bucket/a", "").await;
    assert!(answer.contains("<Code>NoSuchBucket</Code>"), "{answer}");
}

#[tokio::test]
async fn a_key_that_ends_with_a_slash_is_an_object_like_any_other() {
    let server = start(options()).await;
    for (key, body) in [("d/x", "x"), ("d/", ""), ("d/.folder", "own"), ("e/", "not empty")] {
        let target = format!("/{BUCKET}/{key}");
        assert_eq!(status(&raw(&server, "PUT", &target, body).await), "200", "{key}");
    }
    assert_eq!(status(&raw(&server, "HEAD", "/example-bucket/d/", "").await), "200");
    assert_eq!(body(&get(&server, "d/").await), "");
    assert_eq!(body(&get(&server, "d/.folder").await), "own");
    assert_eq!(body(&get(&server, "e/").await), "not empty");
    let keys = |answer: &str| -> Vec<String> {
        let keys = answer.split("<Key>").skip(1);
        keys.map(|it| it.split("</Key>").next().unwrap().to_owned()).collect()
    };
    let all = raw(&server, "GET", "/example-bucket?list-type=2", "").await;
    assert_eq!(keys(&all), ["d/", "d/.folder", "d/x", "e/"]);
    let within = raw(&server, "GET", "/example-bucket?list-type=2&prefix=d/&delimiter=/", "").await;
    assert_eq!(keys(&within), ["d/", "d/.folder", "d/x"]);
    let above = raw(&server, "GET", "/example-bucket?list-type=2&delimiter=/", "").await;
    assert!(keys(&above).is_empty() && above.contains("<Prefix>e/</Prefix>"), "{above}");
    assert_eq!(status(&raw(&server, "DELETE", "/example-bucket/d/", "").await), "204");
    assert_eq!(status(&raw(&server, "HEAD", "/example-bucket/d/", "").await), "404");
    assert_eq!(body(&get(&server, "d/x").await), "x");
}
