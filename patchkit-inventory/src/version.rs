//! Versions of installed packages, compared by the rules of the system they are on.

use std::{cmp::Ordering, fmt};

use patchkit_core::{Error, OperatingSystem, PackageFamily, Result};
use rpm_version::Evr;

mod deb;
mod dotted;
#[cfg(test)]
mod tests;

/// Whose rules say which of two versions is older.
///
/// ```
/// use patchkit_inventory::VersionScheme;
/// use std::cmp::Ordering;
///
/// let rpm = VersionScheme::Rpm;
/// assert_eq!(rpm.compare(&rpm.parse("3.0.7~rc1-1.el9"), &rpm.parse("3.0.7-1.el9")), Ordering::Less);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum VersionScheme {
    /// `rpmvercmp`, with `~` and `^`.
    Rpm,
    /// The algorithm of the Debian policy manual, with `~`.
    Deb,
    /// Numbers between dots, with tails of text: Windows, macOS and whatever is not known.
    Windows,
}

/// A version in its three parts; an empty part was not given.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct PackageVersion<'a> {
    /// What beats the version: `1` in `1:3.0.7-28.el9`. Not given counts as `0`.
    pub epoch: &'a str,
    /// The upstream version: `3.0.7`.
    pub version: &'a str,
    /// The packager's number: `28.el9`, in Debian's words the revision.
    pub release: &'a str,
}

/// A version that packages shall not be below, as a person gave it.
///
/// # Behavior
/// - Only the parts that were given are compared: `3.0.7` with the row's version alone,
///   `1:3.0.7-28.el9` with its epoch and release too.
/// - A row whose version has no number in it is neither below nor not.
///
/// # Example
/// ```
/// use patchkit_inventory::{Below, VersionScheme};
///
/// let fixed = Below::parse(VersionScheme::Deb, "3.0.7")?;
/// assert_eq!(fixed.is_below("", "3.0.2-0ubuntu1.15", ""), Some(true));
/// assert_eq!(fixed.is_below("", "3.0.7-1", ""), Some(false));
/// assert_eq!(fixed.is_below("", "", ""), None);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Below {
    scheme: VersionScheme,
    text: Box<str>,
}

impl VersionScheme {
    /// The scheme of an operating system's packages.
    pub fn for_family(family: PackageFamily) -> Self {
        match family {
            PackageFamily::Rpm | PackageFamily::Zypper => Self::Rpm,
            PackageFamily::Apt => Self::Deb,
            _ => Self::Windows,
        }
    }

    /// The scheme of an operating system.
    pub fn for_os(os: &OperatingSystem) -> Self {
        Self::for_family(os.family())
    }

    /// Takes one text apart: `1:3.0.7-28.el9`.
    ///
    /// # Behavior
    /// - The epoch ends at the first colon and is all digits; the release begins after the last
    ///   hyphen. A text without them has none.
    /// - Windows versions have neither: an epoch is dropped, where the colon would be read as one more
    ///   dot, and the rest is the version.
    pub fn parse(self, text: &str) -> PackageVersion<'_> {
        let text = text.trim();
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => {
                // As rpm reads it: a colon with nothing before it still gives an epoch.
                (if epoch.is_empty() { "0" } else { epoch }, rest)
            }
            _ => ("", text),
        };
        if self == Self::Windows {
            return PackageVersion { version: rest, ..PackageVersion::default() };
        }
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        PackageVersion { epoch, version, release }
    }

    /// Puts an inventory row's columns together.
    ///
    /// # Behavior
    /// - `(none)`, as rpm prints what is not there, is not there.
    /// - A version column that carries the whole `1:3.0.2-0ubuntu1.15` is taken apart where the
    ///   epoch or the release column is empty.
    /// - For Windows, epoch and release are dropped.
    pub fn row<'a>(self, epoch: &'a str, version: &'a str, release: &'a str) -> PackageVersion<'a> {
        let (epoch, version, release) = (given(epoch), given(version), given(release));
        if self == Self::Windows {
            return PackageVersion { version, ..PackageVersion::default() };
        }
        let whole = self.parse(version);
        // With its own release column a hyphen belongs to the version (Debian allows it there).
        let version = match (release.is_empty(), whole.epoch.is_empty()) {
            (true, _) => whole.version,
            (false, true) => version,
            (false, false) => version.split_once(':').map_or(version, |(_, rest)| rest),
        };
        PackageVersion {
            epoch: if epoch.is_empty() { whole.epoch } else { epoch },
            version,
            release: if release.is_empty() { whole.release } else { release },
        }
    }

    /// Says which of two versions is older: by epoch, then version, then release.
    ///
    /// # Behavior
    /// - A total order of any text, so it can sort. Versions may be equal and spelled otherwise:
    ///   `1.05` and `1.5`.
    /// - For Windows only the versions are compared.
    pub fn compare(self, a: &PackageVersion<'_>, b: &PackageVersion<'_>) -> Ordering {
        match self {
            Self::Rpm => compare_rpm(a, b),
            Self::Deb => deb::compare(a.epoch, b.epoch)
                .then_with(|| deb::compare(a.version, b.version))
                .then_with(|| deb::compare(a.release, b.release)),
            Self::Windows => dotted::compare(a.version, b.version),
        }
    }
}

