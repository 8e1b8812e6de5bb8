//! Catalogues of patches, as `DescribeAvailablePatches` of Systems Manager lists them.

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    Classification, Error, ErrorKind, OperatingSystem, Package, Patch, PatchId, PatchSource,
    Result, whatif::Catalogue,
};
use serde::Deserialize;
use serde_json::Value;

use crate::finding::shown;

/// A catalogue, and what of its text could not be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct CatalogueReading {
    /// The patches that could be read.
    pub catalogue: Catalogue,
    /// The rows that could not.
    pub problems: Vec<Error>,
}

/// Reads the answers of `DescribeAvailablePatches`: one page or several, one after the other, each an
/// object with `Patches` or the array alone.
///
/// # Behavior
/// - Updates of Windows are those with a KB number; which Linux a package is for is told by its
///   product. `os` says it for all rows.
/// - Dates are seconds, as on the wire, or ISO 8601, as the AWS CLI writes them.
/// - A row that cannot be read, or whose operating system cannot be told, is a problem; the others
///   are read.
///
/// # Errors
/// `Malformed` where the text is no such JSON.
///
/// # Example
/// ```
/// let text = r#"{"Patches": [{"KbNumber": "KB5034441", "Product": "WindowsServer2022",
///     "Classification": "SecurityUpdates", "ReleaseDate": "2026-01-09T18:00:00+00:00"}]}"#;
/// let read = patchkit_inventory::parse_catalogue(text, None)?;
/// let (os, patch) = read.catalogue.patches().next().unwrap();
/// assert_eq!((os.as_str(), patch.id.as_str()), ("WINDOWS", "KB5034441"));
/// assert!(patch.released_at.is_some() && read.problems.is_empty());
/// # Ok::<(), patchkit_core::Error>(())
/// ```
pub fn parse_catalogue(text: &str, os: Option<&OperatingSystem>) -> Result<CatalogueReading> {
    let mut reading = CatalogueReading { catalogue: Catalogue::new(), problems: Vec::new() };
    let mut number = 0;
    for page in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let page = page.map_err(|error| malformed(format!("no JSON: {error}")))?;
        let rows = match page {
            Value::Array(rows) => rows,
            Value::Object(mut page) => match page.remove("Patches") {
                Some(Value::Array(rows)) => rows,
                _ => return Err(malformed("an object without a list of Patches")),
            },
            _ => return Err(malformed("neither an object nor a list")),
        };
        for row in rows {
            number += 1;
            match patch(row, os) {
                Ok((os, patch)) => reading.catalogue.add(os, [patch]),
                Err(why) => reading.problems.push(malformed(format!("patch {number}: {why}"))),
            }
        }
    }
    Ok(reading)
}

/// The members of a patch that baselines look at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Row {
    id: Option<String>,
    kb_number: Option<String>,
    title: Option<String>,
    release_date: Option<Value>,
    classification: Option<String>,
    severity: Option<String>,
    msrc_severity: Option<String>,
    product: Option<String>,
    product_family: Option<String>,
    name: Option<String>,
    arch: Option<String>,
    epoch: Option<i64>,
    version: Option<String>,
    release: Option<String>,
    repository: Option<String>,
    advisory_ids: Vec<String>,
    bugzilla_ids: Vec<String>,
    #[serde(rename = "CVEIds")]
    cve_ids: Vec<String>,
}

fn patch(row: Value, os: Option<&OperatingSystem>) -> Result<(OperatingSystem, Patch), String> {
    let row: Row = serde_json::from_value(row).map_err(|error| error.to_string())?;
    let kb = said(row.kb_number);
    let name = said(row.name);
    let arch = said(row.arch).unwrap_or_default();
    let spelled = name
        .as_ref()
        .map(|name| if arch.is_empty() { name.clone() } else { format!("{name}.{arch}") });
    // The API's `Id` is a GUID, and of Windows only: no node reports it.
    let id = kb.clone().or(spelled).or_else(|| said(row.id)).ok_or("no number, name or id")?;
    let mut patch = Patch::new(PatchId::new(id).map_err(|error| error.to_string())?);
    let product = said(row.product);
    let os = match os {
        Some(os) => os.clone(),
        None if kb.is_some() => OperatingSystem::Windows,
        None => product
            .as_deref()
            .and_then(system_of)
            .ok_or_else(|| format!("no operating system is known for product {product:?}"))?,
    };
    patch.released_at = row.release_date.as_ref().map(time).transpose()?.flatten();
    patch.classification = said(row.classification).map(|text| {
        let Ok(kind) = text.parse();
        kind
    });
    patch.severity = said(row.msrc_severity).or_else(|| said(row.severity)).map(|text| {
        let Ok(severity) = text.parse();
        severity
    });
    patch.products.extend(product);
    patch.product_families.extend(said(row.product_family));
    patch.advisories = row.advisory_ids;
    patch.bugzilla = row.bugzilla_ids;
    patch.cves = row.cve_ids;
    patch.title = said(row.title);
    if let (Some(name), None) = (name, kb) {
        let epoch = row.epoch.unwrap_or_default().to_string();
        let (version, release) =
            (said(row.version).unwrap_or_default(), said(row.release).unwrap_or_default());
        let dash = if release.is_empty() { "" } else { "-" };
        let full = format!("{epoch}:{version}{dash}{release}");
        patch.title = patch.title.or(Some(full));
        // Nothing says which repository is one of security, but what the update is for.
        if !patch.classification.as_ref().is_some_and(Classification::is_security) {
            patch.source = PatchSource::Other;
        }
        let repository = said(row.repository).unwrap_or_default();
        patch.package = Some(Package { name, arch, epoch, version, release, repository });
    }
    Ok((os, patch))
}

