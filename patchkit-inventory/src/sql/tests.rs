use std::{fs, time::Duration};

use datafusion::arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type, SchemaRef},
    util::display::{ArrayFormatter, FormatOptions},
};
use futures::StreamExt;
use jiff::Timestamp;
use patchkit_core::{ErrorKind, VirtualClock};
use tempfile::TempDir;

use super::*;
use crate::{ColumnKind, LakeReading, LocalSource, RepairReason, View};

/// A lake of objects, each with its type, account, node and rows.
fn lake(objects: &[(&str, &str, &str, &str)]) -> TempDir {
    let lake = tempfile::tempdir().unwrap();
    for (ty, account, node, rows) in objects {
        let folder = lake.path().join(format!(
            "{ty}/accountid={account}/region=eu-west-1/resourcetype=ManagedInstanceInventory"
        ));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{node}.json")), rows).unwrap();
    }
    lake
}

const A: &str = "011122223333";
const B: &str = "444455556666";

fn active(node: &'static str) -> (&'static str, &'static str, &'static str, &'static str) {
    (
        "AWS:InstanceInformation",
        A,
        node,
        r#"{"InstanceStatus":"Active","ResourceType":"EC2Instance","PlatformName":"Red Hat","captureTime":"2026-01-01T00:00:00Z"}"#,
    )
}

fn open(lake: &TempDir) -> FleetSql {
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let clock = Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH));
    FleetSql::open(source, clock).unwrap()
}

async fn ask(lake: &TempDir, sql: &str) -> (Vec<Vec<String>>, LakeReading) {
    let answer = open(lake).query(sql, QueryLimits::default()).await.unwrap();
    let (batches, reading) = answer.collect().await.unwrap();
    (batches.iter().flat_map(rows).collect(), reading)
}

fn rows(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("null");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
    (0..batch.num_rows()).map(row).collect()
}

