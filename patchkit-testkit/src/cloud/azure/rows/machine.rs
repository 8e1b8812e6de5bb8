//! The rows of one machine: itself, what was found missing on it, what was installed.

use std::{borrow::Cow, cell::OnceCell};

use serde_json::{Value, json};

use crate::cloud::{
    azure::{
        graph::{Field, Record, Table},
        hybrid,
        patch_result::{self, Named},
        reply::stamp_z,
        tags, vm, vm_view,
    },
    world::{
        State,
        machine::{Assessment, AzureSide, Installation, MachineIx},
    },
};

/// Rows of one type.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: &'static str,
    is_vm: bool,
}

const fn of_vm(name: &'static str) -> Class {
    Class { name, is_vm: true }
}

const fn of_arc(name: &'static str) -> Class {
    Class { name, is_vm: false }
}

static RESOURCES: [Class; 2] =
    [of_vm("microsoft.compute/virtualmachines"), of_arc("microsoft.hybridcompute/machines")];
static ASSESSMENTS: [Class; 4] = [
    of_vm("microsoft.compute/virtualmachines/patchassessmentresults"),
    of_vm("microsoft.compute/virtualmachines/patchassessmentresults/softwarepatches"),
    of_arc("microsoft.hybridcompute/machines/patchassessmentresults"),
    of_arc("microsoft.hybridcompute/machines/patchassessmentresults/softwarepatches"),
];
static INSTALLATIONS: [Class; 4] = [
    of_vm("microsoft.compute/virtualmachines/patchinstallationresults"),
    of_vm("microsoft.compute/virtualmachines/patchinstallationresults/softwarepatches"),
    of_arc("microsoft.hybridcompute/machines/patchinstallationresults"),
    of_arc("microsoft.hybridcompute/machines/patchinstallationresults/softwarepatches"),
];

impl Class {
    /// The classes of a table's machine rows; none where it has no such rows. Those of virtual
    /// machines come first, and results before their patches.
    pub(super) fn of(table: Table) -> &'static [Self] {
        match table {
            Table::Resources => &RESOURCES,
            Table::PatchAssessmentResources => &ASSESSMENTS,
            Table::PatchInstallationResources => &INSTALLATIONS,
            Table::ResourceContainers | Table::MaintenanceResources => &[],
        }
    }
}

