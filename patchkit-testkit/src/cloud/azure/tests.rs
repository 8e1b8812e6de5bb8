mod alike;
mod asked;
mod behaviors;
mod joined;
mod listed;
mod power;
mod queries;
mod rates;
mod settings;
mod tokens;
mod within;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::{answer, side};
use crate::cloud::{
    aws::ring::KeyRing,
    s3::SignatureChecks,
    shared::{Shared, lock},
    world::{
        Consistency, State,
        clock::{WorldClock, later},
        machine::{AzureKind, Behavior, MachineIx, Power},
        populate::Plan,
    },
};

const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";
const VERSION: &str = "2024-07-01";
const HOUR: Duration = Duration::from_hours(1);

/// A world of one subscription, asked without a socket.
struct Cloud(Shared);

impl Cloud {
    fn new(behavior: Behavior) -> Self {
        let plan = Plan {
            seed: 7,
            // A Monday.
            now: "2026-11-02T00:00:00Z".parse().unwrap(),
            accounts: Vec::new(),
            regions: Vec::new(),
            subscriptions: vec![(SUBSCRIPTION.into(), "production".into())],
            nodes: 120,
            patches: 400,
            behavior: Some(behavior),
            consistency: Consistency::default(),
        };
        let state = State::new(&plan);
        let shared = Shared::new(
            state,
            WorldClock::new(plan.now, 0.0),
            KeyRing::new(7, &[]),
            SignatureChecks::Off,
        );
        Self(shared)
    }

    fn well() -> Self {
        Self::new(Behavior::Well)
    }

    fn advance(&self, by: Duration) {
        lock(&self.0.clock).advance(by);
    }

    fn with(&self, authorization: &str, method: Method, path: &str, body: &Value) -> Reply {
        let version = if path.contains("api-version") { "" } else { "?api-version=" };
        let version = if version.is_empty() { "" } else { &format!("{version}{VERSION}") };
        let uri = path.strip_prefix("http://sim").unwrap_or(path);
        let mut request = Request::builder().method(method).uri(format!("{uri}{version}"));
        request = request.header("host", "sim");
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let response = answer(&self.0, &request.body(body).unwrap()).response;
        let (head, body) = response.into_parts();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).expect("what is not empty is JSON")
        };
        Reply { status: head.status, headers: head.headers, body }
    }

    fn send(&self, method: Method, path: &str, body: &Value) -> Reply {
        self.with("Bearer any", method, path, body)
    }

    fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &Value::Null)
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, body)
    }

    /// The ids of running VMs that lack patches, whose agents answer.
    fn vms(&self) -> Vec<String> {
        let state = self.0.settled();
        let all = &state.subscriptions[0].machines;
        let fit = all.iter().copied().filter(|at| {
            matches!(side(&state, *at).unwrap().kind, AzureKind::Vm)
                && state.answers_azure(*at)
                && lacks(&state, *at) > 4
        });
        fit.map(|at| state.vm_resource_id(side(&state, at).unwrap())).collect()
    }

    fn at(&self, id: &str) -> MachineIx {
        self.0.settled().azure.by_id[&*id.to_lowercase()]
    }

    fn lacks(&self, id: &str) -> usize {
        let at = self.at(id);
        lacks(&self.0.settled(), at)
    }

    /// Starts an installation; the address of its status.
    fn install(&self, id: &str, body: &Value) -> String {
        let reply = self.post(&format!("{id}/installPatches"), body);
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
        reply.header("azure-asyncoperation")
    }
}

fn lacks(state: &State, at: MachineIx) -> usize {
    let patches = &state.machine(at).patches;
    patches.relevant.difference(&patches.installed).count()
}

