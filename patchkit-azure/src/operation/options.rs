//! What an embedder can set about the installs that are sent for him.

use std::time::Duration;

use jiff::Timestamp;
use patchkit_core::{Classification, RebootPolicy, Result};
use serde_json::{Map, Value, json};

use super::machine::System;
use crate::error::invalid;

const OPERATION: &str = "InstallPatches";

/// The longest that an install may take where nothing else is said. The service tells of one that
/// overruns a quarter of an hour later, and a workflow waits three hours.
const USUAL: Duration = Duration::from_mins(150);

/// Which patches an install of an [`UpdateManager`](crate::UpdateManager) brings, and how long it may
/// take.
///
/// The default brings what is critical or a security patch, within two and a half hours. Where
/// [baselines](crate::Baselines) decide, they choose the patches, and these options say how long it may
/// take; options that choose patches as well are refused.
///
/// # Example
/// ```
/// use patchkit_azure::{InstallOptions, LinuxPatches, WindowsPatches};
/// use patchkit_core::Classification;
///
/// let options = InstallOptions::default()
///     .with_windows(WindowsPatches::none().with_kbs(["KB5043050"]))
///     .with_linux(LinuxPatches::default().without_packages(["kernel*"]));
/// assert_eq!(options.windows.include_kbs, ["KB5043050"]);
/// assert!(options.linux.classifications.contains(&Classification::Security));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct InstallOptions {
    /// On Windows.
    pub windows: WindowsPatches,
    /// On Linux.
    pub linux: LinuxPatches,
    /// How long the install may take, reboots included; a request's own timeout is taken instead.
    pub maximum_duration: Duration,
}

impl Default for InstallOptions {
    fn default() -> Self {
        let (windows, linux) = (WindowsPatches::default(), LinuxPatches::default());
        Self { windows, linux, maximum_duration: USUAL }
    }
}

/// Which patches an install brings to a Windows machine: those of the classes and those that are named
/// by their numbers, without those that are excluded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WindowsPatches {
    /// The classes: `CriticalUpdates`, `SecurityUpdates`, `UpdateRollups`, …
    pub classifications: Vec<Classification>,
    /// Brought beside the classes: `KB5043050`.
    pub include_kbs: Vec<String>,
    /// Never brought.
    pub exclude_kbs: Vec<String>,
    /// Whether patches are brought that may reboot the machine.
    pub rebooting: RebootingPatches,
    /// Patches that were published later are not brought.
    pub published_until: Option<Timestamp>,
}

/// Which patches an install brings to a Linux machine: those of the classes and those whose packages
/// fit a mask, without those that are excluded.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LinuxPatches {
    /// The classes: `CriticalUpdates`, `Security`, `Other("Other")`.
    pub classifications: Vec<Classification>,
    /// Masks of packages that are brought beside the classes: `openssl*`, `curl=8.5.0-2`.
    pub include_packages: Vec<String>,
    /// Masks of packages that are never brought.
    pub exclude_packages: Vec<String>,
}

/// Whether patches are brought that may reboot the machine (`excludeKbsRequiringReboot`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RebootingPatches {
    /// They are.
    #[default]
    Included,
    /// They are left out.
    Excluded,
}

impl InstallOptions {
    /// Sets which patches are brought to Windows.
    #[must_use]
    pub fn with_windows(mut self, patches: WindowsPatches) -> Self {
        self.windows = patches;
        self
    }

    /// Sets which patches are brought to Linux.
    #[must_use]
    pub fn with_linux(mut self, patches: LinuxPatches) -> Self {
        self.linux = patches;
        self
    }

    /// Sets how long an install may take.
    #[must_use]
    pub fn with_maximum_duration(mut self, duration: Duration) -> Self {
        self.maximum_duration = duration;
        self
    }

