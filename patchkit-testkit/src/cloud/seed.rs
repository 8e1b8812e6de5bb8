//! Machines that someone names piece by piece, instead of letting the seed draw them.

mod extension;
mod plant;

use jiff::Timestamp;
use patchkit_core::{
    AccessStatus, Classification, ComplianceLevel, Error, OperatingSystem, Package, PackageFamily,
    Patch, PatchId, PatchSource, PatchState, Severity, Tags,
};
use serde::{Deserialize, Serialize};

pub use self::extension::ExtensionSpec;
use super::world::machine::{Agent, Behavior, Power};
use crate::{PatchSeed, Scanned};

pub(super) const PROVIDER: &str = "sim-cloud";

/// A machine to be added to a world.
///
/// Without further words it runs, its agent answers, it may be managed and installs well; nothing is
/// installed on it that anyone asks for, it lacks nothing, and it was never scanned.
///
/// ```
/// use patchkit_core::OperatingSystem;
/// use patchkit_testkit::cloud::{Agent, NodeSpec};
///
/// let lost = NodeSpec::hybrid(OperatingSystem::Windows, "111122223333", "eu-west-1")
///     .with_agent(Agent::ConnectionLost)
///     .with_tag("Owner", "alice");
/// # let _ = lost;
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NodeSpec {
    /// Where it is.
    pub place: NodePlace,
    /// Its operating system: one that the world has, in the version that it has.
    pub operating_system: OperatingSystem,
    /// Its host name; without one it is numbered.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it runs; stopped or, in Azure, deallocated otherwise.
    #[serde(default = "running")]
    pub power: Power,
    /// What its agent does.
    #[serde(default = "online")]
    pub agent: Agent,
    /// What its instance profile lets an EC2 instance do; `granted` for all others.
    #[serde(default = "granted")]
    pub access: AccessStatus,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
    /// What is on it and what it lacks.
    #[serde(default)]
    pub patches: Vec<PatchSpec>,
    /// Whether that was reported at this moment.
    #[serde(default)]
    pub scanned: Scanned,
    /// What it does when it is patched.
    #[serde(default = "well")]
    pub behavior: Behavior,
    /// The extensions on one of Azure's machines.
    #[serde(default)]
    pub extensions: Vec<ExtensionSpec>,
}

/// Where a machine is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodePlace {
    /// An instance of EC2.
    Ec2 {
        /// The account.
        account: String,
        /// The Region.
        region: String,
    },
    /// A machine elsewhere, managed by a hybrid activation: `mi-…`.
    Hybrid {
        /// The account.
        account: String,
        /// The Region.
        region: String,
    },
    /// A VM of Azure.
    Vm {
        /// The subscription.
        subscription: String,
        /// The resource group, which is made unless it is there.
        resource_group: String,
        /// Where its group is: `westeurope` for a new one where nothing is said.
        location: Option<String>,
    },
    /// A machine elsewhere, connected to Azure Arc.
    Arc {
        /// The subscription.
        subscription: String,
        /// The resource group, which is made unless it is there.
        resource_group: String,
        /// Where its group is: `westeurope` for a new one where nothing is said.
        location: Option<String>,
    },
}

fn running() -> Power {
    Power::Running
}

fn online() -> Agent {
    Agent::Online
}

fn granted() -> AccessStatus {
    AccessStatus::Granted
}

fn well() -> Behavior {
    Behavior::Well
}

impl NodeSpec {
    /// An instance of EC2.
    pub fn ec2(
        operating_system: OperatingSystem,
        account: impl Into<String>,
        region: impl Into<String>,
    ) -> Self {
        let (account, region) = (account.into(), region.into());
        Self::new(operating_system, NodePlace::Ec2 { account, region })
    }

    /// A node of Systems Manager that is no instance of EC2.
    pub fn hybrid(
        operating_system: OperatingSystem,
        account: impl Into<String>,
        region: impl Into<String>,
    ) -> Self {
        let (account, region) = (account.into(), region.into());
        Self::new(operating_system, NodePlace::Hybrid { account, region })
    }

    /// A VM of Azure.
    pub fn vm(
        operating_system: OperatingSystem,
        subscription: impl Into<String>,
        resource_group: impl Into<String>,
    ) -> Self {
        let (subscription, resource_group) = (subscription.into(), resource_group.into());
        let place = NodePlace::Vm { subscription, resource_group, location: None };
        Self::new(operating_system, place)
    }

    /// A machine of Azure Arc.
    pub fn arc(
        operating_system: OperatingSystem,
        subscription: impl Into<String>,
        resource_group: impl Into<String>,
    ) -> Self {
        let (subscription, resource_group) = (subscription.into(), resource_group.into());
        let place = NodePlace::Arc { subscription, resource_group, location: None };
        Self::new(operating_system, place)
    }

    /// A machine somewhere.
    pub fn new(operating_system: OperatingSystem, place: NodePlace) -> Self {
        Self {
            place,
            operating_system,
            name: None,
            power: running(),
            agent: online(),
            access: granted(),
            tags: Tags::new(),
            patches: Vec::new(),
            scanned: Scanned::Never,
            behavior: well(),
            extensions: Vec::new(),
        }
    }

