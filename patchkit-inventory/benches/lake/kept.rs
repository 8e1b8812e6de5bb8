//! The questions again, of a snapshot that is loaded: `lake snapshot LAKE STORE`.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use futures::executor::block_on;
use patchkit_inventory::{
    ApplicationQuery, InventoryType, LakeReport, LakeSnapshot, LoadOptions, LocalSource,
    NodesWanted, SnapshotStore,
};
use serde_json::{Value, json};

use crate::work::is_old;

type Answer = Result<Value, Box<dyn Error>>;

/// How often each question is asked; the median counts.
const TIMES: usize = 9;

/// Brings the snapshot in `store` up to date and asks it both questions, each with its time.
pub(crate) fn run(lake: &str, store: &str) -> Answer {
    let began = Instant::now();
    let source = Arc::new(LocalSource::open(lake)?);
    let opening = LakeSnapshot::open_or_rebuild(SnapshotStore::folder(store)?, source);
    let (snapshot, _) = block_on(opening)?;
    let open = began.elapsed().as_secs_f64();
    let (snapshot, _) = block_on(snapshot.refresh())?;
    let report = block_on(LakeReport::from_snapshot(&snapshot, LoadOptions::default()))?;
    let ready = began.elapsed().as_secs_f64();
    let (q1, q1_s) = timed(|| Ok(statuses(&snapshot)))?;
    let (q2, q2_s) = timed(|| old(&report))?;
    Ok(json!({
        "q1": q1, "q1_s": q1_s, "q2": q2, "q2_s": q2_s, "open_s": open, "ready_s": ready,
    }))
}

fn timed(ask: impl Fn() -> Answer) -> Result<(Value, f64), Box<dyn Error>> {
    let mut answer = ask()?;
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        answer = ask()?;
        times.push(began.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    Ok((answer, times[TIMES / 2]))
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
