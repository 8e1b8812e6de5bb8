//! Patch baselines: reading, keeping, and what they approve.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use async_trait::async_trait;
use aws_sdk_ssm::types;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    Baseline, BaselineId, BaselineOwner, BaselineSelector, Error, ErrorKind, OperatingSystem,
    Patch, PatchBaseline, PatchFilter, PatchFilterKey, PatchId, Result, Scope,
    listing::{each_once, until_error},
    paginate,
};

use crate::{
    Ssm, convert,
    error::{PROVIDER, invalid, malformed},
};

/// How many baselines of a listing are read at once. The budget says how often; this keeps the
/// answers from waiting for one another.
const AT_ONCE: usize = 8;

#[async_trait]
impl Baseline for Ssm {
    fn baselines(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<PatchBaseline>> {
        let ssm = self.clone();
        let ids = each_once(self.baseline_ids(selector), BaselineId::clone);
        let whole = ids.map(move |id| {
            let ssm = ssm.clone();
            async move {
                match ssm.baseline_by(id?.as_str()).await {
                    // Somebody deleted it since it was listed: the listing without it is the truth.
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    answer => answer.map(Some),
                }
            }
        });
        until_error(whole.buffered(AT_ONCE).filter_map(async |row| row.transpose()))
    }

    async fn baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        let spelling = spelling(self.scope(), id);
        match self.baseline_by(spelling).await {
            Err(error) if error.kind() == ErrorKind::NotFound && !is_arn(spelling) => {
                match self.provided(id).await? {
                    Some(arn) => self.baseline_by(arn.as_str()).await,
                    None => Err(error),
                }
            }
            answer => answer,
        }
    }

    async fn default_baseline(&self, os: &OperatingSystem) -> Result<PatchBaseline> {
        self.baseline_by(self.default_id(os).await?.as_str()).await
    }

