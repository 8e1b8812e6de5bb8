//! Advisories in the OSV schema.

use packageurl::PackageUrl;
use serde::Deserialize;

use crate::{Distro, Ecosystem, ReleaseScope, Weight, range::Range, rating};

/// One advisory, as its issuer wrote it (OSV schema 1.7), as far as it is needed to hold it against nodes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Advisory {
    /// Its id: `RHSA-2024:1234`, `DSA-5678-1`.
    pub id: Box<str>,
    /// Other names of the same, and what it is about: CVE ids.
    pub aliases: Vec<Box<str>>,
    /// One line about it.
    pub summary: Option<Box<str>>,
    /// How bad it is, where it says so for all that it is about.
    pub weight: Option<Weight>,
    /// What it is about.
    pub affected: Vec<AffectedPackage>,
}

/// A package that an advisory is about, and which versions of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AffectedPackage {
    /// Whose package it is.
    pub ecosystem: Ecosystem,
    /// Its name. Debian, Ubuntu, SUSE and Rocky Linux name source packages.
    pub name: Box<str>,
    /// How bad it is for this one.
    pub weight: Option<Weight>,
    /// The packages that are built of it, where the advisory tells (Ubuntu, SUSE).
    pub(crate) binaries: Vec<Binary>,
    pub(crate) ranges: Vec<Range>,
    pub(crate) versions: Vec<Box<str>>,
}

/// A package that is built of a source package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Binary {
    pub(crate) name: Box<str>,
    /// Its version in the release of the source that the advisory names, where that is told.
    pub(crate) version: Option<Box<str>>,
}

/// What became of a text.
pub(crate) enum Read {
    Taken(Advisory),
    /// It was taken back by its issuer.
    Withdrawn,
}

impl Advisory {
    pub(crate) fn read(json: &str) -> Result<Read, String> {
        let wire: Wire = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if wire.id.trim().is_empty() {
            return Err("it has no id".to_owned());
        }
        if wire.withdrawn.is_some() {
            return Ok(Read::Withdrawn);
        }
        // Newer issuers name the CVEs of a distribution's advisory as `upstream`, older as `related`.
        let mut aliases = wire.aliases;
        let upstream = if wire.upstream.is_empty() { wire.related } else { wire.upstream };
        for id in upstream {
            if !aliases.contains(&id) {
                aliases.push(id);
            }
        }
        let mut affected = Vec::with_capacity(wire.affected.len());
        for (at, package) in wire.affected.into_iter().enumerate() {
            affected.push(package.read().map_err(|problem| format!("affected[{at}]: {problem}"))?);
        }
        if affected.is_empty() {
            return Err("it is about no package".to_owned());
        }
        Ok(Read::Taken(Self {
            id: wire.id,
            aliases,
            summary: wire.summary.filter(|text| !text.is_empty()),
            weight: rating::heaviest(&wire.severity).or_else(|| wire.database_specific.weight()),
            affected,
        }))
    }

    /// How bad it is for one of its packages.
    pub fn weight_of(&self, affected: &AffectedPackage) -> Option<Weight> {
        affected.weight.clone().or_else(|| self.weight.clone())
    }
}

#[derive(Deserialize)]
struct Wire {
    id: Box<str>,
    #[serde(default)]
    aliases: Vec<Box<str>>,
    #[serde(default)]
    upstream: Vec<Box<str>>,
    #[serde(default)]
    related: Vec<Box<str>>,
    summary: Option<Box<str>>,
    withdrawn: Option<Box<str>>,
    #[serde(default)]
    severity: Vec<rating::Wire>,
    #[serde(default)]
    affected: Vec<WireAffected>,
    #[serde(default)]
    database_specific: Specific,
}

#[derive(Deserialize)]
struct WireAffected {
    package: Option<WirePackage>,
    #[serde(default)]
    severity: Vec<rating::Wire>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    versions: Vec<Box<str>>,
    #[serde(default)]
    ecosystem_specific: Specific,
    #[serde(default)]
    database_specific: Specific,
}

#[derive(Deserialize)]
struct WirePackage {
    ecosystem: Option<Box<str>>,
    name: Option<Box<str>>,
    purl: Option<Box<str>>,
}

/// What each issuer writes as he likes: whatever is not of the form that is known is passed over.
#[derive(Default)]
struct Specific {
    severity: Option<Box<str>>,
    binaries: Vec<Binary>,
}

impl Specific {
    fn weight(&self) -> Option<Weight> {
        Some(Weight::in_words(self.severity.as_deref()?))
    }
}

impl<'de> Deserialize<'de> for Specific {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde_json::Value;
        let value = Value::deserialize(deserializer)?;
        let words = ["severity", "urgency"].into_iter().find_map(|name| value.get(name)?.as_str());
        let mut binaries = Vec::new();
        for entry in value.get("binaries").and_then(Value::as_array).into_iter().flatten() {
            let Some(entry) = entry.as_object() else { continue };
            let text = |name| entry.get(name).and_then(Value::as_str);
            if let Some(name) = text("binary_name") {
                // Ubuntu.
                let version = text("binary_version").map(Into::into);
                binaries.push(Binary { name: name.into(), version });
            } else {
                // SUSE: names and their versions.
                binaries.extend(entry.iter().map(|(name, version)| Binary {
                    name: name.as_str().into(),
                    version: version.as_str().map(Into::into),
                }));
            }
        }
        Ok(Self { severity: words.map(Into::into), binaries })
    }
}

