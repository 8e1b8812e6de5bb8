use std::collections::BTreeMap;

use super::*;
use crate::{Freeze, HostLink, LinkEvidence, MachineLink, OperatingSystem, Recurrence, ZoneName};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hours(n: u64) -> Duration {
    Duration::from_hours(n)
}

fn node(name: &str) -> NodeId {
    format!("aws/111122223333/eu-west-1/{name}").parse().unwrap()
}

fn table(schedule: &str) -> Timetable {
    Timetable::of_schedule(schedule.parse().unwrap(), ZoneName::utc())
}

/// Two hours by a schedule, on one node.
fn fleet(name: &str, schedule: &str, environment: &str, node: NodeId) -> ScheduledFleet {
    ScheduledFleet::new(name, table(schedule), hours(2)).with_nodes(environment, [node])
}

/// A month from the first of December on, a Tuesday.
fn december() -> ScheduleLint {
    ScheduleLint::new(at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z"))
        .with_environments(["dev", "test", "prod"])
}

fn printed(lint: &ScheduleLint, fleets: &[ScheduledFleet]) -> Vec<String> {
    lint.lint(fleets).iter().map(ToString::to_string).collect()
}

#[test]
fn schedules_that_keep_out_of_each_others_way_have_no_findings() {
    let fleets = [
        fleet("a", "cron(0 2 ? * MON *)", "dev", node("i-1")),
        fleet("b", "cron(0 4 ? * MON *)", "test", node("i-1")),
        fleet("c", "cron(0 2 ? * THU *)", "prod", node("i-2")),
    ];
    assert_eq!(printed(&december(), &fleets), [""; 0]);
}

#[test]
fn two_schedules_on_one_node_at_once_overlap() {
    let fleets = [
        fleet("a", "cron(0 2 ? * MON,THU *)", "dev", node("i-1"))
            .with_nodes("dev", [node("i-2"), node("i-3")]),
        fleet("b", "cron(30 3 ? * THU *)", "dev", node("i-2")).with_nodes("dev", [node("i-3")]),
        fleet("c", "cron(30 3 ? * THU *)", "dev", node("i-4")),
    ];
    let findings = december().lint(&fleets);
    assert_eq!(
        findings,
        [ScheduleFinding::Overlap {
            schedules: ["a".to_owned(), "b".to_owned()],
            nodes: 2,
            node: node("i-2"),
            at: at("2026-12-03T03:30:00Z"),
            times: 5,
        }]
    );
    assert_eq!(findings[0].schedules(), ["a", "b"]);
    assert_eq!(
        findings[0].to_string(),
        "a and b overlap on aws/111122223333/eu-west-1/i-2 and 1 other node at 2026-12-03T03:30:00Z, \
         in 5 windows"
    );
}

#[test]
fn schedules_of_two_clouds_overlap_on_a_machine_that_is_a_node_of_both() {
    let host: NodeId = "azure/s/westeurope/vm-1".parse().unwrap();
    let now = at("2026-12-01T00:00:00Z");
    let mut linked = ManagedNode::new(node("mi-1"), OperatingSystem::Ubuntu, now);
    linked.tags.insert("Environment".to_owned(), "prod".to_owned());
    linked.link = Some(MachineLink::Host(HostLink {
        host: host.clone(),
        vm_id: "0f9d2c62-4f0b-4a51-9c9d-0b7a9b6b7a11".parse().unwrap(),
        evidence: vec![LinkEvidence::Confirmed],
        conflicts: BTreeMap::new(),
        schedules: BTreeSet::new(),
    }));
    let aws = ScheduledFleet::new("window", table("cron(0 2 ? * SAT *)"), hours(2))
        .with_managed_nodes("Environment", [&linked]);
    assert!(aws.environments.contains("prod"));
    let every = Recurrence::read("Week Saturday");
    let first = "2026-12-05T03:00:00".parse().unwrap();
    let azure = Timetable::of_recurrence(every, first, ZoneName::new("W. Europe Standard Time"));
    let azure = ScheduledFleet::new("configuration", azure, hours(2)).with_nodes("prod", [host]);
    let findings = december().lint(&[aws, azure]);
    let [ScheduleFinding::Overlap { at: found, times, .. }] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!((*found, *times), (at("2026-12-05T02:00:00Z"), 4));
}

#[test]
fn a_window_that_is_still_open_when_it_opens_again_overlaps_itself() {
    let fleets = [fleet("a", "cron(0 0/1 24 * ? *)", "dev", node("i-1"))];
    assert_eq!(
        printed(&december(), &fleets),
        ["a opens again at 2026-12-24T01:00:00Z before it has closed, in 23 windows"]
    );
}

#[test]
fn production_is_not_patched_before_development() {
    let dev = |schedule| fleet("dev", schedule, "dev", node("i-1"));
    let prod = |schedule| fleet("prod", schedule, "prod", node("i-2"));
    let weekly = "cron(0 2 ? * SUN *)";
    // The week before counts, though it lies before the time that is looked at.
    assert_eq!(printed(&december(), &[dev("cron(0 2 ? * MON *)"), prod(weekly)]), [""; 0]);
    for (first, times) in [
        // Development is patched once a month.
        ("cron(0 2 ? * SAT#1 *)", 3),
        // It is still being patched when production begins.
        ("cron(0 1 ? * SUN *)", 4),
        ("cron(0 3 29 DEC ? 2026)", 4),
        ("at(2030-01-01T00:00:00)", 4),
    ] {
        let findings = december().lint(&[dev(first), prod(weekly)]);
        let late = findings.iter().filter_map(|it| match it {
            ScheduleFinding::OutOfOrder { before, times, .. } => Some((before.as_str(), *times)),
            _ => None,
        });
        assert_eq!(late.collect::<Vec<_>>(), [("dev", times)], "{first}");
    }
}

#[test]
fn the_nearest_environment_before_is_the_one_that_counts() {
    let fleets = [
        fleet("dev", "cron(0 2 ? * MON *)", "dev", node("i-1")),
        fleet("prod", "cron(0 2 ? * WED *)", "prod", node("i-2")),
        // Too late for the production of the same week, but of the next it is in time.
        fleet("test", "cron(0 2 ? * THU *)", "test", node("i-3")),
    ];
    assert_eq!(printed(&december(), &fleets), [""; 0]);
    let fleets =
        [fleet("all", "cron(0 2 ? * MON *)", "dev", node("i-1")).with_nodes("prod", [node("i-2")])];
    assert_eq!(
        printed(&december(), &fleets),
        [
            "all patches prod at 2026-12-07T02:00:00Z, which dev has not been patched for, in 4 windows"
        ]
    );
}

#[test]
fn a_window_is_too_short_for_more_nodes_than_it_has_time_for() {
    let thirty = Duration::from_mins(30);
    let fleet = |nodes: usize, at_once| {
        ScheduledFleet::new("a", table("cron(0 2 ? * MON *)"), hours(3))
            .with_cutoff(hours(1))
            .with_nodes("dev", (0..nodes).map(|n| node(&format!("i-{n}"))))
            .with_pace(thirty, at_once)
    };
    assert_eq!(printed(&december(), &[fleet(40, Amount::Fixed(10))]), [""; 0]);
    assert_eq!(
        printed(&december(), &[fleet(41, Amount::Fixed(10))]),
        ["a has 2h for 41 nodes that take 2h 30m"]
    );
    assert_eq!(printed(&december(), &[fleet(41, Amount::Percent(25))]), [""; 0]);
    assert_eq!(printed(&december(), &[fleet(0, Amount::Fixed(0))]), [""; 0]);
}

#[test]
fn a_window_in_a_freeze_is_found_and_so_is_one_that_nobody_knows_of() {
    let holidays = Freeze::new("holidays", at("2026-12-21T00:00:00Z"), at("2027-01-04T00:00:00Z"));
    let mut calendar = FreezeCalendar::new([holidays]);
    calendar.known_until = Some(at("2026-12-28T00:00:00Z"));
    calendar.problems.push("event \"x\": it has no DTSTART".to_owned());
    let fleets = [fleet("a", "cron(0 23 ? * SUN *)", "dev", node("i-1"))];
    assert_eq!(
        printed(&december().with_freezes(calendar), &fleets),
        [
            r#"a opens at 2026-12-20T23:00:00Z in the freeze "holidays" from 2026-12-21T00:00:00Z to 2027-01-04T00:00:00Z, in 2 windows"#,
            "a opens at 2026-12-27T23:00:00Z, for which the freeze calendar does not tell",
            r#"freeze calendar: event "x": it has no DTSTART"#,
        ]
    );
}

#[test]
fn a_schedule_that_is_over_or_wrong_or_not_counted_says_so_and_spoils_no_other() {
    let fleets = [
        fleet("over", "at(2026-11-30T02:00:00)", "dev", node("i-1")),
        fleet("never", "cron(0 2 30 FEB ? *)", "dev", node("i-1")),
        fleet("wrong", "cron(0 25 ? * MON *)", "dev", node("i-1")),
        fleet("counted", "rate(7 days)", "dev", node("i-1")),
        fleet("a", "cron(0 2 ? * MON *)", "dev", node("i-1")),
        fleet("b", "cron(0 2 ? * MON *)", "dev", node("i-1")),
    ];
    let findings = december().lint(&fleets);
    let [over, never, wrong, counted, overlap] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(over.to_string(), "over never comes again");
    assert_eq!(never.to_string(), "never never comes again");
    assert!(wrong.to_string().contains(r#"hour "25": 0 to 23"#), "{wrong}");
    assert!(matches!(counted, ScheduleFinding::Uncounted { .. }));
    assert!(matches!(overlap, ScheduleFinding::Overlap { .. }));
}

#[test]
fn a_schedule_that_comes_all_the_time_is_looked_at_for_a_while() {
    let one = ScheduledFleet::new("a", table("cron(* * * * ? *)"), Duration::from_secs(30));
    let findings = december().lint(&[one]);
    let [ScheduleFinding::TooOften { until, .. }] = &findings[..] else { panic!("{findings:?}") };
    assert!(*until < december().until);
}

#[test]
fn times_that_the_clocks_skip_or_repeat_are_told() {
    let york = |schedule: &str| {
        Timetable::of_schedule(schedule.parse().unwrap(), ZoneName::new("America/New_York"))
    };
    let year = ScheduleLint::new(at("2026-12-01T00:00:00Z"), at("2027-12-01T00:00:00Z"));
    let of = |table| year.lint(&[ScheduledFleet::new("a", table, hours(1))]);
    let change = |local: &str, change| ScheduleFinding::ClockChange {
        schedule: "a".to_owned(),
        local: local.parse().unwrap(),
        change,
    };
    assert_eq!(
        of(york("cron(30 2 * * ? *)")),
        [change("2027-03-14T02:30:00", ClockChange::Skipped)]
    );
    assert_eq!(
        of(york("cron(30 1 ? * SUN *)")),
        [change("2027-11-07T01:30:00", ClockChange::Repeated)]
    );
    assert_eq!(of(york("cron(30 3 * * ? *)")), []);
    assert_eq!(of(york("cron(30 2 ? * MON *)")), []);
    assert_eq!(
        of(york("rate(7 days)").with_start(at("2026-12-01T07:00:00Z"))),
        [change("2027-03-16T03:00:00", ClockChange::Shifted)]
    );
    assert_eq!(of(table("rate(7 days)").with_start(at("2026-12-01T07:00:00Z"))), []);
}

#[test]
fn findings_survive() {
    let fleets = [
        fleet("a", "cron(0 2 ? * MON *)", "dev", node("i-1")),
        fleet("b", "cron(0 2 ? * MON *)", "prod", node("i-1")),
    ];
    let findings = december().lint(&fleets);
    assert_eq!(findings.len(), 2);
    let json = serde_json::to_string(&findings).unwrap();
    assert_eq!(serde_json::from_str::<Vec<ScheduleFinding>>(&json).unwrap(), findings);
}
