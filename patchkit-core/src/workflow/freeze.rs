//! Times in which nothing new is begun.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Freeze, FreezeCalendar, MaintenanceWindow, clock::later, operator::Plain};

/// When a run begins nothing, and what it does then.
///
/// # Behavior
/// - What is under way goes on; nodes that were started and not yet given their install are put back.
/// - Where the plan has estimates, nothing begins that would not be over before the next freeze.
/// - Nothing is begun at a time that the calendar does not [know](FreezeCalendar::knows): it may be
///   frozen.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Freezes {
    /// The frozen times.
    pub calendar: FreezeCalendar,
    /// What the run does when one comes.
    pub during: WhileFrozen,
}

impl Freezes {
    /// Ends runs in the freezes of a calendar.
    pub fn new(calendar: FreezeCalendar) -> Self {
        Self { calendar, during: WhileFrozen::default() }
    }

    /// Sets what the run does when one comes.
    #[must_use]
    pub fn with_during(mut self, choice: WhileFrozen) -> Self {
        self.during = choice;
        self
    }

    /// Why nothing is begun at `now`.
    pub(super) fn standstill(&self, now: Timestamp) -> Option<String> {
        let frozen = self.calendar.freeze_at(now).map(|it| Frozen(it).to_string());
        let unknown = || format!("the freeze calendar tells nothing of {now}");
        frozen.or_else(|| (!self.calendar.knows(now)).then(unknown))
    }

    /// When something may be begun again, where nothing may at `now`.
    pub(super) fn thaw(&self, now: Timestamp) -> Option<Timestamp> {
        self.calendar.freeze_at(now)?;
        self.calendar.next_thaw(now)
    }

    /// The first freeze that begins after `now` and before `until`.
    fn next_before(&self, now: Timestamp, until: Timestamp) -> Option<&Freeze> {
        let comes = |it: &&Freeze| now < it.starts && it.starts < until && it.starts < it.ends;
        self.calendar.freezes.iter().find(comes)
    }
}

/// A freeze as runs tell of it: its name is somebody's text.
pub(super) struct Frozen<'a>(pub(super) &'a Freeze);

impl fmt::Display for Frozen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Freeze { name, starts, ends, .. } = self.0;
        write!(f, "freeze {starts} to {ends}: {}", Plain(name))
    }
}

/// What a run does when a freeze comes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhileFrozen {
    /// It ends: what was not begun is skipped.
    #[default]
    End,
    /// It waits for the thaw, and keeps its nodes claimed meanwhile. Where its maintenance window would
    /// not admit work then, it ends at once.
    Wait,
}

/// When a node may begin, as far as the plan's times go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fit {
    /// Now.
    Now,
    /// Not before then.
    Later(Timestamp),
    /// Not in this run, and why.
    Never(String),
}

/// Whether what takes `estimate` from `now` on is over in time.
pub(super) fn fit(
    window: Option<&MaintenanceWindow>,
    freezes: Option<&Freezes>,
    now: Timestamp,
    estimate: Duration,
) -> Fit {
    let over = later(now, estimate);
    let minutes = estimate.as_secs().div_ceil(60);
    if let Some(window) = window {
        let last = later(window.opens, window.duration.saturating_sub(window.cutoff));
        if over > last {
            return Fit::Never(format!(
                "it takes {minutes} min as estimated, and would not be over by {last}"
            ));
        }
    }
    let Some(freezes) = freezes else { return Fit::Now };
    match freezes.next_before(now, over) {
        None => Fit::Now,
        Some(freeze) if freezes.during == WhileFrozen::Wait => match freezes.thaw(freeze.starts) {
            Some(thaw) => Fit::Later(thaw),
            None => Fit::Never(format!("it is not known when the {} is over", Frozen(freeze))),
        },
        Some(freeze) => Fit::Never(format!(
            "it takes {minutes} min as estimated, and would not be over before the {}",
            Frozen(freeze)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-12-{text}:00Z").parse().unwrap()
    }

    fn freezes() -> Freezes {
        Freezes::new(FreezeCalendar::new([
            Freeze::new("sale", at("10T00:00"), at("12T00:00")),
            Freeze::new("audit", at("11T00:00"), at("13T00:00")),
            Freeze::new("none", at("01T00:00"), at("01T00:00")),
        ]))
    }

    #[test]
    fn what_is_frozen_thaws_after_the_last_freeze_that_touches_it() {
        let freezes = freezes();
        assert!(freezes.standstill(at("11T12:00")).unwrap().contains("audit"));
        assert_eq!(freezes.thaw(at("10T12:00")), Some(at("13T00:00")));
        assert_eq!(freezes.standstill(at("13T00:00")), None);
        assert_eq!(freezes.thaw(at("13T00:00")), None);
        assert_eq!(freezes.standstill(at("01T00:00")), None);
    }

    #[test]
    fn nothing_is_begun_of_which_the_calendar_tells_nothing() {
        let mut freezes = freezes();
        freezes.calendar.known_until = Some(at("12T12:00"));
        let why = freezes.standstill(at("14T00:00")).unwrap();
        assert!(why.contains("tells nothing"), "{why}");
        assert_eq!(freezes.thaw(at("10T12:00")), None);
    }

    #[test]
    fn what_ends_just_in_time_begins_and_what_does_not_never_does() {
        let window = MaintenanceWindow::new(at("05T02:00"), Duration::from_hours(4))
            .with_cutoff(Duration::from_hours(1));
        let hour = Duration::from_hours(1);
        assert_eq!(fit(Some(&window), None, at("05T04:00"), hour), Fit::Now);
        assert!(matches!(fit(Some(&window), None, at("05T04:01"), hour), Fit::Never(_)));
        let ends = freezes();
        assert_eq!(fit(None, Some(&ends), at("09T23:00"), hour), Fit::Now);
        assert!(matches!(fit(None, Some(&ends), at("09T23:01"), hour), Fit::Never(_)));
        let waits = freezes().with_during(WhileFrozen::Wait);
        assert_eq!(fit(None, Some(&waits), at("09T23:01"), hour), Fit::Later(at("13T00:00")));
    }
}
