use super::*;

#[test]
fn schedules_print_and_parse_back() {
    for text in
        ["rate(1 day)", "rate(30 minutes)", "at(2026-12-01T03:00:00)", "cron(0 2 ? * TUE#2 *)"]
    {
        assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
    }
}

#[test]
fn a_wrong_schedule_says_what_is_wrong() {
    for (text, what) in [
        ("rate(2 day)", "with an s"),
        ("rate(0 days)", "1 or more"),
        ("cron(bad)", "5 to 7 fields"),
        ("at(noon)", "not a time"),
        ("weekly", "not rate"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    ZoneName::new(name).find().unwrap()
}

fn times(schedule: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let schedule: Schedule = schedule.parse().unwrap();
    let all = schedule.occurrences(&zone(zone_name), at(after)).unwrap();
    all.take(count).map(|it| it.to_string()).collect()
}

#[test]
fn eventbridge_skips_a_time_that_the_clocks_skip() {
    // "your schedule invocation gets skipped if the cron expression falls on a non-existent date and
    // time" (re:Post, "eventbridge-scheduler-adjust-dst"). On 8 March 2026 there is no 02:30.
    assert_eq!(
        times("cron(30 2 * * ? *)", "America/New_York", "2026-03-07T00:00:00Z", 3),
        ["2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"]
    );
    assert_eq!(
        times("at(2026-03-08T02:30:00)", "America/New_York", "2026-03-01T00:00:00Z", 1),
        [""; 0]
    );
}

#[test]
fn eventbridge_takes_a_time_that_comes_twice_once() {
    // "your schedule runs only once and doesn't repeat its invocation" (same page).
    assert_eq!(
        times("cron(0/30 1 * * ? *)", "America/New_York", "2026-11-01T00:00:00Z", 4),
        [
            "2026-11-01T05:00:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-02T06:00:00Z",
            "2026-11-02T06:30:00Z"
        ]
    );
    // From within the second hour on, the first is over.
    assert_eq!(
        times("cron(0/30 1 * * ? *)", "America/New_York", "2026-11-01T06:10:00Z", 1),
        ["2026-11-02T06:00:00Z"]
    );
}

#[test]
fn days_of_a_rate_have_24_hours_whatever_the_clocks_do() {
    assert_eq!(
        times("rate(1 day)", "America/New_York", "2026-03-07T12:00:00Z", 2),
        ["2026-03-08T12:00:00Z", "2026-03-09T12:00:00Z"]
    );
}

#[test]
fn a_schedule_that_is_over_has_no_more_times() {
    let after = "2026-12-01T00:00:00Z";
    assert_eq!(
        times("at(2026-12-01T03:00:00)", "Europe/Berlin", after, 9),
        ["2026-12-01T02:00:00Z"]
    );
    assert_eq!(times("at(2026-12-01T03:00:00)", "UTC", "2026-12-01T03:00:00Z", 9), [""; 0]);
    assert_eq!(times("cron(0 0 30 FEB ? *)", "UTC", after, 9), [""; 0]);
    assert_eq!(times("cron(0 0 31 DEC ? *)", "UTC", after, 999).len(), 174);
    assert_eq!(times("rate(40000 days)", "UTC", after, 9), ["2136-06-07T00:00:00Z"]);
}

#[test]
fn a_day_that_a_zone_left_out_is_left_out() {
    // Samoa had no 30 December 2011.
    assert_eq!(
        times("cron(0 3 * * ? *)", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
        ["2011-12-29T13:00:00Z", "2011-12-30T13:00:00Z", "2011-12-31T13:00:00Z"]
    );
}

#[test]
fn a_cron_expression_is_looked_at_when_its_times_are_asked_for() {
    let stored: Schedule = "cron(0 25 ? * TUE *)".parse().unwrap();
    assert_eq!(serde_json::to_string(&stored).unwrap(), r#""cron(0 25 ? * TUE *)""#);
    let error = stored.next_after(&TimeZone::UTC, at("2026-12-01T00:00:00Z")).unwrap_err();
    assert!(error.message().contains(r#"hour "25": 0 to 23"#), "{error}");
}

#[test]
fn a_zone_has_a_name_in_both_worlds() {
    assert_eq!(ZoneName::utc().windows(), Some("UTC"));
    assert_eq!(ZoneName::new("Etc/UTC").windows(), Some("UTC"));
    assert_eq!(ZoneName::new("w. europe standard time").iana(), Some("Europe/Berlin"));
    assert_eq!(ZoneName::new("Europe/Vienna").windows(), None);
    assert_eq!(ZoneName::new("Moon Standard Time").iana(), None);
    assert_eq!(
        ZoneName::new("Moon Standard Time").find().unwrap_err().kind(),
        crate::ErrorKind::NotFound
    );
    assert!("Europe/Nowhere".parse::<ZoneName>().unwrap_err().message().contains("no time zone"));
    assert_eq!("Asia/Tokyo".parse::<ZoneName>().unwrap().as_str(), "Asia/Tokyo");
}

#[test]
fn each_name_of_windows_stands_for_a_zone_that_there_is() {
    for name in zone::names() {
        ZoneName::new(name).find().unwrap_or_else(|error| panic!("{}", error.report()));
    }
}