struct Reply {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

fn order(maximum: &str) -> Value {
    json!({"maximumDuration": maximum, "rebootSetting": "IfRequired"})
}

#[test]
fn an_installation_that_hangs_fails_some_time_after_its_window() {
    let cloud = Cloud::new(Behavior::Hangs);
    let id = cloud.vms().remove(0);
    let status = cloud.install(&id, &order("PT1H"));
    cloud.advance(HOUR);
    assert_eq!(cloud.get(&status).body["status"], "InProgress");
    assert_eq!(cloud.post(&format!("{id}/assessPatches"), &Value::Null).code(), "Conflict");
    cloud.advance(HOUR);
    let ended = cloud.get(&status).body;
    assert_eq!(ended["status"], "Failed");
    assert_eq!(ended["error"]["code"], "VMExtensionProvisioningTimeout");
    let view = cloud.get(&format!("{id}/instanceView")).body;
    assert_eq!(view["patchStatus"]["lastPatchInstallationSummary"]["status"], "Failed");
    // What it held is free again.
    assert_eq!(cloud.post(&format!("{id}/assessPatches"), &Value::Null).status, 202);
}

#[test]
fn a_machine_that_dies_in_the_middle_keeps_half_and_reports_no_more() {
    let cloud = Cloud::new(Behavior::DiesInTheMiddle);
    let id = cloud.vms().remove(0);
    let before = cloud.lacks(&id);
    let status = cloud.install(&id, &order("PT1H"));
    cloud.advance(HOUR);
    let ended = cloud.get(&status).body;
    assert_eq!(ended["error"]["code"], "VMAgentStatusCommunicationError");
    assert_eq!(cloud.lacks(&id), before / 2);
    // It is accepted, and no agent takes it up.
    let reply = cloud.post(&format!("{id}/assessPatches"), &Value::Null);
    cloud.advance(HOUR);
    assert_eq!(cloud.get(&reply.header("azure-asyncoperation")).body["status"], "Failed");
}

#[test]
fn an_assessment_is_in_progress_until_it_ends_and_failed_where_no_agent_answers() {
    let summary = |cloud: &Cloud, id: &str| {
        let view = cloud.get(&format!("{id}/instanceView")).body;
        view["patchStatus"]["availablePatchSummary"].clone()
    };
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    cloud.post(&format!("{id}/assessPatches"), &Value::Null);
    let running = summary(&cloud, &id);
    assert_eq!(running["status"], "InProgress");
    cloud.advance(HOUR);
    let ended = summary(&cloud, &id);
    assert_eq!(ended["status"], "Succeeded");
    assert_eq!(ended["assessmentActivityId"], running["assessmentActivityId"]);

    cloud.post(&format!("{id}/assessPatches"), &Value::Null);
    cloud.post(&format!("{id}/deallocate"), &Value::Null);
    cloud.advance(HOUR);
    assert_eq!(summary(&cloud, &id)["status"], "Failed");
}

#[test]
fn a_machine_turned_off_in_the_middle_fails_its_installation() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let status = cloud.install(&id, &order("PT1H"));
    cloud.post(&format!("{id}/deallocate"), &Value::Null);
    cloud.advance(HOUR);
    assert_eq!(cloud.get(&status).body["status"], "Failed");
}

#[test]
fn what_does_not_fit_into_the_window_is_pending_and_the_result_says_so() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let before = cloud.lacks(&id);
    // A minute to look, and sixteen seconds for two patches.
    let status = cloud.install(&id, &order("PT76S"));
    cloud.advance(HOUR);
    let output = cloud.get(&status).body["properties"]["output"].clone();
    assert_eq!(output["status"], "CompletedWithWarnings");
    assert_eq!(output["maintenanceWindowExceeded"], true);
    assert_eq!(output["installedPatchCount"], 2);
    assert_eq!(output["pendingPatchCount"], before - 2);
    assert_eq!(cloud.lacks(&id), before - 2);
}

#[test]
fn a_failed_patch_is_a_warning_and_is_named_in_the_error() {
    let cloud = Cloud::new(Behavior::OneFails);
    let id = cloud.vms().remove(0);
    let status = cloud.install(&id, &order("PT2H"));
    cloud.advance(2 * HOUR);
    let output = cloud.get(&status).body["properties"]["output"].clone();
    assert_eq!(output["status"], "CompletedWithWarnings");
    assert_eq!(output["failedPatchCount"], 1);
    assert_eq!(output["error"]["code"], "1");
    assert_eq!(output["error"]["details"].as_array().map(Vec::len), Some(1));
}

