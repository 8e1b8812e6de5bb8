//! What is known of rows by a look at the first of each kind, held against a look at every row.

mod patches;

use std::{borrow::Cow, collections::HashMap, ops::ControlFlow, sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};

use super::{
    super::graph::{
        Alike, Field, Format, Hints, Look, Options, PageRequest, Pager, Path, Query, Record, Rows,
        Scan, Table,
    },
    Cloud, SUBSCRIPTION,
};
use crate::{
    cloud::{
        aws::ring::KeyRing,
        azure::rows::{Hidden, World},
        s3::SignatureChecks,
        shared::Shared,
        world::{
            Consistency, State,
            clock::WorldClock,
            machine::{Agent, SubIx},
            populate::Plan,
        },
    },
    rng::Rng,
};

const VM: &str = "where type =~ 'microsoft.compute/virtualmachines'";
const CODE: &str = "properties.extended.instanceView.powerState.code";

/// Two subscriptions, so that names of one are among those of the other.
pub(super) fn cloud(seed: u64) -> Cloud {
    cloud_of(seed, 260)
}

fn cloud_of(seed: u64, nodes: usize) -> Cloud {
    let plan = Plan {
        seed,
        now: "2026-11-02T00:00:00Z".parse().unwrap(),
        accounts: Vec::new(),
        regions: Vec::new(),
        subscriptions: vec![
            (SUBSCRIPTION.into(), "production".into()),
            ("99999999-2222-3333-4444-555555555555".into(), "Archive".into()),
        ],
        nodes,
        patches: 20,
        behavior: None,
        consistency: Consistency::default(),
    };
    let (clock, keys) = (WorldClock::new(plan.now, 0.0), KeyRing::new(7, &[]));
    Cloud(Shared::new(State::new(&plan), clock, keys, SignatureChecks::Off))
}

fn world(cloud: &Cloud) -> World {
    World::of(&mut cloud.0.settled(), vec![SubIx(0), SubIx(1)], Hidden::new())
}

/// Turns machines off and on, tags them, takes their agents away, and lets some time pass.
pub(super) fn stir(cloud: &Cloud, rng: &mut Rng) {
    for _ in 0..6 {
        let (all, id) = {
            let state = cloud.0.settled();
            let all = state.subscriptions[rng.index(2)].machines.clone();
            let at = *rng.pick(&all);
            (at, state.vm_resource_id(super::side(&state, at).unwrap()))
        };
        match rng.below(6) {
            0 => drop(cloud.post(&format!("{id}/deallocate"), &Value::Null)),
            1 => drop(cloud.post(&format!("{id}/powerOff"), &Value::Null)),
            2 => drop(cloud.post(&format!("{id}/start"), &Value::Null)),
            3 => {
                let owner = format!("team-{}", rng.below(90));
                let tags = json!({"Owner": owner, "new": rng.below(3).to_string()});
                let tags = json!({"operation": "Merge", "properties": {"tags": tags}});
                let path = format!("{id}/providers/Microsoft.Resources/tags/default");
                cloud.send(Method::PATCH, &path, &tags);
            }
            4 => {
                let mut state = cloud.0.settled();
                let side = state.machine_mut(all).azure.as_mut().unwrap();
                side.agent = *rng.pick(&[Agent::OldVersion, Agent::ConnectionLost, Agent::Online]);
            }
            _ => {
                let mut state = cloud.0.settled();
                let side = state.machine_mut(all).azure.as_mut().unwrap();
                side.patching.bypass = Some(rng.percent(50));
            }
        }
    }
    cloud.advance(Duration::from_secs(rng.below(120)));
}

/// The rows of an answer page by page, as it is opened.
fn opened(rows: &Arc<dyn Rows + Send + Sync>, now: jiff::Timestamp, text: &str) -> Vec<Value> {
    let mut pager = Pager::new(7);
    let options = json!({"$top": 90, "resultFormat": "table"});
    let mut options = Options::from_json(&options).unwrap();
    let mut made: Vec<Value> = Vec::new();
    loop {
        let request = PageRequest { query: text, scope: "", options: &options };
        let page = pager.resume(request, now).unwrap().unwrap_or_else(|| {
            let answer = Query::parse(text).unwrap().open(rows, now, Format::Table).unwrap();
            pager.open(request, answer, None, now)
        });
        let body: Value = serde_json::from_slice(&page.body().unwrap()).unwrap();
        made.extend(body["data"]["rows"].as_array().unwrap().iter().cloned());
        options.skip_token = page.skip_token().map(ToOwned::to_owned);
        if options.skip_token.is_none() {
            return made;
        }
    }
}

