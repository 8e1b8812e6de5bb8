use jiff::Timestamp;
use patchkit_core::{OperatingSystem, Recurrence, UpdateScope};
use proptest::prelude::*;

use super::*;
use crate::arbitrary::baselines;

/// Azure/azure-rest-api-specs, examples of the Maintenance API 2023-10-01-preview.
const SAMPLE: &str = include_str!("../../../tests/samples/maintenance_configuration.json");

fn now() -> Timestamp {
    "2026-11-24T02:00:00Z".parse().unwrap()
}

fn read(row: &Value) -> MaintenanceConfiguration {
    MaintenanceConfiguration::read("test", row, now()).unwrap().unwrap()
}

/// What the service gives back of a draft.
fn stored(draft: &Draft) -> Value {
    let mut row = draft.body().clone();
    row["id"] = "/subscriptions/s/resourcegroups/g/providers/Microsoft.Maintenance\
                 /maintenanceConfigurations/web"
        .into();
    row
}

fn draft(baseline: &PatchBaseline) -> Draft {
    let part = Part::of(&baseline.operating_system).unwrap();
    Draft::new("westeurope").with_baseline("test", part, baseline).unwrap()
}

#[test]
fn the_published_example_decodes() {
    let read = read(&serde_json::from_str(SAMPLE).unwrap());
    let [baseline] = read.baselines.as_slice() else { panic!("{read:?}") };
    assert_eq!(baseline.name, "configuration1");
    assert_eq!(baseline.operating_system, OperatingSystem::Other("Linux".into()));
    assert_eq!(baseline.approved_patches, ["binutils", "bin"]);
    assert_eq!(baseline.approved_patches_scope, UpdateScope::All);
    assert_eq!(baseline.rejected_patches, ["apt", "http"]);
    assert!(baseline.id.as_ref().unwrap().as_str().ends_with("/configuration1"));
    assert_eq!(read.reboot, Some(RebootPolicy::Always));
    let Timing::Window(window) = read.timing else { panic!("{:?}", read.timing) };
    assert_eq!(window.recurs, Recurrence::Days(5));
    assert_eq!((window.zone.as_str(), window.expires), ("Pacific Standard Time", None));
}

proptest! {
    #[test]
    fn a_baseline_goes_there_and_back_and_loses_nothing(baseline in baselines()) {
        let read = read(&stored(&draft(&baseline)));
        prop_assert_eq!(&read.timing, &Timing::Never);
        prop_assert_eq!(&read.differences, &Vec::<String>::new());
        let [back] = read.baselines.as_slice() else { panic!("{read:?}") };
        let mut back = back.clone();
        prop_assert!(back.id.take().is_some());
        prop_assert_eq!(back, baseline);
        let [again, first] = [read.draft().unwrap(), draft(&read.baselines[0])];
        prop_assert_eq!(again.body(), first.body());
    }
}

#[test]
fn what_is_no_whole_configuration_is_malformed_and_named() {
    let web = stored(&draft(&PatchBaseline::new("web", OperatingSystem::Ubuntu)));
    for (pointer, wrong) in [
        ("/id", serde_json::json!("web")),
        ("/tags", serde_json::json!(["a"])),
        ("/properties/installPatches/linuxParameters/packageNameMasksToInclude", 7.into()),
    ] {
        let mut row = web.clone();
        *row.pointer_mut(pointer).unwrap() = wrong;
        let error = MaintenanceConfiguration::read("test", &row, now()).unwrap_err();
        assert_eq!(error.kind(), patchkit_core::ErrorKind::Malformed, "{pointer}");
        assert!(error.message().contains("web"), "{error}");
    }
}

#[test]
fn a_reboot_setting_that_the_service_spells_otherwise_is_sent_as_it_takes_it() {
    // Azure/azure-rest-api-specs#27222.
    let mut row = stored(&draft(&PatchBaseline::new("web", OperatingSystem::Ubuntu)));
    row["properties"]["installPatches"]["rebootSetting"] = "AlwaysReboot".into();
    let read = read(&row);
    assert_eq!(read.reboot, Some(RebootPolicy::Always));
    let sent = read.draft().unwrap();
    assert_eq!(sent.body()["properties"]["installPatches"]["rebootSetting"], "Always");
}

#[test]
fn the_mode_that_is_not_given_back_is_sent_all_the_same() {
    let mut row = stored(&draft(&PatchBaseline::new("web", OperatingSystem::Ubuntu)));
    for given in [Value::Null, json!({}), json!({"inGuestPatchMode": "Platform"})] {
        let kept = given["inGuestPatchMode"].is_string();
        row["properties"]["extensionProperties"] = given.clone();
        let draft = read(&row).draft().unwrap();
        let sent = &draft.body()["properties"]["extensionProperties"];
        assert_eq!(sent["InGuestPatchMode"].is_string(), !kept, "{given}");
        assert_eq!(sent["inGuestPatchMode"].is_string(), kept);
    }
}

#[test]
fn a_window_that_cannot_be_read_may_open() {
    let mut row = stored(&draft(&PatchBaseline::new("web", OperatingSystem::Ubuntu)));
    for window in [Value::Null, json!({"startDateTime": "soon"}), json!(7)] {
        row["properties"]["maintenanceWindow"] = window.clone();
        assert!(read(&row).timing.is_live(), "{window}");
    }
}

#[test]
fn a_choice_that_no_baseline_says_is_told() {
    let mut row = stored(&draft(&PatchBaseline::new("web", OperatingSystem::Windows)));
    row["properties"]["installPatches"]["windowsParameters"]["excludeKbsRequiringReboot"] =
        true.into();
    assert!(read(&row).differences[0].contains("excludeKbsRequiringReboot"));
}
