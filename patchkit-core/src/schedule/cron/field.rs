//! One field of a cron expression: what it may hold, and how that is read.

use super::shown;

/// What a field may hold.
#[derive(Debug)]
pub(super) struct Field {
    /// As AWS's pages call it.
    pub(super) name: &'static str,
    pub(super) first: i16,
    pub(super) last: i16,
    /// The names of its values, from the first on.
    names: &'static [&'static str],
    /// What else it may be, for errors.
    also: &'static str,
}

/// One item of a field's list: so many from one value to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Item {
    pub(super) from: i16,
    /// After the last value of the field where a range of weekdays goes over the end of the week.
    pub(super) to: i16,
    pub(super) step: i16,
}

/// An expression comes from a service: no list of a field is longer.
const MOST_PARTS: usize = 64;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
    pub(super) const SECOND: Self = Self::of("second", 0, 59);
    pub(super) const MINUTE: Self = Self::of("minute", 0, 59);
    pub(super) const HOUR: Self = Self::of("hour", 0, 23);
    pub(super) const YEAR: Self = Self::of("year", 1970, 2199);
    pub(super) const DAY: Self = Self {
        also: ", L for the last, 15W for the nearest weekday",
        ..Self::of("day of month", 1, 31)
    };
    pub(super) const MONTH: Self =
        Self { names: &MONTHS, also: " or JAN to DEC", ..Self::of("month", 1, 12) };
    pub(super) const WEEK: Self = Self {
        names: &DAYS,
        also: " or SUN to SAT, TUE#2 for the second, FRIL for the last of a month",
        ..Self::of("day of week", 1, 7)
    };
    /// Sunday is 0, and 7 too (crontab(5)).
    pub(super) const CRONTAB_WEEK: Self = Self { first: 0, ..Self::WEEK };

    const fn of(name: &'static str, first: i16, last: i16) -> Self {
        Self { name, first, last, names: &[], also: "" }
    }

    /// The items of its list.
    pub(super) fn parts<'a>(&self, text: &'a str) -> Result<Vec<&'a str>, String> {
        let parts: Vec<&str> = text.split(',').collect();
        if parts.len() > MOST_PARTS {
            return Err(format!("{}: {} items, of at most {MOST_PARTS}", self.name, parts.len()));
        }
        Ok(parts)
    }

    /// Reads one item in capitals: a value, `*`, a range, each with a step.
    pub(super) fn item(&self, part: &str) -> Option<Item> {
        let (span, step) = match part.split_once('/') {
            None => (part, None),
            Some((span, step)) => (span, Some(digits(step).filter(|it| *it > 0)?)),
        };
        let (from, to) = match span.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (self.value(from)?, self.value(to)?);
                match from <= to {
                    true => (from, to),
                    // SAT-SUN: days of the week go on where the week ends.
                    false if self.is_week() => (from, to + 7),
                    false => return None,
                }
            }
            None if span == "*" => (self.first, self.end()),
            None => {
                let value = self.value(span)?;
                // "1/10 … every tenth minute, starting from the first" (EventBridge user guide).
                (value, if step.is_some() { self.end() } else { value })
            }
        };
        let step = step.unwrap_or(1);
        // A step that leaps over the field is a slip: 0/90 in the minutes is every hour, not 90 minutes.
        (step <= self.last - self.first || step == 1).then_some(Item { from, to, step })
    }

    /// Reads one value: a number, or a name.
    pub(super) fn value(&self, text: &str) -> Option<i16> {
        let named = || {
            let at = self.names.iter().position(|name| *name == text)?;
            i16::try_from(at).ok()?.checked_add(self.first)
        };
        digits(text).filter(|it| (self.first..=self.last).contains(it)).or_else(named)
    }

    /// A value that went over the end of the week, as one of the next.
    pub(super) fn wrapped(&self, value: i16) -> i16 {
        if self.is_week() && value > self.end() { value - 7 } else { value }
    }

    /// What is wrong with an item.
    pub(super) fn wrong(&self, part: &str) -> String {
        let Self { name, first, last, also, .. } = self;
        format!(
            "{name} {:?}: {first} to {last}{also}, * for all; with - and / for ranges and steps",
            shown(part)
        )
    }

    fn is_week(&self) -> bool {
        self.names.len() == DAYS.len()
    }

    /// The last value that is another than the first.
    fn end(&self) -> i16 {
        if self.is_week() { self.first + 6 } else { self.last }
    }
}

/// Digits alone: `parse` would take a sign.
fn digits(text: &str) -> Option<i16> {
    text.bytes().all(|it| it.is_ascii_digit()).then(|| text.parse().ok())?
}