/// What a row is about; patches by their place in the catalogue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    Machine,
    Assessment(&'a Assessment),
    Missing(&'a Assessment, usize),
    Installation(&'a Installation),
    Treated(&'a Installation, &'static str, usize),
}

pub(super) struct MachineRow<'a> {
    state: &'a State,
    tenant: &'a str,
    at: MachineIx,
    azure: &'a AzureSide,
    class: &'static Class,
    of: Of<'a>,
    named: OnceCell<Option<Named>>,
}

impl<'a> MachineRow<'a> {
    pub(super) fn new(
        state: &'a State,
        tenant: &'a str,
        at: MachineIx,
        azure: &'a AzureSide,
        class: &'static Class,
        of: Of<'a>,
    ) -> Self {
        Self { state, tenant, at, azure, class, of, named: OnceCell::new() }
    }

    /// What identifies the patch that the row is about.
    fn named(&self) -> Option<&Named> {
        let (Of::Missing(_, place) | Of::Treated(_, _, place)) = self.of else { return None };
        let named = self.named.get_or_init(|| {
            let system = self.state.system_of(self.at);
            system.patches.get(place).map(|patch| Named::of(patch, system))
        });
        named.as_ref()
    }

    fn patch_id(&self) -> &str {
        self.named().map_or("", |it| &it.id)
    }

    fn id(&self) -> String {
        let mut id = self.state.vm_resource_id(self.azure);
        match self.of {
            Of::Machine => {}
            Of::Assessment(_) => id.push_str("/patchAssessmentResults/latest"),
            Of::Missing(..) => {
                id.push_str("/patchAssessmentResults/latest/softwarePatches/");
                id.push_str(self.patch_id());
            }
            Of::Installation(it) => {
                id.push_str("/patchInstallationResults/");
                id.push_str(&it.activity);
            }
            Of::Treated(it, ..) => {
                id.push_str("/patchInstallationResults/");
                id.push_str(&it.activity);
                id.push_str("/softwarePatches/");
                id.push_str(self.patch_id());
            }
        }
        id
    }

    fn name(&self) -> Cow<'a, str> {
        match self.of {
            Of::Machine => Cow::Borrowed(&self.azure.name),
            Of::Assessment(it) => Cow::Borrowed(&it.activity),
            Of::Installation(it) => Cow::Borrowed(&it.activity),
            Of::Missing(..) | Of::Treated(..) => Cow::Owned(self.patch_id().to_owned()),
        }
    }

    fn properties(&self, keys: Option<&[String]>) -> Value {
        let wants = |key: &str| keys.is_none_or(|keys| keys.iter().any(|it| it == key));
        match self.of {
            Of::Machine if self.class.is_vm => {
                let mut properties = vm::shown(self.state, self.at, self.azure, keys);
                if wants("extended") {
                    properties["extended"] = json!({"instanceView": self.extended()});
                }
                properties
            }
            Of::Machine => hybrid::shown(self.state, self.at, self.azure, keys),
            Of::Assessment(it) => self.assessment(it, keys),
            Of::Missing(it, place) => self.missing(it, place),
            Of::Installation(it) => self.installation(it),
            Of::Treated(it, word, place) => self.treated(it, word, place),
        }
    }

    fn extended(&self) -> Value {
        let machine = self.state.machine(self.at);
        let [word, words] = vm_view::power(machine.power);
        let code = format!("PowerState/{word}");
        let mut view = json!({
            "powerState": {"code": code, "level": "Info", "displayStatus": words},
            "hyperVGeneration": "V2",
        });
        if self.state.answers_azure(self.at) {
            let system = self.state.system_of(self.at);
            view["computerName"] = json!(&*machine.name);
            view["osName"] = json!(vm_view::os_name(system.name));
            view["osVersion"] = json!(system.version);
        }
        view
    }

    fn assessment(&self, it: &Assessment, keys: Option<&[String]>) -> Value {
        let (state, at) = (self.state, self.at);
        let mut properties = json!({
            "assessmentActivityId": it.activity,
            "rebootPending": it.reboot_pending,
            "patchServiceUsed": patch_result::service(state, at, '-'),
            "osType": vm::os_type(state, at),
            "startDateTime": stamp_z(it.started),
            "lastModifiedDateTime": stamp_z(it.ended),
            "startedBy": it.started_by,
            "errorDetails": null,
            "status": "Succeeded",
        });
        let counted = "availablePatchCountByClassification";
        // They cost more than all else.
        if keys.is_none_or(|keys| keys.iter().any(|it| it == counted)) {
            let mut counts = patch_result::counts(state, at, &it.available);
            // Rows have every class, whatever the system.
            if counts["other"].is_null() {
                counts["other"] = json!(0);
            }
            properties[counted] = counts;
        }
        properties
    }

    /// What rows of patches have in common.
    fn software(&self) -> Value {
        let Some(named) = self.named() else { return json!({}) };
        let mut properties = json!({
            "patchId": named.id,
            "patchName": named.name,
            "classifications": [named.class],
        });
        if let Some(kb) = &named.kb {
            properties["kbId"] = json!(kb);
        }
        if let Some(version) = &named.version {
            properties["version"] = json!(version);
        }
        properties
    }

    fn missing(&self, it: &Assessment, place: usize) -> Value {
        let system = self.state.system_of(self.at);
        let mut properties = self.software();
        properties["rebootRequired"] = json!(State::needs_boot(place));
        properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
        let state = patch_result::assessment_state(self.state, self.at, place);
        properties["assessmentState"] = json!(state);
        properties["lastModifiedDateTime"] = json!(stamp_z(it.ended));
        // No package manager tells it.
        let released = system.patches.get(place).and_then(|patch| patch.released_at);
        properties["publishedDateTime"] = match released {
            Some(at) if system.is_windows() => json!(stamp_z(at)),
            _ => Value::Null,
        };
        properties
    }

    fn installation(&self, it: &Installation) -> Value {
        let (state, at) = (self.state, self.at);
        let failures = patch_result::failures(state, at, it);
        let mut properties = json!({
            "installationActivityId": it.activity,
            "status": it.status,
            "maintenanceWindowExceeded": it.window_exceeded,
            "rebootStatus": it.reboot_status,
            "startDateTime": stamp_z(it.started),
            "lastModifiedDateTime": stamp_z(it.ended.unwrap_or(state.now)),
            "startedBy": it.started_by,
            "osType": vm::os_type(state, at),
            "maintenanceRunId": it.maintenance_run,
            "errorDetails":
                if failures.is_empty() { Value::Null } else { patch_result::errors(&failures) },
        });
        if let (Value::Object(properties), Value::Object(counts)) =
            (&mut properties, patch_result::installation_counts(it))
        {
            properties.extend(counts);
        }
        properties
    }

    fn treated(&self, it: &Installation, word: &str, place: usize) -> Value {
        let mut properties = self.software();
        properties["installationState"] = json!(word);
        properties["rebootBehavior"] = json!(patch_result::reboot_behavior(place));
        properties["lastModifiedDateTime"] = json!(stamp_z(it.ended.unwrap_or(self.state.now)));
        properties
    }
}

impl<'a> Record<'a> for MachineRow<'a> {
    fn column(&self, name: &'static str, keys: Option<&[String]>) -> Field<'a> {
        let (state, azure) = (self.state, self.azure);
        match name {
            "id" => Field::text(self.id()),
            "name" => Field::Text(self.name()),
            "type" => Field::text(self.class.name),
            "tenantId" => Field::text(self.tenant),
            "kind" | "managedBy" => Field::text(""),
            "location" => Field::text(vm::location_of(state, azure)),
            "resourceGroup" => {
                let groups = &state.subscription(azure.subscription).groups;
                let group = groups.get(usize::from(azure.group)).map_or("", |it| &it.name);
                Field::text(group.to_lowercase())
            }
            "subscriptionId" => Field::text(&*state.subscription(azure.subscription).id),
            "tags" if matches!(self.of, Of::Machine) => {
                Field::Document(Cow::Owned(tags::document(&azure.tags)))
            }
            "properties" => Field::Document(Cow::Owned(self.properties(keys))),
            _ => Field::None,
        }
    }
}
