//! Distributions and their releases, as advisories and package URLs name them.

use std::fmt;

use patchkit_core::OperatingSystem;
use patchkit_inventory::VersionScheme;

use crate::NodeSoftware;

/// Whose packages an advisory is about, or a node has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Distro {
    AlmaLinux,
    AmazonLinux,
    CentOs,
    Debian,
    MacOs,
    OpenSuse,
    OracleLinux,
    Raspbian,
    RedHat,
    RockyLinux,
    Suse,
    Ubuntu,
    Windows,
}

/// What an advisory's `ecosystem` names: `Debian:12`.
///
/// # Behavior
/// - The names are OSV's (OSV schema, "Defined ecosystems"). `Amazon Linux`, `CentOS`, `Oracle Linux`,
///   `Raspbian`, `Windows` and `macOS` are ours, for advisories of a caller's own: OSV has none of them.
/// - Every other name is `Other`: nothing of it is in a node's inventory.
///
/// ```
/// use patchkit_report::{Distro, Ecosystem, ReleaseScope};
///
/// let ubuntu: Ecosystem = "Ubuntu:22.04:LTS".parse().unwrap();
/// assert_eq!(ubuntu, Ecosystem::Distro(Distro::Ubuntu, ReleaseScope::Release("22.04".into())));
/// assert_eq!("npm".parse::<Ecosystem>().unwrap(), Ecosystem::Other("npm".into()));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Ecosystem {
    /// A distribution's packages, of some of its releases.
    Distro(Distro, ReleaseScope),
    /// Packages that no inventory of a node lists, or a name that is not known.
    Other(Box<str>),
}

/// Of which releases of a distribution.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReleaseScope {
    /// Every one.
    All,
    /// This one, as the distribution counts them: `12`, `22.04`, `15.5`.
    Release(Box<str>),
    /// A product or channel of which a node's inventory does not tell whether the node has it:
    /// `rhel_eus:9.4::baseos`, `Pro:FIPS:22.04:LTS`.
    Product(Box<str>),
}

/// How the release of a distribution is read off a version of its platform.
#[derive(Clone, Copy)]
enum Counting {
    /// `12.5` is `12`.
    Major,
    /// `22.04.3` is `22.04`.
    Minor,
}

