//! Resource Graph over the world: pages, pictures, and what goes wrong on purpose.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::graph::{self, Options, PageRequest, Pager, Query, Rows},
    Cloud, HOUR, Reply, SUBSCRIPTION,
};
use crate::cloud::{
    Allowance, Fault, FaultKind,
    azure::{
        rows::{Hidden, World},
        vm,
    },
    shared::lock,
    world::machine::{Behavior, SubIx},
};

const PATH: &str = "/providers/Microsoft.ResourceGraph/resources";
const VMS: &str = "resources | where type =~ 'microsoft.compute/virtualmachines' | project id, \
                   power = properties.extended.instanceView.powerState.code, tags";

fn ask(cloud: &Cloud, query: &str, options: impl Into<Value>) -> Reply {
    cloud.post(PATH, &json!({"query": query, "options": options.into()}))
}

/// The rows of all pages from one on, with how many pages there were.
fn follow(cloud: &Cloud, query: &str, first: Reply) -> (Vec<Value>, usize) {
    let (mut rows, mut reply, mut pages) = (Vec::new(), first, 1);
    loop {
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["count"], reply.body["data"].as_array().unwrap().len());
        rows.extend(reply.body["data"].as_array().unwrap().iter().cloned());
        let Some(token) = reply.body["$skipToken"].as_str() else { return (rows, pages) };
        reply = ask(cloud, query, json!({"$top": 7, "$skipToken": token}));
        pages += 1;
    }
}

fn all(cloud: &Cloud, query: &str) -> Vec<Value> {
    follow(cloud, query, ask(cloud, query, json!({"$top": 7}))).0
}

fn fail(cloud: &Cloud, kind: FaultKind) {
    lock(&cloud.0.faults).add(Fault::new(kind).times(1)).unwrap();
}

/// How often the faults met a request.
fn met(cloud: &Cloud) -> Vec<u64> {
    lock(&cloud.0.faults).status().iter().map(|it| it.met).collect()
}

fn world(cloud: &Cloud) -> World {
    World::of(&mut cloud.0.settled(), vec![SubIx(0)], Hidden::new())
}

/// Installs on a few machines, so that every table has rows.
fn patched() -> Cloud {
    let cloud = Cloud::new(Behavior::OneFails);
    for id in cloud.vms().iter().take(4) {
        cloud.install(id, &super::order("PT2H"));
    }
    cloud.advance(HOUR);
    cloud
}

