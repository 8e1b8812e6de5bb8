//! What a node runs, as CycloneDX.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use patchkit_core::{Error, Result};
use patchkit_inventory::VersionScheme;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{Coverage, NodeSoftware, Package, purl};

/// Which edition of CycloneDX is written. What this crate writes is the same in both but for the number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SpecVersion {
    /// 1.6 (ECMA-424, first edition), for readers that know no newer one.
    V1_6,
    /// 1.7.
    #[default]
    V1_7,
}

/// The bill of materials of one node, in CycloneDX's JSON.
///
/// # Behavior
/// - The same software, time and options give the same bytes: components are sorted, and the serial
///   number is made of the rest of the document where none is given.
/// - The node is the subject, its operating system and packages are components. Packages of RPM and Debian
///   are libraries, as CycloneDX recommends where it is not known; programs of other systems applications.
/// - How complete it is, is said: `incomplete` where rows of the list were lost, and `unknown` otherwise,
///   for an agent lists what the package manager knows, and nothing that came past it.
/// - Names and texts are the node's own.
///
/// # Example
/// ```
/// use patchkit_report::{NodeSoftware, Package, Sbom};
///
/// let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse()?);
/// let node = node.with_platform("Debian GNU/Linux", "12");
/// let node = node.with_packages([Package::new("bash").with_version("5.2.15-2+b7")]);
/// let sbom = Sbom::new(&node, "2026-11-30T05:00:00Z".parse()?)?;
/// assert!(sbom.to_json().contains("pkg:deb/debian/bash@5.2.15-2%2Bb7?distro=debian-12"));
/// assert_eq!(sbom.to_json(), Sbom::new(&node, sbom.timestamp())?.to_json());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sbom<'a> {
    software: &'a NodeSoftware,
    timestamp: Timestamp,
    serial: Option<Uuid>,
    spec: SpecVersion,
}

impl SpecVersion {
    /// The number: `1.7`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }

    fn schema(self) -> &'static str {
        match self {
            Self::V1_6 => "http://cyclonedx.org/schema/bom-1.6.schema.json",
            Self::V1_7 => "http://cyclonedx.org/schema/bom-1.7.schema.json",
        }
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<'a> Sbom<'a> {
    /// The bill of a node, made at a time.
    ///
    /// # Errors
    /// `NotFound` where there is no list of the node's packages: an empty bill would say that it runs
    /// nothing.
    pub fn new(software: &'a NodeSoftware, timestamp: Timestamp) -> Result<Self> {
        if software.coverage == Coverage::Missing {
            let what = format!("a list of the packages of {}", software.node);
            return Err(Error::not_found("report", "sbom", what).with_node(software.node.clone()));
        }
        Ok(Self { software, timestamp, serial: None, spec: SpecVersion::default() })
    }

    /// Takes a serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: Uuid) -> Self {
        self.serial = Some(serial);
        self
    }

    /// Writes another edition.
    #[must_use]
    pub fn with_spec(mut self, spec: SpecVersion) -> Self {
        self.spec = spec;
        self
    }

    /// When it was made.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The serial number, as given or made of the rest of the document.
    pub fn serial(&self) -> Uuid {
        self.serial.unwrap_or_else(|| {
            let text = json(&self.document(None));
            Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes())
        })
    }

    /// The document.
    pub fn to_json(&self) -> String {
        json(&self.document(Some(self.serial())))
    }

    fn document(&self, serial: Option<Uuid>) -> Document<'a> {
        let node = self.software.node.to_string();
        let mut components = Vec::with_capacity(self.software.packages.len() + 1);
        components.extend(system(self.software));
        let has_system = !components.is_empty();
        let mut references = BTreeMap::new();
        for package in &self.software.packages {
            components.push(component(self.software, package, &mut references));
        }
        let run: Vec<_> = components
            .iter()
            .skip(usize::from(has_system))
            .map(|it| it.reference.clone())
            .collect();
        let dependencies = if has_system {
            vec![
                Dependency { reference: node.clone(), depends_on: vec![SYSTEM.to_owned()] },
                Dependency { reference: SYSTEM.to_owned(), depends_on: run },
            ]
        } else {
            vec![Dependency { reference: node.clone(), depends_on: run }]
        };
        let aggregate = match self.software.coverage {
            Coverage::Read => "unknown",
            _ => "incomplete",
        };
        Document {
            schema: self.spec.schema(),
            bom_format: "CycloneDX",
            spec_version: self.spec.as_str(),
            serial_number: serial.map(|serial| serial.urn().to_string()),
            version: 1,
            metadata: Metadata {
                timestamp: self.timestamp,
                lifecycles: [Lifecycle { phase: "operations" }],
                tools: Tools { components: [tool()] },
                component: subject(self.software),
            },
            components,
            dependencies,
            compositions: [Composition { aggregate, assemblies: [node] }],
        }
    }
}

impl Serialize for Sbom<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document(Some(self.serial())).serialize(serializer)
    }
}

/// The reference of the operating system.
const SYSTEM: &str = "operating-system";

/// Where what CycloneDX has no field for is, by CycloneDX's rules for names of properties.
pub(crate) const PROPERTY: &str = "patchkit:";

