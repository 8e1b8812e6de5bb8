//! Times of a calendar, with the zones that it names.

use calcard::{
    common::PartialDateTime,
    icalendar::{ICalendar, ICalendarEntry, timezone::TzResolver},
};
use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::{Offset, TimeZone},
};

use super::shown;
use crate::ZoneName;

/// The zones of a calendar.
pub(super) struct Zones<'a> {
    own: TimeZone,
    /// Those that it describes itself, by names that other programs have for them.
    described: TzResolver<&'a str>,
}

/// A time as a calendar says it.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// The time on the wall; midnight of a whole day.
    pub(super) local: DateTime,
    pub(super) zone: TimeZone,
    pub(super) extent: Extent,
}

/// What a time of a calendar is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extent {
    Day,
    Instant,
}

impl<'a> Zones<'a> {
    pub(super) fn new(calendar: &'a ICalendar, own: &TimeZone) -> Self {
        Self { own: own.clone(), described: calendar.build_tz_resolver() }
    }

    /// The times of a property.
    pub(super) fn moments(&self, entry: &ICalendarEntry) -> Result<Vec<Moment>, String> {
        let wrong = || format!("{} is no time", entry.name.as_str());
        let zone = match entry.tz_id() {
            None => self.own.clone(),
            Some(name) => self.zone(name)?,
        };
        let moment = |value: &calcard::icalendar::ICalendarValue| {
            let read = value.as_partial_date_time().and_then(|it| moment(it, &zone));
            read.ok_or_else(wrong)
        };
        let all = entry.values.iter().map(moment).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() { Err(wrong()) } else { Ok(all) }
    }

    /// The one time of a property.
    pub(super) fn moment(&self, entry: &ICalendarEntry) -> Result<Moment, String> {
        let mut all = self.moments(entry)?;
        if all.len() == 1 {
            Ok(all.remove(0))
        } else {
            Err(format!("{} has {} times", entry.name.as_str(), all.len()))
        }
    }

    fn zone(&self, name: &str) -> Result<TimeZone, String> {
        let unknown = || format!("the time zone {:?} is not known", shown(name));
        if let Ok(zone) = ZoneName::new(name).find() {
            return Ok(zone);
        }
        // Programs have names of their own, which the calendar describes (RFC 5545, 3.2.19).
        let described = self.described.resolve(name).ok_or_else(unknown)?;
        let name = described.name().ok_or_else(unknown)?;
        ZoneName::new(&*name).find().map_err(|_| unknown())
    }
}

pub(super) fn moment(at: &PartialDateTime, zone: &TimeZone) -> Option<Moment> {
    let part = |part: Option<u8>| i8::try_from(part?).ok();
    let date = Date::new(i16::try_from(at.year?).ok()?, part(at.month)?, part(at.day)?).ok()?;
    if at.hour.is_none() {
        let local = date.to_datetime(Time::midnight());
        return Some(Moment { local, zone: zone.clone(), extent: Extent::Day });
    }
    // A leap second is the one before.
    let second = at.second.unwrap_or_default().min(59);
    let time = Time::new(part(at.hour)?, part(at.minute)?, part(Some(second))?, 0).ok()?;
    let zone = match part(at.tz_hour) {
        None => zone.clone(),
        Some(hours) => {
            let minutes = i32::from(hours) * 60 + i32::from(at.tz_minute.unwrap_or_default());
            let seconds = if at.tz_minus { -minutes } else { minutes } * 60;
            TimeZone::fixed(Offset::from_seconds(seconds).ok()?)
        }
    };
    Some(Moment { local: date.to_datetime(time), zone, extent: Extent::Instant })
}

impl Moment {
    /// The earliest instant that it may be.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.zone.to_ambiguous_timestamp(self.local).earlier().ok()
    }

    /// The latest one.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.zone.to_ambiguous_timestamp(self.local).later().ok()
    }

    /// The same time of the day and zone at another time on the wall.
    pub(super) fn moved(&self, local: DateTime) -> Self {
        Self { local, ..self.clone() }
    }
}
