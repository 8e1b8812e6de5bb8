//! What machines run, and which patches there are for it.

use std::time::Duration;

use jiff::Timestamp;
use patchkit_core::{
    Classification, OperatingSystem, Package, PackageFamily, Patch, PatchId, PatchSource, Severity,
};

use super::clock::earlier;
use crate::rng::{Rng, mix};

const DAY: Duration = Duration::from_hours(24);

/// The place of a system in the catalogue.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct SystemIx(pub(crate) u32);

/// An operating system in one version, and its patches.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) os: OperatingSystem,
    /// As the agent reports it: `Amazon Linux`.
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// As baselines filter by it: `AmazonLinux2023`.
    pub(crate) product: &'static str,
    /// Publisher, offer and SKU of the image; none where Azure has no such image.
    pub(crate) image: Option<[&'static str; 3]>,
    pub(crate) patches: Vec<Patch>,
}

impl System {
    pub(crate) fn is_windows(&self) -> bool {
        self.os == OperatingSystem::Windows
    }

    /// As Systems Manager names the kind.
    pub(crate) fn platform_type(&self) -> &'static str {
        if self.is_windows() { "Windows" } else { "Linux" }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    systems: Vec<System>,
    /// Systems whose patches someone named, behind the others in the order of their places. The
    /// clouds publish nothing of them.
    named: Vec<System>,
}

impl Catalogue {
    /// Makes a catalogue of about `patches` patches, released in the thirteen months before `now`.
    pub(crate) fn new(seed: u64, patches: usize, now: Timestamp) -> Self {
        let each = patches.div_ceil(SYSTEMS.len()).max(12);
        let systems = SYSTEMS
            .iter()
            .enumerate()
            .map(|(index, spec)| {
                let (os, name, version, product, tail, image) = spec;
                let system = Made { os, version, product, tail };
                let patches = (0..each).map(|n| system.patch(seed, index, n, now)).collect();
                let (os, image) = (os.clone(), *image);
                System { os, name, version, product, image, patches }
            })
            .collect();
        Self { systems, named: Vec::new() }
    }

    pub(crate) fn system(&self, index: SystemIx) -> &System {
        let place = index.0 as usize;
        self.systems.get(place).unwrap_or_else(|| &self.named[place - self.systems.len()])
    }

    /// Those whose patches the clouds publish.
    pub(crate) fn systems(&self) -> impl Iterator<Item = (SystemIx, &System)> {
        (0u32..).map(SystemIx).zip(&self.systems)
    }

    /// How many systems there are, with those whose patches nobody publishes.
    pub(crate) fn count(&self) -> usize {
        self.systems.len() + self.named.len()
    }

    /// The first system of an operating system.
    pub(crate) fn first_of(&self, os: &OperatingSystem) -> Option<&System> {
        self.systems.iter().find(|it| it.os == *os)
    }

    /// A system as another one, but for its patches.
    pub(crate) fn with_patches(
        &mut self,
        os: &OperatingSystem,
        patches: Vec<Patch>,
    ) -> Option<SystemIx> {
        let System { os, name, version, product, image, .. } = self.first_of(os)?;
        let (os, name, version, product, image) = (os.clone(), *name, *version, *product, *image);
        let same = |it: &System| it.os == os && it.patches == patches;
        let place = self.named.iter().position(same).unwrap_or_else(|| {
            self.named.push(System { os, name, version, product, image, patches });
            self.named.len() - 1
        });
        u32::try_from(self.systems.len() + place).ok().map(SystemIx)
    }

    /// The systems that one image or another of Azure has.
    pub(crate) fn on_azure(&self) -> Vec<SystemIx> {
        self.systems()
            .filter(|(_, system)| system.image.is_some())
            .map(|(index, _)| index)
            .collect()
    }
}

