use std::time::Duration;

use serde_json::json;

use crate::cloud::{
    aws::testing::{ACCOUNT, HERE, TestCloud},
    world::{inventory::Kind, machine::AwsKind},
};

/// What the service answers to a form that it takes.
fn call(cloud: &TestCloud, action: &str, members: &[(&str, &str)]) -> String {
    let (status, body) = ask(cloud, action, members);
    assert_eq!(status, 200, "{body}");
    body
}

fn ask(cloud: &TestCloud, action: &str, members: &[(&str, &str)]) -> (u16, String) {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).extend_pairs(members);
    cloud.query("iam", "any", &form.finish())
}

fn policy(cloud: &TestCloud, name: &str, action: &str) -> String {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}],
    });
    let document = document.to_string();
    let members = [
        ("PolicyName", name),
        ("PolicyDocument", &*document),
        ("Description", "Bounds"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "web"),
    ];
    call(cloud, "CreatePolicy", &members);
    format!("arn:aws:iam::{ACCOUNT}:policy/{name}")
}

fn role(cloud: &TestCloud, name: &str, boundary: &str) -> (u16, String) {
    let trust =
        r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}"#;
    let members = [
        ("RoleName", name),
        ("AssumeRolePolicyDocument", trust),
        ("PermissionsBoundary", boundary),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "web"),
    ];
    ask(cloud, "CreateRole", &members)
}

#[test]
fn tags_and_the_boundary_of_a_role_are_told_by_what_gets_it() {
    let cloud = TestCloud::new(8);
    let bounds = policy(&cloud, "bounds", "s3:*");
    let (status, made) = role(&cloud, "patcher", &bounds);
    assert_eq!(status, 200, "{made}");
    let got = call(&cloud, "GetRole", &[("RoleName", "patcher")]);
    for answer in [&made, &got] {
        assert!(answer.contains("<Tags><member><Key>team</Key><Value>web</Value>"), "{answer}");
        let told = format!("<PermissionsBoundaryArn>{bounds}</PermissionsBoundaryArn>");
        assert!(answer.contains(&told), "{answer}");
    }
    let listed = call(&cloud, "ListRoles", &[]);
    assert!(listed.contains("patcher") && !listed.contains("<Tags>"), "{listed}");

    let got = call(&cloud, "GetPolicy", &[("PolicyArn", &bounds)]);
    assert!(got.contains("<Description>Bounds</Description>"), "{got}");
    assert!(got.contains("<PermissionsBoundaryUsageCount>1<"), "{got}");
    let used = call(&cloud, "ListPolicies", &[("PolicyUsageFilter", "PermissionsBoundary")]);
    assert_eq!(used.matches("<PolicyName>").count(), 1, "{used}");
    let (status, _) = ask(&cloud, "DeletePolicy", &[("PolicyArn", &bounds)]);
    assert_eq!(status, 409);
    let (status, answer) = role(&cloud, "other", "arn:aws:iam::aws:policy/None");
    assert_eq!(status, 404, "{answer}");
}

#[test]
fn a_boundary_keeps_a_role_from_what_it_does_not_allow() {
    let cloud = TestCloud::new(8);
    let core = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
    let (narrow, wide) = (policy(&cloud, "narrow", "s3:*"), policy(&cloud, "wide", "*"));
    for (name, boundary, decision) in [("a", &narrow, "implicitDeny"), ("b", &wide, "allowed")] {
        role(&cloud, name, boundary);
        call(&cloud, "AttachRolePolicy", &[("RoleName", name), ("PolicyArn", core)]);
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let members =
            [("PolicySourceArn", &*arn), ("ActionNames.member.1", "ssm:UpdateInstanceInformation")];
        let answer = call(&cloud, "SimulatePrincipalPolicy", &members);
        assert!(answer.contains(&format!("<EvalDecision>{decision}<")), "{answer}");
        let lets = format!("<AllowedByPermissionsBoundary>{}<", decision == "allowed");
        assert!(answer.contains(&lets), "{answer}");
        let managed = cloud.state().accounts[0].identity.manages(name);
        assert_eq!(managed, decision == "allowed");
    }
}

/// What the service says of an instance's agent, once everything that does so agrees.
fn is_heard(cloud: &TestCloud, id: &str) -> bool {
    let named = |key: &str| json!({key: [{"Key": "InstanceIds", "Values": [id]}]});
    let listed = cloud.json("AmazonSSM.DescribeInstanceInformation", &named("Filters")).unwrap();
    let shown = named("FiltersWithOperator");
    let shown = cloud.json("AmazonSSM.DescribeInstanceProperties", &shown).unwrap();
    let state = cloud.state();
    let at = state.find(HERE, id).unwrap();
    let heard = state.truth(at).answers;
    let node = &listed["InstanceInformationList"][0];
    let status = if heard { "Online" } else { "ConnectionLost" };
    assert_eq!(node["PingStatus"], status);
    assert_eq!(shown["InstanceProperties"][0]["PingStatus"], status);
    let row = state.inventory(at, Kind::InstanceInformation).unwrap().rows.remove(0);
    assert_eq!(row["AgentStatus"], if heard { "Active" } else { "Inactive" });
    let last = Duration::try_from_secs_f64(node["LastPingDateTime"].as_f64().unwrap()).unwrap();
    assert_eq!(last.as_secs() >= state.now.as_second().unsigned_abs(), heard);
    heard
}

/// The id of an instance that answers, and of the association of its profile.
fn heard_instance(cloud: &TestCloud) -> (String, String) {
    let state = cloud.state();
    let heard = state.scope(HERE).machines.iter().find_map(|at| {
        let aws = state.machine(*at).aws.as_ref()?;
        let AwsKind::Ec2(ec2) = &aws.side else { return None };
        let association = ec2.profile.as_ref()?;
        state.answers(*at).then(|| (aws.id.to_string(), association.id.to_string()))
    });
    heard.unwrap()
}

#[test]
fn an_agent_is_heard_while_its_role_lets_it_speak() {
    let cloud = TestCloud::new(60);
    let (id, association) = heard_instance(&cloud);
    assert!(is_heard(&cloud, &id));
    let core = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
    let role = [("RoleName", "patchkit-managed-node"), ("PolicyArn", core)];
    call(&cloud, "DetachRolePolicy", &role);
    cloud.advance(60);
    assert!(!is_heard(&cloud, &id));
    let ec2 = |members: &str| {
        let (status, body) = cloud.query("ec2", "any", members);
        assert_eq!(status, 200, "{body}");
    };
    ec2(&format!("Action=RebootInstances&InstanceId.1={id}"));
    cloud.advance(1_200);
    assert!(!is_heard(&cloud, &id));
    call(&cloud, "AttachRolePolicy", &role);
    cloud.advance(301);
    assert!(is_heard(&cloud, &id));

    ec2(&format!("Action=DisassociateIamInstanceProfile&AssociationId={association}"));
    cloud.advance(60);
    assert!(!is_heard(&cloud, &id));
    let profile = "IamInstanceProfile.Name=patchkit-managed-node";
    ec2(&format!("Action=AssociateIamInstanceProfile&InstanceId={id}&{profile}"));
    cloud.advance(301);
    assert!(is_heard(&cloud, &id));
}
