//! What is refused, and in which words.

use serde_json::json;

use super::{super::Query, ask, now};

/// The last detail's code, message, line and character.
#[track_caller]
fn refused(query: &str) -> (String, String, Option<(i64, i64)>, Option<String>) {
    let error = ask(query).expect_err(query);
    let last = error.details().last().unwrap().clone();
    let at = last.position.map(|at| (at.line, at.character));
    (last.code.into_owned(), last.message, at, last.token)
}

#[track_caller]
fn parser(query: &str, line: i64, character: i64, token: &str) {
    let failure = "ParserFailure".to_owned();
    let expected = (failure.clone(), failure, Some((line, character)), Some(token.to_owned()));
    assert_eq!(refused(query), expected, "{query}");
}

#[track_caller]
fn code(query: &str, expected: &str) {
    assert_eq!(refused(query).0, expected, "{query}");
}

#[test]
fn a_parser_failure_names_line_character_and_token() {
    // Recorded in the tests of azure-powershell.
    parser("where where", 1, 11, "<EOF>");
    parser("resources | where ", 1, 18, "<EOF>");
    parser("resources\n| wher name == 'x'", 2, 2, "wher");
    parser("resources | where name == ", 1, 26, "<EOF>");
    parser("resources\r\n| where (name == 'x'\r\n| take 1", 3, 0, "|");
    parser("resources | project name,", 1, 25, "<EOF>");
    parser("resources | where name = 'x'", 1, 23, "=");
    parser("resources | where name == 'x", 1, 26, "'x");
    parser("resources | take many", 1, 17, "many");
    parser("resources | take -1", 1, 17, "-");
    parser("resources | order name", 1, 18, "name");
    parser("resources | where name == 'x' ] ", 1, 30, "]");
    parser("resources ; resources", 1, 12, "resources");
    parser("resources | where 'é' == 'x' and §", 1, 33, "§");
    parser("", 1, 0, "<EOF>");
    parser("resources | where datetime(soon) > now()", 1, 18, "datetime(soon)");
    parser("resources | join kind=sideways (resources) on id", 1, 22, "sideways");
    parser("resources | take 99999999999999999999", 1, 17, "99999999999999999999");
}

#[test]
fn the_body_has_the_services_form() {
    let error = Query::parse("resources | where").unwrap_err();
    let body = error.body(now(), "00000000-0000-0000-0000-000000000001");
    assert_eq!(
        body,
        json!({"error": {
            "code": "BadRequest",
            "message": "Please provide below info when asking for support: timestamp = \
                        2026-11-24T12:00:00.0000000Z, correlationId = \
                        00000000-0000-0000-0000-000000000001.",
            "details": [
                {
                    "code": "InvalidQuery",
                    "message": "Query is invalid. Please refer to the documentation for the Azure \
                                Resource Graph service and fix the error before retrying.",
                },
                {
                    "code": "ParserFailure", "message": "ParserFailure",
                    "line": 1, "characterPositionInLine": 17, "token": "<EOF>",
                },
            ],
        }})
    );
}

#[test]
fn operators_of_other_kusto_services_are_refused_by_name() {
    for operator in [
        "evaluate pivot(name)",
        "make-series n=count() on t",
        "render table",
        "invoke f()",
        "mv-apply x to typeof(long) on (take 1)",
        "serialize",
        "search 'x'",
        "lookup (resources) on id",
        "parse-where id with *",
        "sample 5",
        "as t",
        "join hint.strategy=shuffle (resources) on id",
        "union isfuzzy=true resources",
    ] {
        let (code, _, at, _) = refused(&format!("resources | {operator}"));
        assert_eq!((code.as_str(), at), ("InvalidQueryLanguage", Some((-1, -1))), "{operator}");
    }
    code("datatable(a:long)[1]", "InvalidQueryLanguage");
    code("print 1", "InvalidQueryLanguage");
    code("resources | parse kind=regex id with *", "InvalidQueryLanguage");
}

// "one of which might be a cross-table `join`" (query-language.md).
#[test]
fn a_second_table_is_joined_across_only_where_it_is_that_of_containers() {
    let join = |table: &str| format!("| join kind=leftouter ({table} | project id) on id ");
    let (assessed, installed) =
        (join("patchassessmentresources"), join("patchinstallationresources"));
    let (containers, own) = (join("resourcecontainers"), join("resources"));
    for (joins, taken) in [
        (vec![&assessed], true),
        (vec![&assessed, &own], true),
        (vec![&containers, &containers, &containers], true),
        (vec![&assessed, &installed], false),
        (vec![&assessed, &assessed], false),
        (vec![&assessed, &containers], false),
    ] {
        let query = joins.into_iter().fold("resources ".to_owned(), |query, join| query + join);
        if taken {
            assert!(ask(&query).is_ok(), "{query}");
        } else {
            code(&query, "DisallowedMaxNumberOfRemoteTables");
        }
    }
}

