//! Setting an account and Region up.

use patchkit_aws::{
    LakeDestination, LakeExpectation, LakeOwner, SetupItem, SetupOptions, SetupOutcome,
    SetupReport, SetupState, StepResult, TagGroup,
};

use crate::{
    server::{ACCOUNT, FIRST_REGION, REGION, Server},
    support::unique,
};

on_both!(
    what_is_missing_is_made_once,
    what_is_there_and_wrong_is_left_alone,
    an_endpoint_whose_group_lets_nobody_in_is_wrong_and_left_alone,
    the_first_region_takes_no_name_for_its_buckets
);

fn made(outcomes: &[SetupOutcome]) -> usize {
    outcomes.iter().filter(|it| matches!(it.result, StepResult::Made { .. })).count()
}

fn state<'a>(report: &'a SetupReport, item: &SetupItem) -> &'a SetupState {
    &report.findings.iter().find(|it| it.item == *item).unwrap().state
}

fn lake(bucket: &str) -> LakeOwner {
    let to = LakeDestination::new(bucket, REGION.parse().unwrap()).with_prefix("inventory");
    LakeOwner::new(ACCOUNT.parse().unwrap(), LakeExpectation::new(to))
        .with_accounts(["444455556666".parse().unwrap()])
}

async fn what_is_missing_is_made_once(server: &Server) {
    let ssm = server.ssm().await;
    let (bucket, role, group) = (unique("lake"), unique("node"), unique("web"));
    server.show_bucket(&bucket);
    let (topic, logs) = (unique("patching"), unique("logs-{account}-{region}"));
    let options = SetupOptions::new()
        .with_log_bucket(&logs)
        .with_lake(lake(&bucket))
        .with_role(&role)
        .with_vpc(server.vpc().await)
        .with_group(TagGroup::new(&group, "PatchGroup", ["web".to_owned()]))
        .with_topic(&topic)
        .with_inventory("rate(12 hours)");
    let report = ssm.check_setup(&options).await;
    assert_eq!(report.findings.len(), 14, "{report:#?}");
    for finding in &report.findings {
        assert_eq!(finding.state, SetupState::Missing, "{finding:?}");
    }
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    // The security group is made for the first of three endpoints, and there for the others.
    assert_eq!(made(&outcomes), outcomes.len() - 2, "{outcomes:#?}");
    let failed = outcomes.iter().find(|it| matches!(it.result, StepResult::Failed { .. }));
    assert!(failed.is_none(), "{failed:?}");
    let after = server.ssm().await.check_setup(&options).await;
    assert!(after.is_complete(), "{:#?}", after.open().collect::<Vec<_>>());
    let again = ssm.fix_setup(&report).await.unwrap();
    assert_eq!(made(&again), 0, "{again:#?}");

    // What was made is what nodes need, as the server itself tells.
    let iam = server.iam();
    let policies = iam.list_attached_role_policies().role_name(&role).send().await.unwrap();
    let names: Vec<_> =
        policies.attached_policies().iter().filter_map(|it| it.policy_name()).collect();
    assert_eq!(names, ["AmazonSSMManagedInstanceCore"]);
    let profile = iam.get_instance_profile().instance_profile_name(&role).send().await.unwrap();
    assert_eq!(profile.instance_profile().unwrap().roles()[0].role_name(), role);
    let logs = logs.replace("{account}", ACCOUNT).replace("{region}", REGION);
    let inline = iam.get_role_policy().role_name(&role).policy_name("PatchKitLogs");
    let inline = inline.send().await.unwrap();
    assert!(inline.policy_document().contains(&logs), "{}", inline.policy_document());
}

async fn what_is_there_and_wrong_is_left_alone(server: &Server) {
    let (bucket, role, other) = (unique("lake"), unique("node"), unique("other"));
    let ssm = server.ssm().await;
    server.show_bucket(&bucket);
    // A role that another service takes, in the profile of a third name; a policy for one account.
    let iam = server.iam();
    let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
    for role in [&role, &other] {
        let made = iam.create_role().role_name(role).assume_role_policy_document(trust);
        made.send().await.unwrap();
    }
    iam.create_instance_profile().instance_profile_name(&role).send().await.unwrap();
    let put = iam.add_role_to_instance_profile().instance_profile_name(&role).role_name(&other);
    put.send().await.unwrap();
    let first = SetupOptions::new().with_lake(lake(&bucket));
    ssm.fix_setup(&ssm.check_setup(&first).await).await.unwrap();

    let wider = lake(&bucket).with_accounts(["777788889999".parse().unwrap()]);
    let options = SetupOptions::new().with_lake(wider).with_role(&role);
    let report = ssm.check_setup(&options).await;
    let wrong = |item: SetupItem, word: &str| {
        let state = state(&report, &item);
        let right = matches!(state, SetupState::Wrong { why } if why.contains(word));
        assert!(right, "{item}: {state:?}, not {word}");
    };
    wrong(SetupItem::LakePolicy(bucket.clone()), "777788889999");
    wrong(SetupItem::Role(role.clone()), "ec2.amazonaws.com may not take it");
    wrong(SetupItem::InstanceProfile(role.clone()), &other);
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert_eq!(made(&outcomes), 0, "{outcomes:#?}");
    let policies = iam.list_attached_role_policies().role_name(&role).send().await.unwrap();
    assert!(policies.attached_policies().is_empty());
    let again = ssm.check_setup(&first).await;
    assert_eq!(*state(&again, &SetupItem::LakePolicy(bucket)), SetupState::Present);
}

async fn an_endpoint_whose_group_lets_nobody_in_is_wrong_and_left_alone(server: &Server) {
    let (ssm, ec2, vpc) = (server.ssm().await, server.ec2(), server.vpc().await);
    let options = SetupOptions::new().with_vpc(&vpc);
    ssm.fix_setup(&ssm.check_setup(&options).await).await.unwrap();
    assert!(ssm.check_setup(&options).await.is_complete());
    let of = aws_sdk_ec2::types::Filter::builder().name("vpc-id").values(&vpc).build();
    let groups = ec2.describe_security_groups().filters(of).send().await.unwrap();
    let ours = groups.security_groups().iter();
    let ours = ours.filter(|it| it.group_name() == Some("patchkit-endpoints"));
    let [ours] = &ours.collect::<Vec<_>>()[..] else { panic!("{groups:?}") };
    let revoke = ec2.revoke_security_group_ingress().group_id(ours.group_id().unwrap());
    let rules = ours.ip_permissions().to_vec();
    revoke.set_ip_permissions(Some(rules)).send().await.unwrap();
    let report = ssm.check_setup(&options).await;
    let wrong = report.open().filter(|it| matches!(it.state, SetupState::Wrong { .. })).count();
    assert_eq!(wrong, 3, "all but the gateway: {report:#?}");
    assert!(ssm.fix_setup(&report).await.unwrap().is_empty());
}

/// S3 refuses the constraint `us-east-1`; so does moto.
async fn the_first_region_takes_no_name_for_its_buckets(server: &Server) {
    let ssm = server.ssm_in(FIRST_REGION).await;
    let options = SetupOptions::new().with_log_bucket(unique("logs"));
    let report = ssm.check_setup(&options).await;
    let outcomes = ssm.fix_setup(&report).await.unwrap();
    assert_eq!(made(&outcomes), 1, "{outcomes:#?}");
    assert!(ssm.check_setup(&options).await.is_complete());
}
