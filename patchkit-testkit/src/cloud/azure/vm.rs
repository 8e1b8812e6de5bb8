//! Virtual machines: lists, one of them, and changes of its model.

use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Call,
    error::ArmError,
    operation::{self, End},
    reply::{Reply, stamp},
    router::Scope,
    side, tags, vm_view,
};
use crate::cloud::world::{
    State,
    judge::between,
    machine::{AzureKind, AzureSide, GuestPatching, MachineIx},
};

pub(super) const KIND: &str = "Microsoft.Compute/virtualMachines";
pub(super) const SIZES: [&str; 5] =
    ["Standard_D2s_v5", "Standard_D4s_v5", "Standard_B2ms", "Standard_E4s_v5", "Standard_F4s_v2"];

/// The VM of the scope's resource group with this name.
pub(super) fn find(call: &Call<'_>, name: &str) -> Result<MachineIx, ArmError> {
    find_kind(call, KIND, name)
}

/// The machine of this type in the scope's resource group.
pub(super) fn find_kind(call: &Call<'_>, kind: &str, name: &str) -> Result<MachineIx, ArmError> {
    let Scope::Group(subscription, group) = call.scope else {
        return Err(ArmError::resource(kind, name, ""));
    };
    let id = call.state.group_id(subscription, group);
    let key = format!("{id}/providers/{kind}/{name}").to_lowercase();
    call.state
        .azure
        .by_id
        .get(key.as_str())
        .copied()
        .ok_or_else(|| ArmError::resource(kind, name, id.rsplit('/').next().unwrap_or_default()))
}

/// A page of a list: where it begins, and how many it may hold.
pub(super) struct Page {
    pub(super) start: usize,
    pub(super) size: usize,
}

impl Page {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, ArmError> {
        let size = call.shared.azure_page;
        let Some(token) = call.ask.parameter("$skiptoken").filter(|it| !it.is_empty()) else {
            return Ok(Self { start: 0, size });
        };
        let (start, _) = read_token(token).ok_or_else(|| {
            ArmError::parameter("$skiptoken", "The value of parameter $skiptoken is invalid.")
        })?;
        Ok(Self { start, size })
    }

    /// Takes what fits from machines with their places, of which a place is never behind the
    /// next one's; says where the next page begins.
    pub(super) fn cut(
        &self,
        call: &Call<'_>,
        places: impl Iterator<Item = (usize, MachineIx)>,
    ) -> (Vec<MachineIx>, Option<String>) {
        let mut places = places.filter(|(place, _)| *place >= self.start).peekable();
        let page: Vec<_> = places.by_ref().take(self.size).collect();
        call.last.set(page.last().map(|(place, _)| *place));
        let next = places.peek().map(|(place, _)| call.ask.next_link(&page_token(*place, 0)));
        (page.into_iter().map(|(_, at)| at).collect(), next)
    }
}

/// A token for a place; it differs from every other one of the place where `again` does.
pub(super) fn page_token(place: usize, again: u64) -> String {
    URL_SAFE_NO_PAD.encode_to_string(format!("at:{place}:{again}"))
}

/// The place that a token is for, and how often it was asked for in vain.
pub(super) fn read_token(token: &str) -> Option<(usize, u64)> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
    let (place, again) = std::str::from_utf8(&bytes).ok()?.strip_prefix("at:")?.split_once(':')?;
    Some((place.parse().ok()?, again.parse().ok()?))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let flag = |name: &str, value: &str| {
        call.ask.parameter(name).is_some_and(|it| it.eq_ignore_ascii_case(value))
    };
    let status_only = flag("statusOnly", "true");
    let detail = Detail::of(call);
    let set = match call.ask.parameter("$filter").filter(|it| !it.is_empty()) {
        Some(filter) => Some(filtered_set(call, filter)?),
        None if detail == Detail::InstanceView => {
            return Err(ArmError::parameter(
                "$expand",
                "The expand 'instanceView' is supported only with a filter by \
                 'virtualMachineScaleSet/id'.",
            ));
        }
        None => None,
    };
    let location = match call.tail {
        [_, location, _, ..] => Some(plain(location)),
        _ => None,
    };
    let page = Page::of(call)?;
    let state = &*call.state;
    let places: Box<dyn Iterator<Item = _>> = match &set {
        Some(members) => Box::new((0..).zip(members.iter().copied())),
        None => Box::new(from_place(state, &call.scope, page.start)),
    };
    let listed = places.filter(|(_, at)| {
        side(state, *at).is_ok_and(|azure| {
            let here = || plain(location_of(state, azure));
            matches!(azure.kind, AzureKind::Vm | AzureKind::Flexible { .. })
                && call.scope.holds(azure)
                && location.as_ref().is_none_or(|it| *it == here())
        })
    });
    let (machines, next) = page.cut(call, listed);
    let item = |at| if status_only { thin(state, at) } else { document(state, at, detail) };
    let items = machines.into_iter().map(item).collect::<Result<_, _>>()?;
    Ok(Reply::list(items, next))
}

