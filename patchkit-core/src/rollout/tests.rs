//! How nodes are dealt out to waves.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{NodeId, OperatingSystem};

fn nodes(n: usize) -> Vec<ManagedNode> {
    (0..n)
        .map(|i| {
            let id = format!("aws/1/eu-west-1/i-{i:03}").parse().unwrap();
            ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH)
        })
        .collect()
}

#[test]
fn percent_rounds_up_and_fixed_is_capped() {
    assert_eq!(Amount::Percent(1).of(3), 1);
    assert_eq!(Amount::Percent(100).of(7), 7);
    assert_eq!(Amount::Fixed(9).of(3), 3);
    assert_eq!(Amount::Percent(0).of(9), 0);
    assert!("110%".parse::<Amount>().is_err());
}

#[test]
fn nodes_that_no_wave_takes_come_last() {
    let rollout =
        Rollout::new().with_wave(Wave::new("canary", WaveMembers::Amount(Amount::Fixed(2))));
    let waves = rollout.assign(&nodes(5));
    let shape: Vec<_> = waves.iter().map(|w| (w.name.as_str(), w.nodes.len())).collect();
    assert_eq!(shape, [("canary", 2), ("rest", 3)]);
}

proptest! {
    #[test]
    fn every_node_is_dealt_exactly_once(n in 0usize..60, canary in 0u8..=100, count in 0u32..70) {
        let rollout = Rollout::new()
            .with_wave(Wave::new("a", WaveMembers::Amount(Amount::Percent(canary))))
            .with_wave(Wave::new("b", WaveMembers::Amount(Amount::Fixed(count))));
        let all = nodes(n);
        let mut dealt: Vec<NodeId> =
            rollout.assign(&all).into_iter().flat_map(|wave| wave.nodes).collect();
        dealt.sort();
        prop_assert_eq!(dealt, all.into_iter().map(|node| node.id).collect::<Vec<_>>());
    }
}
/// Six nodes: four in zone a, one in zone b, one that tells no zone.
fn zoned() -> Vec<ManagedNode> {
    let mut all = nodes(6);
    for (node, zone) in all.iter_mut().zip([Some("a"), Some("b"), Some("a"), None]) {
        node.zone = zone.map(str::to_owned);
    }
    for node in &mut all[4..] {
        node.zone = Some("a".to_owned());
    }
    all
}

fn shape(rollout: &Rollout, nodes: &[ManagedNode]) -> Vec<(String, usize)> {
    rollout.assign(nodes).into_iter().map(|wave| (wave.name, wave.nodes.len())).collect()
}

#[test]
fn a_spread_canary_touches_every_group() {
    let one = Rollout::new().with_wave(Wave::spread("canary", Amount::Fixed(1), NodeKey::Zone));
    assert_eq!(shape(&one, &zoned()), [("canary".into(), 3), ("rest".into(), 3)]);
    let half = Rollout::new().with_wave(Wave::spread("half", Amount::Percent(50), NodeKey::Zone));
    assert_eq!(shape(&half, &zoned()), [("half".into(), 4), ("rest".into(), 2)]);
}

#[test]
fn a_spread_share_is_one_of_all_the_group_and_not_of_what_is_left_of_it() {
    let rollout = Rollout::new()
        .with_wave(Wave::spread("half", Amount::Percent(50), NodeKey::Zone))
        .with_wave(Wave::spread("half again", Amount::Percent(50), NodeKey::Zone));
    assert_eq!(shape(&rollout, &zoned()), [("half".into(), 4), ("half again".into(), 2)]);
}

#[test]
fn a_wave_for_each_zone_ends_with_those_that_tell_none() {
    let rollout = Rollout::new().with_wave(Wave::each("zone", NodeKey::Zone));
    let waves = [("zone a".into(), 4), ("zone b".into(), 1), ("zone without zone".into(), 1)];
    assert_eq!(shape(&rollout, &zoned()), waves);
}

#[test]
fn waves_are_of_a_tag_of_an_account_or_of_ids() {
    let mut all = nodes(4);
    all[0].tags.insert("App".to_owned(), "db".to_owned());
    all[1].tags.insert("App".to_owned(), "web".to_owned());
    let rollout = Rollout::new()
        .with_wave(Wave::ids("named", [all[3].id.clone()]))
        .with_wave(Wave::of("db", NodeKey::Tag("App".to_owned()), ["db", "cache"]))
        .with_wave(Wave::of("nowhere", NodeKey::Account, ["2"]))
        .with_wave(Wave::of("here", NodeKey::Scope, ["aws/1/eu-west-1"]));
    let waves = [("named".into(), 1), ("db".into(), 1), ("here".into(), 2)];
    assert_eq!(shape(&rollout, &all), waves);
}

#[test]
fn a_key_prints_and_parses_back_and_an_unknown_one_is_refused() {
    for text in ["zone", "patch_group", "account", "region", "scope", "provider", "tag:a:b"] {
        let key: NodeKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<NodeKey>(&json).unwrap(), key);
    }
    assert!("rack".parse::<NodeKey>().unwrap_err().message().contains("tag:<name>"));
    assert!(serde_json::from_str::<NodeKey>("\"tag:\"").is_err());
}

#[test]
fn what_is_not_set_is_not_in_the_json_so_that_plans_keep_their_hashes() {
    let json = serde_json::to_string(&Rollout::new()).unwrap();
    assert_eq!(json, r#"{"waves":[],"disruption":{"percent":10},"errors":{"fixed":0}}"#);
    assert_eq!(serde_json::from_str::<Rollout>(&json).unwrap(), Rollout::new());
}

#[test]
fn a_shared_budget_is_a_number_of_slots() {
    let shared = |amount| Rollout::new().with_budget(Budget::whole(amount).with_shared("night"));
    shared(Amount::Fixed(20)).check().unwrap();
    let error = shared(Amount::Percent(5)).check().unwrap_err();
    assert!(error.message().contains("\"night\": 5% is no number"), "{error}");
    shared(Amount::Fixed(1_000_000)).check().unwrap_err();
}
