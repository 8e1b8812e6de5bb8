//! Nodes, power, access and tags.

use std::collections::BTreeSet;

use futures::StreamExt;
use patchkit_core::{
    AccessGrant, AccessStatus, ErrorKind, Fleet, FleetExt, NodeId, NodeSelector, PowerState,
    PowerTarget, Reachability, ResourceGroupName, Tags, UnmanagedReason,
};

use super::support::{
    all_unsupported, answer_of, bad, each_once, first_os, good, list, list_until_error, patiently,
    patiently_each, status, three_pages, wait_power,
};
use crate::{Harness, Membership, NodeSeed, Trouble};

/// `nodes`: every node comes once, over however many pages, in whatever order.
pub async fn lists_every_node_once(h: &dyn Harness) {
    let seeded = three_pages(h).await;
    let fleet = h.fleet();
    let listed = good(list(h, || fleet.nodes(&NodeSelector::all())).await, "listing the nodes");
    // As sets: no order is promised.
    assert_eq!(each_once(listed.iter().map(|node| node.id.clone())), seeded);
    for node in &listed {
        assert_eq!(node.id.scope().provider(), fleet.provider(), "the scope names the provider");
        assert_eq!(node.power, PowerState::Running);
        assert_eq!(node.reachability, Reachability::Online);
        assert_eq!(node.operating_system, first_os(h));
    }
}

/// `nodes`: an empty fleet is an empty stream.
pub async fn an_empty_fleet_is_an_empty_stream(h: &dyn Harness) {
    let fleet = h.fleet();
    let listed = good(list(h, || fleet.nodes(&NodeSelector::all())).await, "listing no nodes");
    assert!(listed.is_empty(), "{listed:?}");
}

/// `nodes`: a selector never widens; an empty list in it selects nothing.
pub async fn a_selector_never_widens(h: &dyn Harness) {
    let [os, other_os] = h.systems();
    let web = h.add_node(NodeSeed::new(os.clone()).with_tag("Role", "web")).await;
    let off = h
        .add_node(NodeSeed::new(os.clone()).with_tag("Role", "db").with_power(PowerState::Stopped))
        .await;
    let other = h.add_node(NodeSeed::new(other_os.clone())).await;
    let all = NodeSelector::all;
    let expected = [
        (NodeSelector::ids([web.clone()]), vec![&web]),
        (NodeSelector::ids([web.clone(), h.unknown_node()]), vec![&web]),
        (all().with_tag("Role", ["web", "mail"]), vec![&web]),
        (all().with_tag("Role", ["WEB"]), vec![]),
        (all().with_operating_systems([other_os]), vec![&other]),
        (all().with_power([PowerState::Stopped]), vec![&off]),
        (all().with_tag("Role", ["web"]).with_power([PowerState::Stopped]), vec![]),
        (all().with_accounts([web.scope().account().clone()]), vec![&web, &off, &other]),
        (all().with_regions([web.scope().region().clone()]), vec![&web, &off, &other]),
        (NodeSelector::ids([]), vec![]),
        (all().with_groups([]), vec![]),
        (all().with_tag("Role", [""; 0]), vec![]),
        (all().with_operating_systems([]), vec![]),
        (all().with_power([]), vec![]),
        (all().with_accounts([]), vec![]),
        (all().with_regions([]), vec![]),
    ];
    let fleet = h.fleet();
    for (selector, expected) in expected {
        let listed = good(list(h, || fleet.nodes(&selector)).await, "listing some nodes");
        let expected: BTreeSet<_> = expected.into_iter().cloned().collect();
        assert_eq!(each_once(listed.into_iter().map(|node| node.id)), expected, "{selector}");
    }
}

