//! What a patch baseline is made of.

use std::{cmp::Ordering, convert::Infallible, fmt, hash, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{BaselineId, ComplianceLevel, OperatingSystem, patch::fold_eq, platform::by_text};

/// The rules by which patches are approved for the nodes of one operating system.
///
/// Shaped as `GetPatchBaseline` of Systems Manager; [`validate`](Self::validate) holds it against
/// that API's limits.
///
/// ```
/// use patchkit_core::{
///     ApprovalRule, AutoApproval, OperatingSystem, PatchBaseline, PatchFilter, PatchFilterKey,
/// };
///
/// let baseline = PatchBaseline::new("web", OperatingSystem::AmazonLinux2023).with_rule(
///     ApprovalRule::new(AutoApproval::AfterDays(7))
///         .with_filter(PatchFilter::new(PatchFilterKey::Classification, ["Security"]))
///         .with_filter(PatchFilter::new(PatchFilterKey::Severity, ["Critical", "Important"])),
/// );
/// assert!(baseline.validate().is_empty());
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchBaseline {
    /// Its id, where its keeper has given it one.
    pub id: Option<BaselineId>,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The operating system it is for.
    pub operating_system: OperatingSystem,
    /// Only patches that pass all of these are looked at.
    pub global_filters: Vec<PatchFilter>,
    /// A patch that passes any of these is approved, once its delay is over.
    pub approval_rules: Vec<ApprovalRule>,
    /// Patches that are approved by name, at once.
    pub approved_patches: Vec<String>,
    /// How much it matters that one of these is missing.
    pub approved_patches_level: ComplianceLevel,
    /// Whether the list approves patches from other than security sources too (Linux).
    pub approved_patches_scope: UpdateScope,
    /// Patches that are rejected by name; this beats every approval.
    pub rejected_patches: Vec<String>,
    /// What rejecting means.
    pub rejected_action: RejectedAction,
    /// Repositories to take patches from instead of the node's own (Linux).
    pub sources: Vec<PatchRepository>,
    /// What an available security update that is not approved means (Windows).
    pub available_updates: AvailableUpdates,
}

impl PatchBaseline {
    /// A baseline that approves nothing.
    pub fn new(name: impl Into<String>, operating_system: OperatingSystem) -> Self {
        Self {
            id: None,
            name: name.into(),
            description: None,
            operating_system,
            global_filters: Vec::new(),
            approval_rules: Vec::new(),
            approved_patches: Vec::new(),
            approved_patches_level: ComplianceLevel::Unspecified,
            approved_patches_scope: UpdateScope::SecurityOnly,
            rejected_patches: Vec::new(),
            rejected_action: RejectedAction::AllowAsDependency,
            sources: Vec::new(),
            available_updates: AvailableUpdates::Compliant,
        }
    }

    /// Sets its id.
    #[must_use]
    pub fn with_id(mut self, id: BaselineId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets its description.
    #[must_use]
    pub fn with_description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Adds a filter that every patch must pass.
    #[must_use]
    pub fn with_global_filter(mut self, filter: PatchFilter) -> Self {
        self.global_filters.push(filter);
        self
    }

    /// Adds a rule.
    #[must_use]
    pub fn with_rule(mut self, rule: ApprovalRule) -> Self {
        self.approval_rules.push(rule);
        self
    }

    /// Approves patches by name.
    #[must_use]
    pub fn with_approved<S: Into<String>>(mut self, patches: impl IntoIterator<Item = S>) -> Self {
        self.approved_patches.extend(patches.into_iter().map(Into::into));
        self
    }

    /// Sets how much it matters that a patch approved by name is missing.
    #[must_use]
    pub fn with_approved_level(mut self, level: ComplianceLevel) -> Self {
        self.approved_patches_level = level;
        self
    }

    /// Sets from which sources patches may be approved by name.
    #[must_use]
    pub fn with_approved_scope(mut self, scope: UpdateScope) -> Self {
        self.approved_patches_scope = scope;
        self
    }

    /// Rejects patches by name.
    #[must_use]
    pub fn with_rejected<S: Into<String>>(mut self, patches: impl IntoIterator<Item = S>) -> Self {
        self.rejected_patches.extend(patches.into_iter().map(Into::into));
        self
    }

    /// Sets what rejecting means.
    #[must_use]
    pub fn with_rejected_action(mut self, action: RejectedAction) -> Self {
        self.rejected_action = action;
        self
    }

    /// Adds a repository to take patches from.
    #[must_use]
    pub fn with_source(mut self, source: PatchRepository) -> Self {
        self.sources.push(source);
        self
    }

    /// Sets what an available security update that is not approved means.
    #[must_use]
    pub fn with_available_updates(mut self, choice: AvailableUpdates) -> Self {
        self.available_updates = choice;
        self
    }
}

/// One way to be approved: every filter must pass, and the delay must be over.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApprovalRule {
    /// The filters; all must pass.
    pub filters: Vec<PatchFilter>,
    /// How much it matters that a patch approved by this rule is missing.
    pub compliance_level: ComplianceLevel,
    /// When a patch that passes is approved.
    pub approval: AutoApproval,
    /// Whether patches from other than security sources pass too (Linux).
    pub scope: UpdateScope,
}

impl ApprovalRule {
    /// A rule that every patch passes.
    pub fn new(approval: AutoApproval) -> Self {
        Self {
            filters: Vec::new(),
            compliance_level: ComplianceLevel::Unspecified,
            approval,
            scope: UpdateScope::SecurityOnly,
        }
    }

    /// Adds a filter.
    #[must_use]
    pub fn with_filter(mut self, filter: PatchFilter) -> Self {
        self.filters.push(filter);
        self
    }

    /// Sets how much it matters that a patch approved by this rule is missing.
    #[must_use]
    pub fn with_level(mut self, level: ComplianceLevel) -> Self {
        self.compliance_level = level;
        self
    }

    /// Sets from which sources patches pass.
    #[must_use]
    pub fn with_scope(mut self, scope: UpdateScope) -> Self {
        self.scope = scope;
        self
    }
}

/// When a patch that passes a rule is approved.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AutoApproval {
    /// At once: Debian, Ubuntu and Raspbian, whose patches have no release date.
    Immediately,
    /// So many days after its release, 0 to 360 (`ApproveAfterDays`).
    AfterDays(u16),
    /// When it was released on or before this date (`ApproveUntilDate`).
    Until(Date),
}

