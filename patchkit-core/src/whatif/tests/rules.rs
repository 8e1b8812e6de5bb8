//! Rules that random fleets do not show by name.

use jiff::Timestamp;

use crate::{
    ApprovalRule, AutoApproval, ComplianceLevel, ComplianceStatus, ErrorKind, NodeId,
    OperatingSystem, Patch, PatchBaseline, PatchFilter, PatchFilterKey, PatchGroupName, PatchId,
    PatchState, Presence, RejectedAction,
    whatif::{
        BaselineSet, Certainty, Doubt, Evidence, GroupBy, MatrixBuilder, NodeFacts, PatchMatrix,
        PatchRef, Scenario, forecast, what_if,
    },
};

const LINUX: OperatingSystem = OperatingSystem::AmazonLinux2023;

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn id(name: &str) -> NodeId {
    format!("aws/111122223333/eu-west-1/{name}").parse().unwrap()
}

pub(super) fn patch(name: &str) -> Patch {
    Patch::new(PatchId::new(name).unwrap())
}

fn released(name: &str, at: &str) -> Patch {
    patch(name).with_released_at(time(at))
}

fn after_days(days: u16) -> PatchBaseline {
    PatchBaseline::new("web", LINUX).with_rule(
        ApprovalRule::new(AutoApproval::AfterDays(days)).with_level(ComplianceLevel::High),
    )
}

fn add(builder: &mut MatrixBuilder, name: &str, patches: &[(PatchRef, Presence)]) {
    let facts = NodeFacts::new(id(name), LINUX);
    let facts = patches.iter().fold(facts, |facts, (patch, it)| facts.with_patch(*patch, *it));
    builder.node(facts).unwrap();
}

#[test]
fn of_a_patch_that_comes_twice_the_worse_counts() {
    let scenario = Scenario::new(after_days(0), time("2026-01-01T00:00:00Z"));
    for presences in [
        [Presence::Installed, Presence::Absent],
        [Presence::InstallFailed, Presence::NotApplicable],
        [Presence::InstalledPendingReboot, Presence::Installed],
    ] {
        for presences in [presences, [presences[1], presences[0]]] {
            let mut builder = PatchMatrix::builder();
            let bash = builder.patch(&LINUX, patch("bash"));
            assert_eq!(bash, builder.patch(&LINUX, patch("bash")));
            add(&mut builder, "i-0a", &presences.map(|presence| (bash, presence)));
            let matrix = builder.build();
            let verdict = matrix.judge(&scenario).verdict(&id("i-0a")).unwrap();
            assert_eq!(verdict.status, ComplianceStatus::NonCompliant, "{presences:?}");
            assert_eq!(verdict.counts.non_compliant(), 1);
        }
    }
}

#[test]
fn a_node_that_comes_twice_and_a_patch_of_another_system_are_refused() {
    let mut builder = PatchMatrix::builder();
    let update = builder.patch(&OperatingSystem::Windows, patch("KB1"));
    add(&mut builder, "i-0a", &[]);
    let twice = builder.node(NodeFacts::new(id("i-0a"), OperatingSystem::Windows)).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let foreign = NodeFacts::new(id("i-0b"), LINUX).with_patch(update, Presence::Absent);
    assert_eq!(builder.node(foreign).unwrap_err().kind(), ErrorKind::InvalidInput);
    // What was refused is not half in it.
    let matrix = builder.build();
    assert_eq!(matrix.len(), 1);
    assert!(matrix.node(&id("i-0b")).is_none());
}

