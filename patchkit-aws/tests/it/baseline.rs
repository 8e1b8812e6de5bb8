//! Baselines: what is read, what is changed, and what becomes of lost answers.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use patchkit_aws::Ssm;
use patchkit_core::{
    ApprovalRule, AutoApproval, AvailableUpdates, Baseline, BaselineId, BaselineOwner,
    BaselineSelector, ComplianceLevel, ErrorKind, OperatingSystem, PatchBaseline, PatchFilter,
    PatchFilterKey, PatchRepository, PatchSource, RejectedAction, UpdateScope, predefined,
};
use patchkit_testkit::cloud::{Denial, Fault, FaultKind};

use crate::cloud::{Cloud, all};

fn linux(name: &str) -> PatchBaseline {
    PatchBaseline::new(name, OperatingSystem::RedHatEnterpriseLinux)
        .with_description("each member")
        .with_global_filter(PatchFilter::new(PatchFilterKey::Product, ["*"]))
        .with_rule(
            ApprovalRule::new(AutoApproval::AfterDays(360))
                .with_filter(PatchFilter::new(
                    PatchFilterKey::Classification,
                    ["Security", "Bugfix"],
                ))
                .with_filter(PatchFilter::new(PatchFilterKey::Severity, ["Critical"]))
                .with_level(ComplianceLevel::High)
                .with_scope(UpdateScope::All),
        )
        .with_rule(ApprovalRule::new(AutoApproval::Until(jiff::civil::date(2026, 2, 28))))
        .with_approved(["RHSA-2017:0864", "kernel*"])
        .with_approved_level(ComplianceLevel::Informational)
        .with_approved_scope(UpdateScope::All)
        .with_rejected(["vim.x86_64"])
        .with_rejected_action(RejectedAction::Block)
        .with_source(PatchRepository {
            name: "mirror".into(),
            products: vec!["RedhatEnterpriseLinux9.4".into()],
            configuration: "[mirror]\nbaseurl=https://mirror.example/\npassword=hush\n".into(),
        })
}

fn windows(name: &str) -> PatchBaseline {
    let product = PatchFilter::new(PatchFilterKey::Product, ["WindowsServer2019"]);
    PatchBaseline::new(name, OperatingSystem::Windows)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(200)).with_filter(product))
        .with_available_updates(AvailableUpdates::NonCompliant)
}

async fn made(cloud: &Cloud, draft: &PatchBaseline) -> PatchBaseline {
    let id = cloud.ssm.create_baseline(draft).await.unwrap();
    draft.clone().with_id(id)
}

fn named(prefix: &str) -> BaselineSelector {
    BaselineSelector::all().with_name_prefix(prefix)
}

#[tokio::test]
async fn a_baseline_loses_nothing_on_the_wire() {
    let cloud = Cloud::of(4).await;
    let own = [linux("linux"), windows("windows")].into_iter();
    for (at, mut draft) in own.chain(predefined()).enumerate() {
        draft.name = format!("copy-{at}");
        let kept = made(&cloud, &draft).await;
        let id = kept.id.clone().unwrap();
        assert_eq!(cloud.ssm.baseline(&id).await.unwrap(), kept);
        let other = PatchBaseline::new("other", draft.operating_system.clone()).with_id(id.clone());
        assert_eq!(cloud.ssm.update_baseline(&other).await.unwrap(), kept);
        assert_eq!(cloud.ssm.update_baseline(&kept).await.unwrap(), other);
        assert_eq!(cloud.ssm.delete_baseline(&id).await.unwrap(), kept);
    }
}

#[tokio::test]
async fn awss_own_baselines_are_read_as_the_core_knows_them() {
    let cloud = Cloud::of(4).await;
    let selector = BaselineSelector::all().with_owner(BaselineOwner::Predefined);
    let listed = all(cloud.ssm.baselines(&selector)).await.unwrap();
    assert!(listed.iter().all(|it| it.id.as_ref().unwrap().as_str().starts_with("arn:aws:ssm:")));
    let unnamed = listed.into_iter().map(|mut it| {
        it.id = None;
        it
    });
    assert_eq!(unnamed.collect::<Vec<_>>(), predefined());
}

#[tokio::test]
async fn one_of_awss_own_is_found_by_the_last_part_of_its_arn() {
    let cloud = Cloud::of(4).await;
    let default = cloud.ssm.default_baseline(&OperatingSystem::Windows).await.unwrap();
    let arn = default.id.clone().unwrap();
    let bare: BaselineId = arn.as_str().rsplit_once('/').unwrap().1.parse().unwrap();
    cloud.world.forget_calls();
    assert_eq!(cloud.ssm.baseline(&bare).await.unwrap(), default);
    assert_eq!(cloud.count("GetPatchBaseline"), 2);
}

