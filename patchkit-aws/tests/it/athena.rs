//! Athena, on the wire: what is sent, and what is made of the answers.

pub(crate) mod policy;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use futures::TryStreamExt;
use jiff::Timestamp;
use patchkit_aws::{Athena, AthenaOptions, AthenaQueryId, AthenaState, CallBudget, Ssm};
use patchkit_core::{Clock, ErrorKind, PollPolicy, VirtualClock};
use serde_json::{Value, json};

use crate::support::{ACCOUNT, REGION};

/// What was asked: the operation and the body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// A server that answers each call of Athena in turn, the last answer of an operation again and again.
struct Server {
    url: String,
    asked: Asked,
}

impl Server {
    fn start(answers: Vec<(&'static str, u16, Value)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Asked::default();
        let (log, answers) = (Arc::clone(&asked), Arc::new(Mutex::new(answers)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                std::thread::spawn(move || serve(&stream.unwrap(), &log, &answers));
            }
        });
        Self { url, asked }
    }

    async fn athena(&self, options: AthenaOptions, clock: impl Clock) -> Athena {
        athena_at(&self.url, options, clock).await
    }

    fn asked(&self, operation: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|it| it.0 == operation).map(|it| it.1.clone()).collect()
    }
}

async fn athena_at(url: &str, options: AthenaOptions, clock: impl Clock) -> Athena {
    let keys = Credentials::new("AKIDTEST", "secret", None, None, "test");
    let sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::from_static(REGION))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .retry_config(RetryConfig::disabled())
        .build();
    let builder = Ssm::builder(&sdk)
        .with_account(ACCOUNT.parse().unwrap())
        .with_clock(clock)
        .with_budget(CallBudget::unlimited())
        .with_page_size(2);
    builder.build().await.unwrap().athena(options)
}

fn serve(stream: &TcpStream, log: &Asked, answers: &Mutex<Vec<(&'static str, u16, Value)>>) {
    let mut reader = BufReader::new(stream);
    while let Some((operation, body)) = call(&mut reader) {
        log.lock().unwrap().push((operation.clone(), body));
        let (status, said) = {
            let mut answers = answers.lock().unwrap();
            let at = answers.iter().position(|it| it.0 == operation);
            let at = at.unwrap_or_else(|| panic!("nobody expects {operation}"));
            let is_last = answers.iter().filter(|it| it.0 == operation).count() == 1;
            let (_, status, said) = if is_last { answers[at].clone() } else { answers.remove(at) };
            (status, said)
        };
        if !answer(stream, status, &said) {
            return;
        }
    }
}

/// The next call of a connection: its operation and its body.
fn call(reader: &mut BufReader<&TcpStream>) -> Option<(String, Value)> {
    let (mut length, mut operation) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            } else if name.eq_ignore_ascii_case("x-amz-target") {
                value.trim().trim_start_matches("AmazonAthena.").clone_into(&mut operation);
            }
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some((operation, serde_json::from_slice(&body).unwrap()))
}

/// Whether the client was still there to be answered.
fn answer(mut stream: &TcpStream, status: u16, said: &Value) -> bool {
    let said = said.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n\
         x-amzn-RequestId: r-1\r\nContent-Length: {}\r\n\r\n",
        said.len()
    );
    stream.write_all(format!("{head}{said}").as_bytes()).is_ok()
}

const START: &str = "StartQueryExecution";
const STATE: &str = "GetQueryExecution";
const ROWS: &str = "GetQueryResults";
const STOP: &str = "StopQueryExecution";

fn started() -> (&'static str, u16, Value) {
    (START, 200, json!({ "QueryExecutionId": "q-1" }))
}

fn state(state: &str) -> (&'static str, u16, Value) {
    let query = json!({
        "QueryExecutionId": "q-1",
        "StatementType": "DML",
        "Status": { "State": state },
        "Statistics": { "DataScannedInBytes": 20_971_520, "EngineExecutionTimeInMillis": 1_500 },
    });
    (STATE, 200, json!({ "QueryExecution": query }))
}