/// The text, unless it is an empty one, by which the service says that there is none.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn time(value: &Value) -> Result<Option<Timestamp>, String> {
    let wrong = || format!("release date {} is no time", shown(&value.to_string()));
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let seconds = number.as_f64().and_then(|it| SignedDuration::try_from_secs_f64(it).ok());
            seconds.and_then(|it| Timestamp::from_duration(it).ok()).map(Some).ok_or_else(wrong)
        }
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Which operating system a product is a version of.
///
/// Products are the operating system's name with its version behind it: `AmazonLinux2023`,
/// `RedhatEnterpriseLinux9.4`, `Ubuntu22.04`. The longer names come first.
fn system_of(product: &str) -> Option<OperatingSystem> {
    const PREFIXES: [(&str, OperatingSystem); 15] = [
        ("amazonlinux2023", OperatingSystem::AmazonLinux2023),
        ("amazonlinux2022", OperatingSystem::AmazonLinux2022),
        ("amazonlinux2.", OperatingSystem::AmazonLinux2),
        ("amazonlinux20", OperatingSystem::AmazonLinux),
        ("amazonlinux2", OperatingSystem::AmazonLinux2),
        ("redhatenterpriselinux", OperatingSystem::RedHatEnterpriseLinux),
        ("centos", OperatingSystem::CentOs),
        ("oraclelinux", OperatingSystem::OracleLinux),
        ("suse", OperatingSystem::Suse),
        ("ubuntu", OperatingSystem::Ubuntu),
        ("debian", OperatingSystem::Debian),
        ("raspbian", OperatingSystem::Raspbian),
        ("rocky", OperatingSystem::RockyLinux),
        ("alma", OperatingSystem::AlmaLinux),
        ("macos", OperatingSystem::MacOs),
    ];
    let folded: String =
        product.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    let found = PREFIXES.into_iter().find(|(prefix, _)| folded.starts_with(prefix));
    found.map(|(_, os)| os)
}

fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, "lake", "catalogue", message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_with_its_version_and_its_system() {
        let text = r#"{"Patches":[{"Name":"curl","Arch":"x86_64","Epoch":0,"Version":"8.5.0",
            "Release":"1.amzn2023","Product":"AmazonLinux2023","Classification":"Bugfix",
            "Severity":"Low","ReleaseDate":1543341600.0,"CVEIds":["CVE-2018-16842"]}]}
            {"Patches":[{"Name":"bash","Product":"Ubuntu22.04"}]}"#;
        let read = parse_catalogue(text, None).unwrap();
        let patches: Vec<_> = read.catalogue.patches().collect();
        assert_eq!(patches[0].0, &OperatingSystem::AmazonLinux2023);
        assert_eq!(patches[0].1.id.as_str(), "curl.x86_64");
        assert_eq!(patches[0].1.title.as_deref(), Some("0:8.5.0-1.amzn2023"));
        assert_eq!(patches[0].1.released_at.unwrap().as_second(), 1_543_341_600);
        assert_eq!(patches[0].1.source, PatchSource::Other);
        assert_eq!(patches[1].0, &OperatingSystem::Ubuntu);
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_no_other() {
        let text = r#"[{"KbNumber":"KB1","ReleaseDate":"soon"},{"Name":7},{},
            {"Name":"x","Product":"Plan9"},{"KbNumber":"KB2","ReleaseDate":""}]"#;
        let read = parse_catalogue(text, None).unwrap();
        assert_eq!(read.catalogue.patches().count(), 1);
        let problems: Vec<_> = read.problems.iter().map(Error::message).collect();
        assert_eq!(problems.len(), 4);
        assert!(problems[0].starts_with("patch 1: release date"), "{problems:?}");
        assert!(problems[3].contains("Plan9"), "{problems:?}");
        let named = parse_catalogue(text, Some(&OperatingSystem::Suse)).unwrap();
        assert_eq!(named.catalogue.patches().count(), 2);
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        for text in ["{", "{\"Baselines\":[]}", "7", "{\"Patches\":7}"] {
            let error = parse_catalogue(text, None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{text}");
        }
    }

    #[test]
    fn a_product_names_its_system() {
        for (product, os) in [
            ("AmazonLinux2.0", OperatingSystem::AmazonLinux2),
            ("AmazonLinux2", OperatingSystem::AmazonLinux2),
            ("AmazonLinux2018.03", OperatingSystem::AmazonLinux),
            ("AmazonLinux2022", OperatingSystem::AmazonLinux2022),
            ("RedhatEnterpriseLinux9.4", OperatingSystem::RedHatEnterpriseLinux),
            ("Suse15.5", OperatingSystem::Suse),
            ("Rocky Linux 9.4", OperatingSystem::RockyLinux),
        ] {
            assert_eq!(system_of(product), Some(os), "{product}");
        }
    }
}
