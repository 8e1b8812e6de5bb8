//! Files that a patch operation is told to use instead of the node's baseline.

use patchkit_core::{
    ApprovalRule, AutoApproval, ComplianceLevel, OperatingSystem, PatchBaseline, PatchFilter,
    RejectedAction, UpdateScope,
};
use serde::Deserialize;

use super::State;

/// The text that a parameter points to.
///
/// Only objects of the simulated S3 can be read: `s3://bucket/key`, and `https://` in the style of
/// S3's own host names.
pub(super) fn read(state: &State, url: &str) -> Result<String, String> {
    let missing = || format!("Unable to download the file {url}: it does not exist.");
    let (bucket, key) = place(url).ok_or_else(missing)?;
    let source = state.files.as_ref().ok_or_else(missing)?;
    let bytes = source.get(bucket, key).ok_or_else(missing)?;
    String::from_utf8(bytes).map_err(|_| format!("The file {url} is not text."))
}

/// The bucket and the key of an object's address.
fn place(url: &str) -> Option<(&str, &str)> {
    if let Some(rest) = url.strip_prefix("s3://") {
        return rest.split_once('/');
    }
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    match host.split_once(".s3") {
        Some((bucket, _)) => Some((bucket, path)),
        None if host.starts_with("s3") => path.split_once('/'),
        None => None,
    }
}

#[derive(Deserialize)]
struct InstallList {
    patches: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    title: Option<String>,
}

/// An install override list as a baseline that approves what it names, and that alone.
///
/// Even rejected patches are installed (AWS's patch payload for Linux). A title pins a version;
/// without one, whatever version the repositories have is taken.
pub(super) fn install_list(text: &str, os: OperatingSystem) -> Result<PatchBaseline, String> {
    let list: InstallList = serde_saphyr::from_str(text)
        .map_err(|error| format!("The install override list is not valid: {error}"))?;
    let names = list.patches.into_iter().map(|it| match it.title {
        Some(title) if title.contains(':') => title,
        _ => it.id,
    });
    Ok(PatchBaseline::new("install-override-list", os)
        .with_approved(names)
        .with_approved_scope(UpdateScope::All))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Override {
    operating_system: String,
    #[serde(default)]
    approval_rules: Option<Rules>,
    #[serde(default)]
    global_filters: Option<Filters>,
    #[serde(default)]
    approved_patches: Vec<String>,
    #[serde(default)]
    approved_patches_compliance_level: Option<ComplianceLevel>,
    #[serde(default)]
    approved_patches_enable_non_security: Option<bool>,
    #[serde(default)]
    rejected_patches: Vec<String>,
    #[serde(default)]
    rejected_patches_action: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rules {
    patch_rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    patch_filter_group: Filters,
    #[serde(default)]
    compliance_level: Option<ComplianceLevel>,
    #[serde(default)]
    approve_after_days: Option<u16>,
    #[serde(default)]
    approve_until_date: Option<String>,
    #[serde(default)]
    enable_non_security: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filters {
    patch_filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    key: String,
    values: Vec<String>,
}

/// The baseline for an operating system in a file of several, each in the shape of
/// GetPatchBaseline's answer.
pub(super) fn baseline(text: &str, os: &OperatingSystem) -> Result<PatchBaseline, String> {
    let all: Vec<Override> = serde_json::from_str(text)
        .map_err(|error| format!("The baseline override is not valid: {error}"))?;
    let of_host = all.into_iter().find(|it| it.operating_system == os.as_str());
    let of_host = of_host
        .ok_or_else(|| format!("The baseline override has no baseline for {}.", os.as_str()))?;
    of_host.into_baseline(os)
}

impl Override {
    fn into_baseline(self, os: &OperatingSystem) -> Result<PatchBaseline, String> {
        let mut baseline = PatchBaseline::new("override", os.clone())
            .with_approved(self.approved_patches)
            .with_rejected(self.rejected_patches)
            .with_approved_scope(scope(self.approved_patches_enable_non_security));
        if let Some(level) = self.approved_patches_compliance_level {
            baseline = baseline.with_approved_level(level);
        }
        if self.rejected_patches_action.as_deref() == Some("BLOCK") {
            baseline = baseline.with_rejected_action(RejectedAction::Block);
        }
        for filter in self.global_filters.into_iter().flat_map(|it| it.patch_filters) {
            baseline = baseline.with_global_filter(filter.into_filter());
        }
        for rule in self.approval_rules.into_iter().flat_map(|it| it.patch_rules) {
            baseline = baseline.with_rule(rule.into_rule()?);
        }
        Ok(baseline)
    }
}

impl Rule {
    fn into_rule(self) -> Result<ApprovalRule, String> {
        let approval = match (self.approve_after_days, self.approve_until_date) {
            (Some(days), _) => AutoApproval::AfterDays(days),
            (None, Some(date)) => {
                let date = date
                    .parse()
                    .map_err(|_| format!("The baseline override has a wrong date: {date:?}."))?;
                AutoApproval::Until(date)
            }
            (None, None) => AutoApproval::Immediately,
        };
        let mut rule = ApprovalRule::new(approval).with_scope(scope(self.enable_non_security));
        if let Some(level) = self.compliance_level {
            rule = rule.with_level(level);
        }
        for filter in self.patch_filter_group.patch_filters {
            rule = rule.with_filter(filter.into_filter());
        }
        Ok(rule)
    }
}

impl Filter {
    fn into_filter(self) -> PatchFilter {
        // Unknown keys are kept as such: no patch passes them.
        let Ok(key) = self.key.parse();
        PatchFilter::new(key, self.values)
    }
}

fn scope(non_security: Option<bool>) -> UpdateScope {
    match non_security {
        Some(true) => UpdateScope::All,
        _ => UpdateScope::SecurityOnly,
    }
}
