//! A schedule where and while it holds.

use std::{fmt, time::Duration};

use jiff::{
    SignedDuration, Span, Timestamp,
    civil::{DateTime, Time},
    tz::TimeZone,
};
use serde::{Deserialize, Serialize};

use super::{
    MaintenanceWindow, OPERATION, Occurrences, OnWall, Recurrence, Rule, Schedule, ZoneName,
    invalid, recurrence::Anchored,
};
use crate::{Error, ErrorKind, Result};

/// Days of an offset (service model of Systems Manager, `MaintenanceWindowOffset`).
const MOST_DAYS: u8 = 6;

/// How a timetable recurs: as AWS says it, or as Azure does.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Recurs {
    /// By a schedule of AWS.
    Schedule {
        /// The schedule.
        schedule: Schedule,
        /// How many days after each time of a cron expression it is due: at most six.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset_days: u8,
    },
    /// By a recurrence of Azure.
    Recurrence {
        /// When it comes first, at the earliest: by the clocks of its zone.
        first: DateTime,
        /// How it comes again.
        every: Recurrence,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(days: &u8) -> bool {
    *days == 0
}

/// When something is due: how it recurs, by the clocks of which time zone, from when and until when.
///
/// It is what a maintenance window of Systems Manager and a maintenance configuration of Azure have
/// in common, and each can be [made of the other](Self::to_azure) where both have words for it.
///
/// # Example
/// ```
/// use jiff::civil::time;
/// use patchkit_core::{Timetable, ZoneName};
///
/// // Four days after Patch Tuesday, in the night of the nodes.
/// let aws = Timetable::patch_tuesday(time(22, 0, 0, 0), 4, ZoneName::new("Europe/Berlin"));
/// assert_eq!(aws.to_string(), "cron(0 22 ? * TUE#2 *) + 4 days, Europe/Berlin");
/// let now = "2026-11-28T00:00:00Z".parse()?;
/// assert_eq!(aws.next_after(now)?, Some("2026-12-12T21:00:00Z".parse()?));
///
/// let azure = aws.to_azure(now)?;
/// assert_eq!(azure.to_string(), "Month Second Tuesday Offset4 from 2026-12-12T22:00:00, W. Europe Standard Time");
/// assert_eq!(azure.next_after(now)?, aws.next_after(now)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Timetable {
    /// How it recurs.
    pub recurs: Recurs,
    /// By whose clocks.
    pub zone: ZoneName,
    /// Nothing is due before. A rate is counted from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// Nothing is due from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
}

impl Timetable {
    /// That of a schedule of AWS.
    pub fn of_schedule(schedule: Schedule, zone: ZoneName) -> Self {
        let recurs = Recurs::Schedule { schedule, offset_days: 0 };
        Self { recurs, zone, starts: None, ends: None }
    }

    /// That of a recurrence of Azure, which first comes at `first` or later.
    ///
    /// # Behavior
    /// - Weeks and months are counted from those that `first` is in, days from its day, hours from
    ///   itself; the time of the day is its own.
    /// - It comes on days that the recurrence names only. Whether Azure also opens a window on a start
    ///   that is not named is documented nowhere.
    /// - A month that has no such day is passed over.
    pub fn of_recurrence(every: Recurrence, first: DateTime, zone: ZoneName) -> Self {
        Self { recurs: Recurs::Recurrence { first, every }, zone, starts: None, ends: None }
    }

    /// Every month, so many days after Patch Tuesday, at this time of the day.
    pub fn patch_tuesday(time: Time, days_after: u8, zone: ZoneName) -> Self {
        Self::of_schedule(Schedule::patch_tuesday(time), zone).with_offset_days(days_after)
    }

    /// Is due so many days after each time of a cron expression.
    ///
    /// The offset of an Azure recurrence is a part of it, and stays.
    #[must_use]
    pub fn with_offset_days(mut self, days: u8) -> Self {
        if let Recurs::Schedule { offset_days, .. } = &mut self.recurs {
            *offset_days = days;
        }
        self
    }

