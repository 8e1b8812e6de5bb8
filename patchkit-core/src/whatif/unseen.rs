//! Patches that a catalogue offers to a node and that its report could not show.

use std::{cmp::Ordering, collections::HashMap};

use jiff::Timestamp;

use super::{
    matrix::{Cohort, Column, Evidence, MatrixNode, Origin},
    patch_key::version,
    plane::Plane,
    scenario::Scenario,
};
use crate::{Approval, Classification, CompiledBaseline, OperatingSystem, PackageFamily, Patch};

/// Orders two versions of one package of an operating system; `None` where they have no order that
/// is known.
pub type CompareVersions = fn(&OperatingSystem, &str, &str) -> Option<Ordering>;

/// What a catalogue offers to the nodes of a cohort.
pub(super) struct Offers<'a> {
    cohort: &'a Cohort,
    scanned_under: Option<&'a (Scenario, CompareVersions)>,
    /// The columns of each package, for those that the catalogue offers.
    packages: Vec<Package>,
    /// The package of each column.
    package_of: Vec<Option<usize>>,
}

#[derive(Default)]
struct Package {
    offered: Vec<usize>,
    /// The offered columns that are newer than a column that nodes report.
    newer: HashMap<usize, Vec<usize>>,
}

impl<'a> Offers<'a> {
    pub(super) fn new(
        cohort: &'a Cohort,
        scanned_under: Option<&'a (Scenario, CompareVersions)>,
    ) -> Self {
        let mut offers = Self {
            cohort,
            scanned_under,
            packages: Vec::new(),
            package_of: vec![None; cohort.patches.len()],
        };
        if scanned_under.is_some() {
            offers.group();
        }
        offers
    }

    /// Groups the columns by the package that they are versions of.
    fn group(&mut self) {
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        let columns = &self.cohort.patches;
        for (number, column) in columns.iter().enumerate() {
            if column.origin == Origin::Catalogue {
                let package = *by_id.entry(column.patch.id.as_str()).or_insert_with(|| {
                    self.packages.push(Package::default());
                    self.packages.len() - 1
                });
                self.packages[package].offered.push(number);
            }
        }
        for (column, package) in columns.iter().zip(&mut self.package_of) {
            *package = by_id.get(column.patch.id.as_str()).copied();
        }
    }

    /// The plane of what each node may lack without its report saying so. `products` are the nodes'.
    pub(super) fn unseen(mut self, products: &[Vec<String>]) -> Plane {
        let (rows, width) = (self.cohort.nodes.len(), self.cohort.patches.len());
        let Some((scenario, compare)) = self.scanned_under else {
            return Plane::empty(rows, width);
        };
        let mut all: Vec<Vec<u32>> = Vec::with_capacity(rows);
        let mut shown: Vec<(&crate::PatchBaseline, Vec<Shown>)> = Vec::new();
        for (row, products) in products.iter().enumerate() {
            let node = &self.cohort.nodes[row];
            let group = node.group.as_ref();
            let baseline = scenario.baselines.baseline_for(&self.cohort.operating_system, group);
            let usable = matches!(node.evidence, Evidence::Whole | Evidence::Part);
            let (Some(baseline), true) = (baseline, usable) else {
                // Nothing shows what its report would have had in it.
                all.push(Vec::new());
                continue;
            };
            let known = shown.iter().position(|(of, _)| *of == baseline);
            let at = known.unwrap_or_else(|| {
                let compiled = CompiledBaseline::new(baseline).with_boundary(scenario.boundary);
                let columns = self.cohort.patches.iter();
                let from = columns.map(|column| Shown::of(&compiled, &column.patch)).collect();
                shown.push((baseline, from));
                shown.len() - 1
            });
            let mut offered = self.offered_to(row, products, *compare);
            offered.retain(|number| shown[at].1[*number].hides(node));
            all.push(offered.into_iter().filter_map(|it| u32::try_from(it).ok()).collect());
        }
        let mut plane = Plane::new(rows, width, all.iter().map(Vec::len).sum());
        for row in all {
            plane.push(row.into_iter());
        }
        plane.turn();
        plane
    }

    /// What a node could take of the catalogue and does not report, in rising order.
    fn offered_to(
        &mut self,
        row: usize,
        products: &[String],
        compare: CompareVersions,
    ) -> Vec<usize> {
        let cohort = self.cohort;
        let reported: Vec<usize> = cohort.facts(row).map(|(number, _)| number).collect();
        let mut offered = if cohort.operating_system.family() == PackageFamily::Windows {
            let fits =
                |column: &Column| column.patch.products.iter().any(|it| products.contains(it));
            let columns = self.packages.iter().flat_map(|package| &package.offered);
            columns.copied().filter(|number| fits(&cohort.patches[*number])).collect()
        } else {
            self.newer_than(&reported, compare)
        };
        offered.retain(|number| !reported.contains(number));
        offered.sort_unstable();
        offered.dedup();
        offered
    }

    /// The offered versions that are newer than every version of their package that is reported: a
    /// node has several kernels, and the newest counts.
    fn newer_than(&mut self, reported: &[usize], compare: CompareVersions) -> Vec<usize> {
        let mut versions: HashMap<usize, usize> = HashMap::new();
        let mut newer: HashMap<usize, usize> = HashMap::new();
        for number in reported {
            let Some(package) = self.package_of[*number] else { continue };
            *versions.entry(package).or_default() += 1;
            for offered in self.newer_versions(package, *number, compare) {
                *newer.entry(*offered).or_default() += 1;
            }
        }
        let than_all = |(offered, count): (usize, usize)| {
            let package = self.package_of[offered]?;
            (versions.get(&package) == Some(&count)).then_some(offered)
        };
        newer.into_iter().filter_map(than_all).collect()
    }

    fn newer_versions(
        &mut self,
        package: usize,
        number: usize,
        compare: CompareVersions,
    ) -> &[usize] {
        let (os, columns) = (&self.cohort.operating_system, &self.cohort.patches);
        let Package { offered, newer } = &mut self.packages[package];
        newer.entry(number).or_insert_with(|| {
            let reported = version(&columns[number].patch);
            let is_newer = |offered: &usize| {
                let order = compare(os, &version(&columns[*offered].patch), &reported);
                *offered != number && order.is_none_or(Ordering::is_gt)
            };
            offered.iter().copied().filter(is_newer).collect()
        })
    }
}

/// Since when a report shows a patch that is absent.
#[derive(Clone, Copy)]
enum Shown {
    Never,
    Since(Timestamp),
}

impl Shown {
    fn of(baseline: &CompiledBaseline, patch: &Patch) -> Self {
        let windows = baseline.baseline().operating_system.family() == PackageFamily::Windows;
        // An approval is never taken back as time goes.
        let decision = baseline.decide(patch, Timestamp::MAX);
        let rejected = decision.approval == Approval::ExplicitRejected;
        let security = patch.classification.as_ref().is_some_and(Classification::is_security);
        if windows && security && !rejected {
            // Reported as an available security update before it is approved.
            Self::Since(Timestamp::MIN)
        } else if decision.is_approved() {
            Self::Since(decision.approved_from.unwrap_or(Timestamp::MIN))
        } else {
            Self::Never
        }
    }

    fn hides(self, node: &MatrixNode) -> bool {
        match (self, node.observed_at) {
            (Self::Never, _) => true,
            (Self::Since(from), Some(scanned)) => scanned < from,
            // It was scanned at some time: only what was shown always was shown then.
            (Self::Since(from), None) => from > Timestamp::MIN,
        }
    }
}
