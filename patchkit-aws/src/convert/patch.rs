//! Patches as the catalogue and baselines list them.

use std::{convert::Infallible, str::FromStr};

use aws_sdk_ssm::types;
use patchkit_core::{Classification, Package, Patch, PatchId, PatchSource, Result};

use super::timestamp;
use crate::error::malformed;

/// A row of a listing of patches: an update of Windows, or a package.
pub(crate) fn patch(operation: &'static str, row: &types::Patch) -> Result<Patch> {
    let package = package(row);
    // "The ID of the patch. Applies to Windows patches only": a GUID, by which no node reports it.
    let id = said(row.kb_number())
        .map(str::to_owned)
        .or_else(|| package.as_ref().map(spelled))
        .or_else(|| said(row.id()).map(str::to_owned))
        .ok_or_else(|| malformed(operation, "a patch has no number, name or id"))?;
    let mut patch = Patch::new(PatchId::new(id)?);
    patch.released_at = row.release_date().and_then(timestamp);
    patch.classification = parsed(row.classification());
    patch.severity = parsed(row.msrc_severity()).or_else(|| parsed(row.severity()));
    patch.products = texts(row.product());
    patch.product_families = texts(row.product_family());
    patch.advisories = row.advisory_ids().to_vec();
    patch.bugzilla = row.bugzilla_ids().to_vec();
    patch.cves = row.cve_ids().to_vec();
    patch.title = said(row.title()).map(str::to_owned);
    if let Some(package) = package {
        patch.title = patch.title.or_else(|| Some(version(&package)));
        // Nothing says which repository is one of security, but what the update is for.
        if !patch.classification.as_ref().is_some_and(Classification::is_security) {
            patch.source = PatchSource::Other;
        }
        patch.package = Some(package);
    }
    Ok(patch)
}

fn package(row: &types::Patch) -> Option<Package> {
    let name = said(row.name())?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Some(Package {
        name: name.to_owned(),
        arch: text(row.arch()),
        epoch: row.epoch().to_string(),
        version: text(row.version()),
        release: text(row.release()),
        repository: text(row.repository()),
    })
}

/// `openssl.x86_64`
fn spelled(package: &Package) -> String {
    let Package { name, arch, .. } = package;
    if arch.is_empty() { name.clone() } else { format!("{name}.{arch}") }
}

fn version(package: &Package) -> String {
    let Package { epoch, version, release, .. } = package;
    if release.is_empty() {
        format!("{epoch}:{version}")
    } else {
        format!("{epoch}:{version}-{release}")
    }
}

/// The text, unless it is an empty one, by which the service says that there is none.
fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

fn texts(text: Option<&str>) -> Vec<String> {
    said(text).map(str::to_owned).into_iter().collect()
}

fn parsed<T: FromStr<Err = Infallible>>(text: Option<&str>) -> Option<T> {
    let Ok(value) = said(text)?.parse();
    Some(value)
}

/// Adds what another row says of the same patch: an update of Windows has one for each product.
pub(crate) fn merge(patch: &mut Patch, other: Patch) {
    let add = |into: &mut Vec<String>, from: Vec<String>| {
        for text in from {
            if !into.contains(&text) {
                into.push(text);
            }
        }
    };
    add(&mut patch.products, other.products);
    add(&mut patch.product_families, other.product_families);
    patch.released_at = patch.released_at.or(other.released_at);
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;
    use patchkit_core::Severity;

    use super::*;

    #[test]
    fn an_update_of_windows_is_known_by_its_number() {
        let row = types::Patch::builder()
            .id("a0f4f9a5-8a7d-4c8c-9a3e-1f0c3c6b8f0e")
            .kb_number("KB4467684")
            .title("2018-11 Cumulative Update")
            .classification("SecurityUpdates")
            .msrc_severity("Critical")
            .product("WindowsServer2016")
            .product_family("Windows")
            .release_date(DateTime::from_secs(1_543_341_600))
            .msrc_number("")
            .build();
        let read = patch("DescribeAvailablePatches", &row).unwrap();
        assert_eq!(read.id.as_str(), "KB4467684");
        assert_eq!(read.severity, Some(Severity::Critical));
        assert_eq!(read.classification, Some(Classification::SecurityUpdates));
        assert_eq!(read.products, ["WindowsServer2016"]);
        assert_eq!(read.product_families, ["Windows"]);
        assert_eq!(read.released_at.unwrap().as_second(), 1_543_341_600);
        assert_eq!((read.source, read.package), (PatchSource::Security, None));
    }

    #[test]
    fn a_package_is_known_by_its_name_and_architecture() {
        let row = types::Patch::builder()
            .name("curl")
            .arch("x86_64")
            .version("7.61.1")
            .release("9.amzn2.0.1")
            .repository("amzn2-core")
            .severity("Medium")
            .classification("Security")
            .cve_ids("CVE-2018-16842")
            .build();
        let read = patch("DescribeAvailablePatches", &row).unwrap();
        assert_eq!(read.id.as_str(), "curl.x86_64");
        assert_eq!(read.title.as_deref(), Some("0:7.61.1-9.amzn2.0.1"));
        assert_eq!(read.severity, Some(Severity::Medium));
        assert_eq!(read.package.unwrap().release, "9.amzn2.0.1");
        assert_eq!(read.cves, ["CVE-2018-16842"]);
        assert_eq!(read.source, PatchSource::Security);
    }

    #[test]
    fn words_that_no_version_knows_survive() {
        let row = types::Patch::builder()
            .kb_number("KB1")
            .classification("QuantumUpdates")
            .msrc_severity("Dire")
            .build();
        let read = patch("DescribeAvailablePatches", &row).unwrap();
        assert_eq!(read.classification.unwrap().as_str(), "QuantumUpdates");
        assert_eq!(read.severity.unwrap().as_str(), "Dire");
    }

    #[test]
    fn a_row_without_any_name_is_malformed() {
        let error = patch("DescribeAvailablePatches", &types::Patch::builder().build());
        assert_eq!(error.unwrap_err().kind(), patchkit_core::ErrorKind::Malformed);
    }
}
