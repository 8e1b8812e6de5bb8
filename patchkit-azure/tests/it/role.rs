//! Each workflow under exactly the role that is rendered for it, and under it less one action.

use std::{collections::BTreeSet, time::Duration};

use azure_core::http::Method;
use futures::{FutureExt, future::LocalBoxFuture};
use patchkit_azure::{Feature, PatchIntent, PreflightFinding, Subscriptions, role};
use patchkit_core::{
    Error, Fleet, FleetExt, NodeId, NodeSelector, PatchState, PowerTarget, Reachability, Tags,
};
use patchkit_testkit::cloud::{Agent, Allowance, ExtensionSpec, PatchSpec, Power, World};
use serde_json::{Value, json};

use crate::{
    cloud::{APPLICATION, Cloud, SUBSCRIPTION, all, arc, builder, provider, vm},
    preflight::{configuration, configuration_body},
    raw::{Answer, send, send_as},
};

/// What a workflow was told that could not do its work.
type Told<T = ()> = Result<T, String>;

type Work = for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, Told>;

struct Scene {
    cloud: Cloud,
    running: NodeId,
    silent: NodeId,
    off: NodeId,
    arc: NodeId,
    schedule: String,
    /// How many machines there are, instances of scale sets among them.
    machines: usize,
}

/// Machines of each kind that cost calls of their own.
async fn scene() -> Scene {
    let cloud = Cloud::of(builder().nodes(60)).await;
    let patches = || {
        [("openssl", PatchState::Missing), ("curl", PatchState::Installed)]
            .map(|(id, state)| PatchSpec::new(id.parse().unwrap(), state))
    };
    let broken = |name: &str| ExtensionSpec::new(name).failed("no space left on device");
    let running = vm().with_patches(patches()).scanned();
    let running = cloud.add(&running.with_extension(broken("LinuxPatchExtension")));
    let silent = cloud.add(&vm().with_agent(Agent::ConnectionLost));
    let off = cloud.add(&vm().with_power(Power::Deallocated));
    let arc = arc().with_patches(patches()).scanned();
    let arc = cloud.add(&arc.with_extension(broken("LinuxOsUpdateExtension")));
    let schedule = configuration(&cloud, "nightly", "InGuestPatch").await;
    let machines = machines(&cloud.world).await;
    Scene { cloud, running, silent, off, arc, schedule, machines }
}

/// All that an application sees that may do everything.
async fn machines(world: &World) -> usize {
    let free = provider(world).build().unwrap();
    free.collect_nodes(&NodeSelector::all()).await.unwrap().len()
}

fn told<T>(result: Result<T, Error>) -> Told<T> {
    result.map_err(|error| error.report())
}

