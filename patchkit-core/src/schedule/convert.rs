//! Schedules of AWS as recurrences of Azure, and back.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{DateTime, Weekday},
    tz::TimeZone,
};

use super::{
    MonthDay, Nth, OPERATION, OnWall, RateUnit, Recurrence, Recurs, Schedule, Timetable, ZoneName,
    cron::{Cron, MonthPart, WeekPart},
    invalid,
    recurrence::name_of,
    shown,
};
use crate::{Error, ErrorKind, Result};

#[cfg(test)]
mod tests;

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, "core", OPERATION, message)
}

impl Timetable {
    /// The same times as Azure says them, from `not_before` on.
    ///
    /// # Behavior
    /// - It comes first at the first of its times that is not before `not_before`.
    /// - A rate without a start is counted from `not_before`.
    /// - The zone is by the name that Windows has for it.
    ///
    /// # Errors
    /// `Unsupported` where Azure has no word for it: several times of a day, single years, the fifth
    /// Friday, a rate of days where clocks change (a rate's day is 24 hours, Azure goes by the clock), a
    /// zone that has no name of its own in Windows. `InvalidInput` where it is no timetable, or has come
    /// to its end.
    pub fn to_azure(&self, not_before: Timestamp) -> Result<Self> {
        let name = self.zone.windows().ok_or_else(|| {
            unsupported(format!("zone: {} has no name in Windows", shown(self.zone.as_str())))
        })?;
        let zone = ZoneName::new(name);
        let Recurs::Schedule { schedule, offset_days } = &self.recurs else {
            return Ok(Self { zone, ..self.clone() });
        };
        let clocks = self.zone.find()?;
        let counted = matches!(schedule, Schedule::Rate { .. }) && self.starts.is_none();
        let first = if counted {
            not_before
        } else {
            let before = not_before.checked_sub(SignedDuration::from_nanos(1));
            let over = || invalid(format!("{self}: it never comes again"));
            self.next_after(before.unwrap_or(not_before))?.ok_or_else(over)?
        };
        let local = clocks.to_datetime(first);
        steady(&clocks, first, schedule)?;
        // What is skipped today comes tomorrow; but a first time that comes twice would be another one.
        if OnWall::of(local, &clocks).and_then(OnWall::comes) != Some(first) {
            let message = format!("{self}: {local} is when clocks are set back");
            return Err(unsupported(message));
        }
        let (first, every) = Recurrence::of_schedule(schedule, *offset_days, local)?;
        let recurs = Recurs::Recurrence { first, every };
        Ok(Self { recurs, zone, starts: None, ends: self.ends })
    }

    /// The same times as AWS says them.
    ///
    /// # Behavior
    /// - It starts when the recurrence comes first.
    /// - The zone is by its name in the IANA database.
    ///
    /// # Errors
    /// `Unsupported` where AWS has no word for it: several days of every second week, every fifth
    /// month, days before a weekday, days counted by the clock where clocks change, what PatchKit does not
    /// know. `NotFound` for a zone that is not known.
    pub fn to_aws(&self) -> Result<Self> {
        let clocks = self.zone.find()?;
        let zone = ZoneName::new(self.zone.iana().unwrap_or_else(|| self.zone.as_str()));
        let Recurs::Recurrence { first, every } = &self.recurs else {
            return Ok(Self { zone, ..self.clone() });
        };
        let (schedule, offset_days) = every.to_schedule(*first)?;
        let wall = OnWall::of(*first, &clocks);
        let at =
            wall.map(OnWall::at).ok_or_else(|| invalid(format!("first: {first} is no time")))?;
        if matches!(every, Recurrence::Days(_) | Recurrence::Weeks(..)) {
            steady(&clocks, at, &schedule)?;
        }
        let starts = self.starts.map_or(at, |starts| starts.max(at));
        if starts != at && matches!(schedule, Schedule::Rate { .. }) {
            let message = format!("{self}: a rate is counted from the start, which is another one");
            return Err(unsupported(message));
        }
        let recurs = Recurs::Schedule { schedule, offset_days };
        Ok(Self { recurs, zone, starts: Some(starts), ends: self.ends })
    }
}

/// Refuses a rate of days where they are not all of 24 hours.
fn steady(zone: &TimeZone, from: Timestamp, schedule: &Schedule) -> Result<()> {
    let by_day = matches!(schedule, Schedule::Rate { unit: RateUnit::Day, .. });
    if by_day && zone.following(from).next().is_some() {
        return Err(unsupported(format!(
            "{schedule}: AWS counts 24 hours for a day, Azure goes by the clock, and in this zone clocks \
             change: take cron(…), a rate of hours, or UTC"
        )));
    }
    Ok(())
}

