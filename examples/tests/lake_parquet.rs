//! `lake-parquet` as its users run it.

#![cfg(feature = "parquet")]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use patchkit_testkit::lake::{AnswerKey, Dirt, SampleLake};
use serde_json::Value;

fn lake_parquet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lake-parquet")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn export(lake: &Path, out: &Path, more: &[&str]) -> Output {
    lake_parquet(&[&[lake.to_str().unwrap(), out.to_str().unwrap()], more].concat())
}

fn json(lake: &Path, out: &Path, more: &[&str]) -> Value {
    let output = export(lake, out, &[more, &["--format", "json"]].concat());
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lake(dirt: &[Dirt], percent: u8) -> (tempfile::TempDir, AnswerKey) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = SampleLake::new().with_seed(7).with_nodes(60).with_dirt(dirt, percent);
    let key = recipe.write(folder.path()).unwrap();
    (folder, key)
}

#[test]
fn every_row_of_the_answer_key_is_written() {
    let ((lake, key), out) = (lake(&[], 0), tempfile::tempdir().unwrap());
    let export = json(lake.path(), out.path(), &[]);
    let rows = |ty: &Value| (ty["name"].as_str().unwrap().to_owned(), ty["rows"].as_u64().unwrap());
    let types = export["types"].as_array().unwrap();
    // Of one type the sample has objects without a byte.
    let (some, none): (Vec<_>, Vec<_>) = types.iter().partition(|ty| ty["rows"] != 0);
    assert!(none.iter().all(|ty| ty["folder"].is_null() && ty["files"] == 0), "{none:?}");
    let found: BTreeMap<_, _> = some.into_iter().map(rows).collect();
    let truth: BTreeMap<_, _> = key.types.iter().map(|(ty, it)| (ty.clone(), it.rows)).collect();
    assert_eq!(found, truth);
    assert_eq!(export["totals"]["rows"], truth.values().sum::<u64>());
    for file in export["files"].as_array().unwrap() {
        assert!(out.path().join(file.as_str().unwrap()).is_file(), "{file}");
    }
    assert!(out.path().join("_SUCCESS").is_file());
}

#[test]
fn what_was_lost_is_listed_and_is_no_clean_end() {
    let ((lake, key), out) = (lake(&Dirt::ALL, 10), tempfile::tempdir().unwrap());
    let export = json(lake.path(), out.path(), &[]);
    let lost = key.dirt.iter().filter(|dirt| dirt.data_lost).map(|dirt| (&*dirt.key, dirt.line));
    let mut expected: Vec<_> = lost.chain(key.not_data.iter().map(|key| (&**key, None))).collect();
    expected.retain(|(key, _)| !key.ends_with("/test.json"));
    expected.sort_unstable();
    let listed: Vec<_> = export["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lost| (lost["key"].as_str().unwrap(), lost["line"].as_u64()))
        .collect();
    assert_eq!(listed, expected);
    assert_eq!(export["totals"]["skipped"], expected.len());
}

#[test]
fn only_the_types_that_are_named_are_written() {
    let ((lake, _), out) = (lake(&[], 0), tempfile::tempdir().unwrap());
    let export = json(lake.path(), out.path(), &["--type", "AWS:Tag,AWS:PatchSummary"]);
    let folders: Vec<_> =
        export["types"].as_array().unwrap().iter().map(|it| &it["folder"]).collect();
    assert_eq!(folders, ["type=aws_patchsummary", "type=aws_tag"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 3, "and _SUCCESS");
}

#[test]
fn the_exit_code_says_whether_something_was_lost() {
    let lake = tempfile::tempdir().unwrap();
    let place = lake.path().join("AWS:Tag/accountid=011122223333/region=eu-west-1");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("i-0a.json"), r#"{"Key":"Name","Value":"web"}"#).unwrap();
    let run = |out: &Path| export(lake.path(), out, &[]);
    let out = tempfile::tempdir().unwrap();
    let clean = run(&out.path().join("new"));
    assert_eq!(clean.status.code(), Some(0), "{}", text(&clean.stderr));
    fs::write(place.join("i-0b.json"), "{\"Key\":\"Na").unwrap();
    let lost = run(&out.path().join("next"));
    assert_eq!(lost.status.code(), Some(1));
    assert!(text(&lost.stdout).contains("i-0b.json"));
}

#[test]
fn bad_usage_ends_with_2_and_writes_nothing() {
    let ((lake, _), folder) = (lake(&[], 0), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (full, new, empty, missing) = (path("full"), path("new"), path("empty"), path("missing"));
    fs::create_dir(&full).unwrap();
    fs::write(folder.path().join("full/mine"), "x").unwrap();
    fs::create_dir(&empty).unwrap();
    let lake = lake.path().to_str().unwrap();
    let within = format!("{lake}/out/deeper");
    for (arguments, why) in [
        (&[lake][..], "<OUT>"),
        (&[lake, &full], "holds something already"),
        (&[lake, &within], "is in"),
        (&[lake, lake], "is in"),
        (&[&missing, &new], "missing"),
        (&[&empty, &new], "AWS:Application/accountid="),
        (&["gs://bucket/x", &new], "gs:"),
        (&[lake, &new, "--region", "eu-west-1"], "s3://"),
        (&[lake, &new, "--format", "csv"], "json"),
    ] {
        let output = lake_parquet(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
    assert_eq!(fs::read_dir(folder.path().join("full")).unwrap().count(), 1);
    assert!(!Path::new(&within).exists());
    let left = fs::read_dir(&new).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "no export of nothing is marked as whole");
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_bucket_without_the_feature_names_the_feature() {
    let output = lake_parquet(&["s3://bucket/prefix", "out"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--features s3"));
}

#[test]
fn the_table_is_the_golden_one() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = SampleLake::new().with_seed(7).with_nodes(60).with_dirt(&Dirt::ALL, 3);
    recipe.write(&folder.path().join("lake")).unwrap();
    // One worker writes one file a partition.
    let output = Command::new(env!("CARGO_BIN_EXE_lake-parquet"))
        .args(["lake", "out", "--workers", "1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    insta::assert_snapshot!(text(&output.stdout));
}
