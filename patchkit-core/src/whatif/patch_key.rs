//! By what two patches are the same.

use crate::{OperatingSystem, PackageFamily, Patch};

/// A patch's id and, where it is a package, its version: of one package nodes have many.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct PatchKey {
    pub(super) id: Box<str>,
    /// `epoch:version-release` without an epoch of zero; empty where the id says all.
    pub(super) version: Box<str>,
}

impl PatchKey {
    pub(super) fn of(os: &OperatingSystem, patch: &Patch) -> Self {
        match os.family() {
            // Titles of one update differ from product to product, and its number is in all cases
            // the same but for its case.
            PackageFamily::Windows => {
                Self { id: patch.id.as_str().to_ascii_uppercase().into(), version: "".into() }
            }
            _ => Self { id: patch.id.as_str().into(), version: version(patch).into() },
        }
    }
}

/// The version by which packages of one name are told apart.
///
/// A catalogue has it in parts; the title of a report is `name.arch:epoch:version-release`, or
/// without what the id says already (user guide, "InstallOverrideList", for the form of titles).
pub(super) fn version(patch: &Patch) -> String {
    if let Some(package) = &patch.package
        && !package.version.is_empty()
    {
        let release = if package.release.is_empty() { "" } else { "-" };
        let text = format!("{}{release}{}", package.version, package.release);
        return with_epoch(&package.epoch, &text);
    }
    let title = patch.title.as_deref().unwrap_or_default();
    let id = patch.id.as_str();
    let name = id.rsplit_once('.').map_or(id, |(name, _)| name);
    let behind = |prefix: &str| title.strip_prefix(prefix)?.strip_prefix(':');
    let text = behind(id).or_else(|| behind(name)).unwrap_or(title);
    match text.split_once(':') {
        Some((epoch, version)) => with_epoch(epoch, version),
        None => text.to_owned(),
    }
}

fn with_epoch(epoch: &str, version: &str) -> String {
    match epoch {
        "" | "0" | "(none)" => version.to_owned(),
        _ => format!("{epoch}:{version}"),
    }
}

/// Adds what another description says of the same patch. Descriptions come in any order: of two
/// that contradict each other the smaller text stands, so that the order has no say.
pub(super) fn merge(patch: &mut Patch, other: Patch) {
    least(&mut patch.title, other.title);
    patch.released_at = match (patch.released_at, other.released_at) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    least(&mut patch.classification, other.classification);
    least(&mut patch.severity, other.severity);
    least(&mut patch.patch_set, other.patch_set);
    least(&mut patch.priority, other.priority);
    least(&mut patch.section, other.section);
    patch.package = patch.package.take().or(other.package);
    for (into, from) in [
        (&mut patch.products, other.products),
        (&mut patch.product_families, other.product_families),
        (&mut patch.advisories, other.advisories),
        (&mut patch.bugzilla, other.bugzilla),
        (&mut patch.cves, other.cves),
    ] {
        let new: Vec<_> = from.into_iter().filter(|it| !into.contains(it)).collect();
        if !new.is_empty() {
            into.extend(new);
            into.sort_unstable();
        }
    }
}

fn least<T: Ord>(into: &mut Option<T>, from: Option<T>) {
    *into = match (into.take(), from) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Package, PatchId};

    fn titled(id: &str, title: &str) -> Patch {
        Patch::new(PatchId::new(id).unwrap()).with_title(title)
    }

    #[test]
    fn a_reports_title_and_a_catalogues_parts_are_one_version() {
        let mut offered = Patch::new(PatchId::new("bash.x86_64").unwrap());
        offered.package = Some(Package {
            name: "bash".into(),
            arch: "x86_64".into(),
            epoch: "0".into(),
            version: "5.2.15".into(),
            release: "1.amzn2023".into(),
            ..Package::default()
        });
        let os = OperatingSystem::AmazonLinux2023;
        for title in [
            "bash.x86_64:0:5.2.15-1.amzn2023",
            "bash:0:5.2.15-1.amzn2023",
            "0:5.2.15-1.amzn2023",
            "(none):5.2.15-1.amzn2023",
            "5.2.15-1.amzn2023",
        ] {
            let reported = titled("bash.x86_64", title);
            assert_eq!(PatchKey::of(&os, &reported), PatchKey::of(&os, &offered), "{title}");
        }
        let other = titled("bash.x86_64", "bash.x86_64:1:5.2.15-1.amzn2023");
        assert_ne!(PatchKey::of(&os, &other), PatchKey::of(&os, &offered));
    }

    #[test]
    fn an_update_of_windows_is_its_number() {
        let os = OperatingSystem::Windows;
        let a = titled("KB5034441", "2024-01 Update for Windows Server 2019 (KB5034441)");
        let b = titled("kb5034441", "2024-01 Update for Windows Server 2022 (KB5034441)");
        assert_eq!(PatchKey::of(&os, &a), PatchKey::of(&os, &b));
    }

    #[test]
    fn the_order_of_descriptions_has_no_say() {
        let mut a = titled("bash", "b").with_product("P2");
        a.cves = vec!["CVE-2".into()];
        let b = titled("bash", "a").with_product("P1").with_severity(crate::Severity::Low);
        let (mut ab, mut ba) = (a.clone(), b.clone());
        merge(&mut ab, b);
        merge(&mut ba, a);
        assert_eq!(ab, ba);
        assert_eq!(ab.products, ["P1", "P2"]);
    }
}