#[test]
fn pages_made_one_by_one_are_the_answer_made_at_once() {
    let cloud = patched();
    let queries = [
        "resources",
        "resources | project id, name, properties.osName, properties.hardwareProfile.vmSize",
        "resources | where type =~ 'microsoft.hybridcompute/machines' | project id, properties",
        "resources | where type == 'microsoft.compute/virtualmachines' | where resourceGroup \
         endswith '0' or location contains 'west' | extend a = tags, b = strlen(name) | project-away tags",
        "resources | extend power = properties.extended.instanceView.powerState.displayStatus \
         | where subscriptionId != '' | project power, id",
        "resources | where type !contains 'virtual' | project-keep id, kind, type",
        "resources | where location == 'nowhere' | project id",
        "resources | project id | take 11",
        "resources | where name contains '1' | project id, name",
        "resources | where properties.osProfile.computerName contains '1' | order by name desc",
        "patchassessmentresources | project id, type, properties.status, properties",
        "patchassessmentresources | where type =~ \
         'microsoft.compute/virtualmachines/patchassessmentresults' | project id, \
         counts = properties.availablePatchCountByClassification",
        "patchassessmentresources | where type endswith 'softwarepatches' | project id, properties",
        "patchinstallationresources | project id, name, location, properties",
        "patchinstallationresources | where type endswith 'softwarepatches' | project id",
        "patchinstallationresources | where type endswith 'results' | project id, properties.status",
        "resourcecontainers | project id, tags",
        "maintenanceresources",
        "resources | where tags.Owner != '' or name endswith '3' | project id, properties, tags",
        "resources | extend size = tostring(properties.hardwareProfile.vmSize) | where size \
         contains 'D' | project id, size, properties | order by size asc, id desc",
        "resources | project id, location | order by location asc",
        "resources | order by location desc | take 10 | project id, properties",
        "resources | top 9 by name asc | project name, id, properties",
        "resources | sort by name asc | where name !endswith '1' | extend both = strcat(name, id) \
         | project both, id",
        "resources | project id, first = properties, second = properties, properties.vmId",
        "resources | extend kept = properties | project id, kept | where isnotempty(kept)",
        "resources | parse id with * '/resourceGroups/' group '/' * | where group has '1' \
         | project id, group, name",
        "patchassessmentresources | where properties.rebootPending == true | project id, properties",
        "resources | where type =~ 'microsoft.compute/virtualmachines' or (type =~ \
         'microsoft.compute/virtualmachinescalesets' and tostring(properties.orchestrationMode) !~ \
         'Flexible') | project id, zone = zones[0], properties.networkProfile.networkInterfaces[0].id, \
         sku | order by id asc",
        "resources | where type endswith 'machines' or name == 'a' | project id | order by id desc",
        "resources | extend zones = tags | where type == 'x' or isnotempty(zones) | project id, zones",
        "resources | where not(type =~ 'microsoft.compute/virtualmachines' and location != 'x') \
         | project id, name",
        "patchassessmentresources | where properties.classifications[0] =~ 'security' \
         | project id, properties | order by id asc",
        "patchinstallationresources | where properties.status =~ 'failed' | project id",
    ];
    for text in queries {
        let world = world(&cloud);
        let now = world.now();
        let query = Query::parse(text).unwrap();
        let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
        let whole = query.run(rows.as_ref(), now).unwrap();
        let mut pager = Pager::new(7);
        let mut options = Options::from_json(&json!({"$top": 7, "resultFormat": "table"})).unwrap();
        let mut made: Vec<Value> = Vec::new();
        loop {
            let request = PageRequest { query: text, scope: "", options: &options };
            let page = pager.resume(request, now).unwrap().unwrap_or_else(|| {
                let query = Query::parse(text).unwrap();
                let answer = query.open(&rows, now, graph::Format::Table).unwrap();
                pager.open(request, answer, None, now)
            });
            let body: Value = serde_json::from_slice(&page.body().unwrap()).unwrap();
            assert_eq!(body["totalRecords"], whole.rows.len(), "{text}");
            made.extend(body["data"]["rows"].as_array().unwrap().iter().cloned());
            options.skip_token = page.skip_token().map(ToOwned::to_owned);
            if options.skip_token.is_none() {
                break;
            }
        }
        let whole: Vec<Value> = whole.rows.into_iter().map(Value::from).collect();
        assert_eq!(made, whole, "{text}");
    }
}

#[test]
fn a_page_is_made_when_it_is_asked_for_where_each_row_is_made_of_one() {
    let cloud = patched();
    let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world(&cloud));
    let is_stream = |text: &str| {
        let query = Query::parse(text).unwrap();
        let answer = query.open(&rows, cloud.0.now(), graph::Format::Table).unwrap();
        answer.is_stream()
    };
    assert!(is_stream(VMS));
    assert!(is_stream("resources | extend a = 1 | where location == 'x' | take 5"));
    assert!(is_stream("patchassessmentresources | where type has 'softwarepatches'"));
    assert!(is_stream("patchinstallationresources"));
    assert!(is_stream("resources | where name == 'a'"));
    assert!(is_stream("resources | extend location = name | where location == 'x'"));
    assert!(is_stream("resources | project type | where type == 'x' | order by type asc"));
    for text in [
        "resources | summarize count() by type",
        "resources | take 5 | where location == 'x'",
        "resources | take 5 | order by id asc",
        "resources | order by id asc | order by name asc",
        "resources | where id =~ '/a'",
        "resources | mv-expand zones",
        "resources | union patchassessmentresources",
    ] {
        assert!(!is_stream(text), "{text}");
    }
}

