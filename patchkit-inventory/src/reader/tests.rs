use proptest::prelude::*;

use super::{check::MAX_REASONS, *};

const KEY: &str = "AWS:Application/accountid=111122223333/region=eu-west-1/i-0a.json";

/// The rows that were read, each as its line and its text of `Name` or of the whole.
#[derive(Default)]
struct Rows(Vec<(u64, String)>);

impl RowSink for Rows {
    fn row(&mut self, line: u64, row: &InventoryRecord<'_>) {
        self.0.push((line, row.text("Name").unwrap_or("-").to_owned()));
    }
}

fn read_as(key: &str, pieces: &[&[u8]]) -> (Vec<(u64, String)>, ObjectReading) {
    let mut reader = ObjectReader::new(key, &key.parse().unwrap());
    let mut rows = Rows::default();
    for piece in pieces {
        reader.feed(piece, &mut rows);
    }
    let reading = reader.finish(&mut rows);
    (rows.0, reading)
}

fn read(bytes: impl AsRef<[u8]>) -> (Vec<(u64, String)>, ObjectReading) {
    read_as(KEY, &[bytes.as_ref()])
}

fn names(rows: &[(u64, String)]) -> Vec<&str> {
    rows.iter().map(|(_, name)| &**name).collect()
}

fn skips(reading: &ObjectReading) -> Vec<(Option<u64>, SkipReason)> {
    reading.skipped.entries().iter().map(|s| (s.line, s.reason.clone())).collect()
}

fn repairs(reading: &ObjectReading) -> Vec<(Option<u64>, RepairReason, u64)> {
    reading.repaired.iter().map(|r| (r.line, r.reason.clone(), r.lines)).collect()
}

#[test]
fn a_clean_object_has_no_findings() {
    let (rows, reading) = read("{\"Name\":\"a\"}\n{\"Name\":\"b\"}");
    assert_eq!(rows, [(1, "a".to_owned()), (2, "b".to_owned())]);
    assert_eq!((skips(&reading), repairs(&reading)), (vec![], vec![]));
    assert_eq!((reading.reading.rows, reading.reading.bytes), (2, 25));
}

#[test]
fn a_damaged_line_costs_no_other_line() {
    let (rows, reading) = read(
        "{\"Name\":\"a\"}\n<Error/>\n{\"Name\":\"b\"}\n[1]\n{\"Name\":\"c\"}x\n{\"Name\":\"d\"}\n{\"Name\":\"e",
    );
    assert_eq!(names(&rows), ["a", "b", "c", "d"]);
    assert_eq!(
        skips(&reading),
        [
            (Some(2), SkipReason::Malformed(1)),
            (Some(4), SkipReason::NotAnObject),
            (Some(5), SkipReason::Malformed(13)),
            (Some(7), SkipReason::Truncated),
        ]
    );
}

#[test]
fn a_byte_order_mark_does_not_cost_the_first_row() {
    let (rows, reading) = read("\u{feff}{\"Name\":\"a\"}\n{\"Name\":\"b\"}\n");
    assert_eq!(names(&rows), ["a", "b"]);
    assert_eq!(repairs(&reading), [(Some(1), RepairReason::ByteOrderMark, 1)]);
}

#[test]
fn cr_lf_and_blank_lines_are_counted_once_an_object() {
    let (rows, reading) = read("{\"Name\":\"a\"}\r\n  \r\n{\"Name\":\"b\"}\r\n\n");
    assert_eq!(rows, [(1, "a".to_owned()), (3, "b".to_owned())]);
    assert_eq!(
        repairs(&reading),
        [(Some(1), RepairReason::CarriageReturn, 3), (Some(2), RepairReason::BlankLine, 2)]
    );
}

#[test]
fn a_tail_of_nul_bytes_is_no_row() {
    let (rows, reading) = read([b"{\"Name\":\"a\"}\n".as_slice(), &[0; 512]].concat());
    assert_eq!(names(&rows), ["a"]);
    assert_eq!(repairs(&reading), [(Some(2), RepairReason::NulBytes, 1)]);
    let (rows, reading) = read(b"\0{\"Name\":\"a\"}\0\0");
    assert_eq!(names(&rows), ["a"]);
    assert_eq!(repairs(&reading), [(Some(1), RepairReason::NulBytes, 1)]);
    let (_, reading) = read(b"{\"Name\":\"a\0\0");
    assert_eq!((skips(&reading).len(), repairs(&reading).len()), (1, 0));
}

