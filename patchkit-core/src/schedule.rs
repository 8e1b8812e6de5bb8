//! When work may begin: schedules of both clouds, their times, and what is wrong with a set of them.

mod convert;
mod cron;
mod lint;
mod occurrences;
mod recurrence;
mod timetable;
mod window;
mod zone;

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use jiff::{
    SignedDuration, Span, Timestamp,
    civil::{DateTime, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::{
    cron::Cron,
    occurrences::{OnWall, Rule},
};
pub use self::{
    lint::{ClockChange, Pace, ScheduleFinding, ScheduleLint, ScheduledFleet},
    occurrences::Occurrences,
    recurrence::{MonthDay, Nth, Recurrence},
    timetable::{Recurs, Timetable},
    window::MaintenanceWindow,
    zone::ZoneName,
};
use crate::{Error, Result};

#[cfg(test)]
mod tests;

const OPERATION: &str = "schedule";

/// The last year of AWS's cron expressions, and of all that is evaluated here.
const LAST_YEAR: i16 = 2199;

fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::invalid("core", OPERATION, message)
}

/// Text of a service, made short enough for a message.
fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}

/// When something recurs, in the spelling that AWS's schedulers share.
///
/// `rate(7 days)`, `at(2026-12-01T03:00:00)` or `cron(…)` with five to seven fields. The fields of
/// a cron expression are kept as they are written, and looked at when its times are asked for: five
/// are read as crontab does, six as EventBridge and Systems Manager do, seven have the seconds first.
///
/// A [`Timetable`] is a schedule with its time zone, its offset, its start and its end.
///
/// ```
/// use jiff::tz::TimeZone;
/// use patchkit_core::Schedule;
///
/// let weekly: Schedule = "rate(7 days)".parse()?;
/// assert_eq!(weekly.to_string(), "rate(7 days)");
/// assert!("rate(1 days)".parse::<Schedule>().is_err()); // AWS wants `rate(1 day)`
///
/// let fridays: Schedule = "cron(30 23 ? * FRIL *)".parse()?; // the last of each month
/// let times: Vec<_> = fridays.occurrences(&TimeZone::UTC, "2026-11-28T00:00:00Z".parse()?)?.take(2).collect();
/// assert_eq!(times, ["2026-12-25T23:30:00Z".parse()?, "2027-01-29T23:30:00Z".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
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

impl Schedule {
    /// Every month at this time of the day on which Microsoft releases its updates, the second Tuesday.
    ///
    /// For some days later, see [`Timetable::patch_tuesday`]: the second Wednesday comes before the
    /// second Tuesday in some months.
    pub fn patch_tuesday(time: Time) -> Self {
        Self::Cron(format!("{} {} ? * TUE#2 *", time.minute(), time.hour()).into())
    }

    /// The times after one, in a time zone.
    ///
    /// # Behavior
    /// - `at(…)` and a cron expression that names a year come to their end; one that names no day that
    ///   there is (`cron(0 0 30 FEB ? *)`) has no time at all.
    /// - A rate is counted from `after`, which then stands for when the schedule was made.
    /// - [`Occurrences`] says what a change of clocks does.
    ///
    /// # Errors
    /// `InvalidInput` for a cron expression with a field that holds something else than it may: the
    /// field, what it holds, and what it may hold.
    pub fn occurrences(&self, zone: &TimeZone, after: Timestamp) -> Result<Occurrences> {
        Ok(Occurrences::new(self.rule(Span::new(), None, after)?, zone.clone(), after))
    }

    /// The first time after one, in a time zone; none where the schedule has come to its end.
    ///
    /// # Errors
    /// As [`occurrences`](Self::occurrences).
    pub fn next_after(&self, zone: &TimeZone, after: Timestamp) -> Result<Option<Timestamp>> {
        Ok(self.occurrences(zone, after)?.next())
    }

    /// Its rule, so many days later, counted from `from` where it is counted.
    fn rule(&self, offset: Span, from: Option<Timestamp>, after: Timestamp) -> Result<Rule> {
        Ok(match self {
            Self::At(at) => Rule::Once(*at),
            Self::Cron(fields) => Rule::Cron { cron: Box::new(Cron::parse(fields)?), offset },
            Self::Rate { every, unit } => {
                let long = |_| invalid(format!("{self}: so long is no period"));
                let every = unit.duration().saturating_mul(*every);
                let every = SignedDuration::try_from(every).map_err(long)?;
                if every.is_zero() {
                    return Err(invalid(format!("{self}: the number must be 1 or more")));
                }
                let from = from.map_or_else(|| after.checked_add(every), Ok).map_err(long)?;
                Rule::Rate { from, every }
            }
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
