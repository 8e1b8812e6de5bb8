//! Instances are started, stopped and booted.

use serde_json::{Value, json};

use super::{
    super::{AwsError, Call, Operations, texts},
    dry_run,
    instances::state_value,
    named,
};
use crate::cloud::world::{
    machine::{MachineIx, Power},
    power::Off,
};

pub(super) const OPERATIONS: Operations = &[
    ("StartInstances", start_instances),
    ("StopInstances", stop_instances),
    ("RebootInstances", reboot_instances),
];

fn start_instances(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let places = named(call, &texts(&input["InstanceIds"]))?;
    refuse(call, &places, "started", |power| {
        matches!(power, Power::Stopping | Power::Deallocating | Power::Terminated)
    })?;
    let changes = change(call, &places, |call, at| {
        call.state.power_on(at);
    });
    Ok(json!({"StartingInstances": changes}))
}

fn stop_instances(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    if input["Hibernate"] == true {
        let message = "The instance was not configured for hibernation at launch.";
        return Err(AwsError::new("UnsupportedHibernationConfiguration", message));
    }
    let places = named(call, &texts(&input["InstanceIds"]))?;
    refuse(call, &places, "stopped", |power| matches!(power, Power::Starting | Power::Terminated))?;
    let changes = change(call, &places, |call, at| {
        call.state.power_off(at, Off::Stop);
    });
    Ok(json!({"StoppingInstances": changes}))
}

fn reboot_instances(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    dry_run(&input)?;
    let places = named(call, &texts(&input["InstanceIds"]))?;
    refuse(call, &places, "rebooted", |power| power != Power::Running)?;
    for at in places {
        call.state.boot_again(at);
    }
    Ok(json!({}))
}

/// EC2 refuses the whole call where one instance is in a state that does not allow it.
fn refuse(
    call: &Call<'_>,
    places: &[MachineIx],
    done: &str,
    wrong: impl Fn(Power) -> bool,
) -> Result<(), AwsError> {
    let bad = places.iter().map(|at| call.state.machine(*at)).find(|it| wrong(it.power));
    match bad.and_then(|it| it.aws.as_ref()) {
        None => Ok(()),
        Some(aws) => Err(AwsError::new(
            "IncorrectInstanceState",
            format!("The instance '{}' is not in a state from which it can be {done}.", aws.id),
        )),
    }
}

/// Acts on each instance, and tells its state before and after.
fn change(
    call: &mut Call<'_>,
    places: &[MachineIx],
    act: impl Fn(&mut Call<'_>, MachineIx),
) -> Vec<Value> {
    let mut changes = Vec::with_capacity(places.len());
    for at in places {
        let before = call.state.machine(*at).power;
        act(call, *at);
        let machine = call.state.machine(*at);
        changes.push(json!({
            "InstanceId": machine.aws.as_ref().map(|it| &it.id),
            "PreviousState": state_value(before),
            "CurrentState": state_value(machine.power),
        }));
    }
    changes
}