#[tokio::test]
async fn an_unknown_id_is_looked_for_among_awss_own_before_it_is_not_found() {
    let cloud = Cloud::of(4).await;
    let id: BaselineId = "pb-0ffffffffffffffff".parse().unwrap();
    let error = cloud.ssm.baseline(&id).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, "GetPatchBaseline"));
    assert!(error.request_id().is_some());
    assert_eq!(cloud.count("GetPatchBaseline"), 1);
    assert_eq!(cloud.count("DescribePatchBaselines"), 4);
}

#[tokio::test]
async fn a_listing_reads_each_baseline_once_and_no_page_twice() {
    let cloud = Cloud::of(4).await;
    for at in 0..11 {
        made(&cloud, &linux(&format!("web-{at}"))).await;
    }
    cloud.world.forget_calls();
    assert_eq!(all(cloud.ssm.baselines(&named("web-"))).await.unwrap().len(), 11);
    assert_eq!(cloud.count("DescribePatchBaselines"), 3);
    assert_eq!(cloud.count("GetPatchBaseline"), 11);
}

#[tokio::test]
async fn a_baseline_that_comes_on_two_pages_comes_once() {
    let cloud = Cloud::of(4).await;
    for at in 0..8 {
        made(&cloud, &linux(&format!("web-{at}"))).await;
    }
    let twice = Fault::new(FaultKind::DuplicateItem).on("DescribePatchBaselines").times(1);
    cloud.world.add_fault(twice).unwrap();
    let listed = all(cloud.ssm.baselines(&named("web-"))).await.unwrap();
    let names: BTreeSet<_> = listed.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((listed.len(), names.len()), (8, 8));
    assert_eq!(cloud.world.faults()[0].met, 1);
}

#[tokio::test]
async fn a_baseline_that_vanishes_while_it_is_listed_is_left_out() {
    let cloud = Cloud::of(4).await;
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(made(&cloud, &linux(&format!("web-{at}"))).await.id.unwrap());
    }
    // All of them are on one page, and few are read at once.
    let ssm = Ssm::builder(&cloud.sdk).build().await.unwrap();
    let mut listing = ssm.baselines(&named("web-"));
    listing.try_next().await.unwrap().unwrap();
    for id in &ids {
        cloud.raw().delete_patch_baseline().baseline_id(id.as_str()).send().await.unwrap();
    }
    let rest: Vec<_> = listing.try_collect().await.unwrap();
    let reads = cloud.world.calls().of("GetPatchBaseline");
    let gone = reads.iter().filter(|it| it.error.as_deref() == Some("DoesNotExistException"));
    assert_eq!(gone.count() + rest.len() + 1, 20);
    assert!(rest.len() < 19);
}

