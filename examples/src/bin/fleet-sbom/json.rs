//! `--format json`: one object.

use std::io::{self, Write};

use patchkit_core::NodeId;
use patchkit_examples::write_json;
use patchkit_report::{Finding, MatchedBy, NodeFindings, Reach, SoftwareDiff, Undecided, Weight};
use serde::Serialize;

use super::matches::Matches;

/// Writes what differs.
pub(crate) fn diff(out: &mut impl Write, diff: &SoftwareDiff) -> io::Result<()> {
    write_json(out, diff)
}

/// Writes what hits whom.
pub(crate) fn matches(out: &mut impl Write, matches: &Matches) -> io::Result<()> {
    let advisories = &matches.advisories;
    write_json(
        out,
        &Document {
            fleet: &matches.fleet,
            advisories: Supply {
                read: advisories.iter().count(),
                withdrawn: advisories.withdrawn(),
                out_of_reach: advisories.out_of_reach().map(|it| &*it.id).collect(),
                problems: advisories.problems().iter().map(ToString::to_string).collect(),
            },
            nodes: matches.nodes.iter().map(Row::new).collect(),
            problems: &matches.problems,
        },
    )
}

#[derive(Serialize)]
struct Document<'a> {
    fleet: &'a str,
    advisories: Supply<'a>,
    nodes: Vec<Row<'a>>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct Supply<'a> {
    read: usize,
    withdrawn: usize,
    out_of_reach: Vec<&'a str>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    node: &'a NodeId,
    name: Option<&'a str>,
    reach: Reach,
    findings: Vec<Hit<'a>>,
    undecided: Vec<Doubt<'a>>,
    not_ruled_out: usize,
    lost_rows: u64,
}

#[derive(Serialize)]
struct Hit<'a> {
    advisory: &'a str,
    aliases: &'a [Box<str>],
    ecosystem: String,
    package: &'a str,
    architecture: Option<&'a str>,
    installed: Option<&'a str>,
    fixed: Option<&'a str>,
    severity: Option<&'a Weight>,
    matched_by: MatchedBy,
}

#[derive(Serialize)]
struct Doubt<'a> {
    advisory: &'a str,
    ecosystem: String,
    package: &'a str,
    installed: Option<&'a str>,
    reason: String,
}

impl<'a> Row<'a> {
    fn new(node: &'a NodeFindings) -> Self {
        let hit = |it: &'a Finding| Hit {
            advisory: &it.advisory.id,
            aliases: &it.advisory.aliases,
            ecosystem: it.ecosystem.to_string(),
            package: &it.package,
            architecture: it.architecture.as_deref(),
            installed: it.installed.as_deref(),
            fixed: it.fixed.as_deref(),
            severity: it.weight.as_ref(),
            matched_by: it.matched_by,
        };
        let doubt = |it: &'a Undecided| Doubt {
            advisory: &it.advisory.id,
            ecosystem: it.ecosystem.to_string(),
            package: &it.package,
            installed: it.installed.as_deref(),
            reason: it.reason.to_string(),
        };
        Self {
            node: &node.node,
            name: node.name.as_deref(),
            reach: node.reach,
            findings: node.findings.iter().map(hit).collect(),
            undecided: node.undecided.iter().map(doubt).collect(),
            not_ruled_out: node.not_ruled_out,
            lost_rows: node.lost,
        }
    }
}
