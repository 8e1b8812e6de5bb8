//! Each fault does on each endpoint what the table in the documentation of `FaultKind` says.
#![cfg(feature = "cloud")]
#![expect(clippy::unwrap_used, reason = "a test that cannot ask has failed")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Clock as _, SystemClock};
use patchkit_testkit::cloud::{Fault, FaultKind, Throttles, World};
use serde_json::{Value, json};

const TABLE: &str = include_str!("../src/cloud/faults.md");

/// All that a server said until it closed the connection.
fn ask(endpoint: &str, method: &str, path: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(endpoint.trim_start_matches("http://")).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A connection that was cut may end in a reset.
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

fn signed(service: &str) -> String {
    let now = SystemClock.now();
    format!(
        "authorization: AWS4-HMAC-SHA256 Credential=any/{}/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\nx-amz-date: {}\r\n",
        now.strftime("%Y%m%d"),
        now.strftime("%Y%m%dT%H%M%SZ"),
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn json_of(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap()
}

/// A request to each endpoint: for the second page of a list, or for an object.
struct Requests {
    world: World,
    ssm_input: String,
    azure_path: String,
}

const BUCKET: &str = "example-bucket";
const ENDPOINTS: [&str; 3] = ["ssm", "s3", "arm"];

impl Requests {
    async fn new() -> Self {
        let builder = World::builder().seed(7).nodes(300).azure_page_size(2);
        let world = builder.throttles(Throttles::Off).start().await.unwrap();
        world.ensure_bucket(BUCKET).unwrap();
        let s3 = world.endpoints().s3_endpoint.clone();
        let put = ask(&s3, "PUT", &format!("/{BUCKET}/a"), &signed("s3"), &"text".repeat(100));
        assert!(put.starts_with("HTTP/1.1 200"), "{put}");
        let subscription = &world.endpoints().subscriptions[0];
        let azure_path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines?api-version=2024-07-01"
        );
        let ssm_input = json!({"MaxResults": 5}).to_string();
        let mut requests = Self { world, ssm_input, azure_path };
        let page = json_of(&requests.send("ssm"));
        requests.ssm_input = json!({"MaxResults": 5, "NextToken": page["NextToken"]}).to_string();
        let page = json_of(&requests.send("arm"));
        let next = page["nextLink"].as_str().unwrap();
        next[next.find("/subscriptions").unwrap()..].clone_into(&mut requests.azure_path);
        requests
    }

    fn send(&self, service: &str) -> String {
        let to = self.world.endpoints();
        match service {
            "ssm" => {
                let target = "x-amz-target: AmazonSSM.DescribeInstanceInformation\r\n";
                let head = format!("{}{target}", signed("ssm"));
                ask(&to.aws_endpoint, "POST", "/", &head, &self.ssm_input)
            }
            "s3" => ask(&to.s3_endpoint, "GET", &format!("/{BUCKET}/a"), &signed("s3"), ""),
            _ => ask(
                &to.azure_endpoint,
                "GET",
                &self.azure_path,
                "authorization: Bearer any\r\n",
                "",
            ),
        }
    }

    /// What a fault does to a request, in the words of the table, and whether the service acted.
    fn observe(&self, kind: FaultKind, service: &str) -> (String, bool) {
        let right = self.send(service);
        self.world.forget_calls();
        let fault = Fault::new(kind).of_service(service);
        let Ok(number) = self.world.add_fault(fault) else {
            return ("not possible".to_owned(), true);
        };
        let begun = Instant::now();
        let answer = self.send(service);
        let took = begun.elapsed();
        assert!(self.world.remove_fault(number));
        let calls = self.world.calls();
        let call = calls.iter().next().unwrap();
        assert_eq!(call.fault, Some(kind), "{service}");
        let status: u16 = answer.get(9..12).map_or(0, |it| it.parse().unwrap());
        assert_eq!(call.status.unwrap_or(0), status, "{kind:?} {service}");
        (told(&right, &answer, took), call.acted)
    }
}

fn told(right: &str, answer: &str, took: Duration) -> String {
    let Some(status) = answer.get(9..12) else { return "cut".to_owned() };
    if status != "200" {
        return format!("{status} `{}`", code(body(answer)));
    }
    let (right_body, body) = (content(right), content(answer));
    if took >= Duration::from_millis(900) && body == right_body {
        return "late".to_owned();
    }
    if body.len() < right_body.len() && right_body.starts_with(&body) {
        return "half".to_owned();
    }
    if body != right_body {
        return "spoiled".to_owned();
    }
    if date(answer).duration_since(date(right)) > SignedDuration::from_mins(50) {
        return "`Date`".to_owned();
    }
    "nothing".to_owned()
}

/// The body, out of its chunks where it came in such.
fn content(answer: &str) -> String {
    let body = body(answer);
    if !answer.contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut content) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        content.push_str(&after[..size]);
        rest = &after[size + 2..];
        if size == 0 {
            break;
        }
    }
    content
}

