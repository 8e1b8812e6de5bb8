//! When nothing may be patched: freeze calendars.

#[cfg(feature = "ical")]
mod ical;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::MaintenanceWindow;

/// A time in which nothing is patched.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Freeze {
    /// What it is for. Untrusted where it comes from a calendar: escape before showing.
    pub name: String,
    /// From when on.
    pub starts: Timestamp,
    /// From when on no more.
    pub ends: Timestamp,
}

impl Freeze {
    /// A freeze from one time to another.
    pub fn new(name: impl Into<String>, starts: Timestamp, ends: Timestamp) -> Self {
        Self { name: name.into(), starts, ends }
    }

    /// Whether it holds at a time.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.starts <= at && at < self.ends
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} from {} to {}", self.name, self.starts, self.ends)
    }
}

/// All times in which nothing is patched, as far as they are known.
///
/// Plain data without rules: what recurs is written out, between two times. So a plan can hold it, and
/// shows what was frozen when it was made.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use patchkit_core::{Freeze, FreezeCalendar, MaintenanceWindow};
///
/// let calendar = FreezeCalendar::new([
///     Freeze::new("year end", "2026-12-20T00:00:00Z".parse()?, "2027-01-04T00:00:00Z".parse()?),
/// ]);
/// let christmas = "2026-12-25T02:00:00Z".parse()?;
/// assert_eq!(calendar.freeze_at(christmas).unwrap().name, "year end");
/// assert_eq!(calendar.next_thaw(christmas), Some("2027-01-04T00:00:00Z".parse()?));
///
/// let window = MaintenanceWindow::new("2026-12-19T22:00:00Z".parse()?, Duration::from_secs(4 * 3600));
/// assert_eq!(calendar.clashes(&window).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FreezeCalendar {
    /// The freezes, by their start.
    pub freezes: Vec<Freeze>,
    /// What was before is not known. Set where freezes were read out of a calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_from: Option<Timestamp>,
    /// What comes from here on is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_until: Option<Timestamp>,
    /// What of the calendar could not be read: each may be a freeze that is missing here. Untrusted:
    /// escape before showing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl FreezeCalendar {
    /// The calendar of these freezes, beside which there are none.
    pub fn new(freezes: impl IntoIterator<Item = Freeze>) -> Self {
        let mut freezes: Vec<Freeze> = freezes.into_iter().collect();
        freezes.sort_by(|a, b| (a.starts, a.ends, &a.name).cmp(&(b.starts, b.ends, &b.name)));
        Self { freezes, ..Self::default() }
    }

    /// Both calendars as one, which knows no more than either does.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let mut both = Self::new(self.freezes.into_iter().chain(other.freezes));
        both.known_from = self.known_from.max(other.known_from);
        both.known_until = match (self.known_until, other.known_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        both.problems = [self.problems, other.problems].concat();
        both
    }

    /// The freeze that holds at a time; of several, the one that ends last.
    ///
    /// None does not mean that nothing is frozen where the calendar does not [know](Self::knows) the
    /// time.
    pub fn freeze_at(&self, at: Timestamp) -> Option<&Freeze> {
        self.freezes.iter().filter(|it| it.holds(at)).max_by_key(|it| it.ends)
    }

    /// Whether the calendar tells of a time. One with [`problems`](Self::problems) may lack a freeze all
    /// the same.
    pub fn knows(&self, at: Timestamp) -> bool {
        self.known_from.is_none_or(|from| from <= at)
            && self.known_until.is_none_or(|until| at < until)
    }

    /// The first time from `at` on in which nothing is frozen: `at` itself where nothing is; none where
    /// that is after all that is known.
    pub fn next_thaw(&self, at: Timestamp) -> Option<Timestamp> {
        let mut thaw = at;
        while let Some(freeze) = self.freeze_at(thaw) {
            thaw = freeze.ends;
        }
        Some(thaw).filter(|thaw| self.knows(*thaw))
    }

    /// The freezes that hold during a window, or a part of it.
    pub fn clashes(&self, window: &MaintenanceWindow) -> impl Iterator<Item = &Freeze> {
        let (opens, closes) = (window.opens, window.closes());
        self.freezes.iter().filter(move |it| it.starts < closes && opens < it.ends)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn freeze(name: &str, starts: &str, ends: &str) -> Freeze {
        Freeze::new(name, at(starts), at(ends))
    }

    #[test]
    fn a_freeze_holds_from_its_start_to_before_its_end() {
        let calendar =
            FreezeCalendar::new([freeze("a", "2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z")]);
        assert!(calendar.freeze_at(at("2026-12-23T23:59:59Z")).is_none());
        assert!(calendar.freeze_at(at("2026-12-24T00:00:00Z")).is_some());
        assert!(calendar.freeze_at(at("2026-12-26T23:59:59Z")).is_some());
        assert!(calendar.freeze_at(at("2026-12-27T00:00:00Z")).is_none());
    }

    #[test]
    fn a_thaw_comes_after_all_freezes_that_touch_each_other() {
        let calendar = FreezeCalendar::new([
            freeze("later", "2026-12-27T00:00:00Z", "2027-01-02T00:00:00Z"),
            freeze("whole", "2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z"),
            freeze("within", "2026-12-25T00:00:00Z", "2026-12-26T00:00:00Z"),
        ]);
        let inside = at("2026-12-25T12:00:00Z");
        assert_eq!(calendar.freeze_at(inside).unwrap().name, "whole");
        assert_eq!(calendar.next_thaw(inside), Some(at("2027-01-02T00:00:00Z")));
        let free = at("2027-02-01T00:00:00Z");
        assert_eq!(calendar.next_thaw(free), Some(free));
    }

    #[test]
    fn what_is_not_known_does_not_thaw() {
        let mut calendar =
            FreezeCalendar::new([freeze("a", "2026-12-24T00:00:00Z", "2026-12-31T00:00:00Z")]);
        calendar.known_until = Some(at("2026-12-31T00:00:00Z"));
        assert_eq!(calendar.next_thaw(at("2026-12-25T00:00:00Z")), None);
        assert!(!calendar.knows(at("2026-12-31T00:00:00Z")));
        assert_eq!(
            calendar.next_thaw(at("2026-12-01T00:00:00Z")),
            Some(at("2026-12-01T00:00:00Z"))
        );
    }

    #[test]
    fn a_window_that_only_touches_a_freeze_does_not_clash() {
        let calendar =
            FreezeCalendar::new([freeze("a", "2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z")]);
        let clashes = |opens, hours| {
            let window = MaintenanceWindow::new(at(opens), Duration::from_hours(hours));
            calendar.clashes(&window).count()
        };
        assert_eq!(clashes("2026-12-23T22:00:00Z", 2), 0);
        assert_eq!(clashes("2026-12-23T22:00:00Z", 3), 1);
        assert_eq!(clashes("2026-12-27T00:00:00Z", 3), 0);
    }

    #[test]
    fn merged_calendars_know_what_both_know() {
        let mut one =
            FreezeCalendar::new([freeze("b", "2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z")]);
        (one.known_from, one.known_until) =
            (Some(at("2026-01-01T00:00:00Z")), Some(at("2027-01-01T00:00:00Z")));
        one.problems.push("a line".to_owned());
        let mut other =
            FreezeCalendar::new([freeze("a", "2026-11-24T00:00:00Z", "2026-11-27T00:00:00Z")]);
        other.known_until = Some(at("2026-12-01T00:00:00Z"));
        let both = one.merge(other);
        assert_eq!(both.freezes[0].name, "a");
        assert_eq!(both.problems.len(), 1);
        assert_eq!(both.known_from, Some(at("2026-01-01T00:00:00Z")));
        assert_eq!(both.known_until, Some(at("2026-12-01T00:00:00Z")));
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<FreezeCalendar>(&json).unwrap(), both);
    }
}
