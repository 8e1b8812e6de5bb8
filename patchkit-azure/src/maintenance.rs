//! Maintenance configurations of Update Manager: what stands for a baseline on Azure, and when it is
//! carried out without anyone asking.

mod assignment;
mod configuration;
mod filter;
mod home;
mod id;
mod kept;

use std::sync::Arc;

use azure_core::http::Method;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use patchkit_core::{
    AccountId, BaselineId, Error, ErrorKind, RebootPolicy, Result, Retry, listing::until_error,
};
use serde_json::Value;

pub(crate) use self::{
    assignment::key_of,
    configuration::Draft,
    filter::Filter,
    id::{ConfigurationId, Named, Part, named},
};
pub use self::{
    assignment::{Assignment, Assignments, Reach},
    configuration::MaintenanceConfiguration,
    home::BaselineHome,
};
use crate::{
    PatchWindow, Timing, UpdateManager,
    client::Client,
    error::{Call, PROVIDER, invalid},
    fleet::AT_ONCE,
    ids::{EVERYWHERE, scope},
    limit::Charge,
    schedule::dormant,
};

const LIST: &str = "MaintenanceConfigurations_List";
const GET: &str = "MaintenanceConfigurations_Get";
const PUT: &str = "MaintenanceConfigurations_CreateOrUpdate";
const DELETE: &str = "MaintenanceConfigurations_Delete";

/// The newest version of the Maintenance API that is no preview.
pub(crate) const VERSION: &str = "2023-04-01";

impl UpdateManager {
    /// Lists the maintenance configurations for patching guests, whoever made them.
    ///
    /// # Behavior
    /// - A subscription that cannot be read is an error of the scope `azure/<subscription>/global`, and a
    ///   configuration that cannot be read one of its location; the others come.
    ///
    /// # Errors
    /// `PermissionDenied`, `Throttled`, `Malformed`.
    pub fn maintenance_configurations(
        &self,
    ) -> BoxStream<'static, Result<MaintenanceConfiguration>> {
        self.client.configurations()
    }

    /// The maintenance configuration that a baseline is in.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied`, `Throttled`, `Malformed`.
    pub async fn maintenance_configuration(
        &self,
        baseline: &BaselineId,
    ) -> Result<MaintenanceConfiguration> {
        let (id, _) = self.own("maintenance_configuration", baseline)?;
        self.client.configuration(&id).await
    }

    /// Lets Azure patch by itself: in this window, every machine that the baseline's configuration is
    /// assigned to, with what stands in its parameters. Returns when it did before.
    ///
    /// **From then on Azure installs and reboots on its own**, without plan, waves, leases and journal.
    /// Every group that the baseline is registered for is patched so, and every machine that joins it.
    ///
    /// # Behavior
    /// - What is installed is what Azure's parameters hold of the baseline, which is never more than it
    ///   approves: see [`what_azure_lacks`](crate::what_azure_lacks).
    /// - A virtual machine is patched only where its owner manages the schedules: see
    ///   [`PatchSettings::has_own_schedules`](crate::PatchSettings::has_own_schedules).
    /// - [`unschedule_baseline`](Self::unschedule_baseline), or scheduling the window that is returned,
    ///   takes it back.
    ///
    /// # Errors
    /// `InvalidInput` for a window that Azure does not take, and where nothing of the baseline stands in its
    /// parameters; `Conflict` where one of its groups has another baseline for another Linux, which Azure
    /// does not tell apart; `Unsupported` without a [home](crate::UpdateManagerBuilder::with_baseline_home);
    /// `NotFound`, `PermissionDenied` (a predefined one), `Timeout` (unknown).
    pub async fn schedule_baseline(
        &self,
        baseline: &BaselineId,
        window: &PatchWindow,
        reboot: RebootPolicy,
    ) -> Result<Timing> {
        const OPERATION: &str = "schedule_baseline";
        window.check()?;
        let (id, before) = self.writable(OPERATION, baseline).await?;
        if before.chooses_nothing(OPERATION)? {
            let message = format!(
                "{baseline}: nothing of the baseline stands in Azure's own parameters, so that Azure \
                 would install nothing by itself"
            );
            return Err(invalid(OPERATION, message));
        }
        self.check_alone(OPERATION, &id).await?;
        let draft = before.draft()?.with_window(window.to_json()).with_reboot(reboot)?;
        self.client.put_configuration(&id, &draft).await?;
        Ok(before.timing)
    }

    /// Keeps Azure from patching by itself by a baseline's configuration. Returns when it did before.
    ///
    /// What is under way goes on to its end.
    ///
    /// # Errors
    /// `Unsupported` without a [home](crate::UpdateManagerBuilder::with_baseline_home); `NotFound`,
    /// `PermissionDenied` (a predefined one), `Timeout` (unknown).
    pub async fn unschedule_baseline(&self, baseline: &BaselineId) -> Result<Timing> {
        const OPERATION: &str = "unschedule_baseline";
        let (id, before) = self.writable(OPERATION, baseline).await?;
        if before.timing.is_live() {
            let draft = before.draft()?.with_window(dormant()).with_reboot(RebootPolicy::Never)?;
            self.client.put_configuration(&id, &draft).await?;
        }
        Ok(before.timing)
    }

    /// The home of new baselines; without one nothing is written.
    pub(crate) fn home(&self, operation: &'static str) -> Result<&BaselineHome> {
        self.home.as_deref().ok_or_else(|| Error::unsupported(PROVIDER, operation))
    }

    /// A configuration that may be changed.
    async fn writable(
        &self,
        operation: &'static str,
        baseline: &BaselineId,
    ) -> Result<(ConfigurationId, MaintenanceConfiguration)> {
        self.home(operation)?;
        let (id, _) = self.own(operation, baseline)?;
        let before = self.client.configuration(&id).await?;
        Ok((id, before))
    }

    /// The configuration of a baseline, by the baseline's id.
    ///
    /// # Errors
    /// `PermissionDenied` for a predefined one, which has none; `NotFound` for what is no id of one, or is
    /// in no subscription of the provider's.
    pub(crate) fn own(
        &self,
        operation: &'static str,
        id: &BaselineId,
    ) -> Result<(ConfigurationId, Named)> {
        if crate::baseline::is_predefined(id) {
            let message = format!("{id} is Azure's own default, and no configuration");
            return Err(Error::new(ErrorKind::PermissionDenied, PROVIDER, operation, message));
        }
        let missing = || Error::not_found(PROVIDER, operation, format!("baseline {id}"));
        let (configuration, part) = named(operation, id).map_err(|_| missing())?;
        match self.client.subscription(&configuration.subscription) {
            Some(_) => Ok((configuration, part)),
            None => Err(missing()),
        }
    }
}

