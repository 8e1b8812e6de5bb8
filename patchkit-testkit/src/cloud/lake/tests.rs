use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use patchkit_core::{Error, Result};
use serde_json::{Value, json};

use crate::cloud::{
    shared::lock,
    sink::ObjectSink,
    testing::{HERE, TestWorld, is_hybrid, is_scanned},
    world::{
        State,
        machine::{AwsKind, Power},
    },
};

/// Keeps objects, and knows one bucket.
#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<String, Vec<u8>>>);

impl ObjectSink for Kept {
    fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<()> {
        if bucket != "lake" && !bucket.is_empty() {
            return Err(Error::not_found("s3", "put", format!("there is no bucket {bucket}")));
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
    let (world, kept) = with_sync(60);
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
fn a_sync_of_many_nodes_ends_piece_by_piece() {
    let (world, kept) = with_sync(1_500);
    let managed = world.ids(State::is_managed);
    assert!(managed.len() > super::PIECE);
    let written = |kept: &Kept| managed.iter().filter(|id| has(kept, id)).count();
    assert!(written(&kept) < managed.len());
    let status = || {
        let all = world.all("ListResourceDataSync", "ResourceDataSyncItems", &json!({}));
        all[0]["LastStatus"].clone()
    };
    assert_eq!(status(), "InProgress");
    world.advance(Duration::from_mins(1));
    assert_eq!(written(&kept), managed.len());
    assert_eq!(status(), "Successful");
}

fn has(kept: &Kept, id: &str) -> bool {
    !kept.rows("AWS:InstanceInformation", id).is_empty()
}

#[test]
fn a_bucket_that_is_not_there_refuses_the_sync() {
    let (world, _) = with_sync(20);
    let code = world.refused("CreateResourceDataSync", &sync("nowhere"));
    assert_eq!(code, "ResourceDataSyncInvalidConfigurationException");
    let all = world.all("ListResourceDataSync", "ResourceDataSyncItems", &json!({}));
    assert_eq!(all.len(), 1);
}

/// User guide, "Walkthrough: Use resource data sync to aggregate inventory data".
#[test]
fn only_the_information_of_a_node_follows_its_power() {
    let (world, kept) = with_sync(60);
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
    let (world, kept) = with_sync(100);
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
    let (world, kept) = with_sync(100);
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
