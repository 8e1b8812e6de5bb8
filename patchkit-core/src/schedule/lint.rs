//! What is wrong with a set of schedules, found before they come.

mod finding;

use std::{collections::BTreeSet, time::Duration};

use jiff::{Timestamp, civil::DateTime};

pub use self::finding::{ClockChange, ScheduleFinding};
use super::{MaintenanceWindow, OnWall, RateUnit, Recurs, Schedule, Timetable};
use crate::{Amount, FreezeCalendar, ManagedNode, NodeId, Result, clock::later};

#[cfg(test)]
mod tests;

/// A schedule, and the nodes that it patches.
///
/// # Example
/// See [`ScheduleLint`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScheduledFleet {
    /// The schedule's name, by which findings call it.
    pub name: String,
    /// When its windows open.
    pub timetable: Timetable,
    /// How long they are open.
    pub duration: Duration,
    /// How long before their end nothing new may start.
    pub cutoff: Duration,
    /// The nodes that are patched.
    pub nodes: BTreeSet<NodeId>,
    /// Other ids of the same machines, under other control planes.
    pub also: BTreeSet<NodeId>,
    /// The environments that they are of.
    pub environments: BTreeSet<String>,
    /// How fast they are patched, where that is known.
    pub pace: Option<Pace>,
}

/// How fast a fleet is patched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// How long one node takes, with its reboot.
    pub each: Duration,
    /// How many nodes are patched at once.
    pub at_once: Amount,
}

impl ScheduledFleet {
    /// A schedule whose windows are open so long, without nodes.
    pub fn new(name: impl Into<String>, timetable: Timetable, duration: Duration) -> Self {
        Self {
            name: name.into(),
            timetable,
            duration,
            cutoff: Duration::ZERO,
            nodes: BTreeSet::new(),
            also: BTreeSet::new(),
            environments: BTreeSet::new(),
            pace: None,
        }
    }

    /// Sets how long before their end nothing new may start.
    #[must_use]
    pub fn with_cutoff(mut self, cutoff: Duration) -> Self {
        self.cutoff = cutoff;
        self
    }

    /// Adds nodes of one environment.
    #[must_use]
    pub fn with_nodes(
        mut self,
        environment: impl Into<String>,
        nodes: impl IntoIterator<Item = NodeId>,
    ) -> Self {
        self.environments.insert(environment.into());
        self.nodes.extend(nodes);
        self
    }

    /// Adds nodes, each of the environment that its tag of this key names.
    #[must_use]
    pub fn with_managed_nodes<'a>(
        mut self,
        environment_tag: &str,
        nodes: impl IntoIterator<Item = &'a ManagedNode>,
    ) -> Self {
        for node in nodes {
            self.environments.extend(node.tags.get(environment_tag).cloned());
            self.also.extend(node.host().map(|link| link.host.clone()));
            self.nodes.insert(node.id.clone());
        }
        self
    }

    /// Sets how fast they are patched.
    #[must_use]
    pub fn with_pace(mut self, each: Duration, at_once: Amount) -> Self {
        self.pace = Some(Pace { each, at_once });
        self
    }

    /// How long all of its nodes take, so many at once.
    fn needs(&self) -> Option<Duration> {
        let Pace { each, at_once } = self.pace?;
        // Nothing at once never ends, but it is the caller who has to see that.
        let rounds = self.nodes.len().checked_div(at_once.of(self.nodes.len()))?;
        let rest = self.nodes.len() % at_once.of(self.nodes.len());
        let rounds = u32::try_from(rounds + usize::from(rest > 0)).unwrap_or(u32::MAX);
        Some(each.saturating_mul(rounds))
    }

    fn too_short(&self) -> Option<ScheduleFinding> {
        let has = self.duration.saturating_sub(self.cutoff);
        let needs = self.needs().filter(|needs| *needs > has)?;
        let (schedule, nodes) = (self.name.clone(), self.nodes.len());
        Some(ScheduleFinding::TooShort { schedule, nodes, needs, has })
    }

    fn ids(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.iter().chain(&self.also)
    }
}

