use datafusion::prelude::SessionContext;

use super::*;
use crate::{
    ParquetLake,
    parquet::{ParquetOptions, SUCCESS, export_parquet},
};

/// Regions as nobody has them, whose letters a path, a URI or Hive would take for something else.
const REGIONS: [&str; 3] = ["eu-west-1", "a=b..%2F c", "é+&#?"];

/// A lake with two accounts, odd Regions, a custom type, and dirt that costs a row.
fn odd_lake() -> TempDir {
    let lake = tempfile::tempdir().unwrap();
    for (at, region) in REGIONS.iter().enumerate() {
        for account in [A, B] {
            let node = format!("i-0{at}{}", &account[..1]);
            for (ty, rows) in [
                (
                    "AWS:InstanceInformation",
                    r#"{"InstanceStatus":"Active","PlatformName":"Ubuntu","ComputerName":""}"#,
                ),
                ("AWS:Application", APPLICATIONS),
                ("AWS:Tag", "{\"Key\":\"PatchGroup\",\"Value\":\"web\"}\nno row\n"),
                (
                    "AWS:PatchSummary",
                    r#"{"MissingCount":"2","FailedCount":"x","OperationEndTime":"2026-01-01T00:00:00Z"}"#,
                ),
                ("AWS:ComplianceItem", COMPLIANCE_ITEM),
                ("Custom:RackRow", r#"{"Row":"7","Unit":3}"#),
            ] {
                let folder = lake
                    .path()
                    .join(format!("{ty}/accountid={account}/region={region}/resourcetype=X"));
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(format!("{node}.json")), rows).unwrap();
            }
        }
    }
    lake
}

const COMPLIANCE_ITEM: &str = r#"{"ComplianceType":"Patch","Id":"KB1","PatchState":"Missing","Status":"NON_COMPLIANT","ExecutionTime":"2026-01-01T00:00:00Z"}"#;

async fn exported(lake: &TempDir) -> (TempDir, SessionContext) {
    let out = tempfile::tempdir().unwrap();
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    export_parquet(source, out.path(), ParquetOptions::default()).await.unwrap();
    let context = SessionContext::new();
    let export = open_export(&context, &out).await.unwrap();
    export.register(&context).await.unwrap();
    (out, context)
}

async fn open_export(context: &SessionContext, out: &TempDir) -> Result<ParquetLake> {
    let spelled = ["Custom:RackRow".parse().unwrap()];
    ParquetLake::open(context, out.path().to_str().unwrap(), spelled).await
}

async fn ask_export(context: &SessionContext, sql: &str) -> (SchemaRef, Vec<Vec<String>>) {
    let frame = context.sql(sql).await.unwrap();
    // The engine's own, in which all types are what they come to.
    let schema = frame.clone().create_physical_plan().await.unwrap().schema();
    let mut found: Vec<_> = frame.collect().await.unwrap().iter().flat_map(rows).collect();
    found.sort_unstable();
    (schema, found)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_answers_like_its_lake() {
    let lake = odd_lake();
    let (_out, context) = exported(&lake).await;
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let clock = Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH));
    let custom: InventoryType = "Custom:RackRow".parse().unwrap();
    let fleet = FleetSql::with_types(source, clock, [custom.clone()]).unwrap();
    let tables = InventoryType::KNOWN.iter().chain([&custom]).map(columns::table_name);
    let views = View::ALL.iter().map(|view| view.name().to_owned());
    for name in tables.chain(views).chain(["lake_nodes".to_owned()]) {
        let sql = format!("SELECT * FROM {name}");
        let answer = fleet.query(&sql, QueryLimits::default()).await.unwrap();
        let told = answer.schema();
        let (batches, _) = answer.collect().await.unwrap();
        let mut expected: Vec<_> = batches.iter().flat_map(rows).collect();
        expected.sort_unstable();
        let (schema, found) = ask_export(&context, &sql).await;
        let columns = |schema: &SchemaRef| {
            let columns = schema.fields().iter();
            columns.map(|it| (it.name().clone(), it.data_type().clone())).collect::<Vec<_>>()
        };
        assert_eq!(columns(&schema), columns(&told), "{name}");
        assert_eq!(found, expected, "{name}");
        let is_empty = !["aws_instance_information", "aws_application", "aws_tag"]
            .into_iter()
            .chain(["aws_patch_summary", "aws_compliance_item", "custom_rack_row", "lake_nodes"])
            .chain(View::ALL.iter().map(View::name).filter(|it| *it != "associations"))
            .any(|it| it == name);
        assert_eq!(found.is_empty(), is_empty, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_pruned_by_account_and_region_and_read_by_column() {
    let lake = odd_lake();
    let (_out, context) = exported(&lake).await;
    for (filter, files, count) in [
        ("true", 6, "24"),
        ("account_id = '011122223333'", 3, "12"),
        ("region = 'a=b..%2F c'", 2, "8"),
        ("account_id LIKE '0%' AND region IN ('é+&#?', 'eu-west-1')", 2, "8"),
        ("account_id = '11122223333'", 0, "0"),
    ] {
        let sql = format!("SELECT name FROM aws_application WHERE {filter}");
        let frame = context.sql(&sql).await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        let plan = datafusion::physical_plan::displayable(&*plan).indent(true).to_string();
        assert_eq!(plan.matches(".parquet").count(), files, "{filter}: {plan}");
        if files > 0 {
            assert!(plan.contains("projection=[name]"), "{plan}");
        }
        let sql = format!("SELECT count(*) FROM aws_application WHERE {filter}");
        assert_eq!(ask_export(&context, &sql).await.1, [[count]], "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_broken_off_is_refused() {
    let lake = odd_lake();
    let (out, context) = exported(&lake).await;
    fs::remove_file(out.path().join(SUCCESS)).unwrap();
    assert_eq!(open_export(&context, &out).await.unwrap_err().kind(), ErrorKind::NotFound);
    let nowhere = ParquetLake::open(&context, "nowhere://at/all", []).await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::InvalidInput, "{nowhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_an_export_say_which_types_there_are() {
    let lake = odd_lake();
    let (out, context) = exported(&lake).await;
    for other in ["type=%FF", "type=notes", "lost+found"] {
        fs::create_dir(out.path().join(other)).unwrap();
        fs::write(out.path().join(other).join("x.parquet"), "x").unwrap();
    }
    let export = ParquetLake::open(&context, out.path().to_str().unwrap(), []).await.unwrap();
    let types: Vec<_> = export.types().map(InventoryType::as_str).collect();
    assert_eq!(types.len(), 6);
    assert!(types.contains(&"custom:rackrow"), "{types:?}");
    assert!(export.tables().unwrap().contains_key("custom_rackrow"));
    let mut others = export.other_folders().to_vec();
    others.sort_unstable();
    assert_eq!(others, ["lost+found", "type=%FF", "type=notes"]);
    // Every table is there already.
    assert_eq!(export.register(&context).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}
