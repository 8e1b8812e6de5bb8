use jiff::Timestamp;
use patchkit_core::OperatingSystem;

use super::*;

/// Azure/azure-rest-api-specs, examples of the Maintenance API 2023-10-01-preview.
const SAMPLE: &str = include_str!("../../../tests/samples/maintenance_assignment.json");

fn sample() -> Filter {
    let row: Value = serde_json::from_str(SAMPLE).unwrap();
    Filter::read("test", &row["properties"]["filter"]).unwrap()
}

fn node(group: &str, location: &str, tag: (&str, &str)) -> (MachineId, ManagedNode) {
    let id = format!(
        "/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/vm1"
    );
    let machine = MachineId::parse("test", &id).unwrap();
    let id = format!("azure/s/{location}/{id}").parse().unwrap();
    let mut node = ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH);
    node.tags.insert(tag.0.to_owned(), tag.1.to_owned());
    (machine, node)
}

#[test]
fn the_published_example_decodes() {
    let filter = sample();
    for (group, location, tag, means) in [
        ("rg1", "japaneast", ("Tag2", "tag2Value3"), true),
        ("RG2", "UK South", ("tag1", "tag1Value1"), true),
        ("rg3", "japaneast", ("tag1", "tag1Value1"), false),
        ("rg1", "westeurope", ("tag1", "tag1Value1"), false),
        ("rg1", "japaneast", ("tag1", "TAG1VALUE1"), false),
    ] {
        let (machine, node) = node(group, location, tag);
        assert_eq!(filter.means(&machine, &node), means, "{group} {location} {tag:?}");
    }
    assert!(filter.patch_groups().is_empty(), "it is no group's");
}

#[test]
fn the_filter_of_a_group_means_its_machines_of_one_kind() {
    let group = PatchGroupName::new("web").unwrap();
    let filter = Filter::read("test", &Filter::of_group(&group, Part::Linux)).unwrap();
    assert_eq!(filter.patch_groups(), BTreeSet::from([group]));
    assert_eq!(filter.parts(), [Part::Linux]);
    for tag in ["PatchGroup", "Patch Group"] {
        let (machine, mut node) = node("rg", "westeurope", (tag, "web"));
        assert!(filter.means(&machine, &node));
        node.operating_system = OperatingSystem::Windows;
        assert!(!filter.means(&machine, &node));
    }
}

#[test]
fn what_is_not_known_may_mean_any_machine_and_no_group() {
    let mut filter = Filter::of_group(&PatchGroupName::new("web").unwrap(), Part::Linux);
    filter["learnedLater"] = json!(["x"]);
    let filter = Filter::read("test", &filter).unwrap();
    let (machine, node) = node("rg", "westeurope", ("PatchGroup", "web"));
    assert!(filter.means(&machine, &node) && filter.patch_groups().is_empty());
}

#[test]
fn a_filter_that_is_none_is_malformed() {
    for wrong in [
        json!({"osTypes": "Linux"}),
        json!({"locations": [7]}),
        json!({"tagSettings": {"tags": {"a": "b"}}}),
    ] {
        assert!(Filter::read("test", &wrong).is_err(), "{wrong}");
    }
}