/// Looks for what is wrong with a set of schedules, between two times.
///
/// # Behavior
/// - A schedule that is wrong spoils nothing but itself, and is reported.
/// - **Overlap**: two schedules are open at once on one node, under whichever of its ids.
/// - **Order**: before each window of an environment, and after its last one, the nearest environment
///   before it that has schedules has had a window that has closed. So production is never given what
///   development has not had. It looks back as far as ahead.
/// - **Length**: nodes ÷ how many at once × how long each takes, against the duration without the cutoff.
/// - **Freezes**: a window of which a part is frozen. Where the calendar does not tell, that is a finding.
/// - **Clocks**: a time on the wall that is skipped or comes twice, and hours that are counted through a
///   change.
/// - What happens in many windows is one finding with the first of them.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use jiff::civil::time;
/// use patchkit_core::{Amount, ScheduleLint, ScheduledFleet, Timetable, ZoneName};
///
/// let hours = |n: u64| Duration::from_secs(n * 3600);
/// let node = |name: &str| format!("aws/111122223333/eu-west-1/{name}").parse();
/// // A trap: in some months the second Wednesday comes before the second Tuesday.
/// let test = Timetable::patch_tuesday(time(2, 0, 0, 0), 0, ZoneName::utc());
/// let live = Timetable::of_schedule("cron(0 2 ? * WED#2 *)".parse()?, ZoneName::utc());
/// let fleets = [
///     ScheduledFleet::new("test", test, hours(2)).with_nodes("dev", [node("i-0a")?]),
///     ScheduledFleet::new("live", live, hours(2))
///         .with_nodes("prod", [node("i-0b")?, node("i-0c")?])
///         .with_pace(hours(2), Amount::Fixed(1)),
/// ];
///
/// let lint = ScheduleLint::new("2026-12-01T00:00:00Z".parse()?, "2027-12-01T00:00:00Z".parse()?)
///     .with_environments(["dev", "prod"]);
/// let findings: Vec<_> = lint.lint(&fleets).iter().map(ToString::to_string).collect();
/// assert_eq!(findings, [
///     "live has 2h for 2 nodes that take 4h",
///     "live patches prod at 2027-09-08T02:00:00Z, which dev has not been patched for, in 1 window",
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScheduleLint {
    /// From when on.
    pub from: Timestamp,
    /// Up to when.
    pub until: Timestamp,
    /// The environments, in the order in which they are patched.
    pub environments: Vec<String>,
    /// When nothing may be patched; no calendar is not looked at.
    pub freezes: Option<FreezeCalendar>,
}

/// Windows of one schedule: every hour for two years, or each five minutes for two months.
const MOST_WINDOWS: usize = 20_000;

/// A schedule with its windows from as long before the start as the end is after it.
struct Seen<'a> {
    fleet: &'a ScheduledFleet,
    windows: Vec<MaintenanceWindow>,
}

impl ScheduleLint {
    /// A look at all from one time to another.
    pub fn new(from: Timestamp, until: Timestamp) -> Self {
        Self { from, until, environments: Vec::new(), freezes: None }
    }

    /// Sets the environments, in the order in which they are patched: development first.
    #[must_use]
    pub fn with_environments<S: Into<String>>(
        mut self,
        order: impl IntoIterator<Item = S>,
    ) -> Self {
        self.environments = order.into_iter().map(Into::into).collect();
        self
    }

    /// Sets when nothing may be patched.
    #[must_use]
    pub fn with_freezes(mut self, calendar: FreezeCalendar) -> Self {
        self.freezes = Some(calendar);
        self
    }

