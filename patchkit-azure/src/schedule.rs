//! When Update Manager patches by itself: the window of a maintenance configuration.

mod zone;

use std::{fmt, time::Duration};

use jiff::{Timestamp, ToSpan as _, civil::DateTime, tz::TimeZone};
use patchkit_core::{Error, ErrorKind, Recurrence, Result, Schedule, Timetable, ZoneName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::zone::TimeZoneName;
use crate::error::{PROVIDER, invalid, shown};

const OPERATION: &str = "schedule";

/// The shortest and the longest window for patching guests ("Scheduled patching").
const SHORTEST: Duration = Duration::from_mins(90);
const LONGEST: Duration = Duration::from_mins(3 * 60 + 55);

/// The first year of a window that nobody waits for.
const NEVER: i16 = 9999;

/// When the machines of a maintenance configuration are patched.
///
/// ```
/// use std::time::Duration;
/// use patchkit_azure::{PatchWindow, TimeZoneName};
///
/// // The second Tuesday of each month, from December on.
/// let schedule = "cron(0 3 ? * TUE#2 *)".parse()?;
/// let window = PatchWindow::of(
///     &schedule,
///     "2026-12-01T00:00:00".parse().unwrap(),
///     TimeZoneName::new("Europe/Berlin")?,
///     Duration::from_secs(2 * 3600),
/// )?;
/// assert_eq!(window.starts.to_string(), "2026-12-08T03:00:00");
/// assert_eq!(window.recurs.to_string(), "Month Second Tuesday");
/// assert_eq!(window.schedule()?.to_string(), "cron(0 3 ? * TUE#2 *)");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchWindow {
    /// When it opens first, by the clocks of its zone. Seconds are not kept.
    pub starts: DateTime,
    /// The zone, so that summer time does not move it.
    pub zone: TimeZoneName,
    /// How long it is open: an hour and a half to three hours and 55 minutes.
    pub duration: Duration,
    /// How it opens again.
    pub recurs: Recurrence,
    /// When it opens no more.
    pub expires: Option<DateTime>,
}

impl PatchWindow {
    /// A window that opens once.
    pub fn new(starts: DateTime, zone: TimeZoneName, duration: Duration) -> Self {
        Self { starts, zone, duration, recurs: Recurrence::Once, expires: None }
    }

    /// Sets how it opens again.
    #[must_use]
    pub fn with_recurrence(mut self, recurs: Recurrence) -> Self {
        self.recurs = recurs;
        self
    }

