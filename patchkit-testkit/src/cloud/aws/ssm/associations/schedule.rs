//! When an association runs next.

use jiff::{Timestamp, tz::TimeZone};
use patchkit_core::{RateUnit, Schedule};

use crate::cloud::world::clock::later;

/// The next time after `after` at which an expression is due; none where there is no such time, or
/// the expression is of a kind that is not evaluated here.
pub(in super::super) fn next_run(expression: &str, after: Timestamp) -> Option<Timestamp> {
    match expression.parse().ok()? {
        Schedule::Rate { every, unit } => Some(later(after, unit.duration() * every)),
        Schedule::At(at) => {
            let at = TimeZone::UTC.to_timestamp(at).ok()?;
            (at > after).then_some(at)
        }
        _ => None,
    }
}

/// What is wrong with an association's schedule (user guide, "Cron and rate expressions for
/// associations"): a rate of 30 minutes at least and of less than 31 days.
pub(super) fn fault(expression: &str, now: Timestamp) -> Option<String> {
    match expression.parse() {
        Ok(Schedule::Rate { every, unit }) => {
            let minutes = match unit {
                RateUnit::Minute => u64::from(every),
                other => other.duration().as_secs() / 60 * u64::from(every),
            };
            let fine = (30..31 * 24 * 60).contains(&minutes);
            (!fine).then(|| format!("{expression} is not between 30 minutes and 31 days."))
        }
        Ok(_) if next_run(expression, now).is_some() => None,
        Ok(_) => Some(format!("{expression} never comes, or is not evaluated by the simulator.")),
        Err(error) => Some(error.to_string()),
    }
}
