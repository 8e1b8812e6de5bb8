//! What operators and functions of single rows mean.

use serde_json::{Value, json};

use super::{column, kept, names, value};

#[test]
fn equality_tells_case_apart_and_tilde_does_not() {
    assert_eq!(kept("name == 'db-1'"), [] as [Value; 0]);
    assert_eq!(kept("name =~ 'db-1'"), ["Db-1"]);
    assert_eq!(kept("name != 'Db-1' and name !~ 'ARC-1'"), ["web-1", "web-2"]);
    assert_eq!(kept("type == 'Microsoft.HybridCompute/machines'"), [] as [Value; 0]);
    assert_eq!(kept("type =~ 'Microsoft.HybridCompute/machines'"), ["arc-1"]);
}

#[test]
fn lists_tell_case_apart_only_without_a_tilde() {
    assert_eq!(kept("name in ('web-1', 'db-1')"), ["web-1"]);
    assert_eq!(kept("name in~ ('WEB-1', 'db-1')"), ["web-1", "Db-1"]);
    assert_eq!(kept("name !in ('web-1', 'web-2')"), ["Db-1", "arc-1"]);
    assert_eq!(kept("name !in~ ('WEB-1', 'web-2', 'ARC-1')"), ["Db-1"]);
    assert_eq!(kept("name in (dynamic(['web-1', \"arc-1\"]))"), ["web-1", "arc-1"]);
    assert_eq!(
        kept("properties.storageProfile.osDisk.diskSizeGB in (30, 60) and name has 'db'"),
        ["Db-1"]
    );
}

#[test]
fn text_tests_ignore_case_unless_they_say_cs() {
    for (test, found) in [
        ("'Web-1' contains 'EB'", true),
        ("'Web-1' contains_cs 'EB'", false),
        ("'Web-1' !contains 'EB'", false),
        ("'Web-1' !contains_cs 'EB'", true),
        ("'Web-1' startswith 'wEb'", true),
        ("'Web-1' startswith_cs 'web'", false),
        ("'Web-1' !startswith 'x'", true),
        ("'Web-1' endswith '-1'", true),
        ("'Web-1' !endswith_cs '-1'", false),
        ("'Grüße' contains 'ÜSS'", false),
        ("'Grüße' contains 'RÜ'", true),
        ("'Grüße' =~ 'GRÜßE'", true),
    ] {
        assert_eq!(value(test), json!(found), "{test}");
    }
}

#[test]
fn has_finds_whole_terms() {
    for (test, found) in [
        ("'microsoft.compute/virtualmachines/softwarepatches' has 'SoftwarePatches'", true),
        ("'microsoft.compute/virtualmachines' has 'machines'", false),
        ("'microsoft.compute/virtualmachines' has 'microsoft.compute'", true),
        ("'web-1' !has 'we'", true),
        ("'North_Europe' has 'europe'", true),
        ("'web-1' hasprefix 'we'", true),
        ("'web-1' hassuffix 'eb'", true),
        ("'a b' has_any ('x', 'B')", true),
        ("'a b' has_all ('a', 'x')", false),
        ("'Web' has_cs 'web'", false),
    ] {
        assert_eq!(value(test), json!(found), "{test}");
    }
}

#[test]
fn a_document_is_searched_as_its_text() {
    assert_eq!(kept("properties has 'osType'"), ["web-1", "web-2", "Db-1", "arc-1"]);
    assert_eq!(kept("tags contains 'prod'"), ["web-1"]);
}

#[test]
fn patterns_are_found_anywhere() {
    assert_eq!(kept("name matches regex '^web-[0-9]$'"), ["web-1", "web-2"]);
    assert_eq!(kept("not(name matches regex @'\\w+-\\d')"), [] as [Value; 0]);
}

