//! What is written in the file, and how it is read: each function is one transaction.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    Error, ErrorKind, Event, NodeId, NodeLease, OrderRecord, PerNode, Record, Result, RunHead,
    RunId, RunLease,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Serialize, de::DeserializeOwned};

use super::error::{SQLITE, classify, malformed};

/// How much of a run is read at once: readers must not hold up writers for long.
const CHUNK_ROWS: usize = 1_000;
const CHUNK_BYTES: usize = 4 << 20;

/// Some records of a run, and where the next ones begin.
pub(super) struct Chunk {
    pub(super) items: Vec<Result<Record>>,
    pub(super) next: Option<u64>,
}

/// A run's row.
struct Stored {
    id: i64,
    begun_at: Timestamp,
    lease: RunLease,
}

pub(super) fn begin(
    connection: &Connection,
    run: &RunId,
    holder: &str,
    term: std::time::Duration,
    now: Timestamp,
) -> Result<RunLease> {
    let lease = RunLease::new(run.clone(), holder, 1, term, later(now, term));
    let sql = "INSERT INTO runs (run, begun_at, fence, lease) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO NOTHING";
    let row = params![run.as_str(), now.to_string(), 1, json("begin", &lease)?];
    if execute("begin", connection, sql, row)? == 0 {
        let message = format!("run {run} exists already");
        return Err(Error::new(ErrorKind::Conflict, SQLITE, "begin", message));
    }
    Ok(lease)
}

pub(super) fn take_over(
    connection: &Connection,
    run: &RunId,
    holder: &str,
    term: std::time::Duration,
    now: Timestamp,
) -> Result<RunLease> {
    let stored = stored("take_over", connection, run)?;
    if stored.lease.expires_at > now {
        let RunLease { holder, expires_at, .. } = &stored.lease;
        let message = format!("run {run} is {holder}'s until {expires_at}");
        return Err(Error::new(ErrorKind::Conflict, SQLITE, "take_over", message));
    }
    let lease = RunLease::new(run.clone(), holder, stored.lease.fence + 1, term, later(now, term));
    set_lease("take_over", connection, stored.id, &lease)?;
    Ok(lease)
}

pub(super) fn renew(connection: &Connection, lease: &RunLease, now: Timestamp) -> Result<RunLease> {
    let Stored { id, lease: mut renewed, .. } = owned("renew", connection, lease)?;
    renewed.expires_at = later(now, renewed.term);
    set_lease("renew", connection, id, &renewed)?;
    Ok(renewed)
}

pub(super) fn release(connection: &Connection, lease: &RunLease, now: Timestamp) -> Result<()> {
    let Stored { id, lease: mut released, .. } = owned("release", connection, lease)?;
    released.expires_at = now.min(released.expires_at);
    set_lease("release", connection, id, &released)
}

/// The events as they are written. An event that a newer version wrote is written as it came.
pub(super) fn texts(events: &[Event]) -> Result<Vec<String>> {
    events.iter().map(|event| json("append", event)).collect()
}

pub(super) fn append(
    connection: &Connection,
    lease: &RunLease,
    events: &[String],
    now: Timestamp,
) -> Result<()> {
    let Stored { id, .. } = owned("append", connection, lease)?;
    let next = "SELECT coalesce(max(seq) + 1, 0) FROM records WHERE run = ?1";
    let next: u64 = one("append", connection, next, [id], |row| row.get(0))?.unwrap_or_default();
    let sql = "INSERT INTO records (run, seq, at, event) VALUES (?1, ?2, ?3, ?4)";
    let at = now.to_string();
    for (seq, event) in (next..).zip(events) {
        execute("append", connection, sql, params![id, seq, at, event])?;
    }
    Ok(())
}