/// The code of an error, in the forms of the three.
fn code(body: &str) -> String {
    if let Some((_, rest)) = body.split_once("<Code>") {
        return rest.split_once('<').unwrap().0.to_owned();
    }
    let body: Value = serde_json::from_str(body).unwrap();
    let code = body["__type"].as_str().or(body["error"]["code"].as_str()).unwrap();
    code.rsplit('#').next().unwrap().to_owned()
}

fn date(answer: &str) -> Timestamp {
    let mut lines = answer.lines();
    let text = lines.find_map(|it| it.strip_prefix("date: ")).unwrap();
    let time = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).unwrap();
    jiff::tz::Offset::UTC.to_timestamp(time).unwrap()
}

/// The fault of a row of the table.
fn kind(name: &str) -> FaultKind {
    let mut form = json!({"kind": name.split('`').nth(1).unwrap()});
    match form["kind"].as_str().unwrap() {
        "fail" => form["status"] = json!(503),
        "slow" => form["seconds"] = json!(1),
        "clock_skew" => form["seconds"] = json!(3_600),
        _ => {}
    }
    serde_json::from_value(form).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_does_on_each_endpoint_what_the_table_says() {
    let requests = Requests::new().await;
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), 15);
    for row in rows {
        let kind = kind(row[1]);
        for (service, cell) in ENDPOINTS.into_iter().zip(&row[3..]) {
            let (told, acted) = requests.observe(kind, service);
            assert_eq!(told, *cell, "{kind:?} {service}");
            // Azure checks no time.
            let acts = row[2] == "yes" || told == "`Date`";
            assert_eq!(acted, acts, "{kind:?} {service}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_s3_cannot_have_is_refused_with_those_it_has() {
    let world = World::builder().nodes(12).start().await.unwrap();
    let control = &world.endpoints().control_endpoint;
    let fault = json!({"kind": "duplicate_item", "service": "s3"}).to_string();
    let answer = ask(control, "POST", "/faults", "", &fault);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let error = json_of(&answer)["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("s3 has no fault duplicate_item; it has throttle, "), "{error}");
    assert!(world.faults().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_put_failed_afterwards_is_there() {
    let requests = Requests::new().await;
    let world = &requests.world;
    let s3 = &world.endpoints().s3_endpoint;
    world.add_fault(Fault::new(FaultKind::FailAfter).on("PutObject").times(1)).unwrap();
    let put = ask(s3, "PUT", &format!("/{BUCKET}/a"), &signed("s3"), "after");
    assert!(put.starts_with("HTTP/1.1 500"), "{put}");
    assert_eq!(body(&requests.send("s3")), "after");
    let calls = world.calls().of("PutObject").acted();
    let last = calls.iter().last().unwrap();
    assert_eq!(
        (last.error.as_deref(), last.fault),
        (Some("InternalError"), Some(FaultKind::FailAfter))
    );
    assert_eq!(last.scope, "111122223333/us-east-1");
}
