//! Patches: which there are, what may be asked of them, and what a baseline says of each.

use std::collections::BTreeSet;

use patchkit_core::{
    Approval, Classification, CompiledBaseline, OperatingSystem, PackageFamily, Patch, Severity,
};
use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, page::Page, seconds},
    baselines::{named, os_of},
    filter::Filters,
};
use crate::{
    cloud::world::{catalogue::System, uuid},
    rng::mix,
};

pub(super) const OPERATIONS: Operations = &[
    ("DescribeAvailablePatches", describe_available),
    ("DescribeEffectivePatchesForPatchBaseline", describe_effective),
    ("DescribePatchProperties", describe_properties),
];

const WINDOWS_KEYS: [&str; 6] =
    ["PATCH_SET", "PRODUCT", "PRODUCT_FAMILY", "MSRC_SEVERITY", "CLASSIFICATION", "PATCH_ID"];

const LINUX_KEYS: [&str; 11] = [
    "PRODUCT",
    "NAME",
    "SEVERITY",
    "EPOCH",
    "VERSION",
    "RELEASE",
    "ARCH",
    "REPOSITORY",
    "ADVISORY_ID",
    "CVE_ID",
    "BUGZILLA_ID",
];

fn describe_available(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let keys: BTreeSet<&str> = WINDOWS_KEYS.into_iter().chain(LINUX_KEYS).collect();
    let filters = Filters::read(&input, &Vec::from_iter(keys))?;
    let all = |keys: &[&str]| filters.keys().all(|key| keys.contains(&key));
    let (windows, linux) = (all(&WINDOWS_KEYS), all(&LINUX_KEYS));
    if !windows && !linux {
        return Err(AwsError::validation("The filters are not all of one operating system"));
    }
    // "When specifying filters for Linux patches, you must specify a key-pair for PRODUCT" (API
    // reference, DescribeAvailablePatches).
    if !windows && filters.get("PRODUCT").is_none() {
        return Err(AwsError::validation("Filters for Linux patches must include PRODUCT"));
    }
    let page = Page::of(call, &input, 50)?;
    let linux = linux && filters.get("PRODUCT").is_some();
    let systems = call.state.catalogue.systems().map(|(_, system)| system).filter(|system| {
        // "Supports only the Amazon Linux 1, Amazon Linux 2, and Windows Server operating systems"
        // (API reference, DescribeAvailablePatches).
        match system.os {
            OperatingSystem::Windows => windows,
            OperatingSystem::AmazonLinux | OperatingSystem::AmazonLinux2 => linux,
            _ => false,
        }
    });
    let patches = systems.flat_map(|system| system.patches.iter().map(move |it| (system, it)));
    let wanted = patches.filter(|(_, it)| filters.pass(|key, value| fits(it, key, value)));
    let (found, next) = page.cut(wanted);
    let patches: Vec<Value> = found.into_iter().map(|(system, it)| patch(system, it)).collect();
    Ok(json!({"Patches": patches, "NextToken": next}))
}

fn describe_effective(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let baseline = &named(&call.here().shelf, &input)?.baseline;
    if baseline.operating_system != OperatingSystem::Windows {
        return Err(AwsError::new(
            "UnsupportedOperatingSystem",
            format!("Not supported for {}, for Windows only.", baseline.operating_system),
        ));
    }
    let page = Page::of(call, &input, 50)?;
    let (compiled, now) = (CompiledBaseline::new(baseline), call.state.now);
    let systems = call.state.catalogue.systems().map(|(_, system)| system);
    let windows = systems.filter(|system| system.is_windows());
    let patches = windows.flat_map(|system| system.patches.iter().map(move |it| (system, it)));
    let judged = patches.filter_map(|(system, it)| {
        let decision = compiled.decide(it, now);
        (decision.approval != Approval::NotSelected).then_some((system, it, decision))
    });
    let (found, next) = page.cut(judged);
    let effective = found.into_iter().map(|(system, it, decision)| {
        json!({
            "Patch": patch(system, it),
            "PatchStatus": {
                "DeploymentStatus": decision.approval.as_str(),
                "ComplianceLevel": decision.level.as_str(),
                "ApprovalDate": decision.approved_from.map(seconds),
            },
        })
    });
    Ok(json!({"EffectivePatches": effective.collect::<Vec<_>>(), "NextToken": next}))
}

