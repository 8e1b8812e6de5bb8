//! Files of patch baselines, as Systems Manager writes them.

use jiff::civil::Date;
use patchkit_core::{
    ApprovalRule, AutoApproval, AvailableUpdates, BaselineId, ComplianceLevel, Error, ErrorKind,
    OperatingSystem, PackageFamily, PatchBaseline, PatchFilter, PatchGroupName, RejectedAction,
    Result, UpdateScope, whatif::BaselineSet,
};
use serde::Deserialize;
use serde_json::Value;

/// Reads baselines as `GetPatchBaseline` answers them, and as a `BaselineOverride` lists them: one
/// object or an array, and several of either one after the other.
///
/// # Behavior
/// - A baseline that names patch groups is theirs; another one is its operating system's default.
/// - Members that are not there are as the API takes them: no rules, no lists, Windows.
/// - Repositories (`Sources`) are not read: they say where patches come from, and not which are
///   approved.
///
/// # Errors
/// `Malformed` for what is no such JSON; `InvalidInput` for a baseline that the API would refuse. No
/// baseline is left out: nodes would look compliant without it.
///
/// # Example
/// ```
/// let text = r#"{"Name": "web", "OperatingSystem": "AMAZON_LINUX_2023", "ApprovalRules":
///     {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 7}]}}"#;
/// let set = patchkit_inventory::parse_baselines(text)?;
/// assert_eq!(set.baselines().next().unwrap().approval_rules.len(), 1);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn parse_baselines(text: &str) -> Result<BaselineSet> {
    let mut set = BaselineSet::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = value.map_err(|error| malformed(format!("no JSON: {error}")))?;
        let all = match value {
            Value::Array(all) => all,
            one => vec![one],
        };
        for one in all {
            let (baseline, groups) = baseline(one)?;
            set = if groups.is_empty() {
                set.with_default(baseline)
            } else {
                let add = |set: BaselineSet, group| set.with_group(group, baseline.clone());
                groups.into_iter().fold(set, add)
            };
        }
    }
    Ok(set)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Members {
    baseline_id: Option<BaselineId>,
    name: Option<String>,
    description: Option<String>,
    operating_system: Option<OperatingSystem>,
    global_filters: Option<FilterGroup>,
    approval_rules: Option<Rules>,
    approved_patches: Vec<String>,
    approved_patches_compliance_level: ComplianceLevel,
    approved_patches_enable_non_security: bool,
    rejected_patches: Vec<String>,
    rejected_patches_action: Option<String>,
    available_security_updates_compliance_status: Option<String>,
    patch_groups: Vec<PatchGroupName>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
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
    #[serde(default)]
    compliance_level: ComplianceLevel,
    approve_after_days: Option<u16>,
    approve_until_date: Option<Date>,
    #[serde(default)]
    enable_non_security: bool,
}

fn baseline(value: Value) -> Result<(PatchBaseline, Vec<PatchGroupName>)> {
    let members: Members =
        serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
    let name = members.name.unwrap_or_else(|| "override".to_owned());
    let os = members.operating_system.unwrap_or(OperatingSystem::Windows);
    let mut baseline = PatchBaseline::new(name, os)
        .with_approved(members.approved_patches)
        .with_approved_level(members.approved_patches_compliance_level)
        .with_approved_scope(scope(members.approved_patches_enable_non_security))
        .with_rejected(members.rejected_patches);
    baseline.id = members.baseline_id;
    baseline.description = members.description.filter(|text| !text.is_empty());
    baseline.global_filters = filters(members.global_filters.unwrap_or_default());
    baseline.rejected_action = match members.rejected_patches_action.as_deref() {
        None | Some("ALLOW_AS_DEPENDENCY") => RejectedAction::AllowAsDependency,
        Some("BLOCK") => RejectedAction::Block,
        Some(other) => return Err(refused(&baseline, &format!("RejectedPatchesAction {other:?}"))),
    };
    let available = members.available_security_updates_compliance_status;
    baseline.available_updates = match available.as_deref() {
        None | Some("" | "COMPLIANT") => AvailableUpdates::Compliant,
        Some("NON_COMPLIANT") => AvailableUpdates::NonCompliant,
        Some(other) => {
            let member = "AvailableSecurityUpdatesComplianceStatus";
            return Err(refused(&baseline, &format!("{member} {other:?}")));
        }
    };
    for rule in members.approval_rules.into_iter().flat_map(|rules| rules.patch_rules) {
        let rule = approval_rule(rule, &baseline)?;
        baseline.approval_rules.push(rule);
    }
    // AWS's own baselines have names of their own kind.
    let violations = baseline.validate().into_iter().filter(|it| it.field != "name");
    let violations: Vec<String> = violations.map(|it| it.to_string()).collect();
    if violations.is_empty() {
        Ok((baseline, members.patch_groups))
    } else {
        Err(refused(&baseline, &violations.join("; ")))
    }
}

