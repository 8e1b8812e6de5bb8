//! The baselines, predefined and custom.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    call::MemoryCall,
    cloud::{Kept, MemoryCloud, PROVIDER, State},
};
use crate::{
    Approval, Baseline, BaselineId, BaselineOwner, BaselineSelector, Error, ErrorKind,
    OperatingSystem, Patch, PatchBaseline, Result,
};

#[async_trait]
impl Baseline for MemoryCloud {
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        let selector = selector.clone();
        self.list("baselines", move |state, _| {
            Ok(state
                .baselines
                .iter()
                .filter(|(_, kept)| takes(&selector, kept))
                .map(|(id, kept)| (id.to_string(), kept.baseline.clone()))
                .collect())
        })
    }

    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        let fault = self.enter(MemoryCall::new("baseline")).await?;
        let found = self.state().baseline("baseline", id)?.baseline.clone();
        fault.answer(found)
    }

    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
        let fault = self.enter(MemoryCall::new("default_baseline")).await?;
        let found = {
            let state = self.state();
            let id = state.defaults.get(os).cloned().ok_or_else(|| {
                Error::not_found(PROVIDER, "default_baseline", format!("a default for {os}"))
            })?;
            state.baseline("default_baseline", &id)?.baseline.clone()
        };
        fault.answer(found)
    }

    fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        let id = id.clone();
        self.list("approved_patches", move |state, now| {
            let kept = state.baseline("approved_patches", &id)?;
            let compiled = &kept.compiled;
            let os = &kept.baseline.operating_system;
            let offered = state.catalogue.iter().filter(|(of, _)| of == os).map(|(_, patch)| patch);
            let here = state
                .nodes
                .values()
                .filter(|node| node.node.operating_system == *os)
                .flat_map(|node| node.patches.iter().map(|patch| &patch.patch));
            let approved: BTreeMap<String, Patch> = offered
                .chain(here)
                .filter(|patch| {
                    let approval = compiled.decide(patch, now).approval;
                    matches!(approval, Approval::Approved | Approval::ExplicitApproved)
                })
                .map(|patch| (patch.id.to_string(), patch.clone()))
                .collect();
            Ok(approved.into_iter().collect())
        })
    }

    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
        let fault = self.enter(MemoryCall::new("create_baseline")).await?;
        self.writes("create_baseline")?;
        draft.check()?;
        let id = {
            let mut state = self.state();
            let id: BaselineId = format!("pb-{:017x}", state.next_number()).parse()?;
            let baseline = draft.clone().with_id(id.clone());
            state.baselines.insert(id.clone(), Kept::new(baseline, BaselineOwner::Custom));
            id
        };
        fault.answer(id)
    }

    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
        let fault = self.enter(MemoryCall::new("update_baseline")).await?;
        self.writes("update_baseline")?;
        let id = baseline
            .id
            .as_ref()
            .ok_or_else(|| Error::invalid(PROVIDER, "update_baseline", "the baseline has no id"))?;
        let before = {
            let mut state = self.state();
            let kept = state.baseline("update_baseline", id)?;
            may_change(kept, "update_baseline")?;
            if kept.baseline.operating_system != baseline.operating_system {
                let message = "operating_system: a baseline keeps the one it was made for";
                return Err(Error::invalid(PROVIDER, "update_baseline", message));
            }
            baseline.check()?;
            let before = kept.baseline.clone();
            let kept = Kept::new(baseline.clone(), BaselineOwner::Custom);
            state.baselines.insert(id.clone(), kept);
            before
        };
        fault.answer(before)
    }

    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        let fault = self.enter(MemoryCall::new("delete_baseline")).await?;
        self.writes("delete_baseline")?;
        let before = {
            let mut state = self.state();
            let kept = state.baseline("delete_baseline", id)?;
            may_change(kept, "delete_baseline")?;
            let before = kept.baseline.clone();
            let used = if state.defaults.values().any(|other| other == id) {
                Some("it is a default baseline".to_owned())
            } else {
                let group = state.registrations.iter().find(|(_, other)| *other == id);
                group.map(|((group, _), _)| format!("it is registered for patch group {group}"))
            };
            if let Some(why) = used {
                return Err(Error::new(ErrorKind::Conflict, PROVIDER, "delete_baseline", why));
            }
            state.baselines.remove(id);
            before
        };
        fault.answer(before)
    }

    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        let fault = self.enter(MemoryCall::new("set_default_baseline")).await?;
        self.writes("set_default_baseline")?;
        let before = {
            let mut state = self.state();
            let kept = state.baseline("set_default_baseline", id)?;
            let os = kept.baseline.operating_system.clone();
            state.defaults.insert(os, id.clone())
        };
        fault.answer(before)
    }
}

impl MemoryCloud {
    fn writes(&self, operation: &'static str) -> Result<()> {
        let able = self.capabilities.write_baselines;
        able.then_some(()).ok_or_else(|| Error::unsupported(PROVIDER, operation))
    }
}

impl State {
    fn baseline(&self, operation: &'static str, id: &BaselineId) -> Result<&Kept> {
        self.baselines.get(id).ok_or_else(|| Error::not_found(PROVIDER, operation, id))
    }
}

fn takes(selector: &BaselineSelector, kept: &Kept) -> bool {
    let baseline = &kept.baseline;
    selector.operating_system.as_ref().is_none_or(|os| *os == baseline.operating_system)
        && selector.owner.is_none_or(|owner| owner == kept.owner)
        && selector.name_prefix.as_ref().is_none_or(|prefix| baseline.name.starts_with(prefix))
}

fn may_change(kept: &Kept, operation: &'static str) -> Result<()> {
    match kept.owner {
        BaselineOwner::Custom => Ok(()),
        BaselineOwner::Predefined => {
            let message = format!("{} is predefined", kept.baseline.name);
            Err(Error::new(ErrorKind::PermissionDenied, PROVIDER, operation, message))
        }
    }
}
