//! The patches that a configuration's parameters choose, as a baseline and from one.

mod masks;
mod project;

use std::collections::BTreeSet;

use patchkit_core::{
    ApprovalRule, AutoApproval, OperatingSystem, PackageFamily, PatchBaseline, PatchFilter,
    PatchFilterKey, Result, UpdateScope,
};
use serde_json::{Value, json};

pub(crate) use self::{
    masks::{covering, kb},
    project::project,
};
use crate::{error::malformed, maintenance::Part};

/// A package that nobody makes. Parameters that choose nothing bring everything
/// (Azure/LinuxPatchExtension, `PackageFilter.is_msft_all_classification_included`), so that nothing is
/// chosen by choosing this.
pub(crate) const NO_PACKAGE: &str = "patchkit-approves-nothing";
/// The same for Windows.
pub(crate) const NO_UPDATE: &str = "KB0000000";

/// What the parameters for one kind of operating system choose.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Chosen {
    pub(crate) classes: Vec<String>,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
}

fn keys(part: Part) -> [&'static str; 3] {
    match part {
        Part::Windows => ["classificationsToInclude", "kbNumbersToInclude", "kbNumbersToExclude"],
        Part::Linux => {
            ["classificationsToInclude", "packageNameMasksToInclude", "packageNameMasksToExclude"]
        }
    }
}

