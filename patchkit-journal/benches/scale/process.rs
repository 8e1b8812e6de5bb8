//! What this process takes of the machine, as Linux tells.

use std::{fs, io, time::Duration};

/// User and system time of all threads so far, which Linux counts in hundredths of a second.
pub(crate) fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |n| after_name.split_whitespace().nth(n).and_then(|it| it.parse::<u64>().ok());
    // proc_pid_stat(5): fields 14 and 15, of which the name is the second.
    let ticks = field(11).zip(field(12)).map_or(0, |(user, system)| user + system);
    Duration::from_millis(ticks * 10)
}

/// Forgets the highest memory so far.
pub(crate) fn forget_peak() -> io::Result<()> {
    // proc_pid_clear_refs(5): 5 resets the peak resident set size.
    fs::write("/proc/self/clear_refs", "5")
}

/// The most megabytes in memory since [`forget_peak`].
pub(crate) fn peak() -> f64 {
    megabytes("VmHWM:")
}

/// The megabytes in memory.
pub(crate) fn resident() -> f64 {
    megabytes("VmRSS:")
}

fn megabytes(name: &str) -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1e3
}
