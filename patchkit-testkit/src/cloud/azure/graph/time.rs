//! Moments and spans as Kusto reads and writes them.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Weekday},
    tz::TimeZone,
};

const DAY: i128 = 86_400_000_000_000;

/// Reads a moment; without an offset it is UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    // A hostile text is not parsed to its end.
    if text.len() > 64 || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
        .ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// Reads a span: `1.02:03:04.5`, `02:03`, or a literal such as `7d`.
pub(super) fn span(text: &str) -> Option<SignedDuration> {
    let text = text.trim();
    if text.len() > 40 {
        return None;
    }
    match text.strip_prefix('-') {
        Some(rest) => length(rest).map(|length| -length),
        None => length(text),
    }
}

fn length(text: &str) -> Option<SignedDuration> {
    if let Some((first, rest)) = text.split_once(':') {
        let Some((days, hours)) = first.split_once('.') else { return clock(text) };
        let days: u32 = days.parse().ok()?;
        let clock = clock(&format!("{hours}:{rest}"))?;
        return SignedDuration::from_hours(i64::from(days) * 24).checked_add(clock);
    }
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    // A bare number counts days.
    let named = if unit.is_empty() { "d" } else { unit };
    super::lex::span(text.strip_suffix(unit)?, named)
}

fn clock(text: &str) -> Option<SignedDuration> {
    let mut parts = text.split(':');
    let hours: i64 = parts.next()?.parse::<u8>().ok().filter(|hours| *hours < 24)?.into();
    let minutes: i64 = parts.next()?.parse::<u8>().ok().filter(|minutes| *minutes < 60)?.into();
    let seconds: f64 = parts.next().map_or(Some(0.0), |text| text.parse().ok())?;
    if parts.next().is_some() || !(0.0..60.0).contains(&seconds) {
        return None;
    }
    let whole = SignedDuration::from_mins(hours * 60 + minutes);
    whole.checked_add(SignedDuration::from_secs_f64(seconds))
}

/// A moment in a text: seven digits of a second, as `tostring` gives them.
pub(super) fn write_instant(at: Timestamp) -> String {
    format!("{at:.7}")
}

/// A moment in an answer: no fraction where there is none.
pub(super) fn render_instant(at: Timestamp) -> String {
    if at.subsec_nanosecond() == 0 { at.to_string() } else { write_instant(at) }
}

pub(super) fn write_span(span: SignedDuration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let nanos = span.as_nanos().unsigned_abs();
    let seconds = nanos / 1_000_000_000;
    let ticks = nanos % 1_000_000_000 / 100;
    let days = match seconds / 86_400 {
        0 => String::new(),
        days => format!("{days}."),
    };
    let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction = if ticks == 0 { String::new() } else { format!(".{ticks:07}") };
    format!("{sign}{days}{hours:02}:{minutes:02}:{seconds:02}{fraction}")
}

/// The start of the bin a moment falls in; bins are counted from the year 1.
pub(super) fn bin(at: Timestamp, size: SignedDuration) -> Option<Timestamp> {
    let size = size.as_nanos();
    if size <= 0 {
        return None;
    }
    // The year 1 is 719,162 days before the epoch.
    let origin = 719_162 * DAY;
    let since = at.as_nanosecond() + origin;
    Timestamp::from_nanosecond(since - since.rem_euclid(size) - origin).ok()
}