    /// Sets its host name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets whether it runs.
    #[must_use]
    pub fn with_power(mut self, power: Power) -> Self {
        self.power = power;
        self
    }

    /// Sets what its agent does.
    #[must_use]
    pub fn with_agent(mut self, agent: Agent) -> Self {
        self.agent = agent;
        self
    }

    /// Sets what its instance profile lets it do.
    #[must_use]
    pub fn with_access(mut self, access: AccessStatus) -> Self {
        self.access = access;
        self
    }

    /// Sets a tag.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Sets what is on it and what it lacks.
    #[must_use]
    pub fn with_patches<P: Into<PatchSpec>>(
        mut self,
        patches: impl IntoIterator<Item = P>,
    ) -> Self {
        self.patches = patches.into_iter().map(Into::into).collect();
        self
    }

    /// Has its patches reported at this moment.
    #[must_use]
    pub fn scanned(mut self) -> Self {
        self.scanned = Scanned::Now;
        self
    }

    /// Puts an extension on one of Azure's machines.
    #[must_use]
    pub fn with_extension(mut self, extension: ExtensionSpec) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Sets what it does when it is patched.
    #[must_use]
    pub fn with_behavior(mut self, behavior: Behavior) -> Self {
        self.behavior = behavior;
        self
    }
}

/// A patch on a machine, or one that it lacks.
///
/// # Behavior
/// - Its state is what every later operation reports, whatever a baseline says of it.
/// - An install brings `Missing`, `Failed`, `Pending` and `Available` ones, whether or not they are
///   approved; a list or the classes that it is told narrow that. After a boot they are `Installed`.
/// - A state that no model knows ([`PatchState::Other`]) is told as it is spelled, in no count, and
///   stays.
/// - Azure tells in assessments of what is not there, and in the result of an install of
///   `Installed`, `Failed`, `Pending`, `Excluded` and `NotSelected` ones.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PatchSpec {
    /// The patch: `KB5030001`, `openssl.x86_64`.
    pub id: PatchId,
    /// Its state.
    pub state: PatchState,
    /// What kind of patch it is; one for security where nothing is said.
    #[serde(default)]
    pub classification: Option<Classification>,
    /// How severe it is to its vendor; `Important` where nothing is said.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// How much the node's baseline minds.
    #[serde(default)]
    pub level: Option<ComplianceLevel>,
}

impl PatchSpec {
    /// A security patch.
    pub fn new(id: PatchId, state: PatchState) -> Self {
        Self { id, state, classification: None, severity: None, level: None }
    }

    /// Sets what kind of patch it is.
    #[must_use]
    pub fn with_classification(mut self, classification: Classification) -> Self {
        self.classification = Some(classification);
        self
    }

    /// Sets how severe it is to its vendor.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Sets how much the node's baseline minds.
    #[must_use]
    pub fn with_level(mut self, level: ComplianceLevel) -> Self {
        self.level = Some(level);
        self
    }

    fn published(&self, os: &OperatingSystem, released: Timestamp) -> Patch {
        let windows = *os == OperatingSystem::Windows;
        let usual =
            || if windows { Classification::SecurityUpdates } else { Classification::Security };
        let classification = self.classification.clone().unwrap_or_else(usual);
        let source =
            if classification.is_security() { PatchSource::Security } else { PatchSource::Other };
        let severity = self.severity.clone().unwrap_or(Severity::Important);
        let patch = Patch::new(self.id.clone())
            .with_released_at(released)
            .with_classification(classification)
            .with_severity(severity)
            .with_source(source);
        let id = self.id.as_str();
        if windows {
            return patch.with_title(format!("Update for Windows Server ({id})"));
        }
        let apt = os.family() == PackageFamily::Apt;
        let usual = if apt { "amd64" } else { "x86_64" };
        let known = ["x86_64", "aarch64", "noarch", "i686", "amd64", "arm64", "all"];
        let (name, arch) =
            id.rsplit_once('.').filter(|(_, it)| known.contains(it)).unwrap_or((id, usual));
        let (version, release) = ("1.0.1", "1");
        let title = if apt {
            format!("{name}.{arch}:{version}-{release}")
        } else {
            format!("{name}.{arch}:0:{version}-{release}")
        };
        let mut patch = patch.with_title(title);
        patch.package = Some(Package {
            name: name.to_owned(),
            arch: arch.to_owned(),
            epoch: if apt { String::new() } else { "0".to_owned() },
            version: version.to_owned(),
            release: release.to_owned(),
            repository: "updates".to_owned(),
        });
        patch
    }
}

impl From<PatchSeed> for PatchSpec {
    fn from(seed: PatchSeed) -> Self {
        Self::new(seed.patch, seed.state).with_classification(seed.classification)
    }
}

fn invalid(operation: &'static str, message: impl Into<String>) -> Error {
    Error::invalid(PROVIDER, operation, message.into())
}
