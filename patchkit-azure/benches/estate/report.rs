//! The costs of both readers side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use super::reader::Totals;

/// What a reader took.
pub(crate) struct Cost {
    pub(crate) totals: Totals,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) kilobytes: u64,
    /// How often each operation was called.
    pub(crate) calls: BTreeMap<String, usize>,
}

impl Cost {
    fn megabytes(&self) -> f64 {
        approximately(self.kilobytes) / 1_024.0
    }

    fn all_calls(&self) -> usize {
        self.calls.values().sum()
    }

    fn calls_of(&self, operation: &str) -> usize {
        self.calls.get(operation).copied().unwrap_or(0)
    }
}

pub(crate) struct Report {
    /// Of the client and Python.
    pub(crate) version: String,
    pub(crate) ours: Cost,
    pub(crate) theirs: Cost,
}

impl Report {
    /// Whether both read the same.
    pub(crate) fn is_fair(&self) -> bool {
        self.ours.totals == self.theirs.totals
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, ours, theirs } = self;
        if !self.is_fair() {
            writeln!(f, "nothing can be compared, for the totals differ:")?;
            writeln!(f, "  PatchKit {:?}", ours.totals)?;
            return write!(f, "  client   {:?}", theirs.totals);
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let totals = &ours.totals;
        writeln!(f, "{} machines; {cores} cores; {version}", totals.machines)?;
        writeln!(
            f,
            "both found {} of Arc, {} of scale sets, {} with Windows, {} named, {} off, {} in a patch group; \
             {} compliant, {} not, {} unknown, {} urgent patches missing and {} others\n",
            totals.arc,
            totals.instances,
            totals.windows,
            totals.named,
            totals.off,
            totals.grouped,
            totals.compliant,
            totals.non_compliant,
            totals.unknown,
            totals.missing,
            totals.others
        )?;
        writeln!(f, "{:32} {:>12} {:>12} {:>8}", "", "PatchKit", "client", "share")?;
        row(f, "wall, s", ours.wall.as_secs_f64(), theirs.wall.as_secs_f64())?;
        row(f, "CPU, s", ours.cpu.as_secs_f64(), theirs.cpu.as_secs_f64())?;
        row(f, "peak memory, MB", ours.megabytes(), theirs.megabytes())?;
        let operations: BTreeSet<&String> = ours.calls.keys().chain(theirs.calls.keys()).collect();
        let all = (ours.all_calls(), theirs.all_calls());
        writeln!(f, "{:32} {:12} {:12} {:8.2}", "calls", all.0, all.1, share(all.0, all.1))?;
        for operation in operations {
            let calls = (ours.calls_of(operation), theirs.calls_of(operation));
            writeln!(f, "  {operation:30} {:12} {:12}", calls.0, calls.1)?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, ours: f64, theirs: f64) -> fmt::Result {
    writeln!(f, "{name:32} {ours:12.1} {theirs:12.1} {:8.2}", ours / theirs)
}

fn share(ours: usize, theirs: usize) -> f64 {
    approximately(ours as u64) / approximately(theirs as u64)
}

/// For print: kilobytes and calls are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn approximately(count: u64) -> f64 {
    count as f64
}
