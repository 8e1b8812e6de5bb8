use std::time::Duration;

use serde_json::json;

use super::HOST_ROLE;
use crate::cloud::{
    testing::{TestWorld, is_hybrid, read_only},
    world::{
        State,
        machine::{Agent, AwsKind, MachineIx, Power},
    },
};

fn has_no_profile(state: &State, at: MachineIx) -> bool {
    let machine = state.machine(at);
    let Some(aws) = &machine.aws else { return false };
    let bare = matches!(&aws.side, AwsKind::Ec2(ec2) if ec2.profile.is_none());
    bare && machine.power == Power::Running && aws.agent == Agent::Online
}

/// User guide, "Managing EC2 instances automatically with Default Host Management Configuration".
#[test]
fn with_a_default_role_instances_without_a_profile_are_managed() {
    let world = TestWorld::new(400);
    let bare = world.ids(has_no_profile);
    assert!(!bare.is_empty());
    let managed = world.ids(State::is_managed);
    assert!(bare.iter().all(|id| !managed.contains(id)));
    let name = "AWSSystemsManagerDefaultEC2InstanceManagementRole";
    let role = format!("service-role/{name}");
    let arn = format!("arn:aws:ssm:us-east-1:111122223333:servicesetting{HOST_ROLE}");
    let set = || {
        let setting = json!({"SettingId": arn, "SettingValue": role});
        world.ssm("UpdateServiceSetting", &setting).unwrap();
        world.advance(Duration::from_mins(10));
    };
    set();
    let without_role = world.ids(State::is_managed);
    assert_eq!(without_role, managed, "a role that is not there lets no one in");
    {
        let identity = &mut world.state().accounts[0].identity;
        let role = identity.roles["patchkit-managed-node"].clone();
        identity.roles.insert(name.into(), role);
    }
    set();
    let managed = world.ids(State::is_managed);
    assert!(bare.iter().all(|id| managed.contains(id)));
    world.ssm("ResetServiceSetting", &json!({"SettingId": HOST_ROLE})).unwrap();
    let heard = world.ids(State::answers);
    assert!(bare.iter().all(|id| !heard.contains(id)));
}

#[test]
fn a_setting_is_the_services_own_until_it_is_changed_and_again_when_it_is_reset() {
    let world = TestWorld::new(20);
    let id = json!({"SettingId": HOST_ROLE});
    let get = || world.ssm("GetServiceSetting", &id).unwrap()["ServiceSetting"].clone();
    let before = get();
    assert_eq!((&before["Status"], &before["SettingValue"]), (&json!("Default"), &json!("$None")));
    let new = json!({"SettingId": HOST_ROLE, "SettingValue": "any"});
    world.ssm("UpdateServiceSetting", &new).unwrap();
    assert_eq!(get()["Status"], "Customized");
    let reset = world.ssm("ResetServiceSetting", &id).unwrap();
    assert_eq!((&reset["ServiceSetting"], &get()), (&before, &before));
    assert!(world.ids(|state, at| is_hybrid(state, at) && !state.is_managed(at)).is_empty());
}

#[test]
fn an_unknown_setting_or_value_is_refused() {
    let world = read_only();
    let unknown = json!({"SettingId": "/ssm/no/such-setting", "SettingValue": "x"});
    for operation in ["GetServiceSetting", "ResetServiceSetting", "UpdateServiceSetting"] {
        assert_eq!(world.refused(operation, &unknown), "ServiceSettingNotFound");
    }
    let tier = "/ssm/managed-instance/activation-tier";
    let value = json!({"SettingId": tier, "SettingValue": "golden"});
    assert_eq!(world.refused("UpdateServiceSetting", &value), "ValidationException");
}
