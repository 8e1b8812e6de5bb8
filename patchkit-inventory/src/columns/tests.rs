use arrow_array::{Array, Int64Array, RecordBatch, StringViewArray, cast::AsArray};
use futures::{TryStreamExt, executor::block_on};
use tempfile::TempDir;

use super::*;
use crate::{LakeReading, LocalSource, RepairReason};

/// A lake of objects of one node, each with its type and its bytes.
pub(super) fn lake(objects: &[(&str, &[u8])]) -> TempDir {
    let lake = tempfile::tempdir().unwrap();
    for (n, (ty, bytes)) in objects.iter().enumerate() {
        let folder = lake.path().join(format!(
            "{ty}/accountid=012345678901/region=ap-southeast-2/resourcetype=ManagedInstanceInventory"
        ));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("i-0a{n}.json")), bytes).unwrap();
    }
    lake
}

pub(super) fn read(
    lake: &TempDir,
    ty: &InventoryType,
    options: ColumnOptions,
) -> (Vec<RecordBatch>, LakeReading) {
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let mut reader = ColumnReader::new(source, ty, options);
    let batches = block_on((&mut reader).try_collect()).unwrap();
    (batches, reader.reading().unwrap().clone())
}

pub(super) fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column: &StringViewArray = batch.column_by_name(column).unwrap().as_string_view();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn a_row_is_a_row_of_its_type() {
    let row = br#"{"ComputerName":"web","ResourceType":"EC2Instance","IpAddress":"","captureTime":"2026-01-01T00:00:00Z","schemaVersion":"1.0","resourceId":"i-0a0","New":{"a":[1]},"Odd":"\"x"}"#;
    let lake = lake(&[("AWS:InstanceInformation", row)]);
    let (batches, reading) =
        read(&lake, &InventoryType::InstanceInformation, ColumnOptions::default());
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
    for (column, expected) in [
        ("account_id", Some("012345678901")),
        ("region", Some("ap-southeast-2")),
        ("node_id", Some("i-0a0")),
        ("partition_resource_type", Some("ManagedInstanceInventory")),
        ("computer_name", Some("web")),
        ("resource_type", Some("EC2Instance")),
        ("ip_address", None),
        ("agent_type", None),
        ("capture_time", Some("2026-01-01T00:00:00Z")),
        ("schema_version", Some("1.0")),
        ("other_fields", Some(r#"{"New":{"a":[1]},"Odd":"\"x"}"#)),
    ] {
        assert_eq!(texts(batch, column), [expected.map(str::to_owned)], "{column}");
    }
    assert_eq!(batch.schema(), table_schema(&InventoryType::InstanceInformation));
    assert_eq!(reading.repaired.total(), 2);
}

#[test]
fn a_number_that_is_none_is_null_and_told() {
    let rows = b"{\"MissingCount\":\"3\",\"FailedCount\":4}\n{\"MissingCount\":\"x\"}\n";
    let lake = lake(&[("AWS:PatchSummary", rows)]);
    let (batches, reading) = read(&lake, &InventoryType::PatchSummary, ColumnOptions::default());
    let numbers = |column: &str| -> Vec<Option<i64>> {
        let column: &Int64Array = batches[0].column_by_name(column).unwrap().as_primitive();
        column.iter().collect()
    };
    assert_eq!(numbers("missing_count"), [Some(3), None]);
    assert_eq!(numbers("failed_count"), [Some(4), None]);
    assert_eq!(batches[0].column_by_name("installed_count").unwrap().null_count(), 2);
    let drift = RepairReason::TypeDrift("MissingCount".into());
    assert!(reading.repaired.entries().iter().any(|entry| entry.reason == drift));
}

#[test]
fn a_type_that_nobody_documents_keeps_its_rows_whole() {
    let row = br#"{"Rack":"7","resourceId":"i-0a0","captureTime":"2026-01-01T00:00:00Z"}"#;
    let lake = lake(&[("Custom:Rack", row)]);
    let (batches, _) = read(&lake, &"Custom:Rack".parse().unwrap(), ColumnOptions::default());
    assert_eq!(texts(&batches[0], "capture_time"), [Some("2026-01-01T00:00:00Z".to_owned())]);
    let whole = r#"{"Rack":"7","captureTime":"2026-01-01T00:00:00Z"}"#;
    assert_eq!(texts(&batches[0], "other_fields"), [Some(whole.to_owned())]);
}

#[test]
fn only_what_is_wanted_is_made() {
    let lake = lake(&[
        ("AWS:Tag", b"{\"Key\":\"a\"}\n{\"Key\":\"b\"}\n{\"Key\":\"c\"}"),
        ("AWS:Tag", b"{\"Key\":\"d\"}"),
    ]);
    let scan = crate::ScanOptions::default().with_wanted(|key| key.node().resource() == "i-0a0");
    let options = ColumnOptions::default().with_scan(scan).with_columns(["key", "node_id", "none"]);
    let (batches, reading) =
        read(&lake, &InventoryType::Tag, options.with_batch_rows(2.try_into().unwrap()));
    assert_eq!((batches[0].num_columns(), reading.total().rows), (2, 3));
    let keys: Vec<_> = batches.iter().flat_map(|batch| texts(batch, "key")).flatten().collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let (batches, _) =
        read(&lake, &InventoryType::Tag, ColumnOptions::default().with_columns([""; 0]));
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 4);
}

#[test]
fn a_reader_that_is_let_go_stops_the_reading() {
    let rows = "{\"Key\":\"a\"}\n".repeat(100);
    let lake = lake(&[("AWS:Tag", rows.as_bytes())]);
    let source = Arc::new(LocalSource::open(lake.path()).unwrap());
    let options = ColumnOptions::default().with_batch_rows(1.try_into().unwrap());
    let mut reader = ColumnReader::new(Arc::clone(&source) as _, &InventoryType::Tag, options);
    assert!(block_on(reader.try_next()).unwrap().is_some());
    assert!(reader.reading().is_none());
    drop(reader);
    while Arc::strong_count(&source) > 1 {
        std::thread::yield_now();
    }
}
