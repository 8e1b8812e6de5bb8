use patchkit_core::MonthDay;

use super::*;

fn at(text: &str) -> DateTime {
    text.parse().unwrap()
}

fn window(schedule: &str) -> Result<PatchWindow> {
    let zone = TimeZoneName::new("UTC").unwrap();
    // A Tuesday.
    PatchWindow::of(&schedule.parse().unwrap(), at("2026-11-24T02:00:00"), zone, SHORTEST)
}

#[test]
fn a_schedule_opens_first_on_a_day_that_it_names_and_comes_back() {
    for (schedule, recurs, starts, back) in [
        ("rate(14 days)", "14Days", "2026-11-24T02:00:00", "rate(14 days)"),
        ("rate(12 hours)", "12Hours", "2026-11-24T02:00:00", "rate(12 hours)"),
        ("rate(360 minutes)", "6Hours", "2026-11-24T02:00:00", "rate(6 hours)"),
        ("cron(30 1 * * ? *)", "Day", "2026-11-25T01:30:00", "cron(30 1 * * ? *)"),
        (
            "cron(0 3 ? * SAT,SUN *)",
            "Week Saturday,Sunday",
            "2026-11-28T03:00:00",
            "cron(0 3 ? * SAT,SUN *)",
        ),
        (
            "cron(0 3 ? * 2-4 *)",
            "Week Monday,Tuesday,Wednesday",
            "2026-11-24T03:00:00",
            "cron(0 3 ? * MON,TUE,WED *)",
        ),
        ("cron(0 3 * * 0)", "Week Sunday", "2026-11-29T03:00:00", "cron(0 3 ? * SUN *)"),
        ("cron(0 3 * * 7)", "Week Sunday", "2026-11-29T03:00:00", "cron(0 3 ? * SUN *)"),
        ("cron(0 0 3 ? * 1 *)", "Week Sunday", "2026-11-29T03:00:00", "cron(0 3 ? * SUN *)"),
        (
            "cron(0 3 ? * TUE#2 *)",
            "Month Second Tuesday",
            "2026-12-08T03:00:00",
            "cron(0 3 ? * TUE#2 *)",
        ),
        (
            "cron(0 3 ? * FRIL *)",
            "Month Last Friday",
            "2026-11-27T03:00:00",
            "cron(0 3 ? * FRIL *)",
        ),
        ("cron(0 3 1,15 * ? *)", "Month day1,day15", "2026-12-01T03:00:00", "cron(0 3 1,15 * ? *)"),
        ("cron(0 3 L * ? *)", "Month day-1", "2026-11-30T03:00:00", "cron(0 3 L * ? *)"),
    ] {
        let window = window(schedule).unwrap();
        assert_eq!(window.recurs.to_string(), recurs, "{schedule}");
        assert_eq!(window.starts, at(starts), "{schedule}");
        assert_eq!(window.schedule().unwrap().to_string(), back, "{schedule}");
        assert_eq!(PatchWindow::read(&window.to_json()).unwrap(), window, "{schedule}");
    }
    let once = window("at(2026-12-01T03:00:00)").unwrap();
    assert_eq!((once.recurs.clone(), once.starts), (Recurrence::Once, at("2026-12-01T03:00:00")));
    assert!(once.to_json().get("recurEvery").is_none());
    assert_eq!(once.schedule().unwrap().to_string(), "at(2026-12-01T03:00:00)");
}

#[test]
fn what_azure_has_no_word_for_says_what_it_is() {
    for (schedule, what) in [
        ("rate(30 minutes)", "hours"),
        ("rate(3 hours)", "six hours"),
        ("cron(0/15 3 * * ? *)", "one hour and minute"),
        ("cron(0 3,15 * * ? *)", "one hour and minute"),
        ("cron(0 3 * 6 ? *)", "single months"),
        ("cron(0 3 ? * SAT 2027)", "single years"),
        ("cron(0 3 1 * SAT)", "two schedules"),
        ("cron(0 3 1 * SAT *)", "exactly one of them is a ?"),
        ("cron(0 3 15W * ? *)", "by their number"),
        ("cron(0 3 ? * SAT#5 *)", "fifth weekday"),
        ("cron(0 3 ? * 8 *)", "1 to 7"),
        ("cron(0 24 * * ? *)", "0 to 23"),
        ("cron(30 0 3 * * ? *)", "no seconds"),
    ] {
        let error = window(schedule).unwrap_err();
        assert!(error.message().contains(what), "{schedule}: {error}");
    }
}