    /// The body of a request; with the parameters of both systems where the machine's is not known.
    ///
    /// # Errors
    /// `InvalidInput` for what Azure has no word for, and where nothing is chosen.
    pub(super) fn body(
        &self,
        reboot: RebootPolicy,
        system: Option<System>,
        timeout: Option<Duration>,
    ) -> Result<Value> {
        let mut body = self.frame(reboot, timeout)?;
        if system != Some(System::Linux) {
            body["windowsParameters"] = self.windows.parameters()?;
        }
        if system != Some(System::Windows) {
            body["linuxParameters"] = self.linux.parameters()?;
        }
        Ok(body)
    }

    /// Whether they choose other patches than those that are chosen where nothing is said.
    pub(super) fn choose_patches(&self) -> bool {
        self.windows != WindowsPatches::default() || self.linux != LinuxPatches::default()
    }

    /// The body of a request that chooses nothing yet.
    pub(super) fn frame(&self, reboot: RebootPolicy, timeout: Option<Duration>) -> Result<Value> {
        let reboot = match reboot {
            RebootPolicy::IfRequired => "IfRequired",
            RebootPolicy::Never => "Never",
            RebootPolicy::Always => "Always",
            other => return Err(invalid(OPERATION, format!("Azure cannot reboot {other}"))),
        };
        Ok(json!({
            "maximumDuration": duration(timeout.unwrap_or(self.maximum_duration))?,
            "rebootSetting": reboot,
        }))
    }
}

impl Default for WindowsPatches {
    fn default() -> Self {
        let classes = [Classification::CriticalUpdates, Classification::SecurityUpdates];
        Self::none().with_classifications(classes)
    }
}

impl WindowsPatches {
    /// None: to be added to. An install that brings none is refused.
    pub fn none() -> Self {
        Self {
            classifications: Vec::new(),
            include_kbs: Vec::new(),
            exclude_kbs: Vec::new(),
            rebooting: RebootingPatches::Included,
            published_until: None,
        }
    }

    /// Sets the classes.
    #[must_use]
    pub fn with_classifications(
        mut self,
        classes: impl IntoIterator<Item = Classification>,
    ) -> Self {
        self.classifications = classes.into_iter().collect();
        self
    }

    /// Brings these beside the classes.
    #[must_use]
    pub fn with_kbs<K: Into<String>>(mut self, kbs: impl IntoIterator<Item = K>) -> Self {
        self.include_kbs = kbs.into_iter().map(Into::into).collect();
        self
    }

    /// Never brings these.
    #[must_use]
    pub fn without_kbs<K: Into<String>>(mut self, kbs: impl IntoIterator<Item = K>) -> Self {
        self.exclude_kbs = kbs.into_iter().map(Into::into).collect();
        self
    }

    /// Sets whether patches are brought that may reboot the machine.
    #[must_use]
    pub fn with_rebooting(mut self, patches: RebootingPatches) -> Self {
        self.rebooting = patches;
        self
    }

    /// Leaves out what was published later.
    #[must_use]
    pub fn with_published_until(mut self, at: Timestamp) -> Self {
        self.published_until = Some(at);
        self
    }

    fn parameters(&self) -> Result<Value> {
        chosen("Windows", &self.classifications, &self.include_kbs)?;
        let mut parameters = Map::new();
        let classes = words(&self.classifications, windows_class)?;
        put(&mut parameters, "classificationsToInclude", classes);
        put(&mut parameters, "kbNumbersToInclude", kbs(&self.include_kbs)?);
        put(&mut parameters, "kbNumbersToExclude", kbs(&self.exclude_kbs)?);
        if self.rebooting == RebootingPatches::Excluded {
            parameters.insert("excludeKbsRequiringReboot".to_owned(), true.into());
        }
        if let Some(until) = self.published_until {
            parameters.insert("maxPatchPublishDate".to_owned(), until.to_string().into());
        }
        Ok(parameters.into())
    }
}

impl Default for LinuxPatches {
    fn default() -> Self {
        let classes = [Classification::CriticalUpdates, Classification::Security];
        Self::none().with_classifications(classes)
    }
}

impl LinuxPatches {
    /// None: to be added to. An install that brings none is refused.
    pub fn none() -> Self {
        let (include_packages, exclude_packages) = (Vec::new(), Vec::new());
        Self { classifications: Vec::new(), include_packages, exclude_packages }
    }

