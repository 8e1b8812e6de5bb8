//! The baselines that a provider keeps.

use std::collections::BTreeSet;

use patchkit_core::{
    ApprovalRule, AutoApproval, BaselineId, BaselineOwner, BaselineSelector, ComplianceLevel,
    ErrorKind, PatchBaseline, PatchFilter, PatchFilterKey, PatchGroupName, RejectedAction,
};

use super::support::{bad, custom, each_once, first_os, good, list, patiently};
use crate::{Harness, Trouble};

fn prefixed(name: &str) -> BaselineSelector {
    BaselineSelector::all().with_name_prefix(name)
}

async fn read(h: &dyn Harness, id: &BaselineId) -> PatchBaseline {
    let keeper = h.baseline();
    good(patiently(h, async || keeper.baseline(id).await).await, "reading a baseline")
}

/// Creates a baseline where the provider can, else has the harness add it.
async fn create(h: &dyn Harness, draft: &PatchBaseline) -> BaselineId {
    let keeper = h.baseline();
    let created = patiently(h, async || keeper.create_baseline(draft).await).await;
    if h.fleet().capabilities().write_baselines {
        return good(created, "creating a baseline");
    }
    bad(created, ErrorKind::Unsupported, "creating a baseline");
    let listed = good(list(h, || keeper.baselines(&prefixed(&draft.name))).await, "listing");
    assert!(listed.is_empty(), "what is not supported changes nothing: {listed:?}");
    h.add_baseline(draft).await
}

/// `baselines`: every baseline comes once, over however many pages; a selector never widens.
pub async fn lists_every_baseline_once(h: &dyn Harness) {
    let [os, other_os] = h.systems();
    let mut seeded = BTreeSet::new();
    for at in 0..=3 * h.page_size() {
        seeded.insert(h.add_baseline(&custom(h, &format!("conformance-{at:03}"))).await);
    }
    let other = h.add_baseline(&PatchBaseline::new("conformance-other", other_os.clone())).await;
    let keeper = h.baseline();
    let mut all = seeded.clone();
    all.insert(other.clone());
    for (selector, expected) in [
        (prefixed("conformance-"), all),
        (prefixed("conformance-").with_operating_system(os), seeded.clone()),
        (prefixed("conformance-o").with_operating_system(other_os), BTreeSet::from([other])),
        (prefixed("conformance-0").with_owner(BaselineOwner::Custom), seeded),
        (prefixed("conformance-").with_owner(BaselineOwner::Predefined), BTreeSet::new()),
    ] {
        let listed = good(list(h, || keeper.baselines(&selector)).await, "listing baselines");
        let ids = each_once(listed.into_iter().map(|baseline| {
            let Some(id) = baseline.id else { panic!("{} is kept without an id", baseline.name) };
            id
        }));
        assert_eq!(ids, expected, "{selector:?}");
    }
}

/// `baseline`: an ARN and its bare id name the same baseline.
pub async fn an_arn_and_its_bare_id_name_the_same_baseline(h: &dyn Harness) {
    let id = h.add_baseline(&custom(h, "conformance-spelling")).await;
    let bare = id.as_str().rsplit_once('/').map_or(id.as_str(), |(_, bare)| bare);
    let mut spellings = vec![id.clone()];
    // Other providers spell an id in one way only.
    if bare.starts_with("pb-") {
        let arn = format!("arn:aws:ssm:eu-west-1:111122223333:patchbaseline/{bare}");
        spellings.extend([bare, &arn].map(|text| good(BaselineId::new(text), "a baseline id")));
    }
    for spelling in spellings {
        let kept = read(h, &spelling).await;
        assert_eq!(kept.name, "conformance-spelling");
        assert_eq!(kept.id.as_ref(), Some(&id));
    }
}

/// `baseline`: an unknown id is `NotFound`, for every call that takes one.
pub async fn an_unknown_baseline_is_not_found(h: &dyn Harness) {
    let (keeper, id) = (h.baseline(), h.unknown_baseline());
    let answer = patiently(h, async || keeper.baseline(&id).await).await;
    bad(answer, ErrorKind::NotFound, "reading an unknown baseline");
    let approved = list(h, || keeper.approved_patches(&id)).await;
    let Err(error) = approved else { panic!("patches of an unknown baseline") };
    assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported), "{error}");
    let kind = if h.fleet().capabilities().write_baselines {
        ErrorKind::NotFound
    } else {
        ErrorKind::Unsupported
    };
    let changed = custom(h, "conformance-unknown").with_id(id.clone());
    let answer = patiently(h, async || keeper.update_baseline(&changed).await).await;
    bad(answer, kind, "changing an unknown baseline");
    let answer = patiently(h, async || keeper.delete_baseline(&id).await).await;
    bad(answer, kind, "deleting an unknown baseline");
    let answer = patiently(h, async || keeper.set_default_baseline(&id).await).await;
    bad(answer, kind, "making an unknown baseline the default");
}

