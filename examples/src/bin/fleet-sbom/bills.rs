//! `--out`: one bill for each node, in one pass of the lake.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use patchkit_core::NodeId;
use patchkit_examples::{Exit, Failure, printable, tell, write_json};
use patchkit_report::{
    Coverage, NodeSoftware, NodesAsked, Sbom, SpecVersion, for_each_software, read_software,
};
use tempfile::NamedTempFile;

use super::{args::Bill, fleet::Fleet};

/// How many of the nodes without a bill are named.
const NAMED: usize = 10;

/// The longest name that every common file system takes, less what a temporary file's would add.
const MOST_BYTES: usize = 200;

/// Where the bills of one run go, and what came of them.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    at: Timestamp,
    spec: SpecVersion,
    outcome: Mutex<Outcome>,
}

#[derive(Debug, Default)]
struct Outcome {
    written: BTreeSet<NodeId>,
    /// Nodes of which the lake holds several lists.
    several: BTreeSet<NodeId>,
    /// Nodes of whose list rows were lost.
    incomplete: BTreeSet<NodeId>,
    /// Nodes that have no bill, and why.
    without: Vec<(NodeId, String)>,
}

/// Writes the bills into a folder that is empty or not there yet.
pub(crate) async fn write(
    fleet: &Fleet,
    bill: &Bill,
    path: &Path,
    at: Timestamp,
    out: &mut impl Write,
) -> Result<Exit, Box<dyn std::error::Error>> {
    let asked = if bill.all {
        NodesAsked::All
    } else if bill.node.is_empty() {
        NodesAsked::Live
    } else {
        let found: Result<BTreeSet<_>, _> = bill.node.iter().map(|id| fleet.find(id)).collect();
        NodesAsked::These(found?)
    };
    let folder = Arc::new(Folder::open(path, at, bill.spec.into())?);
    let shared = Arc::clone(&folder);
    let reading = for_each_software(&fleet.report, asked, move |software| shared.first(&software));
    let lost = reading.await?.skipped.total();
    // A list of one prefix is not the whole of such a node's.
    let several = std::mem::take(&mut folder.outcome().several);
    for node in several {
        let (read, _) = read_software(&fleet.report, [node]).await?;
        for software in &read {
            folder.put(software);
        }
    }
    let outcome = folder.outcome();
    let (bills, place) = (outcome.written.len(), path.display());
    writeln!(out, "{bills} bills are in {}", printable(&place.to_string()))?;
    if !outcome.incomplete.is_empty() {
        let (nodes, total) = (outcome.incomplete.len(), bills);
        tell(&format!("{nodes} of {total} bills are incomplete: rows of their lists were lost"));
    }
    if !outcome.without.is_empty() {
        tell(&format!("{} nodes have no bill:", outcome.without.len()));
        for (node, why) in outcome.without.iter().take(NAMED) {
            tell(&printable(&format!("  {node}: {why}")));
        }
    }
    let is_clean = lost == 0 && outcome.incomplete.is_empty() && outcome.without.is_empty();
    Ok(if is_clean { Exit::Clean } else { Exit::Findings })
}

impl Folder {
    fn open(path: &Path, at: Timestamp, spec: SpecVersion) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(format!("{} cannot be written: {error}", path.display()))
        };
        fs::create_dir_all(path).map_err(failed)?;
        if fs::read_dir(path).map_err(failed)?.next().is_some() {
            // The bill of a node that is gone would stay beside those of the others.
            let message = format!("{} holds something already", path.display());
            return Err(Failure::new(message));
        }
        Ok(Self { path: path.to_owned(), at, spec, outcome: Mutex::default() })
    }

    fn outcome(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the bill of a node that has none yet.
    fn first(&self, software: &NodeSoftware) {
        if self.outcome().written.contains(&software.node) {
            self.outcome().several.insert(software.node.clone());
            return;
        }
        self.put(software);
    }

    fn put(&self, software: &NodeSoftware) {
        let done = self.write(software);
        let (node, mut outcome) = (software.node.clone(), self.outcome());
        match done {
            Ok(()) => {
                if matches!(software.coverage, Coverage::Partial(_)) {
                    outcome.incomplete.insert(node.clone());
                }
                if !outcome.written.insert(node.clone()) {
                    outcome.several.insert(node);
                }
            }
            Err(why) => outcome.without.push((node, why.to_string())),
        }
    }

    fn write(&self, software: &NodeSoftware) -> Result<(), Failure> {
        let bill = Sbom::new(software, self.at)
            .map_err(|error| Failure::new(error.message().to_owned()))?
            .with_spec(self.spec);
        let name = file_name(&software.node)?;
        let failed = |error: &dyn std::fmt::Display| Failure::new(error.to_string());
        let mut file =
            BufWriter::new(NamedTempFile::new_in(&self.path).map_err(|error| failed(&error))?);
        write_json(&mut file, &bill).map_err(|error| failed(&error))?;
        let file = file.into_inner().map_err(|error| failed(&error))?;
        file.persist(self.path.join(name)).map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// A file's name that no other node has, whatever a node's id is made of: ids come from the lake, and
/// a file system may take `I-0A` for `i-0a`.
fn file_name(node: &NodeId) -> Result<String, Failure> {
    let scope = node.scope();
    let parts = [scope.account().as_str(), scope.region().as_str(), node.resource()];
    let name = format!("{}.cdx.json", parts.map(escaped).join("_"));
    if name.len() > MOST_BYTES {
        return Err(Failure::new("its id is too long for the name of a file"));
    }
    Ok(name)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use patchkit_core::Scope;

    use super::*;

    fn named(resource: &str) -> Result<String, Failure> {
        let scope =
            Scope::new("aws", "111122223333".parse().unwrap(), "eu-west-1".parse().unwrap());
        file_name(&NodeId::new(scope.unwrap(), resource).unwrap())
    }

    #[test]
    fn a_file_is_named_after_its_node() {
        assert_eq!(named("i-0a").unwrap(), "111122223333_eu-west-1_i-0a.cdx.json");
    }

    #[test]
    fn no_id_leads_out_of_the_folder_or_onto_another_file() {
        let hostile =
            ["..", "../x", "a_b", "a%5fb", "I-0A", "i-0a", "a\u{202e}", "é", "a b", "a\\b"];
        let names: BTreeSet<_> = hostile.iter().filter_map(|it| named(it).ok()).collect();
        assert!(names.len() >= 8, "{names:?}");
        for name in &names {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_%.".contains(c);
            assert!(name.chars().all(is_plain), "{name}");
            assert_eq!(name.matches('.').count(), 2, "{name}");
            assert!(!name.contains(|c: char| c.is_ascii_uppercase()), "{name}");
        }
        assert!(named(&"x".repeat(250)).is_err());
    }
}
