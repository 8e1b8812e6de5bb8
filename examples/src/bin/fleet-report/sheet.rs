//! `--format csv`: the groups, or the rows where rows are asked for.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use patchkit_examples::sheet_cell;

use super::{
    answer::{Answer, Rows},
    row::{NodeRow, PackageRow},
};

/// Writes the groups or the rows.
pub(crate) fn write(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    // As an I/O error a reader that went away is recognised.
    sheet(out, answer).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })
}

fn sheet(out: &mut impl Write, answer: &Answer) -> csv::Result<()> {
    let mut sheet = csv::Writer::from_writer(out);
    match &answer.rows {
        Rows::None => groups(&mut sheet, answer)?,
        Rows::NonCompliant => {
            sheet.write_record(NodeRow::FIELDS)?;
            for node in answer.non_compliant() {
                sheet.write_record(node_cells(&NodeRow::new(node)).iter().map(|cell| &**cell))?;
            }
        }
        Rows::Packages(question, found) => {
            sheet.write_record(PackageRow::FIELDS.into_iter().chain(["below"]))?;
            let below = if question.below.is_some() { "true" } else { "" };
            let sure = found.rows.iter().map(|package| (package, below));
            let unsure = found.not_comparable.iter().map(|package| (package, "unknown"));
            for (package, below) in sure.chain(unsure) {
                let row = PackageRow::new(&answer.report, package);
                let cells = package_cells(&row);
                sheet.write_record(cells.iter().map(|cell| &**cell).chain([below]))?;
            }
        }
    }
    sheet.flush()?;
    Ok(())
}

fn groups(sheet: &mut csv::Writer<impl Write>, answer: &Answer) -> csv::Result<()> {
    const COUNTS: [&str; 5] = ["compliant", "non_compliant", "unknown", "nodes", "not_live"];
    let names = answer.by.iter().map(|dimension| dimension.as_str());
    sheet.write_record(names.chain(COUNTS))?;
    for group in answer.report.groups(&answer.by) {
        for value in &group.values {
            sheet.write_field(&*text(value.as_deref()))?;
        }
        let counts = group.counts;
        let numbers = [
            counts.compliant,
            counts.non_compliant,
            counts.unknown,
            counts.nodes(),
            counts.not_live.total(),
        ];
        sheet.write_record(numbers.map(|number| number.to_string()))?;
    }
    Ok(())
}

fn node_cells<'a>(row: &'a NodeRow<'_>) -> [Cow<'a, str>; NodeRow::FIELDS.len()] {
    let number = |number: u32| Cow::Owned(number.to_string());
    [
        text(Some(row.id)),
        text(row.name),
        text(Some(row.account)),
        text(Some(row.region)),
        text(row.platform.as_deref()),
        text(row.patch_group.as_deref()),
        text(row.baseline),
        row.liveness.into(),
        row.status.as_str().into(),
        row.level.map_or("", |level| level.as_str()).into(),
        number(row.critical_non_compliant),
        number(row.security_non_compliant),
        number(row.other_non_compliant),
        number(row.missing),
        number(row.failed),
        number(row.installed_pending_reboot),
        number(row.installed_rejected),
        row.observed_at.map(|at| at.to_string()).unwrap_or_default().into(),
    ]
}

fn package_cells<'a>(row: &'a PackageRow<'_>) -> [Cow<'a, str>; PackageRow::FIELDS.len()] {
    [
        text(Some(row.id)),
        text(row.node_name),
        text(Some(row.account)),
        text(Some(row.region)),
        text(row.platform.as_deref()),
        row.liveness.into(),
        text(Some(row.package)),
        text(row.version),
        text(row.release),
        text(row.epoch),
        text(row.architecture),
        text(row.publisher),
        row.compared_by.into(),
    ]
}

/// Text of a node; empty where there is none.
fn text(text: Option<&str>) -> Cow<'_, str> {
    sheet_cell(text.unwrap_or_default())
}