fn json(document: &Document<'_>) -> String {
    // Only a map whose keys are no text, or a failing writer, could fail.
    serde_json::to_string_pretty(document).unwrap_or_default()
}

fn tool() -> Component<'static> {
    Component {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..Component::new("application", "tool", env!("CARGO_PKG_NAME"))
    }
}

fn subject(software: &NodeSoftware) -> Component<'_> {
    let id = software.node.to_string();
    let name = software.name.as_deref().unwrap_or_else(|| software.node.resource());
    let scope = software.node.scope();
    let lost = software.coverage.lost();
    let mut properties = vec![
        Property::new("account", scope.account().as_str()),
        Property::new("node", id.as_str()),
        Property::new("provider", scope.provider()),
        Property::new("region", scope.region().as_str()),
    ];
    let texts = [
        ("agent-version", software.agent_version.as_deref().map(str::to_owned)),
        ("captured-at", software.captured_at.map(|at| at.to_string())),
        ("lost-rows", (lost > 0).then(|| lost.to_string())),
    ];
    properties.extend(
        texts
            .into_iter()
            .filter_map(|(name, text)| text.as_deref().map(|text| Property::new(name, text))),
    );
    properties.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Component { properties, ..Component::new("device", id, name) }
}

fn system(software: &NodeSoftware) -> Option<Component<'_>> {
    let name = software.platform_name.as_deref().filter(|name| !name.is_empty())?;
    let version = software.platform_version.as_deref().filter(|version| !version.is_empty());
    Some(Component {
        version: version.map(str::to_owned),
        ..Component::new("operating-system", SYSTEM, name)
    })
}

fn component<'a>(
    software: &NodeSoftware,
    package: &'a Package,
    references: &mut BTreeMap<String, usize>,
) -> Component<'a> {
    let ty = match software.scheme_of(package) {
        VersionScheme::Windows => "application",
        _ => "library",
    };
    let url = purl(software, package);
    let reference = url.clone().unwrap_or_else(|| format!("package:{}", package.name));
    let seen = references.entry(reference.clone()).or_insert(0);
    *seen += 1;
    let reference = if *seen == 1 { reference } else { format!("{reference}#{seen}") };
    let mut properties = Vec::new();
    let texts = [
        ("architecture", package.architecture.as_deref().map(str::to_owned)),
        ("installed-at", package.installed_at.map(|at| at.to_string())),
        ("package-id", package.package_id.as_deref().map(str::to_owned)),
    ];
    for (name, text) in texts {
        properties.extend(text.as_deref().map(|text| Property::new(name, text)));
    }
    Component {
        publisher: package.publisher.as_deref(),
        version: software.version_of(package),
        description: package.summary.as_deref(),
        purl: url,
        external_references: package.url.as_deref().and_then(website).into_iter().collect(),
        properties,
        ..Component::new(ty, reference, &package.name)
    }
}

/// A link, where it is one: nodes write into this field what they like.
fn website(url: &str) -> Option<Link<'_>> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_port = port.parse::<u16>().is_ok() && !port.starts_with('+');
    // What RFC 3986 has a place for behind a host; without percents, which would have to be read.
    let is_path = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}[]%".contains(c);
    let is_link = !host.is_empty()
        && host.bytes().all(is_host)
        && is_port
        && path.chars().all(is_path)
        && path.matches('#').count() <= 1;
    is_link.then_some(Link { ty: "website", url })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
    dependencies: Vec<Dependency>,
    compositions: [Composition; 1],
}

#[derive(Serialize)]
struct Metadata<'a> {
    timestamp: Timestamp,
    lifecycles: [Lifecycle; 1],
    tools: Tools,
    component: Component<'a>,
}

#[derive(Serialize)]
struct Lifecycle {
    phase: &'static str,
}

#[derive(Serialize)]
struct Tools {
    components: [Component<'static>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component<'a> {
    #[serde(rename = "type")]
    ty: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_references: Vec<Link<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

impl<'a> Component<'a> {
    fn new(ty: &'static str, reference: impl Into<String>, name: &'a str) -> Self {
        Self {
            ty,
            reference: reference.into(),
            publisher: None,
            name,
            version: None,
            description: None,
            purl: None,
            external_references: Vec::new(),
            properties: Vec::new(),
        }
    }
}

#[derive(Serialize)]
struct Link<'a> {
    #[serde(rename = "type")]
    ty: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

impl Property {
    fn new(name: &str, value: &str) -> Self {
        Self { name: format!("{PROPERTY}{name}"), value: value.to_owned() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: [String; 1],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_nodes_are_links_or_left_out() {
        assert!(website("https://www.openssl.org/").is_some());
        for url in ["", "http://", "javascript:alert(1)", "http://a b", "https://a\"b", "www.a.org"]
        {
            assert!(website(url).is_none(), "{url}");
        }
    }

    #[test]
    fn a_node_without_a_list_has_no_bill() {
        let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse().unwrap());
        let error = Sbom::new(&node, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(error.kind(), patchkit_core::ErrorKind::NotFound);
    }
}