#[test]
fn a_node_without_data_is_unknown_with_the_reason_and_never_compliant() {
    let mut builder = PatchMatrix::builder();
    let bash = builder.patch(&LINUX, patch("bash"));
    let facts = |name: &str, evidence| NodeFacts::new(id(name), LINUX).with_evidence(evidence);
    for (name, evidence) in [
        ("i-whole", Evidence::Whole),
        ("i-part", Evidence::Part),
        ("i-none", Evidence::Nothing),
        ("i-two", Evidence::AmbiguousGroup),
    ] {
        builder.node(facts(name, evidence)).unwrap();
    }
    let wrong = facts("i-wrong", Evidence::Part).with_patch(bash, Presence::Absent);
    builder.node(wrong).unwrap();
    builder.node(NodeFacts::new(id("i-other"), OperatingSystem::Suse)).unwrap();
    let matrix = builder.build();
    let scenario = Scenario::new(after_days(0), time("2026-01-01T00:00:00Z"));
    let verdicts = matrix.judge(&scenario);
    for (name, status, doubt) in [
        ("i-whole", ComplianceStatus::Compliant, None),
        ("i-part", ComplianceStatus::Unknown, Some(Doubt::ReportInPart)),
        ("i-none", ComplianceStatus::Unknown, Some(Doubt::NotScanned)),
        ("i-two", ComplianceStatus::Unknown, Some(Doubt::AmbiguousGroup)),
        ("i-other", ComplianceStatus::Unknown, Some(Doubt::NoBaseline)),
        ("i-wrong", ComplianceStatus::NonCompliant, None),
    ] {
        assert_eq!(verdicts.status(&id(name)), Some(status), "{name}");
        assert_eq!(verdicts.doubt(&id(name)), doubt, "{name}");
    }
    assert_eq!(verdicts.status(&id("i-elsewhere")), None);
    assert_eq!(verdicts.unknown().count(), 4);
}

#[test]
fn rejecting_a_patch_and_a_shorter_delay_say_who_falls_out_and_who_comes_in_and_from_when() {
    let mut builder = PatchMatrix::builder();
    let old = builder.offer(&LINUX, released("old", "2026-01-01T00:00:00Z"));
    let new = builder.offer(&LINUX, released("new", "2026-01-10T06:00:00Z"));
    let lacks = |patch| [(patch, Presence::Absent)];
    add(&mut builder, "i-old", &lacks(old));
    add(&mut builder, "i-new", &lacks(new));
    add(&mut builder, "i-both", &[(old, Presence::Absent), (new, Presence::Absent)]);
    add(&mut builder, "i-fine", &[(old, Presence::Installed), (new, Presence::Installed)]);
    let matrix = builder.build();
    let when = time("2026-01-15T00:00:00Z");
    let before = Scenario::new(after_days(7), when);
    let after = Scenario::new(after_days(3).with_rejected(["old"]), when);
    let answer = what_if(&matrix, &before, &after);

    let changes: Vec<_> = answer.changes().collect();
    let change = |name: &str| changes.iter().find(|it| it.node == id(name));
    assert_eq!(changes.len(), 2);
    let out = change("i-new").unwrap();
    assert_eq!(out.after, ComplianceStatus::NonCompliant);
    assert_eq!(out.since, Some(time("2026-01-13T06:00:00Z")));
    assert_eq!(out.causes[0].patch.as_str(), "new");
    assert_eq!((&out.causes[0].before, &out.causes[0].after), (&None, &Some(PatchState::Missing)));
    assert_eq!(out.causes[0].level, ComplianceLevel::High);
    assert_eq!(out.causes[0].certainty, Certainty::Reported);
    let back = change("i-old").unwrap();
    assert_eq!((back.after, back.since), (ComplianceStatus::Compliant, None));
    assert_eq!(back.causes[0].before, Some(PatchState::Missing));
    assert_eq!(answer.counts().fall_out, 1);
    assert_eq!(answer.counts().come_in, 1);
    // The other way round it comes two days later.
    let shifts = what_if(&matrix, &after, &before).shifts(time("2026-02-01T00:00:00Z"));
    assert!(shifts.is_empty(), "{shifts:?}");
    let early = time("2026-01-12T00:00:00Z");
    let (before, after) = (Scenario { when: early, ..before }, Scenario { when: early, ..after });
    let shifts = what_if(&matrix, &before, &after).shifts(time("2026-02-01T00:00:00Z"));
    assert_eq!(shifts.len(), 1);
    assert_eq!(shifts[0].node, id("i-new"));
    assert_eq!(shifts[0].before, Some(time("2026-01-17T06:00:00Z")));
    assert_eq!(shifts[0].after, Some(time("2026-01-13T06:00:00Z")));
}

