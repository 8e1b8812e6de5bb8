//! Schedules of PatchKit as recurrences, there and back.

use jiff::civil::{DateTime, Time, Weekday};
use patchkit_core::{RateUnit, Result, Schedule};

use super::{
    OPERATION,
    recurrence::{MonthDay, Nth, Recurrence, WEEKDAYS},
};
use crate::error::{invalid, shown};

/// What of a cron expression Azure can say.
pub(super) struct Cron {
    pub(super) time: Time,
    pub(super) recurs: Recurrence,
}

/// Reads the fields of a cron expression.
pub(super) fn read(fields: &str) -> Result<Cron> {
    let wrong = |what: &str| invalid(OPERATION, format!("cron({}): {what}", shown(fields)));
    let all: Vec<&str> = fields.split_whitespace().collect();
    let (sunday, [minute, hour, days, months, weekdays], seconds, year) = match all.as_slice() {
        [minute, hour, days, months, weekdays] => {
            (0, [*minute, *hour, *days, *months, *weekdays], "0", "*")
        }
        [minute, hour, days, months, weekdays, year] => {
            (1, [*minute, *hour, *days, *months, *weekdays], "0", *year)
        }
        [seconds, minute, hour, days, months, weekdays, year] => {
            (1, [*minute, *hour, *days, *months, *weekdays], *seconds, *year)
        }
        _ => return Err(wrong("it has 5 to 7 fields")),
    };
    let number = |text: &str| text.parse::<i8>().ok().filter(|it| *it >= 0);
    let (Some(minute), Some(hour), Some(0)) = (number(minute), number(hour), number(seconds))
    else {
        return Err(wrong("Azure wants one hour and minute of the day"));
    };
    let time = Time::new(hour, minute, 0, 0).map_err(|_| wrong("the day has no such time"))?;
    if months != "*" || year != "*" {
        return Err(wrong("Azure has no single months and years"));
    }
    let any = |field: &str| matches!(field, "*" | "?");
    let recurs = match (any(days), any(weekdays)) {
        (true, true) => Recurrence::Days(1),
        (false, false) => {
            return Err(wrong("days of the month and of the week at once are two schedules"));
        }
        (false, true) => {
            let day = |text: &str| match text {
                "L" | "l" => Some(MonthDay::Day(-1)),
                text => number(text).filter(|it| (1..=31).contains(it)).map(MonthDay::Day),
            };
            let days = days.split(',').map(day).collect::<Option<_>>();
            Recurrence::Months(1, days.ok_or_else(|| wrong("Azure wants days by their number"))?)
        }
        (true, false) => of_weekdays(weekdays, sunday)
            .ok_or_else(|| wrong("Azure wants days of the week by name, or one of a month"))?,
    };
    Ok(Cron { time, recurs })
}

fn of_weekdays(text: &str, sunday: i8) -> Option<Recurrence> {
    let upper = text.to_ascii_uppercase();
    if let Some((day, nth)) = upper.split_once('#') {
        let nth = Nth::of(nth.parse().ok().filter(|it| *it > 0)?)?;
        let day = MonthDay::Weekday(nth, weekday(day, sunday)?, 0);
        return Some(Recurrence::Months(1, vec![day]));
    }
    if let Some(day) = upper.strip_suffix('L').filter(|it| !it.is_empty()) {
        let day = MonthDay::Weekday(Nth::Last, weekday(day, sunday)?, 0);
        return Some(Recurrence::Months(1, vec![day]));
    }
    let mut days = Vec::new();
    for part in upper.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(from, sunday)?, weekday(to, sunday)?);
        loop {
            if !days.contains(&day) {
                days.push(day);
            }
            if day == last {
                break;
            }
            day = day.next();
        }
    }
    days.sort_by_key(|day| day.to_monday_zero_offset());
    Some(Recurrence::Weeks(1, days))
}

fn weekday(text: &str, sunday: i8) -> Option<Weekday> {
    if let Ok(number) = text.parse::<i8>() {
        let from_sunday = number.checked_sub(sunday).filter(|it| (0..=7 - sunday).contains(it))?;
        return Weekday::from_sunday_zero_offset(from_sunday % 7).ok();
    }
    let three = |name: &str| name.get(..3).is_some_and(|it| it.eq_ignore_ascii_case(text));
    WEEKDAYS.iter().find(|(_, name)| three(name)).map(|(day, _)| *day)
}

/// The schedule of a recurrence that began at `starts`.
pub(super) fn write(recurs: &Recurrence, starts: DateTime) -> Result<Schedule> {
    let none = |what: &str| Err(invalid(OPERATION, format!("{recurs}: {what}")));
    let rate = |every, unit| Ok(Schedule::Rate { every, unit });
    let short = |day: Weekday| {
        let name = WEEKDAYS.iter().find(|(it, _)| *it == day).map_or("", |(_, name)| name);
        name[..3].to_ascii_uppercase()
    };
    let cron = |days: &str, weekdays: &str| {
        let (minute, hour) = (starts.minute(), starts.hour());
        Ok(Schedule::Cron(format!("{minute} {hour} {days} * {weekdays} *").into()))
    };
    match recurs {
        Recurrence::Once => Ok(Schedule::At(starts)),
        Recurrence::Hours(hours) => rate(*hours, RateUnit::Hour),
        Recurrence::Days(1) => cron("*", "?"),
        Recurrence::Days(days) => rate(*days, RateUnit::Day),
        Recurrence::Weeks(1, days) if days.is_empty() => cron("?", &short(starts.weekday())),
        Recurrence::Weeks(1, days) => {
            let names: Vec<_> = days.iter().map(|day| short(*day)).collect();
            cron("?", &names.join(","))
        }
        Recurrence::Weeks(weeks, days)
            if days.is_empty() || days.as_slice() == [starts.weekday()] =>
        {
            match weeks.checked_mul(7) {
                Some(days) => rate(days, RateUnit::Day),
                None => none("so many weeks are no period"),
            }
        }
        Recurrence::Weeks(..) => none("no schedule has days of some weeks only"),
        Recurrence::Months(1, days) if days.is_empty() => cron(&starts.day().to_string(), "?"),
        Recurrence::Months(1, days) => match days.as_slice() {
            [MonthDay::Weekday(Nth::Last, day, 0)] => cron("?", &format!("{}L", short(*day))),
            [MonthDay::Weekday(nth, day, 0)] => {
                cron("?", &format!("{}#{}", short(*day), nth.number()))
            }
            days => {
                let number = |day: &MonthDay| match day {
                    MonthDay::Day(-1) => Some("L".to_owned()),
                    MonthDay::Day(day) => Some(day.to_string()),
                    MonthDay::Weekday(..) => None,
                };
                match days.iter().map(number).collect::<Option<Vec<_>>>() {
                    Some(days) => cron(&days.join(","), "?"),
                    None => none("no schedule has days after a weekday"),
                }
            }
        },
        Recurrence::Months(..) => none("no schedule has some months only"),
        Recurrence::Other(_) => none("it is none that PatchKit knows"),
    }
}
