//! Cron expressions, as AWS's schedulers and crontab write them.

mod field;

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Time, Weekday};

use self::field::{Field, Item};
use super::{LAST_YEAR, invalid, shown};
use crate::Result;

#[cfg(test)]
mod tests;

/// The fields of a cron expression, each as all that it names.
///
/// The dialect follows from how many fields there are: five are crontab's (Sunday is 0 or 7, and
/// both kinds of days hold at once, either of them counting), six are those of EventBridge, of
/// maintenance windows and associations, seven have the seconds first as well, which windows take.
/// In six and seven Sunday is 1, and one of the two fields of days is a `?`
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html>,
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/reference-cron-and-rate-expressions.html>).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Cron {
    pub(super) seconds: BTreeSet<i16>,
    pub(super) minutes: BTreeSet<i16>,
    pub(super) hours: BTreeSet<i16>,
    pub(super) months: BTreeSet<i16>,
    /// None for every year.
    pub(super) years: Option<BTreeSet<i16>>,
    /// None for any day.
    pub(super) of_month: Option<Vec<MonthPart>>,
    /// None for any day.
    pub(super) of_week: Option<Vec<WeekPart>>,
}

/// What a field of days of the month names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum MonthPart {
    Day(i8),
    Last,
    /// The day from Monday to Friday that is nearest to one, in the same month.
    Nearest(i8),
    LastWeekday,
}

/// What a field of days of the week names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WeekPart {
    Every(Weekday),
    /// The nth of a month.
    Nth(Weekday, i8),
    /// The last of a month.
    Last(Weekday),
}

