//! What operators on whole tables mean.

use std::{borrow::Cow, ops::ControlFlow};

use serde_json::{Value, json};

use super::{
    super::{Field, Path, Query, Record, RowSet, Rows, Scan, plan::COLUMNS},
    answer, column, names, now, world,
};

#[test]
fn projections_choose_order_and_rename() {
    assert_eq!(names("resources | project-keep name, id"), ["id", "name"]);
    assert_eq!(names("resources | project a = name, b = 1 | project-away a"), ["b"]);
    let query = "resources | project aa = 1, ab = 2, bb = 3 | project-away a*";
    assert_eq!(names(query), ["bb"]);
    assert_eq!(names("resources | project a = 1, b = 2 | project-reorder b"), ["b", "a"]);
    assert_eq!(names("resources | project a = 1, b = 2 | project-rename c = a"), ["c", "b"]);
    assert_eq!(
        column("resources | project-rename machine = name | take 1 | project machine"),
        ["web-1"]
    );
}

#[test]
fn all_columns_of_a_table_come_in_the_services_order() {
    let columns = names("resources");
    assert_eq!(columns.first().unwrap(), "id");
    assert_eq!(columns.len(), 16);
    assert_eq!(answer("resources | take 1").rows[0][2], "microsoft.compute/virtualmachines");
}

#[test]
fn summarize_groups_and_names_its_columns() {
    let query = "resources | summarize count(), dcount(location), names = make_list(name) by type";
    assert_eq!(names(query), ["type", "count_", "dcount_location", "names"]);
    assert_eq!(
        answer(query).rows,
        [
            vec![
                json!("microsoft.compute/virtualmachines"),
                json!(3),
                json!(1),
                json!(["web-1", "web-2", "Db-1"])
            ],
            vec![json!("microsoft.hybridcompute/machines"), json!(1), json!(1), json!(["arc-1"])],
        ]
    );
}

#[test]
fn aggregates_of_values() {
    let query = "resources | extend gb = toint(properties.storageProfile.osDisk.diskSizeGB) \
                 | summarize sum(gb), min(gb), max(gb), avg(gb), countif(gb > 1), \
                 sumif(gb, name has 'web'), dcountif(gb, gb > 100), make_set(location), n = count()";
    let answer = answer(query);
    let columns: Vec<&str> = answer.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        columns,
        [
            "sum_gb",
            "min_gb",
            "max_gb",
            "avg_gb",
            "countif_",
            "sumif_gb",
            "dcountif_gb",
            "set_location",
            "n"
        ]
    );
    assert_eq!(
        answer.rows,
        [[
            json!(90),
            json!(30),
            json!(30),
            json!(30.0),
            json!(3),
            json!(60),
            json!(0),
            json!(["westeurope", "northeurope"]),
            json!(4)
        ]]
    );
}

#[test]
fn arithmetic_over_aggregates() {
    let query = "resources | summarize share = round(100.0 * countif(name has 'web') / count(), 1)";
    assert_eq!(column(query), [json!(50.0)]);
    assert_eq!(names("resources | summarize count() + 1"), ["Column1"]);
}

#[test]
fn arg_max_returns_the_row_of_the_greatest() {
    let query =
        "resources | summarize arg_max(name, location, id) by type | project type, name, location";
    assert_eq!(
        answer(query).rows,
        [
            [json!("microsoft.compute/virtualmachines"), json!("web-2"), json!("westeurope")],
            [json!("microsoft.hybridcompute/machines"), json!("arc-1"), json!("northeurope")],
        ]
    );
    let all = names("resources | project name, location, n = 1 | summarize arg_min(name, *) by n");
    assert_eq!(all, ["n", "name", "location", "n1"]);
    assert_eq!(
        names("resources | summarize any(name), take_any(location)"),
        ["any_name", "location"]
    );
}

#[test]
fn no_rows_make_one_group_only_without_keys() {
    let none = "resources | where false | summarize count(), max(name), make_list(name)";
    assert_eq!(answer(none).rows, [[json!(0), json!(""), json!([])]]);
    assert_eq!(column("resources | where false | summarize count() by name"), [] as [Value; 0]);
}

#[test]
fn time_bins_are_group_keys() {
    let query = "patchinstallationresources | where type !has 'softwarepatches' \
                 | summarize n = count() by day = bin(todatetime(properties.startDateTime), 1d)";
    assert_eq!(answer(query).rows, [[json!("2026-11-20T00:00:00Z"), json!(1)]]);
}

#[test]
fn distinct_keeps_the_first_of_each() {
    assert_eq!(column("resources | distinct location"), ["westeurope", "northeurope"]);
    assert_eq!(answer("resources | project location, kind | distinct *").rows.len(), 2);
}

