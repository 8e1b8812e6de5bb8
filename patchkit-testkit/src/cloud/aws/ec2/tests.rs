use crate::cloud::{
    aws::testing::{HERE, TestCloud},
    truth::NodeChange,
    world::machine::{AwsKind, Power},
};

fn ask(cloud: &TestCloud, form: &str) -> (u16, String) {
    cloud.query("ec2", "any", form)
}

#[test]
fn who_names_no_instance_is_told_so() {
    let cloud = TestCloud::new(8);
    for action in ["StartInstances", "StopInstances", "RebootInstances"] {
        let (status, body) = ask(&cloud, &format!("Action={action}"));
        assert_eq!(status, 400, "{action}");
        assert!(body.contains("<Code>MissingParameter</Code>"), "{body}");
        assert!(body.contains("must contain the parameter InstanceId"), "{body}");
    }
}

#[test]
fn a_terminated_instance_is_told_of_for_an_hour_and_is_gone_for_ever() {
    let cloud = TestCloud::new(60);
    let (at, id) = {
        let state = cloud.state();
        let places = state.scope(HERE).machines.iter();
        let ec2 = |it: &crate::cloud::world::machine::AwsSide| matches!(it.side, AwsKind::Ec2(_));
        let mut found = places.filter_map(|at| {
            let aws = state.machine(*at).aws.as_ref().filter(|it| ec2(it))?;
            Some((*at, aws.id.to_string()))
        });
        found.next().unwrap()
    };
    let power = |to| NodeChange::new().with_power(to);
    assert!(cloud.state().change(at, &power(Power::Terminated)).is_ok());
    assert!(cloud.state().change(at, &power(Power::Running)).is_err());
    let all = || ask(&cloud, "Action=DescribeInstances").1;
    cloud.advance(3_500);
    assert!(all().contains(&id));
    cloud.advance(200);
    assert!(!all().contains(&id));
    let (status, body) = ask(&cloud, &format!("Action=DescribeInstances&InstanceId.1={id}"));
    assert_eq!(status, 400);
    assert!(body.contains("InvalidInstanceID.NotFound"), "{body}");
}
