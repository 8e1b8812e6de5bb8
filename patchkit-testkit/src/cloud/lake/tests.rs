use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use patchkit_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::Complaints;
use crate::cloud::{
    PatchSpec,
    aws::{
        resource::{self, Resource},
        testing::TestCloud,
    },
    shared::lock,
    sink::ObjectSink,
    testing::{HERE, TestWorld, is_hybrid, is_scanned},
    world::{
        State,
        clock::later,
        machine::{Agent, AwsKind, Behavior, MachineIx, Power},
    },
};

/// Keeps objects, and knows one bucket.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<String, Vec<u8>>>);

impl ObjectSink for Kept {
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        if bucket != "lake" && !bucket.is_empty() {
            return Err(Error::not_found("s3", "put", format!("the bucket {bucket}")));
        }
        lock(&self.0).insert(key.to_owned(), bytes);
        Ok(())
    }
}

impl Kept {
    fn rows(&self, kind: &str, id: &str) -> Vec<Value> {
        let kept = lock(&self.0);
        let part = format!("{kind}/");
        let name = format!("/{id}.json");
        let found = kept.iter().find(|(key, _)| key.contains(&part) && key.ends_with(&name));
        let text = found.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned());
        let text = text.unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn keys(&self) -> Vec<String> {
        lock(&self.0).keys().cloned().collect()
    }
}

fn with_sync(nodes: usize) -> (TestWorld, Arc<Kept>) {
    let world = TestWorld::new(nodes);
    let kept = Arc::new(Kept::default());
    world.state().objects = Some(Arc::clone(&kept) as Arc<dyn ObjectSink>);
    world.ssm("CreateResourceDataSync", &sync("lake")).unwrap();
    (world, kept)
}

/// A world with a sync that is through with its first nodes.
fn synced(nodes: usize) -> (TestWorld, Arc<Kept>) {
    let (world, kept) = with_sync(nodes);
    world.advance(Duration::ZERO);
    (world, kept)
}

fn sync(bucket: &str) -> Value {
    json!({
        "SyncName": bucket,
        "S3Destination": {
            "BucketName": bucket,
            "Prefix": "of/all",
            "SyncFormat": "JsonSerDe",
            "Region": "us-east-1",
        },
    })
}

#[test]
fn keys_and_rows_are_as_the_sync_writes_them() {
    let (world, kept) = synced(60);
    let id = world.ids(|state, at| state.is_managed(at) && is_scanned(state, at)).remove(0);
    let place = "accountid=111122223333/region=us-east-1/resourcetype=ManagedInstanceInventory";
    for kind in ["AWS:InstanceInformation", "AWS:Tag", "AWS:PatchSummary", "AWS:ComplianceItem"] {
        assert!(kept.keys().contains(&format!("of/all/{kind}/{place}/{id}.json")), "{kind}");
    }
    let test = "of/all/AWS:InstanceInformation/accountid=111122223333/test.json".to_owned();
    assert_eq!(
        kept.keys().iter().filter(|key| key.ends_with("test.json")).collect::<Vec<_>>(),
        [&test]
    );
    let row = &kept.rows("AWS:PatchSummary", &id)[0];
    assert_eq!(row["resourceId"], id);
    assert_eq!(row["schemaVersion"], "1.0");
    assert!(row.as_object().unwrap().values().all(Value::is_string));
}

#[test]
fn a_sync_is_in_progress_until_its_last_node_is_written() {
    let (world, kept) = with_sync(100);
    let managed = world.ids(State::is_managed);
    let written = || managed.iter().filter(|id| has(&kept, id)).count();
    let status = || {
        let all = world.all("ListResourceDataSync", "ResourceDataSyncItems", &json!({}));
        all[0]["LastStatus"].clone()
    };
    assert_eq!((written(), status()), (0, json!("InProgress")));
    assert!(world.state().write_some(8));
    assert!((1..=8).contains(&written()));
    assert_eq!(status(), "InProgress");
    world.advance(Duration::ZERO);
    assert_eq!((written(), status()), (managed.len(), json!("Successful")));
}

fn has(kept: &Kept, id: &str) -> bool {
    !kept.rows("AWS:InstanceInformation", id).is_empty()
}

#[test]
fn a_bucket_that_is_not_there_refuses_the_sync() {
    let (world, _) = synced(20);
    let code = world.refused("CreateResourceDataSync", &sync("nowhere"));
    assert_eq!(code, "ResourceDataSyncInvalidConfigurationException");
    let all = world.all("ListResourceDataSync", "ResourceDataSyncItems", &json!({}));
    assert_eq!(all.len(), 1);
}

