use proptest::prelude::*;

use super::*;
use crate::{Timetable, ZoneName};

/// The first times of a recurrence, by the clocks of its zone.
fn times(recurs: &str, first: &str, zone: &str, count: usize) -> Vec<String> {
    let name = ZoneName::new(zone);
    let clocks = name.find().unwrap();
    let table = Timetable::of_recurrence(Recurrence::read(recurs), first.parse().unwrap(), name);
    let all = table.occurrences("2020-01-01T00:00:00Z".parse().unwrap()).unwrap();
    all.take(count)
        .map(|it| clocks.to_datetime(it).strftime("%a %Y-%m-%d %H:%M").to_string())
        .collect()
}

#[test]
fn weeks_are_counted_from_the_week_of_the_first() {
    assert_eq!(
        times("2Weeks Monday,Friday", "2026-11-04T02:00:00", "UTC", 4),
        [
            "Fri 2026-11-06 02:00",
            "Mon 2026-11-16 02:00",
            "Fri 2026-11-20 02:00",
            "Mon 2026-11-30 02:00"
        ],
    );
    assert_eq!(
        times("3Weeks", "2026-11-04T02:00:00", "UTC", 2),
        ["Wed 2026-11-04 02:00", "Wed 2026-11-25 02:00"]
    );
}

#[test]
fn an_offset_counts_from_the_weekday_and_may_reach_into_the_next_month() {
    assert_eq!(
        times("Month Second Tuesday Offset4", "2026-11-01T01:30:00", "UTC", 2),
        ["Sat 2026-11-14 01:30", "Sat 2026-12-12 01:30"],
    );
    assert_eq!(
        times("2Months Last Monday Offset3", "2026-11-01T01:30:00", "UTC", 2),
        ["Thu 2026-12-03 01:30", "Thu 2027-01-28 01:30"],
    );
    assert_eq!(
        times("Month Last Sunday Offset-3", "2026-11-01T01:30:00", "UTC", 2),
        ["Thu 2026-11-26 01:30", "Thu 2026-12-24 01:30"],
    );
}

#[test]
fn a_time_is_local_so_that_summer_does_not_move_it() {
    // "adjusted to daylight savings according to that time zone" (Maintenance API, startDateTime).
    assert_eq!(
        times("Month day1", "2026-03-01T02:30:00", "W. Europe Standard Time", 2),
        ["Sun 2026-03-01 02:30", "Wed 2026-04-01 02:30"],
    );
}

#[test]
fn hours_pass_whatever_the_clocks_do() {
    assert_eq!(
        times("12Hours", "2026-03-28T18:00:00", "W. Europe Standard Time", 3),
        ["Sat 2026-03-28 18:00", "Sun 2026-03-29 07:00", "Sun 2026-03-29 19:00"],
    );
}

#[test]
fn months_without_the_day_are_passed_over() {
    assert_eq!(
        times("Month day31", "2026-01-31T00:00:00", "UTC", 2),
        ["Sat 2026-01-31 00:00", "Tue 2026-03-31 00:00"],
    );
    assert_eq!(
        times("Month day23,lastday", "2026-02-01T00:00:00", "UTC", 3),
        ["Mon 2026-02-23 00:00", "Sat 2026-02-28 00:00", "Mon 2026-03-23 00:00"],
    );
}

#[test]
fn the_examples_of_the_api_are_known_and_taken() {
    // Maintenance API, `recurEvery`; the pages print the numbers beside the unit.
    for text in [
        "Day",
        "3Days",
        "3Weeks",
        "Week Saturday,Sunday",
        "Month",
        "2Months",
        "Month day23,day24",
        "Month Last Sunday",
        "Month Fourth Monday",
        "Month Last Sunday Offset-3",
        "Month Third Sunday Offset6",
    ] {
        let recurs: Recurrence = text.parse().unwrap();
        recurs.check().unwrap();
        assert_eq!(recurs.to_string(), text);
    }
    for text in ["0Days", "5Hours", "Month day32", "Month Second Tuesday Offset7"] {
        assert!(text.parse::<Recurrence>().unwrap().check().is_err(), "{text}");
    }
    for text in ["", "Sometimes", "Week Someday", "Month Fifth Monday", "Days 3", "-1Days"] {
        assert!(text.parse::<Recurrence>().is_err(), "{text}");
    }
}

#[test]
fn what_nobody_knows_has_no_times() {
    let first = "2026-02-01T00:00:00".parse().unwrap();
    let table = Timetable::of_recurrence(Recurrence::read("Fortnightly"), first, ZoneName::utc());
    let error = table.occurrences("2020-01-01T00:00:00Z".parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Unsupported);
    assert!(error.message().contains("Fortnightly"), "{error}");
}

proptest! {
    #[test]
    fn no_recurrence_panics_and_each_survives(text in "\\PC{0,30}|[0-9]{0,3}(Day|Week|Month)s? [A-Za-z0-9, -]{0,20}") {
        let read = Recurrence::read(&text);
        let again = Recurrence::read(&read.to_string());
        prop_assert_eq!(again.to_string(), read.to_string());
        let json = serde_json::to_string(&read).unwrap();
        prop_assert_eq!(serde_json::from_str::<Recurrence>(&json).unwrap(), again);
        let first = "2026-02-01T00:00:00".parse().unwrap();
        let table = Timetable::of_recurrence(read, first, ZoneName::utc());
        if let Ok(mut all) = table.occurrences("2026-01-01T00:00:00Z".parse().unwrap()) {
            let (one, other) = (all.next(), all.next());
            prop_assert!(one <= other || other.is_none());
        }
    }
}
