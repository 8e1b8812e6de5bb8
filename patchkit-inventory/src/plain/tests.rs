use proptest::prelude::*;

use super::*;
use crate::{ObjectReader, ObjectReading, RowSink};

const KEY: &str = "AWS:PatchSummary/accountid=111122223333/region=eu-west-1/i-0a.json";

/// Every row with its line and its fields, and how many came the short way.
#[derive(Debug, Default)]
struct Seen {
    rows: Vec<(u64, Vec<(String, String)>)>,
    short: usize,
}

impl RowSink for Seen {
    fn row(&mut self, line: u64, row: &InventoryRecord<'_>) {
        let fields = row.fields().iter();
        let fields = fields.map(|field| (field.name.to_string(), format!("{:?}", field.value)));
        self.rows.push((line, fields.collect()));
    }

    fn plain_row(&mut self, line: u64, row: &PlainRow<'_>) {
        self.short += 1;
        self.row(line, &row.to_record());
    }
}

/// Reads an object in pieces: a line that comes in several is read the long way.
fn read(bytes: &[u8], piece: usize) -> (Seen, ObjectReading) {
    let mut reader = ObjectReader::new(KEY, &KEY.parse().unwrap());
    let mut seen = Seen::default();
    bytes.chunks(piece).for_each(|piece| reader.feed(piece, &mut seen));
    let reading = reader.finish(&mut seen);
    (seen, reading)
}

fn both(bytes: &[u8]) -> usize {
    let (short, short_reading) = read(bytes, bytes.len().max(1));
    let (long, long_reading) = read(bytes, 1);
    assert_eq!(short.rows, long.rows, "{:?}", String::from_utf8_lossy(bytes));
    assert_eq!(short_reading, long_reading, "{:?}", String::from_utf8_lossy(bytes));
    short.short
}

#[test]
fn rows_of_one_writer_are_read_the_short_way() {
    let row = |n: u32| format!("{{\"PatchGroup\":\"g\\\\{n}\",\"MissingCount\":\"{n}\"}}\n");
    let object: String = (0..100).map(row).collect::<Vec<_>>().concat();
    assert_eq!(both(object.as_bytes()), 99);
}

#[test]
fn layouts_that_alternate_are_all_known() {
    let rows = ["{\"PatchGroup\":\"a\"}\n", "{\"PatchGroup\":\"a\",\"BaselineId\":\"b\"}\n"];
    assert_eq!(both(rows.concat().repeat(50).as_bytes()), 98);
}

#[test]
fn a_carriage_return_is_told_and_costs_no_time() {
    assert_eq!(both("{\"PatchGroup\":\"a\"}\r\n".repeat(50).as_bytes()), 49);
    assert_eq!(both("{\"PatchGroup\":\"a\"}\n{\"PatchGroup\":\"b\"}\r".as_bytes()), 1);
}

#[test]
fn what_is_not_plain_is_read_the_long_way() {
    let plain = "{\"PatchGroup\":\"a\",\"MissingCount\":\"1\"}\n";
    for odd in [
        "{\"PatchGroup\":\"\\u0061\",\"MissingCount\":\"1\"}\n",
        "{\"PatchGroup\":\"\\ud800\",\"MissingCount\":\"1\"}\n",
        "{\"PatchGroup\":\"a\\x\",\"MissingCount\":\"1\"}\n",
        "{\"PatchGroup\":\"a\\\",\"MissingCount\":\"1\"}\n",
        "{\"PatchGroup\":\"a\",\"MissingCount\":1}\n",
        "{\"PatchGroup\":\"a\",\"MissingCount\":\"1\"} \n",
        "{\"PatchGroup\":\"a\tb\",\"MissingCount\":\"1\"}\n",
        "{\"PatchGroup\":\"a\",\"MissingCount\":\"1\"}{}\n",
        "{\"PatchGroup\":\"a\",\"MissingCount\":\"1\"\n",
        "{\"PatchGroup\":\"a\",\"PatchGroup\":\"1\"}\n",
        "{\"PatchGroup\":\"a\",\"New\":\"1\"}\n",
        "\n",
    ] {
        let rows = [plain, odd].concat();
        assert_eq!(both(rows.repeat(3).as_bytes()), 2, "{odd}");
    }
}

