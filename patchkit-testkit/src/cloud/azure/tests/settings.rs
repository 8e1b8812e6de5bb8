//! Settings that are not modelled: refused, since what is left out silently looks like done.

use http::Method;
use serde_json::{Value, json};

use super::{Cloud, group_of};

const WINDOWS: &str = "windowsConfiguration";
const LINUX: &str = "linuxConfiguration";

/// A VM whose system has this configuration.
fn vm_of(cloud: &Cloud, configuration: &str) -> String {
    let such = |id: &String| {
        let at = cloud.at(id);
        let is_windows = cloud.0.settled().system_of(at).is_windows();
        configuration == if is_windows { WINDOWS } else { LINUX }
    };
    cloud.vms().into_iter().find(such).unwrap()
}

#[test]
fn a_patch_setting_that_is_not_modelled_is_refused_by_its_place() {
    let cloud = Cloud::well();
    for (configuration, settings, place) in [
        (WINDOWS, json!({"enableHotpatching": true}), "patchSettings.enableHotpatching"),
        (LINUX, json!({"enableHotpatching": false}), "patchSettings.enableHotpatching"),
        (WINDOWS, json!({"patchModes": "Manual"}), "patchSettings.patchModes"),
        (
            WINDOWS,
            json!({"patchMode": "AutomaticByPlatform", "automaticByPlatformSettings": {"reboot": "Never"}}),
            "automaticByPlatformSettings.reboot",
        ),
    ] {
        let id = vm_of(&cloud, configuration);
        let body =
            json!({"properties": {"osProfile": {configuration: {"patchSettings": settings}}}});
        let reply = cloud.send(Method::PATCH, &id, &body);
        assert_eq!(reply.code(), "InvalidParameter", "{settings}");
        let target = reply.body["error"]["target"].as_str().unwrap();
        assert!(target.ends_with(place), "{target}");
    }
    let id = vm_of(&cloud, WINDOWS);
    let settings = json!({"enableHotpatching": false, "patchMode": null});
    let body = json!({"properties": {"osProfile": {WINDOWS: {"patchSettings": settings}}}});
    assert_eq!(cloud.send(Method::PATCH, &id, &body).status, 200, "it is so anyway");
}

#[test]
fn a_property_of_a_configuration_that_is_not_modelled_is_refused() {
    let cloud = Cloud::well();
    let group = group_of(&cloud.vms()[0]);
    let path = format!("{group}/providers/Microsoft.Maintenance/maintenanceConfigurations/weekly");
    let put = |property: Value| {
        let mut properties = json!({"maintenanceScope": "Host"});
        properties["overrides"] = property;
        let body = json!({"location": "westeurope", "properties": properties});
        cloud.send(Method::PUT, &path, &body)
    };
    let refused = put(json!([{"startDateTime": "2026-11-03 00:00"}]));
    assert_eq!(refused.body["error"]["target"], "properties.overrides");
    assert_eq!(cloud.get(&path).status, 404);
    assert_eq!(put(Value::Null).status, 201);
}