#[test]
fn a_document_compares_with_texts_numbers_times_and_truths() {
    assert_eq!(kept("properties.storageProfile.osDisk.osType == 'Linux'"), ["web-1", "web-2"]);
    assert_eq!(
        kept("properties.storageProfile.osDisk.diskSizeGB > 29.5"),
        ["web-1", "web-2", "Db-1"]
    );
    assert_eq!(
        kept("properties.storageProfile.osDisk.diskSizeGB == '30'"),
        ["web-1", "web-2", "Db-1"]
    );
    let assessed = |condition: &str| {
        column(&format!("patchassessmentresources | where {condition} | project name"))
    };
    assert_eq!(assessed("properties.rebootPending == true"), ["0b1c"]);
    assert_eq!(assessed("properties.rebootPending"), ["0b1c"]);
    assert_eq!(assessed("properties.lastModifiedDateTime > ago(2d)"), ["0b1c"]);
    assert_eq!(assessed("properties.lastModifiedDateTime > ago(1h)"), [] as [Value; 0]);
}

#[test]
fn null_equals_nothing_and_differs_from_everything() {
    assert_eq!(kept("tags.env == 'prod'"), ["web-1"]);
    assert_eq!(kept("tags.env != 'prod'"), ["web-2", "Db-1", "arc-1"]);
    assert_eq!(kept("tags.env =~ ''"), ["web-2", "Db-1", "arc-1"]);
    assert_eq!(kept("tags.missing > 1 or tags.missing <= 1"), [] as [Value; 0]);
    assert_eq!(kept("not(tags.missing > 1)"), [] as [Value; 0]);
    assert_eq!(kept("int(null) == int(null)"), [] as [Value; 0]);
}

#[test]
fn a_text_is_empty_and_never_null() {
    assert_eq!(value("isnull(managedBy)"), json!(false));
    assert_eq!(value("isempty(managedBy)"), json!(true));
    assert_eq!(value("isnull(tags.none)"), json!(true));
    assert_eq!(value("isnotnull(tags.env)"), json!(true));
    assert_eq!(value("isnotempty(tostring(tags.none))"), json!(false));
    assert_eq!(value("tostring(tags.none)"), json!(""));
    assert_eq!(value("managedBy"), json!(""));
    assert_eq!(value("sku"), Value::Null);
}

#[test]
fn properties_are_reached_by_dot_bracket_and_index() {
    assert_eq!(value("tags['Patch Group']"), json!("web"));
    assert_eq!(value("tags.['Patch Group']"), json!("web"));
    assert_eq!(value("properties['storageProfile'].osDisk[\"osType\"]"), json!("Linux"));
    assert_eq!(value("zones[0]"), json!("1"));
    assert_eq!(value("zones[-1]"), json!("2"));
    assert_eq!(value("zones[9]"), Value::Null);
    assert_eq!(value("split(id, '/')[8]"), json!("web-1"));
    assert_eq!(value("tags[strcat('e', 'nv')]"), json!("prod"));
    assert_eq!(value("properties.a.b.c"), Value::Null);
}

#[test]
fn split_with_an_index_is_an_array_of_one() {
    assert_eq!(value("split('a/b/c', '/', 1)"), json!(["b"]));
    assert_eq!(value("tostring(split('a/b/c', '/', 1))"), json!("[\"b\"]"));
    assert_eq!(value("split('a/b', '/', 5)"), json!([]));
    assert_eq!(value("split('/a', '/')"), json!(["", "a"]));
}

#[test]
fn casts_give_null_for_what_they_cannot_read() {
    for (expr, expected) in [
        ("toint('12')", json!(12)),
        ("toint('12.7')", json!(12)),
        ("toint('x')", Value::Null),
        ("toint(3000000000)", Value::Null),
        ("tolong(3000000000)", json!(3_000_000_000_i64)),
        ("tolong(true)", json!(1)),
        ("todouble('1.5')", json!(1.5)),
        ("tobool('TRUE')", json!(true)),
        ("tobool('x')", Value::Null),
        ("tostring(true)", json!("true")),
        ("tostring(1.0)", json!("1")),
        ("tostring(dynamic({'a': [1]}))", json!("{\"a\":[1]}")),
        ("todatetime('2026-01-02')", json!("2026-01-02T00:00:00Z")),
        ("todatetime('2026-01-02T03:04:05.5Z')", json!("2026-01-02T03:04:05.5000000Z")),
        ("todatetime('soon')", Value::Null),
        ("tostring(datetime(2026-01-02 03:04))", json!("2026-01-02T03:04:00.0000000Z")),
        ("totimespan('1.02:03:04')", json!("1.02:03:04")),
        ("tostring(90m)", json!("01:30:00")),
        ("parse_json('{\"a\":1}').a", json!(1)),
        ("parse_json('no json')", json!("no json")),
    ] {
        assert_eq!(value(expr), expected, "{expr}");
    }
}