    /// All that is wrong with these schedules.
    pub fn lint(&self, fleets: &[ScheduledFleet]) -> Vec<ScheduleFinding> {
        let mut findings = Vec::new();
        let mut seen = Vec::new();
        for fleet in fleets {
            match self.look(fleet, &mut findings) {
                Ok(windows) => seen.push(Seen { fleet, windows }),
                Err(error) => findings.push(ScheduleFinding::Invalid {
                    schedule: fleet.name.clone(),
                    error: error.report(),
                }),
            }
            findings.extend(fleet.too_short());
        }
        for (at, one) in seen.iter().enumerate() {
            self.check_itself(one, &mut findings);
            findings.extend(seen[at + 1..].iter().filter_map(|other| self.overlap(one, other)));
            findings.extend(self.order(one, &seen));
        }
        if let Some(calendar) = &self.freezes {
            for one in &seen {
                self.check_freezes(one, calendar, &mut findings);
            }
            let unread = |it: &String| ScheduleFinding::FreezeUnread { problem: it.clone() };
            findings.extend(calendar.problems.iter().map(unread));
        }
        findings
    }

    /// The windows of a schedule, and what is wrong with their times.
    fn look(
        &self,
        fleet: &ScheduledFleet,
        findings: &mut Vec<ScheduleFinding>,
    ) -> Result<Vec<MaintenanceWindow>> {
        let (timetable, schedule) = (&fleet.timetable, || fleet.name.clone());
        let rate = match &timetable.recurs {
            Recurs::Schedule { schedule: Schedule::Rate { every, unit }, .. } => {
                Some(unit.duration().saturating_mul(*every))
            }
            _ => None,
        };
        let Some(next) = timetable.next_after(self.from)? else {
            findings.push(ScheduleFinding::NeverAgain { schedule: schedule() });
            return self.before(fleet);
        };
        if rate.is_some() && timetable.starts.is_none() {
            findings.push(ScheduleFinding::Uncounted { schedule: schedule() });
            return Ok(Vec::new());
        }
        let all = timetable.windows(self.from, fleet.duration, fleet.cutoff)?;
        let ahead = all.take_while(|window| window.opens < self.until);
        let mut ahead: Vec<_> = ahead.take(MOST_WINDOWS + 1).collect();
        if let Some(last) = ahead.get(MOST_WINDOWS) {
            let until = last.opens;
            findings.push(ScheduleFinding::TooOften { schedule: schedule(), until });
            ahead.truncate(MOST_WINDOWS);
        }
        let odd = timetable.occurrences(self.from)?.odd_times(self.until);
        for (local, wall) in odd {
            let change = match wall {
                OnWall::Skipped(_) => ClockChange::Skipped,
                OnWall::Twice(_) | OnWall::Once(_) => ClockChange::Repeated,
            };
            findings.push(ScheduleFinding::ClockChange { schedule: schedule(), local, change });
        }
        if rate.is_some_and(|every| every.as_secs() % RateUnit::Day.duration().as_secs() == 0)
            && let Some(local) = shifted(timetable, next, &ahead)?
        {
            let change = ClockChange::Shifted;
            findings.push(ScheduleFinding::ClockChange { schedule: schedule(), local, change });
        }
        let mut windows = self.before(fleet)?;
        windows.append(&mut ahead);
        Ok(windows)
    }

    /// The windows as long before the time that is looked at as that is long.
    fn before(&self, fleet: &ScheduledFleet) -> Result<Vec<MaintenanceWindow>> {
        let back = self.from.checked_sub(self.until.duration_since(self.from));
        let back = back.unwrap_or(Timestamp::MIN);
        let all = fleet.timetable.windows(back, fleet.duration, fleet.cutoff)?;
        Ok(all.take_while(|window| window.opens <= self.from).take(MOST_WINDOWS).collect())
    }

    /// The windows that open within the time that is looked at.
    fn ahead<'a>(&self, seen: &'a Seen<'_>) -> &'a [MaintenanceWindow] {
        let first = seen.windows.partition_point(|it| it.opens <= self.from);
        &seen.windows[first..]
    }

    fn check_itself(&self, one: &Seen<'_>, findings: &mut Vec<ScheduleFinding>) {
        let pairs = self.ahead(one).windows(2);
        let mut early = pairs.filter(|pair| pair[1].opens < pair[0].closes());
        if let Some(first) = early.next() {
            findings.push(ScheduleFinding::OverlapsItself {
                schedule: one.fleet.name.clone(),
                at: first[1].opens,
                times: 1 + early.count(),
            });
        }
    }

