//! Patches, their kinds and weights, and their state on a node.

use std::{cmp::Ordering, convert::Infallible, fmt, hash, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PatchId, platform::by_text};

/// A patch as a repository or an update service offers it, with all that baselines look at.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Patch {
    /// Its id: a KB number, or a package's name with or without its architecture.
    pub id: PatchId,
    /// Its title, or the package's full version.
    pub title: Option<String>,
    /// When it was released. RPM: `updated` of the advisory; absent on APT.
    pub released_at: Option<Timestamp>,
    /// What kind of patch it is.
    pub classification: Option<Classification>,
    /// How severe its vendor finds it (RPM severity, MSRC severity).
    pub severity: Option<Severity>,
    /// The products it is for: `WindowsServer2019`, `AmazonLinux2.0`, `Ubuntu22.04`.
    pub products: Vec<String>,
    /// The product families it is for (Windows): `Windows`, `Office`.
    pub product_families: Vec<String>,
    /// `OS` or `APPLICATION` (Windows).
    pub patch_set: Option<String>,
    /// The package's priority (APT): `Required`, `Important`, …
    pub priority: Option<String>,
    /// The package's section (APT).
    pub section: Option<String>,
    /// The package's architecture, version, release, epoch and repository, where it is a package.
    pub package: Option<Package>,
    /// The advisories that describe it: `RHSA-2017:0864`, `ALAS-2018-123`, `MS10-048`.
    pub advisories: Vec<String>,
    /// The Bugzilla tickets it closes.
    pub bugzilla: Vec<String>,
    /// The vulnerabilities it closes.
    pub cves: Vec<String>,
    /// Whether it comes from a security source.
    pub source: PatchSource,
}

impl Patch {
    /// A patch of which only the id is known, from a security source.
    pub fn new(id: PatchId) -> Self {
        Self {
            id,
            title: None,
            released_at: None,
            classification: None,
            severity: None,
            products: Vec::new(),
            product_families: Vec::new(),
            patch_set: None,
            priority: None,
            section: None,
            package: None,
            advisories: Vec::new(),
            bugzilla: Vec::new(),
            cves: Vec::new(),
            source: PatchSource::Security,
        }
    }

    /// Sets its release time.
    #[must_use]
    pub fn with_released_at(mut self, at: Timestamp) -> Self {
        self.released_at = Some(at);
        self
    }

    /// Sets its title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets its classification.
    #[must_use]
    pub fn with_classification(mut self, classification: Classification) -> Self {
        self.classification = Some(classification);
        self
    }

    /// Sets its severity.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Adds a product.
    #[must_use]
    pub fn with_product(mut self, product: impl Into<String>) -> Self {
        self.products.push(product.into());
        self
    }

    /// Says where it comes from.
    #[must_use]
    pub fn with_source(mut self, source: PatchSource) -> Self {
        self.source = source;
        self
    }
}

/// The package a patch is, where it is one.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Package {
    /// Its name without architecture and version.
    pub name: String,
    /// `x86_64`, `noarch`, `amd64`, …
    pub arch: String,
    /// RPM's epoch; empty where there is none.
    pub epoch: String,
    /// Its version.
    pub version: String,
    /// RPM's release.
    pub release: String,
    /// The repository that offers it.
    pub repository: String,
}

/// Whether a patch comes from a security source.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchSource {
    /// It does: a security advisory, a `-security` archive; every Windows and SUSE patch counts as such.
    Security,
    /// It does not: taken only where the baseline enables non-security updates.
    Other,
}

/// Whether two spellings differ in case and punctuation only, as services' own spellings do.
pub(crate) fn fold_eq(a: &str, b: &str) -> bool {
    let fold = |text: &str| -> Vec<u8> {
        text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()).collect()
    };
    // A name without any ASCII letter or digit is nobody's.
    a == b || (fold(a) == fold(b) && b.is_ascii())
}

macro_rules! wire_enum {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal $(| $alias:literal)*),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// One that PatchKit does not know, as it was spelled.
            Other(Box<str>),
        }

        impl $name {
            /// The canonical spelling; an unknown value as it came.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl FromStr for $name {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Infallible> {
                $(if fold_eq($text, text) $(|| fold_eq($alias, text))* {
                    return Ok(Self::$variant);
                })+
                Ok(Self::Other(text.into()))
            }
        }

        by_text!($name);
    };
}

wire_enum! {
    /// What kind of patch it is. Windows says `SecurityUpdates`, Linux `Security`: both are here.
    Classification {
        /// Linux: fixes a vulnerability.
        Security => "Security",
        /// Linux: fixes a fault.
        Bugfix => "Bugfix",
        /// Linux: adds something.
        Enhancement => "Enhancement",
        /// SUSE: recommended.
        Recommended => "Recommended",
        /// Windows: critical updates.
        CriticalUpdates => "CriticalUpdates" | "Critical",
        /// Windows: security updates.
        SecurityUpdates => "SecurityUpdates",
        /// Windows: definition updates.
        DefinitionUpdates => "DefinitionUpdates" | "Definition",
        /// Windows: drivers.
        Drivers => "Drivers",
        /// Windows: feature packs.
        FeaturePacks => "FeaturePacks" | "FeaturePack",
        /// Windows: service packs.
        ServicePacks => "ServicePacks" | "ServicePack",
        /// Windows: tools.
        Tools => "Tools",
        /// Windows: update rollups.
        UpdateRollups => "UpdateRollups" | "UpdateRollup",
        /// Windows: updates.
        Updates => "Updates",
        /// Windows: upgrades.
        Upgrades => "Upgrades",
    }
}

