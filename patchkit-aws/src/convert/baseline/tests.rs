use aws_sdk_ssm::operation::create_patch_baseline::CreatePatchBaselineInput;
use patchkit_core::{ErrorKind, PatchFilterKey, predefined};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const ID: &str = "pb-0123456789abcdef0";

/// How GetPatchBaseline answers what was left out of a request.
#[derive(Clone, Copy, Debug)]
enum Omitted {
    /// It leaves it out too.
    Absent,
    /// It names the default.
    Default,
}

/// The answer about a baseline that was made by a request.
fn answer(request: CreatePatchBaselineInput, omitted: Omitted) -> GetPatchBaselineOutput {
    let mut answer = GetPatchBaselineOutput::builder()
        .baseline_id(ID)
        .set_name(request.name)
        .set_description(request.description)
        .set_operating_system(request.operating_system)
        .set_global_filters(request.global_filters)
        .set_approval_rules(request.approval_rules)
        .set_approved_patches(request.approved_patches)
        .set_approved_patches_compliance_level(request.approved_patches_compliance_level)
        .set_approved_patches_enable_non_security(request.approved_patches_enable_non_security)
        .set_rejected_patches(request.rejected_patches)
        .set_rejected_patches_action(request.rejected_patches_action)
        .set_sources(request.sources)
        .set_available_security_updates_compliance_status(
            request.available_security_updates_compliance_status,
        )
        .build();
    if matches!(omitted, Omitted::Default) {
        let no_filters = types::PatchFilterGroup::builder().set_patch_filters(Some(Vec::new()));
        let no_rules = types::PatchRuleGroup::builder().set_patch_rules(Some(Vec::new()));
        answer.global_filters.get_or_insert(no_filters.build().unwrap());
        answer.approval_rules.get_or_insert(no_rules.build().unwrap());
        answer.approved_patches.get_or_insert_default();
        answer.rejected_patches.get_or_insert_default();
        answer.sources.get_or_insert_default();
        answer.approved_patches_enable_non_security.get_or_insert_default();
        for rule in answer.approval_rules.iter_mut().flat_map(|it| &mut it.patch_rules) {
            rule.enable_non_security.get_or_insert_default();
        }
    }
    answer
}

fn there_and_back(baseline: &PatchBaseline, omitted: Omitted) -> PatchBaseline {
    read(&answer(create(baseline).unwrap().build().unwrap(), omitted)).unwrap()
}

fn kept(baseline: PatchBaseline) -> PatchBaseline {
    baseline.with_id(BaselineId::new(ID).unwrap())
}

fn any_os() -> impl Strategy<Value = OperatingSystem> {
    prop_oneof![
        9 => select(OperatingSystem::KNOWN.to_vec()),
        1 => "PLAN_[0-9]{1,3}".prop_map(|name| OperatingSystem::Other(name.into())),
    ]
}

/// The filter keys that the core takes for an operating system.
fn keys(os: &OperatingSystem) -> Vec<PatchFilterKey> {
    let other = PatchFilterKey::Other("COLOUR".into());
    let legal = |key: &PatchFilterKey| {
        let filter = PatchFilter::new(key.clone(), ["*"]);
        let probe = PatchBaseline::new("probe", os.clone()).with_global_filter(filter);
        probe.validate().is_empty()
    };
    PatchFilterKey::KNOWN.iter().chain([&other]).filter(|key| legal(key)).cloned().collect()
}

fn any_filters(os: &OperatingSystem) -> impl Strategy<Value = Vec<PatchFilter>> + use<> {
    let values = vec("[ -~]{1,64}", 1..5).prop_map(|mut values| {
        values.sort();
        values.dedup();
        values
    });
    let filter = (select(keys(os)), values);
    vec(filter.prop_map(|(key, values)| PatchFilter::new(key, values)), 0..5)
}

fn any_scope(os: &OperatingSystem) -> impl Strategy<Value = UpdateScope> + use<> {
    use patchkit_core::PlatformKind::{Linux, Other};
    let all = matches!(os.platform(), Linux | Other);
    any::<bool>().prop_map(
        move |any| {
            if any && all { UpdateScope::All } else { UpdateScope::SecurityOnly }
        },
    )
}

