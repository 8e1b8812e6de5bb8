//! Operating systems, as patch baselines name them.

use std::{cmp::Ordering, convert::Infallible, fmt, hash, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The operating system a baseline is for (`OperatingSystem` of the Systems Manager API); names
/// that PatchKit does not know are kept.
///
/// ```
/// use patchkit_core::{OperatingSystem, PackageFamily};
///
/// let os: OperatingSystem = "AMAZON_LINUX_2023".parse().unwrap();
/// assert_eq!(os, OperatingSystem::AmazonLinux2023);
/// assert_eq!(os.family(), PackageFamily::Rpm);
/// assert_eq!("PLAN_9".parse::<OperatingSystem>().unwrap().to_string(), "PLAN_9");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it all")]
pub enum OperatingSystem {
    Windows,
    AmazonLinux,
    AmazonLinux2,
    AmazonLinux2022,
    AmazonLinux2023,
    Ubuntu,
    RedHatEnterpriseLinux,
    Suse,
    CentOs,
    OracleLinux,
    Debian,
    MacOs,
    Raspbian,
    RockyLinux,
    AlmaLinux,
    /// One that PatchKit does not know, as it was spelled.
    Other(Box<str>),
}

/// How an operating system's packages are made and named.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum PackageFamily {
    /// RPM packages with yum or dnf.
    Rpm,
    /// Debian packages with apt.
    Apt,
    /// RPM packages as zypper patches.
    Zypper,
    /// Windows updates.
    Windows,
    /// macOS updates.
    MacOs,
    /// Not known.
    Other,
}

/// What an operating system is, coarsely: AWS's `PlatformType`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PlatformKind {
    /// Any Linux.
    Linux,
    /// Windows.
    Windows,
    /// macOS.
    MacOs,
    /// Not known.
    Other,
}

impl OperatingSystem {
    /// Every operating system that PatchKit knows, in the API's order.
    pub const KNOWN: [Self; 15] = [
        Self::Windows,
        Self::AmazonLinux,
        Self::AmazonLinux2,
        Self::AmazonLinux2022,
        Self::AmazonLinux2023,
        Self::Ubuntu,
        Self::RedHatEnterpriseLinux,
        Self::Suse,
        Self::CentOs,
        Self::OracleLinux,
        Self::Debian,
        Self::MacOs,
        Self::Raspbian,
        Self::RockyLinux,
        Self::AlmaLinux,
    ];