#[test]
fn a_forecast_names_the_day_the_patch_and_the_nodes() {
    let mut builder = PatchMatrix::builder();
    let first = builder.offer(&LINUX, released("first", "2026-01-10T06:00:00Z"));
    let second = builder.offer(&LINUX, released("second", "2026-01-11T23:00:00Z"));
    builder.offer(&LINUX, released("late", "2026-03-01T00:00:00Z"));
    add(&mut builder, "i-first", &[(first, Presence::Absent), (second, Presence::Absent)]);
    add(&mut builder, "i-second", &[(second, Presence::Absent)]);
    let matrix = builder.build();
    let scenario = Scenario::new(after_days(7), time("2026-01-15T00:00:00Z"));
    let forecast = forecast(&matrix, &scenario, time("2026-02-01T00:00:00Z"));
    let days: Vec<_> = forecast.days.iter().map(|day| day.date.to_string()).collect();
    assert_eq!(days, ["2026-01-17", "2026-01-18"]);
    let names = |day: usize| -> Vec<String> {
        forecast.days[day].non_compliant.iter().map(|it| it.node.name().to_owned()).collect()
    };
    assert_eq!((names(0), names(1)), (vec!["i-first".to_owned()], vec!["i-second".to_owned()]));
    assert_eq!(forecast.days[0].non_compliant[0].patches, [PatchId::new("first").unwrap()]);
    let approval = &forecast.days[1].approvals[0];
    assert_eq!((approval.patch.as_str(), approval.lacking), ("second", 2));
    assert_eq!((approval.level, &*approval.baseline), (ComplianceLevel::High, "web"));
}

#[test]
fn a_group_has_its_own_baseline_and_an_override_stands_over_both() {
    use ComplianceStatus::{Compliant, NonCompliant};
    let group = PatchGroupName::new("db").unwrap();
    let mut builder = PatchMatrix::builder();
    let bash = builder.patch(&LINUX, patch("bash"));
    add(&mut builder, "i-web", &[(bash, Presence::Absent)]);
    let db = NodeFacts::new(id("i-db"), LINUX).with_group(group.clone());
    builder.node(db.with_patch(bash, Presence::Absent)).unwrap();
    let matrix = builder.build();
    let nothing = PatchBaseline::new("nothing", LINUX);
    let status = |set: &BaselineSet| {
        let scenario = Scenario::new(set.clone(), time("2026-01-01T00:00:00Z"));
        let verdicts = matrix.judge(&scenario);
        ["i-web", "i-db"].map(|name| verdicts.status(&id(name)).unwrap())
    };
    let set = BaselineSet::from(after_days(0)).with_group(group, nothing.clone());
    assert_eq!(status(&set), [NonCompliant, Compliant]);
    assert_eq!(status(&set.clone().with_override(after_days(0))), [NonCompliant; 2]);
    assert_eq!(status(&set.clone().with_override(nothing)), [Compliant; 2]);
    let elsewhere = PatchBaseline::new("other", OperatingSystem::Suse);
    assert_eq!(status(&set.with_override(elsewhere)), [NonCompliant, Compliant]);
}

#[test]
fn an_install_override_list_installs_what_it_names_also_what_is_rejected() {
    let mut builder = PatchMatrix::builder();
    let [bash, zlib, curl] = ["bash.x86_64", "zlib.x86_64", "curl.x86_64"]
        .map(|name| builder.patch(&LINUX, patch(name)));
    add(&mut builder, "i-bash", &[(bash, Presence::Absent)]);
    add(&mut builder, "i-zlib", &[(zlib, Presence::Absent)]);
    add(&mut builder, "i-curl", &[(curl, Presence::Absent)]);
    let matrix = builder.build();
    let baseline =
        after_days(0).with_rejected(["zlib"]).with_rejected_action(RejectedAction::Block);
    let before = Scenario::new(baseline, time("2026-01-01T00:00:00Z"));
    let after = before.clone().with_installs(["ba*", "zlib.x86_64"]);
    let answer = what_if(&matrix, &before, &after);
    let changes: Vec<_> =
        answer.changes().map(|it| (it.node.name().to_owned(), it.after)).collect();
    assert_eq!(
        changes,
        [
            ("i-bash".to_owned(), ComplianceStatus::Compliant),
            ("i-zlib".to_owned(), ComplianceStatus::NonCompliant),
        ]
    );
}