impl Classification {
    /// Whether it counts among the security patches of a node.
    pub fn is_security(&self) -> bool {
        matches!(self, Self::Security | Self::SecurityUpdates)
    }
}

wire_enum! {
    /// How severe a patch is to its vendor. Not the weight the baseline gives it: that is
    /// [`ComplianceLevel`].
    Severity {
        /// Critical.
        Critical => "Critical",
        /// Important.
        Important => "Important",
        /// Moderate.
        Moderate => "Moderate",
        /// Medium: what Amazon Linux calls moderate.
        Medium => "Medium",
        /// Low.
        Low => "Low",
        /// The vendor gives none.
        Unspecified => "Unspecified" | "None",
    }
}

wire_enum! {
    /// The state of a patch on a node. AWS answers in CamelCase and documents UPPER_SNAKE: both are
    /// read, without regard to case and underscores.
    PatchState {
        /// There, and the baseline asks for it.
        Installed => "INSTALLED",
        /// There, and the baseline does not ask for it.
        InstalledOther => "INSTALLED_OTHER",
        /// There, and waiting for a reboot.
        InstalledPendingReboot => "INSTALLED_PENDING_REBOOT",
        /// There, though the baseline rejects it.
        InstalledRejected => "INSTALLED_REJECTED",
        /// Asked for, and not there.
        Missing => "MISSING",
        /// Of no concern to the node (Windows).
        NotApplicable => "NOT_APPLICABLE",
        /// Tried, and not there.
        Failed => "FAILED",
        /// A security update that is there to take and not approved (Windows).
        AvailableSecurityUpdate => "AVAILABLE_SECURITY_UPDATE" | "AVAILABLE_SECURITY_UPDATES",
        /// Left out by an exclusion (Azure).
        Excluded => "EXCLUDED",
        /// Not chosen by the classifications (Azure).
        NotSelected => "NOT_SELECTED",
        /// Chosen, and not begun (Azure).
        Pending => "PENDING",
        /// Offered by an assessment (Azure).
        Available => "AVAILABLE",
    }
}

impl PatchState {
    /// The state's verdict, where it has one by itself.
    ///
    /// `NotApplicable` is neither compliant nor not. What `AvailableSecurityUpdate` means is the
    /// baseline's to say, and what a state that PatchKit does not know means is `Unknown`.
    pub fn compliance(&self, available: ComplianceStatus) -> ComplianceStatus {
        match self {
            Self::Installed | Self::InstalledOther => ComplianceStatus::Compliant,
            Self::InstalledPendingReboot
            | Self::InstalledRejected
            | Self::Missing
            | Self::Failed
            | Self::Pending
            | Self::Available => ComplianceStatus::NonCompliant,
            Self::AvailableSecurityUpdate => available,
            Self::NotApplicable | Self::Excluded | Self::NotSelected | Self::Other(_) => {
                ComplianceStatus::Unknown
            }
        }
    }
}

/// The verdict on a node or a patch.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComplianceStatus {
    /// As the baseline wants it.
    Compliant,
    /// Not as the baseline wants it.
    NonCompliant,
    /// Nothing is known. Never counted as compliant.
    Unknown,
}

impl ComplianceStatus {
    /// The word used in reports and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "compliant",
            Self::NonCompliant => "non_compliant",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a service's spelling: `COMPLIANT`, `NON_COMPLIANT`, `non_compliant`, …
    pub fn from_wire(text: &str) -> Self {
        let folded: String = text
            .chars()
            .filter(char::is_ascii_alphabetic)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match folded.as_str() {
            "compliant" => Self::Compliant,
            "noncompliant" => Self::NonCompliant,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for ComplianceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How much the owner of a baseline minds that a patch is missing; ordered.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ComplianceLevel {
    /// Not said.
    #[default]
    Unspecified,
    /// Good to know.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl ComplianceLevel {
    /// All levels, lowest first.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The API's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Informational => "INFORMATIONAL",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }

    /// Reads a service's spelling, without regard to case.
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for ComplianceLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_state_are_one() {
        for text in ["InstalledPendingReboot", "INSTALLED_PENDING_REBOOT", "installedpendingreboot"]
        {
            assert_eq!(text.parse::<PatchState>().unwrap(), PatchState::InstalledPendingReboot);
        }
        assert_eq!("Quantum".parse::<PatchState>().unwrap().as_str(), "Quantum");
    }

    #[test]
    fn not_applicable_is_neither() {
        let state = PatchState::NotApplicable;
        assert_eq!(state.compliance(ComplianceStatus::Compliant), ComplianceStatus::Unknown);
    }

    #[test]
    fn levels_are_ordered_as_on_the_node() {
        assert!(ComplianceLevel::Unspecified < ComplianceLevel::Informational);
        assert!(ComplianceLevel::High < ComplianceLevel::Critical);
        assert_eq!(ComplianceLevel::from_wire("high"), Some(ComplianceLevel::High));
    }
}