#[test]
fn unknown_tables_are_refused_by_name_alone() {
    let error = ask("advisorresources | take 1").unwrap_err();
    assert_eq!(error.details().len(), 1);
    assert_eq!(error.details()[0].code, "DisallowedLogicalTableName");
    assert_eq!(
        error.details()[0].message,
        "Table advisorresources is invalid, unsupported or disallowed."
    );
    code("resources | join (heartbeat) on id", "DisallowedLogicalTableName");
    code("resources | union heartbeat", "DisallowedLogicalTableName");
    // Answers from a joined table need the right one, not the first.
    code("Perf", "DisallowedLogicalTableName");
}

#[test]
fn unknown_columns_and_functions_are_named() {
    assert_eq!(
        refused("resources | where vmName == 'x'").1,
        "'where' operator: Failed to resolve column or scalar expression named 'vmName'"
    );
    code("resources | project Name", "Operator_FailedToResolveEntity");
    code("resources | project name | extend x = id", "Operator_FailedToResolveEntity");
    code("resources | summarize count() by typ", "Operator_FailedToResolveEntity");
    code("resources | project-rename a = b", "Operator_FailedToResolveEntity");
    code("resources | join (resources | project a = id) on id", "Operator_FailedToResolveEntity");
    code("union (resources), (resourcecontainers)", "Operator_FailedToResolveEntity");
    // Recorded in a public client's tests.
    let (code_of, message, ..) = refused("resources | summarize cout() by type");
    assert_eq!(
        (code_of.as_str(), message.as_str()),
        ("UnknownFunction", "Unknown function: 'cout'.")
    );
    code("resources | project-away nothing", "Operator_FailedToResolveEntity");
    code("resources | extend x = format_datetime(now(), 'YYYY')", "SemanticError");
    let (code_of, message, ..) = refused("resources | extend x = base64_decode_tostring(name)");
    assert_eq!(
        (code_of.as_str(), message.as_str()),
        ("UnknownFunction", "Unknown function: 'base64_decode_tostring'.")
    );
}

#[test]
fn join_kinds_that_the_service_lacks_are_refused() {
    for (kind, shown) in
        [("leftanti", "LeftAnti"), ("leftsemi", "LeftSemi"), ("rightouter", "RightOuter")]
    {
        let (code, message, ..) =
            refused(&format!("resources | join kind={kind} (resources) on id"));
        assert_eq!(code, "UnsupportedJoinFlavor");
        assert_eq!(message, format!("The join kind \"{shown}\" is not supported or not allowed."));
    }
}

#[test]
fn more_joins_unions_and_expansions_than_three_are_refused() {
    let joins = "| join (resources | project id) on id ".repeat(3);
    assert!(ask(&format!("resources | project id {joins}")).is_ok());
    code(
        &format!("resources | project id {joins} | union resources"),
        "DisallowedMaxNumberOfRemoteTables",
    );
    let expands = "| mv-expand zones ".repeat(4);
    code(&format!("resources {expands}"), "DisallowedMaxNumberOfRemoteTables");
    code("resources | mv-expand zones limit 2001", "DisallowedMvExpandRowLimit");
}

#[test]
fn dynamic_values_need_a_cast_where_kusto_needs_one() {
    for query in [
        "resources | summarize count() by tags.env",
        "resources | distinct tags",
        "resources | order by properties.vmId",
        "resources | join (resources) on properties",
        "resources | where tags.a == tags.b",
        "resources | extend x = tags.a + 1",
        "resources | summarize max(properties.vmId)",
        "resources | summarize sum(properties.vmId)",
    ] {
        code(query, "SemanticError");
    }
    let message = refused("resources | summarize count() by tags.env").1;
    assert!(
        message.starts_with("Summarize group key 'tags_env' is of a 'dynamic' type."),
        "{message}"
    );
}

#[test]
fn values_of_different_types_are_not_compared() {
    assert_eq!(
        refused("resources | where name == 1").1,
        "Cannot compare values of types string and long. Try adding explicit casts."
    );
    for query in [
        "resources | where name",
        "resources | where name.x == 'y'",
        "resources | extend x = name + 'y'",
        "resources | extend x = bin(now(), 1)",
        "resources | extend x = iff(true, 1, 'a')",
        "resources | extend x = ago(1)",
        "resources | extend x = tolower()",
        "resources | extend x = datetime_diff('eon', now(), now())",
        "resources | where name matches regex '('",
        "resources | summarize name",
        "resources | project a = 1, a = 2",
        "resources | mv-expand name",
        "resources | parse id with * *",
        "resources | project a = 1 | union (resources | project a = 'x')",
        "resources | where name in (location)",
    ] {
        code(query, "SemanticError");
    }
}
