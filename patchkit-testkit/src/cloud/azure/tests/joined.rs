//! Joins whose rows are made page by page, held against a run of the whole query.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    super::graph::{Format, Options, Page, PageRequest, Pager, Query, Rendered, Rows},
    Cloud,
    alike::{cloud, stir},
};
use crate::{
    cloud::{
        azure::rows::{Hidden, World},
        world::machine::SubIx,
    },
    rng::Rng,
};

const ASSESSMENTS: &str = "patchassessmentresources | where type in~ \
    ('microsoft.compute/virtualmachines/patchassessmentresults', \
    'microsoft.hybridcompute/machines/patchassessmentresults')";
const MACHINES: &str = "resources | where type in~ ('microsoft.compute/virtualmachines', \
    'microsoft.hybridcompute/machines')";
const ABOVE: &str = "tostring(split(tolower(id), '/patchassessmentresults/')[0])";

/// Every page of an answer, as it is sent.
fn pages(query: &str, top: usize, answer: Rendered, now: jiff::Timestamp) -> Vec<Vec<u8>> {
    let mut pager = Pager::new(7);
    let mut options = Options::from_json(&json!({"$top": top, "$skip": 3})).unwrap();
    let request = PageRequest { query, scope: "", options: &options };
    let mut page: Page = pager.open(request, answer, None, now);
    let mut bodies = Vec::new();
    loop {
        bodies.push(page.body().unwrap());
        options.skip_token = page.skip_token().map(ToOwned::to_owned);
        if options.skip_token.is_none() {
            return bodies;
        }
        let request = PageRequest { query, scope: "", options: &options };
        page = pager.resume(request, now).unwrap().unwrap();
    }
}

/// What the caller of a world may read of it.
fn world(cloud: &Cloud, hidden: Hidden) -> World {
    World::of(&mut cloud.0.settled(), vec![SubIx(0), SubIx(1)], hidden)
}

/// Has some machines assessed, and others patched.
pub(super) fn work(cloud: &Cloud, rng: &mut Rng) {
    for round in 0..16 {
        let id = {
            let state = cloud.0.settled();
            let of = rng.index(2);
            let at = *rng.pick(&state.subscriptions[of].machines);
            state.vm_resource_id(super::side(&state, at).unwrap())
        };
        // Some of them refuse it: they are off, or no resources of their own.
        if round % 2 == 0 {
            cloud.post(&format!("{id}/assessPatches"), &Value::Null);
        } else {
            cloud.post(&format!("{id}/installPatches"), &super::order("PT2H"));
        }
    }
    cloud.advance(Duration::from_mins(40));
}

fn queries() -> Vec<String> {
    let columns =
        "project id, name, type, tags, power = properties.extended.instanceView.powerState";
    let found = format!(
        "{ASSESSMENTS} | project key = {ABOVE}, at = properties.lastModifiedDateTime, \
         pending = properties.rebootPending, status = properties.status, \
         available = properties.availablePatchCountByClassification"
    );
    let listing = |kind: &str, rest: &str| {
        format!(
            "{MACHINES} | {columns} | extend key = tolower(id) | join kind={kind} ({found}) on key \
             | project-away key, key1{rest}"
        )
    };
    vec![
        listing("leftouter", " | order by id asc"),
        listing("leftouter", " | order by name desc, id asc"),
        listing("leftouter", ""),
        listing("inner", " | order by id desc | take 70"),
        listing("innerunique", " | top 33 by name asc"),
        // Filters and orders of what is joined.
        listing("leftouter", " | where isnull(available) | order by id asc"),
        listing("inner", " | where toint(available.security) > 1 or name contains '1'"),
        listing("leftouter", " | extend at = todatetime(at) | order by at desc, id asc"),
        listing("inner", " | extend at = tostring(at), id = tolower(id) | order by at asc, id desc"),
        // Several rows of the right side for one of the left.
        format!(
            "{MACHINES} | extend key = tolower(id) | join kind=inner (patchassessmentresources \
             | project key = {ABOVE}, patch = name, found = properties, other = id) on key \
             | order by id asc | project id, name, patch, found, other, tags"
        ),
        format!(
            "{MACHINES} | where name contains '2' | project id, key = tolower(id) \
             | join (patchinstallationresources | extend key = \
             tostring(split(tolower(id), '/patchinstallationresults')[0]) \
             | project key, properties, run = id) on key | project id, run, properties"
        ),
        format!(
            "{MACHINES} | project id, key = tolower(id) | join kind=leftouter \
             (patchinstallationresources | where type endswith 'softwarepatches' and name has '1' \
             | project name, key = tostring(split(tolower(id), '/patchinstallationresults/')[0]) \
             | take 40) on key | where isnotempty(name) or id contains '4' | project id, name"
        ),
        // What is taken on the right of rows that are all wanted.
        format!(
            "{MACHINES} | project id, key = tolower(id) | join kind=inner ({ASSESSMENTS} \
             | project key = {ABOVE}, found = properties | take 10) on key | order by id asc"
        ),
        // Keys that must be looked at.
        format!(
            "{MACHINES} | where tags.Owner =~ 'platform-team' | project id, name, location \
             | join kind=inner (resources | where tags.Owner !~ 'platform-team' \
             | project other = id, location, tags | take 4) on location | order by id asc"
        ),
        format!(
            "{MACHINES} | project id, size = tostring(properties.hardwareProfile.vmSize), location \
             | join (resources | extend size = tostring(properties.hardwareProfile.vmSize) \
             | project size, location, properties) on size, location | order by size asc"
        ),
        "resources | join kind=leftouter (resources | project id = tolower(id), again = name) on id"
            .to_owned(),
        format!(
            "{ASSESSMENTS} | project id, key = {ABOVE}, properties | join kind=leftouter ({MACHINES} \
             | project key = tolower(id), name, tags) on key | order by id asc"
        ),
        format!(
            "{MACHINES} | parse id with '/subscriptions/' sub '/' * | extend low = toupper(name) \
             | join kind=leftouter ({ASSESSMENTS} | parse id with * '/virtualMachines/' low '/' * \
             | extend low = toupper(low) | project low, found = properties.status) on low \
             | project sub, found, id, low | project-reorder low"
        ),
        // As PatchKit asks, with scale sets among the machines.
        format!(
            "resources | where type =~ 'microsoft.compute/virtualmachines' or type =~ \
             'microsoft.hybridcompute/machines' or (type =~ \
             'microsoft.compute/virtualmachinescalesets' and \
             tostring(properties.orchestrationMode) !~ 'Flexible') | {columns} \
             | extend key = tolower(id) | join kind=leftouter ({found}) on key \
             | project-away key, key1 | order by id asc"
        ),
    ]
}

