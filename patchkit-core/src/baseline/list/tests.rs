use proptest::prelude::*;

use super::*;
use crate::{OperatingSystem, Package, PatchId};

fn named(id: &str) -> Patch {
    Patch::new(PatchId::new(id).unwrap())
}

fn openssl() -> Patch {
    let mut patch = named("openssl.x86_64");
    patch.package = Some(Package {
        name: "openssl".into(),
        arch: "x86_64".into(),
        epoch: "1".into(),
        version: "1.0.2k".into(),
        release: "24.amzn2".into(),
        repository: "amzn2-core".into(),
    });
    patch.advisories = vec!["ALAS-2018-123".into(), "RHSA-2017:0864".into()];
    patch.cves = vec!["CVE-2018-1234567".into()];
    patch.bugzilla = vec!["1234567".into()];
    patch
}

fn hits(os: &OperatingSystem, kind: ListKind, entry: &str, patch: &Patch) -> bool {
    let list = CompiledList::new(&[entry.to_owned()], kind, os.family());
    list.matches(&Subject::new(patch, &Names::of(patch, os.family()))).next().is_some()
}

fn problem(os: &OperatingSystem, kind: ListKind, entry: &str) -> Option<&'static str> {
    Entry::parse(entry, kind, os.family()).err()
}

#[test]
fn an_rpm_approved_list_takes_tickets_vulnerabilities_advisories_and_names() {
    let os = OperatingSystem::AmazonLinux2;
    for entry in [
        "1234567",
        "CVE-2018-1234567",
        "cve-2018-1234567",
        "RHSA-2017:0864",
        "ALAS-2018-123",
        "openssl",
        "openssl.x86_64",
        "openssl-1.0.2k-24.amzn2",
        "openssl-1.0.2k-24.amzn2.x86_64",
        "openssl-1:1.0.2k-24.amzn2.x86_64",
        "1:openssl-1.0.2k-24.amzn2.x86_64",
        "openssl.x86_64:1:1.0.2k-24.amzn2",
        "openssl-*.amzn2.x86_64",
        "open*",
        "*.x86_64",
        "*",
    ] {
        assert!(hits(&os, ListKind::Approved, entry, &openssl()), "{entry}");
    }
    for entry in ["123456", "openssl-libs", "OpenSSL", "CVE-2018-1", "o*k", "open*ssl*", "openssl-"]
    {
        assert!(!hits(&os, ListKind::Approved, entry, &openssl()), "{entry}");
    }
}

#[test]
fn digits_are_a_ticket_and_never_a_package() {
    assert!(!hits(&OperatingSystem::CentOs, ListKind::Approved, "389", &named("389")));
}

#[test]
fn an_rpm_rejected_list_takes_only_names() {
    let os = OperatingSystem::RedHatEnterpriseLinux;
    for entry in ["openssl", "openssl*", "openssl-1.0.2k-24.amzn2.x86_64"] {
        assert!(hits(&os, ListKind::Rejected, entry, &openssl()), "{entry}");
    }
    for entry in ["1234567", "CVE-2018-1234567", "RHSA-2017:0864", "ALAS-2018-123"] {
        assert!(!hits(&os, ListKind::Rejected, entry, &openssl()), "{entry}");
        assert!(problem(&os, ListKind::Rejected, entry).is_some(), "{entry}");
        assert_eq!(problem(&os, ListKind::Approved, entry), None, "{entry}");
    }
}

#[test]
fn a_package_known_by_its_id_alone_is_found_with_and_without_architecture() {
    let os = OperatingSystem::RockyLinux;
    for entry in ["python3.11", "python3.11.x86_64"] {
        assert!(hits(&os, ListKind::Rejected, entry, &named("python3.11.x86_64")), "{entry}");
    }
    assert!(!hits(&os, ListKind::Rejected, "python3", &named("python3.11")));
}

#[test]
fn an_absent_epoch_is_zero() {
    let mut patch = openssl();
    patch.package.as_mut().unwrap().epoch.clear();
    let os = OperatingSystem::OracleLinux;
    assert!(hits(&os, ListKind::Approved, "openssl-0:1.0.2k-24.amzn2", &patch));
}

#[test]
fn an_apt_list_takes_bare_names() {
    let os = OperatingSystem::Ubuntu;
    for id in ["libssl1.1", "libssl1.1.amd64", "libssl1.1:amd64"] {
        assert!(hits(&os, ListKind::Approved, "libssl1.1", &named(id)), "{id}");
    }
    for entry in ["libssl1.1:amd64", "libssl1.1.amd64", "libssl1.1=1.1.1f", "libssl*", "a b"] {
        assert!(problem(&os, ListKind::Approved, entry).is_some(), "{entry}");
        assert!(!hits(&os, ListKind::Approved, entry, &named("libssl1.1")), "{entry}");
    }
}

