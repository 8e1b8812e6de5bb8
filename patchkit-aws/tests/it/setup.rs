//! Setting an account and Region up.

use std::sync::Arc;

use patchkit_aws::{
    ActivationRequest, LakeDestination, LakeExpectation, LakeOwner, ManagedRule, RuleRemediation,
    SetupItem, SetupOptions, SetupOutcome, SetupReport, SetupState, Ssm, StepResult, TagGroup,
};
use patchkit_core::ErrorKind;
use patchkit_testkit::cloud::{Denial, Fault, FaultKind, World};

use crate::support::{ACCOUNT, REGION, one_scope, sdk, ssm};

const WRITES: [&str; 13] = [
    "AddRoleToInstanceProfile",
    "AttachRolePolicy",
    "AuthorizeSecurityGroupIngress",
    "CreateAssociation",
    "CreateBucket",
    "CreateInstanceProfile",
    "CreateResourceDataSync",
    "CreateRole",
    "CreateSecurityGroup",
    "CreateVpcEndpoint",
    "PutBucketPolicy",
    "PutRolePolicy",
    "UpdateAssumeRolePolicy",
];

async fn world() -> Arc<World> {
    Arc::new(one_scope(0).start().await.unwrap())
}

fn options() -> SetupOptions {
    let to = LakeDestination::new("central-lake", REGION.parse().unwrap()).with_prefix("inventory");
    let lake = LakeOwner::new(ACCOUNT.parse().unwrap(), LakeExpectation::new(to))
        .with_accounts(["444455556666".parse().unwrap()]);
    SetupOptions::new()
        .with_log_bucket("logs-{account}-{region}")
        .with_lake(lake)
        .with_role("fleet-node")
        .with_inventory("rate(12 hours)")
}

fn writes(world: &World) -> usize {
    WRITES.iter().map(|operation| world.calls().of(operation).len()).sum()
}

fn made(outcomes: &[SetupOutcome]) -> usize {
    outcomes.iter().filter(|it| matches!(it.result, StepResult::Made { .. })).count()
}

fn state<'a>(report: &'a SetupReport, item: &SetupItem) -> &'a SetupState {
    &report.findings.iter().find(|it| it.item == *item).unwrap().state
}

async fn fix(ssm: &Ssm) -> Vec<SetupOutcome> {
    let report = ssm.check_setup(&options()).await;
    ssm.fix_setup(&report).await.unwrap()
}

#[tokio::test]
async fn a_check_changes_nothing_and_tells_what_a_fix_would_do() {
    let world = world().await;
    let report = ssm(&world).await.check_setup(&options()).await;
    assert_eq!(writes(&world), 0);
    assert_eq!(report.findings.len(), 8, "{report:#?}");
    for finding in &report.findings {
        assert_eq!(finding.state, SetupState::Missing, "{finding:?}");
        assert!(!finding.fix.is_empty(), "{finding:?}");
    }
    // A report is data: it may be looked at, kept, and fixed tomorrow.
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<SetupReport>(&text).unwrap(), report);
}

#[tokio::test]
async fn a_fix_makes_what_is_missing_and_a_second_one_changes_nothing() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let first = ssm.check_setup(&options()).await;
    let outcomes = ssm.fix_setup(&first).await.unwrap();
    assert_eq!(made(&outcomes), outcomes.len(), "{outcomes:#?}");
    for outcome in &outcomes {
        let StepResult::Made { undo } = &outcome.result else { panic!("{outcome:?}") };
        assert!(undo.starts_with("aws "), "{undo}");
    }
    let after = ssm.check_setup(&options()).await;
    assert!(after.is_complete(), "{:#?}", after.open().collect::<Vec<_>>());
    let so_far = writes(&world);
    assert!(ssm.fix_setup(&after).await.unwrap().is_empty());
    // The old report still says that all is missing: each step looks before it acts.
    let again = ssm.fix_setup(&first).await.unwrap();
    assert_eq!(made(&again), 0, "{again:#?}");
    let syncs = world.calls().of("CreateResourceDataSync").len();
    assert_eq!((writes(&world), syncs), (so_far + 1, 2), "the sync is refused by its name");
}

