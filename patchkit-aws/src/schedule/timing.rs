//! The schedules that AWS takes, which are others for windows than for associations.

use std::time::Duration;

use patchkit_core::{Result, Schedule};

use crate::error::invalid;

/// "Maintenance windows can't run more often than every five minutes" (user guide).
const WINDOW_LEAST: Duration = Duration::from_mins(5);
/// A rate of an association (user guide, "Cron and rate expressions for associations").
const ASSOCIATION_LEAST: Duration = Duration::from_mins(30);
const ASSOCIATION_MOST: Duration = Duration::from_hours(31 * 24);
/// Days of an offset (service model, `MaintenanceWindowOffset`, `ScheduleOffset`).
const MOST_DAYS: u8 = 6;

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Refuses a schedule that no maintenance window takes.
pub(crate) fn check_window(schedule: &Schedule, offset: Option<u8>) -> Result<()> {
    let operation = "CreateMaintenanceWindow";
    check_offset(operation, schedule, offset)?;
    let refuse = |what: String| Err(invalid(operation, format!("{schedule}: {what}")));
    match schedule {
        Schedule::At(_) => Ok(()),
        Schedule::Rate { every, unit } => {
            if unit.duration().saturating_mul(*every) < WINDOW_LEAST {
                return refuse("a window opens every 5 minutes at most".to_owned());
            }
            Ok(())
        }
        Schedule::Cron(fields) => {
            let parts: Vec<&str> = fields.split_whitespace().collect();
            // With seconds the fields are seven.
            let days = match parts.len() {
                6 => [2, 4],
                7 => [3, 5],
                n => {
                    return refuse(format!(
                        "a window's cron expression has 6 or 7 fields, not {n}"
                    ));
                }
            };
            let legal = |c: char| c.is_ascii_alphanumeric() || " ,-*?/#".contains(c);
            if !fields.chars().all(legal) {
                return refuse("a character that no field has".to_owned());
            }
            let open: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].contains('?')).collect();
            if !matches!(open[..], [at] if days.contains(&at) && parts[at] == "?") {
                return refuse(
                    "one of the two fields of days, and no other field, is a ?".to_owned(),
                );
            }
            Ok(())
        }
        _ => refuse("a kind of schedule that PatchKit does not know".to_owned()),
    }
}

/// Refuses a schedule that State Manager does not take: it knows a few patterns only.
pub(crate) fn check_association(schedule: &Schedule, offset: Option<u8>) -> Result<()> {
    let operation = "CreateAssociation";
    check_offset(operation, schedule, offset)?;
    let refuse = |what: &str| Err(invalid(operation, format!("{schedule}: {what}")));
    match schedule {
        Schedule::At(_) => Ok(()),
        Schedule::Rate { every, unit } => {
            let every = unit.duration().saturating_mul(*every);
            if !(ASSOCIATION_LEAST..ASSOCIATION_MOST).contains(&every) {
                return refuse("an association's rate is 30 minutes or more, and under 31 days");
            }
            Ok(())
        }
        Schedule::Cron(fields) => {
            let parts: Vec<&str> = fields.split_whitespace().collect();
            let [minute, hour, date, month, day, year] = parts[..] else {
                return refuse("an association's cron expression has 6 fields");
            };
            if month != "*" || year != "*" {
                return refuse("an association's cron expression names no month and no year");
            }
            if is_listed(minute, hour, date, day) {
                return Ok(());
            }
            refuse(
                "State Manager takes every 30 minutes, every 1, 2, 4, 8 or 12 hours, or a time of \
                 every day, of a day of the week, of the nth or the last such day of a month",
            )
        }
        _ => refuse("a kind of schedule that PatchKit does not know"),
    }
}

/// The patterns that the user guide lists ("Cron and rate expressions for associations").
fn is_listed(minute: &str, hour: &str, date: &str, day: &str) -> bool {
    let number = |text: &str, most: u8| text.parse::<u8>().is_ok_and(|n| n <= most);
    let steps = |text: &str, of: &[&str]| {
        text.split_once('/')
            .is_some_and(|(from, step)| (from == "*" || from == "0") && of.contains(&step))
    };
    let whole_day = (date, day) == ("*", "?") || (date, day) == ("?", "*");
    if steps(minute, &["30"]) {
        return hour == "*" && whole_day;
    }
    if !number(minute, 59) {
        return false;
    }
    if hour == "*" || steps(hour, &["1", "2", "4", "8", "12"]) {
        return whole_day;
    }
    number(hour, 23) && (whole_day || date == "?" && is_day(day))
}