fn any_rule(os: &OperatingSystem) -> impl Strategy<Value = ApprovalRule> + use<> {
    let dated = prop_oneof![
        (0_u16..=360).prop_map(AutoApproval::AfterDays),
        (0_i16..=9999, 1_i8..=12, 1_i8..=28)
            .prop_map(|(y, m, d)| AutoApproval::Until(jiff::civil::date(y, m, d))),
    ];
    let approval = match os.family() {
        PackageFamily::Apt => Just(AutoApproval::Immediately).boxed(),
        PackageFamily::Other => prop_oneof![dated, Just(AutoApproval::Immediately)].boxed(),
        _ => dated.boxed(),
    };
    let level = select(ComplianceLevel::ALL.to_vec());
    (any_filters(os), approval, level, any_scope(os)).prop_map(
        |(filters, approval, level, scope)| {
            let rule = ApprovalRule::new(approval).with_level(level).with_scope(scope);
            filters.into_iter().fold(rule, ApprovalRule::with_filter)
        },
    )
}

fn any_list(os: &OperatingSystem) -> impl Strategy<Value = Vec<String>> + use<> {
    let entry = match os.family() {
        PackageFamily::Windows => "KB[1-9][0-9]{5,6}",
        _ => "[a-z][a-z0-9]{0,30}",
    };
    proptest::collection::btree_set(entry, 0..10).prop_map(Vec::from_iter)
}

fn any_sources(os: &OperatingSystem) -> impl Strategy<Value = Vec<PatchRepository>> + use<> {
    use patchkit_core::PlatformKind::{Linux, Other};
    let most = if matches!(os.platform(), Linux | Other) { 4 } else { 0 };
    let source = ("[a-z]{3,40}", vec("[A-Za-z0-9.]{1,40}", 1..2), "[ -~\n]{1,400}");
    vec(source, 0..=most).prop_map(|sources| {
        let mut sources: Vec<PatchRepository> = sources
            .into_iter()
            .map(|(name, products, configuration)| PatchRepository {
                name,
                products,
                configuration,
            })
            .collect();
        sources.dedup_by(|a, b| a.name == b.name);
        sources
    })
}

fn any_baseline_for(os: OperatingSystem) -> impl Strategy<Value = PatchBaseline> {
    let windows = os == OperatingSystem::Windows;
    let level = select(ComplianceLevel::ALL.to_vec());
    let head = ("[A-Za-z0-9_.-]{3,128}", option::of("\\PC{1,200}"), any_filters(&os));
    let lists = (any_list(&os), level, any_scope(&os), any_list(&os), any::<bool>());
    let rest = (vec(any_rule(&os), 0..=10), any_sources(&os), any::<bool>());
    (head, lists, rest).prop_map(move |(head, lists, rest)| {
        let (name, description, global) = head;
        let (approved, level, scope, rejected, block) = lists;
        let (rules, sources, counts) = rest;
        let mut baseline = PatchBaseline::new(name, os.clone())
            .with_approved(approved)
            .with_approved_level(level)
            .with_approved_scope(scope)
            .with_rejected(rejected);
        baseline.description = description;
        baseline.global_filters = global;
        baseline.approval_rules = rules;
        baseline.sources = sources;
        if block {
            baseline.rejected_action = RejectedAction::Block;
        }
        if windows && counts {
            baseline.available_updates = AvailableUpdates::NonCompliant;
        }
        baseline
    })
}

proptest! {
    #[test]
    fn a_baseline_loses_nothing_there_and_back(
        baseline in any_os().prop_flat_map(any_baseline_for),
        omitted in select(vec![Omitted::Absent, Omitted::Default]),
    ) {
        prop_assert_eq!(baseline.validate(), []);
        let back = there_and_back(&baseline, omitted);
        prop_assert_eq!(back, kept(baseline));
    }

    #[test]
    fn a_replacement_says_all_that_a_creation_says(
        baseline in any_os().prop_flat_map(any_baseline_for),
    ) {
        let id = BaselineId::new(ID).unwrap();
        let made = create(&baseline).unwrap().build().unwrap();
        let put = replace(&id, &baseline).unwrap().build().unwrap();
        prop_assert_eq!((put.baseline_id(), put.replace()), (Some(ID), Some(true)));
        let put = CreatePatchBaselineInput::builder()
            .set_name(put.name)
            .set_description(put.description)
            .set_operating_system(made.operating_system.clone())
            .set_global_filters(put.global_filters)
            .set_approval_rules(put.approval_rules)
            .set_approved_patches(put.approved_patches)
            .set_approved_patches_compliance_level(put.approved_patches_compliance_level)
            .set_approved_patches_enable_non_security(put.approved_patches_enable_non_security)
            .set_rejected_patches(put.rejected_patches)
            .set_rejected_patches_action(put.rejected_patches_action)
            .set_sources(put.sources)
            .set_available_security_updates_compliance_status(
                put.available_security_updates_compliance_status,
            );
        prop_assert_eq!(put.build().unwrap(), made);
    }
}

