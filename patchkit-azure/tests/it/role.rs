//! Each workflow under exactly the role that is rendered for it, and under it less one action.

use std::{collections::BTreeSet, time::Duration};

use futures::{FutureExt, future::LocalBoxFuture};
use patchkit_azure::{
    Addresses, Feature, PatchIntent, PatchWindow, PreflightFinding, Subscriptions, TimeZoneName,
    Timing, role,
};
use patchkit_core::{
    ApprovalRule, AutoApproval, Baseline, ComplianceReport, ComplianceStatus, Error, Fleet,
    FleetExt, ManagedNode, NodeId, NodeSelector, OperatingSystem, OperationId, PatchAction,
    PatchBaseline, PatchGroup, PatchRequest, PatchState, PowerTarget, Reachability, RebootPolicy,
    SubmitToken, Tags, UpdateScope,
};
use patchkit_testkit::cloud::{Agent, Allowance, ExtensionSpec, PatchSpec, Power, World};
use serde_json::json;

use crate::{
    arm,
    cloud::{APPLICATION, Cloud, SUBSCRIPTION, all, arc, builder, provider, vm},
    preflight::configuration,
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
    let patches = [("openssl", PatchState::Missing), ("curl", PatchState::Installed)]
        .map(|(id, state)| PatchSpec::new(id.parse().unwrap(), state));
    let broken = |name: &str| ExtensionSpec::new(name).failed("no space left on device");
    let running = cloud.add(&vm().with_extension(broken("LinuxPatchExtension")));
    let silent = cloud.add(&vm().with_agent(Agent::ConnectionLost));
    let off = cloud.add(&vm().with_power(Power::Deallocated));
    let arc = cloud.add(&arc().with_extension(broken("LinuxOsUpdateExtension")));
    for node in [&running, &arc] {
        cloud.world.set_patches(node.resource(), &patches).unwrap();
    }
    // What was done to them is of before any act.
    cloud.world.advance(Duration::from_mins(5));
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
    addresses_are_told: [Nodes] [Addresses] address;
    compliance_is_read: [Nodes] [Compliance] report;
    machines_are_patched: [Nodes] [Patch] patch;
    schedules_are_read: [Nodes] [Schedules] schedules;
    schedules_are_written: [Schedules] [SchedulesWrite] write_schedules;
}

/// What was found and what was installed, on a machine of each kind.
async fn report(scene: &Scene) -> Told {
    let azure = &scene.cloud.azure;
    for node in [&scene.running, &scene.arc] {
        let known = told(azure.summary(node).await)?;
        let counts = (known.counts.missing, known.counts.installed);
        if (known.status, counts) != (ComplianceStatus::NonCompliant, (1, 1)) {
            return Err(format!("{node} is {} with {counts:?}", known.status));
        }
        let mut patches = told(all(azure.patches(node)).await)?;
        patches.sort_by(|a, b| a.patch.cmp(&b.patch));
        let states: Vec<_> = patches.iter().map(|it| (it.patch.as_str(), &it.state)).collect();
        if states != [("curl", &PatchState::Installed), ("openssl", &PatchState::Missing)] {
            return Err(format!("{node} has {states:?}"));
        }
    }
    Ok(())
}

/// Sends an act, follows it to its end, and has another process find it.
async fn act(scene: &Scene, node: &NodeId, action: PatchAction) -> Told<OperationId> {
    let Scene { cloud: Cloud { world, azure }, .. } = scene;
    let token = SubmitToken::stamped(&format!("{action} {node}"), world.now()).unwrap();
    let request = PatchRequest::new(token.clone(), vec![node.clone()], action);
    let id = told(azure.submit(request).await)?;
    let mut looks = 0;
    while !told(azure.operation(&id).await)?.status.is_final() {
        world.advance(Duration::from_mins(1));
        looks += 1;
        assert!(looks < 600, "{id} never ends");
    }
    // Of an Arc machine Resource Graph tells, somewhat later.
    world.advance(Duration::from_mins(1));
    let other = provider(world).build().unwrap();
    let found = told(other.find_operation(&token, std::slice::from_ref(node)).await)?;
    if found.as_ref() != Some(&id) {
        return Err(format!("{found:?} is found for {id}"));
    }
    Ok(id)
}

