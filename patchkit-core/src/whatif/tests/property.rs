//! Random fleets under random baselines: the algebra equals the naive evaluation.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::naive::{Node, Sets, judged, matrix, verdict};
use crate::{
    ApprovalBoundary, ComplianceStatus, NodeId, OperatingSystem, OperationKind, Patch,
    PatchBaseline, PatchGroupName, Presence,
    baseline::testing::{any_baseline, any_patch, any_time},
    whatif::{
        BaselineSet, ChangeCounts, Evidence, GroupBy, Scenario, forecast, patch_key::PatchKey,
        what_if, what_if_each,
    },
};

const SYSTEMS: [OperatingSystem; 4] = [
    OperatingSystem::Windows,
    OperatingSystem::AmazonLinux2023,
    OperatingSystem::Ubuntu,
    OperatingSystem::Suse,
];

fn group(name: &str) -> PatchGroupName {
    PatchGroupName::new(name).unwrap()
}

fn any_group() -> impl Strategy<Value = Option<PatchGroupName>> {
    option::of(select(vec![group("web"), group("db")]))
}

/// Patches of one operating system, none of which is another one.
fn catalogue(os: &OperatingSystem, patches: Vec<Patch>) -> Vec<Patch> {
    let mut seen = BTreeSet::new();
    let number = |(n, mut patch): (usize, Patch)| {
        patch.title = Some(n.to_string());
        if let Some(package) = &mut patch.package {
            package.version = n.to_string();
        }
        patch
    };
    let numbered = patches.into_iter().enumerate().map(number);
    numbered.filter(|patch| seen.insert(PatchKey::of(os, patch))).collect()
}

fn any_node(catalogues: Vec<Vec<Patch>>) -> impl Strategy<Value = Node> {
    let evidence = select(vec![
        Evidence::Whole,
        Evidence::Whole,
        Evidence::Whole,
        Evidence::Part,
        Evidence::Nothing,
        Evidence::AmbiguousGroup,
    ]);
    let presence = option::of(select(vec![
        Presence::Absent,
        Presence::Installed,
        Presence::Installed,
        Presence::InstalledPendingReboot,
        Presence::InstallFailed,
        Presence::NotApplicable,
    ]));
    let parts = (0..SYSTEMS.len(), any_group(), evidence, vec(presence, 80), 0..4_u8);
    parts.prop_map(move |(os, group, evidence, presences, rare)| {
        let patches = catalogues[os].iter().zip(presences).enumerate();
        // Some nodes are full and some nearly empty, so that planes of both forms come up.
        let known = patches.filter(|(n, _)| rare == 0 || n % usize::from(rare) == 0);
        Node {
            // Numbered afterwards.
            id: "aws/1/r/i-0".parse().unwrap(),
            os: SYSTEMS[os].clone(),
            group,
            evidence,
            patches: known.filter_map(|(_, (patch, it))| Some((patch.clone(), it?))).collect(),
        }
    })
}

fn any_fleet() -> impl Strategy<Value = Vec<Node>> {
    vec(vec(any_patch(), 0..80), SYSTEMS.len()).prop_flat_map(|patches| {
        let catalogues: Vec<Vec<Patch>> =
            SYSTEMS.iter().zip(patches).map(|(os, patches)| catalogue(os, patches)).collect();
        vec(any_node(catalogues), 0..24).prop_map(|mut nodes| {
            for (n, node) in nodes.iter_mut().enumerate() {
                node.id = format!("aws/{}/r{}/i-{n}", n % 3, n % 2).parse().unwrap();
            }
            nodes
        })
    })
}

fn any_sets() -> impl Strategy<Value = Sets> {
    let ours = || {
        (any_baseline(), select(SYSTEMS.to_vec())).prop_map(|(mut baseline, os)| {
            baseline.operating_system = os;
            baseline
        })
    };
    let groups = vec((select(vec![group("web"), group("db")]), ours()), 0..4);
    (vec(ours(), 0..7), groups, vec(ours(), 0..2)).prop_map(|(defaults, groups, overrides)| Sets {
        defaults,
        groups,
        overrides,
    })
}

fn any_scenario(
    installs: impl Strategy<Value = Vec<&'static str>>,
) -> impl Strategy<Value = (Sets, Scenario)> {
    let boundary = select(vec![ApprovalBoundary::Instant, ApprovalBoundary::UtcDay]);
    let operation = select(vec![OperationKind::Scan, OperationKind::Install]);
    (any_sets(), any_time(), boundary, operation, installs).prop_map(
        |(sets, when, boundary, operation, installs)| {
            let scenario = Scenario::new(BaselineSet::from(&sets), when)
                .with_boundary(boundary)
                .with_operation(operation)
                .with_installs(installs);
            (sets, scenario)
        },
    )
}