    /// Sets when it opens no more.
    #[must_use]
    pub fn with_expiry(mut self, expires: DateTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// The window that opens by a schedule, first at `not_before` or later.
    ///
    /// # Behavior
    /// - A rate opens at `not_before`, and then after each of its periods.
    /// - `at(…)` opens at its own time, once.
    /// - Of a cron expression, the time of day and the days are taken: five fields are read as crontab
    ///   does (Sunday is 0), six and seven as AWS does (Sunday is 1, the last field is the year).
    /// - It opens first on a day that the schedule names: what Azure does on another is documented
    ///   nowhere.
    ///
    /// - A rate's days are days of the calendar here; where clocks change, AWS counts others
    ///   ([`Timetable::to_azure`] refuses them).
    ///
    /// # Errors
    /// `Unsupported` for what Azure has no word for: minutes, several times of a day, single years, both
    /// kinds of days at once. `InvalidInput` for a cron expression that is none, and for a window that
    /// Azure does not take.
    pub fn of(
        schedule: &Schedule,
        not_before: DateTime,
        zone: TimeZoneName,
        duration: Duration,
    ) -> Result<Self> {
        let (starts, recurs) = Recurrence::of_schedule(schedule, 0, not_before)?;
        let window = Self::new(starts, zone, duration).with_recurrence(recurs);
        window.check()?;
        Ok(window)
    }

    /// The schedule by which it opens.
    ///
    /// # Errors
    /// `Unsupported` for what no schedule says: every fifth month, several days of every second week,
    /// days after a weekday (a [timetable](Self::timetable) can say them), what PatchKit does not know.
    pub fn schedule(&self) -> Result<Schedule> {
        let (schedule, offset) = self.recurs.to_schedule(self.starts)?;
        if offset > 0 {
            let message = format!("{}: no schedule has days after a weekday", self.recurs);
            return Err(Error::new(ErrorKind::Unsupported, PROVIDER, OPERATION, message));
        }
        Ok(schedule)
    }

    /// When it opens, to be told in times, made a schedule of AWS, or held against others.
    ///
    /// # Errors
    /// `NotFound` for a zone that nobody knows, where the window expires.
    pub fn timetable(&self) -> Result<Timetable> {
        let zone = ZoneName::from(&self.zone);
        let ends = match self.expires {
            None => None,
            Some(expires) => {
                let far = |_| invalid(OPERATION, format!("expires: {expires} is no time"));
                Some(zone.find()?.to_timestamp(expires).map_err(far)?)
            }
        };
        let table = Timetable::of_recurrence(self.recurs.clone(), self.starts, zone);
        Ok(match ends {
            Some(ends) => table.with_end(ends),
            None => table,
        })
    }

    /// Whether Azure takes it.
    ///
    /// # Errors
    /// `InvalidInput`, with what is wrong.
    pub fn check(&self) -> Result<()> {
        if !(SHORTEST..=LONGEST).contains(&self.duration) {
            return Err(invalid(OPERATION, "duration: a window is open from 01:30 to 03:55"));
        }
        if self.expires.is_some_and(|end| end <= self.starts) {
            return Err(invalid(OPERATION, "expires: it is over before it opens"));
        }
        if self.starts.year() >= NEVER {
            return Err(invalid(OPERATION, "starts: nobody lives to see it open"));
        }
        self.recurs.check()
    }

    pub(crate) fn to_json(&self) -> Value {
        let minutes = self.duration.as_secs() / 60;
        let mut window = json!({
            "startDateTime": minute(self.starts),
            "duration": format!("{:02}:{:02}", minutes / 60, minutes % 60),
            "timeZone": self.zone.as_str(),
        });
        if let Some(end) = self.expires {
            window["expirationDateTime"] = minute(end).into();
        }
        if self.recurs != Recurrence::Once {
            window["recurEvery"] = self.recurs.to_string().into();
        }
        window
    }

    fn read(window: &Value) -> Result<Self, String> {
        let text = |key: &str| window[key].as_str().map(str::trim).filter(|it| !it.is_empty());
        let lacks = |key: &str| format!("its window has no {key} that can be read");
        let time = |key| text(key).and_then(date_time);
        let starts = time("startDateTime").ok_or_else(|| lacks("startDateTime"))?;
        let zone = TimeZoneName::kept(text("timeZone").ok_or_else(|| lacks("timeZone"))?);
        let duration = text("duration").and_then(hours).ok_or_else(|| lacks("duration"))?;
        let expires = match text("expirationDateTime") {
            None => None,
            Some(_) => Some(time("expirationDateTime").ok_or_else(|| lacks("expirationDateTime"))?),
        };
        let recurs = text("recurEvery").map_or(Recurrence::Once, Recurrence::read);
        // "If not provided, it will be set to the maximum" (Maintenance API, expirationDateTime).
        let expires = expires.filter(|end| end.year() < NEVER);
        Ok(Self { starts, zone, duration, recurs, expires })
    }
}

/// When a maintenance configuration patches by itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Timing {
    /// Never: its window opens in the year 9999, or has expired.
    Never,
    /// In this window.
    Window(PatchWindow),
    /// Perhaps: what it says could not be read, and this is why.
    Unknown(String),
}

impl Timing {
    /// Whether it may patch one day. What could not be read may.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Never)
    }

    /// Reads the window of a configuration.
    pub(crate) fn of(window: &Value, now: Timestamp) -> Self {
        if window.is_null() {
            return Self::Unknown("it has no window".to_owned());
        }
        match PatchWindow::read(window) {
            Err(problem) => Self::Unknown(shown(&problem)),
            Ok(window) if window.starts.year() >= NEVER => Self::Never,
            Ok(window) => {
                // A day more than any zone is away from UTC.
                let today = TimeZone::UTC.to_datetime(now);
                let yesterday = today.checked_sub(1.day()).unwrap_or(DateTime::MIN);
                let once = window.recurs == Recurrence::Once;
                let past = window.expires.is_some_and(|end| end < yesterday)
                    || once && window.starts < yesterday;
                if past { Self::Never } else { Self::Window(window) }
            }
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Window(PatchWindow { starts, zone, recurs, .. }) => {
                write!(f, "from {starts} {zone} on, {recurs}")
            }
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// The window of a configuration that is not to patch anything by itself.
///
/// The API wants a window for patching guests, one that starts today or later and expires later still
/// (Maintenance API, `startDateTime` and `expirationDateTime`), so that one which is over cannot be
/// given. This one opens once, in the last month of the last year that the API knows.
pub(crate) fn dormant() -> Value {
    json!({"startDateTime": "9999-12-01 00:00", "duration": "01:30", "timeZone": "UTC"})
}

fn minute(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

fn date_time(text: &str) -> Option<DateTime> {
    ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
        .into_iter()
        .find_map(|form| DateTime::strptime(form, text).ok())
}

fn hours(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 1_000 && minutes < 60).then(|| Duration::from_mins(hours * 60 + minutes))
}

#[cfg(test)]
mod tests;
