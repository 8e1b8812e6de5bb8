//! What differs between two nodes, or two times of one.

use std::{cmp::Ordering, collections::BTreeMap};

use patchkit_core::{Error, Result};
use patchkit_inventory::VersionScheme;
use serde::Serialize;

use crate::{Coverage, NodeSoftware, Package};

/// What differs between what two nodes run, or one node at two times.
///
/// # Behavior
/// - Packages are the same by name and architecture. Which version is newer is told by the rules of the
///   system that both are of.
/// - Of a package that is there in several versions, as kernels are, those on both sides are the same ones;
///   what is left is an upgrade where it is one on each side, and comes and goes otherwise.
/// - Programs of Windows that carry their version in their name come and go.
///
/// # Example
/// ```
/// use patchkit_report::{ChangeKind, NodeSoftware, Package, SoftwareDiff};
///
/// let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse()?);
/// let node = node.with_platform("Debian GNU/Linux", "12");
/// let at = |version| node.clone().with_packages([Package::new("bash").with_version(version)]);
/// let diff = SoftwareDiff::between(&at("5.2.15-2+b7"), &at("5.2.15-2"))?;
/// assert_eq!(diff.changes[0].kind, ChangeKind::Downgraded);
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SoftwareDiff {
    /// What is not the same, by name and architecture.
    pub changes: Vec<Change>,
    /// How many packages are the same.
    pub unchanged: usize,
    /// How many rows of either list are known to be lost: what seems to come or go may be one of them.
    pub lost: [u64; 2],
}

/// One package that is not the same.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Its name.
    pub name: Box<str>,
    /// Its architecture.
    pub architecture: Option<Box<str>>,
    /// What became of it.
    pub kind: ChangeKind,
    /// The version on the first side, where it is there and has one.
    pub before: Option<String>,
    /// The version on the second side, where it is there and has one.
    pub after: Option<String>,
}

/// What became of a package.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It came.
    Added,
    /// It went.
    Removed,
    /// Its version is newer.
    Upgraded,
    /// Its version is older.
    Downgraded,
    /// Its version is another one, and nothing says which is newer: two systems' versions, one without a
    /// number, or two spellings of one.
    Changed,
}

impl ChangeKind {
    /// The word used in reports and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Changed => "changed",
        }
    }
}

type Key<'a> = (&'a str, Option<&'a str>);

/// The versions of one package on both sides.
type Sides<'a> = [Vec<(&'a Package, Option<String>)>; 2];

impl SoftwareDiff {
    /// What is to be done to `before` so that it becomes `after`.
    ///
    /// # Errors
    /// `NotFound` where either has no list: everything would seem to come or go.
    pub fn between(before: &NodeSoftware, after: &NodeSoftware) -> Result<Self> {
        let mut packages: BTreeMap<Key<'_>, Sides<'_>> = BTreeMap::new();
        for (side, software) in [before, after].into_iter().enumerate() {
            if software.coverage == Coverage::Missing {
                let what = format!("a list of the packages of {}", software.node);
                let error = Error::not_found("report", "diff", what);
                return Err(error.with_node(software.node.clone()));
            }
            for package in &software.packages {
                let key = (&*package.name, package.architecture.as_deref());
                let versions = &mut packages.entry(key).or_default()[side];
                let version = software.version_of(package);
                // Rows that differ in what is no part of the version are one package.
                if !versions.iter().any(|(_, other)| *other == version) {
                    versions.push((package, version));
                }
            }
        }
        let mut diff = Self {
            changes: Vec::new(),
            unchanged: 0,
            lost: [before.coverage.lost(), after.coverage.lost()],
        };
        for ((name, architecture), sides) in packages {
            diff.take(name, architecture, sides, |a, b| {
                let scheme = before.scheme_of(a);
                (scheme == after.scheme_of(b)).then(|| compare(scheme, a, b)).flatten()
            });
        }
        diff.changes.sort_unstable();
        Ok(diff)
    }

