use patchkit_core::{
    ApprovalRule, AutoApproval, OperatingSystem, Package, PatchBaseline, UpdateScope,
};
use proptest::prelude::*;

use super::*;
use crate::arbitrary::{baselines, patches};

fn package(name: &str, version: &str) -> Patch {
    let mut patch = Patch::new(PatchId::new(name).unwrap());
    patch.package =
        Some(Package { name: name.to_owned(), version: version.to_owned(), ..Package::default() });
    patch
}

fn choose(baseline: &PatchBaseline, assessed: &[Patch]) -> Selection {
    let now = "2026-11-24T00:00:00Z".parse().unwrap();
    install_parameters(&CompiledBaseline::new(baseline), assessed, now)
}

fn ubuntu() -> PatchBaseline {
    let rule = ApprovalRule::new(AutoApproval::Immediately).with_scope(UpdateScope::All);
    PatchBaseline::new("web", OperatingSystem::Ubuntu).with_rule(rule)
}

fn linux(selection: &Selection) -> (Vec<&str>, Vec<&str>) {
    let Some(InstallParameters::Linux { include, exclude }) = selection.parameters() else {
        panic!("{selection:?}")
    };
    let [include, exclude] = [include, exclude].map(|it| it.iter().map(String::as_str).collect());
    (include, exclude)
}

#[test]
fn packages_are_named_with_the_version_that_was_assessed() {
    let selection = choose(&ubuntu(), &[package("bash", "5.2-1ubuntu1"), package("tzdata", "")]);
    assert_eq!(linux(&selection).0, ["bash=5.2-1ubuntu1", "tzdata"]);
    let (member, value) = selection.parameters().unwrap().to_json();
    assert_eq!(member, "linuxParameters");
    assert!(value.get("classificationsToInclude").is_none());
}

#[test]
fn where_nothing_is_approved_there_is_nothing_to_ask_for() {
    let nothing = PatchBaseline::new("web", OperatingSystem::Ubuntu);
    assert_eq!(choose(&nothing, &[package("bash", "1")]).parameters(), None);
    assert_eq!(choose(&ubuntu(), &[]).parameters(), None);
    let mac = PatchBaseline::new("web", OperatingSystem::MacOs)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
    assert_eq!(choose(&mac, &[package("bash", "1")]).parameters(), None);
}

#[test]
fn only_what_is_blocked_is_excluded() {
    let assessed = [package("bash", "1"), package("telnet", "1")];
    let rejecting = ubuntu().with_rejected(["telnet", "rsh"]);
    let selection = choose(&rejecting, &assessed);
    assert_eq!(linux(&selection), (vec!["bash=1"], vec![]));
    let blocking = rejecting.with_rejected_action(RejectedAction::Block);
    assert_eq!(linux(&choose(&blocking, &assessed)), (vec!["bash=1"], vec!["telnet", "rsh"]));
}

#[test]
fn what_azure_has_no_name_for_is_told() {
    let windows = PatchBaseline::new("web", OperatingSystem::Windows)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(0)));
    let [kb, other] = ["KB5034441", "a0f1"].map(|id| Patch::new(PatchId::new(id).unwrap()));
    let selection = choose(&windows, &[kb.clone(), other.clone()]);
    assert_eq!((&*selection.chosen, &*selection.unnamed), (&[kb.id][..], &[other.id][..]));
    // A pattern would bring more than the one that was looked at.
    let selection = choose(&ubuntu(), &[package("ba*", "1"), package("b", "1=2")]);
    assert_eq!((selection.parameters(), selection.unnamed.len()), (None, 2));
}

proptest! {
    #[test]
    fn what_is_asked_for_is_what_the_core_approves(
        (baseline, assessed) in baselines().prop_flat_map(|baseline| {
            let assessed = prop::collection::vec(patches(&baseline.operating_system), 0..5);
            (Just(baseline), assessed)
        })
    ) {
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        let approved = assessed.iter().filter(|it| {
            patchkit_core::evaluate(&baseline, it, now).is_approved()
        });
        let approved: Vec<_> = approved.map(|it| it.id.clone()).collect();
        let selection = choose(&baseline, &assessed);
        prop_assert_eq!(&selection.chosen, &approved);
        prop_assert_eq!(selection.parameters().is_none(), approved.is_empty());
        if let Some(InstallParameters::Linux { include, exclude }) = selection.parameters() {
            for name in include.iter().filter_map(|it| it.split('=').next()) {
                prop_assert!(!exclude.iter().any(|it| it == name), "{name} is excluded too");
            }
        }
    }
}
