//! When something runs: `cron(…)`, `rate(…)` and `at(…)` of maintenance windows, in a time zone.

use std::cmp::Ordering;

use croner::{
    CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday,
    errors::CronError, parser::CronParser,
};
use jiff::{SignedDuration, Span, Timestamp, civil, tz::TimeZone};
use patchkit_core::Schedule;

use super::super::AwsError;

/// When something runs: an expression, in a time zone, between two times.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    expression: Expression,
    zone: TimeZone,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

#[derive(Clone, Debug)]
enum Expression {
    /// Again and again, counted from a time.
    Rate {
        from: Timestamp,
        every: SignedDuration,
    },
    At(civil::DateTime),
    /// So long after each time of a pattern.
    Cron {
        pattern: Box<Cron>,
        offset: Span,
    },
}

/// The members of a request that say when something runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct When<'a> {
    pub(super) schedule: &'a str,
    pub(super) timezone: Option<&'a str>,
    /// Days to wait after a time of a cron expression.
    pub(super) offset: Option<i64>,
    pub(super) start: Option<&'a str>,
    pub(super) end: Option<&'a str>,
}

/// "Maintenance windows can't run more often than every five minutes" (user guide).
const SHORTEST: SignedDuration = SignedDuration::from_mins(5);

impl Timing {
    /// Reads what a request says; rates are counted from `now`, or from a later start.
    ///
    /// # Errors
    /// `ValidationException` where a part is not of its form, or does not go with another.
    pub(super) fn read(when: When<'_>, now: Timestamp) -> Result<Self, AwsError> {
        let zone = match when.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| refused(format!("{name} is no time zone of the IANA database")))?,
        };
        let start = when.start.map(|text| time(text, &zone)).transpose()?;
        let end = when.end.map(|text| time(text, &zone)).transpose()?;
        if end.is_some_and(|end| end <= start.map_or(now, |start| start.max(now))) {
            return Err(refused("EndDate must be in the future and after StartDate".to_owned()));
        }
        let schedule: Schedule = when.schedule.parse().map_err(|_| wrong(when.schedule))?;
        let expression = match schedule {
            Schedule::Rate { every, unit } => {
                let every = SignedDuration::try_from(unit.duration().saturating_mul(every))
                    .map_err(|_| wrong(when.schedule))?;
                // A start that has passed is as none (API reference, CreateMaintenanceWindow).
                let from = start.filter(|start| *start > now);
                let from = from.or_else(|| now.checked_add(every).ok());
                Expression::Rate { from: from.ok_or_else(|| wrong(when.schedule))?, every }
            }
            Schedule::At(at) => Expression::At(at),
            Schedule::Cron(fields) => {
                let pattern = cron(&fields).ok_or_else(|| wrong(when.schedule))?;
                let offset = Span::new().try_days(when.offset.unwrap_or_default());
                let offset = offset.map_err(|_| wrong(when.schedule))?;
                Expression::Cron { pattern: Box::new(pattern), offset }
            }
            _ => return Err(wrong(when.schedule)),
        };
        if when.offset.is_some() && !matches!(expression, Expression::Cron { .. }) {
            return Err(refused("ScheduleOffset goes with a cron expression only".to_owned()));
        }
        let timing = Self { expression, zone, start, end };
        let mut few = timing.clone();
        (few.start, few.end) = (None, None);
        let times: Vec<Timestamp> = few.times(now).take(4).collect();
        if times.windows(2).any(|pair| pair[1].duration_since(pair[0]) < SHORTEST) {
            return Err(refused(format!("{} runs more often than every 5 minutes", when.schedule)));
        }
        Ok(timing)
    }

    /// The next time after another, if there is one.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        // A time that is the start itself counts.
        let nanosecond = SignedDuration::from_nanos(1);
        let before_start = self.start.and_then(|start| start.checked_sub(nanosecond).ok());
        let after = before_start.map_or(after, |start| start.max(after));
        let next = match &self.expression {
            Expression::Rate { from, every } => rate(*from, *every, after)?,
            Expression::At(at) => self.instant(*at).filter(|instant| *instant > after)?,
            Expression::Cron { pattern, offset } => self.cron(pattern, *offset, after)?,
        };
        self.end.is_none_or(|end| next < end).then_some(next)
    }

    /// All times after another.
    pub(super) fn times(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |last| self.next(*last))
    }

    fn cron(&self, pattern: &Cron, offset: Span, after: Timestamp) -> Option<Timestamp> {
        let wall = self.zone.to_datetime(after).checked_sub(offset).ok()?;
        let mut wall = Wall(wall.round(jiff::Unit::Second).ok()?);
        // Where clocks are set back, a later time on the wall may be an earlier instant: look on,
        // by a day of minutes at most.
        for attempt in 0..1_440 {
            wall = pattern.find_next_occurrence(&wall, attempt == 0).ok()?;
            let due = self.instant(wall.0.checked_add(offset).ok()?)?;
            if due > after {
                return Some(due);
            }
        }
        None
    }

    /// A time on the wall in the time zone; one that clocks skip is as much later as they skip.
    fn instant(&self, wall: civil::DateTime) -> Option<Timestamp> {
        self.zone.to_timestamp(wall).ok()
    }
}

