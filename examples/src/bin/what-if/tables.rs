//! `--format table`: for people.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table};
use jiff::Timestamp;
use patchkit_core::{
    ComplianceStatus, NodeId, PatchState,
    whatif::{Cause, Certainty, ChangeCounts, Doubt, NodeChange},
};
use patchkit_examples::{printable, table};

use super::answer::Answer;

/// Writes the tables.
pub(crate) fn write(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    let fleet = &answer.fleet;
    writeln!(out, "What if {} at {}:", printable(&fleet.name), minute(answer.fleet.when))?;
    for words in &answer.question.words {
        writeln!(out, "  {}", printable(words))?;
    }
    writeln!(out)?;
    groups(out, answer)?;
    changes(out, answer)?;
    later(out, answer)?;
    forecast(out, answer)?;
    explained(out, answer)?;
    not_known(out, answer)
}

fn groups(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    const COUNTS: [&str; 7] =
        ["nodes", "wrong before", "after", "fall out", "come in", "lost sight of", "unknown"];
    let header = answer.by.iter().map(|by| by.as_str()).chain(COUNTS);
    let mut groups = table(header.collect::<Vec<_>>());
    let cells = |counts: ChangeCounts| {
        [
            counts.nodes,
            counts.non_compliant_before,
            counts.non_compliant_after,
            counts.fall_out,
            counts.come_in,
            counts.become_unknown,
            counts.unknown_after,
        ]
        .map(|count| count.to_string())
    };
    for group in answer.what_if.groups(&answer.by) {
        let values = group.values.iter().map(|value| shown(value.as_deref()));
        groups.add_row(values.chain(cells(group.counts)).collect::<Vec<_>>());
    }
    let names = (0..answer.by.len()).map(|n| if n == 0 { "total" } else { "" }.to_owned());
    groups.add_row(names.chain(cells(answer.what_if.counts())).collect::<Vec<_>>());
    right(&mut groups, answer.by.len()..answer.by.len() + COUNTS.len());
    section(out, &groups)
}

fn changes(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    let mut changes: Vec<&NodeChange> = answer.changes.iter().collect();
    let rank = |change: &NodeChange| match change.after {
        ComplianceStatus::NonCompliant => 0,
        ComplianceStatus::Unknown => 1,
        _ => 2,
    };
    changes.sort_by(|a, b| (rank(a), a.since, &a.node).cmp(&(rank(b), b.since, &b.node)));
    if changes.is_empty() {
        return writeln!(out, "No node changes status.\n");
    }
    let mut rows = table(["node", "account", "region", "group", "becomes", "since", "for"]);
    for change in changes.iter().take(answer.top) {
        let becomes = match change.doubt_after {
            Some(Doubt::Unseen) => "perhaps non_compliant",
            _ => change.after.as_str(),
        };
        let mut cells = node_cells(&change.node).to_vec();
        cells.push(shown(change.group.as_ref().map(AsRef::as_ref)));
        cells.push(becomes.to_owned());
        cells.push(change.since.map_or_else(|| "–".to_owned(), minute));
        cells.push(causes(&change.causes));
        rows.add_row(cells);
    }
    let more = rest(changes.len().min(answer.top), changes.len());
    writeln!(out, "Nodes that change status{more}")?;
    section(out, &rows)
}

/// The nodes that fall out at another time than they would.
fn later(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    if answer.shifts.is_empty() {
        return Ok(());
    }
    let mut rows = table(["node", "account", "region", "falls out", "instead of"]);
    let never = |at: Option<Timestamp>| at.map_or_else(|| "not".to_owned(), minute);
    for shift in answer.shifts.iter().take(answer.top) {
        let mut cells = node_cells(&shift.node).to_vec();
        cells.extend([never(shift.after), never(shift.before)]);
        rows.add_row(cells);
    }
    let more = rest(answer.shifts.len().min(answer.top), answer.shifts.len());
    writeln!(out, "Nodes that fall out later, at another time{more}")?;
    section(out, &rows)
}