#[test]
fn updates_that_reboot_are_left_out_where_they_are_not_wanted() {
    let cloud = Cloud::well();
    let is_windows = |id: &String| {
        let at = cloud.at(id);
        cloud.0.settled().system_of(at).is_windows()
    };
    let id = cloud.vms().into_iter().find(is_windows).unwrap();
    let body = json!({
        "maximumDuration": "PT2H",
        "rebootSetting": "IfRequired",
        "windowsParameters": {"excludeKbsRequiringReboot": true},
    });
    let status = cloud.install(&id, &body);
    cloud.advance(2 * HOUR);
    let output = cloud.get(&status).body["properties"]["output"].clone();
    assert_eq!(output["rebootStatus"], "NotNeeded");
    assert!(output["excludedPatchCount"].as_u64() > Some(0));
    assert!(output["installedPatchCount"].as_u64() > Some(0));
}

#[test]
fn an_operation_is_forgotten_a_day_after_its_end() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let reply = cloud.post(&format!("{id}/assessPatches"), &Value::Null);
    let status = reply.header("azure-asyncoperation");
    cloud.advance(23 * HOUR);
    assert_eq!(cloud.get(&status).body["status"], "Succeeded");
    cloud.advance(2 * HOUR);
    assert_eq!(cloud.get(&status).status, StatusCode::NOT_FOUND);
}

#[test]
fn an_operation_that_another_one_took_over_is_canceled() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let restart = cloud.post(&format!("{id}/restart"), &Value::Null);
    cloud.post(&format!("{id}/powerOff"), &Value::Null);
    cloud.advance(HOUR);
    let body = cloud.get(&restart.header("azure-asyncoperation")).body;
    assert_eq!(
        (&body["status"], &body["error"]["code"]),
        (&json!("Canceled"), &json!("OperationPreempted"))
    );
    let at = cloud.at(&id);
    assert_eq!(cloud.0.settled().machine(at).power, Power::Stopped);
}

#[test]
fn the_platform_assesses_each_day_where_it_is_told_to() {
    let cloud = Cloud::well();
    cloud.advance(25 * HOUR);
    let state = cloud.0.settled();
    let day_ago = later(state.now, Duration::ZERO) - jiff::SignedDuration::from_hours(24);
    let (mut daily, mut never) = (0, 0);
    for at in &state.subscriptions[0].machines {
        let azure = side(&state, *at).unwrap();
        let told = *azure.patching.assessment_mode == *"AutomaticByPlatform";
        let fit = state.answers_azure(*at) && !matches!(azure.kind, AzureKind::Uniform { .. });
        let fresh = azure.assessment.as_ref().is_some_and(|it| it.ended >= day_ago);
        assert_eq!(fresh, told && fit, "{}", azure.name);
        if fresh { daily += 1 } else { never += 1 }
    }
    assert!(daily > 0 && never > 0);
}

/// Puts a configuration that runs on Saturdays at two.
fn schedule(cloud: &Cloud, group: &str, every: &str) -> String {
    let id = format!("{group}/providers/Microsoft.Maintenance/maintenanceConfigurations/weekly");
    let body = json!({"location": "westeurope", "properties": {
        "maintenanceScope": "InGuestPatch",
        "extensionProperties": {"InGuestPatchMode": "User"},
        "installPatches": {"rebootSetting": "IfRequired"},
        "maintenanceWindow": {
            "startDateTime": "2026-11-01 02:00",
            "duration": "02:00",
            "timeZone": "UTC",
            "recurEvery": every,
        },
    }});
    let reply = cloud.send(Method::PUT, &id, &body);
    assert!(reply.status.is_success(), "{}", reply.body);
    id
}

fn assign(cloud: &Cloud, scope: &str, configuration: &str, filter: &Value) {
    let path = format!("{scope}/providers/Microsoft.Maintenance/configurationAssignments/weekly");
    let body = json!({"properties": {
        "maintenanceConfigurationId": configuration, "filter": filter,
    }});
    assert_eq!(cloud.send(Method::PUT, &path, &body).status, 201);
}

#[test]
fn an_assignment_of_no_configuration_is_refused_as_a_wrong_request() {
    let cloud = Cloud::well();
    let path = "providers/Microsoft.Maintenance/configurationAssignments/weekly";
    let path = format!("{}/{path}", group_of(&cloud.vms()[0]));
    for properties in [json!({}), json!({"maintenanceConfigurationId": ""})] {
        let reply = cloud.send(Method::PUT, &path, &json!({"properties": properties}));
        assert_eq!((reply.status.as_u16(), reply.code()), (400, "InvalidParameter"));
        let target = "properties.maintenanceConfigurationId";
        assert_eq!(reply.body["error"]["target"], target, "{}", reply.body);
    }
}

