//! What a node runs.

use jiff::Timestamp;
use patchkit_core::{NodeId, OperatingSystem, PackageFamily};
use patchkit_inventory::{PackageVersion, VersionScheme};
use serde::Serialize;

/// What a node runs: its operating system, and the packages that its inventory lists.
///
/// # Example
/// ```
/// use patchkit_core::OperatingSystem;
/// use patchkit_report::{Coverage, NodeSoftware, Package};
///
/// let node = "aws/111122223333/eu-west-1/i-0a".parse()?;
/// let software = NodeSoftware::new(node)
///     .with_platform("Rocky Linux", "9.4")
///     .with_packages([Package::new("bash").with_version("5.1.8").with_release("9.el9")]);
/// assert_eq!(software.operating_system, Some(OperatingSystem::RockyLinux));
/// assert_eq!(software.coverage, Coverage::Read);
/// assert_eq!(software.version_of(&software.packages[0]).as_deref(), Some("5.1.8-9.el9"));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeSoftware {
    /// Whose it is.
    pub node: NodeId,
    /// A name for people.
    pub name: Option<Box<str>>,
    /// The operating system, where it is known.
    pub operating_system: Option<OperatingSystem>,
    /// The operating system as the agent names it.
    pub platform_name: Option<Box<str>>,
    /// Its version: `2023`, `9.4`.
    pub platform_version: Option<Box<str>>,
    /// The version of the agent that took the inventory.
    pub agent_version: Option<Box<str>>,
    /// When the list was taken.
    pub captured_at: Option<Timestamp>,
    /// The packages, sorted, each once.
    pub packages: Vec<Package>,
    /// How much of the list is there.
    pub coverage: Coverage,
}

/// How much of a node's list of packages is there.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Coverage {
    /// All that the agent listed: what the system's own package manager knows, and not what was
    /// installed past it.
    Read,
    /// This many rows, at least, could not be read.
    Partial(u64),
    /// There is no list.
    #[default]
    Missing,
}

/// A package or program, as a node's inventory names it.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub struct Package {
    /// Its name.
    pub name: Box<str>,
    /// Its version; of a Debian package whole, with epoch and revision.
    pub version: Option<Box<str>>,
    /// RPM's release.
    pub release: Option<Box<str>>,
    /// RPM's epoch.
    pub epoch: Option<Box<str>>,
    /// Its architecture, as the agent spells it.
    pub architecture: Option<Box<str>>,
    /// Who made it.
    pub publisher: Option<Box<str>>,
    /// What the agent calls its id: the source package of an RPM, the product code of a Windows program.
    pub package_id: Option<Box<str>>,
    /// Where it comes from.
    pub url: Option<Box<str>>,
    /// What it is.
    pub summary: Option<Box<str>>,
    /// When it was installed.
    pub installed_at: Option<Timestamp>,
}

impl Coverage {
    /// Rows that are known to be lost.
    pub fn lost(self) -> u64 {
        if let Self::Partial(lost) = self { lost } else { 0 }
    }
}

impl NodeSoftware {
    /// A node of which nothing is known yet.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            name: None,
            operating_system: None,
            platform_name: None,
            platform_version: None,
            agent_version: None,
            captured_at: None,
            packages: Vec::new(),
            coverage: Coverage::Missing,
        }
    }

    /// Takes the platform as agents report it.
    #[must_use]
    pub fn with_platform(mut self, name: &str, version: &str) -> Self {
        self.operating_system = Some(OperatingSystem::from_platform(name, version));
        self.platform_name = Some(name.into());
        self.platform_version = Some(version.into());
        self
    }

    /// Takes a name for people.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Takes the time at which the list was taken.
    #[must_use]
    pub fn with_captured_at(mut self, at: Timestamp) -> Self {
        self.captured_at = Some(at);
        self
    }

    /// Takes the list of its packages, which is all of them.
    #[must_use]
    pub fn with_packages(mut self, packages: impl IntoIterator<Item = Package>) -> Self {
        self.packages.extend(packages);
        self.packages.sort_unstable();
        self.packages.dedup();
        if self.coverage == Coverage::Missing {
            self.coverage = Coverage::Read;
        }
        self
    }

    /// Takes the news that this many rows of the list could not be read.
    #[must_use]
    pub fn with_lost(mut self, rows: u64) -> Self {
        let lost = self.coverage.lost() + rows;
        if lost > 0 {
            self.coverage = Coverage::Partial(lost);
        }
        self
    }

    /// By whose rules a package's version is compared.
    ///
    /// Where the system is not known, only RPM's rows have a release of their own.
    pub fn scheme_of(&self, package: &Package) -> VersionScheme {
        let family = self.operating_system.as_ref().map(OperatingSystem::family);
        match family.unwrap_or(PackageFamily::Other) {
            PackageFamily::Other if package.release.is_some() => VersionScheme::Rpm,
            family => VersionScheme::for_family(family),
        }
    }

    /// Epoch, version and release of a package as its system writes them, an epoch of zero left out.
    pub fn version_of(&self, package: &Package) -> Option<String> {
        package.version_by(self.scheme_of(package))
    }
}

