//! Joins and unions.

use serde_json::{Value, json};

use super::{answer, column, names};

const LEFT: &str =
    "resources | where type has 'compute' | project name, location, k = strlen(name)";

#[test]
fn a_left_outer_join_keeps_what_finds_nothing() {
    let query = "resources | project name, key = tolower(id) | join kind=leftouter ( \
                 patchassessmentresources | where type !has 'softwarepatches' \
                 | extend key = tolower(tostring(split(id, '/patchAssessmentResults')[0])) \
                 | project key, properties) on key \
                 | project name, security = properties.availablePatchCountByClassification.security";
    assert_eq!(
        answer(query).rows,
        [
            [json!("web-1"), json!(2)],
            [json!("web-2"), Value::Null],
            [json!("Db-1"), Value::Null],
            [json!("arc-1"), Value::Null],
        ]
    );
}

#[test]
fn doubled_names_of_the_right_side_are_numbered() {
    let query = format!(
        "{LEFT} | join kind=inner (resources | project name, location) on name \
                         | join kind=inner (resources | project name, location) on name"
    );
    assert_eq!(
        names(&query),
        ["name", "location", "k", "name1", "location1", "name2", "location2"]
    );
}

#[test]
fn the_default_join_takes_the_first_row_of_each_left_key() {
    let right = "(resources | project location, other = name)";
    let unique = format!("{LEFT} | join {right} on location | count");
    let inner = format!("{LEFT} | join kind=inner {right} on location | count");
    assert_eq!(column(&unique), [3]);
    assert_eq!(column(&inner), [3 * 3]);
}

#[test]
fn keys_of_different_names_are_joined_by_sides() {
    let query = "resources | where name == 'web-1' | project name, subscriptionId \
                 | join kind=leftouter (resourcecontainers | project sub = subscriptionId, display = name) \
                 on $left.subscriptionId == $right.sub | project name, display";
    assert_eq!(answer(query).rows, [[json!("web-1"), json!("Production")]]);
    let turned =
        query.replace("$left.subscriptionId == $right.sub", "$right.sub == $left.subscriptionId");
    assert_eq!(answer(&turned).rows, answer(query).rows);
}

#[test]
fn a_table_is_joined_by_its_name() {
    let query = "Resources | join ResourceContainers on subscriptionId | limit 1 | project name, name1, subscriptionId1";
    assert_eq!(answer(query).rows[0][..2], [json!("web-1"), json!("Production")]);
}

#[test]
fn a_full_outer_join_keeps_both_sides() {
    let query = "resources | where name startswith 'web' | project name \
                 | join kind=fullouter (resources | where name in ('web-2', 'arc-1') | project other = name) \
                 on $left.name == $right.other | project name, other";
    assert_eq!(
        answer(query).rows,
        [
            [json!("web-1"), json!("")],
            [json!("web-2"), json!("web-2")],
            [json!(""), json!("arc-1")],
        ]
    );
}

#[test]
fn a_union_has_the_columns_of_all() {
    let query = "resources | where name == 'web-1' | project name, a = 1 \
                 | union (resourcecontainers | project name, b = tags), (resources | take 1 | project name)";
    assert_eq!(names(query), ["name", "a", "b"]);
    assert_eq!(
        answer(query).rows,
        [
            [json!("web-1"), json!(1), Value::Null],
            [json!("Production"), Value::Null, Value::Null],
            [json!("web-1"), Value::Null, Value::Null],
        ]
    );
    let inner = "resources | project name, a = 1 | union kind=inner withsource=src (resourcecontainers | project name)";
    assert_eq!(names(inner), ["src", "name"]);
    assert_eq!(column(&format!("{inner} | distinct src")), ["union_arg0", "union_arg1"]);
    assert_eq!(column("patchassessmentresources | union patchinstallationresources | count"), [5]);
}