#[test]
fn sorts_go_down_unless_told_and_nulls_last_then() {
    assert_eq!(
        column("resources | order by name | project name"),
        ["web-2", "web-1", "arc-1", "Db-1"]
    );
    assert_eq!(
        column("resources | sort by name asc | project name"),
        ["Db-1", "arc-1", "web-1", "web-2"]
    );
    let sizes = "resources | extend gb = toint(properties.storageProfile.osDisk.diskSizeGB)";
    assert_eq!(column(&format!("{sizes} | sort by gb asc | project name"))[0], "arc-1");
    assert_eq!(column(&format!("{sizes} | sort by gb | project name"))[3], "arc-1");
    assert_eq!(column(&format!("{sizes} | sort by gb asc nulls last | project name"))[3], "arc-1");
    assert_eq!(
        column(&format!("{sizes} | sort by gb desc nulls first | project name"))[0],
        "arc-1"
    );
    let two = "resources | sort by location asc, name desc | project name";
    assert_eq!(column(two), ["arc-1", "web-2", "web-1", "Db-1"]);
}

#[test]
fn top_and_take_end_early() {
    assert_eq!(column("resources | top 2 by name asc | project name"), ["Db-1", "arc-1"]);
    assert_eq!(column("resources | take 2 | project name"), ["web-1", "web-2"]);
    assert_eq!(column("resources | take 0 | project name"), [] as [Value; 0]);
}

#[test]
fn arrays_expand_to_a_row_each_and_none_to_one() {
    let query = "resources | mv-expand zone = zones to typeof(string) | project name, zone";
    assert_eq!(
        answer(query).rows,
        [
            [json!("web-1"), json!("1")],
            [json!("web-1"), json!("2")],
            [json!("web-2"), json!("1")],
            [json!("web-2"), json!("2")],
            [json!("Db-1"), json!("1")],
            [json!("Db-1"), json!("2")],
            [json!("arc-1"), json!("")],
        ]
    );
    let dynamic = "resources | where name == 'arc-1' | mvexpand zones | project zones";
    assert_eq!(column(dynamic), [Value::Null]);
    assert_eq!(
        names("resources | mv-expand properties.extended | project-keep properties_*"),
        ["properties_extended"]
    );
}

#[test]
fn bags_expand_to_a_bag_each() {
    let query =
        "resources | where name == 'web-1' | mv-expand bagexpansion=bag tags | project tags";
    assert_eq!(column(query), [json!({"Patch Group": "web"}), json!({"env": "prod"})]);
}

#[test]
fn expansions_stop_at_their_limit() {
    let list: Vec<u32> = (0..300).collect();
    let query = |limit: &str| {
        format!("resources | take 1 | extend l = dynamic({list:?}) | mv-expand l{limit} | count")
    };
    assert_eq!(column(&query("")), [128]);
    assert_eq!(column(&query(" limit 200")), [200]);
    let indexed = "resources | take 1 | mv-expand with_itemindex=i zones | project i";
    assert_eq!(column(indexed), [0, 1]);
}

#[test]
fn parse_cuts_a_text_at_its_texts() {
    let query = "resources | where name == 'web-1' | parse id with * '/resourceGroups/' group '/' * 'Machines/' machine \
                 | project group, machine";
    assert_eq!(answer(query).rows, [[json!("RG1"), json!("web-1")]]);
    let typed = "resources | take 1 | parse 'a=5;b=x' with 'a=' a:long ';b=' b | project a, b";
    assert_eq!(answer(typed).rows, [[json!(5), json!("x")]]);
    let missed = "resources | take 1 | parse name with 'nothing' x | project x";
    assert_eq!(column(missed), [""]);
}

/// Makes each row when it is asked for.
struct Made(RowSet);

struct Copied(Value);

impl<'a> Record<'a> for Copied {
    fn column(&self, name: &'static str) -> Field<'a> {
        match self.0.get(name).cloned() {
            None => Field::None,
            Some(Value::String(text)) => Field::text(text),
            Some(value) => Field::Document(Cow::Owned(value)),
        }
    }

    fn write(&self, name: &'static str, path: &Path, out: &mut Vec<u8>) -> bool {
        let column = self.0.get(name).filter(|value| !value.is_null());
        let value = column.map(|it| path.iter().fold(it, |value, key| &value[key]));
        value.is_some_and(|value| serde_json::to_writer(out, value).is_ok())
    }
}

impl Rows for Made {
    fn scan<'a>(
        &'a self,
        scan: Scan<'a>,
        each: &mut dyn FnMut(&dyn Record<'a>) -> ControlFlow<()>,
    ) {
        self.0.scan(scan, &mut |record| {
            let columns = COLUMNS.iter().filter_map(|(name, _)| {
                let value = match record.column(name) {
                    Field::Document(value) => value.into_owned(),
                    _ => return None,
                };
                Some(((*name).to_owned(), value))
            });
            each(&Copied(Value::Object(columns.collect())))
        });
    }
}

#[test]
fn rows_made_one_by_one_give_the_same_answers() {
    for query in [
        "resources",
        "resources | where name has 'web' and tags['Patch Group'] =~ 'WEB' | project id, properties, zones[0]",
        "resources | mv-expand zones | summarize count(), make_set(tostring(zones)), arg_max(name, *) by type",
        "resources | join kind=leftouter (resources | project name, tags) on name | sort by name asc",
        "patchassessmentresources | union patchinstallationresources | extend properties = properties.status",
    ] {
        let query = Query::parse(query).unwrap();
        assert_eq!(query.run(&Made(world()), now()).unwrap(), query.run(&world(), now()).unwrap());
    }
}