fn forecast(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    let days = &answer.forecast.days;
    if days.is_empty() {
        return writeln!(out, "No patch becomes approved until {}.\n", minute(answer.until));
    }
    let mut rows =
        table(["day", "becomes approved", "level", "lacking", "fall out", "lost sight of"]);
    let all: usize = days.iter().map(|day| day.approvals.len().max(1)).sum();
    for day in days {
        let (fall, doubt) = (day.non_compliant.len(), day.unknown.len());
        let mut counts = [day.date.to_string(), fall.to_string(), doubt.to_string()];
        if day.approvals.is_empty() {
            let [date, fall, doubt] = counts;
            rows.add_row([date, "–".to_owned(), "–".to_owned(), "–".to_owned(), fall, doubt]);
            continue;
        }
        for approval in &day.approvals {
            let [date, fall, doubt] = std::mem::take(&mut counts);
            rows.add_row([
                date,
                printable(approval.patch.as_str()),
                approval.level.to_string(),
                approval.lacking.to_string(),
                fall,
                doubt,
            ]);
        }
    }
    right(&mut rows, 3..6);
    let more = rest(all.min(answer.top), all);
    writeln!(out, "After the change, until {}{more}", minute(answer.until))?;
    let lines = rows.trim_fmt();
    // The header and its line are two more.
    for line in lines.lines().take(answer.top + 2) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)
}

fn explained(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    let Some([before, after]) = &answer.explained else { return Ok(()) };
    for (word, explained) in [("Before", before), ("After", after)] {
        let text = explained.to_string();
        let lines: Vec<String> = text.lines().map(printable).collect();
        writeln!(out, "{word}: {}\n", lines.join("\n"))?;
    }
    Ok(())
}

/// What the answer does not rest on.
fn not_known(out: &mut impl Write, answer: &Answer<'_>) -> io::Result<()> {
    let fleet = answer.fleet;
    for (doubt, nodes) in &answer.doubts {
        let why = match doubt {
            Doubt::NoBaseline => "no baseline is for their operating system",
            Doubt::NotScanned => "nothing is known of their patches",
            Doubt::AmbiguousGroup => "their tags name two patch groups",
            Doubt::ReportInPart => "a part of their report was lost",
            Doubt::Unseen => "their last scan could not show all that the baselines ask for",
            _ => doubt.as_str(),
        };
        writeln!(out, "{nodes} nodes are unknown: {why}.")?;
    }
    let not_live = fleet.not_live;
    if not_live.total() > 0 {
        let (stopped, terminated) = (not_live.stopped, not_live.terminated);
        writeln!(out, "Left out: {stopped} stopped nodes, {terminated} terminated ones.")?;
    }
    let undated = fleet.matrix.undated().count();
    if undated > 0 {
        writeln!(
            out,
            "Of {undated} patches it is not known when they were released: delays have no say in them."
        )?;
    }
    if !answer.contradictions.is_empty() {
        writeln!(
            out,
            "{} nodes have another verdict than their last scan before anything is changed: the \
             baselines, or what is known of patches, are not those of the scan.",
            answer.contradictions.len()
        )?;
    }
    for problem in fleet.problems.iter().take(answer.top) {
        writeln!(out, "lost: {}", printable(problem))?;
    }
    if fleet.problems.len() > answer.top {
        writeln!(out, "lost: {} more; --format json lists all", fleet.problems.len() - answer.top)?;
    }
    Ok(())
}

fn causes(causes: &[Cause]) -> String {
    const SHOWN: usize = 3;
    let state = |state: &Option<PatchState>| {
        state.as_ref().map_or("not asked for", |state| state.as_str()).to_owned()
    };
    let one = |cause: &Cause| {
        let perhaps = if cause.certainty == Certainty::Possible { "perhaps " } else { "" };
        let change = format!("{} → {}", state(&cause.before), state(&cause.after));
        printable(&format!("{} ({perhaps}{change})", cause.patch))
    };
    let mut text: Vec<String> = causes.iter().take(SHOWN).map(one).collect();
    if causes.len() > SHOWN {
        text.push(format!("{} more", causes.len() - SHOWN));
    }
    if text.is_empty() { "–".to_owned() } else { text.join(", ") }
}

fn node_cells(node: &NodeId) -> [String; 3] {
    let scope = node.scope();
    [node.resource(), scope.account().as_str(), scope.region().as_str()].map(printable)
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// A table and the line that ends its section; a table without rows is not drawn.
fn section(out: &mut impl Write, table: &Table) -> io::Result<()> {
    if table.row_count() > 0 {
        writeln!(out, "{}", table.trim_fmt())?;
    }
    writeln!(out)
}

/// How much of a list is shown, where that is not all.
fn rest(shown: usize, all: usize) -> String {
    if shown == all { format!(": {all}") } else { format!(": {shown} of {all}; --top shows more") }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "–".to_owned(), printable)
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
        assert_eq!(rest(3, 3), ": 3");
        assert_eq!(rest(3, 4), ": 3 of 4; --top shows more");
    }
}
