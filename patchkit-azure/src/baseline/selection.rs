//! The patches that an install is to bring, by name.

use jiff::Timestamp;
use patchkit_core::{
    CompiledBaseline, InstallChoice, NodePatch, Patch, PatchId, Presence, RejectedAction,
};
use serde_json::{Value, json};

use crate::{
    convert::baseline::{covering, kb},
    maintenance::Part,
};

/// What an install is to bring, spelled out for Azure: the core has chosen, and Azure is told names.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// The patches that it brings.
    pub chosen: Vec<PatchId>,
    /// Those that are approved, and that Azure has no name for: a Windows update without a KB number.
    pub unnamed: Vec<PatchId>,
    parameters: Option<InstallParameters>,
}

impl Selection {
    /// What to ask of Azure; none where there is nothing to install.
    ///
    /// An install without names would bring everything (Azure/LinuxPatchExtension,
    /// `PackageFilter.is_msft_all_classification_included`), so there are no empty parameters.
    pub fn parameters(&self) -> Option<&InstallParameters> {
        self.parameters.as_ref()
    }
}

/// The part of the body of `installPatches` that names patches.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InstallParameters {
    /// `windowsParameters`.
    #[non_exhaustive]
    Windows {
        /// `kbNumbersToInclude`: never empty.
        include: Vec<String>,
        /// `kbNumbersToExclude`.
        exclude: Vec<String>,
    },
    /// `linuxParameters`.
    #[non_exhaustive]
    Linux {
        /// `packageNameMasksToInclude`: never empty; with versions where they are known, so that what came
        /// out since the assessment is not installed unseen.
        include: Vec<String>,
        /// `packageNameMasksToExclude`.
        exclude: Vec<String>,
    },
}

impl InstallParameters {
    /// The member of the body, and its value.
    pub(crate) fn to_json(&self) -> (&'static str, Value) {
        let (part, names, include, exclude) = match self {
            Self::Windows { include, exclude } => {
                (Part::Windows, ["kbNumbersToInclude", "kbNumbersToExclude"], include, exclude)
            }
            Self::Linux { include, exclude } => {
                let names = ["packageNameMasksToInclude", "packageNameMasksToExclude"];
                (Part::Linux, names, include, exclude)
            }
        };
        let mut lists = json!({names[0]: include});
        if !exclude.is_empty() {
            lists[names[1]] = json!(exclude);
        }
        (part.key(), lists)
    }
}

/// Chooses among the patches that an assessment found those that a baseline approves at a time.
///
/// # Behavior
/// - Everything that the core evaluates counts: delays, filters, lists. Azure is told names alone: no
///   classes and no date, which would bring what nobody looked at.
/// - A package is named with its version, as the assessment has it.
/// - Exclusions are sent only where the baseline blocks rejected patches: on Linux, Azure then leaves out
///   also what needs them (Azure/LinuxPatchExtension, `PatchInstaller.get_excluded_updates`). A rejected
///   patch that may come along is just not asked for.
/// - On an operating system that Azure does not patch nothing is chosen.
///
/// # Example
/// ```
/// use patchkit_azure::{InstallParameters, install_parameters};
/// use patchkit_core::{
///     ApprovalRule, AutoApproval, CompiledBaseline, OperatingSystem, Patch, PatchBaseline, PatchId,
/// };
///
/// let week = ApprovalRule::new(AutoApproval::AfterDays(7));
/// let baseline = PatchBaseline::new("web", OperatingSystem::Windows).with_rule(week);
/// let baseline = CompiledBaseline::new(&baseline);
/// let patch = |id, at: &str| {
///     Patch::new(PatchId::new(id).unwrap()).with_released_at(at.parse().unwrap())
/// };
/// let assessed =
///     [patch("KB5034441", "2026-11-01T00:00:00Z"), patch("KB5043050", "2026-11-20T00:00:00Z")];
///
/// let selection =
///     install_parameters(&baseline, &assessed, "2026-11-24T00:00:00Z".parse().unwrap());
/// let Some(InstallParameters::Windows { include, .. }) = selection.parameters() else { panic!() };
/// assert_eq!(*include, ["KB5034441"]);
/// ```
pub fn install_parameters(
    baseline: &CompiledBaseline,
    assessed: &[Patch],
    now: Timestamp,
) -> Selection {
    let whole = baseline.baseline();
    let mut selection = Selection { chosen: Vec::new(), unnamed: Vec::new(), parameters: None };
    let Some(part) = Part::of(&whole.operating_system) else { return selection };
    let mut include: Vec<String> = Vec::new();
    for patch in assessed {
        let absent = NodePatch::new(patch.clone(), Presence::Absent);
        if baseline.install_choice(&absent, now) != InstallChoice::Install {
            continue;
        }
        match name(part, patch) {
            Some(name) => {
                selection.chosen.push(patch.id.clone());
                if !include.contains(&name) {
                    include.push(name);
                }
            }
            None => selection.unnamed.push(patch.id.clone()),
        }
    }
    if include.is_empty() {
        return selection;
    }
    let exclude = exclude(part, baseline, assessed);
    selection.parameters = Some(match part {
        Part::Windows => InstallParameters::Windows { include, exclude },
        Part::Linux => InstallParameters::Linux { include, exclude },
    });
    selection
}

/// The name by which Azure is asked for one patch and no other.
fn name(part: Part, patch: &Patch) -> Option<String> {
    if part == Part::Windows {
        // Digits alone are the id of an update without a number, and may be the number of another.
        let id = patch.id.as_str();
        return id.get(..2).filter(|it| it.eq_ignore_ascii_case("KB")).and_then(|_| kb(id));
    }
    let name = package(patch);
    let package = patch.package.as_ref().filter(|package| !package.version.is_empty());
    let version = package.map(|package| match package.release.as_str() {
        "" => package.version.clone(),
        release => format!("{}-{release}", package.version),
    });
    let text = match version {
        Some(version) => format!("{name}={version}"),
        None => name.to_owned(),
    };
    // A mask is a pattern: what is more than a name would bring more than one patch.
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '?' | '[' | ']' | '=' | ',');
    let sound = !name.is_empty() && text.split('=').all(|it| it.chars().all(plain));
    (sound && text.matches('=').count() <= 1).then_some(text)
}

fn package(patch: &Patch) -> &str {
    match &patch.package {
        Some(package) if !package.name.is_empty() => &package.name,
        _ => patch.id.as_str(),
    }
}

fn exclude(part: Part, baseline: &CompiledBaseline, assessed: &[Patch]) -> Vec<String> {
    let whole = baseline.baseline();
    if whole.rejected_action != RejectedAction::Block {
        return Vec::new();
    }
    let mut names: Vec<String> = match part {
        Part::Windows => whole.rejected_patches.iter().filter_map(|it| kb(it)).collect(),
        // What is a name and nothing else: a wider mask would exclude what is approved.
        Part::Linux => {
            let family = whole.operating_system.family();
            let plain = |entry: &&String| covering(entry, family) == [entry.as_str()];
            whole.rejected_patches.iter().filter(plain).cloned().collect()
        }
    };
    for patch in assessed.iter().filter(|patch| baseline.blocks(patch)) {
        let name = match part {
            Part::Windows => kb(patch.id.as_str()),
            Part::Linux => Some(package(patch).to_owned()),
        };
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

#[cfg(test)]
mod tests;