#[test]
fn text_functions() {
    for (expr, expected) in [
        ("tolower('ÄB')", json!("äb")),
        ("toupper('ab')", json!("AB")),
        ("strcat('a', 1, true)", json!("a1true")),
        ("strcat_delim('-', 'a', 'b', 'c')", json!("a-b-c")),
        ("substring('abcdef', 2)", json!("cdef")),
        ("substring('abcdef', 1, 3)", json!("bcd")),
        ("substring('abcdef', -2)", json!("ef")),
        ("strlen('äb')", json!(2)),
        ("indexof('abc', 'c')", json!(2)),
        ("indexof('abc', 'x')", json!(-1)),
        ("replace_string('a.b.c', '.', '-')", json!("a-b-c")),
        ("replace_regex('vm-12', @'(\\w+)-(\\d+)', @'\\2:\\1')", json!("12:vm")),
        ("extract('Machines/([^/]+)', 1, id)", json!("web-1")),
        ("extract(@'(\\d+)', 1, 'kb 42', typeof(long))", json!(42)),
        ("extract('nothing', 0, id)", json!("")),
        ("trim('/', '//a/b/')", json!("/a/b")),
        ("trim_start('/+', '//a/')", json!("a/")),
        ("trim_end(@'\\/\\w+\\/(\\w|\\.)+', '/m/a/lic/def.x')", json!("/m/a")),
    ] {
        assert_eq!(value(expr), expected, "{expr}");
    }
}

#[test]
fn choices() {
    for (expr, expected) in [
        ("iff(1 > 2, 'a', 'b')", json!("b")),
        ("iif(tags.env =~ 'PROD', 'p', 'n')", json!("p")),
        ("case(1 == 2, 'a', 2 == 2, 'b', 'c')", json!("b")),
        ("case(tags.none == 1, 1, 2.5)", json!(2.5)),
        ("coalesce(tostring(tags.none), '', 'x')", json!("x")),
        ("coalesce(tags.none, tags.env)", json!("prod")),
        ("iff(true, datetime(null), now())", Value::Null),
    ] {
        assert_eq!(value(expr), expected, "{expr}");
    }
}

#[test]
fn documents_are_built_and_looked_into() {
    for (expr, expected) in [
        ("array_length(zones)", json!(2)),
        ("array_length(tags)", Value::Null),
        ("bag_keys(tags)", json!(["Patch Group", "env"])),
        ("pack('a', 1, 'b', tags.env)", json!({"a": 1, "b": "prod"})),
        ("bag_pack('a', tags.none)", json!({"a": null})),
        ("pack_array(1, 'x')", json!([1, "x"])),
        ("set_has_element(zones, '2')", json!(true)),
        ("array_index_of(zones, '2')", json!(1)),
        ("strcat_array(zones, '+')", json!("1+2")),
        ("bag_merge(dynamic({'a': 1}), dynamic({'a': 2, 'b': 3}))", json!({"a": 1, "b": 3})),
        ("gettype(zones)", json!("array")),
    ] {
        assert_eq!(value(expr), expected, "{expr}");
    }
}

