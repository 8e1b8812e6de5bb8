//! What is registered for all patch groups, read at once.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use futures::{StreamExt, lock::Mutex};
use jiff::Timestamp;
use patchkit_core::{
    AccountId, CompiledBaseline, Error, ErrorKind, GroupTag, ManagedNode, OperatingSystem,
    PatchBaseline, PatchGroupName, Result,
};

use super::{Groups, Known};
use crate::{
    UpdateManager,
    baseline::{default_baseline, default_since, of_system},
    client::Client,
    error::{PROVIDER, again},
    maintenance::{ConfigurationId, MaintenanceConfiguration, Part, Reach},
};

const OPERATION: &str = "baseline_for";

/// How long what was read is believed: a workflow asks for each node that it patches.
const KEPT: Duration = Duration::from_mins(5);

/// How long it is believed that something could not be read: it may be in a moment, and each node of a
/// workflow would ask all subscriptions again.
const KEPT_BROKEN: Duration = Duration::from_secs(30);

/// What was read last, and when.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<LastRead>>);

type LastRead = Option<(Timestamp, Arc<Registrations>)>;

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// The registrations of all patch groups, and the defaults, as they were when they were read.
#[derive(Debug)]
pub(crate) struct Registrations {
    /// In the order of the listing.
    scopes: Vec<GroupScope>,
    /// Why there may be others.
    unknown_scopes: Vec<Error>,
    defaults: Defaults,
    /// Azure's own.
    predefined: HashMap<OperatingSystem, Arc<CompiledBaseline>>,
}

/// A dynamic scope that ties patch groups to the baselines of its configuration.
#[derive(Debug)]
struct GroupScope {
    subscription: AccountId,
    groups: Groups,
    parts: Vec<Part>,
    baselines: Result<Vec<Arc<CompiledBaseline>>>,
}

/// The defaults that someone has set.
#[derive(Debug, Default)]
struct Defaults {
    /// Since when, and in which configuration; of two the later one counts.
    known: HashMap<OperatingSystem, (Timestamp, String, Arc<CompiledBaseline>)>,
    /// Why there may be others.
    unknown: Vec<Error>,
}

/// Whose registrations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Where {
    Own,
    Elsewhere,
}

impl Registrations {
    /// The baseline of a machine; none for an operating system that Azure does not patch.
    ///
    /// # Errors
    /// Why it cannot be told. A default is one only where no registration may have been missed.
    pub(crate) fn on(&self, node: &ManagedNode) -> Result<Option<Arc<CompiledBaseline>>> {
        let os = &node.operating_system;
        let Some(part) = Part::of(os) else { return Ok(None) };
        let group = match node.group_tag() {
            GroupTag::One(group) => Some(group),
            GroupTag::None => None,
            GroupTag::Ambiguous(_) => {
                let message = "its tags name two patch groups, and either may have a baseline";
                return Err(Error::new(ErrorKind::Conflict, PROVIDER, OPERATION, message));
            }
        };
        if let Some(group) = group {
            let own = node.id.scope().account().as_str();
            for place in [Where::Own, Where::Elsewhere] {
                let there =
                    |id: &AccountId| id.as_str().eq_ignore_ascii_case(own) == (place == Where::Own);
                if let Some(found) = self.of_group(&group, part, node, there)? {
                    return Ok(Some(found));
                }
            }
        }
        if let Some(error) = self.defaults.unknown.first() {
            return Err(again(error));
        }
        let set = self.defaults.known.get(os).map(|(_, _, baseline)| baseline);
        match set.or_else(|| self.predefined.get(os)) {
            Some(default) => Ok(Some(Arc::clone(default))),
            None => default_baseline(os).map(|it| Some(compiled(&it))),
        }
    }

