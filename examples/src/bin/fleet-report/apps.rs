//! Packages by name and version.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use globset::{GlobBuilder, GlobMatcher};
use patchkit_core::{NodeId, PackageFamily};
use patchkit_examples::Failure;
use patchkit_inventory::{
    ApplicationQuery, ApplicationRow, Below, LakeReading, LakeReport, NodesWanted, VersionScheme,
};

/// What is asked of the packages.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) pattern: String,
    pub(crate) below: Option<String>,
    nodes: NodesWanted,
    glob: GlobMatcher,
    limits: Option<Limits>,
}

/// The version to be below, read by each scheme's rules.
#[derive(Debug)]
struct Limits {
    rpm: Below,
    deb: Below,
    windows: Below,
}

/// The answer.
#[derive(Debug)]
pub(crate) struct Found {
    /// By node, name and version.
    pub(crate) rows: Vec<Package>,
    /// Packages that the pattern takes and whose version says nothing to compare; none without a
    /// version to be below.
    pub(crate) not_comparable: Vec<Package>,
    /// How many packages the pattern takes, whatever their version.
    pub(crate) matched: u64,
    pub(crate) reading: LakeReading,
}

/// One package on one node. Texts that many nodes share are held once.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Package {
    pub(crate) node: NodeId,
    pub(crate) name: Arc<str>,
    pub(crate) version: Option<Arc<str>>,
    pub(crate) release: Option<Arc<str>>,
    pub(crate) epoch: Option<Arc<str>>,
    pub(crate) architecture: Option<Arc<str>>,
    pub(crate) publisher: Option<Arc<str>>,
    pub(crate) scheme: Scheme,
}

/// Whose rules a row is compared by.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Scheme {
    Rpm,
    Deb,
    Windows,
}

impl Scheme {
    /// By the node's system; where that is not known, only rpm rows have a release of their own.
    fn of(row: &ApplicationRow<'_>) -> Self {
        let has_release = row.release.is_some_and(|release| !release.trim().is_empty());
        if row.family() == PackageFamily::Other && has_release {
            return Self::Rpm;
        }
        match VersionScheme::for_family(row.family()) {
            VersionScheme::Rpm => Self::Rpm,
            VersionScheme::Deb => Self::Deb,
            _ => Self::Windows,
        }
    }

    fn rules(self) -> VersionScheme {
        match self {
            Self::Rpm => VersionScheme::Rpm,
            Self::Deb => VersionScheme::Deb,
            Self::Windows => VersionScheme::Windows,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rpm => "rpm",
            Self::Deb => "deb",
            Self::Windows => "windows",
        }
    }
}

impl Package {
    /// Epoch, version and release as its system writes them.
    pub(crate) fn full_version(&self) -> String {
        let text = Option::unwrap_or_default;
        let parts = [&self.epoch, &self.version, &self.release].map(|part| text(part.as_deref()));
        self.scheme.rules().row(parts[0], parts[1], parts[2]).to_string()
    }
}

impl Limits {
    fn parse(text: &str) -> Result<Self, Failure> {
        let parse = |scheme| {
            Below::parse(scheme, text).map_err(|_| {
                Failure::new(format!("--below {text:?} is not a version: it has no number"))
            })
        };
        Ok(Self {
            rpm: parse(VersionScheme::Rpm)?,
            deb: parse(VersionScheme::Deb)?,
            windows: parse(VersionScheme::Windows)?,
        })
    }

    fn of(&self, scheme: Scheme) -> &Below {
        match scheme {
            Scheme::Rpm => &self.rpm,
            Scheme::Deb => &self.deb,
            Scheme::Windows => &self.windows,
        }
    }
}

impl Question {
    /// Reads the pattern and the version.
    pub(crate) fn new(
        pattern: &str,
        below: Option<&str>,
        nodes: NodesWanted,
    ) -> Result<Self, Failure> {
        if pattern.is_empty() {
            return Err(Failure::new("--app is empty: give a name, or '*' for all"));
        }
        let glob = GlobBuilder::new(pattern)
            .case_insensitive(true)
            .build()
            .map_err(|error| Failure::new(format!("--app: {error}")))?
            .compile_matcher();
        let limits = below.map(Limits::parse).transpose()?;
        Ok(Self {
            pattern: pattern.to_owned(),
            below: below.map(str::to_owned),
            nodes,
            glob,
            limits,
        })
    }

