//! In which order rows come: that of their ids.

use patchkit_core::OperatingSystem;
use serde_json::json;

use super::{Cloud, SUBSCRIPTION};
use crate::cloud::{NodeSpec, world::machine::Behavior};

fn ids(cloud: &Cloud, query: &str) -> Vec<String> {
    let body = json!({"query": query, "options": {"resultFormat": "objectArray"}});
    let reply = cloud.post("/providers/Microsoft.ResourceGraph/resources", &body);
    let rows = reply.body["data"].as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// A world with machines that were added one after the other, of groups that are new, too.
fn grown() -> Cloud {
    let cloud = Cloud::new(Behavior::Well);
    for (group, name, is_vm) in [
        ("web", "b", true),
        ("web-a", "x", true),
        ("web", "a", false),
        ("0", "z", false),
        ("web", "b-1", true),
        ("web", "B", true),
        ("Web-A", "a", true),
        ("rg-production-data", "a-1", true),
        ("rg-production-data", "a", false),
    ] {
        let of = if is_vm { NodeSpec::vm } else { NodeSpec::arc };
        let node = of(OperatingSystem::Ubuntu, SUBSCRIPTION, group).with_name(name).scanned();
        // An id is taken whatever the case is.
        let taken = cloud.0.settled().add_node(&node).is_err();
        assert_eq!(taken, name == "B", "{group}/{name}");
    }
    cloud
}

#[test]
fn machines_come_in_the_order_of_their_ids_also_those_that_were_added() {
    let cloud = grown();
    for (query, behind) in [
        (
            "resources | where type in~ ('microsoft.compute/virtualmachines', \
             'microsoft.hybridcompute/machines')",
            "",
        ),
        (
            "patchassessmentresources | where type endswith 'patchassessmentresults'",
            "/patchAssessmentResults/latest",
        ),
    ] {
        let listed = ids(&cloud, query);
        let machines: Vec<&str> =
            listed.iter().map(|it| it.strip_suffix(behind).unwrap()).collect();
        assert!(machines.is_sorted(), "{query}: {machines:?}");
        assert!(machines.iter().any(|id| id.ends_with("/b-1")), "{query}: {machines:?}");
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        assert_eq!(ids(&cloud, &format!("{query} | order by id asc")), sorted, "{query}");
        // What belongs to `b-1` is before what belongs to `b`.
        assert_eq!(sorted == listed, behind.is_empty(), "{query}");
        sorted.reverse();
        assert_eq!(ids(&cloud, &format!("{query} | order by id desc")), sorted, "{query}");
    }
    let state = cloud.0.settled();
    assert!(state.azure.census.order(&state).is_as_listed);
}

/// The VMs of a subscription, or of a group in it, of all pages.
fn vms(cloud: &Cloud, group: &str) -> Vec<String> {
    let path = "providers/Microsoft.Compute/virtualMachines";
    let mut next = Some(format!("/subscriptions/{SUBSCRIPTION}{group}/{path}"));
    let mut ids = Vec::new();
    while let Some(page) = next {
        let reply = cloud.get(&page);
        let listed = reply.body["value"].as_array().unwrap().iter();
        ids.extend(listed.map(|it| it["id"].as_str().unwrap().to_owned()));
        next = reply.body["nextLink"].as_str().map(ToOwned::to_owned);
    }
    ids
}

#[test]
fn a_resource_group_lists_its_machines_wherever_it_is_among_others() {
    let cloud = grown();
    let mut of_groups = Vec::new();
    // What is in `web-a` is before what is in `web`.
    for group in
        ["0", "rg-production-data", "rg-production-ops", "rg-production-web", "web-A", "WEB"]
    {
        let here = format!("/resourcegroups/{}/", group.to_lowercase());
        let ids = vms(&cloud, &format!("/resourceGroups/{group}"));
        assert!(ids.iter().all(|id| id.to_lowercase().contains(&here)), "{group}: {ids:?}");
        assert_eq!(ids.is_empty(), group == "0", "{group}");
        of_groups.extend(ids);
    }
    assert_eq!(vms(&cloud, ""), of_groups);
}
