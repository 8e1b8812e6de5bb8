//! What a query may take.

use std::time::Duration;

/// How much a query may take before it is ended.
///
/// ```
/// use patchkit_inventory::QueryLimits;
/// use std::time::Duration;
///
/// let limits = QueryLimits::default().with_time(Duration::from_secs(10)).with_memory(64 << 20);
/// assert_eq!(limits.memory, 64 << 20);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct QueryLimits {
    /// How long it may run.
    pub time: Duration,
    /// How many bytes its joins, groups and sorts may hold at once. What a scan or a function holds
    /// for the moment, some megabytes, is not counted.
    pub memory: usize,
    /// How many rows it may give.
    pub rows: Option<usize>,
}

impl Default for QueryLimits {
    /// Five minutes, 512 MiB, and any number of rows.
    fn default() -> Self {
        Self { time: Duration::from_mins(5), memory: 512 << 20, rows: None }
    }
}

impl QueryLimits {
    /// Lets it run so long.
    #[must_use]
    pub fn with_time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Lets it hold so many bytes.
    #[must_use]
    pub fn with_memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Ends it, without an error, after so many rows.
    #[must_use]
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.rows = Some(rows);
        self
    }
}