/// Errors: an operating system's default baseline is for that operating system.
pub async fn the_default_baseline_is_for_its_operating_system(h: &dyn Harness) {
    let keeper = h.baseline();
    for os in h.systems() {
        let default = patiently(h, async || keeper.default_baseline(&os).await).await;
        let default = good(default, "a default baseline");
        assert_eq!(default.operating_system, os);
        let Some(id) = default.id.clone() else { panic!("a default baseline without an id") };
        assert_eq!(read(h, &id).await, default);
    }
}

/// `approved_patches`: every patch comes once, or the provider says that it cannot tell.
pub async fn approved_patches_come_once_or_are_unsupported(h: &dyn Harness) {
    let keeper = h.baseline();
    for os in h.systems() {
        let default = patiently(h, async || keeper.default_baseline(&os).await).await;
        let Some(id) = good(default, "a default baseline").id else { panic!("no id") };
        match list(h, || keeper.approved_patches(&id)).await {
            Ok(patches) => {
                each_once(patches.into_iter().map(|patch| patch.id));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}"),
        }
    }
}

/// `create_baseline`: a draft that breaks a limit is `InvalidInput` with the field's name.
pub async fn a_draft_over_a_limit_is_invalid(h: &dyn Harness) {
    let keeper = h.baseline();
    let filter = PatchFilter::new(PatchFilterKey::Classification, ["*"]);
    let rule = || ApprovalRule::new(approval(h)).with_filter(filter.clone());
    let names = |n: usize| (0..n).map(|at| format!("package-{at}"));
    let many_rules = (0..11).fold(custom(h, "conformance-over"), |it, _| it.with_rule(rule()));
    let many_filters = (0..5).fold(rule(), |it, _| it.with_filter(filter.clone()));
    for (field, draft) in [
        ("approval_rules", many_rules),
        ("filters", custom(h, "conformance-over").with_rule(many_filters)),
        ("approved_patches", custom(h, "conformance-over").with_approved(names(51))),
        ("rejected_patches", custom(h, "conformance-over").with_rejected(names(51))),
    ] {
        let answer = patiently(h, async || keeper.create_baseline(&draft).await).await;
        if h.fleet().capabilities().write_baselines {
            let error = bad(answer, ErrorKind::InvalidInput, field);
            // Services name it in their own spelling.
            let message = error.message().to_lowercase().replace('_', "");
            assert!(message.contains(&field.replace('_', "")), "{field} in: {error}");
        } else {
            bad(answer, ErrorKind::Unsupported, "creating a baseline");
        }
        let selector = prefixed("conformance-over");
        let listed = good(list(h, || keeper.baselines(&selector)).await, "listing baselines");
        assert!(listed.is_empty(), "what is refused is not kept: {listed:?}");
    }
}

/// How a rule may approve on the harness's operating system: Debian's kin know no release dates.
fn approval(h: &dyn Harness) -> AutoApproval {
    match first_os(h).family() {
        patchkit_core::PackageFamily::Apt => AutoApproval::Immediately,
        _ => AutoApproval::AfterDays(7),
    }
}

fn rich(h: &dyn Harness, name: &str) -> PatchBaseline {
    let filter = PatchFilter::new(PatchFilterKey::Classification, ["Security"]);
    custom(h, name)
        .with_description("made by the conformance suite")
        .with_global_filter(PatchFilter::new(PatchFilterKey::Product, ["*"]))
        .with_rule(
            ApprovalRule::new(approval(h)).with_filter(filter).with_level(ComplianceLevel::High),
        )
        .with_approved(["openssl"])
        .with_approved_level(ComplianceLevel::Critical)
        .with_rejected(["telnet"])
        .with_rejected_action(RejectedAction::Block)
}

/// `create_baseline`: what is read back equals the draft but for the id.
pub async fn what_is_read_back_equals_the_draft(h: &dyn Harness) {
    // The draft's own id is not used.
    let draft = rich(h, "conformance-rich").with_id(h.unknown_baseline());
    let id = create(h, &draft).await;
    assert_ne!(id, h.unknown_baseline());
    assert_eq!(read(h, &id).await, draft.with_id(id));
}