/// The rows of an answer, made by a run of the whole query.
pub(super) fn whole(rows: &dyn Rows, now: jiff::Timestamp, text: &str) -> Vec<Value> {
    let answer = Query::parse(text).unwrap().run(rows, now).unwrap();
    answer.rows.into_iter().map(Value::from).collect()
}

#[test]
fn rows_that_are_alike_are_answered_as_if_each_was_looked_at() {
    let queries = [
        format!("resources | {VM} | project id, name, tags | order by name asc"),
        format!("resources | {VM} | project name, id | order by name desc"),
        format!("resources | {VM} and {CODE} == 'PowerState/running' | project id, properties"),
        format!("resources | {VM} and {CODE} != 'PowerState/running' | order by id desc"),
        format!("resources | {VM} | summarize count() by tostring({CODE}), location"),
        format!(
            "resources | {VM} | extend power = tostring({CODE}) | order by power desc, name asc \
             | project id, power"
        ),
        format!(
            "resources | extend p = tostring({CODE}), g = resourceGroup | where p != '' \
             | project-away tags, properties | sort by g asc, p desc, id asc | project id, g"
        ),
        format!("resources | {VM} | where tags.Owner =~ 'platform-team' | project id"),
        format!("resources | {VM} | where tags['Patch Group'] in ('Linux', 'AppA') | project id, tags"),
        "resources | where type in~ ('microsoft.compute/virtualmachines', \
         'microsoft.hybridcompute/machines') | order by id asc | project id, name, type"
            .to_owned(),
        "resources | where properties.status == 'Connected' | project id, name | order by id desc"
            .to_owned(),
        "resources | summarize count() by type, subscriptionId, resourceGroup".to_owned(),
        "resources | summarize all = count(), on = countif(properties.status == 'Connected'), \
         dcount(location), min(location), max(type), make_set(resourceGroup) \
         by os = tostring(properties.osType)"
            .to_owned(),
        "resources | summarize sum(strlen(location)), take_any(kind), arg_max(type, location)"
            .to_owned(),
        "resources | where properties.extended.instanceView.osName has 'Windows' | count".to_owned(),
        "resources | distinct location, tostring(properties.hardwareProfile.vmSize)".to_owned(),
        "resources | summarize n = count() by tostring(properties.osProfile.windowsConfiguration\
         .patchSettings.patchMode) | where n > 3 | order by n desc"
            .to_owned(),
        "resources | summarize n = count() by tostring(tags.Owner), tostring(tags.new) \
         | order by n desc | take 5"
            .to_owned(),
        "resources | where properties.agentVersion startswith '1.18' | project id | top 3 by id asc"
            .to_owned(),
        "resources | extend location = name | summarize count() by location".to_owned(),
        "resources | summarize count() by location, type | summarize n = count() by location \
         | order by location asc"
            .to_owned(),
        "resources | distinct resourceGroup | count".to_owned(),
        "resources | parse location with zone 'europe' * | summarize count() by zone".to_owned(),
        "resources | order by location desc, name asc | project id | take 50".to_owned(),
        "resources | order by id asc | project id, type, properties".to_owned(),
        "resources | order by name desc, id desc | project name, id".to_owned(),
        format!(
            "resources | {VM} or type =~ 'microsoft.hybridcompute/machines' or (type =~ \
             'microsoft.compute/virtualmachinescalesets' and tostring(properties.orchestrationMode) \
             !~ 'Flexible') | project id, type, zone = zones[0], code = {CODE}, properties.sku.name \
             | order by id asc"
        ),
        format!("resources | {VM} | extend name = resourceGroup | order by name asc | project id, name"),
        format!("resources | {VM} and name contains '7' | project id, name, tags"),
        "resources | where name startswith 'win' or name !endswith '3' | order by id desc".to_owned(),
        format!(
            "resources | where not(name has 'db') and {CODE} == 'PowerState/running' \
             | where tolower(name) matches regex '[0-4]' and isnotempty(name) \
             | order by tostring({CODE}) asc, name desc | project id"
        ),
        "resources | where name in~ ('nobody', 'vmss-0') or name =~ id | project id".to_owned(),
        "resources | where name contains '1' | extend name = location | where name contains '1' \
         | project id, name"
            .to_owned(),
        "resources | project id, name = resourceGroup | where name contains 'rg'".to_owned(),
        format!("resources | {VM} | summarize count() by location | join kind=inner \
                 (resources | summarize count() by location) on location"),
    ];
    for seed in 0..4 {
        let cloud = cloud(seed);
        let mut rng = Rng::stream(seed, 3, 5);
        for _ in 0..8 {
            let world = world(&cloud);
            let now = world.now();
            let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
            for text in &queries {
                // Without ids there is one page, which holds them all here.
                let (made, whole) = (opened(&rows, now, text), whole(rows.as_ref(), now, text));
                assert!(made == whole || !text.contains("id"), "{seed}: {text}");
                assert_eq!(made, whole[..made.len()], "{seed}: {text}");
            }
            stir(&cloud, &mut rng);
        }
    }
}

