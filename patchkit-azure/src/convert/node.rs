//! Rows of Resource Graph and instance views as managed nodes.

use jiff::Timestamp;
use patchkit_core::{
    AccountId, Error, ManagedNode, NodeId, NodeOrigin, NodeStatus, OperatingSystem, PowerState,
    Reachability, Result, Tags, UnmanagedReason,
};
use serde_json::Value;

use crate::{
    Machine, MachineKind, PatchSettings,
    error::malformed,
    ids::{EVERYWHERE, MachineId, scope},
    machine::Schedules,
};

/// A text that is there.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    value.pointer(path)?.as_str().filter(|text| !text.is_empty())
}

/// The power of a code: `PowerState/running`.
pub(crate) fn power(code: Option<&str>) -> PowerState {
    let word = code.map(|code| code.rsplit('/').next().unwrap_or(code).to_ascii_lowercase());
    match word.as_deref() {
        Some("running") => PowerState::Running,
        Some("stopped") => PowerState::Stopped,
        Some("deallocated") => PowerState::Deallocated,
        Some("starting") => PowerState::Starting,
        Some("stopping" | "deallocating") => PowerState::Stopping,
        _ => PowerState::Unknown,
    }
}

/// The code of the power in an instance view, whose statuses come in any order.
pub(crate) fn power_code(view: &Value) -> Option<&str> {
    let statuses = view["statuses"].as_array()?;
    let codes = statuses.iter().filter_map(|status| status["code"].as_str());
    codes.into_iter().find(|code| {
        code.split_once('/').is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("PowerState"))
    })
}

/// What a VM's agent says of itself, by the instance view: a machine without one has no such part.
fn agent(view: &Value) -> Reachability {
    match view["vmAgent"]["statuses"].as_array() {
        None => Reachability::Unknown,
        Some(statuses) => {
            let ready = |status: &Value| {
                let code = status["code"].as_str().unwrap_or_default();
                code.eq_ignore_ascii_case("ProvisioningState/succeeded")
            };
            if statuses.iter().any(ready) { Reachability::Online } else { Reachability::Lost }
        }
    }
}

/// What Arc says of a machine's agent (HybridCompute API, `StatusTypes`).
fn connection(status: Option<&str>) -> Reachability {
    match status.map(str::to_ascii_lowercase).as_deref() {
        Some("connected") => Reachability::Online,
        Some("disconnected" | "error") => Reachability::Lost,
        // It has not been heard for 45 days.
        Some("expired") => Reachability::Inactive,
        _ => Reachability::Unknown,
    }
}

/// What is off cannot answer, whatever its agent said last.
fn reachability(power: PowerState, agent: Reachability) -> Reachability {
    if power.is_off() { Reachability::Inactive } else { agent }
}

/// The status of a VM by its instance view.
pub(crate) fn status(view: &Value, at: Timestamp) -> NodeStatus {
    let power = power(power_code(view));
    let mut status = NodeStatus::new(power, reachability(power, agent(view)), at);
    status.agent_version = agent_version(view);
    status
}

fn agent_version(view: &Value) -> Option<String> {
    text(view, "/vmAgent/vmAgentVersion").filter(|it| *it != "Unknown").map(str::to_owned)
}

/// The status of an Arc machine by its properties: its power is not Azure's to know.
pub(crate) fn arc_status(properties: &Value, at: Timestamp) -> NodeStatus {
    let connected = connection(text(properties, "/status"));
    let mut status = NodeStatus::new(PowerState::Unknown, connected, at);
    status.agent_version = text(properties, "/agentVersion").map(str::to_owned);
    status
}

/// Puts what an instance view tells of the agent where nothing was known.
pub(crate) fn add_agent(node: &mut ManagedNode, view: &Value) {
    node.reachability = reachability(node.power, agent(view));
    node.agent_version = agent_version(view);
    node.unmanaged = UnmanagedReason::of(node.power, node.reachability);
}