#[test]
fn what_is_kept_of_a_machine_is_what_it_would_be_made_anew() {
    let cloud = patched();
    let same = |what: &str| {
        for table in ["resources", "patchassessmentresources"] {
            let shown = all(&cloud, &format!("{table} | project id, properties"));
            let looked_at = format!(
                "{table} | extend properties = parse_json(tostring(properties)) \
                 | project id, properties"
            );
            assert!(shown == all(&cloud, &looked_at), "{table} {what}");
        }
        all(&cloud, "resources | project id, properties")
    };
    let before = same("at first");
    let vms = cloud.vms();
    for id in &vms {
        assert_eq!(cloud.post(&format!("{id}/deallocate"), &Value::Null).status, 202);
    }
    let updating = same("on the way down");
    cloud.advance(HOUR);
    let off = same("switched off");
    for id in &vms {
        assert_eq!(cloud.post(&format!("{id}/start"), &Value::Null).status, 202);
    }
    let starting = same("on the way up");
    cloud.advance(HOUR);
    let on = same("switched on");
    for (what, [one, other]) in [
        ("an operation", [&before, &updating]),
        ("its end", [&updating, &off]),
        ("the next one", [&off, &starting]),
        ("an agent that answers", [&starting, &on]),
    ] {
        assert!(one != other, "{what} shows");
    }
    cloud.install(&vms[0], &super::order("PT2H"));
    cloud.advance(HOUR);
    same("patched");
}

#[test]
fn the_pages_of_an_answer_show_the_world_of_its_first_page() {
    let cloud = Cloud::well();
    let before = all(&cloud, VMS);
    assert!(before.len() > 20);
    let first = ask(&cloud, VMS, json!({"$top": 7}));
    let vms = cloud.vms();
    assert!(!vms.is_empty());
    for id in &vms {
        assert_eq!(cloud.post(&format!("{id}/powerOff"), &Value::Null).status, 202);
        let tags = json!({"operation": "Merge", "properties": {"tags": {"new": "yes"}}});
        let path = format!("{id}/providers/Microsoft.Resources/tags/default");
        assert_eq!(cloud.send(Method::PATCH, &path, &tags).status, 200);
    }
    cloud.advance(Duration::from_mins(5));
    assert_eq!(follow(&cloud, VMS, first).0, before);
    let after = all(&cloud, VMS);
    assert_eq!(after.len(), before.len());
    let changed = after.iter().filter(|it| it["tags"]["new"] == "yes");
    assert_eq!(changed.clone().count(), vms.len());
    assert!(changed.clone().all(|it| it["power"] == "PowerState/stopped"));
}

#[test]
fn a_row_whose_id_is_named_twice_is_one_row() {
    let cloud = Cloud::well();
    let id = cloud.vms()[0].clone();
    let shouted = id.to_uppercase();
    for test in [
        format!("id in~ ('{id}', '{shouted}', '{id}')"),
        format!("id =~ '{shouted}' or id == '{id}'"),
        format!("id =~ '{shouted}' and id in~ ('{id}', '{id}')"),
    ] {
        assert_eq!(
            all(&cloud, &format!("resources | where {test} | project id")).len(),
            1,
            "{test}"
        );
    }
}