fn any_installs() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(vec!["bash", "openssl*", "KB1", "bash.x86_64"]), 0..2)
}

fn find<'a>(nodes: &'a [Node], id: &NodeId) -> &'a Node {
    nodes.iter().find(|node| node.id == *id).unwrap()
}

proptest! {
    #[test]
    fn verdicts_are_those_of_the_naive_evaluation(
        nodes in any_fleet(), (sets, scenario) in any_scenario(any_installs()),
    ) {
        let matrix = matrix(&nodes);
        let verdicts = matrix.judge(&scenario);
        prop_assert_eq!(matrix.len(), nodes.len());
        let mut counts = BTreeMap::new();
        for node in &nodes {
            let naive = verdict(&sets, &scenario, node, scenario.when);
            prop_assert_eq!(verdicts.verdict(&node.id).unwrap(), naive, "{:?}", node);
            prop_assert_eq!(verdicts.status(&node.id), Some(naive.status));
            let doubt = verdicts.doubt(&node.id).is_some();
            prop_assert_eq!(doubt, naive.status == ComplianceStatus::Unknown);
            *counts.entry(naive.status).or_insert(0) += 1;
            let explained = verdicts.explain(&node.id).unwrap();
            prop_assert_eq!(explained.verdict, naive);
            let wrong = explained.patches.iter().filter(|patch| patch.is_wrong()).count();
            let naive = judged(&sets, &scenario, node, scenario.when);
            let naive = naive.iter().flat_map(|(_, patches)| patches).flatten();
            let naive = naive.filter(|it| it.status == ComplianceStatus::NonCompliant);
            prop_assert_eq!(wrong, naive.count());
        }
        let of = |status| counts.get(&status).copied().unwrap_or(0);
        let all = verdicts.counts();
        prop_assert_eq!(all.compliant, of(ComplianceStatus::Compliant));
        prop_assert_eq!(all.non_compliant, of(ComplianceStatus::NonCompliant));
        prop_assert_eq!(all.unknown, of(ComplianceStatus::Unknown));
        for (node, level) in verdicts.non_compliant() {
            let naive = verdict(&sets, &scenario, find(&nodes, &node.id), scenario.when);
            prop_assert_eq!(naive.level, Some(level));
        }
    }

    #[test]
    fn changes_are_the_difference_of_two_naive_evaluations(
        nodes in any_fleet(),
        (sets_a, a) in any_scenario(any_installs()),
        (sets_b, b) in any_scenario(any_installs()),
    ) {
        let matrix = matrix(&nodes);
        let answer = what_if(&matrix, &a, &b);
        let mut changes: BTreeMap<_, _> =
            answer.changes().map(|change| (change.node.clone(), change)).collect();
        prop_assert_eq!(changes.len(), answer.len());
        let mut fall_out = 0;
        for node in &nodes {
            let before = verdict(&sets_a, &a, node, a.when).status;
            let after = verdict(&sets_b, &b, node, b.when).status;
            if before == after {
                prop_assert!(!changes.contains_key(&node.id));
                continue;
            }
            fall_out += usize::from(after == ComplianceStatus::NonCompliant);
            let change = changes.remove(&node.id).unwrap();
            prop_assert_eq!((change.before, change.after), (before, after));
            let wrong = |sets, scenario: &Scenario| -> BTreeSet<PatchKey> {
                let judged = judged(sets, scenario, node, scenario.when);
                let judged = judged.map(|(_, judged)| judged).unwrap_or_default();
                let wrong = node.patches.iter().zip(judged).filter(|(_, it)| {
                    it.as_ref().is_some_and(|it| it.status == ComplianceStatus::NonCompliant)
                });
                wrong.map(|((patch, _), _)| PatchKey::of(&node.os, patch)).collect()
            };
            let (before, after) = (wrong(&sets_a, &a), wrong(&sets_b, &b));
            prop_assert_eq!(change.causes.len(), before.symmetric_difference(&after).count());
        }
        prop_assert!(changes.is_empty());
        prop_assert_eq!(answer.counts().fall_out, fall_out);
        let groups = answer.groups(&GroupBy::ALL);
        let sum = |of: fn(&ChangeCounts) -> usize| groups.iter().map(|it| of(&it.counts)).sum::<usize>();
        prop_assert_eq!(sum(|it| it.nodes), nodes.len());
        prop_assert_eq!(sum(|it| it.fall_out + it.come_in + it.become_unknown), answer.len());
        let both = [a.clone(), b.clone()];
        let each = what_if_each(&matrix, &a, &both);
        prop_assert!(each[0].is_empty());
        prop_assert_eq!(each[1].len(), answer.len());
    }

    #[test]
    fn approvals_of_a_forecast_are_those_of_the_baselines(
        nodes in any_fleet(), (sets, scenario) in any_scenario(Just(Vec::new())),
    ) {
        let matrix = matrix(&nodes);
        let until = scenario.when + SignedDuration::from_hours(24 * 40);
        let forecast = forecast(&matrix, &scenario, until);
        for approval in forecast.days.iter().flat_map(|day| &day.approvals) {
            let names = |it: &&PatchBaseline| it.operating_system == approval.operating_system;
            let all = sets.defaults.iter().chain(&sets.overrides);
            let all = all.chain(sets.groups.iter().map(|(_, it)| it)).filter(names);
            let approves = |baseline: &PatchBaseline| {
                let compiled =
                    crate::CompiledBaseline::new(baseline).with_boundary(scenario.boundary);
                let patches = nodes.iter().flat_map(|node| &node.patches);
                let mut named = patches.filter(|(it, _)| it.id == approval.patch && it.title == approval.title);
                let before = approval.at - SignedDuration::from_nanos(1);
                named.any(|(patch, _)| {
                    compiled.decide(patch, approval.at).is_approved()
                        && !compiled.decide(patch, before).is_approved()
                })
            };
            prop_assert!(all.into_iter().any(approves), "{:?}", approval);
        }
    }

    #[test]
    fn a_shift_is_the_difference_of_two_forecasts(
        nodes in any_fleet(),
        (sets_a, a) in any_scenario(any_installs()),
        (sets_b, mut b) in any_scenario(any_installs()),
    ) {
        b.when = a.when;
        let matrix = matrix(&nodes);
        let until = a.when + SignedDuration::from_hours(24 * 40);
        let answer = what_if(&matrix, &a, &b);
        let shifts = answer.shifts(until);
        let onset = |scenario| -> BTreeMap<NodeId, Timestamp> {
            let days = forecast(&matrix, scenario, until).days;
            let onsets = days.into_iter().flat_map(|day| day.non_compliant);
            onsets.map(|onset| (onset.node, onset.at)).collect()
        };
        let (before, after) = (onset(&a), onset(&b));
        for node in &nodes {
            let [now_a, now_b] = [(&sets_a, &a), (&sets_b, &b)]
                .map(|(sets, scenario)| verdict(sets, scenario, node, a.when).status);
            let wrong = now_b == ComplianceStatus::NonCompliant;
            let (x, y) = (before.get(&node.id).copied(), after.get(&node.id).copied());
            let expected = now_a == now_b && !wrong && x != y;
            let found = shifts.iter().find(|shift| shift.node == node.id);
            prop_assert_eq!(found.is_some(), expected, "{}", node.id);
            if let Some(found) = found {
                prop_assert_eq!((found.before, found.after), (x, y));
            }
        }
    }
}

