//! `fleet-report` as its users run it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use patchkit_core::ComplianceStatus;
use patchkit_testkit::lake::{AnswerKey, Dirt, SampleLake};
use serde_json::Value;

const COMPLIANCE_TYPES: [&str; 3] =
    ["AWS:InstanceInformation", "AWS:ComplianceSummary", "AWS:PatchSummary"];

fn fleet_report(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet-report")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn report(lake: &Path, arguments: &[&str]) -> Output {
    fleet_report(&[&[lake.to_str().unwrap()], arguments].concat())
}

fn json(lake: &Path, arguments: &[&str]) -> Value {
    let output = report(lake, &[arguments, &["--format", "json"]].concat());
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lake() -> SampleLake {
    SampleLake::new().with_seed(11).with_nodes(150).with_prefix("sync/prod")
}

fn write(lake: &SampleLake) -> (tempfile::TempDir, AnswerKey) {
    let folder = tempfile::tempdir().unwrap();
    let key = lake.write(folder.path()).unwrap();
    (folder, key)
}

/// Asserts that the groups are the answer key's, and that the totals are their sums.
fn assert_groups(report: &Value, key: &AnswerKey) {
    let groups = report["groups"].as_array().unwrap();
    let truth = key.counts_of(|_| true);
    assert_eq!(groups.len(), truth.len());
    for (group, truth) in groups.iter().zip(&truth) {
        assert_eq!(group["account"], truth.account.as_str());
        assert_eq!(group["region"], truth.region.as_str());
        assert_eq!(group["compliant"], truth.compliant);
        assert_eq!(group["non_compliant"], truth.non_compliant);
        assert_eq!(group["unknown"], truth.unknown);
        assert_eq!(group["nodes"], truth.compliant + truth.non_compliant + truth.unknown);
        assert_eq!(group["not_live"], truth.not_live.stopped + truth.not_live.terminated);
    }
    for name in ["compliant", "non_compliant", "unknown", "nodes", "not_live"] {
        let sum: u64 = groups.iter().map(|group| group[name].as_u64().unwrap()).sum();
        assert_eq!(report["totals"][name], sum, "{name}");
    }
}

/// The objects without a byte, which every lake may have.
fn empty(key: &AnswerKey) -> impl Iterator<Item = &str> {
    key.not_data.iter().map(String::as_str).filter(|key| !key.ends_with("/test.json"))
}

#[test]
fn a_quick_report_reads_a_part_and_has_the_same_groups() {
    let (folder, key) = write(&lake());
    let report = json(folder.path(), &["--quick"]);
    assert_groups(&report, &key);
    assert!(report["read"].get("AWS:Application").is_none());
    assert!(report.get("most_missing").is_none());
}

#[test]
fn the_groups_are_the_answer_keys() {
    let (folder, key) = write(&lake());
    let report = json(folder.path(), &[]);
    assert_groups(&report, &key);
    let skipped: BTreeSet<_> =
        report["skipped"].as_array().unwrap().iter().map(|lost| lost["key"].as_str()).collect();
    assert_eq!(skipped, empty(&key).map(Some).collect());
    let stopped: u64 = key.groups.iter().map(|group| group.not_live.stopped).sum();
    assert_eq!(report["totals"]["not_live_by"]["stopped"], stopped);
    assert!(report.get("rows").is_none());
}

#[cfg(feature = "snapshot")]
#[test]
fn a_snapshot_changes_no_answer() {
    let (folder, key) = write(&lake().with_dirt(&Dirt::ALL, 5));
    let kept = tempfile::tempdir().unwrap();
    let with = ["--snapshot", kept.path().to_str().unwrap()];
    let questions: [&[&str]; 3] =
        [&[], &["--non-compliant", "--quick"], &["--app", "openssl*", "--below", "3.0.7"]];
    let same = || {
        for question in questions {
            let plain = json(folder.path(), question);
            assert_eq!(json(folder.path(), &[question, &with].concat()), plain);
        }
    };
    same();
    let object = key.nodes.iter().find_map(|node| {
        let path = folder.path().join(key.dirt.iter().find(|it| it.node != node.id)?.key.as_str());
        path.is_file().then_some(path)
    });
    fs::remove_file(object.unwrap()).unwrap();
    same();

    let manifest = kept.path().join("manifest");
    let torn = fs::read(&manifest).unwrap();
    fs::write(&manifest, &torn[..torn.len() / 2]).unwrap();
    let output = report(folder.path(), &with);
    assert!(text(&output.stderr).contains("the snapshot is damaged"), "{}", text(&output.stderr));
    same();
}

#[test]
fn dirt_that_loses_nothing_changes_no_answer() {
    let harmless: Vec<_> = Dirt::ALL.into_iter().filter(|dirt| !dirt.loses_data()).collect();
    let (folder, key) = write(&lake().with_dirt(&harmless, 30));
    let report = json(folder.path(), &[]);
    assert_groups(&report, &key);
    assert_eq!(report["totals"]["skipped"], empty(&key).count());
    assert!(report["totals"]["repaired"].as_u64().unwrap() > 50);
    let packages = json(folder.path(), &["--app", "openssl*", "--below", "3.0.7"]);
    assert_eq!(packages["rows"].as_array().unwrap().len() as u64, key.openssl.rows);
}

#[test]
fn what_was_lost_is_listed_and_nothing_else_is_lost() {
    let (folder, key) = write(&lake().with_dirt(&Dirt::ALL, 10));
    let report = json(folder.path(), &["--non-compliant"]);
    let listed: BTreeSet<(String, Option<u64>)> = report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lost| {
            assert!(!lost["reason"].as_str().unwrap().is_empty());
            (lost["key"].as_str().unwrap().to_owned(), lost["line"].as_u64())
        })
        .collect();
    let lossy = key.dirt.iter().filter(|dirt| dirt.data_lost);
    let expected: BTreeSet<_> = lossy
        .map(|dirt| (dirt.key.clone(), dirt.line))
        .chain(empty(&key).map(|key| (key.to_owned(), None)))
        .collect();
    assert_eq!(listed, expected);
    assert_eq!(report["totals"]["skipped"], expected.len());

    let hurt = key.nodes_with_loss(&COMPLIANCE_TYPES);
    let found: BTreeSet<_> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .filter(|id| !hurt.contains(id))
        .collect();
    let truth: BTreeSet<_> = key
        .nodes
        .iter()
        .filter(|node| {
            node.instance_status.is_live() && node.status == ComplianceStatus::NonCompliant
        })
        .map(|node| node.id.as_str())
        .filter(|id| !hurt.contains(id))
        .collect();
    assert_eq!(found, truth);
}

