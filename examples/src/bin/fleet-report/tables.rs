//! `--format table`: for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use comfy_table::{CellAlignment, Table};
use patchkit_core::Classification;
use patchkit_examples::{percent, printable, table};
use patchkit_inventory::{LakeNode, StatusCounts};

use super::{
    answer::{Answer, Rows},
    apps::{Found, Question},
    row::{NodeRow, PackageRow},
};

/// Writes the tables.
pub(crate) fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    match &answer.rows {
        Rows::None => {
            groups(out, answer)?;
            worst(out, answer)?;
            missing(out, answer)?;
        }
        Rows::NonCompliant => {
            let nodes = answer.non_compliant();
            let live = answer.report.totals().nodes();
            writeln!(out, "{} of {live} nodes are not compliant, worst first", nodes.len())?;
            long(out, &nodes, node_table)?;
        }
        Rows::Packages(question, found) => packages(out, answer, question, found)?,
    }
    lost(out, answer)?;
    repaired(out, answer)?;
    read(out, answer)
}

fn groups(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let names = answer.by.iter().map(|dimension| dimension.as_str().replace('_', " "));
    let counts =
        ["nodes", "compliant", "%", "not compliant", "unknown", "not live"].map(str::to_owned);
    let mut groups = table(names.chain(counts).collect::<Vec<_>>());
    let cells = |counts: StatusCounts| {
        [
            counts.nodes().to_string(),
            counts.compliant.to_string(),
            percent(counts.compliant, counts.nodes()),
            counts.non_compliant.to_string(),
            counts.unknown.to_string(),
            counts.not_live.total().to_string(),
        ]
    };
    for group in answer.report.groups(&answer.by) {
        let values = group.values.iter().map(|value| shown(value.as_deref()));
        groups.add_row(values.chain(cells(group.counts)).collect::<Vec<_>>());
    }
    let totals = answer.report.totals();
    let names = (0..answer.by.len()).map(|n| if n == 0 { "total" } else { "" }.to_owned());
    groups.add_row(names.chain(cells(totals)).collect::<Vec<_>>());
    right(&mut groups, answer.by.len()..answer.by.len() + 6);
    writeln!(out, "Nodes of {} by compliance", printable(&answer.lake))?;
    section(out, &groups)?;

    let not_live = totals.not_live;
    if not_live.total() > 0 {
        writeln!(
            out,
            "Not live, and in no other column: {} stopped, {} terminated.",
            not_live.stopped, not_live.terminated
        )?;
    }
    let contradictions = answer.report.disagreements().count();
    if contradictions > 0 {
        writeln!(
            out,
            "On {contradictions} nodes AWS:ComplianceSummary and AWS:PatchSummary contradict each \
             other; the newer one counts."
        )?;
    }
    if not_live.total() > 0 || contradictions > 0 {
        writeln!(out)?;
    }
    Ok(())
}

fn worst(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let nodes = answer.report.worst(answer.top);
    if nodes.is_empty() {
        return Ok(());
    }
    let all = answer.report.totals().non_compliant;
    let more = rest(nodes.len(), all, "--non-compliant lists all");
    writeln!(out, "Worst nodes{more}")?;
    section(out, &node_table(&nodes))
}

fn missing(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let all = answer.gaps.as_deref().unwrap_or_default();
    let gaps = &all[..all.len().min(answer.top)];
    if gaps.is_empty() {
        return Ok(());
    }
    let mut patches = table(["patch", "level", "kind", "missing on", "failed on", "title"]);
    for gap in gaps {
        let title = gap.title.as_deref().filter(|title| *title != gap.patch.as_str());
        patches.add_row([
            printable(gap.patch.as_str()),
            gap.level.to_string(),
            shown(gap.classification.as_ref().map(Classification::as_str)),
            gap.missing.to_string(),
            gap.failed.to_string(),
            clipped(title.unwrap_or_default(), 60),
        ]);
    }
    right(&mut patches, 3..5);
    let more = rest(gaps.len(), all.len() as u64, "--top shows more");
    writeln!(out, "Patches that most live nodes lack{more}")?;
    section(out, &patches)
}

fn node_table(nodes: &[&LakeNode]) -> Table {
    let header = [
        "node", "name", "account", "region", "group", "level", "critical", "security", "missing",
        "failed", "reboot", "seen",
    ];
    let mut rows = table(header);
    for node in nodes {
        let row = NodeRow::new(node);
        rows.add_row([
            printable(row.id),
            clipped(row.name.unwrap_or("–"), 28),
            printable(row.account),
            printable(row.region),
            clipped(row.patch_group.as_deref().unwrap_or("–"), 20),
            row.level.map_or("–", |level| level.as_str()).to_owned(),
            row.critical_non_compliant.to_string(),
            row.security_non_compliant.to_string(),
            row.missing.to_string(),
            row.failed.to_string(),
            row.installed_pending_reboot.to_string(),
            row.observed_at
                .map_or("–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%MZ").to_string()),
        ]);
    }
    right(&mut rows, 6..11);
    rows
}

