//! `cargo xtask tree`: the promises about what the light crates pull in.

use std::{collections::BTreeSet, process::Stdio};

use anyhow::{Context, Result, ensure};

use crate::{step::cargo, workspace::Workspace};

/// The core is to stay small enough to embed anywhere: fewer crates than this, itself included.
const CORE_LIMIT: usize = 45;

/// Takes minutes and gigabytes to compile: only a provider may have it, behind a feature.
const HEAVIEST: &str = "aws-sdk-ec2";

/// What `azure_core` 0.21 would bring, of which only the types of `azure_mgmt_compute`'s requests are
/// used: an HTTP stack of its own, whose calls would go past tokens, budgets and retries of ours.
const OLD_HTTP: [&str; 4] = ["hyper v0.", "hyper-tls v", "reqwest v0.11.", "reqwest v0.12."];
const AZURE: &str = "patchkit-azure";

/// What breaks the promises.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let core = crates("patchkit-core", Features::None)?;
    eprintln!("patchkit-core without features: {} crates", core.len());
    if core.len() >= CORE_LIMIT {
        findings.push(format!(
            "patchkit-core pulls {} crates, it is to stay under {CORE_LIMIT}: {}",
            core.len(),
            core.into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    if workspace.members.iter().any(|member| member.name == AZURE) {
        let pulled = crates(AZURE, Features::All)?;
        findings.extend(old_http(&pulled).map(|name| format!("{AZURE} pulls {name}")));
    }
    for member in workspace.members.iter().filter(|member| member.light) {
        // A library is promised light whatever is switched on; the binaries as they are by default.
        let features = if member.published { Features::All } else { Features::Default };
        let pulled = crates(&member.name, features)?;
        if pulled.iter().any(|name| name.starts_with(HEAVIEST)) {
            findings.push(format!("{} pulls {HEAVIEST}", member.name));
        }
    }
    Ok(findings)
}

fn old_http(pulled: &BTreeSet<String>) -> impl Iterator<Item = &String> {
    pulled.iter().filter(|name| OLD_HTTP.iter().any(|old| name.starts_with(old)))
}

#[derive(Clone, Copy, Debug)]
enum Features {
    None,
    Default,
    All,
}

/// The crates that one pulls in, itself included, each as `name vX.Y.Z`.
fn crates(package: &str, features: Features) -> Result<BTreeSet<String>> {
    let mut command = cargo(["tree", "--package", package, "--edges", "normal"]);
    command.args(["--prefix", "none", "--format", "{p}"]).args(match features {
        Features::None => Some("--no-default-features"),
        Features::Default => None,
        Features::All => Some("--all-features"),
    });
    let output = command.stderr(Stdio::inherit()).output().context("cargo tree")?;
    ensure!(output.status.success(), "cargo tree failed for {package}");
    Ok(names(&String::from_utf8_lossy(&output.stdout)))
}

fn names(tree: &str) -> BTreeSet<String> {
    let id = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    tree.lines().map(id).filter(|it| !it.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_crate_is_counted_once_and_two_versions_twice() {
        let tree = "core v0.1.0 (/src/core)\nserde v1.0.1\nserde v1.0.1 (*)\n\nserde v2.0.0\n";
        assert_eq!(names(tree).len(), 3);
    }

    #[test]
    fn the_old_http_stack_is_told_from_the_new_one() {
        let tree = "reqwest v0.13.5\nhyper v1.12.0\nreqwest v0.12.9\nhyper v0.14.30 (*)\n";
        let pulled = names(tree);
        let old: Vec<&String> = old_http(&pulled).collect();
        assert_eq!(old, ["hyper v0.14.30", "reqwest v0.12.9"]);
    }
}