/// `nodes`: a resource group takes its members as they are when the listing is made.
pub async fn a_resource_group_selects_its_members_of_the_moment(h: &dyn Harness) {
    let os = first_os(h);
    let [web, rest, all, none] =
        ["web", "rest", "all", "none"].map(|it| good(ResourceGroupName::new(it), "a name"));
    let many = h.membership() == Membership::Many;
    let within = |seed: NodeSeed, group: &ResourceGroupName| {
        if many { seed } else { seed.in_resource_group(group.clone()) }
    };
    let seed = NodeSeed::new(os.clone());
    let first = h.add_node(within(seed.clone().with_tag("Role", "web"), &web)).await;
    let off = seed.clone().with_tag("Role", "db").with_power(PowerState::Stopped);
    let second = h.add_node(within(off, &rest)).await;
    let third = h.add_node(within(seed.hybrid(), &rest)).await;
    let fleet = h.fleet();
    let of = |groups: &[&ResourceGroupName]| {
        NodeSelector::all().with_resource_groups(groups.iter().map(|it| (*it).clone()))
    };
    if !fleet.capabilities_for(first.scope()).resource_groups {
        let refused = list(h, || fleet.nodes(&of(&[&web]))).await;
        bad(refused, ErrorKind::Unsupported, "a resource group");
        let refused = list(h, || h.compliance().summaries(&of(&[&web]))).await;
        bad(refused, ErrorKind::Unsupported, "the compliance of a resource group");
        return;
    }
    let mut expected = vec![
        (of(&[&web]), vec![&first]),
        (of(&[&rest]), vec![&second, &third]),
        (of(&[&web, &rest]), vec![&first, &second, &third]),
        (of(&[&rest]).with_power([PowerState::Stopped]), vec![&second]),
        (of(&[&web, &rest]).with_tag("Role", ["web"]), vec![&first]),
        (of(&[&rest]).with_ids([third.clone(), h.unknown_node()]), vec![&third]),
        (of(&[&web]).with_ids([second.clone()]), vec![]),
        (of(&[]), vec![]),
    ];
    if many {
        h.add_resource_group(&web, std::slice::from_ref(&first)).await;
        h.add_resource_group(&rest, &[second.clone(), third.clone()]).await;
        h.add_resource_group(&all, &[first.clone(), second.clone(), third.clone()]).await;
        expected.push((of(&[&web, &all]), vec![&first, &second, &third]));
    }
    for (selector, expected) in expected {
        let expected: BTreeSet<_> = expected.into_iter().cloned().collect();
        let listed = good(list(h, || fleet.nodes(&selector)).await, "listing a resource group");
        assert!(listed.iter().all(|node| selector.matches(node)), "{selector}: {listed:?}");
        assert_eq!(each_once(listed.into_iter().map(|node| node.id)), expected, "{selector}");
        let known = list(h, || h.compliance().summaries(&selector)).await;
        let known = good(known, "the compliance of a resource group");
        assert_eq!(each_once(known.into_iter().map(|it| it.node)), expected, "{selector}");
    }
    let asked = if many { [&web, &all] } else { [&web, &rest] };
    let listed = good(list(h, || fleet.nodes(&of(&asked))).await, "listing two groups");
    let told = listed.iter().find(|node| node.id == first).map(|node| &node.resource_groups);
    let groups = if many { BTreeSet::from([web, all]) } else { BTreeSet::from([web]) };
    assert_eq!(told, Some(&groups), "the groups that it was asked for by");
    let scope = first.scope().clone();
    let here = of(&[&none])
        .with_accounts([scope.account().clone()])
        .with_regions([scope.region().clone()]);
    for unknown in [here, of(&[&none]).with_ids([first])] {
        let listed = list(h, || fleet.nodes(&unknown)).await;
        bad(listed, ErrorKind::NotFound, "an unknown resource group");
    }
}