#[test]
fn bytes_that_are_not_utf_8_cost_the_character_and_not_the_row() {
    let (rows, reading) = read(b"{\"Name\":\"caf\xe9\"}\n{\"Name\":\"b\"}\n");
    assert_eq!(names(&rows), ["caf\u{fffd}", "b"]);
    assert_eq!(repairs(&reading), [(Some(1), RepairReason::NotUtf8, 1)]);
}

#[test]
fn damage_is_where_the_line_has_it_and_not_where_its_repair_has_it() {
    for (line, at) in [
        (b"{\"caf\xe9\":1,}".as_slice(), 11),
        (b"{\"\xe9\xe8\":\xe9}", 7),
        (b"{\"a\":\"\xf0\x9f\x98\"]", 11),
        ("{\"café\":1,}".as_bytes(), 12),
        (b"\xef\xbb\xbf{\"a\":1,}", 11),
        (b"\0\0{\"a\":1,}\0", 10),
        (b"\xff", 1),
    ] {
        let (_, reading) = read(line);
        assert_eq!(skips(&reading), [(Some(1), SkipReason::Malformed(at))], "{line:?}");
    }
}

#[test]
fn an_empty_object_is_listed() {
    assert_eq!(skips(&read("").1), [(None, SkipReason::EmptyObject)]);
    assert_eq!(skips(&read("\n \n").1), [(None, SkipReason::NoRow)]);
    assert_eq!(skips(&read("\u{feff}").1), [(None, SkipReason::NoRow)]);
}

#[test]
fn dirty_fields_are_listed_by_name_and_the_row_is_kept() {
    let (rows, reading) = read(concat!(
        r#"{"Name":"a","Version":3.1,"Release":null,"New":{"x":1},"schemaVersion":"1.1","schemaVersion":"9"}"#,
        "\n",
        r#"{"Name":"b","Version":3.2}"#,
        "\n",
        r#"{"Name":"c","Version":"3","resourceId":"i-0b"}"#,
    ));
    assert_eq!(names(&rows), ["a", "b", "c"]);
    assert_eq!(
        repairs(&reading),
        [
            (Some(1), RepairReason::TypeDrift("Version".into()), 2),
            (Some(1), RepairReason::NullField("Release".into()), 1),
            (Some(1), RepairReason::UnknownField("New".into()), 1),
            (Some(1), RepairReason::DuplicateField("schemaVersion".into()), 1),
            (Some(3), RepairReason::OtherResource, 1),
        ]
    );
}