/// Of few machines each has a form of its own, and no text of another is used for it.
#[test]
fn rows_of_one_form_are_written_as_if_each_was_written_by_itself() {
    let cloud = cloud_of(15, 3_000);
    let mut rng = Rng::stream(15, 3, 8);
    let queries = [
        "resources".to_owned(),
        "resources | order by name desc".to_owned(),
        format!("resources | {VM} | project id, tags.Owner, name, properties.osProfile, location, {CODE}"),
        "resources | extend both = strcat(name, location) | project both, id, properties.storageProfile"
            .to_owned(),
        "patchassessmentresources | where type endswith 'results'".to_owned(),
        "resources | extend key = tolower(id) | join kind=leftouter (patchassessmentresources \
         | project key = tostring(split(tolower(id), '/patchassessmentresults/')[0]), found = properties, \
         type) on key | project-away key, key1"
            .to_owned(),
    ];
    for _ in 0..2 {
        let world = world(&cloud);
        let now = world.now();
        let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
        for text in &queries {
            let whole = whole(rows.as_ref(), now, text);
            assert!(whole.len() > 900, "{text}");
            assert!(opened(&rows, now, text) == whole, "{text}");
        }
        stir(&cloud, &mut rng);
    }
}

fn look(column: &'static str, path: &[&str]) -> Look {
    let path = Path::new(path.iter().map(|it| (*it).to_owned()));
    Look { column, path }
}

fn alike(world: &World, look: Look) -> Option<Alike> {
    world.alike(Scan::new(Table::Resources, &Hints::default()), &[look])
}

/// Every path of keys in a document.
fn paths(document: &Value, path: &mut Vec<String>, found: &mut Vec<Path>) {
    for (key, value) in document.as_object().into_iter().flatten() {
        path.push(key.clone());
        found.push(Path::new(path.clone()));
        paths(value, path, found);
        path.pop();
    }
}

#[test]
fn rows_of_one_kind_have_the_same_value_in_what_is_looked_at() {
    let cloud = cloud(11);
    let mut rng = Rng::stream(11, 3, 6);
    let hints = Hints::default();
    let mut known = HashMap::new();
    for _ in 0..6 {
        let world = world(&cloud);
        let mut all = Vec::new();
        world.scan(Scan::new(Table::Resources, &hints), &mut |record| {
            for column in ["properties", "tags"] {
                if let Field::Document(document) = record.column(column) {
                    let mut found = Vec::new();
                    paths(&document, &mut Vec::new(), &mut found);
                    all.extend(found.into_iter().map(|path| Look { column, path }));
                }
            }
            ControlFlow::Continue(())
        });
        all.sort_by(|a: &Look, b| (a.column, &*a.path).cmp(&(b.column, &*b.path)));
        all.dedup();
        for look in all {
            let Some(alike) = alike(&world, look.clone()) else { continue };
            let mut values: HashMap<u16, Field<'static>> = HashMap::new();
            let mut kinds = alike.kinds.iter();
            world.scan(Scan::new(Table::Resources, &hints), &mut |record: &dyn Record<'_>| {
                let value = match record.member(look.column, &look.path) {
                    Field::Document(value) => Field::Document(Cow::Owned(value.into_owned())),
                    _ => Field::None,
                };
                let first = values.entry(*kinds.next().unwrap()).or_insert_with(|| value.clone());
                assert_eq!(*first, value, "{look:?}");
                ControlFlow::Continue(())
            });
            assert_eq!((kinds.next(), values.len()), (None, alike.firsts.len()), "{look:?}");
            *known.entry(look.path.join(".")).or_insert(0) += 1;
        }
        stir(&cloud, &mut rng);
    }
    for path in [
        "extended.instanceView.powerState.code",
        "extended.instanceView.osName",
        "storageProfile.osDisk.osType",
        "osProfile.linuxConfiguration.patchSettings.patchMode",
        "hardwareProfile.vmSize",
        "status",
        "agentVersion",
        "osSku",
        "Owner",
    ] {
        assert!(known.contains_key(path), "{path} is read off small numbers");
    }
}

