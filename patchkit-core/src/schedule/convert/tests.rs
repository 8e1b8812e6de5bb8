use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::Occurrences;

/// A Saturday.
const NOW: &str = "2026-11-28T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn aws(schedule: &str, offset: u8, zone: &str) -> Timetable {
    Timetable::of_schedule(schedule.parse().unwrap(), ZoneName::new(zone)).with_offset_days(offset)
}

fn azure(recurs: &str, first: &str, zone: &str) -> Timetable {
    let every = Recurrence::read(recurs);
    Timetable::of_recurrence(every, first.parse().unwrap(), ZoneName::new(zone))
}

#[test]
fn schedules_of_both_clouds_become_each_other() {
    for (schedule, offset, recurs) in [
        ("cron(30 1 * * ? *)", 0, "Day from 2026-11-29T01:30:00"),
        ("cron(0 3 ? * SAT,SUN *)", 0, "Week Saturday,Sunday from 2026-11-29T03:00:00"),
        ("cron(0 3 1,15 * ? *)", 0, "Month day1,day15 from 2026-12-01T03:00:00"),
        ("cron(0 3 L * ? *)", 0, "Month day-1 from 2026-11-30T03:00:00"),
        ("cron(0 3 ? * TUE#2 *)", 0, "Month Second Tuesday from 2026-12-08T03:00:00"),
        ("cron(0 3 ? * TUE#2 *)", 4, "Month Second Tuesday Offset4 from 2026-12-12T03:00:00"),
        ("cron(0 3 ? * FRIL *)", 2, "Month Last Friday Offset2 from 2026-11-29T03:00:00"),
        ("cron(0 3 15 2,5,8,11 ? *)", 0, "3Months day15 from 2027-02-15T03:00:00"),
        ("cron(0 3 ? 6 TUE#1 *)", 0, "12Months First Tuesday from 2027-06-01T03:00:00"),
        ("at(2026-12-01T03:00:00)", 0, "once from 2026-12-01T03:00:00"),
    ] {
        let from = aws(schedule, offset, "Europe/Berlin");
        let to = from.to_azure(at(NOW)).unwrap();
        assert_eq!(to.to_string(), format!("{recurs}, W. Europe Standard Time"));
        let back = to.to_aws().unwrap();
        assert_eq!((&back.recurs, &back.zone), (&from.recurs, &from.zone));
    }
}

#[test]
fn rates_become_hours_or_days_where_all_days_are_equal() {
    let convert = |schedule: &str, zone: &str| {
        let table = aws(schedule, 0, zone).with_start(at("2026-11-01T02:00:00Z"));
        table.to_azure(at(NOW)).map(|it| it.to_string())
    };
    assert_eq!(convert("rate(14 days)", "UTC").unwrap(), "14Days from 2026-11-29T02:00:00, UTC");
    assert_eq!(
        convert("rate(36 hours)", "Europe/Berlin").unwrap(),
        "36Hours from 2026-11-29T15:00:00, W. Europe Standard Time"
    );
    let error = convert("rate(14 days)", "Europe/Berlin").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("24 hours for a day"), "{error}");

    let weeks = azure("2Weeks", "2026-11-28T02:00:00", "UTC");
    assert_eq!(
        weeks.to_aws().unwrap().to_string(),
        "rate(14 days), UTC, not before 2026-11-28T02:00:00Z"
    );
    let error = azure("2Weeks", "2026-11-28T02:00:00", "W. Europe Standard Time").to_aws();
    assert!(error.unwrap_err().message().contains("24 hours for a day"));
}

#[test]
fn days_after_a_weekday_or_a_day_are_later_days() {
    for (schedule, offset, recurs) in [
        ("cron(0 3 ? * SAT *)", 2, "Week Monday"),
        ("cron(0 3 * * ? *)", 3, "Day"),
        ("cron(0 3 1,15 * ? *)", 6, "Month day7,day21"),
    ] {
        let from = aws(schedule, offset, "UTC");
        let to = from.to_azure(at(NOW)).unwrap();
        assert!(to.to_string().starts_with(&format!("{recurs} from ")), "{to}");
        assert!(to.next_after(at(NOW)).unwrap().is_some());
        same(&from, &to, 40).unwrap();
    }
}

