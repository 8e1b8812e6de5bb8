//! The times of a recurrence that began at some time.

use jiff::{
    ToSpan as _,
    civil::{Date, DateTime},
};

use super::{MonthDay, Recurrence};
use crate::schedule::LAST_YEAR;

/// A recurrence, and when it began: by the clocks of its zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::schedule) struct Anchored {
    pub(in crate::schedule) first: DateTime,
    pub(in crate::schedule) recurs: Recurrence,
}

impl Anchored {
    /// The first time after one. Hours are no times on the wall, and have none.
    pub(in crate::schedule) fn next(&self, after: DateTime) -> Option<DateTime> {
        if matches!(self.recurs, Recurrence::Once) {
            return Some(self.first).filter(|at| *at > after);
        }
        let mut date = self.first.date().max(after.date());
        while date.year() <= LAST_YEAR {
            let at = date.to_datetime(self.first.time());
            if at > after && self.names(date) {
                return Some(at);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Whether it opens on a day, which is no earlier than the first.
    fn names(&self, date: Date) -> bool {
        let first = self.first.date();
        let days = days(first, date);
        match &self.recurs {
            Recurrence::Once | Recurrence::Hours(_) | Recurrence::Other(_) => false,
            Recurrence::Days(count) => divides(*count, days),
            Recurrence::Weeks(count, weekdays) => {
                // Weeks are counted from the Monday of the first one.
                let weeks =
                    (days + i64::from(first.weekday().to_monday_zero_offset())).div_euclid(7);
                let named = match weekdays.as_slice() {
                    [] => date.weekday() == first.weekday(),
                    weekdays => weekdays.contains(&date.weekday()),
                };
                named && divides(*count, weeks)
            }
            Recurrence::Months(count, of_month) => {
                let falls = |named: Date| divides(*count, months(first, named));
                match of_month.as_slice() {
                    // A month without that day is passed over.
                    [] => date.day() == first.day() && falls(date),
                    // The month is that of the day that is named, which its offset may lead out of.
                    days => days.iter().filter_map(|day| day.named(date)).any(falls),
                }
            }
        }
    }
}

impl MonthDay {
    /// The day that it names of a month, where this date is the one that it means.
    fn named(self, date: Date) -> Option<Date> {
        match self {
            Self::Day(-1) => (date.day() == date.days_in_month()).then_some(date),
            Self::Day(day) => (date.day() == day).then_some(date),
            Self::Weekday(nth, weekday, offset) => {
                let named = date.checked_sub(i32::from(offset).days()).ok()?;
                let found = named.nth_weekday_of_month(nth.number(), weekday).ok()?;
                (found == named).then_some(named)
            }
        }
    }
}

fn divides(count: u32, passed: i64) -> bool {
    count > 0 && passed % i64::from(count) == 0
}

fn days(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

fn months(from: Date, to: Date) -> i64 {
    let years = i64::from(to.year()) - i64::from(from.year());
    years * 12 + i64::from(to.month()) - i64::from(from.month())
}
