//! What maintenance windows will do: when they open, and which of them reach a node.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    super::{filter::Filters, schedule::written},
    Window,
    history::bound,
    named,
    run::pairs,
    store, unknown,
};
use crate::cloud::aws::{AwsError, Call, Operations, page::Page};

pub(in super::super) const OPERATIONS: Operations = &[
    ("DescribeMaintenanceWindowSchedule", describe_schedule),
    ("DescribeMaintenanceWindowsForTarget", describe_for_target),
];

/// How far the schedule is told, and how many times of one window: it may have no end.
const AHEAD: SignedDuration = SignedDuration::from_hours(365 * 24);
const MOST: usize = 100;

fn describe_schedule(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let filters = Filters::read(&input, &["ScheduledBefore", "ScheduledAfter"])?;
    let (now, ahead) = (call.state.now, call.state.now.checked_add(AHEAD).ok());
    let before = bound(&filters, "ScheduledBefore")?.or(ahead);
    let after = bound(&filters, "ScheduledAfter")?.map_or(now, |after| after.max(now));
    let page = Page::of(call, &input, 50)?;
    let mut times = Vec::new();
    let mut add = |id: &str, window: &Window| {
        if !window.is_enabled() {
            return;
        }
        let due = window.timing.times(after).take_while(|due| before.is_none_or(|it| *due < it));
        times.extend(due.take(MOST).map(|due| (due, id.to_owned(), window.name().clone())));
    };
    if input["WindowId"].is_null() {
        for (id, window) in &store(call.state, call.scope).windows {
            if input["Targets"].is_null() || reaches(call, window, &input) {
                add(id, window);
            }
        }
    } else {
        let (id, window) = named(call, &input)?;
        if !input["Targets"].is_null() && !reaches(call, window, &input) {
            return Err(unknown("A target of maintenance window", &id));
        }
        add(&id, window);
    }
    times.sort_by(|(a, id, _), (b, other, _)| (a, id).cmp(&(b, other)));
    let (found, next) = page.cut(times);
    let list = found.into_iter().map(
        |(due, id, name)| json!({"WindowId": id, "Name": name, "ExecutionTime": written(due)}),
    );
    let list: Vec<Value> = list.collect();
    Ok(json!({"ScheduledWindowExecutions": list, "NextToken": next}))
}

fn describe_for_target(call: &mut Call<'_>, input: Value) -> Result<Value, AwsError> {
    let page = Page::of(call, &input, 50)?;
    let windows = store(call.state, call.scope).windows.iter();
    let (found, next) = page.cut(windows.filter(|(_, window)| reaches(call, window, &input)));
    let identities = found.into_iter();
    let identities = identities.map(|(id, window)| json!({"WindowId": id, "Name": window.name()}));
    let identities: Vec<Value> = identities.collect();
    Ok(json!({"WindowIdentities": identities, "NextToken": next}))
}

/// Whether a window is for what an input names, by its targets or by a task of its own.
fn reaches(call: &Call<'_>, window: &Window, input: &Value) -> bool {
    let kind = &input["ResourceType"];
    let of_kind = |it: &&Value| kind.is_null() || it["ResourceType"] == *kind;
    let targets = window.targets.values().filter(of_kind);
    let by_tasks = window.tasks.values().filter(|_| *kind != "RESOURCE_GROUP");
    let mut all = targets.chain(by_tasks).flat_map(|it| pairs(&it["Targets"]));
    all.any(|(key, values)| {
        pairs(&input["Targets"]).any(|(asked, wanted)| {
            wanted.iter().any(|wanted| {
                (key == asked && values.contains(wanted))
                    || (asked == "InstanceIds" && is_tagged(call, wanted, key, &values))
            })
        })
    })
}

/// Whether a node has a tag that a target names: `tag:Name` with a value, or `tag-key`.
fn is_tagged(call: &Call<'_>, node: &str, key: &str, values: &[&str]) -> bool {
    let Some(at) = call.state.find(call.scope, node) else { return false };
    let tags = call.state.machine(at).aws.iter().flat_map(|aws| &aws.tags);
    let mut tags = tags.map(|(name, value)| (&**name, &**value));
    match key.strip_prefix("tag:") {
        Some(tag) => tags.any(|(name, value)| name == tag && values.contains(&value)),
        None => key == "tag-key" && tags.any(|(name, _)| values.contains(&name)),
    }
}
