//! Assessments and installs.

mod fault;
mod find;
mod outcome;
mod pace;
mod resume;
mod submit;

use std::time::Duration;

use patchkit_azure::UpdateManager;
use patchkit_core::{
    Fleet, NodeId, NodeOperation, OperationId, PatchAction, PatchId, PatchRequest, PatchState,
    RebootPolicy, SubmitToken,
};
use patchkit_testkit::cloud::{NodeSpec, PatchSpec, World};

use crate::cloud::{Cloud, builder, vm};

const INSTALL: PatchAction = PatchAction::Install(RebootPolicy::IfRequired);

/// The operations that act on a machine.
const ACTS: [&str; 4] = [
    "VirtualMachines_AssessPatches",
    "VirtualMachines_InstallPatches",
    "Machines_AssessPatches",
    "Machines_InstallPatches",
];

/// A world without a machine, whose times and dates are one.
async fn cloud() -> Cloud {
    Cloud::of(builder().nodes(0).start_at("2026-11-24T02:00:00Z".parse().unwrap())).await
}

/// A machine that lacks these packages, all of them security patches.
fn lacking(spec: NodeSpec, patches: &[&str]) -> NodeSpec {
    let patch = |id: &&str| PatchSpec::new(PatchId::new(id).unwrap(), PatchState::Missing);
    spec.with_patches(patches.iter().map(patch))
}

fn web() -> NodeSpec {
    lacking(vm(), &["curl", "openssl", "zlib"])
}

/// A token of this moment.
fn token(cloud: &Cloud, name: &str) -> SubmitToken {
    SubmitToken::stamped(name, cloud.world.now()).unwrap()
}

fn request(token: &SubmitToken, node: &NodeId, action: PatchAction) -> PatchRequest {
    PatchRequest::new(token.clone(), vec![node.clone()], action)
}

/// How many acts were sent, however they were answered.
fn posts(world: &World) -> usize {
    ACTS.iter().map(|operation| world.calls().of(operation).len()).sum()
}

/// Looks at an act every twenty seconds until it is over on its one node.
async fn end(cloud: &Cloud, azure: &UpdateManager, id: &OperationId) -> NodeOperation {
    for _ in 0..3_000 {
        let seen = azure.operation(id).await.unwrap();
        assert_eq!((&seen.id, seen.nodes.len()), (id, 1));
        if seen.status.is_final() {
            let node = seen.nodes.into_iter().next().unwrap();
            assert_eq!(node.status, seen.status);
            return node;
        }
        cloud.world.advance(Duration::from_secs(20));
    }
    panic!("{id} never ends");
}