fn group_of(id: &str) -> String {
    id.split('/').take(5).collect::<Vec<_>>().join("/")
}

#[test]
fn a_schedule_patches_only_machines_whose_owner_manages_the_schedules() {
    let cloud = Cloud::well();
    let vms = cloud.vms();
    let managed = |id: &&String| {
        let at = cloud.at(id);
        side(&cloud.0.settled(), at).unwrap().patching.bypass == Some(true)
    };
    let ours = vms.iter().find(managed).unwrap();
    let other = vms.iter().find(|id| !managed(id)).unwrap();
    let configuration = schedule(&cloud, &group_of(ours), "Week Saturday");
    assign(&cloud, ours, &configuration, &Value::Null);
    assign(&cloud, other, &configuration, &Value::Null);
    let before = cloud.lacks(other);
    // Monday to Saturday.
    cloud.advance(5 * 24 * HOUR + 4 * HOUR);
    assert_eq!((cloud.lacks(ours), cloud.lacks(other)), (0, before));
    let path =
        format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Maintenance/applyUpdates");
    let runs = cloud.get(&path).body["value"].clone();
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "nothing says why the other was left out");
    assert_eq!(runs[0]["properties"]["status"], "Completed");
    assert_eq!(runs[0]["properties"]["resourceId"], json!(ours));
}

#[test]
fn a_dynamic_scope_means_the_machines_that_have_the_tag_when_it_runs() {
    let cloud = Cloud::well();
    let vms = cloud.vms();
    let managed = |id: &&String| {
        let at = cloud.at(id);
        side(&cloud.0.settled(), at).unwrap().patching.bypass == Some(true)
    };
    let [early, late] = [0, 1].map(|n| vms.iter().filter(managed).nth(n).unwrap());
    let configuration = schedule(&cloud, &group_of(early), "Week Saturday");
    let filter = json!({"tagSettings": {"filterOperator": "All", "tags": {"wave": ["one"]}}});
    assign(&cloud, &format!("/subscriptions/{SUBSCRIPTION}"), &configuration, &filter);
    let tag = |id: &str, operation: &str| {
        let path = format!("{id}/providers/Microsoft.Resources/tags/default");
        let body = json!({"operation": operation, "properties": {"tags": {"Wave": "one"}}});
        assert_eq!(cloud.send(Method::PATCH, &path, &body).status, StatusCode::OK);
    };
    tag(early, "Merge");
    tag(early, "Delete");
    tag(late, "Merge");
    let before = cloud.lacks(early);
    cloud.advance(5 * 24 * HOUR + 4 * HOUR);
    assert_eq!((cloud.lacks(early), cloud.lacks(late)), (before, 0));
}

#[test]
fn a_run_that_was_planned_before_a_change_does_not_happen() {
    let cloud = Cloud::well();
    let vms = cloud.vms();
    let managed = |id: &&String| {
        let at = cloud.at(id);
        side(&cloud.0.settled(), at).unwrap().patching.bypass == Some(true)
    };
    let id = vms.iter().find(managed).unwrap();
    let configuration = schedule(&cloud, &group_of(id), "Week Saturday");
    assign(&cloud, id, &configuration, &Value::Null);
    schedule(&cloud, &group_of(id), "Month day28");
    let before = cloud.lacks(id);
    cloud.advance(6 * 24 * HOUR);
    assert_eq!(cloud.lacks(id), before);
    cloud.advance(21 * 24 * HOUR);
    assert_eq!(cloud.lacks(id), 0);
}