/// Whether patches from other than security sources are taken (`EnableNonSecurity`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateScope {
    /// Only security sources.
    #[default]
    SecurityOnly,
    /// Any source.
    All,
}

/// What rejecting a patch means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectedAction {
    /// Never by itself, but when another patch needs it; it then counts as compliant.
    #[default]
    AllowAsDependency,
    /// Never; where it is there already, the node is not compliant.
    Block,
}

/// What an available security update that is not approved says of a Windows node.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AvailableUpdates {
    /// Nothing: the node may be compliant.
    #[default]
    Compliant,
    /// The node is not compliant.
    NonCompliant,
}

/// A repository that a Linux baseline takes patches from.
///
/// The configuration may hold a password, so it is not printed by `Debug`.
#[derive(Clone, Deserialize, PartialEq, Serialize)]
pub struct PatchRepository {
    /// Its name.
    pub name: String,
    /// The versions of the operating system it is for; `*` for all.
    pub products: Vec<String>,
    /// The package manager's own configuration text.
    pub configuration: String,
}

impl fmt::Debug for PatchRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatchRepository")
            .field("name", &self.name)
            .field("products", &self.products)
            .finish_non_exhaustive()
    }
}

/// A property that a patch must have, with any of some values; `*` is any value at all.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PatchFilter {
    /// The property.
    pub key: PatchFilterKey,
    /// The values, 1 to 20.
    pub values: Vec<String>,
}

impl PatchFilter {
    /// Passes patches whose `key` has one of `values`.
    pub fn new<S: Into<String>>(key: PatchFilterKey, values: impl IntoIterator<Item = S>) -> Self {
        Self { key, values: values.into_iter().map(Into::into).collect() }
    }
}

impl fmt::Display for PatchFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.values.join("|"))
    }
}

macro_rules! filter_keys {
    ($($(#[$doc:meta])* $variant:ident => $text:literal),+ $(,)?) => {
        /// The property a filter looks at (`PatchFilterKey`).
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum PatchFilterKey {
            $($(#[$doc])* $variant,)+
            /// One that PatchKit does not know, as it was spelled. No patch passes it.
            Other(Box<str>),
        }

        impl PatchFilterKey {
            /// Every key that PatchKit knows.
            pub const KNOWN: &[Self] = &[$(Self::$variant),+];

            /// The API's spelling.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }
    };
}

filter_keys! {
    /// The package's architecture.
    Arch => "ARCH",
    /// An advisory that describes it.
    AdvisoryId => "ADVISORY_ID",
    /// A Bugzilla ticket it closes.
    BugzillaId => "BUGZILLA_ID",
    /// `OS` or `APPLICATION` (Windows).
    PatchSet => "PATCH_SET",
    /// A product it is for.
    Product => "PRODUCT",
    /// A product family it is for (Windows).
    ProductFamily => "PRODUCT_FAMILY",
    /// What kind of patch it is.
    Classification => "CLASSIFICATION",
    /// A vulnerability it closes.
    CveId => "CVE_ID",
    /// The package's epoch.
    Epoch => "EPOCH",
    /// Microsoft's severity.
    MsrcSeverity => "MSRC_SEVERITY",
    /// The package's name.
    Name => "NAME",
    /// The patch's id.
    PatchId => "PATCH_ID",
    /// The package's section (APT).
    Section => "SECTION",
    /// The package's priority (APT).
    Priority => "PRIORITY",
    /// The repository that offers it.
    Repository => "REPOSITORY",
    /// The package's release (RPM).
    Release => "RELEASE",
    /// The vendor's severity.
    Severity => "SEVERITY",
    /// Whether it comes from a security source: `true` or `false`.
    Security => "SECURITY",
    /// The package's version.
    Version => "VERSION",
}

impl FromStr for PatchFilterKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let known = Self::KNOWN.iter().find(|key| fold_eq(key.as_str(), text));
        Ok(known.cloned().unwrap_or_else(|| Self::Other(text.into())))
    }
}

by_text!(PatchFilterKey);