#[tokio::test]
async fn what_is_there_and_wrong_is_left_alone() {
    let world = world().await;
    let ssm = ssm(&world).await;
    fix(&ssm).await;
    let to = LakeDestination::new("central-lake", REGION.parse().unwrap()).with_prefix("inventory");
    // One more account fills the lake, and the role is to be one that has no policy for it.
    let lake = LakeOwner::new(ACCOUNT.parse().unwrap(), LakeExpectation::new(to))
        .with_accounts(["777788889999".parse().unwrap()]);
    let other = SetupOptions::new().with_lake(lake).with_role("patchkit-hybrid-node");
    let report = ssm.check_setup(&other).await;
    let policy = state(&report, &SetupItem::LakePolicy("central-lake".to_owned()));
    assert!(
        matches!(policy, SetupState::Wrong { why } if why.contains("777788889999")),
        "{policy:?}"
    );
    // Systems Manager takes it, and EC2 may not.
    let role = state(&report, &SetupItem::Role("patchkit-hybrid-node".to_owned()));
    assert!(matches!(role, SetupState::Wrong { .. }), "{role:?}");
    world.forget_calls();
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    let touched = ["PutBucketPolicy", "AttachRolePolicy", "UpdateAssumeRolePolicy"];
    for operation in touched {
        assert!(world.calls().of(operation).is_empty(), "{operation}: {outcomes:#?}");
    }
}

#[tokio::test]
async fn a_policy_that_came_after_the_check_is_not_replaced() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let old = ssm.check_setup(&options()).await;
    let to = LakeDestination::new("central-lake", REGION.parse().unwrap()).with_prefix("elsewhere");
    let lake = LakeOwner::new(ACCOUNT.parse().unwrap(), LakeExpectation::new(to));
    let other = SetupOptions::new().with_lake(lake.with_sync_name("other"));
    let report = ssm.check_setup(&other).await;
    ssm.fix_setup(&report).await.unwrap();
    let outcomes = ssm.fix_setup(&old).await.unwrap();
    let item = SetupItem::LakePolicy("central-lake".to_owned());
    let policy = outcomes.iter().find(|it| it.item == item).unwrap();
    assert!(
        matches!(&policy.result, StepResult::Failed { error } if error.contains("by now")),
        "{policy:?}"
    );
    // The one that came is still there.
    let after = ssm.check_setup(&other).await;
    assert_eq!(*state(&after, &item), SetupState::Present);
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_unknown_and_the_others_are_told() {
    let world = world().await;
    let ssm = ssm(&world).await;
    for action in ["iam:GetRole", "ssm:ListAssociations"] {
        world.deny(Denial::of(action)).unwrap();
    }
    let report = ssm.check_setup(&options()).await;
    let unknown: Vec<_> = report
        .findings
        .iter()
        .filter(|it| matches!(it.state, SetupState::Unknown { .. }))
        .map(|it| it.item.to_string())
        .collect();
    assert_eq!(unknown, ["role fleet-node", "inventory association"]);
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert!(world.calls().of("CreateRole").is_empty());
    assert!(world.calls().of("CreateAssociation").is_empty());
    let buckets =
        outcomes.iter().filter(|it| it.item == SetupItem::LakeBucket("central-lake".to_owned()));
    assert_eq!(made(&buckets.cloned().collect::<Vec<_>>()), 1);
}

#[tokio::test]
async fn a_step_whose_answer_is_lost_is_not_sent_again() {
    let world = world().await;
    let ssm = ssm(&world).await;
    for operation in ["CreateRole", "CreateAssociation", "CreateInstanceProfile"] {
        world.add_fault(Fault::new(FaultKind::CutAfter).on(operation).times(1)).unwrap();
    }
    let outcomes = fix(&ssm).await;
    assert_eq!(made(&outcomes), outcomes.len(), "{outcomes:#?}");
    assert_eq!(writes(&world), outcomes.len());
    assert!(ssm.check_setup(&options()).await.is_complete());
}

#[tokio::test]
async fn a_step_that_fails_skips_the_rest_of_its_item_alone() {
    let world = world().await;
    let ssm = ssm(&world).await;
    world.deny(Denial::of("iam:CreateRole")).unwrap();
    let outcomes = fix(&ssm).await;
    let role = SetupItem::Role("fleet-node".to_owned());
    let of_role: Vec<_> =
        outcomes.iter().filter(|it| it.item == role).map(|it| &it.result).collect();
    assert!(matches!(of_role[..], [StepResult::Failed { .. }, StepResult::Skipped]), "{of_role:?}");
    let inventory = outcomes.iter().find(|it| it.item == SetupItem::Inventory).unwrap();
    assert!(matches!(inventory.result, StepResult::Made { .. }), "{inventory:?}");
}

