use proptest::prelude::*;

use super::*;
use crate::ZoneName;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn calendar_of(body: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\n{body}END:VCALENDAR\n").replace('\n', "\r\n")
}

fn event(body: &str) -> String {
    format!("BEGIN:VEVENT\nUID:1\nSUMMARY:Freeze\n{body}\nEND:VEVENT\n")
}

/// Read with clocks of Berlin for what has none, for the year from December 2026 on.
fn read(body: &str) -> FreezeCalendar {
    let zone = ZoneName::new("Europe/Berlin").find().unwrap();
    let (from, until) = (at("2026-12-01T00:00:00Z"), at("2027-12-01T00:00:00Z"));
    FreezeCalendar::from_ical(&calendar_of(body), &zone, from, until).unwrap()
}

fn times(body: &str) -> Vec<(String, String)> {
    let calendar = read(body);
    assert!(calendar.problems.is_empty(), "{:?}", calendar.problems);
    let pair = |it: &Freeze| (it.starts.to_string(), it.ends.to_string());
    calendar.freezes.iter().map(pair).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

#[test]
fn an_event_is_a_freeze_by_the_clocks_that_it_names() {
    for (body, starts, ends) in [
        (
            "DTSTART:20261224T080000Z\nDTEND:20261226T200000Z",
            "2026-12-24T08:00:00Z",
            "2026-12-26T20:00:00Z",
        ),
        (
            "DTSTART:20261224T080000\nDTEND:20261226T200000",
            "2026-12-24T07:00:00Z",
            "2026-12-26T19:00:00Z",
        ),
        (
            "DTSTART;TZID=America/New_York:20261224T080000\nDURATION:PT90M",
            "2026-12-24T13:00:00Z",
            "2026-12-24T14:30:00Z",
        ),
        (
            // As Outlook writes it.
            "DTSTART;TZID=\"W. Europe Standard Time\":20261224T080000\nDURATION:P1W",
            "2026-12-24T07:00:00Z",
            "2026-12-31T07:00:00Z",
        ),
        ("DTSTART;VALUE=DATE:20261224", "2026-12-23T23:00:00Z", "2026-12-24T23:00:00Z"),
        (
            "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20270102",
            "2026-12-23T23:00:00Z",
            "2027-01-01T23:00:00Z",
        ),
        // Days are of the calendar: this one has 23 hours.
        ("DTSTART:20270328T000000\nDURATION:P1D", "2027-03-27T23:00:00Z", "2027-03-28T22:00:00Z"),
        ("DTSTART:20270328T000000\nDURATION:PT24H", "2027-03-27T23:00:00Z", "2027-03-28T23:00:00Z"),
    ] {
        assert_eq!(times(&event(body)), pairs(&[(starts, ends)]), "{body}");
    }
}

#[test]
fn a_name_of_somebodys_own_is_looked_up_in_the_calendar() {
    let zone = "BEGIN:VTIMEZONE\nTZID:Hausen\nX-LIC-LOCATION:Asia/Tokyo\nEND:VTIMEZONE\n";
    let body = event("DTSTART;TZID=Hausen:20261224T080000\nDURATION:PT1H");
    assert_eq!(
        times(&format!("{zone}{body}")),
        pairs(&[("2026-12-23T23:00:00Z", "2026-12-24T00:00:00Z")])
    );
    let calendar = read(&body);
    assert_eq!(calendar.freezes, []);
    assert_eq!(calendar.problems, [r#"event "Freeze": the time zone "Hausen" is not known"#]);
}

#[test]
fn what_recurs_is_written_out_by_the_clocks_of_its_zone() {
    // The last three days of each quarter, summer or winter.
    assert_eq!(
        times(&event(
            "DTSTART;VALUE=DATE:20260329\nDURATION:P3D\nRRULE:FREQ=YEARLY;BYMONTH=3,6,9,12;BYMONTHDAY=29"
        )),
        pairs(&[
            ("2026-12-28T23:00:00Z", "2026-12-31T23:00:00Z"),
            ("2027-03-28T22:00:00Z", "2027-03-31T22:00:00Z"),
            ("2027-06-28T22:00:00Z", "2027-07-01T22:00:00Z"),
            ("2027-09-28T22:00:00Z", "2027-10-01T22:00:00Z"),
        ])
    );
    // A rule's end is an instant where the start has a zone: 15:00 in New York is 20:00 in UTC.
    let body =
        "DTSTART;TZID=America/New_York:20261207T150000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;UNTIL=";
    assert_eq!(times(&event(&format!("{body}20261214T200000Z"))).len(), 2);
    assert_eq!(times(&event(&format!("{body}20261214T195959Z"))).len(), 1);
    assert_eq!(times(&event(&format!("{body}20261214"))).len(), 2);
}

#[test]
fn what_began_long_ago_is_written_out_where_it_is_asked_for() {
    let body = "DTSTART;VALUE=DATE:19991224\nDTEND;VALUE=DATE:19991227\nRRULE:FREQ=YEARLY";
    assert_eq!(times(&event(body)), pairs(&[("2026-12-23T23:00:00Z", "2026-12-26T23:00:00Z")]));
    let body = "DTSTART:20000101T220000\nDURATION:PT2H\nRRULE:FREQ=DAILY";
    let all = times(&event(body));
    assert_eq!(all.len(), 365);
    assert_eq!(all.last().unwrap().0, "2027-11-30T21:00:00Z");
}

#[test]
fn a_freeze_that_is_half_over_is_one() {
    let body = "DTSTART:20261130T000000Z\nDTEND:20261202T000000Z";
    assert_eq!(times(&event(body)).len(), 1);
    assert_eq!(times(&event("DTSTART:20261130T000000Z\nDTEND:20261201T000000Z")), []);
}

#[test]
fn exceptions_and_further_dates_change_what_recurs() {
    let body = "DTSTART;TZID=Europe/Berlin:20261204T180000\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;COUNT=4\n\
        EXDATE;TZID=Europe/Berlin:20261211T180000\nEXDATE;VALUE=DATE:20261218\nRDATE:20261230T170000Z";
    assert_eq!(
        times(&event(body)),
        pairs(&[
            ("2026-12-04T17:00:00Z", "2026-12-04T19:00:00Z"),
            ("2026-12-25T17:00:00Z", "2026-12-25T19:00:00Z"),
            ("2026-12-30T17:00:00Z", "2026-12-30T19:00:00Z"),
        ])
    );
}

#[test]
fn an_instance_that_was_moved_is_where_it_was_moved_to() {
    let weekly = event("DTSTART:20261204T180000Z\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;COUNT=3");
    let moved = event("RECURRENCE-ID:20261211T180000Z\nDTSTART:20261212T100000Z\nDURATION:PT1H");
    let gone = event(
        "RECURRENCE-ID:20261218T180000Z\nDTSTART:20261218T180000Z\nDURATION:PT1H\nSTATUS:CANCELLED",
    );
    assert_eq!(
        times(&[weekly, moved, gone].concat()),
        pairs(&[
            ("2026-12-04T18:00:00Z", "2026-12-04T20:00:00Z"),
            ("2026-12-12T10:00:00Z", "2026-12-12T11:00:00Z"),
        ])
    );
}

#[test]
fn a_cancelled_event_is_no_freeze_and_free_time_is_one() {
    let day = "DTSTART;VALUE=DATE:20261224";
    assert_eq!(times(&event(&format!("{day}\nSTATUS:CANCELLED"))), []);
    assert_eq!(times(&event(&format!("{day}\nTRANSP:TRANSPARENT\nSTATUS:TENTATIVE"))).len(), 1);
}

#[test]
fn a_freeze_in_the_hour_that_comes_twice_holds_through_both() {
    let body = "DTSTART:20271031T023000\nDTEND:20271031T024500";
    assert_eq!(times(&event(body)), pairs(&[("2027-10-31T00:30:00Z", "2027-10-31T01:45:00Z")]));
}

#[test]
fn an_event_that_cannot_be_read_spoils_only_itself_and_is_named() {
    for (body, what) in [
        ("DTEND:20261226T200000Z", "no DTSTART"),
        ("DTSTART:soon\nDURATION:P1D", "DTSTART is no time"),
        ("DTSTART:20261332T000000Z\nDURATION:P1D", "DTSTART is no time"),
        ("DTSTART:20261224T000000Z", "neither DTEND nor DURATION"),
        ("DTSTART:20261224T000000Z\nDTEND:20261223T000000Z", "ends no later"),
        ("DTSTART:20261224T000000Z\nDURATION:-P1D", "ends no later"),
        ("DTSTART:20261224T000000Z\nDURATION:long", "DURATION is none"),
        ("DTSTART:20261224T000000Z\nDURATION:P1D\nRRULE:FREQ=SOMETIMES", "RRULE"),
        ("DTSTART:20261224T000000Z\nDURATION:P1D\nRRULE:FREQ=HOURLY", "within a day"),
        ("DTSTART:20261224T000000Z\nDURATION:P1D\nRRULE:FREQ=YEARLY;BYMONTH=13", "BYMONTH"),
        (
            "DTSTART:20261224T000000Z\nDURATION:P1D\nRRULE:FREQ=DAILY;RSCALE=HEBREW",
            "another calendar",
        ),
        ("DTSTART:20261224T000000Z\nDURATION:P1D\nEXDATE:never", "EXDATE is no time"),
        (
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20261224T000000Z\nDTSTART:20261225T000000Z\nDURATION:P1D",
            "all later ones",
        ),
    ] {
        let other = "BEGIN:VEVENT\nSUMMARY:Other\nDTSTART;VALUE=DATE:20270101\nEND:VEVENT\n";
        let calendar = read(&[event(body).as_str(), other].concat());
        let names: Vec<_> = calendar.freezes.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["Other"], "{body}");
        let [problem] = &calendar.problems[..] else { panic!("{body}: {:?}", calendar.problems) };
        assert!(problem.starts_with(r#"event "Freeze": "#) && problem.contains(what), "{problem}");
    }
}

#[test]
fn a_file_that_is_cut_off_says_so() {
    let whole = calendar_of(&event("DTSTART;VALUE=DATE:20261224"));
    let (from, until) = (at("2026-12-01T00:00:00Z"), at("2027-12-01T00:00:00Z"));
    let cut = whole.replace("END:VCALENDAR\r\n", "");
    let calendar = FreezeCalendar::from_ical(&cut, &TimeZone::UTC, from, until).unwrap();
    assert_eq!(calendar.freezes.len(), 1);
    assert!(calendar.problems.iter().any(|it| it.contains("not whole")), "{:?}", calendar.problems);
    for none in ["", "hello", "BEGIN:VCARD\r\nFN:X\r\nEND:VCARD\r\n"] {
        let error = FreezeCalendar::from_ical(none, &TimeZone::UTC, from, until).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_rule_that_never_holds_ends() {
    let body = "DTSTART;VALUE=DATE:20261224\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30";
    assert_eq!(times(&event(body)).len(), 1);
}

#[test]
fn a_calendar_knows_of_what_it_was_read_for() {
    let calendar = read(&event("DTSTART;VALUE=DATE:20261224"));
    assert!(calendar.knows(at("2026-12-01T00:00:00Z")));
    assert!(!calendar.knows(at("2026-11-30T23:59:59Z")));
    assert!(!calendar.knows(at("2027-12-01T00:00:00Z")));
}

proptest! {
    #[test]
    fn no_calendar_panics(
        lines in proptest::collection::vec(
            "(BEGIN|END):(VEVENT|VCALENDAR|VTIMEZONE)|(DTSTART|DTEND|RDATE|EXDATE|RECURRENCE-ID)(;VALUE=DATE|;TZID=[A-Z/]{1,5})?:[0-9TZ/,]{0,20}|RRULE:FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY);(COUNT|INTERVAL|BYDAY|BYMONTHDAY|BYSETPOS|BYYEARDAY|BYWEEKNO|UNTIL)=-?[0-9MOTUWE,]{0,6}|DURATION:P?[0-9DTHM]{0,9}|\\PC{0,20}",
            0..24,
        ),
    ) {
        let body = lines.join("\n");
        for text in [calendar_of(&event(&body)), calendar_of(&body), body] {
            let (from, until) = (at("2026-12-01T00:00:00Z"), at("2027-12-01T00:00:00Z"));
            if let Ok(calendar) = FreezeCalendar::from_ical(&text, &TimeZone::UTC, from, until) {
                for freeze in &calendar.freezes {
                    prop_assert!(freeze.starts < freeze.ends && freeze.starts < until && from < freeze.ends);
                }
            }
        }
    }
}
