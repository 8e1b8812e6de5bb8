//! The patches of an assessment and of an installation, of which both tables tell alike.

use jiff::Timestamp;
use patchkit_core::{
    Classification, ComplianceStatus, JudgedPatch, Package, Patch, PatchCompliance, PatchId,
    PatchSource, PatchState, Result,
};
use serde_json::Value;

use super::node::text;
use crate::error::malformed;

/// A row of the patches of a machine.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct SoftwarePatch {
    id: PatchId,
    /// Windows: the title of the update. Linux: the name of the package.
    name: String,
    /// Of a package.
    version: Option<String>,
    classification: Option<Classification>,
    urgency: Urgency,
    released_at: Option<Timestamp>,
    changed_at: Option<Timestamp>,
    /// The service's word for its state.
    state: Option<String>,
}

/// Whether Azure counts a patch among those for which a machine is behind.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Urgency {
    /// Critical, or for security.
    Urgent,
    /// Neither.
    Usual,
}

impl Urgency {
    /// The urgency of a class, whose words differ between Windows, Linux and the API's parameters.
    ///
    /// What Ubuntu gives to subscribers alone, `Security-ESM`, is counted with what is for security
    /// (Azure/LinuxPatchExtension, `StatusHandler`).
    pub(crate) fn of(class: &str) -> Self {
        let word: String = class
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match word.as_str() {
            "critical" | "criticalupdates" | "security" | "securityupdates" | "securityesm" => {
                Self::Urgent
            }
            _ => Self::Usual,
        }
    }
}

impl SoftwarePatch {
    /// Reads a row with `id` and `properties`.
    ///
    /// # Errors
    /// `Malformed` for a row that names no patch, or whose classes are no texts.
    pub(crate) fn read(operation: &'static str, row: &Value) -> Result<Self> {
        let properties = &row["properties"];
        let of = |name: &str| properties[name].as_str().filter(|text| !text.is_empty());
        let last = text(row, "/id").and_then(|id| id.rsplit('/').next());
        let (kb, version, name) = (of("kbId"), of("version"), of("patchName"));
        let id = match (kb, version) {
            (Some(kb), _) => format!("KB{}", kb.trim_start_matches(['K', 'B', 'k', 'b'])),
            (None, Some(_)) => name.or(last).unwrap_or_default().to_owned(),
            // Some updates of Windows have no number, and their titles change with each version.
            (None, None) => of("patchId").or(last).or(name).unwrap_or_default().to_owned(),
        };
        let id = PatchId::new(id).map_err(|_| malformed(operation, "a row names no patch"))?;
        let classes = classes(operation, &properties["classifications"])?;
        let urgent = classes.iter().find(|class| Urgency::of(class) == Urgency::Urgent);
        let class = urgent.or(classes.first());
        let at = |name| of(name).and_then(|at: &str| at.parse().ok());
        Ok(Self {
            name: name.unwrap_or(id.as_str()).to_owned(),
            version: version.map(str::to_owned),
            classification: class.map(|class| {
                let Ok(class) = class.parse();
                class
            }),
            urgency: if urgent.is_some() { Urgency::Urgent } else { Urgency::Usual },
            released_at: at("publishedDateTime"),
            changed_at: at("lastModifiedDateTime"),
            state: of("installationState").or(of("assessmentState")).map(str::to_owned),
            id,
        })
    }

    /// A patch that an assessment found.
    ///
    /// What is critical or for security is missing. What is neither is available: whether that counts
    /// is for a baseline to say.
    pub(crate) fn assessed(&self) -> PatchCompliance {
        let word = self.state.as_deref().unwrap_or(PatchState::Available.as_str());
        let Ok(state) = word.parse::<PatchState>();
        match (state, self.urgency) {
            (PatchState::Available, Urgency::Urgent) => self.told(PatchState::Missing),
            (PatchState::Available, Urgency::Usual) => {
                let mut told = self.told(PatchState::Available);
                told.status = ComplianceStatus::Unknown;
                told
            }
            (state, _) => self.told(state),
        }
    }

    /// A patch that an assessment found, as a baseline judges it.
    pub(crate) fn judged(&self, by_baseline: JudgedPatch) -> PatchCompliance {
        let mut told = self.told(by_baseline.state);
        told.status = by_baseline.status;
        told.level = by_baseline.level;
        told
    }

    /// A patch that an installation dealt with.
    pub(crate) fn treated(&self, effect: Effect) -> PatchCompliance {
        let Ok(state) = self.state.as_deref().unwrap_or_default().parse::<PatchState>();
        if state != PatchState::Installed {
            return self.told(state);
        }
        let state = match effect {
            Effect::Now => PatchState::Installed,
            Effect::AfterReboot => PatchState::InstalledPendingReboot,
        };
        let mut told = self.told(state);
        told.installed_at = self.changed_at;
        told
    }