#[test]
fn numbers_may_be_strings_and_strings_of_digits_may_be_numbers() {
    let key = "AWS:PatchSummary/accountid=111122223333/region=eu-west-1/i-0a.json";
    let (_, reading) =
        read_as(key, &[br#"{"MissingCount":"3","FailedCount":"","InstalledCount":"x"}"#]);
    assert_eq!(repairs(&reading), [(Some(1), RepairReason::TypeDrift("InstalledCount".into()), 1)]);
    assert_eq!(reading.native_number, None);
    let (_, reading) = read_as(key, &[br#"{"MissingCount":3}"#]);
    assert_eq!(repairs(&reading), []);
    assert_eq!(reading.native_number, Some((1, "MissingCount".into())));
}

#[test]
fn a_number_that_no_count_can_be_is_drift() {
    let key = "AWS:PatchSummary/accountid=111122223333/region=eu-west-1/i-0a.json";
    for value in [r#""-3""#, r#""1.5e1""#, r#""99999999999999999999""#, r#""NaN""#, "-3", "2.5"] {
        let row = format!(r#"{{"MissingCount":{value}}}"#);
        let (_, reading) = read_as(key, &[row.as_bytes()]);
        let drift = RepairReason::TypeDrift("MissingCount".into());
        assert_eq!(repairs(&reading), [(Some(1), drift, 1)], "{value}");
        assert_eq!(reading.native_number, None, "{value}");
    }
}

#[test]
fn fields_of_custom_types_are_nobodys_business() {
    let key = "Custom:Rack/accountid=111122223333/region=eu-west-1/i-0a.json";
    let (_, reading) = read_as(key, &[br#"{"Row":"7","Seat":"b"}"#]);
    assert_eq!(repairs(&reading), []);
}

#[test]
fn an_over_long_line_is_refused_and_the_next_one_read() {
    let mut reader = ObjectReader::new(KEY, &KEY.parse().unwrap());
    let mut rows = Rows::default();
    reader.feed(b"{\"Name\":\"a\"}\n{\"Name\":\"", &mut rows);
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..1_024 {
        reader.feed(&piece, &mut rows);
        assert!(reader.carry.capacity() <= 2 * MAX_LINE_BYTES);
    }
    reader.feed(b"\"}\n{\"Name\":\"b\"}\n", &mut rows);
    let reading = reader.finish(&mut rows);
    assert_eq!(rows.0, [(1, "a".to_owned()), (3, "b".to_owned())]);
    assert_eq!(skips(&reading), [(Some(2), SkipReason::TooLong(MAX_LINE_BYTES))]);
}

#[test]
fn a_failed_read_keeps_what_came_before() {
    let mut reader = ObjectReader::new(KEY, &KEY.parse().unwrap());
    let mut rows = Rows::default();
    reader.feed(b"{\"Name\":\"a\"}\n{\"Na", &mut rows);
    let reading = reader.fail("connection reset");
    assert_eq!(names(&rows.0), ["a"]);
    assert_eq!(skips(&reading), [(Some(2), SkipReason::Unreadable("connection reset".into()))]);
}

#[test]
fn the_reasons_of_one_object_are_bounded() {
    let fields: Vec<_> = (0..200).map(|n| format!("\"f{n}\":\"\"")).collect();
    let (_, reading) = read(format!("{{{}}}", fields.join(",")));
    assert_eq!(reading.repaired.len(), MAX_REASONS + 1);
    let last = reading.repaired.last().unwrap();
    assert_eq!((&last.reason, last.lines), (&RepairReason::Further, 200 - MAX_REASONS as u64));
}

/// Passes over every line.
struct Blind;

impl RowSink for Blind {
    fn consider(&mut self, _line: &[u8]) -> Consider {
        Consider::PassOver
    }

    fn row(&mut self, line: u64, _row: &InventoryRecord<'_>) {
        panic!("line {line} was to be passed over");
    }
}

#[test]
fn a_cut_line_is_never_passed_over() {
    let mut reader = ObjectReader::new(KEY, &KEY.parse().unwrap());
    reader.feed(b"{\"Name\":\"a\"}\n<Error/>\n{\"Name\":\"b", &mut Blind);
    let reading = reader.finish(&mut Blind);
    assert_eq!(reading.reading.passed_over, 1);
    assert_eq!(
        skips(&reading),
        [(Some(2), SkipReason::Malformed(1)), (Some(3), SkipReason::Truncated)]
    );
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_rows(cuts in proptest::collection::vec(0_usize..60, 0..6)) {
        let whole = b"\xef\xbb\xbf{\"Name\":\"a\"}\r\n{\"Name\":\"b\"}{\"Name\":\"c\"}\n\0\0\n{\"Name\":\"d";
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut <= whole.len()).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&whole[from..cut]);
            from = cut;
        }
        pieces.push(&whole[from..]);
        prop_assert_eq!(read_as(KEY, &pieces), read(whole));
    }

    #[test]
    fn damage_costs_the_damaged_lines_only(
        damage in proptest::collection::vec((0_usize..20, 0_usize..40, any::<u8>()), 0..8),
    ) {
        let mut lines: Vec<Vec<u8>> =
            (0..20).map(|n| format!("{{\"Name\":\"package-{n}\",\"Version\":\"{n}.0\"}}").into_bytes()).collect();
        let mut damaged = [false; 20];
        for (line, at, byte) in damage {
            // A line feed makes two lines of one, and the numbers behind it shift.
            if byte != b'\n' {
                let at = at % lines[line].len();
                lines[line][at] = byte;
                damaged[line] = true;
            }
        }
        let (rows, reading) = read(lines.join(&b'\n'));
        for (line, damaged) in damaged.iter().enumerate() {
            let number = line as u64 + 1;
            if !damaged {
                let row = (number, format!("package-{line}"));
                prop_assert!(rows.contains(&row));
            }
            let is_row = rows.iter().any(|(at, _)| *at == number);
            let is_lost = reading.skipped.entries().iter().any(|s| s.line == Some(number));
            let is_blank = reading.repaired.iter().any(|r| r.reason == RepairReason::BlankLine);
            prop_assert!(is_row || is_lost || is_blank, "line {} is neither read nor lost", number);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, reading) = read(&bytes);
        prop_assert_eq!(reading.reading.bytes, bytes.len() as u64);
    }
}