    /// What some subscriptions have registered for a group.
    fn of_group(
        &self,
        group: &PatchGroupName,
        part: Part,
        node: &ManagedNode,
        there: impl Fn(&AccountId) -> bool,
    ) -> Result<Option<Arc<CompiledBaseline>>> {
        let concerns = |error: &&Error| error.scope().is_none_or(|scope| there(scope.account()));
        if let Some(error) = self.unknown_scopes.iter().find(concerns) {
            return Err(again(error));
        }
        let mut all = Vec::new();
        for scope in &self.scopes {
            let means = scope.groups.contains(group) && scope.parts.contains(&part);
            if means && there(&scope.subscription) {
                all.extend(scope.baselines.as_ref().map_err(again)?);
            }
        }
        Ok(of_system(all.into_iter(), node))
    }

    fn is_whole(&self) -> bool {
        self.unknown_scopes.is_empty()
            && self.defaults.unknown.is_empty()
            && self.scopes.iter().all(|scope| scope.baselines.is_ok())
    }
}

impl Defaults {
    fn take(&mut self, key: &str, kept: &MaintenanceConfiguration) {
        for part in Part::ALL {
            let Some(since) = default_since(kept, part) else { continue };
            let its = kept.baselines.iter();
            for baseline in its.filter(|it| Part::of(&it.operating_system) == Some(part)) {
                let os = &baseline.operating_system;
                let later =
                    self.known.get(os).is_none_or(|(at, of, _)| (*at, of.as_str()) < (since, key));
                if later {
                    let marked = (since, key.to_owned(), compiled(baseline));
                    self.known.insert(os.clone(), marked);
                }
            }
        }
    }
}

impl UpdateManager {
    /// What is registered, read anew where that is too long ago.
    pub(crate) async fn registered(&self, kept: &Kept) -> Result<Arc<Registrations>> {
        let mut kept = kept.0.lock().await;
        let now = self.client.now();
        let fresh = |(read, known): &&(Timestamp, Arc<Registrations>)| {
            let believed = if known.is_whole() { KEPT } else { KEPT_BROKEN };
            now.duration_since(*read).unsigned_abs() < believed
        };
        if let Some((_, known)) = kept.as_ref().filter(fresh) {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(self.client.all_registered().await?);
        *kept = Some((now, Arc::clone(&known)));
        Ok(known)
    }
}

impl Client {
    /// Reads what is registered: the configurations of each subscription, and its assignments.
    async fn all_registered(self: &Arc<Self>) -> Result<Registrations> {
        let (mut known, mut defaults) = (Known::new(), Defaults::default());
        let mut configurations = self.configurations();
        while let Some(row) = configurations.next().await {
            match row {
                Ok(kept) => match ConfigurationId::parse(OPERATION, &kept.id) {
                    Ok(id) => {
                        defaults.take(&id.key(), &kept);
                        known.insert(id.key(), kept);
                    }
                    Err(error) => defaults.unknown.push(error),
                },
                Err(error) if error.scope().is_some() => defaults.unknown.push(error),
                Err(error) => return Err(error),
            }
        }
        let (mut scopes, mut unknown_scopes) = (Vec::new(), Vec::new());
        let mut listing = self.group_scopes();
        while let Some(row) = listing.next().await {
            let (groups, assignment) = match row {
                Ok(row) => row,
                Err(error) if error.scope().is_some() => {
                    unknown_scopes.push(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Reach::Subscription(subscription) = assignment.reach.clone() else { continue };
            let parts = assignment.filter.parts();
            // One that is in none of the lists is asked for by itself.
            let kept = self.assigned(&assignment, &mut known).await;
            let baselines = kept.map(|kept| kept.baselines.iter().map(compiled).collect());
            scopes.push(GroupScope { subscription, groups, parts, baselines });
        }
        let own = OperatingSystem::KNOWN.iter();
        let own = own.filter_map(|os| Some((os.clone(), compiled(&default_baseline(os).ok()?))));
        Ok(Registrations { scopes, unknown_scopes, defaults, predefined: own.collect() })
    }
}

fn compiled(baseline: &PatchBaseline) -> Arc<CompiledBaseline> {
    Arc::new(CompiledBaseline::new(baseline))
}

#[cfg(test)]
mod tests;
