//! What an installation is to bring: classes, masks, KB numbers, dates and reboots.

use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};
use jiff::{SignedDuration, Timestamp};
use patchkit_core::{Classification, Patch, PatchSource};
use serde_json::Value;

use super::{error::ArmError, vm::one_of};
use crate::cloud::world::{State, catalogue::System, patching::Reboot};

/// A class of patches, as parameters name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Class {
    Critical,
    Security,
    UpdateRollup,
    FeaturePack,
    ServicePack,
    Definition,
    Tools,
    Updates,
    /// Of Linux: all that is not for security.
    Other,
}

/// A class with its parameter, its words in results, and the name of its count.
type Named = (Class, &'static str, &'static str, &'static str);

const WINDOWS: [Named; 8] = [
    (Class::Critical, "Critical", "Critical Updates", "critical"),
    (Class::Security, "Security", "Security Updates", "security"),
    (Class::UpdateRollup, "UpdateRollUp", "Update Rollups", "updateRollup"),
    (Class::FeaturePack, "FeaturePack", "Feature Packs", "featurePack"),
    (Class::ServicePack, "ServicePack", "Service Packs", "servicePack"),
    (Class::Definition, "Definition", "Definition Updates", "definition"),
    (Class::Tools, "Tools", "Tools", "tools"),
    (Class::Updates, "Updates", "Updates", "updates"),
];
const LINUX: [Named; 3] = [
    (Class::Critical, "Critical", "Critical", "critical"),
    (Class::Security, "Security", "Security", "security"),
    (Class::Other, "Other", "Other", "other"),
];

impl Class {
    pub(super) fn of(patch: &Patch, system: &System) -> Self {
        if !system.is_windows() {
            return match patch.source {
                PatchSource::Other => Self::Other,
                PatchSource::Security => Self::Security,
            };
        }
        match &patch.classification {
            Some(Classification::CriticalUpdates) => Self::Critical,
            Some(Classification::SecurityUpdates) => Self::Security,
            Some(Classification::UpdateRollups) => Self::UpdateRollup,
            Some(Classification::FeaturePacks) => Self::FeaturePack,
            Some(Classification::ServicePacks) => Self::ServicePack,
            Some(Classification::DefinitionUpdates) => Self::Definition,
            Some(Classification::Tools) => Self::Tools,
            _ => Self::Updates,
        }
    }

    /// Of a system, every class with its words and the name of its count.
    pub(super) fn all(system: &System) -> &'static [Named] {
        if system.is_windows() { &WINDOWS } else { &LINUX }
    }

    /// Every class of any system, each once.
    pub(super) fn every() -> impl Iterator<Item = &'static Named> {
        WINDOWS.iter().chain(&LINUX[2..])
    }

    /// As results have it.
    pub(super) fn shown(self, system: &System) -> &'static str {
        let found = Self::all(system).iter().find(|(it, ..)| *it == self);
        found.map_or("Other", |(_, _, shown, _)| shown)
    }

    /// Whether the platform counts it as urgent.
    pub(super) fn is_urgent(self) -> bool {
        matches!(self, Self::Critical | Self::Security)
    }
}

/// What is to be done with an available patch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    Install,
    Excluded,
    NotSelected,
}

