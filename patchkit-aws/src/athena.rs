//! Amazon Athena: SQL over a lake in S3, past one machine.

use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_athena::types::{
    QueryExecution, QueryExecutionContext, QueryExecutionState, QueryExecutionStatistics,
    ResultConfiguration, Row, StatementType,
};
use futures::{TryStreamExt, stream::BoxStream};
use patchkit_core::{
    Error, ErrorKind, PollPolicy, Polled, Result, Retry, WaitError, paginate, wait_until,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::{
    Ssm,
    client::Client,
    error::{PROVIDER, invalid, malformed},
};

const START: &str = "StartQueryExecution";
const READ: &str = "GetQueryExecution";
const RESULTS: &str = "GetQueryResults";
const STOP: &str = "StopQueryExecution";

/// The largest page of rows (Athena API reference, GetQueryResults).
const PAGE: i32 = 1_000;

/// Lengths of a client request token (Athena API reference, StartQueryExecution).
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 32..=128;

/// The least that a query is charged for (Athena pricing page: 10 MB).
const LEAST_BYTES: u64 = 10 << 20;

/// Where queries run, and where their results go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AthenaOptions {
    /// The workgroup; `primary` where none is given.
    pub workgroup: Option<String>,
    /// The database that names without one are in.
    pub database: Option<String>,
    /// Where Athena writes results, `s3://bucket/prefix/`; the workgroup's own place where none is
    /// given.
    pub output: Option<String>,
    /// How often a running query is asked for, and for how long.
    pub poll: PollPolicy,
}

impl Default for AthenaOptions {
    /// The workgroup's own ways, asked for every second at first, and for half an hour: as long as
    /// Athena lets a query run by default (Athena user guide, "Service quotas").
    fn default() -> Self {
        let poll = PollPolicy::new(Duration::from_mins(30))
            .with_interval(Duration::from_secs(1), Duration::from_secs(15));
        Self { workgroup: None, database: None, output: None, poll }
    }
}

impl AthenaOptions {
    /// Runs queries in this workgroup.
    #[must_use]
    pub fn with_workgroup(mut self, name: impl Into<String>) -> Self {
        self.workgroup = Some(name.into());
        self
    }

    /// Looks for tables in this database.
    #[must_use]
    pub fn with_database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// Has results written here.
    #[must_use]
    pub fn with_output(mut self, location: impl Into<String>) -> Self {
        self.output = Some(location.into());
        self
    }

    /// Asks so often, and for so long.
    #[must_use]
    pub fn with_poll(mut self, poll: PollPolicy) -> Self {
        self.poll = poll;
        self
    }
}

/// A query that was submitted.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct AthenaQueryId(Box<str>);

impl AthenaQueryId {
    /// The id, as [`Athena::submit`] gave it in an earlier life of the process.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AthenaQueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How far a query is, and what it has taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AthenaQuery {
    /// Its id.
    pub id: AthenaQueryId,
    /// How far it is.
    pub state: AthenaState,
    /// Why it is in that state, where the service says.
    pub reason: Option<String>,
    /// How many bytes it has scanned.
    pub scanned_bytes: u64,
    /// How long it has run, without waiting in line.
    pub ran_for: Duration,
    /// Whether its rows begin with the names of the columns.
    has_header: bool,
}

impl AthenaQuery {
    /// What it costs at a price for a terabyte, in that price's currency, by the bytes it scanned: in
    /// whole megabytes, ten at least (Athena pricing page). An estimate: workgroups with capacity of
    /// their own, failed queries and statements that scan nothing cost nothing.
    pub fn cost(&self, price_per_terabyte: f64) -> f64 {
        const MEGABYTE: u64 = 1 << 20;
        if self.scanned_bytes == 0 {
            return 0.0;
        }
        let megabytes = self.scanned_bytes.max(LEAST_BYTES).div_ceil(MEGABYTE);
        #[expect(clippy::cast_precision_loss, reason = "a price is not exact to the megabyte")]
        let terabytes = megabytes as f64 / MEGABYTE as f64;
        terabytes * price_per_terabyte
    }
}

