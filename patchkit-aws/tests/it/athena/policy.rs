//! A lake's statements and queries under exactly the policies that are rendered for them, and under
//! these less one action.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufReader,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use patchkit_aws::{Athena, AthenaQueryId, Feature, policy};
use patchkit_core::{ErrorKind, Result, VirtualClock};
use serde_json::{Value, json};

use super::{ROWS, START, STATE, STOP, answer, athena_at, call, options};

/// The features whose actions are taken away here, one by one.
pub(crate) const HELD: [Feature; 2] = [Feature::Athena, Feature::AthenaWrite];

/// What Athena does for a statement with the caller's rights, beside what every query takes: Athena user
/// guide, "Configure access to databases and tables in the AWS Glue Data Catalog", examples by statement.
const CATALOG: [(&str, &[&str]); 5] = [
    ("CREATE DATABASE", &["glue:GetDatabase", "glue:CreateDatabase"]),
    ("CREATE EXTERNAL TABLE", &["glue:GetDatabase", "glue:GetTable", "glue:CreateTable"]),
    ("CREATE OR REPLACE VIEW", &["glue:GetTable", "glue:CreateTable", "glue:UpdateTable"]),
    ("DROP TABLE", &["glue:GetDatabase", "glue:GetTable", "glue:DeleteTable"]),
    ("SELECT", &["glue:GetDatabase", "glue:GetTable"]),
];

/// The lake's objects and the results: Step Functions developer guide, "IAM policies for Amazon Athena".
const BUCKETS: [&str; 7] = [
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
];

/// Athena for a caller who may do certain things and nothing else.
struct Guarded {
    allowed: BTreeSet<String>,
    /// Of each query that was started what it lacks.
    queries: Mutex<BTreeMap<String, Option<String>>>,
}

impl Guarded {
    fn start(allowed: BTreeSet<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let guarded = Arc::new(Self { allowed, queries: Mutex::default() });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let guarded = Arc::clone(&guarded);
                std::thread::spawn(move || guarded.serve(&stream.unwrap()));
            }
        });
        url
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some((operation, body)) = call(&mut reader) {
            let (status, said) = match self.say(&operation, &body) {
                Ok(said) => (200, said),
                Err(action) => {
                    let message = format!("not authorized to perform: {action}");
                    (400, json!({ "__type": "AccessDeniedException", "message": message }))
                }
            };
            if !answer(stream, status, &said) {
                return;
            }
        }
    }

    fn check(&self, action: &str) -> std::result::Result<(), String> {
        if self.allowed.contains(action) { Ok(()) } else { Err(action.to_owned()) }
    }

    fn say(&self, operation: &str, body: &Value) -> std::result::Result<Value, String> {
        self.check(&format!("athena:{operation}"))?;
        let id = body["QueryExecutionId"].as_str().unwrap_or_default();
        let mut queries = self.queries.lock().unwrap();
        match operation {
            START => {
                self.check("athena:GetDataCatalog")?;
                let sql = body["QueryString"].as_str().unwrap();
                let known = CATALOG.iter().find(|(begin, _)| sql.starts_with(begin));
                let (_, catalog) = known.unwrap_or_else(|| panic!("no page tells of {sql}"));
                let lacks = catalog.iter().chain(&BUCKETS).find_map(|it| self.check(it).err());
                let id = format!("q-{}", queries.len());
                queries.insert(id.clone(), lacks);
                Ok(json!({ "QueryExecutionId": id }))
            }
            STATE => {
                let status = match &queries[id] {
                    None => json!({ "State": "SUCCEEDED" }),
                    Some(lacks) => json!({
                        "State": "FAILED",
                        "StateChangeReason": format!("Insufficient permissions: {lacks}"),
                    }),
                };
                let query = json!({ "QueryExecutionId": id, "Status": status });
                Ok(json!({ "QueryExecution": query }))
            }
            ROWS => {
                self.check("s3:GetObject")?;
                Ok(json!({ "ResultSet": { "Rows": [] } }))
            }
            STOP => Ok(json!({})),
            other => panic!("nobody expects {other}"),
        }
    }
}

fn actions(features: &[Feature]) -> BTreeSet<String> {
    let document = policy(features.iter().copied());
    let statements = document["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|it| it["Action"].as_array().unwrap());
    actions.map(|it| it.as_str().unwrap().to_owned()).collect()
}

async fn athena(allowed: BTreeSet<String>) -> Athena {
    let clock = VirtualClock::automatic(Timestamp::UNIX_EPOCH);
    athena_at(&Guarded::start(allowed), options(), clock).await
}

/// A query from its submission to its rows, and one that is stopped.
async fn ask(athena: &Athena) -> Result<()> {
    athena.query("SELECT status FROM patch_compliance").await?;
    athena.stop(&AthenaQueryId::new("q-0")).await
}

/// A lake is made queryable, and its tables are dropped to be made anew.
async fn make(athena: &Athena) -> Result<()> {
    for sql in [
        "CREATE DATABASE IF NOT EXISTS `fleet`",
        "CREATE EXTERNAL TABLE IF NOT EXISTS `fleet`.`raw_aws_tag` (`key` string)",
        "CREATE OR REPLACE VIEW \"fleet\".\"nodes\" AS SELECT 1",
        "DROP TABLE IF EXISTS `fleet`.`raw_aws_tag`",
    ] {
        athena.query(sql).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_lake_is_asked_with_what_the_policy_allows_and_no_less() {
    let allowed = actions(&[Feature::Athena]);
    ask(&athena(allowed.clone()).await).await.unwrap();
    for without in &allowed {
        let less = allowed.iter().filter(|it| *it != without).cloned().collect();
        let error = ask(&athena(less).await).await.expect_err(without);
        assert!(error.report().contains(without.as_str()), "{without}: {}", error.report());
    }
}

#[tokio::test]
async fn tables_are_made_with_what_the_policies_allow_and_no_less() {
    let allowed = actions(&HELD);
    make(&athena(allowed.clone()).await).await.unwrap();
    for without in Feature::AthenaWrite.actions() {
        let less = allowed.iter().filter(|it| it != without).cloned().collect();
        let error = make(&athena(less).await).await.expect_err(without);
        assert!(error.report().contains(without), "{without}: {}", error.report());
    }
}

#[tokio::test]
async fn who_may_not_submit_is_told_so() {
    let error = ask(&athena(BTreeSet::new()).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}