/// What an installation is told.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) maximum: Duration,
    pub(super) reboot: Reboot,
    windows: Choice,
    linux: Choice,
    pub(super) maintenance_run: Box<str>,
    pub(super) started_by: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Choice {
    classes: Vec<Class>,
    include: Vec<Mask>,
    exclude: Vec<Mask>,
    without_reboots: bool,
    until: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Mask {
    /// `KB4512508`
    Kb(String),
    /// A pattern for the name, and perhaps the exact version.
    Name(GlobMatcher, Option<String>),
}

impl Order {
    /// Reads parameters as a person sends them.
    ///
    /// # Errors
    /// Where a value is out of the model, with its place.
    pub(super) fn of_request(
        body: &Value,
        needs_duration: NeedsDuration,
    ) -> Result<Self, ArmError> {
        let maximum = match &body["maximumDuration"] {
            Value::Null if needs_duration == NeedsDuration::No => Duration::from_hours(4),
            Value::Null => {
                let place = "maximumDuration";
                return Err(ArmError::parameter(place, "Required parameter 'maximumDuration'."));
            }
            given => duration(given)?,
        };
        let order = Self::of_schedule(body, maximum, "")?;
        Ok(Self { started_by: "User", ..order })
    }

    /// Reads the parameters of a maintenance configuration.
    pub(super) fn of_schedule(
        body: &Value,
        maximum: Duration,
        run: &str,
    ) -> Result<Self, ArmError> {
        let settings = ["IfRequired", "Never", "Always"];
        let reboot = match one_of(&body["rebootSetting"], &settings, "rebootSetting")? {
            Some("IfRequired") => Reboot::IfRequired,
            Some("Never") => Reboot::Never,
            Some(_) => Reboot::Always,
            None => {
                let place = "rebootSetting";
                return Err(ArmError::parameter(place, "Required parameter 'rebootSetting'."));
            }
        };
        let linux = &body["linuxParameters"];
        let given = linux["maintenanceRunId"].as_str().unwrap_or_default();
        Ok(Self {
            maximum,
            reboot,
            windows: Choice::windows(&body["windowsParameters"])?,
            linux: Choice::linux(linux)?,
            maintenance_run: if run.is_empty() { given } else { run }.into(),
            started_by: "Platform",
        })
    }

    pub(super) fn decide(&self, patch: &Patch, place: usize, system: &System) -> Decision {
        let choice = if system.is_windows() { &self.windows } else { &self.linux };
        choice.decide(patch, place, system)
    }
}

/// Whether a request must say how long it may take: Arc's must, compute's need not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NeedsDuration {
    Yes,
    No,
}

fn duration(value: &Value) -> Result<Duration, ArmError> {
    let text = value.as_str().unwrap_or_default();
    // Only the form of ISO 8601: the parser knows others too.
    let read: Option<SignedDuration> = text.starts_with('P').then(|| text.parse().ok()).flatten();
    let read = read.and_then(|it| Duration::try_from(it).ok()).filter(|it| !it.is_zero());
    read.ok_or_else(|| {
        ArmError::parameter(
            "maximumDuration",
            format!("The value {value} is no duration of ISO 8601 such as PT4H."),
        )
    })
}

impl Choice {
    fn windows(given: &Value) -> Result<Self, ArmError> {
        let place = |key: &str| format!("windowsParameters.{key}");
        let mut include = kbs(&given["kbNumbersToInclude"], &place("kbNumbersToInclude"))?;
        let mut exclude = kbs(&given["kbNumbersToExclude"], &place("kbNumbersToExclude"))?;
        let key = "patchNameMasksToInclude";
        include.extend(masks(&given[key], &place(key), Versions::No)?);
        let key = "patchNameMasksToExclude";
        exclude.extend(masks(&given[key], &place(key), Versions::No)?);
        let without_reboots = match &given["excludeKbsRequiringReboot"] {
            Value::Null => false,
            Value::Bool(it) => *it,
            other => {
                let what = format!("The value {other} is no boolean.");
                return Err(ArmError::parameter(place("excludeKbsRequiringReboot"), what));
            }
        };
        let until = match &given["maxPatchPublishDate"] {
            Value::Null => None,
            other => {
                let at = other.as_str().and_then(|it| it.parse::<Timestamp>().ok());
                Some(at.ok_or_else(|| {
                    let what = format!("The value {other} is no time.");
                    ArmError::parameter(place("maxPatchPublishDate"), what)
                })?)
            }
        };
        let classes = classes(given, &place("classificationsToInclude"), &WINDOWS)?;
        Ok(Self { classes, include, exclude, without_reboots, until })
    }

    fn linux(given: &Value) -> Result<Self, ArmError> {
        let place = |key: &str| format!("linuxParameters.{key}");
        let [include, exclude] = ["packageNameMasksToInclude", "packageNameMasksToExclude"];
        Ok(Self {
            classes: classes(given, &place("classificationsToInclude"), &LINUX)?,
            include: masks(&given[include], &place(include), Versions::Yes)?,
            exclude: masks(&given[exclude], &place(exclude), Versions::Yes)?,
            without_reboots: false,
            until: None,
        })
    }

