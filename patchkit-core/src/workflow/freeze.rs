//! Times in which nothing new is begun.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{MaintenanceWindow, clock::later, operator::Plain};

/// When a run begins nothing, and what it does then.
///
/// # Behavior
/// - What is under way goes on; nodes that were started and not yet given their install are put back.
/// - Where the plan has estimates, nothing begins that would not be over before the next freeze.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Freezes {
    /// The frozen times, in any order; they may overlap.
    pub spans: Vec<FrozenSpan>,
    /// What the run does when one comes.
    pub during: WhileFrozen,
}

impl Freezes {
    /// Ends runs in these times.
    pub fn new(spans: impl IntoIterator<Item = FrozenSpan>) -> Self {
        Self { spans: spans.into_iter().collect(), during: WhileFrozen::default() }
    }

    /// Sets what the run does when one comes.
    #[must_use]
    pub fn with_during(mut self, choice: WhileFrozen) -> Self {
        self.during = choice;
        self
    }

    /// The freeze at `now`; of several the one that lasts longest.
    pub fn freeze_at(&self, now: Timestamp) -> Option<&FrozenSpan> {
        let now = |span: &&FrozenSpan| span.from <= now && now < span.until;
        self.spans.iter().filter(now).max_by_key(|span| span.until)
    }

    /// The first freeze that begins after `now` and before `until`.
    pub(super) fn next_before(&self, now: Timestamp, until: Timestamp) -> Option<&FrozenSpan> {
        let comes = |span: &&FrozenSpan| now < span.from && span.from < until && !span.is_empty();
        self.spans.iter().filter(comes).min_by_key(|span| span.from)
    }

    /// The freezes in which some of `window` lies.
    pub fn clashes(&self, window: &MaintenanceWindow) -> Vec<&FrozenSpan> {
        let lies = |span: &&FrozenSpan| {
            span.from < window.closes() && window.opens < span.until && !span.is_empty()
        };
        self.spans.iter().filter(lies).collect()
    }
}

/// A time in which nothing new is begun.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FrozenSpan {
    /// Why: the name of the event in its calendar. Untrusted: escape before showing.
    pub name: String,
    /// From when.
    pub from: Timestamp,
    /// Until when; then work may begin again.
    pub until: Timestamp,
}

impl FrozenSpan {
    /// A freeze from `from` until `until`.
    pub fn new(name: impl Into<String>, from: Timestamp, until: Timestamp) -> Self {
        Self { name: name.into(), from, until }
    }

    fn is_empty(&self) -> bool {
        self.until <= self.from
    }
}

impl fmt::Display for FrozenSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "freeze {} to {}: {}", self.from, self.until, Plain(&self.name))
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
        Some(span) if freezes.during == WhileFrozen::Wait => Fit::Later(span.until),
        Some(span) => Fit::Never(format!(
            "it takes {minutes} min as estimated, and would not be over before the {span}"
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
        Freezes::new([
            FrozenSpan::new("sale", at("10T00:00"), at("12T00:00")),
            FrozenSpan::new("audit", at("11T00:00"), at("13T00:00")),
            FrozenSpan::new("none", at("01T00:00"), at("01T00:00")),
        ])
    }

    #[test]
    fn of_freezes_that_overlap_the_one_that_lasts_longest_counts() {
        let freezes = freezes();
        assert_eq!(freezes.freeze_at(at("11T12:00")).unwrap().name, "audit");
        assert_eq!(freezes.freeze_at(at("10T12:00")).unwrap().name, "sale");
        assert_eq!(freezes.freeze_at(at("13T00:00")), None);
        assert_eq!(freezes.freeze_at(at("01T00:00")), None);
    }

    #[test]
    fn a_window_clashes_with_the_freezes_that_it_touches() {
        let hours = Duration::from_hours(4);
        let window = |opens| MaintenanceWindow::new(at(opens), hours);
        let names = |opens| {
            let freezes = freezes();
            let clashes = freezes.clashes(&window(opens));
            clashes.iter().map(|span| span.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("11T22:00"), ["sale", "audit"]);
        assert_eq!(names("09T20:00"), Vec::<String>::new());
        assert_eq!(names("13T00:00"), Vec::<String>::new());
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
        assert_eq!(fit(None, Some(&waits), at("09T23:01"), hour), Fit::Later(at("12T00:00")));
    }
}
