//! Patch baselines: maintenance configurations, with the whole of what PatchKit wrote kept beside them.

mod choice;
mod lack;
mod predefined;
mod selection;

use async_trait::async_trait;
use azure_core::Uuid;
use futures::{
    StreamExt, TryStreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use patchkit_core::{
    Baseline, BaselineId, BaselineOwner, BaselineSelector, Error, ErrorKind, OperatingSystem,
    Patch, PatchBaseline, PatchFilterKey, Result, listing::until_error,
};

pub use self::{
    choice::Baselines,
    lack::{Lack, what_azure_lacks},
    selection::{InstallParameters, Selection, install_parameters},
};
pub(crate) use self::{
    choice::{Choice, Deciding, of_system},
    predefined::is_predefined,
};
use crate::{
    UpdateManager,
    error::{PROVIDER, invalid},
    listing::spread,
    maintenance::{ConfigurationId, Draft, MaintenanceConfiguration, Named, Part},
};

/// The tags that make a configuration's baseline the default of its operating system, each with the time
/// when it became that: of two, the later one counts.
fn default_tag(part: Part) -> String {
    format!("patchkit-default-{part}")
}

/// The baselines of some subscriptions: their maintenance configurations for patching guests.
///
/// # Behavior
/// - **A baseline patches nothing by itself**: its configuration's window opens in the year 9999, and its
///   reboot setting is `Never`. [`UpdateManager::schedule_baseline`] is the one call that changes that.
/// - An update of a scheduled baseline changes what Azure installs from the next opening on. The window and
///   the reboot setting stay as they are.
/// - An id is the configuration's id in Resource Manager. Of one that installs on Windows and on Linux,
///   the two baselines have `#windows` and `#linux` behind it.
/// - Azure's parameters hold what they can of a baseline, and never more than it approves; the whole is
///   kept in the configuration's tags. Where someone has changed the parameters since, they win: what is
///   read says so in its description, and in [`MaintenanceConfiguration::differences`].
/// - A configuration that PatchKit did not make reads as what its parameters say. Azure tells Windows from
///   Linux alone: such a baseline is for the operating system `Linux`.
/// - Azure has no notion of a default. Where none was set, it is Azure's own choice for machines that it
///   patches by itself: critical and security updates. One that was set is a tag of its configuration, and
///   PatchKit's own.
/// - Repositories are refused, for Azure takes those that a machine has, and tags are no place for what may
///   hold a password.
/// - Baselines are written where a [home](crate::UpdateManagerBuilder::with_baseline_home) is named, and
///   are `Unsupported` elsewhere.
#[async_trait]
impl Baseline for UpdateManager {
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        let selector = selector.clone();
        let own = if selector.owner == Some(BaselineOwner::Custom) {
            Vec::new()
        } else {
            predefined::all()
        };
        let kept = if selector.owner == Some(BaselineOwner::Predefined) {
            stream::empty().boxed()
        } else {
            spread(self.client.configurations().map_ok(|it| it.baselines))
        };
        let all = stream::iter(own).map(Ok).chain(kept);
        until_error(all.try_filter(move |it| ready(takes(&selector, it))))
    }

    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        const OPERATION: &str = "baseline";
        if is_predefined(id) {
            return predefined::read(OPERATION, id);
        }
        let (configuration, named) = self.own(OPERATION, id)?;
        one(OPERATION, id, &self.client.configuration(&configuration).await?, named)
    }

    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
        const OPERATION: &str = "default_baseline";
        match self.defaults(os).await?.pop() {
            Some((_, baseline)) => Ok(baseline),
            None => predefined::of(OPERATION, os),
        }
    }

    fn approved_patches(&self, _: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        // Azure lists patches of machines, never those that there are.
        stream::iter([Err(Error::unsupported(PROVIDER, "approved_patches"))]).boxed()
    }

    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
        const OPERATION: &str = "create_baseline";
        let home = self.home(OPERATION)?;
        let part = check(OPERATION, draft)?;
        // Two baselines may share a name, and a lost answer is looked for by this one.
        let stem: String = draft.name.chars().take(60).collect();
        let mark = Uuid::new_v4().simple().to_string();
        let id = ConfigurationId {
            subscription: home.subscription.to_string(),
            group: home.resource_group.to_string(),
            name: format!("{stem}-{}", &mark[..12]),
        };
        let request = Draft::new(home.location.as_str()).with_baseline(OPERATION, part, draft)?;
        self.client.put_configuration(&id, &request).await?;
        id.baseline(Named::Whole)
    }

    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
        const OPERATION: &str = "update_baseline";
        self.home(OPERATION)?;
        let id = baseline.id.as_ref();
        let id = id.ok_or_else(|| invalid(OPERATION, "id: the baseline has none"))?;
        let (configuration, named) = self.own(OPERATION, id)?;
        let part = check(OPERATION, baseline)?;
        let kept = self.client.configuration(&configuration).await?;
        let before = one(OPERATION, id, &kept, named)?;
        if before.operating_system != baseline.operating_system {
            let os = &before.operating_system;
            let message = format!("operating_system: {id} is for {os}, which no update changes");
            return Err(invalid(OPERATION, message));
        }
        let mut wanted = baseline.clone();
        wanted.id.clone_from(&before.id);
        if before == wanted {
            return Ok(before);
        }
        let request = kept.draft()?;
        let request = match named {
            Named::Whole => request.with_baseline(OPERATION, part, &wanted)?,
            // The tags keep one baseline; of two, each is what its parameters say.
            Named::Part(_) => {
                let lacks = what_azure_lacks(&wanted);
                if let Some(lack) = lacks.first() {
                    let message = format!("{id} is one of two in its configuration: {lack}");
                    return Err(invalid(OPERATION, message));
                }
                request.with_parameters(part, &wanted)
            }
        };
        self.client.put_configuration(&configuration, &request).await?;
        Ok(before)
    }

    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        const OPERATION: &str = "delete_baseline";
        self.home(OPERATION)?;
        let (configuration, named) = self.own(OPERATION, id)?;
        let kept = self.client.configuration(&configuration).await?;
        let before = one(OPERATION, id, &kept, named)?;
        let used = |what: String| {
            let message = format!("{id} {what}");
            Error::new(ErrorKind::Conflict, PROVIDER, OPERATION, message)
        };
        if kept.baselines.len() > 1 {
            return Err(used("shares its configuration with another baseline".to_owned()));
        }
        if Part::ALL.into_iter().any(|part| default_since(&kept, part).is_some()) {
            return Err(used(format!("is the default of {}", before.operating_system)));
        }
        // The service lets a configuration go that is assigned, and the assignments stay behind.
        let mut assignments = self.client.assignments();
        while let Some(assignment) = assignments.try_next().await? {
            if assignment.configuration_key() == configuration.key() {
                return Err(used(format!("is assigned by {}", assignment.id)));
            }
        }
        self.client.delete_configuration(&configuration).await?;
        Ok(before)
    }

    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        const OPERATION: &str = "set_default_baseline";
        self.home(OPERATION)?;
        let wanted = self.baseline(id).await?;
        let os = &wanted.operating_system;
        let mut marked = self.defaults(os).await?;
        let before = match marked.last() {
            Some((_, baseline)) => baseline.id.clone(),
            None => predefined::of(OPERATION, os).ok().and_then(|it| it.id),
        };
        if before == wanted.id {
            return Ok(before);
        }
        let part = Part::of(os).ok_or_else(|| Error::unsupported(PROVIDER, OPERATION))?;
        if !is_predefined(id) {
            let (configuration, _) = self.own(OPERATION, id)?;
            let now = self.client.now().to_string();
            self.mark(&configuration, part, Some(&now)).await?;
            marked.retain(|(_, it)| it.id != wanted.id);
        }
        for (configuration, _) in marked {
            self.mark(&configuration, part, None).await?;
        }
        Ok(before)
    }
}