/// The machines of a subscription, or of a resource group, from a place on. Those of a group are
/// one piece of the subscription's.
pub(super) fn from_place<'s>(
    state: &'s State,
    scope: &'s Scope,
    start: usize,
) -> impl Iterator<Item = (usize, MachineIx)> + 's {
    let (all, first): (&[MachineIx], _) = match scope {
        Scope::Subscription(at) => (&state.subscription(*at).machines, 0),
        Scope::Group(at, group) => {
            let all = &state.subscription(*at).machines;
            (all, state.azure.census.first_of(*at, *group).unwrap_or(all.len()))
        }
        _ => (&[], 0),
    };
    let start = start.max(first).min(all.len());
    let places = (start..).zip(&all[start..]).map(|(place, at)| (place, *at));
    places.take_while(move |(_, at)| side(state, *at).is_ok_and(|it| scope.holds(it)))
}

/// The members of the scale set that a filter names; no other filter is supported.
fn filtered_set(call: &Call<'_>, filter: &str) -> Result<Vec<MachineIx>, ArmError> {
    let wrong = || {
        ArmError::parameter(
            "$filter",
            "The only supported filter is \"'virtualMachineScaleSet/id' eq '{id}'\".",
        )
    };
    let (left, right) = filter.split_once(" eq ").ok_or_else(wrong)?;
    let key = left.trim().trim_matches('\'');
    if !key.eq_ignore_ascii_case("virtualMachineScaleSet/id") {
        return Err(wrong());
    }
    let id = right.trim().trim_matches('\'').to_lowercase();
    let set = call.state.azure.sets.get(id.as_str());
    Ok(set.map_or_else(Vec::new, |set| set.members.clone()))
}

/// A location as locations are compared: `West Europe` is `westeurope`.
pub(super) fn plain(location: &str) -> String {
    location.to_lowercase().replace(' ', "")
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = find(call, call.name(1))?;
    let expand = call.ask.parameter("$expand").unwrap_or_default();
    if !["", "instanceview", "userdata"].contains(&&*expand.to_lowercase()) {
        return Err(ArmError::parameter(
            "$expand",
            format!("The value '{expand}' of parameter $expand is invalid."),
        ));
    }
    Ok(Reply::ok(&document(call.state, at, Detail::of(call))?))
}

pub(super) fn location_of<'s>(state: &'s State, azure: &AzureSide) -> &'s str {
    let groups = &state.subscription(azure.subscription).groups;
    groups.get(usize::from(azure.group)).map_or("", |it| &it.location)
}

/// A list's item where only the status was asked for. What else the service sends is not
/// documented.
fn thin(state: &State, at: MachineIx) -> Result<Value, ArmError> {
    let azure = side(state, at)?;
    Ok(json!({
        "name": azure.name,
        "id": state.vm_resource_id(azure),
        "type": KIND,
        "location": location_of(state, azure),
        "properties": {
            "vmId": azure.vm_id,
            "provisioningState": provisioning(state, at),
            "instanceView": {"statuses": vm_view::statuses(state, at)},
        },
    }))
}

fn provisioning(state: &State, at: MachineIx) -> &'static str {
    if state.azure.updating.contains(&at) { "Updating" } else { "Succeeded" }
}

/// How much of a machine is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Detail {
    Model,
    /// What it does at the moment, too.
    InstanceView,
}

impl Detail {
    /// What `$expand` asks for.
    pub(super) fn of(call: &Call<'_>) -> Self {
        let expand = call.ask.parameter("$expand");
        let asked = expand.is_some_and(|it| it.eq_ignore_ascii_case("instanceView"));
        if asked { Self::InstanceView } else { Self::Model }
    }
}