/// The states of a query.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum AthenaState {
    /// It waits in line.
    Queued,
    /// It runs.
    Running,
    /// It is done.
    Succeeded,
    /// It failed.
    Failed,
    /// It was stopped.
    Cancelled,
    /// A state that PatchKit does not know.
    Other(Box<str>),
}

impl From<&QueryExecutionState> for AthenaState {
    fn from(told: &QueryExecutionState) -> Self {
        match told {
            QueryExecutionState::Queued => Self::Queued,
            QueryExecutionState::Running => Self::Running,
            QueryExecutionState::Succeeded => Self::Succeeded,
            QueryExecutionState::Failed => Self::Failed,
            QueryExecutionState::Cancelled => Self::Cancelled,
            other => Self::Other(other.as_str().into()),
        }
    }
}

/// The rows of a query, and what it took.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AthenaAnswer {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows; every value is text, as Athena gives it, or null.
    pub rows: Vec<Vec<Option<String>>>,
    /// What it took.
    pub query: AthenaQuery,
}

/// One page of rows is a row each; the first of a selection has the columns' names.
type Values = Vec<Option<String>>;

/// Athena in the account and Region of a provider.
///
/// What IAM must allow is in [`Feature::Athena`](crate::Feature::Athena), and for statements that make
/// tables and views in [`Feature::AthenaWrite`](crate::Feature::AthenaWrite). `patchkit-inventory` makes
/// these statements for a lake; its view `nodes` knows fewer nodes here than a listing of the lake does.
///
/// # Example
/// ```no_run
/// # async fn example(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
/// use patchkit_aws::AthenaOptions;
///
/// let athena = ssm.athena(AthenaOptions::default().with_database("fleet"));
/// let sql = "SELECT status, count(*) FROM patch_compliance GROUP BY status";
/// let answer = athena.query(sql).await?;
/// println!("{} rows for about ${:.4}", answer.rows.len(), answer.query.cost(5.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Athena {
    client: Arc<Client>,
    options: AthenaOptions,
}

impl Ssm {
    /// Athena, with this provider's credentials.
    pub fn athena(&self, options: AthenaOptions) -> Athena {
        Athena { client: Arc::clone(&self.client), options }
    }
}

impl Athena {
    /// Submits a query, and does not wait for it.
    ///
    /// # Behavior
    /// - The token makes it one query however often it is submitted: the same token and text give the
    ///   same id, also after a lost answer or in another process.
    ///
    /// # Errors
    /// `InvalidInput` (the token is not of 32 to 128 characters, or was used for another text),
    /// `PermissionDenied`, `Throttled`.
    pub async fn submit(&self, sql: &str, token: &str) -> Result<AthenaQueryId> {
        if !TOKEN_CHARS.contains(&token.chars().count()) {
            return Err(invalid(START, "a client request token has 32 to 128 characters"));
        }
        let context = self
            .options
            .database
            .as_ref()
            .map(|database| QueryExecutionContext::builder().database(database).build());
        let output = self
            .options
            .output
            .as_ref()
            .map(|location| ResultConfiguration::builder().output_location(location).build());
        let request = self
            .client
            .athena()
            .start_query_execution()
            .query_string(sql)
            .client_request_token(token)
            .set_query_execution_context(context)
            .set_result_configuration(output)
            .set_work_group(self.options.workgroup.clone());
        // With its token it comes to the same when it is sent again.
        let answer = self.client.read(START, request.send()).await?;
        let id = answer.query_execution_id.filter(|id| !id.is_empty());
        id.map(AthenaQueryId::new).ok_or_else(|| malformed(START, "the answer has no query id"))
    }

    /// Says how far a query is.
    ///
    /// # Errors
    /// `InvalidInput` (no such query), `PermissionDenied`, `Throttled`, `Malformed`.
    pub async fn state(&self, id: &AthenaQueryId) -> Result<AthenaQuery> {
        self.execution(id).await.map(|(query, _)| query)
    }