/// `nodes`: a node whose agent does not answer says why, and on evidence alone.
pub async fn an_unmanaged_node_says_why(h: &dyn Harness) {
    let os = first_os(h);
    let seed = || NodeSeed::new(os.clone());
    let managed = h.add_node(seed()).await;
    let off = h.add_node(seed().with_power(PowerState::Stopped)).await;
    let silent = h.add_node(seed()).await;
    h.lose_agent(&silent).await;
    let bare = h.add_node(seed().with_access(AccessStatus::NoIdentity)).await;
    let poor = h.add_node(seed().with_access(AccessStatus::MissingPermissions)).await;
    let fleet = h.fleet();
    let listed = good(list(h, || fleet.nodes(&NodeSelector::all())).await, "listing the nodes");
    assert_eq!(listed.len(), 5);
    for node in &listed {
        let answers = node.reachability == Reachability::Online;
        assert_eq!(node.unmanaged.is_none(), answers, "{node:?}");
    }
    let why =
        |id: &NodeId| listed.iter().find(|node| node.id == *id).and_then(|node| node.unmanaged);
    assert_eq!(why(&managed), None);
    assert_eq!(why(&off), Some(UnmanagedReason::NotRunning));
    assert!(matches!(why(&silent), Some(UnmanagedReason::Silent { .. })), "{:?}", why(&silent));
    if fleet.capabilities_for(bare.scope()).access {
        assert_eq!(why(&bare), Some(UnmanagedReason::NoIdentity));
        let poor = why(&poor);
        assert!(matches!(poor, Some(UnmanagedReason::NotRegistered { .. })), "{poor:?}");
    }
}

/// `nodes`: an error on a later page comes after the nodes of the earlier ones, and is the last.
pub async fn an_error_on_a_later_page_comes_after_the_earlier_nodes(h: &dyn Harness) {
    let seeded = three_pages(h).await;
    h.make_trouble(Trouble::denied().on_page(2)).await;
    let fleet = h.fleet();
    let (nodes, error) = list_until_error(h, || fleet.nodes(&NodeSelector::all())).await;
    let error = error.map_or(Ok(()), Err);
    bad(error, ErrorKind::PermissionDenied, "the second page");
    let nodes = each_once(nodes.into_iter().map(|node| node.id));
    assert_eq!(nodes.len(), h.page_size(), "the first page comes whole");
    assert!(nodes.is_subset(&seeded));
}

/// `nodes`: dropping the stream stops the requests.
pub async fn dropping_the_stream_stops_the_requests(h: &dyn Harness) {
    three_pages(h).await;
    let fleet = h.fleet();
    let before = h.requests();
    good(list(h, || fleet.nodes(&NodeSelector::all())).await, "listing the nodes");
    let whole = h.requests() - before;
    let before = h.requests();
    let first = patiently(h, async || {
        let mut stream = fleet.nodes(&NodeSelector::all());
        stream.next().await.transpose()
    })
    .await;
    assert!(good(first, "the first node").is_some());
    let part = h.requests() - before;
    assert!(part < whole, "the first node took {part} requests, all of them {whole}");
    h.clock().sleep(std::time::Duration::from_mins(1)).await;
    assert_eq!(h.requests() - before, part, "requests went on after the stream was dropped");
}

/// Errors: a denied call is `PermissionDenied`, may not be made again, and has a request id.
pub async fn a_denied_call_is_permission_denied(h: &dyn Harness) {
    let fleet = h.fleet();
    h.make_trouble(Trouble::denied()).await;
    let answer = list(h, || fleet.nodes(&NodeSelector::all())).await;
    let error = bad(answer, ErrorKind::PermissionDenied, "a denied listing");
    assert!(!error.is_retryable());
    assert!(error.request_id().is_some(), "support asks for the request id: {error}");
    good(list(h, || fleet.nodes(&NodeSelector::all())).await, "listing after the trouble");
}

/// Errors: a throttled call is `Throttled`, and goes well when it is made again.
pub async fn a_throttled_call_may_be_made_again(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    h.make_trouble(Trouble::throttled()).await;
    let answer = fleet.collect_nodes(&NodeSelector::all()).await;
    let error = bad(answer, ErrorKind::Throttled, "a throttled listing");
    assert!(error.is_retryable());
    let nodes = good(list(h, || fleet.nodes(&NodeSelector::all())).await, "listing again");
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].id, node);
}

