//! The workspace's crates as cargo knows them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};

/// Features that compile a cloud SDK or a query engine.
const HEAVY_FEATURES: [&str; 4] = ["aws", "azure", "s3", "sql"];

/// The crate whose default features are neither none nor all.
pub(crate) const EXAMPLES: &str = "patchkit-examples";

/// What of the examples is switched off by default, and compiles little.
const LIGHT_EXAMPLES: &str = "patchkit-examples/parquet";

/// What of the examples is switched off by default for what it compiles.
const EXAMPLE_FEATURES: [&str; 4] = [
    "patchkit-examples/aws",
    "patchkit-examples/azure",
    "patchkit-examples/patchd",
    "patchkit-examples/sql",
];

/// Compiles Ballista, for two tests. Lints leave it out: they compile everything once more.
const BALLISTA: &str = "patchkit-ballista-tests";

/// How much of the workspace a task touches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scope {
    /// The light crates, without the heavy features.
    Quick,
    /// All of it.
    Whole,
}

/// The members, sorted by name.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
    pub(crate) scope: Scope,
}

impl Workspace {
    pub(crate) fn load(scope: Scope) -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec().context("cargo metadata")?;
        let light = metadata.workspace_default_packages();
        let mut members: Vec<_> = metadata
            .workspace_packages()
            .into_iter()
            .map(|package| Member::new(package, &light))
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
            members,
            scope,
        })
    }

    /// The members that embedders get and that compile no cloud SDK of themselves.
    pub(crate) fn light_libraries(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.light && member.published)
    }

    /// The members that embedders get and that compile a cloud SDK, less of it without features.
    pub(crate) fn heavy_libraries(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.light && member.published)
    }

    /// Cargo's arguments that take in the crates of the scope, with the features of the light
    /// libraries switched on, for a lint.
    pub(crate) fn selection_to_lint(&self) -> Vec<String> {
        let mut args = self.selection();
        if self.scope == Scope::Whole {
            args.extend(["--exclude".to_owned(), BALLISTA.to_owned()]);
        }
        args
    }

    /// The same for a test. All tests take this one, so that nothing is compiled twice: what Ballista
    /// wants of the query engine would else make another of it.
    pub(crate) fn selection(&self) -> Vec<String> {
        let mut args = Vec::new();
        match self.scope {
            Scope::Whole => args.push("--workspace".to_owned()),
            Scope::Quick => {
                for member in self.members.iter().filter(|member| member.light) {
                    args.extend(["--package".to_owned(), member.name.clone()]);
                }
                args.push("--no-default-features".to_owned());
            }
        }
        let mut features: Vec<_> = self
            .light_libraries()
            .flat_map(|member| member.features.iter().map(move |it| (&member.name, it)))
            .filter(|(_, feature)| self.takes(feature))
            .map(|(name, feature)| format!("{name}/{feature}"))
            .collect();
        features.push(LIGHT_EXAMPLES.to_owned());
        if self.scope == Scope::Whole {
            features.extend(EXAMPLE_FEATURES.map(str::to_owned));
        }
        args.extend(["--features".to_owned(), features.join(",")]);
        args
    }

    /// Whether the scope has this feature in it.
    pub(crate) fn takes(&self, feature: &str) -> bool {
        self.scope == Scope::Whole || !HEAVY_FEATURES.contains(&feature)
    }

    /// The manifests of the fuzz crates, which are no members: cargo-fuzz wants them so.
    pub(crate) fn fuzz_manifests(&self) -> Vec<PathBuf> {
        self.members
            .iter()
            .map(|member| member.dir.join("fuzz").join("Cargo.toml"))
            .filter(|manifest| manifest.is_file())
            .collect()
    }
}

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// Among the default members: what a plain `cargo build` touches.
    pub(crate) light: bool,
    pub(crate) published: bool,
    /// All but `default`.
    pub(crate) features: Vec<String>,
}

impl Member {
    fn new(package: &Package, light: &[&Package]) -> Self {
        let manifest = package.manifest_path.as_std_path();
        Self {
            name: package.name.to_string(),
            dir: manifest.parent().unwrap_or(manifest).to_owned(),
            light: light.iter().any(|it| it.id == package.id),
            published: package.publish.as_ref().is_none_or(|registries| !registries.is_empty()),
            features: package.features.keys().filter(|it| *it != "default").cloned().collect(),
        }
    }
}