/// User guide, "Walkthrough: Use resource data sync to aggregate inventory data".
#[test]
fn only_the_information_of_a_node_follows_its_power() {
    let (world, kept) = synced(60);
    let id = world
        .ids(|state, at| {
            let ec2 = matches!(&state.machine(at).aws.as_ref().unwrap().side, AwsKind::Ec2(_));
            ec2 && is_scanned(state, at) && state.machine(at).power == Power::Running
        })
        .remove(0);
    let status = || kept.rows("AWS:InstanceInformation", &id)[0]["InstanceStatus"].clone();
    let summary = kept.rows("AWS:PatchSummary", &id);
    assert_eq!(status(), "Active");
    let at = world.at(&id);
    world.state().power_off(at, crate::cloud::world::power::Off::Stop);
    world.advance(Duration::from_mins(2));
    assert_eq!(status(), "Stopped");
    world.state().power_on(at);
    world.advance(Duration::from_mins(15));
    assert_eq!(status(), "Active");
    assert_eq!(kept.rows("AWS:PatchSummary", &id), summary);
}

#[test]
fn tags_and_compliance_are_written_when_they_change() {
    let (world, kept) = synced(100);
    let id = world.ids(|state, at| is_hybrid(state, at) && state.is_listed(at)).remove(0);
    let tag = json!({
        "ResourceType": "ManagedInstance",
        "ResourceId": id,
        "Tags": [{"Key": "Rack", "Value": "7"}],
    });
    world.ssm("AddTagsToResource", &tag).unwrap();
    assert!(kept.rows("AWS:Tag", &id).iter().any(|row| row["Key"] == "Rack"));
    let keys: Vec<Value> = kept.rows("AWS:Tag", &id).iter().map(|row| row["Key"].clone()).collect();
    let remove = json!({"ResourceType": "ManagedInstance", "ResourceId": id, "TagKeys": keys});
    world.ssm("RemoveTagsFromResource", &remove).unwrap();
    assert!(kept.rows("AWS:Tag", &id).is_empty());
    let put = json!({
        "ResourceId": id,
        "ResourceType": "ManagedInstance",
        "ComplianceType": "Custom:Hardening",
        "ExecutionSummary": {"ExecutionTime": 1_793_500_000},
        "Items": [{"Id": "a", "Severity": "HIGH", "Status": "NON_COMPLIANT"}],
    });
    world.ssm("PutComplianceItems", &put).unwrap();
    for kind in ["AWS:ComplianceItem", "AWS:ComplianceSummary"] {
        let rows = kept.rows(kind, &id);
        assert!(rows.iter().any(|row| row["ComplianceType"] == "Custom:Hardening"), "{kind}");
    }
}

#[test]
fn a_node_that_is_given_up_is_terminated_and_its_objects_stay() {
    let (world, kept) = synced(100);
    let id = world.ids(|state, at| is_hybrid(state, at) && state.is_listed(at)).remove(0);
    let before = kept.keys();
    world.ssm("DeregisterManagedInstance", &json!({"InstanceId": id})).unwrap();
    assert_eq!(kept.keys(), before);
    assert_eq!(kept.rows("AWS:InstanceInformation", &id)[0]["InstanceStatus"], "Terminated");
}

#[test]
fn the_folder_holds_all_accounts_from_the_start() {
    let world = TestWorld::new(60);
    let kept = Arc::new(Kept::default());
    world.state().keep_lake(Arc::clone(&kept) as Arc<dyn ObjectSink>).unwrap();
    world.advance(Duration::ZERO);
    let state = world.state();
    for scope in &state.scopes {
        let place = format!(
            "AWS:InstanceInformation/accountid={}/region={}/",
            state.accounts[scope.account].id, scope.region
        );
        let managed = scope.machines.iter().filter(|at| state.is_managed(**at)).count();
        assert_eq!(kept.keys().iter().filter(|key| key.starts_with(&place)).count(), managed);
    }
    assert!(state.scope(HERE).ssm.syncs.names().is_empty());
}

const GATHERED: [&str; 6] = [
    "AWS:Application",
    "AWS:AWSComponent",
    "AWS:Network",
    "AWS:WindowsUpdate",
    "AWS:InstanceDetailedInformation",
    "AWS:Service",
];

/// What ListInventoryEntries shows of a node, in the form of the lake's rows.
fn shown(world: &TestWorld, kind: &str, id: &str) -> Vec<Value> {
    let input = json!({"InstanceId": id, "TypeName": kind});
    let mut rows = world.all("ListInventoryEntries", "Entries", &input);
    let page = world.ssm("ListInventoryEntries", &input).unwrap();
    for row in &mut rows {
        row["captureTime"] = page["CaptureTime"].clone();
        row["schemaVersion"] = page["SchemaVersion"].clone();
        row["resourceId"] = json!(id);
    }
    rows
}