impl Client {
    /// The configurations for patching guests of all subscriptions. By Resource Manager, which knows of the
    /// moment: Resource Graph tells minutes later.
    pub(crate) fn configurations(
        self: &Arc<Self>,
    ) -> BoxStream<'static, Result<MaintenanceConfiguration>> {
        let client = Arc::clone(self);
        let subscriptions = self.subscriptions().cloned().collect();
        let rows = self.in_each(subscriptions, LIST, "maintenanceConfigurations");
        let read = move |row: Result<Value>| match row {
            Err(error) => Some(Err(error)),
            Ok(row) => MaintenanceConfiguration::read(LIST, &row, client.now())
                .map_err(|error| client.placed(&row, error))
                .transpose(),
        };
        until_error(rows.filter_map(move |row| std::future::ready(read(row))))
    }

    /// The rows of a list that each of some subscriptions has, several at once and in the order of the
    /// subscriptions.
    fn in_each(
        self: &Arc<Self>,
        subscriptions: Vec<AccountId>,
        operation: &'static str,
        kind: &'static str,
    ) -> BoxStream<'static, Result<Value>> {
        let client = Arc::clone(self);
        let list = move |subscription: AccountId| {
            let client = Arc::clone(&client);
            async move {
                let path =
                    format!("/subscriptions/{subscription}/providers/Microsoft.Maintenance/{kind}");
                let charge = Charge::door(subscription.as_str());
                let list = client.list(operation, charge, client.url(&path, VERSION));
                let (mut rows, mut list) = (Vec::new(), list);
                loop {
                    match list.try_next().await {
                        Ok(Some(row)) => rows.push(Ok(row)),
                        Ok(None) => break,
                        Err(error) => {
                            rows.push(Err(match scope(&subscription, EVERYWHERE) {
                                Ok(scope) => error.with_scope(scope),
                                Err(_) => error,
                            }));
                            break;
                        }
                    }
                }
                stream::iter(rows)
            }
        };
        stream::iter(subscriptions).map(list).buffered(AT_ONCE).flatten().boxed()
    }

    /// An error of one row, with the scope that it is in.
    fn placed(&self, row: &Value, error: Error) -> Error {
        let id = row["id"].as_str().unwrap_or_default();
        let location = row["location"].as_str().filter(|it| !it.is_empty()).unwrap_or(EVERYWHERE);
        let subscription = id.split('/').nth(2).unwrap_or_default();
        match self.subscription(subscription).map(|it| scope(it, location)) {
            Some(Ok(scope)) => error.with_scope(scope),
            _ => error,
        }
    }

    pub(crate) async fn configuration(
        &self,
        id: &ConfigurationId,
    ) -> Result<MaintenanceConfiguration> {
        let url = self.url(&id.to_string(), VERSION);
        let body = self.get(GET, Charge::door(&id.subscription), url).await?.value(GET)?;
        let found = MaintenanceConfiguration::read(GET, &body, self.now());
        found.map_err(|error| self.placed(&body, error))?.ok_or_else(|| {
            Error::not_found(PROVIDER, GET, format!("{id} patches no guests, and a baseline"))
        })
    }

    /// Writes a whole configuration. An answer that is lost is looked for where it was written.
    pub(crate) async fn put_configuration(
        &self,
        id: &ConfigurationId,
        draft: &Draft,
    ) -> Result<()> {
        let url = self.url(&id.to_string(), VERSION);
        let charge = Charge::door(&id.subscription);
        let sent = self.send_json(Call::Write(PUT), charge, Method::Put, url, draft.body()).await;
        match sent {
            Err(error) if is_lost(&error) => match self.configuration(id).await {
                Ok(now) if draft.is_kept_in(&now) => Ok(()),
                _ => Err(error),
            },
            answer => answer.map(drop),
        }
    }

    pub(crate) async fn delete_configuration(&self, id: &ConfigurationId) -> Result<()> {
        match self.delete(DELETE, &id.subscription, &id.to_string()).await {
            Err(error) if is_lost(&error) => match self.configuration(id).await {
                Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            },
            answer => answer,
        }
    }

    /// Deletes a resource of the Maintenance API; one that is not there is as good.
    async fn delete(&self, operation: &'static str, subscription: &str, path: &str) -> Result<()> {
        let mut request = azure_core::http::Request::new(self.url(path, VERSION), Method::Delete);
        request.insert_header("accept", "application/json");
        match self.send(Call::Write(operation), Charge::door(subscription), request).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether a write may have been done although its answer is an error.
pub(crate) fn is_lost(error: &Error) -> bool {
    error.kind() == ErrorKind::Timeout && error.retry() == Retry::Never
}
