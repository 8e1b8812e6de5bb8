//! What `cargo xtask bench sql` times on our side: one question in SQL, answered by a process.
//!
//! ```text
//! sql lake LAKE QUESTION
//! sql snapshot STORE QUESTION
//! sql export FOLDER QUESTION
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    error::Error,
    process::ExitCode,
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array as _, AsArray as _, RecordBatch},
        compute::cast,
        datatypes::{DataType, Int64Type},
    },
    prelude::SessionContext,
};
use jiff::Timestamp;
use patchkit_core::{Clock, VirtualClock};
use patchkit_inventory::{FleetSql, LakeSnapshot, LocalSource, QueryLimits, SnapshotStore};
use serde_json::{Value, json};

type Answer = Result<Value, Box<dyn Error>>;

const STATUSES: &str = "SELECT account_id, region, status, count(*) FROM aws_compliance_summary \
                        WHERE compliance_type = 'Patch' GROUP BY account_id, region, status";

const NAMED: &str =
    "SELECT account_id, region, node_id, version FROM aws_application WHERE name LIKE 'openssl%'";

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(&args)) {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&*error),
    }
}

fn failed(error: &dyn Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

async fn run(args: &[&str]) -> Answer {
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock::manual(Timestamp::UNIX_EPOCH));
    let (fleet, question) = match *args {
        ["lake", lake, question] => {
            (FleetSql::open(Arc::new(LocalSource::open(lake)?), clock)?, question)
        }
        ["snapshot", store, question] => {
            let snapshot = LakeSnapshot::open(SnapshotStore::folder(store)?).await?;
            (FleetSql::over_snapshot(&snapshot, clock, [])?, question)
        }
        ["export", folder, question] => {
            let session = SessionContext::new();
            (FleetSql::over_export(&session, folder, clock, []).await?, question)
        }
        _ => return Err("sql lake|snapshot|export PLACE q1|q2".into()),
    };
    let (sql, answer): (_, fn(&[RecordBatch]) -> Answer) = match question {
        "q1" => (STATUSES, statuses),
        "q2" => (NAMED, old),
        _ => return Err(format!("{question}: q1 or q2").into()),
    };
    let limits = QueryLimits::default().with_rows(usize::MAX);
    let (rows, _) = fleet.query(sql, limits).await?.collect().await?;
    answer(&rows)
}

fn texts(batch: &RecordBatch, column: usize) -> Result<impl Fn(usize) -> String, Box<dyn Error>> {
    let column = cast(batch.column(column), &DataType::Utf8)?;
    Ok(move |row| {
        let column = column.as_string::<i32>();
        if column.is_null(row) { String::new() } else { column.value(row).to_owned() }
    })
}

fn statuses(batches: &[RecordBatch]) -> Answer {
    let mut groups = BTreeMap::new();
    for batch in batches {
        let (account, region, status) = (texts(batch, 0)?, texts(batch, 1)?, texts(batch, 2)?);
        let nodes = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let group = format!("{} {} {}", account(row), region(row), status(row));
            groups.insert(group, nodes.value(row));
        }
    }
    Ok(json!({ "groups": groups }))
}

/// Older than 3.0.7, as the peers of the bench compare versions.
fn is_old(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u64>().ok());
    let mut next = || numbers.next().flatten().unwrap_or(0);
    [next(), next(), next()] < [3, 0, 7]
}

fn old(batches: &[RecordBatch]) -> Answer {
    let (mut nodes, mut rows) = (BTreeSet::new(), 0_u64);
    for batch in batches {
        let (account, region) = (texts(batch, 0)?, texts(batch, 1)?);
        let (node, version) = (texts(batch, 2)?, texts(batch, 3)?);
        for row in (0..batch.num_rows()).filter(|row| is_old(&version(*row))) {
            nodes.insert((account(row), region(row), node(row)));
            rows += 1;
        }
    }
    Ok(json!({ "nodes": nodes.len(), "rows": rows }))
}
