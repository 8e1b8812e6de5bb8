//! Every binary that reads lakes, on a real S3 server that checks signatures.

#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use patchkit_core::SystemClock;
use patchkit_testkit::{
    cloud::{
        keys::{KeyEntry, Keys},
        s3::{S3Options, S3Server, SignatureChecks},
    },
    lake::{Dirt, SampleLake},
};
use tokio::net::TcpListener;

const BUCKET: &str = "central-inventory";
const LAKE: &str = "s3://central-inventory/sync/prod";
const AT: &str = "2026-11-24T00:00:00Z";
const KEY: &str = "AKIATESTTESTTEST";
const SECRET: &str = "not-a-secret";

#[derive(Debug)]
struct OneKey;

impl Keys for OneKey {
    fn secret(&self, access_key: &str) -> Option<KeyEntry> {
        (access_key == KEY).then(|| KeyEntry::new(SECRET))
    }
}

/// A server whose bucket is a sample lake with every kind of dirt, and the folder that it is.
async fn server() -> (S3Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = S3Options::new(Arc::new(OneKey), Arc::new(SystemClock))
        .with_checks(SignatureChecks::On)
        .with_root(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = S3Server::start(listener, options).unwrap();
    server.ensure_bucket(BUCKET).unwrap();
    let lake = SampleLake::new().with_seed(11).with_nodes(60).with_prefix("sync/prod");
    lake.with_dirt(&Dirt::ALL, 10).write(&folder.path().join(BUCKET)).unwrap();
    (server, folder)
}

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary)
        .args(arguments)
        .envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)])
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The same arguments for a folder and for the bucket that it is have the same answer, but for the name.
fn same(binary: &str, server: &S3Server, folder: &Path, arguments: &[&str]) {
    let local = folder.join(BUCKET).join("sync/prod").to_str().unwrap().to_owned();
    let with = |lake: &str, more: &[&str]| {
        let arguments: Vec<_> =
            arguments.iter().map(|it| if *it == "LAKE" { lake } else { *it }).collect();
        run(binary, &[&arguments[..], more].concat())
    };
    let expected = with(&local, &[]);
    assert!(expected.stdout.len() > 20, "{}", text(&expected.stderr));
    let endpoint = server.endpoint();
    let answer = with(LAKE, &["--endpoint-url", &endpoint, "--region", "eu-west-1"]);
    assert_eq!(answer.status.code(), expected.status.code(), "{}", text(&answer.stderr));
    assert_eq!(text(&answer.stdout).replace(LAKE, &local), text(&expected.stdout), "{binary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_answered_as_the_folder_that_it_is() {
    let (server, folder) = server().await;
    let asked: &[(&str, &[&str])] = &[
        (env!("CARGO_BIN_EXE_fleet-report"), &["LAKE", "--format", "json"]),
        (env!("CARGO_BIN_EXE_what-if"), &["--lake", "LAKE", "--at", AT, "--format", "json"]),
        (env!("CARGO_BIN_EXE_fleet-sbom"), &["--lake", "LAKE", "--at", AT]),
        (env!("CARGO_BIN_EXE_fleet-sbom"), &["match", "--lake", "LAKE", "--format", "json"]),
    ];
    for (binary, arguments) in asked {
        same(binary, &server, folder.path(), arguments);
    }
}

#[cfg(feature = "sql")]
#[tokio::test(flavor = "multi_thread")]
async fn a_query_of_a_bucket_is_answered_as_one_of_the_folder() {
    let (server, folder) = server().await;
    for query in [
        "SELECT node_id, status FROM patch_compliance ORDER BY 1",
        "SELECT node_id, name FROM applications WHERE name LIKE 'openssl%' ORDER BY 1, 2",
    ] {
        let binary = env!("CARGO_BIN_EXE_fleet-sql");
        same(binary, &server, folder.path(), &["LAKE", query, "--format", "csv"]);
    }
    // A snapshot of the bucket needs the bucket no more.
    let kept = folder.path().join("kept");
    let kept = kept.to_str().unwrap();
    let count = "SELECT count(*) AS lost FROM lake_problems WHERE kind = 'lost'";
    let binary = env!("CARGO_BIN_EXE_fleet-sql");
    let endpoint = server.endpoint();
    let of_bucket = ["--endpoint-url", &endpoint, "--region", "eu-west-1", "--snapshot", kept];
    let arguments = [&[LAKE, count, "--format", "csv"], &of_bucket[..]].concat();
    let first = run(binary, &arguments);
    drop(server);
    let again = run(binary, &[kept, count, "--format", "csv"]);
    assert!(text(&first.stdout).starts_with("lost\n"), "{}", text(&first.stderr));
    assert_eq!(text(&again.stdout), text(&first.stdout), "{}", text(&again.stderr));
}

#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_exported_as_the_folder_that_it_is() {
    let (server, folder) = server().await;
    let out = folder.path().join("out");
    let endpoint = server.endpoint();
    let output = run(
        env!("CARGO_BIN_EXE_lake-parquet"),
        &[LAKE, out.to_str().unwrap(), "--endpoint-url", &endpoint, "--region", "eu-west-1"],
    );
    assert_eq!(output.status.code(), Some(1), "dirt was lost: {}", text(&output.stderr));
    assert!(out.join("_SUCCESS").is_file() && out.join("type=aws_application").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_and_is_exit_code_2() {
    let (server, _folder) = server().await;
    let output = Command::new(env!("CARGO_BIN_EXE_what-if"))
        .args(["--lake", LAKE, "--endpoint-url", &server.endpoint(), "--region", "eu-west-1"])
        .envs([("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "another")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(!text(&output.stderr).contains("another"), "{}", text(&output.stderr));
}

#[test]
fn flags_of_buckets_are_refused_where_there_is_none() {
    for (binary, arguments) in [
        (env!("CARGO_BIN_EXE_what-if"), &["--region", "eu-west-1"][..]),
        (env!("CARGO_BIN_EXE_fleet-sbom"), &["--endpoint-url", "http://localhost:1"]),
        (env!("CARGO_BIN_EXE_fleet-sbom"), &["match", "--region", "eu-west-1"]),
        (env!("CARGO_BIN_EXE_what-if"), &["--lake", ".", "--region", "eu-west-1"]),
    ] {
        let output = run(binary, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("s3://"), "{}", text(&output.stderr));
    }
}
