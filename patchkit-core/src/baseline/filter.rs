//! What a patch filter looks at, and when a patch passes it.

use super::{PatchFilter, PatchFilterKey};
use crate::{Classification, OperatingSystem, PackageFamily, Patch, PatchSource, Severity};

/// A [`PatchFilter`] with its values read once.
#[derive(Clone, Debug)]
pub(super) struct CompiledFilter {
    key: PatchFilterKey,
    family: PackageFamily,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    /// The key is nobody's: no patch passes.
    Nothing,
    /// `*`.
    Anything,
    Classifications(Vec<Classification>),
    Severities(Vec<Severity>),
    /// Compared byte by byte.
    Exact(Vec<Box<str>>),
    /// Compared without regard to ASCII case.
    AnyCase(Vec<Box<str>>),
}

impl CompiledFilter {
    pub(super) fn new(filter: &PatchFilter, os: &OperatingSystem) -> Self {
        let family = os.family();
        let texts = || filter.values.iter().map(|value| value.as_str().into()).collect();
        let wanted = match &filter.key {
            PatchFilterKey::Other(_) => Wanted::Nothing,
            _ if filter.values.iter().any(|value| value == "*") => Wanted::Anything,
            PatchFilterKey::Classification => Wanted::Classifications(parsed(&filter.values)),
            PatchFilterKey::Severity | PatchFilterKey::MsrcSeverity => {
                Wanted::Severities(parsed(&filter.values))
            }
            key if ignores_case(key, family) => Wanted::AnyCase(texts()),
            _ => Wanted::Exact(texts()),
        };
        Self { key: filter.key.clone(), family, wanted }
    }

    pub(super) fn passes(&self, patch: &Patch) -> bool {
        match &self.wanted {
            Wanted::Nothing => false,
            Wanted::Anything => true,
            Wanted::Classifications(wanted) => {
                patch.classification.as_ref().is_some_and(|it| wanted.contains(it))
            }
            Wanted::Severities(wanted) => {
                patch.severity.as_ref().is_some_and(|it| wanted.contains(it))
            }
            Wanted::Exact(wanted) => {
                self.found(patch).any(|it| wanted.iter().any(|want| **want == *it))
            }
            Wanted::AnyCase(wanted) => {
                self.found(patch).any(|it| wanted.iter().any(|want| want.eq_ignore_ascii_case(it)))
            }
        }
    }

    /// What the patch has of the property this filter looks at; empty where it has none.
    pub(super) fn found<'a>(&self, patch: &'a Patch) -> impl Iterator<Item = &'a str> + use<'a> {
        let (one, many): (Option<&str>, &[String]) = match &self.key {
            PatchFilterKey::PatchSet => (self.patch_set(patch), &[]),
            PatchFilterKey::Product => (None, &patch.products),
            PatchFilterKey::ProductFamily => (None, &patch.product_families),
            PatchFilterKey::Classification => {
                (patch.classification.as_ref().map(Classification::as_str), &[])
            }
            PatchFilterKey::Severity | PatchFilterKey::MsrcSeverity => {
                (patch.severity.as_ref().map(Severity::as_str), &[])
            }
            PatchFilterKey::Section => (patch.section.as_deref(), &[]),
            PatchFilterKey::Priority => (patch.priority.as_deref(), &[]),
            PatchFilterKey::AdvisoryId => (None, &patch.advisories),
            PatchFilterKey::BugzillaId => (None, &patch.bugzilla),
            PatchFilterKey::CveId => (None, &patch.cves),
            PatchFilterKey::PatchId => (Some(patch.id.as_str()), &[]),
            PatchFilterKey::Security => (
                Some(match patch.source {
                    PatchSource::Security => "true",
                    PatchSource::Other => "false",
                }),
                &[],
            ),
            PatchFilterKey::Name => match &patch.package {
                Some(package) => (Some(&package.name), &[]),
                None => (Some(patch.id.as_str()), &[]),
            },
            key => (package_part(key, patch), &[]),
        };
        one.into_iter().chain(many.iter().map(String::as_str)).filter(|text| !text.is_empty())
    }

    /// A Windows patch that names no set is the operating system's: only updates of applications
    /// are marked as such.
    fn patch_set<'a>(&self, patch: &'a Patch) -> Option<&'a str> {
        let unmarked = (self.family == PackageFamily::Windows).then_some("OS");
        patch.patch_set.as_deref().or(unmarked)
    }
}

/// The keys that rules and global filters for this operating system may use; `None` where that is
/// not known.
///
/// The API reference lists them under DescribePatchProperties, without Amazon Linux 2022, Rocky
/// Linux and AlmaLinux, which are taken as their family. It leaves out `SECTION` for APT, which the
/// user guide names and the node's own code reads.
pub(super) fn legal_keys(family: PackageFamily) -> Option<&'static [PatchFilterKey]> {
    Some(match family {
        PackageFamily::Rpm | PackageFamily::Zypper => {
            &[PatchFilterKey::Product, PatchFilterKey::Classification, PatchFilterKey::Severity]
        }
        PackageFamily::Apt => {
            &[PatchFilterKey::Product, PatchFilterKey::Priority, PatchFilterKey::Section]
        }
        PackageFamily::MacOs => &[PatchFilterKey::Product, PatchFilterKey::Classification],
        PackageFamily::Windows => &[
            PatchFilterKey::PatchSet,
            PatchFilterKey::Product,
            PatchFilterKey::ProductFamily,
            PatchFilterKey::Classification,
            PatchFilterKey::MsrcSeverity,
        ],
        PackageFamily::Other => return None,
    })
}

