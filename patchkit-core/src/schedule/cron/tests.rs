use jiff::civil::date;
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn at(text: &str) -> DateTime {
    text.parse().unwrap()
}

fn times(cron: &str, after: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(cron).unwrap();
    let next = |last: &DateTime| cron.next(*last);
    let all = std::iter::successors(cron.next(at(after)), next);
    all.take(count).map(|it| it.strftime("%a %Y-%m-%d %H:%M:%S").to_string()).collect()
}

#[test]
fn six_fields_are_read_as_aws_documents_them() {
    // The examples of the EventBridge and Systems Manager user guides, and what they say.
    for (cron, expected) in [
        ("0 10 * * ? *", ["Wed 2026-03-04 10:00:00", "Thu 2026-03-05 10:00:00"]),
        ("15 12 * * ? *", ["Tue 2026-03-03 12:15:00", "Wed 2026-03-04 12:15:00"]),
        ("0 18 ? * MON-FRI *", ["Tue 2026-03-03 18:00:00", "Wed 2026-03-04 18:00:00"]),
        ("0 8 1 * ? *", ["Wed 2026-04-01 08:00:00", "Fri 2026-05-01 08:00:00"]),
        ("0/15 * * * ? *", ["Tue 2026-03-03 10:15:00", "Tue 2026-03-03 10:30:00"]),
        ("1/10 * * * ? *", ["Tue 2026-03-03 10:01:00", "Tue 2026-03-03 10:11:00"]),
        ("0/5 8-17 ? * MON-FRI *", ["Tue 2026-03-03 10:05:00", "Tue 2026-03-03 10:10:00"]),
        ("30 23 ? * TUE#3 *", ["Tue 2026-03-17 23:30:00", "Tue 2026-04-21 23:30:00"]),
        ("0 2 ? * 3#2 *", ["Tue 2026-03-10 02:00:00", "Tue 2026-04-14 02:00:00"]),
        ("15 10 ? * 6L *", ["Fri 2026-03-27 10:15:00", "Fri 2026-04-24 10:15:00"]),
        ("15 10 ? * fril 2027-2028", ["Fri 2027-01-29 10:15:00", "Fri 2027-02-26 10:15:00"]),
        ("0 2 L * ? *", ["Tue 2026-03-31 02:00:00", "Thu 2026-04-30 02:00:00"]),
        ("0 2 ? * L *", ["Sat 2026-03-07 02:00:00", "Sat 2026-03-14 02:00:00"]),
        ("0 0 15W * ? *", ["Mon 2026-03-16 00:00:00", "Wed 2026-04-15 00:00:00"]),
        ("0 0 1W AUG,NOV ? *", ["Mon 2026-08-03 00:00:00", "Mon 2026-11-02 00:00:00"]),
        ("0 0 LW FEB,MAY ? *", ["Fri 2026-05-29 00:00:00", "Fri 2027-02-26 00:00:00"]),
        ("0 0 31W * ? *", ["Tue 2026-03-31 00:00:00", "Fri 2026-05-29 00:00:00"]),
        ("0 4 ? * SAT-SUN *", ["Sat 2026-03-07 04:00:00", "Sun 2026-03-08 04:00:00"]),
        ("0 4 ? * 1 *", ["Sun 2026-03-08 04:00:00", "Sun 2026-03-15 04:00:00"]),
        ("0 4 29 FEB ? *", ["Tue 2028-02-29 04:00:00", "Sun 2032-02-29 04:00:00"]),
        ("0 4 1 1/3 ? 2027/2", ["Fri 2027-01-01 04:00:00", "Thu 2027-04-01 04:00:00"]),
    ] {
        assert_eq!(times(cron, "2026-03-03T10:00:00", 2), expected, "{cron}");
    }
}

#[test]
fn seven_fields_have_the_seconds_first() {
    assert_eq!(
        times("0/30 0 2 ? * THU#3 *", "2026-03-03T10:00:00", 3),
        ["Thu 2026-03-19 02:00:00", "Thu 2026-03-19 02:00:30", "Thu 2026-04-16 02:00:00"]
    );
}

#[test]
fn five_fields_are_those_of_crontab() {
    for sunday in ["0", "7", "SUN"] {
        let cron = format!("0 3 * * {sunday}");
        assert_eq!(times(&cron, "2026-03-03T10:00:00", 1), ["Sun 2026-03-08 03:00:00"]);
    }
    // Either of both days is enough.
    assert_eq!(
        times("0 3 13 * FRI", "2026-03-06T10:00:00", 3),
        ["Fri 2026-03-13 03:00:00", "Fri 2026-03-20 03:00:00", "Fri 2026-03-27 03:00:00"]
    );
    assert_eq!(
        times("0 3 14 * 5-7", "2026-03-12T10:00:00", 3),
        ["Fri 2026-03-13 03:00:00", "Sat 2026-03-14 03:00:00", "Sun 2026-03-15 03:00:00"]
    );
}