impl Distro {
    /// OSV's name, or ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlmaLinux => "AlmaLinux",
            Self::AmazonLinux => "Amazon Linux",
            Self::CentOs => "CentOS",
            Self::Debian => "Debian",
            Self::MacOs => "macOS",
            Self::OpenSuse => "openSUSE",
            Self::OracleLinux => "Oracle Linux",
            Self::Raspbian => "Raspbian",
            Self::RedHat => "Red Hat",
            Self::RockyLinux => "Rocky Linux",
            Self::Suse => "SUSE",
            Self::Ubuntu => "Ubuntu",
            Self::Windows => "Windows",
        }
    }

    const ALL: [Self; 13] = [
        Self::AlmaLinux,
        Self::AmazonLinux,
        Self::CentOs,
        Self::Debian,
        Self::MacOs,
        Self::OpenSuse,
        Self::OracleLinux,
        Self::Raspbian,
        Self::RedHat,
        Self::RockyLinux,
        Self::Suse,
        Self::Ubuntu,
        Self::Windows,
    ];

    /// By whose rules its versions are compared.
    pub fn scheme(self) -> VersionScheme {
        match self {
            Self::Debian | Self::Raspbian | Self::Ubuntu => VersionScheme::Deb,
            Self::MacOs | Self::Windows => VersionScheme::Windows,
            _ => VersionScheme::Rpm,
        }
    }

    /// The namespace of its package URLs, as OSV writes them; the two without packages of a known type
    /// have none.
    pub(crate) fn namespace(self) -> Option<&'static str> {
        Some(match self {
            Self::AlmaLinux => "almalinux",
            Self::AmazonLinux => "amzn",
            Self::CentOs => "centos",
            Self::Debian => "debian",
            Self::OpenSuse => "opensuse",
            Self::OracleLinux => "oracle",
            Self::Raspbian => "raspbian",
            Self::RedHat => "redhat",
            Self::RockyLinux => "rocky-linux",
            Self::Suse => "suse",
            Self::Ubuntu => "ubuntu",
            Self::MacOs | Self::Windows => return None,
        })
    }

    /// Reads a namespace, in the spellings that OSV, Syft and Trivy write.
    pub(crate) fn from_namespace(namespace: &str) -> Option<Self> {
        Some(match namespace.to_ascii_lowercase().as_str() {
            "almalinux" | "alma" => Self::AlmaLinux,
            "amzn" | "amazon" | "amazonlinux" => Self::AmazonLinux,
            "centos" => Self::CentOs,
            "debian" => Self::Debian,
            "opensuse" | "opensuse-leap" | "opensuse.leap" => Self::OpenSuse,
            "oracle" | "ol" | "oraclelinux" => Self::OracleLinux,
            "raspbian" => Self::Raspbian,
            "redhat" | "rhel" => Self::RedHat,
            "rocky-linux" | "rocky" | "rockylinux" => Self::RockyLinux,
            "suse" | "sles" => Self::Suse,
            "ubuntu" => Self::Ubuntu,
            _ => return None,
        })
    }

    /// What `/etc/os-release` calls it.
    pub(crate) fn os_release_id(self) -> Option<&'static str> {
        Some(match self {
            Self::OracleLinux => "ol",
            Self::OpenSuse => "opensuse-leap",
            Self::RedHat => "rhel",
            Self::RockyLinux => "rocky",
            Self::Suse => "sles",
            other => other.namespace()?,
        })
    }

    fn counting(self) -> Counting {
        match self {
            Self::OpenSuse | Self::Suse | Self::Ubuntu => Counting::Minor,
            _ => Counting::Major,
        }
    }

    /// The release that a version of the platform belongs to.
    pub(crate) fn release_of(self, version: &str) -> Option<Box<str>> {
        let version = version.trim();
        let mut parts = version.split(['.', ' ']).filter(|part| !part.is_empty());
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let major = parts.next().filter(|part| is_number(part))?;
        Some(match self.counting() {
            Counting::Major => major.into(),
            // A first release of SUSE's has no service pack: `15` is `15.0`.
            Counting::Minor => match parts.next().filter(|part| is_number(part)) {
                Some(minor) => format!("{major}.{minor}").into(),
                None if self == Self::Ubuntu => return None,
                None => format!("{major}.0").into(),
            },
        })
    }

    /// The distribution of a node, where it is one that is known.
    pub fn of(software: &NodeSoftware) -> Option<Self> {
        Some(match software.operating_system.as_ref()? {
            OperatingSystem::AlmaLinux => Self::AlmaLinux,
            OperatingSystem::AmazonLinux
            | OperatingSystem::AmazonLinux2
            | OperatingSystem::AmazonLinux2022
            | OperatingSystem::AmazonLinux2023 => Self::AmazonLinux,
            OperatingSystem::CentOs => Self::CentOs,
            OperatingSystem::Debian => Self::Debian,
            OperatingSystem::MacOs => Self::MacOs,
            OperatingSystem::OracleLinux => Self::OracleLinux,
            OperatingSystem::Raspbian => Self::Raspbian,
            OperatingSystem::RedHatEnterpriseLinux => Self::RedHat,
            OperatingSystem::RockyLinux => Self::RockyLinux,
            // Baselines make no difference between the two.
            OperatingSystem::Suse => {
                let name = software.platform_name.as_deref().unwrap_or_default();
                let is_open = name.to_ascii_lowercase().contains("opensuse");
                if is_open { Self::OpenSuse } else { Self::Suse }
            }
            OperatingSystem::Ubuntu => Self::Ubuntu,
            OperatingSystem::Windows => Self::Windows,
            _ => return None,
        })
    }

    /// What of the distribution a suffix of its ecosystem names.
    fn scope(self, suffix: &str) -> ReleaseScope {
        let release = |text: &str| self.release_of(text).map(ReleaseScope::Release);
        let scope = match self {
            // OSV: "Ubuntu:YY.MM:LTS", "Ubuntu:Pro:YY.MM:LTS". What Pro alone fixes is open without
            // it too; FIPS and real-time kernels are packages of their own.
            Self::Ubuntu => {
                let plain = suffix.strip_prefix("Pro:").unwrap_or(suffix);
                let plain = plain.strip_suffix(":LTS").unwrap_or(plain);
                is_version(plain).then(|| release(plain)).flatten()
            }
            // OSV: what follows `cpe:/o:redhat:` or `cpe:/a:redhat:`.
            Self::RedHat => match suffix.split(':').collect::<Vec<_>>()[..] {
                [major] | ["enterprise_linux", major, ..] if is_version(major) => release(major),
                _ => None,
            },
            Self::Suse => service_pack(suffix)
                .or_else(|| Some(suffix).filter(|it| is_version(it)).map(Into::into))
                .and_then(|text| release(&text)),
            Self::OpenSuse => {
                let plain = suffix.strip_prefix("Leap ").unwrap_or(suffix);
                is_version(plain).then(|| release(plain)).flatten()
            }
            _ => is_version(suffix).then(|| release(suffix)).flatten(),
        };
        scope.unwrap_or_else(|| ReleaseScope::Product(suffix.into()))
    }
}

