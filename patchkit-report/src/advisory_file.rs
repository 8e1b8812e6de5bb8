//! Files of advisories.

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use patchkit_core::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Advisory, AffectedPackage, Distro, Ecosystem, ReleaseScope, SourceNames, advisory::Read,
};

/// Advisories to hold nodes against.
///
/// # Behavior
/// - A text is one advisory in JSON, an array of them, OSV's answer to a query (`vulns`), or one a line. One
///   that is no advisory costs only itself and is a problem; those that were withdrawn are counted.
/// - Of an id that comes twice the last one counts.
///
/// # Example
/// ```
/// use patchkit_report::{Advisories, NodeSoftware, Package};
///
/// let mut advisories = Advisories::new();
/// advisories.parse("mine.json", r#"{"id":"X-1","affected":[{
///     "package":{"ecosystem":"Rocky Linux:9","name":"bash"},
///     "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.1.8-9.el9"}]}]}]}"#);
/// assert!(advisories.problems().is_empty());
///
/// let node = NodeSoftware::new("aws/111122223333/eu-west-1/i-0a".parse()?);
/// let node = node.with_platform("Rocky Linux", "9.4");
/// let bash = Package::new("bash").with_version("5.1.8").with_release("6.el9");
/// let found = advisories.held_against(&node.with_packages([bash]));
/// assert_eq!(found.findings[0].fixed.as_deref(), Some("5.1.8-9.el9"));
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Advisories {
    pub(crate) read: Vec<Arc<Advisory>>,
    ids: HashMap<Box<str>, usize>,
    /// Advisories and their packages, by the name in lower case.
    pub(crate) names: HashMap<Box<str>, Vec<Place>>,
    /// The same of those packages that are told to be built of them.
    pub(crate) binaries: HashMap<Box<str>, Vec<Place>>,
    pub(crate) sources: SourceNames,
    /// How much there is for each distribution.
    pub(crate) supply: HashMap<Distro, Supply>,
    withdrawn: usize,
    problems: Vec<AdvisoryProblem>,
}

/// An advisory, and one of the packages that it is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) advisory: usize,
    pub(crate) affected: usize,
}

/// How many packages advisories name for a distribution: for all of its releases, and for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supply {
    pub(crate) for_all: Amount,
    pub(crate) by_release: HashMap<Box<str>, Amount>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amount {
    pub(crate) packages: usize,
    /// Of these, those of which is not told what is built of them.
    pub(crate) bare: usize,
}

impl Amount {
    /// Counts a package once more, or takes it out.
    fn count(&mut self, package: &AffectedPackage, change: fn(usize, usize) -> usize) {
        self.packages = change(self.packages, 1);
        if package.binaries.is_empty() {
            self.bare = change(self.bare, 1);
        }
    }
}

/// A text that is no advisory, or could not be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AdvisoryProblem {
    /// The file.
    pub file: Box<str>,
    /// Which of its lines, or of its entries, counted from 1; `None` where it is the whole file.
    pub entry: Option<usize>,
    /// Why.
    pub reason: Box<str>,
}

impl fmt::Display for AdvisoryProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "{} entry {entry}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

impl Advisories {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the source packages of a distribution whose inventory does not tell them.
    ///
    /// A package of Debian's kind that they do not hold is taken for none of the distribution's.
    #[must_use]
    pub fn with_source_names(mut self, names: SourceNames) -> Self {
        self.sources = names;
        self
    }