fn rows(rows: &[&[Option<&str>]], next: Option<&str>) -> (&'static str, u16, Value) {
    let datum = |text: Option<&str>| match text {
        Some(text) => json!({ "VarCharValue": text }),
        None => json!({}),
    };
    let rows: Vec<_> = rows
        .iter()
        .map(|row| json!({ "Data": row.iter().copied().map(datum).collect::<Vec<_>>() }))
        .collect();
    let mut page =
        json!({ "ResultSet": { "Rows": rows, "ResultSetMetadata": { "ColumnInfo": [] } } });
    if let Some(next) = next {
        page["NextToken"] = next.into();
    }
    (ROWS, 200, page)
}

fn clock() -> VirtualClock {
    VirtualClock::automatic(Timestamp::UNIX_EPOCH)
}

fn options() -> AthenaOptions {
    AthenaOptions::default()
        .with_database("fleet")
        .with_workgroup("reports")
        .with_output("s3://results/athena/")
}

#[tokio::test]
async fn a_query_is_submitted_waited_for_and_read_page_by_page() {
    let server = Server::start(vec![
        started(),
        state("QUEUED"),
        state("RUNNING"),
        state("SUCCEEDED"),
        rows(&[&[Some("status"), Some("nodes")], &[Some("compliant"), Some("7")]], Some("t-2")),
        rows(&[&[None, Some("1")]], None),
    ]);
    let athena = server.athena(options(), clock()).await;
    let answer = athena.query("SELECT status, count(*) FROM x").await.unwrap();
    assert_eq!(answer.columns, ["status", "nodes"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(answer.rows, [[text("compliant"), text("7")], [None, text("1")]]);
    assert_eq!(answer.query.state, AthenaState::Succeeded);
    assert_eq!(answer.query.scanned_bytes, 20 << 20);
    assert_eq!(answer.query.ran_for, Duration::from_millis(1_500));

    let [start] = &server.asked(START)[..] else { panic!("submitted once") };
    assert_eq!(start["QueryExecutionContext"]["Database"], "fleet");
    assert_eq!(start["WorkGroup"], "reports");
    assert_eq!(start["ResultConfiguration"]["OutputLocation"], "s3://results/athena/");
    assert!((32..=128).contains(&start["ClientRequestToken"].as_str().unwrap().len()));
    assert_eq!(server.asked(STATE).len(), 3);
    let pages = server.asked(ROWS);
    assert_eq!((&pages[0]["MaxResults"], &pages[1]["NextToken"]), (&json!(2), &json!("t-2")));
    assert!(server.asked(STOP).is_empty(), "it was done");
}

#[tokio::test]
async fn the_token_is_the_callers_and_each_query_has_its_own() {
    let server = Server::start(vec![started(), state("SUCCEEDED"), rows(&[], None)]);
    let athena = server.athena(options(), clock()).await;
    let token = "run-7/compliance/2026-11-30/attempt-1";
    assert_eq!(athena.submit("SELECT 1", token).await.unwrap().as_str(), "q-1");
    let error = athena.submit("SELECT 1", "short").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    athena.query("SELECT 1").await.unwrap();
    athena.query("SELECT 1").await.unwrap();
    let asked = server.asked(START);
    let tokens: Vec<_> =
        asked.iter().map(|it| it["ClientRequestToken"].as_str().unwrap()).collect();
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens[0], token);
    assert_ne!(tokens[1], tokens[2]);
}

#[tokio::test]
async fn a_query_that_failed_says_whose_fault_it_was() {
    let failed = |category: i32, retryable: bool| {
        let status = json!({
            "State": "FAILED",
            "StateChangeReason": "COLUMN_NOT_FOUND: line 1:8: Column 'colour' cannot be resolved",
            "AthenaError": { "ErrorCategory": category, "Retryable": retryable },
        });
        let query = json!({ "QueryExecutionId": "q-1", "Status": status });
        (STATE, 200, json!({ "QueryExecution": query }))
    };
    let server = Server::start(vec![failed(2, false), failed(1, true)]);
    let athena = server.athena(options(), clock()).await;
    let id = AthenaQueryId::new("q-1");
    let error = athena.wait(&id).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::InvalidInput, false));
    assert!(error.message().contains("line 1:8"), "{error}");
    let error = athena.wait(&id).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unexpected, true));
}