fn allowed(features: &[Feature]) -> Vec<String> {
    let definition = role(features.iter().copied(), [SUBSCRIPTION.parse().unwrap()]);
    let actions = definition["Actions"].as_array().unwrap();
    actions.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

impl Scene {
    /// Binds the caller under test, and nobody else. What the graph showed him before is not shown
    /// again.
    fn bind(&self, actions: impl IntoIterator<Item = String>) {
        self.cloud.world.allow_only(&Allowance::of(actions).to(APPLICATION)).unwrap();
    }
}

/// Runs a workflow under the role of what it needs, and under it less each action of `held`.
async fn hold(with: &[Feature], held: &[Feature], work: Work) {
    let actions = allowed(&[with, held].concat());
    let whole = scene().await;
    whole.bind(actions.clone());
    if let Err(error) = work(&whole).await {
        panic!("under its own role: {error}");
    }
    let needed: BTreeSet<&str> = held.iter().flat_map(|it| it.actions().iter().copied()).collect();
    for without in needed {
        let scene = scene().await;
        scene.bind(actions.iter().filter(|it| *it != without).cloned());
        assert!(work(&scene).await.is_err(), "{without} is not needed");
    }
}

macro_rules! workflows {
    ($($test:ident: [$($with:ident)*] [$($held:ident)+] $work:path;)+) => {
        /// The features each of whose actions a test takes away.
        const HELD: &[&[Feature]] = &[$(&[$(Feature::$held),+]),+];

        $(
            #[tokio::test]
            async fn $test() {
                let (with, held) = (&[$(Feature::$with),*], &[$(Feature::$held),+]);
                hold(with, held, |scene| $work(scene).boxed_local()).await;
            }
        )+
    };
}

workflows! {
    nodes_are_read: [] [Nodes] read;
    machines_are_switched: [Nodes] [Power] switch;
    tags_are_set: [] [Tags] tag;
    machines_are_looked_at: [Nodes] [Preflight] look;
    settings_are_changed: [Nodes] [PreflightFix] fix;
    subscriptions_are_opened: [Nodes] [Subscriptions] open;
    compliance_is_read: [] [Compliance] report;
    machines_are_patched: [] [Patch] patch;
    schedules_are_read: [] [Schedules] schedules;
    schedules_are_written: [] [SchedulesWrite] write_schedules;
}

/// What the provider would ask, in its own name.
async fn ask(scene: &Scene, method: Method, path: &str, body: Value) -> Told<Answer> {
    send_as(APPLICATION, &scene.cloud.world, method, path, &body).await
}

async fn rows(scene: &Scene, query: &str) -> Told<BTreeSet<String>> {
    let body = json!({"subscriptions": [SUBSCRIPTION], "query": query});
    let path = "/providers/Microsoft.ResourceGraph/resources";
    let answer = ask(scene, Method::Post, path, body).await?;
    let rows = answer.body["data"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().filter_map(|it| it["type"].as_str()).map(str::to_owned).collect())
}

async fn report(scene: &Scene) -> Told {
    let [vm, arc] = ["microsoft.compute/virtualmachines", "microsoft.hybridcompute/machines"];
    let mut seen = BTreeSet::new();
    for query in
        ["patchassessmentresources | distinct type", "patchinstallationresources | distinct type"]
    {
        seen.extend(rows(scene, query).await?);
    }
    for kind in [vm, arc] {
        for tail in [
            "patchassessmentresults",
            "patchassessmentresults/softwarepatches",
            "patchinstallationresults",
            "patchinstallationresults/softwarepatches",
        ] {
            if !seen.contains(&format!("{kind}/{tail}")) {
                return Err(format!("no {tail} of {kind} is seen"));
            }
        }
    }
    Ok(())
}

async fn patch(scene: &Scene) -> Told {
    let install = json!({
        "maximumDuration": "PT2H",
        "rebootSetting": "Never",
        "linuxParameters": {"classificationsToInclude": ["Security"]},
    });
    for node in [&scene.running, &scene.arc] {
        for (act, body) in [("assessPatches", Value::Null), ("installPatches", install.clone())] {
            let path = format!("{}/{act}", node.resource());
            let address = ask(scene, Method::Post, &path, body).await?.followed;
            scene.cloud.world.advance(Duration::from_hours(3));
            ask(scene, Method::Get, &address.unwrap(), Value::Null).await?;
        }
    }
    Ok(())
}

async fn schedules(scene: &Scene) -> Told {
    for path in [
        format!(
            "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Maintenance/configurationAssignments"
        ),
        scene.schedule.clone(),
    ] {
        ask(scene, Method::Get, &path, Value::Null).await?;
    }
    let seen =
        rows(scene, "resources | where type has 'maintenanceconfigurations' | distinct type")
            .await?;
    if seen.is_empty() { Err("no schedule is seen".to_owned()) } else { Ok(()) }
}

async fn write_schedules(scene: &Scene) -> Told {
    let assignment = format!(
        "{}/providers/Microsoft.Maintenance/configurationAssignments/nightly",
        scene.running.resource()
    );
    let body = json!({
        "location": "westeurope",
        "properties": {"maintenanceConfigurationId": scene.schedule},
    });
    ask(scene, Method::Put, &assignment, body).await?;
    ask(scene, Method::Delete, &assignment, Value::Null).await?;
    let weekly = scene.schedule.replace("nightly", "weekly");
    ask(scene, Method::Put, &weekly, configuration_body("InGuestPatch")).await?;
    ask(scene, Method::Delete, &weekly, Value::Null).await.map(drop)
}

async fn read(scene: &Scene) -> Told {
    let azure = &scene.cloud.azure;
    let nodes = told(azure.collect_nodes(&NodeSelector::all()).await)?;
    if nodes.len() != scene.machines {
        return Err(format!("{} of {} machines are seen", nodes.len(), scene.machines));
    }
    let silent = nodes.iter().find(|node| node.id == scene.silent);
    if silent.is_none_or(|node| node.reachability != Reachability::Lost) {
        return Err("the agent's silence is not seen".to_owned());
    }
    let instance = nodes.iter().find(|it| it.id.resource().contains("virtualMachineScaleSets"));
    let mut some = vec![scene.running.clone(), scene.arc.clone()];
    some.extend(instance.map(|it| it.id.clone()));
    assert_eq!(some.len(), 3, "the world has a uniform scale set");
    for (_, status) in azure.statuses(&some).await {
        told(status)?;
    }
    let group = NodeSelector::all().with_resource_groups(["web".parse().unwrap()]);
    told(azure.collect_nodes(&group).await).map(drop)
}

async fn switch(scene: &Scene) -> Told {
    let azure = &scene.cloud.azure;
    for (node, target) in [
        (&scene.off, PowerTarget::Running),
        (&scene.running, PowerTarget::Stopped),
        (&scene.silent, PowerTarget::Deallocated),
    ] {
        told(azure.power(node, target).await)?;
    }
    Ok(())
}

async fn tag(scene: &Scene) -> Told {
    let wanted: Tags = [("Cost".to_owned(), "42".to_owned())].into();
    for node in [&scene.running, &scene.arc] {
        let change = told(scene.cloud.azure.merge_tags(node, &wanted).await)?;
        told(scene.cloud.azure.revert_tags(&change).await)?;
    }
    Ok(())
}

/// Two schedules are attached: one that is meant, and one of hosts, which is none.
async fn look(scene: &Scene) -> Told {
    let host = configuration(&scene.cloud, "host", "Host").await;
    for configuration in [&scene.schedule, &host] {
        let name = configuration.rsplit('/').next().unwrap();
        let path = format!(
            "{}/providers/Microsoft.Maintenance/configurationAssignments/{name}",
            scene.running.resource()
        );
        let properties = json!({"maintenanceConfigurationId": configuration});
        let body = json!({"location": "westeurope", "properties": properties});
        send(&scene.cloud.world, Method::Put, &path, &body).await;
    }
    scene.cloud.world.advance(Duration::from_mins(1));
    let some = NodeSelector::ids([scene.running.clone(), scene.arc.clone()]);
    let looked = told(all(scene.cloud.azure.preflight(&some, &PatchIntent::OnDemand)).await)?;
    for it in &looked {
        let mut findings = it.findings.iter();
        if let Some(unread) = findings.find(|it| matches!(it, PreflightFinding::Unread { .. })) {
            return Err(unread.to_string());
        }
        let failed = |it: &PreflightFinding| matches!(it, PreflightFinding::ExtensionFailed { .. });
        if !it.findings.iter().any(failed) {
            return Err(format!("the extension of {} is not seen", it.node()));
        }
    }
    let attached = |it: &&PreflightFinding| matches!(it, PreflightFinding::OtherSchedule { .. });
    match looked.iter().flat_map(|it| &it.findings).filter(attached).count() {
        1 => Ok(()),
        count => Err(format!("{count} schedules are seen")),
    }
}

async fn fix(scene: &Scene) -> Told {
    let own = patchkit_azure::PatchSettings::default().with_own_schedules();
    let change = told(scene.cloud.azure.set_patch_settings(&scene.running, &own).await)?;
    told(scene.cloud.azure.revert_patch_settings(&change).await)
}

async fn open(scene: &Scene) -> Told {
    let azure = provider(&scene.cloud.world);
    let opened = told(Subscriptions::new().with_tenant("contoso", azure).open().await)?;
    match opened.failures.first() {
        Some(failure) => Err(failure.to_string()),
        None => Ok(()),
    }
}

#[test]
fn every_feature_is_held_by_a_workflow() {
    let held: BTreeSet<Feature> = HELD.iter().copied().flatten().copied().collect();
    let missing: Vec<_> = Feature::ALL.into_iter().filter(|it| !held.contains(it)).collect();
    assert_eq!(missing, [], "are held by none");
}

#[test]
fn a_role_has_what_azure_asks_of_a_definition() {
    let definition = role(Feature::ALL, [SUBSCRIPTION.parse().unwrap()]);
    assert_eq!(definition["IsCustom"], true);
    assert_eq!(definition["AssignableScopes"], json!([format!("/subscriptions/{SUBSCRIPTION}")]));
    for action in definition["Actions"].as_array().unwrap() {
        let action = action.as_str().unwrap();
        let end = action.rsplit('/').next().unwrap();
        assert!(["read", "write", "delete", "action", "*"].contains(&end), "{action}");
        assert!(action.matches('*').count() <= 1 && action.len() > 20, "{action}");
    }
}
