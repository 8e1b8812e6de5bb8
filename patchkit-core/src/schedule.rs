//! When work may begin: schedules and maintenance windows.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{Timestamp, civil::DateTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result, clock::later};

/// When something recurs, in the spelling that AWS's schedulers share.
///
/// `rate(7 days)`, `at(2026-12-01T03:00:00)` or `cron(…)` with five to seven fields. The fields of
/// a cron expression are kept, not yet evaluated.
///
/// ```
/// use patchkit_core::Schedule;
///
/// let weekly: Schedule = "rate(7 days)".parse()?;
/// assert_eq!(weekly.to_string(), "rate(7 days)");
/// assert!("rate(1 days)".parse::<Schedule>().is_err()); // AWS wants `rate(1 day)`
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// Again and again after so many units.
    Rate {
        /// How many units.
        every: u32,
        /// The unit.
        unit: RateUnit,
    },
    /// Once, on the scheduler's time zone.
    At(DateTime),
    /// By calendar fields, as written.
    Cron(Box<str>),
}

/// The unit of a rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RateUnit {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// Twenty-four hours.
    Day,
}

impl RateUnit {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Minute, "minute"), (Self::Hour, "hour"), (Self::Day, "day")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(unit, _)| *unit == self).map_or("", |(_, name)| name)
    }

    /// How long one of it is.
    pub fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { every, unit } => {
                let plural = if *every == 1 { "" } else { "s" };
                write!(f, "rate({every} {}{plural})", unit.name())
            }
            Self::At(at) => write!(f, "at({at})"),
            Self::Cron(fields) => write!(f, "cron({fields})"),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            |what: &str| Error::invalid("core", "parse", format!("schedule {text:?}: {what}"));
        let (kind, body) = text
            .trim()
            .strip_suffix(')')
            .and_then(|text| text.split_once('('))
            .ok_or_else(|| wrong("not rate(…), at(…) or cron(…)"))?;
        match kind {
            "rate" => {
                let (every, unit) =
                    body.split_once(' ').ok_or_else(|| wrong("a rate is a number and a unit"))?;
                let every: u32 = every
                    .parse()
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or_else(|| wrong("the number must be 1 or more"))?;
                let singular = if every == 1 { Some(unit) } else { unit.strip_suffix('s') };
                let unit =
                    RateUnit::ALL.iter().find(|(_, name)| singular == Some(name)).ok_or_else(
                        || wrong("the unit is minute, hour or day, with an s unless it is 1"),
                    )?;
                Ok(Self::Rate { every, unit: unit.0 })
            }
            "at" => body
                .parse()
                .map(Self::At)
                .map_err(|error| wrong("not a time like 2026-12-01T03:00:00").with_source(error)),
            "cron" => match body.split_whitespace().count() {
                5..=7 => Ok(Self::Cron(body.into())),
                n => Err(wrong(&format!("a cron expression has 5 to 7 fields, not {n}"))),
            },
            _ => Err(wrong("not rate(…), at(…) or cron(…)")),
        }
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_print_and_parse_back() {
        for text in
            ["rate(1 day)", "rate(30 minutes)", "at(2026-12-01T03:00:00)", "cron(0 2 ? * TUE#2 *)"]
        {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_wrong_schedule_says_what_is_wrong() {
        for (text, what) in [
            ("rate(2 day)", "with an s"),
            ("rate(0 days)", "1 or more"),
            ("cron(bad)", "5 to 7 fields"),
            ("at(noon)", "not a time"),
            ("weekly", "not rate"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
