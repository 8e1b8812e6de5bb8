//! The forms of the queries that the documentation of Update Manager, its portal pages and public
//! scripts send, in our own words.

use serde_json::json;

use super::{super::Query, SUBSCRIPTION, answer, column, machine_id};

#[test]
fn pending_updates_per_machine_by_class() {
    let query = "patchassessmentresources
        | where type !has 'softwarepatches'
        | extend prop = parse_json(properties)
        | extend lastTime = properties.lastModifiedDateTime
        | extend securityCount = prop.availablePatchCountByClassification.security,
                 otherCount = prop.availablePatchCountByClassification.other, OS = prop.osType
        | project lastTime, id, OS, securityCount, otherCount";
    assert_eq!(
        answer(query).rows,
        [[
            json!("2026-11-23T10:05:00.1234567Z"),
            json!(format!("{}/patchAssessmentResults/latest", machine_id("web-1"))),
            json!("Linux"),
            json!(2),
            json!(5),
        ]]
    );
}

#[test]
fn installation_runs_of_the_last_week() {
    let query = "patchinstallationresources
        | where type !has \"softwarepatches\"
        | extend machine = tostring(split(id, \"/\", 8)), kind = tostring(split(type, \"/\", 0)), tostring(rg = split(id, \"/\", 4))
        | extend prop = parse_json(properties)
        | extend lTime = todatetime(prop.lastModifiedDateTime), installed = tostring(prop.installedPatchCount)
        | where lTime > ago(7d)
        | project lTime, RunID=name,machine, rg, kind, installed";
    assert_eq!(
        answer(query).rows,
        [[
            json!("2026-11-20T01:00:00Z"),
            json!("7a7a"),
            json!("[\"web-1\"]"),
            json!("[\"RG1\"]"),
            json!("[\"microsoft.compute\"]"),
            json!("3"),
        ]]
    );
}

#[test]
fn installed_packages_of_linux() {
    let query = "patchinstallationresources
        | where type has 'softwarepatches' and properties has 'version'
        | extend run = tostring(split(id, '/')[10]), state = tostring(properties.installationState)
        | where todatetime(properties.lastModifiedDateTime) > ago(7d)
        | project run, name, state, classes = tostring(properties.classifications)
        | sort by run";
    assert_eq!(answer(query).rows, [["7a7a", "vim", "Installed", "[\"Other\"]"]]);
}

#[test]
fn schedules_of_a_machine() {
    let query = format!(
        "maintenanceresources
        | where type =~ \"microsoft.maintenance/configurationassignments\"
        | where properties.resourceId =~ \"{}\"
        | parse properties.maintenanceConfigurationId with * '/subscriptions/' sub '/' *
        | distinct sub
        | summarize subs = make_list(sub)
        | project subs, isDynamicScope = \"False\"
        | union (
            maintenanceresources
            | where type =~ \"microsoft.maintenance/configurationassignments\"
            | extend parts = split(id, \"/\")
            | where array_length(parts) == 7 or array_length(parts) == 9
            | project id, isDynamicScope = \"True\", dynamicScopeProperties = properties
        ) ",
        machine_id("web-1")
    );
    let answer = answer(&query);
    assert_eq!(answer.rows[0][..2], [json!([SUBSCRIPTION]), json!("False")]);
    assert_eq!(answer.columns[2].0, "id");
}

#[test]
fn esm_packages_found_by_a_join_on_the_machine() {
    let query = "resources
        | where type in~(\"microsoft.hybridcompute/machines\", \"microsoft.compute/virtualmachines\")
        | extend joinId = tolower(id)
        | join kind = leftouter (
            patchassessmentresources
            | where type in~ (\"microsoft.compute/virtualmachines/patchassessmentresults/softwarePatches\")
            | parse id with resourceId \"/patchAssessmentResults\" *
            | extend joinId = tolower(resourceId)
            | project joinId, assess = properties) on $left.joinId == $right.joinId
            | where isnotnull(assess.classifications)
            | extend classif = parse_json(tolower(assess.classifications))
            | where isnotnull(assess.version) and set_has_element(classif, \"security\")
            | summarize count()";
    assert_eq!(column(query), [1]);
}

#[test]
fn the_last_assessment_with_its_kind_and_end() {
    let query = format!(
        "patchassessmentresources
        | where id =~ \"{}/PATCHASSESSMENTRESULTS/LATEST\"
        | extend kind = iff (properties.startedBy =~ \"platform\", \"Periodic\", \"Manual\")
        | extend endTime = iff(properties.status =~ \"InProgress\" or properties.status =~ \"NotStarted\", datetime(null), todatetime(properties.lastModifiedDateTime))
        | project kind, endTime, updateOperation = \"Assessment\"",
        machine_id("web-1")
    );
    assert_eq!(answer(&query).rows, [["Periodic", "2026-11-23T10:05:00.1234567Z", "Assessment"]]);
}

#[test]
fn runs_of_a_machine_newest_first() {
    let query = "PatchInstallationResources | where type =~ 'Microsoft.Compute/virtualMachines/patchInstallationResults' \
                 and id contains '/virtualMachines/web-1/patchInstallationResults/' | project properties, id \
                 | order by todatetime(properties.startDateTime) desc";
    assert_eq!(answer(query).rows.len(), 1);
}

#[test]
fn runs_with_their_subscriptions_name() {
    let query = "patchinstallationresources
        | where type =~ 'microsoft.compute/virtualmachines/patchinstallationresults' or type =~ 'microsoft.hybridcompute/machines/patchinstallationresults'
        | where properties.lastModifiedDateTime > ago(240h)
        | where properties.status in~ ('Succeeded','Failed')
        | parse id with * 'achines/' resourceName '/patchInstallationResults/' *
        | join kind = leftouter (ResourceContainers | where type == 'microsoft.resources/subscriptions'
            | where name contains 'Prod' | project SubscriptionName = name, subscriptionId) on subscriptionId
        | where isnotempty(SubscriptionName)
        | project VM=resourceName, SubscriptionName, status=properties.status";
    assert_eq!(answer(query).rows, [["web-1", "Production", "Succeeded"]]);
}

#[test]
fn machines_without_an_assessment() {
    let query = "resources
        | where type in~ ('microsoft.compute/virtualmachines', 'microsoft.hybridcompute/machines')
        | extend os = coalesce(tostring(properties.storageProfile.osDisk.osType), tostring(properties.osType))
        | project id = tolower(id), name, os = tolower(os), power = tostring(properties.extended.instanceView.powerState.code)
        | join kind=leftouter (
            patchassessmentresources
            | where type endswith '/patchassessmentresults'
            | extend id = tolower(tostring(split(id, '/patchAssessmentResults', 0)[0]))
            | project id, assessed = todatetime(properties.lastModifiedDateTime)
          ) on id
        | where isnull(assessed) or assessed < ago(7d)
        | summarize machines = make_set(name), n = count() by os
        | order by os asc";
    assert_eq!(
        answer(query).rows,
        [
            [json!("linux"), json!(["web-2"]), json!(1)],
            [json!("windows"), json!(["Db-1", "arc-1"]), json!(2)],
        ]
    );
}

#[test]
fn missing_patches_by_class_with_expansion() {
    let query = "patchassessmentresources
        | where type has 'softwarepatches'
        | mv-expand class = properties.classifications to typeof(string)
        | extend vm = extract('virtualMachines/([^/]+)', 1, id)
        | summarize patches = count(), vms = dcount(vm) by class
        | top 10 by patches desc, class asc";
    assert_eq!(
        answer(query).rows,
        [[json!("Other"), json!(1), json!(1)], [json!("Security"), json!(1), json!(1)]]
    );
}

#[test]
fn hints_follow_the_leading_filters() {
    let types = |query: &str| {
        let query = Query::parse(query).unwrap();
        query.scans()[0].1.types.clone()
    };
    let vms = Some(vec!["microsoft.compute/virtualmachines".to_owned()]);
    assert_eq!(types("resources | where type =~ 'Microsoft.Compute/VirtualMachines'"), vms);
    assert_eq!(
        types("resources | where name != 'x' and type == 'microsoft.compute/virtualmachines'"),
        vms
    );
    assert_eq!(
        types(
            "resources | extend a = 1 | where ['type'] in~ ('Microsoft.Compute/virtualMachines')"
        ),
        vms
    );
    assert_eq!(
        types("resources | where type =~ 'a' or type == 'b' | where type in ('B', 'c')"),
        Some(vec!["b".to_owned()])
    );
    for open in [
        "resources | where type has 'x'",
        "resources | where type =~ 'a' or name == 'b'",
        "resources | where type !in~ ('a')",
        "resources | extend type = 'x' | where type == 'x'",
        "resources | project type = name | where type == 'x'",
        "resources | take 5 | where type == 'x'",
    ] {
        assert_eq!(types(open), None, "{open}");
    }
    let query = format!(
        "resources | where id =~ '/A/B' and subscriptionId == '{SUBSCRIPTION}' | join kind=inner (resources | where type == 'x') on id"
    );
    let query = Query::parse(&query).unwrap();
    let scans = query.scans();
    assert_eq!(scans[0].1.ids, Some(vec!["/a/b".to_owned()]));
    assert_eq!(scans[0].1.subscriptions, Some(vec![SUBSCRIPTION.to_owned()]));
    assert_eq!(scans[1].1.types, Some(vec!["x".to_owned()]));
    assert_eq!(query.wanted_types(super::Table::Resources), None);
    let beginnings = |condition: &str| {
        let query = Query::parse(&format!("resources | where {condition}")).unwrap();
        query.scans()[0].1.beginnings.clone()
    };
    let two = Some(vec!["/a/".to_owned(), "/b".to_owned()]);
    assert_eq!(beginnings("name != '' and (id startswith '/A/' or id startswith_cs '/b')"), two);
    for open in [
        "id !startswith '/a/'",
        "id startswith '/a/' or name startswith 'b'",
        "id startswith 'é'",
        "id endswith '/a/'",
        "tolower(id) startswith '/a/'",
    ] {
        assert_eq!(beginnings(open), None, "{open}");
    }
}