#[tokio::test]
async fn an_error_of_a_listing_comes_last_and_after_what_was_before_it() {
    let cloud = Cloud::of(4).await;
    for at in 0..12 {
        made(&cloud, &linux(&format!("web-{at}"))).await;
    }
    let fault = Fault::new(FaultKind::RepeatToken).on("DescribePatchBaselines").skip(1);
    cloud.world.add_fault(fault).unwrap();
    let mut listing = cloud.ssm.baselines(&named("web-"));
    let mut count = 0;
    let error = loop {
        match listing.try_next().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => panic!("the listing ended without an error"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), count), (ErrorKind::Malformed, 5));
    assert!(listing.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_word_that_no_version_knows_is_told_and_not_guessed() {
    let cloud = Cloud::of(4).await;
    let kept = made(&cloud, &linux("web")).await;
    // What is not needed of a listing is not read.
    cloud.world.add_fault(Fault::new(FaultKind::UnknownEnum).on("DescribePatchBaselines")).unwrap();
    assert_eq!(all(cloud.ssm.baselines(&named("web"))).await.unwrap(), [kept]);
    cloud.world.add_fault(Fault::new(FaultKind::UnknownEnum).on("GetPatchBaseline")).unwrap();
    let error = all(cloud.ssm.baselines(&named("web"))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Malformed, false));
    assert!(error.message().contains("\"VALUE_OF_A_LATER_VERSION\""), "{error}");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_baseline() {
    for kind in [FaultKind::CutAfter, FaultKind::FailAfter] {
        let cloud = Cloud::of(4).await;
        cloud.world.add_fault(Fault::new(kind).on("CreatePatchBaseline").times(1)).unwrap();
        let kept = made(&cloud, &linux("once")).await;
        assert_eq!(cloud.count("CreatePatchBaseline"), 2, "{kind:?}");
        assert_eq!(all(cloud.ssm.baselines(&named("once"))).await.unwrap(), [kept], "{kind:?}");
    }
}

#[tokio::test]
async fn a_creation_whose_answers_are_all_lost_is_a_timeout_and_never_retryable() {
    let cloud = Cloud::of(4).await;
    cloud.world.add_fault(Fault::new(FaultKind::CutAfter).on("CreatePatchBaseline")).unwrap();
    let error = cloud.ssm.create_baseline(&linux("once")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{error}");
    assert_eq!(all(cloud.ssm.baselines(&named("once"))).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_there_tells_whether_a_change_with_a_lost_answer_was_made() {
    let cloud = Cloud::of(4).await;
    let before = made(&cloud, &linux("before")).await;
    let id = before.id.clone().unwrap();
    let os = before.operating_system.clone();
    let after = PatchBaseline::new("after", os.clone()).with_id(id.clone());
    let cut = |operation: &str| {
        cloud.world.clear_faults();
        cloud.world.add_fault(Fault::new(FaultKind::CutAfter).on(operation)).unwrap();
    };
    cut("UpdatePatchBaseline");
    assert_eq!(cloud.ssm.update_baseline(&after).await.unwrap(), before);
    let default = cloud.ssm.default_baseline(&os).await.unwrap().id;
    cut("RegisterDefaultPatchBaseline");
    assert_eq!(cloud.ssm.set_default_baseline(&id).await.unwrap(), default);
    assert_eq!(cloud.ssm.set_default_baseline(&default.unwrap()).await.unwrap(), Some(id.clone()));
    cut("DeletePatchBaseline");
    assert_eq!(cloud.ssm.delete_baseline(&id).await.unwrap(), after);
}

#[tokio::test]
async fn a_change_that_was_not_made_is_told_as_such() {
    let cloud = Cloud::of(4).await;
    let before = made(&cloud, &linux("before")).await;
    let id = before.id.clone().unwrap();
    let after = PatchBaseline::new("after", before.operating_system.clone()).with_id(id.clone());
    cloud.world.add_fault(Fault::new(FaultKind::CutBefore).on("*PatchBaseline").skip(1)).unwrap();
    let error = cloud.ssm.update_baseline(&after).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false), "{error}");
    cloud.world.clear_faults();
    assert_eq!(cloud.ssm.baseline(&id).await.unwrap(), before);
}

#[tokio::test]
async fn awss_own_baselines_are_not_sent_changes() {
    let cloud = Cloud::of(4).await;
    let own = cloud.ssm.default_baseline(&OperatingSystem::Ubuntu).await.unwrap();
    let arn = own.id.clone().unwrap();
    let bare: BaselineId = arn.as_str().rsplit_once('/').unwrap().1.parse().unwrap();
    for id in [arn, bare] {
        let changed = own.clone().with_id(id.clone()).with_description("mine");
        let error = cloud.ssm.update_baseline(&changed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let error = cloud.ssm.delete_baseline(&id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        assert!(error.message().contains("AWS-UbuntuDefaultPatchBaseline"), "{error}");
    }
    assert_eq!(cloud.count("UpdatePatchBaseline") + cloud.count("DeletePatchBaseline"), 0);
}

#[tokio::test]
async fn a_draft_that_breaks_a_limit_is_not_sent() {
    let cloud = Cloud::of(4).await;
    let draft = PatchBaseline::new("web", OperatingSystem::Ubuntu)
        .with_rule(ApprovalRule::new(AutoApproval::AfterDays(7)));
    let error = cloud.ssm.create_baseline(&draft).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("approval_rules[0].approval"), "{error}");
    let draft = draft.with_id("pb-0123456789abcdef0".parse().unwrap());
    let error = cloud.ssm.update_baseline(&draft).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidInput, "UpdatePatchBaseline"));
    assert!(cloud.world.calls().is_empty());
}

#[tokio::test]
async fn an_update_to_what_is_there_or_to_another_system_is_not_sent() {
    let cloud = Cloud::of(4).await;
    let kept = made(&cloud, &linux("web")).await;
    assert_eq!(cloud.ssm.update_baseline(&kept).await.unwrap(), kept);
    let mut other = PatchBaseline::new("web", OperatingSystem::Suse);
    other.id = kept.id.clone();
    let error = cloud.ssm.update_baseline(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().starts_with("operating_system: "), "{error}");
    assert_eq!(cloud.count("UpdatePatchBaseline"), 0);
}

#[tokio::test]
async fn the_default_is_asked_for_its_own_system_only() {
    let cloud = Cloud::of(4).await;
    let ubuntu = cloud.ssm.default_baseline(&OperatingSystem::Ubuntu).await.unwrap();
    assert_eq!(ubuntu.operating_system, OperatingSystem::Ubuntu);
    assert_eq!(ubuntu.name, "AWS-UbuntuDefaultPatchBaseline");
    // Making the default what it is already sends nothing.
    let id = ubuntu.id.unwrap();
    assert_eq!(cloud.ssm.set_default_baseline(&id).await.unwrap(), Some(id));
    assert_eq!(cloud.count("RegisterDefaultPatchBaseline"), 0);
}

#[tokio::test]
async fn a_denied_read_of_one_baseline_is_told_and_not_left_out() {
    let cloud = Cloud::of(4).await;
    made(&cloud, &linux("web")).await;
    cloud.world.deny(Denial::of("ssm:GetPatchBaseline")).unwrap();
    let error = all(cloud.ssm.baselines(&named("web"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.operation(), "GetPatchBaseline");
}

#[tokio::test]
async fn approved_patches_are_those_that_rules_and_lists_approve_now() {
    let cloud = Cloud::of(4).await;
    let raw = all(cloud.ssm.available_patches([])).await.unwrap();
    let [listed, rejected] = [&raw[0].id, &raw[1].id];
    let draft =
        windows("approving").with_approved([listed.as_str()]).with_rejected([rejected.as_str()]);
    let id = made(&cloud, &draft).await.id.unwrap();
    let approved = all(cloud.ssm.approved_patches(&id)).await.unwrap();
    let ids: BTreeSet<_> = approved.iter().map(|it| &it.id).collect();
    assert_eq!(ids.len(), approved.len(), "each comes once");
    assert!(ids.contains(listed) && !ids.contains(rejected));
    let compiled = patchkit_core::CompiledBaseline::new(&draft);
    let now = cloud.world.now();
    let expected: BTreeSet<_> =
        raw.iter().filter(|it| compiled.decide(it, now).is_approved()).map(|it| &it.id).collect();
    assert!(expected.len() > 1);
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn approved_patches_are_told_for_windows_only() {
    let cloud = Cloud::of(4).await;
    let id = made(&cloud, &linux("web")).await.id.unwrap();
    let error = all(cloud.ssm.approved_patches(&id)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.operation(), "DescribeEffectivePatchesForPatchBaseline");
}

#[tokio::test]
async fn available_patches_of_linux_are_packages() {
    let cloud = Cloud::of(4).await;
    let product = PatchFilter::new(PatchFilterKey::Product, ["AmazonLinux2.0"]);
    let patches = all(cloud.ssm.available_patches([product])).await.unwrap();
    assert!(!patches.is_empty());
    for patch in &patches {
        let package = patch.package.as_ref().unwrap();
        assert_eq!(patch.id.as_str(), format!("{}.{}", package.name, package.arch));
        assert_eq!(patch.products, ["AmazonLinux2.0"]);
        let security = patch.classification.as_ref().unwrap().is_security();
        assert_eq!(patch.source == PatchSource::Security, security);
    }
    let wrong = PatchFilter::new(PatchFilterKey::CveId, ["CVE-2018-3615"]);
    let error = all(cloud.ssm.available_patches([wrong])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn properties_are_the_values_of_filters() {
    let cloud = Cloud::of(4).await;
    let values = async |os: OperatingSystem, key: PatchFilterKey| {
        all(cloud.ssm.patch_properties(&os, &key)).await
    };
    let products = values(OperatingSystem::Windows, PatchFilterKey::Product).await.unwrap();
    assert_eq!(products, ["WindowsServer2019", "WindowsServer2022"]);
    let error = values(OperatingSystem::Ubuntu, PatchFilterKey::Severity).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn no_error_shows_the_password_of_a_repository() {
    let cloud = Cloud::of(4).await;
    let mut draft = linux("web");
    draft.sources[0].name = "?".into();
    let error = cloud.ssm.create_baseline(&draft).await.unwrap_err();
    assert!(!format!("{error:?} {}", error.report()).contains("hush"));
    cloud.world.add_fault(Fault::new(FaultKind::FailAfter).on("CreatePatchBaseline")).unwrap();
    let error = cloud.ssm.create_baseline(&linux("web")).await.unwrap_err();
    assert!(!format!("{error:?} {}", error.report()).contains("hush"));
}
