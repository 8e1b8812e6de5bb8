//! When a window recurs: the grammar of `recurEvery`, and the next time.

use std::time::Duration;

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, DateTime, Weekday},
    tz::TimeZone,
};
use patchkit_core::ZoneName;
use serde_json::Value;

use crate::cloud::{azure::error::ArmError, world::clock::later};

/// A window of a maintenance configuration.
#[derive(Clone, Debug)]
pub(super) struct Window {
    start: DateTime,
    zone: TimeZone,
    end: Option<DateTime>,
    pub(super) duration: Duration,
    every: Option<Every>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Every {
    Hours(i64),
    Days(i32),
    /// Of these days, or of the day of the start.
    Weeks(i32, Vec<Weekday>),
    Months(i32, Vec<MonthDay>),
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum MonthDay {
    /// From the end where it is negative.
    Day(i8),
    /// The nth such weekday, and days after it.
    Weekday(i8, Weekday, i32),
}

/// A schedule that has not run in this time does not run again.
const DAYS_AHEAD: i32 = 366 * 12;

impl Window {
    pub(super) fn read(window: &Value) -> Result<Self, ArmError> {
        let text = |key: &str| window[key].as_str().unwrap_or_default().trim();
        let wrong = |key: &str, form: &str| {
            let (target, value) = (format!("maintenanceWindow.{key}"), &window[key]);
            ArmError::parameter(target, format!("The value {value} is not {form}."))
        };
        let form = "a time of the form YYYY-MM-DD hh:mm";
        let start = date_time(text("startDateTime")).ok_or_else(|| wrong("startDateTime", form))?;
        let end = match text("expirationDateTime") {
            "" => None,
            given => Some(date_time(given).ok_or_else(|| wrong("expirationDateTime", form))?),
        };
        if end.is_some_and(|end| end <= start) {
            return Err(wrong("expirationDateTime", "after the start"));
        }
        let zone = ZoneName::new(text("timeZone"));
        // A configuration takes the names of Windows, and no others.
        let zone = zone
            .of_windows()
            .and_then(|_| zone.find().ok())
            .ok_or_else(|| wrong("timeZone", "the name of a time zone of Windows"))?;
        let duration = duration(text("duration"))
            .ok_or_else(|| wrong("duration", "a duration of the form HH:mm"))?;
        let every = match text("recurEvery") {
            "" => None,
            given => Some(Every::read(given).ok_or_else(|| wrong("recurEvery", "a recurrence"))?),
        };
        Ok(Self { start, zone, end, duration, every })
    }

    /// The first time after one.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let instant = |at: DateTime| self.zone.to_timestamp(at).ok();
        let begins = instant(self.start)?;
        let ends = self.end.and_then(instant).unwrap_or(Timestamp::MAX);
        let found = match &self.every {
            None => Some(begins).filter(|it| *it > after),
            Some(Every::Hours(hours)) => {
                let passed = after.duration_since(begins).as_secs().max(-1);
                let each = hours * 3_600;
                let turn = if passed < 0 { 0 } else { passed / each + 1 };
                begins.checked_add(SignedDuration::from_secs(turn * each)).ok()
            }
            Some(every) => {
                let local = self.zone.to_datetime(after).date();
                let first = self.start.date().max(local.checked_sub(1.day()).unwrap_or(local));
                let dates = (0..DAYS_AHEAD).map_while(|n| first.checked_add(n.days()).ok());
                dates
                    .filter(|date| every.holds(self.start.date(), *date))
                    .filter_map(|date| instant(date.to_datetime(self.start.time())))
                    .find(|at| *at > after && *at >= begins)
            }
        };
        // The end of the window is what must lie before the end of the schedule.
        found.filter(|at| later(*at, self.duration) <= ends)
    }
}

fn date_time(text: &str) -> Option<DateTime> {
    ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]
        .into_iter()
        .find_map(|form| DateTime::strptime(form, text).ok())
}

fn duration(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |it: &str| it.len() == 2 && it.bytes().all(|b| b.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60).then(|| Duration::from_secs((hours * 60 + minutes) * 60))
}

impl Every {
    fn read(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
        let digits = first.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = first.split_at(digits);
        let count: i32 = if count.is_empty() { 1 } else { count.parse().ok()? };
        if !(1..=1_000).contains(&count) {
            return None;
        }
        let rest = rest.trim();
        match (&*unit.to_ascii_lowercase(), rest) {
            ("hour" | "hours", "") => Some(Self::Hours(count.into())),
            ("day" | "days", "") => Some(Self::Days(count)),
            ("week" | "weeks", "") => Some(Self::Weeks(count, Vec::new())),
            ("week" | "weeks", days) => {
                let days = days.split(',').map(|it| weekday(it.trim())).collect::<Option<_>>()?;
                Some(Self::Weeks(count, days))
            }
            ("month" | "months", "") => Some(Self::Months(count, Vec::new())),
            ("month" | "months", days) => Some(Self::Months(count, month_days(days)?)),
            _ => None,
        }
    }

