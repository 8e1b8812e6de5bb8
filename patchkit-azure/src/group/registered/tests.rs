use patchkit_core::NodeId;

use super::*;
use crate::error::malformed;

fn group(name: &str) -> PatchGroupName {
    name.parse().unwrap()
}

fn baseline(name: &str, os: OperatingSystem) -> Arc<CompiledBaseline> {
    compiled(&PatchBaseline::new(name, os))
}

fn linux() -> OperatingSystem {
    Part::Linux.system()
}

/// A dynamic scope of a subscription for one group and every system.
fn tied(subscription: &str, to: &str, its: Result<Vec<Arc<CompiledBaseline>>>) -> GroupScope {
    GroupScope {
        subscription: subscription.parse().unwrap(),
        groups: Groups::from([group(to)]),
        parts: Part::ALL.to_vec(),
        baselines: its,
    }
}

fn registrations(scopes: Vec<GroupScope>) -> Registrations {
    let default = |os: &OperatingSystem| (os.clone(), compiled(&default_baseline(os).unwrap()));
    let predefined = [OperatingSystem::Ubuntu, OperatingSystem::Windows].iter().map(default);
    Registrations {
        scopes,
        unknown_scopes: Vec::new(),
        defaults: Defaults::default(),
        predefined: predefined.collect(),
    }
}

fn node(subscription: &str, tags: &[(&str, &str)]) -> ManagedNode {
    let id: NodeId = format!("azure/{subscription}/we//vm").parse().unwrap();
    let mut node = ManagedNode::new(id, OperatingSystem::Ubuntu, Timestamp::UNIX_EPOCH);
    node.tags = tags.iter().map(|(key, of)| ((*key).to_owned(), (*of).to_owned())).collect();
    node
}

fn web(subscription: &str) -> ManagedNode {
    node(subscription, &[("PatchGroup", "web")])
}

/// The name of the baseline that a node has.
fn on(registered: &Registrations, node: &ManagedNode) -> Result<String, ErrorKind> {
    let found = registered.on(node).map_err(|error| error.kind())?;
    Ok(found.unwrap().baseline().name.clone())
}

const DEFAULT: &str = "Azure-DefaultPatchBaseline-UBUNTU";

#[test]
fn a_machine_has_its_own_subscriptions_and_another_ones_only_without() {
    let of = |name| Ok(vec![baseline(name, OperatingSystem::Ubuntu)]);
    let registered = registrations(vec![
        tied("a", "web", of("first")),
        tied("b", "web", of("second")),
        tied("b", "db", of("third")),
    ]);
    assert_eq!(on(&registered, &web("a")).unwrap(), "first");
    assert_eq!(on(&registered, &web("B")).unwrap(), "second");
    assert_eq!(on(&registered, &web("c")).unwrap(), "first");
    assert_eq!(on(&registered, &node("a", &[("Patch Group", "db")])).unwrap(), "third");
    assert_eq!(on(&registered, &node("a", &[])).unwrap(), DEFAULT);
}

#[test]
fn one_for_linux_is_for_every_linux_without_its_own() {
    let both = vec![baseline("all", linux()), baseline("own", OperatingSystem::Ubuntu)];
    let registered = registrations(vec![
        tied("a", "web", Ok(both)),
        tied("b", "web", Ok(vec![baseline("all", linux())])),
    ]);
    assert_eq!(on(&registered, &web("a")).unwrap(), "own");
    assert_eq!(on(&registered, &web("b")).unwrap(), "all");
}

#[test]
fn what_cannot_be_read_never_reads_as_a_default() {
    let lost = |subscription: &str| {
        malformed("List", "x").with_scope(format!("azure/{subscription}/global").parse().unwrap())
    };
    let mut registered =
        registrations(vec![tied("a", "web", Ok(vec![baseline("a", OperatingSystem::Ubuntu)]))]);
    registered.unknown_scopes.push(lost("b"));
    assert!(!registered.is_whole());
    // Its own is known; the other's is not; and whoever has none may have one there.
    assert_eq!(on(&registered, &web("a")).unwrap(), "a");
    assert_eq!(on(&registered, &web("b")), Err(ErrorKind::Malformed));
    let stray = node("a", &[("PatchGroup", "stray")]);
    assert_eq!(on(&registered, &stray), Err(ErrorKind::Malformed));
    assert_eq!(on(&registered, &node("b", &[])).unwrap(), DEFAULT, "it is in no group");

    let mut registered = registrations(vec![tied("a", "web", Err(lost("a")))]);
    assert_eq!(on(&registered, &web("a")), Err(ErrorKind::Malformed));
    assert_eq!(on(&registered, &stray).unwrap(), DEFAULT);
    registered.defaults.unknown.push(lost("a"));
    assert_eq!(on(&registered, &stray), Err(ErrorKind::Malformed));
}

#[test]
fn a_machine_of_two_groups_has_no_default() {
    let registered = registrations(Vec::new());
    let both = node("a", &[("PatchGroup", "web"), ("Patch Group", "db")]);
    assert_eq!(on(&registered, &both), Err(ErrorKind::Conflict));
}

#[test]
fn an_operating_system_that_azure_does_not_patch_has_none() {
    let mut mac = node("a", &[]);
    mac.operating_system = OperatingSystem::MacOs;
    assert!(registrations(Vec::new()).on(&mac).unwrap().is_none());
}
