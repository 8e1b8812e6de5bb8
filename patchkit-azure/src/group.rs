//! Patch groups: machines by their tags, and the dynamic scopes that tie them to baselines.

mod registered;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccountId, Baseline, BaselineId, Error, ErrorKind, GroupRegistration, NodeId, NodeSelector,
    OperatingSystem, PatchBaseline, PatchGroup, PatchGroupName, Result,
    listing::{each_once, until_error},
};
use sha2::{Digest, Sha256};

pub(crate) use self::registered::{Kept, Registrations};
use crate::{
    UpdateManager,
    baseline::{is_predefined, one},
    client::Client,
    error::{PROVIDER, malformed},
    ids::{EVERYWHERE, hex, scope},
    listing::spread,
    maintenance::{Assignment, ConfigurationId, Filter, MaintenanceConfiguration, Part, Reach},
};

/// The patch groups of some subscriptions.
///
/// # Behavior
/// - A machine is in the group that its tag `Patch Group` or `PatchGroup` names.
/// - A registration is a dynamic scope of each subscription, for the machines with either tag, that ties
///   them to the baseline's configuration. Any dynamic scope of a subscription that asks for these tags and
///   for nothing narrower reads as one, whoever made it.
/// - **A registration patches nothing by itself.** It is refused for a configuration whose window may open:
///   [`UpdateManager::register_scheduled`] is the one call that lets Azure patch a group.
/// - Azure finds tags whatever their case, and a machine with both tags and two groups by either. PatchKit
///   takes such machines for members of no group.
/// - A group of which Azure knows a baseline for `Linux` has it for every Linux without one of its own.
/// - Azure's own defaults are no configurations, and cannot be registered.
/// - Two who register different baselines at once do not see each other: the last one stays.
#[async_trait]
impl PatchGroup for UpdateManager {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        let groups = self.client.group_scopes().map_ok(|(groups, _)| groups.into_iter().collect());
        until_error(each_once(spread(groups), PatchGroupName::clone))
    }

    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        let members = NodeSelector::all().with_groups([group.clone()]);
        self.machines(&members).map_ok(|machine| machine.node.id).boxed()
    }

    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>> {
        let registered = self.client.registered(group.clone()).map_ok(|it| it.registration);
        until_error(each_once(registered, |it| (it.operating_system.clone(), it.baseline.clone())))
    }

    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId> {
        let registered: Vec<GroupRegistration> = self.registrations(group).try_collect().await?;
        let of = |os: &OperatingSystem| registered.iter().find(|it| it.operating_system == *os);
        let whole = Part::of(os).map(Part::system);
        if let Some(found) = of(os).or_else(|| whole.as_ref().and_then(of)) {
            return Ok(found.baseline.clone());
        }
        let default = self.default_baseline(os).await?;
        default.id.ok_or_else(|| malformed("baseline_for", "the default baseline has no id"))
    }

    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        self.register_by("register", group, baseline, Schedules::Refused).await
    }

    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        const OPERATION: &str = "deregister";
        self.home(OPERATION)?;
        let Ok((configuration, _)) = self.own(OPERATION, baseline) else { return Ok(()) };
        let kept = match self.client.configuration(&configuration).await {
            Ok(kept) => Some(kept),
            // What was registered for it may still be there.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut scopes = self.client.group_scopes();
        let mut ours = Vec::new();
        while let Some((groups, assignment)) = scopes.try_next().await? {
            let its = assignment.configuration_key() == configuration.key();
            if !its || !groups.contains(group) {
                continue;
            }
            let meant = kept.as_ref().map(|kept| of(group, kept, &assignment));
            let is = |it: &Registered| it.registration.baseline == *baseline;
            if meant.as_ref().is_some_and(|meant| !meant.iter().any(is)) {
                continue;
            }
            if groups.len() > 1 || meant.is_some_and(|meant| meant.len() > 1) {
                let message = format!(
                    "patch group {group} shares {} with others: it is not taken back for one",
                    assignment.id
                );
                return Err(Error::new(ErrorKind::Conflict, PROVIDER, OPERATION, message));
            }
            ours.push(assignment);
        }
        for assignment in ours {
            self.client.delete_scope(&assignment).await?;
        }
        Ok(())
    }
}

/// Whether a registration may let Azure patch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Schedules {
    Refused,
    Wanted,
}