/// `statuses`: one answer for each node asked for, in the order asked.
pub async fn statuses_answer_each_node_in_order(h: &dyn Harness) {
    let os = first_os(h);
    let on = h.add_node(NodeSeed::new(os.clone())).await;
    let off = h.add_node(NodeSeed::new(os.clone()).with_power(PowerState::Stopped)).await;
    let lost = h.add_node(NodeSeed::new(os)).await;
    h.lose_agent(&lost).await;
    let fleet = h.fleet();
    for asked in [[&on, &off, &lost], [&lost, &on, &off], [&off, &lost, &on]] {
        let asked: Vec<_> = asked.into_iter().cloned().collect();
        let answers = patiently_each(h, async || fleet.statuses(&asked).await).await;
        let order: Vec<_> = answers.iter().map(|(node, _)| node.clone()).collect();
        assert_eq!(order, asked);
        for (node, answer) in answers {
            let seen = good(answer, "a status");
            assert_eq!(seen.power.is_off(), node == off, "{node} is {}", seen.power);
            let online = seen.reachability == Reachability::Online;
            assert_eq!(online, node == on, "{node} is {}", seen.reachability);
        }
    }
}

/// `statuses`: a node that does not exist is `NotFound`; the others are answered.
pub async fn an_unknown_node_leaves_the_others_answered(h: &dyn Harness) {
    let first = h.add_node(NodeSeed::new(first_os(h))).await;
    let last = h.add_node(NodeSeed::new(first_os(h))).await;
    let unknown = h.unknown_node();
    let asked = [first.clone(), unknown.clone(), last.clone()];
    let fleet = h.fleet();
    let mut answers = patiently_each(h, async || fleet.statuses(&asked).await).await;
    assert_eq!(answers.len(), 3);
    let error = bad(answers.remove(1).1, ErrorKind::NotFound, "an unknown node's status");
    assert_eq!(error.node(), Some(&unknown), "the error names the node");
    for (node, answer) in answers {
        assert_eq!(good(answer, "a status").power, PowerState::Running, "{node}");
    }
}

/// `set_power`: only the nodes named are touched.
pub async fn power_touches_only_the_nodes_named(h: &dyn Harness) {
    let os = first_os(h);
    let mut nodes = Vec::new();
    for power in [PowerState::Running, PowerState::Stopped, PowerState::Running] {
        nodes.push(h.add_node(NodeSeed::new(os.clone()).with_power(power)).await);
    }
    let [on, off, stop] = <[_; 3]>::try_from(nodes).unwrap_or_else(|_| unreachable!("three nodes"));
    let fleet = h.fleet();
    let named = [stop.clone()];
    let answers =
        patiently_each(h, async || fleet.set_power(&named, PowerTarget::Stopped).await).await;
    if fleet.capabilities().power {
        assert_eq!(answers.len(), 1);
        good(answer_of(answers, &stop), "stopping a node");
        wait_power(h, &stop, PowerState::Stopped).await;
        let named = [off.clone()];
        let answers =
            patiently_each(h, async || fleet.set_power(&named, PowerTarget::Running).await).await;
        good(answer_of(answers, &off), "starting a node");
        wait_power(h, &off, PowerState::Running).await;
    } else {
        all_unsupported(answers, "stopping a node");
        assert_eq!(status(h, &off).await.power, PowerState::Stopped);
        assert_eq!(status(h, &stop).await.power, PowerState::Running);
    }
    assert_eq!(status(h, &on).await.power, PowerState::Running);
}

