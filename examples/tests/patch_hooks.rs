//! Hooks that are commands and calls over HTTP, around a patch run.

#![cfg(all(unix, feature = "http"))]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use patchkit_core::HookPoint;
use patchkit_examples::HttpHook;
use serde_json::Value;

fn script(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("hook.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn patch_hooks(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_patch-hooks")).args(arguments).output().unwrap()
}

fn lines(directory: &Path) -> Vec<Value> {
    let written = std::fs::read_to_string(directory.join("calls")).unwrap();
    written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_command_is_told_of_each_node_before_and_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let calls = directory.path().join("calls");
    let hook = script(
        directory.path(),
        r#"json=$(cat); printf '{"point":"%s","node":"%s","outcome":"%s","told":%s}\n' \
        "$PATCHKIT_POINT" "$PATCHKIT_NODE" "$PATCHKIT_OUTCOME" "$json" >> "$1""#,
    );
    let ended = patch_hooks(&["--exec", hook.to_str().unwrap(), "--arg", calls.to_str().unwrap()]);
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_ne!(ended.status.code(), Some(2), "{out}{}", String::from_utf8_lossy(&ended.stderr));
    let mut points: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines(directory.path()) {
        let told = &line["told"];
        assert_eq!(line["point"], told["point"]);
        assert_eq!(line["node"], told["node"]["id"]);
        assert_eq!(told["run"], "2026-11-24");
        if line["point"] == "after_node" {
            assert_eq!(line["outcome"], told["outcome"]["outcome"]);
        }
        let node = line["node"].as_str().unwrap().to_owned();
        points.entry(node).or_default().push(line["point"].as_str().unwrap().to_owned());
    }
    assert!(points.len() > 1, "{out}");
    assert!(points.values().all(|points| *points == ["before_node", "after_node"]), "{points:?}");
}

#[test]
fn a_command_that_fails_skips_its_node_and_its_words_are_in_the_report() {
    let directory = tempfile::tempdir().unwrap();
    let hook = script(
        directory.path(),
        r#"[ "$PATCHKIT_POINT" = after_node ] || { echo no >&2; exit 3; }"#,
    );
    let ended = patch_hooks(&["--exec", hook.to_str().unwrap()]);
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{out}");
    assert!(out.contains("ended with exit status: 3: no"), "{out}");
    assert!(!out.contains("patched,"), "{out}");
}

#[test]
fn a_command_that_is_not_there_is_told() {
    let ended = patch_hooks(&["--exec", "/no/such/command", "--nodes", "2"]);
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(out.contains("could not be run"), "{out}");
}

type Seen = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers with `status`, and keeps what it was told.
async fn server(status: StatusCode) -> (String, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let kept = Arc::clone(&kept);
                async move {
                    let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    let json = serde_json::from_slice(&body).unwrap();
                    kept.lock().unwrap().push((key, json));
                    let mut answer = Response::new(Full::new(Bytes::from("not tonight")));
                    *answer.status_mut() = status;
                    Ok::<_, hyper::Error>(answer)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, seen)
}

async fn posted(status: StatusCode) -> (Output, Vec<(String, Value)>) {
    let (address, seen) = server(status).await;
    let post = move || patch_hooks(&["--post", &address, "--nodes", "3"]);
    let ended = tokio::task::spawn_blocking(post).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    (ended, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_told_of_the_run_and_its_waves() {
    let (ended, seen) = posted(StatusCode::NO_CONTENT).await;
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    let points: Vec<_> = seen.iter().map(|(_, json)| json["point"].as_str().unwrap()).collect();
    assert_eq!(points.first(), Some(&"before_run"), "{out}");
    assert_eq!(points.last(), Some(&"after_run"), "{out}");
    assert!(seen.iter().all(|(key, json)| json["id"] == key.as_str()), "{seen:?}");
    assert!(seen.iter().any(|(_, json)| json["wave"]["name"] == "canary"), "{seen:?}");
    assert!(seen.last().unwrap().1["tally"].is_object(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_says_no_before_the_run_keeps_it_from_beginning() {
    for status in [StatusCode::FORBIDDEN, StatusCode::FOUND] {
        let (ended, seen) = posted(status).await;
        let out = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{out}");
        assert!(out.contains("not tonight"), "{out}");
        let points: Vec<_> = seen.iter().map(|(_, json)| json["point"].as_str().unwrap()).collect();
        assert_eq!(points, ["before_run", "after_run"]);
    }
}

#[test]
fn an_address_is_https_or_on_this_machine_and_is_not_shown() {
    let new = |address: &str| HttpHook::new("post", [HookPoint::AfterRun], address);
    for wrong in ["http://example.com/x", "ftp://localhost/x", "localhost", "https:///x"] {
        new(wrong).unwrap_err();
    }
    let hook = new("https://example.com/services/T0/secret").unwrap();
    assert!(!format!("{hook:?}").contains("secret"), "{hook:?}");
    new("http://127.0.0.1:8080/x").unwrap();
}
