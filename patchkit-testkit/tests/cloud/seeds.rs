//! A world that a test makes node by node, and whose time passes while someone sleeps.

use std::time::Duration;

use patchkit_core::{AccessStatus, Clock as _, OperatingSystem};
use patchkit_testkit::cloud::{
    Agent, Behavior, Fault, FaultKind, NodeSpec, PatchSpec, Power, Throttles, World,
};
use serde_json::{Value, json};

use super::{ask, command, ssm, ssm_as};

/// A world without nodes.
async fn empty() -> World {
    let at = "2026-11-24T02:00:00Z".parse().unwrap();
    let world = World::builder().nodes(0).start_at(at).throttles(Throttles::Off);
    world.azure_page_size(2).start().await.unwrap()
}

fn instance() -> NodeSpec {
    NodeSpec::ec2(OperatingSystem::AmazonLinux2023, "111122223333", "us-east-1")
}

fn patch(id: &str, state: &str) -> PatchSpec {
    PatchSpec::new(id.parse().unwrap(), state.parse().unwrap())
}

/// The patches of a node as Systems Manager tells them, with their states.
fn told(world: &World, id: &str) -> Vec<(String, String)> {
    let (_, page) = ssm(world, "DescribeInstancePatches", &json!({"InstanceId": id})).unwrap();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let patches = page["Patches"].as_array().unwrap();
    patches.iter().map(|it| (text(it, "KBId"), text(it, "State"))).collect()
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs.map(|(id, state)| (id.to_owned(), state.to_owned())).into()
}

fn run(world: &World, id: &str, operation: &str, reboot: &str) {
    let input = json!({
        "DocumentName": "AWS-RunPatchBaseline",
        "InstanceIds": [id],
        "Parameters": {"Operation": [operation], "RebootOption": [reboot]},
    });
    assert_eq!(ssm(world, "SendCommand", &input).unwrap().0, 200);
    world.advance(Duration::from_hours(1));
}