/// A day of the week, by name or number, and which one of a month: `TUE`, `3`, `TUE#2`, `3L`.
fn is_day(text: &str) -> bool {
    let named = |text: &str| {
        DAYS.iter().any(|day| day.eq_ignore_ascii_case(text))
            || matches!(text.as_bytes(), [b'1'..=b'7'])
    };
    match text.split_once('#') {
        Some((day, nth)) => named(day) && matches!(nth.as_bytes(), [b'1'..=b'5']),
        None => named(text) || text.strip_suffix(['L', 'l']).is_some_and(named),
    }
}

fn check_offset(operation: &'static str, schedule: &Schedule, offset: Option<u8>) -> Result<()> {
    let Some(days) = offset else { return Ok(()) };
    if !(1..=MOST_DAYS).contains(&days) {
        let message = format!("an offset is 1 to {MOST_DAYS} days, not {days}");
        return Err(invalid(operation, message));
    }
    if !matches!(schedule, Schedule::Cron(_)) {
        let message = format!("{schedule}: an offset goes with a cron expression only");
        return Err(invalid(operation, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use patchkit_core::ErrorKind;

    use super::*;

    fn schedule(text: &str) -> Schedule {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_takes_six_or_seven_fields_with_one_open_day() {
        for text in [
            "cron(30 23 ? * TUE#3 *)",
            "cron(0 30 23 ? * TUE#3 *)",
            "cron(0 2 L * ? *)",
            "cron(0 2 15W JAN ? 2027-2028)",
            "rate(5 minutes)",
            "rate(7 days)",
            "at(2026-12-01T03:00:00)",
        ] {
            check_window(&schedule(text), None).unwrap();
        }
        for text in [
            "cron(0 2 ? * TUE)",
            "cron(0 2 * * TUE *)",
            "cron(0 2 ? * ? *)",
            "cron(? 2 ? * TUE *)",
            "cron(0 2 ? * +TUE *)",
            "rate(4 minutes)",
        ] {
            let error = check_window(&schedule(text), None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
    }

    #[test]
    fn an_association_takes_the_listed_patterns_only() {
        for text in [
            "cron(0/30 * * * ? *)",
            "cron(0 0/1 * * ? *)",
            "cron(0 0/12 * * ? *)",
            "cron(15 13 ? * * *)",
            "cron(0 10 * * ? *)",
            "cron(15 13 ? * MON *)",
            "cron(30 23 ? * TUE#3 *)",
            "cron(30 23 ? * 3#3 *)",
            "cron(30 23 ? * 3L *)",
            "cron(30 23 ? * FRIL *)",
            "rate(30 minutes)",
            "rate(30 days)",
            "at(2026-12-01T03:00:00)",
        ] {
            check_association(&schedule(text), None).unwrap_or_else(|error| panic!("{error}"));
        }
        for (text, what) in [
            ("cron(30 23 ? * TUE#3)", "6 fields"),
            ("cron(0 30 23 ? * TUE#3 *)", "6 fields"),
            ("cron(30 23 ? JAN TUE *)", "no month"),
            ("cron(30 23 ? * TUE 2027)", "no year"),
            ("cron(0/15 * * * ? *)", "State Manager takes"),
            ("cron(0 0/3 * * ? *)", "State Manager takes"),
            ("cron(15 13 ? * MON-FRI *)", "State Manager takes"),
            ("cron(15 13 1 * ? *)", "State Manager takes"),
            ("cron(75 13 ? * MON *)", "State Manager takes"),
            ("cron(15 13 ? * TUE#6 *)", "State Manager takes"),
            ("rate(29 minutes)", "30 minutes"),
            ("rate(31 days)", "31 days"),
        ] {
            let error = check_association(&schedule(text), None).unwrap_err();
            assert!(error.message().contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn an_offset_is_of_one_to_six_days_and_of_a_cron_expression() {
        let tuesday = schedule("cron(30 23 ? * TUE#2 *)");
        check_window(&tuesday, Some(6)).unwrap();
        for (schedule, days) in [(&tuesday, 0), (&tuesday, 7), (&schedule("rate(7 days)"), 1)] {
            assert!(check_window(schedule, Some(days)).is_err());
            assert!(check_association(schedule, Some(days)).is_err());
        }
    }
}