/// A page that is made late writes what its picture has, and not into what others are shown.
#[test]
fn a_late_page_of_an_old_answer_does_not_show_in_a_new_one() {
    let cloud = Cloud::well();
    let ids = cloud.vms();
    let change = |value: &str| {
        for id in &ids {
            let tags = json!({"operation": "Merge", "properties": {"tags": {"new": value}}});
            let path = format!("{id}/providers/Microsoft.Resources/tags/default");
            assert_eq!(cloud.send(Method::PATCH, &path, &tags).status, 200);
        }
    };
    // Each page but the first is made behind the change that follows.
    let values = ["one", "two", "three", "four"];
    let mut firsts = Vec::new();
    for value in values {
        change(value);
        firsts.push(ask(&cloud, VMS, json!({"$top": 1})));
    }
    for (value, first) in values.into_iter().zip(firsts) {
        let rows = follow(&cloud, VMS, first).0;
        let shown = |row: &&Value| row["tags"]["new"] == value;
        assert_eq!(rows.iter().filter(shown).count(), ids.len(), "{value}");
    }
}

#[test]
fn what_is_kept_for_pages_is_let_go_when_too_much_has_changed() {
    let cloud = Cloud::well();
    *lock(&cloud.0.pager) = Pager::new(7).with_max_bytes(64 << 10);
    let first = ask(&cloud, VMS, json!({"$top": 7}));
    let token = first.body["$skipToken"].clone();
    for at in 0..100 {
        cloud.0.settled().machines[at].address = [1, 1, 1, 1];
    }
    let resumed = |token: &Value| ask(&cloud, VMS, json!({"$top": 7, "$skipToken": token}));
    // It is the only one: its paging can go on.
    assert_eq!(resumed(&token).status, 200);
    let other = ask(&cloud, "resources | project id", json!({"$top": 7}));
    assert_eq!(resumed(&token).status, 400);
    let path = json!({"$top": 7, "$skipToken": other.body["$skipToken"]});
    assert_eq!(ask(&cloud, "resources | project id", path).status, 200);
}

#[test]
fn a_query_that_works_does_not_hold_the_world() {
    let cloud = Cloud::well();
    let held = world(&cloud);
    // The picture is at hand, and the world is free.
    drop(cloud.0.settled());
    let query = Query::parse(VMS).unwrap();
    assert!(!query.run(&held, held.now()).unwrap().rows.is_empty());
}

#[test]
fn an_empty_page_of_a_query_loses_nothing_and_has_a_new_token() {
    let cloud = Cloud::well();
    for (query, options) in [(VMS, json!({"$top": 7})), ("resources | order by id asc", json!({}))]
    {
        let whole = follow(&cloud, query, ask(&cloud, query, options.clone())).0;
        fail(&cloud, FaultKind::EmptyPage);
        let empty = ask(&cloud, query, options.clone());
        assert_eq!((&empty.body["data"], &empty.body["count"]), (&json!([]), &json!(0)));
        let token = empty.body["$skipToken"].clone();
        fail(&cloud, FaultKind::EmptyPage);
        let mut again = options.clone();
        again["$skipToken"] = token.clone();
        let second = ask(&cloud, query, again);
        assert_eq!(second.body["data"], json!([]));
        assert_ne!(second.body["$skipToken"], token);
        assert_eq!(follow(&cloud, query, second).0, whole);
    }
    assert_eq!(met(&cloud), [1, 1, 1, 1]);
    // Without ids there are no tokens: such a page cannot be, and the fault waits.
    lock(&cloud.0.faults).clear();
    fail(&cloud, FaultKind::EmptyPage);
    assert!(!ask(&cloud, "resources | project name", json!({})).body["data"][0].is_null());
    assert_eq!(met(&cloud), [0]);
}

#[test]
fn a_duplicate_of_a_query_is_the_last_row_of_one_page_and_the_first_of_the_next() {
    let cloud = Cloud::well();
    for query in [VMS, "resources | order by id asc | project id"] {
        let whole = all(&cloud, query);
        fail(&cloud, FaultKind::DuplicateItem);
        let mut doubled = whole.clone();
        doubled.insert(6, whole[6].clone());
        assert_eq!(all(&cloud, query), doubled);
    }
    assert_eq!(met(&cloud), [1, 1]);
}

