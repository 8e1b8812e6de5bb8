//! An object never panics, gives the same in one piece as in many, and accounts for every line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchkit_inventory::{InventoryRecord, ObjectReader, ObjectReading, RowSink};

const KEY: &str = "AWS:PatchSummary/accountid=111122223333/region=eu-west-1/i-0a.json";

#[derive(Default)]
struct Rows(Vec<(u64, usize)>);

impl RowSink for Rows {
    fn row(&mut self, line: u64, row: &InventoryRecord<'_>) {
        for field in row.fields() {
            let _ = (row.text(&field.name), row.count(&field.name), row.time(&field.name));
        }
        self.0.push((line, row.fields().len()));
    }
}

fn read(bytes: &[u8], piece: usize) -> (Vec<(u64, usize)>, ObjectReading) {
    let key = KEY.parse().expect("the key is a key");
    let mut reader = ObjectReader::new(KEY, &key);
    let mut rows = Rows::default();
    for piece in bytes.chunks(piece.max(1)) {
        reader.feed(piece, &mut rows);
    }
    let reading = reader.finish(&mut rows);
    (rows.0, reading)
}

fuzz_target!(|bytes: &[u8]| {
    let (rows, reading) = read(bytes, bytes.len());
    assert_eq!((&rows, &reading), (&read(bytes, 3).0, &read(bytes, 3).1));
    assert_eq!(reading.reading.bytes, bytes.len() as u64);
    assert_eq!(reading.reading.rows, rows.len() as u64);
    let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
    for (line, _) in rows {
        assert!(line <= lines);
    }
});
