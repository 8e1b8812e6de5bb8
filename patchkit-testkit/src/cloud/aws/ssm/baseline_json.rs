//! Patch baselines as the API writes them, to and from the model of the core.

use patchkit_core::{
    ApprovalRule, AutoApproval, AvailableUpdates, ComplianceLevel, OperatingSystem, PackageFamily,
    PatchBaseline, PatchFilter, PatchRepository, RejectedAction, UpdateScope, Violation,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{AwsError, input};

/// The members that CreatePatchBaseline, UpdatePatchBaseline and a baseline override share.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Members {
    name: Option<String>,
    description: Option<String>,
    global_filters: Option<FilterGroup>,
    approval_rules: Option<Rules>,
    approved_patches: Option<Vec<String>>,
    approved_patches_compliance_level: Option<ComplianceLevel>,
    approved_patches_enable_non_security: Option<bool>,
    rejected_patches: Option<Vec<String>>,
    rejected_patches_action: Option<String>,
    sources: Option<Vec<Source>>,
    available_security_updates_compliance_status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterGroup {
    patch_filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rules {
    patch_rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    patch_filter_group: FilterGroup,
    compliance_level: Option<ComplianceLevel>,
    approve_after_days: Option<u16>,
    approve_until_date: Option<String>,
    enable_non_security: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    name: String,
    products: Vec<String>,
    configuration: String,
}

/// The baseline that an input describes; `os` is what it is for.
pub(super) fn read(value: Value, os: OperatingSystem) -> Result<PatchBaseline, AwsError> {
    change(PatchBaseline::new("", os), value)
}

/// A baseline with the members that an input has in place of its own.
pub(super) fn change(mut baseline: PatchBaseline, value: Value) -> Result<PatchBaseline, AwsError> {
    let members: Members = input(value)?;
    let Members { name, approved_patches, rejected_patches, .. } = members;
    set(&mut baseline.name, name);
    set(&mut baseline.approved_patches, approved_patches);
    set(&mut baseline.rejected_patches, rejected_patches);
    set(&mut baseline.description, members.description.map(Some));
    set(&mut baseline.global_filters, members.global_filters.map(filters));
    if let Some(rules) = members.approval_rules {
        let read = rules.patch_rules.into_iter().map(|it| rule(it, &baseline.operating_system));
        baseline.approval_rules = read.collect::<Result<_, _>>()?;
    }
    set(&mut baseline.approved_patches_level, members.approved_patches_compliance_level);
    let non_security = members.approved_patches_enable_non_security;
    set(&mut baseline.approved_patches_scope, non_security.map(|_| scope(non_security)));
    let action = members.rejected_patches_action.map(|it| match it.as_str() {
        "BLOCK" => RejectedAction::Block,
        _ => RejectedAction::AllowAsDependency,
    });
    set(&mut baseline.rejected_action, action);
    set(&mut baseline.sources, members.sources.map(|it| it.into_iter().map(repository).collect()));
    let available = members.available_security_updates_compliance_status;
    let available = available.map(|it| match it.as_str() {
        "NON_COMPLIANT" => AvailableUpdates::NonCompliant,
        _ => AvailableUpdates::Compliant,
    });
    set(&mut baseline.available_updates, available);
    let violations: Vec<String> = baseline.validate().iter().map(shown).collect();
    if violations.is_empty() { Ok(baseline) } else { Err(refused(violations.join("; "))) }
}

/// What is wrong, with the names that the API has for it.
fn shown(Violation { field, problem, .. }: &Violation) -> String {
    let member = |part: &str| {
        let (name, place) = part.split_at(part.find('[').unwrap_or(part.len()));
        let name = match name {
            "approval_rules" => "ApprovalRules.PatchRules",
            "approval" => "ApproveAfterDays",
            "approved_patches" => "ApprovedPatches",
            "approved_patches_scope" => "ApprovedPatchesEnableNonSecurity",
            "available_updates" => "AvailableSecurityUpdatesComplianceStatus",
            "configuration" => "Configuration",
            "description" => "Description",
            "filters" => "PatchFilterGroup.PatchFilters",
            "global_filters" => "GlobalFilters.PatchFilters",
            "key" => "Key",
            "name" => "Name",
            "products" => "Products",
            "rejected_patches" => "RejectedPatches",
            "scope" => "EnableNonSecurity",
            "sources" => "Sources",
            "values" => "Values",
            other => other,
        };
        format!("{name}{place}")
    };
    let members: Vec<String> = field.split('.').map(member).collect();
    format!("{} {problem}", members.join("."))
}

/// A baseline as GetPatchBaseline has it, without its id, dates and groups.
pub(super) fn write(baseline: &PatchBaseline) -> Value {
    let rules = baseline.approval_rules.iter().map(|rule| {
        let (days, date) = match rule.approval {
            AutoApproval::AfterDays(days) => (Some(days), None),
            AutoApproval::Until(date) => (None, Some(date.to_string())),
            _ => (None, None),
        };
        json!({
            "PatchFilterGroup": filter_group(&rule.filters),
            "ComplianceLevel": rule.compliance_level.as_str(),
            "ApproveAfterDays": days,
            "ApproveUntilDate": date,
            "EnableNonSecurity": rule.scope == UpdateScope::All,
        })
    });
    let rejected = match baseline.rejected_action {
        RejectedAction::AllowAsDependency => "ALLOW_AS_DEPENDENCY",
        RejectedAction::Block => "BLOCK",
    };
    // "Supported for Windows Server managed nodes only" (service model).
    let available = (baseline.operating_system == OperatingSystem::Windows).then_some({
        match baseline.available_updates {
            AvailableUpdates::Compliant => "COMPLIANT",
            AvailableUpdates::NonCompliant => "NON_COMPLIANT",
        }
    });
    let sources = baseline.sources.iter().map(|source| {
        let PatchRepository { name, products, configuration } = source;
        json!({"Name": name, "Products": products, "Configuration": configuration})
    });
    json!({
        "Name": baseline.name,
        "Description": baseline.description,
        "OperatingSystem": baseline.operating_system.as_str(),
        "GlobalFilters": filter_group(&baseline.global_filters),
        "ApprovalRules": {"PatchRules": rules.collect::<Vec<_>>()},
        "ApprovedPatches": baseline.approved_patches,
        "ApprovedPatchesComplianceLevel": baseline.approved_patches_level.as_str(),
        "ApprovedPatchesEnableNonSecurity": baseline.approved_patches_scope == UpdateScope::All,
        "RejectedPatches": baseline.rejected_patches,
        "RejectedPatchesAction": rejected,
        "Sources": sources.collect::<Vec<_>>(),
        "AvailableSecurityUpdatesComplianceStatus": available,
    })
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

fn filters(group: FilterGroup) -> Vec<PatchFilter> {
    // Parsing never fails, and the model has let only its own keys pass.
    let filter = |Filter { key, values }| Some(PatchFilter::new(key.parse().ok()?, values));
    group.patch_filters.into_iter().filter_map(filter).collect()
}

fn filter_group(filters: &[PatchFilter]) -> Value {
    let filters: Vec<Value> = filters
        .iter()
        .map(|PatchFilter { key, values }| json!({"Key": key.as_str(), "Values": values}))
        .collect();
    json!({"PatchFilters": filters})
}

fn rule(rule: Rule, os: &OperatingSystem) -> Result<ApprovalRule, AwsError> {
    let approval = match (rule.approve_after_days, rule.approve_until_date) {
        (Some(_), Some(_)) => {
            return Err(refused(
                "A rule takes ApproveAfterDays or ApproveUntilDate, not both of them".to_owned(),
            ));
        }
        (Some(days), None) => AutoApproval::AfterDays(days),
        (None, Some(text)) => AutoApproval::Until(date(&text)?),
        (None, None) if os.family() == PackageFamily::Apt => AutoApproval::Immediately,
        (None, None) => {
            return Err(refused(format!(
                "A rule for {os} needs a value for ApproveAfterDays or ApproveUntilDate"
            )));
        }
    };
    let mut read = ApprovalRule::new(approval)
        .with_level(rule.compliance_level.unwrap_or_default())
        .with_scope(scope(rule.enable_non_security));
    read.filters = filters(rule.patch_filter_group);
    Ok(read)
}

/// `YYYY-MM-DD`, and no other of the ways to write a date.
fn date(text: &str) -> Result<jiff::civil::Date, AwsError> {
    let date: Option<jiff::civil::Date> = text.parse().ok();
    date.filter(|date| date.to_string() == text)
        .ok_or_else(|| refused("ApproveUntilDate must be of the form YYYY-MM-DD".to_owned()))
}

fn scope(enable_non_security: Option<bool>) -> UpdateScope {
    match enable_non_security {
        Some(true) => UpdateScope::All,
        _ => UpdateScope::SecurityOnly,
    }
}

fn repository(source: Source) -> PatchRepository {
    let Source { name, products, configuration } = source;
    PatchRepository { name, products, configuration }
}

fn refused(message: String) -> AwsError {
    AwsError::validation(message)
}

#[cfg(test)]
mod tests {
    use patchkit_core::predefined;

    use super::*;

    fn without_nulls(mut value: Value) -> Value {
        match &mut value {
            Value::Object(members) => {
                let kept = std::mem::take(members).into_iter().filter(|(_, it)| !it.is_null());
                *members = kept.map(|(name, it)| (name, without_nulls(it))).collect();
            }
            Value::Array(items) => {
                *items = std::mem::take(items).into_iter().map(without_nulls).collect();
            }
            _ => {}
        }
        value
    }

    #[test]
    fn every_predefined_baseline_is_the_same_there_and_back() {
        for baseline in predefined() {
            let os = baseline.operating_system.clone();
            let back = read(without_nulls(write(&baseline)), os).unwrap();
            assert_eq!(back, baseline);
        }
    }

    #[test]
    fn everything_that_was_given_is_given_back() {
        let linux = json!({
            "Name": "all.of-it_1",
            "Description": "each member",
            "OperatingSystem": "REDHAT_ENTERPRISE_LINUX",
            "GlobalFilters": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["*"]}]},
            "ApprovalRules": {"PatchRules": [
                {
                    "PatchFilterGroup": {"PatchFilters": [
                        {"Key": "CLASSIFICATION", "Values": ["Security", "bugFix"]},
                        {"Key": "SEVERITY", "Values": ["Critical"]},
                    ]},
                    "ComplianceLevel": "HIGH",
                    "ApproveAfterDays": 360,
                    "EnableNonSecurity": true,
                },
                {
                    "PatchFilterGroup": {"PatchFilters": []},
                    "ComplianceLevel": "UNSPECIFIED",
                    "ApproveUntilDate": "2026-02-28",
                    "EnableNonSecurity": false,
                },
            ]},
            "ApprovedPatches": ["RHSA-2017:0864", "kernel*"],
            "ApprovedPatchesComplianceLevel": "INFORMATIONAL",
            "ApprovedPatchesEnableNonSecurity": true,
            "RejectedPatches": ["vim.x86_64"],
            "RejectedPatchesAction": "BLOCK",
            "Sources": [{
                "Name": "mirror",
                "Products": ["RedhatEnterpriseLinux9.4"],
                "Configuration": "[mirror]\nbaseurl=https://mirror.example/\n",
            }],
        });
        let read_in = read(linux.clone(), OperatingSystem::RedHatEnterpriseLinux).unwrap();
        assert_eq!(without_nulls(write(&read_in)), linux);
        let windows = json!({
            "Name": "windows",
            "AvailableSecurityUpdatesComplianceStatus": "NON_COMPLIANT",
        });
        let written = write(&read(windows, OperatingSystem::Windows).unwrap());
        assert_eq!(written["AvailableSecurityUpdatesComplianceStatus"], "NON_COMPLIANT");
    }

    fn rule_for(os: OperatingSystem, rule: &Value) -> Result<PatchBaseline, AwsError> {
        let mut rule = rule.clone();
        if rule.get("PatchFilterGroup").is_none() {
            rule["PatchFilterGroup"] = json!({"PatchFilters": []});
        }
        read(json!({"Name": "one", "ApprovalRules": {"PatchRules": [rule]}}), os)
    }

    #[test]
    fn a_rule_has_a_delay_or_a_date_and_on_apt_neither() {
        let (windows, ubuntu) = (OperatingSystem::Windows, OperatingSystem::Ubuntu);
        for (os, rule, taken) in [
            (&windows, json!({"ApproveAfterDays": 7}), true),
            (&windows, json!({"ApproveUntilDate": "2026-01-31"}), true),
            (&windows, json!({"ApproveUntilDate": "20260131"}), false),
            (&windows, json!({"ApproveUntilDate": "2026-01-32"}), false),
            (&windows, json!({"ApproveAfterDays": 7, "ApproveUntilDate": "2026-01-31"}), false),
            (&windows, json!({}), false),
            (&ubuntu, json!({}), true),
            (&ubuntu, json!({"ApproveAfterDays": 7}), false),
            (&ubuntu, json!({"ApproveUntilDate": "2026-01-31"}), false),
        ] {
            assert_eq!(rule_for(os.clone(), &rule).is_ok(), taken, "{os} {rule}");
        }
    }

    #[test]
    fn what_is_refused_is_named_as_the_request_names_it() {
        let filter = json!({"Key": "PRODUCT", "Values": ["a", "a"]});
        let baseline = json!({
            "Name": "x!",
            "Description": "",
            "GlobalFilters": {"PatchFilters": [{"Key": "SEVERITY", "Values": ["*"]}]},
            "ApprovalRules": {"PatchRules": [{
                "PatchFilterGroup": {"PatchFilters": [filter]},
                "ApproveAfterDays": 361,
                "EnableNonSecurity": true,
            }]},
            "ApprovedPatches": ["not a patch"],
            "ApprovedPatchesEnableNonSecurity": true,
            "RejectedPatches": ["KB1", "KB1"],
            "Sources": [{"Name": "x!", "Products": [], "Configuration": ""}],
        });
        let message = read(baseline, OperatingSystem::Windows).unwrap_err().message;
        let member = regex::Regex::new(r"^([A-Z][A-Za-z]+(\[\d\])?\.?)+ ").unwrap();
        for part in message.split("; ") {
            assert!(member.is_match(part), "{part:?} of {message}");
        }
        for named in [
            "Name ",
            "GlobalFilters.PatchFilters[0].Key ",
            "ApprovalRules.PatchRules[0].ApproveAfterDays is 361 days",
            "ApprovalRules.PatchRules[0].PatchFilterGroup.PatchFilters[0].Values",
            "ApprovalRules.PatchRules[0].EnableNonSecurity ",
            "ApprovedPatches[0] ",
            "ApprovedPatchesEnableNonSecurity ",
            "RejectedPatches[1] ",
            "Sources[0].Name ",
            "Sources[0].Products",
        ] {
            assert!(message.contains(named), "no {named:?} in {message}");
        }
    }

    #[test]
    fn a_filter_key_is_one_of_the_operating_systems() {
        let filter = |key: &str| {
            json!({
                "ApproveAfterDays": 0,
                "PatchFilterGroup": {"PatchFilters": [{"Key": key, "Values": ["*"]}]},
            })
        };
        for (os, key, taken) in [
            (OperatingSystem::Windows, "MSRC_SEVERITY", true),
            (OperatingSystem::Windows, "SEVERITY", false),
            (OperatingSystem::AmazonLinux2, "SEVERITY", true),
            (OperatingSystem::AmazonLinux2, "PATCH_SET", false),
            (OperatingSystem::MacOs, "SEVERITY", false),
        ] {
            assert_eq!(rule_for(os.clone(), &filter(key)).is_ok(), taken, "{os} {key}");
        }
    }
}