#[test]
fn what_no_schedule_says_says_what_it_is() {
    for (recurs, what) in [
        ("2Weeks Saturday,Sunday", "some weeks"),
        ("5Months", "others in each year"),
        ("Month Second Tuesday Offset4", "after a weekday"),
        ("Sometimes", "none that PatchKit knows"),
    ] {
        let zone = TimeZoneName::new("UTC").unwrap();
        let window = PatchWindow::new(at("2026-12-05T03:00:00"), zone, SHORTEST)
            .with_recurrence(Recurrence::read(recurs));
        assert_eq!(window.recurs.to_string(), recurs);
        let error = window.schedule().unwrap_err();
        assert!(error.message().contains(what), "{recurs}: {error}");
    }
    let zone = TimeZoneName::new("UTC").unwrap();
    let fortnight = PatchWindow::new(at("2026-12-05T03:00:00"), zone, SHORTEST)
        .with_recurrence(Recurrence::read("2Weeks Saturday"));
    assert_eq!(fortnight.schedule().unwrap().to_string(), "rate(14 days)");
}

#[test]
fn a_window_that_azure_does_not_take_is_refused() {
    let zone = || TimeZoneName::new("UTC").unwrap();
    let starts = at("2026-12-05T03:00:00");
    let of = |duration| PatchWindow::new(starts, zone(), duration);
    for wrong in [
        of(Duration::from_mins(89)),
        of(Duration::from_mins(236)),
        of(SHORTEST).with_expiry(starts),
        of(SHORTEST).with_recurrence(Recurrence::Days(0)),
        of(SHORTEST).with_recurrence(Recurrence::Months(1, vec![MonthDay::Day(32)])),
        of(SHORTEST).with_recurrence(Recurrence::read("Sometimes")),
        PatchWindow::new(at("9999-12-01T00:00:00"), zone(), SHORTEST),
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
    assert!(of(LONGEST).check().is_ok());
}

#[test]
fn a_zone_has_its_name_of_windows() {
    assert_eq!(TimeZoneName::new("UTC").unwrap().as_str(), "UTC");
    assert_eq!(TimeZoneName::new("w. europe standard time").unwrap().iana(), Some("Europe/Berlin"));
    let error = TimeZoneName::new("Europe/Nowhere").unwrap_err();
    assert!(error.message().contains("Windows"), "{error}");
    assert_eq!(TimeZoneName::kept("Moon Standard Time").as_str(), "Moon Standard Time");
}

#[test]
fn only_a_window_that_is_sure_never_to_open_never_opens() {
    let now = "2026-11-24T02:00:00Z".parse().unwrap();
    let with = |key: &str, value: &str| {
        let mut window = json!({"startDateTime": "2026-11-01 02:00", "duration": "02:00",
            "timeZone": "Moon Standard Time", "recurEvery": "Day"});
        window[key] = value.into();
        Timing::of(&window, now)
    };
    assert_eq!(Timing::of(&dormant(), now), Timing::Never);
    assert_eq!(with("expirationDateTime", "2026-11-20 00:00"), Timing::Never);
    for (key, value) in [
        ("expirationDateTime", "9999-12-31 23:59:59"),
        // Wherever the zone is.
        ("expirationDateTime", "2026-11-23 12:00"),
        ("startDateTime", "2030-01-01 00:00"),
        ("recurEvery", "LearnedLater"),
        ("startDateTime", "soon"),
        ("expirationDateTime", "soon"),
    ] {
        assert!(with(key, value).is_live(), "{key} {value}");
    }
}

#[test]
fn a_window_is_held_against_others_as_a_timetable() {
    let zone = TimeZoneName::new("Europe/Berlin").unwrap();
    let window = PatchWindow::new(at("2026-12-08T03:00:00"), zone, SHORTEST)
        .with_recurrence("Month Second Tuesday Offset4".parse().unwrap())
        .with_expiry(at("2027-02-01T00:00:00"));
    let table = window.timetable().unwrap();
    let times: Vec<_> = table.occurrences(Timestamp::UNIX_EPOCH).unwrap().collect();
    assert_eq!(
        times.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2026-12-12T02:00:00Z", "2027-01-16T02:00:00Z"]
    );
    let aws = table.to_aws().unwrap();
    assert!(aws.to_string().starts_with("cron(0 3 ? * TUE#2 *) + 4 days, Europe/Berlin"), "{aws}");
    let nowhere = TimeZoneName::kept("Moon Standard Time");
    assert!(PatchWindow { zone: nowhere, ..window }.timetable().is_err());
}