    /// Sets the classes.
    #[must_use]
    pub fn with_classifications(
        mut self,
        classes: impl IntoIterator<Item = Classification>,
    ) -> Self {
        self.classifications = classes.into_iter().collect();
        self
    }

    /// Brings packages that fit these masks beside the classes.
    #[must_use]
    pub fn with_packages<M: Into<String>>(mut self, masks: impl IntoIterator<Item = M>) -> Self {
        self.include_packages = masks.into_iter().map(Into::into).collect();
        self
    }

    /// Never brings packages that fit these masks.
    #[must_use]
    pub fn without_packages<M: Into<String>>(mut self, masks: impl IntoIterator<Item = M>) -> Self {
        self.exclude_packages = masks.into_iter().map(Into::into).collect();
        self
    }

    fn parameters(&self) -> Result<Value> {
        chosen("Linux", &self.classifications, &self.include_packages)?;
        let mut parameters = Map::new();
        let classes = words(&self.classifications, linux_class)?;
        put(&mut parameters, "classificationsToInclude", classes);
        put(&mut parameters, "packageNameMasksToInclude", masks(&self.include_packages)?);
        put(&mut parameters, "packageNameMasksToExclude", masks(&self.exclude_packages)?);
        Ok(parameters.into())
    }
}

/// The agent takes no choice for all there is (Azure/LinuxPatchExtension, `PackageFilter`): a baseline
/// that approves nothing would bring everything.
fn chosen(system: &str, classes: &[Classification], named: &[String]) -> Result<()> {
    if classes.is_empty() && named.is_empty() {
        let message = format!("no patch of {system} is chosen, which Azure takes for all of them");
        return Err(invalid(OPERATION, message));
    }
    Ok(())
}

fn words(
    classes: &[Classification],
    word: fn(&Classification) -> Option<&str>,
) -> Result<Vec<String>> {
    let one = |class: &Classification| {
        let unknown = || invalid(OPERATION, format!("Azure has no class {:?}", class.as_str()));
        word(class).map(str::to_owned).ok_or_else(unknown)
    };
    classes.iter().map(one).collect()
}

/// Compute API, `VMGuestPatchClassification_Windows`. A word of tomorrow goes as it is: the service
/// refuses what it does not know.
fn windows_class(class: &Classification) -> Option<&str> {
    Some(match class {
        Classification::CriticalUpdates => "Critical",
        Classification::Security | Classification::SecurityUpdates => "Security",
        Classification::UpdateRollups => "UpdateRollUp",
        Classification::FeaturePacks => "FeaturePack",
        Classification::ServicePacks => "ServicePack",
        Classification::DefinitionUpdates => "Definition",
        Classification::Tools => "Tools",
        Classification::Updates => "Updates",
        Classification::Other(word) => word,
        _ => return None,
    })
}

/// Compute API, `VMGuestPatchClassification_Linux`.
fn linux_class(class: &Classification) -> Option<&str> {
    Some(match class {
        Classification::CriticalUpdates => "Critical",
        Classification::Security | Classification::SecurityUpdates => "Security",
        Classification::Other(word) => word,
        _ => return None,
    })
}

/// Numbers as the service wants them: "It must be a KBID such as KB4512508" (recorded by azure-cli,
/// test_vm_install_patches).
fn kbs(numbers: &[String]) -> Result<Vec<String>> {
    let one = |text: &String| {
        let digits = text.get(..2).filter(|it| it.eq_ignore_ascii_case("KB")).map(|_| &text[2..]);
        let digits = digits.unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid(OPERATION, format!("{text:?} is no number of a KB article")));
        }
        Ok(format!("KB{digits}"))
    };
    numbers.iter().map(one).collect()
}

fn masks(masks: &[String]) -> Result<Vec<String>> {
    if masks.iter().any(|mask| mask.trim().is_empty()) {
        return Err(invalid(OPERATION, "a mask of packages is empty"));
    }
    Ok(masks.to_vec())
}

fn put(parameters: &mut Map<String, Value>, key: &str, list: Vec<String>) {
    if !list.is_empty() {
        parameters.insert(key.to_owned(), list.into());
    }
}

