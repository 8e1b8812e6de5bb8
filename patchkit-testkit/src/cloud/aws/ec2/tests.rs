use crate::cloud::{
    aws::testing::{HERE, TestCloud},
    truth::NodeChange,
    world::machine::{AwsKind, AwsSide, MachineIx, Power},
};

fn ask(cloud: &TestCloud, form: &str) -> (u16, String) {
    cloud.query("ec2", "any", form)
}

/// The first instance whose power is so.
fn instance(cloud: &TestCloud, such: impl Fn(Power) -> bool) -> (MachineIx, String) {
    let state = cloud.state();
    let mut found = state.scope(HERE).machines.iter().filter_map(|at| {
        let machine = state.machine(*at);
        let is_ec2 = |it: &&AwsSide| matches!(it.side, AwsKind::Ec2(_));
        let aws = machine.aws.as_ref().filter(is_ec2).filter(|_| such(machine.power))?;
        Some((*at, aws.id.to_string()))
    });
    found.next().unwrap()
}

/// The text of an element that an answer has once.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = body.split_once(&open).unwrap_or_else(|| panic!("no {name} in {body}"));
    rest.split_once(&close).unwrap().0
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
    let (at, id) = instance(&cloud, |_| true);
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

#[test]
fn an_instance_is_launched_when_it_is_started_and_not_when_it_reboots() {
    let cloud = TestCloud::new(60);
    let (_, id) = instance(&cloud, |it| it == Power::Stopped);
    let told = || ask(&cloud, &format!("Action=DescribeInstances&InstanceId.1={id}")).1;
    let before = element(&told(), "launchTime").to_owned();
    cloud.advance(3_600);
    ask(&cloud, &format!("Action=StartInstances&InstanceId.1={id}"));
    let body = told();
    assert!(body.contains("<name>pending</name>"), "{body}");
    let started = element(&body, "launchTime").to_owned();
    assert!(started.starts_with("2026-11-02T01:00:00") && started != before, "{started}");
    cloud.advance(300);
    ask(&cloud, &format!("Action=RebootInstances&InstanceId.1={id}"));
    cloud.advance(300);
    assert_eq!(element(&told(), "launchTime"), started);
    let form = "Action=DescribeInstances&Filter.1.Name=launch-time&Filter.1.Value.1=2026-11-02T01*";
    let found = ask(&cloud, form).1;
    assert!(found.contains(&id) && found.matches("<instanceId>").count() == 1, "{found}");
}

#[test]
fn what_an_instance_runs_is_told_and_filtered_as_it_is_billed() {
    let cloud = TestCloud::new(600);
    let all = ask(&cloud, "Action=DescribeInstances").1;
    let details = ["Windows", "Red Hat Enterprise Linux", "SUSE Linux", "Linux/UNIX"];
    let counts = details.map(|details| {
        let name = "Action=DescribeInstances&Filter.1.Name=platform-details&Filter.1.Value.1=";
        let value: String = form_urlencoded::byte_serialize(details.as_bytes()).collect();
        let found = ask(&cloud, &format!("{name}{value}")).1;
        let of = format!("<platformDetails>{details}</platformDetails>");
        let count = found.matches("<instanceId>").count();
        assert_eq!([&found, &all].map(|it| it.matches(&of).count()), [count; 2], "{details}");
        count
    });
    assert!(counts.iter().all(|it| *it > 0), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), all.matches("<instanceId>").count());
}

#[test]
fn an_instance_has_an_address_of_its_subnet_that_no_other_has() {
    let cloud = TestCloud::new(600);
    let body = ask(&cloud, "Action=DescribeInstances").1;
    let mut seen = std::collections::BTreeSet::new();
    for item in body.split("<instanceId>").skip(1) {
        let address: std::net::Ipv4Addr = element(item, "privateIpAddress").parse().unwrap();
        let subnet = element(item, "subnetId");
        let told = ask(&cloud, &format!("Action=DescribeSubnets&SubnetId.1={subnet}")).1;
        let (network, bits) = element(&told, "cidrBlock").split_once('/').unwrap();
        let network: std::net::Ipv4Addr = network.parse().unwrap();
        let (network, mask) = (network.to_bits(), u32::MAX << (32 - bits.parse::<u32>().unwrap()));
        assert_eq!(address.to_bits() & mask, network, "{address} in {network}/{bits}");
        assert!((address.to_bits() & !mask) > 3, "{address} is the network's own");
        assert!(seen.insert(address), "{address} twice");
    }
    assert!(seen.len() > 20);
}
