//! Whether nodes may talk to Systems Manager, and what is changed so that they may.

use patchkit_core::{
    AccessChange, AccessGrant, AccessStatus, ErrorKind, Fleet, NodeId, NodeSelector, RunId,
    workflow::{AccessMode, AccessOutcome},
};

use crate::{
    server::{ACCOUNT, Server},
    support::unique,
};

on_both!(
    a_node_without_a_profile_is_given_one_and_it_is_taken_back,
    a_role_that_lacks_actions_is_given_a_policy_of_awss_and_it_is_taken_back,
    an_own_policy_goes_before_one_of_awss_that_has_its_name,
    attached_and_inline_policies_and_denials_are_read_as_one,
    a_role_that_ec2_may_not_take_is_named_and_given_nothing,
    a_profile_without_a_role_is_named,
    a_run_fixes_nodes_and_takes_its_changes_back;
    moto: a_boundary_takes_away_what_policies_give
);

const EC2: &str = "ec2.amazonaws.com";
const CORE: &str = "AmazonSSMManagedInstanceCore";
const CORE_ARN: &str = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
const ALL: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Action": ["ssm:*", "ssmmessages:*", "ec2messages:*"], "Resource": "*"}]}"#;

fn trust(service: &str) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow",
        "Principal": {{"Service": "{service}"}}, "Action": "sts:AssumeRole"}}]}}"#
    )
}

/// A role without policies that a service may take, in an instance profile of the same name.
async fn profile(server: &Server, service: &str) -> String {
    let (iam, name) = (server.iam(), unique("node"));
    let role = iam.create_role().role_name(&name).assume_role_policy_document(trust(service));
    role.send().await.unwrap();
    iam.create_instance_profile().instance_profile_name(&name).send().await.unwrap();
    let put = iam.add_role_to_instance_profile().instance_profile_name(&name).role_name(&name);
    put.send().await.unwrap();
    name
}

async fn put_inline(server: &Server, role: &str, name: &str, document: &str) {
    let iam = server.iam();
    let put = iam.put_role_policy().role_name(role).policy_name(name).policy_document(document);
    put.send().await.unwrap();
}

async fn attached(server: &Server, role: &str) -> Vec<String> {
    let seen = server.iam().list_attached_role_policies().role_name(role).send().await.unwrap();
    let policies = seen.attached_policies().iter();
    policies.map(|it| it.policy_arn().unwrap().to_owned()).collect()
}

/// A node with this profile.
async fn holder(server: &Server, profile: &str) -> NodeId {
    let node = server.instance().await;
    let named = aws_sdk_ec2::types::IamInstanceProfileSpecification::builder().name(profile);
    let ec2 = server.ec2();
    let put = ec2.associate_iam_instance_profile().instance_id(node.resource());
    put.iam_instance_profile(named.build()).send().await.unwrap();
    server.settle();
    node
}

/// What a provider says that has not looked before, with its reasons in one line.
async fn look(server: &Server, node: &NodeId) -> (AccessStatus, String) {
    let access = server.ssm().await.access(node).await.unwrap();
    (access.status, access.findings.join("; "))
}

async fn status(server: &Server, node: &NodeId) -> AccessStatus {
    look(server, node).await.0
}

async fn a_node_without_a_profile_is_given_one_and_it_is_taken_back(server: &Server) {
    let (node, profile) = (server.instance().await, profile(server, EC2).await);
    put_inline(server, &profile, "all", ALL).await;
    assert_eq!(status(server, &node).await, AccessStatus::NoIdentity);
    let (ssm, grant) = (server.ssm().await, AccessGrant::new(&profile));
    let change = ssm.grant_access(&node, &grant).await.unwrap();
    assert_eq!(change.attached_identity.as_ref(), Some(&profile));
    assert_eq!((&change.attached_policy, &change.policy_holder), (&None, &None));
    server.settle();
    let (granted, why) = look(server, &node).await;
    assert_eq!(granted, AccessStatus::Granted, "{why}");
    assert!(why.contains(&profile), "{why}");
    // There is nothing left to give.
    let again = ssm.grant_access(&node, &grant).await.unwrap();
    assert_eq!(again, AccessChange::none(node.clone()));
    for _ in 0..2 {
        ssm.revert_access(&change).await.unwrap();
        server.settle();
        assert_eq!(status(server, &node).await, AccessStatus::NoIdentity);
    }
}