fn describe_properties(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let os = os_of(&input)?;
    let property = input["Property"].as_str().unwrap_or_default();
    let legal = properties(&os);
    if !legal.contains(&property) {
        return Err(AwsError::validation(format!(
            "{property} is no property for {os}. Valid properties: [{}]",
            legal.join(", ")
        )));
    }
    let set = input["PatchSet"].as_str();
    let page = Page::of(call, &input, 50)?;
    let systems = call.state.catalogue.systems().filter(|(_, system)| system.os == os);
    let patches = systems.flat_map(|(_, system)| &system.patches);
    let patches = patches.filter(|it| set.is_none() || it.patch_set.as_deref() == set);
    let values: BTreeSet<&str> = patches.flat_map(|it| texts(it, property)).collect();
    let (values, next) = page.cut(values);
    let list: Vec<Value> = values.into_iter().map(|it| json!({"Name": it})).collect();
    Ok(json!({"Properties": list, "NextToken": next}))
}

/// The properties of an operating system (API reference, DescribePatchProperties).
fn properties(os: &OperatingSystem) -> &'static [&'static str] {
    match os.family() {
        PackageFamily::Windows => &["PRODUCT", "PRODUCT_FAMILY", "CLASSIFICATION", "MSRC_SEVERITY"],
        PackageFamily::Apt => &["PRODUCT", "PRIORITY"],
        PackageFamily::MacOs => &["PRODUCT", "CLASSIFICATION"],
        _ => &["PRODUCT", "CLASSIFICATION", "SEVERITY"],
    }
}

/// Whether a patch has a value for a key. Ids and words of a vendor are compared without case.
fn fits(patch: &Patch, key: &str, value: &str) -> bool {
    value == "*" || texts(patch, key).iter().any(|text| text.eq_ignore_ascii_case(value))
}

/// What a patch has for a filter key.
fn texts<'p>(patch: &'p Patch, key: &str) -> Vec<&'p str> {
    fn all(texts: &[String]) -> Vec<&str> {
        texts.iter().map(String::as_str).collect()
    }
    let package = patch.package.as_ref();
    let one = |text: Option<&'p str>| text.into_iter().collect();
    match key {
        "PRODUCT" => all(&patch.products),
        "PRODUCT_FAMILY" => all(&patch.product_families),
        "PATCH_SET" => one(patch.patch_set.as_deref()),
        "CLASSIFICATION" => one(patch.classification.as_ref().map(Classification::as_str)),
        "SEVERITY" | "MSRC_SEVERITY" => one(patch.severity.as_ref().map(Severity::as_str)),
        "PRIORITY" => one(patch.priority.as_deref()),
        "PATCH_ID" => one(Some(patch.id.as_str())),
        "ADVISORY_ID" => all(&patch.advisories),
        "CVE_ID" => all(&patch.cves),
        "BUGZILLA_ID" => all(&patch.bugzilla),
        "NAME" => one(package.map(|it| it.name.as_str())),
        "EPOCH" => one(package.map(|it| it.epoch.as_str())),
        "VERSION" => one(package.map(|it| it.version.as_str())),
        "RELEASE" => one(package.map(|it| it.release.as_str())),
        "ARCH" => one(package.map(|it| it.arch.as_str())),
        "REPOSITORY" => one(package.map(|it| it.repository.as_str())),
        _ => Vec::new(),
    }
}

fn patch(system: &System, patch: &Patch) -> Value {
    if system.is_windows() { update(system, patch) } else { package(system, patch) }
}