proptest! {
    // Each case is some thousand naive evaluations.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_forecast_is_what_each_later_time_says(
        nodes in any_fleet(), (sets, scenario) in any_scenario(any_installs()),
    ) {
        let matrix = matrix(&nodes);
        let until = scenario.when + SignedDuration::from_hours(24 * 40);
        let forecast = forecast(&matrix, &scenario, until);
        let mut onsets: BTreeMap<&NodeId, Timestamp> = BTreeMap::new();
        for day in &forecast.days {
            prop_assert!(day.unknown.is_empty());
            for onset in &day.non_compliant {
                prop_assert!(onsets.insert(&onset.node, onset.at).is_none());
                prop_assert!(!onset.patches.is_empty());
            }
        }
        for quarter in 0..=160 {
            // One nanosecond to either side as well: releases are off midnight by one.
            let at = scenario.when + SignedDuration::from_hours(6 * quarter);
            for at in [at, at + SignedDuration::from_nanos(1)] {
                if at > until {
                    continue;
                }
                for node in &nodes {
                    let now = verdict(&sets, &scenario, node, scenario.when).status;
                    let then = verdict(&sets, &scenario, node, at).status;
                    let turned = onsets.get(&node.id).is_some_and(|onset| *onset <= at);
                    prop_assert_eq!(then != now, turned, "{} at {}", node.id, at);
                    if turned {
                        prop_assert_eq!(then, ComplianceStatus::NonCompliant);
                    }
                }
            }
        }
    }
}