    fn take(
        &mut self,
        name: &str,
        architecture: Option<&str>,
        [mut before, mut after]: Sides<'_>,
        compare: impl Fn(&Package, &Package) -> Option<Ordering>,
    ) {
        let both = before.len();
        before.retain(|(_, version)| {
            let found = after.iter().position(|(_, other)| other == version);
            found.map(|at| after.swap_remove(at)).is_none()
        });
        self.unchanged += both - before.len();
        let mut push = |kind, before, after| {
            let architecture = architecture.map(Into::into);
            self.changes.push(Change { name: name.into(), architecture, kind, before, after });
        };
        if let ([(a, old)], [(b, new)]) = (&before[..], &after[..]) {
            let kind = match compare(a, b) {
                Some(Ordering::Less) => ChangeKind::Upgraded,
                Some(Ordering::Greater) => ChangeKind::Downgraded,
                _ => ChangeKind::Changed,
            };
            return push(kind, old.clone(), new.clone());
        }
        for (_, version) in before {
            push(ChangeKind::Removed, version, None);
        }
        for (_, version) in after {
            push(ChangeKind::Added, None, version);
        }
    }
}

fn compare(scheme: VersionScheme, a: &Package, b: &Package) -> Option<Ordering> {
    let (a, b) = (a.parts(scheme), b.parts(scheme));
    let has_number = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    (has_number(a.version) && has_number(b.version)).then(|| scheme.compare(&a, &b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(platform: (&str, &str), packages: &[(&str, &str)]) -> NodeSoftware {
        let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
        let package = |(name, version): &(&str, &str)| match version.split_once('-') {
            Some((version, release)) if platform.0 == "Rocky Linux" => {
                Package::new(name).with_version(version).with_release(release)
            }
            _ => Package::new(name).with_version(version),
        };
        node.with_platform(platform.0, platform.1).with_packages(packages.iter().map(package))
    }

    fn kinds(diff: &SoftwareDiff) -> Vec<(&str, ChangeKind)> {
        diff.changes.iter().map(|change| (&*change.name, change.kind)).collect()
    }

    #[test]
    fn the_systems_own_order_says_what_is_newer() {
        let rocky = ("Rocky Linux", "9.4");
        let before =
            node(rocky, &[("a", "1.0-1.el9"), ("b", "2.0-9"), ("c", "1.0-1"), ("d", "1-1")]);
        let after =
            node(rocky, &[("a", "1.0-1.el9_4"), ("b", "2.0~rc1-10"), ("c", "1.0-1"), ("e", "1-1")]);
        let diff = SoftwareDiff::between(&before, &after).unwrap();
        let expected = [
            ("a", ChangeKind::Upgraded),
            ("b", ChangeKind::Downgraded),
            ("d", ChangeKind::Removed),
            ("e", ChangeKind::Added),
        ];
        assert_eq!(kinds(&diff), expected);
        assert_eq!(diff.unchanged, 1);
        assert_eq!(diff.changes[0].before.as_deref(), Some("1.0-1.el9"));
        let back = SoftwareDiff::between(&after, &before).unwrap();
        assert_eq!(kinds(&back)[1], ("b", ChangeKind::Upgraded));
    }

    #[test]
    fn of_several_kernels_those_on_both_sides_are_the_same() {
        let rocky = ("Rocky Linux", "9.4");
        let before = node(rocky, &[("kernel", "5.14-1"), ("kernel", "5.14-2")]);
        let after = node(rocky, &[("kernel", "5.14-2"), ("kernel", "5.14-3")]);
        let diff = SoftwareDiff::between(&before, &after).unwrap();
        assert_eq!(kinds(&diff), [("kernel", ChangeKind::Upgraded)]);
        assert_eq!(diff.unchanged, 1);
        let third =
            node(rocky, &[("kernel", "5.14-2"), ("kernel", "5.14-3"), ("kernel", "5.14-4")]);
        let diff = SoftwareDiff::between(&before, &third).unwrap();
        let expected = [
            ("kernel", ChangeKind::Added),
            ("kernel", ChangeKind::Added),
            ("kernel", ChangeKind::Removed),
        ];
        assert_eq!(kinds(&diff), expected);
    }

    #[test]
    fn what_has_no_order_is_changed() {
        let debian =
            node(("Debian GNU/Linux", "12"), &[("a", "1.0-1"), ("b", "new"), ("c", "1.0")]);
        let rocky = node(("Rocky Linux", "9.4"), &[("a", "2.0-1"), ("b", "1"), ("c", "01.0")]);
        let diff = SoftwareDiff::between(&debian, &rocky).unwrap();
        assert!(diff.changes.iter().all(|change| change.kind == ChangeKind::Changed), "{diff:?}");
    }

    #[test]
    fn no_list_is_no_difference() {
        let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
        assert!(SoftwareDiff::between(&node, &node).is_err());
    }
}