    /// Reads a file, or every `.json`, `.jsonl` and `.ndjson` file of a directory and those below it.
    ///
    /// # Errors
    /// `NotFound` or `InvalidInput` where `path` itself cannot be read. What is wrong with a file below it
    /// is a problem.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        let failed = |error: io::Error| {
            let message = format!("{} cannot be read: {error}", path.display());
            match error.kind() {
                io::ErrorKind::NotFound => Error::not_found("report", "advisories", message),
                _ => Error::invalid("report", "advisories", message),
            }
        };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            let text = fs::read(path).map_err(failed)?;
            self.parse_bytes(path, &text);
            return Ok(());
        }
        let mut waiting = vec![path.to_owned()];
        while let Some(folder) = waiting.pop() {
            match entries(&folder) {
                Ok(entries) => {
                    for (path, is_folder) in entries {
                        if is_folder {
                            waiting.push(path);
                        } else {
                            match fs::read(&path) {
                                Ok(text) => self.parse_bytes(&path, &text),
                                Err(error) => self.problem(&path.to_string_lossy(), None, error),
                            }
                        }
                    }
                }
                Err(error) if folder == path => return Err(failed(error)),
                Err(error) => self.problem(&folder.to_string_lossy(), None, error),
            }
        }
        Ok(())
    }

    /// Reads a text; `file` is what its problems name.
    pub fn parse(&mut self, file: &str, text: &str) {
        let text = text.trim_start_matches('\u{feff}');
        if let Ok(entries) = entries_of(text) {
            for (at, entry) in entries.iter().enumerate() {
                let number = (entries.len() > 1).then_some(at + 1);
                self.take(file, number, entry.get());
            }
            return;
        }
        // Not one value: one a line. Where no line is a value either, the file is what is wrong.
        let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        if lines().any(|(_, line)| serde_json::from_str::<&RawValue>(line).is_ok_and(is_object)) {
            for (at, line) in lines() {
                self.take(file, Some(at + 1), line);
            }
        } else {
            let problem = serde_json::from_str::<&RawValue>(text).err();
            let reason =
                problem.map_or("neither an advisory nor a list".to_owned(), |it| it.to_string());
            self.problem(file, None, reason);
        }
    }

    fn parse_bytes(&mut self, path: &Path, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.parse(&path.to_string_lossy(), text),
            Err(error) => self.problem(&path.to_string_lossy(), None, error),
        }
    }

    fn problem(&mut self, file: &str, entry: Option<usize>, reason: impl fmt::Display) {
        let reason = reason.to_string().into();
        self.problems.push(AdvisoryProblem { file: file.into(), entry, reason });
    }

    fn take(&mut self, file: &str, entry: Option<usize>, json: &str) {
        match Advisory::read(json) {
            Ok(Read::Taken(advisory)) => self.add(advisory),
            Ok(Read::Withdrawn) => self.withdrawn += 1,
            Err(reason) => self.problem(file, entry, reason),
        }
    }

    fn add(&mut self, advisory: Advisory) {
        let at = self.read.len();
        if let Some(older) = self.ids.insert(advisory.id.clone(), at) {
            for places in self.names.values_mut().chain(self.binaries.values_mut()) {
                places.retain(|place| place.advisory != older);
            }
            let older = Arc::clone(&self.read[older]);
            self.count(&older, usize::saturating_sub);
        }
        self.count(&advisory, usize::saturating_add);
        for (affected, package) in advisory.affected.iter().enumerate() {
            let place = Place { advisory: at, affected };
            if package.binaries.is_empty() {
                self.names.entry(folded(&package.name)).or_default().push(place);
            }
            for binary in &package.binaries {
                let places = self.binaries.entry(folded(&binary.name)).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        self.read.push(Arc::new(advisory));
    }

    fn count(&mut self, advisory: &Advisory, change: fn(usize, usize) -> usize) {
        for package in &advisory.affected {
            let Ecosystem::Distro(distro, scope) = &package.ecosystem else { continue };
            let supply = self.supply.entry(*distro).or_default();
            match scope {
                ReleaseScope::All => supply.for_all.count(package, change),
                ReleaseScope::Release(release) => {
                    supply.by_release.entry(release.clone()).or_default().count(package, change);
                }
                // Of which nobody knows whether it is for a node.
                ReleaseScope::Product(_) => {}
            }
        }
    }

    /// The advisories, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Advisory> {
        let numbered = self.read.iter().enumerate();
        let is_last = |(at, it): &(usize, &Arc<Advisory>)| self.ids.get(&it.id) == Some(at);
        numbered.filter(is_last).map(|(_, advisory)| &**advisory)
    }

    /// Those that are about nothing that an inventory lists, or that this crate knows: nothing can be said
    /// of them for any node.
    pub fn out_of_reach(&self) -> impl Iterator<Item = &Advisory> {
        let is_other = |it: &&Advisory| {
            it.affected.iter().all(|package| matches!(package.ecosystem, Ecosystem::Other(_)))
        };
        self.iter().filter(is_other)
    }

    /// How many were withdrawn by their issuers.
    pub fn withdrawn(&self) -> usize {
        self.withdrawn
    }

    /// What was no advisory, or could not be read.
    pub fn problems(&self) -> &[AdvisoryProblem] {
        &self.problems
    }
}