    /// Waits until a query is done.
    ///
    /// # Errors
    /// - `InvalidInput`: it failed for what it asks; the service's reason is the message.
    /// - `Unexpected`: it failed for want of something of the service's, and may be submitted again
    ///   where the error is retryable.
    /// - `Conflict`: it was stopped. `Timeout`: the policy's time is up, and it goes on.
    pub async fn wait(&self, id: &AthenaQueryId) -> Result<AthenaQuery> {
        let clock = Arc::clone(&self.client.clock);
        let waited = wait_until(&*clock, &self.options.poll, async || {
            let (query, failure) = self.execution(id).await?;
            Ok(match query.state {
                AthenaState::Succeeded => Polled::Ready(Ok(query)),
                AthenaState::Failed => Polled::Ready(Err(failure)),
                AthenaState::Cancelled => Polled::Failed(format!("query {id} was stopped")),
                AthenaState::Queued | AthenaState::Running | AthenaState::Other(_) => {
                    Polled::Pending
                }
            })
        });
        match waited.await {
            Ok(done) => done,
            Err(WaitError::Exceeded { waited, .. }) => {
                let message = format!("query {id} is not done after {} s", waited.as_secs());
                Err(Error::new(ErrorKind::Timeout, PROVIDER, READ, message))
            }
            Err(error) => Err(error.into_error(PROVIDER, READ)),
        }
    }

    /// The rows of a query that is done, page by page as they are asked for; of a selection without
    /// the names of the columns.
    ///
    /// # Errors
    /// `InvalidInput` (it is not done, or its results are gone), `PermissionDenied`, `Throttled`.
    pub fn rows(&self, query: &AthenaQuery) -> BoxStream<'static, Result<Vec<Option<String>>>> {
        let skipped = usize::from(query.has_header);
        let rows = self.values(query.id.clone());
        Box::pin(futures::StreamExt::skip(rows, skipped))
    }

    /// Submits a query, waits for it and reads its rows.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), [`wait`](Self::wait) and [`rows`](Self::rows).
    ///
    /// # Cancellation
    /// Dropping the future stops the query, where a tokio runtime is there to carry the call. Where
    /// the waiting fails it is stopped too: nobody is left who would read what it costs.
    pub async fn query(&self, sql: &str) -> Result<AthenaAnswer> {
        let token = self.token(sql);
        let id = self.submit(sql, &token).await?;
        let running = Running { athena: self.clone(), id: Some(id.clone()) };
        let query = self.wait(&id).await?;
        running.done();
        let mut rows: Vec<Values> = self.values(id).try_collect().await?;
        let columns = if query.has_header && !rows.is_empty() {
            rows.remove(0).into_iter().map(Option::unwrap_or_default).collect()
        } else {
            Vec::new()
        };
        Ok(AthenaAnswer { columns, rows, query })
    }

    /// Stops a query; one that is done already is none the worse for it.
    ///
    /// # Errors
    /// `InvalidInput` (no such query), `PermissionDenied`, `Throttled`.
    pub async fn stop(&self, id: &AthenaQueryId) -> Result<()> {
        let request = self.client.athena().stop_query_execution().query_execution_id(id.as_str());
        self.client.read(STOP, request.send()).await.map(drop)
    }

    async fn execution(&self, id: &AthenaQueryId) -> Result<(AthenaQuery, Error)> {
        let request = self.client.athena().get_query_execution().query_execution_id(id.as_str());
        let answer = self.client.read(READ, request.send()).await?;
        let told = answer.query_execution();
        let told = told.ok_or_else(|| malformed(READ, "the answer has no query"))?;
        let query = query(id, told)?;
        let failure = failure(&query, told);
        Ok((query, failure))
    }

    fn values(&self, id: AthenaQueryId) -> BoxStream<'static, Result<Values>> {
        let client = Arc::clone(&self.client);
        paginate(PROVIDER, RESULTS, move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let request = client
                    .athena()
                    .get_query_results()
                    .query_execution_id(id.as_str())
                    .max_results(client.page.within(1, PAGE))
                    .set_next_token(token);
                let page = client.read(RESULTS, request.send()).await?;
                let rows = page.result_set.and_then(|set| set.rows).unwrap_or_default();
                Ok((rows.into_iter().map(values).collect(), page.next_token))
            }
        })
    }

    /// A token that no other query has: of what is asked, where and when.
    fn token(&self, sql: &str) -> String {
        let now = self.client.now().as_nanosecond();
        // Two queries of one text may be submitted at one moment of a virtual clock.
        let nonce = uuid::Uuid::new_v4();
        let asked = format!("{}\0{now}\0{nonce}\0{sql}", self.client.scope);
        Sha256::digest(asked.as_bytes()).iter().fold(String::new(), |mut token, byte| {
            let _ = fmt::Write::write_fmt(&mut token, format_args!("{byte:02x}"));
            token
        })
    }
}