    /// Sets before when nothing is due.
    #[must_use]
    pub fn with_start(mut self, starts: Timestamp) -> Self {
        self.starts = Some(starts);
        self
    }

    /// Sets from when on nothing is due.
    #[must_use]
    pub fn with_end(mut self, ends: Timestamp) -> Self {
        self.ends = Some(ends);
        self
    }

    /// The times after one.
    ///
    /// # Behavior
    /// - A time that is the start itself counts, one that is the end does not.
    /// - A rate is counted from the start; without one it is counted from `after`, for AWS counts from
    ///   when the schedule was made, which a timetable does not say.
    /// - [`Occurrences`] says what a change of clocks does.
    ///
    /// # Errors
    /// `InvalidInput` for a cron expression that is none, or an offset that does not go with the
    /// schedule; `Unsupported` for a recurrence that PatchKit does not know; `NotFound` for a zone that
    /// the database of time zones does not know.
    pub fn occurrences(&self, after: Timestamp) -> Result<Occurrences> {
        let zone = self.zone.find()?;
        let rule = match &self.recurs {
            Recurs::Schedule { schedule, offset_days } => {
                self.check_offset()?;
                let days = Span::new().days(i64::from(*offset_days));
                schedule.rule(days, self.starts, after)?
            }
            Recurs::Recurrence { first, every } => recurring(*first, every, &zone)?,
        };
        let nanosecond = SignedDuration::from_nanos(1);
        let before_start = self.starts.and_then(|it| it.checked_sub(nanosecond).ok());
        let after = before_start.map_or(after, |start| start.max(after));
        Ok(Occurrences::new(rule, zone, after).ending(self.ends))
    }

    /// The first time after one; none where it has come to its end.
    ///
    /// # Errors
    /// As [`occurrences`](Self::occurrences).
    pub fn next_after(&self, after: Timestamp) -> Result<Option<Timestamp>> {
        Ok(self.occurrences(after)?.next())
    }

    /// The windows that open after a time.
    ///
    /// # Errors
    /// As [`occurrences`](Self::occurrences).
    ///
    /// # Example
    /// ```
    /// use std::time::Duration;
    /// use patchkit_core::{Timetable, ZoneName};
    ///
    /// let nightly = Timetable::of_schedule("cron(0 2 * * ? *)".parse()?, ZoneName::utc());
    /// let hour = Duration::from_secs(3600);
    /// let window = nightly.windows("2026-11-28T12:00:00Z".parse()?, 3 * hour, hour)?.next().unwrap();
    /// assert!(window.admits("2026-11-29T03:59:59Z".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn windows(
        &self,
        after: Timestamp,
        duration: Duration,
        cutoff: Duration,
    ) -> Result<impl Iterator<Item = MaintenanceWindow> + use<>> {
        let window = move |opens| MaintenanceWindow::new(opens, duration).with_cutoff(cutoff);
        Ok(self.occurrences(after)?.map(window))
    }

    fn check_offset(&self) -> Result<()> {
        let Recurs::Schedule { schedule, offset_days: days @ 1.. } = &self.recurs else {
            return Ok(());
        };
        if *days > MOST_DAYS {
            return Err(invalid(format!("offset_days: {days}: at most {MOST_DAYS}")));
        }
        match schedule {
            Schedule::Cron(_) => Ok(()),
            other => {
                let message =
                    format!("offset_days: {days}: it goes with cron(…) only, not {other}");
                Err(invalid(message))
            }
        }
    }
}