#[test]
fn every_predefined_baseline_is_the_same_there_and_back() {
    for baseline in predefined() {
        assert_eq!(there_and_back(&baseline, Omitted::Absent), kept(baseline));
    }
}

fn bare() -> GetPatchBaselineOutput {
    let baseline = PatchBaseline::new("bare", OperatingSystem::Ubuntu)
        .with_rule(ApprovalRule::new(AutoApproval::Immediately));
    answer(create(&baseline).unwrap().build().unwrap(), Omitted::Absent)
}

#[test]
fn a_system_and_a_key_that_no_version_knows_survive() {
    let mut answer = bare();
    answer.operating_system = Some("PLAN_9".into());
    let filter = types::PatchFilter::builder().key("COLOUR".into()).values("blue").build();
    let group = types::PatchFilterGroup::builder().patch_filters(filter.unwrap());
    answer.global_filters = Some(group.build().unwrap());
    let baseline = read(&answer).unwrap();
    assert_eq!(baseline.operating_system.as_str(), "PLAN_9");
    assert_eq!(baseline.global_filters[0].key.as_str(), "COLOUR");
    let again = create(&baseline).unwrap().build().unwrap();
    assert_eq!(again.operating_system.unwrap().as_str(), "PLAN_9");
    assert_eq!(again.global_filters.unwrap().patch_filters[0].key.as_str(), "COLOUR");
}

#[test]
fn what_the_core_has_no_word_for_is_named_and_not_guessed() {
    let mut level = bare();
    level.approved_patches_compliance_level = Some("DIRE".into());
    let mut action = bare();
    action.rejected_patches_action = Some("BURN".into());
    let mut available = bare();
    available.available_security_updates_compliance_status = Some("PERHAPS".into());
    let mut date = bare();
    date.approval_rules.as_mut().unwrap().patch_rules[0].approve_until_date = Some("soon".into());
    let mut days = bare();
    days.approval_rules.as_mut().unwrap().patch_rules[0].approve_after_days = Some(-1);
    for (answer, field) in [
        (level, "ApprovedPatchesComplianceLevel"),
        (action, "RejectedPatchesAction"),
        (available, "AvailableSecurityUpdatesComplianceStatus"),
        (date, "ApproveUntilDate"),
        (days, "ApproveAfterDays"),
    ] {
        let error = read(&answer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.message().contains(field) && error.message().contains(ID), "{error}");
    }
}

#[test]
fn a_delay_of_zero_days_on_apt_is_none() {
    let mut answer = bare();
    answer.approval_rules.as_mut().unwrap().patch_rules[0].approve_after_days = Some(0);
    let baseline = read(&answer).unwrap();
    assert_eq!(baseline.approval_rules[0].approval, AutoApproval::Immediately);
    assert_eq!(baseline.validate(), []);
    // A longer one is kept: it is what the baseline says, whatever the service makes of it.
    answer.approval_rules.as_mut().unwrap().patch_rules[0].approve_after_days = Some(7);
    assert_eq!(read(&answer).unwrap().approval_rules[0].approval, AutoApproval::AfterDays(7));
}

#[test]
fn what_applies_to_other_systems_only_is_not_said() {
    let request = |os| create(&PatchBaseline::new("one", os)).unwrap().build().unwrap();
    let linux = request(OperatingSystem::Suse);
    assert_eq!(linux.available_security_updates_compliance_status, None);
    let windows = request(OperatingSystem::Windows);
    assert!(windows.available_security_updates_compliance_status.is_some());
    assert_eq!(windows.approved_patches_enable_non_security, None);
    assert_eq!(windows.sources, None);
}