#[test]
fn what_is_written_of_a_row_is_what_it_has() {
    let cloud = cloud(14);
    let mut rng = Rng::stream(14, 3, 7);
    let written = |record: &dyn Record<'_>, column, path: &Path| {
        let mut out = Vec::new();
        record.write(column, path, &mut out).then(|| String::from_utf8(out).unwrap())
    };
    for _ in 0..6 {
        let world = world(&cloud);
        let (mut seen, mut ids) = (0, 0);
        for table in [Table::Resources, Table::PatchAssessmentResources] {
            world.scan(Scan::new(table, &Hints::default()), &mut |record| {
                for column in ["id", "name"] {
                    let Field::Text(text) = record.column(column) else { continue };
                    if let Some(json) = written(record, column, &Path::default()) {
                        assert_eq!(json, json!(text).to_string());
                        ids += 1;
                    }
                }
                for column in ["properties", "tags"] {
                    let Field::Document(document) = record.column(column) else { continue };
                    let mut all = vec![Path::default(), Path::new(["none".to_owned()])];
                    paths(&document, &mut Vec::new(), &mut all);
                    for path in all {
                        let value = path.iter().fold(&*document, |value, key| &value[key]);
                        if let Some(json) = written(record, column, &path) {
                            let json: Value = serde_json::from_str(&json).unwrap();
                            assert_eq!(json, *value, "{column} {path:?}");
                            seen += 1;
                        }
                        if !path.is_empty() && !value.is_null() {
                            let member = record.member(column, &path);
                            assert_eq!(member, Field::Document(Cow::Borrowed(value)), "{path:?}");
                        }
                    }
                }
                ControlFlow::Continue(())
            });
        }
        assert!(seen > 5_000 && ids > 200, "{seen} {ids}");
        stir(&cloud, &mut rng);
    }
}

#[test]
fn rows_whose_values_are_their_own_are_not_taken_for_alike() {
    let cloud = cloud(12);
    let world = world(&cloud);
    let shown = |column, path: &[&str]| alike(&world, look(column, path)).is_some();
    for path in
        [&["vmId"][..], &["osProfile", "computerName"], &["timeCreated"], &[], &["osProfile"]]
    {
        assert!(!shown("properties", path), "{path:?}");
    }
    assert!(!shown("tags", &["Name"]), "a tag of its own value on each machine");
    assert!(!shown("tags", &[]) && !shown("id", &[]) && !shown("name", &[]));
    assert!(shown("location", &[]) && shown("zones", &[]));
}

#[test]
fn the_order_of_rows_by_name_and_id_is_that_of_their_texts() {
    let cloud = cloud(13);
    let world = world(&cloud);
    let hints =
        Hints { types: Some(vec!["microsoft.compute/virtualmachines".into()]), ..Hints::default() };
    let all = Hints::default();
    for (column, hints) in [("name", &hints), ("id", &hints), ("name", &all), ("id", &all)] {
        let scan = Scan::new(Table::Resources, hints);
        let ranks = world.ranks(scan, column).unwrap();
        let mut texts = Vec::new();
        world.scan(scan, &mut |record| {
            texts.push(match record.column(column) {
                Field::Text(text) => text.into_owned(),
                Field::Document(it) => it.as_str().unwrap().to_owned(),
                Field::None => panic!("a resource without {column}"),
            });
            ControlFlow::Continue(())
        });
        assert_eq!(texts.len(), ranks.len());
        for (left, left_rank) in texts.iter().zip(&ranks) {
            for (right, right_rank) in texts.iter().zip(&ranks) {
                assert_eq!(left.cmp(right), left_rank.cmp(right_rank), "{left} {right}");
            }
        }
    }
}