    fn approved_patches(&self, id: &BaselineId) -> BoxStream<'static, Result<Patch>> {
        let (ssm, id) = (self.clone(), id.clone());
        let patches = async move { Ok::<_, Error>(stream::iter(ssm.approved(&id).await?).map(Ok)) };
        stream::once(patches).try_flatten().boxed()
    }

    async fn create_baseline(&self, draft: &PatchBaseline) -> Result<BaselineId> {
        const OPERATION: &str = "CreatePatchBaseline";
        check(OPERATION, draft)?;
        // The SDK adds a client token, the same for each of its tries: a lost answer makes no second
        // baseline. A later call of the caller's has another token, so what is still lost after the
        // last try is told as a write's: not to be tried again unseen.
        let request = convert::baseline::create(draft)?.send_with(self.client.ssm());
        let answer = self.client.write(OPERATION, request).await?;
        let id = answer.baseline_id().ok_or_else(|| malformed(OPERATION, "no id is answered"))?;
        BaselineId::new(id)
    }

    async fn update_baseline(&self, baseline: &PatchBaseline) -> Result<PatchBaseline> {
        const OPERATION: &str = "UpdatePatchBaseline";
        let id = baseline.id.as_ref();
        let id = id.ok_or_else(|| invalid(OPERATION, "id: the baseline has none"))?;
        check(OPERATION, baseline)?;
        let before = self.baseline(id).await?;
        let id = self.own(OPERATION, &before, id)?;
        if before.operating_system != baseline.operating_system {
            let os = &before.operating_system;
            let message = format!("operating_system: {id} is for {os}, which no update changes");
            return Err(invalid(OPERATION, message));
        }
        let wanted = baseline.clone().with_id(id.clone());
        if before == wanted {
            return Ok(before);
        }
        let request = convert::baseline::replace(&id, &wanted)?.send_with(self.client.ssm());
        match self.client.write(OPERATION, request).await {
            Ok(_) => Ok(before),
            Err(error) if is_lost(&error) => match self.baseline_by(id.as_str()).await {
                Ok(now) if now == wanted => Ok(before),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn delete_baseline(&self, id: &BaselineId) -> Result<PatchBaseline> {
        const OPERATION: &str = "DeletePatchBaseline";
        let before = self.baseline(id).await?;
        let id = self.own(OPERATION, &before, id)?;
        let request = self.client.ssm().delete_patch_baseline().baseline_id(id.as_str());
        match self.client.write(OPERATION, request.send()).await {
            Ok(_) => Ok(before),
            Err(error) if is_lost(&error) => match self.baseline_by(id.as_str()).await {
                Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(before),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn set_default_baseline(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        const OPERATION: &str = "RegisterDefaultPatchBaseline";
        let wanted = self.baseline(id).await?;
        let (id, os) = (id_of(&wanted, id), wanted.operating_system);
        let before = match self.default_id(&os).await {
            Ok(before) => Some(before),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if before.as_ref() == Some(&id) {
            return Ok(before);
        }
        let request = self.client.ssm().register_default_patch_baseline().baseline_id(id.as_str());
        match self.client.write(OPERATION, request.send()).await {
            Ok(_) => Ok(before),
            Err(error) if is_lost(&error) => match self.default_id(&os).await {
                Ok(now) if now == id => Ok(before),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

impl Ssm {
    /// Lists the values that a filter of a baseline can have for an operating system: its products,
    /// classifications, severities.
    ///
    /// # Errors
    /// `InvalidInput` for a property that is none of the operating system's; `PermissionDenied`,
    /// `Throttled`, `Malformed`.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    /// use patchkit_core::{OperatingSystem, PatchFilterKey};
    ///
    /// let products = ssm.patch_properties(&OperatingSystem::Windows, &PatchFilterKey::Product);
    /// println!("{}", products.try_collect::<Vec<_>>().await?.join(", "));
    /// # Ok(())
    /// # }
    /// ```
    pub fn patch_properties(
        &self,
        os: &OperatingSystem,
        property: &PatchFilterKey,
    ) -> BoxStream<'static, Result<String>> {
        const OPERATION: &str = "DescribePatchProperties";
        let (client, os, property) = (Arc::clone(&self.client), os.clone(), property.clone());
        let values = paginate(PROVIDER, OPERATION, move |token| {
            let (client, os, property) = (Arc::clone(&client), os.clone(), property.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_patch_properties()
                    .operating_system(os.as_str().into())
                    .property(property.as_str().into())
                    .max_results(client.page.within(1, 50))
                    .set_next_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let name = |row: &HashMap<String, String>| {
                    let name = row.get("Name").cloned();
                    name.ok_or_else(|| malformed(OPERATION, "a property has no name"))
                };
                let names = answer.properties().iter().map(name).collect::<Result<_>>()?;
                Ok((names, answer.next_token))
            }
        });
        each_once(values, String::clone)
    }

    /// Lists the patches that there are, for any baseline to approve.
    ///
    /// # Behavior
    /// - Without filters they are those of Windows.
    /// - An update of Windows comes once for each product, a package once for each version.
    ///
    /// # Errors
    /// `InvalidInput` for filters that the service does not take, such as those for Linux without a
    /// product; `PermissionDenied`, `Throttled`, `Malformed`.
    ///
    /// # Example
    /// ```no_run
    /// # async fn example(ssm: patchkit_aws::Ssm) -> patchkit_core::Result<()> {
    /// use futures::TryStreamExt;
    /// use patchkit_core::{PatchFilter, PatchFilterKey};
    ///
    /// let filters = [
    ///     PatchFilter::new(PatchFilterKey::Product, ["WindowsServer2022"]),
    ///     PatchFilter::new(PatchFilterKey::MsrcSeverity, ["Critical"]),
    /// ];
    /// let critical: Vec<_> = ssm.available_patches(filters).try_collect().await?;
    /// println!("{} critical updates", critical.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn available_patches(
        &self,
        filters: impl IntoIterator<Item = PatchFilter>,
    ) -> BoxStream<'static, Result<Patch>> {
        const OPERATION: &str = "DescribeAvailablePatches";
        let filters: Vec<_> =
            filters.into_iter().map(|it| filter(it.key.as_str(), it.values)).collect();
        let client = Arc::clone(&self.client);
        paginate(PROVIDER, OPERATION, move |token| {
            let (client, filters) = (Arc::clone(&client), filters.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_available_patches()
                    .set_filters(Some(filters))
                    .max_results(client.page.within(1, 100))
                    .set_next_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let row = |row: &types::Patch| convert::patch::patch(OPERATION, row);
                let patches = answer.patches().iter().map(row).collect::<Result<_>>()?;
                Ok((patches, answer.next_token))
            }
        })
    }

    /// The ids of the baselines that a selector takes, as the service spells them.
    fn baseline_ids(&self, selector: &BaselineSelector) -> BoxStream<'static, Result<BaselineId>> {
        const OPERATION: &str = "DescribePatchBaselines";
        let (client, filters) = (Arc::clone(&self.client), filters(selector));
        paginate(PROVIDER, OPERATION, move |token| {
            let (client, filters) = (Arc::clone(&client), filters.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_patch_baselines()
                    .set_filters(Some(filters))
                    .max_results(client.page.within(1, 100))
                    .set_next_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let id = |row: &types::PatchBaselineIdentity| {
                    let id = row.baseline_id();
                    BaselineId::new(id.ok_or_else(|| malformed(OPERATION, "a row has no id"))?)
                };
                let ids = answer.baseline_identities().iter().map(id).collect::<Result<_>>()?;
                Ok((ids, answer.next_token))
            }
        })
    }

    /// The baseline with this id, in just this spelling.
    async fn baseline_by(&self, spelling: &str) -> Result<PatchBaseline> {
        let request = self.client.ssm().get_patch_baseline().baseline_id(spelling);
        convert::baseline::read(&self.client.read("GetPatchBaseline", request.send()).await?)
    }

    /// The whole id of one of AWS's own baselines, that is known by its last part: reports of nodes
    /// have no more, and the service wants "the full Amazon Resource Name (ARN)" (API reference,
    /// GetPatchBaseline).
    async fn provided(&self, id: &BaselineId) -> Result<Option<BaselineId>> {
        let own = BaselineSelector::all().with_owner(BaselineOwner::Predefined);
        let found = self.baseline_ids(&own).try_filter(|it| std::future::ready(it == id));
        found.boxed().try_next().await
    }

    /// The default of an operating system, which is always named: without one, the service answers
    /// for Windows (API reference, GetDefaultPatchBaseline).
    async fn default_id(&self, os: &OperatingSystem) -> Result<BaselineId> {
        const OPERATION: &str = "GetDefaultPatchBaseline";
        let request = self.client.ssm().get_default_patch_baseline();
        let request = request.operating_system(os.as_str().into()).send();
        let answer = self.client.read(OPERATION, request).await?;
        match answer.baseline_id().filter(|id| !id.is_empty()) {
            Some(id) => BaselineId::new(id),
            None => Err(Error::not_found(PROVIDER, OPERATION, format!("a default for {os}"))),
        }
    }

    /// The id by which a baseline of the account is changed.
    ///
    /// # Errors
    /// `PermissionDenied` for one of AWS's own. The service would say that it does not exist, or that
    /// the request is invalid.
    fn own(
        &self,
        operation: &'static str,
        baseline: &PatchBaseline,
        asked: &BaselineId,
    ) -> Result<BaselineId> {
        let id = id_of(baseline, asked);
        if is_arn(spelling(self.scope(), &id)) {
            let message = format!("{id} ({}) is one of AWS's own baselines", baseline.name);
            return Err(Error::new(ErrorKind::PermissionDenied, PROVIDER, operation, message));
        }
        Ok(id)
    }

    /// The patches that a baseline approves now, each once.
    ///
    /// The service has a row for each product of an update, in no promised order, so the listing is
    /// read to its end first.
    async fn approved(&self, id: &BaselineId) -> Result<Vec<Patch>> {
        const OPERATION: &str = "DescribeEffectivePatchesForPatchBaseline";
        let id = id_of(&self.baseline(id).await?, id);
        let client = Arc::clone(&self.client);
        let mut rows = paginate(PROVIDER, OPERATION, move |token| {
            let (client, id) = (Arc::clone(&client), id.clone());
            async move {
                let request = client
                    .ssm()
                    .describe_effective_patches_for_patch_baseline()
                    .baseline_id(id.as_str())
                    .max_results(client.page.within(1, 100))
                    .set_next_token(token);
                let answer = client.read(OPERATION, request.send()).await?;
                let approved = answer.effective_patches().iter().filter(|row| is_approved(row));
                let patch = |row: &types::EffectivePatch| {
                    let patch = row.patch();
                    let patch = patch.ok_or_else(|| malformed(OPERATION, "a row has no patch"))?;
                    convert::patch::patch(OPERATION, patch)
                };
                Ok((approved.map(patch).collect::<Result<_>>()?, answer.next_token))
            }
        });
        let mut patches: Vec<Patch> = Vec::new();
        let mut places: HashMap<PatchId, usize> = HashMap::new();
        while let Some(patch) = rows.try_next().await? {
            match places.entry(patch.id.clone()) {
                Entry::Occupied(place) => convert::patch::merge(&mut patches[*place.get()], patch),
                Entry::Vacant(place) => {
                    place.insert(patches.len());
                    patches.push(patch);
                }
            }
        }
        Ok(patches)
    }
}

/// The baseline's id as it was answered: AWS's own are ARNs, whatever was asked with.
pub(crate) fn id_of(baseline: &PatchBaseline, asked: &BaselineId) -> BaselineId {
    baseline.id.clone().unwrap_or_else(|| asked.clone())
}

/// How the service wants an id: bare for the account's own baselines, as an ARN for those of AWS.
fn spelling<'a>(scope: &Scope, id: &'a BaselineId) -> &'a str {
    match id.as_str().split_once(":patchbaseline/") {
        Some((arn, bare)) if arn.rsplit(':').next() == Some(scope.account().as_str()) => bare,
        _ => id.as_str(),
    }
}

fn is_arn(id: &str) -> bool {
    id.starts_with("arn:")
}

/// Whether a write may have been carried out for all that was heard of it. What is there then says
/// whether it was.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Malformed | ErrorKind::Unexpected)
}

fn check(operation: &'static str, baseline: &PatchBaseline) -> Result<()> {
    let violations: Vec<_> = baseline.validate().iter().map(ToString::to_string).collect();
    if violations.is_empty() { Ok(()) } else { Err(invalid(operation, violations.join("; "))) }
}

fn filters(selector: &BaselineSelector) -> Vec<types::PatchOrchestratorFilter> {
    let owner = selector.owner.map(|owner| match owner {
        BaselineOwner::Predefined => "AWS",
        BaselineOwner::Custom => "Self",
        // One that was added to the core after this was written: nobody's.
        _ => "None",
    });
    // The service takes no empty value; every name begins so.
    let prefix = selector.name_prefix.as_deref().filter(|prefix| !prefix.is_empty());
    let os = selector.operating_system.as_ref().map(OperatingSystem::as_str);
    [("OWNER", owner), ("NAME_PREFIX", prefix), ("OPERATING_SYSTEM", os)]
        .into_iter()
        .filter_map(|(key, value)| Some(filter(key, vec![value?.to_owned()])))
        .collect()
}

fn filter(key: &str, values: Vec<String>) -> types::PatchOrchestratorFilter {
    types::PatchOrchestratorFilter::builder().key(key).set_values(Some(values)).build()
}

fn is_approved(row: &types::EffectivePatch) -> bool {
    use types::PatchDeploymentStatus::{Approved, ExplicitApproved};
    let status = row.patch_status().and_then(types::PatchStatus::deployment_status);
    matches!(status, Some(Approved | ExplicitApproved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_baseline_goes_by_its_bare_id_and_one_of_awss_by_its_arn() {
        let scope: Scope = "aws/111122223333/eu-west-1".parse().unwrap();
        let aws = "arn:aws:ssm:eu-west-1:075727635805:patchbaseline/pb-0be8c61cde3be63f3";
        for (id, spelled) in [
            ("pb-0be8c61cde3be63f3", "pb-0be8c61cde3be63f3"),
            ("arn:aws:ssm:eu-west-1:111122223333:patchbaseline/pb-01", "pb-01"),
            ("arn:aws-cn:ssm:cn-north-1:111122223333:patchbaseline/pb-01", "pb-01"),
            (aws, aws),
        ] {
            assert_eq!(spelling(&scope, &BaselineId::new(id).unwrap()), spelled);
        }
    }

    #[test]
    fn an_empty_prefix_is_no_filter() {
        let selector = BaselineSelector::all().with_name_prefix("");
        assert_eq!(filters(&selector), []);
    }
}
