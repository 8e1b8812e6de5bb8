//! `--format table`: for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use comfy_table::Table;
use patchkit_examples::{printable, table};
use patchkit_report::{Finding, NodeFindings, Rating, Reach, SoftwareDiff};

use super::{args::Diff, matches::Matches};

/// Writes what differs.
pub(crate) fn diff(out: &mut impl Write, diff: &SoftwareDiff, asked: &Diff) -> io::Result<()> {
    let (before, after) = (printable(&asked.before), printable(&asked.after));
    writeln!(out, "From {before} to {after}: {} packages are the same", diff.unchanged)?;
    if !diff.changes.is_empty() {
        let mut rows = table(["package", "architecture", "", "before", "after"]);
        for change in &diff.changes {
            rows.add_row([
                printable(&change.name),
                shown(change.architecture.as_deref()),
                change.kind.as_str().to_owned(),
                shown(change.before.as_deref()),
                shown(change.after.as_deref()),
            ]);
        }
        section(out, &rows)?;
    }
    let lost: u64 = diff.lost.iter().sum();
    if lost > 0 {
        writeln!(out, "{lost} rows could not be read: what comes or goes may be one of them")?;
    }
    Ok(())
}

/// Writes what hits whom.
pub(crate) fn matches(out: &mut impl Write, matches: &Matches, top: usize) -> io::Result<()> {
    let (advisories, count) = (&matches.advisories, matches.advisories.iter().count());
    let fleet = printable(&matches.fleet);
    writeln!(out, "{count} advisories held against {} nodes of {fleet}\n", matches.nodes.len())?;
    findings(out, matches, top)?;
    undecided(out, matches, top)?;
    for (reach, words) in [
        (Reach::NoAdvisories, "nodes have a release that no advisory is for"),
        (Reach::UnknownRelease, "nodes have a release that is not known"),
        (Reach::UnknownSystem, "nodes have an operating system that is not known"),
        (Reach::NoList, "nodes have no list of packages"),
    ] {
        told(out, matches.reached(reach), words)?;
    }
    let in_doubt = matches.nodes.iter().filter(|node| node.not_ruled_out > 0).count();
    told(out, in_doubt, "nodes do not tell the sources of their packages: --packages does")?;
    told(out, advisories.withdrawn(), "advisories were withdrawn")?;
    told(out, advisories.out_of_reach().count(), "advisories are about nothing that nodes list")?;
    told(out, advisories.problems().len(), "texts are no advisories:")?;
    for problem in advisories.problems().iter().take(top) {
        writeln!(out, "  {}", printable(&problem.to_string()))?;
    }
    told(out, matches.problems.len(), "lines or objects of the lake were lost:")?;
    for problem in matches.problems.iter().take(top) {
        writeln!(out, "  {}", printable(problem))?;
    }
    Ok(())
}

fn findings(out: &mut impl Write, matches: &Matches, top: usize) -> io::Result<()> {
    let mut all: Vec<(&NodeFindings, &Finding)> = Vec::new();
    for node in &matches.nodes {
        all.extend(node.findings.iter().map(|finding| (node, finding)));
    }
    if all.is_empty() {
        return writeln!(out, "No advisory is known to hit a node.\n");
    }
    let rating = |finding: &Finding| finding.weight.as_ref().and_then(|weight| weight.rating);
    // Within a node they are in order already.
    all.sort_by_key(|(_, finding)| std::cmp::Reverse(rating(finding)));
    let mut rows =
        table(["severity", "advisory", "of", "node", "name", "package", "installed", "fixed"]);
    for (node, finding) in all.iter().take(top) {
        rows.add_row([
            rating(finding).map_or("–", Rating::as_str).to_owned(),
            printable(&finding.advisory.id),
            printable(&finding.advisory.aliases.join(", ")),
            printable(node.node.resource()),
            shown(node.name.as_deref()),
            printable(&finding.package),
            shown(finding.installed.as_deref()),
            shown(finding.fixed.as_deref()),
        ]);
    }
    let nodes = matches.nodes.iter().filter(|node| !node.findings.is_empty()).count();
    writeln!(out, "{} packages of {nodes} nodes are hit{}", all.len(), rest(top, all.len()))?;
    section(out, &rows)
}

fn undecided(out: &mut impl Write, matches: &Matches, top: usize) -> io::Result<()> {
    let mut reasons: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
    for doubt in matches.nodes.iter().flat_map(|node| &node.undecided) {
        let key = (&*doubt.advisory.id, &*doubt.package, doubt.reason.to_string());
        *reasons.entry(key).or_default() += 1;
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let mut rows = table(["advisory", "package", "times", "why it cannot be decided"]);
    for ((advisory, package, reason), times) in reasons.iter().take(top) {
        let times = times.to_string();
        rows.add_row([printable(advisory), printable(package), times, printable(reason)]);
    }
    writeln!(out, "What may hit{}", rest(top, reasons.len()))?;
    section(out, &rows)
}

fn told(out: &mut impl Write, count: usize, words: &str) -> io::Result<()> {
    if count == 0 { Ok(()) } else { writeln!(out, "{count} {words}") }
}

fn rest(top: usize, all: usize) -> String {
    if all > top { format!(" ({top} of {all} shown)") } else { String::new() }
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "–".to_owned(), printable)
}

fn section(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(out, "{}", table.trim_fmt())?;
    writeln!(out)
}