fn send(world: &TestWorld, id: &str, document: &str, parameters: &Value) {
    let command = json!({
        "DocumentName": document, "InstanceIds": [id], "Parameters": parameters,
    });
    world.ssm("SendCommand", &command).unwrap();
    world.advance(Duration::from_hours(1));
}

/// A node that behaves well and lacks patches that are approved for it.
fn behind(world: &TestWorld, such: impl Fn(&State, MachineIx) -> bool) -> String {
    let found = world.ids(|state, at| {
        let machine = state.machine(at);
        state.answers(at)
            && machine.behavior == Behavior::Well
            // Nothing is gathered while it is patched.
            && state.next_gathering(at) > later(state.now, Duration::from_hours(3))
            && machine.aws.as_ref().is_some_and(|aws| {
                matches!(aws.agent, Agent::Online)
                    && aws.scan.as_ref().is_some_and(|it| it.verdict.counts.missing > 0)
            })
            && such(state, at)
    });
    found.into_iter().next().unwrap()
}

/// An agent gathers what is on its node every twelve hours, and when it is told to; a patch
/// operation gathers nothing.
#[test]
fn software_changes_in_the_inventory_and_in_the_lake_when_it_is_gathered() {
    let install = json!({"Operation": ["Install"]});
    for (kind, windows) in [("AWS:Application", false), ("AWS:WindowsUpdate", true)] {
        let (world, kept) = synced(200);
        let id = behind(&world, |state, at| state.system_of(at).is_windows() == windows);
        let before = kept.rows(kind, &id);
        assert_eq!(shown(&world, kind, &id), before);
        send(&world, &id, "AWS-RunPatchBaseline", &install);
        assert_eq!(kept.rows("AWS:PatchSummary", &id)[0]["OperationType"], "Install");
        for kind in ["AWS:PatchSummary", "AWS:ComplianceItem", "AWS:ComplianceSummary"] {
            assert_eq!(shown(&world, kind, &id), kept.rows(kind, &id), "{kind}");
        }
        assert_eq!(kept.rows(kind, &id), before, "nothing was gathered");
        assert_eq!(shown(&world, kind, &id), before);

        send(&world, &id, "AWS-GatherSoftwareInventory", &json!({}));
        let after = kept.rows(kind, &id);
        assert_ne!(after, before);
        for kind in GATHERED {
            assert_eq!(shown(&world, kind, &id), kept.rows(kind, &id), "{kind}");
        }
    }
}

#[test]
fn what_was_installed_is_gathered_within_twelve_hours() {
    let (world, kept) = synced(200);
    let id = behind(&world, |state, at| !state.system_of(at).is_windows());
    let without_times = |mut rows: Vec<Value>| {
        for row in &mut rows {
            row["captureTime"].take();
        }
        rows
    };
    let kind = "AWS:Application";
    let before = kept.rows(kind, &id);
    send(&world, &id, "AWS-RunPatchBaseline", &json!({"Operation": ["Install"]}));
    assert_eq!(kept.rows(kind, &id), before);
    world.advance(Duration::from_hours(12));
    let after = kept.rows(kind, &id);
    assert_ne!(without_times(after.clone()), without_times(before));
    assert_eq!(shown(&world, kind, &id), after);
}

#[test]
fn a_node_that_does_not_answer_when_it_is_due_is_gathered_from_the_next_time() {
    let (world, kept) = synced(200);
    let id = behind(&world, |state, at| !state.system_of(at).is_windows());
    let kind = "AWS:Application";
    let before = kept.rows(kind, &id);
    send(&world, &id, "AWS-RunPatchBaseline", &json!({"Operation": ["Install"]}));
    let at = world.at(&id);
    world.state().set_agent(at, Agent::ConnectionLost);
    world.advance(Duration::from_hours(30));
    assert_eq!(kept.rows(kind, &id), before);
    assert_eq!(shown(&world, kind, &id), before);
    world.state().set_agent(at, Agent::Online);
    world.advance(Duration::from_hours(12));
    let after = kept.rows(kind, &id);
    assert_ne!(after, before);
    assert_eq!(shown(&world, kind, &id), after);
}

