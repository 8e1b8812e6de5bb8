//! Machines that do not do as they should, patched by the platform until it is over.

use serde_json::{Value, json};

use super::{Cloud, HOUR, order};
use crate::cloud::world::machine::{Agent, Behavior};

/// What an installation came to, after the longest that it can take.
fn installed(cloud: &Cloud, id: &str) -> Value {
    let status = cloud.install(id, &order("PT2H"));
    cloud.advance(3 * HOUR);
    cloud.get(&status).body
}

/// What an assessment came to.
fn assessed(cloud: &Cloud, id: &str) -> Value {
    let reply = cloud.post(&format!("{id}/assessPatches"), &Value::Null);
    assert_eq!(reply.status, 202, "{}", reply.body);
    cloud.advance(HOUR);
    cloud.get(&reply.header("azure-asyncoperation")).body
}

/// How many patches an assessment found.
fn found(assessment: &Value) -> u64 {
    let output = &assessment["properties"]["output"];
    let count = |key: &str| output[key].as_u64().unwrap();
    count("criticalAndSecurityPatchCount") + count("otherPatchCount")
}

/// The properties of the rows of installations, as Resource Graph has them.
fn rows(cloud: &Cloud, what: &str) -> Value {
    let query =
        format!("patchinstallationresources | where type !has 'softwarepatches' | project {what}");
    let body = json!({"query": query});
    cloud.post("/providers/Microsoft.ResourceGraph/resources", &body).body["data"].clone()
}

#[test]
fn a_run_that_failed_carries_its_error_wherever_it_is_told() {
    for behavior in [Behavior::Hangs, Behavior::DiesInTheMiddle] {
        let cloud = Cloud::new(behavior);
        let id = cloud.vms().remove(0);
        let error = installed(&cloud, &id)["error"].clone();
        let carried = json!({
            "code": "1",
            "message": "1 error/s reported.",
            "details": [{"code": error["code"], "message": error["message"]}],
        });
        let view = cloud.get(&format!("{id}/instanceView")).body;
        let told = &view["patchStatus"]["lastPatchInstallationSummary"];
        assert_eq!((&told["status"], &told["error"]), (&"Failed".into(), &carried));
        let properties = &rows(&cloud, "properties")[0]["properties"];
        assert_eq!(properties["errorDetails"], carried, "{properties}");
        let member = &rows(&cloud, "e = properties.errorDetails")[0]["e"];
        assert_eq!(member, &carried);
    }
}

#[test]
fn an_assessment_that_failed_carries_its_error() {
    let cloud = Cloud::new(Behavior::Well);
    let id = cloud.vms().remove(0);
    let at = cloud.at(&id);
    if let Some(azure) = &mut cloud.0.settled().machine_mut(at).azure {
        azure.agent = Agent::ConnectionLost;
    }
    let error = assessed(&cloud, &id)["error"].clone();
    assert_eq!(error["code"], "VMAgentStatusCommunicationError");
    let view = cloud.get(&format!("{id}/instanceView")).body;
    let told = &view["patchStatus"]["availablePatchSummary"];
    assert_eq!((&told["status"], &told["error"]["code"]), (&"Failed".into(), &"1".into()));
    assert_eq!(told["error"]["details"][0]["code"], error["code"]);
    assert_eq!(told["error"]["details"][0]["message"], error["message"]);
}

#[test]
fn a_machine_that_reboots_forever_times_out_and_answers_no_more() {
    let cloud = Cloud::new(Behavior::RebootsForever);
    let id = cloud.vms().remove(0);
    let ended = installed(&cloud, &id);
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&"Failed".into(), &"VMExtensionProvisioningTimeout".into())
    );
    let view = cloud.get(&format!("{id}/instanceView")).body;
    assert_eq!(view["patchStatus"]["lastPatchInstallationSummary"]["status"], "Failed");
    assert_eq!(view["vmAgent"]["statuses"][0]["displayStatus"], "Not Ready");
    assert_eq!(assessed(&cloud, &id)["error"]["code"], "VMAgentStatusCommunicationError");
}

#[test]
fn a_machine_that_needs_two_rounds_says_so_and_lacks_nothing_after_the_second() {
    let cloud = Cloud::new(Behavior::TwoRounds);
    let id = cloud.vms().remove(0);
    let before = cloud.lacks(&id);
    let first = installed(&cloud, &id);
    assert_eq!(first["status"], "Succeeded");
    let output = &first["properties"]["output"];
    assert_eq!(output["status"], "CompletedWithWarnings");
    assert_eq!(output["installedPatchCount"], before.div_ceil(2));
    assert_eq!(output["failedPatchCount"], before / 2);
    assert_eq!(found(&assessed(&cloud, &id)), u64::try_from(before / 2).unwrap());
    let second = installed(&cloud, &id);
    assert_eq!(second["properties"]["output"]["status"], "Succeeded");
    assert_eq!(second["properties"]["output"]["installedPatchCount"], before / 2);
    assert_eq!(found(&assessed(&cloud, &id)), 0);
}

#[test]
fn an_agent_that_is_late_after_a_boot_makes_an_installation_long_and_nothing_else() {
    let cloud = Cloud::well();
    let reboots = |id: &str| {
        let status = cloud.install(id, &order("PT2H"));
        let mut minutes = 0;
        while cloud.get(&status).body["status"] == "InProgress" {
            cloud.advance(HOUR / 60);
            minutes += 1;
            assert!(minutes < 120, "it never ends");
        }
        (cloud.get(&status).body, minutes)
    };
    let vms = cloud.vms();
    let (prompt, late) = (&vms[0], &vms[1]);
    for (id, agent) in [(prompt, Agent::Online), (late, Agent::LateAfterBoot)] {
        let at = cloud.at(id);
        cloud.0.settled().set_agent(at, agent);
    }
    let (_, usual) = reboots(prompt);
    let (ended, minutes) = reboots(late);
    assert_eq!(ended["properties"]["output"]["status"], "Succeeded");
    assert_eq!(ended["properties"]["output"]["rebootStatus"], "Completed");
    assert!(minutes >= 10 && minutes > usual, "{minutes} and {usual} minutes");
    let assessment = assessed(&cloud, late);
    assert_eq!((&assessment["status"], found(&assessment)), (&"Succeeded".into(), 0));
}