impl UpdateManager {
    /// The baselines that are marked as the default of an operating system, the one that counts last.
    async fn defaults(
        &self,
        os: &OperatingSystem,
    ) -> Result<Vec<(ConfigurationId, PatchBaseline)>> {
        const OPERATION: &str = "default_baseline";
        let Some(part) = Part::of(os) else { return Ok(Vec::new()) };
        let mut marked: Vec<(Timestamp, ConfigurationId, PatchBaseline)> = Vec::new();
        let mut configurations = self.client.configurations();
        while let Some(kept) = configurations.try_next().await? {
            let Some(since) = default_since(&kept, part) else { continue };
            let id = ConfigurationId::parse(OPERATION, &kept.id)?;
            let its = kept.baselines.into_iter().filter(|it| it.operating_system == *os);
            marked.extend(its.map(|baseline| (since, id.clone(), baseline)));
        }
        marked.sort_by_key(|(since, id, _)| (*since, id.key()));
        Ok(marked.into_iter().map(|(_, id, baseline)| (id, baseline)).collect())
    }

    /// Marks a configuration's baseline as a default since a time, or no more.
    async fn mark(&self, id: &ConfigurationId, part: Part, since: Option<&str>) -> Result<()> {
        let draft = self.client.configuration(id).await?.draft()?;
        let (name, mut tags) = (default_tag(part), draft.tags().clone());
        tags.retain(|key, _| !key.eq_ignore_ascii_case(&name));
        if let Some(since) = since {
            tags.insert(name, since.to_owned());
        }
        self.client.put_configuration(id, &draft.with_tags(tags)).await
    }
}

