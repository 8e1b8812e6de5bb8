//! One time that work may be done in.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::later;

/// One occurrence of a maintenance window.
///
/// # Behavior
/// - Nothing starts before the window opens, nor in the `cutoff` before it closes.
///
/// ```
/// use std::time::Duration;
/// use patchkit_core::MaintenanceWindow;
///
/// let hour = Duration::from_secs(3600);
/// let window = MaintenanceWindow::new("2026-12-01T02:00:00Z".parse()?, 4 * hour).with_cutoff(hour);
/// assert!(window.admits("2026-12-01T04:59:59Z".parse()?));
/// assert!(!window.admits("2026-12-01T05:00:00Z".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MaintenanceWindow {
    /// When it opens.
    pub opens: Timestamp,
    /// How long it is open.
    pub duration: Duration,
    /// How long before its end nothing new may start.
    pub cutoff: Duration,
}

impl MaintenanceWindow {
    /// A window without cutoff.
    pub fn new(opens: Timestamp, duration: Duration) -> Self {
        Self { opens, duration, cutoff: Duration::ZERO }
    }

    /// Sets how long before its end nothing new may start.
    #[must_use]
    pub fn with_cutoff(mut self, cutoff: Duration) -> Self {
        self.cutoff = cutoff;
        self
    }

    /// When it closes.
    pub fn closes(&self) -> Timestamp {
        later(self.opens, self.duration)
    }

    /// Whether new work may start at `now`.
    pub fn admits(&self, now: Timestamp) -> bool {
        let last = later(self.opens, self.duration.saturating_sub(self.cutoff));
        self.opens <= now && now < last
    }
}
