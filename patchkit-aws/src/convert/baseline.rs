//! Patch baselines, there and back.

use aws_sdk_ssm::{
    operation::{
        create_patch_baseline::builders::CreatePatchBaselineInputBuilder,
        get_patch_baseline::GetPatchBaselineOutput,
        update_patch_baseline::builders::UpdatePatchBaselineInputBuilder,
    },
    types,
};
use aws_smithy_types::error::operation::BuildError;
use patchkit_core::{
    ApprovalRule, AutoApproval, AvailableUpdates, BaselineId, ComplianceLevel, OperatingSystem,
    PackageFamily, PatchBaseline, PatchFilter, PatchRepository, RejectedAction, Result,
    UpdateScope,
};

use crate::error::{invalid, malformed};

/// Sets what requests that create and replace a baseline have in common.
///
/// What is empty or does not apply to the operating system is left out: some of it the service
/// refuses to hear of at all, such as sources on Windows.
macro_rules! describe {
    ($operation:literal, $baseline:expr, $request:expr) => {{
        let baseline: &PatchBaseline = $baseline;
        let os = &baseline.operating_system;
        let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        $request
            .name(&baseline.name)
            .set_description(baseline.description.clone())
            .set_global_filters(global($operation, &baseline.global_filters)?)
            .set_approval_rules(rules($operation, &baseline.approval_rules)?)
            .set_approved_patches(some(&baseline.approved_patches))
            .approved_patches_compliance_level(baseline.approved_patches_level.as_str().into())
            .set_approved_patches_enable_non_security(non_security(baseline.approved_patches_scope))
            .set_rejected_patches(some(&baseline.rejected_patches))
            .rejected_patches_action(match baseline.rejected_action {
                RejectedAction::AllowAsDependency => types::PatchAction::AllowAsDependency,
                RejectedAction::Block => types::PatchAction::Block,
            })
            .set_sources(sources($operation, &baseline.sources)?)
            .set_available_security_updates_compliance_status(available(
                os,
                baseline.available_updates,
            ))
    }};
}

/// The request that makes a baseline.
pub(crate) fn create(draft: &PatchBaseline) -> Result<CreatePatchBaselineInputBuilder> {
    let request = CreatePatchBaselineInputBuilder::default()
        .operating_system(draft.operating_system.as_str().into());
    Ok(describe!("CreatePatchBaseline", draft, request))
}

/// The request that replaces a baseline by this one, but for its operating system, which stays.
pub(crate) fn replace(
    id: &BaselineId,
    baseline: &PatchBaseline,
) -> Result<UpdatePatchBaselineInputBuilder> {
    let request = UpdatePatchBaselineInputBuilder::default().baseline_id(id.as_str()).replace(true);
    Ok(describe!("UpdatePatchBaseline", baseline, request))
}

/// The baseline that an answer describes.
///
/// # Errors
/// `Malformed` where it lacks what every baseline has, or says what the core has no word for: with
/// another in its place, the next update would change what nobody wanted changed.
pub(crate) fn read(answer: &GetPatchBaselineOutput) -> Result<PatchBaseline> {
    let id = answer.baseline_id().ok_or_else(|| lacks("a baseline", "BaselineId"))?;
    let of = Of(id);
    let os = answer.operating_system().ok_or_else(|| lacks(id, "OperatingSystem"))?;
    let Ok(os) = os.as_str().parse::<OperatingSystem>();
    let name = answer.name().ok_or_else(|| lacks(id, "Name"))?;
    let mut baseline = PatchBaseline::new(name, os).with_id(BaselineId::new(id)?);
    baseline.description = answer.description().filter(|it| !it.is_empty()).map(str::to_owned);
    baseline.global_filters = filters(answer.global_filters());
    if let Some(group) = answer.approval_rules() {
        let os = &baseline.operating_system;
        let rules = group.patch_rules().iter().map(|rule| of.rule(rule, os));
        baseline.approval_rules = rules.collect::<Result<_>>()?;
    }
    baseline.approved_patches = answer.approved_patches().to_vec();
    baseline.approved_patches_level =
        of.level("ApprovedPatchesComplianceLevel", answer.approved_patches_compliance_level())?;
    baseline.approved_patches_scope = scope(answer.approved_patches_enable_non_security());
    baseline.rejected_patches = answer.rejected_patches().to_vec();
    baseline.rejected_action = match answer.rejected_patches_action() {
        None | Some(types::PatchAction::AllowAsDependency) => RejectedAction::AllowAsDependency,
        Some(types::PatchAction::Block) => RejectedAction::Block,
        Some(other) => return Err(of.unknown("RejectedPatchesAction", other.as_str())),
    };
    baseline.sources = answer.sources().iter().map(repository).collect();
    baseline.available_updates = match answer.available_security_updates_compliance_status() {
        None | Some(types::PatchComplianceStatus::Compliant) => AvailableUpdates::Compliant,
        Some(types::PatchComplianceStatus::NonCompliant) => AvailableUpdates::NonCompliant,
        Some(other) => {
            return Err(of.unknown("AvailableSecurityUpdatesComplianceStatus", other.as_str()));
        }
    };
    Ok(baseline)
}

const READ: &str = "GetPatchBaseline";

/// The baseline that is read, for errors to name.
#[derive(Clone, Copy)]
struct Of<'a>(&'a str);