#[test]
fn a_suse_list_takes_patches_packages_and_a_wildcard() {
    let os = OperatingSystem::Suse;
    let patch = named("SUSE-SLE-Example-Package-12-2018-123");
    for kind in [ListKind::Approved, ListKind::Rejected] {
        for entry in ["SUSE-SLE-Example-Package-12-2018-123", "SUSE-SLE-Example-Package-12-2018-*"]
        {
            assert!(hits(&os, kind, entry, &patch), "{entry}");
        }
        for entry in ["openssl-1.0.2k-24.amzn2.x86_64.rpm", "openssl-1.0.2k-24.amzn2.*.rpm"] {
            assert!(hits(&os, kind, entry, &openssl()), "{entry}");
        }
    }
}

#[test]
fn a_macos_list_takes_full_names_without_wildcard() {
    let os = OperatingSystem::MacOs;
    let patch = named("Security Update 2022-001");
    assert!(hits(&os, ListKind::Approved, "Security Update 2022-001", &patch));
    assert!(!hits(&os, ListKind::Approved, "Security Update*", &patch));
    assert!(problem(&os, ListKind::Approved, "Security Update*").is_some());
}

#[test]
fn a_windows_list_takes_kb_and_bulletin_ids() {
    let os = OperatingSystem::Windows;
    for (entry, id) in
        [("KB2032276", "KB2032276"), ("kb2032276", "2032276"), ("2032276", "Kb2032276")]
    {
        assert!(hits(&os, ListKind::Rejected, entry, &named(id)), "{entry} {id}");
    }
    let mut patch = named("KB2032276");
    patch.advisories.push("MS10-048".into());
    assert!(hits(&os, ListKind::Approved, "ms10-048", &patch));
    assert!(!hits(&os, ListKind::Approved, "MS10-049", &patch));
    for entry in ["*", "KB*", "KB", "MS10-48", "Update for Windows", "KB12é"] {
        assert!(problem(&os, ListKind::Approved, entry).is_some(), "{entry}");
    }
}

#[test]
fn hostile_entries_are_refused_without_a_panic() {
    for os in OperatingSystem::KNOWN {
        for kind in [ListKind::Approved, ListKind::Rejected] {
            assert!(problem(&os, kind, "").is_some());
            assert!(problem(&os, kind, "a\u{0}b").is_some());
            let _ = problem(&os, kind, "é");
            let _ = problem(&os, kind, &"*".repeat(10_000));
        }
    }
}

/// Every way to split the text at the star's place, tried.
fn naive(pattern: &str, text: &str) -> bool {
    let (prefix, suffix) = pattern.split_once('*').unwrap();
    (0..=text.len()).any(|from| {
        (from..=text.len())
            .any(|to| text.get(..from) == Some(prefix) && text.get(to..) == Some(suffix))
    })
}

proptest! {
    #[test]
    fn a_wildcard_matches_as_a_naive_matcher_does(
        prefix in "[abé]{0,4}", suffix in "[abé]{0,4}", text in "[abé]{0,9}",
    ) {
        let pattern = format!("{prefix}*{suffix}");
        let glob = Glob { prefix: prefix.into(), suffix: suffix.into() };
        prop_assert_eq!(glob.matches(&text), naive(&pattern, &text));
    }

    #[test]
    fn long_names_are_compared_to_their_last_letter(
        text in "[a-c]{0,40}", cut in 0_usize..41, other in 0_usize..40,
    ) {
        let prefix = text[..cut.min(text.len())].to_owned();
        let glob = |prefix: &str| Glob { prefix: prefix.into(), suffix: "".into() };
        prop_assert!(glob(&prefix).matches(&text));
        let mut wrong = prefix.into_bytes();
        if let Some(letter) = wrong.get_mut(other) {
            *letter = b'd';
            prop_assert!(!glob(&String::from_utf8(wrong).unwrap()).matches(&text));
        }
    }

    #[test]
    fn no_entry_and_no_patch_makes_matching_panic(entry in "\\PC{0,30}", id in "\\PC{1,30}") {
        if let Ok(id) = PatchId::new(id) {
            let patch = Patch::new(id);
            for os in OperatingSystem::KNOWN {
                hits(&os, ListKind::Approved, &entry, &patch);
                hits(&os, ListKind::Rejected, &entry, &patch);
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn the_quick_no_is_no_other_answer(
        baseline in crate::baseline::testing::any_baseline(),
        patch in crate::baseline::testing::any_patch(),
        bare in proptest::prelude::any::<bool>(),
    ) {
        let family = baseline.operating_system.family();
        let mut patch = patch;
        if bare {
            patch.cves.clear();
        }
        let names = Names::of(&patch, family);
        let subject = Subject::new(&patch, &names);
        for (list, kind) in [
            (&baseline.approved_patches, ListKind::Approved),
            (&baseline.rejected_patches, ListKind::Rejected),
        ] {
            let list = CompiledList::new(list, kind, family);
            proptest::prop_assert_eq!(list.first_match(&subject), list.matches(&subject).next());
        }
    }
}