#[tokio::test]
async fn a_report_of_another_account_is_refused() {
    let world = world().await;
    let here = ssm(&world).await;
    let mut report = here.check_setup(&options()).await;
    report.scope = "aws/444455556666/eu-west-1".parse().unwrap();
    let error = here.fix_setup(&report).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(writes(&world), 0);
}

/// The VPC that the world has from the start.
async fn vpc(ec2: &aws_sdk_ec2::Client) -> String {
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    vpcs.vpcs()[0].vpc_id().unwrap().to_owned()
}

#[tokio::test]
async fn endpoints_that_are_there_and_let_nodes_in_are_enough() {
    let world = world().await;
    let ec2 = aws_sdk_ec2::Client::new(&sdk(&world, REGION));
    let options = SetupOptions::new().with_vpc(vpc(&ec2).await);
    let report = ssm(&world).await.check_setup(&options).await;
    assert_eq!(report.findings.len(), 4);
    assert!(report.is_complete(), "{report:#?}");
    let missing = SetupOptions::new().with_vpc("vpc-0123456789abcdef0");
    let report = ssm(&world).await.check_setup(&missing).await;
    let unknown = |it: &patchkit_aws::SetupFinding| matches!(it.state, SetupState::Unknown { .. });
    assert!(report.findings.iter().all(unknown), "{report:#?}");
}

#[tokio::test]
async fn an_endpoint_whose_group_lets_nobody_in_is_wrong_and_left_alone() {
    let world = world().await;
    let ec2 = aws_sdk_ec2::Client::new(&sdk(&world, REGION));
    let endpoints = ec2.describe_vpc_endpoints().send().await.unwrap();
    let group = endpoints.vpc_endpoints()[0].groups()[0].group_id().unwrap();
    let groups = ec2.describe_security_groups().group_ids(group).send().await.unwrap();
    let rules = groups.security_groups()[0].ip_permissions().to_vec();
    let revoke = ec2.revoke_security_group_ingress().group_id(group);
    revoke.set_ip_permissions(Some(rules)).send().await.unwrap();
    let options = SetupOptions::new().with_vpc(vpc(&ec2).await);
    let report = ssm(&world).await.check_setup(&options).await;
    let wrong = report.open().filter(|it| matches!(it.state, SetupState::Wrong { .. })).count();
    assert_eq!(wrong, 3, "all but the gateway: {report:#?}");
    assert!(report.findings.iter().all(|it| it.fix.is_empty()));
}

#[tokio::test]
async fn endpoints_that_are_missing_are_made_with_one_group_and_once() {
    let world = world().await;
    let ec2 = aws_sdk_ec2::Client::new(&sdk(&world, REGION));
    let endpoints = ec2.describe_vpc_endpoints().send().await.unwrap();
    let ids = endpoints.vpc_endpoints().iter().filter_map(|it| it.vpc_endpoint_id.clone());
    ec2.delete_vpc_endpoints().set_vpc_endpoint_ids(Some(ids.collect())).send().await.unwrap();
    let options = SetupOptions::new().with_vpc(vpc(&ec2).await);
    let ssm = ssm(&world).await;
    let report = ssm.check_setup(&options).await;
    assert!(report.findings.iter().all(|it| it.state == SetupState::Missing), "{report:#?}");
    world.add_fault(Fault::new(FaultKind::CutAfter).on("CreateVpcEndpoint").times(1)).unwrap();
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    // The group is made for the first of three endpoints, and there for the others.
    assert_eq!((outcomes.len(), made(&outcomes)), (7, 5), "{outcomes:#?}");
    assert_eq!(world.calls().of("CreateVpcEndpoint").len(), 4);
    let after = ssm.check_setup(&options).await;
    assert!(after.is_complete(), "{after:#?}");
    let so_far = writes(&world);
    assert_eq!(made(&ssm.fix_setup(&report).await.unwrap()), 0);
    assert_eq!(writes(&world), so_far);
}