#[test]
fn joined_rows_are_made_page_by_page_as_if_at_once() {
    let queries = queries();
    let mut answered = BTreeSet::new();
    for seed in 0..3 {
        let cloud = cloud(seed);
        let mut rng = Rng::stream(seed, 3, 7);
        for round in 0..5 {
            let kinds: Vec<&'static str> = World::kinds().collect();
            let mut hidden: Hidden = BTreeSet::new();
            if round > 2 {
                hidden
                    .extend((0..3).map(|_| (*rng.pick(&[SubIx(0), SubIx(1)]), *rng.pick(&kinds))));
            }
            let world = world(&cloud, hidden);
            let now = world.now();
            let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
            // What happens later does not show.
            stir(&cloud, &mut rng);
            work(&cloud, &mut rng);
            for text in &queries {
                let query = Query::parse(text).unwrap();
                let whole = query.render(rows.as_ref(), now, Format::ObjectArray).unwrap();
                let opened = query.open(&rows, now, Format::ObjectArray).unwrap();
                assert!(opened.is_stream(), "{text}");
                if !whole.is_empty() {
                    answered.insert(text);
                }
                let (whole, opened) = (pages(text, 37, whole, now), pages(text, 37, opened, now));
                assert_eq!(whole.len(), opened.len(), "{seed}: {text}");
                for (whole, opened) in whole.iter().zip(&opened) {
                    // Keys of what is written as it is may be in another order.
                    let [whole, opened]: [Value; 2] =
                        [whole, opened].map(|it| serde_json::from_slice(it).unwrap());
                    assert_eq!(whole, opened, "{seed}: {text}");
                }
            }
        }
    }
    let never: Vec<_> = queries.iter().filter(|text| !answered.contains(text)).collect();
    assert!(never.is_empty(), "nothing was compared: {never:?}");
}

#[test]
fn what_is_not_two_rows_each_is_answered_at_once() {
    let cloud = cloud(5);
    let world = world(&cloud, Hidden::new());
    let now = world.now();
    let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
    for text in [
        format!(
            "{MACHINES} | project id, name | join kind=fullouter ({MACHINES} | project name) on name"
        ),
        format!("{MACHINES} | order by name asc | join ({MACHINES} | project name) on name"),
        format!("{MACHINES} | join ({MACHINES} | summarize count() by location) on location"),
        format!(
            "{MACHINES} | join ({MACHINES} | project name) on name | summarize count() by type"
        ),
        format!(
            "{MACHINES} | join ({MACHINES} | project name) on name \
             | join ({MACHINES} | project name) on name"
        ),
    ] {
        let query = Query::parse(&text).unwrap();
        let whole = query.render(rows.as_ref(), now, Format::ObjectArray).unwrap();
        let opened = query.open(&rows, now, Format::ObjectArray).unwrap();
        assert!(!opened.is_stream(), "{text}");
        assert_eq!(pages(&text, 90, whole, now), pages(&text, 90, opened, now), "{text}");
    }
}

#[test]
fn a_join_of_too_many_rows_is_refused_as_ever() {
    let cloud = cloud(6);
    let world = world(&cloud, Hidden::new());
    let now = world.now();
    let rows: Arc<dyn Rows + Send + Sync> = Arc::new(world);
    let text = "resources | project id, key = strlen('a') | join kind=inner \
                (resources | project other = id, key = strlen('b')) on key";
    let query = Query::parse(text).unwrap();
    let whole = query.render(rows.as_ref(), now, Format::ObjectArray).unwrap_err();
    let opened = query.open(&rows, now, Format::ObjectArray).unwrap_err();
    assert_eq!(format!("{whole:?}"), format!("{opened:?}"));
}