pub(super) fn events(connection: &Connection, run: &RunId, from: u64) -> Result<Chunk> {
    const READ: &str = "events";
    let Stored { id, .. } = stored(READ, connection, run)?;
    let fail = |error| classify(READ, &Arc::new(error));
    let sql = "SELECT seq, at, event FROM records WHERE run = ?1 AND seq >= ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query(params![id, from]).map_err(fail)?;
    let (mut items, mut bytes, mut expected) = (Vec::new(), 0, from);
    while let Some(row) = rows.next().map_err(fail)? {
        let seq: u64 = row.get(0).map_err(fail)?;
        if items.len() >= CHUNK_ROWS || bytes >= CHUNK_BYTES {
            return Ok(Chunk { items, next: Some(expected) });
        }
        if seq > expected {
            let what = format!("records {expected} to {} of run {run} are missing", seq - 1);
            items.push(Err(Error::new(ErrorKind::Malformed, SQLITE, READ, what)));
        }
        let (record, size) = record(row, run, seq);
        items.push(record);
        bytes += size;
        expected = seq + 1;
    }
    Ok(Chunk { items, next: None })
}

/// The record of a row, and how long its text is.
fn record(row: &Row<'_>, run: &RunId, seq: u64) -> (Result<Record>, usize) {
    let spoilt = |error: Box<dyn std::error::Error + Send + Sync>| {
        malformed("events", format!("record {seq} of run {run} cannot be read"), error)
    };
    let read = || -> Result<(Timestamp, Event, usize), Box<dyn std::error::Error + Send + Sync>> {
        let at = row.get_ref(1)?.as_str()?.parse()?;
        // A damaged page may hold anything: text that is no UTF-8 is no reason to stop.
        let text = row.get_ref(2)?.as_bytes()?;
        Ok((at, serde_json::from_slice(text)?, text.len()))
    };
    match read() {
        Ok((at, event, size)) => (Ok(Record::new(seq, at, event)), size),
        Err(error) => (Err(spoilt(error)), 0),
    }
}

pub(super) fn runs(connection: &Connection) -> Result<Vec<Result<RunId>>> {
    let sql = "SELECT id, run FROM runs ORDER BY id";
    all("runs", connection, sql, [], |row| {
        let (id, run): (i64, String) = (row.get(0)?, row.get(1)?);
        let unreadable = |error| malformed("runs", format!("the name of run no. {id}"), error);
        Ok(RunId::new(run).map_err(unreadable))
    })
}

pub(super) fn head(connection: &Connection, run: &RunId) -> Result<RunHead> {
    let Stored { id, begun_at, lease } = stored("head", connection, run)?;
    let sql = "SELECT seq, at, event FROM records WHERE run = ?1 ORDER BY seq DESC LIMIT 1";
    let last = one("head", connection, sql, [id], |row| {
        let seq = row.get(0)?;
        Ok(record(row, run, seq).0)
    })?;
    let last = last.transpose()?;
    let records = last.as_ref().map_or(0, |record| record.seq + 1);
    Ok(RunHead::new(begun_at, lease, records, last))
}

pub(super) fn order(connection: &Connection, record: &OrderRecord) -> Result<()> {
    let run = record.order.run();
    if let Some(run) = run {
        stored("order", connection, run)?;
    }
    let sql = "INSERT INTO orders (run, record) VALUES (?1, ?2)";
    let row = params![run.map(RunId::as_str), json("order", record)?];
    execute("order", connection, sql, row).map(drop)
}

