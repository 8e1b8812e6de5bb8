//! `fleet-sql` as its users run it.

#![cfg(feature = "sql")]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use patchkit_testkit::lake::{AnswerKey, Dirt, SampleLake};
use serde_json::{Value, json};

fn fleet_sql(lake: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-sql"));
    command.arg(lake).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The rows of a query that lost nothing but the objects without a byte, which every lake has.
fn rows(lake: &Path, sql: &str) -> Vec<Value> {
    let output = fleet_sql(lake, &[sql, "--format", "json"]);
    assert_ne!(output.status.code(), Some(2), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn lake(dirt: &[Dirt], percent: u8) -> (tempfile::TempDir, AnswerKey) {
    let folder = tempfile::tempdir().unwrap();
    let recipe = SampleLake::new().with_seed(11).with_nodes(150).with_prefix("sync/prod");
    let key = recipe.with_dirt(dirt, percent).write(folder.path()).unwrap();
    (folder, key)
}

/// A lake of one node and the rows of its tags.
fn one_node(tags: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (ty, rows) in
        [("AWS:InstanceInformation", r#"{"InstanceStatus":"Active"}"#), ("AWS:Tag", tags)]
    {
        let place = folder.path().join(ty).join("accountid=011122223333/region=eu-west-1");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("i-0a.json"), rows).unwrap();
    }
    folder
}

const GROUPS: &str = "SELECT account_id AS account, region, sum(compliant) AS compliant, \
    sum(non_compliant) AS non_compliant, sum(unknown) AS unknown, sum(stopped) AS stopped, \
    sum(terminated) AS terminated FROM compliance_by_group GROUP BY 1, 2 ORDER BY 1, 2";

fn expected_groups(key: &AnswerKey) -> Vec<Value> {
    let group = |it: &patchkit_testkit::lake::GroupAnswer| {
        json!({
            "account": it.account, "region": it.region, "compliant": it.compliant,
            "non_compliant": it.non_compliant, "unknown": it.unknown,
            "stopped": it.not_live.stopped, "terminated": it.not_live.terminated,
        })
    };
    key.counts_of(|_| true).iter().map(group).collect()
}

#[test]
fn the_groups_are_the_answer_keys() {
    let (folder, key) = lake(&[], 0);
    assert_eq!(rows(folder.path(), GROUPS), expected_groups(&key));
}

#[test]
fn dirt_that_loses_nothing_changes_no_answer() {
    let harmless: Vec<_> = Dirt::ALL.into_iter().filter(|dirt| !dirt.loses_data()).collect();
    let (folder, key) = lake(&harmless, 30);
    assert_eq!(rows(folder.path(), GROUPS), expected_groups(&key));
    let old = "SELECT DISTINCT node_id FROM applications WHERE is_live AND name ILIKE 'openssl%' \
               AND version_below(platform_name, epoch, version, release, '3.0.7')";
    assert_eq!(rows(folder.path(), old).len(), key.openssl.nodes.len());
}

#[test]
fn every_node_has_the_verdict_of_the_report() {
    let (folder, _) = lake(&Dirt::ALL, 15);
    let report = Command::new(env!("CARGO_BIN_EXE_fleet-report"))
        .arg(folder.path())
        // A quick report reads no items, as the view does not.
        .args(["--quick", "--by", "account,region,patch_group", "--format", "json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let sql = "SELECT account_id, region, patch_group, status, count(*) AS nodes \
               FROM patch_compliance WHERE liveness NOT IN ('stopped', 'terminated') \
               GROUP BY 1, 2, 3, 4";
    let place = |row: &Value, names: [&str; 3]| names.map(|name| row[name].to_string());
    let mut found: BTreeMap<_, u64> = BTreeMap::new();
    for row in rows(folder.path(), sql) {
        let place = place(&row, ["account_id", "region", "patch_group"]);
        let status = row["status"].as_str().unwrap().to_owned();
        found.insert((place, status), row["nodes"].as_u64().unwrap());
    }
    let mut told = BTreeMap::new();
    for group in report["groups"].as_array().unwrap() {
        for status in ["compliant", "non_compliant", "unknown"] {
            let nodes = group[status].as_u64().unwrap();
            if nodes > 0 {
                let place = place(group, ["account", "region", "patch_group"]);
                told.insert((place, status.to_owned()), nodes);
            }
        }
    }
    assert!(told.len() > 10, "{report}");
    assert_eq!(found, told);
}

#[test]
fn a_table_is_the_golden_one() {
    let (folder, _) = lake(&[], 0);
    let output = fleet_sql(folder.path(), &[GROUPS]);
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn without_a_query_the_views_are_explained() {
    let output = fleet_sql(Path::new("anywhere"), &[]);
    assert!(output.status.success());
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn text_of_nodes_steers_no_terminal_and_no_spreadsheet() {
    let tags = one_node("{\"Key\":\"=cmd()\",\"Value\":\"a\\u001b[2J\\u202e\"}\n");
    let sql = "SELECT key, value, 1 AS one, CAST(NULL AS VARCHAR) AS nothing FROM aws_tag";
    for format in ["table", "csv", "json"] {
        let output = fleet_sql(tags.path(), &[sql, "--format", format]);
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        if format == "csv" {
            assert_eq!(shown, "key,value,one,nothing\n'=cmd(),a\\u{1b}[2J\\u{202e},1,\n");
        }
    }
    let [row] = &rows(tags.path(), sql)[..] else { panic!("one row") };
    let expected =
        json!({ "key": "=cmd()", "value": "a\u{1b}[2J\u{202e}", "one": 1, "nothing": null });
    assert_eq!(*row, expected);
}

#[test]
fn a_file_is_there_when_it_is_whole() {
    let tags = one_node(&"{\"Key\":\"a\",\"Value\":\"b\"}\n".repeat(2_000));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tags.parquet");
    let arguments = ["--format", "parquet", "--output", file.to_str().unwrap()];
    let bad = fleet_sql(tags.path(), &[&["SELECT no FROM aws_tag"], &arguments[..]].concat());
    assert_eq!((bad.status.code(), fs::read_dir(folder.path()).unwrap().count()), (Some(2), 0));
    let good = fleet_sql(tags.path(), &[&["SELECT * FROM aws_tag"], &arguments[..]].concat());
    assert!(good.status.success(), "{}", text(&good.stderr));
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    let none = fleet_sql(tags.path(), &["SELECT 1", "--format", "parquet"]);
    assert!(text(&none.stderr).contains("--output"));
}

#[test]
fn what_was_lost_is_told_and_is_the_exit_code() {
    let tags = one_node("{\"Key\":\"a\"}\nnonsense\n");
    let output = fleet_sql(tags.path(), &["SELECT key FROM aws_tag", "--format", "csv"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), "key\na\n"));
    let told = text(&output.stderr);
    assert!(told.contains("i-0a.json line 2: not JSON"), "{told}");
    // What a query did not read it cannot have lost.
    let nodes = fleet_sql(tags.path(), &["SELECT count(*) FROM nodes"]);
    assert_eq!(nodes.status.code(), Some(0));
}

#[test]
fn rows_are_cut_where_they_are_told_to_be() {
    let tags = one_node(&"{\"Key\":\"a\"}\n".repeat(50));
    let arguments = ["SELECT key FROM aws_tag", "--format", "csv", "--max-rows", "3"];
    let output = fleet_sql(tags.path(), &arguments);
    assert_eq!(text(&output.stdout), "key\na\na\na\n");
    assert!(text(&output.stderr).contains("more rows than 3"));
    let all = fleet_sql(tags.path(), &["SELECT key FROM aws_tag LIMIT 3", "--format", "csv"]);
    assert!(all.stderr.is_empty());
}

#[test]
fn a_query_that_cannot_be_answered_says_where_and_what_would_help() {
    let tags = one_node("{\"Key\":\"a\"}\n");
    let wrong = |arguments: &[&str]| {
        let output = fleet_sql(tags.path(), arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        text(&output.stderr).to_owned()
    };
    assert!(wrong(&["SELECT colour FROM nodes"]).contains("line 1, column 8"));
    assert!(wrong(&["DROP TABLE aws_tag"]).starts_with("error: "));
    assert!(wrong(&["COPY aws_tag TO 'x.csv'"]).starts_with("error: "));
    let big = "SELECT value FROM generate_series(1, 3000000) ORDER BY value % 7";
    assert!(wrong(&[big, "--memory", "1", "--format", "csv"]).contains("--memory"));
    let slow = "SELECT count(*) FROM generate_series(1, 900000000000)";
    assert!(wrong(&[slow, "--timeout", "1"]).contains("--timeout"));
    assert!(wrong(&["SELECT key, key FROM aws_tag", "--format", "json"]).contains("key"));
}

/// The lake, a snapshot of it and an export of it.
#[cfg(all(feature = "parquet", feature = "snapshot"))]
#[test]
fn a_lake_its_snapshot_and_its_export_have_the_same_answers() {
    for dirt in [&[][..], &Dirt::ALL] {
        let (lake, _) = lake(dirt, 20);
        let folder = tempfile::tempdir().unwrap();
        let [kept, out] = ["kept", "out"].map(|name| folder.path().join(name));
        let snapshot = fleet_sql(
            lake.path(),
            &["SELECT 1", "--snapshot", kept.to_str().unwrap(), "--format", "csv"],
        );
        assert_eq!(text(&snapshot.stdout), "Int64(1)\n1\n", "{}", text(&snapshot.stderr));
        let mut export = Command::new(env!("CARGO_BIN_EXE_lake-parquet"));
        let export = export.args([lake.path(), &out]).output().unwrap();
        assert!(out.join("_SUCCESS").is_file(), "{}", text(&export.stderr));
        for query in [
            GROUPS,
            "SELECT node_id, liveness, platform_name FROM nodes ORDER BY 1",
            "SELECT node_id, status, level, source FROM last_verdicts ORDER BY 1",
            "SELECT state, status, count(*) AS patches FROM patches GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT node_id, name, version FROM applications WHERE name ILIKE 'openssl%' \
             AND version_below(platform_name, epoch, version, release, '3.0.7') ORDER BY 1, 2, 3",
        ] {
            let expected = rows(lake.path(), query);
            assert!(!expected.is_empty(), "{query}");
            assert_eq!(rows(&kept, query), expected, "{query}");
            assert_eq!(rows(&out, query), expected, "{query}");
        }
        let problems = "SELECT kind, count(*) AS n FROM lake_problems GROUP BY 1 ORDER BY 1";
        let told = rows(lake.path(), problems);
        assert_eq!(rows(&kept, problems), told);
        let unknown = fleet_sql(&out, &[problems]);
        assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown.stdout));
        assert!(text(&unknown.stderr).contains("not known"), "{}", text(&unknown.stderr));
        let note = fleet_sql(&out, &["SELECT 1"]);
        assert!(text(&note.stderr).contains("does not tell what was lost"));
    }
}

#[cfg(feature = "snapshot")]
#[test]
fn a_snapshot_that_is_damaged_is_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifest"), "patchkit-lake-snapshot 1 x\n{}").unwrap();
    let output = fleet_sql(folder.path(), &["SELECT 1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("damaged"), "{}", text(&output.stderr));
    let mixed = fleet_sql(folder.path(), &["SELECT 1", "--snapshot", "elsewhere"]);
    assert!(text(&mixed.stderr).contains("--snapshot is for lakes"), "{}", text(&mixed.stderr));
    // Whatever else is called so is nobody's snapshot.
    fs::write(folder.path().join("manifest"), "mine").unwrap();
    assert_eq!(fleet_sql(folder.path(), &["SELECT 1"]).status.code(), Some(0));
}