/// `set_power`: a node that is in the state already, or on its way there, is not an error.
pub async fn setting_power_twice_is_no_error(h: &dyn Harness) {
    let os = first_os(h);
    let on = h.add_node(NodeSeed::new(os.clone())).await;
    let off = h.add_node(NodeSeed::new(os).with_power(PowerState::Stopped)).await;
    let fleet = h.fleet();
    for (node, target) in [(&on, PowerTarget::Running), (&off, PowerTarget::Stopped)] {
        let named = [node.clone()];
        let answers = patiently_each(h, async || fleet.set_power(&named, target).await).await;
        if fleet.capabilities().power {
            good(answer_of(answers, node), "asking for the power that is");
        } else {
            all_unsupported(answers, "asking for the power that is");
        }
        assert_eq!(status(h, node).await.power, target.state());
    }
    if fleet.capabilities().power {
        let named = [off.clone()];
        for _ in 0..2 {
            let answers =
                patiently_each(h, async || fleet.set_power(&named, PowerTarget::Running).await)
                    .await;
            good(answer_of(answers, &off), "starting a node that starts");
        }
        wait_power(h, &off, PowerState::Running).await;
    }
}

/// `set_power`: a stopped node and a deallocated one are told apart where the provider can.
pub async fn stopped_and_deallocated_are_told_apart_or_one(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let named = [node.clone()];
    let answers =
        patiently_each(h, async || fleet.set_power(&named, PowerTarget::Deallocated).await).await;
    if fleet.capabilities().power {
        good(answer_of(answers, &node), "deallocating a node");
        let rest = if fleet.capabilities().deallocate {
            PowerState::Deallocated
        } else {
            PowerState::Stopped
        };
        wait_power(h, &node, rest).await;
    } else {
        all_unsupported(answers, "deallocating a node");
        assert_eq!(status(h, &node).await.power, PowerState::Running);
    }
}

/// `set_power`: a node whose power the provider does not hold is `Unsupported`; the others go on.
pub async fn power_of_a_hybrid_node_is_unsupported(h: &dyn Harness) {
    let hybrid = h.add_node(NodeSeed::new(first_os(h)).hybrid()).await;
    let cloud = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let named = [hybrid.clone(), cloud.clone()];
    let mut answers =
        patiently_each(h, async || fleet.set_power(&named, PowerTarget::Stopped).await).await;
    assert_eq!(answers.len(), 2);
    let at = usize::from(answers[0].0 != hybrid);
    bad(answers.remove(at).1, ErrorKind::Unsupported, "stopping a hybrid node");
    if fleet.capabilities().power {
        good(answer_of(answers, &cloud), "stopping a cloud node");
        wait_power(h, &cloud, PowerState::Stopped).await;
    } else {
        all_unsupported(answers, "stopping a cloud node");
    }
    assert_eq!(status(h, &hybrid).await.power, PowerState::Unknown);
}

/// `access`: reads only, and tells what is missing.
pub async fn access_reads_only(h: &dyn Harness) {
    let fleet = h.fleet();
    for expected in
        [AccessStatus::Granted, AccessStatus::NoIdentity, AccessStatus::MissingPermissions]
    {
        let node = h.add_node(NodeSeed::new(first_os(h)).with_access(expected)).await;
        let power = status(h, &node).await.power;
        for _ in 0..2 {
            let access = patiently(h, async || fleet.access(&node).await).await;
            if fleet.capabilities().access {
                let access = good(access, "an access check");
                assert_eq!(access.status, expected);
                assert_eq!(access.node, node);
            } else {
                bad(access, ErrorKind::Unsupported, "an access check");
            }
        }
        assert_eq!(status(h, &node).await.power, power);
    }
    if fleet.capabilities().access {
        let unknown = h.unknown_node();
        let access = patiently(h, async || fleet.access(&unknown).await).await;
        bad(access, ErrorKind::NotFound, "the access of an unknown node");
    }
}

fn grant() -> AccessGrant {
    AccessGrant::new("PatchKitConformance").with_policy("PatchKitConformancePolicy")
}

async fn access_of(
    h: &dyn Harness,
    fleet: &dyn Fleet,
    node: &patchkit_core::NodeId,
) -> AccessStatus {
    good(patiently(h, async || fleet.access(node).await).await, "an access check").status
}