#[tokio::test]
async fn a_query_that_was_stopped_or_takes_too_long_is_told_apart() {
    let server = Server::start(vec![state("CANCELLED"), state("RUNNING")]);
    let poll = PollPolicy::new(Duration::from_mins(1));
    let athena = server.athena(options().with_poll(poll), clock()).await;
    let id = AthenaQueryId::new("q-1");
    assert_eq!(athena.wait(&id).await.unwrap_err().kind(), ErrorKind::Conflict);
    let error = athena.wait(&id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("q-1"), "{error}");
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_any_more_is_stopped() {
    let server = Server::start(vec![started(), state("RUNNING"), (STOP, 200, json!({}))]);
    let athena = server.athena(options(), VirtualClock::manual(Timestamp::UNIX_EPOCH)).await;
    let waited = tokio::time::timeout(Duration::from_millis(500), athena.query("SELECT 1")).await;
    assert!(waited.is_err(), "it runs for ever");
    for _ in 0..200 {
        if let [stop] = &server.asked(STOP)[..] {
            assert_eq!(stop["QueryExecutionId"], "q-1");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it goes on, and costs");
}

#[tokio::test]
async fn rows_of_a_statement_without_names_are_all_rows() {
    let ddl = json!({
        "QueryExecution": {
            "QueryExecutionId": "q-1", "StatementType": "UTILITY", "Status": { "State": "SUCCEEDED" },
        },
    });
    let server = Server::start(vec![(STATE, 200, ddl), rows(&[&[Some("nodes")]], None)]);
    let athena = server.athena(options(), clock()).await;
    let query = athena.wait(&AthenaQueryId::new("q-1")).await.unwrap();
    let rows: Vec<_> = athena.rows(&query).try_collect().await.unwrap();
    assert_eq!(rows, [[Some("nodes".to_owned())]]);
    assert!(query.cost(5.0) < f64::EPSILON, "nothing was scanned");
}

#[tokio::test]
async fn errors_of_the_service_keep_their_kind() {
    let error = |code: &str| json!({ "__type": code, "message": "no" });
    let server = Server::start(vec![
        (START, 400, error("TooManyRequestsException")),
        (START, 400, error("AccessDeniedException")),
        (START, 400, error("InvalidRequestException")),
    ]);
    let athena = server.athena(options(), clock()).await;
    let token = "0".repeat(32);
    for kind in [ErrorKind::Throttled, ErrorKind::PermissionDenied, ErrorKind::InvalidInput] {
        let error = athena.submit("SELECT 1", &token).await.unwrap_err();
        assert_eq!((error.kind(), error.request_id()), (kind, Some("r-1")));
    }
}

/// Moto runs no SQL: it gives back the rows that it was told beforehand.
mod on_moto {
    use super::*;

    #[tokio::test]
    #[ignore = "needs moto: cargo xtask moto"]
    async fn rows_that_were_put_in_line_come_back() {
        let url = std::env::var("PATCHKIT_MOTO").expect("cargo xtask moto names the server");
        let queued = json!({
            "account_id": "123456789012",
            "region": REGION,
            "results": [{
                "rows": [
                    { "Data": [{ "VarCharValue": "status" }] },
                    { "Data": [{ "VarCharValue": "compliant" }] },
                ],
                "column_info": [],
            }],
        });
        let address = url.trim_start_matches("http://").to_owned();
        let body = queued.to_string();
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(&address).unwrap();
            let head = format!(
                "POST /moto-api/static/athena/query-results HTTP/1.1\r\nHost: {address}\r\n\
                 Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        })
        .await
        .unwrap();
        let server = Server { url, asked: Asked::default() };
        let athena =
            server.athena(AthenaOptions::default().with_output("s3://out/"), clock()).await;
        let answer = athena.query("SELECT status FROM patch_compliance").await.unwrap();
        assert_eq!(answer.columns, ["status"]);
        assert_eq!(answer.rows, [[Some("compliant".to_owned())]]);
    }
}