#[tokio::test]
async fn groups_and_the_topic_are_made_once_and_a_group_of_other_tags_is_left_alone() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let group = |value: &str| TagGroup::new("web", "PatchGroup", [value.to_owned()]);
    let options = SetupOptions::new().with_group(group("web")).with_topic("patching");
    let report = ssm.check_setup(&options).await;
    world.add_fault(Fault::new(FaultKind::CutAfter).on("CreateGroup").times(1)).unwrap();
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert_eq!(made(&outcomes), 2, "{outcomes:#?}");
    assert!(ssm.check_setup(&options).await.is_complete());
    assert_eq!(made(&ssm.fix_setup(&report).await.unwrap()), 0);
    for operation in ["CreateGroup", "CreateTopic"] {
        assert_eq!(world.calls().of(operation).len(), 1);
    }
    let other = SetupOptions::new().with_group(group("database"));
    let report = ssm.check_setup(&other).await;
    let found = state(&report, &SetupItem::ResourceGroup("web".to_owned()));
    assert!(matches!(found, SetupState::Wrong { why } if why.contains("web")), "{found:?}");
}

#[tokio::test]
async fn a_rule_counts_by_whatever_name_and_is_made_where_it_is_missing() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let options = SetupOptions::new().with_rule(ManagedRule::PatchCompliance);
    assert!(ssm.check_setup(&options).await.is_complete(), "the world has it from the start");
    let config = aws_sdk_config::Client::new(&sdk(&world, REGION));
    for rule in config.describe_config_rules().send().await.unwrap().config_rules() {
        let name = rule.config_rule_name().unwrap();
        config.delete_config_rule().config_rule_name(name).send().await.unwrap();
    }
    world.advance(std::time::Duration::from_hours(1));
    let report = ssm.check_setup(&options).await;
    let item = SetupItem::ConfigRule(ManagedRule::PatchCompliance);
    assert_eq!(*state(&report, &item), SetupState::Missing);
    world.add_fault(Fault::new(FaultKind::CutAfter).on("PutConfigRule").times(1)).unwrap();
    assert_eq!(made(&ssm.fix_setup(&report).await.unwrap()), 1);
    assert!(ssm.check_setup(&options).await.is_complete());
    assert_eq!(made(&ssm.fix_setup(&report).await.unwrap()), 0);
    assert_eq!(world.calls().of("PutConfigRule").len(), 1);
}

const REMEDIATOR: &str = "arn:aws:iam::111122223333:role/remediator";

fn start() -> RuleRemediation {
    RuleRemediation::new(ManagedRule::ManagedByAgent, "AWS-StartEC2Instance", REMEDIATOR)
}

#[tokio::test]
async fn a_rule_is_given_its_remediation_once_and_another_one_is_left_alone() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let options = SetupOptions::new().with_remediation(start());
    let item = SetupItem::Remediation(ManagedRule::ManagedByAgent);
    let report = ssm.check_setup(&options).await;
    let rule = SetupItem::ConfigRule(ManagedRule::ManagedByAgent);
    assert_eq!(*state(&report, &rule), SetupState::Present, "asked for with its remediation");
    assert_eq!(*state(&report, &item), SetupState::Missing);
    assert!(world.calls().of("PutRemediationConfigurations").is_empty());
    let lost = Fault::new(FaultKind::CutAfter).on("PutRemediationConfigurations").times(1);
    world.add_fault(lost).unwrap();
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert_eq!((outcomes.len(), made(&outcomes)), (1, 1), "{outcomes:#?}");
    assert!(ssm.check_setup(&options).await.is_complete());
    assert_eq!(made(&ssm.fix_setup(&report).await.unwrap()), 0);
    assert_eq!(world.calls().of("PutRemediationConfigurations").len(), 1);

    let config = aws_sdk_config::Client::new(&sdk(&world, REGION));
    let name = "ec2-instance-managed-by-systems-manager";
    let seen = config.describe_remediation_configurations().config_rule_names(name);
    let seen = seen.send().await.unwrap().remediation_configurations.unwrap();
    assert_eq!((seen[0].target_id(), seen[0].automatic()), ("AWS-StartEC2Instance", false));
    let role = &seen[0].parameters().unwrap()["AutomationAssumeRole"];
    assert_eq!(role.static_value().unwrap().values(), [REMEDIATOR]);

    let other = start().with_parameter("Reason", ["unmanaged"]);
    let other = SetupOptions::new().with_remediation(other);
    let report = ssm.check_setup(&other).await;
    let found = state(&report, &item);
    assert!(matches!(found, SetupState::Wrong { why } if why.contains("Reason")), "{found:?}");
    assert!(ssm.fix_setup(&report).await.unwrap().is_empty());
    assert_eq!(world.calls().of("PutRemediationConfigurations").len(), 1);
}