#[test]
fn packages_below_a_version_are_the_answer_keys() {
    let (folder, key) = write(&lake());
    let report = json(folder.path(), &["--app", "OPENSSL*", "--below", "3.0.7"]);
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len() as u64, key.openssl.rows);
    assert_eq!(report["totals"]["rows"], key.openssl.rows);
    let nodes: BTreeSet<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let truth: BTreeSet<_> = key.openssl.nodes.iter().map(String::as_str).collect();
    assert_eq!(nodes, truth);
    assert_eq!(report["packages"]["nodes"], truth.len());
    assert_groups(&report, &key);

    let all = json(folder.path(), &["--app", "openssl*", "--below", "3.0.7", "--all"]);
    let truth: u64 = key.nodes.iter().map(|node| node.old_openssl).sum();
    assert_eq!(all["rows"].as_array().unwrap().len() as u64, truth);
}

/// A lake of one live node and its packages.
fn packages(platform: &str, rows: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let info = format!(r#"{{"PlatformName":"{platform}","InstanceStatus":"Active"}}"#);
    for (ty, text) in [("AWS:InstanceInformation", info), ("AWS:Application", rows.join("\n"))] {
        let at = folder.path().join(ty).join("accountid=111122223333/region=eu-west-1");
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("i-0a.json"), text).unwrap();
    }
    folder
}

