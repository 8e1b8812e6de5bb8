//! Starting and stopping machines: only those named, and none that something else keeps as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{StreamExt, stream};
use patchkit_core::{Error, ErrorKind, NodeId, PerNode, PowerTarget, Result};
use serde_json::Value;

use crate::{
    MachineKind, UpdateManager,
    bridge::reply,
    client::Client,
    convert::node::{power_code, text},
    error::{Call, PROVIDER, again},
    fleet::AT_ONCE,
    limit::{Charge, Quota},
    machine::is_spot,
};

const OPERATION: &str = "power";
const GET: &str = "VirtualMachines_Get";

impl UpdateManager {
    pub(crate) async fn change_power(&self, nodes: &[NodeId], target: PowerTarget) -> PerNode<()> {
        let client = &self.client;
        let once: BTreeSet<&NodeId> = nodes.iter().collect();
        let change = |node: &NodeId| {
            let node = node.clone();
            async move {
                let done = client.switch(&node, target).await;
                (node.clone(), done.map_err(|error| error.with_node(node)))
            }
        };
        let done: BTreeMap<NodeId, Result<()>> =
            stream::iter(once).map(change).buffer_unordered(AT_ONCE).collect().await;
        // The same node may be named twice.
        let repeat = |node: &NodeId| match done.get(node) {
            Some(Err(error)) => Err(again(error).with_node(node.clone())),
            Some(Ok(())) | None => Ok(()),
        };
        nodes.iter().map(|node| (node.clone(), repeat(node))).collect()
    }
}

fn refused(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, PROVIDER, OPERATION, message.into())
}

/// What is to be done to a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Nothing,
    Start,
    PowerOff,
    Deallocate,
}

/// What is to be done to a machine, or why it is left alone.
fn plan(machine: &Value, target: PowerTarget) -> Result<Step> {
    use PowerTarget::{Deallocated, Running, Stopped};
    let conflict = |message: String| Err(refused(ErrorKind::Conflict, message));
    let code = power_code(&machine["properties"]["instanceView"]);
    let code = code.unwrap_or("unknown").rsplit('/').next().unwrap_or_default();
    let step = match (target, code.to_ascii_lowercase().as_str()) {
        (Running, "running" | "starting")
        | (Stopped, "stopped" | "stopping")
        | (Deallocated, "deallocated" | "deallocating") => return Ok(Step::Nothing),
        (Running, "stopped" | "deallocated") => Step::Start,
        (Stopped, "running") => Step::PowerOff,
        (Deallocated, "running" | "stopped") => Step::Deallocate,
        // There is no way from here to there but by starting it.
        (Stopped, "deallocated" | "deallocating") => {
            return conflict(format!(
                "it is {code}, which is off already, and cannot become stopped"
            ));
        }
        // Azure would let the one call take the other's place; an operation that someone waits for is
        // not ours to end.
        (_, "starting" | "stopping" | "deallocating") => {
            return conflict(format!("it is {code}: someone else is at work on it"));
        }
        (_, _) => return conflict("its power is not known".to_owned()),
    };
    if let Some(set) = text(machine, "/properties/virtualMachineScaleSet/id") {
        let set = set.rsplit('/').next().unwrap_or(set);
        return conflict(format!("the scale set {set} would repair or replace it"));
    }
    if text(machine, "/properties/priority").is_some_and(is_spot) {
        return conflict("it is a spot machine: Azure stops it, and may not start it".to_owned());
    }
    Ok(step)
}

impl Client {
    async fn switch(self: &Arc<Self>, node: &NodeId, target: PowerTarget) -> Result<()> {
        let machine = self.machine(OPERATION, node)?;
        match machine.kind {
            MachineKind::Arc => {
                let message = "an Arc machine has no power that Azure could switch";
                return Err(refused(ErrorKind::Unsupported, message));
            }
            MachineKind::ScaleSetInstance => {
                let message =
                    format!("the scale set {} starts and stops its instances", machine.name);
                return Err(refused(ErrorKind::Conflict, message));
            }
            MachineKind::Vm => {}
        }
        let (group, name, of) = (machine.group, machine.name, machine.subscription);
        let call = Call::Read(GET);
        let vms =
            self.compute(call, Charge::on(Quota::LowCostGet, node))?.virtual_machines_client();
        let sent = vms.get(group.clone(), name.clone(), of.clone()).expand("instanceView").send();
        let seen = reply(call, sent).await?.value(GET)?;
        let step = plan(&seen, target)?;
        let (operation, quota) = match step {
            Step::Nothing => return Ok(()),
            Step::Start => ("VirtualMachines_Start", Quota::UpdateMachine),
            Step::PowerOff => ("VirtualMachines_PowerOff", Quota::UpdateMachine),
            Step::Deallocate => ("VirtualMachines_Deallocate", Quota::DeleteMachine),
        };
        let call = Call::Write(operation);
        let vms = self.compute(call, Charge::on(quota, node))?.virtual_machines_client();
        match step {
            Step::Nothing => Ok(()),
            Step::Start => reply(call, vms.start(group, name, of).send()).await.map(drop),
            Step::PowerOff => reply(call, vms.power_off(group, name, of).send()).await.map(drop),
            Step::Deallocate => reply(call, vms.deallocate(group, name, of).send()).await.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine(code: &str) -> Value {
        json!({"properties": {"instanceView": {"statuses": [
            {"code": "ProvisioningState/succeeded"},
            {"code": format!("PowerState/{code}")},
        ]}}})
    }

    fn said(machine: &Value, target: PowerTarget) -> String {
        match plan(machine, target) {
            Ok(step) => format!("{step:?}"),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn a_machine_that_is_there_or_on_its_way_is_left() {
        use PowerTarget::{Deallocated, Running, Stopped};
        for (code, target, word) in [
            ("deallocated", Running, "Start"),
            ("stopped", Running, "Start"),
            ("running", Running, "Nothing"),
            ("starting", Running, "Nothing"),
            ("running", Stopped, "PowerOff"),
            ("stopping", Stopped, "Nothing"),
            ("deallocated", Stopped, "it is deallocated"),
            ("running", Deallocated, "Deallocate"),
            ("stopped", Deallocated, "Deallocate"),
            ("deallocating", Deallocated, "Nothing"),
            ("deallocating", Running, "it is deallocating: someone"),
            ("stopping", Deallocated, "it is stopping: someone"),
            ("starting", Stopped, "it is starting: someone"),
            ("learnedLater", Running, "its power is not known"),
        ] {
            let said = said(&machine(code), target);
            assert!(said.starts_with(word), "{code} to {target}: {said}");
        }
    }

    #[test]
    fn a_spot_machine_and_one_of_a_scale_set_are_not_fought_with() {
        let mut spot = machine("running");
        spot["properties"]["priority"] = "Spot".into();
        assert!(said(&spot, PowerTarget::Stopped).contains("spot"));
        let mut member = machine("running");
        member["properties"]["virtualMachineScaleSet"] = json!({"id": "/subscriptions/s/x/web"});
        assert!(said(&member, PowerTarget::Stopped).contains("scale set web"));
        assert_eq!(said(&member, PowerTarget::Running), "Nothing");
    }
}