    fn holds(&self, start: Date, date: Date) -> bool {
        let days = |from: Date, to: Date| {
            i32::try_from(to.duration_since(from).as_hours() / 24).unwrap_or(i32::MAX)
        };
        match self {
            Self::Hours(_) => false,
            Self::Days(count) => days(start, date) % count == 0,
            Self::Weeks(count, weekdays) => {
                // Weeks are counted from the Monday of the start's.
                let from_monday = i32::from(start.weekday().to_monday_zero_offset());
                let weeks = (days(start, date) + from_monday).div_euclid(7);
                let day = date.weekday();
                let named = match weekdays.as_slice() {
                    [] => day == start.weekday(),
                    weekdays => weekdays.contains(&day),
                };
                named && weeks % count == 0
            }
            Self::Months(count, of_month) => {
                let months = |date: Date| {
                    let years = i32::from(date.year()) - i32::from(start.year());
                    years * 12 + i32::from(date.month()) - i32::from(start.month())
                };
                if of_month.is_empty() {
                    return date.day() == start.day() && months(date) % count == 0;
                }
                of_month.iter().any(|it| {
                    it.named(date).is_some_and(|named| months(named).rem_euclid(*count) == 0)
                })
            }
        }
    }
}

impl MonthDay {
    /// The day that it names in a month, where this date is the one it means.
    fn named(&self, date: Date) -> Option<Date> {
        match *self {
            Self::Day(day) if day > 0 => (date.day() == day).then_some(date),
            Self::Day(day) => (date.day() == date.days_in_month() + 1 + day).then_some(date),
            Self::Weekday(nth, weekday, offset) => {
                let named = date.checked_sub(offset.days()).ok()?;
                let found = named.nth_weekday_of_month(nth, weekday).ok()?;
                (found == named).then_some(named)
            }
        }
    }
}

fn month_days(text: &str) -> Option<Vec<MonthDay>> {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("day") {
        let day = |it: &str| {
            let day: i8 = it.trim().strip_prefix("day")?.parse().ok()?;
            (matches!(day, 1..=31) || day == -1).then_some(MonthDay::Day(day))
        };
        return lower.split(',').map(day).collect();
    }
    let mut words = lower.split_whitespace();
    let nth = match words.next()? {
        "first" => 1,
        "second" => 2,
        "third" => 3,
        "fourth" => 4,
        "last" => -1,
        _ => return None,
    };
    let weekday = weekday(words.next()?)?;
    let offset = match words.next() {
        None => 0,
        Some(word) => word.strip_prefix("offset")?.parse().ok()?,
    };
    let known = words.next().is_none() && (-6..=6).contains(&offset);
    known.then(|| vec![MonthDay::Weekday(nth, weekday, offset)])
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match &*text.to_ascii_lowercase() {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The times of a window from its start on, in local time.
    fn times(every: &str, start: &str, zone: &str, count: usize) -> Vec<String> {
        let window = json!({
            "startDateTime": start, "duration": "02:00", "timeZone": zone, "recurEvery": every,
        });
        let window = Window::read(&window).unwrap();
        let mut at = "2020-01-01T00:00:00Z".parse().unwrap();
        (0..count)
            .map(|_| {
                at = window.next(at).unwrap();
                window.zone.to_datetime(at).strftime("%a %Y-%m-%d %H:%M").to_string()
            })
            .collect()
    }

    #[test]
    fn weeks_are_counted_from_the_week_of_the_start() {
        assert_eq!(
            times("2Weeks Monday,Friday", "2026-11-04 02:00", "UTC", 4),
            [
                "Fri 2026-11-06 02:00",
                "Mon 2026-11-16 02:00",
                "Fri 2026-11-20 02:00",
                "Mon 2026-11-30 02:00"
            ],
        );
        assert_eq!(
            times("Week Saturday", "2026-11-07 23:00", "UTC", 2),
            ["Sat 2026-11-07 23:00", "Sat 2026-11-14 23:00"],
        );
    }

    #[test]
    fn an_offset_counts_from_the_weekday_and_may_reach_into_the_next_month() {
        assert_eq!(
            times("Month Second Tuesday Offset4", "2026-11-01 01:30", "UTC", 2),
            ["Sat 2026-11-14 01:30", "Sat 2026-12-12 01:30"],
        );
        assert_eq!(
            times("2Months Last Monday Offset3", "2026-11-01 01:30", "UTC", 2),
            ["Thu 2026-12-03 01:30", "Thu 2027-01-28 01:30"],
        );
    }

    #[test]
    fn a_time_is_local_so_that_summer_does_not_move_it() {
        assert_eq!(
            times("Month day1", "2026-03-01 02:30", "W. Europe Standard Time", 2),
            ["Sun 2026-03-01 02:30", "Wed 2026-04-01 02:30"],
        );
    }

    #[test]
    fn months_without_the_day_are_passed_over() {
        assert_eq!(
            times("Month day31", "2026-01-31 00:00", "UTC", 2),
            ["Sat 2026-01-31 00:00", "Tue 2026-03-31 00:00"],
        );
    }

    #[test]
    fn nothing_recurs_by_another_grammar() {
        for text in [
            "",
            "Sometimes",
            "0Days",
            "Week Someday",
            "Month Fifth Monday",
            "Month day32",
            "Month Second Tuesday Offset7",
            "Month Second Tuesday after",
            "-1Days",
            "Days 3",
        ] {
            assert_eq!(Every::read(text), None, "{text}");
        }
        for text in ["6Hours", "Day", "3Days", "Week", "Month", "Month Last Sunday Offset-3"] {
            assert!(Every::read(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_schedule_ends_with_its_expiration() {
        let window = Window::read(&json!({
            "startDateTime": "2026-11-02 00:00", "expirationDateTime": "2026-11-04 00:00",
            "duration": "02:00", "timeZone": "UTC", "recurEvery": "Day",
        }));
        let window = window.unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(window.next(at("2026-11-02T00:00:00Z")), Some(at("2026-11-03T00:00:00Z")));
        assert_eq!(window.next(at("2026-11-03T00:00:00Z")), None);
    }
}
