//! Asks whether all is well after a wave, and while it is watched.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{NodeReport, Runner, patch::Progressing};
use crate::{Event, Result, RunId, operator::Plain};

/// How often a check that fails is asked again before its answer is not known, and the pause before.
const RETRIES: u32 = 2;
const PAUSE: Duration = Duration::from_secs(30);

/// Whether what a wave touched does its work.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Health {
    /// It does.
    Healthy,
    /// It does not, and why.
    Unhealthy(String),
    /// It could not be found out, and why.
    Unknown(String),
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Unhealthy(reason) => write!(f, "UNHEALTHY: {}", Plain(reason)),
            Self::Unknown(reason) => write!(f, "of unknown health: {}", Plain(reason)),
        }
    }
}

/// A wave that a check of health is asked about.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WaveSoFar<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The wave's place in the plan, from 0.
    pub wave: u32,
    /// Its name.
    pub name: &'a str,
    /// Its nodes, and how they ended.
    pub nodes: Vec<&'a NodeReport>,
}

/// Tells whether what a wave touched does its work: the embedder's own monitoring.
///
/// # Behavior
/// - It is asked after each wave, and every minute while the wave is watched.
/// - An answer other than `Healthy` stops the run: nothing more is begun. The answer is in the report
///   and in the journal, and a run that is resumed goes by it.
/// - An error, or no answer within [`Limits::health`](super::Limits::health), is asked for again
///   twice. Then nobody knows, which stops the run as well.
///
/// ```
/// use patchkit_core::{Health, Result, workflow::{HealthCheck, WaveSoFar}};
///
/// #[derive(Debug)]
/// struct NoFailures;
///
/// #[async_trait::async_trait]
/// impl HealthCheck for NoFailures {
///     async fn check(&self, wave: &WaveSoFar<'_>) -> Result<Health> {
///         let bad = wave.nodes.iter().find(|node| !node.outcome.outcome.is_good());
///         Ok(bad.map_or(Health::Healthy, |bad| Health::Unhealthy(bad.node.to_string())))
///     }
/// }
/// ```
#[async_trait]
pub trait HealthCheck: fmt::Debug + Send + Sync + 'static {
    /// Asks after the nodes of a wave.
    ///
    /// # Behavior
    /// - It only looks, and may be asked at any time.
    ///
    /// # Errors
    /// Whatever keeps it from knowing.
    async fn check(&self, wave: &WaveSoFar<'_>) -> Result<Health>;
}

impl Runner {
    /// Asks `check` after each wave, and while a wave is watched.
    #[must_use]
    pub fn with_health_check(mut self, check: impl HealthCheck) -> Self {
        self.health = Some(Arc::new(check));
        self
    }

    /// Asks after a wave that is over, writes the answer down, and stops the run unless it is healthy.
    pub(super) async fn judge(&self, going: &mut Progressing<'_>, at: usize) {
        let Some(health) = self.health_of(going, at).await else { return };
        going.judge(at, &health);
        let wave = u32::try_from(at).unwrap_or(u32::MAX);
        going.log.note(&[Event::WaveJudged { wave, health }]).await;
    }

    /// Asks again while the wave is watched: only what stops the run is written down.
    pub(super) async fn judge_again(&self, going: &mut Progressing<'_>, at: usize) {
        match self.health_of(going, at).await {
            None | Some(Health::Healthy) => {}
            Some(health) => {
                going.judge(at, &health);
                let wave = u32::try_from(at).unwrap_or(u32::MAX);
                going.log.note(&[Event::WaveJudged { wave, health }]).await;
            }
        }
    }

    async fn health_of(&self, going: &Progressing<'_>, at: usize) -> Option<Health> {
        let (check, wave) = (self.health.as_ref()?, going.plan.waves.get(at)?);
        let run = going.log.run();
        let so_far = WaveSoFar {
            run: &run,
            wave: u32::try_from(at).unwrap_or(u32::MAX),
            name: &wave.name,
            nodes: wave.nodes.iter().filter_map(|node| going.reports.get(node)).collect(),
        };
        let mut tries = 0;
        loop {
            let asked = self.within(going.log, self.limits.health, check.check(&so_far)).await;
            let reason = match asked {
                Some(Ok(health)) => return Some(health),
                Some(Err(error)) => error.report(),
                None => format!("no answer in {} s", self.limits.health.as_secs()),
            };
            if tries == RETRIES {
                return Some(Health::Unknown(reason));
            }
            tries += 1;
            self.clock.sleep(PAUSE).await;
        }
    }
}

impl Progressing<'_> {
    /// Goes by what a check said of a wave.
    pub(super) fn judge(&mut self, at: usize, health: &Health) {
        self.judged.insert(at);
        if *health == Health::Healthy || self.stopped.is_some() {
            return;
        }
        let name = self.plan.waves.get(at).map_or("", |wave| wave.name.as_str());
        let reason = format!("wave {name:?} is {health}");
        self.log.problem(reason.clone());
        self.stopped = Some(reason);
    }
}
