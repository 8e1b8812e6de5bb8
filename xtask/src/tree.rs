//! `cargo xtask tree`: the promises about what the light crates pull in.

use std::{collections::BTreeSet, process::Stdio};

use anyhow::{Context, Result, ensure};

use crate::{step::cargo, workspace::Workspace};

/// The core is to stay small enough to embed anywhere: fewer crates than this, itself included.
const CORE_LIMIT: usize = 45;

/// Takes minutes and gigabytes to compile: only a provider may have it, behind a feature.
const HEAVIEST: &str = "aws-sdk-ec2";

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
}