/// A VM as it is read.
pub(super) fn document(state: &State, at: MachineIx, detail: Detail) -> Result<Value, ArmError> {
    let azure = side(state, at)?;
    let mut properties = shown(state, at, azure);
    if detail == Detail::InstanceView {
        properties["instanceView"] = vm_view::view(state, at)?;
    }
    Ok(json!({
        "name": azure.name,
        "id": state.vm_resource_id(azure),
        "type": KIND,
        "location": location_of(state, azure),
        "tags": tags::document(&azure.tags),
        "properties": properties,
    }))
}

/// What VMs and instances of uniform scale sets have in common.
pub(super) fn properties(state: &State, at: MachineIx) -> Result<Value, ArmError> {
    let azure = side(state, at)?;
    let all = PROPERTIES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), property(state, at, azure, name)?)));
    Ok(Value::Object(all.collect()))
}

/// The properties of every VM.
const PROPERTIES: [&str; 7] = [
    "vmId",
    "provisioningState",
    "hardwareProfile",
    "storageProfile",
    "osProfile",
    "networkProfile",
    "timeCreated",
];

/// The properties that Resource Graph shows of a VM.
pub(super) fn shown(state: &State, at: MachineIx, azure: &AzureSide) -> Value {
    let one = |name: &str| Some((name.to_owned(), property(state, at, azure, name)?));
    Value::Object(
        PROPERTIES.into_iter().chain(["virtualMachineScaleSet"]).filter_map(one).collect(),
    )
}

/// Whether a VM may have a property of this name.
pub(super) fn has(name: &str) -> bool {
    PROPERTIES.contains(&name) || ["extended", "virtualMachineScaleSet"].contains(&name)
}

/// One property of a VM; none where it has none of this name.
pub(super) fn property(
    state: &State,
    at: MachineIx,
    azure: &AzureSide,
    name: &str,
) -> Option<Value> {
    let group = || state.group_id(azure.subscription, azure.group);
    Some(match name {
        "vmId" => json!(azure.vm_id),
        "provisioningState" => json!(provisioning(state, at)),
        "hardwareProfile" => json!({"vmSize": size(state, at)}),
        "storageProfile" => {
            let system = state.system_of(at);
            let [publisher, offer, sku] = system.image.unwrap_or(["", "", ""]);
            let disk = format!("{}_OsDisk_1", azure.name);
            json!({
                "imageReference": {
                    "publisher": publisher,
                    "offer": offer,
                    "sku": sku,
                    "version": "latest",
                },
                "osDisk": {
                    "osType": os_type(state, at),
                    "name": disk,
                    "createOption": "FromImage",
                    "caching": "ReadWrite",
                    "managedDisk": {
                        "storageAccountType": "Premium_LRS",
                        "id": format!("{}/providers/Microsoft.Compute/disks/{disk}", group()),
                    },
                    "deleteOption": "Delete",
                    "diskSizeGB": if system.is_windows() { 127 } else { 30 },
                },
                "dataDisks": [],
            })
        }
        "osProfile" => os_profile(state, at, azure),
        "networkProfile" => json!({"networkInterfaces": [{"id": interface_id(state, azure)}]}),
        "timeCreated" => json!(stamp(state.machine(at).created)),
        "virtualMachineScaleSet" => {
            let AzureKind::Flexible { set } = &azure.kind else { return None };
            json!({"id": state.set_id(azure.subscription, azure.group, set)})
        }
        _ => return None,
    })
}

/// The id of a VM's network interface.
pub(super) fn interface_id(state: &State, azure: &AzureSide) -> String {
    let group = state.group_id(azure.subscription, azure.group);
    format!("{group}/providers/Microsoft.Network/networkInterfaces/{}-nic", azure.name)
}

/// The size of a VM, as Azure names it.
pub(super) fn size(state: &State, at: MachineIx) -> &'static str {
    SIZES[usize::try_from(state.draw(at, 41) % SIZES.len() as u64).unwrap_or(0)]
}

