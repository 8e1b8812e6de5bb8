//! Patch groups and their baselines.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    call::MemoryCall,
    cloud::{MemoryCloud, PROVIDER},
};
use crate::{
    BaselineId, Error, ErrorKind, GroupRegistration, NodeId, OperatingSystem, PatchGroup,
    PatchGroupName, Result,
};

#[async_trait]
impl PatchGroup for MemoryCloud {
    fn groups(&self) -> BoxStream<'static, Result<PatchGroupName>> {
        self.list("groups", |state, _| {
            let names: BTreeSet<PatchGroupName> =
                state.registrations.keys().map(|(group, _)| group.clone()).collect();
            Ok(names.into_iter().map(|name| (name.to_string(), name)).collect())
        })
    }

    fn members(&self, group: &PatchGroupName) -> BoxStream<'static, Result<NodeId>> {
        let group = group.clone();
        self.list("members", move |state, _| {
            Ok(state
                .nodes
                .values()
                .filter(|node| node.node.patch_group().as_ref() == Some(&group))
                .map(|node| (node.id().to_string(), node.id().clone()))
                .collect())
        })
    }

    fn registrations(
        &self,
        group: &PatchGroupName,
    ) -> BoxStream<'static, Result<GroupRegistration>> {
        let group = group.clone();
        self.list("registrations", move |state, _| {
            Ok(state
                .registrations
                .iter()
                .filter(|((name, _), _)| *name == group)
                .map(|((name, os), baseline)| {
                    let registration =
                        GroupRegistration::new(name.clone(), os.clone(), baseline.clone());
                    (os.to_string(), registration)
                })
                .collect())
        })
    }

    async fn baseline_for(
        &self,
        group: &PatchGroupName,
        os: &OperatingSystem,
    ) -> Result<BaselineId> {
        let fault = self.enter(MemoryCall::new("baseline_for")).await?;
        let found = {
            let state = self.state();
            let registered = state.registrations.get(&(group.clone(), os.clone()));
            registered.or_else(|| state.defaults.get(os)).cloned()
        };
        let what = format!("a baseline for {os}");
        fault.answer(found.ok_or_else(|| Error::not_found(PROVIDER, "baseline_for", what))?)
    }

    async fn register(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        let fault = self.enter(MemoryCall::new("register")).await?;
        if !self.capabilities.write_groups {
            return Err(Error::unsupported(PROVIDER, "register"));
        }
        {
            let mut state = self.state();
            let Some(kept) = state.baselines.get(baseline) else {
                return Err(Error::not_found(PROVIDER, "register", baseline));
            };
            let os = kept.baseline.operating_system.clone();
            let key = (group.clone(), os.clone());
            match state.registrations.get(&key) {
                Some(other) if other != baseline => {
                    let message = format!("patch group {group} has baseline {other} for {os}");
                    return Err(Error::new(ErrorKind::Conflict, PROVIDER, "register", message));
                }
                Some(_) => {}
                None => {
                    state.registrations.insert(key, baseline.clone());
                }
            }
        }
        fault.answer(())
    }

    async fn deregister(&self, group: &PatchGroupName, baseline: &BaselineId) -> Result<()> {
        let fault = self.enter(MemoryCall::new("deregister")).await?;
        if !self.capabilities.write_groups {
            return Err(Error::unsupported(PROVIDER, "deregister"));
        }
        self.state().registrations.retain(|(name, _), id| name != group || id != baseline);
        fault.answer(())
    }
}