type Spec = (
    OperatingSystem,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<[&'static str; 3]>,
);

const SYSTEMS: [Spec; 8] = [
    (
        OperatingSystem::AmazonLinux2023,
        "Amazon Linux",
        "2023",
        "AmazonLinux2023",
        "amzn2023.0.2",
        None,
    ),
    (OperatingSystem::AmazonLinux2, "Amazon Linux", "2", "AmazonLinux2.0", "amzn2.0.4", None),
    (
        OperatingSystem::RedHatEnterpriseLinux,
        "Red Hat Enterprise Linux",
        "9.4",
        "RedhatEnterpriseLinux9.4",
        "el9_4",
        Some(["RedHat", "RHEL", "94_gen2"]),
    ),
    (
        OperatingSystem::Ubuntu,
        "Ubuntu",
        "22.04",
        "Ubuntu22.04",
        "ubuntu0.22.04.1",
        Some(["Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"]),
    ),
    (
        OperatingSystem::Debian,
        "Debian GNU/Linux",
        "12",
        "Debian12",
        "deb12u1",
        Some(["Debian", "debian-12", "12-gen2"]),
    ),
    (
        OperatingSystem::Suse,
        "SLES",
        "15.5",
        "SuseLinuxEnterpriseServer15.5",
        "150500.3.1",
        Some(["SUSE", "sles-15-sp5", "gen2"]),
    ),
    (
        OperatingSystem::Windows,
        "Microsoft Windows Server 2019 Datacenter",
        "10.0.17763",
        "WindowsServer2019",
        "",
        Some(["MicrosoftWindowsServer", "WindowsServer", "2019-datacenter-gensecond"]),
    ),
    (
        OperatingSystem::Windows,
        "Microsoft Windows Server 2022 Datacenter",
        "10.0.20348",
        "WindowsServer2022",
        "",
        Some(["MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-g2"]),
    ),
];

const PACKAGES: [&str; 48] = [
    "openssl",
    "kernel",
    "glibc",
    "curl",
    "sudo",
    "systemd",
    "bash",
    "expat",
    "zlib",
    "openssh",
    "python3",
    "perl",
    "vim",
    "bind-utils",
    "krb5-libs",
    "libxml2",
    "gnutls",
    "nss",
    "sqlite",
    "tar",
    "gzip",
    "rsync",
    "cups-libs",
    "dbus",
    "polkit",
    "nginx",
    "httpd",
    "postgresql",
    "mariadb",
    "redis",
    "php",
    "ruby",
    "nodejs",
    "git",
    "less",
    "wget",
    "libssh",
    "libarchive",
    "ncurses",
    "pam",
    "shadow-utils",
    "util-linux",
    "e2fsprogs",
    "grub2",
    "dracut",
    "firewalld",
    "chrony",
    "rpcbind",
];

struct Made<'a> {
    os: &'a OperatingSystem,
    version: &'a str,
    product: &'a str,
    tail: &'a str,
}