impl fmt::Display for PackageVersion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.epoch.is_empty() {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(self.version)?;
        if !self.release.is_empty() {
            write!(f, "-{}", self.release)?;
        }
        Ok(())
    }
}

impl Below {
    /// Reads what a person gave: `3.0.7`, `3.0.7-28.el9` or `1:3.0.7-28.el9`.
    ///
    /// # Errors
    /// - `InvalidInput`: there is no digit in its version.
    pub fn parse(scheme: VersionScheme, text: &str) -> Result<Self> {
        let text = text.trim();
        if !has_number(scheme.parse(text).version) {
            let message = format!("{text:?} is not a version: it has no number");
            return Err(Error::invalid("inventory", "parse", message));
        }
        Ok(Self { scheme, text: text.into() })
    }

    /// Whether a row's package is older; `None` where the row names no version.
    pub fn is_below(&self, epoch: &str, version: &str, release: &str) -> Option<bool> {
        let row = self.scheme.row(epoch, version, release);
        if !has_number(row.version) {
            return None;
        }
        let limit = self.limit();
        let compared = PackageVersion {
            epoch: if limit.epoch.is_empty() { "" } else { row.epoch },
            version: row.version,
            release: if limit.release.is_empty() { "" } else { row.release },
        };
        Some(self.scheme.compare(&compared, &limit).is_lt())
    }

    /// The version given, in its parts.
    pub fn limit(&self) -> PackageVersion<'_> {
        self.scheme.parse(&self.text)
    }

    /// The scheme it compares by.
    pub fn scheme(&self) -> VersionScheme {
        self.scheme
    }
}

impl fmt::Display for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// As `rpmverCmp` of rpm 4.16 and later: any release is newer than none, one that begins with `~` too.
fn compare_rpm(a: &PackageVersion<'_>, b: &PackageVersion<'_>) -> Ordering {
    if a.release.is_empty() == b.release.is_empty() {
        return evr(a).cmp(&evr(b));
    }
    let by_release = b.release.is_empty().cmp(&a.release.is_empty());
    let bare = [a, b].map(|it| PackageVersion { release: "", ..*it });
    evr(&bare[0]).cmp(&evr(&bare[1])).then(by_release)
}

fn evr<'a>(version: &PackageVersion<'a>) -> Evr<'a> {
    Evr::new(version.epoch, version.version, version.release)
}

fn has_number(version: &str) -> bool {
    version.bytes().any(|byte| byte.is_ascii_digit())
}

/// A column without the spellings of "nothing".
fn given(column: &str) -> &str {
    let column = column.trim();
    if column.eq_ignore_ascii_case("(none)") { "" } else { column }
}