impl Recurrence {
    /// The recurrence of a schedule so many days later, and when it comes first: at `not_before` or
    /// later, by the clocks of its zone.
    ///
    /// # Behavior
    /// - A rate comes first at `not_before`, and its days are days of the calendar.
    /// - `at(…)` comes at its own time.
    ///
    /// # Errors
    /// As [`Timetable::to_azure`], but for what has to do with zones.
    pub fn of_schedule(
        schedule: &Schedule,
        offset_days: u8,
        not_before: DateTime,
    ) -> Result<(DateTime, Self)> {
        let none =
            |what: &str| Err(unsupported(format!("{}: {what}", shown(&schedule.to_string()))));
        let (first, recurs) = match schedule {
            Schedule::At(at) => (*at, Self::Once),
            Schedule::Rate { every, unit } => {
                let recurs = match unit {
                    RateUnit::Day => Self::Days(*every),
                    RateUnit::Hour => Self::Hours(*every),
                    RateUnit::Minute if every % 60 == 0 => Self::Hours(every / 60),
                    RateUnit::Minute => return none("a window of Azure opens every so many hours"),
                };
                recurs.check()?;
                (not_before, recurs)
            }
            Schedule::Cron(fields) => {
                let cron = Cron::parse(fields)?;
                let recurs = match of_cron(&cron, offset_days) {
                    Ok(recurs) => recurs,
                    Err(what) => return none(what),
                };
                let offset = i32::from(offset_days).days();
                let nanosecond = SignedDuration::from_nanos(1);
                let before =
                    not_before.checked_sub(offset).and_then(|it| it.checked_sub(nanosecond));
                let due = before.ok().and_then(|before| cron.next(before));
                let Some((due, first)) =
                    due.and_then(|due| Some((due, due.checked_add(offset).ok()?)))
                else {
                    return Err(invalid(format!("{schedule}: it never comes")));
                };
                if matches!(recurs, Self::Months(2.., _)) && due.month() != first.month() {
                    return none("its offset leads out of the month that Azure counts from");
                }
                (first, recurs)
            }
        };
        if first.second() != 0 || first.subsec_nanosecond() != 0 {
            return none("Azure knows no seconds");
        }
        Ok((first, recurs))
    }

    /// The schedule of a recurrence that comes first at `first`, and how many days later it is due.
    ///
    /// # Errors
    /// As [`Timetable::to_aws`], but for what has to do with zones.
    pub fn to_schedule(&self, first: DateTime) -> Result<(Schedule, u8)> {
        self.check()?;
        let none = |what: &str| Err(unsupported(format!("{}: {what}", shown(&self.to_string()))));
        let rate = |every, unit| Ok((Schedule::Rate { every, unit }, 0));
        let (minute, hour) = (first.minute(), first.hour());
        let cron = |days: &str, months: &str, weekdays: &str, offset| {
            let fields = format!("{minute} {hour} {days} {months} {weekdays} *");
            Ok((Schedule::Cron(fields.into()), offset))
        };
        match self {
            Self::Once => Ok((Schedule::At(first), 0)),
            Self::Hours(hours) => rate(*hours, RateUnit::Hour),
            Self::Days(1) => cron("*", "*", "?", 0),
            Self::Days(days) => rate(*days, RateUnit::Day),
            Self::Weeks(1, days) if days.is_empty() => cron("?", "*", &short(first.weekday()), 0),
            Self::Weeks(1, days) => {
                let names: Vec<_> = days.iter().map(|day| short(*day)).collect();
                cron("?", "*", &names.join(","), 0)
            }
            Self::Weeks(weeks, days) if days.is_empty() || days.as_slice() == [first.weekday()] => {
                match weeks.checked_mul(7) {
                    Some(days) => rate(days, RateUnit::Day),
                    None => none("so many weeks are no period"),
                }
            }
            Self::Weeks(..) => none("no schedule of AWS has days of some weeks only"),
            Self::Months(count, days) => {
                let Some(months) = months(*count, first.month()) else {
                    return none(
                        "its months are others in each year, which no schedule of AWS says",
                    );
                };
                match days.as_slice() {
                    [] => cron(&first.day().to_string(), &months, "?", 0),
                    [MonthDay::Day(-1)] => cron("L", &months, "?", 0),
                    [MonthDay::Weekday(nth, day, offset)] => {
                        let Ok(offset) = u8::try_from(*offset) else {
                            return none("no schedule of AWS has days before a weekday");
                        };
                        let day = short(*day);
                        let day = match nth {
                            Nth::Last => format!("{day}L"),
                            nth => format!("{day}#{}", nth.number()),
                        };
                        cron("?", &months, &day, offset)
                    }
                    days => {
                        let number = |day: &MonthDay| match day {
                            MonthDay::Day(day @ 1..) => Some(day.to_string()),
                            MonthDay::Day(_) | MonthDay::Weekday(..) => None,
                        };
                        match days.iter().map(number).collect::<Option<Vec<_>>>() {
                            Some(days) => cron(&days.join(","), &months, "?", 0),
                            None => none("the last day of a month stands alone in AWS's schedules"),
                        }
                    }
                }
            }
            Self::Other(_) => none("it is none that PatchKit knows"),
        }
    }
}