fn update(system: &System, patch: &Patch) -> Value {
    let kb = patch.id.as_str();
    let number = kb.trim_start_matches("KB");
    json!({
        "Id": update_id(kb),
        "ReleaseDate": patch.released_at.map(seconds),
        "Title": patch.title,
        "Description": "Install this update to resolve issues in Windows. After you install this \
                        item, you may have to restart your computer.",
        "ContentUrl": format!("https://support.microsoft.com/en-us/kb/{number}"),
        "Vendor": "Microsoft",
        "ProductFamily": patch.product_families.first(),
        "Product": system.product,
        "Classification": patch.classification.as_ref().map(Classification::as_str),
        "MsrcSeverity": patch.severity.as_ref().map(Severity::as_str),
        "KbNumber": kb,
        "MsrcNumber": "",
        "Language": "All",
    })
}

/// A package has no `Id`: that "applies to Windows patches only" (API reference, Patch).
fn package(system: &System, patch: &Patch) -> Value {
    let package = patch.package.clone().unwrap_or_default();
    json!({
        "ReleaseDate": patch.released_at.map(seconds),
        "Vendor": system.name,
        "Product": system.product,
        "Classification": patch.classification.as_ref().map(Classification::as_str),
        "Severity": patch.severity.as_ref().map(Severity::as_str),
        "AdvisoryIds": patch.advisories,
        "BugzillaIds": patch.bugzilla,
        "CVEIds": patch.cves,
        "Name": package.name,
        "Epoch": package.epoch.parse().unwrap_or(0_u32),
        "Version": package.version,
        "Release": package.release,
        "Arch": package.arch,
        "Repository": package.repository,
    })
}