    /// Reads the packages of the report's nodes.
    pub(crate) async fn ask(self: &Arc<Self>, report: &LakeReport) -> patchkit_core::Result<Found> {
        let query = ApplicationQuery::default()
            .with_name_prefix(literal_prefix(&self.pattern))
            .with_nodes(self.nodes);
        let bag = Arc::new(Mutex::new(Bag::default()));
        let (question, shared) = (Arc::clone(self), Arc::clone(&bag));
        let take = move |row: &ApplicationRow<'_>| {
            if question.glob.is_match(row.name) {
                let verdict = question.judge(row);
                shared.lock().unwrap_or_else(PoisonError::into_inner).put(row, verdict);
            }
        };
        let reading = report.for_each_application(&query, take).await?;
        let mut bag = std::mem::take(&mut *bag.lock().unwrap_or_else(PoisonError::into_inner));
        bag.rows.sort_unstable();
        bag.not_comparable.sort_unstable();
        let Bag { rows, not_comparable, matched, .. } = bag;
        Ok(Found { rows, not_comparable, matched, reading })
    }

    fn judge(&self, row: &ApplicationRow<'_>) -> Verdict {
        let Some(limits) = &self.limits else { return Verdict::Wanted };
        let limit = limits.of(Scheme::of(row));
        let text = Option::unwrap_or_default;
        match limit.is_below(text(row.epoch), text(row.version), text(row.release)) {
            Some(true) => Verdict::Wanted,
            Some(false) => Verdict::NotWanted,
            None => Verdict::NotComparable,
        }
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Wanted,
    NotWanted,
    NotComparable,
}

/// What is found so far.
#[derive(Default)]
struct Bag {
    rows: Vec<Package>,
    not_comparable: Vec<Package>,
    matched: u64,
    texts: HashSet<Arc<str>>,
}

impl Bag {
    fn put(&mut self, row: &ApplicationRow<'_>, verdict: Verdict) {
        self.matched += 1;
        match verdict {
            Verdict::NotWanted => {}
            Verdict::Wanted => {
                let package = self.package(row);
                self.rows.push(package);
            }
            Verdict::NotComparable => {
                let package = self.package(row);
                self.not_comparable.push(package);
            }
        }
    }

    fn package(&mut self, row: &ApplicationRow<'_>) -> Package {
        Package {
            node: row.node.id.clone(),
            name: self.text(row.name),
            version: row.version.map(|text| self.text(text)),
            release: row.release.map(|text| self.text(text)),
            epoch: row.epoch.map(|text| self.text(text)),
            architecture: row.architecture.map(|text| self.text(text)),
            publisher: row.publisher.map(|text| self.text(text)),
            scheme: Scheme::of(row),
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }
}

impl Found {
    /// How many nodes have a row.
    pub(crate) fn nodes(&self) -> usize {
        self.rows.chunk_by(|a, b| a.node == b.node).count()
    }
}

/// What every name that the pattern takes begins with.
fn literal_prefix(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    let prefix = &pattern[..end];
    // The reader folds ASCII only, the pattern folds more.
    if prefix.is_ascii() { prefix } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, name: &str) -> bool {
        let question = Question::new(pattern, None, NodesWanted::Live).unwrap();
        question.glob.is_match(name)
    }

    #[test]
    fn names_are_matched_whole_and_without_regard_to_case() {
        assert!(takes("openssl*", "OpenSSL 3.0.8 (64-bit)"));
        assert!(takes("open?sl", "OPENSSL"));
        assert!(takes("*ssl*", "a/b/libssl3"));
        assert!(takes("{curl,wget}", "Wget"));
        assert!(!takes("openssl", "openssl-libs"));
    }

    #[test]
    fn the_prefix_is_what_comes_before_the_first_wildcard() {
        for (pattern, prefix) in [
            ("openssl*", "openssl"),
            ("bash", "bash"),
            ("*ssl", ""),
            ("a{b,c}", "a"),
            (r"a\*b", "a"),
            ("é*", ""),
        ] {
            assert_eq!(literal_prefix(pattern), prefix);
        }
    }

    #[test]
    fn a_windows_version_has_no_epoch() {
        let limits = Limits::parse("1:3.0.7").unwrap();
        assert_eq!(limits.windows.is_below("", "3.0.5", ""), Some(true));
        assert_eq!(limits.rpm.is_below("1", "3.0.5", "1.el9"), Some(true));
        assert_eq!(limits.rpm.is_below("2", "3.0.5", "1.el9"), Some(false));
    }

    #[test]
    fn bad_patterns_and_versions_are_refused() {
        for (pattern, below) in
            [("", None), ("[", None), ("{a", None), ("a", Some("new")), ("a", Some(""))]
        {
            assert!(Question::new(pattern, below, NodesWanted::Live).is_err(), "{pattern}");
        }
    }
}
