//! Which maintenance configurations are attached to a machine: by an assignment of its own, or by the
//! filter of a dynamic scope.

use patchkit_core::{PlatformKind, Result};
use serde_json::Value;

use crate::{Machine, MachineKind, convert::node::text, error::malformed, ids::plain_location};

const OPERATION: &str = "Resources";

/// A maintenance configuration, and whom it is for.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    /// The machine's id, or the scope's whose machines are filtered, in lower case.
    of: String,
    /// The configuration's id, as it was spelled.
    pub(super) configuration: String,
    filter: Value,
}

impl Assignment {
    /// Reads a row of the graph's `maintenanceresources`.
    pub(super) fn read(row: &Value) -> Result<Self> {
        let id = text(row, "/id").ok_or_else(|| malformed(OPERATION, "an assignment has no id"))?;
        let configuration = text(row, "/configuration")
            .ok_or_else(|| malformed(OPERATION, "an assignment has no configuration"))?;
        let own = || {
            // An assignment's id begins with what it is of.
            let id = id.to_ascii_lowercase();
            let end = id.find("/providers/microsoft.maintenance/").unwrap_or(id.len());
            id.get(..end).unwrap_or_default().to_owned()
        };
        let of = text(row, "/resource").map_or_else(own, str::to_ascii_lowercase);
        Ok(Self { of, configuration: configuration.to_owned(), filter: row["filter"].clone() })
    }

    /// Whether it is for a machine.
    ///
    /// A dynamic scope is evaluated when it runs; what a filter does not name it does not ask for
    /// ("About Dynamic Scopes", Azure Update Manager).
    pub(super) fn means(&self, machine: &Machine) -> bool {
        let id = machine.node.id.resource().to_ascii_lowercase();
        if self.of == id {
            return true;
        }
        let below = id.strip_prefix(&self.of).is_some_and(|rest| rest.starts_with('/'));
        let dynamic = self.of.split('/').count() <= 5;
        below && dynamic && passes(&self.filter, machine)
    }
}

fn passes(filter: &Value, machine: &Machine) -> bool {
    let kind = match machine.kind {
        MachineKind::Vm => "microsoft.compute/virtualmachines",
        MachineKind::Arc => "microsoft.hybridcompute/machines",
        // No schedule patches it.
        MachineKind::ScaleSetInstance => return false,
    };
    let system = match machine.node.operating_system.platform() {
        PlatformKind::Windows => "windows",
        _ => "linux",
    };
    let location = plain_location(machine.node.id.scope().region().as_str());
    named(&filter["resourceTypes"], |it| it.eq_ignore_ascii_case(kind))
        && named(&filter["resourceGroups"], |it| it.eq_ignore_ascii_case(&machine.resource_group))
        && named(&filter["osTypes"], |it| it.eq_ignore_ascii_case(system))
        && named(&filter["locations"], |it| plain_location(it) == location)
        && has_tags(&filter["tagSettings"], machine)
}

/// Whether a list names something; one that is empty or missing asks for nothing.
fn named(list: &Value, is_it: impl Fn(&str) -> bool) -> bool {
    match list.as_array() {
        Some(list) if !list.is_empty() => list.iter().filter_map(Value::as_str).any(is_it),
        _ => true,
    }
}

fn has_tags(settings: &Value, machine: &Machine) -> bool {
    let Some(wanted) = settings["tags"].as_object().filter(|it| !it.is_empty()) else {
        return true;
    };
    let has = |(key, values): (&String, &Value)| {
        let own = machine.node.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        own.is_some_and(|(_, own)| named(values, |it| it == own))
    };
    let any = text(settings, "/filterOperator").is_some_and(|it| it.eq_ignore_ascii_case("Any"));
    if any { wanted.iter().any(has) } else { wanted.iter().all(has) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::preflight::judge::tests::vm;

    const CONFIGURATION: &str = "/subscriptions/s-1/resourcegroups/rg/providers/Microsoft.Maintenance\
         /maintenanceConfigurations/nightly";

    fn assignment(of: &str, filter: &Value) -> Assignment {
        Assignment::read(&json!({
            "id": format!("{of}/providers/Microsoft.Maintenance/configurationAssignments/a"),
            "configuration": CONFIGURATION,
            "filter": filter,
        }))
        .unwrap()
    }

    #[test]
    fn one_of_its_own_is_for_the_machine_in_any_case_and_for_no_other() {
        let machine = vm("Vm1");
        let own = machine.node.id.resource().to_owned();
        assert!(assignment(&own.to_uppercase(), &Value::Null).means(&machine));
        assert!(!assignment(&own, &Value::Null).means(&vm("vm11")));
    }

    #[test]
    fn a_dynamic_scope_is_for_what_its_filter_takes() {
        let mut machine = vm("vm1");
        machine.node.tags.insert("Stage".to_owned(), "prod".to_owned());
        machine.node.tags.insert("Owner".to_owned(), "alice".to_owned());
        let tags = |operator: &str| {
            json!({"tagSettings": {"filterOperator": operator,
                "tags": {"stage": ["test", "prod"], "Owner": ["bob"]}}})
        };
        let group = "/subscriptions/s-1/resourceGroups/web";
        for (of, filter, means) in [
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
            assert_eq!(assignment(of, &filter).means(&machine), means, "{of} {filter}");
        }
    }
}