/// Microsoft's own id of an update, a GUID: it follows from the number here.
fn update_id(kb: &str) -> String {
    let sum = kb.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
    uuid(sum, mix(sum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::aws::ssm::testing::Desk;

    fn filter(key: &str, value: &str) -> Value {
        json!({"Key": key, "Values": [value]})
    }

    fn available(desk: &Desk, filters: &Value) -> Vec<Value> {
        let input = json!({"Filters": filters, "MaxResults": 7});
        desk.all("DescribeAvailablePatches", &input, "Patches")
    }

    #[test]
    fn without_filters_the_updates_of_windows_are_listed() {
        let desk = Desk::new();
        let all = desk.all("DescribeAvailablePatches", &json!({"MaxResults": 100}), "Patches");
        assert_eq!(all.len(), 100);
        assert!(all.iter().all(|it| it["ProductFamily"] == "Windows"));
        let ids: BTreeSet<_> = all.iter().map(|it| it["Id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 100);
    }

    #[test]
    fn filters_for_linux_need_a_product() {
        let desk = Desk::new();
        let cve = json!({"Filters": [filter("CVE_ID", "CVE-2018-3615")]});
        assert_eq!(desk.bad("DescribeAvailablePatches", &cve), "ValidationException");
        let product = filter("PRODUCT", "AmazonLinux2.0");
        let all = available(&desk, &json!([product]));
        assert_eq!(all.len(), 50);
        let cve = all.iter().find_map(|it| it["CVEIds"][0].as_str()).unwrap();
        let some = available(&desk, &json!([product, filter("CVE_ID", cve)]));
        assert!(!some.is_empty() && some.len() < all.len());
        assert!(some.iter().all(|it| it["CVEIds"].as_array().unwrap().contains(&json!(cve))));
        let mixed =
            json!({"Filters": [product, filter("NAME", "curl"), filter("PATCH_SET", "OS")]});
        assert_eq!(desk.bad("DescribeAvailablePatches", &mixed), "ValidationException");
    }

    #[test]
    fn an_update_is_found_by_its_number_and_its_severity() {
        let desk = Desk::new();
        let critical = available(&desk, &json!([filter("MSRC_SEVERITY", "Critical")]));
        assert!(critical.iter().all(|it| it["MsrcSeverity"] == "Critical"));
        let kb = critical[0]["KbNumber"].as_str().unwrap();
        assert_eq!(available(&desk, &json!([filter("PATCH_ID", kb)])), critical[..1]);
    }

    #[test]
    fn the_effective_patches_are_what_the_baseline_says_of_windows() {
        let desk = Desk::new();
        let [first, second] = ["KB5090000", "KB5090001"];
        let input = json!({
            "Name": "windows",
            "ApprovalRules": {"PatchRules": [{
                "PatchFilterGroup": {"PatchFilters": [
                    {"Key": "PRODUCT", "Values": ["WindowsServer2019"]},
                ]},
                "ApproveAfterDays": 200,
                "ComplianceLevel": "HIGH",
            }]},
            "ApprovedPatches": [first],
            "RejectedPatches": [second],
        });
        let id = desk.good("CreatePatchBaseline", &input)["BaselineId"].clone();
        let ask = json!({"BaselineId": id, "MaxResults": 9});
        let all = desk.all("DescribeEffectivePatchesForPatchBaseline", &ask, "EffectivePatches");
        let of = |status: &str| {
            let is = |it: &&Value| it["PatchStatus"]["DeploymentStatus"] == status;
            all.iter().filter(is).collect::<Vec<_>>()
        };
        assert_eq!(of("EXPLICIT_APPROVED").len(), 1);
        assert_eq!(of("EXPLICIT_REJECTED")[0]["Patch"]["KbNumber"], second);
        let now = desk.with(|state| state.now.as_second());
        let second = |value: &Value| {
            let text = value.as_f64().unwrap().to_string();
            text.split('.').next().unwrap().parse::<i64>().unwrap()
        };
        for (status, due) in [("APPROVED", true), ("PENDING_APPROVAL", false)] {
            let found = of(status);
            assert!(!found.is_empty(), "{status}");
            for it in found {
                let from = second(&it["PatchStatus"]["ApprovalDate"]);
                assert_eq!(from <= now, due);
                assert_eq!(from - second(&it["Patch"]["ReleaseDate"]), 200 * 86_400);
                assert_eq!(it["PatchStatus"]["ComplianceLevel"], "HIGH");
                assert_eq!(it["Patch"]["Product"], "WindowsServer2019");
            }
        }
    }

    #[test]
    fn the_effective_patches_are_for_windows_only() {
        let desk = Desk::new();
        let linux = json!({"OperatingSystem": "UBUNTU"});
        let id = desk.good("GetDefaultPatchBaseline", &linux)["BaselineId"].clone();
        let error =
            desk.bad("DescribeEffectivePatchesForPatchBaseline", &json!({"BaselineId": id}));
        assert_eq!(error, "UnsupportedOperatingSystem");
    }

    #[test]
    fn properties_are_those_of_the_operating_system() {
        let desk = Desk::new();
        let names = |os: &str, property: &str| {
            let input = json!({"OperatingSystem": os, "Property": property, "MaxResults": 1});
            let all = desk.all("DescribePatchProperties", &input, "Properties");
            all.iter().map(|it| it["Name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("WINDOWS", "PRODUCT"), ["WindowsServer2019", "WindowsServer2022"]);
        assert_eq!(names("WINDOWS", "PRODUCT_FAMILY"), ["Windows"]);
        assert!(names("AMAZON_LINUX_2", "SEVERITY").contains(&"Medium".to_owned()));
        assert!(names("UBUNTU", "PRIORITY").contains(&"Optional".to_owned()));
        assert!(names("MACOS", "PRODUCT").is_empty());
        let wrong = json!({"OperatingSystem": "UBUNTU", "Property": "SEVERITY"});
        assert_eq!(desk.bad("DescribePatchProperties", &wrong), "ValidationException");
        let set = json!({
            "OperatingSystem": "WINDOWS", "Property": "PRODUCT", "PatchSet": "APPLICATION",
        });
        assert_eq!(desk.all("DescribePatchProperties", &set, "Properties"), [json!(null); 0]);
    }
}
