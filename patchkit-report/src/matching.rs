//! Advisories held against what a node runs.

use std::{collections::HashSet, fmt, sync::Arc};

use patchkit_core::NodeId;
use patchkit_inventory::VersionScheme;
use serde::Serialize;

use crate::{
    Advisories, Advisory, AffectedPackage, Coverage, Distro, Ecosystem, NodeSoftware, Package,
    ReleaseScope, Weight,
    advisory_file::{Amount, Place, Supply, folded},
    range::Verdict,
};

/// What of some advisories hits a node, and what cannot be decided.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NodeFindings {
    /// The node.
    pub node: NodeId,
    /// A name for people.
    pub name: Option<Box<str>>,
    /// How far the answer reaches.
    pub reach: Reach,
    /// Packages that an advisory is about, worst first.
    pub findings: Vec<Finding>,
    /// Packages of which it cannot be told whether an advisory is about their version.
    pub undecided: Vec<Undecided>,
    /// How many source packages, each for each advisory, are named for the node's release of which no
    /// package is known to be there, while the sources of some packages are not known: they are not ruled
    /// out.
    ///
    /// Debian's inventory has no sources; see [`SourceNames`](crate::SourceNames).
    pub not_ruled_out: usize,
    /// Rows of the node's list that are known to be lost.
    pub lost: u64,
}

/// How far an answer reaches: only where it is `Held` does "no finding" say something.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reach {
    /// The node was held against advisories for its release.
    Held,
    /// None of the advisories is for its release.
    NoAdvisories,
    /// Its release is not known.
    UnknownRelease,
    /// Its system is not known.
    UnknownSystem,
    /// There is no list of its packages.
    NoList,
}

/// An advisory that is about a package's version.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The advisory.
    pub advisory: Arc<Advisory>,
    /// For which ecosystem it says so.
    pub ecosystem: Ecosystem,
    /// The package.
    pub package: Box<str>,
    /// Its architecture.
    pub architecture: Option<Box<str>>,
    /// The version that is installed.
    pub installed: Option<String>,
    /// The first version that is not affected, where there is one.
    pub fixed: Option<Box<str>>,
    /// How bad it is, where it is told.
    pub weight: Option<Weight>,
    /// By which of its names the package was found.
    pub matched_by: MatchedBy,
}

/// By which name a package was found.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MatchedBy {
    /// Its own.
    Name,
    /// That of its source package.
    Source,
    /// Its own, among those that the advisory tells are built of its package.
    Binary,
}

/// A package of which it cannot be told.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Undecided {
    /// The advisory.
    pub advisory: Arc<Advisory>,
    /// For which ecosystem.
    pub ecosystem: Ecosystem,
    /// The package.
    pub package: Box<str>,
    /// The version that is installed.
    pub installed: Option<String>,
    /// Why.
    pub reason: Undecidable,
}

/// Why something cannot be told.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Undecidable {
    /// The node's operating system is not known.
    System,
    /// The node's release is not known.
    Release,
    /// The advisory is for a product or channel that the node may have.
    Product(Box<str>),
    /// The package's version has no number.
    InstalledVersion,
    /// The package's release is not known, and decides.
    InstalledRelease,
    /// A version of the advisory has no number.
    AdvisoryVersion(Box<str>),
    /// The advisory tells versions in a way that is not the ecosystem's.
    RangeKind(Box<str>),
    /// The advisory tells no versions.
    NoVersions,
    /// The fix is that of a stream of a module, and which stream the node has is not known.
    ModuleStream,
}

impl fmt::Display for Undecidable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the node's operating system is not known"),
            Self::Release => f.write_str("the node's release is not known"),
            Self::Product(name) => write!(f, "whether the node has {name} is not known"),
            Self::InstalledVersion => f.write_str("the installed version has no number"),
            Self::InstalledRelease => f.write_str("the installed release is not known"),
            Self::AdvisoryVersion(text) => {
                write!(f, "the advisory's version {text:?} has no number")
            }
            Self::RangeKind(kind) => write!(f, "a range of the kind {kind} has no order here"),
            Self::NoVersions => f.write_str("the advisory tells no versions"),
            Self::ModuleStream => f.write_str("the fix is of a module, whose stream is not known"),
        }
    }
}

impl NodeFindings {
    /// Whether it is known that none of the advisories hits the node.
    pub fn is_clear(&self) -> bool {
        self.reach == Reach::Held
            && self.findings.is_empty()
            && self.undecided.is_empty()
            && (self.not_ruled_out, self.lost) == (0, 0)
    }
}

/// A node as advisories see it.
struct Held<'a> {
    advisories: &'a Advisories,
    software: &'a NodeSoftware,
    distro: Option<Distro>,
    release: Option<Box<str>>,
}

/// What an ecosystem is to a node.
enum Fit {
    For,
    NotFor,
    Unknown(Undecidable),
}

