use serde_json::json;

use crate::cloud::aws::testing::{ACCOUNT, TestCloud};

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