#[test]
fn changes_are_counted_by_account_platform_and_group() {
    let mut builder = PatchMatrix::builder();
    let bash = builder.patch(&LINUX, patch("bash"));
    for (account, group) in [("1", "web"), ("1", "db"), ("2", "web")] {
        let id = format!("aws/{account}/eu-west-1/i-{group}").parse().unwrap();
        let facts = NodeFacts::new(id, LINUX).with_group(PatchGroupName::new(group).unwrap());
        builder.node(facts.with_patch(bash, Presence::Absent)).unwrap();
    }
    let matrix = builder.build();
    let when = time("2026-01-01T00:00:00Z");
    let only = ApprovalRule::new(AutoApproval::AfterDays(0))
        .with_filter(PatchFilter::new(PatchFilterKey::PatchId, ["nothing"]));
    let before = Scenario::new(PatchBaseline::new("none", LINUX).with_rule(only), when);
    let after = Scenario::new(after_days(0), when);
    let answer = what_if(&matrix, &before, &after);
    let groups = |by: &[GroupBy]| -> Vec<(Vec<Option<String>>, usize)> {
        answer.groups(by).into_iter().map(|it| (it.values, it.counts.fall_out)).collect()
    };
    let one = |text: &str| vec![Some(text.to_owned())];
    assert_eq!(groups(&[GroupBy::Account]), [(one("1"), 2), (one("2"), 1)]);
    assert_eq!(groups(&[GroupBy::PatchGroup]), [(one("db"), 1), (one("web"), 2)]);
    assert_eq!(groups(&[GroupBy::Platform]), [(one("AMAZON_LINUX_2023"), 3)]);
    assert_eq!(groups(&[]), [(vec![], 3)]);
}

#[test]
fn an_explanation_says_which_rule_makes_the_node_fall_out() {
    let mut builder = PatchMatrix::builder();
    let bash = builder.offer(&LINUX, released("bash", "2026-01-10T06:00:00Z"));
    let zlib = builder.offer(&LINUX, released("zlib", "2026-01-10T06:00:00Z"));
    add(&mut builder, "i-0a", &[(bash, Presence::Absent), (zlib, Presence::Installed)]);
    let matrix = builder.build();
    let scenario = Scenario::new(after_days(3), time("2026-01-15T00:00:00Z"));
    let explained = matrix.judge(&scenario).explain(&id("i-0a")).unwrap();
    assert_eq!(
        explained.to_string(),
        "aws/111122223333/eu-west-1/i-0a is non_compliant under baseline \"web\"\n\
         MISSING: bash is approved by baseline \"web\": approval_rules[0] approves it, approved \
         since 2026-01-13T06:00:00Z, level HIGH\n  \
         approval_rules[0] (3 days after release, level HIGH) approves since 2026-01-13T06:00:00Z\n\
         1 other patches are as it wants them"
    );
}

#[test]
fn a_catalogue_stands_over_reports_whatever_comes_first() {
    let bare = patch("bash").with_title("bash:5");
    let known = released("bash", "2026-01-10T06:00:00Z").with_title("bash:5");
    let matrix = |order: [bool; 2]| {
        let mut builder = PatchMatrix::builder();
        for offered in order {
            if offered {
                builder.offer(&LINUX, known.clone());
            } else {
                builder.patch(&LINUX, bare.clone());
            }
        }
        builder.build()
    };
    for order in [[true, false], [false, true]] {
        let matrix = matrix(order);
        assert_eq!(matrix.patches().next().unwrap().1, &known);
        assert_eq!((matrix.uncatalogued().count(), matrix.undated().count()), (0, 0));
    }
    assert_eq!(matrix([false; 2]).uncatalogued().count(), 1);
}
