//! A lake, its snapshot and its export have the same answers.

use super::*;
use crate::{LakeSnapshot, SnapshotStore};

const PATCH_SUMMARY: &str = concat!(
    r#"{"MissingCount":"0","FailedCount":"many","InstalledCount":3.0,"OperationEndTime":"2026-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"MissingCount":2,"FailedCount":"0","New":[1,{"a":null}],"OperationEndTime":"2026-01-02T00:00:00Z","PatchGroup":"web"}"#,
);

const ITEMS: &str = concat!(
    r#"{"ComplianceType":"Patch","Id":"KB1","PatchState":"Missing","Severity":"Critical","captureTime":"2026-01-01T00:00:00Z"}"#,
    "\n",
    r#"{"ComplianceType":"Association","Id":"a-1","Status":"NON_COMPLIANT","DocumentName":""}"#,
);

fn clean() -> TempDir {
    lake(&[
        active("i-0a"),
        ("AWS:Application", A, "i-0a", APPLICATIONS),
        ("AWS:Application", B, "i-0b", APPLICATIONS),
        ("AWS:ComplianceItem", A, "i-0a", ITEMS),
        ("AWS:PatchSummary", A, "i-0a", r#"{"MissingCount":"0","FailedCount":"0"}"#),
        ("AWS:Tag", A, "i-0a", r#"{"Key":"PatchGroup","Value":"web"}"#),
        ("AWS:Tag", B, "i-0b", "{\"Key\":\"A\",\"Value\":\"1\"}\n{\"Value\":\"\",\"Key\":\"B\"}\n"),
        ("Custom:Rack Row", A, "i-0a", r#"{"Rack":"7","resourceId":"i-0a","Deep":{"a":[1]}}"#),
    ])
}

/// A lake with every kind of loss, in rows and objects.
fn dirty() -> TempDir {
    let lake = clean();
    let place = |ty: &str, node: &str| {
        let folder = lake.path().join(ty).join(format!("accountid={A}/region=eu-west-1"));
        fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{node}.json"))
    };
    let information = r#"{"InstanceStatus":"Active","PlatformName":"Ubuntu","Future":1}"#;
    fs::write(place("AWS:InstanceInformation", "i-0c"), information).unwrap();
    fs::write(place("AWS:PatchSummary", "i-0c"), PATCH_SUMMARY).unwrap();
    let tags = "\u{feff}{\"Key\":\"a\"}\r\nnonsense\n\n{\"Key\":\"b\",\"Value\":null,\"Key\":\"c\"}\n{\"Ke";
    fs::write(place("AWS:Tag", "i-0c"), tags).unwrap();
    fs::write(place("AWS:Application", "i-0c"), "{\"Name\":7,\"Version\":3.10}\n\0\0").unwrap();
    // No row names this node.
    fs::write(place("AWS:Network", "i-0d"), "").unwrap();
    fs::write(lake.path().join("stray.txt"), "x").unwrap();
    lake
}

async fn snapshot(lake: &TempDir) -> (FleetSql, TempDir) {
    let kept = tempfile::tempdir().unwrap();
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let store = || SnapshotStore::folder(kept.path()).unwrap();
    LakeSnapshot::open_or_rebuild(store(), source).await.unwrap();
    // As it is kept, and not as it was built.
    let snapshot = LakeSnapshot::open(store()).await.unwrap();
    let sql = FleetSql::over_snapshot(&snapshot, clock(), [rack()]).unwrap();
    (sql, kept)
}

fn clock() -> Arc<VirtualClock> {
    Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH))
}

fn rack() -> InventoryType {
    "Custom:Rack Row".parse().unwrap()
}

fn live(lake: &TempDir) -> FleetSql {
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    FleetSql::with_types(source, clock(), [rack()]).unwrap()
}

async fn told(sql: &FleetSql, query: &str) -> (Vec<Vec<String>>, LakeReading) {
    let answer = sql.query(query, QueryLimits::default()).await.unwrap();
    let (batches, reading) = answer.collect().await.unwrap();
    let mut rows: Vec<_> = batches.iter().flat_map(rows).collect();
    rows.sort_unstable();
    (rows, reading)
}

/// Every table, view and way to filter.
fn queries() -> Vec<String> {
    let tables = InventoryType::KNOWN.iter().map(columns::table_name);
    let views = View::ALL.iter().map(|view| view.name().to_owned());
    let tables = tables.chain(views).chain(["custom_rack_row".to_owned(), "lake_nodes".to_owned()]);
    let mut queries: Vec<_> = tables
        .map(|table| {
            if table == "lake_nodes" || View::named(&table).is_some() {
                return format!("SELECT * FROM {table}");
            }
            // Its fields have no order.
            format!("SELECT * EXCEPT (other_fields) FROM {table}")
        })
        .collect();
    for filter in [
        "account_id = '444455556666'",
        "node_id = 'i-0a' AND name = 'bash'",
        "name LIKE 'openssl%'",
        "starts_with(name, 'OpenSSL')",
        "name ILIKE '%SSL%' OR version = '3.10'",
        "region > 'eu'",
    ] {
        queries.push(format!("SELECT version, name FROM aws_application WHERE {filter}"));
        queries.push(format!("SELECT count(*) FROM applications WHERE {filter}"));
    }
    queries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_answers_as_its_lake() {
    for lake in [clean(), dirty()] {
        let (kept, _folder) = snapshot(&lake).await;
        let live = live(&lake);
        let mut found = 0;
        for query in queries() {
            let ((rows, reading), (again, kept)) =
                (told(&live, &query).await, told(&kept, &query).await);
            assert_eq!(again, rows, "{query}");
            assert_eq!((kept.listed, kept.ignored), (reading.listed, reading.ignored), "{query}");
            assert_eq!(kept.skipped.entries(), reading.skipped.entries(), "{query}");
            // What a lake passes over by its bytes it has not put right.
            let was_read = |it: &_| kept.repaired.entries().contains(it);
            assert!(reading.repaired.entries().iter().all(was_read), "{query}");
            if !query.contains("name LIKE") && !query.contains("starts_with") {
                assert_eq!(kept.repaired.total(), reading.repaired.total(), "{query}");
            }
            found += rows.len();
        }
        assert!(found > 60, "{found}");
        let problems = "SELECT * FROM lake_problems";
        assert_eq!(told(&kept, problems).await.0, told(&live, problems).await.0);
    }
}

/// What an export has: every row that could be read, and the nodes that these name.
#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread")]
async fn an_export_answers_as_its_lake_and_does_not_say_what_was_lost() {
    use datafusion::prelude::SessionContext;

    use crate::{
        Losses,
        parquet::{ParquetOptions, export_parquet},
    };

    for (lake, lost) in [(clean(), 0), (dirty(), 4)] {
        let out = tempfile::tempdir().unwrap();
        let source = Arc::new(LocalSource::open(lake.path()).unwrap());
        export_parquet(source, out.path(), ParquetOptions::default()).await.unwrap();
        let session = SessionContext::new();
        let url = out.path().to_str().unwrap();
        let export = FleetSql::over_export(&session, url, clock(), [rack()]).await.unwrap();
        let live = live(&lake);
        // No row names the node of which there is an empty object alone.
        let is_named = |row: &Vec<String>| !row.contains(&"i-0d".to_owned());
        for query in queries() {
            let expected: Vec<_> =
                told(&live, &query).await.0.into_iter().filter(is_named).collect();
            let counts_it = query.contains("compliance_by_group") && lost > 0;
            if !counts_it {
                assert_eq!(told(&export, &query).await.0, expected, "{query}");
            }
        }
        let limits = QueryLimits::default();
        let answer = export.query("SELECT 1", limits).await.unwrap();
        assert_eq!(answer.losses(), Losses::Unknown);
        let problems = export.query("SELECT * FROM lake_problems", limits).await.unwrap();
        let error = problems.collect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", error.report());
        let problems = told(&live, "SELECT kind FROM lake_problems WHERE kind = 'lost'").await;
        assert_eq!(problems.0.len(), lost);
        assert_eq!(live.query("SELECT 1", limits).await.unwrap().losses(), Losses::Told);
    }
}

#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_read_and_nothing_else() {
    use datafusion::prelude::SessionContext;

    use crate::parquet::{ParquetOptions, export_parquet};

    let (lake, out) = (clean(), tempfile::tempdir().unwrap());
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    export_parquet(source, out.path(), ParquetOptions::default()).await.unwrap();
    let url = out.path().to_str().unwrap();
    let export = FleetSql::over_export(&SessionContext::new(), url, clock(), []).await.unwrap();
    for sql in [
        format!("SELECT * FROM '{url}/type=aws_tag/'"),
        format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{url}'"),
        format!("COPY (SELECT 1) TO '{url}/x.parquet'"),
        "INSERT INTO aws_tag SELECT * FROM aws_tag".to_owned(),
        "DROP TABLE aws_tag".to_owned(),
        "SELECT repeat('x', 2000000000)".to_owned(),
    ] {
        let refused = match export.query(&sql, QueryLimits::default()).await {
            Ok(answer) => answer.collect().await.map(drop),
            Err(error) => Err(error),
        };
        let kind = refused.expect_err(&sql).kind();
        assert!(
            matches!(kind, ErrorKind::InvalidInput | ErrorKind::Unsupported),
            "{sql}: {kind:?}"
        );
    }
    let small = QueryLimits::default().with_memory(1 << 20);
    let big = "SELECT value FROM generate_series(1, 4000000) ORDER BY value % 1000, value";
    let error = export.query(big, small).await.unwrap().collect().await.unwrap_err();
    assert!(error.message().to_lowercase().contains("memory"), "{error}");
    let (session, url) = (SessionContext::new(), lake.path().to_str().unwrap());
    let error = FleetSql::over_export(&session, url, clock(), []);
    assert_eq!(error.await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_fields_of_a_snapshot_are_those_of_its_lake() {
    let lake = dirty();
    let (kept, _folder) = snapshot(&lake).await;
    let live = live(&lake);
    let mut found = 0;
    for table in ["aws_patch_summary", "aws_instance_information", "custom_rack_row"] {
        let query = format!("SELECT node_id, other_fields FROM {table}");
        let parsed = |rows: Vec<Vec<String>>| -> Vec<(String, serde_json::Value)> {
            let parsed = rows
                .into_iter()
                .map(|row| (row[0].clone(), serde_json::from_str(&row[1]).unwrap_or_default()));
            parsed.collect()
        };
        let (expected, kept) =
            (parsed(told(&live, &query).await.0), parsed(told(&kept, &query).await.0));
        found += expected.iter().filter(|(_, fields)| fields.is_object()).count();
        assert_eq!(kept, expected, "{table}");
    }
    assert_eq!(found, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_texts_are_many_is_read_in_batches_of_its_own() {
    let row = |at: u32| {
        format!(r#"{{"Key":"a key that is longer than a view {at}","Value":"{}"}}"#, at % 7)
    };
    let rows = (0..20_000).map(row).collect::<Vec<_>>().join("\n");
    let lake = lake(&[("AWS:Tag", A, "i-0a", &rows), ("AWS:Tag", B, "i-0b", "{\"Key\":\"b\"}")]);
    let (kept, _folder) = snapshot(&lake).await;
    let query = "SELECT count(*), count(DISTINCT key), min(key), sum(CAST(value AS BIGINT)), \
                 count(DISTINCT node_id) FROM aws_tag";
    let expected = told(&live(&lake), query).await.0;
    assert_eq!(expected[0][1], "20001");
    assert_eq!(told(&kept, query).await.0, expected);
    // What a batch keeps of the part's texts is counted for each batch.
    let limits = QueryLimits::default().with_memory(8 << 20);
    let sorted = "SELECT key FROM aws_tag ORDER BY key LIMIT 30000";
    let answer = kept.query(sorted, limits).await.unwrap();
    let (batches, _) = answer.collect().await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 20_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_without_its_lake_is_opened_and_not_refreshed() {
    let lake = clean();
    let (_, folder) = snapshot(&lake).await;
    let store = || SnapshotStore::folder(folder.path()).unwrap();
    let kept = LakeSnapshot::open(store()).await.unwrap();
    drop(lake);
    assert_eq!(kept.refresh().await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(store().holds_snapshot().await.unwrap());
    let sql = FleetSql::over_snapshot(&kept, clock(), []).unwrap();
    assert_eq!(told(&sql, "SELECT count(*) FROM applications").await.0, [["8"]]);

    fs::write(folder.path().join("manifest"), "patchkit-lake-snapshot 0 x\n").unwrap();
    let error = LakeSnapshot::open(store()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    fs::remove_file(folder.path().join("manifest")).unwrap();
    let error = LakeSnapshot::open(store()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!store().holds_snapshot().await.unwrap());
}