/// Words that a repository spells its own way (`required` for `Required`) and ids that people type
/// are compared without case; names and versions, which differ by case alone, are not.
///
/// Products are names, but the node's own code for APT compares them without case.
fn ignores_case(key: &PatchFilterKey, family: PackageFamily) -> bool {
    match key {
        PatchFilterKey::Product => family == PackageFamily::Apt,
        PatchFilterKey::PatchSet
        | PatchFilterKey::Priority
        | PatchFilterKey::Section
        | PatchFilterKey::Security
        | PatchFilterKey::AdvisoryId
        | PatchFilterKey::CveId => true,
        PatchFilterKey::PatchId => family == PackageFamily::Windows,
        _ => false,
    }
}

fn package_part<'a>(key: &PatchFilterKey, patch: &'a Patch) -> Option<&'a str> {
    let package = patch.package.as_ref()?;
    match key {
        PatchFilterKey::Arch => Some(&package.arch),
        PatchFilterKey::Epoch => Some(&package.epoch),
        PatchFilterKey::Version => Some(&package.version),
        PatchFilterKey::Release => Some(&package.release),
        PatchFilterKey::Repository => Some(&package.repository),
        _ => None,
    }
}

fn parsed<T: std::str::FromStr<Err = std::convert::Infallible>>(values: &[String]) -> Vec<T> {
    values
        .iter()
        .map(|value| {
            let Ok(value) = value.parse();
            value
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Package, PatchId};

    fn patch() -> Patch {
        Patch::new(PatchId::new("openssl").unwrap())
    }

    fn passes(os: &OperatingSystem, key: PatchFilterKey, value: &str, patch: &Patch) -> bool {
        CompiledFilter::new(&PatchFilter::new(key, [value]), os).passes(patch)
    }

    #[test]
    fn a_star_passes_even_a_patch_without_the_property() {
        let os = OperatingSystem::AmazonLinux2;
        assert!(passes(&os, PatchFilterKey::Severity, "*", &patch()));
        assert!(!passes(&os, PatchFilterKey::Severity, "Critical", &patch()));
    }

    #[test]
    fn a_star_inside_a_value_is_no_wildcard() {
        let patch = patch().with_product("WindowsServer2019");
        assert!(!passes(
            &OperatingSystem::Windows,
            PatchFilterKey::Product,
            "WindowsServer*",
            &patch
        ));
    }

    #[test]
    fn no_patch_passes_a_key_that_is_not_known() {
        let key = PatchFilterKey::Other("COLOUR".into());
        assert!(!passes(&OperatingSystem::Windows, key, "*", &patch()));
    }

    #[test]
    fn products_are_compared_without_case_on_apt_only() {
        let ubuntu = patch().with_product("ubuntu22.04");
        assert!(passes(&OperatingSystem::Ubuntu, PatchFilterKey::Product, "Ubuntu22.04", &ubuntu));
        let linux = patch().with_product("amazonlinux2.0");
        let os = OperatingSystem::AmazonLinux2;
        assert!(!passes(&os, PatchFilterKey::Product, "AmazonLinux2.0", &linux));
    }

    #[test]
    fn classification_and_severity_fold_spelling() {
        let patch =
            patch().with_classification(Classification::Security).with_severity(Severity::Critical);
        let os = OperatingSystem::RockyLinux;
        assert!(passes(&os, PatchFilterKey::Classification, "SECURITY", &patch));
        assert!(passes(&os, PatchFilterKey::Severity, "critical", &patch));
        assert!(!passes(&os, PatchFilterKey::Classification, "SecurityUpdates", &patch));
    }

    #[test]
    fn an_unmarked_windows_patch_is_the_operating_systems() {
        let os = OperatingSystem::Windows;
        assert!(passes(&os, PatchFilterKey::PatchSet, "OS", &patch()));
        assert!(!passes(&os, PatchFilterKey::PatchSet, "APPLICATION", &patch()));
        let os = OperatingSystem::Suse;
        assert!(!passes(&os, PatchFilterKey::PatchSet, "OS", &patch()));
    }

    #[test]
    fn every_key_reads_its_own_property() {
        let mut patch = patch();
        patch.package = Some(Package {
            name: "openssl".into(),
            arch: "x86_64".into(),
            epoch: "1".into(),
            version: "3.0.7".into(),
            release: "2.amzn2".into(),
            repository: "updates".into(),
        });
        patch.products = vec!["P".into()];
        patch.product_families = vec!["F".into()];
        patch.patch_set = Some("S".into());
        patch.priority = Some("Q".into());
        patch.section = Some("libs".into());
        patch.advisories = vec!["A-1".into()];
        patch.bugzilla = vec!["42".into()];
        patch.cves = vec!["CVE-1".into()];
        patch.classification = Some(Classification::Bugfix);
        patch.severity = Some(Severity::Low);
        for (key, found) in PatchFilterKey::KNOWN.iter().zip([
            "x86_64", "A-1", "42", "S", "P", "F", "Bugfix", "CVE-1", "1", "Low", "openssl",
            "openssl", "libs", "Q", "updates", "2.amzn2", "Low", "true", "3.0.7",
        ]) {
            assert!(
                passes(&OperatingSystem::AmazonLinux2, key.clone(), found, &patch),
                "{key} {found}"
            );
            assert!(!passes(&OperatingSystem::AmazonLinux2, key.clone(), "none", &patch), "{key}");
        }
    }
}