fn os_profile(state: &State, at: MachineIx, azure: &AzureSide) -> Value {
    let (machine, windows) = (state.machine(at), state.system_of(at).is_windows());
    let mut profile = json!({
        "computerName": if windows { machine.short_name() } else { &*machine.name },
        "adminUsername": "azureuser",
        "secrets": [],
        "allowExtensionOperations": true,
    });
    let settings = patch_settings(&azure.patching);
    if windows {
        profile["windowsConfiguration"] = json!({
            "provisionVMAgent": true,
            "enableAutomaticUpdates": is_automatic(&azure.patching),
            "patchSettings": settings,
        });
    } else {
        profile["linuxConfiguration"] = json!({
            "disablePasswordAuthentication": true,
            "provisionVMAgent": true,
            "patchSettings": settings,
        });
    }
    profile
}

/// `Windows` or `Linux`, as Azure writes it.
pub(super) fn os_type(state: &State, at: MachineIx) -> &'static str {
    if state.system_of(at).is_windows() { "Windows" } else { "Linux" }
}

pub(super) fn patch_settings(patching: &GuestPatching) -> Value {
    let mut settings = json!({
        "patchMode": &*patching.patch_mode,
        "assessmentMode": &*patching.assessment_mode,
    });
    let mut platform = json!({});
    if let Some(bypass) = patching.bypass {
        platform["bypassPlatformSafetyChecksOnUserSchedule"] = json!(bypass);
    }
    if let Some(reboot) = &patching.reboot {
        platform["rebootSetting"] = json!(&**reboot);
    }
    if platform != json!({}) {
        settings["automaticByPlatformSettings"] = platform;
    }
    settings
}

pub(super) fn update(call: &mut Call<'_>) -> Result<Reply, ArmError> {
    let at = find(call, call.name(1))?;
    let body = call.ask.object()?;
    if call.state.azure.updating.contains(&at) {
        return Err(super::power::concurrent());
    }
    let mut patching = call.azure(at)?.patching.clone();
    let mut new_tags = None;
    for (key, value) in body.as_object().into_iter().flatten() {
        match key.as_str() {
            "tags" if !value.is_null() => new_tags = Some(tags::checked(value)?),
            "properties" => change(call.state, at, value, &mut patching)?,
            "tags" | "id" | "name" | "type" | "location" | "etag" => {}
            other => return Err(not_modelled(other)),
        }
    }
    let azure = call.state.machine_mut(at).azure.as_mut();
    if let Some(azure) = azure {
        azure.patching = patching;
        if let Some(tags) = new_tags {
            azure.tags = tags;
        }
    }
    let id = call.state.new_uuid();
    call.state.begin_operation(&id, at);
    Arc::make_mut(&mut call.state.azure.updating).insert(at);
    let ready = between(call.state.draw(at, 42), 5, 15);
    let [status, _] = operation::addresses(call, &id, at)?;
    let reply = Reply::json(StatusCode::OK, &document(call.state, at, Detail::Model)?)
        .with("azure-asyncoperation", status)
        .with("azure-asyncnotification", "Enabled");
    call.state.after(ready, move |state| {
        Arc::make_mut(&mut state.azure.updating).remove(&at);
        state.end_operation(&id, End::Succeeded(None));
    });
    Ok(reply)
}

fn not_modelled(key: &str) -> ArmError {
    ArmError::parameter(key, format!("The simulator does not model a change of '{key}'."))
}

/// Applies what a PATCH names under `properties`; what is read-only is left as it is.
fn change(
    state: &State,
    at: MachineIx,
    properties: &Value,
    patching: &mut GuestPatching,
) -> Result<(), ArmError> {
    let os = os_type(state, at);
    for (key, value) in properties.as_object().into_iter().flatten() {
        match key.as_str() {
            "vmId" | "provisioningState" | "instanceView" | "timeCreated" => {}
            "osProfile" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let of = match key.as_str() {
                        "windowsConfiguration" => "Windows",
                        "linuxConfiguration" => "Linux",
                        other => return Err(not_modelled(&format!("osProfile.{other}"))),
                    };
                    if value.is_null() {
                        continue;
                    }
                    if of != os {
                        return Err(ArmError::parameter(
                            format!("osProfile.{key}"),
                            format!("The property '{key}' is not valid for a VM of OS type {os}."),
                        ));
                    }
                    change_configuration(os, key, value, patching)?;
                }
            }
            other => return Err(not_modelled(&format!("properties.{other}"))),
        }
    }
    Ok(())
}