/// `grant_access`: a node that has access is left alone: the change returned is empty.
pub async fn a_node_with_access_is_left_alone(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let fleet = h.fleet();
    let change = patiently(h, async || fleet.grant_access(&node, &grant()).await).await;
    if !fleet.capabilities().access {
        bad(change, ErrorKind::Unsupported, "a grant");
        return;
    }
    let change = good(change, "a grant to a node that has access");
    assert!(change.is_empty(), "{change:?}");
    assert_eq!(access_of(h, &*fleet, &node).await, AccessStatus::Granted);
    // What did nothing takes nothing back.
    let reverted = patiently(h, async || fleet.revert_access(&change).await).await;
    good(reverted, "taking an empty change back");
    assert_eq!(access_of(h, &*fleet, &node).await, AccessStatus::Granted);
}

/// `grant_access`: the change lists what was done, and `revert_access` undoes just that.
pub async fn a_grant_lists_what_revert_takes_back(h: &dyn Harness) {
    let fleet = h.fleet();
    for before in [AccessStatus::NoIdentity, AccessStatus::MissingPermissions] {
        let node = h.add_node(NodeSeed::new(first_os(h)).with_access(before)).await;
        let change = patiently(h, async || fleet.grant_access(&node, &grant()).await).await;
        if !fleet.capabilities().access {
            bad(change, ErrorKind::Unsupported, "a grant");
            let none = patchkit_core::AccessChange::none(node);
            let reverted = patiently(h, async || fleet.revert_access(&none).await).await;
            bad(reverted, ErrorKind::Unsupported, "taking a grant back");
            continue;
        }
        let change = good(change, "a grant");
        assert_eq!(change.node, node);
        assert_eq!(
            change.attached_identity.is_some(),
            before == AccessStatus::NoIdentity,
            "{change:?}"
        );
        if before == AccessStatus::MissingPermissions {
            assert!(change.attached_policy.is_some(), "{change:?}");
        }
        assert_eq!(access_of(h, &*fleet, &node).await, AccessStatus::Granted);
        let reverted = patiently(h, async || fleet.revert_access(&change).await).await;
        good(reverted, "taking a grant back");
        assert_eq!(access_of(h, &*fleet, &node).await, before);
    }
}