/// The recurrence that names the days of a cron expression, so many days later.
fn of_cron(cron: &Cron, offset: u8) -> Result<Recurrence, &'static str> {
    if cron.seconds.first() != Some(&0) || cron.seconds.len() != 1 {
        return Err("Azure knows no seconds");
    }
    if cron.minutes.len() != 1 || cron.hours.len() != 1 {
        return Err("Azure wants one hour and minute of the day");
    }
    if cron.years.is_some() {
        return Err("Azure has no single years");
    }
    let count = period(cron).ok_or("Azure has months at equal distances only")?;
    let shift = i8::try_from(offset).unwrap_or(i8::MAX);
    let monthly = |days| Ok(Recurrence::Months(count, days));
    match (&cron.of_month, &cron.of_week) {
        (Some(_), Some(_)) => {
            Err("days of the month and of the week at once are two schedules of Azure")
        }
        (None, None) if count == 1 => Ok(Recurrence::Days(1)),
        (None, None) => Err("Azure has no days of single months"),
        (Some(parts), None) => {
            let day = |part: &MonthPart| match part {
                MonthPart::Last if offset == 0 => Ok(MonthDay::Day(-1)),
                // Later days of the same month, whichever month it is.
                MonthPart::Day(day) if offset == 0 || day + shift <= 28 => {
                    Ok(MonthDay::Day(day + shift))
                }
                MonthPart::Day(_) | MonthPart::Last => {
                    Err("Azure has no days after one that may be the last of its month")
                }
                MonthPart::Nearest(_) | MonthPart::LastWeekday => {
                    Err("Azure has no nearest weekday: it wants days by their number")
                }
            };
            monthly(parts.iter().map(day).collect::<Result<_, _>>()?)
        }
        (None, Some(parts)) => match parts.as_slice() {
            [WeekPart::Last(day)] => monthly(vec![MonthDay::Weekday(Nth::Last, *day, shift)]),
            [WeekPart::Nth(day, nth)] => {
                let nth = Nth::of(*nth).ok_or("Azure has no fifth weekday of a month")?;
                monthly(vec![MonthDay::Weekday(nth, *day, shift)])
            }
            parts => {
                let mut days = Vec::new();
                for part in parts {
                    let WeekPart::Every(day) = part else {
                        return Err("Azure has one weekday of a month, and no others beside it");
                    };
                    days.push(day.wrapping_add(shift));
                }
                if count != 1 {
                    return Err("Azure has no weeks of single months");
                }
                days.sort_by_key(|day| day.to_monday_zero_offset());
                days.dedup();
                Ok(Recurrence::Weeks(1, days))
            }
        },
    }
}

/// Every how many months it is due.
fn period(cron: &Cron) -> Option<u32> {
    let count = u32::try_from(cron.months.len()).ok()?;
    let first = *cron.months.first()?;
    let each = 12_u32.checked_div(count).filter(|_| 12 % count == 0)?;
    let step = i16::try_from(each).ok()?;
    let all = (0..).map(|n| first + n * step).take(cron.months.len());
    (first <= step && all.eq(cron.months.iter().copied())).then_some(each)
}

/// Every so many months as cron has them, from the month of the first on.
fn months(count: u32, first: i8) -> Option<String> {
    if count == 1 {
        return Some("*".to_owned());
    }
    let step = i8::try_from(count).ok().filter(|it| *it > 0 && 12 % it == 0)?;
    let months = (1..=12_i8).filter(|month| (month - first) % step == 0);
    Some(months.map(|it| it.to_string()).collect::<Vec<_>>().join(","))
}

/// A day of the week in three letters.
fn short(day: Weekday) -> String {
    name_of(day).get(..3).unwrap_or_default().to_ascii_uppercase()
}