fn packages(
    out: &mut impl Write,
    answer: &Answer,
    question: &Question,
    found: &Found,
) -> io::Result<()> {
    let pattern = printable(&question.pattern);
    let (rows, nodes) = (found.rows.len(), found.nodes());
    match &question.below {
        Some(below) => writeln!(
            out,
            "{rows} packages on {nodes} nodes are below {} ({} are named {pattern})",
            printable(below),
            found.matched,
        )?,
        None => writeln!(out, "{rows} packages on {nodes} nodes are named {pattern}")?,
    }
    let list = |packages: &[super::apps::Package]| {
        let mut rows =
            table(["node", "name", "account", "region", "live", "package", "version", "arch"]);
        for package in packages {
            let row = PackageRow::new(&answer.report, package);
            rows.add_row([
                printable(row.id),
                clipped(row.node_name.unwrap_or("–"), 28),
                printable(row.account),
                printable(row.region),
                row.liveness.to_owned(),
                clipped(row.package, 60),
                clipped(&package.full_version(), 60),
                shown(row.architecture),
            ]);
        }
        rows
    };
    long(out, &found.rows, list)?;
    if !found.not_comparable.is_empty() {
        writeln!(
            out,
            "{} packages more may be below: their version has no number in it",
            found.not_comparable.len(),
        )?;
        long(out, &found.not_comparable, list)?;
    }
    Ok(())
}

/// Data that was lost: whatever it says above may be incomplete by so much.
fn lost(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let all = answer.lost();
    if all == 0 {
        return writeln!(out, "Nothing was lost in reading.\n");
    }
    let entries = answer.lost_entries();
    let shown: Vec<_> = entries.into_iter().take(answer.top).collect();
    let mut rows = table(["why", "line", "object"]);
    for lost in &shown {
        let line = lost.line.map_or_else(|| "all".to_owned(), |line| line.to_string());
        rows.add_row([printable(&lost.reason.to_string()), line, printable(&lost.key)]);
    }
    right(&mut rows, 1..2);
    let more = rest(shown.len(), all, "--format json lists all");
    writeln!(out, "Data that was lost{more}")?;
    section(out, &rows)
}

fn repaired(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let all = answer.repaired();
    if all == 0 {
        return Ok(());
    }
    let mut reasons: BTreeMap<String, (u64, &str)> = BTreeMap::new();
    for repaired in answer.repaired_entries() {
        let reason = reasons.entry(repaired.reason.to_string()).or_insert((0, &*repaired.key));
        reason.0 += 1;
    }
    let count = reasons.len();
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (objects, _))| std::cmp::Reverse(*objects));
    let mut rows = table(["read in spite of", "objects", "first"]);
    for (reason, (objects, first)) in reasons.into_iter().take(answer.top) {
        rows.add_row([printable(&reason), objects.to_string(), printable(first)]);
    }
    right(&mut rows, 1..2);
    let more = rest(rows.row_count(), count as u64, "--format json lists each object");
    writeln!(out, "Dirt that cost no data: {all} in all; kinds{more}")?;
    section(out, &rows)
}

fn read(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let (mut objects, mut bytes, mut types) = (0, 0, Vec::new());
    for reading in answer.readings() {
        let total = reading.total();
        objects += total.objects;
        bytes += total.bytes;
        types.extend(reading.types.keys().map(|name| printable(name)));
    }
    let listed = answer.report.reading().listed;
    types.sort_unstable();
    writeln!(
        out,
        "Read {objects} of {listed} objects, {} MB: {}.",
        bytes.div_ceil(1_000_000),
        types.join(", ")
    )
}

/// A table and the line that ends its section; a table without rows is not drawn.
fn section(out: &mut impl Write, table: &Table) -> io::Result<()> {
    if table.row_count() > 0 {
        writeln!(out, "{}", table.trim_fmt())?;
    }
    writeln!(out)
}

/// A table of any length, in parts with a header each, so that it need not be laid out at once.
fn long<T>(out: &mut impl Write, rows: &[T], make: impl Fn(&[T]) -> Table) -> io::Result<()> {
    /// A few MB of cells.
    const PART: usize = 5_000;
    for part in rows.chunks(PART) {
        writeln!(out, "{}", make(part).trim_fmt())?;
    }
    writeln!(out)
}

/// How much of a list is shown, where that is not all.
fn rest(shown: usize, all: u64, how: &str) -> String {
    if shown as u64 == all { format!(": {all}") } else { format!(": {shown} of {all}; {how}") }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "–".to_owned(), printable)
}

/// Printable text that leaves the table its shape.
fn clipped(text: &str, most: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_cut_says_so() {
        assert_eq!(rest(3, 3, "x"), ": 3");
        assert_eq!(rest(3, 4, "--all shows more"), ": 3 of 4; --all shows more");
    }

    #[test]
    fn long_text_is_clipped_by_characters() {
        assert_eq!(clipped("äöü", 3), "äöü");
        assert_eq!(clipped("äöüß", 3), "äö…");
    }
}