    fn overlap(&self, one: &Seen<'_>, other: &Seen<'_>) -> Option<ScheduleFinding> {
        let theirs: BTreeSet<&NodeId> = other.fleet.ids().collect();
        let mut shared = one.fleet.ids().filter(|id| theirs.contains(id));
        let node = shared.next()?.clone();
        let nodes = 1 + shared.count();
        let (mut at, mut times) = (None, 0);
        let mut rest = self.ahead(other);
        for window in self.ahead(one) {
            let closed = rest.partition_point(|it| it.closes() <= window.opens);
            rest = &rest[closed..];
            if let Some(next) = rest.first().filter(|it| it.opens < window.closes()) {
                at.get_or_insert(window.opens.max(next.opens));
                times += 1;
            }
        }
        let schedules = [one.fleet.name.clone(), other.fleet.name.clone()];
        Some(ScheduleFinding::Overlap { schedules, nodes, node, at: at?, times })
    }

    fn order(&self, one: &Seen<'_>, all: &[Seen<'_>]) -> Option<ScheduleFinding> {
        // The last of its environments is the one that waits for all others.
        let rank = self.environments.iter().rposition(|it| one.fleet.environments.contains(it))?;
        let (environment, sooner) = (&self.environments[rank], &self.environments[..rank]);
        let is_of = |it: &Seen<'_>, name: &String| it.fleet.environments.contains(name);
        let before = sooner.iter().rev().find(|name| all.iter().any(|it| is_of(it, name)))?;
        let theirs = all.iter().filter(|it| is_of(it, before));
        let mut had: Vec<_> = theirs.flat_map(|it| &it.windows).collect();
        had.sort_by_key(|it| it.closes());
        let mut late = self.ahead(one).iter().filter(|window| {
            let at = one.windows.partition_point(|it| it.opens < window.opens);
            let last = at.checked_sub(1).map(|at| one.windows[at].opens);
            let done = had.partition_point(|it| it.closes() <= window.opens);
            !had[..done].iter().rev().any(|it| last.is_none_or(|last| it.opens > last))
        });
        Some(ScheduleFinding::OutOfOrder {
            schedule: one.fleet.name.clone(),
            environment: environment.clone(),
            before: before.clone(),
            opens: late.next()?.opens,
            times: 1 + late.count(),
        })
    }

    fn check_freezes(
        &self,
        one: &Seen<'_>,
        calendar: &FreezeCalendar,
        findings: &mut Vec<ScheduleFinding>,
    ) {
        let schedule = || one.fleet.name.clone();
        for freeze in &calendar.freezes {
            let clash =
                |it: &&MaintenanceWindow| it.opens < freeze.ends && freeze.starts < it.closes();
            let mut frozen = self.ahead(one).iter().filter(clash);
            if let Some(first) = frozen.next() {
                findings.push(ScheduleFinding::Frozen {
                    schedule: schedule(),
                    freeze: freeze.clone(),
                    opens: first.opens,
                    times: 1 + frozen.count(),
                });
            }
        }
        let unknown = |it: &&MaintenanceWindow| {
            // The last moment of a window counts, its end does not.
            let last = later(it.opens, one.fleet.duration.saturating_sub(Duration::from_nanos(1)));
            !calendar.knows(it.opens) || !calendar.knows(last)
        };
        if let Some(window) = self.ahead(one).iter().find(unknown) {
            let opens = window.opens;
            findings.push(ScheduleFinding::FreezesUnknown { schedule: schedule(), opens });
        }
    }
}

/// Where whole days of hours first come at another time of the day.
fn shifted(
    timetable: &Timetable,
    next: Timestamp,
    windows: &[MaintenanceWindow],
) -> Result<Option<DateTime>> {
    let zone = timetable.zone.find()?;
    let usual = zone.to_datetime(next).time();
    let mut ahead = windows.iter().map(|it| zone.to_datetime(it.opens));
    Ok(ahead.find(|local| local.time() != usual))
}
