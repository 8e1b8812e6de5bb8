use serde_json::{Value, json};

use crate::cloud::testing::{TestWorld, read_only};

const CREATE: &str = "CreateResourceDataSync";

fn sync(name: &str) -> Value {
    let destination = json!({
        "BucketName": "lake",
        "Prefix": "of/all",
        "SyncFormat": "JsonSerDe",
        "Region": "us-east-1",
    });
    json!({"SyncName": name, "S3Destination": destination})
}

#[test]
fn there_are_five_syncs_at_most_and_none_twice() {
    let world = TestWorld::new(20);
    for n in 0..5 {
        world.ssm(CREATE, &sync(&format!("sync-{n}"))).unwrap();
    }
    let code = world.refused(CREATE, &sync("sync-5"));
    assert_eq!(code, "ResourceDataSyncCountExceededException");
    let code = world.refused(CREATE, &sync("sync-0"));
    assert_eq!(code, "ResourceDataSyncAlreadyExistsException");
    let list =
        |input: Value| world.all("ListResourceDataSync", "ResourceDataSyncItems", &input).len();
    assert_eq!(list(json!({"MaxResults": 2})), 5);
    assert_eq!(list(json!({"SyncType": "SyncFromSource"})), 0);
    let name = json!({"SyncName": "sync-0"});
    world.ssm("DeleteResourceDataSync", &name).unwrap();
    let code = world.refused("DeleteResourceDataSync", &name);
    assert_eq!(code, "ResourceDataSyncNotFoundException");
    world.ssm(CREATE, &sync("sync-5")).unwrap();
}

#[test]
fn a_sync_that_cannot_be_is_refused() {
    let world = read_only();
    let mut other = sync("a");
    other["S3Destination"]["DestinationDataSharing"] =
        json!({"DestinationDataSharingType": "Galaxy"});
    let mut source = sync("a");
    source["SyncType"] = json!("SyncFromSource");
    let mut nowhere = sync("a");
    nowhere["S3Destination"]["Region"] = json!("us-east");
    for input in [json!({"SyncName": "a"}), other, source, nowhere] {
        let code = world.refused(CREATE, &input);
        assert_eq!(code, "ResourceDataSyncInvalidConfigurationException");
    }
    let mut format = sync("a");
    format["S3Destination"]["SyncFormat"] = json!("Parquet");
    assert_eq!(world.refused(CREATE, &format), "ValidationException");
}