#[test]
fn a_version_that_cannot_be_compared_is_named_and_no_clean_end() {
    let folder = packages("Ubuntu", &[r#"{"Name":"tool","Version":"unknown"}"#]);
    let report = json(folder.path(), &["--app", "tool", "--below", "2"]);
    assert_eq!(report["rows"].as_array().unwrap().len(), 0);
    assert_eq!(report["packages"]["not_comparable"][0]["version"], "unknown");
    let output = self::report(folder.path(), &["--app", "tool", "--below", "2"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("1 packages more may be below"));
    let output = self::report(folder.path(), &["--app", "tool"]);
    assert_eq!(output.status.code(), Some(0), "a list of packages judges nothing");
}

#[test]
fn packages_are_compared_by_the_rules_of_their_system() {
    let row = r#"{"Name":"lib","Version":"1.0~rc1","Release":"","Epoch":"1"}"#;
    let count = |folder: &tempfile::TempDir, below| {
        json(folder.path(), &["--app", "l?b", "--below", below])["totals"]["rows"].as_u64()
    };
    for platform in ["Ubuntu", "Red Hat Enterprise Linux"] {
        let folder = packages(platform, &[row]);
        assert_eq!(count(&folder, "1.0"), Some(1), "~ is older on {platform}");
        assert_eq!(count(&folder, "0:1.0"), Some(0), "the epoch counts where it is given");
    }
}

#[test]
fn a_sheet_holds_no_formula_and_a_table_no_escape() {
    let row = r#"{"Name":"=cmd|' /C calc'!A1\u001b[2J","Version":"-1"}"#;
    let folder = packages("Windows", &[row]);
    let sheet = report(folder.path(), &["--app", "*", "--format", "csv"]);
    let mut sheet = csv::Reader::from_reader(&*sheet.stdout);
    let record = sheet.records().next().unwrap().unwrap();
    assert!(record[6].starts_with("'=cmd|"), "{record:?}");
    assert_eq!(&record[7], "'-1");
    let table = report(folder.path(), &["--app", "*"]);
    assert!(!text(&table.stdout).contains('\u{1b}'));
}

#[test]
fn the_sheet_has_a_line_for_each_group_or_row() {
    let (folder, key) = write(&lake());
    let read = |arguments: &[&str]| {
        let output = report(folder.path(), &[arguments, &["--format", "csv"]].concat());
        let mut sheet = csv::Reader::from_reader(&*output.stdout);
        let header = sheet.headers().unwrap().clone();
        let records: Vec<_> = sheet.records().collect::<Result<_, _>>().unwrap();
        (header, records)
    };
    let (header, groups) = read(&["--by", "region,patch_group"]);
    assert_eq!(&header[0], "region");
    assert_eq!(&header[1], "patch_group");
    let nodes: u64 = groups.iter().map(|group| group[5].parse::<u64>().unwrap()).sum();
    let truth: u64 =
        key.groups.iter().map(|group| group.compliant + group.non_compliant + group.unknown).sum();
    assert_eq!(nodes, truth);

    let (header, rows) = read(&["--non-compliant"]);
    assert_eq!(&header[0], "id");
    let truth: u64 = key.groups.iter().map(|group| group.non_compliant).sum();
    assert_eq!(rows.len() as u64, truth);
    let (_, rows) = read(&["--app", "openssl*", "--below", "3.0.7"]);
    assert_eq!(rows.len() as u64, key.openssl.rows);
}

#[test]
fn csv_and_json_name_the_same_fields() {
    let (folder, _) = write(&lake());
    for arguments in [&["--non-compliant"][..], &["--app", "openssl*"]] {
        let report = json(folder.path(), arguments);
        let fields: BTreeSet<String> =
            report["rows"][0].as_object().unwrap().keys().cloned().collect();
        let output = self::report(folder.path(), &[arguments, &["--format", "csv"]].concat());
        let mut sheet = csv::Reader::from_reader(&*output.stdout);
        let mut header: BTreeSet<String> =
            sheet.headers().unwrap().iter().map(str::to_owned).collect();
        header.remove("below");
        assert_eq!(header, fields);
    }
}

#[test]
fn by_names_the_groups_in_its_order() {
    let (folder, _) = write(&lake());
    let output = report(folder.path(), &["--by", "platform,account", "--format", "json"]);
    let platform = text(&output.stdout).find("\"platform\"").unwrap();
    assert!(platform < text(&output.stdout).find("\"account\"").unwrap());
    let report = json(folder.path(), &["--by", "baseline"]);
    assert!(report["groups"][0].get("account").is_none());
}

#[test]
fn the_exit_code_says_whether_something_is_wrong() {
    let (folder, _) = write(&lake());
    assert_eq!(report(folder.path(), &[]).status.code(), Some(1));
    let gone = ["--app", "no-such-package", "--below", "1"];
    assert_eq!(report(folder.path(), &gone).status.code(), Some(0));

    let folder = packages("Ubuntu", &[r#"{"Name":"bash","Version":"5"}"#]);
    assert_eq!(report(folder.path(), &[]).status.code(), Some(0), "unknown is not wrong");
    let at = folder.path().join("AWS:Tag/accountid=111122223333/region=eu-west-1");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("i-0a.json"), "{\"Key\":\"Na").unwrap();
    let lost = report(folder.path(), &[]);
    assert_eq!(lost.status.code(), Some(1), "data was lost");
    assert!(text(&lost.stdout).contains("AWS:Tag/accountid=111122223333"));
}

#[test]
fn bad_usage_ends_with_2_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let missing = folder.path().join("missing");
    for (arguments, why) in [
        (&[missing.to_str().unwrap()][..], "missing"),
        (&[file.to_str().unwrap()], "not a directory"),
        (&[empty], "AWS:InstanceInformation/accountid="),
        (&["gs://bucket/x"], "s3://bucket/prefix"),
        (&[empty, "--below", "3"], "--app"),
        (&[empty, "--all"], "--app"),
        (&[empty, "--app", "["], "--app"),
        (&[empty, "--app", "a", "--below", "new"], "no number"),
        (&[empty, "--app", "a", "--non-compliant"], "cannot be used with"),
        (&[empty, "--by", "color"], "patch_group"),
        (&[empty, "--region", "eu-west-1"], "s3://"),
        (&["--endpoint-url", "http://localhost:1"], "s3://"),
        (&[empty, "--format", "xml"], "json"),
    ] {
        let output = fleet_report(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_bucket_without_the_feature_names_the_feature() {
    let output = fleet_report(&["s3://bucket/prefix", "--region", "eu-west-1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--features s3"));
}

#[cfg(feature = "s3")]
#[test]
fn a_bucket_that_does_not_answer_is_bad_input() {
    let output = Command::new(env!("CARGO_BIN_EXE_fleet-report"))
        .args(["s3://bucket/prefix", "--endpoint-url", "http://127.0.0.1:9", "--region", "x"])
        .envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("s3://bucket/prefix"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (folder, _) = write(&lake());
    for format in ["table", "json", "csv"] {
        // More than a pipe holds, so that the writer is still at it when the reader is gone.
        let mut child = Command::new(env!("CARGO_BIN_EXE_fleet-report"))
            .arg(folder.path())
            .args(["--app", "*", "--all", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert!(output.stderr.is_empty(), "{format}: {}", text(&output.stderr));
    }
}

#[test]
fn without_a_lake_a_sample_is_reported_on_and_removed() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fleet-report"))
        .env("TMPDIR", temporary.path())
        .env("TMP", temporary.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("no LAKE was given: reporting on a sample lake"));
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    insta::assert_snapshot!(text(&output.stdout));
}
