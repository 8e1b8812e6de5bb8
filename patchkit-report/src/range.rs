//! Whether a version is one of those that an advisory is about.

use std::cmp::Ordering;

use patchkit_inventory::{PackageVersion, VersionScheme};
use serde::Deserialize;

use crate::{AffectedPackage, Undecidable};

/// One of an advisory's ranges.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Range {
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(default)]
    events: Vec<Event>,
}

/// One end of a range.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(from = "WireEvent")]
enum Event {
    Introduced(Box<str>),
    Fixed(Box<str>),
    LastAffected(Box<str>),
    Limit(Box<str>),
    /// One that OSV has not defined.
    Other,
}

/// OSV's events are objects of one field each.
#[derive(Deserialize)]
struct WireEvent {
    introduced: Option<Box<str>>,
    fixed: Option<Box<str>>,
    last_affected: Option<Box<str>>,
    limit: Option<Box<str>>,
}

impl From<WireEvent> for Event {
    fn from(wire: WireEvent) -> Self {
        let fixed = wire.fixed.map(Self::Fixed);
        let last = wire.last_affected.map(Self::LastAffected);
        let events =
            [wire.introduced.map(Self::Introduced), fixed, last, wire.limit.map(Self::Limit)];
        let mut events = events.into_iter().flatten();
        match (events.next(), events.next()) {
            (Some(event), None) => event,
            _ => Self::Other,
        }
    }
}

/// What a range or list says of a version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Affected { fixed: Option<Box<str>> },
    NotAffected,
    Undecided(Undecidable),
}

impl AffectedPackage {
    /// Holds an installed version against the ranges and versions: the algorithm of the OSV schema,
    /// "Evaluation". `built` is the version of the package itself in the release that fixes its source,
    /// where the advisory tells.
    pub(crate) fn judge(
        &self,
        scheme: VersionScheme,
        installed: &PackageVersion<'_>,
        built: Option<&str>,
    ) -> Verdict {
        if !has_number(installed.version) {
            return Verdict::Undecided(Undecidable::InstalledVersion);
        }
        let mut undecided = None;
        let mut said = false;
        let listed = self.versions.iter().map(|version| match order(scheme, installed, version) {
            Ok(Ordering::Equal) => Verdict::Affected { fixed: None },
            Ok(_) => Verdict::NotAffected,
            Err(reason) => Verdict::Undecided(reason),
        });
        let ranges = self.ranges.iter().filter_map(|range| match &*range.kind {
            "ECOSYSTEM" => Some(range.judge(scheme, installed, built)),
            // The commits of a range are listed as versions, where they have any.
            "GIT" if !self.versions.is_empty() => None,
            other => Some(Verdict::Undecided(Undecidable::RangeKind(other.into()))),
        });
        // Ranges first: they tell what fixes it.
        for verdict in ranges.chain(listed) {
            said = true;
            match verdict {
                Verdict::Affected { fixed } => return of_module(scheme, fixed),
                Verdict::NotAffected => {}
                Verdict::Undecided(reason) => undecided = undecided.or(Some(reason)),
            }
        }
        match undecided {
            Some(reason) => Verdict::Undecided(reason),
            None if said => Verdict::NotAffected,
            None => Verdict::Undecided(Undecidable::NoVersions),
        }
    }
}

/// Of a module of RHEL 8 there are several streams, each with fixes of its own, and an inventory does not
/// tell which one a node has.
fn of_module(scheme: VersionScheme, fixed: Option<Box<str>>) -> Verdict {
    let in_module = |version: &str| scheme.parse(version).release.contains("module");
    if scheme == VersionScheme::Rpm && fixed.as_deref().is_some_and(in_module) {
        return Verdict::Undecided(Undecidable::ModuleStream);
    }
    Verdict::Affected { fixed }
}

impl Range {
    fn judge(
        &self,
        scheme: VersionScheme,
        installed: &PackageVersion<'_>,
        built: Option<&str>,
    ) -> Verdict {
        self.evaluate(scheme, installed, built).unwrap_or_else(Verdict::Undecided)
    }