#[test]
fn rows_in_the_format_of_tables_can_be_null_or_none_too() {
    let cloud = Cloud::well();
    let options = json!({"$top": 7, "resultFormat": "table"});
    fail(&cloud, FaultKind::NullArray);
    let reply = ask(&cloud, VMS, options.clone());
    assert_eq!(
        (&reply.body["data"]["rows"], reply.body["data"]["columns"].is_array()),
        (&Value::Null, true)
    );
    fail(&cloud, FaultKind::EmptyPage);
    assert_eq!(ask(&cloud, VMS, options).body["data"]["rows"], json!([]));
}

// "Guidance for throttled requests in Azure Resource Graph" has these headers.
#[test]
fn a_throttle_on_purpose_looks_like_one_of_the_quota() {
    let mut cloud = Cloud::well();
    let buckets = crate::cloud::throttle::Buckets::default();
    cloud.0.buckets = Some(Mutex::new(buckets));
    fail(&cloud, FaultKind::Throttle);
    let made = ask(&cloud, VMS, json!({}));
    let real = (0..40).map(|_| ask(&cloud, VMS, json!({}))).find(|it| it.status != 200).unwrap();
    let shown = |reply: &Reply| {
        let headers = ["x-ms-user-quota-remaining", "x-ms-user-quota-resets-after", "retry-after"];
        (reply.status, reply.body.clone(), headers.map(|it| reply.header(it)))
    };
    assert_eq!(shown(&made), shown(&real));
    assert_eq!(made.status, 429);
}

#[test]
fn a_bound_caller_is_shown_the_types_that_he_may_read_and_nothing_is_said_of_the_rest() {
    let cloud = Cloud::well();
    let types = |cloud: &Cloud| -> Vec<String> {
        let query = "resources | summarize count() by type | order by type asc";
        let reply = cloud.post(
            "/providers/Microsoft.ResourceGraph/resources",
            &json!({"subscriptions": [SUBSCRIPTION], "query": query}),
        );
        let rows = reply.body["data"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|it| it["type"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let all = types(&cloud);
    assert!(all.len() >= 3, "{all:?}");
    let allow = |action: &str| {
        let mut policy = lock(&cloud.0.policy);
        policy.clear();
        policy.allow_only(&Allowance::of([action])).unwrap();
    };
    allow("Microsoft.Compute/virtualMachines/read");
    assert_eq!(types(&cloud), ["microsoft.compute/virtualmachines"], "at once, in the same moment");
    allow("Microsoft.HybridCompute/machines/*");
    assert_eq!(types(&cloud), ["microsoft.hybridcompute/machines"]);
    allow("Microsoft.Nothing/read");
    let body = json!({"subscriptions": [SUBSCRIPTION], "query": "resources"});
    let reply = cloud.post("/providers/Microsoft.ResourceGraph/resources", &body);
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "who may read nothing is refused");
    let listed = cloud.get("/subscriptions").body;
    assert_eq!(listed["value"], json!([]));
}

#[test]
fn an_interface_has_the_address_that_its_machine_has_everywhere() {
    let cloud = Cloud::well();
    let query = "resources | where type =~ 'microsoft.network/networkinterfaces' \
                 | mv-expand configuration = properties.ipConfigurations \
                 | project id, vm = tostring(properties.virtualMachine.id), \
                 address = tostring(configuration.properties.privateIPAddress)";
    let rows = all(&cloud, query);
    assert_eq!(rows.len(), all(&cloud, VMS).len());
    let state = cloud.0.settled();
    for row in rows {
        let at = state.find_anywhere(row["vm"].as_str().unwrap()).unwrap();
        assert_eq!(row["address"], state.truth(at).address);
        let azure = super::side(&state, at).unwrap();
        let profile = vm::property(&state, at, azure, "networkProfile");
        assert_eq!(profile.unwrap()["networkInterfaces"][0]["id"], row["id"]);
    }
}