fn change_configuration(
    os: &str,
    place: &str,
    configuration: &Value,
    patching: &mut GuestPatching,
) -> Result<(), ArmError> {
    let mut automatic = is_automatic(patching);
    for (key, value) in configuration.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("patchSettings", value) => change_settings(os, place, value, patching)?,
            // What these machines have anyway.
            ("provisionVMAgent", Value::Bool(true)) => {}
            ("enableAutomaticUpdates", Value::Bool(on)) if os == "Windows" => automatic = *on,
            (other, _) => return Err(not_modelled(&format!("osProfile.{place}.{other}"))),
        }
    }
    if os == "Windows" && automatic != is_automatic(patching) {
        return Err(ArmError::parameter(
            format!("osProfile.{place}.enableAutomaticUpdates"),
            format!(
                "The patchMode '{}' and the value '{automatic}' of enableAutomaticUpdates exclude each \
                 other.",
                patching.patch_mode
            ),
        ));
    }
    Ok(())
}

/// Whether Windows may update itself: so it is in every mode but one, and must be (Compute API,
/// `patchMode`).
fn is_automatic(patching: &GuestPatching) -> bool {
    *patching.patch_mode != *"Manual"
}

const PLATFORM: &str = "AutomaticByPlatform";

fn change_settings(
    os: &str,
    place: &str,
    settings: &Value,
    patching: &mut GuestPatching,
) -> Result<(), ArmError> {
    let place = format!("{place}.patchSettings");
    for (key, value) in settings.as_object().into_iter().flatten() {
        let is_known = match key.as_str() {
            "patchMode" | "assessmentMode" | "automaticByPlatformSettings" => true,
            // What these machines have anyway.
            "enableHotpatching" => os == "Windows" && *value == json!(false),
            _ => false,
        };
        if !is_known && !value.is_null() {
            return Err(not_modelled(&format!("osProfile.{place}.{key}")));
        }
    }
    let modes: &[&str] = match os {
        "Windows" => &["Manual", "AutomaticByOS", PLATFORM],
        _ => &["ImageDefault", PLATFORM],
    };
    if let Some(mode) = one_of(&settings["patchMode"], modes, &format!("{place}.patchMode"))? {
        patching.patch_mode = Arc::from(mode);
        if mode != PLATFORM {
            (patching.bypass, patching.reboot) = (None, None);
        }
    }
    let target = format!("{place}.assessmentMode");
    let modes = ["ImageDefault", PLATFORM];
    if let Some(mode) = one_of(&settings["assessmentMode"], &modes, &target)? {
        patching.assessment_mode = Arc::from(mode);
    }
    let platform = &settings["automaticByPlatformSettings"];
    if platform.is_null() {
        return Ok(());
    }
    let target = format!("{place}.automaticByPlatformSettings");
    if *patching.patch_mode != *PLATFORM {
        return Err(ArmError::parameter(
            target,
            "automaticByPlatformSettings can be set only where patchMode is AutomaticByPlatform.",
        ));
    }
    let known = ["rebootSetting", "bypassPlatformSafetyChecksOnUserSchedule"];
    let mut keys = platform.as_object().into_iter().flatten();
    if let Some((key, _)) = keys.find(|(key, it)| !known.contains(&key.as_str()) && !it.is_null()) {
        return Err(not_modelled(&format!("osProfile.{target}.{key}")));
    }
    let modes = ["Unknown", "IfRequired", "Never", "Always"];
    let reboot = format!("{target}.rebootSetting");
    if let Some(mode) = one_of(&platform["rebootSetting"], &modes, &reboot)? {
        patching.reboot = Some(Arc::from(mode));
    }
    match &platform["bypassPlatformSafetyChecksOnUserSchedule"] {
        Value::Null => {}
        Value::Bool(bypass) => patching.bypass = Some(*bypass),
        other => {
            return Err(ArmError::parameter(
                format!("{target}.bypassPlatformSafetyChecksOnUserSchedule"),
                format!("The value '{other}' is no boolean."),
            ));
        }
    }
    Ok(())
}

/// One of an enum's values, in any case; none where it is left out.
pub(super) fn one_of<'v>(
    value: &Value,
    values: &[&'v str],
    target: &str,
) -> Result<Option<&'v str>, ArmError> {
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().unwrap_or_default();
    let found = values.iter().find(|it| it.eq_ignore_ascii_case(text));
    found.copied().map(Some).ok_or_else(|| {
        ArmError::parameter(
            target,
            format!("The value {value} of parameter '{target}' is not one of {values:?}."),
        )
    })
}
