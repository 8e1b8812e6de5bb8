//! The configuration file.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use patchkit_core::{
    AccessGrant, Amount, FreezeCalendar, NodeSelector, Rollout, Schedule, ScheduleFinding,
    ScheduleLint, ScheduledFleet, Timetable, Wave, WaveMembers, ZoneName,
    workflow::{AccessMode, PatchOptions, RequiredTags, TagMode},
};
use patchkit_examples::{Failure, printable, tell};
use serde::{Deserialize, Deserializer};

use super::job::{Job, Task};

/// What a daemon does, and where it remembers it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The journal: a SQLite file.
    pub(crate) journal: PathBuf,
    /// Where health and metrics are served.
    #[serde(default = "listen")]
    pub(crate) listen: SocketAddr,
    /// The name under which this daemon holds its runs: one for each daemon of a journal.
    #[serde(default = "holder")]
    pub(crate) holder: String,
    /// The time zone of the schedules.
    #[serde(default = "ZoneName::utc")]
    zone: ZoneName,
    /// An occurrence that was missed is made up for where it is no older than this.
    #[serde(default)]
    pub(crate) catch_up: SignedDuration,
    /// How long what is under way is waited for on SIGTERM.
    #[serde(default = "drain")]
    pub(crate) drain: SignedDuration,
    /// A calendar of days on which nothing is patched.
    freezes: Option<PathBuf>,
    pub(crate) fleet: FleetConfig,
    scan: Option<ScanConfig>,
    access: Option<AccessConfig>,
    tags: Option<TagConfig>,
    patch: Option<PatchConfig>,
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 9464))
}

fn holder() -> String {
    "patchd".to_owned()
}

fn drain() -> SignedDuration {
    SignedDuration::from_mins(30)
}

/// What is patched.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum FleetConfig {
    /// A fleet in memory, for a look at it.
    Memory {
        seed: u64,
        nodes: usize,
        /// How many times as fast its time passes.
        #[serde(default = "one")]
        speed: u32,
    },
    /// Accounts and Regions of AWS, by the usual credential chain.
    #[cfg(feature = "aws")]
    Aws {
        #[serde(default)]
        accounts: Vec<patchkit_core::AccountId>,
        #[serde(default)]
        organization: bool,
        role: Option<String>,
        #[serde(default)]
        regions: Vec<patchkit_core::Region>,
    },
    /// Subscriptions of Azure, by the usual credentials.
    #[cfg(feature = "azure")]
    Azure {
        #[serde(default)]
        subscriptions: Vec<patchkit_core::AccountId>,
    },
}

fn one() -> u32 {
    1
}