async fn a_role_that_lacks_actions_is_given_a_policy_of_awss_and_it_is_taken_back(server: &Server) {
    let profile = profile(server, EC2).await;
    let node = holder(server, &profile).await;
    let (before, why) = look(server, &node).await;
    assert_eq!(before, AccessStatus::MissingPermissions, "{why}");
    assert!(why.contains(&profile) && why.contains("ssm:PutInventory"), "{why}");
    let ssm = server.ssm().await;
    // Without a policy to give the node is left alone.
    let none = ssm.grant_access(&node, &AccessGrant::new("other")).await.unwrap();
    assert_eq!(none, AccessChange::none(node.clone()));
    let grant = AccessGrant::new("other").with_policy(CORE);
    let change = ssm.grant_access(&node, &grant).await.unwrap();
    assert_eq!(
        (change.attached_identity.as_ref(), change.policy_holder.as_ref()),
        (None, Some(&profile))
    );
    assert_eq!(attached(server, &profile).await, [CORE_ARN]);
    assert_eq!(
        ssm.access(&node).await.unwrap().status,
        AccessStatus::Granted,
        "by the same provider"
    );
    for _ in 0..2 {
        ssm.revert_access(&change).await.unwrap();
        assert!(attached(server, &profile).await.is_empty());
        assert_eq!(status(server, &node).await, AccessStatus::MissingPermissions);
    }
}

async fn an_own_policy_goes_before_one_of_awss_that_has_its_name(server: &Server) {
    let profile = profile(server, EC2).await;
    let node = holder(server, &profile).await;
    let policy = unique("agents");
    let made = server.iam().create_policy().policy_name(&policy).policy_document(ALL);
    let arn = made.send().await.unwrap().policy.unwrap().arn.unwrap();
    assert_eq!(arn, format!("arn:aws:iam::{ACCOUNT}:policy/{policy}"));
    let grant = AccessGrant::new("other").with_policy(&policy);
    server.ssm().await.grant_access(&node, &grant).await.unwrap();
    assert_eq!(attached(server, &profile).await, [arn]);
    assert_eq!(status(server, &node).await, AccessStatus::Granted);
    // One that nobody has is refused, and nothing is attached.
    let poor = self::profile(server, EC2).await;
    let node = holder(server, &poor).await;
    let grant = AccessGrant::new("other").with_policy(unique("nobodys"));
    let error = server.ssm().await.grant_access(&node, &grant).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(attached(server, &poor).await.is_empty());
}

async fn attached_and_inline_policies_and_denials_are_read_as_one(server: &Server) {
    let profile = profile(server, EC2).await;
    let node = holder(server, &profile).await;
    let part = r#"{"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}}"#;
    put_inline(server, &profile, "part", part).await;
    let (half, why) = look(server, &node).await;
    assert_eq!(half, AccessStatus::MissingPermissions);
    assert!(why.contains("ssmmessages:") && !why.contains("ssm:PutInventory"), "{why}");
    let attach = server.iam().attach_role_policy().role_name(&profile).policy_arn(CORE_ARN);
    attach.send().await.unwrap();
    assert_eq!(status(server, &node).await, AccessStatus::Granted);

    let denied = r#"{"Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "ssm:Put*", "Resource": "*"}]}"#;
    put_inline(server, &profile, "denial", denied).await;
    let (denied, why) = look(server, &node).await;
    assert_eq!(denied, AccessStatus::MissingPermissions, "{why}");
    assert!(why.contains("does not allow ssm:PutInventory"), "{why}");
    let over = server.iam().delete_role_policy().role_name(&profile).policy_name("denial");
    over.send().await.unwrap();
    let sometimes = r#"{"Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "ssm:Put*", "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}"#;
    put_inline(server, &profile, "sometimes", sometimes).await;
    let (doubt, why) = look(server, &node).await;
    assert_eq!(doubt, AccessStatus::Unknown, "{why}");
    assert!(why.contains("ssm:PutInventory under conditions"), "{why}");
}