impl Cron {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |what: String| invalid(format!("cron({}): {what}", shown(text)));
        let parts: Vec<&str> = text.split_whitespace().collect();
        let (seconds, [minute, hour, day, month, week], year, crontab) = match parts[..] {
            [minute, hour, day, month, week] => {
                (None, [minute, hour, day, month, week], None, true)
            }
            [minute, hour, day, month, week, year] => {
                (None, [minute, hour, day, month, week], Some(year), false)
            }
            [second, minute, hour, day, month, week, year] => {
                (Some(second), [minute, hour, day, month, week], Some(year), false)
            }
            _ => {
                let count = parts.len();
                return Err(wrong(format!("a cron expression has 5 to 7 fields, not {count}")));
            }
        };
        let week_field = if crontab { &Field::CRONTAB_WEEK } else { &Field::WEEK };
        let any = |text: &str| matches!(text, "*" | "?");
        if !crontab && (day == "?") == (week == "?") {
            let both = format!(
                "{} {:?} and {} {:?}",
                Field::DAY.name,
                shown(day),
                week_field.name,
                shown(week)
            );
            return Err(wrong(format!("{both}: exactly one of them is a ?")));
        }
        let values = |field: &Field, text| field.values(text).map_err(&wrong);
        let of_month = if any(day) { None } else { Some(month_parts(day).map_err(&wrong)?) };
        let of_week =
            if any(week) { None } else { Some(week_parts(week_field, week).map_err(&wrong)?) };
        Ok(Self {
            seconds: seconds
                .map_or_else(|| Ok(BTreeSet::from([0])), |it| values(&Field::SECOND, it))?,
            minutes: values(&Field::MINUTE, minute)?,
            hours: values(&Field::HOUR, hour)?,
            months: values(&Field::MONTH, month)?,
            years: year.filter(|it| *it != "*").map(|it| values(&Field::YEAR, it)).transpose()?,
            of_month,
            of_week,
        })
    }

    /// The first time on the wall after one; none where there is none.
    pub(super) fn next(&self, after: DateTime) -> Option<DateTime> {
        let mut date = after.date();
        if self.names(date)
            && let Some(time) = self.time_after(after.time())
        {
            return Some(date.to_datetime(time));
        }
        let first = self.first_time()?;
        loop {
            date = date.tomorrow().ok()?;
            while !self.has_month(date) {
                if date.year() > LAST_YEAR {
                    return None;
                }
                date = date.last_of_month().tomorrow().ok()?;
            }
            if date.year() > LAST_YEAR {
                return None;
            }
            if self.names(date) {
                return Some(date.to_datetime(first));
            }
        }
    }

    /// Whether something is due on a day.
    pub(super) fn names(&self, date: Date) -> bool {
        if !self.has_month(date) {
            return false;
        }
        let of_month = self.of_month.as_ref().map(|parts| parts.iter().any(|it| it.is(date)));
        let of_week = self.of_week.as_ref().map(|parts| parts.iter().any(|it| it.is(date)));
        match (of_month, of_week) {
            (None, None) => true,
            (Some(is), None) | (None, Some(is)) => is,
            // crontab(5): where both are restricted, either is enough.
            (Some(month), Some(week)) => month || week,
        }
    }

    fn has_month(&self, date: Date) -> bool {
        self.months.contains(&date.month().into())
            && self.years.as_ref().is_none_or(|years| years.contains(&date.year()))
    }

    fn first_time(&self) -> Option<Time> {
        time(*self.hours.first()?, *self.minutes.first()?, *self.seconds.first()?)
    }

    fn time_after(&self, after: Time) -> Option<Time> {
        let (hour, minute) = (i16::from(after.hour()), i16::from(after.minute()));
        for at_hour in self.hours.range(hour..) {
            let from = if *at_hour == hour { minute } else { 0 };
            for at_minute in self.minutes.range(from..) {
                for at_second in &self.seconds {
                    let found = time(*at_hour, *at_minute, *at_second).filter(|it| *it > after);
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }
}

fn time(hour: i16, minute: i16, second: i16) -> Option<Time> {
    let part = |it| i8::try_from(it).ok();
    Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()
}

impl MonthPart {
    fn is(self, date: Date) -> bool {
        match self {
            Self::Day(day) => date.day() == day,
            Self::Last => date.day() == date.days_in_month(),
            Self::Nearest(day) => nearest_weekday(date, day).is_some_and(|it| it == date.day()),
            Self::LastWeekday => {
                nearest_weekday(date, date.days_in_month()).is_some_and(|it| it == date.day())
            }
        }
    }
}

/// The day from Monday to Friday that is nearest to a day of the month that `date` is in.
fn nearest_weekday(date: Date, day: i8) -> Option<i8> {
    let last = date.days_in_month();
    let weekday = Date::new(date.year(), date.month(), day).ok()?.weekday();
    Some(match weekday {
        Weekday::Saturday if day == 1 => 3,
        Weekday::Saturday => day - 1,
        Weekday::Sunday if day == last => day - 2,
        Weekday::Sunday => day + 1,
        _ => day,
    })
}

impl WeekPart {
    fn is(self, date: Date) -> bool {
        match self {
            Self::Every(day) => date.weekday() == day,
            Self::Nth(day, nth) => date.weekday() == day && (date.day() - 1) / 7 + 1 == nth,
            Self::Last(day) => date.weekday() == day && date.day() + 7 > date.days_in_month(),
        }
    }
}

fn month_parts(text: &str) -> Result<Vec<MonthPart>, String> {
    let field = &Field::DAY;
    let mut parts = Vec::new();
    for part in field.parts(text)? {
        let upper = part.to_ascii_uppercase();
        match (upper.as_str(), upper.strip_suffix('W')) {
            ("L", _) => parts.push(MonthPart::Last),
            ("LW", _) => parts.push(MonthPart::LastWeekday),
            (_, Some(day)) => {
                let day = field.value(day).ok_or_else(|| field.wrong(part))?;
                parts.push(MonthPart::Nearest(small(day)));
            }
            (whole, None) => {
                let days = field.span(whole).ok_or_else(|| field.wrong(part))?;
                parts.extend(days.into_iter().map(|day| MonthPart::Day(small(day))));
            }
        }
    }
    Ok(parts)
}

fn week_parts(field: &Field, text: &str) -> Result<Vec<WeekPart>, String> {
    let weekday = |value: i16| {
        let from_sunday = (value - field.first).rem_euclid(7);
        Weekday::from_sunday_zero_offset(small(from_sunday)).ok()
    };
    let parts = field.parts(text)?;
    if text.contains('#') && parts.len() > 1 {
        // "if you use a '#' character, you can define only one expression in the day-of-week field"
        // (EventBridge user guide, "Cron expressions reference").
        return Err(format!("{} {:?}: with a # there is one day only", field.name, shown(text)));
    }
    let mut all = Vec::new();
    for part in parts {
        let upper = part.to_ascii_uppercase();
        let wrong = || field.wrong(part);
        if let Some((day, nth)) = upper.split_once('#') {
            let day = field.value(day).and_then(weekday).ok_or_else(wrong)?;
            let nth = nth.parse().ok().filter(|it| (1..=5).contains(it)).ok_or_else(wrong)?;
            all.push(WeekPart::Nth(day, nth));
        } else if upper == "L" && field.first == 1 {
            // "The L wildcard … specifies the last day of the month or week" (same page).
            all.push(WeekPart::Every(Weekday::Saturday));
        } else if let Some(day) = upper.strip_suffix('L') {
            all.push(WeekPart::Last(field.value(day).and_then(weekday).ok_or_else(wrong)?));
        } else {
            let days = field.span(&upper).ok_or_else(wrong)?;
            let days: Option<Vec<_>> = days.into_iter().map(weekday).collect();
            all.extend(days.ok_or_else(wrong)?.into_iter().map(WeekPart::Every));
        }
    }
    Ok(all)
}

/// Values of fields are below 60, but for years.
fn small(value: i16) -> i8 {
    i8::try_from(value).unwrap_or(i8::MAX)
}

impl Field {
    /// All values that a field without letters of its own names.
    fn values(&self, text: &str) -> Result<BTreeSet<i16>, String> {
        let mut all = BTreeSet::new();
        for part in self.parts(text)? {
            all.extend(self.span(&part.to_ascii_uppercase()).ok_or_else(|| self.wrong(part))?);
        }
        Ok(all)
    }

    /// The values of one item of its list.
    fn span(&self, part: &str) -> Option<Vec<i16>> {
        let Item { from, to, step } = self.item(part)?;
        let (mut value, mut all) = (from, Vec::new());
        while value <= to {
            all.push(self.wrapped(value));
            value = value.checked_add(step)?;
        }
        Some(all)
    }
}