async fn refusal(sql: &str, limits: QueryLimits) -> patchkit_core::Error {
    let lake = lake(&[active("i-0a")]);
    match open(&lake).query(sql, limits).await {
        Ok(answer) => answer.collect().await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_has_the_columns_it_is_documented_with() {
    let lake = lake(&[active("i-0a")]);
    let sql = open(&lake);
    for view in View::ALL {
        let query = format!("SELECT * FROM {}", view.name());
        let answer = sql.query(&query, QueryLimits::default()).await.unwrap();
        let schema = answer.schema();
        let found: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| {
                let kind = match field.data_type() {
                    DataType::Int64 => ColumnKind::Integer,
                    DataType::Boolean => ColumnKind::Boolean,
                    DataType::Timestamp(..) => ColumnKind::Time,
                    DataType::Utf8 | DataType::Utf8View => ColumnKind::Text,
                    other => panic!("{} of {} is {other}", field.name(), view.name()),
                };
                (field.name().as_str(), kind)
            })
            .collect();
        let told: Vec<_> = view.columns().iter().map(|it| (it.name, it.kind)).collect();
        assert_eq!(found, told, "{}", view.name());
        answer.collect().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_to_be_live_is_unknown() {
    let compliant =
        r#"{"ComplianceType":"Patch","Status":"COMPLIANT","ExecutionTime":"2026-01-01T00:00:00Z"}"#;
    let lake = lake(&[
        active("i-0a"),
        ("AWS:ComplianceSummary", A, "i-0a", compliant),
        ("AWS:InstanceInformation", A, "i-0b", r#"{"InstanceStatus":"Terminated"}"#),
        ("AWS:ComplianceSummary", A, "i-0b", compliant),
        ("AWS:ComplianceSummary", A, "i-0c", compliant),
        active("i-0d"),
        ("AWS:Application", A, "i-0e", ""),
    ]);
    let (rows, _) = ask(
        &lake,
        "SELECT node_id, liveness, is_live, status, last_status FROM patch_compliance ORDER BY 1",
    )
    .await;
    assert_eq!(
        rows,
        [
            ["i-0a", "active", "true", "compliant", "compliant"],
            ["i-0b", "terminated", "false", "unknown", "compliant"],
            ["i-0c", "unknown", "false", "unknown", "compliant"],
            ["i-0d", "active", "true", "unknown", "unknown"],
            ["i-0e", "unknown", "false", "unknown", "unknown"],
        ]
    );
    let (rows, _) = ask(
        &lake,
        "SELECT sum(compliant), sum(non_compliant), sum(unknown), sum(terminated) \
         FROM compliance_by_group",
    )
    .await;
    assert_eq!(rows, [["1", "0", "3", "1"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_cannot_be_read_says_nothing_good() {
    let summary = |more: &str| {
        format!(
            r#"{{"MissingCount":"0","FailedCount":"0"{more},"OperationEndTime":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let nodes = [
        ("i-0a", summary(r#","InstalledPendingRebootCount":"0""#)),
        ("i-0b", summary(r#","InstalledPendingRebootCount":"many""#)),
        ("i-0c", summary(r#","InstalledPendingRebootCount":"many","OtherNonCompliantCount":1"#)),
        ("i-0d", summary("")),
    ];
    // The first rows make the layout known, so that the others could be read the short way.
    let mut objects: Vec<_> = nodes.iter().map(|(node, _)| active(node)).collect();
    let texts: Vec<_> =
        nodes.iter().map(|(node, row)| (*node, format!("{row}\n{row}\n"))).collect();
    objects.extend(texts.iter().map(|(node, rows)| ("AWS:PatchSummary", A, *node, &**rows)));
    let lake = lake(&objects);
    let (rows, _) = ask(&lake, "SELECT node_id, status FROM patch_compliance ORDER BY 1").await;
    let expected = [
        ["i-0a", "compliant"],
        ["i-0b", "unknown"],
        ["i-0c", "non_compliant"],
        ["i-0d", "compliant"],
    ];
    assert_eq!(rows, expected);
    let (rows, reading) =
        ask(&lake, "SELECT DISTINCT other_fields FROM aws_patch_summary ORDER BY 1").await;
    assert_eq!(rows, [[r#"{"InstalledPendingRebootCount":"many"}"#], ["null"]]);
    assert_eq!(reading.repaired.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_run_the_worse_summary_counts_and_else_the_newer() {
    let patch = |missing: u8, start: &str, end: &str| {
        format!(
            r#"{{"MissingCount":"{missing}","FailedCount":"0","OperationStartTime":"{start}","OperationEndTime":"{end}"}}"#
        )
    };
    let summary = r#"{"ComplianceType":"Patch","Status":"NON_COMPLIANT","OverallSeverity":"critical","ExecutionTime":"2026-01-01T10:00:00Z"}"#;
    let one_run = patch(0, "2026-01-01T10:00:00Z", "2026-01-01T10:10:00Z");
    let later = patch(0, "2026-01-02T10:00:00Z", "2026-01-02T10:10:00Z");
    let no_time = r#"{"MissingCount":"0","FailedCount":"0"}"#;
    let lake = lake(&[
        active("i-0a"),
        ("AWS:ComplianceSummary", A, "i-0a", summary),
        ("AWS:PatchSummary", A, "i-0a", &one_run),
        active("i-0b"),
        ("AWS:ComplianceSummary", A, "i-0b", summary),
        ("AWS:PatchSummary", A, "i-0b", &later),
        active("i-0c"),
        ("AWS:ComplianceSummary", A, "i-0c", summary),
        ("AWS:PatchSummary", A, "i-0c", no_time),
        active("i-0d"),
        ("AWS:PatchSummary", A, "i-0d", r#"{"MissingCount":"x","FailedCount":"0"}"#),
    ]);
    let (rows, reading) =
        ask(&lake, "SELECT node_id, status, level, source FROM last_verdicts ORDER BY node_id")
            .await;
    assert_eq!(
        rows,
        [
            ["i-0a", "non_compliant", "CRITICAL", "AWS:ComplianceSummary"],
            ["i-0b", "compliant", "null", "AWS:PatchSummary"],
            ["i-0c", "non_compliant", "CRITICAL", "AWS:ComplianceSummary"],
            ["i-0d", "unknown", "null", "AWS:PatchSummary"],
        ]
    );
    let drift = RepairReason::TypeDrift("MissingCount".into());
    assert!(reading.repaired.entries().iter().any(|it| it.reason == drift));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_resource_types_are_two_columns() {
    let lake = lake(&[active("i-0a")]);
    let (rows, _) = ask(
        &lake,
        "SELECT partition_resource_type, resource_type, account_id FROM aws_instance_information",
    )
    .await;
    assert_eq!(rows, [["ManagedInstanceInventory", "EC2Instance", A]]);
}

const APPLICATIONS: &str = "{\"Name\":\"openssl-libs\",\"Version\":\"3.0.2\",\"Epoch\":\"1\"}\n\
    {\"Name\":\"\\u006fpenssl\",\"Version\":\"3.0.10\"}\n\
    {\"Name\" : \"OpenSSL\",\"Version\":\"1.1\"}\n{\"Name\":\"bash\",\"Version\":\"5\"}\n";

#[tokio::test(flavor = "multi_thread")]
async fn only_objects_are_read_that_the_filters_take() {
    let lake = lake(&[
        ("AWS:Application", A, "i-0a", APPLICATIONS),
        ("AWS:Application", B, "i-0b", APPLICATIONS),
        ("AWS:Application", B, "mi-0c", APPLICATIONS),
    ]);
    for (filter, objects, names) in [
        ("account_id = '444455556666'", 2, 8),
        ("account_id LIKE '0%' OR node_id = 'mi-0c'", 2, 8),
        ("region <> 'eu-west-1'", 0, 0),
        ("node_id IN ('i-0a') AND name = 'bash'", 1, 1),
        ("length(node_id) = 5", 1, 4),
    ] {
        let sql = format!("SELECT name FROM aws_application WHERE {filter}");
        let (rows, reading) = ask(&lake, &sql).await;
        assert_eq!((reading.total().objects, rows.len()), (objects, names), "{filter}");
        assert_eq!(reading.listed, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_have_the_name_are_passed_over_and_no_other() {
    let lake = lake(&[active("i-0a"), ("AWS:Application", A, "i-0a", APPLICATIONS)]);
    for (filter, found, passed) in [
        ("name LIKE 'openssl%'", vec!["openssl", "openssl-libs"], 1),
        ("starts_with(name, 'openssl')", vec!["openssl", "openssl-libs"], 1),
        ("name = 'openssl'", vec!["openssl"], 1),
        ("name ILIKE 'OPENSSL%'", vec!["OpenSSL", "openssl", "openssl-libs"], 1),
        ("name LIKE '%ssl'", vec!["openssl"], 0),
        ("name NOT LIKE 'o%'", vec!["OpenSSL", "bash"], 0),
        ("name = 'openssl' OR version = '5'", vec!["bash", "openssl"], 0),
    ] {
        // Through the view, where the filter goes past the join with the node.
        let sql = format!("SELECT name FROM applications WHERE {filter} ORDER BY name");
        let (rows, reading) = ask(&lake, &sql).await;
        assert_eq!(rows.concat(), found, "{filter}");
        assert_eq!(reading.types["AWS:Application"].passed_over, passed, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_compared_by_the_platforms_rules() {
    let lake = lake(&[active("i-0a"), ("AWS:Application", A, "i-0a", APPLICATIONS)]);
    let below = "SELECT name, version_below(platform_name, epoch, version, release, '3.0.7') \
                 FROM applications WHERE name LIKE 'openssl%' ORDER BY name";
    let (rows, _) = ask(&lake, below).await;
    assert_eq!(rows, [["openssl", "false"], ["openssl-libs", "true"]]);
    let none =
        "SELECT version_below('', '', 'unknown', '', '1'), version_below('', '', '1', '', NULL)";
    assert_eq!(ask(&lake, none).await.0, [["null", "null"]]);
    let bad = "SELECT version_below('', '', '1', '', 'soon')";
    let error = refusal(bad, QueryLimits::default()).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("soon"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_read_as_rows_spell_them() {
    let lake = lake(&[]);
    let sql = "SELECT iso_time('2026-07-29T03:01:15.250Z') > iso_time('2026-07-29T03:01:15Z'), \
               iso_time('2026-07-29T05:00:00+02:00') = iso_time('2026-07-29T03:00:00Z'), \
               iso_time('soon'), iso_time(NULL)";
    assert_eq!(ask(&lake, sql).await.0, [["true", "true", "null", "null"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_reading_is_let_through() {
    for sql in [
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE VIEW x AS SELECT 1",
        "DROP VIEW nodes",
        "DROP TABLE aws_tag",
        "INSERT INTO aws_tag VALUES ('a','b','c','d','e','f','g','h','i')",
        "DELETE FROM aws_tag",
        "UPDATE aws_tag SET value = 'x'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN ANALYZE INSERT INTO aws_tag SELECT * FROM aws_tag",
        "SET datafusion.execution.batch_size = 1",
        "PREPARE x AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "SELECT repeat('x', 2000000000)",
        "SELECT array_repeat(1, 2000000000)",
        "SELECT list_repeat(1, 2000000000)",
        "SELECT array_resize([1], 2000000000, 1)",
        "SELECT range(2000000000)",
        "SELECT generate_series(1, 2000000000)",
        "",
    ] {
        let error = refusal(sql, QueryLimits::default()).await;
        let kinds = [ErrorKind::InvalidInput, ErrorKind::Unsupported];
        assert!(kinds.contains(&error.kind()), "{sql}: {}", error.report());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_place() {
    let limits = QueryLimits::default();
    let error = refusal("SELECT node_id,\n  colour FROM nodes", limits).await;
    assert!(error.message().contains("line 2, column 3"), "{error}");
    let error = refusal("SELECT *\nFROM nodez", limits).await;
    assert!(error.message().contains("nodez"), "{error}");
    let error = refusal("SELECT 1 AS a b", limits).await;
    assert!(error.message().contains("line 1, column 15"), "{error}");
    let error = refusal("SELECT (1", limits).await;
    assert!(error.message().contains("at the end"), "{error}");
    let long = format!("SELECT '{}'", "x".repeat(MAX_QUERY_BYTES));
    assert_eq!(refusal(&long, limits).await.kind(), ErrorKind::InvalidInput);
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    assert_eq!(refusal(&deep, limits).await.kind(), ErrorKind::InvalidInput);
    let wide = |terms: usize| format!("SELECT 1{}", "+1".repeat(terms));
    assert_eq!(refusal(&wide(30_000), limits).await.kind(), ErrorKind::InvalidInput);
    let most = wide(shape::MAX_OPERATORS - 1);
    let rows = ask(&lake(&[]), &most).await.0;
    assert_eq!(rows, [[shape::MAX_OPERATORS.to_string()]]);
    let tables = format!("SELECT 1 FROM aws_tag a{}", ", aws_tag b".repeat(100));
    let error = refusal(&tables, limits).await;
    assert!(error.message().contains("tables"), "{error}");
    let ids = format!("SELECT 1 WHERE 'x' NOT IN ('x'{})", ", 'y'".repeat(9_000));
    assert!(ask(&lake(&[]), &ids).await.0.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_ends_the_query() {
    let sql = "SELECT value FROM generate_series(1, 4000000) ORDER BY value % 1000, value";
    let error = refusal(sql, QueryLimits::default().with_memory(1 << 20)).await;
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().to_lowercase().contains("memory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_when_its_time_is_up() {
    let lake = lake(&[]);
    let clock = Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH));
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let sql = FleetSql::open(source, Arc::clone(&clock) as _).unwrap();
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    let limits = QueryLimits::default().with_time(Duration::from_secs(30));
    let answer = sql.query(endless, limits).await.unwrap();
    let (answer, ()) = futures::join!(answer.collect(), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        clock.advance(Duration::from_secs(31));
    });
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("30 s"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_limit_are_not_asked_for() {
    let tags = "{\"Key\":\"a\",\"Value\":\"b\"}\n".repeat(50);
    let lake = lake(&[("AWS:Tag", A, "i-0a", &tags), ("AWS:Tag", A, "i-0b", &tags)]);
    let limits = QueryLimits::default().with_rows(7);
    let answer = open(&lake).query("SELECT * FROM aws_tag", limits).await.unwrap();
    let (batches, _) = answer.collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_is_told_and_costs_no_other_row() {
    let lake = lake(&[
        ("AWS:Tag", A, "i-0a", "{\"Key\":\"a\"}\nnonsense\n{\"Key\":\"b\",\"New\":1}\n"),
        ("AWS:Tag", A, "i-0b", ""),
        ("AWS:Network", A, "i-0b", "{\"Name\":\"x\"\n"),
    ]);
    fs::write(lake.path().join("stray.txt"), "x").unwrap();
    let (rows, reading) =
        ask(&lake, "SELECT a.key FROM aws_tag a JOIN aws_tag b USING (key)").await;
    assert_eq!(rows.len(), 2);
    let lost: Vec<_> = reading.skipped.entries().iter().map(|it| (&*it.key, it.line)).collect();
    let place = |ty, node| {
        format!(
            "{ty}/accountid={A}/region=eu-west-1/resourcetype=ManagedInstanceInventory/{node}.json"
        )
    };
    let (tags, empty) = (place("AWS:Tag", "i-0a"), place("AWS:Tag", "i-0b"));
    assert_eq!(lost, [(&*tags, Some(2)), (&*empty, None), ("stray.txt", None)]);
    assert_eq!((reading.skipped.total(), reading.repaired.total()), (3, 1));

    let sql = "SELECT object_key, line, kind, lines FROM lake_problems ORDER BY 1, 2";
    let (rows, reading) = ask(&lake, sql).await;
    let network = place("AWS:Network", "i-0b");
    assert_eq!(
        rows,
        [
            [&*network, "1", "lost", "1"],
            [&*tags, "2", "lost", "1"],
            [&*tags, "3", "repaired", "1"],
            [&*empty, "null", "lost", "null"],
            ["stray.txt", "null", "lost", "null"],
        ]
    );
    assert_eq!(reading.skipped.total(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_let_go_stops_the_reading() {
    let tags = "{\"Key\":\"a\",\"Value\":\"b\"}\n".repeat(200_000);
    let lake = lake(&[("AWS:Tag", A, "i-0a", &tags), ("AWS:Tag", B, "i-0b", &tags)]);
    let source: Arc<dyn ObjectSource> = Arc::new(LocalSource::open(lake.path()).unwrap());
    let clock = Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH));
    let sql = FleetSql::open(Arc::clone(&source), clock).unwrap();
    let mut answer = sql.query("SELECT key FROM aws_tag", QueryLimits::default()).await.unwrap();
    assert!(answer.next().await.unwrap().is_ok());
    drop(answer);
    drop(sql);
    let waited = async {
        while Arc::strong_count(&source) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_carry_their_meaning_and_associations_are_apart() {
    let items = concat!(
        r#"{"ComplianceType":"Patch","Id":"KB1","PatchState":"Missing","Severity":"Critical","InstalledTime":"1970-01-01T00:00:00Z"}"#,
        "\n",
        r#"{"ComplianceType":"patch","Id":"KB2","PatchState":"InstalledOther","Status":"COMPLIANT","InstalledTime":"2026-01-01T00:00:00Z"}"#,
        "\n",
        r#"{"ComplianceType":"Patch","Id":"KB3","PatchState":"QUANTUM"}"#,
        "\n",
        r#"{"ComplianceType":"Association","Id":"a-1","Status":"NON_COMPLIANT","DocumentName":"AWS-RunPatchBaseline"}"#,
    );
    let lake = lake(&[active("i-0a"), ("AWS:ComplianceItem", A, "i-0a", items)]);
    let sql = "SELECT patch_id, state, status, level, installed_at IS NULL FROM patches ORDER BY 1";
    let (rows, _) = ask(&lake, sql).await;
    assert_eq!(
        rows,
        [
            ["KB1", "MISSING", "non_compliant", "CRITICAL", "true"],
            ["KB2", "INSTALLED_OTHER", "compliant", "null", "false"],
            ["KB3", "QUANTUM", "unknown", "null", "true"],
        ]
    );
    let (rows, _) = ask(&lake, "SELECT association_id, status FROM associations").await;
    assert_eq!(rows, [["a-1", "non_compliant"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_types_have_tables_where_they_are_named() {
    let lake = lake(&[("Custom:Rack Row", A, "i-0a", r#"{"Rack":"7"}"#)]);
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let clock = Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH));
    let rack: InventoryType = "Custom:Rack Row".parse().unwrap();
    let sql = FleetSql::with_types(source, clock, [rack]).unwrap();
    let query = "SELECT other_fields FROM custom_rack_row";
    let (batches, _) =
        sql.query(query, QueryLimits::default()).await.unwrap().collect().await.unwrap();
    assert_eq!(rows(&batches[0]), [[r#"{"Rack":"7"}"#]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_counted_without_a_column() {
    let lake = lake(&[("AWS:Application", A, "i-0a", APPLICATIONS)]);
    let sql = open(&lake);
    let answer = sql.query("SELECT count(*) FROM aws_application", QueryLimits::default());
    let (batches, _) = answer.await.unwrap().collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().values(), &[4]);
    assert!(!batches[0].column(0).is_null(0));
}

#[cfg(feature = "parquet")]
mod export;
#[cfg(feature = "snapshot")]
mod kept;