fn approval_rule(rule: Rule, baseline: &PatchBaseline) -> Result<ApprovalRule> {
    let apt = baseline.operating_system.family() == PackageFamily::Apt;
    let approval = match (rule.approve_after_days, rule.approve_until_date) {
        // Debian and its kin have no dates: the API takes delays there, and they have no say.
        _ if apt => AutoApproval::Immediately,
        (Some(days), None) => AutoApproval::AfterDays(days),
        (None, Some(date)) => AutoApproval::Until(date),
        (None, None) | (Some(_), Some(_)) => {
            let why = "a rule needs one of ApproveAfterDays and ApproveUntilDate";
            return Err(refused(baseline, why));
        }
    };
    let taken = ApprovalRule::new(approval)
        .with_level(rule.compliance_level)
        .with_scope(scope(rule.enable_non_security));
    Ok(filters(rule.patch_filter_group).into_iter().fold(taken, ApprovalRule::with_filter))
}

fn filters(group: FilterGroup) -> Vec<PatchFilter> {
    let filter = |filter: Filter| {
        let Ok(key) = filter.key.parse();
        PatchFilter::new(key, filter.values)
    };
    group.patch_filters.into_iter().map(filter).collect()
}

#[expect(clippy::fn_params_excessive_bools, reason = "the API's own member is a boolean")]
fn scope(non_security: bool) -> UpdateScope {
    if non_security { UpdateScope::All } else { UpdateScope::SecurityOnly }
}

fn refused(baseline: &PatchBaseline, why: &str) -> Error {
    let message = format!("baseline {:?}: {why}", baseline.name);
    Error::invalid("lake", "baselines", message)
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, "lake", "baselines", message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = r#"{"BaselineId":"pb-0123456789abcdef0","Name":"web",
        "OperatingSystem":"WINDOWS","GlobalFilters":{"PatchFilters":[]},
        "ApprovalRules":{"PatchRules":[{"PatchFilterGroup":{"PatchFilters":[
            {"Key":"CLASSIFICATION","Values":["SecurityUpdates"]}]},
            "ComplianceLevel":"CRITICAL","ApproveAfterDays":7,"EnableNonSecurity":false}]},
        "ApprovedPatches":[],"ApprovedPatchesComplianceLevel":"UNSPECIFIED",
        "ApprovedPatchesEnableNonSecurity":false,"RejectedPatches":["KB1"],
        "RejectedPatchesAction":"BLOCK","PatchGroups":["web","db"],"CreatedDate":1.5E9,
        "Description":"","Sources":[]}"#;

    #[test]
    fn an_answer_of_get_patch_baseline_is_its_groups_baseline() {
        let set = parse_baselines(WEB).unwrap();
        let group = PatchGroupName::new("db").unwrap();
        let baseline = set.baseline_for(&OperatingSystem::Windows, Some(&group)).unwrap();
        assert_eq!(baseline.rejected_action, RejectedAction::Block);
        assert_eq!(baseline.approval_rules[0].approval, AutoApproval::AfterDays(7));
        assert_eq!(baseline.approval_rules[0].compliance_level, ComplianceLevel::Critical);
        assert_eq!(baseline.id.as_ref().unwrap().as_str(), "pb-0123456789abcdef0");
        assert!(set.baseline_for(&OperatingSystem::Windows, None).is_none());
    }

    #[test]
    fn an_override_is_a_list_of_defaults() {
        let text = r#"[{"OperatingSystem":"UBUNTU","ApprovalRules":{"PatchRules":[
            {"PatchFilterGroup":{"PatchFilters":[]},"ApproveAfterDays":0}]}},
            {"OperatingSystem":"SUSE","RejectedPatches":["bash"]}]"#;
        let set = parse_baselines(text).unwrap();
        let ubuntu = set.baseline_for(&OperatingSystem::Ubuntu, None).unwrap();
        assert_eq!(ubuntu.approval_rules[0].approval, AutoApproval::Immediately);
        assert_eq!(set.baselines().count(), 2);
    }

    #[test]
    fn what_the_api_would_refuse_is_refused_and_named() {
        for (text, kind) in [
            ("{", ErrorKind::Malformed),
            (r#"{"RejectedPatches":7}"#, ErrorKind::Malformed),
            (r#"{"RejectedPatches":["a*b*"],"OperatingSystem":"SUSE"}"#, ErrorKind::InvalidInput),
            (r#"{"RejectedPatchesAction":"MAYBE"}"#, ErrorKind::InvalidInput),
            (
                r#"{"ApprovalRules":{"PatchRules":[{"PatchFilterGroup":{}}]}}"#,
                ErrorKind::InvalidInput,
            ),
        ] {
            assert_eq!(parse_baselines(text).unwrap_err().kind(), kind, "{text}");
        }
    }
}