#[tokio::test]
async fn a_remediation_that_came_after_the_check_is_not_replaced() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let mut stop = start();
    stop.document = "AWS-StopEC2Instance".to_owned();
    let old = ssm.check_setup(&SetupOptions::new().with_remediation(stop)).await;
    let ours = SetupOptions::new().with_remediation(start());
    let report = ssm.check_setup(&ours).await;
    assert_eq!(made(&ssm.fix_setup(&report).await.unwrap()), 1);
    let outcomes = ssm.fix_setup(&old).await.unwrap();
    let [outcome] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(
        matches!(&outcome.result, StepResult::Failed { error } if error.contains("by now")),
        "{outcome:?}"
    );
    assert!(ssm.check_setup(&ours).await.is_complete());
}

#[tokio::test]
async fn a_rule_that_is_not_there_is_made_before_its_remediation() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let config = aws_sdk_config::Client::new(&sdk(&world, REGION));
    for rule in config.describe_config_rules().send().await.unwrap().config_rules() {
        let name = rule.config_rule_name().unwrap();
        config.delete_config_rule().config_rule_name(name).send().await.unwrap();
    }
    world.advance(std::time::Duration::from_hours(1));
    let options = SetupOptions::new().with_remediation(start());
    let report = ssm.check_setup(&options).await;
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert_eq!((outcomes.len(), made(&outcomes)), (2, 2), "{outcomes:#?}");
    assert!(ssm.check_setup(&options).await.is_complete());
}

#[tokio::test]
async fn the_role_of_hybrid_nodes_is_made_and_activations_may_name_it() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let options = SetupOptions::new().with_hybrid_role("hybrid-fleet");
    let report = ssm.check_setup(&options).await;
    let item = SetupItem::HybridRole("hybrid-fleet".to_owned());
    assert_eq!(*state(&report, &item), SetupState::Missing);
    assert_eq!(writes(&world), 0);
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert_eq!((outcomes.len(), made(&outcomes)), (2, 2), "{outcomes:#?}");
    assert!(ssm.check_setup(&options).await.is_complete());
    ssm.create_activation(&ActivationRequest::new("hybrid-fleet")).await.unwrap();
    // A role of instances is none of theirs, and is not changed into one.
    let instances = SetupOptions::new().with_role("fleet-node");
    ssm.fix_setup(&ssm.check_setup(&instances).await).await.unwrap();
    let report = ssm.check_setup(&SetupOptions::new().with_hybrid_role("fleet-node")).await;
    let found = state(&report, &SetupItem::HybridRole("fleet-node".to_owned()));
    assert!(
        matches!(found, SetupState::Wrong { why } if why.contains("ssm.amazonaws.com")),
        "{found:?}"
    );
    assert!(ssm.fix_setup(&report).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_central_bucket_lets_in_an_organization() {
    let world = world().await;
    let ssm = ssm(&world).await;
    let to = || LakeDestination::new("central-lake", REGION.parse().unwrap());
    let owner = || LakeOwner::new(ACCOUNT.parse().unwrap(), LakeExpectation::new(to()));
    let whole = |id: &str| SetupOptions::new().with_lake(owner().with_organization(id));
    let options = whole("o-0123456789");
    let outcomes = ssm.fix_setup(&ssm.check_setup(&options).await).await.unwrap();
    assert_eq!(made(&outcomes), outcomes.len(), "{outcomes:#?}");
    assert!(ssm.check_setup(&options).await.is_complete());
    let s3 = aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&sdk(&world, REGION))
            .endpoint_url(&world.endpoints().s3_endpoint)
            .force_path_style(true)
            .build(),
    );
    let policy = s3.get_bucket_policy().bucket("central-lake").send().await.unwrap();
    let policy = policy.policy.unwrap();
    assert!(policy.contains("\"aws:SourceOrgID\":\"o-0123456789\""), "{policy}");
    let item = SetupItem::LakePolicy("central-lake".to_owned());
    let report = ssm.check_setup(&whole("o-9876543210")).await;
    assert!(matches!(state(&report, &item), SetupState::Wrong { .. }), "{report:#?}");
    // An account of the organization is let in, named or not.
    let named = owner().with_accounts(["444455556666".parse().unwrap()]);
    let report = ssm.check_setup(&SetupOptions::new().with_lake(named)).await;
    assert_eq!(*state(&report, &item), SetupState::Present);
}