async fn patch(scene: &Scene) -> Told {
    for node in [&scene.running, &scene.arc] {
        act(scene, node, PatchAction::Scan).await?;
        let id = act(scene, node, PatchAction::Install(RebootPolicy::Never)).await?;
        let other = provider(&scene.cloud.world).build().unwrap();
        for azure in [&scene.cloud.azure, &other] {
            let result = told(azure.install_result(&id).await)?;
            if !result.patches_in(&PatchState::Installed).any(|it| it.id.as_str() == "openssl") {
                return Err(format!("of {node} nothing is told: {result:?}"));
            }
        }
    }
    Ok(())
}

async fn schedules(scene: &Scene) -> Told {
    assign(scene, &scene.schedule).await;
    let azure = &scene.cloud.azure;
    let nodes = told(azure.collect_nodes(&NodeSelector::all()).await)?;
    let own = nodes.iter().find(|it| it.id == scene.running).unwrap();
    if let Some(unknown) = nodes.iter().flat_map(|it| &it.schedules).find(|it| is_unknown(it)) {
        return Err(unknown.clone());
    }
    let of = told(azure.schedules_of(own).await)?;
    match of.as_slice() {
        [one] if matches!(one.timing, Timing::Window(_)) && own.schedules.len() == 1 => Ok(()),
        _ => Err(format!("{of:?} of {:?} are seen", own.schedules)),
    }
}

async fn write_schedules(scene: &Scene) -> Told {
    let azure = &scene.cloud.azure;
    let rule = ApprovalRule::new(AutoApproval::Immediately).with_scope(UpdateScope::All);
    let draft = PatchBaseline::new("web", OperatingSystem::Ubuntu).with_rule(rule);
    let group = "web".parse().unwrap();
    let zone = TimeZoneName::new("UTC").unwrap();
    let now = jiff::tz::TimeZone::UTC.to_datetime(scene.cloud.world.now());
    let schedule = "cron(0 3 ? * SAT *)".parse().unwrap();
    let window = PatchWindow::of(&schedule, now, zone, Duration::from_hours(2)).unwrap();
    let id = told(azure.create_baseline(&draft).await)?;
    told(azure.register(&group, &id).await)?;
    told(azure.schedule_baseline(&id, &window, RebootPolicy::Never).await)?;
    told(azure.unschedule_baseline(&id).await)?;
    told(azure.deregister(&group, &id).await)?;
    told(azure.delete_baseline(&id).await).map(drop)
}

/// Has someone attach a schedule to the running machine.
async fn assign(scene: &Scene, configuration: &str) {
    let name = configuration.rsplit('/').next().unwrap();
    let body = json!({
        "location": "westeurope",
        "properties": {"maintenanceConfigurationId": configuration},
    });
    let of = scene.running.resource();
    arm::put(&scene.cloud.world, &arm::assignment(of, name), &body).await;
}

fn is_unknown(schedule: &str) -> bool {
    schedule.starts_with("unknown: ")
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
        assign(scene, configuration).await;
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

async fn address(scene: &Scene) -> Told {
    let azure = scene.cloud.azure.with_addresses(Addresses::OfInterfaces);
    let node = told(azure.node(&scene.running).await)?;
    match node.identity.ip_addresses.len() {
        1 => Ok(()),
        count => Err(format!("{count} addresses are seen")),
    }
}

#[tokio::test]
async fn without_the_right_to_schedules_machines_are_listed_and_may_be_patched_by_any() {
    let scene = scene().await;
    scene.bind(allowed(&[Feature::Nodes]));
    let nodes = scene.cloud.azure.collect_nodes(&NodeSelector::all()).await.unwrap();
    assert_eq!(nodes.len(), scene.machines);
    // Azure patches no instance of a uniform scale set.
    let patched = |it: &&ManagedNode| !it.id.resource().contains("virtualMachineScaleSets");
    for node in nodes.iter().filter(patched) {
        assert!(node.schedules.iter().any(|it| is_unknown(it)), "{}", node.id);
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