fn recurring(first: DateTime, every: &Recurrence, zone: &TimeZone) -> Result<Rule> {
    match every {
        Recurrence::Other(text) => {
            let message = format!("recurs: {:?} is none that PatchKit knows", super::shown(text));
            Err(Error::new(ErrorKind::Unsupported, "core", OPERATION, message))
        }
        // Hours pass; they are not by the clock.
        Recurrence::Hours(hours) => {
            let far = || invalid(format!("first: {first} is no time of this calendar"));
            let from = OnWall::of(first, zone).ok_or_else(far)?.at();
            let every = SignedDuration::from_hours(i64::from((*hours).max(1)));
            Ok(Rule::Rate { from, every })
        }
        Recurrence::Once | Recurrence::Days(_) | Recurrence::Weeks(..) | Recurrence::Months(..) => {
            Ok(Rule::Recurrence(Anchored { first, recurs: every.clone() }))
        }
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.recurs {
            Recurs::Schedule { schedule, offset_days: 0 } => write!(f, "{schedule}")?,
            Recurs::Schedule { schedule, offset_days: 1 } => write!(f, "{schedule} + 1 day")?,
            Recurs::Schedule { schedule, offset_days } => {
                write!(f, "{schedule} + {offset_days} days")?;
            }
            Recurs::Recurrence { first, every } => write!(f, "{every} from {first}")?,
        }
        write!(f, ", {}", self.zone)?;
        if let Some(starts) = self.starts {
            write!(f, ", not before {starts}")?;
        }
        match self.ends {
            Some(ends) => write!(f, ", until {ends}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn table(schedule: &str) -> Timetable {
        Timetable::of_schedule(schedule.parse().unwrap(), ZoneName::utc())
    }

    fn times(table: &Timetable, after: &str) -> Vec<String> {
        table.occurrences(at(after)).unwrap().take(4).map(|it| it.to_string()).collect()
    }

    #[test]
    fn an_offset_waits_days_after_patch_tuesday() {
        // "a schedule offset is the number of days to wait after the date and time specified by a cron
        // expression" (Systems Manager user guide).
        let table = Timetable::patch_tuesday(jiff::civil::time(23, 30, 0, 0), 2, ZoneName::utc());
        // The Tuesday has passed, the day that counts has not.
        assert_eq!(
            times(&table, "2026-03-11T00:00:00Z")[..2],
            ["2026-03-12T23:30:00Z", "2026-04-16T23:30:00Z"]
        );
        for wrong in [table.with_offset_days(7), self::table("rate(1 day)").with_offset_days(1)] {
            let error = wrong.occurrences(at("2026-03-11T00:00:00Z")).unwrap_err();
            assert!(error.message().contains("offset_days"), "{error}");
        }
    }

    #[test]
    fn nothing_is_due_before_the_start_and_from_the_end_on() {
        let daily = table("cron(0 6 ? * * *)")
            .with_start(at("2026-03-10T06:00:00Z"))
            .with_end(at("2026-03-12T06:00:00Z"));
        assert_eq!(
            times(&daily, "2026-03-01T00:00:00Z"),
            ["2026-03-10T06:00:00Z", "2026-03-11T06:00:00Z"]
        );
    }

    #[test]
    fn a_rate_is_counted_from_its_start() {
        let weekly = table("rate(7 days)").with_start(at("2026-03-10T06:00:00Z"));
        assert_eq!(times(&weekly, "2026-03-01T00:00:00Z")[0], "2026-03-10T06:00:00Z");
        assert_eq!(times(&weekly, "2026-03-10T06:00:00Z")[0], "2026-03-17T06:00:00Z");
        assert_eq!(
            times(&table("rate(7 days)"), "2026-03-01T00:00:00Z")[0],
            "2026-03-08T00:00:00Z"
        );
    }

    #[test]
    fn a_timetable_survives_and_says_no_more_than_is_set() {
        let plain = table("rate(7 days)");
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            r#"{"recurs":{"schedule":{"schedule":"rate(7 days)"}},"zone":"UTC"}"#
        );
        let first = "2026-03-10T06:00:00".parse().unwrap();
        let every = Recurrence::read("Month Second Tuesday Offset4");
        let azure = Timetable::of_recurrence(every, first, ZoneName::new("Tokyo Standard Time"))
            .with_end(at("2027-01-01T00:00:00Z"));
        for table in [plain, azure] {
            let json = serde_json::to_string(&table).unwrap();
            assert_eq!(serde_json::from_str::<Timetable>(&json).unwrap(), table);
        }
    }
}