/// Names in an index are in lower case: Windows' have no case, and of others it is looked at again.
pub(crate) fn folded(name: &str) -> Box<str> {
    name.to_lowercase().into()
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// The advisories of a text that is one JSON value.
fn entries_of(text: &str) -> serde_json::Result<Vec<&RawValue>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        vulns: Option<Vec<&'a RawValue>>,
    }
    let whole: &RawValue = serde_json::from_str(text)?;
    if !is_object(whole) {
        return serde_json::from_str(text);
    }
    let answer: Answer<'_> = serde_json::from_str(text)?;
    Ok(answer.vulns.unwrap_or_else(|| vec![whole]))
}

/// What is worth reading in a folder, by name, and whether it is a folder. Links to folders are not
/// followed: a loop has no end.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
        if kind.is_dir() || ["json", "jsonl", "ndjson"].contains(&extension) {
            entries.push((path, kind.is_dir()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"id":"A","affected":[{"package":{"ecosystem":"Debian","name":"a"}}]}"#;
    const TWO: &str = r#"{"id":"B","affected":[{"package":{"ecosystem":"PyPI","name":"b"}}]}"#;

    fn parse(text: &str) -> Advisories {
        let mut advisories = Advisories::new();
        advisories.parse("f", text);
        advisories
    }

    fn ids(advisories: &Advisories) -> Vec<&str> {
        advisories.iter().map(|it| &*it.id).collect()
    }

    #[test]
    fn files_come_in_four_forms() {
        for text in [
            format!("[{ONE},{TWO}]"),
            format!(r#"{{"vulns":[{ONE},{TWO}]}}"#),
            format!("{ONE}\n\n{TWO}\r\n"),
            format!("\u{feff}{ONE}\n{TWO}"),
        ] {
            assert_eq!(ids(&parse(&text)), ["A", "B"], "{text}");
        }
        assert_eq!(ids(&parse(ONE)), ["A"]);
        assert_eq!(parse(TWO).out_of_reach().count(), 1);
    }

    #[test]
    fn one_bad_advisory_costs_only_itself() {
        let bad = parse(&format!(r#"[{ONE},{{"id":7}},"x",{TWO}]"#));
        assert_eq!(ids(&bad), ["A", "B"]);
        let entries: Vec<_> = bad.problems().iter().map(|problem| problem.entry).collect();
        assert_eq!(entries, [Some(2), Some(3)]);
        let bad = parse(&format!("{ONE}\n{{\"id\":\n{TWO}\n"));
        assert_eq!(ids(&bad), ["A", "B"]);
        assert_eq!(bad.problems()[0].entry, Some(2));
        for text in ["", "<html>\n</html>", "7", "{\"id\":\"A\",\n\"affected\""] {
            let bad = parse(text);
            assert_eq!((bad.iter().count(), bad.problems().len()), (0, 1), "{text:?}");
            assert_eq!(bad.problems()[0].entry, None);
        }
    }

    #[test]
    fn the_last_of_an_id_counts() {
        let newer = ONE.replace(r#""name":"a""#, r#""name":"c""#);
        let advisories = parse(&format!("{ONE}\n{newer}\n"));
        assert_eq!(advisories.iter().count(), 1);
        assert!(advisories.names["a"].is_empty());
        assert_eq!(advisories.names["c"].len(), 1);
        assert_eq!(advisories.supply[&Distro::Debian].for_all.packages, 1);
    }

    #[test]
    fn a_directory_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        fs::write(folder.path().join("b/2.json"), TWO).unwrap();
        fs::write(folder.path().join("1.json"), ONE).unwrap();
        fs::write(folder.path().join("3.json"), [0xff]).unwrap();
        fs::write(folder.path().join("README.md"), "no advisory").unwrap();
        let mut advisories = Advisories::new();
        advisories.read(folder.path()).unwrap();
        assert_eq!(ids(&advisories), ["A", "B"]);
        assert_eq!(advisories.problems().len(), 1);
        assert!(advisories.read(&folder.path().join("none")).is_err());
    }
}