impl Advisories {
    /// Holds them against what a node runs.
    ///
    /// # Behavior
    /// - Packages are found by the distribution and release of the node and their own name; by the name of
    ///   their source, where the inventory or [`with_source_names`](Self::with_source_names) tells it; and
    ///   by the names that the advisory itself tells (Ubuntu, SUSE).
    /// - Versions are compared by the rules of the distribution.
    /// - What cannot be decided is [`undecided`](NodeFindings::undecided), and never left out.
    pub fn held_against(&self, software: &NodeSoftware) -> NodeFindings {
        let distro = Distro::of(software);
        let version = software.platform_version.as_deref().unwrap_or_default();
        let release = distro.and_then(|distro| distro.release_of(version));
        let held = Held { advisories: self, software, distro, release };
        let mut found = NodeFindings {
            node: software.node.clone(),
            name: software.name.clone(),
            reach: held.reach(),
            findings: Vec::new(),
            undecided: Vec::new(),
            not_ruled_out: 0,
            lost: software.coverage.lost(),
        };
        if software.coverage != Coverage::Missing {
            held.search(&mut found);
        }
        found
    }
}

impl Held<'_> {
    fn fit(&self, affected: &AffectedPackage) -> Fit {
        let Ecosystem::Distro(distro, scope) = &affected.ecosystem else { return Fit::NotFor };
        match (self.distro, scope) {
            (None, _) => Fit::Unknown(Undecidable::System),
            (Some(own), _) if own != *distro => Fit::NotFor,
            (_, ReleaseScope::All) => Fit::For,
            (Some(own), ReleaseScope::Product(name)) => {
                let release = own.release_of_product(name);
                let is_other = release.zip(self.release.as_ref()).is_some_and(|(a, b)| a != *b);
                let unknown = || Fit::Unknown(Undecidable::Product(name.clone()));
                if is_other { Fit::NotFor } else { unknown() }
            }
            (_, ReleaseScope::Release(release)) => match &self.release {
                None => Fit::Unknown(Undecidable::Release),
                Some(own) if own == release => Fit::For,
                Some(_) => Fit::NotFor,
            },
        }
    }

    fn reach(&self) -> Reach {
        if self.software.coverage == Coverage::Missing {
            return Reach::NoList;
        }
        if self.distro.is_none() {
            return Reach::UnknownSystem;
        }
        let Some(supply) = self.supply() else { return Reach::NoAdvisories };
        let is_any = |amount: Option<&Amount>| amount.is_some_and(|amount| amount.packages > 0);
        let mut releases = supply.by_release.values();
        match &self.release {
            _ if is_any(Some(&supply.for_all)) => Reach::Held,
            Some(own) if is_any(supply.by_release.get(own)) => Reach::Held,
            None if releases.any(|amount| is_any(Some(amount))) => Reach::UnknownRelease,
            _ => Reach::NoAdvisories,
        }
    }

    fn supply(&self) -> Option<&Supply> {
        self.advisories.supply.get(&self.distro?)
    }

    fn search(&self, found: &mut NodeFindings) {
        let (mut named, mut told) = (HashSet::new(), HashSet::new());
        let mut all_sources = true;
        for package in &self.software.packages {
            let source = self.source_of(package);
            all_sources &= source.is_some();
            let source = source.filter(|source| *source != &*package.name);
            let by_name = [(Some(&*package.name), MatchedBy::Name), (source, MatchedBy::Source)];
            for (name, matched_by) in by_name {
                let places = name.and_then(|name| self.advisories.names.get(&folded(name)));
                for place in places.into_iter().flatten() {
                    let (_, affected) = self.at(*place);
                    let is_same =
                        matches!(affected.ecosystem, Ecosystem::Distro(Distro::Windows, _))
                            || name == Some(&*affected.name);
                    if is_same {
                        named.insert((place.advisory, place.affected));
                        self.hold(package, *place, matched_by, None, &mut told, found);
                    }
                }
            }
            let places = self.advisories.binaries.get(&folded(&package.name));
            for place in places.into_iter().flatten() {
                let (_, affected) = self.at(*place);
                for binary in affected.binaries.iter().filter(|it| it.name == package.name) {
                    let version = binary.version.as_deref();
                    self.hold(package, *place, MatchedBy::Binary, version, &mut told, found);
                }
            }
        }
        if !all_sources {
            found.not_ruled_out = self.source_only(&named);
        }
        // What hits a package for its own release, may hit it for a product too: that says nothing more.
        let NodeFindings { findings, undecided, .. } = &mut *found;
        undecided.retain(|doubt| {
            let is_same = |hit: &Finding| {
                hit.package == doubt.package
                    && hit.installed == doubt.installed
                    && hit.advisory.id == doubt.advisory.id
            };
            !matches!(doubt.reason, Undecidable::Product(_)) || !findings.iter().any(is_same)
        });
        found.findings.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| key(a).cmp(&key(b))));
        found.undecided.sort_by(|a, b| {
            let key =
                |it: &Undecided| (it.package.clone(), it.advisory.id.clone(), it.installed.clone());
            key(a).cmp(&key(b))
        });
    }

    /// The source of a package; its own name where it is none of the distribution's.
    fn source_of<'b>(&'b self, package: &'b Package) -> Option<&'b str> {
        if self.software.scheme_of(package) != VersionScheme::Deb {
            return package.source_name();
        }
        let names = &self.advisories.sources;
        let own = (!names.is_empty()).then_some(&*package.name);
        names.source_of(&package.name).or(own)
    }

    fn at(&self, place: Place) -> (&Arc<Advisory>, &AffectedPackage) {
        let advisory = &self.advisories.read[place.advisory];
        (advisory, &advisory.affected[place.affected])
    }

    fn hold(
        &self,
        package: &Package,
        place: Place,
        matched_by: MatchedBy,
        built: Option<&str>,
        told: &mut HashSet<(usize, String)>,
        found: &mut NodeFindings,
    ) {
        let (advisory, affected) = self.at(place);
        let verdict = match (self.fit(affected), &affected.ecosystem) {
            (Fit::For, Ecosystem::Distro(distro, _)) => {
                let scheme = distro.scheme();
                affected.judge(scheme, &package.parts(scheme), built)
            }
            (Fit::Unknown(reason), Ecosystem::Distro(distro, _)) => {
                // What would not be hit if it had it is not hit either.
                let scheme = distro.scheme();
                match affected.judge(scheme, &package.parts(scheme), built) {
                    Verdict::NotAffected if reason != Undecidable::System => Verdict::NotAffected,
                    _ => Verdict::Undecided(reason),
                }
            }
            _ => Verdict::NotAffected,
        };
        let installed = self.software.version_of(package);
        let what = match &verdict {
            Verdict::NotAffected => return,
            Verdict::Affected { fixed } => format!("{fixed:?}"),
            Verdict::Undecided(reason) => format!("{reason:?}"),
        };
        // An advisory may name a package for several products, and a package may have several names in it.
        let (name, architecture) = (&package.name, &package.architecture);
        if !told.insert((place.advisory, format!("{name} {architecture:?} {installed:?} {what}"))) {
            return;
        }
        let (advisory, ecosystem) = (Arc::clone(advisory), affected.ecosystem.clone());
        match verdict {
            Verdict::NotAffected => {}
            Verdict::Affected { fixed } => found.findings.push(Finding {
                weight: advisory.weight_of(affected),
                advisory,
                ecosystem,
                package: name.clone(),
                architecture: architecture.clone(),
                installed,
                fixed,
                matched_by,
            }),
            Verdict::Undecided(reason) => {
                let package = name.clone();
                found.undecided.push(Undecided { advisory, ecosystem, package, installed, reason });
            }
        }
    }

    /// How many source packages that advisories name for this node none of its packages is known by.
    fn source_only(&self, named: &HashSet<(usize, usize)>) -> usize {
        let Some(supply) = self.supply().filter(|_| self.distro.is_some_and(names_sources)) else {
            return 0;
        };
        let bare: usize = match &self.release {
            Some(own) => supply.by_release.get(own).map_or(0, |amount| amount.bare),
            // Any of them may be its own.
            None => supply.by_release.values().map(|amount| amount.bare).sum(),
        };
        let is_for = |(advisory, affected): &(usize, usize)| {
            let (_, package) = self.at(Place { advisory: *advisory, affected: *affected });
            matches!(self.fit(package), Fit::For | Fit::Unknown(Undecidable::Release))
        };
        let named = named.iter().filter(|place| is_for(place)).count();
        (supply.for_all.bare + bare).saturating_sub(named)
    }
}

/// Whose advisories name source packages, where they do not tell what is built of them.
fn names_sources(distro: Distro) -> bool {
    use Distro::{Debian, OpenSuse, Raspbian, RockyLinux, Suse, Ubuntu};
    matches!(distro, Debian | OpenSuse | Raspbian | RockyLinux | Suse | Ubuntu)
}

fn rank(finding: &Finding) -> (Option<crate::Rating>, u64) {
    let weight = finding.weight.as_ref();
    let score = weight.and_then(|weight| weight.score).unwrap_or(0.0);
    // Scores have no sign, so their bits are in their order.
    (weight.and_then(|weight| weight.rating), score.to_bits())
}

fn key(finding: &Finding) -> (&str, &str, Option<&str>, Option<&str>) {
    let architecture = finding.architecture.as_deref();
    (&finding.package, &finding.advisory.id, architecture, finding.installed.as_deref())
}

#[cfg(test)]
mod tests;
