//! What Azure installs where nobody has chosen: a baseline of its own for each operating system.

use patchkit_core::{
    ApprovalRule, AutoApproval, BaselineId, Error, OperatingSystem, PackageFamily, PatchBaseline,
    PatchFilter, PatchFilterKey, Result,
};

use crate::{error::PROVIDER, maintenance::Part};

/// No configuration has such an id: it would begin with a slash.
const HEAD: &str = "azure-default:";

pub(crate) fn is_predefined(id: &BaselineId) -> bool {
    id.as_str().starts_with(HEAD)
}

/// Azure's default for every operating system that PatchKit knows and Azure patches.
pub(super) fn all() -> Vec<PatchBaseline> {
    let known = OperatingSystem::KNOWN.iter().filter_map(|os| baseline(os).ok());
    known.collect()
}

pub(super) fn read(operation: &'static str, id: &BaselineId) -> Result<PatchBaseline> {
    let Ok(os) = id.as_str().trim_start_matches(HEAD).parse::<OperatingSystem>();
    of(operation, &os)
}

/// Azure's default for an operating system.
///
/// # Errors
/// `NotFound` for one that Azure does not patch.
pub(super) fn of(operation: &'static str, os: &OperatingSystem) -> Result<PatchBaseline> {
    baseline(os).map_err(|_| Error::not_found(PROVIDER, operation, format!("a default for {os}")))
}

/// "Critical or security patches" ("Automatic guest patching for Azure virtual machines"), which are what
/// Update Manager's own pages have chosen, too, when they open.
fn baseline(os: &OperatingSystem) -> Result<PatchBaseline> {
    let classes = match Part::of(os) {
        Some(Part::Windows) => ["CriticalUpdates", "SecurityUpdates"],
        Some(Part::Linux) => ["Critical", "Security"],
        None => return Err(Error::unsupported(PROVIDER, "default_baseline")),
    };
    // Debian's kin know no release dates, and their rules no days.
    let approval = match os.family() {
        PackageFamily::Apt => AutoApproval::Immediately,
        _ => AutoApproval::AfterDays(0),
    };
    let filter = PatchFilter::new(PatchFilterKey::Classification, classes);
    Ok(PatchBaseline::new(format!("Azure-DefaultPatchBaseline-{os}"), os.clone())
        .with_id(BaselineId::new(format!("{HEAD}{os}"))?)
        .with_description("Critical and security updates, at once.")
        .with_rule(ApprovalRule::new(approval).with_filter(filter)))
}