type TagValues = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScanConfig {
    schedule: Schedule,
    /// Only nodes with these tags.
    #[serde(default)]
    select: TagValues,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessConfig {
    schedule: Schedule,
    #[serde(default)]
    select: TagValues,
    /// The instance profile for those that have none; without it access is only checked.
    instance_profile: Option<String>,
    /// The policy for roles that lack permissions.
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TagConfig {
    schedule: Schedule,
    #[serde(default)]
    select: TagValues,
    /// Tags that are added where they are missing, with their values.
    #[serde(default)]
    defaults: TagValues,
    /// Tags that must be there, of whatever value.
    #[serde(default)]
    names: Vec<String>,
    /// Whether missing tags are only told, which is the default, or added.
    #[serde(default)]
    mode: TagWriting,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TagWriting {
    #[default]
    Check,
    Merge,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchConfig {
    schedule: Schedule,
    /// So many days after each time of a cron expression.
    #[serde(default)]
    offset_days: u8,
    #[serde(default)]
    select: TagValues,
    /// Stopped nodes with these tags are started, and stopped again.
    #[serde(default)]
    start: TagValues,
    /// How long the window is open.
    window: SignedDuration,
    /// How long before its end nothing new is begun.
    #[serde(default)]
    cutoff: SignedDuration,
    /// How many nodes of a wave are out of work at once.
    #[serde(default = "tenth", deserialize_with = "amount")]
    disruption: Amount,
    /// How many failures are borne.
    #[serde(default = "none", deserialize_with = "amount")]
    errors: Amount,
    /// The size of a first wave; none of all.
    #[serde(default = "none", deserialize_with = "amount")]
    canary: Amount,
    /// How long the first wave is watched.
    #[serde(default)]
    bake: SignedDuration,
}

fn tenth() -> Amount {
    Amount::Percent(10)
}

fn none() -> Amount {
    Amount::Fixed(0)
}

/// `5`, `"5"` or `"10%"`.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u32),
        Text(String),
    }
    match Written::deserialize(deserializer)? {
        Written::Number(number) => Ok(Amount::Fixed(number)),
        Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::new(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let config: Self = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if config.jobs().map_err(|error| wrong(error.to_string()))?.is_empty() {
            return Err(wrong(
                "there is nothing to do: no [scan], [access], [tags] or [patch]".into(),
            ));
        }
        Ok(config)
    }

    /// What is to be done, and when.
    pub(crate) fn jobs(&self) -> Result<Vec<Job>, Box<dyn std::error::Error>> {
        let mut jobs = Vec::new();
        let mut add = |name, schedule: &Schedule, offset_days, task| {
            let mut timetable = Timetable::of_schedule(schedule.clone(), self.zone.clone());
            if matches!(schedule, Schedule::Rate { .. }) {
                // Counted from one moment, whenever the daemon was started.
                timetable = timetable.with_start(Timestamp::UNIX_EPOCH);
            }
            if offset_days > 0 {
                timetable = timetable.with_offset_days(offset_days);
            }
            // A schedule that cannot be followed is known before anything is done.
            timetable.next_after(Timestamp::UNIX_EPOCH)?;
            jobs.push(Job { name, timetable, task });
            Ok::<_, patchkit_core::Error>(())
        };
        // The first of those that are due at one time goes first.
        if let Some(it) = &self.patch {
            let window = span("[patch] window", it.window)?;
            let cutoff = span("[patch] cutoff", it.cutoff)?;
            let task = Task::Patch { options: Box::new(it.options()?), window, cutoff };
            add("patch", &it.schedule, it.offset_days, task)?;
        }
        if let Some(it) = &self.scan {
            add("scan", &it.schedule, 0, Task::Scan(selector(&it.select)))?;
        }
        if let Some(it) = &self.access {
            let mode = match (&it.instance_profile, &it.policy) {
                (None, None) => AccessMode::Check,
                (None, Some(_)) => {
                    return Err("[access]: a policy needs an instance_profile".into());
                }
                (Some(profile), policy) => {
                    let grant = AccessGrant::new(profile);
                    AccessMode::Fix(match policy {
                        Some(policy) => grant.with_policy(policy),
                        None => grant,
                    })
                }
            };
            add("access", &it.schedule, 0, Task::Access(selector(&it.select), mode))?;
        }
        if let Some(it) = &self.tags {
            let defaults = it.defaults.iter();
            let required = defaults
                .fold(RequiredTags::new(), |tags, (key, value)| tags.with_default(key, value));
            let required = it.names.iter().fold(required, RequiredTags::with_name);
            let mode = match it.mode {
                TagWriting::Check => TagMode::Check,
                TagWriting::Merge => TagMode::Merge,
            };
            add("tags", &it.schedule, 0, Task::Tags(selector(&it.select), required, mode))?;
        }
        Ok(jobs)
    }

    /// What the schedules do to each other.
    pub(crate) fn lint(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ScheduleFinding>, Box<dyn std::error::Error>> {
        let mut lint = ScheduleLint::new(from, until);
        if let Some(freezes) = self.freezes(from, until)? {
            lint = lint.with_freezes(freezes);
        }
        let fleets = self.jobs()?.into_iter().filter_map(|job| match job.task {
            Task::Patch { window, cutoff, .. } => {
                Some(ScheduledFleet::new(job.name, job.timetable, window).with_cutoff(cutoff))
            }
            _ => None,
        });
        Ok(lint.lint(&fleets.collect::<Vec<_>>()))
    }

    /// When nothing is patched.
    pub(crate) fn freezes(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<FreezeCalendar>, Box<dyn std::error::Error>> {
        let Some(path) = &self.freezes else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        let calendar = FreezeCalendar::from_ical(&text, &self.zone.find()?, from, until)?;
        for problem in &calendar.problems {
            tell(&printable(&format!("{}: {problem}", path.display())));
        }
        Ok(Some(calendar))
    }
}

impl PatchConfig {
    fn options(&self) -> Result<PatchOptions, Failure> {
        let mut rollout = Rollout::new().with_disruption(self.disruption).with_errors(self.errors);
        if self.canary != none() {
            let bake = span("[patch] bake", self.bake)?;
            rollout = rollout
                .with_wave(Wave::new("canary", WaveMembers::Amount(self.canary)).with_bake(bake))
                .with_wave(Wave::new("fleet", WaveMembers::Rest));
        }
        let options = PatchOptions::new(selector(&self.select)).with_rollout(rollout);
        Ok(if self.start.is_empty() { options } else { options.with_start(selector(&self.start)) })
    }
}

pub(crate) fn span(name: &str, span: SignedDuration) -> Result<Duration, Failure> {
    Duration::try_from(span).map_err(|_| Failure::new(format!("{name}: {span:#} is negative")))
}

fn selector(tags: &TagValues) -> NodeSelector {
    tags.iter().fold(NodeSelector::all(), |all, (key, value)| all.with_tag(key, [value]))
}