#[test]
fn a_cron_expression_ends_with_its_last_year() {
    assert_eq!(times("0 0 30 FEB ? *", "2026-03-03T10:00:00", 1), [""; 0]);
    assert_eq!(times("0 0 31 2,4,6,9,11 ? *", "2026-03-03T10:00:00", 1), [""; 0]);
    assert_eq!(times("0 0 1 JAN ? 2020", "2026-03-03T10:00:00", 1), [""; 0]);
    assert_eq!(times("0 0 31 DEC ? *", "2199-12-30T00:00:00", 3), ["Tue 2199-12-31 00:00:00"]);
}

#[test]
fn an_error_names_the_field_its_value_and_what_is_allowed() {
    for (cron, what) in [
        ("61 2 ? * TUE *", r#"minute "61": 0 to 59"#),
        ("0 24 ? * TUE *", r#"hour "24": 0 to 23"#),
        ("0 +2 ? * TUE *", r#"hour "+2": 0 to 23"#),
        ("0 2 32 * ? *", r#"day of month "32": 1 to 31, L for the last"#),
        ("0 2 0W * ? *", r#"day of month "0W""#),
        ("0 2 ? FOO TUE *", r#"month "FOO": 1 to 12 or JAN to DEC"#),
        ("0 2 ? DEC-JAN TUE *", r#"month "DEC-JAN""#),
        ("0 2 ? * 8 *", r#"day of week "8": 1 to 7 or SUN to SAT"#),
        ("0 2 ? * 0 *", r#"day of week "0": 1 to 7"#),
        ("0 2 * * 8", r#"day of week "8": 0 to 7"#),
        ("0 2 ? * TUE#6 *", r#"day of week "TUE#6""#),
        ("0 2 ? * 3#1,6#3 *", "with a # there is one day only"),
        ("0 2 ? * TUE 2200", r#"year "2200": 1970 to 2199"#),
        ("0/0 2 ? * TUE *", r#"minute "0/0""#),
        ("0/90 2 ? * TUE *", r#"minute "0/90""#),
        ("0, 2 ? * TUE *", r#"minute """#),
        ("60 0 2 ? * TUE *", r#"second "60""#),
        ("? 2 ? * TUE *", r#"minute "?""#),
        ("0 2 * * TUE *", r#"day of month "*" and day of week "TUE": exactly one of them is a ?"#),
        ("0 2 ? * ? *", "exactly one of them is a ?"),
        ("0 2", "5 to 7 fields, not 2"),
        // Older pages of Systems Manager have seconds and no year: what stands where is wrong then.
        ("0 15 10 ? * MON-FRI", r#"day of month "10" and day of week "*""#),
    ] {
        let error = Cron::parse(cron).unwrap_err();
        assert!(error.message().contains(what), "{cron}: {error}");
        assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_long_list_of_a_field_is_refused_and_not_shown_whole() {
    let long = "1,".repeat(10_000);
    let error = Cron::parse(&format!("{long}1 2 ? * TUE *")).unwrap_err();
    assert!(error.message().len() < 300, "{error}");
}

/// A field as text, and the values that it has.
fn any_field(first: i16, last: i16) -> impl Strategy<Value = (String, Vec<i16>)> {
    let whole = move || (first..=last).collect::<Vec<_>>();
    let span = (first..=last, first..=last).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        2 => Just(("*".to_owned(), whole())),
        3 => vec(first..=last, 1..4)
            .prop_map(|all| (all.iter().map(i16::to_string).collect::<Vec<_>>().join(","), all)),
        1 => span.prop_map(|(a, b)| (format!("{a}-{b}"), (a..=b).collect())),
        1 => (first..=last, 1..=5_i16).prop_map(move |(from, step)| {
            let steps = (from..=last).filter(|it| (it - from) % step == 0);
            (format!("{from}/{step}"), steps.collect())
        }),
    ]
}

type Names = Box<dyn Fn(Date) -> bool>;

fn boxed(names: impl Fn(Date) -> bool + 'static) -> Names {
    Box::new(names)
}

/// The fields of days: of the month, and of the week.
fn any_days() -> impl Strategy<Value = (String, String)> {
    let week = select(vec![
        "SUN", "2", "MON-FRI", "SAT-MON", "TUE#1", "WED#2", "5#5", "FRIL", "1L", "L", "2,4,SAT",
    ]);
    let month = select(vec!["L", "LW", "1W", "15W", "30W", "31W", "1,15,L", "29-31", "2/9"]);
    prop_oneof![
        any_field(1, 31).prop_map(|(text, _)| (text, "?".to_owned())),
        month.prop_map(|text| (text.to_owned(), "?".to_owned())),
        week.prop_map(|text| ("?".to_owned(), text.to_owned())),
    ]
}

/// Whether a field of days of the month has one: by counting the days around it.
fn naive_month(text: &str, day: Date) -> bool {
    let workday = |it: &Date| !matches!(it.weekday(), Weekday::Saturday | Weekday::Sunday);
    let month = || (1..=31).filter_map(|n| Date::new(day.year(), day.month(), n).ok());
    text.split(',').any(|part| match part {
        "*" => true,
        "L" => month().next_back() == Some(day),
        "LW" => month().rfind(workday) == Some(day),
        part if part.ends_with('W') => {
            let wanted: i8 = part.trim_end_matches('W').parse().unwrap();
            month().any(|it| it.day() == wanted)
                && month().filter(workday).min_by_key(|it| (it.day() - wanted).abs()) == Some(day)
        }
        part => naive_span(part, day.day().into(), 31),
    })
}

fn naive_span(part: &str, value: i16, last: i16) -> bool {
    let (span, step) = part.split_once('/').map_or((part, 1), |(a, b)| (a, b.parse().unwrap()));
    let (from, to): (i16, i16) = match span.split_once('-') {
        Some((from, to)) => (from.parse().unwrap(), to.parse().unwrap()),
        None if part.contains('/') => (span.parse().unwrap(), last),
        None => (span.parse().unwrap(), span.parse().unwrap()),
    };
    (from..=to).step_by(usize::try_from(step).unwrap()).any(|it| it == value)
}

/// The same of a field of days of the week.
fn naive_week(text: &str, day: Date) -> bool {
    let names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let number = |text: &str| {
        let named = names.iter().position(|it| *it == text);
        named.or_else(|| Some(text.parse::<usize>().unwrap() - 1)).unwrap()
    };
    let is = usize::try_from(day.weekday().to_sunday_zero_offset()).unwrap();
    let same = |from: i8, to: i8| {
        (from..=to)
            .filter_map(|n| Date::new(day.year(), day.month(), n).ok())
            .filter(|it| it.weekday() == day.weekday())
            .count()
    };
    text.split(',').any(|part| {
        if part == "L" {
            is == 6
        } else if let Some((name, nth)) = part.split_once('#') {
            is == number(name) && same(1, day.day()) == nth.parse::<usize>().unwrap()
        } else if let Some(name) = part.strip_suffix('L') {
            is == number(name) && same(day.day(), 31) == 1
        } else if let Some((from, to)) = part.split_once('-') {
            let (from, to) = (number(from), number(to));
            (0..7).map(|n| (from + n) % 7).take_while(|it| *it != (to + 1) % 7).any(|it| it == is)
        } else {
            is == number(part)
        }
    })
}

proptest! {
    #[test]
    fn the_next_time_is_the_one_that_looking_at_each_minute_finds(
        (minute, minutes) in any_field(0, 59),
        (hour, hours) in any_field(0, 23),
        (month, months) in any_field(1, 12),
        (of_month, of_week) in any_days(),
        start in (2024..2030_i16, 1..=12_i8, 1..=28_i8, 0..24_i8, 0..60_i8),
    ) {
        let cron = Cron::parse(&format!("{minute} {hour} {of_month} {month} {of_week} *")).unwrap();
        let (year, m, day, h, min) = start;
        let start = date(year, m, day).at(h, min, 0, 0);
        let names = match of_month.as_str() {
            "?" => boxed(move |day| naive_week(&of_week, day)),
            _ => boxed(move |day| naive_month(&of_month, day)),
        };
        // Day by day, and minute by minute on the days that count; three years hold all but 29 February.
        let days = std::iter::successors(Some(start.date()), |day| day.tomorrow().ok());
        let due = days
            .take(3 * 366)
            .filter(|day| months.contains(&day.month().into()) && names(*day))
            .flat_map(|day| (0..24).flat_map(move |h| (0..60).map(move |m| day.at(h, m, 0, 0))))
            .filter(|it| hours.contains(&it.hour().into()) && minutes.contains(&it.minute().into()))
            .filter(|it| *it > start);
        let mut last = start;
        for due in due.take(40) {
            let found = cron.next(last);
            prop_assert_eq!(found, Some(due));
            last = due;
        }
    }

    #[test]
    fn no_expression_panics(text in "[0-9A-Z*?#,/L-]{1,6}( [0-9A-Z*?#,/L-]{1,6}){4,6}") {
        if let Ok(cron) = Cron::parse(&text) {
            let start = at("2026-03-03T10:00:00");
            if let Some(next) = cron.next(start) {
                prop_assert!(next > start);
                prop_assert!(cron.names(next.date()));
            }
        }
    }
}