impl UpdateManager {
    /// Registers a baseline for a group, and **lets Azure patch the group's machines by itself** where the
    /// baseline is [scheduled](Self::schedule_baseline).
    ///
    /// As [`register`](PatchGroup::register), which refuses a scheduled baseline. From the next opening of
    /// the window on, Azure installs and reboots on its own, without plan, waves, leases and journal.
    ///
    /// # Errors
    /// As [`register`](PatchGroup::register); `Conflict` also where the group has another baseline for the
    /// same kind of operating system: Azure does not tell one Linux from another, and would patch them by
    /// both.
    pub async fn register_scheduled(
        &self,
        group: &PatchGroupName,
        baseline: &BaselineId,
    ) -> Result<()> {
        self.register_by("register_scheduled", group, baseline, Schedules::Wanted).await
    }

    /// Makes sure that no group of a configuration has another one for the same kind of operating system.
    ///
    /// # Errors
    /// `Conflict`: Azure, which does not tell one Linux from another, would patch by one what is the
    /// other's.
    pub(crate) async fn check_alone(
        &self,
        operation: &'static str,
        configuration: &ConfigurationId,
    ) -> Result<()> {
        let all: Vec<(Groups, Assignment)> = self.client.group_scopes().try_collect().await?;
        let ours = |it: &Assignment| it.configuration_key() == configuration.key();
        for (groups, assignment) in all.iter().filter(|(_, it)| ours(it)) {
            let parts = assignment.filter.parts();
            let rival = all.iter().find(|(theirs, it)| {
                let same = it.filter.parts().iter().any(|part| parts.contains(part));
                !ours(it) && same && !theirs.is_disjoint(groups)
            });
            if let Some((_, rival)) = rival {
                let message = format!(
                    "{} ties a group of {} to {}: Azure does not tell their machines apart",
                    rival.id, configuration.name, rival.configuration
                );
                return Err(Error::new(ErrorKind::Conflict, PROVIDER, operation, message));
            }
        }
        Ok(())
    }

    async fn register_by(
        &self,
        operation: &'static str,
        group: &PatchGroupName,
        baseline: &BaselineId,
        schedules: Schedules,
    ) -> Result<()> {
        self.home(operation)?;
        if is_predefined(baseline) {
            return Err(Error::unsupported(PROVIDER, operation));
        }
        let conflict =
            |message: String| Error::new(ErrorKind::Conflict, PROVIDER, operation, message);
        let (id, named) = self.own(operation, baseline)?;
        let kept = self.client.configuration(&id).await?;
        let os = &one(operation, baseline, &kept, named)?.operating_system;
        let part = Part::of(os).ok_or_else(|| Error::unsupported(PROVIDER, operation))?;
        let registered: Vec<Registered> =
            self.client.registered(group.clone()).try_collect().await?;
        let other = registered.iter().find(|it| {
            // Azure would patch one Linux by the baseline of another.
            let mixed = schedules == Schedules::Wanted || it.live;
            let its = &it.registration.operating_system;
            let rival = *its == *os || mixed && Part::of(its) == Some(part);
            rival && it.registration.baseline != *baseline
        });
        if let Some(other) = other {
            let (other, its) = (&other.registration.baseline, &other.registration.operating_system);
            return Err(conflict(format!(
                "patch group {group} has baseline {other} for {its}: {baseline} is not registered"
            )));
        }
        let there = |subscription: &AccountId| {
            registered.iter().any(|it| {
                it.registration.baseline == *baseline
                    && it.subscription.as_str().eq_ignore_ascii_case(subscription.as_str())
            })
        };
        let missing: Vec<_> = self.client.subscriptions().filter(|it| !there(it)).collect();
        if schedules == Schedules::Refused && kept.timing.is_live() && !missing.is_empty() {
            return Err(conflict(format!(
                "{baseline} may patch by itself ({}): use register_scheduled to let it",
                kept.timing
            )));
        }
        let name = scope_name(group, os);
        let filter = Filter::of_group(group, part);
        for subscription in missing {
            let put = self.client.put_scope(subscription, &name, &id, &filter).await;
            put.map_err(|error| match scope(subscription, EVERYWHERE) {
                Ok(scope) => error.with_scope(scope),
                Err(_) => error,
            })?;
        }
        Ok(())
    }
}