fn query(id: &AthenaQueryId, told: &QueryExecution) -> Result<AthenaQuery> {
    let status = told.status().ok_or_else(|| malformed(READ, "a query has no status"))?;
    let state = status.state().ok_or_else(|| malformed(READ, "a query has no state"))?;
    let number = |number: Option<i64>| number.and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
    let statistics = told.statistics();
    Ok(AthenaQuery {
        id: id.clone(),
        state: state.into(),
        reason: status.state_change_reason().map(str::to_owned),
        scanned_bytes: number(statistics.and_then(QueryExecutionStatistics::data_scanned_in_bytes)),
        ran_for: Duration::from_millis(number(
            statistics.and_then(QueryExecutionStatistics::engine_execution_time_in_millis),
        )),
        // Of a SELECT alone the first row has the names (Athena user guide, "Work with query results
        // and recent queries"); SHOW and DESCRIBE are utilities.
        has_header: !matches!(
            told.statement_type(),
            Some(StatementType::Ddl | StatementType::Utility)
        ),
    })
}

/// Why a query failed, for whoever asked. Athena API reference, AthenaError: category 1 is the
/// system's fault, 2 the user's.
fn failure(query: &AthenaQuery, told: &QueryExecution) -> Error {
    let cause = told.status().and_then(|status| status.athena_error());
    let reason = query.reason.as_deref().unwrap_or("no reason was given");
    let message = format!("query {} failed: {reason}", query.id);
    match cause {
        Some(cause) if cause.error_category() == Some(1) => {
            let retry = if cause.retryable() { Retry::Backoff } else { Retry::Never };
            Error::new(ErrorKind::Unexpected, PROVIDER, READ, message).with_retry(retry)
        }
        _ => invalid(READ, message),
    }
}

fn values(row: Row) -> Values {
    row.data.unwrap_or_default().into_iter().map(|datum| datum.var_char_value).collect()
}

/// A query that somebody waits for; it is stopped when he no longer does.
struct Running {
    athena: Athena,
    id: Option<AthenaQueryId>,
}

impl Running {
    fn done(mut self) {
        self.id = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing can be awaited here, and a query that nobody waits for goes on to cost: so this one
        // call is given to the runtime. Without one it ends by itself, at the workgroup's limit.
        if let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) {
            let athena = self.athena.clone();
            runtime.spawn(async move {
                // Whoever could be told of an error has gone.
                let _ = athena.stop(&id).await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(bytes: u64) -> AthenaQuery {
        AthenaQuery {
            id: AthenaQueryId::new("q"),
            state: AthenaState::Succeeded,
            reason: None,
            scanned_bytes: bytes,
            ran_for: Duration::ZERO,
            has_header: true,
        }
    }

    #[test]
    fn a_query_costs_by_the_megabyte_and_ten_at_least() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(scanned(0).cost(5.0), 0.0));
        assert!(close(scanned(1).cost(5.0), scanned(10 << 20).cost(5.0)));
        assert!(close(scanned(1 << 40).cost(5.0), 5.0));
        assert!(scanned((11 << 20) + 1).cost(5.0) > scanned(11 << 20).cost(5.0));
    }
}