/// A unit of `datetime_diff`, `datetime_add` and `datetime_part`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "year" => Self::Year,
            "quarter" => Self::Quarter,
            "month" => Self::Month,
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "millisecond" => Self::Millisecond,
            _ => return None,
        })
    }

    fn nanos(self) -> Option<i128> {
        Some(match self {
            Self::Week => 7 * DAY,
            Self::Day => DAY,
            Self::Hour => DAY / 24,
            Self::Minute => DAY / 1_440,
            Self::Second => 1_000_000_000,
            Self::Millisecond => 1_000_000,
            Self::Year | Self::Quarter | Self::Month => return None,
        })
    }

    /// How many borders of this unit lie between two moments: what Kusto calls the difference.
    pub(super) fn between(self, later: Timestamp, earlier: Timestamp) -> i64 {
        let months = |at: Timestamp| {
            let civil = civil(at);
            i64::from(civil.year()) * 12 + i64::from(civil.month()) - 1
        };
        let Some(nanos) = self.nanos() else {
            let size = match self {
                Self::Year => 12,
                Self::Quarter => 3,
                _ => 1,
            };
            return months(later).div_euclid(size) - months(earlier).div_euclid(size);
        };
        // The epoch was a Thursday; weeks begin on Sunday.
        let offset = if self == Self::Week { 4 * DAY } else { 0 };
        let count = |at: Timestamp| (at.as_nanosecond() + offset).div_euclid(nanos);
        i64::try_from(count(later) - count(earlier)).unwrap_or_default()
    }

    pub(super) fn add(self, count: i64, at: Timestamp) -> Option<Timestamp> {
        if let Some(nanos) = self.nanos() {
            let by = nanos.checked_mul(i128::from(count))?;
            return Timestamp::from_nanosecond(at.as_nanosecond().checked_add(by)?).ok();
        }
        let months = count.checked_mul(match self {
            Self::Year => 12,
            Self::Quarter => 3,
            _ => 1,
        })?;
        let span = jiff::Span::new().try_months(months).ok()?;
        let civil = civil(at).checked_add(span).ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()
    }

    pub(super) fn part(self, at: Timestamp) -> i64 {
        let civil = civil(at);
        match self {
            Self::Year => civil.year().into(),
            Self::Quarter => (i64::from(civil.month()) - 1) / 3 + 1,
            Self::Month => civil.month().into(),
            Self::Week => civil.date().iso_week_date().week().into(),
            Self::Day => civil.day().into(),
            Self::Hour => civil.hour().into(),
            Self::Minute => civil.minute().into(),
            Self::Second => civil.second().into(),
            Self::Millisecond => civil.millisecond().into(),
        }
    }
}

fn civil(at: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(at)
}

/// The first moment of a day, week, month or year, some of them on.
pub(super) fn start_of(unit: Unit, at: Timestamp, offset: i64) -> Option<Timestamp> {
    let date = civil(at).date();
    let first = match unit {
        Unit::Year => Date::new(date.year(), 1, 1).ok()?,
        Unit::Month => Date::new(date.year(), date.month(), 1).ok()?,
        Unit::Week => {
            let back = date.weekday().since(Weekday::Sunday);
            date.checked_sub(jiff::Span::new().try_days(i64::from(back)).ok()?).ok()?
        }
        _ => date,
    };
    let start = TimeZone::UTC.to_timestamp(first.at(0, 0, 0, 0)).ok()?;
    unit.add(offset, start)
}

/// Days since the Sunday before.
pub(super) fn weekday(at: Timestamp) -> SignedDuration {
    let days = civil(at).date().weekday().since(Weekday::Sunday);
    SignedDuration::from_hours(i64::from(days) * 24)
}

/// A moment in a picture such as `yyyy-MM-dd HH:mm`; none if the picture has unknown letters.
pub(super) fn format(at: Timestamp, picture: &str) -> Option<String> {
    let civil = civil(at);
    let mut out = String::new();
    let mut rest = picture;
    while let Some(first) = rest.chars().next() {
        let len = rest.len() - rest.trim_start_matches(first).len();
        let count = len / first.len_utf8();
        let half = match civil.hour() % 12 {
            0 => 12,
            hour => hour,
        };
        let piece = match (first, count) {
            ('y', 4) => format!("{:04}", civil.year()),
            ('y', 2) => format!("{:02}", civil.year() % 100),
            ('M', 2) => format!("{:02}", civil.month()),
            ('M', 1) => civil.month().to_string(),
            ('d', 2) => format!("{:02}", civil.day()),
            ('d', 1) => civil.day().to_string(),
            ('H', 2) => format!("{:02}", civil.hour()),
            ('H', 1) => civil.hour().to_string(),
            ('h', 2) => format!("{half:02}"),
            ('h', 1) => half.to_string(),
            ('m', 2) => format!("{:02}", civil.minute()),
            ('m', 1) => civil.minute().to_string(),
            ('s', 2) => format!("{:02}", civil.second()),
            ('s', 1) => civil.second().to_string(),
            ('f', 1..=7) => {
                let digits = format!("{:09}", civil.subsec_nanosecond());
                digits.get(..count)?.to_owned()
            }
            ('t', 2) => if civil.hour() < 12 { "AM" } else { "PM" }.to_owned(),
            // The delimiters of format_datetime, and no other character, stand for themselves.
            (' ' | '/' | '-' | ':' | ',' | '.' | '_' | '[' | ']', _) => rest.get(..len)?.to_owned(),
            _ => return None,
        };
        out.push_str(&piece);
        rest = rest.get(len..)?;
    }
    Some(out)
}
