//! Package URLs of what nodes run.

use packageurl::PackageUrl;
use patchkit_inventory::VersionScheme;

use crate::{Distro, NodeSoftware, Package};

/// The package URL of a package on a node; `None` where its name or version cannot be in one.
///
/// # Behavior
/// - `pkg:rpm/…` and `pkg:deb/…` with the distribution as namespace, as the purl specification's types of
///   these names have it: RPM's epoch is a qualifier, Debian's a part of the version.
/// - `distro` is what `/etc/os-release` calls the release. `upstream` is the source package, where the
///   inventory tells it.
/// - Agents rewrite Debian's `amd64` and `i386` (amazon-ssm-agent, `model.FormatArchitecture`); they are
///   written as Debian does.
/// - The specification has no type for Windows programs: they are `pkg:generic`, as are those of a system
///   that is not known.
///
/// # Example
/// ```
/// use patchkit_report::{NodeSoftware, Package, purl};
///
/// let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse()?);
/// let node = node.with_platform("Red Hat Enterprise Linux", "9.4");
/// let openssl = Package::new("openssl-libs").with_version("3.0.7").with_release("28.el9");
/// let openssl = openssl.with_epoch("1").with_architecture("x86_64");
/// assert_eq!(
///     purl(&node, &openssl).as_deref(),
///     Some("pkg:rpm/redhat/openssl-libs@3.0.7-28.el9?arch=x86_64&distro=rhel-9.4&epoch=1"),
/// );
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn purl(software: &NodeSoftware, package: &Package) -> Option<String> {
    let distro = Distro::of(software);
    let scheme = software.scheme_of(package);
    let ty = match scheme {
        VersionScheme::Rpm => "rpm",
        VersionScheme::Deb => "deb",
        _ => "generic",
    };
    let mut url = PackageUrl::new(ty, &*package.name).ok()?;
    let mut parts = package.parts(scheme);
    if let Some(namespace) = distro.and_then(Distro::namespace) {
        url.with_namespace(namespace).ok()?;
    }
    if scheme == VersionScheme::Rpm && !parts.epoch.is_empty() {
        url.add_qualifier("epoch", parts.epoch).ok()?;
        parts.epoch = "";
    }
    let version = parts.to_string();
    if !version.is_empty() {
        url.with_version(version).ok()?;
    }
    if let Some(architecture) = package.architecture.as_deref() {
        let spelled = match (scheme, architecture) {
            (VersionScheme::Deb, "x86_64") => "amd64",
            (VersionScheme::Deb, "386") => "i386",
            (_, other) => other,
        };
        url.add_qualifier("arch", spelled).ok()?;
    }
    if let Some(id) = distro.and_then(Distro::os_release_id)
        && let Some(version) = software.platform_version.as_deref().filter(|it| !it.is_empty())
    {
        url.add_qualifier("distro", format!("{id}-{version}")).ok()?;
    }
    if package.source_name().is_some_and(|source| source != &*package.name)
        && let Some(id) = package.package_id.as_deref()
    {
        url.add_qualifier("upstream", id).ok()?;
    }
    // A version with a slash in it is not written so that it reads back.
    let text = url.to_string();
    (text.parse().as_ref() == Ok(&url)).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str, version: &str) -> NodeSoftware {
        let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
        node.with_platform(name, version)
    }

    #[test]
    fn each_system_has_its_type() {
        let deb =
            Package::new("libssl3").with_version("1:3.0.2-0ubuntu1.15").with_architecture("x86_64");
        let rpm =
            Package::new("openssl-libs").with_version("3.0.8").with_release("1.amzn2023.0.16");
        let rpm = rpm.with_package_id("openssl-3.0.8-1.amzn2023.0.16.src.rpm");
        let program = Package::new("Git 2.44 (x64)").with_version("2.44.0").with_epoch("1");
        for (name, version, package, expected) in [
            (
                "Ubuntu",
                "22.04",
                &deb,
                "pkg:deb/ubuntu/libssl3@1:3.0.2-0ubuntu1.15?arch=amd64&distro=ubuntu-22.04",
            ),
            (
                "Amazon Linux",
                "2023",
                &rpm,
                "pkg:rpm/amzn/openssl-libs@3.0.8-1.amzn2023.0.16?distro=amzn-2023\
                 &upstream=openssl-3.0.8-1.amzn2023.0.16.src.rpm",
            ),
            (
                "Microsoft Windows Server 2022",
                "10.0.20348",
                &program,
                "pkg:generic/Git%202.44%20(x64)@2.44.0",
            ),
            ("Plan 9", "4", &program, "pkg:generic/Git%202.44%20(x64)@2.44.0"),
        ] {
            assert_eq!(purl(&node(name, version), package).as_deref(), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn whatever_nodes_say_is_a_package_url_that_parses(
            name in any::<String>(),
            version in any::<String>(),
            architecture in any::<String>(),
            platform in prop_oneof![Just("Debian GNU/Linux"), Just("SLES"), Just("Windows"), Just("")],
        ) {
            let package = Package::new(&name).with_version(&version).with_architecture(&architecture);
            if let Some(text) = purl(&node(platform, &version), &package) {
                let parsed: Result<PackageUrl<'_>, _> = text.parse();
                prop_assert!(parsed.is_ok(), "{text}: {parsed:?}");
            }
        }
    }
}
