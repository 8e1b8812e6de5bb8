//! Machines that are where they are to go, or on their way.

use serde_json::Value;

use super::{Cloud, HOUR};

#[test]
fn what_has_nothing_to_do_is_done_at_once_and_has_no_operation() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let send = |action: &str| {
        let reply = cloud.post(&format!("{id}/{action}"), &Value::Null);
        let followed = reply.headers.contains_key("azure-asyncoperation")
            || reply.headers.contains_key("location");
        assert_eq!(reply.body, Value::Null);
        cloud.advance(HOUR);
        (reply.status.as_u16(), followed)
    };
    let (accepted, done) = ((202, true), (200, false));
    assert_eq!([send("start"), send("start")], [done, done]);
    assert_eq!([send("powerOff"), send("powerOff")], [accepted, done]);
    assert_eq!([send("deallocate"), send("deallocate")], [accepted, done]);
    assert_eq!(send("powerOff"), done, "what has no resources has nothing to stop");
    assert_eq!([send("start"), send("start")], [accepted, done]);
    assert_eq!([send("restart"), send("restart")], [accepted, accepted]);
}

#[test]
fn a_second_start_ends_when_the_machine_runs_and_not_before() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    cloud.post(&format!("{id}/deallocate"), &Value::Null);
    cloud.advance(HOUR);
    let [_, second] = [(); 2].map(|()| cloud.post(&format!("{id}/start"), &Value::Null));
    assert_eq!(second.status, 202);
    let status = || cloud.get(&second.header("azure-asyncoperation")).body["status"].clone();
    assert_eq!(status(), "InProgress");
    cloud.advance(HOUR);
    assert_eq!(status(), "Succeeded");
}
