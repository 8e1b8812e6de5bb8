//! Changes of machines' patch settings, and their undo.

use std::{sync::Arc, time::Duration};

use azure_core::http::Method;
use futures::{FutureExt, future::BoxFuture};
use patchkit_core::{Error, ErrorKind, NodeId, PollPolicy, Polled, Result, WaitError, wait_until};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    AssessmentMode, MachineKind, PatchMode, PatchSettings, Schedules, UpdateManager,
    bridge::reply,
    client::Client,
    convert::node::{patch_settings, text},
    error::{Call, PROVIDER, shown},
    limit::{Charge, Quota},
    lro::FLOOR,
};

const OPERATION: &str = "set_patch_settings";
const GET: &str = "VirtualMachines_Get";
const UPDATE: &str = "VirtualMachines_Update";
const VERSION: &str = "2024-07-01";

/// How long a change of settings is waited for; it takes seconds.
const LIMIT: Duration = Duration::from_mins(10);

const PLATFORM: &str = "automaticByPlatformSettings";
const BYPASS: &str = "bypassPlatformSafetyChecksOnUserSchedule";

/// What a change of patch settings did, as its undo needs it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchSettingsChange {
    /// The machine's node.
    pub node: NodeId,
    /// Its settings from before.
    pub before: PatchSettings,
    /// Its settings now.
    pub after: PatchSettings,
}

impl PatchSettingsChange {
    /// A change that did nothing.
    pub fn none(node: NodeId) -> Self {
        Self { node, before: PatchSettings::default(), after: PatchSettings::default() }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.before == self.after
    }
}

impl PatchSettings {
    /// Leaves the times to the owner's schedules: what the portal calls Customer Managed Schedules.
    /// The platform then patches nothing of itself.
    #[must_use]
    pub fn with_own_schedules(mut self) -> Self {
        (self.mode, self.schedules) = (Some(PatchMode::AutomaticByPlatform), Schedules::Own);
        self
    }

    /// Has the platform look for missing patches once a day.
    #[must_use]
    pub fn with_periodic_assessment(mut self) -> Self {
        self.assessment = Some(AssessmentMode::AutomaticByPlatform);
        self
    }

    /// These settings over others: what they do not name stays.
    fn over(&self, before: &Self) -> Self {
        let schedules = match self.mode {
            Some(PatchMode::AutomaticByPlatform) => self.schedules,
            Some(_) => Schedules::Platform,
            None => before.schedules,
        };
        Self {
            mode: self.mode.clone().or_else(|| before.mode.clone()),
            assessment: self.assessment.clone().or_else(|| before.assessment.clone()),
            schedules,
        }
    }
}

impl UpdateManager {
    /// Gives a virtual machine patch settings; what `wanted` does not name stays as it is.
    ///
    /// # Behavior
    /// - A machine that has them already is left alone: the change returned is empty.
    /// - Nothing of the machine but its patch settings is touched, and of Windows the automatic updates
    ///   that the patch mode demands. It is not booted.
    /// - Returns when Azure has made the change. Where the answer is lost the machine is read: the
    ///   change is never sent twice.
    /// - [`revert_patch_settings`](Self::revert_patch_settings) restores the settings from before.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` (an Arc machine, an instance of a uniform scale set), `Conflict` (a
    /// machine of a specialised disk, which has no such settings; another operation is under way),
    /// `PermissionDenied`, `Throttled`, `Timeout` (it may have been made).
    pub async fn set_patch_settings(
        &self,
        node: &NodeId,
        wanted: &PatchSettings,
    ) -> Result<PatchSettingsChange> {
        let named = |error: Error| error.with_node(node.clone());
        let seen = Arc::clone(&self.client).model(node.clone()).await.map_err(named)?;
        let after = wanted.over(&seen.settings);
        let change =
            PatchSettingsChange { node: node.clone(), before: seen.settings.clone(), after };
        if !change.is_empty() {
            self.client.put_settings(node, &seen, &change.after).await.map_err(named)?;
        }
        Ok(change)
    }

    /// Restores the patch settings that [`set_patch_settings`](Self::set_patch_settings) changed.
    ///
    /// # Behavior
    /// - Twice is as good as once.
    /// - Where nothing was said before, the machine gets what that means: its image's way on Linux, its
    ///   system's on Windows.
    ///
    /// # Errors
    /// As [`set_patch_settings`](Self::set_patch_settings); `Conflict` where someone has changed the
    /// settings since: they are his, and stay.
    pub async fn revert_patch_settings(&self, change: &PatchSettingsChange) -> Result<()> {
        if change.is_empty() {
            return Ok(());
        }
        let named = |error: Error| error.with_node(change.node.clone());
        let seen = Arc::clone(&self.client).model(change.node.clone()).await.map_err(named)?;
        let before = seen.with_usual(&change.before);
        if seen.settings == change.before || seen.settings == before {
            return Ok(());
        }
        if seen.settings != change.after {
            let message = "its patch settings were changed since, and are left";
            return Err(named(conflict(message)));
        }
        self.client.put_settings(&change.node, &seen, &before).await.map_err(named)
    }
}