const STATES: [(&str, &str); 8] = [
    ("bash", "Installed"),
    ("curl", "InstalledOther"),
    ("expat", "InstalledPendingReboot"),
    ("glibc", "InstalledRejected"),
    ("kernel", "Missing"),
    ("openssl", "Failed"),
    ("sudo", "Quarantined_2"),
    ("zlib", "NotApplicable"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_world_of_no_nodes_has_awss_own_baselines_and_nothing_else() {
    let world = empty().await;
    assert!(world.node_ids().is_empty());
    let list = |operation: &str, key: &str| {
        let (_, page) = ssm(&world, operation, &json!({})).unwrap();
        page[key].as_array().cloned().unwrap_or_default()
    };
    assert!(list("DescribeInstanceInformation", "InstanceInformationList").is_empty());
    assert!(list("DescribePatchGroups", "Mappings").is_empty());
    assert!(list("DescribeActivations", "ActivationList").is_empty());
    let baselines = list("DescribePatchBaselines", "BaselineIdentities");
    assert!(!baselines.is_empty());
    let owned = |it: &Value| it["BaselineId"].as_str().unwrap().contains(":patchbaseline/");
    assert!(baselines.iter().all(owned), "{baselines:?}");
    world.advance(Duration::from_hours(48));
}

#[tokio::test(flavor = "multi_thread")]
async fn states_that_were_named_are_told_as_they_are_again_and_again() {
    let world = empty().await;
    let patches = STATES.map(|(id, state)| patch(id, state));
    let id = world.add_node(&instance().with_patches(patches).scanned()).unwrap();
    assert!(id.starts_with("i-") && id.len() == 19, "{id}");
    assert_eq!(world.node_ids(), [id.as_str()]);
    for scan in 0..2 {
        assert_eq!(told(&world, &id), pairs(STATES), "scan {scan}");
        let input = json!({"InstanceIds": [id]});
        let (_, states) = ssm(&world, "DescribeInstancePatchStates", &input).unwrap();
        let row = &states["InstancePatchStates"][0];
        for count in [
            "InstalledCount",
            "InstalledOtherCount",
            "InstalledPendingRebootCount",
            "InstalledRejectedCount",
            "MissingCount",
            "FailedCount",
            "NotApplicableCount",
        ] {
            assert_eq!(row[count], 1, "{count}");
        }
        let input = json!({
            "InstanceId": id,
            "TypeName": "AWS:PatchSummary",
        });
        let (_, summary) = ssm(&world, "ListInventoryEntries", &input).unwrap();
        assert_eq!(summary["Entries"][0]["MissingCount"], "1", "{summary}");
        run(&world, &id, "Scan", "NoReboot");
    }
    let input = json!({"ResourceIds": [id], "ResourceTypes": ["ManagedInstance"]});
    let (_, items) = ssm(&world, "ListComplianceItems", &input).unwrap();
    let items = items["ComplianceItems"].as_array().unwrap();
    let strange = items.iter().find(|it| it["Id"] == "sudo").unwrap();
    assert_eq!(strange["Details"]["PatchState"], "Quarantined_2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_install_brings_what_was_named_missing_or_failed() {
    let world = empty().await;
    let patches = || STATES.map(|(id, state)| patch(id, state));
    let id = world.add_node(&instance().with_patches(patches()).scanned()).unwrap();
    run(&world, &id, "Install", "RebootIfNeeded");
    let after = STATES.map(|(id, state)| match state {
        "Missing" | "Failed" | "InstalledPendingReboot" => (id, "Installed"),
        state => (id, state),
    });
    assert_eq!(told(&world, &id), pairs(after));

    let id = world.add_node(&instance().with_patches(patches())).unwrap();
    run(&world, &id, "Install", "NoReboot");
    let waiting = STATES.map(|(id, state)| match state {
        "Missing" | "Failed" => (id, "InstalledPendingReboot"),
        state => (id, state),
    });
    assert_eq!(told(&world, &id), pairs(waiting));

    let one_fails = instance().with_patches(patches()).with_behavior(Behavior::OneFails);
    let id = world.add_node(&one_fails).unwrap();
    run(&world, &id, "Install", "RebootIfNeeded");
    let states = told(&world, &id);
    assert_eq!(states.iter().filter(|(_, state)| state == "Failed").count(), 1, "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_are_replaced_and_reported_at_once() {
    let world = empty().await;
    let id = world.add_node(&instance().with_patches([patch("bash", "Missing")])).unwrap();
    assert_eq!(told(&world, &id), [], "it was never scanned");
    world.set_patches(&id, &[patch("zlib", "Installed"), patch("curl", "Failed")]).unwrap();
    assert_eq!(told(&world, &id), pairs([("zlib", "Installed"), ("curl", "Failed")]));
    let truth = world.node(&id).unwrap();
    assert_eq!((truth.installed, truth.absent), (vec!["zlib".into()], vec!["curl".into()]));
    assert!(world.set_patches("i-0123456789abcdef0", &[]).is_err());
    let twice = [patch("zlib", "Installed"), patch("zlib", "Missing")];
    assert!(world.set_patches(&id, &twice).is_err());
    // What was under way when they were replaced does no harm.
    for operation in ["Scan", "Install"] {
        let missing: Vec<_> = (0..200).map(|n| patch(&format!("p{n:03}"), "Missing")).collect();
        world.set_patches(&id, &missing).unwrap();
        let mut input = command(&id);
        input["Parameters"]["Operation"] = json!([operation]);
        assert_eq!(ssm(&world, "SendCommand", &input).unwrap().0, 200);
        world.advance(Duration::from_secs(20));
        world.set_patches(&id, &[patch("zlib", "Installed")]).unwrap();
        world.advance(Duration::from_hours(2));
        assert_eq!(told(&world, &id), pairs([("zlib", "Installed")]), "{operation}");
        assert_eq!(world.node(&id).unwrap().installed, ["zlib"], "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_what_they_were_named() {
    let world = empty().await;
    let ubuntu = || OperatingSystem::Ubuntu;
    let hybrid = NodeSpec::hybrid(ubuntu(), "222233334444", "eu-west-1").with_name("pc-1");
    let hybrid = world.add_node(&hybrid).unwrap();
    assert!(hybrid.starts_with("mi-"), "{hybrid}");
    let truth = world.node("pc-1").unwrap();
    assert_eq!(truth.aws_id, Some(hybrid));
    assert_eq!(truth.aws_scope.as_deref(), Some("222233334444/eu-west-1"));
    assert!(truth.answers);

    let nodes = [
        instance(),
        instance().with_agent(Agent::ConnectionLost),
        instance().with_agent(Agent::Absent),
        instance().with_access(AccessStatus::NoIdentity),
        instance().with_access(AccessStatus::MissingPermissions),
        instance().with_power(Power::Stopped),
    ];
    let ids = nodes.map(|it| world.add_node(&it).unwrap());
    let (_, page) = ssm(&world, "DescribeInstanceInformation", &json!({})).unwrap();
    let listed = page["InstanceInformationList"].as_array().unwrap();
    let ping = |id: &str| {
        let found = listed.iter().find(|it| it["InstanceId"] == id);
        found.map(|it| it["PingStatus"].as_str().unwrap().to_owned())
    };
    assert_eq!(ping(&ids[0]).as_deref(), Some("Online"));
    assert_eq!(ping(&ids[1]).as_deref(), Some("ConnectionLost"));
    for id in &ids[2..] {
        assert_eq!(ping(id), None, "{id}");
        assert!(!world.node(id).unwrap().answers);
    }

    for wrong in [
        NodeSpec::ec2(ubuntu(), "999999999999", "us-east-1"),
        NodeSpec::ec2(ubuntu(), "111122223333", "mars-north-1"),
        NodeSpec::ec2(OperatingSystem::MacOs, "111122223333", "us-east-1"),
        NodeSpec::vm(ubuntu(), "no-subscription", "rg"),
        instance().with_power(Power::Deallocated),
        NodeSpec::hybrid(ubuntu(), "111122223333", "us-east-1").with_agent(Agent::Absent),
        NodeSpec::hybrid(ubuntu(), "111122223333", "us-east-1")
            .with_access(AccessStatus::NoIdentity),
    ] {
        let error = world.add_node(&wrong).unwrap_err();
        assert_eq!(error.kind(), patchkit_core::ErrorKind::InvalidInput, "{wrong:?}");
    }
}

const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";

/// The rows of a query of Resource Graph.
fn graph(world: &World, query: &str) -> Vec<Value> {
    let path = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01";
    let head = [("authorization", "Bearer any"), ("content-type", "application/json")];
    let body = json!({"query": query, "subscriptions": [SUBSCRIPTION]}).to_string();
    let endpoint = &world.endpoints().azure_endpoint;
    let (status, body) = ask(endpoint, &head, "POST", path, &body).unwrap();
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn resource_graph_tells_what_was_named_of_a_vm() {
    let world = empty().await;
    let patches = [
        patch("bash", "Installed"),
        patch("kernel", "Missing"),
        patch("sudo", "Quarantined_2"),
        patch("zlib", "Excluded"),
    ];
    let vm = NodeSpec::vm(OperatingSystem::Ubuntu, SUBSCRIPTION, "rg-new").with_name("vm-1");
    let id = world.add_node(&vm.clone().with_patches(patches).scanned()).unwrap();
    assert_eq!(
        id,
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-new/providers/Microsoft.Compute/\
             virtualMachines/vm-1"
        )
    );
    let states = |table: &str, state: &str| {
        let rows = graph(
            &world,
            &format!(
                "{table} | where type endswith 'softwarepatches' \
                 | project patch = tostring(properties.patchName), state = tostring(properties.{state})"
            ),
        );
        let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
        let mut rows: Vec<_> =
            rows.iter().map(|it| (text(it, "patch"), text(it, "state"))).collect();
        rows.sort();
        rows
    };
    assert_eq!(
        states("patchassessmentresources", "assessmentState"),
        pairs([("kernel", "Available"), ("sudo", "Quarantined_2"), ("zlib", "Available")])
    );
    assert_eq!(
        states("patchinstallationresources", "installationState"),
        pairs([("bash", "Installed"), ("zlib", "Excluded")])
    );
    let counts = graph(
        &world,
        "patchassessmentresources | where type endswith 'patchassessmentresults' \
         | project n = toint(properties.availablePatchCountByClassification.security)",
    );
    assert_eq!(counts[0]["n"], 2, "a state that no model knows is not counted");
    assert!(world.add_node(&vm).is_err(), "there is one of this name already");
    let arc = NodeSpec::arc(OperatingSystem::Windows, SUBSCRIPTION, "RG-NEW");
    let id = world.add_node(&arc).unwrap();
    assert!(id.contains("Microsoft.HybridCompute/machines/"), "{id}");
    assert_eq!(graph(&world, "resources | where type endswith 'machines'").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_added_over_the_control_endpoint() {
    let world = empty().await;
    let control = world.endpoints().control_endpoint.clone();
    let post = |method: &str, path: &str, body: &Value| {
        let (status, body) = ask(&control, &[], method, path, &body.to_string()).unwrap();
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let place = json!({"ec2": {"account": "111122223333", "region": "us-east-1"}});
    let spec = json!({
        "place": place,
        "operating_system": "AMAZON_LINUX_2023",
        "tags": {"PatchGroup": "web"},
        "patches": [{"id": "openssl", "state": "MISSING"}],
        "scanned": "now",
    });
    let (status, made) = post("POST", "/nodes", &spec);
    assert_eq!(status, 200, "{made}");
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["aws_id"], id);
    assert_eq!(told(&world, id), pairs([("openssl", "Missing")]));
    let (status, body) = post(
        "PUT",
        &format!("/patches/{id}"),
        &json!([{"id": "openssl", "state": "INSTALLED"}, {"id": "bash", "state": "NEW_STATE"}]),
    );
    assert_eq!(status, 200, "{body}");
    assert_eq!(told(&world, id), pairs([("openssl", "Installed"), ("bash", "NEW_STATE")]));
    for (path, wrong, why) in [
        ("/nodes", json!({"place": place, "operating_system": "UBUNTU", "agnet": 1}), "agnet"),
        ("/nodes", json!({"place": {"moon": {}}, "operating_system": "UBUNTU"}), "moon"),
        ("/nodes", json!({"place": place, "operating_system": "BEOS"}), "BEOS"),
        ("/callers", json!({"account": "999999999999", "user": "x"}), "999999999999"),
    ] {
        let (status, body) = post("POST", path, &wrong);
        assert!((400..500).contains(&status), "{status}");
        assert!(body["error"].as_str().unwrap().contains(why), "{body}");
    }
    assert_eq!(post("PUT", "/patches/i-0", &json!([])).0, 404);
    assert_eq!(world.node_ids().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_page_meets_that_page_of_each_listing() {
    let world = empty().await;
    for _ in 0..11 {
        world.add_node(&instance()).unwrap();
        world.add_node(&NodeSpec::vm(OperatingSystem::Ubuntu, SUBSCRIPTION, "rg")).unwrap();
    }
    let page = |token: Option<&str>| {
        let input = json!({"MaxResults": 5, "NextToken": token});
        ssm(&world, "DescribeInstanceInformation", &input).unwrap()
    };
    world.add_fault(Fault::new(FaultKind::Deny).on_page(2).times(1)).unwrap();
    world.add_fault(Fault::new(FaultKind::Throttle).on_page(3).times(1)).unwrap();
    let (status, first) = page(None);
    assert_eq!(status, 200);
    let second = first["NextToken"].as_str();
    let (status, error) = page(second);
    assert_eq!((status, error["__type"].as_str()), (400, Some("AccessDeniedException")));
    let (status, answer) = page(second);
    assert_eq!(status, 200);
    let third = answer["NextToken"].as_str();
    assert_eq!(page(third).1["__type"], "ThrottlingException");
    let (status, last) = page(third);
    assert_eq!((status, last["NextToken"].as_str()), (200, None));

    world.clear_faults();
    world.add_fault(Fault::new(FaultKind::Deny).on_page(2).times(1)).unwrap();
    let endpoint = &world.endpoints().azure_endpoint;
    let head = [("authorization", "Bearer any")];
    let path = format!(
        "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines\
         ?api-version=2024-07-01"
    );
    let (status, body) = ask(endpoint, &head, "GET", &path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let next = body["nextLink"].as_str().unwrap();
    let next = next.trim_start_matches(endpoint.as_str());
    let (status, body) = ask(endpoint, &head, "GET", next, "").unwrap();
    assert_eq!(status, 403, "{body}");
    assert_eq!(ask(endpoint, &head, "GET", next, "").unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_puts_the_world_into_order_is_told_from_who_is_tested() {
    let world = empty().await;
    let seeder = world.add_caller("111122223333", "seeder").unwrap();
    assert_eq!(seeder.caller, "arn:aws:iam::111122223333:user/seeder");
    let again = world.add_caller("111122223333", "seeder").unwrap();
    assert_eq!(again.access_key_id, seeder.access_key_id);
    assert!(world.add_caller("999999999999", "seeder").is_none());
    let tested = world.endpoints().credentials[0].clone();
    assert_ne!(tested.access_key_id, seeder.access_key_id);
    world.add_fault(Fault::new(FaultKind::Deny).of_caller(&*tested.caller)).unwrap();
    let list = |key: &str| ssm_as(key, &world, "DescribePatchGroups", &json!({})).unwrap().0;
    assert_eq!(list(&seeder.access_key_id), 200);
    assert_eq!(list(&tested.access_key_id), 400);
    assert_eq!(world.calls().of_caller(&seeder.caller).len(), 1);
    assert_eq!(world.calls().of_caller(&tested.caller).len(), 1);
}

#[tokio::test]
async fn time_passes_while_someone_sleeps_and_no_twice_for_two() {
    let world = empty().await;
    let (clock, before) = (world.clock(), world.now());
    assert_eq!(clock.now(), before);
    let woken = std::sync::Mutex::new(Vec::new());
    let sleep = async |minutes: u64| {
        clock.sleep(Duration::from_mins(minutes)).await;
        let passed = clock.now().duration_since(before).as_mins();
        woken.lock().unwrap().push((minutes, passed));
    };
    tokio::join!(sleep(30), sleep(10), sleep(20), sleep(10));
    assert_eq!(*woken.lock().unwrap(), [(10, 10), (10, 10), (20, 20), (30, 30)]);
    assert_eq!(world.now().duration_since(before).as_mins(), 30);
}

/// The machine's time is tokio's here, and stands still while a request is on its way: however slow the
/// machine is, none comes too late.
#[tokio::test(start_paused = true)]
async fn a_dropped_sleeper_holds_no_one_back_and_a_busy_world_is_waited_for() {
    let world = empty().await;
    let (clock, before) = (world.clock(), world.now());
    {
        let early = clock.sleep(Duration::from_secs(1));
        let cut = tokio::time::timeout(Duration::from_millis(2), early).await;
        assert!(cut.is_err());
    }
    let requests = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::task::spawn_blocking({
                let endpoint = world.endpoints().aws_endpoint.clone();
                move || ask(&endpoint, &[], "POST", "/", "")
            })
            .await
            .unwrap();
        }
        clock.now()
    };
    let ((), last) = tokio::join!(clock.sleep(Duration::from_hours(1)), requests);
    assert_eq!(last, before, "time stood still while there were requests");
    assert_eq!(world.now().duration_since(before).as_hours(), 1);
}