/// A line as writers write it, or nearly so.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        4 => Just("PatchGroup"),
        4 => Just("MissingCount"),
        4 => Just("resourceId"),
        1 => Just("missingcount"),
        1 => Just("New"),
        1 => Just("Patch\\u0047roup"),
    ];
    let value = prop_oneof![
        4 => "\"[a-c0-9é ]{0,3}\"",
        4 => Just("\"i-0a\"".to_owned()),
        3 => "\"(\\\\[\"\\\\/bfnrt]|a){0,3}\"",
        1 => "\"\\\\(u00e9|ud83d|x|u12)\"",
        1 => Just("null".to_owned()),
        1 => Just("3".to_owned()),
        1 => Just("{\"a\":[1]}".to_owned()),
    ];
    let colon = prop_oneof![9 => Just(":"), 1 => Just(" : ")];
    let fields = proptest::collection::vec((name, colon, value), 1..5);
    let end = prop_oneof![12 => Just("}"), 1 => Just("}\r"), 1 => Just("} "), 1 => Just(""),
        1 => Just("}\0"), 1 => Just("}{}")];
    let damage = prop_oneof![6 => Just(None), 1 => (any::<usize>(), any::<u8>()).prop_map(Some)];
    (fields, end, damage).prop_map(|(fields, end, damage)| {
        let fields: Vec<_> = fields.iter().map(|(n, c, v)| format!("\"{n}\"{c}{v}")).collect();
        let mut line = format!("{{{}{end}", fields.join(",")).into_bytes();
        if let Some((at, byte)) = damage {
            let at = at % line.len();
            line[at] = byte;
        }
        line
    })
}

proptest! {
    #[test]
    fn the_short_way_finds_what_the_long_way_finds(
        lines in proptest::collection::vec(line(), 1..6),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..40),
        mark in prop_oneof![5 => Just(""), 1 => Just("\u{feff}")],
    ) {
        // Few lines in many places: a layout must have been seen to be known.
        let lines: Vec<_> = order.iter().map(|at| at.get(&lines).clone()).collect();
        both(&[mark.as_bytes(), &lines.join(&b'\n')].concat());
    }

    #[test]
    fn what_rows_have_in_common_is_no_other_value(
        pool in proptest::collection::vec("([a-c]|\\\\[\"\\\\/n]){0,12}|[a-b]{0,40}", 1..4),
        objects in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 5), 1..12),
            1..5,
        ),
    ) {
        let line = |values: &Vec<prop::sample::Index>| {
            let fields = values.iter().zip(["Key", "Value", "resourceId", "captureTime", "schemaVersion"]);
            let field = |(at, name): (&prop::sample::Index, _)| format!("\"{name}\":\"{}\"", at.get(&pool));
            format!("{{{}}}", fields.map(field).collect::<Vec<_>>().join(","))
        };
        let (mut layouts, ty) = (Layouts::default(), InventoryType::Tag);
        let first = line(&objects[0][0]);
        layouts.learn(&first, &InventoryRecord::parse(&first).unwrap(), &ty);
        for rows in &objects {
            layouts.begin_object();
            for line in rows.iter().map(line) {
                let row = layouts.read(&line).map(|row| format!("{:?}", row.to_record()));
                let expected = InventoryRecord::parse(&line).unwrap();
                prop_assert_eq!(row, Some(format!("{expected:?}")), "{}", line);
                // What is cut is no row, whatever it has in common with others.
                prop_assert!(layouts.read(&line[..line.len() - 1]).is_none());
            }
        }
    }

    #[test]
    fn the_end_of_a_value_is_its_first_quote_or_backslash(rest in "[a!#\"\\\\\\[\\]é]{0,60}") {
        let expected = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'));
        prop_assert_eq!(find_end(rest.as_bytes()), expected);
        let rest = rest.replace(['"', '\\'], "b");
        prop_assert_eq!(find_end(rest.as_bytes()), None);
        prop_assert_eq!(find_end(format!("{rest}\"").as_bytes()), Some(rest.len()));
    }

    #[test]
    fn short_texts_are_compared_whole(a in "[ab]{0,20}", b in "[ab]{0,20}") {
        prop_assert_eq!(is_same(a.as_bytes(), b.as_bytes()), a == b);
        prop_assert!(is_same(a.as_bytes(), a.as_bytes()));
    }
}