impl Made<'_> {
    fn patch(&self, seed: u64, system: usize, n: usize, now: Timestamp) -> Patch {
        let mut rng = Rng::stream(seed, 0xCA7A_1064, mix(system as u64) ^ n as u64);
        let released = earlier(now, DAY * u32::try_from(rng.below(395)).unwrap_or(0));
        if *self.os == OperatingSystem::Windows {
            self.update(&mut rng, system, n, released)
        } else {
            self.package(&mut rng, n, released)
        }
    }

    fn update(&self, rng: &mut Rng, system: usize, n: usize, released: Timestamp) -> Patch {
        let number = 5_030_000 + system * 10_000 + n;
        let (classification, what, severity) = match rng.below(20) {
            0 => (
                Classification::DefinitionUpdates,
                "Security Intelligence Update",
                Severity::Unspecified,
            ),
            1 | 2 => {
                (Classification::CriticalUpdates, "Servicing Stack Update", Severity::Critical)
            }
            3 | 4 => (Classification::Updates, "Cumulative Update Preview", Severity::Unspecified),
            5 | 6 => (Classification::UpdateRollups, "Update Rollup", Severity::Unspecified),
            _ => {
                let severity =
                    [Severity::Critical, Severity::Important, Severity::Moderate, Severity::Low];
                (Classification::SecurityUpdates, "Cumulative Update", rng.pick(&severity).clone())
            }
        };
        let month = released.strftime("%Y-%m");
        let server = self.product.trim_start_matches("WindowsServer");
        let title = format!(
            "{month} {what} for Windows Server {server} for x64-based Systems (KB{number})"
        );
        let mut patch = named(&format!("KB{number}"))
            .with_title(title)
            .with_released_at(released)
            .with_product(self.product)
            .with_severity(severity);
        if classification.is_security() {
            patch.cves = cves(rng);
        }
        patch.classification = Some(classification);
        patch.patch_set = Some("OS".to_owned());
        patch.product_families.push("Windows".to_owned());
        patch
    }

    fn package(&self, rng: &mut Rng, n: usize, released: Timestamp) -> Patch {
        let name = match n / PACKAGES.len() {
            0 => PACKAGES[n].to_owned(),
            round => format!("{}-module{round}", PACKAGES[n % PACKAGES.len()]),
        };
        let apt = self.os.family() == PackageFamily::Apt;
        let version = format!("{}.{}.{}", 1 + rng.below(9), rng.below(20), rng.below(40));
        let release = if apt {
            format!("{}{}", rng.below(9), self.tail)
        } else {
            format!("{}.{}", 1 + rng.below(30), self.tail)
        };
        let arch = if apt { "amd64" } else { "x86_64" };
        let security = rng.percent(70);
        let source = if security { PatchSource::Security } else { PatchSource::Other };
        let package = Package {
            name: name.clone(),
            arch: arch.to_owned(),
            epoch: if apt { String::new() } else { "0".to_owned() },
            version: version.clone(),
            release: release.clone(),
            repository: self.repository(source),
        };
        // The names of AWS's agent (user guide, "Package name formats for approved and rejected
        // patch lists"): `name.arch:epoch:version-release`, on APT `name.arch:version`.
        let title = if apt {
            format!("{name}.{arch}:{version}-{release}")
        } else {
            format!("{name}.{arch}:0:{version}-{release}")
        };
        let mut patch =
            named(&format!("{name}.{arch}")).with_title(title).with_product(self.product);
        patch.package = Some(package);
        patch = patch.with_source(source);
        if apt {
            let priority = ["Required", "Important", "Standard", "Optional", "Extra"];
            patch.priority = Some((*rng.pick(&priority)).to_owned());
            patch.section = Some((*rng.pick(&["libs", "utils", "admin", "net"])).to_owned());
        } else {
            let classification = match (security, self.os) {
                (true, _) => Classification::Security,
                (false, OperatingSystem::Suse) => Classification::Recommended,
                (false, _) if rng.percent(75) => Classification::Bugfix,
                (false, _) => Classification::Enhancement,
            };
            let middle = match self.os {
                OperatingSystem::AmazonLinux2023 | OperatingSystem::AmazonLinux2 => {
                    Severity::Medium
                }
                _ => Severity::Moderate,
            };
            let severity = [Severity::Critical, Severity::Important, middle, Severity::Low];
            patch =
                patch.with_released_at(released).with_classification(classification).with_severity(
                    if security { rng.pick(&severity).clone() } else { Severity::Unspecified },
                );
            patch.advisories.push(self.advisory(rng, released));
        }
        if security {
            patch.cves = cves(rng);
        }
        patch
    }

    fn repository(&self, source: PatchSource) -> String {
        match (self.os, source) {
            (OperatingSystem::Ubuntu, PatchSource::Security) => "jammy-security".to_owned(),
            (OperatingSystem::Ubuntu, PatchSource::Other) => "jammy-updates".to_owned(),
            (OperatingSystem::Debian, PatchSource::Security) => "bookworm-security".to_owned(),
            (OperatingSystem::Debian, PatchSource::Other) => "bookworm-updates".to_owned(),
            (OperatingSystem::AmazonLinux2, _) => "amzn2-core".to_owned(),
            (OperatingSystem::AmazonLinux2023, _) => "amazonlinux".to_owned(),
            (OperatingSystem::Suse, _) => format!("SLE-Module-Basesystem{}-Updates", self.version),
            _ => "rhel-9-baseos-rhui-rpms".to_owned(),
        }
    }

    fn advisory(&self, rng: &mut Rng, released: Timestamp) -> String {
        let (year, number) = (released.strftime("%Y"), 100 + rng.below(9_000));
        match self.os {
            OperatingSystem::AmazonLinux2023 => format!("ALAS2023-{year}-{number}"),
            OperatingSystem::AmazonLinux2 => format!("ALAS2-{year}-{number}"),
            OperatingSystem::Suse => format!("SUSE-SU-{year}:{number}-1"),
            _ => format!("RHSA-{year}:{number}"),
        }
    }
}

fn cves(rng: &mut Rng) -> Vec<String> {
    (0..=rng.below(3)).map(|_| format!("CVE-2026-{}", 1_000 + rng.below(48_000))).collect()
}

fn named(id: &str) -> Patch {
    // Letters, digits, dots and dashes: always an id.
    #[expect(clippy::expect_used, reason = "made here of letters, digits, dots and dashes")]
    let id = PatchId::new(id).expect("a made id is valid");
    Patch::new(id)
}
