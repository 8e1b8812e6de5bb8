//! The times of a schedule, one after the other.

use jiff::{
    SignedDuration, Span, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::{LAST_YEAR, cron::Cron, recurrence::Anchored};

/// The times of a schedule, from the first one after a given time on.
///
/// # Behavior
/// - They rise, and end with the year 2199, the last that AWS's cron expressions know.
/// - A time on the wall that is skipped when clocks are set forward is left out, one that comes twice
///   when they are set back counts once, the first time. So does EventBridge Scheduler
///   (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>); what maintenance
///   windows of Systems Manager and of Azure do is documented nowhere, and a
///   [`ScheduleLint`](crate::ScheduleLint) tells of such times.
/// - Days of a rate are 24 hours each, whatever the clocks do (same page).
#[derive(Clone, Debug)]
#[must_use = "occurrences are found as they are asked for"]
pub struct Occurrences {
    rule: Rule,
    zone: TimeZone,
    after: Timestamp,
    end: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Counted from a time, which is the first.
    Rate {
        from: Timestamp,
        every: SignedDuration,
    },
    Once(DateTime),
    /// So many days after each time of a cron expression.
    Cron {
        cron: Box<Cron>,
        offset: Span,
    },
    Recurrence(Anchored),
}

/// What a time on the wall is in its zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OnWall {
    Once(Timestamp),
    /// The first of both.
    Twice(Timestamp),
    /// When the clocks have passed it.
    Skipped(Timestamp),
}

impl OnWall {
    pub(super) fn of(local: DateTime, zone: &TimeZone) -> Option<Self> {
        let ambiguous = zone.to_ambiguous_timestamp(local);
        let offset = ambiguous.offset();
        // Before a change of clocks where there is one: in a fold that is the first, and in a gap the
        // time that would have been.
        let at = ambiguous.compatible().ok()?;
        Some(match offset {
            AmbiguousOffset::Unambiguous { .. } => Self::Once(at),
            AmbiguousOffset::Fold { .. } => Self::Twice(at),
            AmbiguousOffset::Gap { .. } => Self::Skipped(at),
        })
    }

    /// When it comes, if it does.
    pub(super) fn comes(self) -> Option<Timestamp> {
        match self {
            Self::Once(at) | Self::Twice(at) => Some(at),
            Self::Skipped(_) => None,
        }
    }

    pub(super) fn at(self) -> Timestamp {
        match self {
            Self::Once(at) | Self::Twice(at) | Self::Skipped(at) => at,
        }
    }
}

impl Occurrences {
    pub(super) fn new(rule: Rule, zone: TimeZone, after: Timestamp) -> Self {
        Self { rule, zone, after, end: None }
    }

    /// Leaves out what is not before a time.
    pub(super) fn ending(mut self, end: Option<Timestamp>) -> Self {
        self.end = end;
        self
    }

    /// The times on the wall from after a time to before another that clocks skip or repeat.
    pub(super) fn odd_times(&self, until: Timestamp) -> Vec<(DateTime, OnWall)> {
        let mut odd = Vec::new();
        if matches!(self.rule, Rule::Rate { .. }) {
            return odd;
        }
        let until = self.end.map_or(until, |end| end.min(until));
        let mut change = self.after;
        // Looked for where clocks change, and nowhere else: a schedule may come every minute.
        while let Some(transition) = self.zone.following(change).next() {
            change = transition.timestamp();
            if change >= until {
                break;
            }
            // No zone has ever moved its clocks by more than a day.
            let day = SignedDuration::from_hours(24);
            let local = self.zone.to_datetime(change);
            let (Ok(mut local), Ok(last)) = (local.checked_sub(day), local.checked_add(day)) else {
                continue;
            };
            while let Some(next) = self.rule.next_local(local).filter(|it| *it <= last) {
                local = next;
                match OnWall::of(local, &self.zone) {
                    Some(OnWall::Once(_)) | None => {}
                    Some(wall) if wall.at() > self.after && wall.at() < until => {
                        if odd.last().is_none_or(|(last, _)| *last < local) {
                            odd.push((local, wall));
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        odd
    }

    fn first(&self) -> Option<Timestamp> {
        if let Rule::Rate { from, every } = &self.rule {
            return rate(*from, *every, self.after);
        }
        let mut local = self.zone.to_datetime(self.after);
        loop {
            local = self.rule.next_local(local)?;
            let comes = OnWall::of(local, &self.zone)?.comes();
            // In the hour that comes twice, what has a later time on the wall may be an earlier instant.
            if let Some(at) = comes.filter(|at| *at > self.after) {
                return Some(at);
            }
        }
    }
}

impl Iterator for Occurrences {
    type Item = Timestamp;

    fn next(&mut self) -> Option<Timestamp> {
        let found = self.first()?;
        if self.end.is_some_and(|end| found >= end)
            || self.zone.to_datetime(found).year() > LAST_YEAR
        {
            return None;
        }
        self.after = found;
        Some(found)
    }
}

impl std::iter::FusedIterator for Occurrences {}

impl Rule {
    /// The next time on the wall; rates are not by the wall.
    fn next_local(&self, after: DateTime) -> Option<DateTime> {
        match self {
            Self::Rate { .. } => None,
            Self::Once(at) => Some(*at).filter(|at| *at > after),
            Self::Cron { cron, offset } => {
                cron.next(after.checked_sub(*offset).ok()?)?.checked_add(*offset).ok()
            }
            Self::Recurrence(anchored) => anchored.next(after),
        }
    }
}

fn rate(from: Timestamp, every: SignedDuration, after: Timestamp) -> Option<Timestamp> {
    if from > after {
        return Some(from);
    }
    let rounds = after.duration_since(from).as_secs().checked_div(every.as_secs())? + 1;
    from.checked_add(SignedDuration::from_secs(rounds.checked_mul(every.as_secs())?)).ok()
}
