//! Freezes out of an iCalendar file (RFC 5545).

mod event;
mod rule;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use calcard::{
    Entry, Parser,
    icalendar::{ICalendar, ICalendarComponentType, ICalendarStatus},
};
use jiff::{Timestamp, tz::TimeZone};

use self::{event::Event, time::Zones};
use super::{Freeze, FreezeCalendar};
use crate::{Error, Result};

#[cfg(test)]
mod tests;

/// What a calendar may hold: it comes from outside, and its events are written out.
const MOST_BYTES: usize = 8 << 20;
const MOST_FREEZES: usize = 50_000;

impl FreezeCalendar {
    /// Reads an iCalendar file: each of its events is a freeze.
    ///
    /// # Behavior
    /// - Freezes of which a part lies from `from` to before `until` are written out; the calendar knows
    ///   of nothing else.
    /// - Times without a zone, and whole days, are by the clocks of `zone`.
    /// - An event that cannot be read is in [`problems`](Self::problems), and the others stay. So is one
    ///   of a zone that is not known: a freeze at another time would be none.
    /// - A cancelled event is no freeze. One that is marked as free time is: calendars mark whole days
    ///   so by themselves.
    /// - Where clocks are set back, a freeze starts at the first of two times and ends at the second.
    ///
    /// # Errors
    /// `InvalidInput` for what is no iCalendar file, or one of more than 8 MiB or 50,000 freezes.
    ///
    /// # Example
    /// ```
    /// use patchkit_core::{FreezeCalendar, ZoneName};
    ///
    /// let text = "BEGIN:VCALENDAR\r\n\
    ///     BEGIN:VEVENT\r\n\
    ///     SUMMARY:Quarter end\r\n\
    ///     DTSTART;VALUE=DATE:20260330\r\n\
    ///     DURATION:P3D\r\n\
    ///     RRULE:FREQ=MONTHLY;INTERVAL=3\r\n\
    ///     END:VEVENT\r\n\
    ///     END:VCALENDAR\r\n";
    /// let zone = ZoneName::new("Europe/Berlin").find()?;
    /// let (from, until) = ("2026-12-01T00:00:00Z".parse()?, "2027-12-01T00:00:00Z".parse()?);
    /// let calendar = FreezeCalendar::from_ical(text, &zone, from, until)?;
    /// assert!(calendar.problems.is_empty());
    /// let freeze = calendar.freeze_at("2026-12-31T12:00:00Z".parse()?).unwrap();
    /// assert_eq!(freeze.to_string(), r#""Quarter end" from 2026-12-29T23:00:00Z to 2027-01-01T23:00:00Z"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_ical(
        text: &str,
        zone: &TimeZone,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Self> {
        if text.len() > MOST_BYTES {
            let message = format!("{} bytes are more than {MOST_BYTES}", text.len());
            return Err(invalid(&message));
        }
        let mut problems = Vec::new();
        let calendars = read(text, &mut problems);
        if calendars.is_empty() {
            return Err(invalid("no calendar begins in it"));
        }
        let mut freezes = Vec::new();
        for calendar in &calendars {
            let zones = Zones::new(calendar, zone);
            freezes.extend(expand(calendar, &zones, (from, until), &mut problems)?);
        }
        let mut calendar = Self::new(freezes);
        (calendar.known_from, calendar.known_until) = (Some(from), Some(until));
        calendar.problems = problems;
        Ok(calendar)
    }
}

fn invalid(message: &str) -> Error {
    Error::invalid("core", "from_ical", format!("calendar: {message}"))
}

/// The calendars of a file.
fn read(text: &str, problems: &mut Vec<String>) -> Vec<ICalendar> {
    let mut parser = Parser::new(text);
    let mut calendars = Vec::new();
    loop {
        match parser.entry() {
            Entry::ICalendar(calendar) => calendars.push(calendar),
            Entry::Eof => break,
            Entry::InvalidLine(line) => {
                problems.push(format!("a line that is none: {}", shown(&line)));
            }
            Entry::VCard(_) => problems.push("a business card".to_owned()),
            other => problems.push(shown(&format!("{other:?}"))),
        }
    }
    // The parser takes the end of the text for the end of the calendar: what is lacking are freezes.
    let lines = |wanted: &str| {
        text.lines().filter(|line| line.trim_end().eq_ignore_ascii_case(wanted)).count()
    };
    for part in ["VCALENDAR", "VEVENT"] {
        let (begun, ended) = (lines(&format!("BEGIN:{part}")), lines(&format!("END:{part}")));
        if begun != ended {
            problems.push(format!("{begun} of {part} begin, and {ended} end: it is not whole"));
        }
    }
    calendars
}

/// The freezes of a calendar that lie between two times, at least in part.
fn expand(
    calendar: &ICalendar,
    zones: &Zones<'_>,
    (from, until): (Timestamp, Timestamp),
    problems: &mut Vec<String>,
) -> Result<Vec<Freeze>> {
    let mut events = Vec::new();
    // The instances of an event that an event of their own stands for.
    let mut moved: BTreeMap<String, BTreeSet<Timestamp>> = BTreeMap::new();
    for component in &calendar.components {
        if component.component_type != ICalendarComponentType::VEvent {
            continue;
        }
        match Event::read(component, zones) {
            Ok(event) => {
                if let (Some(uid), Some(instance)) = (&event.uid, event.stands_for) {
                    moved.entry(uid.clone()).or_default().insert(instance);
                }
                if component.status() != Some(&ICalendarStatus::Cancelled) {
                    events.push(event);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    let mut freezes = Vec::new();
    for event in events {
        let own = event.stands_for.is_some();
        let moved = event.uid.as_ref().and_then(|uid| moved.get(uid)).filter(|_| !own);
        let times = match event.times(until) {
            Ok(times) => times,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let stays = |starts: &Timestamp| moved.is_none_or(|moved| !moved.contains(starts));
        let times = times
            .into_iter()
            .filter(|(starts, ends)| *starts < until && from < *ends && stays(starts));
        freezes.extend(times.map(|(starts, ends)| Freeze::new(&*event.name, starts, ends)));
        if freezes.len() > MOST_FREEZES {
            return Err(invalid(&format!("more than {MOST_FREEZES} freezes until {until}")));
        }
    }
    Ok(freezes)
}

/// Text of a calendar, made short enough for a line.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect()
}