/// Since when a configuration's baseline is a default.
pub(crate) fn default_since(
    configuration: &MaintenanceConfiguration,
    part: Part,
) -> Option<Timestamp> {
    let name = default_tag(part);
    let tag = configuration.tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name));
    tag.and_then(|(_, since)| since.parse().ok())
}

/// Azure's own default for an operating system.
pub(crate) fn default_baseline(os: &OperatingSystem) -> Result<PatchBaseline> {
    predefined::of("default_baseline", os)
}

/// The baseline of an id in its configuration.
pub(crate) fn one(
    operation: &'static str,
    id: &BaselineId,
    kept: &MaintenanceConfiguration,
    named: Named,
) -> Result<PatchBaseline> {
    kept.baseline(named).cloned().ok_or_else(|| {
        let ids = kept.baselines.iter().filter_map(|it| it.id.as_ref());
        let ids: Vec<&str> = ids.map(BaselineId::as_str).collect();
        let what = match ids.as_slice() {
            [] => format!("baseline {id}: its configuration installs nothing"),
            ids => format!("baseline {id}: its configuration has {}", ids.join(" and ")),
        };
        Error::not_found(PROVIDER, operation, what)
    })
}

fn takes(selector: &BaselineSelector, baseline: &PatchBaseline) -> bool {
    let is = |os: &OperatingSystem| *os == baseline.operating_system;
    selector.operating_system.as_ref().is_none_or(is)
        && selector.name_prefix.as_ref().is_none_or(|it| baseline.name.starts_with(it))
}

/// Whether a baseline is within the limits that every provider keeps, which are those of AWS; but for
/// classes of patches, which Azure tells for every system and AWS not for Debian's kin.
fn within_limits(baseline: &PatchBaseline) -> Result<()> {
    let mut held = baseline.clone();
    let rules = held.approval_rules.iter_mut().flat_map(|rule| &mut rule.filters);
    for filter in rules.chain(&mut held.global_filters) {
        if filter.key == PatchFilterKey::Classification {
            filter.key = PatchFilterKey::Product;
        }
    }
    held.check()
}

/// Whether a baseline can be kept, and for which kind of operating system.
fn check(operation: &'static str, baseline: &PatchBaseline) -> Result<Part> {
    within_limits(baseline).map_err(|error| invalid(operation, error.message().to_owned()))?;
    if !baseline.sources.is_empty() {
        let message = "sources: Azure takes patches from the repositories that a machine has";
        return Err(invalid(operation, message));
    }
    let os = &baseline.operating_system;
    let message = || format!("operating_system: Azure does not patch {os}");
    Part::of(os).ok_or_else(|| invalid(operation, message()))
}