    fn evaluate(
        &self,
        scheme: VersionScheme,
        installed: &PackageVersion<'_>,
        built: Option<&str>,
    ) -> Result<Verdict, Undecidable> {
        let fixes = self.events.iter().filter(|event| matches!(event, Event::Fixed(_))).count();
        // With one fix there is no doubt which of them the package's own version belongs to.
        let built = built.filter(|_| fixes == 1);
        let mut events = Vec::with_capacity(self.events.len());
        let (mut limited, mut within) = (false, false);
        for event in &self.events {
            match event {
                Event::Introduced(version) | Event::LastAffected(version) => {
                    events.push((&**version, event));
                }
                Event::Fixed(version) => events.push((built.unwrap_or(version), event)),
                Event::Limit(version) => {
                    limited = true;
                    within |= &**version == "*" || order(scheme, installed, version)?.is_lt();
                }
                Event::Other => return Err(Undecidable::RangeKind("event".into())),
            }
        }
        for (version, _) in &events {
            readable(scheme, version)?;
        }
        // Of events at one version the order is the advisory's: one that is introduced and fixed in `0`
        // hits nothing, and one that is fixed and introduced again goes on.
        events.sort_by(|(a, _), (b, _)| compare_texts(scheme, a, b));
        let (mut affected, mut fixed) = (false, None);
        for (version, event) in events {
            let order = order(scheme, installed, version)?;
            match event {
                Event::Introduced(_) if order.is_ge() => affected = true,
                Event::Fixed(_) if order.is_ge() => affected = false,
                Event::LastAffected(_) if order.is_gt() => affected = false,
                Event::Fixed(_) if affected && fixed.is_none() => fixed = Some(version.into()),
                _ => {}
            }
        }
        let is_affected = affected && (!limited || within);
        Ok(if is_affected { Verdict::Affected { fixed } } else { Verdict::NotAffected })
    }
}

/// OSV's word for "before every version".
const FIRST: &str = "0";

fn readable(scheme: VersionScheme, version: &str) -> Result<(), Undecidable> {
    if has_number(scheme.parse(version).version) {
        return Ok(());
    }
    Err(Undecidable::AdvisoryVersion(version.into()))
}

fn compare_texts(scheme: VersionScheme, a: &str, b: &str) -> Ordering {
    match (a == FIRST, b == FIRST) {
        (false, false) => scheme.compare(&scheme.parse(a), &scheme.parse(b)),
        (a, b) => b.cmp(&a),
    }
}

/// Where an installed version stands to one of an advisory.
///
/// Of RPM only what both have is compared. An advisory without an epoch, as many are written, means the
/// package whatever its epoch; one without a release means every release. A row without a release is that
/// of an agent that told neither, and is only decided by the version.
fn order(
    scheme: VersionScheme,
    installed: &PackageVersion<'_>,
    version: &str,
) -> Result<Ordering, Undecidable> {
    if version == FIRST {
        return Ok(Ordering::Greater);
    }
    readable(scheme, version)?;
    let (mut limit, mut installed) = (scheme.parse(version), *installed);
    if scheme != VersionScheme::Rpm {
        return Ok(scheme.compare(&installed, &limit));
    }
    if limit.epoch.is_empty() {
        installed.epoch = "";
    }
    if limit.release.is_empty() {
        installed.release = "";
    }
    if !installed.release.is_empty() || limit.release.is_empty() {
        return Ok(scheme.compare(&installed, &limit));
    }
    if installed.epoch.is_empty() && limit.epoch.bytes().any(|byte| byte != b'0') {
        return Err(Undecidable::InstalledRelease);
    }
    limit.release = "";
    Some(scheme.compare(&installed, &limit))
        .filter(|order| order.is_ne())
        .ok_or(Undecidable::InstalledRelease)
}

fn has_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