/// `revert_access`: twice is as good as once.
pub async fn reverting_access_twice_is_as_good_as_once(h: &dyn Harness) {
    let seed = NodeSeed::new(first_os(h)).with_access(AccessStatus::MissingPermissions);
    let node = h.add_node(seed).await;
    let fleet = h.fleet();
    let change = patiently(h, async || fleet.grant_access(&node, &grant()).await).await;
    if !fleet.capabilities().access {
        bad(change, ErrorKind::Unsupported, "a grant");
        return;
    }
    let change = good(change, "a grant");
    for _ in 0..2 {
        let reverted = patiently(h, async || fleet.revert_access(&change).await).await;
        good(reverted, "taking a grant back");
        assert_eq!(access_of(h, &*fleet, &node).await, AccessStatus::MissingPermissions);
    }
}

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> Tags {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

async fn tags_of(h: &dyn Harness, node: &patchkit_core::NodeId) -> Tags {
    let fleet = h.fleet();
    let selector = NodeSelector::ids([node.clone()]);
    let listed = good(list(h, || fleet.nodes(&selector)).await, "listing one node");
    assert_eq!(listed.len(), 1);
    listed.into_iter().next().map(|node| node.tags).unwrap_or_default()
}

async fn tagged(h: &dyn Harness) -> patchkit_core::NodeId {
    let seed = NodeSeed::new(first_os(h))
        .with_tag("Owner", "alice")
        .with_tag("Stage", "test")
        .with_tag("Name", "n1");
    h.add_node(seed).await
}

/// `merge_tags`: other tags stay, and tags with the value wanted are not in the change returned.
pub async fn a_merge_lists_only_what_it_changed(h: &dyn Harness) {
    let node = tagged(h).await;
    let before = tags_of(h, &node).await;
    let fleet = h.fleet();
    let wanted = tags([("Owner", "alice"), ("Stage", "prod"), ("Cost", "42")]);
    let change = patiently(h, async || fleet.merge_tags(&node, &wanted).await).await;
    if !fleet.capabilities().tags {
        bad(change, ErrorKind::Unsupported, "a merge");
        assert_eq!(tags_of(h, &node).await, before);
        return;
    }
    let change = good(change, "a merge");
    assert_eq!(change.node, node);
    let edits: BTreeSet<_> = each_once(
        change
            .set
            .iter()
            .map(|edit| (edit.key.as_str(), edit.before.as_deref(), edit.after.as_str())),
    );
    assert_eq!(edits, BTreeSet::from([("Stage", Some("test"), "prod"), ("Cost", None, "42")]));
    let mut merged = before;
    merged.extend(wanted.clone());
    assert_eq!(tags_of(h, &node).await, merged);
    let again = patiently(h, async || fleet.merge_tags(&node, &wanted).await).await;
    assert!(good(again, "the same merge again").is_empty());
}

/// `merge_tags`: `revert_tags` restores the values from before.
pub async fn reverting_tags_restores_the_values_from_before(h: &dyn Harness) {
    let node = tagged(h).await;
    let before = tags_of(h, &node).await;
    let fleet = h.fleet();
    let wanted = tags([("Stage", "prod"), ("Cost", "42")]);
    let change = patiently(h, async || fleet.merge_tags(&node, &wanted).await).await;
    if !fleet.capabilities().tags {
        bad(change, ErrorKind::Unsupported, "a merge");
        assert_eq!(tags_of(h, &node).await, before);
        return;
    }
    let change = good(change, "a merge");
    let reverted = patiently(h, async || fleet.revert_tags(&change).await).await;
    good(reverted, "taking a merge back");
    assert_eq!(tags_of(h, &node).await, before);
}

/// `revert_tags`: twice is as good as once.
pub async fn reverting_tags_twice_is_as_good_as_once(h: &dyn Harness) {
    let node = tagged(h).await;
    let before = tags_of(h, &node).await;
    let fleet = h.fleet();
    let wanted = tags([("Stage", "prod"), ("Cost", "42")]);
    let merged = patiently(h, async || fleet.merge_tags(&node, &wanted).await).await;
    let change = if fleet.capabilities().tags {
        good(merged, "a merge")
    } else {
        bad(merged, ErrorKind::Unsupported, "a merge");
        patchkit_core::TagChange::between(node.clone(), &before, &wanted)
    };
    for _ in 0..2 {
        let reverted = patiently(h, async || fleet.revert_tags(&change).await).await;
        if fleet.capabilities().tags {
            good(reverted, "taking a merge back");
        } else {
            bad(reverted, ErrorKind::Unsupported, "taking a merge back");
        }
        assert_eq!(tags_of(h, &node).await, before);
    }
}

/// All four traits work behind `Arc<dyn …>` and `Box<dyn …>`, for as long as the stream lives.
pub async fn works_behind_pointers(h: &dyn Harness) {
    let node = h.add_node(NodeSeed::new(first_os(h))).await;
    let boxed: Box<dyn Fleet> = Box::new(h.fleet());
    let stream = {
        let selector = NodeSelector::all();
        boxed.nodes(&selector)
    };
    drop(boxed);
    // The stream outlives both the selector and the fleet.
    let mut stream = Some(stream);
    let listed = list(h, || stream.take().unwrap_or_else(|| h.fleet().nodes(&NodeSelector::all())));
    let listed = good(listed.await, "listing through a box");
    assert_eq!(each_once(listed.into_iter().map(|node| node.id)), BTreeSet::from([node]));
}
