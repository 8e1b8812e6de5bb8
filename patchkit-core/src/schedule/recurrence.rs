//! How a window of Azure opens again: the grammar of `recurEvery`.

mod anchored;

use std::{fmt, str::FromStr};

use jiff::civil::Weekday;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) use self::anchored::Anchored;
use super::{invalid, shown};
use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// The least hours between two windows ("Maintenance configurations", guest scope).
const LEAST_HOURS: u32 = 6;

/// How a window opens again, as Azure's Maintenance API says it (`recurEvery`).
///
/// What is not said is counted from when the window opens first: see
/// [`Timetable::of_recurrence`](crate::Timetable::of_recurrence).
///
/// ```
/// use patchkit_core::Recurrence;
///
/// let recurs: Recurrence = "Month Second Tuesday Offset4".parse()?;
/// assert_eq!(recurs.to_string(), "Month Second Tuesday Offset4");
/// # Ok::<(), patchkit_core::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Recurrence {
    /// Not at all.
    Once,
    /// After so many hours, six at least.
    Hours(u32),
    /// After so many days.
    Days(u32),
    /// In every so many weeks, on these days; without any, on that of the start.
    Weeks(u32, Vec<Weekday>),
    /// In every so many months, on these days; without any, on that of the start.
    Months(u32, Vec<MonthDay>),
    /// One that PatchKit does not know, as it was spelled.
    Other(Box<str>),
}

/// A day of a month.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MonthDay {
    /// By its number; -1 is the last.
    Day(i8),
    /// So many days after, or before, such a weekday of the month.
    Weekday(Nth, Weekday, i8),
}

/// Which of a month's weekdays of one name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Nth {
    First,
    Second,
    Third,
    Fourth,
    Last,
}

impl Nth {
    const ALL: [(Self, &'static str, i8); 5] = [
        (Self::First, "First", 1),
        (Self::Second, "Second", 2),
        (Self::Third, "Third", 3),
        (Self::Fourth, "Fourth", 4),
        (Self::Last, "Last", -1),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or("", |(_, name, _)| name)
    }

    /// Which one it is, from the end where it is negative.
    pub fn number(self) -> i8 {
        Self::ALL.iter().find(|(it, ..)| *it == self).map_or(1, |(.., number)| *number)
    }

    pub(super) fn of(number: i8) -> Option<Self> {
        Self::ALL.iter().find(|(.., it)| *it == number).map(|(nth, ..)| *nth)
    }
}

const WEEKDAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "Monday"),
    (Weekday::Tuesday, "Tuesday"),
    (Weekday::Wednesday, "Wednesday"),
    (Weekday::Thursday, "Thursday"),
    (Weekday::Friday, "Friday"),
    (Weekday::Saturday, "Saturday"),
    (Weekday::Sunday, "Sunday"),
];

pub(super) fn name_of(day: Weekday) -> &'static str {
    WEEKDAYS.iter().find(|(it, _)| *it == day).map_or("", |(_, name)| name)
}

fn weekday(text: &str) -> Option<Weekday> {
    WEEKDAYS.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(day, _)| *day)
}

impl Recurrence {
    /// Reads what a service spells; what is not known survives.
    pub fn read(text: &str) -> Self {
        known(text).unwrap_or_else(|| Self::Other(text.into()))
    }

    /// Checks whether Azure takes it.
    ///
    /// # Errors
    /// `InvalidInput`, with what is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: &str| {
            let shown = shown(&self.to_string());
            Err(invalid(format!("recurs: {shown}: {what}")))
        };
        match self {
            Self::Hours(hours) if *hours < LEAST_HOURS => wrong("six hours are the least"),
            Self::Days(0) | Self::Weeks(0, _) | Self::Months(0, _) => wrong("0 is no period"),
            Self::Months(_, days) if days.len() > 1 && days.iter().any(|it| it.is_weekday()) => {
                wrong("a month has one weekday, or days by their number")
            }
            Self::Months(_, days) if !days.iter().all(|it| it.is_possible()) => {
                wrong("no month has such a day")
            }
            Self::Other(_) => wrong("it is none that PatchKit knows"),
            _ => Ok(()),
        }
    }
}

impl MonthDay {
    fn is_weekday(self) -> bool {
        matches!(self, Self::Weekday(..))
    }

    fn is_possible(self) -> bool {
        match self {
            Self::Day(day) => (1..=31).contains(&day) || day == -1,
            Self::Weekday(_, _, offset) => (-6..=6).contains(&offset),
        }
    }
}

fn known(text: &str) -> Option<Recurrence> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let digits = first.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = first.split_at(digits);
    let count: u32 = if count.is_empty() { 1 } else { count.parse().ok()? };
    let unit = unit.to_ascii_lowercase();
    Some(match (unit.strip_suffix('s').unwrap_or(&unit), rest.trim()) {
        ("hour", "") => Recurrence::Hours(count),
        ("day", "") => Recurrence::Days(count),
        ("week", "") => Recurrence::Weeks(count, Vec::new()),
        ("week", days) => {
            let days = days.split(',').map(|it| weekday(it.trim())).collect::<Option<_>>()?;
            Recurrence::Weeks(count, days)
        }
        ("month", "") => Recurrence::Months(count, Vec::new()),
        ("month", days) => Recurrence::Months(count, month_days(days)?),
        _ => return None,
    })
}

fn month_days(text: &str) -> Option<Vec<MonthDay>> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("day") || lower.starts_with("lastday") {
        let day = |it: &str| {
            let number = match it.trim() {
                "lastday" => -1,
                it => it.strip_prefix("day")?.parse().ok()?,
            };
            Some(MonthDay::Day(number))
        };
        return lower.split(',').map(day).collect();
    }
    let mut words = lower.split_whitespace();
    let first = words.next()?;
    let (nth, ..) = Nth::ALL.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(first))?;
    let weekday = weekday(words.next()?)?;
    let offset = match words.next() {
        None => 0,
        Some(word) => word.strip_prefix("offset")?.parse().ok()?,
    };
    words.next().is_none().then(|| vec![MonthDay::Weekday(*nth, weekday, offset)])
}

impl FromStr for Recurrence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        known(text.trim()).ok_or_else(|| {
            invalid(format!("recurs: {:?} is none that PatchKit knows", shown(text)))
        })
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = |count: u32, unit: &str| match count {
            1 => unit.to_owned(),
            count => format!("{count}{unit}s"),
        };
        let (first, days) = match self {
            Self::Once => return f.pad("once"),
            Self::Other(text) => return f.pad(text),
            Self::Hours(count) => (every(*count, "Hour"), String::new()),
            Self::Days(count) => (every(*count, "Day"), String::new()),
            Self::Weeks(count, days) => {
                let names: Vec<_> = days.iter().map(|day| name_of(*day)).collect();
                (every(*count, "Week"), names.join(","))
            }
            Self::Months(count, days) => {
                let names: Vec<_> = days.iter().map(ToString::to_string).collect();
                (every(*count, "Month"), names.join(","))
            }
        };
        match days.as_str() {
            "" => f.pad(&first),
            days => write!(f, "{first} {days}"),
        }
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => write!(f, "day{day}"),
            Self::Weekday(nth, weekday, 0) => write!(f, "{} {}", nth.name(), name_of(*weekday)),
            Self::Weekday(nth, weekday, offset) => {
                write!(f, "{} {} Offset{offset}", nth.name(), name_of(*weekday))
            }
        }
    }
}

impl Serialize for Recurrence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recurrence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(if text == "once" { Self::Once } else { Self::read(&text) })
    }
}
