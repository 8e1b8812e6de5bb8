use jiff::Timestamp;
use patchkit_core::OperatingSystem;

use super::*;

const CONFIGURATION: &str = "/subscriptions/s-1/resourcegroups/rg/providers/Microsoft.Maintenance\
     /maintenanceConfigurations/nightly";

fn vm(name: &str) -> ManagedNode {
    let id = format!(
        "azure/s-1/westeurope//subscriptions/s-1/resourceGroups/web/providers\
         /Microsoft.Compute/virtualMachines/{name}"
    );
    ManagedNode::new(id.parse().unwrap(), OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH)
}

fn means(of: &str, filter: &Value, node: &ManagedNode) -> bool {
    let row = json!({
        "id": format!("{of}/providers/Microsoft.Maintenance/configurationAssignments/a"),
        "properties": {"maintenanceConfigurationId": CONFIGURATION, "filter": filter},
    });
    let ours = |id: &str| AccountId::new(id).ok();
    let assignment = Assignment::read(LIST, &row, ours).unwrap();
    assignment.means(&MachineId::of(LIST, &node.id).unwrap(), node)
}

#[test]
fn one_of_its_own_is_for_the_machine_in_any_case_and_for_no_other() {
    let node = vm("Vm1");
    let own = node.id.resource();
    assert!(means(&own.to_uppercase(), &Value::Null, &node));
    assert!(!means(own, &Value::Null, &vm("vm11")));
}

#[test]
fn a_dynamic_scope_is_for_what_its_filter_takes() {
    let mut node = vm("vm1");
    node.tags.insert("Stage".to_owned(), "prod".to_owned());
    node.tags.insert("Owner".to_owned(), "alice".to_owned());
    let tags = |operator: &str| {
        json!({"tagSettings": {"filterOperator": operator,
            "tags": {"stage": ["test", "prod"], "Owner": ["bob"]}}})
    };
    let group = "/subscriptions/s-1/resourceGroups/web";
    for (of, filter, taken) in [
        ("/subscriptions/S-1", Value::Null, true),
        ("/subscriptions/s-1", json!({"locations": ["West Europe"]}), true),
        ("/subscriptions/s-1", json!({"locations": ["uksouth"]}), false),
        ("/subscriptions/s-1", json!({"osTypes": ["Linux"], "resourceGroups": []}), true),
        ("/subscriptions/s-1", json!({"osTypes": ["Windows"]}), false),
        (
            "/subscriptions/s-1",
            json!({"resourceTypes": ["Microsoft.HybridCompute/machines"]}),
            false,
        ),
        ("/subscriptions/s-1", json!({"resourceGroups": ["WEB"]}), true),
        ("/subscriptions/s-1", tags("Any"), true),
        ("/subscriptions/s-1", tags("All"), false),
        (group, Value::Null, true),
        ("/subscriptions/s-1/resourceGroups/we", Value::Null, false),
        ("/subscriptions/s-2", Value::Null, false),
    ] {
        assert_eq!(means(of, &filter, &node), taken, "{of} {filter}");
    }
}