/// An operating system by what the machine's own agent, its image and its disk say, in this order.
pub(crate) fn operating_system(
    kind: Option<&str>,
    name: Option<&str>,
    version: Option<&str>,
    image: &Value,
) -> OperatingSystem {
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("Windows")) {
        return OperatingSystem::Windows;
    }
    if let Some(name) = name {
        return match name.to_ascii_lowercase().as_str() {
            // As /etc/os-release has them, which the Linux agent reads.
            "rhel" | "redhat" => OperatingSystem::RedHatEnterpriseLinux,
            "ol" => OperatingSystem::OracleLinux,
            _ => OperatingSystem::from_platform(name, version.unwrap_or_default()),
        };
    }
    let part = |path| text(image, path).unwrap_or_default().to_ascii_lowercase();
    let [publisher, offer] = [part("/publisher"), part("/offer")];
    match publisher.as_str() {
        "canonical" => OperatingSystem::Ubuntu,
        "redhat" => OperatingSystem::RedHatEnterpriseLinux,
        "suse" => OperatingSystem::Suse,
        "oracle" => OperatingSystem::OracleLinux,
        "debian" => OperatingSystem::Debian,
        "openlogic" => OperatingSystem::CentOs,
        "almalinux" => OperatingSystem::AlmaLinux,
        "resf" | "erockyenterprisesoftwarefoundationinc1653071250513" => {
            OperatingSystem::RockyLinux
        }
        publisher if publisher.starts_with("microsoftwindows") => OperatingSystem::Windows,
        _ if !offer.is_empty() => OperatingSystem::from_platform(&offer, ""),
        _ => OperatingSystem::Other(kind.unwrap_or("unknown").into()),
    }
}

/// A version as vendors write it: Compute puts `Microsoft Windows NT` before that of Windows.
fn version(text: &str) -> String {
    text.strip_prefix("Microsoft Windows NT ").unwrap_or(text).to_owned()
}

/// Tags of a resource; one without any has none, or `null`.
pub(crate) fn tags(operation: &'static str, value: &Value) -> Result<Tags> {
    match value {
        Value::Null => Ok(Tags::new()),
        Value::Object(tags) => tags
            .iter()
            .map(|(key, value)| match value {
                Value::String(value) => Ok((key.clone(), value.clone())),
                Value::Null => Ok((key.clone(), String::new())),
                _ => Err(malformed(operation, "a tag's value is no text")),
            })
            .collect(),
        _ => Err(malformed(operation, "its tags are no object")),
    }
}

/// A machine's patch settings, as the Compute API has them.
pub(crate) fn patch_settings(value: &Value) -> PatchSettings {
    let mode = |path| text(value, path).map(str::to_owned);
    let own = "/automaticByPlatformSettings/bypassPlatformSafetyChecksOnUserSchedule";
    PatchSettings {
        mode: mode("/patchMode").map(Into::into),
        assessment: mode("/assessmentMode").map(Into::into),
        schedules: match value.pointer(own).and_then(Value::as_bool) {
            Some(true) => Schedules::Own,
            _ => Schedules::Platform,
        },
    }
}

/// Where a row is: its id, and its place as far as that is known.
pub(crate) struct Place {
    pub(crate) id: MachineId,
    pub(crate) node: NodeId,
}

impl Place {
    /// Reads the id and the location of a row.
    ///
    /// # Errors
    /// `Malformed`; it names the subscription's scope where the id could be read.
    pub(crate) fn of(
        operation: &'static str,
        row: &Value,
        ours: impl Fn(&str) -> Option<AccountId>,
    ) -> Result<Self> {
        let resource = text(row, "/id").ok_or_else(|| malformed(operation, "a row has no id"))?;
        let id = MachineId::parse(operation, resource)
            .map_err(|error| malformed(operation, error.message().to_owned()))?;
        let subscription = ours(&id.subscription).ok_or_else(|| {
            malformed(operation, "a row is of a subscription that was not asked for")
        })?;
        let anywhere = scope(&subscription, EVERYWHERE)?;
        let lost = |what: &'static str| {
            let error = malformed(operation, what).with_scope(anywhere.clone());
            match NodeId::new(anywhere.clone(), resource) {
                Ok(node) => error.with_node(node),
                Err(_) => error,
            }
        };
        let location = text(row, "/location").ok_or_else(|| lost("it has no location"))?;
        let scope = scope(&subscription, location).map_err(|_| lost("its location is none"))?;
        let node = NodeId::new(scope, resource).map_err(|_| lost("its id is none"))?;
        Ok(Self { id, node })
    }

    /// An error of this row alone.
    pub(crate) fn error(&self, error: Error) -> Error {
        error.with_scope(self.node.scope().clone()).with_node(self.node.clone())
    }
}

