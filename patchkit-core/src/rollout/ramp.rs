//! How fast nodes are started.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// At most so many nodes are started in an interval, so that hundreds of agents do not boot and
/// register at once.
///
/// It counts the orders to start nodes that are off, over the whole run, also one that is resumed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ramp {
    /// How many.
    pub starts: u32,
    /// In which time.
    pub every: Duration,
}

impl Ramp {
    /// At most `starts` in any stretch of `every`.
    pub fn new(starts: u32, every: Duration) -> Self {
        Self { starts, every }
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} starts in {} s", self.starts, self.every.as_secs())
    }
}