#[test]
fn times_and_spans_calculate() {
    for (expr, expected) in [
        ("now()", json!("2026-11-24T12:00:00Z")),
        ("ago(36h)", json!("2026-11-23T00:00:00Z")),
        ("now(-1d) == ago(1d)", json!(true)),
        ("now() - datetime(2026-11-23)", json!("1.12:00:00")),
        ("(now() - datetime(2026-11-23)) / 1h", json!(36.0)),
        ("now() + 90m", json!("2026-11-24T13:30:00Z")),
        ("bin(now(), 1d)", json!("2026-11-24T00:00:00Z")),
        ("bin(7, 3)", json!(6)),
        ("bin(-7, 3)", json!(-9)),
        ("floor(7.5, 2)", json!(6.0)),
        ("datetime_diff('day', now(), ago(36h))", json!(1)),
        ("datetime_diff('day', datetime(2026-11-24 00:01), datetime(2026-11-23 23:59))", json!(1)),
        ("datetime_diff('month', datetime(2026-11-01), datetime(2025-12-31))", json!(11)),
        ("datetime_diff('hour', ago(2h), now())", json!(-2)),
        ("datetime_add('month', 1, datetime(2026-01-31))", json!("2026-02-28T00:00:00Z")),
        ("format_datetime(now(), 'yyyy-MM-dd HH:mm')", json!("2026-11-24 12:00")),
        ("startofweek(now())", json!("2026-11-22T00:00:00Z")),
        ("startofmonth(now(), -1)", json!("2026-10-01T00:00:00Z")),
        ("dayofweek(now())", json!("2.00:00:00")),
        ("datetime_part('hour', now())", json!(12)),
        ("now() between (ago(1h) .. now(1h))", json!(true)),
        ("5 !between (1 .. 4)", json!(true)),
    ] {
        assert_eq!(value(expr), expected, "{expr}");
    }
}

#[test]
fn numbers_calculate_in_their_type() {
    for (expr, expected) in [
        ("1 + 2 * 3 - 4", json!(3)),
        ("7 / 2", json!(3)),
        ("7 / 2.0", json!(3.5)),
        ("7 % 4", json!(3)),
        ("1 / 0", Value::Null),
        ("-(3)", json!(-3)),
        ("round(2.345, 2)", json!(2.35)),
        ("round(7.6)", json!(8.0)),
        ("9223372036854775807 + 1", json!(i64::MIN)),
        ("100.0 * 1 / 3 > 33", json!(true)),
    ] {
        assert_eq!(value(expr), expected, "{expr}");
    }
}

#[test]
fn and_binds_stronger_than_or() {
    assert_eq!(kept("name == 'web-1' or name == 'web-2' and name == 'x'"), ["web-1"]);
    assert_eq!(kept("(name == 'web-1' or name == 'web-2') and name == 'x'"), [] as [Value; 0]);
}

#[test]
fn columns_without_a_name_get_kustos() {
    let query = "resources | project properties.storageProfile.osDisk.osType, tostring(tags.env), \
                 zones[0], tolower(name), toupper(name), strlen(name), bin(1, 1)";
    assert_eq!(
        names(query),
        [
            "properties_storageProfile_osDisk_osType",
            "tags_env",
            "zones_0",
            "Column1",
            "Column2",
            "strlen_name",
            "Column3",
        ]
    );
    assert_eq!(names("resources | project id, tostring(id)"), ["id", "id1"]);
}

#[test]
fn a_name_inside_a_call_is_the_columns_name() {
    let query = "resources | take 1 | extend tostring(rg = split(id, '/')[4]) | project rg";
    assert_eq!(column(query), ["RG1"]);
}

#[test]
fn extended_values_see_the_row_as_it_was() {
    let query = "resources | take 1 | extend name = 'x', old = name | project name, old";
    assert_eq!(super::answer(query).rows, [[json!("x"), json!("web-1")]]);
}

#[test]
fn comments_and_bracketed_names_are_read() {
    let query = "resources // all of them\r\n| where ['type'] has 'hybridcompute' // Arc\r\n| project ['my name'] = name";
    assert_eq!(names(query), ["my name"]);
    assert_eq!(column(query), ["arc-1"]);
}

#[test]
fn a_query_without_a_table_reads_resources() {
    assert_eq!(column("where name =~ 'DB-1' | project name"), ["Db-1"]);
    assert_eq!(column("RESOURCES | count"), [4]);
    assert_eq!(column("count"), [4]);
    assert_eq!(column("limit 1 | project name"), ["web-1"]);
}

#[test]
fn lets_name_scalar_values() {
    let query = "let since = ago(2d); let who = 'Platform'; patchassessmentresources \
                 | where properties.startedBy == who and todatetime(properties.startDateTime) > since \
                 | project name;";
    assert_eq!(column(query), ["0b1c"]);
}