impl Chosen {
    /// Chooses nothing.
    pub(crate) fn nothing(part: Part) -> Self {
        let (include, exclude) = match part {
            Part::Windows => (NO_UPDATE, None),
            Part::Linux => (NO_PACKAGE, Some("*")),
        };
        Self {
            classes: Vec::new(),
            include: vec![include.to_owned()],
            exclude: exclude.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Whether it is sure to choose nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        let none = [NO_PACKAGE, NO_UPDATE];
        self.classes.is_empty()
            && !self.include.is_empty()
            && self.include.iter().all(|it| none.contains(&it.as_str()))
    }

    pub(crate) fn read(operation: &'static str, part: Part, parameters: &Value) -> Result<Self> {
        let list = |key: &str| match &parameters[key] {
            Value::Null => Ok(Vec::new()),
            Value::Array(many) => {
                let text = |it: &Value| it.as_str().map(|text| text.trim().to_owned());
                many.iter().map(text).collect::<Option<Vec<_>>>()
            }
            .ok_or_else(|| malformed(operation, format!("{part}.{key} is no list of texts"))),
            _ => Err(malformed(operation, format!("{part}.{key} is no list"))),
        };
        let [classes, include, exclude] = keys(part);
        Ok(Self { classes: list(classes)?, include: list(include)?, exclude: list(exclude)? })
    }

    /// Puts it into parameters, which may hold more.
    pub(crate) fn write(&self, part: Part, parameters: &mut Value) {
        if !parameters.is_object() {
            *parameters = json!({});
        }
        let [classes, include, exclude] = keys(part);
        parameters[classes] = json!(self.classes);
        parameters[include] = json!(self.include);
        parameters[exclude] = json!(self.exclude);
    }

    /// What differs in another one, in words; nothing where both choose the same.
    pub(crate) fn differences(&self, part: Part, found: &Self) -> Vec<String> {
        let lists = |it: &Self| {
            [
                it.classes.iter().map(|text| class(part, text)).collect::<BTreeSet<_>>(),
                it.include.iter().map(|text| folded(part, text)).collect(),
                it.exclude.iter().map(|text| folded(part, text)).collect(),
            ]
        };
        let (wanted, found) = (lists(self), lists(found));
        let differing = keys(part).into_iter().zip(wanted.into_iter().zip(found));
        differing
            .filter(|(_, (wanted, found))| wanted != found)
            .map(|(key, (wanted, found))| {
                let words = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
                let (wanted, found) = (words(wanted), words(found));
                crate::error::shown(&format!(
                    "{}.{key} is [{found}], and was written as [{wanted}]",
                    part.key()
                ))
            })
            .collect()
    }

    /// The baseline that approves what this chooses, at once.
    pub(crate) fn baseline(&self, part: Part, name: &str) -> PatchBaseline {
        let mut baseline = PatchBaseline::new(name, part.system());
        let windows = part == Part::Windows;
        let scope = if windows { UpdateScope::SecurityOnly } else { UpdateScope::All };
        if self.is_nothing() {
            return baseline;
        }
        let rule = ApprovalRule::new(AutoApproval::AfterDays(0));
        if self.classes.is_empty() {
            if self.include.is_empty() {
                // Nothing chosen is everything: see `NO_PACKAGE`.
                baseline = baseline.with_rule(rule.with_scope(scope));
            }
        } else {
            let names: BTreeSet<String> =
                self.classes.iter().flat_map(|it| spelled(part, it)).collect();
            let other = names.iter().any(|it| !is_security(it));
            let rule = if !windows && other { rule.with_scope(scope) } else { rule };
            let filter = PatchFilter::new(PatchFilterKey::Classification, names);
            baseline = baseline.with_rule(rule.with_filter(filter));
        }
        let listed = |text: &String| if windows { kb(text) } else { None }.unwrap_or(text.clone());
        if !self.include.is_empty() {
            baseline =
                baseline.with_approved(self.include.iter().map(listed)).with_approved_scope(scope);
        }
        // Azure installs nothing that is excluded, needed or not (Azure/LinuxPatchExtension,
        // `PatchInstaller.get_excluded_updates`).
        if !self.exclude.is_empty() {
            let action = patchkit_core::RejectedAction::Block;
            baseline = baseline
                .with_rejected(self.exclude.iter().map(listed))
                .with_rejected_action(action);
        }
        baseline
    }
}

fn is_security(class: &str) -> bool {
    class == "Critical" || class == "Security"
}

/// A class as it is compared: the Linux agent takes `Critical` and `Security` for one
/// (Azure/LinuxPatchExtension, `is_msft_critsec_classification_only`).
fn class(part: Part, text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    match (part, lower.as_str()) {
        (Part::Linux, "critical") => "security".to_owned(),
        // Resource Graph's rows have it so.
        (Part::Linux, "others") => "other".to_owned(),
        _ => lower,
    }
}

fn folded(part: Part, text: &str) -> String {
    match part {
        Part::Windows => kb(text).unwrap_or_else(|| text.to_ascii_uppercase()),
        Part::Linux => text.to_owned(),
    }
}

/// The classes of Windows: as parameters spell them, and as baselines do.
const WINDOWS: [(&str, &str); 8] = [
    ("Critical", "CriticalUpdates"),
    ("Security", "SecurityUpdates"),
    ("UpdateRollUp", "UpdateRollups"),
    ("FeaturePack", "FeaturePacks"),
    ("ServicePack", "ServicePacks"),
    ("Definition", "DefinitionUpdates"),
    ("Tools", "Tools"),
    ("Updates", "Updates"),
];

/// A class as the filters of baselines spell it; one that is not known stays as it is.
fn spelled(part: Part, text: &str) -> Vec<String> {
    match part {
        Part::Windows => {
            let known = WINDOWS.iter().find(|(azure, _)| azure.eq_ignore_ascii_case(text));
            vec![known.map_or(text, |(_, ours)| ours).to_owned()]
        }
        Part::Linux => match class(part, text).as_str() {
            "security" => vec!["Critical".to_owned(), "Security".to_owned()],
            "other" => vec!["Other".to_owned()],
            _ => vec![text.to_owned()],
        },
    }
}

/// Whether security sources alone count, where a baseline does not say otherwise: as core's evaluation
/// has it.
fn knows_sources(os: &OperatingSystem) -> bool {
    matches!(os.family(), PackageFamily::Rpm | PackageFamily::Apt | PackageFamily::Other)
}

#[cfg(test)]
mod tests;