    fn decide(&self, patch: &Patch, place: usize, system: &System) -> Decision {
        // Exclusion wins over inclusion ("Programmatically manage updates for Azure VMs").
        if self.exclude.iter().any(|it| it.holds(patch))
            || self.without_reboots && State::needs_boot(place)
        {
            return Decision::Excluded;
        }
        // Nothing chosen is everything, as the agent reads it (Azure/LinuxPatchExtension,
        // PackageFilter).
        let everything = self.classes.is_empty() && self.include.is_empty();
        let chosen = everything
            || self.classes.contains(&Class::of(patch, system))
            || self.include.iter().any(|it| it.holds(patch));
        let late = self.until.is_some_and(|until| patch.released_at.is_some_and(|at| at > until));
        if chosen && !late { Decision::Install } else { Decision::NotSelected }
    }
}

impl Mask {
    fn holds(&self, patch: &Patch) -> bool {
        match (self, &patch.package) {
            (Self::Kb(kb), _) => patch.id.as_str().eq_ignore_ascii_case(kb),
            (Self::Name(glob, version), Some(package)) => {
                let own = || super::patch_result::version(package);
                glob.is_match(&package.name) && version.as_ref().is_none_or(|it| *it == own())
            }
            (Self::Name(glob, _), None) => {
                patch.title.as_ref().is_some_and(|title| glob.is_match(title))
            }
        }
    }
}

fn texts<'v>(value: &'v Value, place: &str) -> Result<Vec<&'v str>, ArmError> {
    let wrong =
        || ArmError::parameter(place, format!("The value of '{place}' is no list of texts."));
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(many) => many.iter().map(|it| it.as_str().ok_or_else(wrong)).collect(),
        _ => Err(wrong()),
    }
}

fn classes(given: &Value, place: &str, known: &[Named]) -> Result<Vec<Class>, ArmError> {
    if !given.is_null() && !given.is_object() {
        return Err(ArmError::parameter(place, "The parameters are no object."));
    }
    let names: Vec<_> = known.iter().map(|(_, name, ..)| *name).collect();
    let mut found = Vec::new();
    for text in texts(&given["classificationsToInclude"], place)? {
        let name = one_of(&Value::from(text), &names, place)?;
        found.extend(known.iter().find(|(_, it, ..)| Some(*it) == name).map(|(class, ..)| *class));
    }
    Ok(found)
}

/// KB numbers, refused in the service's words (azure-cli, test_vm_install_patches).
fn kbs(value: &Value, place: &str) -> Result<Vec<Mask>, ArmError> {
    let key = place.rsplit('.').next().unwrap_or(place);
    let check = |text: &str| {
        let number = text.get(..2).filter(|it| it.eq_ignore_ascii_case("KB")).map(|_| &text[2..]);
        if number.is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit())) {
            return Ok(Mask::Kb(text.to_owned()));
        }
        let what = format!(
            "The entry in '{key}' with value '{text}' is not valid. It must be a KBID such as \
             KB4512508."
        );
        Err(ArmError::parameter(place, what))
    };
    texts(value, place)?.into_iter().map(check).collect()
}

/// Whether a mask may end in `=version`, as those for packages may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Versions {
    Yes,
    No,
}

fn masks(value: &Value, place: &str, versions: Versions) -> Result<Vec<Mask>, ArmError> {
    let read = |text: &str| {
        let (name, version) = match text.split_once('=') {
            Some((name, version)) if versions == Versions::Yes => (name, Some(version.to_owned())),
            _ => (text, None),
        };
        let glob = GlobBuilder::new(name).literal_separator(false).case_insensitive(true).build();
        let glob = glob.map_err(|error| ArmError::parameter(place, error.to_string()))?;
        Ok(Mask::Name(glob.compile_matcher(), version))
    };
    texts(value, place)?.into_iter().map(read).collect()
}
