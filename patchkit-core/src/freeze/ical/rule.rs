//! Recurrence rules, written out by calcard.

use calcard::{
    common::{CalendarScale, PartialDateTime, timezone::Tz},
    icalendar::{
        ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarFrequency,
        ICalendarProperty, ICalendarRecurrenceRule, ICalendarValue,
    },
};
use jiff::{
    Timestamp,
    civil::{DateTime, time},
    tz::TimeZone,
};

use super::time::{Extent, Moment};

/// Instances of one event from its first on: each day of a hundred years.
const MOST: usize = 36_600;

/// The instances of a rule that begin before a time.
///
/// Zones are left to PatchKit: calcard takes one that it does not know for that of the calendar, and
/// leaves out the hour that comes twice. So it is given times on the wall, and gives back such.
pub(super) fn expand(
    rule: &ICalendarRecurrenceRule,
    starts: &Moment,
    until: Timestamp,
) -> Result<Vec<Moment>, String> {
    let mut rule = rule.clone();
    // A rule that comes rarely within the hours is looked for in vain after so many of them, in silence.
    if rule.freq >= ICalendarFrequency::Hourly {
        return Err("it recurs within a day, which no freeze does".to_owned());
    }
    if rule.skip.is_some() || rule.rscale.as_ref().is_some_and(|it| *it != CalendarScale::Gregorian)
    {
        return Err("its rule is of another calendar".to_owned());
    }
    // No later than is asked for: what has no end is not written out beyond it.
    let horizon = starts.zone.to_datetime(until);
    let ends = match &rule.until {
        None => horizon,
        Some(ends) => last(ends, &starts.zone).ok_or("its rule ends at no time")?.min(horizon),
    };
    if ends < starts.local {
        return Ok(Vec::new());
    }
    rule.until = Some(partial(ends));
    let component = |component_type, entries, component_ids| ICalendarComponent {
        component_type,
        entries,
        component_ids,
    };
    let entry = |name, value| ICalendarEntry { name, params: Vec::new(), values: vec![value] };
    let entries = vec![
        entry(
            ICalendarProperty::Dtstart,
            ICalendarValue::PartialDateTime(Box::new(partial(starts.local))),
        ),
        entry(ICalendarProperty::Rrule, ICalendarValue::RecurrenceRule(Box::new(rule))),
    ];
    let calendar = ICalendar {
        components: vec![
            component(ICalendarComponentType::VCalendar, Vec::new(), vec![1]),
            component(ICalendarComponentType::VEvent, entries, Vec::new()),
        ],
    };
    let expanded = calendar.expand_dates(Tz::Floating, MOST + 1);
    if let Some(error) = expanded.errors.first() {
        return Err(format!("its rule is none: {}", error.error));
    }
    if expanded.events.len() > MOST {
        return Err(format!("it recurs more than {MOST} times"));
    }
    let local = |seconds| Some(TimeZone::UTC.to_datetime(Timestamp::from_second(seconds).ok()?));
    let all = expanded.events.iter().map(|it| Some(starts.moved(local(it.start.timestamp())?)));
    all.collect::<Option<_>>().ok_or_else(|| "it recurs at no time".to_owned())
}

/// The last time on the walls of a zone that a rule allows.
fn last(until: &PartialDateTime, zone: &TimeZone) -> Option<DateTime> {
    let moment = super::time::moment(until, zone)?;
    match moment.extent {
        // The whole day, though the standard wants a time where the start has one.
        Extent::Day => Some(moment.local.date().to_datetime(time(23, 59, 59, 0))),
        Extent::Instant => Some(zone.to_datetime(moment.last()?)),
    }
}

fn partial(local: DateTime) -> PartialDateTime {
    let part = |part: i8| u8::try_from(part).ok();
    PartialDateTime {
        year: u16::try_from(local.year()).ok(),
        month: part(local.month()),
        day: part(local.day()),
        hour: part(local.hour()),
        minute: part(local.minute()),
        second: part(local.second()),
        ..PartialDateTime::default()
    }
}