    /// The API's name: `REDHAT_ENTERPRISE_LINUX`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Windows => "WINDOWS",
            Self::AmazonLinux => "AMAZON_LINUX",
            Self::AmazonLinux2 => "AMAZON_LINUX_2",
            Self::AmazonLinux2022 => "AMAZON_LINUX_2022",
            Self::AmazonLinux2023 => "AMAZON_LINUX_2023",
            Self::Ubuntu => "UBUNTU",
            Self::RedHatEnterpriseLinux => "REDHAT_ENTERPRISE_LINUX",
            Self::Suse => "SUSE",
            Self::CentOs => "CENTOS",
            Self::OracleLinux => "ORACLE_LINUX",
            Self::Debian => "DEBIAN",
            Self::MacOs => "MACOS",
            Self::Raspbian => "RASPBIAN",
            Self::RockyLinux => "ROCKY_LINUX",
            Self::AlmaLinux => "ALMA_LINUX",
            Self::Other(name) => name,
        }
    }

    /// How its packages are made and named.
    pub fn family(&self) -> PackageFamily {
        match self {
            Self::Windows => PackageFamily::Windows,
            Self::MacOs => PackageFamily::MacOs,
            Self::Suse => PackageFamily::Zypper,
            Self::Ubuntu | Self::Debian | Self::Raspbian => PackageFamily::Apt,
            Self::AmazonLinux
            | Self::AmazonLinux2
            | Self::AmazonLinux2022
            | Self::AmazonLinux2023
            | Self::RedHatEnterpriseLinux
            | Self::CentOs
            | Self::OracleLinux
            | Self::RockyLinux
            | Self::AlmaLinux => PackageFamily::Rpm,
            Self::Other(_) => PackageFamily::Other,
        }
    }

    /// What it is, coarsely.
    pub fn platform(&self) -> PlatformKind {
        match self.family() {
            PackageFamily::Windows => PlatformKind::Windows,
            PackageFamily::MacOs => PlatformKind::MacOs,
            PackageFamily::Other => PlatformKind::Other,
            _ => PlatformKind::Linux,
        }
    }

    /// Reads it off the `PlatformName` and `PlatformVersion` that agents report.
    ///
    /// ```
    /// use patchkit_core::OperatingSystem;
    ///
    /// let os = OperatingSystem::from_platform("Red Hat Enterprise Linux", "9.4");
    /// assert_eq!(os, OperatingSystem::RedHatEnterpriseLinux);
    /// ```
    pub fn from_platform(name: &str, version: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        let has = |word: &str| lower.contains(word);
        if has("windows") {
            Self::Windows
        } else if has("amazon linux") {
            match version.split('.').next().unwrap_or_default() {
                "2" => Self::AmazonLinux2,
                "2022" => Self::AmazonLinux2022,
                "2023" => Self::AmazonLinux2023,
                _ => Self::AmazonLinux,
            }
        } else if has("ubuntu") {
            Self::Ubuntu
        } else if has("red hat") {
            Self::RedHatEnterpriseLinux
        } else if has("suse") || has("sles") {
            Self::Suse
        } else if has("centos") {
            Self::CentOs
        } else if has("oracle") {
            Self::OracleLinux
        } else if has("raspbian") {
            Self::Raspbian
        } else if has("debian") {
            Self::Debian
        } else if has("macos") || has("mac os") {
            Self::MacOs
        } else if has("rocky") {
            Self::RockyLinux
        } else if has("alma") {
            Self::AlmaLinux
        } else {
            Self::Other(name.into())
        }
    }
}

impl FromStr for OperatingSystem {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let known = Self::KNOWN.into_iter().find(|os| os.as_str().eq_ignore_ascii_case(text));
        Ok(known.unwrap_or_else(|| Self::Other(text.into())))
    }
}

/// Equality, order and hash of a wire enum by its text, serde as that text.
macro_rules! by_text {
    ($($name:ident)+) => {$(
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                match (self, other) {
                    (Self::Other(_), _) | (_, Self::Other(_)) => self.as_str() == other.as_str(),
                    // Known ones have texts of their own, and baselines are held against thousands.
                    _ => std::mem::discriminant(self) == std::mem::discriminant(other),
                }
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.as_str().cmp(other.as_str())
            }
        }

        impl hash::Hash for $name {
            fn hash<H: hash::Hasher>(&self, state: &mut H) {
                self.as_str().hash(state);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                let Ok(value) = text.parse();
                Ok(value)
            }
        }
    )+};
}
pub(crate) use by_text;

by_text!(OperatingSystem);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_parse_back_and_unknown_ones_survive() {
        for os in OperatingSystem::KNOWN {
            assert_eq!(os.as_str().parse::<OperatingSystem>().unwrap(), os);
        }
        let other: OperatingSystem = "BOTTLEROCKET".parse().unwrap();
        assert_eq!(serde_json::to_string(&other).unwrap(), "\"BOTTLEROCKET\"");
    }

    #[test]
    fn agents_names_are_read() {
        for (name, version, os) in [
            ("Amazon Linux", "2", OperatingSystem::AmazonLinux2),
            ("Amazon Linux AMI", "2018.03", OperatingSystem::AmazonLinux),
            ("Microsoft Windows Server 2022 Datacenter", "10.0.20348", OperatingSystem::Windows),
            ("Debian GNU/Linux", "12", OperatingSystem::Debian),
            ("SLES", "15", OperatingSystem::Suse),
        ] {
            assert_eq!(OperatingSystem::from_platform(name, version), os);
        }
    }
}