#[test]
fn what_azure_has_no_word_for_says_what_it_is() {
    for (schedule, offset, what) in [
        ("rate(90 minutes)", 0, "every so many hours"),
        ("rate(3 hours)", 0, "six hours"),
        ("cron(0/15 3 * * ? *)", 0, "one hour and minute"),
        ("cron(0 3,15 * * ? *)", 0, "one hour and minute"),
        ("cron(30 0 3 * * ? *)", 0, "no seconds"),
        ("cron(0 3 * 6 ? *)", 0, "no days of single months"),
        ("cron(0 3 ? 6 SAT *)", 0, "no weeks of single months"),
        ("cron(0 3 1 1,2,6 ? *)", 0, "equal distances"),
        ("cron(0 3 1 2-11 ? *)", 0, "equal distances"),
        ("cron(0 3 ? * SAT 2027)", 0, "no single years"),
        ("cron(0 3 1 * SAT)", 0, "two schedules"),
        ("cron(0 3 15W * ? *)", 0, "nearest weekday"),
        ("cron(0 3 ? * SAT#5 *)", 0, "no fifth"),
        ("cron(0 3 ? * SAT,TUEL *)", 0, "one weekday of a month"),
        ("cron(0 3 30 * ? *)", 1, "last of its month"),
        ("cron(0 3 L * ? *)", 1, "last of its month"),
        ("cron(0 3 ? 1,4,7,10 SUNL *)", 6, "leads out of the month"),
    ] {
        let error = aws(schedule, offset, "UTC").to_azure(at(NOW)).unwrap_err();
        assert!(error.message().contains(what), "{schedule}: {error}");
    }
    let error = aws("cron(0 3 * * ? *)", 0, "Europe/Vienna").to_azure(at(NOW)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("no name in Windows"), "{error}");
    for over in ["at(2020-01-01T00:00:00)", "cron(0 3 30 FEB ? *)"] {
        let error = aws(over, 0, "UTC").to_azure(at(NOW)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn what_aws_has_no_word_for_says_what_it_is() {
    for (recurs, what) in [
        ("2Weeks Saturday,Sunday", "some weeks"),
        ("2Weeks Sunday", "some weeks"),
        ("5Months", "others in each year"),
        ("24Months", "others in each year"),
        ("Month Third Tuesday Offset-2", "before a weekday"),
        ("Month day1,lastday", "stands alone"),
        ("Sometimes", "none that PatchKit knows"),
    ] {
        let error = azure(recurs, "2026-11-28T03:00:00", "UTC").to_aws().unwrap_err();
        assert!(error.message().contains(what), "{recurs}: {error}");
    }
}

/// Whether two timetables have the same times, as many as are looked at.
fn same(one: &Timetable, other: &Timetable, count: usize) -> Result<(), TestCaseError> {
    let times = |it: &Timetable| -> Vec<_> {
        let after = at(NOW);
        it.occurrences(after).map(|all: Occurrences| all.take(count).collect()).unwrap()
    };
    let (ours, theirs) = (times(one), times(other));
    prop_assert_eq!(ours, theirs, "{} and {}", one, other);
    Ok(())
}

fn any_zone() -> impl Strategy<Value = &'static str> {
    select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
}

fn any_cron() -> impl Strategy<Value = String> {
    let numbers = |most: i8| {
        vec(1..=most, 1..4)
            .prop_map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    };
    let days = prop_oneof![
        Just(("*".to_owned(), "?".to_owned())),
        Just(("L".to_owned(), "?".to_owned())),
        numbers(31).prop_map(|days| (days, "?".to_owned())),
        numbers(7).prop_map(|days| ("?".to_owned(), days)),
        (1..=7, 1..=5).prop_map(|(day, nth)| ("?".to_owned(), format!("{day}#{nth}"))),
        (1..=7).prop_map(|day| ("?".to_owned(), format!("{day}L"))),
    ];
    let months = select(vec!["*", "*", "*", "1/3", "2/6", "6", "1,3,5,7,9,11", "3,4"]);
    (0..60, 0..24, days, months).prop_map(|(minute, hour, (day, week), month)| {
        format!("cron({minute} {hour} {day} {month} {week} *)")
    })
}

fn any_recurrence() -> impl Strategy<Value = String> {
    prop_oneof![
        "([1-9][0-9]?)?Days?".boxed(),
        "([6-9]|[1-9][0-9])Hours".boxed(),
        "[1-4]?Weeks?".boxed(),
        "[12]?Weeks? (Monday|Tuesday|Friday|Sunday)(,(Wednesday|Saturday))?".boxed(),
        "([1-9]|12)?Months?".boxed(),
        "([1-9]|12)?Months? day([1-9]|[12][0-9]|3[01])(,day[1-9])?".boxed(),
        "[123]?Months? (lastday|day-1)".boxed(),
        "([1-4]|12)?Months? (First|Second|Third|Fourth|Last) (Monday|Tuesday|Sunday)( Offset-?[1-6])?".boxed(),
    ]
}

proptest! {
    #[test]
    fn a_schedule_comes_at_the_same_times_as_its_recurrence(
        schedule in any_cron(), offset in prop_oneof![Just(0), 0..=6_u8], zone in any_zone(),
    ) {
        let from = aws(&schedule, offset, zone);
        match from.to_azure(at(NOW)) {
            Ok(to) => {
                same(&from, &to, 60)?;
                same(&from, &to.to_aws().unwrap(), 60)?;
            }
            Err(error) => prop_assert!(
                matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput), "{}", error
            ),
        }
    }

    #[test]
    fn a_recurrence_comes_at_the_same_times_as_its_schedule(
        recurs in any_recurrence(),
        zone in any_zone(),
        day in 1..=28_i8,
        hour in 0..24_i8,
    ) {
        let zone = ZoneName::new(zone);
        let first = jiff::civil::date(2026, 11, day).at(hour, 30, 0, 0);
        let every: Recurrence = recurs.parse().unwrap();
        let from = Timetable::of_recurrence(every, first, zone);
        match from.to_aws() {
            Ok(to) => same(&from, &to, 60)?,
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Unsupported, "{}", error),
        }
    }
}