#[test]
fn patches_that_a_test_sets_are_gathered_at_once() {
    let (world, kept) = synced(200);
    let install = json!({"Operation": ["Install"]});
    for is_patched in [false, true] {
        let id = behind(&world, |state, at| state.system_of(at).is_windows());
        if is_patched {
            send(&world, &id, "AWS-RunPatchBaseline", &install);
        }
        let spec =
            |id: &str, state: &str| PatchSpec::new(id.parse().unwrap(), state.parse().unwrap());
        let patches = [spec("KB1", "Missing"), spec("KB2", "Installed")];
        world.state().set_patches(&id, &patches).unwrap();
        let rows = kept.rows("AWS:WindowsUpdate", &id);
        assert_eq!(rows.iter().map(|row| &row["HotFixId"]).collect::<Vec<_>>(), ["KB2"]);
        for kind in GATHERED {
            assert_eq!(shown(&world, kind, &id), kept.rows(kind, &id), "{kind}");
        }
    }
}

#[test]
fn an_agent_tells_its_new_version_at_once() {
    let (world, kept) = synced(600);
    let id = world
        .ids(|state, at| {
            let agent = state.machine(at).aws.as_ref().map(|aws| aws.agent);
            state.answers(at) && state.is_permitted(at) && agent == Some(Agent::OldVersion)
        })
        .remove(0);
    let version = || kept.rows("AWS:InstanceInformation", &id)[0]["AgentVersion"].clone();
    let (before, component) = (version(), kept.rows("AWS:AWSComponent", &id));
    send(&world, &id, "AWS-UpdateSSMAgent", &json!({}));
    assert_ne!(version(), before);
    let known = shown(&world, "AWS:InstanceInformation", &id);
    assert_eq!(known[0]["AgentVersion"], version());
    // As a component it is software like any other.
    assert_eq!(kept.rows("AWS:AWSComponent", &id), component);
    assert_eq!(shown(&world, "AWS:AWSComponent", &id), component);
    send(&world, &id, "AWS-GatherSoftwareInventory", &json!({}));
    assert_eq!(kept.rows("AWS:AWSComponent", &id)[0]["Version"], version());
}

#[test]
fn tags_that_the_tagging_api_changes_are_written() {
    let cloud = TestCloud::new(100);
    let kept = Arc::new(Kept::default());
    let (arn, id) = {
        let mut state = cloud.state();
        state.keep_lake(Arc::clone(&kept) as Arc<dyn ObjectSink>).unwrap();
        while state.write_some(64) {}
        let registered = |it: &Resource<'_>| it.aws.registered.is_some();
        let node = resource::all(&state, HERE).find(registered).unwrap();
        (node.arn(&state), node.aws.id.to_string())
    };
    let call = |operation: &str, input: Value| {
        cloud.json(&format!("ResourceGroupsTaggingAPI_20170126.{operation}"), &input).unwrap()
    };
    let has = || kept.rows("AWS:Tag", &id).iter().any(|row| row["Key"] == "wave");
    call("TagResources", json!({"ResourceARNList": [arn], "Tags": {"wave": "1"}}));
    assert!(has());
    call("UntagResources", json!({"ResourceARNList": [arn], "TagKeys": ["wave"]}));
    assert!(!has());
}

/// Keeps what is not of one type.
#[derive(Debug)]
struct WithoutTags(Kept);

impl ObjectSink for WithoutTags {
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        if key.contains("AWS:Tag/") {
            return Err(Error::new(ErrorKind::Unexpected, "lake", "put", "no place for tags"));
        }
        self.0.put(bucket, key, bytes)
    }
}

#[test]
fn a_type_that_cannot_be_written_keeps_no_other_back() {
    let world = TestWorld::new(60);
    let sink = Arc::new(WithoutTags(Kept::default()));
    world.state().keep_lake(Arc::clone(&sink) as Arc<dyn ObjectSink>).unwrap();
    world.advance(Duration::ZERO);
    let id = world.ids(|state, at| state.is_managed(at) && is_scanned(state, at)).remove(0);
    assert!(sink.0.rows("AWS:Tag", &id).is_empty());
    for kind in ["AWS:InstanceInformation", "AWS:PatchSummary", "AWS:Application"] {
        assert!(!sink.0.rows(kind, &id).is_empty(), "{kind}");
    }
}

#[test]
fn each_cause_for_which_a_folder_cannot_be_written_is_told_once_with_its_place() {
    let complaints = Complaints::default();
    let full = |path: &str| {
        let error = Error::new(ErrorKind::Unexpected, "lake", "put", format!("{path} stays"));
        error.with_source(std::io::Error::from(std::io::ErrorKind::StorageFull))
    };
    let told = complaints.about(&full("/lake/a")).unwrap();
    assert!(told.contains("/lake/a stays: ") && told.ends_with("no storage space"), "{told}");
    assert_eq!(complaints.about(&full("/lake/b")), None);
    let other = Error::invalid("lake", "put", "/lake/.c cannot be a file");
    assert!(complaints.about(&other).unwrap().contains("/lake/.c"));
    assert_eq!(complaints.about(&other), None);
}