/// A duration of ISO 8601, in whole minutes.
fn duration(duration: Duration) -> Result<String> {
    let minutes = duration.as_secs() / 60;
    if minutes == 0 {
        return Err(invalid(OPERATION, "an install takes a minute at least"));
    }
    Ok(match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("PT{minutes}M"),
        (hours, 0) => format!("PT{hours}H"),
        (hours, minutes) => format!("PT{hours}H{minutes}M"),
    })
}

#[cfg(test)]
mod tests {
    use patchkit_core::ErrorKind;

    use super::*;

    fn body(options: &InstallOptions, system: Option<System>) -> Result<Value> {
        options.body(RebootPolicy::Never, system, None)
    }

    #[test]
    fn a_machine_is_told_of_its_own_system_alone() {
        let told = body(&InstallOptions::default(), Some(System::Windows)).unwrap();
        let expected = json!({
            "maximumDuration": "PT2H30M",
            "rebootSetting": "Never",
            "windowsParameters": {"classificationsToInclude": ["Critical", "Security"]},
        });
        assert_eq!(told, expected);
        let told = body(&InstallOptions::default(), None).unwrap();
        assert!(told["windowsParameters"].is_object() && told["linuxParameters"].is_object());
    }

    #[test]
    fn every_choice_is_told_in_azures_words() {
        let windows = WindowsPatches::none()
            .with_classifications([
                Classification::UpdateRollups,
                Classification::DefinitionUpdates,
            ])
            .with_kbs(["kb1", "22"])
            .without_kbs(["KB3"])
            .with_rebooting(RebootingPatches::Excluded)
            .with_published_until("2026-11-01T00:00:00Z".parse().unwrap());
        let linux = LinuxPatches::default()
            .with_classifications([Classification::Other("Other".into())])
            .with_packages(["curl*"])
            .without_packages(["kernel*"]);
        let options = InstallOptions::default().with_windows(windows).with_linux(linux);
        let hour = Some(Duration::from_hours(1));
        let told = options.body(RebootPolicy::Always, None, hour).unwrap();
        let expected = json!({
            "maximumDuration": "PT1H",
            "rebootSetting": "Always",
            "windowsParameters": {
                "classificationsToInclude": ["UpdateRollUp", "Definition"],
                "kbNumbersToInclude": ["KB1", "KB22"],
                "kbNumbersToExclude": ["KB3"],
                "excludeKbsRequiringReboot": true,
                "maxPatchPublishDate": "2026-11-01T00:00:00Z",
            },
            "linuxParameters": {
                "classificationsToInclude": ["Other"],
                "packageNameMasksToInclude": ["curl*"],
                "packageNameMasksToExclude": ["kernel*"],
            },
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn no_choice_is_refused_for_azure_takes_it_for_everything() {
        let windows = InstallOptions::default().with_windows(WindowsPatches::none());
        let linux = InstallOptions::default().with_linux(LinuxPatches::none());
        for (options, system) in [(&windows, System::Windows), (&linux, System::Linux)] {
            let error = body(options, Some(system)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        body(&windows, Some(System::Linux)).unwrap();
    }

    #[test]
    fn what_azure_has_no_word_for_is_refused() {
        let options = InstallOptions::default;
        let (windows, linux) = (WindowsPatches::default, LinuxPatches::default);
        for wrong in [
            options().with_windows(windows().with_kbs(["KB"])),
            options().with_windows(windows().without_kbs(["MS10-048"])),
            options().with_windows(windows().with_classifications([Classification::Bugfix])),
            options().with_linux(linux().with_classifications([Classification::FeaturePacks])),
            options().with_linux(linux().with_packages([" "])),
            options().with_maximum_duration(Duration::from_secs(59)),
        ] {
            let error = body(&wrong, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
    }

    #[test]
    fn a_duration_has_whole_minutes() {
        for (seconds, text) in
            [(60, "PT1M"), (3_600, "PT1H"), (5_430, "PT1H30M"), (100 * 3_600, "PT100H")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)).unwrap(), text);
        }
    }
}