fn conflict(message: &'static str) -> Error {
    Error::new(ErrorKind::Conflict, PROVIDER, OPERATION, message)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum System {
    Linux,
    Windows,
}

/// A machine's model, as far as its patch settings go.
#[derive(Debug)]
struct Model {
    system: System,
    /// The settings, as they were sent.
    raw: Map<String, Value>,
    settings: PatchSettings,
    /// Whether Windows may update itself.
    automatic: Option<bool>,
    /// How far the machine is as its model says: `Succeeded`, `Updating`.
    provisioning: String,
}

impl Model {
    fn read(machine: &Value) -> Result<Self> {
        let profile = &machine["properties"]["osProfile"];
        let [windows, linux] =
            ["windowsConfiguration", "linuxConfiguration"].map(|key| &profile[key]);
        let of = text(machine, "/properties/storageProfile/osDisk/osType").unwrap_or_default();
        let (system, configuration) = if windows.is_object() {
            (System::Windows, windows)
        } else if linux.is_object() {
            (System::Linux, linux)
        } else if !profile.is_object() {
            let message = "it was made of a specialised disk, and has no patch settings";
            return Err(conflict(message));
        } else if of.eq_ignore_ascii_case("Windows") {
            (System::Windows, &Value::Null)
        } else {
            (System::Linux, &Value::Null)
        };
        let settings = &configuration["patchSettings"];
        Ok(Self {
            system,
            raw: settings.as_object().cloned().unwrap_or_default(),
            settings: patch_settings(settings),
            automatic: configuration["enableAutomaticUpdates"].as_bool(),
            provisioning: text(machine, "/properties/provisioningState")
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Settings with what nothing said means.
    fn with_usual(&self, settings: &PatchSettings) -> PatchSettings {
        let mut settings = settings.clone();
        let usual = match self.system {
            System::Linux => PatchMode::ImageDefault,
            System::Windows => PatchMode::AutomaticByOs,
        };
        settings.mode.get_or_insert(usual);
        settings.assessment.get_or_insert(AssessmentMode::ImageDefault);
        settings
    }

    /// Whether the machine has these settings, and Azure is done with it.
    fn is_made(&self, after: &PatchSettings) -> Polled<()> {
        let is = |word: &str| self.provisioning.eq_ignore_ascii_case(word);
        if self.settings != *after {
            Polled::Failed("its patch settings are others than were set".to_owned())
        } else if is("Succeeded") {
            Polled::Ready(())
        } else if is("Failed") || is("Canceled") {
            Polled::Failed(format!("its change is {}", shown(&self.provisioning)))
        } else {
            Polled::Pending
        }
    }

    /// The body that gives the machine these settings. What else is set there goes along: what Azure
    /// makes of a part of the object is documented nowhere.
    fn body(&self, after: &PatchSettings) -> Value {
        let mut settings = self.raw.clone();
        if let Some(mode) = &after.mode {
            settings.insert("patchMode".to_owned(), mode.as_str().into());
        }
        if let Some(mode) = &after.assessment {
            settings.insert("assessmentMode".to_owned(), mode.as_str().into());
        }
        // They may be set in this mode alone (Compute API, `automaticByPlatformSettings`).
        if after.mode == Some(PatchMode::AutomaticByPlatform) {
            let bypass = after.schedules == Schedules::Own;
            let platform = settings.entry(PLATFORM).or_insert_with(|| json!({}));
            if !platform.is_object() {
                *platform = json!({});
            }
            platform[BYPASS] = bypass.into();
        } else {
            settings.remove(PLATFORM);
        }
        let mut configuration = json!({"patchSettings": settings});
        let key = match self.system {
            System::Linux => "linuxConfiguration",
            System::Windows => {
                // It must be off with `Manual` and on with any other mode (Compute API, `patchMode`).
                let automatic = after.mode != Some(PatchMode::Manual);
                if after.mode.is_some() && self.automatic != Some(automatic) {
                    configuration["enableAutomaticUpdates"] = automatic.into();
                }
                "windowsConfiguration"
            }
        };
        json!({"properties": {"osProfile": {key: configuration}}})
    }
}

impl Client {
    async fn model(self: Arc<Self>, node: NodeId) -> Result<Model> {
        let machine = self.machine(OPERATION, &node)?;
        if machine.kind != MachineKind::Vm {
            let message = match machine.kind {
                MachineKind::Arc => "an Arc machine needs no patch settings for a schedule",
                _ => "an instance of a uniform scale set is not patched by Azure",
            };
            return Err(Error::new(ErrorKind::Unsupported, PROVIDER, OPERATION, message));
        }
        let call = Call::Read(GET);
        let vms =
            self.compute(call, Charge::on(Quota::LowCostGet, &node))?.virtual_machines_client();
        let sent = vms.get(machine.group, machine.name, machine.subscription).send();
        Model::read(&reply(call, sent).await?.value(GET)?)
    }

    async fn put_settings(
        self: &Arc<Self>,
        node: &NodeId,
        seen: &Model,
        after: &PatchSettings,
    ) -> Result<()> {
        let machine = self.machine(OPERATION, node)?;
        let url = self.url(&machine.to_string(), VERSION);
        let charge = Charge::on(Quota::UpdateMachine, node);
        let call = Call::Write(UPDATE);
        let sent = self.send_json(call, charge, Method::Patch, url, &seen.body(after)).await;
        let lost = match sent {
            Ok(_) => None,
            // Nobody knows whether it was made: the machine does.
            Err(error) if error.kind() == ErrorKind::Timeout => Some(error),
            Err(error) => return Err(error),
        };
        let ended = self.wait_for(node, after).await;
        match (ended, lost) {
            (Err(WaitError::FailedState(_)), Some(lost)) => Err(lost),
            (ended, _) => ended.map_err(|error| error.into_error(PROVIDER, UPDATE)),
        }
    }

    /// Waits until a machine is made as its model says, by the machine itself: that takes no right
    /// beyond those of who changes it, and none of an operation's signed addresses.
    fn wait_for(
        self: &Arc<Self>,
        node: &NodeId,
        after: &PatchSettings,
    ) -> BoxFuture<'static, Result<(), WaitError>> {
        // What is borrowed by a question is not `Send` for every lifetime.
        let (client, node, after) = (Arc::clone(self), node.clone(), after.clone());
        let clock = Arc::clone(&self.clock);
        let look = move || {
            let (client, node, after) = (Arc::clone(&client), node.clone(), after.clone());
            async move { Ok(client.model(node).await?.is_made(&after)) }.boxed()
        };
        let policy = PollPolicy::new(LIMIT).with_interval(FLOOR, FLOOR);
        async move { wait_until(&*clock, &policy, look).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(configuration: &Value) -> Model {
        Model::read(&json!({"properties": {"osProfile": configuration}})).unwrap()
    }

    #[test]
    fn what_is_set_beside_goes_along() {
        let model = model(&json!({"linuxConfiguration": {"patchSettings": {
            "patchMode": "AutomaticByPlatform",
            "assessmentMode": "ImageDefault",
            "automaticByPlatformSettings": {"rebootSetting": "Never"},
        }}}));
        let after = PatchSettings::default().with_own_schedules().over(&model.settings);
        assert_eq!(
            model.body(&after)["properties"]["osProfile"]["linuxConfiguration"]["patchSettings"],
            json!({
                "patchMode": "AutomaticByPlatform",
                "assessmentMode": "ImageDefault",
                "automaticByPlatformSettings": {
                    "rebootSetting": "Never",
                    "bypassPlatformSafetyChecksOnUserSchedule": true,
                },
            })
        );
        let manual = PatchSettings { mode: Some(PatchMode::ImageDefault), ..Default::default() };
        let body = model.body(&manual.over(&model.settings));
        let settings = &body["properties"]["osProfile"]["linuxConfiguration"]["patchSettings"];
        assert!(settings["automaticByPlatformSettings"].is_null(), "{settings}");
    }

    #[test]
    fn windows_may_update_itself_in_every_mode_but_manual() {
        let windows = |automatic: bool| {
            model(&json!({"windowsConfiguration": {
                "enableAutomaticUpdates": automatic,
                "patchSettings": {"patchMode": if automatic { "AutomaticByOS" } else { "Manual" }},
            }}))
        };
        let sent = |model: &Model, wanted: PatchSettings| {
            let body = model.body(&wanted.over(&model.settings));
            body["properties"]["osProfile"]["windowsConfiguration"]["enableAutomaticUpdates"]
                .clone()
        };
        let own = || PatchSettings::default().with_own_schedules();
        assert_eq!(sent(&windows(false), own()), json!(true));
        assert_eq!(sent(&windows(true), own()), Value::Null);
        let manual = PatchSettings { mode: Some(PatchMode::Manual), ..Default::default() };
        assert_eq!(sent(&windows(true), manual), json!(false));
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = PatchSettings::default().with_own_schedules();
        let after = PatchSettings::default().with_periodic_assessment().over(&before);
        assert_eq!(after, before.clone().with_periodic_assessment());
        let manual = PatchSettings { mode: Some(PatchMode::Manual), ..Default::default() };
        assert_eq!(manual.over(&before).schedules, Schedules::Platform);
    }

    #[test]
    fn a_change_is_made_when_the_machine_has_it_and_azure_is_done() {
        let own = PatchSettings::default().with_own_schedules();
        for (provisioning, made) in [
            ("Succeeded", Polled::Ready(())),
            ("updating", Polled::Pending),
            ("LearnedLater", Polled::Pending),
            ("Failed", Polled::Failed("its change is Failed".to_owned())),
        ] {
            let mut model = model(&json!({"linuxConfiguration": {}}));
            (model.settings, model.provisioning) = (own.clone(), provisioning.to_owned());
            assert_eq!(model.is_made(&own), made);
            assert!(matches!(model.is_made(&PatchSettings::default()), Polled::Failed(_)));
        }
    }

    #[test]
    fn a_machine_of_a_specialised_disk_has_no_settings() {
        let machine = json!({"properties": {"storageProfile": {"osDisk": {"osType": "Linux"}}}});
        assert_eq!(Model::read(&machine).unwrap_err().kind(), ErrorKind::Conflict);
    }
}
