//! Files that a patch operation is told to use instead of the node's baseline.

use patchkit_core::{OperatingSystem, PatchBaseline, UpdateScope};
use serde::Deserialize;
use serde_json::Value;

use super::{super::baseline_json, State};

/// The text that a parameter points to.
///
/// Only objects of the simulated S3 can be read: `s3://bucket/key`, and `https://` in the style of
/// S3's own host names.
pub(super) fn read(state: &State, url: &str) -> Result<String, String> {
    let missing = || format!("Unable to download the file {url}: it does not exist.");
    let (bucket, key) = place(url).ok_or_else(missing)?;
    let source = state.files.as_ref().ok_or_else(missing)?;
    let bytes = source.get(bucket, key).ok_or_else(missing)?;
    String::from_utf8(bytes).map_err(|_| format!("The file {url} is not text."))
}

/// The bucket and the key of an object's address.
fn place(url: &str) -> Option<(&str, &str)> {
    if let Some(rest) = url.strip_prefix("s3://") {
        return rest.split_once('/');
    }
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    match host.split_once(".s3") {
        Some((bucket, _)) => Some((bucket, path)),
        None if host.starts_with("s3") => path.split_once('/'),
        None => None,
    }
}

#[derive(Deserialize)]
struct InstallList {
    patches: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    title: Option<String>,
}

/// An install override list as a baseline that approves what it names, and that alone.
///
/// Even rejected patches are installed (AWS's patch payload for Linux). A title pins a version;
/// without one, whatever version the repositories have is taken.
pub(super) fn install_list(text: &str, os: OperatingSystem) -> Result<PatchBaseline, String> {
    let list: InstallList = serde_saphyr::from_str(text)
        .map_err(|error| format!("The install override list is not valid: {error}"))?;
    let names = list.patches.into_iter().map(|it| match it.title {
        Some(title) if title.contains(':') => title,
        _ => it.id,
    });
    Ok(PatchBaseline::new("install-override-list", os)
        .with_approved(names)
        .with_approved_scope(UpdateScope::All))
}

/// The baseline for an operating system in a file of several, each in the shape of
/// GetPatchBaseline's answer.
pub(super) fn baseline(text: &str, os: &OperatingSystem) -> Result<PatchBaseline, String> {
    let all: Vec<Value> = serde_json::from_str(text)
        .map_err(|error| format!("The baseline override is not valid: {error}"))?;
    let of_host = all.into_iter().find(|it| it["OperatingSystem"] == os.as_str());
    let mut of_host = of_host
        .ok_or_else(|| format!("The baseline override has no baseline for {}.", os.as_str()))?;
    // What it is called is of no matter here, and often not there.
    if of_host["Name"].is_null() {
        of_host["Name"] = "override".into();
    }
    baseline_json::read(of_host, os.clone())
        .map_err(|error| format!("The baseline override is not valid: {}", error.message))
}
