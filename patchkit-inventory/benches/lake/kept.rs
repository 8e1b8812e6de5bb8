//! The questions again, of a snapshot that is loaded: `lake snapshot LAKE STORE`. And what it takes to
//! have one: `lake refresh LAKE STORE`.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::executor::block_on;
use patchkit_inventory::{
    ApplicationQuery, InventoryType, LakeReport, LakeSnapshot, LoadOptions, LocalSource,
    NodesWanted, Opened, Refresh, SnapshotStore,
};
use serde_json::{Value, json};

use crate::work::is_old;

type Answer = Result<Value, Box<dyn Error>>;

/// How often each question is asked at least, and for how long; the median counts.
const TIMES: usize = 9;
const LONG: Duration = Duration::from_millis(300);

/// Brings the snapshot in `store` up to date and asks it both questions, each with its time.
pub(crate) fn run(lake: &str, store: &str) -> Answer {
    let began = Instant::now();
    let (snapshot, _) = brought_up(lake, store)?;
    let report = block_on(LakeReport::from_snapshot(&snapshot, LoadOptions::default()))?;
    let ready = began.elapsed().as_secs_f64();
    let (q1, q1_s, q1_cpu_s) = timed(|| Ok(statuses(&snapshot)))?;
    let (q2, q2_s, q2_cpu_s) = timed(|| old(&report))?;
    Ok(json!({
        "q1": q1, "q1_s": q1_s, "q1_cpu_s": q1_cpu_s,
        "q2": q2, "q2_s": q2_s, "q2_cpu_s": q2_cpu_s, "ready_s": ready,
    }))
}

/// Brings the snapshot in `store` up to date; what it holds then, and what was read for it.
pub(crate) fn refresh(lake: &str, store: &str) -> Answer {
    let (snapshot, refresh) = brought_up(lake, store)?;
    let total = snapshot.reading().total();
    let report = block_on(LakeReport::from_snapshot(&snapshot, LoadOptions::default()))?;
    Ok(json!({
        "q1": statuses(&snapshot), "q2": old(&report)?, "objects": total.objects,
        "rows": total.rows, "bytes": total.bytes, "read_bytes": refresh.read_bytes,
    }))
}

fn brought_up(lake: &str, store: &str) -> Result<(LakeSnapshot, Refresh), Box<dyn Error>> {
    let source = Arc::new(LocalSource::open(lake)?);
    let opening = LakeSnapshot::open_or_rebuild(SnapshotStore::folder(store)?, source);
    Ok(match block_on(opening)? {
        (snapshot, Opened::Rebuilt(_, refresh)) => (snapshot, refresh),
        (snapshot, _) => block_on(snapshot.refresh())?,
    })
}

/// The answer with its time and, where the system tells, its CPU time.
fn timed(ask: impl Fn() -> Answer) -> Result<(Value, f64, Option<f64>), Box<dyn Error>> {
    let mut answer = ask()?;
    let mut times = Vec::new();
    let (began, before) = (Instant::now(), cpu());
    while times.len() < TIMES || began.elapsed() < LONG {
        let began = Instant::now();
        answer = ask()?;
        times.push(began.elapsed().as_secs_f64());
    }
    let asked = f64::from(u32::try_from(times.len())?);
    let cpu = cpu().zip(before).map(|(after, before)| (after - before) / asked);
    times.sort_unstable_by(f64::total_cmp);
    Ok((answer, times[times.len() / 2], cpu))
}

/// User and system time of all threads so far. Linux alone tells, in hundredths of a second:
/// `proc_pid_stat(5)`, fields 14 and 15, of which the name is the second.
fn cpu() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let behind_name = text.rsplit_once(')')?.1;
    let mut fields = behind_name.split_whitespace().skip(11).map(str::parse::<u32>);
    let ticks = fields.next()?.ok()? + fields.next()?.ok()?;
    Some(f64::from(ticks) / 100.0)
}

fn statuses(snapshot: &LakeSnapshot) -> Value {
    let counts =
        snapshot.count_rows(&InventoryType::ComplianceSummary, &["ComplianceType", "Status"]);
    let patches = counts.iter().filter(|count| count.values[0].as_deref() == Some("Patch"));
    let groups: BTreeMap<String, u64> = patches
        .map(|count| {
            let status = count.values[1].as_deref().unwrap_or_default();
            let (account, region) = (count.scope.account(), count.scope.region());
            (format!("{account} {region} {status}"), count.rows)
        })
        .collect();
    json!({"groups": groups})
}

fn old(report: &LakeReport) -> Answer {
    let query =
        ApplicationQuery::default().with_name_prefix("openssl").with_nodes(NodesWanted::All);
    let found = Arc::new(Mutex::new((BTreeSet::new(), 0_u64)));
    let sink = Arc::clone(&found);
    let asking = report.for_each_application(&query, move |row| {
        if row.version.is_some_and(is_old) {
            let mut found = sink.lock().unwrap_or_else(PoisonError::into_inner);
            if !found.0.contains(&row.node.id) {
                found.0.insert(row.node.id.clone());
            }
            found.1 += 1;
        }
    });
    block_on(asking)?;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(json!({"nodes": found.0.len(), "rows": found.1}))
}