/// `update_baseline`: it replaces the whole; a predefined one is not the caller's to change.
pub async fn an_update_replaces_the_whole_baseline(h: &dyn Harness) {
    let keeper = h.baseline();
    let draft = rich(h, "conformance-update");
    let id = create(h, &draft).await;
    let kept = draft.with_id(id.clone());
    let plain = custom(h, "conformance-updated").with_id(id.clone());
    let answer = patiently(h, async || keeper.update_baseline(&plain).await).await;
    let default = patiently(h, async || keeper.default_baseline(&first_os(h)).await).await;
    let default = good(default, "a default baseline");
    if h.fleet().capabilities().write_baselines {
        let before = good(answer, "changing a baseline");
        assert_eq!(before, kept);
        assert_eq!(read(h, &id).await, plain);
        let answer = patiently(h, async || keeper.update_baseline(&before).await).await;
        assert_eq!(good(answer, "taking a change back"), plain);
        assert_eq!(read(h, &id).await, kept);
        let answer = patiently(h, async || keeper.update_baseline(&default).await).await;
        bad(answer, ErrorKind::PermissionDenied, "changing a predefined baseline");
    } else {
        bad(answer, ErrorKind::Unsupported, "changing a baseline");
        assert_eq!(read(h, &id).await, kept);
    }
}

/// `delete_baseline`: one that is registered for a group or is a default is `Conflict`, and stays.
pub async fn a_baseline_in_use_cannot_be_deleted(h: &dyn Harness) {
    let keeper = h.baseline();
    let writes = h.fleet().capabilities().write_baselines;
    let registered = h.add_baseline(&custom(h, "conformance-registered")).await;
    let group = good(PatchGroupName::new("conformance"), "a group's name");
    h.add_registration(&group, &registered).await;
    let mut used = vec![registered];
    let default = h.add_baseline(&custom(h, "conformance-default")).await;
    let set = patiently(h, async || keeper.set_default_baseline(&default).await).await;
    if writes {
        good(set, "making a baseline the default");
        used.push(default);
    } else {
        bad(set, ErrorKind::Unsupported, "making a baseline the default");
    }
    let kind = if writes { ErrorKind::Conflict } else { ErrorKind::Unsupported };
    for id in used {
        let answer = patiently(h, async || keeper.delete_baseline(&id).await).await;
        bad(answer, kind, "deleting a baseline that is in use");
        read(h, &id).await;
    }
}

/// `delete_baseline`: what was deleted is gone, and nothing else.
pub async fn a_deleted_baseline_is_gone(h: &dyn Harness) {
    let keeper = h.baseline();
    let gone = h.add_baseline(&custom(h, "conformance-gone")).await;
    let stays = h.add_baseline(&custom(h, "conformance-stays")).await;
    let answer = patiently(h, async || keeper.delete_baseline(&gone).await).await;
    if h.fleet().capabilities().write_baselines {
        let before = good(answer, "deleting a baseline");
        assert_eq!(before.id, Some(gone.clone()));
        let answer = patiently(h, async || keeper.baseline(&gone).await).await;
        bad(answer, ErrorKind::NotFound, "reading a deleted baseline");
    } else {
        bad(answer, ErrorKind::Unsupported, "deleting a baseline");
        read(h, &gone).await;
    }
    read(h, &stays).await;
}

/// `set_default_baseline`: it returns the one from before, and is for one operating system only.
pub async fn setting_the_default_returns_the_one_before(h: &dyn Harness) {
    let keeper = h.baseline();
    let [os, other_os] = h.systems();
    let default = async |os: &patchkit_core::OperatingSystem| {
        good(patiently(h, async || keeper.default_baseline(os).await).await, "a default").id
    };
    let (before, other) = (default(&os).await, default(&other_os).await);
    let id = h.add_baseline(&custom(h, "conformance-default")).await;
    let answer = patiently(h, async || keeper.set_default_baseline(&id).await).await;
    if h.fleet().capabilities().write_baselines {
        assert_eq!(good(answer, "making a baseline the default"), before);
        assert_eq!(default(&os).await, Some(id));
        let Some(back) = before.clone() else { panic!("no id") };
        let answer = patiently(h, async || keeper.set_default_baseline(&back).await).await;
        good(answer, "making the baseline from before the default again");
        assert_eq!(default(&os).await, before);
    } else {
        bad(answer, ErrorKind::Unsupported, "making a baseline the default");
        assert_eq!(default(&os).await, before);
    }
    assert_eq!(default(&other_os).await, other);
}

/// Errors: a denied call is `PermissionDenied`, with a request id.
pub async fn a_denied_call_is_permission_denied(h: &dyn Harness) {
    let keeper = h.baseline();
    h.make_trouble(Trouble::denied()).await;
    let answer = list(h, || keeper.baselines(&BaselineSelector::all())).await;
    let error = bad(answer, ErrorKind::PermissionDenied, "a denied listing");
    assert!(error.request_id().is_some(), "support asks for the request id: {error}");
}