#[test]
fn a_bearer_is_looked_at_only_where_that_is_asked_for() {
    let mut cloud = Cloud::well();
    let path = format!("/subscriptions/{SUBSCRIPTION}");
    let ask = |cloud: &Cloud, token: &str| cloud.with(token, Method::GET, &path, &Value::Null);
    let missing = ask(&cloud, "");
    assert_eq!((missing.status.as_u16(), missing.code()), (401, "AuthenticationFailed"));
    assert!(missing.header("www-authenticate").starts_with("Bearer authorization_uri="));
    assert_eq!(ask(&cloud, "Bearer any").status, StatusCode::OK);
    cloud.0.bearer.checked = true;
    assert_eq!(ask(&cloud, "Bearer any").code(), "InvalidAuthenticationToken");
    let form = "grant_type=client_credentials&client_id=app&client_secret=s\
                &scope=https%3A%2F%2Fmanagement.azure.com%2F.default";
    let request = Request::post("/tenant/oauth2/v2.0/token").body(Bytes::from(form)).unwrap();
    let given = answer(&cloud.0, &request).response;
    let body: Value = serde_json::from_slice(given.body()).unwrap();
    let token = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert_eq!(ask(&cloud, &token).status, StatusCode::OK);
    cloud.advance(400 * 24 * HOUR);
    assert_eq!(ask(&cloud, &token).code(), "ExpiredAuthenticationToken");
}

#[test]
fn the_log_names_operation_machine_subscription_and_whether_it_acted() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let outcome = |body: &Value| {
        let uri = format!("{}/INSTALLPATCHES?api-version={VERSION}", id.to_uppercase());
        let request = Request::post(uri).header("authorization", "Bearer any");
        answer(&cloud.0, &request.body(Bytes::from(body.to_string())).unwrap());
        cloud.0.calls().iter().last().cloned().unwrap()
    };
    let refused = outcome(&json!({}));
    assert_eq!((refused.acted, refused.error.as_deref()), (false, Some("InvalidParameter")));
    let acted = outcome(&order("PT1H"));
    assert_eq!(acted.operation, "VirtualMachines_InstallPatches");
    assert_eq!((acted.acted, acted.status), (true, Some(202)));
    assert_eq!((acted.ids, acted.scope), (vec![id.clone()], SUBSCRIPTION.to_owned()));
    assert_eq!((&*acted.service, acted.caller.as_str()), ("arm", "bearer"));
}

#[test]
fn whatever_is_asked_the_answer_is_an_error_of_arm() {
    let cloud = Cloud::well();
    let id = cloud.vms().remove(0);
    let words = [
        "",
        "providers",
        "%00",
        "..",
        "subscriptions",
        SUBSCRIPTION,
        "Microsoft.Compute",
        "microsoft.maintenance",
        "configurationAssignments",
        "tags",
        "default",
        "resourceGroups",
        "virtualMachines",
        "%ff%fe",
        "<html>%22",
    ];
    for first in words {
        for second in words {
            for tail in
                ["", "/providers", "/providers/Microsoft.Maintenance/configurationAssignments"]
            {
                for path in
                    [format!("/{first}/{second}{tail}"), format!("{id}/{first}/{second}{tail}")]
                {
                    let Ok(uri) = path.parse::<http::Uri>() else { continue };
                    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
                        let reply = cloud.send(method, uri.path(), &json!({"properties": 3}));
                        if reply.status.is_client_error() {
                            assert!(!reply.code().is_empty(), "{path}");
                        }
                        assert!(!reply.status.is_server_error(), "{path}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_seed_is_one_world() {
    let list = |cloud: &Cloud| {
        cloud.get(&format!(
            "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
        ))
    };
    assert_eq!(list(&Cloud::well()).body, list(&Cloud::well()).body);
}

#[test]
fn a_page_token_that_was_not_given_out_is_refused() {
    let cloud = Cloud::well();
    let path = format!(
        "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines\
         ?api-version={VERSION}&$skiptoken=nonsense"
    );
    let reply = cloud.get(&path);
    assert_eq!(
        (reply.status.as_u16(), &reply.body["error"]["target"]),
        (400, &json!("$skiptoken"))
    );
}

#[test]
fn resource_graph_keeps_assessments_for_seven_days() {
    let cloud = Cloud::well();
    let count = || {
        let body = json!({"query": "patchassessmentresources | where type !has 'softwarepatches' | count"});
        let reply = cloud.post("/providers/Microsoft.ResourceGraph/resources", &body);
        reply.body["data"][0]["Count"].as_u64().unwrap()
    };
    assert!(count() > 0);
    // No machine is assessed while it is off.
    let all = cloud.0.settled().subscriptions[0].machines.clone();
    for at in all {
        cloud.0.settled().machine_mut(at).power = Power::Deallocated;
    }
    cloud.advance(8 * 24 * HOUR);
    assert_eq!(count(), 0);
}