impl Package {
    /// A package of that name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Takes its version.
    #[must_use]
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = given(version);
        self
    }

    /// Takes RPM's release.
    #[must_use]
    pub fn with_release(mut self, release: &str) -> Self {
        self.release = given(release);
        self
    }

    /// Takes RPM's epoch.
    #[must_use]
    pub fn with_epoch(mut self, epoch: &str) -> Self {
        self.epoch = given(epoch);
        self
    }

    /// Takes its architecture.
    #[must_use]
    pub fn with_architecture(mut self, architecture: &str) -> Self {
        self.architecture = given(architecture);
        self
    }

    /// Takes its maker.
    #[must_use]
    pub fn with_publisher(mut self, publisher: &str) -> Self {
        self.publisher = given(publisher);
        self
    }

    /// Takes the agent's id of it.
    #[must_use]
    pub fn with_package_id(mut self, id: &str) -> Self {
        self.package_id = given(id);
        self
    }

    /// Its version in its parts, by the rules of a scheme.
    pub(crate) fn parts(&self, scheme: VersionScheme) -> PackageVersion<'_> {
        let columns = [&self.epoch, &self.version, &self.release];
        let [epoch, version, release] = columns.map(|it| it.as_deref().unwrap_or_default());
        let mut parts = scheme.row(epoch, version, release);
        if parts.epoch.bytes().all(|byte| byte == b'0') {
            parts.epoch = "";
        }
        parts
    }

    pub(crate) fn version_by(&self, scheme: VersionScheme) -> Option<String> {
        Some(self.parts(scheme).to_string()).filter(|text| !text.is_empty())
    }

    /// The source package that an RPM was built of: agents give `%{SourceRPM}` as the id
    /// (amazon-ssm-agent, `gatherers/application/dataProvider_unix.go`). Of Debian's they give none.
    ///
    /// ```
    /// let package = patchkit_report::Package::new("openssl-libs");
    /// let package = package.with_package_id("openssl-3.0.7-28.el9.src.rpm");
    /// assert_eq!(package.source_name(), Some("openssl"));
    /// ```
    pub fn source_name(&self) -> Option<&str> {
        let id = self.package_id.as_deref()?;
        let whole = id.strip_suffix(".src.rpm").or_else(|| id.strip_suffix(".nosrc.rpm"))?;
        let (name, _) = whole.rsplit_once('-')?.0.rsplit_once('-')?;
        Some(name).filter(|name| !name.is_empty())
    }
}

/// A column without the spellings of "nothing": rpm prints `(none)`.
pub(crate) fn given(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    (!text.is_empty() && !text.eq_ignore_ascii_case("(none)")).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_an_rpm_is_in_its_id() {
        for (id, source) in [
            ("openssl-3.0.7-28.el9.src.rpm", Some("openssl")),
            ("java-17-openjdk-17.0.1-2.el9.src.rpm", Some("java-17-openjdk")),
            ("kernel-6.1-1.nosrc.rpm", Some("kernel")),
            ("libssl3_3.0.2-0ubuntu1.15_amd64.deb", None),
            ("(none)", None),
            ("a-1.src.rpm", None),
            ("--.src.rpm", None),
            ("{90160000-008C-0000-0000-0000000FF1CE}", None),
        ] {
            assert_eq!(Package::new("x").with_package_id(id).source_name(), source, "{id}");
        }
    }

    #[test]
    fn a_list_that_was_cut_stays_cut() {
        let node: NodeId = "aws/111122223333/eu-west-1/i-0a".parse().unwrap();
        let software = NodeSoftware::new(node).with_lost(2).with_packages([Package::new("a")]);
        assert_eq!(software.coverage, Coverage::Partial(2));
        assert_eq!(software.with_lost(0).coverage, Coverage::Partial(2));
    }

    #[test]
    fn the_same_row_twice_is_one_package_and_an_epoch_of_zero_is_none() {
        let node: NodeId = "aws/111122223333/eu-west-1/i-0a".parse().unwrap();
        let package = Package::new("a").with_version("1").with_release("2").with_epoch("0");
        let software = NodeSoftware::new(node).with_packages([package.clone(), package]);
        assert_eq!(software.packages.len(), 1);
        assert_eq!(software.version_of(&software.packages[0]).as_deref(), Some("1-2"));
    }
}