pub(super) fn orders(connection: &Connection, run: &RunId) -> Result<Vec<OrderRecord>> {
    let sql = "SELECT id, record FROM orders WHERE run IS NULL OR run = ?1 ORDER BY id";
    let texts = all("orders", connection, sql, [run.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    // One that cannot be read may be the one that says stop.
    texts.iter().map(|(id, text)| parse("orders", || format!("order no. {id}"), text)).collect()
}

pub(super) fn claim(
    connection: &Connection,
    lease: &RunLease,
    nodes: &[NodeId],
) -> Result<PerNode<NodeLease>> {
    let Stored { id, .. } = owned("claim", connection, lease)?;
    let held = "SELECT claims.fence, claims.run, runs.run FROM claims
                JOIN runs ON runs.id = claims.run WHERE node = ?1";
    let insert = "INSERT INTO claims (node, run) VALUES (?1, ?2)";
    let mut claims = Vec::with_capacity(nodes.len());
    for node in nodes {
        let key = node.canonical();
        let holder = one("claim", connection, held, [&key], |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        })?;
        let claim = match holder {
            Some((fence, run, _)) if run == id => Ok(fence),
            Some((_, _, run)) => {
                let message = format!("run {run} holds it");
                Err(Error::new(ErrorKind::Conflict, SQLITE, "claim", message)
                    .with_node(node.clone()))
            }
            None => {
                execute("claim", connection, insert, params![key, id])?;
                Ok(connection.last_insert_rowid().unsigned_abs())
            }
        };
        let claim = claim.map(|fence| NodeLease::new(node.clone(), lease.run.clone(), fence));
        claims.push((node.clone(), claim));
    }
    Ok(claims)
}

pub(super) fn unclaim(connection: &Connection, lease: &RunLease, nodes: &[NodeId]) -> Result<()> {
    let Stored { id, .. } = owned("unclaim", connection, lease)?;
    for node in nodes {
        let sql = "DELETE FROM claims WHERE node = ?1 AND run = ?2";
        execute("unclaim", connection, sql, params![node.canonical(), id])?;
    }
    Ok(())
}

fn stored(operation: &'static str, connection: &Connection, run: &RunId) -> Result<Stored> {
    let sql = "SELECT id, begun_at, lease FROM runs WHERE run = ?1";
    let row = one(operation, connection, sql, [run.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    })?;
    let (id, begun_at, lease) = row.ok_or_else(|| Error::not_found(SQLITE, operation, run))?;
    let begun_at = begun_at.parse().map_err(|error: jiff::Error| {
        malformed(operation, format!("the time of run {run}"), error)
    })?;
    let lease = parse(operation, || format!("the lease of run {run}"), &lease)?;
    Ok(Stored { id, begun_at, lease })
}

/// The run, if the lease is still its newest.
fn owned(operation: &'static str, connection: &Connection, lease: &RunLease) -> Result<Stored> {
    let stored = stored(operation, connection, &lease.run)?;
    if stored.lease.fence == lease.fence {
        return Ok(stored);
    }
    let message = format!("run {} was taken over by {}", lease.run, stored.lease.holder);
    Err(Error::new(ErrorKind::Conflict, SQLITE, operation, message))
}

fn set_lease(
    operation: &'static str,
    connection: &Connection,
    id: i64,
    lease: &RunLease,
) -> Result<()> {
    let sql = "UPDATE runs SET fence = ?2, lease = ?3 WHERE id = ?1";
    execute(operation, connection, sql, params![id, lease.fence, json(operation, lease)?]).map(drop)
}

pub(super) fn execute(
    operation: &'static str,
    connection: &Connection,
    sql: &str,
    row: impl rusqlite::Params,
) -> Result<usize> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(row))
        .map_err(|error| classify(operation, &Arc::new(error)))
}

fn one<T>(
    operation: &'static str,
    connection: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(with, read).optional())
        .map_err(|error| classify(operation, &Arc::new(error)))
}

fn all<T>(
    operation: &'static str,
    connection: &Connection,
    sql: &str,
    with: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(with, read)?.collect())
        .map_err(|error| classify(operation, &Arc::new(error)))
}

pub(super) fn json(operation: &'static str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::invalid(SQLITE, operation, "what is to be written is not JSON").with_source(error)
    })
}

fn parse<T: DeserializeOwned>(
    operation: &'static str,
    what: impl FnOnce() -> String,
    text: &str,
) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| malformed(operation, format!("{} cannot be read", what()), error))
}

/// `at` plus `by`, or the end of time.
fn later(at: Timestamp, by: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}