fn rate(from: Timestamp, every: SignedDuration, after: Timestamp) -> Option<Timestamp> {
    if from > after {
        return Some(from);
    }
    let (passed, every) = (after.duration_since(from).as_secs(), every.as_secs());
    let rounds = passed.checked_div(every)? + 1;
    from.checked_add(SignedDuration::from_secs(rounds.checked_mul(every)?)).ok()
}

/// A cron expression in AWS's form: six fields, the last being the year, or seven with the seconds
/// first; one of the two fields of days is `?`.
fn cron(fields: &str) -> Option<Cron> {
    let legal = |c: char| c.is_ascii_alphanumeric() || " ,-*?/#".contains(c);
    let parts: Vec<&str> = fields.split_whitespace().collect();
    let parts = match parts.len() {
        6 => [&["0"], parts.as_slice()].concat(),
        7 => parts,
        _ => return None,
    };
    let unspecified: Vec<usize> = (0..7).filter(|at| parts[*at].contains('?')).collect();
    let one_of_the_days = matches!(unspecified[..], [at @ (3 | 5)] if parts[at] == "?");
    if !fields.chars().all(legal) || !one_of_the_days {
        return None;
    }
    // Days of the week are 1 for Sunday to 7 for Saturday, and `0/30` is every half hour.
    let parser = CronParser::builder().alternative_weekdays(true).sloppy_ranges(true).build();
    parser.parse(&parts.join(" ")).ok()
}

/// A time in ISO 8601: an instant where it has an offset, else on the wall of the time zone.
fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, AwsError> {
    let instant: Option<Timestamp> = text.parse().ok();
    let wall = || zone.to_timestamp(text.parse::<civil::DateTime>().ok()?).ok();
    instant.or_else(wall).ok_or_else(|| refused(format!("{text} is no date and time in ISO 8601")))
}

/// A time as maintenance windows write it: to the millisecond, and without what is zero at its end
/// (AWS CLI reference, the examples of get-maintenance-window and
/// describe-maintenance-window-schedule).
pub(super) fn written(at: Timestamp) -> String {
    let form = match at.as_millisecond() {
        it if it % 60_000 == 0 => "%Y-%m-%dT%H:%MZ",
        it if it % 1_000 == 0 => "%Y-%m-%dT%H:%M:%SZ",
        _ => "%Y-%m-%dT%H:%M:%S%.3fZ",
    };
    at.strftime(form).to_string()
}

fn wrong(schedule: &str) -> AwsError {
    refused(format!("Schedule expression {schedule} is not valid"))
}

fn refused(message: String) -> AwsError {
    AwsError::validation(message)
}

