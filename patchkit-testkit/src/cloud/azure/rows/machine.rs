//! The rows of one machine: itself, what was found missing on it, what was installed.

use std::{borrow::Cow, cell::OnceCell, collections::BTreeMap};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cloud::{
    azure::{
        census::Kind,
        graph::{Field, Path, Record, Table},
        hybrid,
        patch_result::{self, Named},
        reply::stamp_z,
        tags,
        template::Filled,
        vm, vm_view,
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

/// The properties of an assessment's row.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Assessed<'a> {
    assessment_activity_id: &'a str,
    reboot_pending: bool,
    patch_service_used: String,
    os_type: &'static str,
    start_date_time: String,
    last_modified_date_time: String,
    started_by: &'static str,
    error_details: (),
    status: &'static str,
    available_patch_count_by_classification: BTreeMap<&'static str, usize>,
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

    /// Writes what its rows show of a machine and of its assessment.
    pub(super) fn write(state: &'a State, tenant: &'a str, at: MachineIx, azure: &'a AzureSide) {
        let classes = [Class::of(Table::Resources), Class::of(Table::PatchAssessmentResources)];
        let kind = Kind::of(&azure.kind) as usize;
        let [Some(resource), Some(assessment)] = [classes[0].get(kind), classes[1].get(2 * kind)]
        else {
            return;
        };
        let row = Self::new(state, tenant, at, azure, resource, Of::Machine);
        row.shown();
        row.tags_written();
        if let Some(it) = &azure.assessment {
            Self::new(state, tenant, at, azure, assessment, Of::Assessment(it))
                .assessment_written(it);
        }
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

    fn properties(&self) -> Value {
        match self.of {
            Of::Machine if self.class.is_vm => {
                let mut properties = vm::shown(self.state, self.at, self.azure);
                properties["extended"] = json!({"instanceView": self.extended()});
                properties
            }
            Of::Machine => hybrid::shown(self.state, self.at, self.azure),
            Of::Assessment(it) => json!(self.assessment(it)),
            Of::Missing(it, place) => self.missing(it, place),
            Of::Installation(it) => self.installation(it),
            Of::Treated(it, word, place) => self.treated(it, word, place),
        }
    }

    /// All that an answer shows of a machine's properties: kept until the machine changes.
    fn shown(&self) -> Option<&'a Filled> {
        let state: &'a State = self.state;
        // They change with the time and with what is under way, too.
        let answers = usize::from(state.answers_azure(self.at));
        let updating = usize::from(state.azure.updating.contains(&self.at));
        let kept = state.machine(self.at).shown.machine.get(2 * answers + updating)?;
        Some(kept.get_or_init(|| {
            let own = if self.class.is_vm { &vm::OWN[..] } else { &hybrid::OWN };
            state.azure.templates.fill(&self.properties(), own)
        }))
    }

    /// The same of its assessment.
    fn assessment_written(&self, it: &Assessment) -> &'a str {
        let state: &'a State = self.state;
        let make = || serde_json::to_string(&self.assessment(it)).unwrap_or_default();
        state.machine(self.at).shown.assessment.get_or_init(make)
    }

    fn tags_written(&self) -> &'a str {
        let state: &'a State = self.state;
        state.machine(self.at).shown.tags.get_or_init(|| {
            let tags = self.azure.tags.iter().map(|(name, value)| (&**name, &**value));
            let tags: BTreeMap<&str, &str> = tags.collect();
            serde_json::to_string(&tags).unwrap_or_default()
        })
    }

    fn extended(&self) -> Value {
        let machine = self.state.machine(self.at);
        let [word, words] = vm_view::power(machine.power);
        let mut view = json!({
            "powerState": {"code": format!("PowerState/{word}"), "level": "Info", "displayStatus": words},
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

    fn assessment<'i>(&self, it: &'i Assessment) -> Assessed<'i> {
        let (state, at) = (self.state, self.at);
        Assessed {
            assessment_activity_id: &it.activity,
            reboot_pending: it.reboot_pending,
            patch_service_used: patch_result::service(state, at, '-'),
            os_type: vm::os_type(state, at),
            start_date_time: stamp_z(it.started),
            last_modified_date_time: stamp_z(it.ended),
            started_by: it.started_by,
            error_details: (),
            status: "Succeeded",
            available_patch_count_by_classification: patch_result::count(state, at, &it.available)
                .map(|(key, count)| (key, count.unwrap_or(0)))
                .collect(),
        }
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
    fn column(&self, name: &'static str) -> Field<'a> {
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
            "properties" => Field::Document(Cow::Owned(self.properties())),
            _ => Field::None,
        }
    }

    fn member(&self, name: &'static str, path: &Path) -> Field<'a> {
        match (name, self.of) {
            ("properties", Of::Machine) => self.shown().map_or(Field::None, |it| it.member(path)),
            ("tags", Of::Machine) => {
                let [key] = &**path else { return self.column(name).at(path) };
                let found = self.azure.tags.iter().find(|(name, _)| **name == **key);
                found.map_or(Field::None, |(_, it)| Field::Document(Cow::Owned(json!(&**it))))
            }
            _ => self.column(name).at(path),
        }
    }

    fn write(&self, name: &'static str, path: &Path, out: &mut Vec<u8>) -> bool {
        let written = match (name, self.of) {
            ("properties", Of::Machine) => {
                let shown = self.shown();
                shown.into_iter().for_each(|it| it.write(path, out));
                return shown.is_some();
            }
            ("properties", Of::Assessment(it)) if path.is_empty() => self.assessment_written(it),
            ("tags", Of::Machine) if path.is_empty() => self.tags_written(),
            _ => return false,
        };
        out.extend_from_slice(written.as_bytes());
        true
    }
}