impl Distro {
    /// The release that a product or channel is for, where its name tells.
    pub(crate) fn release_of_product(self, product: &str) -> Option<Box<str>> {
        match self {
            Self::RedHat => {
                /// Channels that keep one minor release alive for longer.
                const LONGER: [&str; 5] = ["aus", "e4s", "els", "eus", "tus"];
                let (name, rest) = product.split_once(':')?;
                let platform = rest.rsplit(':').next()?.strip_prefix("el");
                let platform = platform.filter(|major| is_version(major));
                let channel = name.strip_prefix("rhel_").filter(|name| LONGER.contains(name));
                self.release_of(platform.or_else(|| channel.and(rest.split(':').next()))?)
            }
            Self::Suse => {
                let (name, pack) = product.rsplit_once(" SP")?;
                let major = name.rsplit(' ').next().filter(|major| is_version(major))?;
                let digits = pack.find(|c: char| !c.is_ascii_digit()).unwrap_or(pack.len());
                self.release_of(&format!("{major}.{}", &pack[..digits]))
            }
            Self::Ubuntu => {
                product.split(':').find(|it| is_version(it)).and_then(|it| self.release_of(it))
            }
            _ => None,
        }
    }
}

/// `Linux Enterprise Server 15 SP5` and `Linux Enterprise Module for Basesystem 15 SP5` as `15.5`. What is
/// for SAP, for long-term support or for another product has packages that a server may not have.
fn service_pack(suffix: &str) -> Option<String> {
    let rest = suffix.strip_prefix("Linux Enterprise ")?;
    let rest = match rest.strip_prefix("Module for ") {
        Some(module) => module.split_once(' ')?.1,
        None => rest.strip_prefix("Server ")?,
    };
    let (major, pack) = rest.split_once(" SP").unwrap_or((rest, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    (is_number(major) && is_number(pack)).then(|| format!("{major}.{pack}"))
}

fn is_version(text: &str) -> bool {
    text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

impl std::str::FromStr for Ecosystem {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, suffix) = text.split_once(':').unwrap_or((text, ""));
        let distro = Distro::ALL.into_iter().find(|it| it.as_str().eq_ignore_ascii_case(name));
        Ok(match distro {
            None => Self::Other(text.into()),
            Some(distro) if suffix.is_empty() => Self::Distro(distro, ReleaseScope::All),
            Some(distro) => Self::Distro(distro, distro.scope(suffix)),
        })
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => f.write_str(name),
            Self::Distro(distro, ReleaseScope::All) => f.write_str(distro.as_str()),
            Self::Distro(distro, ReleaseScope::Release(text) | ReleaseScope::Product(text)) => {
                write!(f, "{}:{text}", distro.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Ecosystem {
        let Ok(ecosystem) = text.parse();
        ecosystem
    }

    #[test]
    fn releases_are_read_as_osv_writes_them() {
        for (text, distro, release) in [
            ("Debian:12", Distro::Debian, "12"),
            ("Ubuntu:22.04:LTS", Distro::Ubuntu, "22.04"),
            ("Ubuntu:23.10", Distro::Ubuntu, "23.10"),
            ("Ubuntu:Pro:18.04:LTS", Distro::Ubuntu, "18.04"),
            ("AlmaLinux:9", Distro::AlmaLinux, "9"),
            ("Rocky Linux:8", Distro::RockyLinux, "8"),
            ("Red Hat:enterprise_linux:9::baseos", Distro::RedHat, "9"),
            ("SUSE:Linux Enterprise Server 15 SP5", Distro::Suse, "15.5"),
            ("SUSE:Linux Enterprise Module for Basesystem 15 SP6", Distro::Suse, "15.6"),
            ("SUSE:Linux Enterprise Server 12", Distro::Suse, "12.0"),
            ("openSUSE:Leap 15.6", Distro::OpenSuse, "15.6"),
            ("Amazon Linux:2023", Distro::AmazonLinux, "2023"),
        ] {
            let expected = Ecosystem::Distro(distro, ReleaseScope::Release(release.into()));
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(read("Debian"), Ecosystem::Distro(Distro::Debian, ReleaseScope::All));
    }

    #[test]
    fn a_product_that_a_node_may_not_have_is_no_release() {
        for text in [
            "Red Hat:rhel_eus:9.4::baseos",
            "Red Hat:openshift:4.12::el9",
            "Ubuntu:Pro:FIPS:22.04:LTS",
            "SUSE:Linux Enterprise Server for SAP Applications 15 SP5",
            "SUSE:Linux Enterprise Server 15 SP4-LTSS",
            "openSUSE:Tumbleweed",
            "Debian:sid",
        ] {
            let Ecosystem::Distro(_, ReleaseScope::Product(_)) = read(text) else {
                panic!("{text} is {:?}", read(text));
            };
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(read("PyPI"), Ecosystem::Other("PyPI".into()));
    }

    #[test]
    fn a_products_name_may_tell_its_release() {
        for (text, release) in [
            ("Red Hat:rhel_eus:9.4::baseos", Some("9")),
            ("Red Hat:openshift:4.12::el9", Some("9")),
            ("Red Hat:rhel_software_collections:3::el7", Some("7")),
            ("Red Hat:openshift:4.12", None),
            ("Ubuntu:Pro:FIPS:22.04:LTS", Some("22.04")),
            ("SUSE:Linux Enterprise Server for SAP Applications 15 SP5", Some("15.5")),
            ("SUSE:Linux Enterprise Server 15 SP4-LTSS", Some("15.4")),
            ("SUSE:Linux Enterprise Micro 5.3", None),
            ("Debian:sid", None),
        ] {
            let Ecosystem::Distro(distro, ReleaseScope::Product(name)) = read(text) else {
                panic!("{text} is {:?}", read(text));
            };
            assert_eq!(distro.release_of_product(&name).as_deref(), release, "{text}");
        }
    }

    #[test]
    fn the_release_is_read_off_the_platforms_version() {
        for (distro, version, release) in [
            (Distro::Debian, "12.5", Some("12")),
            (Distro::Ubuntu, "22.04", Some("22.04")),
            (Distro::Ubuntu, "22.04.3 LTS", Some("22.04")),
            (Distro::Ubuntu, "22", None),
            (Distro::RedHat, "9.4", Some("9")),
            (Distro::Suse, "15.5", Some("15.5")),
            (Distro::Suse, "15", Some("15.0")),
            (Distro::AmazonLinux, "2023", Some("2023")),
            (Distro::Debian, "trixie/sid", None),
            (Distro::Debian, "", None),
        ] {
            assert_eq!(distro.release_of(version).as_deref(), release, "{version}");
        }
    }

    #[test]
    fn every_namespace_is_read_back() {
        for distro in Distro::ALL {
            let back = distro.namespace().map(Distro::from_namespace);
            assert!(back.is_none_or(|back| back == Some(distro)), "{distro:?}");
        }
    }
}