impl WireAffected {
    fn read(self) -> Result<AffectedPackage, &'static str> {
        let package = self.package.ok_or("it names no package")?;
        let url: Option<PackageUrl<'_>> = package.purl.and_then(|purl| purl.parse().ok());
        let named = |text: Option<Box<str>>| text.filter(|text| !text.trim().is_empty());
        let name = named(package.name).or_else(|| Some(url.as_ref()?.name().into()));
        let ecosystem = named(package.ecosystem).map(|text| {
            let Ok(ecosystem) = text.parse();
            ecosystem
        });
        let ecosystem = ecosystem.or_else(|| Some(ecosystem_of(url.as_ref()?)));
        let weight = rating::heaviest(&self.severity)
            .or_else(|| self.ecosystem_specific.weight())
            .or_else(|| self.database_specific.weight());
        Ok(AffectedPackage {
            ecosystem: ecosystem.ok_or("it names no ecosystem")?,
            name: name.ok_or("it names no package")?,
            weight,
            binaries: self.ecosystem_specific.binaries,
            ranges: self.ranges,
            versions: self.versions,
        })
    }
}

/// What a package URL tells of the ecosystem, for files that name nothing else.
fn ecosystem_of(url: &PackageUrl<'_>) -> Ecosystem {
    let other = || Ecosystem::Other(format!("pkg:{}", url.ty()).into());
    let distro = match (url.ty(), url.namespace()) {
        ("rpm" | "deb", Some(namespace)) => Distro::from_namespace(namespace),
        // What the specification has no type for; we write programs of Windows so.
        ("generic", None) => Some(Distro::Windows),
        _ => None,
    };
    let Some(distro) = distro else { return other() };
    let Some(qualifier) = url.qualifiers().get("distro") else {
        return Ecosystem::Distro(distro, ReleaseScope::All);
    };
    let start = qualifier.find(|c: char| c.is_ascii_digit());
    let release = start.and_then(|start| distro.release_of(&qualifier[start..]));
    Ecosystem::Distro(
        distro,
        match release {
            Some(release) => ReleaseScope::Release(release),
            // A code name: `jammy`.
            None => ReleaseScope::Product(qualifier.clone().into()),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Advisory {
        match Advisory::read(json).unwrap() {
            Read::Taken(advisory) => advisory,
            Read::Withdrawn => panic!("withdrawn"),
        }
    }

    #[test]
    fn a_package_url_stands_in_for_what_is_not_named() {
        let with = |purl: &str| {
            let json = format!(
                r#"{{"id":"X-1","affected":[{{"package":{{"purl":"{purl}"}},"versions":["1"]}}]}}"#
            );
            let affected = read(&json).affected.remove(0);
            format!("{} {}", affected.ecosystem, affected.name)
        };
        assert_eq!(
            with("pkg:deb/debian/openssl?arch=source&distro=debian-12"),
            "Debian:12 openssl"
        );
        assert_eq!(with("pkg:rpm/amzn/openssl?distro=amzn-2023"), "Amazon Linux:2023 openssl");
        assert_eq!(with("pkg:rpm/rocky/bash"), "Rocky Linux bash");
        assert_eq!(with("pkg:deb/ubuntu/bash?distro=jammy"), "Ubuntu:jammy bash");
        assert_eq!(with("pkg:generic/7-Zip"), "Windows 7-Zip");
        assert_eq!(with("pkg:npm/left-pad"), "pkg:npm left-pad");
    }

    #[test]
    fn issuers_tell_binaries_in_two_ways() {
        let binaries = |json: &str| {
            let json = format!(
                r#"{{"id":"X-1","affected":[{{"package":{{"ecosystem":"Ubuntu:22.04:LTS","name":"a"}},
                "ecosystem_specific":{{"binaries":{json}}}}}]}}"#
            );
            read(&json).affected.remove(0).binaries
        };
        let expected = [Binary { name: "libssl3".into(), version: Some("3.0.2-1".into()) }];
        assert_eq!(binaries(r#"[{"binary_name":"libssl3","binary_version":"3.0.2-1"}]"#), expected);
        assert_eq!(binaries(r#"[{"libssl3":"3.0.2-1"}]"#), expected);
        assert_eq!(binaries(r#"[7,"x"]"#), []);
        assert_eq!(binaries(r#"{"x":1}"#), []);
    }

    #[test]
    fn what_is_no_advisory_says_why() {
        for json in [
            "7",
            "{}",
            r#"{"id":""}"#,
            r#"{"id":"X"}"#,
            r#"{"id":"X","affected":[{}]}"#,
            r#"{"id":"X","affected":[{"package":{"name":"a"}}]}"#,
            r#"{"id":"X","affected":[{"package":{"ecosystem":"Debian"}}]}"#,
            r#"{"id":"X","affected":[{"package":{"ecosystem":"Debian","name":"a"},"versions":7}]}"#,
        ] {
            assert!(Advisory::read(json).is_err(), "{json}");
        }
        let withdrawn = r#"{"id":"X","withdrawn":"2024-01-01T00:00:00Z"}"#;
        assert!(matches!(Advisory::read(withdrawn), Ok(Read::Withdrawn)));
    }
}