async fn a_role_that_ec2_may_not_take_is_named_and_given_nothing(server: &Server) {
    let profile = profile(server, "lambda.amazonaws.com").await;
    let node = holder(server, &profile).await;
    let (status, why) = look(server, &node).await;
    assert_eq!(status, AccessStatus::MissingPermissions);
    assert!(
        why.contains(&format!("the trust policy of role {profile} does not let {EC2}")),
        "{why}"
    );
    let grant = AccessGrant::new("other").with_policy(CORE);
    let error = server.ssm().await.grant_access(&node, &grant).await.unwrap_err();
    assert_eq!((error.kind(), error.node()), (ErrorKind::Conflict, Some(&node)), "{error}");
    assert!(attached(server, &profile).await.is_empty());
}

async fn a_profile_without_a_role_is_named(server: &Server) {
    let name = unique("empty");
    let made = server.iam().create_instance_profile().instance_profile_name(&name);
    made.send().await.unwrap();
    let node = holder(server, &name).await;
    let (status, why) = look(server, &node).await;
    assert_eq!(status, AccessStatus::MissingPermissions);
    assert!(why.contains(&format!("instance profile {name} holds no role")), "{why}");
}

async fn a_run_fixes_nodes_and_takes_its_changes_back(server: &Server) {
    let (good, poor) = (profile(server, EC2).await, profile(server, EC2).await);
    put_inline(server, &good, "all", ALL).await;
    let nodes = [server.instance().await, holder(server, &poor).await, holder(server, &good).await];
    let runner = server.runner().await;
    let run = RunId::new("access").unwrap();
    let all = NodeSelector::ids(nodes.clone());
    let grant = AccessGrant::new(&good).with_policy(CORE);
    let report = runner.check_access(&run, &all, &AccessMode::Fix(grant)).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let outcome = |node: &NodeId| {
        let finding = report.nodes.iter().find(|it| it.node == *node).unwrap();
        (finding.outcome, finding.findings.join("; "))
    };
    for (node, wanted) in
        nodes.iter().zip([AccessOutcome::Fixed, AccessOutcome::Fixed, AccessOutcome::Granted])
    {
        let (outcome, why) = outcome(node);
        assert_eq!(outcome, wanted, "{node}: {why}");
    }
    assert_eq!(attached(server, &poor).await, [CORE_ARN]);
    server.settle();
    assert!(runner.revert_access(&report).await.is_empty());
    server.settle();
    assert!(attached(server, &poor).await.is_empty());
    assert_eq!(status(server, &nodes[0]).await, AccessStatus::NoIdentity);
    assert_eq!(status(server, &nodes[2]).await, AccessStatus::Granted);
}

/// The simulated cloud's roles have no boundaries.
async fn a_boundary_takes_away_what_policies_give(server: &Server) {
    let profile = profile(server, EC2).await;
    put_inline(server, &profile, "all", ALL).await;
    let node = holder(server, &profile).await;
    assert_eq!(status(server, &node).await, AccessStatus::Granted);
    let narrow = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
        "NotAction": "ssm:PutInventory", "Resource": "*"}]}"#;
    let iam = server.iam();
    let made = iam.create_policy().policy_name(unique("narrow")).policy_document(narrow);
    let arn = made.send().await.unwrap().policy.unwrap().arn.unwrap();
    let put = iam.put_role_permissions_boundary().role_name(&profile).permissions_boundary(arn);
    put.send().await.unwrap();
    let (bounded, why) = look(server, &node).await;
    assert_eq!(bounded, AccessStatus::MissingPermissions);
    assert!(why.ends_with("does not allow ssm:PutInventory"), "{why}");
}