    /// Whether an installation brought it.
    pub(crate) fn is_installed(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("Installed"))
    }

    fn told(&self, state: PatchState) -> PatchCompliance {
        let status = state.compliance(ComplianceStatus::Unknown);
        let mut told = PatchCompliance::new(self.id.clone(), state, status);
        told.title = Some(self.version.as_ref().unwrap_or(&self.name).clone());
        told.classification.clone_from(&self.classification);
        told
    }

    /// The same on whatever machine it was found.
    pub(crate) fn anywhere(self) -> Self {
        Self { changed_at: None, ..self }
    }

    pub(crate) fn classification(&self) -> Option<&Classification> {
        self.classification.as_ref()
    }

    /// The patch as baselines look at it. Azure tells neither its product nor its severity.
    pub(crate) fn offered(&self) -> Patch {
        let mut patch = Patch::new(self.id.clone());
        patch.released_at = self.released_at;
        patch.classification.clone_from(&self.classification);
        patch.title = Some(self.version.as_ref().unwrap_or(&self.name).clone());
        if let Some(version) = &self.version {
            // A package is from a source of security where its class says so.
            if self.urgency == Urgency::Usual {
                patch.source = PatchSource::Other;
            }
            let (name, version) = (self.name.clone(), version.clone());
            patch.package = Some(Package { name, version, ..Package::default() });
        }
        patch
    }
}

/// When what an installation brought takes effect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Now,
    AfterReboot,
}

/// A list of texts; `null` is none (azure-sdk-for-rust issue 1113).
fn classes(operation: &'static str, value: &Value) -> Result<Vec<String>> {
    let wrong = || malformed(operation, "the classes of a patch are no list of texts");
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(all) => {
            all.iter().map(|it| it.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(properties: &Value) -> SoftwarePatch {
        let row = json!({"id": "/x/softwarePatches/5b8f", "properties": properties});
        SoftwarePatch::read("test", &row).unwrap()
    }

    #[test]
    fn an_update_of_windows_goes_by_its_number_and_a_package_by_its_name() {
        let update = read(&json!({
            "patchName": "2026-11 Cumulative Update", "kbId": "5034441",
            "classifications": ["Security Updates"], "publishedDateTime": "2026-11-09T18:00:00Z",
        }));
        let told = update.assessed();
        assert_eq!((told.patch.as_str(), told.state), ("KB5034441", PatchState::Missing));
        assert_eq!(told.title.as_deref(), Some("2026-11 Cumulative Update"));
        assert_eq!(told.classification, Some(Classification::SecurityUpdates));
        assert!(update.offered().released_at.is_some());
        let package = read(&json!({
            "patchName": "openssl", "version": "3.0.8-1", "classifications": ["Other"],
            "publishedDateTime": null,
        }));
        let told = package.assessed();
        assert_eq!((told.patch.as_str(), told.state), ("openssl", PatchState::Available));
        assert_eq!(told.title.as_deref(), Some("3.0.8-1"));
        assert_eq!(told.status, ComplianceStatus::Unknown);
        assert_eq!(package.offered().source, PatchSource::Other);
    }

    #[test]
    fn an_update_without_a_number_goes_by_its_id() {
        let update = read(&json!({"patchName": "Driver 1.2", "classifications": ["Drivers"]}));
        assert_eq!(update.assessed().patch.as_str(), "5b8f");
        assert_eq!(update.assessed().title.as_deref(), Some("Driver 1.2"));
    }

    #[test]
    fn words_that_no_version_knows_survive() {
        let odd = read(&json!({
            "patchName": "a", "version": "1", "classifications": ["Quantum"],
            "installationState": "Entangled",
        }));
        let told = odd.treated(Effect::Now);
        assert_eq!((told.state.as_str(), told.status), ("Entangled", ComplianceStatus::Unknown));
        assert_eq!(told.classification.unwrap().as_str(), "Quantum");
    }

    #[test]
    fn what_ubuntu_gives_to_subscribers_alone_is_for_security() {
        let esm = json!({"patchName": "a", "version": "1", "classifications": ["Security-ESM"]});
        assert_eq!(read(&esm).assessed().state, PatchState::Missing);
    }

    #[test]
    fn classes_may_be_null_and_nothing_else_that_is_no_list() {
        let row =
            |classes: Value| json!({"id": "/x/a", "properties": {"classifications": classes}});
        assert!(SoftwarePatch::read("test", &row(Value::Null)).is_ok());
        assert!(SoftwarePatch::read("test", &row(json!("Security"))).is_err());
        assert!(SoftwarePatch::read("test", &row(json!([7]))).is_err());
        assert!(SoftwarePatch::read("test", &json!({"properties": {}})).is_err());
    }

    #[test]
    fn what_waits_for_a_reboot_says_so() {
        let brought = read(&json!({
            "patchName": "a", "version": "1", "installationState": "Installed",
            "lastModifiedDateTime": "2026-11-24T02:00:00Z",
        }));
        assert_eq!(brought.treated(Effect::Now).state, PatchState::Installed);
        let waits = brought.treated(Effect::AfterReboot);
        assert_eq!(waits.state, PatchState::InstalledPendingReboot);
        assert_eq!(waits.status, ComplianceStatus::NonCompliant);
        assert!(waits.installed_at.is_some());
    }
}
