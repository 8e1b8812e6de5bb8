//! Queries that mean harm are refused or answered, and never end the process.

use proptest::{prelude::*, sample::select};

use super::ask;

/// Pieces that make queries, most of them wrong.
const PIECES: [&str; 64] = [
    "resources",
    "|",
    "where",
    "extend",
    "project",
    "summarize",
    "count()",
    "by",
    "type",
    "name",
    "properties",
    ".",
    "[",
    "]",
    "(",
    ")",
    "'x'",
    "\"",
    "'",
    "==",
    "=~",
    "!has",
    "in~",
    "!in",
    "and",
    "or",
    "not(",
    "1",
    "-",
    "9223372036854775807",
    "1d",
    "1.5",
    "ago(",
    "datetime(",
    "dynamic(",
    "tostring(",
    "split(id,'/')",
    "mv-expand",
    "join",
    "kind=leftouter",
    "on",
    "id",
    "$left",
    "union",
    "order by",
    "asc",
    "take",
    "top",
    "parse",
    "with",
    "*",
    "let",
    "=",
    ";",
    ",",
    "//",
    "\n",
    "é",
    "make_list(",
    "arg_max(",
    "matches regex",
    "iff(",
    "to typeof(string)",
    "\\",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn shuffled_pieces_never_panic(pieces in prop::collection::vec(select(&PIECES[..]), 0..40)) {
        let _any = ask(&pieces.join(" "));
        let _any = ask(&format!("resources | {}", pieces.join(" ")));
        let _any = ask(&format!("resources | extend x = {}", pieces.join("")));
    }

    #[test]
    fn any_text_never_panics(text in ".{0,200}") {
        let _any = ask(&text);
        let _any = ask(&format!("resources | where name == '{text}'"));
    }

    #[test]
    fn functions_take_any_values(
        name in select(&["substring", "split", "round", "bin", "datetime_add", "indexof", "replace_string",
            "format_datetime", "strcat_delim", "extract", "startofmonth", "pack", "datetime_diff"][..]),
        arguments in prop::collection::vec(select(&["'abc'", "''", "-1", "0", "9223372036854775807",
            "-9223372036854775807", "1e", "0.0", "now()", "1d", "365000d", "-1d", "datetime(null)", "'month'",
            "dynamic([1])", "tags", "int(null)", "'é'"][..]), 0..5),
    ) {
        let _any = ask(&format!("resources | extend x = {name}({})", arguments.join(", ")));
    }
}

#[test]
fn nesting_and_length_have_limits() {
    for (open, close) in
        [("(", ")"), ("tostring(", ")"), ("-", ""), ("not(", ")"), ("properties[", "]")]
    {
        let deep =
            format!("resources | extend x = {}1{}", open.repeat(20_000), close.repeat(20_000));
        assert!(ask(&deep).is_err(), "{open}");
    }
    assert!(ask(&format!("resources | extend x = tags{}", ".a".repeat(20_000))).is_err());
    assert!(ask(&format!("resources | extend x = 1{}", " + 1".repeat(20_000))).is_err());
    assert!(ask(&format!("resources{}", " | take 1".repeat(20_000))).is_err());
    assert!(ask(&format!("resources | where name == '{}'", "x".repeat(200_000))).is_err());
    assert!(ask(&format!("resources | project {}", "a,".repeat(10_000))).is_err());
    let joins = "| join (resources ".repeat(2_000);
    assert!(ask(&format!("resources {joins}")).is_err());
    // Rows of tests side by side are no nesting: clients send long lists.
    let long = format!("resources | where name == 'a'{}", " or name == 'b'".repeat(2_000));
    assert!(ask(&long).is_ok());
    let list = format!("resources | where name in~ ('a'{})", ", 'b'".repeat(10_000));
    assert!(ask(&list).is_ok());
}

#[test]
fn values_that_double_themselves_are_refused() {
    let texts = "| extend x = strcat(x, x) ".repeat(60);
    let error = ask(&format!("resources | extend x = name {texts}")).unwrap_err();
    assert_eq!(error.details()[0].code, "ResponsePayloadTooLarge");
    let documents = "| extend x = pack_array(x, x) ".repeat(60);
    assert!(ask(&format!("resources | extend x = tags {documents}")).is_err());
    let lets: String = (1..60)
        .map(|at| format!("let a{at} = strcat(a{0}, a{0});", at - 1))
        .collect::<Vec<_>>()
        .concat();
    assert!(ask(&format!("let a0 = 'xx'; {lets} resources | extend x = a59")).is_err());
    let replaced = "| extend x = replace_string(x, 'a', 'aaaaaaaaaaaaaaaa') ".repeat(60);
    assert!(ask(&format!("resources | extend x = 'a' {replaced}")).is_err());
    let rewritten = "| extend x = replace_regex(x, '.', 'aaaaaaaaaaaaaaaa') ".repeat(60);
    assert!(ask(&format!("resources | extend x = 'a' {rewritten}")).is_err());
}

#[test]
fn rows_that_multiply_are_refused() {
    let list: Vec<u32> = (0..2_000).collect();
    let query = format!(
        "resources | project l = dynamic({list:?}) | mv-expand a = l limit 2000 \
         | mv-expand b = l limit 2000 | mv-expand c = l limit 2000 | where false | count"
    );
    assert_eq!(ask(&query).unwrap_err().details()[0].code, "ResponsePayloadTooLarge");
}

#[test]
fn patterns_have_a_size() {
    assert!(ask("resources | where name matches regex '(((a{99}){99}){99}){99}'").is_err());
    assert!(ask("resources | where name matches regex '(a+)+$'").is_ok());
}