/// A time on a wall, for the search of cron patterns: time zones are applied afterwards.
#[derive(Clone, Copy, Debug)]
struct Wall(civil::DateTime);

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        let part = |part: i8| u32::from(part.unsigned_abs());
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(
                i32::from(self.0.year()),
                part(self.0.month()),
                part(self.0.day()),
            ),
            CivilTime::from_parts_unchecked(
                part(self.0.hour()),
                part(self.0.minute()),
                part(self.0.second()),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::from(days.unsigned_abs()))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (part(civil.month())?, part(civil.day())?);
        let (hour, minute) = (part(civil.hour())?, part(civil.minute())?);
        let wall = civil::DateTime::new(year, month, day, hour, minute, part(civil.second())?, 0);
        wall.map(|wall| Resolution::Single(Self(wall))).map_err(|_| CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use patchkit_core::{Timetable, ZoneName};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn times(when: When<'_>, count: usize) -> Vec<String> {
        let now = at("2026-03-03T10:00:00Z");
        let timing = Timing::read(when, now).unwrap();
        timing.times(now).take(count).map(|it| it.to_string()).collect()
    }

    #[test]
    fn cron_expressions_are_read_as_aws_writes_them() {
        for (schedule, expected) in [
            ("cron(30 23 ? * TUE#3 *)", ["2026-03-17T23:30:00Z", "2026-04-21T23:30:00Z"]),
            ("cron(0 2 ? * 3#2 *)", ["2026-03-10T02:00:00Z", "2026-04-14T02:00:00Z"]),
            ("cron(0 2 ? * 6L *)", ["2026-03-27T02:00:00Z", "2026-04-24T02:00:00Z"]),
            ("cron(0 2 ? * FRIL *)", ["2026-03-27T02:00:00Z", "2026-04-24T02:00:00Z"]),
            ("cron(0 2 L * ? *)", ["2026-03-31T02:00:00Z", "2026-04-30T02:00:00Z"]),
            ("cron(0 4 ? * SUN *)", ["2026-03-08T04:00:00Z", "2026-03-15T04:00:00Z"]),
            ("cron(0 4 ? * 1 *)", ["2026-03-08T04:00:00Z", "2026-03-15T04:00:00Z"]),
            ("cron(0 4 ? * MON-FRI *)", ["2026-03-04T04:00:00Z", "2026-03-05T04:00:00Z"]),
            ("cron(0 4 ? * 2-6 *)", ["2026-03-04T04:00:00Z", "2026-03-05T04:00:00Z"]),
            ("cron(0 */30 * * * ? *)", ["2026-03-03T10:30:00Z", "2026-03-03T11:00:00Z"]),
            ("cron(0/30 * * * ? *)", ["2026-03-03T10:30:00Z", "2026-03-03T11:00:00Z"]),
            ("cron(15 10 1 JAN ? 2027-2028)", ["2027-01-01T10:15:00Z", "2028-01-01T10:15:00Z"]),
            ("cron(0 0 15W * ? *)", ["2026-03-16T00:00:00Z", "2026-04-15T00:00:00Z"]),
            ("rate(7 days)", ["2026-03-10T10:00:00Z", "2026-03-17T10:00:00Z"]),
            ("rate(1 hour)", ["2026-03-03T11:00:00Z", "2026-03-03T12:00:00Z"]),
        ] {
            assert_eq!(times(When { schedule, ..When::default() }, 2), expected, "{schedule}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        for schedule in [
            "cron(0 2 * * TUE *)",
            "cron(0 2 ? * ? *)",
            "cron(0 2 ? * TUE)",
            "cron(? 2 ? * TUE *)",
            "cron(61 2 ? * TUE *)",
            "cron(0 2 ? * +TUE *)",
            "cron(@daily ? * * * *)",
            "cron(0 2 ? * TUE#6 *)",
            "cron(0/1 * ? * * *)",
            "rate(1 minute)",
            "rate(4 minutes)",
            "rate(1 days)",
            "at(tomorrow)",
            "weekly",
            "",
        ] {
            let when = When { schedule, ..When::default() };
            assert!(Timing::read(when, at("2026-03-03T10:00:00Z")).is_err(), "{schedule}");
        }
    }

    #[test]
    fn an_offset_waits_days_after_patch_tuesday() {
        let when = When { schedule: "cron(30 23 ? * TUE#2 *)", offset: Some(2), ..When::default() };
        assert_eq!(times(when, 2), ["2026-03-12T23:30:00Z", "2026-04-16T23:30:00Z"]);
        // The Tuesday has passed, the day that counts has not.
        let timing = Timing::read(when, at("2026-03-11T00:00:00Z")).unwrap();
        assert_eq!(timing.next(at("2026-03-11T00:00:00Z")), Some(at("2026-03-12T23:30:00Z")));
        let rate = When { schedule: "rate(1 day)", offset: Some(2), ..When::default() };
        assert!(Timing::read(rate, at("2026-03-03T10:00:00Z")).is_err());
    }

    #[test]
    fn a_time_zone_is_applied_through_the_change_of_its_clocks() {
        let timezone = Some("America/New_York");
        let when = When { schedule: "cron(30 2 ? * * *)", timezone, ..When::default() };
        let around: Vec<String> = times(when, 6).split_off(3);
        // On 8 March, 02:30 is skipped.
        assert_eq!(
            around,
            ["2026-03-07T07:30:00Z", "2026-03-08T07:30:00Z", "2026-03-09T06:30:00Z"]
        );
        let when = When { schedule: "at(2026-07-01T03:00:00)", timezone, ..When::default() };
        assert_eq!(times(when, 2), ["2026-07-01T07:00:00Z"]);
        let nowhere = When { timezone: Some("Mars/Olympus"), ..when };
        assert!(Timing::read(nowhere, at("2026-03-03T10:00:00Z")).is_err());
    }

    #[test]
    fn clocks_set_back_run_nothing_twice() {
        let timezone = Some("America/New_York");
        let when = When { schedule: "cron(0/30 1 ? * * *)", timezone, ..When::default() };
        let before = at("2026-11-01T00:00:00Z");
        let timing = Timing::read(when, before).unwrap();
        let found: Vec<String> = timing.times(before).take(4).map(|it| it.to_string()).collect();
        assert_eq!(
            found,
            [
                "2026-11-01T05:00:00Z",
                "2026-11-01T05:30:00Z",
                "2026-11-02T06:00:00Z",
                "2026-11-02T06:30:00Z"
            ]
        );
    }

    #[test]
    fn nothing_runs_before_the_start_and_from_the_end_on() {
        let when = When {
            schedule: "cron(0 6 ? * * *)",
            start: Some("2026-03-10T06:00-00:00"),
            end: Some("2026-03-12T06:00:00Z"),
            ..When::default()
        };
        assert_eq!(times(when, 9), ["2026-03-10T06:00:00Z", "2026-03-11T06:00:00Z"]);
        let when = When { schedule: "rate(2 days)", end: None, ..when };
        assert_eq!(times(when, 2), ["2026-03-10T06:00:00Z", "2026-03-12T06:00:00Z"]);
        let when = When { start: Some("2025-01-01T00:00:00Z"), ..when };
        assert_eq!(times(when, 1), ["2026-03-05T10:00:00Z"]);
        for (start, end) in [(None, "2026-01-01T00:00:00Z"), (Some("2027-01-01"), "2026-12-31")] {
            let when = When { schedule: "rate(1 day)", start, end: Some(end), ..When::default() };
            assert!(Timing::read(when, at("2026-03-03T10:00:00Z")).is_err(), "{end}");
        }
    }

    #[test]
    fn a_pattern_that_never_comes_has_no_next_time() {
        let when = When { schedule: "cron(0 0 30 FEB ? *)", ..When::default() };
        assert_eq!(times(when, 1), [""; 0]);
        let when = When { schedule: "cron(0 0 1 JAN ? 2020)", ..When::default() };
        assert_eq!(times(when, 1), [""; 0]);
    }

    #[test]
    fn times_are_written_without_seconds_where_there_are_none() {
        assert_eq!(written(at("2026-02-19T16:00:00Z")), "2026-02-19T16:00Z");
        assert_eq!(written(at("2026-02-19T16:00:15Z")), "2026-02-19T16:00:15Z");
        assert_eq!(written(at("2026-02-19T16:00:00.1234567Z")), "2026-02-19T16:00:00.123Z");
    }

    /// The two fields of days, as AWS documents them.
    fn any_days() -> impl Strategy<Value = (String, String)> {
        let of_month = "([1-9]|[12][0-9]|3[01])(,([1-9]|[12][0-9]))?|L|([1-9]|[12][0-9]|3[01])W|\\*|[1-4]/[1-9]";
        let of_week = "[1-7]#[1-5]|[1-7]L|SUN|TUE|SAT|(MON|TUE)-(THU|FRI)|[1-3],[5-7]|\\*";
        prop_oneof![
            of_month.prop_map(|days| (days, "?".to_owned())),
            of_week.prop_map(|days| ("?".to_owned(), days)),
        ]
    }

    proptest! {
        /// Two readers of the same pages: croner under this file, and the core's own.
        #[test]
        fn core_finds_the_same_times(
            minute in 0..60,
            hours in "[0-9]|1[0-9](,2[0-3])?|0/[2-9]|[1-9]-1[0-9]",
            (of_month, of_week) in any_days(),
            months in "\\*|[1-9](,1[0-2])?|1/[2-4]|[2-4]-[5-9]",
            offset in 0..=6_i64,
        ) {
            let schedule = format!("cron({minute} {hours} {of_month} {months} {of_week} *)");
            let now = at("2026-03-03T10:00:00Z");
            let when = When { schedule: &schedule, offset: Some(offset), ..When::default() };
            let simulated: Vec<_> = Timing::read(when, now).unwrap().times(now).take(20).collect();
            let table = Timetable::of_schedule(schedule.parse().unwrap(), ZoneName::utc())
                .with_offset_days(u8::try_from(offset).unwrap());
            let found: Vec<_> = table.occurrences(now).unwrap().take(20).collect();
            prop_assert_eq!(found, simulated, "{}", schedule);
        }
    }
}
