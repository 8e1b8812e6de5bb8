//! Paging.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Format, Options, Page, PageRequest, Pager, Query, QueryError, RowSet, Table};

fn rows(count: usize) -> RowSet {
    let mut rows = RowSet::new();
    for at in 0..count {
        rows.push(Table::Resources, json!({"id": format!("/r/{at}"), "name": format!("n{at}")}));
    }
    rows
}

fn options(json: impl Into<Value>) -> Options {
    Options::from_json(&json.into()).unwrap()
}

fn open(pager: &mut Pager, rows: &RowSet, query: &str, options: &Options) -> Page {
    let rendered = Query::parse(query).unwrap().render(rows, Timestamp::UNIX_EPOCH, options.format);
    let request = PageRequest { query, scope: "s", options };
    pager.open(request, rendered.unwrap(), None, Timestamp::UNIX_EPOCH)
}

fn resume(pager: &mut Pager, query: &str, options: &Options) -> Result<Option<Page>, QueryError> {
    pager.resume(PageRequest { query, scope: "s", options }, Timestamp::UNIX_EPOCH)
}

fn body(page: &Page) -> Value {
    serde_json::from_slice(&page.body().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn pages_of_any_size_show_every_row_once(
        count in 0_usize..60, top in 1_usize..25, skip in 0_usize..70, table in any::<bool>(),
    ) {
        let format = if table { "table" } else { "objectArray" };
        let rows = rows(count);
        let query = "resources | project id, name";
        let mut pager = Pager::new(7);
        let mut options = options(json!({"$top": top, "$skip": skip, "resultFormat": format}));
        let mut page = open(&mut pager, &rows, query, &options);
        let mut seen = Vec::new();
        loop {
            let body = body(&page);
            prop_assert_eq!(&body["totalRecords"], &json!(count));
            prop_assert_eq!(&body["resultTruncated"], &json!("false"));
            let data = if table { &body["data"]["rows"] } else { &body["data"] };
            let data = data.as_array().unwrap();
            prop_assert_eq!(&body["count"], &json!(data.len()));
            seen.extend(data.iter().map(|row| {
                if table { row[0].clone() } else { row["id"].clone() }
            }));
            let Some(token) = body.get("$skipToken") else { break };
            prop_assert_eq!(data.len(), top);
            options.skip_token = token.as_str().map(str::to_owned);
            page = resume(&mut pager, query, &options).unwrap().unwrap();
        }
        let all: Vec<Value> = (skip.min(count)..count).map(|at| json!(format!("/r/{at}"))).collect();
        prop_assert_eq!(seen, all);
    }
}

#[test]
fn bodies_have_both_formats() {
    let mut pager = Pager::new(1);
    let query = "resources | project id, n = strlen(name), t = datetime(2026-01-02), tags";
    let page = open(&mut pager, &rows(1), query, &options(json!({})));
    assert_eq!(
        body(&page),
        json!({
            "totalRecords": 1, "count": 1, "facets": [], "resultTruncated": "false",
            "data": [{"id": "/r/0", "n": 2, "t": "2026-01-02T00:00:00Z", "tags": null}],
        })
    );
    let page = open(&mut pager, &rows(1), query, &options(json!({"resultFormat": "table"})));
    assert_eq!(
        body(&page)["data"],
        json!({
            "columns": [
                {"name": "id", "type": "string"}, {"name": "n", "type": "integer"},
                {"name": "t", "type": "datetime"}, {"name": "tags", "type": "object"},
            ],
            "rows": [["/r/0", 2, "2026-01-02T00:00:00Z", null]],
        })
    );
}

// work-with-data.md: "if it's missing from the query, the response won't include the $skipToken",
// and resultTruncated is true "when paging is disabled or not possible because no id column".
#[test]
fn without_the_column_id_the_rest_is_truncated() {
    let mut pager = Pager::new(1);
    let page = open(&mut pager, &rows(1_500), "resources | project name", &Options::default());
    assert_eq!((page.count(), page.total_records(), page.skip_token()), (1_000, 1_500, None));
    assert_eq!(body(&page)["resultTruncated"], "true");
    let page = open(&mut pager, &rows(1_500), "resources", &Options::default());
    assert!(page.skip_token().is_some() && !page.is_truncated());
}

// work-with-data.md: "If limit or take are used in the query, Skip is ignored."
#[test]
fn skip_is_ignored_where_the_query_takes() {
    let mut pager = Pager::new(1);
    let page = open(&mut pager, &rows(9), "resources | take 5", &options(json!({"$skip": 3})));
    assert_eq!((page.count(), page.total_records()), (5, 5));
}

#[test]
fn a_token_is_good_for_its_query_scope_and_format_alone() {
    let mut pager = Pager::new(1);
    let query = "resources | project id";
    let page = open(&mut pager, &rows(10), query, &options(json!({"$top": 4})));
    let token = page.skip_token().unwrap().to_owned();
    let with = |token: &str| options(json!({"$skipToken": token, "$top": 4}));
    assert_eq!(resume(&mut pager, query, &with(&token)).unwrap().unwrap().count(), 4);

    let mut refused = |query: &str, scope: &str, options: &Options| {
        let request = PageRequest { query, scope, options };
        let error = pager.resume(request, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.details()[0].code, "InvalidSkipToken");
    };
    refused("resources | project id, name", "s", &with(&token));
    refused(query, "other", &with(&token));
    refused(query, "s", &options(json!({"$skipToken": token, "resultFormat": "table"})));
    refused(query, "s", &with("eyJv"));
    refused(query, "s", &with(&"é".repeat(24)));
    let digit = if token.ends_with('0') { "1" } else { "0" };
    refused(query, "s", &with(&format!("{}{digit}", &token[..47])));
    let first = resume(&mut pager, query, &options(json!({"$skipToken": ""})));
    assert!(first.unwrap().is_none());
}

#[test]
fn old_and_crowded_answers_are_forgotten() {
    let query = "resources | project id";
    let small = options(json!({"$top": 1}));
    let mut pager = Pager::new(1).with_max_answers(2).with_max_age(SignedDuration::from_mins(5));
    let tokens: Vec<Options> = (0..3)
        .map(|_| {
            let page = open(&mut pager, &rows(3), query, &small);
            options(json!({"$skipToken": page.skip_token().unwrap()}))
        })
        .collect();
    assert!(resume(&mut pager, query, &tokens[0]).is_err());
    assert!(resume(&mut pager, query, &tokens[1]).is_ok());
    let later = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(6);
    let request = PageRequest { query, scope: "s", options: &tokens[2] };
    assert!(pager.resume(request, later).is_err());

    let mut pager = Pager::new(1).with_max_bytes(10);
    let first = open(&mut pager, &rows(3), query, &small);
    let first = options(json!({"$skipToken": first.skip_token().unwrap()}));
    assert!(resume(&mut pager, query, &first).is_ok(), "the newest stays, whatever its size");
    open(&mut pager, &rows(3), query, &small);
    assert!(resume(&mut pager, query, &first).is_err());
}

#[test]
fn an_answer_over_the_same_rows_is_reused() {
    let query = "resources | project id";
    let options = options(json!({"$top": 2}));
    let request = PageRequest { query, scope: "s", options: &options };
    let mut pager = Pager::new(1);
    let parsed = Query::parse(query).unwrap();
    assert!(parsed.is_timeless());
    assert!(!Query::parse("resources | where now() > ago(1d)").unwrap().is_timeless());
    let at = Timestamp::UNIX_EPOCH;
    assert!(pager.reuse(request, 5, at).is_none());
    let rendered = parsed.render(&rows(3), at, Format::ObjectArray).unwrap();
    let first = pager.open(request, rendered, Some(5), at);
    let again = pager.reuse(request, 5, at).unwrap();
    assert_eq!(again.body().unwrap(), first.body().unwrap());
    assert!(pager.reuse(request, 6, at).is_none());
    let other = PageRequest { scope: "t", ..request };
    assert!(pager.reuse(other, 5, at).is_none());
}

#[test]
fn an_answer_that_was_let_go_is_not_reused() {
    let query = "resources | project id";
    let options = options(json!({"$top": 2}));
    let mut pager = Pager::new(1).with_max_answers(2);
    let at = Timestamp::UNIX_EPOCH;
    let scopes = ["a", "b", "c", "d", "e", "f"];
    let request = |scope| PageRequest { query, scope, options: &options };
    for scope in scopes {
        let rendered = Query::parse(query).unwrap().render(&rows(3), at, Format::ObjectArray);
        pager.open(request(scope), rendered.unwrap(), Some(5), at);
    }
    let reused = scopes.map(|scope| pager.reuse(request(scope), 5, at).is_some());
    assert_eq!(reused, [false, false, false, false, true, true]);
}

#[test]
fn options_out_of_range_are_refused() {
    for bad in [
        json!({"$top": 0}),
        json!({"$top": 1_001}),
        json!({"$top": "5"}),
        json!({"$skip": -1}),
        json!({"$skipToken": 5}),
        json!({"resultFormat": "csv"}),
    ] {
        assert!(Options::from_json(&bad).is_err(), "{bad}");
    }
    let all =
        options(json!({"$top": 1_000, "$skip": 2, "resultFormat": "Table", "$skipToken": null}));
    assert_eq!((all.top, all.skip, all.format), (Some(1_000), 2, Format::Table));
    assert_eq!(options(Value::Null), Options::default());
}