impl Of<'_> {
    fn rule(self, rule: &types::PatchRule, os: &OperatingSystem) -> Result<ApprovalRule> {
        let date = rule.approve_until_date().filter(|date| !date.is_empty());
        let approval = match (rule.approve_after_days(), date) {
            // "Not supported for Debian Server or Ubuntu Server" (API reference, PatchRule): a zero
            // there is how the service says that nothing was given.
            (Some(0), None) if os.family() == PackageFamily::Apt => AutoApproval::Immediately,
            (Some(days), _) => {
                let unknown = |_| self.unknown("ApproveAfterDays", &days.to_string());
                AutoApproval::AfterDays(u16::try_from(days).map_err(unknown)?)
            }
            (None, Some(date)) => {
                let read = date.parse().map_err(|_| self.unknown("ApproveUntilDate", date))?;
                AutoApproval::Until(read)
            }
            (None, None) => AutoApproval::Immediately,
        };
        let mut read = ApprovalRule::new(approval)
            .with_level(self.level("ComplianceLevel", rule.compliance_level())?)
            .with_scope(scope(rule.enable_non_security()));
        read.filters = filters(rule.patch_filter_group());
        Ok(read)
    }

    fn level(
        self,
        field: &str,
        level: Option<&types::PatchComplianceLevel>,
    ) -> Result<ComplianceLevel> {
        let Some(level) = level else { return Ok(ComplianceLevel::Unspecified) };
        ComplianceLevel::from_wire(level.as_str())
            .ok_or_else(|| self.unknown(field, level.as_str()))
    }

    fn unknown(self, field: &str, value: &str) -> patchkit_core::Error {
        let message = format!("{} has a {field} that PatchKit does not know: {value:?}", self.0);
        malformed(READ, message)
    }
}

fn lacks(id: &str, member: &str) -> patchkit_core::Error {
    malformed(READ, format!("{id} is answered without its {member}"))
}

fn filters(group: Option<&types::PatchFilterGroup>) -> Vec<PatchFilter> {
    let read = |filter: &types::PatchFilter| {
        let Ok(key) = filter.key().as_str().parse();
        PatchFilter::new(key, filter.values().iter().map(String::as_str))
    };
    group.map_or(&[][..], |group| group.patch_filters()).iter().map(read).collect()
}

fn repository(source: &types::PatchSource) -> PatchRepository {
    PatchRepository {
        name: source.name().to_owned(),
        products: source.products().to_vec(),
        configuration: source.configuration().to_owned(),
    }
}

fn scope(enable_non_security: Option<bool>) -> UpdateScope {
    if enable_non_security == Some(true) { UpdateScope::All } else { UpdateScope::SecurityOnly }
}

/// "Applies to Linux managed nodes only" (API reference): said where it is so only.
fn non_security(scope: UpdateScope) -> Option<bool> {
    match scope {
        UpdateScope::All => Some(true),
        UpdateScope::SecurityOnly => None,
    }
}

/// "Supported for Windows Server managed nodes only" (API reference).
fn available(
    os: &OperatingSystem,
    choice: AvailableUpdates,
) -> Option<types::PatchComplianceStatus> {
    match choice {
        AvailableUpdates::NonCompliant => Some(types::PatchComplianceStatus::NonCompliant),
        AvailableUpdates::Compliant => {
            (*os == OperatingSystem::Windows).then_some(types::PatchComplianceStatus::Compliant)
        }
    }
}

fn global(
    operation: &'static str,
    filters: &[PatchFilter],
) -> Result<Option<types::PatchFilterGroup>> {
    if filters.is_empty() { Ok(None) } else { group(operation, filters).map(Some) }
}

fn group(operation: &'static str, filters: &[PatchFilter]) -> Result<types::PatchFilterGroup> {
    let filter = |filter: &PatchFilter| {
        let filter = types::PatchFilter::builder()
            .key(filter.key.as_str().into())
            .set_values(Some(filter.values.clone()));
        built(operation, filter.build())
    };
    let filters = filters.iter().map(filter).collect::<Result<_>>()?;
    built(operation, types::PatchFilterGroup::builder().set_patch_filters(Some(filters)).build())
}

fn rules(operation: &'static str, rules: &[ApprovalRule]) -> Result<Option<types::PatchRuleGroup>> {
    if rules.is_empty() {
        return Ok(None);
    }
    let rule = |rule: &ApprovalRule| {
        let written = types::PatchRule::builder()
            .patch_filter_group(group(operation, &rule.filters)?)
            .compliance_level(rule.compliance_level.as_str().into())
            .set_enable_non_security(non_security(rule.scope));
        Ok(match rule.approval {
            AutoApproval::AfterDays(days) => written.approve_after_days(days.into()).build(),
            AutoApproval::Until(date) => written.approve_until_date(date.to_string()).build(),
            AutoApproval::Immediately => written.build(),
            other => {
                return Err(invalid(operation, format!("approval: {other:?} is not known here")));
            }
        })
    };
    let rules = rules.iter().map(rule).collect::<Result<_>>()?;
    let group = types::PatchRuleGroup::builder().set_patch_rules(Some(rules)).build();
    built(operation, group).map(Some)
}

fn sources(
    operation: &'static str,
    sources: &[PatchRepository],
) -> Result<Option<Vec<types::PatchSource>>> {
    let source = |source: &PatchRepository| {
        let PatchRepository { name, products, configuration } = source;
        let source = types::PatchSource::builder()
            .name(name)
            .set_products(Some(products.clone()))
            .configuration(configuration);
        built(operation, source.build())
    };
    if sources.is_empty() {
        return Ok(None);
    }
    sources.iter().map(source).collect::<Result<_>>().map(Some)
}

fn built<T>(operation: &'static str, part: Result<T, BuildError>) -> Result<T> {
    part.map_err(|error| invalid(operation, error.to_string()))
}

#[cfg(test)]
mod tests;
