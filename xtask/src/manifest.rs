//! The rules for the manifests: lints and versions are the workspace's, dependencies are sorted.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use toml::{Table, Value};

const DEPENDENCIES: [&str; 3] = ["build-dependencies", "dependencies", "dev-dependencies"];

/// What breaks the rules in a member's manifest.
pub(crate) fn check_member(root: &Path, dir: &Path) -> Result<Vec<String>> {
    let path = dir.join("Cargo.toml");
    let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
    Ok(member(&read(&path)?).into_iter().map(|it| format!("{shown}: {it}")).collect())
}

/// What breaks the rules in the workspace's manifest.
pub(crate) fn check_root(root: &Path) -> Result<Vec<String>> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let dependencies = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(Value::as_table)
        .context("the workspace has no [workspace.dependencies]")?;
    Ok(unsorted(dependencies).map(|it| format!("Cargo.toml: {it}")).into_iter().collect())
}

fn read(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

fn member(manifest: &Table) -> Vec<String> {
    let mut findings = Vec::new();
    if !manifest.get("lints").is_some_and(of_the_workspace) {
        findings.push("`[lints] workspace = true` is missing".to_owned());
    }
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(|it| it.values()).filter_map(Value::as_table);
    for table in std::iter::once(manifest).chain(targets) {
        for dependencies in DEPENDENCIES.iter().filter_map(|it| table.get(*it)?.as_table()) {
            findings.extend(unsorted(dependencies));
            findings.extend(
                dependencies
                    .iter()
                    .filter(|(_, value)| !of_the_workspace(value))
                    .map(|(name, _)| format!("`{name}` is to be `{name}.workspace = true`")),
            );
        }
    }
    findings
}

fn of_the_workspace(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn unsorted(dependencies: &Table) -> Option<String> {
    let names: Vec<_> = dependencies.keys().collect();
    let pair = names.windows(2).find(|pair| pair[0] > pair[1])?;
    Some(format!("`{}` is to come before `{}`", pair[1], pair[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(manifest: &str) -> Vec<String> {
        member(&manifest.parse().unwrap())
    }

    #[test]
    fn a_crate_takes_its_lints_from_the_workspace() {
        assert_eq!(findings("[lints]\nworkspace = true").len(), 0);
        assert_eq!(findings("[lints.rust]\nunsafe_code = 'forbid'").len(), 1);
        assert_eq!(findings("").len(), 1);
    }

    #[test]
    fn a_version_in_a_member_is_a_finding() {
        let lints = "lints.workspace = true\n";
        assert_eq!(findings(&format!("{lints}dependencies.a.workspace = true")).len(), 0);
        assert_eq!(findings(&format!("{lints}dependencies.a = '1'")).len(), 1);
        assert_eq!(findings(&format!("{lints}dev-dependencies.a.version = '1'")).len(), 1);
        assert_eq!(findings(&format!("{lints}target.x.dependencies.a = '1'")).len(), 1);
    }

    #[test]
    fn dependencies_are_in_alphabetical_order() {
        let manifest = "lints.workspace = true\n[dependencies]\n";
        let found = findings(&format!("{manifest}b.workspace = true\na.workspace = true"));
        assert_eq!(found, ["`a` is to come before `b`"]);
    }
}