/// A registration, and where it is.
#[derive(Clone, Debug)]
struct Registered {
    registration: GroupRegistration,
    subscription: AccountId,
    /// Whether Azure may patch by it.
    live: bool,
}

type Groups = BTreeSet<PatchGroupName>;

impl Client {
    /// The dynamic scopes that stand for patch groups, each with these.
    fn group_scopes(self: &Arc<Self>) -> BoxStream<'static, Result<(Groups, Assignment)>> {
        let of = |assignment: Assignment| {
            let groups = match assignment.reach {
                Reach::Subscription(_) => assignment.filter.patch_groups(),
                _ => Groups::new(),
            };
            ready(Ok((!groups.is_empty()).then_some((groups, assignment))))
        };
        until_error(self.assignments().try_filter_map(of))
    }

    /// What is registered for a group. Each configuration is read once.
    fn registered(
        self: &Arc<Self>,
        group: PatchGroupName,
    ) -> BoxStream<'static, Result<Registered>> {
        let wanted = group.clone();
        let scopes = self
            .group_scopes()
            .try_filter_map(move |(groups, it)| ready(Ok(groups.contains(&wanted).then_some(it))));
        let state = (Arc::clone(self), scopes.boxed(), Known::new());
        let rows = stream::unfold(state, move |(client, mut scopes, mut known)| {
            let group = group.clone();
            async move {
                let row = match scopes.next().await? {
                    Ok(assignment) => {
                        let kept = client.assigned(&assignment, &mut known).await;
                        kept.map(|kept| of(&group, kept, &assignment))
                    }
                    Err(error) => Err(error),
                };
                Some((row, (client, scopes, known)))
            }
        });
        until_error(spread(rows))
    }

    /// The configuration of an assignment.
    ///
    /// # Errors
    /// With the assignment's subscription for its scope: one that was deleted stays assigned.
    async fn assigned<'k>(
        &self,
        assignment: &Assignment,
        known: &'k mut Known,
    ) -> Result<&'k MaintenanceConfiguration> {
        const OPERATION: &str = "registrations";
        let vacant = match known.entry(assignment.configuration_key()) {
            Entry::Occupied(found) => return Ok(found.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let place = |error: Error| match &assignment.reach {
            Reach::Subscription(at) => match scope(at, EVERYWHERE) {
                Ok(scope) => error.with_scope(scope),
                Err(_) => error,
            },
            _ => error,
        };
        let id = ConfigurationId::parse(OPERATION, &assignment.configuration)
            .map_err(|error| place(malformed(OPERATION, error.message().to_owned())))?;
        let found = self.configuration(&id).await.map_err(|error| {
            let message = format!("{} is of {id}: {}", assignment.id, error.message());
            let told =
                Error::new(error.kind(), PROVIDER, OPERATION, message).with_retry(error.retry());
            place(match error.request_id() {
                Some(request) => told.with_request_id(request),
                None => told,
            })
        })?;
        Ok(vacant.insert(found))
    }
}

/// The configurations that were read already, by their keys.
type Known = BTreeMap<String, MaintenanceConfiguration>;

/// The baselines of a configuration that a dynamic scope ties to a group.
fn of(
    group: &PatchGroupName,
    kept: &MaintenanceConfiguration,
    assignment: &Assignment,
) -> Vec<Registered> {
    let Reach::Subscription(subscription) = &assignment.reach else { return Vec::new() };
    let parts = assignment.filter.parts();
    let meant = |it: &&PatchBaseline| {
        Part::of(&it.operating_system).is_some_and(|part| parts.contains(&part))
    };
    let registered = kept.baselines.iter().filter(meant).filter_map(|it| {
        let (group, os) = (group.clone(), it.operating_system.clone());
        Some(Registered {
            registration: GroupRegistration::new(group, os, it.id.clone()?),
            subscription: subscription.clone(),
            live: kept.timing.is_live(),
        })
    });
    registered.collect()
}

/// The name of the dynamic scope for a group and an operating system: the same for all who register one,
/// so that a registration that is made twice is one.
fn scope_name(group: &PatchGroupName, os: &OperatingSystem) -> String {
    let mut hash = Sha256::new();
    for part in [group.as_str(), "\0", os.as_str()] {
        hash.update(part.as_bytes());
    }
    format!("patchkit-{}", hex(&hash.finalize()[..12]))
}
