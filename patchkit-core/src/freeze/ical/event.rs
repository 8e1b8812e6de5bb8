//! One event of a calendar.

use calcard::icalendar::{
    ICalendarComponent, ICalendarDuration, ICalendarEntry, ICalendarParameterName,
    ICalendarProperty, ICalendarRecurrenceRule, ICalendarValue,
};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{
    rule, shown,
    time::{Extent, Moment, Zones},
};

/// An event, as far as it says when something is frozen.
pub(super) struct Event {
    pub(super) name: String,
    pub(super) uid: Option<String>,
    /// The instance of a recurring event that it stands for.
    pub(super) stands_for: Option<Timestamp>,
    starts: Moment,
    lasts: Lasts,
    rules: Vec<ICalendarRecurrenceRule>,
    also: Vec<Moment>,
    except: Vec<Moment>,
}

/// How long each instance lasts: so many days on the calendar, and then so long.
///
/// "the same exact duration will apply to all the members" where an end is given (RFC 5545, 3.6.1),
/// but days of a duration are of the calendar (3.3.6).
#[derive(Clone, Copy)]
struct Lasts {
    days: i64,
    then: SignedDuration,
}

impl Event {
    pub(super) fn read(event: &ICalendarComponent, zones: &Zones<'_>) -> Result<Self, String> {
        let text = |name| event.property(&name)?.values.first()?.as_text();
        let name = text(ICalendarProperty::Summary).unwrap_or("freeze");
        let wrong = |what: String| format!("event {:?}: {what}", shown(name));
        let read = || -> Result<Self, String> {
            let one = |name| event.property(&name).map(|it| zones.moment(it)).transpose();
            let all = |name| -> Result<Vec<Moment>, String> {
                let found = event.properties(&name).map(|it| zones.moments(it));
                Ok(found.collect::<Result<Vec<_>, _>>()?.concat())
            };
            let starts = one(ICalendarProperty::Dtstart)?;
            let stands_for = event.property(&ICalendarProperty::RecurrenceId);
            let instance = stands_for.map(|it| zones.moment(it)).transpose()?;
            let starts = starts.or_else(|| instance.clone()).ok_or("it has no DTSTART")?;
            if stands_for.is_some_and(|it| it.has_parameter(&ICalendarParameterName::Range)) {
                return Err(
                    "it stands for an instance and all later ones, which is not read".to_owned()
                );
            }
            let lasts = lasts(event, &starts, one(ICalendarProperty::Dtend)?.as_ref())?;
            Ok(Self {
                name: name.to_owned(),
                uid: text(ICalendarProperty::Uid).map(str::to_owned),
                stands_for: instance.and_then(|it| it.first()),
                lasts,
                rules: event
                    .properties(&ICalendarProperty::Rrule)
                    .map(rule)
                    .collect::<Result<_, _>>()?,
                also: all(ICalendarProperty::Rdate)?,
                except: all(ICalendarProperty::Exdate)?,
                starts,
            })
        };
        read().map_err(wrong)
    }

    /// From when to when each of its instances is that begins before a time.
    pub(super) fn times(&self, until: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>, String> {
        let wrong = |what: String| format!("event {:?}: {what}", shown(&self.name));
        // What the rule says of the start is not defined where they differ (RFC 5545, 3.8.5.3): it counts.
        let mut all = vec![self.starts.clone()];
        for rule in &self.rules {
            all.extend(rule::expand(rule, &self.starts, until).map_err(wrong)?);
        }
        all.extend(self.also.iter().cloned());
        let mut times = Vec::new();
        for starts in all {
            if self.except.iter().any(|it| is_excepted(it, &starts)) {
                continue;
            }
            let far = || wrong(format!("{} is no time of this calendar", starts.local));
            let time = starts.first().zip(self.ends(&starts)).ok_or_else(far)?;
            times.push(time);
        }
        times.sort_unstable();
        times.dedup();
        Ok(times)
    }

    fn ends(&self, starts: &Moment) -> Option<Timestamp> {
        let local = starts.local.checked_add(self.lasts.days.days()).ok()?;
        let ends = match self.lasts.days {
            // In the hour that comes twice the first of both starts, and its length is exact.
            0 => starts.first()?,
            _ => starts.moved(local).last()?,
        };
        ends.checked_add(self.lasts.then).ok()
    }
}

/// Whether an exception is of an instance: by its time, or by its day where only that is given.
fn is_excepted(exception: &Moment, starts: &Moment) -> bool {
    match exception.extent {
        Extent::Day => exception.local.date() == starts.local.date(),
        Extent::Instant => exception.first() == starts.first(),
    }
}

fn lasts(
    event: &ICalendarComponent,
    starts: &Moment,
    ends: Option<&Moment>,
) -> Result<Lasts, String> {
    let lasts = match (ends, event.property(&ICalendarProperty::Duration)) {
        (Some(ends), _) => {
            if starts.extent == Extent::Day && ends.extent == Extent::Day {
                let days = ends.local.date().duration_since(starts.local.date()).as_hours() / 24;
                Lasts { days, then: SignedDuration::ZERO }
            } else {
                let (from, to) = starts.first().zip(ends.last()).ok_or("it ends at no time")?;
                Lasts { days: 0, then: to.duration_since(from) }
            }
        }
        (None, Some(entry)) => match entry.values.first() {
            Some(ICalendarValue::Duration(duration)) => of_duration(duration)?,
            _ => return Err("DURATION is none".to_owned()),
        },
        // "the event's duration is taken to be one day" (RFC 5545, 3.6.1).
        (None, None) if starts.extent == Extent::Day => {
            Lasts { days: 1, then: SignedDuration::ZERO }
        }
        (None, None) => return Err("it has neither DTEND nor DURATION".to_owned()),
    };
    if lasts.days <= 0 && lasts.then <= SignedDuration::ZERO {
        return Err("it ends no later than it starts".to_owned());
    }
    Ok(lasts)
}

fn of_duration(duration: &ICalendarDuration) -> Result<Lasts, String> {
    let ICalendarDuration { neg, weeks, days, hours, minutes, seconds } = duration;
    if *neg {
        return Err("it ends no later than it starts".to_owned());
    }
    let days = i64::from(*weeks) * 7 + i64::from(*days);
    let then = i64::from(*hours) * 3_600 + i64::from(*minutes) * 60 + i64::from(*seconds);
    Ok(Lasts { days, then: SignedDuration::from_secs(then) })
}

fn rule(entry: &ICalendarEntry) -> Result<ICalendarRecurrenceRule, String> {
    match entry.values.first() {
        Some(ICalendarValue::RecurrenceRule(rule)) => Ok((**rule).clone()),
        Some(ICalendarValue::Text(text)) => Err(format!("RRULE {:?} is none", shown(text))),
        _ => Err("RRULE is none".to_owned()),
    }
}
