//! Patch groups and their baselines.

use std::collections::BTreeSet;

use patchkit_core::{ErrorKind, GroupRegistration, PatchBaseline, PatchGroupName};

use super::support::{bad, custom, each_once, first_os, good, list, patiently};
use crate::{Harness, NodeSeed};

fn name(text: &str) -> PatchGroupName {
    good(PatchGroupName::new(text), "a group's name")
}

async fn registrations(h: &dyn Harness, group: &PatchGroupName) -> Vec<GroupRegistration> {
    let keeper = h.group();
    good(list(h, || keeper.registrations(group)).await, "listing registrations")
}

/// `groups`: every group comes once, over however many pages.
pub async fn lists_every_group_once(h: &dyn Harness) {
    let keeper = h.group();
    assert!(good(list(h, || keeper.groups()).await, "listing no groups").is_empty());
    let baseline = h.add_baseline(&custom(h, "conformance-groups")).await;
    let [_, other_os] = h.systems();
    let other = h.add_baseline(&PatchBaseline::new("conformance-other", other_os)).await;
    let mut seeded = BTreeSet::new();
    for at in 0..=3 * h.page_size() {
        let group = name(&format!("conformance {at:03}"));
        h.add_registration(&group, &baseline).await;
        // A group with two baselines is one group.
        h.add_registration(&group, &other).await;
        seeded.insert(group);
    }
    let listed = good(list(h, || keeper.groups()).await, "listing groups");
    assert_eq!(each_once(listed), seeded);
}

/// `members`: the nodes whose tags name the group, over however many pages.
pub async fn lists_every_member_once(h: &dyn Harness) {
    let (web, web2) = (name("web"), name("web2"));
    let mut seeded = BTreeSet::new();
    for _ in 0..=3 * h.page_size() {
        seeded.insert(h.add_node(NodeSeed::new(first_os(h)).with_group(&web)).await);
    }
    seeded.insert(h.add_node(NodeSeed::new(first_os(h)).with_tag("Patch Group", "web")).await);
    h.add_node(NodeSeed::new(first_os(h)).with_group(&web2)).await;
    h.add_node(NodeSeed::new(first_os(h))).await;
    let keeper = h.group();
    let listed = good(list(h, || keeper.members(&web)).await, "listing members");
    assert_eq!(each_once(listed), seeded);
}

/// `members`: a group without nodes is an empty stream.
pub async fn a_group_without_nodes_is_an_empty_stream(h: &dyn Harness) {
    h.add_node(NodeSeed::new(first_os(h)).with_group(&name("web"))).await;
    let registered = name("registered only");
    let baseline = h.add_baseline(&custom(h, "conformance-empty")).await;
    h.add_registration(&registered, &baseline).await;
    let keeper = h.group();
    for group in [registered, name("never heard of")] {
        let listed = good(list(h, || keeper.members(&group)).await, "listing no members");
        assert!(listed.is_empty(), "{group}: {listed:?}");
    }
}

/// `registrations`: one for each operating system.
pub async fn registrations_are_one_for_each_operating_system(h: &dyn Harness) {
    let group = name("web");
    let mut expected = Vec::new();
    for os in h.systems() {
        let baseline = h.add_baseline(&PatchBaseline::new("conformance", os.clone())).await;
        h.add_registration(&group, &baseline).await;
        expected.push(GroupRegistration::new(group.clone(), os, baseline));
    }
    let mut listed = registrations(h, &group).await;
    assert_eq!(listed.len(), expected.len());
    listed.retain(|registration| !expected.contains(registration));
    assert!(listed.is_empty(), "{listed:?}");
    assert!(registrations(h, &name("never heard of")).await.is_empty());
}

/// `baseline_for`: the group's own, and without a registration the operating system's default.
pub async fn without_a_registration_it_is_the_default(h: &dyn Harness) {
    let group = name("web");
    let [os, other_os] = h.systems();
    let baseline = h.add_baseline(&PatchBaseline::new("conformance", os.clone())).await;
    h.add_registration(&group, &baseline).await;
    let (keeper, baselines) = (h.group(), h.baseline());
    let applies = async |group: &PatchGroupName, os: &patchkit_core::OperatingSystem| {
        good(patiently(h, async || keeper.baseline_for(group, os).await).await, "a baseline")
    };
    let default = async |os: &patchkit_core::OperatingSystem| {
        good(patiently(h, async || baselines.default_baseline(os).await).await, "a default").id
    };
    assert_eq!(applies(&group, &os).await, baseline);
    assert_eq!(Some(applies(&group, &other_os).await), default(&other_os).await);
    assert_eq!(Some(applies(&name("never heard of"), &os).await), default(&os).await);
}

/// `register`: the same baseline twice is no error, and one registration.
pub async fn registering_twice_is_no_error(h: &dyn Harness) {
    let group = name("web");
    let baseline = h.add_baseline(&custom(h, "conformance-twice")).await;
    let keeper = h.group();
    for _ in 0..2 {
        let answer = patiently(h, async || keeper.register(&group, &baseline).await).await;
        if h.fleet().capabilities().write_groups {
            good(answer, "registering a baseline");
            let expected = GroupRegistration::new(group.clone(), first_os(h), baseline.clone());
            assert_eq!(registrations(h, &group).await, [expected]);
        } else {
            bad(answer, ErrorKind::Unsupported, "registering a baseline");
            assert!(registrations(h, &group).await.is_empty());
        }
    }
}

/// `register`: another baseline of that operating system is `Conflict`, and nothing changes.
pub async fn a_second_baseline_of_a_system_is_a_conflict(h: &dyn Harness) {
    let group = name("web");
    let first = h.add_baseline(&custom(h, "conformance-first")).await;
    let second = h.add_baseline(&custom(h, "conformance-second")).await;
    h.add_registration(&group, &first).await;
    let keeper = h.group();
    let writes = h.fleet().capabilities().write_groups;
    let answer = patiently(h, async || keeper.register(&group, &second).await).await;
    let kind = if writes { ErrorKind::Conflict } else { ErrorKind::Unsupported };
    bad(answer, kind, "registering a second baseline");
    let expected = GroupRegistration::new(group.clone(), first_os(h), first);
    assert_eq!(registrations(h, &group).await, [expected]);
    let unknown = h.unknown_baseline();
    let answer = patiently(h, async || keeper.register(&group, &unknown).await).await;
    let kind = if writes { ErrorKind::NotFound } else { ErrorKind::Unsupported };
    bad(answer, kind, "registering an unknown baseline");
}

/// `deregister`: a baseline that is not registered is no error; one that is, is no more.
pub async fn deregistering_what_is_not_registered_is_no_error(h: &dyn Harness) {
    let (group, other) = (name("web"), name("db"));
    let baseline = h.add_baseline(&custom(h, "conformance-deregister")).await;
    h.add_registration(&group, &baseline).await;
    h.add_registration(&other, &baseline).await;
    let keeper = h.group();
    let writes = h.fleet().capabilities().write_groups;
    for _ in 0..2 {
        let answer = patiently(h, async || keeper.deregister(&group, &baseline).await).await;
        if writes {
            good(answer, "deregistering a baseline");
        } else {
            bad(answer, ErrorKind::Unsupported, "deregistering a baseline");
        }
        assert_eq!(registrations(h, &group).await.is_empty(), writes);
        assert_eq!(registrations(h, &other).await.len(), 1, "another group's stays");
    }
}