/// A machine by a row of the query that `fleet::query` writes.
pub(crate) fn machine(
    operation: &'static str,
    place: &Place,
    row: &Value,
    at: Timestamp,
) -> Result<Machine> {
    let arc = place.id.kind == MachineKind::Arc;
    let of = |vm, its_arc| text(row, if arc { its_arc } else { vm });
    let os_name = of("/view/osName", "/arcOsName");
    let os_version = of("/view/osVersion", "/arcOsVersion");
    let os_type = of("/osType", "/arcOsType");
    let system = operating_system(os_type, os_name, os_version, &row["image"]);
    let mut node = ManagedNode::new(place.node.clone(), system, at);
    node.name = text(row, "/displayName").or(text(row, "/name")).map(str::to_owned);
    node.platform_version = os_version.map(version);
    node.tags = tags(operation, &row["tags"]).map_err(|error| place.error(error))?;
    // Every location numbers its zones from 1.
    let zone = text(row, "/zone");
    node.zone = zone.map(|zone| format!("{}-{zone}", place.node.scope().region()));
    if arc {
        node.origin = NodeOrigin::Hybrid;
        node.reachability = connection(text(row, "/arcStatus"));
        node.agent_version = text(row, "/agentVersion").map(str::to_owned);
    } else {
        node.power = power(text(row, "/view/powerState/code"));
        // Its agent tells the name; who does not tell is asked for.
        let told = if os_name.is_some() { Reachability::Online } else { Reachability::Unknown };
        node.reachability = reachability(node.power, told);
    }
    node.unmanaged = match UnmanagedReason::of(node.power, node.reachability) {
        Some(UnmanagedReason::Silent { .. }) => {
            let since = text(row, "/since").and_then(|since| since.parse().ok());
            Some(UnmanagedReason::Silent { since })
        }
        other => other,
    };
    let hardware_id = of("/vmId", "/vmUuid");
    let uuid = hardware_id.and_then(|id| id.parse().ok());
    // An Arc machine's own id is of its registration, and new with each.
    let slot = if arc { &mut node.identity.smbios_uuid } else { &mut node.identity.vm_id };
    *slot = uuid;
    let name = text(row, "/view/computerName").or(text(row, "/computerName"));
    node.identity.computer_name = name.map(str::to_owned);
    let patching = [&row["windows"], &row["linux"]].into_iter().find(|it| it.is_object());
    Ok(Machine {
        node,
        kind: place.id.kind,
        resource_group: place.id.group.clone(),
        hardware_id: hardware_id.map(str::to_owned),
        scale_set: text(row, "/scaleSet").map(str::to_owned),
        priority: text(row, "/priority").map(str::to_owned),
        patching: patching.map(patch_settings).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str =
        "/subscriptions/s-1/resourceGroups/web/providers/Microsoft.Compute/virtualMachines/vm1";

    fn read(row: &Value) -> Result<Machine> {
        let ours = |id: &str| (id == "s-1").then(|| AccountId::new("S-1").unwrap());
        let place = Place::of("test", row, ours)?;
        machine("test", &place, row, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_row_becomes_a_machine() {
        let machine = read(&json!({
            "id": ID, "name": "vm1", "location": "West Europe",
            "tags": {"Owner": "alice", "Empty": null}, "zone": "2",
            "vmId": "5c3e1f60-9a2b-4d47-8f10-2b6f0c9d1e7a", "computerName": "web-1", "priority": "Spot", "osType": "Linux",
            "view": {"powerState": {"code": "PowerState/running"}, "osName": "rhel", "osVersion": "9.4"},
            "linux": {"patchMode": "AutomaticByPlatform", "automaticByPlatformSettings":
                {"bypassPlatformSafetyChecksOnUserSchedule": true}},
        }))
        .unwrap();
        assert_eq!(machine.node.id.scope().to_string(), "azure/S-1/westeurope");
        assert_eq!(machine.node.operating_system, OperatingSystem::RedHatEnterpriseLinux);
        assert_eq!(machine.node.power, PowerState::Running);
        assert_eq!(machine.node.zone.as_deref(), Some("westeurope-2"));
        assert_eq!(machine.node.unmanaged, None);
        let identity = &machine.node.identity;
        assert_eq!(identity.vm_id.unwrap().to_string(), machine.hardware_id.unwrap());
        assert_eq!(
            (identity.computer_name.as_deref(), identity.smbios_uuid),
            (Some("web-1"), None)
        );
        assert_eq!(machine.node.tags.get("Empty").map(String::as_str), Some(""));
        assert!(machine.patching.has_own_schedules());
        assert_eq!(machine.priority.as_deref(), Some("Spot"));
    }

    #[test]
    fn a_bad_row_names_its_node_or_at_least_its_scope() {
        let error = read(&json!({"id": ID})).unwrap_err();
        assert_eq!(error.scope().unwrap().to_string(), "azure/S-1/global");
        assert_eq!(error.node().unwrap().name(), "vm1");
        let error = read(&json!({"id": ID, "location": "we", "tags": [1]})).unwrap_err();
        assert_eq!(error.scope().unwrap().to_string(), "azure/S-1/we");
        assert!(read(&json!({"location": "we"})).unwrap_err().scope().is_none());
        assert!(read(&json!({"id": 7, "location": "we"})).unwrap_err().scope().is_none());
    }

    #[test]
    fn unknown_words_of_power_are_unknown_and_not_off() {
        for (code, state) in [
            ("PowerState/running", PowerState::Running),
            ("powerstate/Deallocated", PowerState::Deallocated),
            ("PowerState/deallocating", PowerState::Stopping),
            ("PowerState/LearnedLater", PowerState::Unknown),
            ("", PowerState::Unknown),
        ] {
            assert_eq!(power(Some(code)), state, "{code}");
        }
        assert_eq!(power(None), PowerState::Unknown);
    }

    #[test]
    fn a_silent_agent_is_told_from_none() {
        let view = |agent: Value| {
            json!({"statuses": [{"code": "ProvisioningState/succeeded"}, {"code": "PowerState/running"}],
                "vmAgent": agent})
        };
        let at = Timestamp::UNIX_EPOCH;
        let ready = json!({"vmAgentVersion": "2.7.41491.1176", "statuses":
            [{"code": "ProvisioningState/succeeded"}]});
        assert_eq!(status(&view(ready), at).reachability, Reachability::Online);
        let silent = json!({"vmAgentVersion": "Unknown", "statuses":
            [{"code": "ProvisioningState/Unavailable"}]});
        let silent = status(&view(silent), at);
        assert_eq!((silent.reachability, silent.agent_version), (Reachability::Lost, None));
        assert_eq!(status(&view(Value::Null), at).reachability, Reachability::Unknown);
    }

    #[test]
    fn an_operating_system_is_read_off_the_agent_the_image_or_the_disk() {
        let image = |publisher: &str| json!({"publisher": publisher, "offer": "x"});
        for (kind, name, image, os) in [
            (Some("Windows"), None, Value::Null, OperatingSystem::Windows),
            (Some("windows"), Some("odd"), Value::Null, OperatingSystem::Windows),
            (Some("Linux"), Some("ubuntu"), Value::Null, OperatingSystem::Ubuntu),
            (Some("Linux"), None, image("RedHat"), OperatingSystem::RedHatEnterpriseLinux),
            (Some("Linux"), None, image("Canonical"), OperatingSystem::Ubuntu),
            (Some("Linux"), None, image("me"), OperatingSystem::Other("x".into())),
            (Some("Linux"), None, Value::Null, OperatingSystem::Other("Linux".into())),
            (None, None, Value::Null, OperatingSystem::Other("unknown".into())),
        ] {
            assert_eq!(operating_system(kind, name, None, &image), os, "{kind:?} {name:?} {image}");
        }
    }
}
