//! `match`: advisories held against the nodes of a lake.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use patchkit_examples::{Exit, Failure, tell};
use patchkit_report::{
    Advisories, NodeFindings, NodesAsked, Reach, SourceNames, for_each_software,
};

use super::{
    args::{Args, Match},
    fleet::Fleet,
};

/// For the sample: what it has of openssl, by the rules of each system.
const SAMPLE: &str = include_str!("sample.ndjson");

/// What hits whom.
#[derive(Debug)]
pub(crate) struct Matches {
    pub(crate) fleet: String,
    pub(crate) advisories: Arc<Advisories>,
    /// By node.
    pub(crate) nodes: Vec<NodeFindings>,
    /// What of the lake could not be read, in words.
    pub(crate) problems: Vec<String>,
}

pub(crate) async fn find(args: &Args, asked: &Match) -> Result<Matches, Failure> {
    let advisories = Arc::new(advisories(asked)?);
    let fleet = Fleet::open(args).await?;
    let nodes = if asked.all {
        NodesAsked::All
    } else if asked.only.is_empty() {
        NodesAsked::Live
    } else {
        let found: Result<BTreeSet<_>, _> = asked.only.iter().map(|id| fleet.find(id)).collect();
        NodesAsked::These(found?)
    };
    let found = Arc::new(Mutex::new(Vec::new()));
    let (shared, against) = (Arc::clone(&found), Arc::clone(&advisories));
    let reading = for_each_software(&fleet.report, nodes, move |software| {
        let findings = against.held_against(&software);
        shared.lock().unwrap_or_else(PoisonError::into_inner).push(findings);
    });
    let reading = reading.await?;
    let mut nodes = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    let lost = reading.skipped.entries().iter().map(|lost| match lost.line {
        Some(line) => format!("{} line {line}: {}", lost.key, lost.reason),
        None => format!("{}: {}", lost.key, lost.reason),
    });
    Ok(Matches { problems: lost.collect(), fleet: fleet.name, advisories, nodes })
}

fn advisories(asked: &Match) -> Result<Advisories, Failure> {
    let mut index = String::new();
    for path in &asked.packages {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
        index.push_str(&text);
        index.push_str("\n\n");
    }
    let mut advisories = Advisories::new().with_source_names(SourceNames::parse_packages(&index));
    if asked.advisories.is_empty() {
        tell("no --advisories were given: taking a few that were made for the sample");
        advisories.parse("sample.ndjson", SAMPLE);
    }
    for path in &asked.advisories {
        advisories.read(path)?;
    }
    if advisories.iter().next().is_none() {
        let why = advisories.problems().first().map_or_else(String::new, |it| format!(": {it}"));
        return Err(Failure::new(format!("there is no advisory in what was given{why}")));
    }
    Ok(advisories)
}

impl Matches {
    /// How many nodes the answer reaches so far.
    pub(crate) fn reached(&self, reach: Reach) -> usize {
        self.nodes.iter().filter(|node| node.reach == reach).count()
    }

    pub(crate) fn exit(&self) -> Exit {
        let is_clean = self.problems.is_empty()
            && self.advisories.problems().is_empty()
            && self.nodes.iter().all(|node| {
                node.findings.is_empty()
                    && node.undecided.is_empty()
                    && node.not_ruled_out == 0
                    && matches!(node.reach, Reach::Held | Reach::NoAdvisories)
            });
        if is_clean { Exit::Clean } else { Exit::Findings }
    }
}
