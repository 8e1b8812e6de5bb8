use futures::executor::block_on;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::{InventoryType, LocalSource, columns::table_schema};

fn lake(nodes: usize, rows: usize) -> tempfile::TempDir {
    let lake = tempfile::tempdir().unwrap();
    for node in 0..nodes {
        let account = 111_122_223_333_u64 + (node % 2) as u64;
        let folder = lake.path().join(format!("AWS:Tag/accountid={account}/region=eu-west-1"));
        fs::create_dir_all(&folder).unwrap();
        let rows: Vec<_> =
            (0..rows).map(|n| format!("{{\"Key\":\"k{n}\",\"Value\":\"v\"}}")).collect();
        fs::write(folder.join(format!("i-{node:04x}.json")), rows.join("\n")).unwrap();
    }
    lake
}

fn export(lake: &Path, out: &Path, options: ParquetOptions) -> Result<ParquetExport> {
    block_on(export_parquet(Arc::new(LocalSource::open(lake).unwrap()), out, options))
}

#[test]
fn every_row_is_in_its_partition_and_row_groups_end_with_nodes() {
    let (lake, out) = (lake(40, 300), tempfile::tempdir().unwrap());
    let options = ParquetOptions::default().with_group_rows(1_000.try_into().unwrap());
    let export = export(lake.path(), out.path(), options).unwrap();
    assert_eq!((export.rows, export.reading.total().rows), (12_000, 12_000));
    let mut rows = 0;
    for file in &export.files {
        let start = file.components().take(2).collect::<PathBuf>();
        let accounts = ["111122223333", "111122223334"];
        assert!(
            accounts
                .iter()
                .any(|it| start == Path::new("type=aws_tag").join(format!("account_id={it}")))
        );
        let reader = fs::File::open(out.path().join(file)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(reader).unwrap();
        assert!(reader.metadata().row_groups().iter().all(|group| group.num_rows() % 300 == 0));
        assert_eq!(reader.schema().field(0).name(), "node_id");
        rows += reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>();
    }
    assert_eq!(rows, 12_000);
    assert!(out.path().join(SUCCESS).exists());
}

#[test]
fn a_folder_with_anything_in_it_is_left_alone() {
    let (lake, out) = (lake(1, 1), tempfile::tempdir().unwrap());
    fs::write(out.path().join("mine"), "").unwrap();
    let error = export(lake.path(), out.path(), ParquetOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn a_name_out_of_a_key_leads_nowhere() {
    let lake = tempfile::tempdir().unwrap();
    let folder = lake.path().join("Custom:..%2F/accountid=111122223333/region=a=b..");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("i-0a.json"), "{\"a\":\"b\"}").unwrap();
    let out = tempfile::tempdir().unwrap();
    let export = export(lake.path(), out.path(), ParquetOptions::default()).unwrap();
    let folder = "type=custom_%2E%2E%252f/account_id=111122223333/region=a%3Db%2E%2E";
    assert!(export.files[0].starts_with(folder), "{:?}", export.files);
}

#[test]
fn texts_are_strings_to_whoever_reads_for_pyarrow_compares_no_views() {
    let (lake, out) = (lake(1, 1), tempfile::tempdir().unwrap());
    let export = export(lake.path(), out.path(), ParquetOptions::default()).unwrap();
    let reader = fs::File::open(out.path().join(&export.files[0])).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(reader).unwrap();
    assert_eq!(*reader.schema().field(0).data_type(), arrow_schema::DataType::Utf8);
}

#[test]
fn letters_beyond_ascii_stay_for_spark_reads_bytes_as_characters() {
    let ty = "Custom:Größe 1".parse().unwrap();
    assert_eq!(type_folder(&ty), "type=custom_größe%201");
}

#[test]
fn no_column_is_text_in_one_type_and_a_number_in_another() {
    let mut kinds = std::collections::BTreeMap::new();
    for ty in InventoryType::KNOWN {
        for field in table_schema(ty).fields() {
            let kind =
                kinds.entry(field.name().clone()).or_insert_with(|| field.data_type().clone());
            assert_eq!(kind, field.data_type(), "{} of {ty}", field.name());
        }
    }
}
