//! Bills of materials read back.

use packageurl::PackageUrl;
use patchkit_core::{Error, Result};
use serde::Deserialize;

use crate::{NodeSoftware, Package, cyclonedx::PROPERTY};

/// Reads a bill that [`Sbom`](crate::Sbom) wrote: the software of a node as it was at another time.
///
/// # Behavior
/// - Components that are neither a package nor the operating system are passed over. One without a usable
///   package URL is taken by its name and version.
///
/// # Errors
/// `InvalidInput` for what is no CycloneDX in JSON, or does not name a node as [`Sbom`](crate::Sbom) does.
pub fn parse_sbom(text: &str) -> Result<NodeSoftware> {
    let bom: Bom = serde_json::from_str(text).map_err(|error| invalid(&error.to_string()))?;
    if bom.format != "CycloneDX" {
        return Err(invalid("bomFormat is not CycloneDX"));
    }
    let subject = bom.metadata.component;
    let node = subject
        .property("node")
        .ok_or_else(|| invalid(&format!("its subject has no property {PROPERTY}node")))?;
    let mut software = NodeSoftware::new(node.parse()?).with_name(&subject.name);
    software.agent_version = subject.property("agent-version").map(Into::into);
    software.captured_at = subject.property("captured-at").and_then(|at| at.parse().ok());
    let lost = subject.property("lost-rows").and_then(|lost| lost.parse().ok()).unwrap_or(0);
    let mut packages = Vec::with_capacity(bom.components.len());
    for component in &bom.components {
        match &*component.ty {
            "operating-system" => {
                let version = component.version.as_deref().unwrap_or_default();
                software = software.with_platform(&component.name, version);
            }
            "application" | "library" => packages.push(package(component)),
            _ => {}
        }
    }
    Ok(software.with_packages(packages).with_lost(lost))
}

fn invalid(problem: &str) -> Error {
    Error::invalid("report", "parse", format!("not a bill of materials of a node: {problem}"))
}

fn package(component: &Component) -> Package {
    let mut package = Package::new(&component.name);
    let url = component.purl.as_deref().and_then(|purl| purl.parse::<PackageUrl<'_>>().ok());
    let version = url.as_ref().and_then(|url| url.version()).or(component.version.as_deref());
    package.version = version.map(Into::into);
    if let Some(url) = url.as_ref().filter(|url| url.ty() == "rpm") {
        package.epoch = url.qualifiers().get("epoch").map(|epoch| (&**epoch).into());
        if let Some((version, release)) = version.and_then(|version| version.rsplit_once('-')) {
            (package.version, package.release) = (Some(version.into()), Some(release.into()));
        }
    }
    package.publisher.clone_from(&component.publisher);
    package.summary.clone_from(&component.description);
    package.url = component.external_references.first().map(|link| link.url.clone());
    package.architecture = component.property("architecture").map(Into::into);
    package.package_id = component.property("package-id").map(Into::into);
    package.installed_at = component.property("installed-at").and_then(|at| at.parse().ok());
    package
}

#[derive(Deserialize)]
struct Bom {
    #[serde(rename = "bomFormat")]
    format: String,
    metadata: Metadata,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Metadata {
    component: Component,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(rename = "type")]
    ty: Box<str>,
    name: Box<str>,
    version: Option<Box<str>>,
    publisher: Option<Box<str>>,
    description: Option<Box<str>>,
    purl: Option<Box<str>>,
    #[serde(default)]
    external_references: Vec<Link>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Link {
    url: Box<str>,
}

#[derive(Deserialize)]
struct Property {
    name: Box<str>,
    #[serde(default)]
    value: Box<str>,
}

impl Component {
    fn property(&self, name: &str) -> Option<&str> {
        let named = |it: &&Property| it.name.strip_prefix(PROPERTY) == Some(name);
        self.properties.iter().find(named).map(|property| &*property.value)
    }
}
